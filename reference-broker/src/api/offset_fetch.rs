//! OffsetFetch (key 9), versions 1 to 10.
//!
//! One group before version 8, several from it, each with its own error (OC-10). Null topics are
//! all that the group has committed, from version 2 (OC-08). An error of the group stands at each
//! partition in version 1, at the top up to 7, at the group from 8 (OC-09, KAFKA-19246). Version 10
//! names topics by id: an unknown one is 100 (OC-13). A partition without a commit is (-1, -1, "")
//! and error 0 (OC-07). There are no transactional offsets here, so `require_stable` changes
//! nothing.

use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use ottla_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};
use ottla_protocol::{ErrorCode, Uuid};

use super::RequestContext;
use crate::coordinator::record::CommittedOffset;
use crate::coordinator::{GroupCoordinator, TopicResolver};

/// From here on there are several groups in a request.
const GROUPS_SINCE: i16 = 8;
/// From here on topics are named by their ids alone.
const TOPIC_IDS_SINCE: i16 = 10;

pub(crate) async fn handle(
    context: &RequestContext,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    let broker = &context.broker;
    answer(context.api_version, &request, broker.coordinator(), broker.as_ref())
}

/// The handler without a broker around it.
pub fn answer(
    version: i16,
    request: &OffsetFetchRequest,
    coordinator: &GroupCoordinator,
    topics: &dyn TopicResolver,
) -> OffsetFetchResponse {
    if version >= GROUPS_SINCE {
        let group = |group| fetch_group(version, group, coordinator, topics);
        let groups = request.groups.iter().map(group).collect();
        return OffsetFetchResponse { groups, ..OffsetFetchResponse::default() };
    }
    let requested = request.topics.as_ref().map(|topics| {
        let topic = |topic: &ottla_protocol::messages::offset_fetch::OffsetFetchRequestTopic| {
            OffsetFetchRequestTopics {
                name: topic.name.clone(),
                partition_indexes: topic.partition_indexes.clone(),
                ..OffsetFetchRequestTopics::default()
            }
        };
        topics.iter().map(topic).collect()
    });
    let only = OffsetFetchRequestGroup {
        group_id: request.group_id.clone(),
        topics: requested,
        ..OffsetFetchRequestGroup::default()
    };
    single_group_response(version, &only, fetch_group(version, &only, coordinator, topics))
}

/// The form before version 8.
fn single_group_response(
    version: i16,
    request: &OffsetFetchRequestGroup,
    mut group: OffsetFetchResponseGroup,
) -> OffsetFetchResponse {
    if group.error_code != 0 && version < 2 {
        // There is no place for it but at the partitions.
        let topics = request.topics.iter().flatten().map(|topic| OffsetFetchResponseTopics {
            name: topic.name.clone(),
            partitions: topic
                .partition_indexes
                .iter()
                .map(|index| OffsetFetchResponsePartitions {
                    error_code: group.error_code,
                    ..none(*index)
                })
                .collect(),
            ..OffsetFetchResponseTopics::default()
        });
        group.topics = topics.collect();
        group.error_code = 0;
    }
    let partition = |own: OffsetFetchResponsePartitions| OffsetFetchResponsePartition {
        partition_index: own.partition_index,
        committed_offset: own.committed_offset,
        committed_leader_epoch: own.committed_leader_epoch,
        metadata: own.metadata,
        error_code: own.error_code,
        ..OffsetFetchResponsePartition::default()
    };
    let topic = |own: OffsetFetchResponseTopics| OffsetFetchResponseTopic {
        name: own.name,
        partitions: own.partitions.into_iter().map(partition).collect(),
        ..OffsetFetchResponseTopic::default()
    };
    OffsetFetchResponse {
        error_code: group.error_code,
        topics: group.topics.into_iter().map(topic).collect(),
        ..OffsetFetchResponse::default()
    }
}

fn fetch_group(
    version: i16,
    request: &OffsetFetchRequestGroup,
    coordinator: &GroupCoordinator,
    known: &dyn TopicResolver,
) -> OffsetFetchResponseGroup {
    let topics = match &request.topics {
        None => fetch_all(version, &request.group_id, coordinator, known),
        Some(topics) => {
            let topic = |topic| fetch_topic(version, &request.group_id, topic, coordinator, known);
            topics.iter().map(topic).collect()
        }
    };
    let (topics, error) = match topics {
        Ok(topics) => (topics, ErrorCode::None),
        Err(error) => (Vec::new(), error),
    };
    OffsetFetchResponseGroup {
        group_id: request.group_id.clone(),
        topics,
        error_code: error.code(),
        ..OffsetFetchResponseGroup::default()
    }
}

fn fetch_topic(
    version: i16,
    group_id: &str,
    topic: &OffsetFetchRequestTopics,
    coordinator: &GroupCoordinator,
    known: &dyn TopicResolver,
) -> Result<OffsetFetchResponseTopics, ErrorCode> {
    let by_id = version >= TOPIC_IDS_SINCE;
    let (name, id) = if by_id {
        (known.topic_name(topic.topic_id), topic.topic_id)
    } else {
        (Some(topic.name.clone()), known.topic_id(&topic.name).unwrap_or(Uuid::ZERO))
    };
    let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
    for index in &topic.partition_indexes {
        partitions.push(match &name {
            None => OffsetFetchResponsePartitions {
                error_code: ErrorCode::UnknownTopicId.code(),
                ..none(*index)
            },
            Some(name) => match coordinator.committed(group_id, name, id, *index)? {
                Some(value) => committed(*index, value),
                None => none(*index),
            },
        });
    }
    Ok(OffsetFetchResponseTopics {
        name: if by_id { String::new() } else { topic.name.clone() },
        topic_id: if by_id { topic.topic_id } else { Uuid::ZERO },
        partitions,
        ..OffsetFetchResponseTopics::default()
    })
}

fn fetch_all(
    version: i16,
    group_id: &str,
    coordinator: &GroupCoordinator,
    known: &dyn TopicResolver,
) -> Result<Vec<OffsetFetchResponseTopics>, ErrorCode> {
    let by_id = version >= TOPIC_IDS_SINCE;
    let mut topics = Vec::new();
    for (name, partitions) in coordinator.all_committed(group_id)? {
        let id = known.topic_id(&name);
        if by_id && id.is_none() {
            // A topic that is gone has no id to name it by.
            continue;
        }
        let partition = |(index, value): (i32, CommittedOffset)| committed(index, value);
        topics.push(OffsetFetchResponseTopics {
            name: if by_id { String::new() } else { name },
            topic_id: if by_id { id.unwrap_or(Uuid::ZERO) } else { Uuid::ZERO },
            partitions: partitions.into_iter().map(partition).collect(),
            ..OffsetFetchResponseTopics::default()
        });
    }
    Ok(topics)
}

fn committed(index: i32, value: CommittedOffset) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index: index,
        committed_offset: value.offset,
        committed_leader_epoch: value.leader_epoch,
        metadata: Some(value.metadata),
        ..OffsetFetchResponsePartitions::default()
    }
}

fn none(index: i32) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index: index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(String::new()),
        ..OffsetFetchResponsePartitions::default()
    }
}
