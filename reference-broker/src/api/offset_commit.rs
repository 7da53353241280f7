//! OffsetCommit (key 8), versions 2 to 10.
//!
//! Topics that do not exist are refused one by one with 3, by id (version 10) with 100 (OC-13);
//! what is left goes to the coordinator, whose error for the whole group stands at each of its
//! partitions. Versions 2 to 4 may say how long the offsets are kept.

use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequestTopic, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use ottla_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use ottla_protocol::{ErrorCode, Uuid};

use super::RequestContext;
use crate::coordinator::types::{CommitPartition, CommitRequest, CommitResult, CommitTopic};
use crate::coordinator::{GroupCoordinator, TopicResolver};

/// From here on topics are named by their ids alone.
const TOPIC_IDS_SINCE: i16 = 10;

pub(crate) async fn handle(
    context: &RequestContext,
    request: OffsetCommitRequest,
) -> OffsetCommitResponse {
    let broker = &context.broker;
    answer(context.api_version, request, broker.coordinator(), broker.as_ref()).await
}

/// The handler without a broker around it.
pub async fn answer(
    version: i16,
    request: OffsetCommitRequest,
    coordinator: &GroupCoordinator,
    topics: &dyn TopicResolver,
) -> OffsetCommitResponse {
    let mut plan = Plan::new(version, &request.topics, topics);
    if !plan.topics.is_empty() {
        let commit = CommitRequest {
            group_id: request.group_id,
            member_id: request.member_id,
            instance_id: request.group_instance_id,
            generation: request.generation_id_or_member_epoch,
            missing_group_error: if version >= 9 {
                ErrorCode::GroupIdNotFound
            } else {
                ErrorCode::IllegalGeneration
            },
            retention_ms: (request.retention_time_ms >= 0).then_some(request.retention_time_ms),
            topics: std::mem::take(&mut plan.topics),
        };
        plan.settle(coordinator.commit(commit).await);
    }
    OffsetCommitResponse { topics: plan.response, ..OffsetCommitResponse::default() }
}

/// The response in request order, filled where the answer is known, and what the coordinator is
/// asked for the rest.
struct Plan {
    response: Vec<OffsetCommitResponseTopic>,
    topics: Vec<CommitTopic>,
    /// For each of `topics` and its partitions: where in `response` the answer belongs.
    places: Vec<(usize, Vec<usize>)>,
}

impl Plan {
    fn new(
        version: i16,
        requested: &[OffsetCommitRequestTopic],
        known: &dyn TopicResolver,
    ) -> Self {
        let mut plan = Self { response: Vec::new(), topics: Vec::new(), places: Vec::new() };
        for topic in requested {
            plan.add(version, topic, known);
        }
        plan
    }

    fn add(&mut self, version: i16, topic: &OffsetCommitRequestTopic, known: &dyn TopicResolver) {
        let by_id = version >= TOPIC_IDS_SINCE;
        let (name, topic_id) = if by_id {
            (known.topic_name(topic.topic_id), topic.topic_id)
        } else {
            let id = known.topic_id(&topic.name);
            (id.map(|_| topic.name.clone()), id.unwrap_or(Uuid::ZERO))
        };
        let unknown =
            if by_id { ErrorCode::UnknownTopicId } else { ErrorCode::UnknownTopicOrPartition };
        let mut response = OffsetCommitResponseTopic {
            name: if by_id { String::new() } else { topic.name.clone() },
            topic_id: if by_id { topic.topic_id } else { Uuid::ZERO },
            ..OffsetCommitResponseTopic::default()
        };
        let mut partitions = Vec::new();
        let mut places = Vec::new();
        for (place, partition) in topic.partitions.iter().enumerate() {
            let index = partition.partition_index;
            let error = match &name {
                None => unknown,
                Some(name) if known.has_partition(name, index) => {
                    partitions.push(CommitPartition {
                        index,
                        offset: partition.committed_offset,
                        leader_epoch: partition.committed_leader_epoch,
                        metadata: partition.committed_metadata.clone().unwrap_or_default(),
                    });
                    places.push(place);
                    ErrorCode::None
                }
                Some(_) => ErrorCode::UnknownTopicOrPartition,
            };
            response.partitions.push(OffsetCommitResponsePartition {
                partition_index: index,
                error_code: error.code(),
                ..OffsetCommitResponsePartition::default()
            });
        }
        if let (Some(name), false) = (name, partitions.is_empty()) {
            self.topics.push(CommitTopic { name, topic_id, partitions });
            self.places.push((self.response.len(), places));
        }
        self.response.push(response);
    }

    fn settle(&mut self, result: Result<Vec<CommitResult>, ErrorCode>) {
        match result {
            Err(error) => {
                for (topic, places) in &self.places {
                    for place in places {
                        self.response[*topic].partitions[*place].error_code = error.code();
                    }
                }
            }
            // In request order, so the n-th of a topic is the n-th that was asked.
            Ok(results) => {
                let mut next = vec![0; self.places.len()];
                for result in results {
                    let (topic, places) = &self.places[result.topic];
                    let place = places[next[result.topic]];
                    next[result.topic] += 1;
                    self.response[*topic].partitions[place].error_code = result.error.code();
                }
            }
        }
    }
}
