//! ListGroups (key 16), versions 0 to 5; filters by state from version 4 (CG-21), by type from 5.
//! Filters ignore case, and an empty one lets everything pass.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::list_groups::ListedGroup;
use ottla_protocol::messages::{ListGroupsRequest, ListGroupsResponse};

use super::RequestContext;
use crate::coordinator::types::Listed;

/// The only type of group here.
const GROUP_TYPE: &str = "classic";

pub(crate) async fn handle(
    context: &RequestContext,
    request: ListGroupsRequest,
) -> ListGroupsResponse {
    response(&request, context.broker.coordinator().list())
}

fn response(
    request: &ListGroupsRequest,
    groups: Result<Vec<Listed>, ErrorCode>,
) -> ListGroupsResponse {
    let groups = match groups {
        Ok(groups) => groups,
        Err(error) => {
            return ListGroupsResponse { error_code: error.code(), ..Default::default() };
        }
    };
    let passes = |filter: &[String], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let wanted = |group: &Listed| {
        passes(&request.states_filter, group.state) && passes(&request.types_filter, GROUP_TYPE)
    };
    let listed = |group: Listed| ListedGroup {
        group_id: group.group_id,
        protocol_type: group.protocol_type,
        group_state: group.state.to_owned(),
        group_type: GROUP_TYPE.to_owned(),
        ..ListedGroup::default()
    };
    ListGroupsResponse {
        groups: groups.into_iter().filter(wanted).map(listed).collect(),
        ..ListGroupsResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_ignore_case_and_empty_ones_pass_all() {
        let group = |id: &str, state| Listed {
            group_id: id.into(),
            protocol_type: "consumer".into(),
            state,
        };
        let names = |request: &ListGroupsRequest| {
            let groups = vec![group("a", "Stable"), group("b", "Empty")];
            let response = response(request, Ok(groups));
            response.groups.into_iter().map(|group| group.group_id).collect::<Vec<_>>()
        };
        let mut request = ListGroupsRequest::default();
        assert_eq!(names(&request), ["a", "b"]);
        request.states_filter = vec!["STABLE".into()];
        assert_eq!(names(&request), ["a"]);
        request.types_filter = vec!["consumer".into()];
        assert!(names(&request).is_empty());
        request.types_filter = vec!["Classic".into()];
        assert_eq!(names(&request), ["a"]);
    }
}
