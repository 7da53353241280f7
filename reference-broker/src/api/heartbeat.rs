//! Heartbeat (key 12), versions 0 to 4; static members say who they are from version 3.

use ottla_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::RequestContext;
use crate::coordinator::types;

pub(crate) async fn handle(
    context: &RequestContext,
    request: HeartbeatRequest,
) -> HeartbeatResponse {
    let heartbeat = types::HeartbeatRequest {
        group_id: request.group_id,
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        generation: request.generation_id,
    };
    let error = context.broker.coordinator().heartbeat(heartbeat).await;
    HeartbeatResponse { error_code: error.code(), ..HeartbeatResponse::default() }
}
