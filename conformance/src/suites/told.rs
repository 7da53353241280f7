//! Values in the words of a verdict: what is absent is `nothing`, errors have their names, bytes
//! that are text are text, and of messages there are the fields that hold something.

use crate::context::error_name;
use ottla_protocol::messages::{
    self, create_partitions, create_topics, delete_groups, delete_topics, describe_cluster,
    describe_configs, describe_groups, find_coordinator, incremental_alter_configs, join_group,
    list_groups, metadata,
};
use ottla_protocol::records::RecordError;
use ottla_protocol::{Bytes, Message, Uuid};
use serde_json::Value;

/// Elements of a list that are told; how many more there are is told as well.
const ELEMENTS_TOLD: usize = 6;

/// What can be told in a verdict.
pub(crate) trait Told {
    /// The value, in one line.
    fn told(&self) -> String;
}

impl<T: Told + ?Sized> Told for &T {
    fn told(&self) -> String {
        (**self).told()
    }
}

impl<T: Told> Told for Option<T> {
    fn told(&self) -> String {
        self.as_ref().map_or_else(|| "nothing".to_owned(), Told::told)
    }
}

impl<T: Told> Told for [T] {
    fn told(&self) -> String {
        list(self.iter().map(Told::told))
    }
}

impl<T: Told> Told for Vec<T> {
    fn told(&self) -> String {
        self[..].told()
    }
}

impl<A: Told, B: Told> Told for (A, B) {
    fn told(&self) -> String {
        format!("({}, {})", self.0.told(), self.1.told())
    }
}

fn list(elements: impl ExactSizeIterator<Item = String>) -> String {
    let more = elements.len().saturating_sub(ELEMENTS_TOLD);
    let mut told: Vec<String> = elements.take(ELEMENTS_TOLD).collect();
    if more > 0 {
        told.push(format!("{more} more"));
    }
    format!("[{}]", told.join(", "))
}

impl Told for str {
    fn told(&self) -> String {
        format!("{self:?}")
    }
}

impl Told for String {
    fn told(&self) -> String {
        self[..].told()
    }
}

impl Told for [u8] {
    fn told(&self) -> String {
        match str::from_utf8(self) {
            Ok(text) if !text.contains(char::is_control) => text.told(),
            _ => format!("bytes {}", crate::codec::hex(self)),
        }
    }
}

impl Told for Vec<u8> {
    fn told(&self) -> String {
        self[..].told()
    }
}

impl Told for Bytes {
    fn told(&self) -> String {
        self[..].told()
    }
}

macro_rules! plain {
    ($($type:ty),+) => {
        $(
            impl Told for $type {
                fn told(&self) -> String {
                    self.to_string()
                }
            }
        )+
    };
}

plain!(i8, i16, i32, i64, u32, u64, usize, bool, Uuid, RecordError);

macro_rules! messages {
    ($($type:ty),+ $(,)?) => {
        $(
            impl Told for $type {
                fn told(&self) -> String {
                    fields(self)
                }
            }
        )+
    };
}

messages! {
    create_partitions::CreatePartitionsTopic,
    create_partitions::CreatePartitionsTopicResult,
    create_topics::CreatableTopic,
    create_topics::CreatableTopicConfigs,
    create_topics::CreatableTopicResult,
    delete_groups::DeletableGroupResult,
    delete_topics::DeletableTopicResult,
    describe_cluster::DescribeClusterBroker,
    describe_configs::DescribeConfigsResource,
    describe_configs::DescribeConfigsResourceResult,
    describe_configs::DescribeConfigsResult,
    describe_configs::DescribeConfigsSynonym,
    describe_groups::DescribedGroup,
    find_coordinator::Coordinator,
    incremental_alter_configs::AlterConfigsResourceResponse,
    join_group::JoinGroupResponseMember,
    list_groups::ListedGroup,
    messages::DescribeClusterResponse,
    messages::JoinGroupResponse,
    metadata::MetadataResponseTopic,
}

/// The fields of a message, or of a struct in one, in the last version that can carry them; those
/// that are null or empty are left out.
fn fields<M: Message>(message: &M) -> String {
    let json = M::VERSIONS.rev().find_map(|version| message.to_json(version).ok());
    json.map_or_else(|| format!("a {} of no version", M::NAME), |json| value(&json))
}

fn value(json: &Value) -> String {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        _ => false,
    };
    match json {
        Value::Array(elements) => list(elements.iter().map(value)),
        Value::Object(fields) => {
            let some = fields.iter().filter(|(name, value)| *name == "name" || !is_empty(value));
            let told = some.map(|(name, one)| match one.as_i64().map(i16::try_from) {
                Some(Ok(code)) if name == "errorCode" => format!("{name}: {}", error_name(code)),
                _ => format!("{name}: {}", value(one)),
            });
            format!("{{{}}}", told.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::messages::create_topics::{CreatableTopic, CreatableTopicResult};

    #[test]
    fn values_are_told_without_the_names_of_types() {
        assert_eq!(Some((3_i16, "a")).told(), "(3, \"a\")");
        assert_eq!(None::<i32>.told(), "nothing");
        assert_eq!(vec![Some(1_i64), None].told(), "[1, nothing]");
        assert_eq!((0..9).collect::<Vec<i32>>().told(), "[0, 1, 2, 3, 4, 5, 3 more]");
        assert_eq!(Bytes::from_static(b"all").told(), "\"all\"");
        assert_eq!(Bytes::from_static(&[0xff, 0]).told(), "bytes ff00");
    }

    #[test]
    fn messages_are_told_by_what_they_hold() {
        let topic = CreatableTopic { num_partitions: 2, ..CreatableTopic::default() };
        assert_eq!(topic.told(), "{name: \"\", numPartitions: 2, replicationFactor: 0}");
        let result = CreatableTopicResult {
            name: "a".to_owned(),
            error_code: 36,
            ..CreatableTopicResult::default()
        };
        let told = result.told();
        assert!(told.contains("name: \"a\""), "{told}");
        assert!(told.contains("errorCode: TOPIC_ALREADY_EXISTS (36)"), "{told}");
        assert!(!told.contains("nknown"), "{told}");
    }
}
