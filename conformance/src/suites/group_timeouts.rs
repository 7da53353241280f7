//! Members that stay silent, come late, or come back: what a group does after a while. One version
//! each, as most of the time goes by waiting.

use super::admin::{BROKER, describe, resource};
use super::groups::{FENCED_INSTANCE_ID, Group, UNKNOWN_MEMBER_ID};
use super::told::Told;
use crate::case::{Case, Profile::Groups};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use crate::verdict::Stop;
use crate::wire::Wire;
use ottla_protocol::Bytes;
use ottla_protocol::messages::describe_groups::DescribedGroup;
use ottla_protocol::messages::{
    ApiKey, DescribeGroupsRequest, DescribeGroupsResponse, JoinGroupResponse, Request,
};
use std::time::{Duration, Instant};

pub(crate) const CASES: &[Case] = &[
    Case::once("heartbeat/silence", Groups, silence, &["K-HEARTBEAT-009"]),
    Case::once("heartbeat/kept-alive", Groups, kept_alive, &["K-HEARTBEAT-010"]),
    Case::once("join-group/unused-member-id", Groups, unused_member_id, &["K-JOIN-GROUP-003"]),
    Case::once("join-group/votes", Groups, votes, &["K-JOIN-GROUP-012"]),
    Case::once("join-group/too-late", Groups, too_late, &["K-JOIN-GROUP-020"]),
    Case::once("join-group/never-synced", Groups, never_synced, &["K-JOIN-GROUP-021"]),
    Case::once("join-group/full", Groups, full, &["K-JOIN-GROUP-024"]),
    Case::once(
        "join-group/new-timeouts-and-client-id",
        Groups,
        new_timeouts_and_client_id,
        &["K-JOIN-GROUP-029", "K-JOIN-GROUP-030"],
    ),
    Case::once("join-group/first-generation", Groups, first_generation, &["K-JOIN-GROUP-032"]),
];

/// The shortest session that brokers allow by default.
const SHORT_SESSION_MS: i32 = 6_000;
/// A session that does not end while a test runs.
const LONG_SESSION_MS: i32 = 60_000;
const SHORT_REBALANCE_MS: i32 = 1_000;

/// The versions from `since` on, or UNSUPPORTED.
fn needs(context: &Context<'_>, api: ApiKey, since: i16) -> Step {
    let best = context.best(api)?;
    if best < since {
        let name = api.name();
        return Err(Stop::unsupported(format!("{name} {since} is not listed, {best} is the last")));
    }
    Ok(())
}

fn silence(context: &mut Context<'_>) -> Step {
    let statement = "K-HEARTBEAT-009";
    let group = Group::new(context)?;
    let mut silent = group.member(context)?;
    (silent.session_ms, silent.rebalance_ms) = (SHORT_SESSION_MS, LONG_SESSION_MS);
    silent.settle(context)?;
    let settled = Instant::now();
    let mut other = group.member(context)?;
    other.rebalance_ms = LONG_SESSION_MS;
    let pending = other.begin_to_join(context, statement)?;
    // It is answered when the first member is gone: long before the rebalance timeout is over.
    let answer: JoinGroupResponse = other.receive(context, statement, &pending)?;
    let (code, count) = (answer.error_code, answer.members.len());
    context.must(statement, code == 0 && count == 1, || {
        format!("the member beside a silent one: {}, {count} members", error_name(code))
    })?;
    let waited = settled.elapsed().as_millis();
    context.must(statement, waited + 500 >= SHORT_SESSION_MS as u128, || {
        format!("a session of {SHORT_SESSION_MS} ms was over after {waited} ms")
    })?;
    let code = silent.heartbeat(context, statement)?;
    context.must(statement, code == UNKNOWN_MEMBER_ID, || {
        format!("a member whose session is over: {}", error_name(code))
    })
}

fn kept_alive(context: &mut Context<'_>) -> Step {
    let statement = "K-HEARTBEAT-010";
    let group = Group::new(context)?;
    let mut member = group.member(context)?;
    member.session_ms = SHORT_SESSION_MS;
    member.settle(context)?;
    let until = Instant::now() + Duration::from_millis(SHORT_SESSION_MS as u64 * 3 / 2);
    while Instant::now() < until {
        let code = member.heartbeat(context, statement)?;
        context.must(statement, code == 0, || {
            format!("a member that sends heartbeats: {}", error_name(code))
        })?;
        member.pause(Duration::from_millis(SHORT_SESSION_MS as u64 / 4))?;
    }
    Ok(())
}

