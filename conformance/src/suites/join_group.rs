//! JoinGroup: member ids, protocols, generations, static members.

use super::groups::{
    FENCED_INSTANCE_ID, Group, INCONSISTENT_GROUP_PROTOCOL, MEMBER_ID_REQUIRED, Member,
    REBALANCE_IN_PROGRESS, UNKNOWN_MEMBER_ID,
};
use super::told::Told;
use crate::case::{Case, Profile::Groups};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use ottla_protocol::Bytes;
use ottla_protocol::messages::ApiKey;
use ottla_protocol::messages::join_group::JoinGroupResponse;

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "join-group/member-ids",
        Groups,
        (ApiKey::JoinGroup, 0),
        member_ids,
        &["K-JOIN-GROUP-001", "K-JOIN-GROUP-002", "K-JOIN-GROUP-004", "K-JOIN-GROUP-023"],
    ),
    Case::each(
        "join-group/unknown-members",
        Groups,
        (ApiKey::JoinGroup, 0),
        unknown_members,
        &["K-JOIN-GROUP-005", "K-JOIN-GROUP-006"],
    ),
    Case::each(
        "join-group/session-timeouts",
        Groups,
        (ApiKey::JoinGroup, 0),
        session_timeouts,
        &["K-JOIN-GROUP-007"],
    ),
    Case::each(
        "join-group/protocols-that-do-not-fit",
        Groups,
        (ApiKey::JoinGroup, 0),
        protocols_that_do_not_fit,
        &["K-JOIN-GROUP-008", "K-JOIN-GROUP-009", "K-JOIN-GROUP-010"],
    ),
    Case::each(
        "join-group/two-members",
        Groups,
        (ApiKey::JoinGroup, 0),
        two_members,
        &[
            "K-JOIN-GROUP-011",
            "K-JOIN-GROUP-013",
            "K-JOIN-GROUP-014",
            "K-JOIN-GROUP-015",
            "K-JOIN-GROUP-016",
            "K-JOIN-GROUP-022",
        ],
    ),
    Case::each(
        "join-group/joining-again",
        Groups,
        (ApiKey::JoinGroup, 0),
        joining_again,
        &["K-JOIN-GROUP-017", "K-JOIN-GROUP-018", "K-JOIN-GROUP-019"],
    ),
    Case::each(
        "join-group/protocol-type",
        Groups,
        (ApiKey::JoinGroup, 7),
        protocol_type,
        &["K-JOIN-GROUP-033"],
    ),
    Case::each(
        "join-group/static-members",
        Groups,
        (ApiKey::JoinGroup, 5),
        static_members,
        &["K-JOIN-GROUP-025", "K-JOIN-GROUP-026", "K-JOIN-GROUP-027"],
    ),
    Case::each(
        "join-group/static-member-before-its-sync",
        Groups,
        (ApiKey::JoinGroup, 5),
        static_member_before_its_sync,
        &["K-JOIN-GROUP-028"],
    ),
    Case::each(
        "join-group/static-leader-comes-back",
        Groups,
        (ApiKey::JoinGroup, 9),
        static_leader_comes_back,
        &["K-JOIN-GROUP-031"],
    ),
];

fn refused(
    context: &mut Context<'_>,
    member: &mut Member,
    statement: &'static str,
    expected: i16,
    what: &str,
) -> Step {
    let code = member.join_once(context, statement)?.error_code;
    context.must(statement, code == expected, || {
        format!("{what} should be {}; it is {}", error_name(expected), error_name(code))
    })
}

fn member_ids(context: &mut Context<'_>) -> Step {
    let group = Group::new(context)?;
    let mut member = group.member(context)?;
    let first = member.join_once(context, "K-JOIN-GROUP-001")?;
    if context.version() < 4 {
        context.must("K-JOIN-GROUP-004", first.error_code == 0, || {
            format!("an empty member id: {}", error_name(first.error_code))
        })?;
        let generation = first.generation_id;
        return context.must("K-JOIN-GROUP-023", generation == 1, || {
            format!("the first generation is {generation}")
        });
    }
    let (code, id) = (first.error_code, first.member_id);
    context.must("K-JOIN-GROUP-001", code == MEMBER_ID_REQUIRED && !id.is_empty(), || {
        format!("an empty member id: {}, member id {id:?}", error_name(code))
    })?;
    member.id = id;
    let second = member.join_once(context, "K-JOIN-GROUP-002")?;
    context.must("K-JOIN-GROUP-002", second.error_code == 0, || {
        format!("with the id that was given: {}", error_name(second.error_code))
    })?;
    let generation = second.generation_id;
    context.must("K-JOIN-GROUP-023", generation == 1, || {
        format!("the first generation is {generation}")
    })
}

