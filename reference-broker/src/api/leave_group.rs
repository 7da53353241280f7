//! LeaveGroup (key 13), versions 0 to 5.
//!
//! One member before version 3, whose error stands at the top; from 3 several, each with its own
//! error (CG-15, KIP-345); from 5 with a reason (KIP-800).

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::leave_group::MemberResponse;
use ottla_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::RequestContext;
use crate::coordinator::types::{LeaveRequest, LeaveResult, LeavingMember};

pub(crate) async fn handle(
    context: &RequestContext,
    request: LeaveGroupRequest,
) -> LeaveGroupResponse {
    let version = context.api_version;
    let result = context.broker.coordinator().leave(leave_request(version, request)).await;
    response(version, result)
}

fn leave_request(version: i16, request: LeaveGroupRequest) -> LeaveRequest {
    let members = if version < 3 {
        vec![LeavingMember { member_id: request.member_id, instance_id: None }]
    } else {
        let members = request.members.into_iter().map(|member| LeavingMember {
            member_id: member.member_id,
            instance_id: member.group_instance_id,
        });
        members.collect()
    };
    LeaveRequest { group_id: request.group_id, members }
}

fn response(version: i16, result: Result<Vec<LeaveResult>, ErrorCode>) -> LeaveGroupResponse {
    let (error, members) = match result {
        Err(error) => (error, Vec::new()),
        Ok(members) if version < 3 => {
            let error = members.first().map_or(ErrorCode::None, |member| member.error);
            (error, Vec::new())
        }
        Ok(members) => (ErrorCode::None, members),
    };
    let member = |member: LeaveResult| MemberResponse {
        member_id: member.member_id,
        group_instance_id: member.instance_id,
        error_code: member.error.code(),
        ..MemberResponse::default()
    };
    LeaveGroupResponse {
        error_code: error.code(),
        members: members.into_iter().map(member).collect(),
        ..LeaveGroupResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown() -> Result<Vec<LeaveResult>, ErrorCode> {
        let error = ErrorCode::UnknownMemberId;
        Ok(vec![LeaveResult { member_id: "m".into(), instance_id: None, error }])
    }

    #[test]
    fn the_only_members_error_is_at_the_top_before_version_3() {
        let response = response(2, unknown());
        assert_eq!(response.error_code, 25);
        assert!(response.members.is_empty());
    }

    #[test]
    fn each_member_has_its_error_from_version_3() {
        let response = response(3, unknown());
        assert_eq!(response.error_code, 0);
        assert_eq!(response.members[0].error_code, 25);
    }

    #[test]
    fn the_only_member_is_in_the_request_itself_before_version_3() {
        let request = LeaveGroupRequest { member_id: "m".into(), ..Default::default() };
        assert_eq!(leave_request(2, request.clone()).members[0].member_id, "m");
        assert!(leave_request(3, request).members.is_empty());
    }
}
