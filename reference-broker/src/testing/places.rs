//! The entries of a request that a filter can name.

use ottla_protocol::Uuid;
use ottla_protocol::messages::{ApiKey, Request};

use crate::quorum::Image;

/// What an entry of a message is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub(super) topic: Option<&'a str>,
    pub(super) partition: Option<i32>,
    pub(super) group: Option<&'a str>,
}

impl<'a> Place<'a> {
    pub(super) fn topic(topic: &'a str) -> Self {
        Self { topic: Some(topic), ..Self::default() }
    }

    pub(super) fn group(group: &'a str) -> Self {
        Self { group: Some(group), ..Self::default() }
    }

    pub(super) fn partition(self, partition: i32) -> Self {
        Self { partition: Some(partition), ..self }
    }
}

/// By which fields the entries of an API can be chosen.
pub(super) fn fields(api: ApiKey) -> &'static [&'static str] {
    match api {
        ApiKey::Produce
        | ApiKey::Fetch
        | ApiKey::ListOffsets
        | ApiKey::Metadata
        | ApiKey::DeleteRecords
        | ApiKey::ElectLeaders
        | ApiKey::AlterPartitionReassignments
        | ApiKey::OffsetForLeaderEpoch => &["topic", "partition"],
        ApiKey::OffsetCommit | ApiKey::OffsetFetch | ApiKey::OffsetDelete => {
            &["topic", "partition", "group"]
        }
        ApiKey::CreateTopics
        | ApiKey::DeleteTopics
        | ApiKey::CreatePartitions
        | ApiKey::DescribeConfigs
        | ApiKey::DescribeTopicPartitions
        | ApiKey::AlterConfigs
        | ApiKey::IncrementalAlterConfigs => &["topic"],
        ApiKey::FindCoordinator
        | ApiKey::JoinGroup
        | ApiKey::Heartbeat
        | ApiKey::LeaveGroup
        | ApiKey::SyncGroup
        | ApiKey::DescribeGroups
        | ApiKey::DeleteGroups => &["group"],
        _ => &[],
    }
}

/// A topic's name where a message may have its id instead; of an unknown id it is empty.
pub(super) fn name<'a>(name: &'a str, id: Uuid, image: &'a Image) -> &'a str {
    match image.topic_by_id(id) {
        Some(topic) if name.is_empty() => &topic.name,
        _ => name,
    }
}

/// Every entry of a request that can be answered with an error of its own. A request about nothing
/// has none: there is no place for an error in its answer.
pub(super) fn of<'a>(request: &'a Request, image: &'a Image) -> Vec<Place<'a>> {
    macro_rules! partitions {
        ($topics:expr, $topic:ident => $name:expr, $partitions:ident, $index:ident) => {{
            let topics = $topics.iter().flat_map(|$topic| {
                let place = Place::topic($name);
                $topic.$partitions.iter().map(move |entry| place.partition(entry.$index))
            });
            topics.collect()
        }};
    }
    match request {
        Request::Produce(r) => {
            partitions!(r.topic_data, t => name(&t.name, t.topic_id, image), partition_data, index)
        }
        Request::Fetch(r) => {
            partitions!(r.topics, t => name(&t.topic, t.topic_id, image), partitions, partition)
        }
        Request::ListOffsets(r) => partitions!(r.topics, t => &t.name, partitions, partition_index),
        Request::DeleteRecords(r) => {
            partitions!(r.topics, t => &t.name, partitions, partition_index)
        }
        Request::OffsetForLeaderEpoch(r) => {
            partitions!(r.topics, t => &t.topic, partitions, partition)
        }
        Request::OffsetCommit(r) => {
            let places: Vec<Place<'_>> = partitions!(
                r.topics, t => name(&t.name, t.topic_id, image), partitions, partition_index
            );
            let group = Some(r.group_id.as_str());
            places.into_iter().map(|place| Place { group, ..place }).collect()
        }
        Request::OffsetDelete(r) => {
            let places: Vec<Place<'_>> =
                partitions!(r.topics, t => &t.name, partitions, partition_index);
            let group = Some(r.group_id.as_str());
            places.into_iter().map(|place| Place { group, ..place }).collect()
        }
        Request::Metadata(r) => match &r.topics {
            Some(topics) => {
                let name_of = |n: &'a Option<String>| n.as_deref().unwrap_or_default();
                let place = |(n, id)| Place::topic(name(name_of(n), id, image));
                topics.iter().map(|topic| place((&topic.name, topic.topic_id))).collect()
            }
            None => image.topics.keys().map(|name| Place::topic(name)).collect(),
        },
        Request::OffsetFetch(r) => offset_fetch(r, image),
        Request::FindCoordinator(r) => match &r.coordinator_keys[..] {
            [] => vec![Place::group(&r.key)],
            keys => keys.iter().map(|key| Place::group(key)).collect(),
        },
        Request::DescribeGroups(r) => r.groups.iter().map(|group| Place::group(group)).collect(),
        Request::DeleteGroups(r) => r.groups_names.iter().map(|name| Place::group(name)).collect(),
        Request::JoinGroup(r) => vec![Place::group(&r.group_id)],
        Request::SyncGroup(r) => vec![Place::group(&r.group_id)],
        Request::Heartbeat(r) => vec![Place::group(&r.group_id)],
        Request::LeaveGroup(r) => vec![Place::group(&r.group_id)],
        _ => of_admin(request, image),
    }
}

