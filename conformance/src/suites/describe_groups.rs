//! DescribeGroups: states and members from outside.

use super::groups::Group;
use super::told::Told;
use crate::case::{Case, Profile::Groups};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use crate::wire::Wire;
use ottla_protocol::messages::describe_groups::{DescribeGroupsRequest, DescribedGroup};
use ottla_protocol::messages::{ApiKey, DescribeGroupsResponse, Request};

const STATES: [&str; 5] = ["PreparingRebalance", "CompletingRebalance", "Stable", "Empty", "Dead"];
const GROUP_ID_NOT_FOUND: i16 = 69;
/// "Not asked for", in fields of authorised operations.
const NOT_ASKED: i32 = i32::MIN;

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "describe-groups/several",
        Groups,
        (ApiKey::DescribeGroups, 0),
        several,
        &[
            "K-DESCRIBE-GROUPS-001",
            "K-DESCRIBE-GROUPS-002",
            "K-DESCRIBE-GROUPS-003",
            "K-DESCRIBE-GROUPS-007",
        ],
    ),
    Case::each(
        "describe-groups/states",
        Groups,
        (ApiKey::DescribeGroups, 0),
        states,
        &["K-DESCRIBE-GROUPS-004"],
    ),
    Case::each(
        "describe-groups/members",
        Groups,
        (ApiKey::DescribeGroups, 0),
        members,
        &["K-DESCRIBE-GROUPS-005", "K-DESCRIBE-GROUPS-006"],
    ),
];

/// What is answered for these groups.
fn describe(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    groups: &[&str],
) -> Step<Vec<DescribedGroup>> {
    let request = Request::DescribeGroups(Box::new(DescribeGroupsRequest {
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..Default::default()
    }));
    let answer: DescribeGroupsResponse = context.call(statement, wire, &request)?;
    Ok(answer.groups)
}

/// The description of one group, which must be without error.
fn one(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    group: &str,
) -> Step<DescribedGroup> {
    let answer = describe(context, wire, statement, &[group])?;
    let is_sound = answer.len() == 1 && answer[0].error_code == 0 && answer[0].group_id == group;
    context.must(statement, is_sound, || format!("one group is described as {}", answer.told()))?;
    Ok(answer.into_iter().next().expect("it was just counted"))
}

fn several(context: &mut Context<'_>) -> Step {
    let (three, seven) = ("K-DESCRIBE-GROUPS-003", "K-DESCRIBE-GROUPS-007");
    let (group, mut member) = Group::of_one(context)?;
    let nobody = Group::new(context)?;
    let mut wire = nobody.connect(context)?;
    let answer = describe(context, &mut wire, three, &[&group.id, &nobody.id])?;
    let count = |id: &str| answer.iter().filter(|entry| entry.group_id == id).count();
    let counts = (answer.len(), count(&group.id), count(&nobody.id));
    context.must(three, counts == (2, 1, 1), || format!("two groups: {}", answer.told()))?;
    let unknown = answer.iter().find(|entry| entry.group_id == nobody.id);
    let unknown = unknown.expect("it was just counted");
    let (code, state) = (unknown.error_code, &unknown.group_state);
    if context.version() < 6 {
        context.must("K-DESCRIBE-GROUPS-001", code == 0 && state == "Dead", || {
            format!("a group that does not exist: {}, state {state:?}", error_name(code))
        })?;
    } else {
        context.must("K-DESCRIBE-GROUPS-002", code == GROUP_ID_NOT_FOUND, || {
            format!("a group that does not exist: {}", error_name(code))
        })?;
    }
    if context.version() >= 3 {
        let described = one(context, &mut member.wire, seven, &group.id)?;
        let bits = described.authorized_operations;
        context.must(seven, bits == NOT_ASKED, || format!("not asked for, they are {bits}"))?;
    }
    Ok(())
}

/// Waits until a group is in a state. What members do counts once it is replicated, so that one of
/// the states before may be told for a while.
fn is_in(context: &mut Context<'_>, wire: &mut Wire, group: &str, wanted: &str) -> Step {
    let four = "K-DESCRIBE-GROUPS-004";
    let until = context.deadline();
    loop {
        let state = describe(context, wire, four, &[group])?.into_iter().next();
        let state = state.map(|group| group.group_state).unwrap_or_default();
        if state == wanted {
            context.held(four);
            return Ok(());
        }
        context.must(four, state.is_empty() || STATES.contains(&&state[..]), || {
            format!("there is no state {state:?}")
        })?;
        context.must_before(four, until, || {
            format!("the group should be {wanted}; at the deadline it is {state:?}")
        })?;
    }
}

fn states(context: &mut Context<'_>) -> Step {
    let four = "K-DESCRIBE-GROUPS-004";
    let group = Group::new(context)?;
    let mut member = group.member(context)?;
    let mut wire = group.connect(context)?;
    member.join(context, four)?;
    is_in(context, &mut wire, &group.id, "CompletingRebalance")?;
    let own = member.id.clone();
    member.sync(context, four, &[(&own, b"all")])?;
    is_in(context, &mut wire, &group.id, "Stable")?;
    let mut second = group.member(context)?;
    let version = context.best(ApiKey::JoinGroup)?;
    if version >= 4 {
        second.id = second.join_once(context, four)?.member_id;
    }
    second.send(version, &second.join_request(version))?;
    is_in(context, &mut wire, &group.id, "PreparingRebalance")?;
    let (empty, mut member) = Group::of_one(context)?;
    let own = member.id.clone();
    member.leave(context, four, &[(&own, None)])?;
    is_in(context, &mut member.wire, &empty.id, "Empty")
}

fn members(context: &mut Context<'_>) -> Step {
    let five = "K-DESCRIBE-GROUPS-005";
    let group = Group::new(context)?;
    let mut member = group.member(context)?;
    member.instance = Some("instance-1".to_owned());
    member.settle(context)?;
    let described = one(context, &mut member.wire, five, &group.id)?;
    let protocol = (&described.protocol_type[..], &described.protocol_data[..]);
    context.must(five, protocol == ("conformance", "range"), || {
        format!("type and protocol are told as {protocol:?}")
    })?;
    let told: Vec<_> = described
        .members
        .iter()
        .map(|one| (&one.member_id[..], &one.member_metadata[..], &one.member_assignment[..]))
        .collect();
    let wanted = [(&member.id[..], &b"metadata"[..], &b"all"[..])];
    context.must(five, told == wanted, || {
        format!("one member is described as {}", described.told())
    })?;
    if context.version() >= 4 && context.best(ApiKey::JoinGroup)? >= 5 {
        let instance = described.members[0].group_instance_id.as_deref();
        context.must("K-DESCRIBE-GROUPS-006", instance == Some("instance-1"), || {
            format!("its instance id is told as {}", instance.told())
        })?;
    }
    Ok(())
}
