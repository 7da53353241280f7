//! SyncGroup, Heartbeat, LeaveGroup: what members of a generation are told.

use super::group_timeouts::described;
use super::groups::{
    FENCED_INSTANCE_ID, Group, ILLEGAL_GENERATION, Member, REBALANCE_IN_PROGRESS, UNKNOWN_MEMBER_ID,
};
use super::offsets::{Committer, Topic, commit_is, fetch_one, mark};
use super::told::Told;
use crate::case::{Case, Profile::Groups};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use ottla_protocol::messages::{ApiKey, JoinGroupResponse, SyncGroupResponse};

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "sync-group/two-members",
        Groups,
        (ApiKey::SyncGroup, 0),
        two_members,
        &[
            "K-SYNC-GROUP-001",
            "K-SYNC-GROUP-002",
            "K-SYNC-GROUP-003",
            "K-SYNC-GROUP-004",
            "K-SYNC-GROUP-009",
        ],
    ),
    Case::each(
        "sync-group/strangers",
        Groups,
        (ApiKey::SyncGroup, 0),
        strangers,
        &[
            "K-SYNC-GROUP-005",
            "K-SYNC-GROUP-006",
            "K-SYNC-GROUP-007",
            "K-SYNC-GROUP-010",
            "K-SYNC-GROUP-013",
        ],
    ),
    Case::each(
        "sync-group/rebalance",
        Groups,
        (ApiKey::SyncGroup, 0),
        in_a_rebalance,
        &["K-SYNC-GROUP-008"],
    ),
    Case::each(
        "sync-group/fenced",
        Groups,
        (ApiKey::SyncGroup, 3),
        fenced_sync,
        &["K-SYNC-GROUP-011"],
    ),
    Case::each(
        "sync-group/next-rebalance",
        Groups,
        (ApiKey::SyncGroup, 0),
        next_rebalance,
        &["K-SYNC-GROUP-012"],
    ),
    Case::each(
        "heartbeat/answers",
        Groups,
        (ApiKey::Heartbeat, 0),
        heartbeats,
        &[
            "K-HEARTBEAT-001",
            "K-HEARTBEAT-002",
            "K-HEARTBEAT-004",
            "K-HEARTBEAT-005",
            "K-HEARTBEAT-006",
            "K-HEARTBEAT-007",
        ],
    ),
    Case::each(
        "heartbeat/rebalance",
        Groups,
        (ApiKey::Heartbeat, 0),
        heartbeat_in_a_rebalance,
        &["K-HEARTBEAT-003"],
    ),
    Case::each(
        "heartbeat/fenced",
        Groups,
        (ApiKey::Heartbeat, 3),
        fenced_heartbeat,
        &["K-HEARTBEAT-008"],
    ),
    Case::each(
        "leave-group/members",
        Groups,
        (ApiKey::LeaveGroup, 3),
        leaving_members,
        &[
            "K-LEAVE-GROUP-001",
            "K-LEAVE-GROUP-002",
            "K-LEAVE-GROUP-003",
            "K-LEAVE-GROUP-004",
            "K-LEAVE-GROUP-005",
        ],
    ),
    Case::each(
        "leave-group/last-member",
        Groups,
        (ApiKey::LeaveGroup, 0),
        last_member,
        &["K-LEAVE-GROUP-008"],
    ),
    Case::each(
        "leave-group/rest-is-rebalanced",
        Groups,
        (ApiKey::LeaveGroup, 0),
        rest_is_rebalanced,
        &["K-LEAVE-GROUP-006", "K-LEAVE-GROUP-007"],
    ),
];

/// A group of two in one generation, joined and not yet assigned: leader and follower.
fn pair(context: &mut Context<'_>) -> Step<(Member, Member)> {
    let (group, mut first) = Group::of_one(context)?;
    let mut second = group.member(context)?;
    let pending = second.begin_to_join(context, "K-JOIN-GROUP-001")?;
    first.until_rebalance(context, "K-HEARTBEAT-003")?;
    let one = first.join(context, "K-JOIN-GROUP-015")?;
    let two: JoinGroupResponse = second.receive(context, "K-JOIN-GROUP-015", &pending)?;
    second.take(&two);
    Ok(if one.leader == first.id { (first, second) } else { (second, first) })
}

