//! What holds for every request to a group's coordinator.

use super::groups::{Group, Member};
use crate::case::{Case, Profile::Groups};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use ottla_protocol::messages::ApiKey;

const INVALID_GROUP_ID: i16 = 24;

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "coordinator/empty-group-id-join",
        Groups,
        (ApiKey::JoinGroup, 0),
        join,
        &["K-COORDINATOR-004"],
    ),
    Case::each(
        "coordinator/empty-group-id-sync",
        Groups,
        (ApiKey::SyncGroup, 0),
        sync,
        &["K-COORDINATOR-004"],
    ),
    Case::each(
        "coordinator/empty-group-id-heartbeat",
        Groups,
        (ApiKey::Heartbeat, 0),
        heartbeat,
        &["K-COORDINATOR-004"],
    ),
    Case::each(
        "coordinator/empty-group-id-leave",
        Groups,
        (ApiKey::LeaveGroup, 0),
        leave,
        &["K-COORDINATOR-004"],
    ),
];

const STATEMENT: &str = "K-COORDINATOR-004";

/// Somebody who says that it is a member of the group without a name.
fn nameless(context: &mut Context<'_>, id: &str, generation: i32) -> Step<Member> {
    let mut member = Group::new(context)?.member(context)?;
    member.group.clear();
    (member.id, member.generation) = (id.to_owned(), generation);
    Ok(member)
}

fn is_refused(context: &mut Context<'_>, code: i16) -> Step {
    context.must(STATEMENT, code == INVALID_GROUP_ID, || {
        format!("an empty group id is answered with {}", error_name(code))
    })
}

fn join(context: &mut Context<'_>) -> Step {
    let code = nameless(context, "", -1)?.join_once(context, STATEMENT)?.error_code;
    is_refused(context, code)
}

fn sync(context: &mut Context<'_>) -> Step {
    let code = nameless(context, "nobody", 1)?.sync(context, STATEMENT, &[])?.error_code;
    is_refused(context, code)
}

fn heartbeat(context: &mut Context<'_>) -> Step {
    let code = nameless(context, "nobody", 1)?.heartbeat(context, STATEMENT)?;
    is_refused(context, code)
}

fn leave(context: &mut Context<'_>) -> Step {
    let mut member = nameless(context, "nobody", 1)?;
    let (code, _) = member.leave(context, STATEMENT, &[("nobody", None)])?;
    is_refused(context, code)
}