fn unknown_members(context: &mut Context<'_>) -> Step {
    let (group, _held) = Group::of_one(context)?;
    let mut stranger = group.member(context)?;
    stranger.id = "nobody-that-was-ever-here".to_owned();
    let (five, six) = ("K-JOIN-GROUP-005", "K-JOIN-GROUP-006");
    refused(context, &mut stranger, five, UNKNOWN_MEMBER_ID, "an unknown member id")?;
    let nowhere = Group::new(context)?;
    let mut stranger = nowhere.member(context)?;
    stranger.id = "nobody-that-was-ever-here".to_owned();
    refused(context, &mut stranger, six, UNKNOWN_MEMBER_ID, "a member id without a group")
}

fn session_timeouts(context: &mut Context<'_>) -> Step {
    let group = Group::new(context)?;
    for session_ms in [0, -1, i32::MAX] {
        let mut member = group.member(context)?;
        member.session_ms = session_ms;
        let what = format!("a session timeout of {session_ms} ms");
        refused(context, &mut member, "K-JOIN-GROUP-007", 26, &what)?;
    }
    Ok(())
}

fn protocols_that_do_not_fit(context: &mut Context<'_>) -> Step {
    let group = Group::new(context)?;
    let code = INCONSISTENT_GROUP_PROTOCOL;
    let mut none = group.member(context)?;
    none.protocols.clear();
    refused(context, &mut none, "K-JOIN-GROUP-010", code, "a first member without protocols")?;
    let mut untyped = group.member(context)?;
    untyped.protocol_type.clear();
    refused(context, &mut untyped, "K-JOIN-GROUP-010", code, "an empty protocol type")?;
    let mut first = group.member(context)?;
    first.settle(context)?;
    let mut other = group.member(context)?;
    other.protocols = vec![("another".to_owned(), Bytes::new())];
    refused(context, &mut other, "K-JOIN-GROUP-008", code, "no common protocol")?;
    let mut other = group.member(context)?;
    other.protocol_type = "connect".to_owned();
    refused(context, &mut other, "K-JOIN-GROUP-009", code, "another protocol type")
}

/// Joins a second member to a group of one: both are answered in the next generation.
fn join_second(
    context: &mut Context<'_>,
    first: &mut Member,
    second: &mut Member,
) -> Step<(JoinGroupResponse, JoinGroupResponse)> {
    let statement = "K-JOIN-GROUP-015";
    let pending = second.begin_to_join(context, statement)?;
    // The first learns of it by its heartbeat.
    first.until_rebalance(context, statement)?;
    let one = first.join(context, statement)?;
    let two: JoinGroupResponse = second.receive(context, statement, &pending)?;
    context.must(statement, two.error_code == 0, || {
        format!("the second member: {}", error_name(two.error_code))
    })?;
    second.take(&two);
    Ok((one, two))
}

fn two_members(context: &mut Context<'_>) -> Step {
    let (group, mut first) = Group::of_one(context)?;
    let before = first.generation;
    first.protocols.push(("second".to_owned(), Bytes::from_static(b"one's")));
    let mut second = group.member(context)?;
    second.protocols = vec![("range".to_owned(), Bytes::from_static(b"two's"))];
    let (one, two) = join_second(context, &mut first, &mut second)?;
    let same = (one.leader == two.leader, one.generation_id == two.generation_id);
    let protocols = (&one.protocol_name, &two.protocol_name);
    context.must("K-JOIN-GROUP-015", same == (true, true) && protocols.0 == protocols.1, || {
        format!("told to one: {}; told to the other: {}", one.told(), two.told())
    })?;
    context.must("K-JOIN-GROUP-011", one.protocol_name.as_deref() == Some("range"), || {
        format!("both have \"range\" only; {} was chosen", one.protocol_name.told())
    })?;
    context.must("K-JOIN-GROUP-022", one.generation_id == before + 1, || {
        format!("generation {before} was followed by {}", one.generation_id)
    })?;
    context.must("K-JOIN-GROUP-016", one.member_id != two.member_id, || {
        "both connections, with one client id, got one member id".to_owned()
    })?;
    let (leader, follower) = if one.leader == one.member_id { (&one, &two) } else { (&two, &one) };
    let metadata = |id: &str| {
        let mut all = leader.members.iter();
        all.find(|member| member.member_id == id).map(|member| &member.metadata[..])
    };
    let told = (metadata(&one.member_id), metadata(&two.member_id));
    let expected = (Some(&b"metadata"[..]), Some(&b"two's"[..]));
    context.must("K-JOIN-GROUP-013", leader.members.len() == 2 && told == expected, || {
        format!("the leader was told {}", leader.members.told())
    })?;
    context.must("K-JOIN-GROUP-014", follower.members.is_empty(), || {
        format!("the follower was told {}", follower.members.told())
    })
}