fn two_members(context: &mut Context<'_>) -> Step {
    let (mut leader, mut follower) = pair(context)?;
    let version = context.version();
    let pending = follower.send(version, &follower.sync_request(version, &[]))?;
    let held = follower.is_held(200);
    context.must("K-SYNC-GROUP-001", held, || {
        "the follower was answered before the leader had assigned".to_owned()
    })?;
    let (lead, follow) = (leader.id.clone(), follower.id.clone());
    let assignments: [(&str, &[u8]); 2] = [(&lead, b"for the leader"), (&follow, b"follower's")];
    let own = leader.sync(context, "K-SYNC-GROUP-003", &assignments)?;
    let got = (own.error_code, &own.assignment[..]);
    context.must("K-SYNC-GROUP-003", got == (0, b"for the leader"), || {
        format!("the leader got {}, {}", error_name(got.0), got.1.told())
    })?;
    let answer = follower.receive(context, "K-SYNC-GROUP-002", &pending)?;
    let other: SyncGroupResponse = answer;
    let got = (other.error_code, &other.assignment[..]);
    context.must("K-SYNC-GROUP-002", got == (0, b"follower's"), || {
        format!("the follower got {}, {}", error_name(got.0), got.1.told())
    })?;
    let again = follower.sync(context, "K-SYNC-GROUP-009", &[])?;
    let got = (again.error_code, &again.assignment[..]);
    context.must("K-SYNC-GROUP-009", got == (0, b"follower's"), || {
        format!("in a stable group: {}, {}", error_name(got.0), got.1.told())
    })?;
    let (mut leader, mut follower) = pair(context)?;
    let lead = leader.id.clone();
    leader.sync(context, "K-SYNC-GROUP-004", &[(&lead, b"all")])?;
    let left_out = follower.sync(context, "K-SYNC-GROUP-004", &[])?;
    let got = (left_out.error_code, &left_out.assignment[..]);
    context.must("K-SYNC-GROUP-004", got == (0, b""), || {
        format!("the leader's list leaves it out: {}, {}", error_name(got.0), got.1.told())
    })
}

fn sync_code(
    context: &mut Context<'_>,
    member: &mut Member,
    statement: &'static str,
    expected: i16,
    what: &str,
) -> Step {
    let code = member.sync(context, statement, &[])?.error_code;
    context.must(statement, code == expected, || {
        format!("{what} should be {}; it is {}", error_name(expected), error_name(code))
    })
}

fn strangers(context: &mut Context<'_>) -> Step {
    let (_, mut member) = Group::of_one(context)?;
    let generation = member.generation;
    for other in [generation - 1, generation + 1] {
        member.generation = other;
        let what = format!("generation {other} of {generation}");
        sync_code(context, &mut member, "K-SYNC-GROUP-005", ILLEGAL_GENERATION, &what)?;
    }
    member.generation = generation;
    if context.version() >= 5 {
        let mut other = std::mem::take(&mut member.protocols);
        member.protocols = vec![("another".to_owned(), ottla_protocol::Bytes::new())];
        sync_code(context, &mut member, "K-SYNC-GROUP-007", 23, "another protocol")?;
        std::mem::swap(&mut member.protocols, &mut other);
        let answer = member.sync(context, "K-SYNC-GROUP-013", &[])?;
        let told = (answer.protocol_type.as_deref(), answer.protocol_name.as_deref());
        context.must("K-SYNC-GROUP-013", told == (Some("conformance"), Some("range")), || {
            format!("protocol type and name are told as {}", told.told())
        })?;
    }
    member.id = "nobody-that-was-ever-here".to_owned();
    let (six, ten) = ("K-SYNC-GROUP-006", "K-SYNC-GROUP-010");
    sync_code(context, &mut member, six, UNKNOWN_MEMBER_ID, "an unknown member id")?;
    let mut nobody = Group::new(context)?.member(context)?;
    (nobody.id, nobody.generation) = ("nobody".to_owned(), 1);
    sync_code(context, &mut nobody, ten, UNKNOWN_MEMBER_ID, "a group that does not exist")
}

