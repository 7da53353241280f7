//! UnregisterBroker (key 64), version 0: the cluster forgets a broker that has ended for good.

use ottla_protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};

use super::{ApiError, RequestContext, code_and_message};
use crate::quorum::Command;

pub(crate) async fn handle(
    context: &RequestContext,
    request: UnregisterBrokerRequest,
) -> UnregisterBrokerResponse {
    let command = Command::UnregisterBroker { node_id: request.broker_id };
    let outcome = context.broker.propose(command).await.map(drop).map_err(ApiError::from);
    let (error_code, error_message) = code_and_message(outcome);
    UnregisterBrokerResponse { error_code, error_message, ..UnregisterBrokerResponse::default() }
}
