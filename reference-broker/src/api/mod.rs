//! A handler per API; the file's name is the schema's.
//!
//! Every handler has the same shape: `pub(crate) async fn handle(context: &RequestContext, request:
//! XRequest) -> XResponse`. Only Produce can also end in silence or in the end of the connection
//! (PR-01, PR-02).

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{ApiKey, Request, Response};

use crate::broker::Broker;

pub mod add_raft_voter;
pub mod alter_configs;
pub mod alter_partition_reassignments;
pub mod api_versions;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_quorum;
pub mod describe_topic_partitions;
pub mod elect_leaders;
pub mod fetch;
pub mod find_coordinator;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_groups;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod remove_raft_voter;
pub mod sasl_authenticate;
pub mod sasl_handshake;
pub mod sync_group;
pub mod unregister_broker;
pub mod update_features;

/// What a handler knows of the request beside its body.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// The broker that serves the request.
    pub broker: Arc<Broker>,
    /// The version that the request was written in; its answer has the same.
    pub api_version: i16,
    /// The client's own name for itself; null is allowed (FRM-06).
    pub client_id: Option<String>,
    /// Where the request came from.
    pub client_address: SocketAddr,
    /// Whether it came over the listener between nodes: only there a replica id is believed (M7).
    pub internal: bool,
}

/// What a request leads to.
#[derive(Debug)]
pub(crate) enum Answer {
    /// An answer to write.
    Response(Response),
    /// No answer (`acks=0`).
    Silence,
    /// The connection is closed; the text is for the log.
    Close(String),
}

/// Every API that is served, in the order of their keys.
pub(crate) const APIS: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::SyncGroup,
    ApiKey::DescribeGroups,
    ApiKey::ListGroups,
    ApiKey::SaslHandshake,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DeleteRecords,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::DescribeLogDirs,
    ApiKey::SaslAuthenticate,
    ApiKey::CreatePartitions,
    ApiKey::DeleteGroups,
    ApiKey::ElectLeaders,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::AlterPartitionReassignments,
    ApiKey::ListPartitionReassignments,
    ApiKey::OffsetDelete,
    ApiKey::DescribeQuorum,
    ApiKey::UpdateFeatures,
    ApiKey::DescribeCluster,
    ApiKey::UnregisterBroker,
    ApiKey::DescribeTopicPartitions,
    ApiKey::AddRaftVoter,
    ApiKey::RemoveRaftVoter,
];

/// The versions of an API that are served; a version that Apache Kafka calls unstable is not.
pub(crate) fn served_versions(api: ApiKey) -> RangeInclusive<i16> {
    api.stable_versions()
}

/// Whether this version of the API is served.
pub(crate) fn is_served(api: ApiKey, version: i16) -> bool {
    APIS.contains(&api) && served_versions(api).contains(&version)
}

/// Hands a request to its handler.
pub(crate) async fn dispatch(context: &RequestContext, request: Request) -> Answer {
    let response: Response = match request {
        Request::Produce(request) => return produce::handle(context, *request).await,
        Request::Fetch(request) => fetch::handle(context, *request).await.into(),
        Request::ListOffsets(request) => list_offsets::handle(context, *request).await.into(),
        Request::Metadata(request) => metadata::handle(context, *request).await.into(),
        Request::OffsetCommit(request) => offset_commit::handle(context, *request).await.into(),
        Request::OffsetFetch(request) => offset_fetch::handle(context, *request).await.into(),
        Request::FindCoordinator(request) => {
            find_coordinator::handle(context, *request).await.into()
        }
        Request::JoinGroup(request) => join_group::handle(context, *request).await.into(),
        Request::Heartbeat(request) => heartbeat::handle(context, *request).await.into(),
        Request::LeaveGroup(request) => leave_group::handle(context, *request).await.into(),
        Request::SyncGroup(request) => sync_group::handle(context, *request).await.into(),
        Request::DescribeGroups(request) => describe_groups::handle(context, *request).await.into(),
        Request::ListGroups(request) => list_groups::handle(context, *request).await.into(),
        Request::SaslHandshake(request) => sasl_handshake::handle(context, *request).await.into(),
        Request::ApiVersions(request) => api_versions::handle(context, *request).await.into(),
        Request::CreateTopics(request) => create_topics::handle(context, *request).await.into(),
        Request::DeleteTopics(request) => delete_topics::handle(context, *request).await.into(),
        Request::DeleteRecords(request) => delete_records::handle(context, *request).await.into(),
        Request::InitProducerId(request) => {
            init_producer_id::handle(context, *request).await.into()
        }
        Request::OffsetForLeaderEpoch(request) => {
            offset_for_leader_epoch::handle(context, *request).await.into()
        }
        Request::DescribeConfigs(request) => {
            describe_configs::handle(context, *request).await.into()
        }
        Request::SaslAuthenticate(request) => {
            sasl_authenticate::handle(context, *request).await.into()
        }
        Request::CreatePartitions(request) => {
            create_partitions::handle(context, *request).await.into()
        }
        Request::DeleteGroups(request) => delete_groups::handle(context, *request).await.into(),
        Request::IncrementalAlterConfigs(request) => {
            incremental_alter_configs::handle(context, *request).await.into()
        }
        Request::AlterConfigs(request) => alter_configs::handle(context, *request).await.into(),
        Request::OffsetDelete(request) => offset_delete::handle(context, *request).await.into(),
        Request::DescribeTopicPartitions(request) => {
            describe_topic_partitions::handle(context, *request).await.into()
        }
        other => return dispatch_cluster(context, other).await,
    };
    Answer::Response(response)
}

/// The APIs about the cluster and its nodes.
async fn dispatch_cluster(context: &RequestContext, request: Request) -> Answer {
    let response: Response = match request {
        Request::DescribeLogDirs(request) => {
            describe_log_dirs::handle(context, *request).await.into()
        }
        Request::ElectLeaders(request) => elect_leaders::handle(context, *request).await.into(),
        Request::AlterPartitionReassignments(request) => {
            alter_partition_reassignments::handle(context, *request).await.into()
        }
        Request::ListPartitionReassignments(request) => {
            list_partition_reassignments::handle(context, *request).await.into()
        }
        Request::DescribeQuorum(request) => describe_quorum::handle(context, *request).await.into(),
        Request::UpdateFeatures(request) => update_features::handle(context, *request).await.into(),
        Request::DescribeCluster(request) => {
            describe_cluster::handle(context, *request).await.into()
        }
        Request::UnregisterBroker(request) => {
            unregister_broker::handle(context, *request).await.into()
        }
        Request::AddRaftVoter(request) => add_raft_voter::handle(context, *request).await.into(),
        Request::RemoveRaftVoter(request) => {
            remove_raft_voter::handle(context, *request).await.into()
        }
        // `is_served` is asked before.
        other => return Answer::Close(format!("{} is not served", other.api_key().name())),
    };
    Answer::Response(response)
}

/// An error with the text that goes beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// An outcome as answers have it.
pub(crate) fn code_and_message(outcome: Result<(), ApiError>) -> (i16, Option<String>) {
    match outcome {
        Ok(()) => (ErrorCode::None.code(), None),
        Err(error) => (error.code.code(), Some(error.message)),
    }
}
