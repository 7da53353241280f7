//! RemoveRaftVoter (key 81), version 0: a node loses its vote and goes on as an observer. A leader
//! that is removed hands over first.

use ottla_protocol::messages::{RemoveRaftVoterRequest, RemoveRaftVoterResponse};

use super::add_raft_voter::{change, check};
use super::{ApiError, RequestContext, code_and_message};
use crate::broker::Broker;
use crate::internal::QuorumRequest;

pub(crate) async fn handle(
    context: &RequestContext,
    request: RemoveRaftVoterRequest,
) -> RemoveRaftVoterResponse {
    let (error_code, error_message) = code_and_message(remove(&context.broker, &request).await);
    RemoveRaftVoterResponse { error_code, error_message, ..RemoveRaftVoterResponse::default() }
}

async fn remove(broker: &Broker, request: &RemoveRaftVoterRequest) -> Result<(), ApiError> {
    let (id, directory) = (request.voter_id, request.voter_directory_id);
    check(broker, request.cluster_id.as_deref(), id, directory)?;
    // Only id and directory make a voter's identity (M15).
    let directory = ottla_raft::Uuid128(directory.0);
    let node = ottla_raft::Node { id, directory, host: String::new(), port: 0 };
    change(broker, QuorumRequest::RemoveVoter { node }).await
}
