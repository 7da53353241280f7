//! ElectLeaders (key 43), versions 0 to 2. With one replica per partition its preferred replica
//! leads it always: 84, or left out where all partitions are asked for (AD-14).

use std::collections::BTreeSet;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::elect_leaders::{PartitionResult, ReplicaElectionResult};
use ottla_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};

use super::RequestContext;
use crate::coordinator::TopicResolver;

/// The types of elections: of the preferred replica, or of any.
const ELECTION_TYPES: std::ops::RangeInclusive<i8> = 0..=1;

pub(crate) async fn handle(
    context: &RequestContext,
    request: ElectLeadersRequest,
) -> ElectLeadersResponse {
    if !ELECTION_TYPES.contains(&request.election_type) {
        let error_code = ErrorCode::InvalidRequest.code();
        return ElectLeadersResponse { error_code, ..Default::default() };
    }
    let broker = &context.broker;
    let elect = |topic: &str, index: i32| {
        let (code, message) = match broker.has_partition(topic, index) {
            true => (ErrorCode::ElectionNotNeeded, "the preferred replica leads it already"),
            false => (ErrorCode::UnknownTopicOrPartition, "no such topic or partition"),
        };
        PartitionResult {
            partition_id: index,
            error_code: code.code(),
            error_message: Some(message.to_owned()),
            ..Default::default()
        }
    };
    let topics = request.topic_partitions.unwrap_or_default().into_iter().map(|topic| {
        let indexes: BTreeSet<i32> = topic.partitions.into_iter().collect();
        let results = indexes.into_iter().map(|index| elect(&topic.topic, index)).collect();
        ReplicaElectionResult {
            partition_result: results,
            topic: topic.topic,
            ..Default::default()
        }
    });
    ElectLeadersResponse { replica_election_results: topics.collect(), ..Default::default() }
}