/// A group of one that waits for its member to join again.
fn waiting(context: &mut Context<'_>, statement: &'static str) -> Step<(Member, Member)> {
    let (group, mut first) = Group::of_one(context)?;
    let mut second = group.member(context)?;
    second.begin_to_join(context, statement)?;
    first.until_rebalance(context, statement)?;
    Ok((first, second))
}

fn in_a_rebalance(context: &mut Context<'_>) -> Step {
    let (mut first, _second) = waiting(context, "K-SYNC-GROUP-008")?;
    let what = "while the group waits for members";
    sync_code(context, &mut first, "K-SYNC-GROUP-008", REBALANCE_IN_PROGRESS, what)
}

/// A static member of a stable group, and what it is once it has another member id.
fn fenced(context: &mut Context<'_>) -> Step<(Member, &'static str)> {
    let mut member = Group::new(context)?.member(context)?;
    member.instance = Some("instance-1".to_owned());
    member.settle(context)?;
    member.id = "another-member".to_owned();
    Ok((member, "an instance id with another member id"))
}

fn fenced_sync(context: &mut Context<'_>) -> Step {
    let (mut member, what) = fenced(context)?;
    sync_code(context, &mut member, "K-SYNC-GROUP-011", FENCED_INSTANCE_ID, what)
}

fn next_rebalance(context: &mut Context<'_>) -> Step {
    let statement = "K-SYNC-GROUP-012";
    let (mut leader, mut follower) = pair(context)?;
    let version = context.version();
    let pending = follower.send(version, &follower.sync_request(version, &[]))?;
    let lead = leader.id.clone();
    leader.leave(context, statement, &[(&lead, None)])?;
    let answer: SyncGroupResponse = follower.receive(context, statement, &pending)?;
    let code = answer.error_code;
    context.must(statement, code == REBALANCE_IN_PROGRESS, || {
        let expected = error_name(REBALANCE_IN_PROGRESS);
        format!(
            "held back when a rebalance begins: expected {expected}, it is {}",
            error_name(code)
        )
    })
}

fn heartbeat_in_a_rebalance(context: &mut Context<'_>) -> Step {
    waiting(context, "K-HEARTBEAT-003")?;
    context.held("K-HEARTBEAT-003");
    Ok(())
}

fn beat(
    context: &mut Context<'_>,
    member: &mut Member,
    statement: &'static str,
    expected: i16,
    what: &str,
) -> Step {
    let code = member.heartbeat(context, statement)?;
    context.must(statement, code == expected, || {
        format!("{what}: expected {}, it is {}", error_name(expected), error_name(code))
    })
}

fn heartbeats(context: &mut Context<'_>) -> Step {
    let group = Group::new(context)?;
    let mut member = group.member(context)?;
    (member.id, member.generation) = ("nobody".to_owned(), 1);
    let unknown = UNKNOWN_MEMBER_ID;
    beat(context, &mut member, "K-HEARTBEAT-002", unknown, "a group that does not exist")?;
    (member.id, member.generation) = (String::new(), -1);
    member.join(context, "K-HEARTBEAT-004")?;
    beat(context, &mut member, "K-HEARTBEAT-004", 0, "between JoinGroup and SyncGroup")?;
    let own = member.id.clone();
    member.sync(context, "K-HEARTBEAT-005", &[(&own, b"all")])?;
    beat(context, &mut member, "K-HEARTBEAT-005", 0, "in a stable group")?;
    member.generation += 1;
    let illegal = ILLEGAL_GENERATION;
    beat(context, &mut member, "K-HEARTBEAT-007", illegal, "the next generation")?;
    member.generation -= 1;
    let id = std::mem::replace(&mut member.id, "nobody".to_owned());
    beat(context, &mut member, "K-HEARTBEAT-006", unknown, "an unknown member id")?;
    member.id.clone_from(&id);
    member.leave(context, "K-HEARTBEAT-001", &[(&id, None)])?;
    beat(context, &mut member, "K-HEARTBEAT-001", unknown, "a group without members")
}

