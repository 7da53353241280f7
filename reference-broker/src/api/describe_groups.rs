//! DescribeGroups (key 15), versions 0 to 6.
//!
//! A group that does not exist is "Dead": with error 0 up to version 5, with 69 and a text from
//! version 6 (CG-20, KIP-1043). Metadata is shown of stable groups only.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_groups::{DescribedGroup, DescribedGroupMember};
use ottla_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse};

use super::RequestContext;
use crate::coordinator::types::{DescribedMember, Description};

/// What everybody may do with a group, as there is no authoriser: read, delete, describe, describe
/// and alter configs; the bits are Kafka's `AclOperation` codes.
const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;
/// "Not asked for."
const OPERATIONS_OMITTED: i32 = i32::MIN;

pub(crate) async fn handle(
    context: &RequestContext,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let coordinator = context.broker.coordinator();
    let operations = request.include_authorized_operations;
    let describe = |group_id: String| {
        let result = coordinator.describe(&group_id);
        described(context.api_version, operations, group_id, result)
    };
    DescribeGroupsResponse {
        groups: request.groups.into_iter().map(describe).collect(),
        ..DescribeGroupsResponse::default()
    }
}

fn described(
    version: i16,
    include_operations: bool,
    group_id: String,
    result: Result<Description, ErrorCode>,
) -> DescribedGroup {
    let mut group = DescribedGroup {
        group_id,
        authorized_operations: OPERATIONS_OMITTED,
        ..DescribedGroup::default()
    };
    match result {
        Ok(description) => {
            group.group_state = description.state.to_owned();
            group.protocol_type = description.protocol_type;
            group.protocol_data = description.protocol_name;
            group.members = description.members.into_iter().map(member).collect();
        }
        Err(ErrorCode::GroupIdNotFound) => {
            group.group_state = "Dead".to_owned();
            if version >= 6 {
                group.error_code = ErrorCode::GroupIdNotFound.code();
                group.error_message = Some(format!("Group {} not found.", group.group_id));
            }
        }
        Err(error) => group.error_code = error.code(),
    }
    if include_operations && group.error_code == 0 {
        group.authorized_operations = GROUP_OPERATIONS;
    }
    group
}

fn member(member: DescribedMember) -> DescribedGroupMember {
    DescribedGroupMember {
        member_id: member.member_id,
        group_instance_id: member.instance_id,
        client_id: member.client_id,
        client_host: member.client_host,
        member_metadata: member.metadata,
        member_assignment: member.assignment,
        ..DescribedGroupMember::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_group_is_dead_and_an_error_only_from_version_6() {
        let missing = Err(ErrorCode::GroupIdNotFound);
        let old = described(5, true, "g".into(), missing.clone());
        assert_eq!((old.error_code, old.group_state.as_str()), (0, "Dead"));
        assert_eq!(old.authorized_operations, GROUP_OPERATIONS);
        let new = described(6, true, "g".into(), missing);
        assert_eq!((new.error_code, new.group_state.as_str()), (69, "Dead"));
        assert_eq!(new.error_message.as_deref(), Some("Group g not found."));
        assert_eq!(new.authorized_operations, OPERATIONS_OMITTED);
    }
}
