//! ListGroups: which groups are listed, and what of them.

use super::groups::Group;
use super::offsets::{Committer, Topic, commit_is, mark};
use super::told::Told;
use crate::case::{Case, Profile::Groups};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use crate::wire::Wire;
use ottla_protocol::messages::list_groups::{ListGroupsRequest, ListedGroup};
use ottla_protocol::messages::{ApiKey, ListGroupsResponse, Request};

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "list-groups/with-and-without-members",
        Groups,
        (ApiKey::ListGroups, 0),
        all,
        &["K-LIST-GROUPS-001", "K-LIST-GROUPS-008"],
    ),
    Case::each(
        "list-groups/states",
        Groups,
        (ApiKey::ListGroups, 4),
        states,
        &["K-LIST-GROUPS-002", "K-LIST-GROUPS-003", "K-LIST-GROUPS-004", "K-LIST-GROUPS-005"],
    ),
    Case::each(
        "list-groups/types",
        Groups,
        (ApiKey::ListGroups, 5),
        types,
        &["K-LIST-GROUPS-006", "K-LIST-GROUPS-007"],
    ),
];

/// The groups that are listed under these filters.
fn list(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    states: &[&str],
    types: &[&str],
) -> Step<Vec<ListedGroup>> {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let request = Request::ListGroups(Box::new(ListGroupsRequest {
        states_filter: owned(states),
        types_filter: owned(types),
        ..Default::default()
    }));
    let answer: ListGroupsResponse = context.call(statement, wire, &request)?;
    let code = answer.error_code;
    context.must(statement, code == 0, || format!("ListGroups: {}", error_name(code)))?;
    Ok(answer.groups)
}

fn entry<'a>(groups: &'a [ListedGroup], id: &str) -> Option<&'a ListedGroup> {
    groups.iter().find(|group| group.group_id == id)
}

fn all(context: &mut Context<'_>) -> Step {
    let (one, eight) = ("K-LIST-GROUPS-001", "K-LIST-GROUPS-008");
    let (group, mut member) = Group::of_one(context)?;
    let groups = list(context, &mut member.wire, one, &[], &[])?;
    let found = entry(&groups, &group.id);
    let kind = found.map(|group| &group.protocol_type[..]);
    context.must(one, kind == Some("conformance"), || {
        format!("a group with a member is listed as {}", found.told())
    })?;
    let own = member.id.clone();
    member.leave(context, one, &[(&own, None)])?;
    let groups = list(context, &mut member.wire, one, &[], &[])?;
    context.must(one, entry(&groups, &group.id).is_some(), || {
        "a group that all members left is not listed".to_owned()
    })?;
    let topic = Topic::new(context, 1)?;
    let offsets = Group::new(context)?;
    let mut wire = offsets.connect(context)?;
    let who = Committer::alone(&offsets.id);
    let it = (&topic, mark(0, 5), 0);
    commit_is(context, &mut wire, eight, &who, it, "without members")?;
    let groups = list(context, &mut wire, eight, &[], &[])?;
    let found = entry(&groups, &offsets.id);
    let kind = found.map(|group| &group.protocol_type[..]);
    context.must(eight, kind == Some(""), || {
        format!("a group of nothing but offsets is listed as {}", found.told())
    })
}

fn states(context: &mut Context<'_>) -> Step {
    let (two, three) = ("K-LIST-GROUPS-002", "K-LIST-GROUPS-003");
    let (four, five) = ("K-LIST-GROUPS-004", "K-LIST-GROUPS-005");
    let (group, mut member) = Group::of_one(context)?;
    let wire = &mut member.wire;
    let groups = list(context, wire, three, &[], &[])?;
    context.must(three, entry(&groups, &group.id).is_some(), || {
        "without filter, a stable group is not listed".to_owned()
    })?;
    let bare = groups.iter().find(|group| group.group_state.is_empty());
    context.must(four, bare.is_none(), || format!("listed without a state: {}", bare.told()))?;
    let state = entry(&groups, &group.id).map(|group| &group.group_state[..]);
    context.must(four, state == Some("Stable"), || {
        format!("a stable group is listed in state {}", state.told())
    })?;
    let groups = list(context, wire, two, &["Stable"], &[])?;
    let other = groups.iter().find(|group| group.group_state != "Stable");
    let is_there = entry(&groups, &group.id).is_some();
    context.must(two, is_there && other.is_none(), || {
        format!("under Stable, is the stable group there: {is_there}; others: {}", other.told())
    })?;
    let groups = list(context, wire, two, &["Empty", "PreparingRebalance"], &[])?;
    context.must(two, entry(&groups, &group.id).is_none(), || {
        "under Empty and PreparingRebalance, a stable group is listed".to_owned()
    })?;
    for state in ["stable", "STABLE"] {
        let groups = list(context, wire, five, &[state], &[])?;
        context.must(five, entry(&groups, &group.id).is_some(), || {
            format!("under {state}, a stable group is not listed")
        })?;
    }
    Ok(())
}

fn types(context: &mut Context<'_>) -> Step {
    let (six, seven) = ("K-LIST-GROUPS-006", "K-LIST-GROUPS-007");
    let (group, mut member) = Group::of_one(context)?;
    let wire = &mut member.wire;
    let groups = list(context, wire, six, &[], &["classic"])?;
    let kind = entry(&groups, &group.id).map(|group| &group.group_type[..]);
    context
        .must(six, kind.is_some(), || "under classic, a classic group is not listed".to_owned())?;
    let is_classic = |kind: &str| kind.eq_ignore_ascii_case("classic");
    context.must(seven, kind.is_some_and(is_classic), || {
        format!("a classic group is listed with type {}", kind.told())
    })?;
    let other = groups.iter().find(|group| !is_classic(&group.group_type));
    context.must(six, other.is_none(), || format!("under classic, there is {}", other.told()))?;
    let groups = list(context, wire, six, &[], &["consumer"])?;
    context.must(six, entry(&groups, &group.id).is_none(), || {
        "under consumer, a classic group is listed".to_owned()
    })
}