/// The same of what administrators ask.
fn of_admin<'a>(request: &'a Request, image: &'a Image) -> Vec<Place<'a>> {
    match request {
        Request::ElectLeaders(r) => {
            let topics = r.topic_partitions.iter().flatten();
            let partitions = topics.flat_map(|topic| {
                let place = Place::topic(&topic.topic);
                topic.partitions.iter().map(move |index| place.partition(*index))
            });
            partitions.collect()
        }
        Request::AlterPartitionReassignments(r) => {
            let partitions = r.topics.iter().flat_map(|topic| {
                let place = Place::topic(&topic.name);
                topic.partitions.iter().map(move |entry| place.partition(entry.partition_index))
            });
            partitions.collect()
        }
        Request::DescribeTopicPartitions(r) => {
            r.topics.iter().map(|topic| Place::topic(&topic.name)).collect()
        }
        Request::AlterConfigs(r) => {
            r.resources.iter().map(|resource| Place::topic(&resource.resource_name)).collect()
        }
        Request::CreateTopics(r) => r.topics.iter().map(|t| Place::topic(&t.name)).collect(),
        Request::CreatePartitions(r) => r.topics.iter().map(|t| Place::topic(&t.name)).collect(),
        Request::DeleteTopics(r) => {
            let by_id = r.topics.iter().map(|topic| {
                name(topic.name.as_deref().unwrap_or_default(), topic.topic_id, image)
            });
            let names = r.topic_names.iter().map(String::as_str);
            by_id.chain(names).map(Place::topic).collect()
        }
        Request::DescribeConfigs(r) => {
            r.resources.iter().map(|resource| Place::topic(&resource.resource_name)).collect()
        }
        Request::IncrementalAlterConfigs(r) => {
            r.resources.iter().map(|resource| Place::topic(&resource.resource_name)).collect()
        }
        _ => vec![Place::default()],
    }
}

/// One group or several; all topics of a group are a place without a topic.
fn offset_fetch<'a>(
    request: &'a ottla_protocol::messages::OffsetFetchRequest,
    image: &'a Image,
) -> Vec<Place<'a>> {
    let mut places = Vec::new();
    if request.groups.is_empty() {
        let group = Place::group(&request.group_id);
        let Some(topics) = &request.topics else { return vec![group] };
        for topic in topics {
            let place = Place { topic: Some(&topic.name), ..group };
            places.extend(topic.partition_indexes.iter().map(|index| place.partition(*index)));
        }
    }
    for asked in &request.groups {
        let group = Place::group(&asked.group_id);
        let Some(topics) = &asked.topics else {
            places.push(group);
            continue;
        };
        for topic in topics {
            let place = Place { topic: Some(name(&topic.name, topic.topic_id, image)), ..group };
            places.extend(topic.partition_indexes.iter().map(|index| place.partition(*index)));
        }
    }
    places
}
