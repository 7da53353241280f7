//! DeleteGroups: which groups go, and with what.

use super::groups::Group;
use super::offsets::{Committer, Topic, commit_is, fetch_one, mark};
use super::told::Told;
use crate::case::{Case, Profile::Groups};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use ottla_protocol::messages::delete_groups::DeleteGroupsRequest;
use ottla_protocol::messages::{ApiKey, DeleteGroupsResponse, Request};

const NON_EMPTY_GROUP: i16 = 68;
const GROUP_ID_NOT_FOUND: i16 = 69;

pub(crate) const CASES: &[Case] = &[Case {
    name: "delete-groups/three-at-once",
    profile: Groups,
    statements: &[
        "K-DELETE-GROUPS-001",
        "K-DELETE-GROUPS-002",
        "K-DELETE-GROUPS-003",
        "K-DELETE-GROUPS-004",
        "K-DELETE-GROUPS-005",
    ],
    axis: Some((ApiKey::DeleteGroups, 0)),
    run: three_at_once,
}];

/// With members, unknown, and with nothing but offsets.
fn three_at_once(context: &mut Context<'_>) -> Step {
    let (three, four) = ("K-DELETE-GROUPS-003", "K-DELETE-GROUPS-004");
    let topic = Topic::new(context, 1)?;
    let (full, mut member) = Group::of_one(context)?;
    let (unknown, empty) = (full.beside(context)?, full.beside(context)?);
    let mut wire = empty.connect(context)?;
    let who = Committer::alone(&empty.id);
    commit_is(context, &mut wire, three, &who, (&topic, mark(0, 5), 0), "before it is deleted")?;
    let names = [full.id.clone(), unknown.id.clone(), empty.id.clone()];
    let request = Request::DeleteGroups(Box::new(DeleteGroupsRequest {
        groups_names: names.to_vec(),
        ..Default::default()
    }));
    let answer: DeleteGroupsResponse = context.call(four, &mut wire, &request)?;
    let mut codes = Vec::new();
    for name in &names {
        let of_it = answer.results.iter().filter(|entry| entry.group_id == *name);
        codes.push(of_it.map(|entry| entry.error_code).collect::<Vec<_>>());
    }
    let is_whole = answer.results.len() == 3 && codes.iter().all(|codes| codes.len() == 1);
    context.must(four, is_whole, || format!("three groups: {}", answer.results.told()))?;
    let code = codes[0][0];
    context.must("K-DELETE-GROUPS-001", code == NON_EMPTY_GROUP, || {
        format!("a group with a member: {}", error_name(code))
    })?;
    let code = codes[1][0];
    context.must("K-DELETE-GROUPS-002", code == GROUP_ID_NOT_FOUND, || {
        format!("a group that does not exist: {}", error_name(code))
    })?;
    let code = codes[2][0];
    context.must("K-DELETE-GROUPS-005", code == 0, || {
        format!("a group without members: {}", error_name(code))
    })?;
    let got = fetch_one(context, &mut wire, three, &empty.id, (&topic, 0))?;
    context.must(three, got.offset == -1, || format!("after its group, {} is read", got.told()))?;
    let code = member.heartbeat(context, "K-DELETE-GROUPS-001")?;
    context.must("K-DELETE-GROUPS-001", code == 0, || {
        format!("the member of the group that was kept is told {}", error_name(code))
    })
}
