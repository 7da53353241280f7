//! AddRaftVoter (key 80), versions 0 and 1: a node gets a vote in the metadata quorum. It has to
//! run already; it is answered when the new set of voters is committed, whatever
//! `ack_when_committed` says.

use ottla_protocol::messages::{AddRaftVoterRequest, AddRaftVoterResponse};
use ottla_protocol::{ErrorCode, Uuid};
use ottla_raft::Uuid128;

use super::{ApiError, RequestContext, code_and_message};
use crate::broker::Broker;
use crate::internal::{QuorumAnswer, QuorumRequest};

pub(crate) async fn handle(
    context: &RequestContext,
    request: AddRaftVoterRequest,
) -> AddRaftVoterResponse {
    let (error_code, error_message) = code_and_message(add(&context.broker, &request).await);
    AddRaftVoterResponse { error_code, error_message, ..AddRaftVoterResponse::default() }
}

async fn add(broker: &Broker, request: &AddRaftVoterRequest) -> Result<(), ApiError> {
    let wanted = broker.config().text("controller.listener.names");
    let listener = request.listeners.iter().find(|listener| listener.name == wanted);
    let Some(listener) = listener else {
        let message = format!("Add voter request didn't include the endpoint for {wanted}.");
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    };
    let node = ottla_raft::Node {
        id: request.voter_id,
        directory: Uuid128(request.voter_directory_id.0),
        host: listener.host.clone(),
        port: listener.port,
    };
    check(broker, request.cluster_id.as_deref(), request.voter_id, request.voter_directory_id)?;
    change(broker, QuorumRequest::AddVoter { node }).await
}

/// What both changes of the voters check.
pub(super) fn check(
    broker: &Broker,
    cluster_id: Option<&str>,
    voter_id: i32,
    directory: Uuid,
) -> Result<(), ApiError> {
    if cluster_id.is_some_and(|id| id != broker.cluster_id()) {
        let message = format!("This is cluster {}.", broker.cluster_id());
        return Err(ApiError::new(ErrorCode::InconsistentClusterId, message));
    }
    if voter_id < 0 || directory.is_zero() {
        let message = "A voter has an id that is not negative and a directory id.";
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    }
    Ok(())
}

/// Asks the quorum's leader for a change.
pub(super) async fn change(broker: &Broker, request: QuorumRequest) -> Result<(), ApiError> {
    let Some(quorum) = broker.quorum() else {
        let message = "A cluster of one has no voters to change: set controller.quorum.voters.";
        return Err(ApiError::new(ErrorCode::UnsupportedVersion, message));
    };
    match quorum.ask_leader(&request).await {
        QuorumAnswer::Done | QuorumAnswer::Described(_) => Ok(()),
        QuorumAnswer::TryAgain(reason) => Err(ApiError::new(ErrorCode::RequestTimedOut, reason)),
        QuorumAnswer::Refused(code, reason) => {
            let code = ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError);
            Err(ApiError::new(code, reason))
        }
    }
}
