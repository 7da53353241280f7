//! ElectLeaders (key 43), versions 0 to 2: the preferred replicas, or any live ones where none is
//! in sync. 84 where nothing is to be done, or left out where all partitions are asked for (AD-14).

use std::collections::BTreeSet;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::elect_leaders::{PartitionResult, ReplicaElectionResult};
use ottla_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};

use super::RequestContext;
use crate::quorum::{Command, Election, Outcome, PartitionId, Rejection};

pub(crate) async fn handle(
    context: &RequestContext,
    request: ElectLeadersRequest,
) -> ElectLeadersResponse {
    let election = match request.election_type {
        0 => Election::Preferred,
        1 => Election::Unclean,
        _ => return failed(ErrorCode::InvalidRequest),
    };
    let broker = &context.broker;
    let image = broker.image();
    let all = request.topic_partitions.is_none();
    let wanted: Vec<(String, BTreeSet<i32>)> = match request.topic_partitions {
        Some(topics) => topics
            .into_iter()
            .map(|topic| (topic.topic, topic.partitions.into_iter().collect()))
            .collect(),
        None => image
            .topics
            .values()
            .map(|topic| {
                (topic.name.clone(), (0..).zip(&topic.partitions).map(|(i, _)| i).collect())
            })
            .collect(),
    };
    let id = |topic: &str, index: i32| {
        let of = PartitionId { topic_id: image.topics.get(topic)?.id, index };
        image.partition(of).map(|_| of)
    };
    let known = wanted.iter().flat_map(|(topic, indexes)| indexes.iter().map(|i| id(topic, *i)));
    let partitions: Vec<PartitionId> = known.flatten().collect();
    let results = match partitions.is_empty() {
        true => Vec::new(),
        false => match broker.propose(Command::ElectLeaders { election, partitions }).await {
            Ok(Outcome::Partitions(results)) => results,
            Ok(other) => unreachable!("elections are answered with {other:?}"),
            Err(rejection) => return failed(rejection.code),
        },
    };
    let mut results = results.into_iter();
    let mut elect = |topic: &str, index: i32| match id(topic, index) {
        Some(_) => results.next().flatten(),
        None => Some(Rejection {
            code: ErrorCode::UnknownTopicOrPartition,
            message: "no such topic or partition".to_owned(),
        }),
    };
    let mut answer = Vec::new();
    for (topic, indexes) in wanted {
        let mut partition_result = Vec::new();
        for index in indexes {
            let rejection = elect(&topic, index);
            let code = rejection.as_ref().map_or(ErrorCode::None, |rejection| rejection.code);
            if all && code == ErrorCode::ElectionNotNeeded {
                continue;
            }
            partition_result.push(PartitionResult {
                partition_id: index,
                error_code: code.code(),
                error_message: rejection.map(|rejection| rejection.message),
                ..Default::default()
            });
        }
        if !all || !partition_result.is_empty() {
            answer.push(ReplicaElectionResult { topic, partition_result, ..Default::default() });
        }
    }
    ElectLeadersResponse { replica_election_results: answer, ..Default::default() }
}

fn failed(code: ErrorCode) -> ElectLeadersResponse {
    ElectLeadersResponse { error_code: code.code(), ..Default::default() }
}
