//! SyncGroup (key 14), versions 0 to 5.
//!
//! A follower's answer waits until the leader's assignment is in the log (CG-08). From version 5
//! the member says which protocol it believes in, and must (KIP-559).

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::RequestContext;
use crate::coordinator::types::{SyncReply, SyncRequest};

pub(crate) async fn handle(
    context: &RequestContext,
    request: SyncGroupRequest,
) -> SyncGroupResponse {
    if lacks_protocol(context.api_version, &request) {
        return response(SyncReply::error(ErrorCode::InconsistentGroupProtocol));
    }
    let share = |own: ottla_protocol::messages::sync_group::SyncGroupRequestAssignment| {
        (own.member_id, own.assignment)
    };
    let sync = SyncRequest {
        group_id: request.group_id,
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        generation: request.generation_id,
        protocol_type: request.protocol_type,
        protocol_name: request.protocol_name,
        assignments: request.assignments.into_iter().map(share).collect(),
    };
    response(context.broker.coordinator().sync(sync).await)
}

fn lacks_protocol(version: i16, request: &SyncGroupRequest) -> bool {
    version >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none())
}

fn response(reply: SyncReply) -> SyncGroupResponse {
    SyncGroupResponse {
        error_code: reply.error.code(),
        protocol_type: reply.protocol_type,
        protocol_name: reply.protocol_name,
        assignment: reply.assignment,
        ..SyncGroupResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocol_is_mandatory_from_version_5() {
        let without = SyncGroupRequest { protocol_type: None, ..SyncGroupRequest::default() };
        assert!(!lacks_protocol(4, &without));
        assert!(lacks_protocol(5, &without));
        let request = SyncGroupRequest {
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            ..SyncGroupRequest::default()
        };
        assert!(!lacks_protocol(5, &request));
    }
}