fn unused_member_id(context: &mut Context<'_>) -> Step {
    let statement = "K-JOIN-GROUP-003";
    needs(context, ApiKey::JoinGroup, 4)?;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut member = Group::new(context)?.member(context)?;
        member.session_ms = SHORT_SESSION_MS;
        member.id = member.join_once(context, statement)?.member_id;
        waiting.push(member);
    }
    let mut left = Duration::from_millis(SHORT_SESSION_MS as u64 + 500);
    let mut code = 0;
    // A try makes a member of who is known still, so that each needs an id of its own.
    for mut member in waiting {
        member.pause(left)?;
        left = context.patience();
        code = member.join_once(context, statement)?.error_code;
        if code == UNKNOWN_MEMBER_ID {
            context.held(statement);
            return Ok(());
        }
    }
    context.must(statement, false, || {
        let expected = error_name(UNKNOWN_MEMBER_ID);
        format!("an id that was not used for a session is {expected}; it is {}", error_name(code))
    })
}

/// One group as DescribeGroups tells it.
pub(crate) fn described(
    context: &mut Context<'_>,
    wire: &mut Wire,
    group: &str,
) -> Step<DescribedGroup> {
    let groups = vec![group.to_owned()];
    let request = DescribeGroupsRequest { groups, ..Default::default() };
    let request = Request::DescribeGroups(Box::new(request));
    let answer: DescribeGroupsResponse = context.prepare(wire, &request)?;
    let group = answer.groups.into_iter().next();
    group.ok_or_else(|| Stop::blocked("DescribeGroups was answered without the group"))
}

fn votes(context: &mut Context<'_>) -> Step {
    let statement = "K-JOIN-GROUP-012";
    let names = |names: [&str; 2]| {
        names.map(|name| (name.to_owned(), Bytes::from_static(b"metadata"))).to_vec()
    };
    let group = Group::new(context)?;
    let mut first = group.member(context)?;
    first.protocols = names(["ranked-by-one", "ranked-by-two"]);
    first.settle(context)?;
    let mut others = Vec::new();
    for _ in 0..2 {
        let mut other = group.member(context)?;
        other.protocols = names(["ranked-by-two", "ranked-by-one"]);
        let pending = other.begin_to_join(context, statement)?;
        others.push((other, pending));
    }
    let mut wire = group.connect(context)?;
    let until = context.deadline();
    while described(context, &mut wire, &group.id)?.members.len() < 3 {
        context.must_before(statement, until, || "two more members do not join".to_owned())?;
    }
    first.until_rebalance(context, statement)?;
    let mut answers = vec![first.join(context, statement)?];
    for (mut other, pending) in others {
        answers.push(other.receive(context, statement, &pending)?);
    }
    for answer in answers {
        let told = answer.protocol_name.as_deref();
        context.must(statement, told == Some("ranked-by-two"), || {
            format!("two of three members name ranked-by-two first; {} was chosen", told.told())
        })?;
    }
    Ok(())
}

fn too_late(context: &mut Context<'_>) -> Step {
    let statement = "K-JOIN-GROUP-020";
    let group = Group::new(context)?;
    let mut late = group.member(context)?;
    (late.session_ms, late.rebalance_ms) = (LONG_SESSION_MS, SHORT_REBALANCE_MS);
    late.settle(context)?;
    let mut other = group.member(context)?;
    (other.session_ms, other.rebalance_ms) = (LONG_SESSION_MS, SHORT_REBALANCE_MS);
    let began = Instant::now();
    let pending = other.begin_to_join(context, statement)?;
    let answer: JoinGroupResponse = other.receive(context, statement, &pending)?;
    let waited = began.elapsed().as_millis();
    context.must(statement, waited >= SHORT_REBALANCE_MS as u128, || {
        format!("the rebalance timeout is {SHORT_REBALANCE_MS} ms; it ended after {waited} ms")
    })?;
    let members: Vec<&str> = answer.members.iter().map(|one| one.member_id.as_str()).collect();
    context.must(statement, answer.error_code == 0 && members == [other.id.as_str()], || {
        let code = error_name(answer.error_code);
        format!("{code}, and the next generation is {members:?}, with one that did not join")
    })?;
    let code = late.heartbeat(context, statement)?;
    context.must(statement, code == UNKNOWN_MEMBER_ID, || {
        format!("a member that did not join in time: {}", error_name(code))
    })
}

fn never_synced(context: &mut Context<'_>) -> Step {
    let statement = "K-JOIN-GROUP-021";
    let group = Group::new(context)?;
    let mut leader = group.member(context)?;
    (leader.session_ms, leader.rebalance_ms) = (LONG_SESSION_MS, SHORT_REBALANCE_MS);
    leader.settle(context)?;
    let mut silent = group.member(context)?;
    (silent.session_ms, silent.rebalance_ms) = (LONG_SESSION_MS, SHORT_REBALANCE_MS);
    let pending = silent.begin_to_join(context, statement)?;
    leader.until_rebalance(context, statement)?;
    let both = leader.join(context, statement)?;
    let _: JoinGroupResponse = silent.receive(context, statement, &pending)?;
    if both.leader != leader.id || both.members.len() != 2 {
        let text = format!("the first member should lead two; it was told {}", both.told());
        return Err(Stop::blocked(text));
    }
    let own = leader.id.clone();
    leader.sync(context, statement, &[(&own, b"all")])?;
    leader.until_rebalance(context, statement)?;
    let after = leader.join(context, statement)?;
    let (members, generation) = (after.members.len(), after.generation_id);
    context.must(statement, members == 1 && generation > both.generation_id, || {
        format!("generation {generation} after {}, {members} members", both.generation_id)
    })
}

