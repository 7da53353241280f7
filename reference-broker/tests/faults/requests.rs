//! A request of every API and version with one entry.

use ottla_protocol::Uuid;
use ottla_protocol::messages::alter_partition_reassignments::{
    ReassignablePartition, ReassignableTopic,
};
use ottla_protocol::messages::create_partitions::CreatePartitionsTopic;
use ottla_protocol::messages::create_topics::CreatableTopic;
use ottla_protocol::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use ottla_protocol::messages::delete_topics::DeleteTopicState;
use ottla_protocol::messages::describe_configs::DescribeConfigsResource;
use ottla_protocol::messages::describe_topic_partitions::TopicRequest;
use ottla_protocol::messages::elect_leaders::TopicPartitions;
use ottla_protocol::messages::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use ottla_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::metadata::MetadataRequestTopic;
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_delete as delete;
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use ottla_protocol::messages::offset_for_leader_epoch::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use ottla_protocol::messages::*;

use crate::support::{batch, fetch_request, produce_request};

/// A request of this version with one entry, about topic `t` or group `g`.
pub(crate) fn request(api: ApiKey, version: i16, id: Uuid) -> Request {
    let t = || "t".to_owned();
    let name_or_id = |since| if version >= since { (String::new(), id) } else { (t(), Uuid::ZERO) };
    match api {
        ApiKey::Produce => {
            let mut request = produce_request("t", 0, -1, batch(&[b"x"]));
            (request.topic_data[0].name, request.topic_data[0].topic_id) = name_or_id(13);
            request.into()
        }
        ApiKey::Fetch => {
            // Longer than any test waits: an error is answered at once.
            let mut request = fetch_request("t", 0, 0, 600_000, 1 << 20);
            (request.topics[0].topic, request.topics[0].topic_id) = name_or_id(13);
            if version < 12 {
                request.topics[0].partitions[0].last_fetched_epoch = -1;
            }
            request.into()
        }
        ApiKey::ListOffsets => ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: t(),
                partitions: vec![ListOffsetsPartition { timestamp: -1, ..Default::default() }],
                ..Default::default()
            }],
            ..Default::default()
        }
        .into(),
        ApiKey::Metadata => {
            let topics = vec![MetadataRequestTopic { name: Some(t()), ..Default::default() }];
            let allow_auto_topic_creation = version < 4;
            MetadataRequest {
                topics: Some(topics),
                allow_auto_topic_creation,
                ..Default::default()
            }
            .into()
        }
        ApiKey::SaslHandshake => SaslHandshakeRequest::default().into(),
        ApiKey::SaslAuthenticate => SaslAuthenticateRequest::default().into(),
        ApiKey::ApiVersions => ApiVersionsRequest {
            client_software_name: "test".into(),
            client_software_version: "1".into(),
            ..Default::default()
        }
        .into(),
        ApiKey::InitProducerId => {
            let transactional_id = None;
            InitProducerIdRequest { transactional_id, ..Default::default() }.into()
        }
        ApiKey::DescribeCluster => DescribeClusterRequest::default().into(),
        _ => group_request(api, version, id),
    }
}

fn group_request(api: ApiKey, version: i16, id: Uuid) -> Request {
    let g = || "g".to_owned();
    let (name, topic_id) =
        if version >= 10 { (String::new(), id) } else { ("t".to_owned(), Uuid::ZERO) };
    match api {
        ApiKey::OffsetCommit => {
            let partitions = vec![OffsetCommitRequestPartition {
                committed_offset: 7,
                committed_metadata: Some(String::new()),
                ..Default::default()
            }];
            let topic =
                OffsetCommitRequestTopic { name, topic_id, partitions, ..Default::default() };
            OffsetCommitRequest {
                group_id: g(),
                generation_id_or_member_epoch: -1,
                topics: vec![topic],
                ..Default::default()
            }
            .into()
        }
        ApiKey::OffsetFetch => offset_fetch(version, (name, topic_id)).into(),
        ApiKey::FindCoordinator if version >= 4 => {
            FindCoordinatorRequest { coordinator_keys: vec![g()], ..Default::default() }.into()
        }
        ApiKey::FindCoordinator => FindCoordinatorRequest { key: g(), ..Default::default() }.into(),
        ApiKey::JoinGroup => JoinGroupRequest { group_id: g(), ..Default::default() }.into(),
        ApiKey::Heartbeat => HeartbeatRequest { group_id: g(), ..Default::default() }.into(),
        ApiKey::LeaveGroup => LeaveGroupRequest { group_id: g(), ..Default::default() }.into(),
        ApiKey::SyncGroup => SyncGroupRequest { group_id: g(), ..Default::default() }.into(),
        ApiKey::DescribeGroups => {
            DescribeGroupsRequest { groups: vec![g()], ..Default::default() }.into()
        }
        ApiKey::ListGroups => ListGroupsRequest::default().into(),
        _ => admin_request(api, version, id),
    }
}

pub(crate) fn offset_fetch(version: i16, (name, topic_id): (String, Uuid)) -> OffsetFetchRequest {
    let partition_indexes = vec![0];
    if version >= 8 {
        let topics = Some(vec![OffsetFetchRequestTopics {
            name,
            topic_id,
            partition_indexes,
            ..Default::default()
        }]);
        let group = OffsetFetchRequestGroup { group_id: "g".into(), topics, ..Default::default() };
        return OffsetFetchRequest { groups: vec![group], ..Default::default() };
    }
    let topics =
        Some(vec![OffsetFetchRequestTopic { name, partition_indexes, ..Default::default() }]);
    OffsetFetchRequest { group_id: "g".into(), topics, ..Default::default() }
}

