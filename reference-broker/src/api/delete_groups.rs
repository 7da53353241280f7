//! DeleteGroups (key 42), versions 0 to 2: 68 for a group with members, 69 for one that does not
//! exist (CG-22). A group that stands twice in the request is answered once.

use std::collections::BTreeSet;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::delete_groups::DeletableGroupResult;
use ottla_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::RequestContext;

pub(crate) async fn handle(
    context: &RequestContext,
    request: DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let mut seen = BTreeSet::new();
    let mut group_ids = request.groups_names;
    group_ids.retain(|group_id| seen.insert(group_id.clone()));
    let results = context.broker.coordinator().delete(&group_ids).await;
    let result = |(group_id, error): (String, ErrorCode)| DeletableGroupResult {
        group_id,
        error_code: error.code(),
        ..DeletableGroupResult::default()
    };
    DeleteGroupsResponse {
        results: results.into_iter().map(result).collect(),
        ..DeleteGroupsResponse::default()
    }
}