/// A setting of the coordinator as a number, where it is described.
fn setting(context: &mut Context<'_>, key: &str) -> Step<Option<i64>> {
    let mut wire = context.connect()?;
    let cluster = super::admin::metadata(context, &mut wire, &[])?;
    let Some(node) = cluster.brokers.first().map(|broker| broker.node_id.to_string()) else {
        return Err(Stop::blocked("Metadata lists no broker"));
    };
    let asked = vec![resource(BROKER, &node, Some(&[key]))];
    let Ok(answer) = describe(context, &mut wire, "K-DESCRIBE-CONFIGS-001", asked) else {
        return Ok(None);
    };
    let found = answer.into_iter().flat_map(|one| one.configs).find(|one| one.name == key);
    Ok(found.and_then(|one| one.value).and_then(|value| value.parse().ok()))
}

/// More members are not made for one test.
const MEMBERS_MAX: i64 = 20;

fn full(context: &mut Context<'_>) -> Step {
    let statement = "K-JOIN-GROUP-024";
    let limit = match setting(context, "group.max.size")? {
        Some(limit) if limit <= MEMBERS_MAX => limit,
        Some(limit) => {
            let text = format!("DescribeConfigs says that group.max.size is {limit}: unlimited");
            return Err(Stop::unsupported(text));
        }
        None => return Err(Stop::unsupported("DescribeConfigs does not show group.max.size")),
    };
    let group = Group::new(context)?;
    let mut members = Vec::new();
    for _ in 0..limit {
        let mut member = group.member(context)?;
        let pending = member.begin_to_join(context, statement)?;
        members.push((member, pending));
    }
    let code = group.member(context)?.join_once(context, statement)?.error_code;
    context.must(statement, code == 81, || {
        format!("a member above the limit of {limit}: {}", error_name(code))
    })
}

fn new_timeouts_and_client_id(context: &mut Context<'_>) -> Step {
    let (timeouts, client_id) = ("K-JOIN-GROUP-029", "K-JOIN-GROUP-030");
    needs(context, ApiKey::JoinGroup, 5)?;
    let group = Group::new(context)?;
    let mut old = group.member(context)?;
    old.instance = Some("instance-1".to_owned());
    old.session_ms = SHORT_SESSION_MS;
    old.settle(context)?;
    let mut new = group.member(context)?;
    new.instance.clone_from(&old.instance);
    new.session_ms = LONG_SESSION_MS;
    new.wire.client_id = "came-back";
    new.join(context, timeouts)?;
    let mut wire = group.connect(context)?;
    let members = described(context, &mut wire, &group.id)?.members;
    let told: Vec<&str> = members.iter().map(|one| one.client_id.as_str()).collect();
    context.note(client_id, format!("a member that came back with another client id: {told:?}"));
    // Apache Kafka 4.3.1 begins with the old session timeout: the new one counts from the next
    // heartbeat on.
    for wait_ms in [0, SHORT_SESSION_MS as u64 + 2_000] {
        new.pause(Duration::from_millis(wait_ms))?;
        let code = new.heartbeat(context, timeouts)?;
        context.must(timeouts, code == 0, || {
            let code = error_name(code);
            format!("a session of {LONG_SESSION_MS} ms, {SHORT_SESSION_MS} ms before: {code}")
        })?;
    }
    let code = old.heartbeat(context, timeouts)?;
    context.must(timeouts, code == FENCED_INSTANCE_ID, || {
        format!("the old member id: {}", error_name(code))
    })
}

fn first_generation(context: &mut Context<'_>) -> Step {
    let statement = "K-JOIN-GROUP-032";
    let key = "group.initial.rebalance.delay.ms";
    // Below a second the second member may come too late on a slow machine.
    match setting(context, key)? {
        Some(delay) if delay >= 1_000 => {}
        other => {
            let text = format!("DescribeConfigs says that {key} is {}", other.told());
            return Err(Stop::unsupported(text));
        }
    }
    let group = Group::new(context)?;
    let (mut one, mut two) = (group.member(context)?, group.member(context)?);
    let first = one.begin_to_join(context, statement)?;
    let second = two.begin_to_join(context, statement)?;
    let one: JoinGroupResponse = one.receive(context, statement, &first)?;
    let two: JoinGroupResponse = two.receive(context, statement, &second)?;
    let generations = (one.generation_id, two.generation_id);
    let count = one.members.len() + two.members.len();
    context.must(statement, generations == (1, 1) && count == 2, || {
        format!("two members at once: generations {generations:?}, {count} members in all")
    })
}