fn fenced_heartbeat(context: &mut Context<'_>) -> Step {
    let (mut member, what) = fenced(context)?;
    beat(context, &mut member, "K-HEARTBEAT-008", FENCED_INSTANCE_ID, what)
}

fn leaving_members(context: &mut Context<'_>) -> Step {
    let group = Group::new(context)?;
    let mut member = group.member(context)?;
    member.instance = Some("instance-1".to_owned());
    member.settle(context)?;
    let own = member.id.clone();
    let strangers = [("nobody", None), ("someone", Some("instance-1"))];
    let (top, codes) = member.leave(context, "K-LEAVE-GROUP-001", &strangers)?;
    context.must("K-LEAVE-GROUP-001", top == 0 && codes.len() == 2, || {
        format!("two members: {}, entries {codes:?}", error_name(top))
    })?;
    context.must("K-LEAVE-GROUP-002", codes[0] == UNKNOWN_MEMBER_ID, || {
        format!("an unknown member: {}", error_name(codes[0]))
    })?;
    context.must("K-LEAVE-GROUP-005", codes[1] == FENCED_INSTANCE_ID, || {
        format!("an instance id with another member id: {}", error_name(codes[1]))
    })?;
    beat(context, &mut member, "K-LEAVE-GROUP-005", 0, "the member that did not leave")?;
    let by_instance = [("nobody", None), ("", Some("instance-1"))];
    let (_, codes) = member.leave(context, "K-LEAVE-GROUP-004", &by_instance)?;
    context.must("K-LEAVE-GROUP-004", codes.get(1) == Some(&0), || {
        format!("by the instance id alone: entries {codes:?}")
    })?;
    member.id = own;
    let code = member.heartbeat(context, "K-LEAVE-GROUP-003")?;
    context.must("K-LEAVE-GROUP-003", code != 0, || {
        "beside an unknown member it should have left; it is still there".to_owned()
    })
}

fn rest_is_rebalanced(context: &mut Context<'_>) -> Step {
    let (mut leader, mut follower) = pair(context)?;
    let lead = leader.id.clone();
    leader.sync(context, "K-LEAVE-GROUP-007", &[(&lead, b"all")])?;
    follower.sync(context, "K-LEAVE-GROUP-007", &[])?;
    if context.version() < 3 {
        let (code, _) = leader.leave(context, "K-LEAVE-GROUP-006", &[("nobody", None)])?;
        context.must("K-LEAVE-GROUP-006", code == UNKNOWN_MEMBER_ID, || {
            format!("an unknown member: {}", error_name(code))
        })?;
    }
    let id = follower.id.clone();
    follower.leave(context, "K-LEAVE-GROUP-007", &[(&id, None)])?;
    leader.until_rebalance(context, "K-LEAVE-GROUP-007")?;
    context.held("K-LEAVE-GROUP-007");
    Ok(())
}

fn last_member(context: &mut Context<'_>) -> Step {
    let statement = "K-LEAVE-GROUP-008";
    let topic = Topic::new(context, 1)?;
    let (group, mut member) = Group::of_one(context)?;
    let it = (&topic, mark(0, 5), 0);
    let who = Committer::of(&member);
    commit_is(context, &mut member.wire, statement, &who, it, "a member of a stable group")?;
    let own = member.id.clone();
    member.leave(context, statement, &[(&own, None)])?;
    let until = context.deadline();
    loop {
        let state = described(context, &mut member.wire, &group.id)?.group_state;
        if state == "Empty" {
            break;
        }
        context.must_before(statement, until, || {
            format!("the last member left; at the deadline the group is {state:?}")
        })?;
    }
    let got = fetch_one(context, &mut member.wire, statement, &group.id, (&topic, 0))?;
    context.must(statement, got.offset == 5, || {
        format!("offset 5 was committed before the last member left; {} is read", got.told())
    })
}