fn admin_request(api: ApiKey, version: i16, id: Uuid) -> Request {
    let name = "t".to_owned();
    match api {
        ApiKey::CreateTopics => create_topics(&["new"]).into(),
        ApiKey::DeleteTopics if version >= 6 => DeleteTopicsRequest {
            topics: vec![DeleteTopicState { topic_id: id, ..Default::default() }],
            ..Default::default()
        }
        .into(),
        ApiKey::DeleteTopics => {
            DeleteTopicsRequest { topic_names: vec![name], ..Default::default() }.into()
        }
        ApiKey::DeleteRecords => delete_records("t", &[0]).into(),
        ApiKey::OffsetForLeaderEpoch => OffsetForLeaderEpochRequest {
            replica_id: -1,
            topics: vec![OffsetForLeaderTopic {
                topic: name,
                partitions: vec![OffsetForLeaderPartition::default()],
                ..Default::default()
            }],
            ..Default::default()
        }
        .into(),
        ApiKey::DescribeConfigs => DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: 2,
                resource_name: name,
                ..Default::default()
            }],
            ..Default::default()
        }
        .into(),
        ApiKey::CreatePartitions => CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name,
                count: 9,
                assignments: None,
                ..Default::default()
            }],
            ..Default::default()
        }
        .into(),
        ApiKey::DeleteGroups => {
            DeleteGroupsRequest { groups_names: vec!["g".into()], ..Default::default() }.into()
        }
        ApiKey::IncrementalAlterConfigs => IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: 2,
                resource_name: name,
                configs: vec![AlterableConfig {
                    name: "retention.ms".into(),
                    value: Some("77".into()),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }
        .into(),
        _ => later_admin_request(api),
    }
}

fn later_admin_request(api: ApiKey) -> Request {
    let name = "t".into();
    match api {
        ApiKey::AlterConfigs => {
            let mut resource = alter_configs::AlterConfigsResource::default();
            (resource.resource_type, resource.resource_name) = (2, name);
            AlterConfigsRequest { resources: vec![resource], ..Default::default() }.into()
        }
        ApiKey::ElectLeaders => {
            let topic = TopicPartitions { topic: name, partitions: vec![0], ..Default::default() };
            ElectLeadersRequest { topic_partitions: Some(vec![topic]), ..Default::default() }.into()
        }
        ApiKey::OffsetDelete => {
            let partitions = vec![delete::OffsetDeleteRequestPartition { partition_index: 0 }];
            let topics = vec![delete::OffsetDeleteRequestTopic { name, partitions }];
            OffsetDeleteRequest { group_id: "g".into(), topics }.into()
        }
        ApiKey::DescribeTopicPartitions => {
            let topics = vec![TopicRequest { name, ..Default::default() }];
            DescribeTopicPartitionsRequest { topics, ..Default::default() }.into()
        }
        _ => cluster_request(api),
    }
}

/// About nodes that the cluster does not have, so that doing it would be told by another code.
fn cluster_request(api: ApiKey) -> Request {
    match api {
        ApiKey::AlterPartitionReassignments => {
            let partition =
                ReassignablePartition { replicas: Some(vec![77]), ..Default::default() };
            let name = "t".into();
            let topic =
                ReassignableTopic { name, partitions: vec![partition], ..Default::default() };
            AlterPartitionReassignmentsRequest { topics: vec![topic], ..Default::default() }.into()
        }
        ApiKey::ListPartitionReassignments => ListPartitionReassignmentsRequest::default().into(),
        ApiKey::DescribeLogDirs => DescribeLogDirsRequest::default().into(),
        ApiKey::DescribeQuorum => DescribeQuorumRequest::default().into(),
        ApiKey::UpdateFeatures => UpdateFeaturesRequest::default().into(),
        ApiKey::UnregisterBroker => {
            UnregisterBrokerRequest { broker_id: 77, ..Default::default() }.into()
        }
        ApiKey::AddRaftVoter => AddRaftVoterRequest { voter_id: 77, ..Default::default() }.into(),
        ApiKey::RemoveRaftVoter => {
            RemoveRaftVoterRequest { voter_id: 77, ..Default::default() }.into()
        }
        other => panic!("{} has no request here", other.name()),
    }
}

pub(crate) fn create_topics(names: &[&str]) -> CreateTopicsRequest {
    let topic = |name: &&str| CreatableTopic {
        name: (*name).to_owned(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    };
    CreateTopicsRequest { topics: names.iter().map(topic).collect(), ..Default::default() }
}

pub(crate) fn delete_records(topic: &str, partitions: &[i32]) -> DeleteRecordsRequest {
    let partition = |index: &i32| DeleteRecordsPartition {
        partition_index: *index,
        offset: -1,
        ..Default::default()
    };
    let partitions = partitions.iter().map(partition).collect();
    let topic = DeleteRecordsTopic { name: topic.into(), partitions, ..Default::default() };
    DeleteRecordsRequest { topics: vec![topic], ..Default::default() }
}
