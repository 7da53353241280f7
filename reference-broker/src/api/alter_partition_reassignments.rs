//! AlterPartitionReassignments (key 45), versions 0 and 1: other replicas for partitions, or an end
//! to a move that is under way (KIP-455). Answered when the moves have begun; the controller ends
//! each when all its replicas are in sync (M21). Version 1 can insist on the number of replicas
//! (KIP-860).

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::alter_partition_reassignments::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use ottla_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
};

use super::RequestContext;
use crate::quorum::{Command, Outcome, PartitionId, Reassignment, Rejection};

pub(crate) async fn handle(
    context: &RequestContext,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let broker = &context.broker;
    let allow_replication_factor_change = request.allow_replication_factor_change;
    let mut answer = AlterPartitionReassignmentsResponse {
        allow_replication_factor_change,
        ..Default::default()
    };
    let image = broker.image();
    let id = |topic: &str, index: i32| {
        let of = PartitionId { topic_id: image.topics.get(topic)?.id, index };
        image.partition(of).map(|_| of)
    };
    let mut reassignments = Vec::new();
    for topic in &request.topics {
        for wanted in &topic.partitions {
            let of = id(&topic.name, wanted.partition_index);
            let replicas = wanted.replicas.clone();
            reassignments.extend(of.map(|partition| Reassignment { partition, replicas }));
        }
    }
    let mut results = match reassignments.is_empty() {
        true => Vec::new(),
        false => {
            let command = Command::AlterPartitionReassignments {
                allow_replication_factor_change,
                reassignments,
            };
            match broker.propose(command).await {
                Ok(Outcome::Partitions(results)) => results,
                Ok(other) => unreachable!("reassignments are answered with {other:?}"),
                Err(rejection) => {
                    answer.error_code = rejection.code.code();
                    answer.error_message = Some(rejection.message);
                    return answer;
                }
            }
        }
    }
    .into_iter();
    for topic in request.topics {
        let mut partitions = Vec::new();
        for wanted in topic.partitions {
            let rejection = match id(&topic.name, wanted.partition_index) {
                Some(_) => results.next().flatten(),
                None => Some(Rejection {
                    code: ErrorCode::UnknownTopicOrPartition,
                    message: "There is no such topic or partition.".to_owned(),
                }),
            };
            partitions.push(ReassignablePartitionResponse {
                partition_index: wanted.partition_index,
                error_code: rejection.as_ref().map_or(0, |rejection| rejection.code.code()),
                error_message: rejection.map(|rejection| rejection.message),
                ..Default::default()
            });
        }
        let name = topic.name;
        answer.responses.push(ReassignableTopicResponse { name, partitions, ..Default::default() });
    }
    answer
}
