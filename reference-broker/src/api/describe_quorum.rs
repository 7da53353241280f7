//! DescribeQuorum (key 55), versions 0 to 2. The leader of the metadata quorum knows the answer; it
//! is asked for it. The log's offsets are the indexes of its commands.

use ottla_protocol::messages::describe_quorum::{
    DescribeQuorumRequestTopicData, DescribeQuorumResponsePartitionData,
    DescribeQuorumResponseTopicData, Listener, Node, ReplicaState,
};
use ottla_protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse};
use ottla_protocol::{ErrorCode, Uuid};
use ottla_raft::Uuid128;

use super::RequestContext;
use crate::broker::Broker;
use crate::internal::{Description, QuorumAnswer, QuorumRequest, Replica};

/// The only topic that a quorum stands behind, as Kafka names it.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// From here on the answer has the voters' directories and addresses (KIP-853).
const DIRECTORIES_SINCE: i16 = 2;

pub(crate) async fn handle(
    context: &RequestContext,
    request: DescribeQuorumRequest,
) -> DescribeQuorumResponse {
    if !is_metadata(&request.topics) {
        let message = "The only partition with a quorum is 0 of __cluster_metadata.";
        return refused(ErrorCode::UnknownTopicOrPartition, message.into());
    }
    let broker = &context.broker;
    let described = match broker.quorum() {
        None => alone(broker),
        Some(quorum) => match quorum.ask_leader(&QuorumRequest::Describe).await {
            QuorumAnswer::Described(described) => described,
            QuorumAnswer::TryAgain(reason) | QuorumAnswer::Refused(_, reason) => {
                return refused(ErrorCode::NotController, reason);
            }
            QuorumAnswer::Done => unreachable!("a question is not answered with a change"),
        },
    };
    let has_directories = context.api_version >= DIRECTORIES_SINCE;
    let replicas = |all: &[Replica]| {
        let all = all.iter().map(replica);
        all.map(|mut one| {
            if !has_directories {
                one.replica_directory_id = Uuid::default();
            }
            one
        })
        .collect()
    };
    let partition = DescribeQuorumResponsePartitionData {
        partition_index: 0,
        leader_id: described.leader,
        leader_epoch: i32::try_from(described.term).unwrap_or(i32::MAX),
        high_watermark: offset(described.applied),
        current_voters: replicas(&described.voters),
        observers: replicas(&described.learners),
        ..DescribeQuorumResponsePartitionData::default()
    };
    let topic = DescribeQuorumResponseTopicData {
        topic_name: METADATA_TOPIC.to_owned(),
        partitions: vec![partition],
        ..DescribeQuorumResponseTopicData::default()
    };
    let nodes = described.voters.iter().filter(|_| has_directories);
    DescribeQuorumResponse {
        topics: vec![topic],
        nodes: nodes.map(|voter| node(broker, voter)).collect(),
        ..DescribeQuorumResponse::default()
    }
}

fn is_metadata(topics: &[DescribeQuorumRequestTopicData]) -> bool {
    match topics {
        [topic] => {
            topic.topic_name == METADATA_TOPIC
                && matches!(&topic.partitions[..], [partition] if partition.partition_index == 0)
        }
        _ => false,
    }
}

fn refused(code: ErrorCode, message: String) -> DescribeQuorumResponse {
    DescribeQuorumResponse {
        error_code: code.code(),
        error_message: Some(message),
        ..DescribeQuorumResponse::default()
    }
}

/// A cluster of one is its own quorum.
fn alone(broker: &Broker) -> Description {
    let image = broker.image();
    let (host, port) = broker.advertised();
    let directory = image.brokers.get(&broker.node_id()).map(|own| own.directory);
    let node = ottla_raft::Node {
        id: broker.node_id(),
        directory: Uuid128(directory.unwrap_or_default().0),
        host: host.to_owned(),
        port,
    };
    Description {
        leader: node.id,
        term: 1,
        applied: image.applied,
        voters: vec![Replica { node, last_index: Some(image.applied) }],
        learners: Vec::new(),
    }
}

/// The offset behind the command with this index.
fn offset(index: u64) -> i64 {
    i64::try_from(index).map_or(i64::MAX, |index| index.saturating_add(1))
}

fn replica(replica: &Replica) -> ReplicaState {
    ReplicaState {
        replica_id: replica.node.id,
        replica_directory_id: Uuid(replica.node.directory.0),
        log_end_offset: replica.last_index.map_or(-1, offset),
        ..ReplicaState::default()
    }
}

fn node(broker: &Broker, voter: &Replica) -> Node {
    let listener = Listener {
        name: broker.config().text("controller.listener.names").to_owned(),
        host: voter.node.host.clone(),
        port: voter.node.port,
        ..Listener::default()
    };
    Node { node_id: voter.node.id, listeners: vec![listener], ..Node::default() }
}