fn joining_again(context: &mut Context<'_>) -> Step {
    let (group, mut first) = Group::of_one(context)?;
    let mut second = group.member(context)?;
    join_second(context, &mut first, &mut second)?;
    let all = [(first.id.clone(), b"1"), (second.id.clone(), b"2")];
    let all: Vec<(&str, &[u8])> = all.iter().map(|(id, b)| (id.as_str(), &b[..])).collect();
    first.sync(context, "K-JOIN-GROUP-018", &all)?;
    second.sync(context, "K-JOIN-GROUP-018", &[])?;
    // The first member leads: it was alone before.
    let generation = second.generation;
    let again = second.join_once(context, "K-JOIN-GROUP-018")?;
    context.must("K-JOIN-GROUP-018", again.generation_id == generation, || {
        let (code, now) = (error_name(again.error_code), again.generation_id);
        format!("a follower with unchanged metadata: {code}, generation {generation} to {now}")
    })?;
    second.protocols[0].1 = Bytes::from_static(b"changed");
    rebalances(context, &mut second, &mut first, "K-JOIN-GROUP-019")?;
    let all = [(first.id.clone(), b"1"), (second.id.clone(), b"2")];
    let all: Vec<(&str, &[u8])> = all.iter().map(|(id, b)| (id.as_str(), &b[..])).collect();
    first.sync(context, "K-JOIN-GROUP-017", &all)?;
    second.sync(context, "K-JOIN-GROUP-017", &[])?;
    rebalances(context, &mut first, &mut second, "K-JOIN-GROUP-017")
}

/// `who` joins again and is held back; the other is told, joins, and both are in a new generation.
fn rebalances(
    context: &mut Context<'_>,
    who: &mut Member,
    other: &mut Member,
    statement: &'static str,
) -> Step {
    let version = context.version_of(ApiKey::JoinGroup)?;
    let before = who.generation;
    let pending = who.send(version, &who.join_request(version))?;
    let until = context.deadline();
    while other.heartbeat(context, statement)? != REBALANCE_IN_PROGRESS {
        context.must_before(statement, until, || "no rebalance began".to_owned())?;
    }
    other.join(context, statement)?;
    let answer: JoinGroupResponse = who.receive(context, statement, &pending)?;
    context.must(statement, answer.generation_id == before + 1, || {
        format!("generation {before} was followed by {}", answer.generation_id)
    })?;
    who.take(&answer);
    Ok(())
}

fn protocol_type(context: &mut Context<'_>) -> Step {
    let group = Group::new(context)?;
    let answer = group.member(context)?.join(context, "K-JOIN-GROUP-033")?;
    let told = answer.protocol_type;
    context.must("K-JOIN-GROUP-033", told.as_deref() == Some("conformance"), || {
        format!("the protocol type is conformance; the answer says {}", told.told())
    })
}

/// A static member of a stable group, and what its instance is told that joins anew.
fn comes_back(
    context: &mut Context<'_>,
    statement: &'static str,
) -> Step<(Member, JoinGroupResponse)> {
    let group = Group::new(context)?;
    let mut old = group.member(context)?;
    old.instance = Some("instance-1".to_owned());
    old.settle(context)?;
    let mut new = group.member(context)?;
    new.instance.clone_from(&old.instance);
    let answer = new.join_once(context, statement)?;
    Ok((old, answer))
}

fn static_members(context: &mut Context<'_>) -> Step {
    let (mut old, answer) = comes_back(context, "K-JOIN-GROUP-025")?;
    let (code, id) = (answer.error_code, &answer.member_id);
    context.must("K-JOIN-GROUP-025", code == 0 && !id.is_empty() && *id != old.id, || {
        format!("the instance came back: {}, member id {id:?}", error_name(code))
    })?;
    let (before, now) = (old.generation, answer.generation_id);
    context.must("K-JOIN-GROUP-026", now == before, || {
        format!("it came back to a stable group: generation {before} to {now}")
    })?;
    let code = old.heartbeat(context, "K-JOIN-GROUP-027")?;
    context.must("K-JOIN-GROUP-027", code == FENCED_INSTANCE_ID, || {
        format!("the old member id: {}", error_name(code))
    })
}

fn static_member_before_its_sync(context: &mut Context<'_>) -> Step {
    let statement = "K-JOIN-GROUP-028";
    let group = Group::new(context)?;
    let mut old = group.member(context)?;
    old.instance = Some("instance-1".to_owned());
    let before = old.join(context, statement)?.generation_id;
    let mut new = group.member(context)?;
    new.instance.clone_from(&old.instance);
    let answer = new.join_once(context, statement)?;
    let (code, now) = (answer.error_code, answer.generation_id);
    context.must(statement, code == 0 && now == before + 1, || {
        format!("it came back before SyncGroup: {}, generation {before} to {now}", error_name(code))
    })
}

fn static_leader_comes_back(context: &mut Context<'_>) -> Step {
    let statement = "K-JOIN-GROUP-031";
    let (_, answer) = comes_back(context, statement)?;
    let told = (answer.error_code, answer.leader == answer.member_id, answer.skip_assignment);
    context.must(statement, told == (0, true, true), || {
        format!("error, whether it leads, SkipAssignment: {told:?}")
    })
}
