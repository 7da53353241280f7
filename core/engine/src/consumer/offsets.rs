//! Requests about offsets, for the state machine and for the user's own questions.

use std::collections::BTreeMap;

use ottla_protocol::Uuid;
use ottla_protocol::messages::Request;
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use ottla_protocol::messages::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};

use crate::cluster::Metadata;
use crate::config::{IsolationLevel, OffsetReset};
use crate::group::TopicPartition;

/// ListOffsets: the offset after the last record that a reader may see.
pub const LATEST_TIMESTAMP: i64 = -1;
/// ListOffsets: the first offset that is there.
pub const EARLIEST_TIMESTAMP: i64 = -2;
/// A consumer, not a replica.
const CONSUMER_REPLICA_ID: i32 = -1;

pub use super::commit::OffsetAndMetadata;

/// The timestamp to look up for a reset at this wall-clock time.
pub fn reset_timestamp(reset: OffsetReset, wall_ms: i64) -> i64 {
    match reset {
        OffsetReset::Earliest => EARLIEST_TIMESTAMP,
        // `None` never resets.
        OffsetReset::Latest | OffsetReset::None => LATEST_TIMESTAMP,
        OffsetReset::ByDuration(age) => {
            wall_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)).max(0)
        }
        OffsetReset::Timestamp { timestamp_ms } => timestamp_ms,
    }
}

fn epoch_of(metadata: &Metadata, partition: &TopicPartition) -> i32 {
    metadata.partition(&partition.topic, partition.partition).map_or(-1, |p| p.leader_epoch)
}

/// Entries per topic, for keys that are sorted by topic.
fn per_topic<'a, V: 'a, E>(
    wanted: impl IntoIterator<Item = (&'a TopicPartition, V)>,
    entry: impl Fn(&TopicPartition, V) -> E,
) -> Vec<(String, Vec<E>)> {
    let mut topics: Vec<(String, Vec<E>)> = Vec::new();
    for (partition, value) in wanted {
        let new = entry(partition, value);
        match topics.last_mut().filter(|(topic, _)| **topic == *partition.topic) {
            Some((_, entries)) => entries.push(new),
            None => topics.push((partition.topic.to_string(), vec![new])),
        }
    }
    topics
}

/// ListOffsets for partitions that one broker leads, by timestamp or [`LATEST_TIMESTAMP`] or
/// [`EARLIEST_TIMESTAMP`].
pub fn list_offsets_request(
    metadata: &Metadata,
    wanted: &BTreeMap<TopicPartition, i64>,
    isolation: IsolationLevel,
) -> Request {
    let entry = |partition: &TopicPartition, timestamp: &i64| ListOffsetsPartition {
        partition_index: partition.partition,
        current_leader_epoch: epoch_of(metadata, partition),
        timestamp: *timestamp,
        ..Default::default()
    };
    let topics = per_topic(wanted, entry);
    Request::ListOffsets(Box::new(ListOffsetsRequest {
        replica_id: CONSUMER_REPLICA_ID,
        isolation_level: isolation.code(),
        topics: topics
            .into_iter()
            .map(|(name, partitions)| ListOffsetsTopic { name, partitions, ..Default::default() })
            .collect(),
        ..Default::default()
    }))
}

/// OffsetForLeaderEpoch for partitions that one broker leads, by the epoch of their position.
pub fn epochs_request(metadata: &Metadata, wanted: &BTreeMap<TopicPartition, i32>) -> Request {
    let entry = |partition: &TopicPartition, epoch: &i32| OffsetForLeaderPartition {
        partition: partition.partition,
        current_leader_epoch: epoch_of(metadata, partition),
        leader_epoch: *epoch,
        ..Default::default()
    };
    let topics = per_topic(wanted, entry);
    Request::OffsetForLeaderEpoch(Box::new(OffsetForLeaderEpochRequest {
        replica_id: CONSUMER_REPLICA_ID,
        topics: topics
            .into_iter()
            .map(|(topic, partitions)| OffsetForLeaderTopic {
                topic,
                partitions,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }))
}

/// OffsetFetch in both shapes: one group (up to v7) and a list of groups (KIP-709).
///
/// `None` asks for all partitions. Offsets of open transactions are not answered (KIP-447).
pub fn offset_fetch_request(
    metadata: &Metadata,
    group: &str,
    partitions: Option<&[TopicPartition]>,
) -> Request {
    let topics = partitions.map(|partitions| {
        let mut sorted: Vec<&TopicPartition> = partitions.iter().collect();
        sorted.sort();
        per_topic(sorted.into_iter().map(|p| (p, ())), |partition, ()| partition.partition)
    });
    let single = topics.clone().map(|topics| {
        let topic = |(name, partition_indexes)| OffsetFetchRequestTopic {
            name,
            partition_indexes,
            ..Default::default()
        };
        topics.into_iter().map(topic).collect()
    });
    let several = topics.map(|topics| {
        let topic = |(name, partition_indexes): (String, Vec<i32>)| OffsetFetchRequestTopics {
            topic_id: metadata.topic_id(&name).unwrap_or(Uuid::ZERO),
            name,
            partition_indexes,
            ..Default::default()
        };
        topics.into_iter().map(topic).collect()
    });
    Request::OffsetFetch(Box::new(OffsetFetchRequest {
        group_id: group.to_string(),
        topics: single,
        groups: vec![OffsetFetchRequestGroup {
            group_id: group.to_string(),
            topics: several,
            ..Default::default()
        }],
        require_stable: true,
        ..Default::default()
    }))
}
