//! ListPartitionReassignments (key 46), version 0: the partitions that are being moved, of those
//! that are named or of all. One that does not exist is not moved, and is left out.

use ottla_protocol::messages::list_partition_reassignments::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use ottla_protocol::messages::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

use super::RequestContext;

pub(crate) async fn handle(
    context: &RequestContext,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let image = context.broker.image();
    let is_asked = |topic: &str, index: i32| match &request.topics {
        None => true,
        Some(topics) => {
            topics.iter().any(|t| t.name == topic && t.partition_indexes.contains(&index))
        }
    };
    let mut answer = ListPartitionReassignmentsResponse::default();
    for topic in image.topics.values() {
        let mut partitions = Vec::new();
        for (partition_index, partition) in (0..).zip(&topic.partitions) {
            let is_moved = !partition.adding.is_empty() || !partition.removing.is_empty();
            if is_moved && is_asked(&topic.name, partition_index) {
                partitions.push(OngoingPartitionReassignment {
                    partition_index,
                    replicas: partition.replicas.clone(),
                    adding_replicas: partition.adding.clone(),
                    removing_replicas: partition.removing.clone(),
                    ..Default::default()
                });
            }
        }
        if !partitions.is_empty() {
            let name = topic.name.clone();
            answer.topics.push(OngoingTopicReassignment { name, partitions, ..Default::default() });
        }
    }
    answer
}
