//! DescribeTopicPartitions (key 75), version 0: topics in the order of their names, by pages that
//! a cursor goes on from (AD-16).

use std::collections::BTreeSet;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_topic_partitions::{
    DescribeTopicPartitionsResponseCursor, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};
use ottla_protocol::messages::metadata::MetadataResponsePartition;
use ottla_protocol::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};

use super::RequestContext;
use super::metadata;
use crate::broker::is_internal;
use crate::quorum::PartitionImage;

/// The most partitions of one answer, whatever the request says: Apache Kafka's
/// `max.request.partition.size.limit`.
const PARTITIONS_MAX: usize = 2_000;

pub(crate) async fn handle(
    context: &RequestContext,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let broker = &context.broker;
    let image = broker.image();
    let asked = request.topics.iter().map(|topic| topic.name.clone());
    let mut names: BTreeSet<String> = match request.topics.is_empty() {
        true => image.topics.keys().cloned().collect(),
        false => asked.collect(),
    };
    let (from_topic, from_partition) = match request.cursor {
        Some(cursor) => (cursor.topic_name, cursor.partition_index),
        None => (String::new(), 0),
    };
    let Ok(from_partition) = usize::try_from(from_partition) else {
        return refused(&names);
    };
    names = names.split_off(&from_topic);
    let limit = usize::try_from(request.response_partition_limit).unwrap_or(0);
    let mut left = if limit == 0 { PARTITIONS_MAX } else { limit.min(PARTITIONS_MAX) };
    let mut answer = DescribeTopicPartitionsResponse::default();
    for name in names {
        let first = if name == from_topic { from_partition } else { 0 };
        let cursor = |partition: usize| DescribeTopicPartitionsResponseCursor {
            topic_name: name.clone(),
            partition_index: i32::try_from(partition).unwrap_or(i32::MAX),
            ..Default::default()
        };
        if left == 0 {
            answer.next_cursor = Some(cursor(first));
            break;
        }
        let Some(topic) = image.topics.get(&name) else {
            answer.topics.push(failed(&name));
            continue;
        };
        let described = metadata::describe(broker, &image, topic, true);
        let rest = described.partitions.len().saturating_sub(first);
        let taken = rest.min(left);
        let partitions = described.partitions.into_iter().zip(&topic.partitions);
        let partitions = partitions.skip(first).take(taken);
        answer.topics.push(DescribeTopicPartitionsResponseTopic {
            name: described.name,
            topic_id: described.topic_id,
            is_internal: described.is_internal,
            partitions: partitions.map(partition).collect(),
            topic_authorized_operations: described.topic_authorized_operations,
            ..Default::default()
        });
        left -= taken;
        if taken < rest {
            answer.next_cursor = Some(cursor(first + taken));
            break;
        }
    }
    answer
}

fn partition(
    (from, image): (MetadataResponsePartition, &PartitionImage),
) -> DescribeTopicPartitionsResponsePartition {
    DescribeTopicPartitionsResponsePartition {
        error_code: from.error_code,
        partition_index: from.partition_index,
        leader_id: from.leader_id,
        leader_epoch: from.leader_epoch,
        replica_nodes: from.replica_nodes,
        isr_nodes: from.isr_nodes,
        eligible_leader_replicas: Some(image.elr.clone()),
        last_known_elr: Some(image.last_known_elr.clone()),
        offline_replicas: from.offline_replicas,
        ..Default::default()
    }
}

fn failed(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let code = match crate::broker::topics::check_name(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: code.code(),
        name: Some(name.to_owned()),
        is_internal: is_internal(name),
        ..Default::default()
    }
}

/// A cursor with a negative partition: 42 for every topic that was asked for.
fn refused(names: &BTreeSet<String>) -> DescribeTopicPartitionsResponse {
    let refused = |name: &String| DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::InvalidRequest.code(),
        name: Some(name.clone()),
        is_internal: is_internal(name),
        ..Default::default()
    };
    DescribeTopicPartitionsResponse {
        topics: names.iter().map(refused).collect(),
        ..Default::default()
    }
}
