//! Making topics: the rules for names, counts and settings that CreateTopics, Metadata and
//! FindCoordinator share.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::{ErrorCode, Uuid};

use super::Broker;
use crate::api::ApiError;
use crate::config::check_topic_config;
use crate::coordinator::OFFSETS_TOPIC;
use crate::quorum::{Command, Image, Outcome, Rejection, TopicImage, place};

/// The longest topic name.
const NAME_LEN_MAX: usize = 249;

/// A topic to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewTopic {
    pub(crate) name: String,
    /// Replicas of each partition.
    pub(crate) replicas: Vec<Vec<i32>>,
    pub(crate) configs: BTreeMap<String, String>,
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        Self { code: rejection.code, message: rejection.message }
    }
}

/// AD-01: what a topic may be called.
pub(crate) fn check_name(name: &str) -> Result<(), ApiError> {
    let bad = |why: String| {
        Err(ApiError::new(
            ErrorCode::InvalidTopicException,
            format!("Topic name is invalid: {why}"),
        ))
    };
    if name.is_empty() {
        return bad("the empty string is not allowed".into());
    }
    if name == "." || name == ".." {
        return bad(format!("'{name}' is not allowed"));
    }
    if name.len() > NAME_LEN_MAX {
        return bad(format!(
            "the length of '{name}' is longer than the max allowed length {NAME_LEN_MAX}"
        ));
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !name.bytes().all(legal) {
        return bad(format!(
            "'{name}' contains one or more characters other than ASCII \
             alphanumerics, '.', '_' and '-'"
        ));
    }
    Ok(())
}

/// Everything about a new topic that can be refused before it is proposed; existing names come from
/// `image`.
pub(crate) fn check(image: &Image, topic: &NewTopic) -> Result<(), ApiError> {
    check_name(&topic.name)?;
    if image.topics.contains_key(&topic.name) {
        let message = format!("Topic '{}' already exists.", topic.name);
        return Err(ApiError::new(ErrorCode::TopicAlreadyExists, message));
    }
    if let Some(other) = image.colliding_topic(&topic.name) {
        return Err(collision(&topic.name, other));
    }
    for (name, value) in &topic.configs {
        check_topic_config(name, value)
            .map_err(|error| ApiError::new(ErrorCode::InvalidConfig, error.to_string()))?;
    }
    Ok(())
}

/// AD-01: two names that differ in '.' and '_' alone.
pub(crate) fn collision(name: &str, other: &str) -> ApiError {
    let message = format!("Topic '{name}' collides with existing topic: {other}");
    ApiError::new(ErrorCode::InvalidTopicException, message)
}

/// AD-02: spreads new partitions over the brokers, going on where the last topic's ended; `ahead`
/// partitions were placed before these, and are not in `image` yet.
pub(crate) fn assign(
    image: &Image,
    ahead: usize,
    partitions: usize,
    replication_factor: usize,
) -> Result<Vec<Vec<i32>>, ApiError> {
    let placed: usize = image.topics.values().map(|topic| topic.partitions.len()).sum();
    place(&image.brokers, placed + ahead, partitions, replication_factor)
        .map_err(|error| ApiError::new(ErrorCode::InvalidReplicationFactor, error.to_string()))
}

/// Proposes a topic that was checked; resolves when its partitions can be written to.
pub(crate) async fn create(broker: &Broker, topic: NewTopic) -> Result<Arc<TopicImage>, ApiError> {
    let id = random_topic_id();
    let name = topic.name.clone();
    let command = Command::CreateTopic {
        name: topic.name,
        id,
        replicas: topic.replicas,
        configs: topic.configs,
    };
    match broker.propose(command).await? {
        Outcome::Done => {}
        other => unreachable!("a topic's creation is answered with {other:?}"),
    }
    let message = format!("topic '{name}' was deleted as soon as it was made");
    broker
        .image()
        .topic_by_id(id)
        .cloned()
        .ok_or_else(|| ApiError::new(ErrorCode::UnknownTopicOrPartition, message))
}

/// Creates a topic that a client asked for by name, with the broker's defaults. Two clients that
/// ask at once both get it.
pub(crate) async fn auto_create(broker: &Broker, name: &str) -> Result<Arc<TopicImage>, ApiError> {
    let image = broker.image();
    let config = broker.config();
    let count = |name: &str| usize::try_from(config.long(name)).expect("the table bounds counts");
    let (partitions, factor, configs) = if name == OFFSETS_TOPIC {
        let own = BTreeMap::from([
            ("cleanup.policy".to_owned(), "compact".to_owned()),
            ("segment.bytes".to_owned(), config.text("offsets.topic.segment.bytes").to_owned()),
        ]);
        let partitions = count("offsets.topic.num.partitions");
        (partitions, count("offsets.topic.replication.factor"), own)
    } else {
        (count("num.partitions"), count("default.replication.factor"), BTreeMap::new())
    };
    let replicas = assign(&image, 0, partitions, factor)?;
    let topic = NewTopic { name: name.to_owned(), replicas, configs };
    check(&image, &topic).or_else(|error| match error.code {
        ErrorCode::TopicAlreadyExists => Ok(()),
        _ => Err(error),
    })?;
    match create(broker, topic).await {
        Err(error) if error.code == ErrorCode::TopicAlreadyExists => {
            broker.image().topics.get(name).cloned().ok_or(error)
        }
        created => created,
    }
}

/// Not zero (which stands for "no id"), and not with a leading dash, as Kafka's.
fn random_topic_id() -> Uuid {
    loop {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system has random numbers");
        let id = Uuid(bytes);
        if !id.is_zero() && !id.to_string().starts_with('-') {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_kafkas_rules() {
        for good in ["a", "a.b_c-D9", "..."] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "é", &"x".repeat(250)] {
            let error = check_name(bad).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidTopicException);
        }
    }
}
