//! OffsetCommit: what is kept, and whose commits are taken.

use super::groups::{
    FENCED_INSTANCE_ID, Group, ILLEGAL_GENERATION, REBALANCE_IN_PROGRESS, UNKNOWN_MEMBER_ID,
};
use super::offsets::{Committer, Mark, Topic, commit_all, commit_is, fetch_one, mark};
use super::told::Told;
use crate::case::{Case, Profile::Groups};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use crate::verdict::Stop;
use ottla_protocol::messages::ApiKey;
use std::time::{Duration, Instant};

const OFFSET_METADATA_TOO_LARGE: i16 = 12;

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "offset-commit/is-returned",
        Groups,
        (ApiKey::OffsetCommit, 0),
        is_returned,
        &[
            "K-OFFSET-COMMIT-001",
            "K-OFFSET-COMMIT-002",
            "K-OFFSET-COMMIT-003",
            "K-OFFSET-COMMIT-004",
            "K-OFFSET-COMMIT-007",
            "K-OFFSET-COMMIT-019",
            "K-OFFSET-COMMIT-020",
        ],
    ),
    Case::each(
        "offset-commit/long-metadata",
        Groups,
        (ApiKey::OffsetCommit, 0),
        long_metadata,
        &["K-OFFSET-COMMIT-005", "K-OFFSET-COMMIT-006"],
    ),
    Case::each(
        "offset-commit/without-members",
        Groups,
        (ApiKey::OffsetCommit, 0),
        without_members,
        &["K-OFFSET-COMMIT-008"],
    ),
    Case::each(
        "offset-commit/unknown-group",
        Groups,
        (ApiKey::OffsetCommit, 0),
        unknown_group,
        &["K-OFFSET-COMMIT-009", "K-OFFSET-COMMIT-010"],
    ),
    Case::each(
        "offset-commit/strangers",
        Groups,
        (ApiKey::OffsetCommit, 0),
        strangers,
        &["K-OFFSET-COMMIT-011", "K-OFFSET-COMMIT-012", "K-OFFSET-COMMIT-013"],
    ),
    Case::each(
        "offset-commit/rebalances",
        Groups,
        (ApiKey::OffsetCommit, 0),
        rebalances,
        &["K-OFFSET-COMMIT-014", "K-OFFSET-COMMIT-015"],
    ),
    Case::each(
        "offset-commit/fenced",
        Groups,
        (ApiKey::OffsetCommit, 7),
        fenced,
        &["K-OFFSET-COMMIT-016"],
    ),
    Case::each(
        "offset-commit/unknown-topics",
        Groups,
        (ApiKey::OffsetCommit, 0),
        unknown_topics,
        &["K-OFFSET-COMMIT-017", "K-OFFSET-COMMIT-018"],
    ),
    // One version: it takes longer than the shortest session.
    Case::once("offset-commit/is-a-heartbeat", Groups, is_a_heartbeat, &["K-OFFSET-COMMIT-022"]),
];

fn is_returned(context: &mut Context<'_>) -> Step {
    let topic = Topic::new(context, 2)?;
    let group = Group::new(context)?;
    let mut wire = group.connect(context)?;
    let who = Committer::alone(&group.id);
    let marks = [Mark { epoch: 3, metadata: "where I was".to_owned(), ..mark(0, 5) }, mark(1, 7)];
    let topics: [(&Topic, &[Mark]); 1] = [(&topic, &marks)];
    let codes = commit_all(context, &mut wire, "K-OFFSET-COMMIT-019", &who, &topics, 0)?;
    context.must("K-OFFSET-COMMIT-007", codes == [0, 0], || {
        format!("without member and group, a commit is answered with {codes:?}")
    })?;
    let (one, two) = ("K-OFFSET-COMMIT-001", "K-OFFSET-COMMIT-002");
    let has_epochs = context.version() >= 6 && context.best(ApiKey::OffsetFetch)? >= 5;
    for (mark, epoch) in marks.iter().zip(["K-OFFSET-COMMIT-003", "K-OFFSET-COMMIT-004"]) {
        let got = fetch_one(context, &mut wire, one, &group.id, (&topic, mark.partition))?;
        context.must(one, (got.error, got.offset) == (0, mark.offset), || {
            format!("offset {} was committed; {} is read", mark.offset, got.told())
        })?;
        context.must(two, got.metadata.as_deref() == Some(&mark.metadata), || {
            format!("metadata {:?} was committed; {} is read", mark.metadata, got.told())
        })?;
        if has_epochs {
            context.must(epoch, got.epoch == mark.epoch, || {
                format!("leader epoch {} was committed; {} is read", mark.epoch, got.told())
            })?;
        }
    }
    let twenty = "K-OFFSET-COMMIT-020";
    commit_is(context, &mut wire, twenty, &who, (&topic, mark(0, 2), 0), "a lower offset")?;
    let got = fetch_one(context, &mut wire, twenty, &group.id, (&topic, 0))?;
    context.must(twenty, (got.offset, got.metadata.as_deref()) == (2, Some("")), || {
        format!("offset 2 was committed after 5; {} is read", got.told())
    })
}

fn long_metadata(context: &mut Context<'_>) -> Step {
    let topic = Topic::new(context, 2)?;
    let group = Group::new(context)?;
    let mut wire = group.connect(context)?;
    let who = Committer::alone(&group.id);
    // The longest that a string of every version can be; the limit is 4096 unless it is set.
    let long = Mark { metadata: "m".repeat(i16::MAX as usize), ..mark(0, 5) };
    let marks = [long, mark(1, 7)];
    let topics: [(&Topic, &[Mark]); 1] = [(&topic, &marks)];
    let codes = commit_all(context, &mut wire, "K-OFFSET-COMMIT-005", &who, &topics, 0)?;
    context.must("K-OFFSET-COMMIT-005", codes[0] == OFFSET_METADATA_TOO_LARGE, || {
        format!("32767 bytes of metadata are answered with {}", error_name(codes[0]))
    })?;
    let six = "K-OFFSET-COMMIT-006";
    let got = fetch_one(context, &mut wire, six, &group.id, (&topic, 1))?;
    context.must(six, codes[1] == 0 && got.offset == 7, || {
        format!("beside it: {}, and {} is read", error_name(codes[1]), got.told())
    })
}

fn without_members(context: &mut Context<'_>) -> Step {
    let topic = Topic::new(context, 1)?;
    let (group, mut member) = Group::of_one(context)?;
    let eight = "K-OFFSET-COMMIT-008";
    let id = member.id.clone();
    let (code, _) = member.leave(context, eight, &[(&id, None)])?;
    if code != 0 {
        return Err(Stop::blocked(format!("LeaveGroup: {}", error_name(code))));
    }
    let who = Committer::alone(&group.id);
    let wire = &mut member.wire;
    commit_is(context, wire, eight, &who, (&topic, mark(0, 5), 0), "all members left")
}

fn unknown_group(context: &mut Context<'_>) -> Step {
    let topic = Topic::new(context, 1)?;
    let group = Group::new(context)?;
    let mut wire = group.connect(context)?;
    let (statement, expected) = match context.version() {
        ..9 => ("K-OFFSET-COMMIT-009", ILLEGAL_GENERATION),
        _ => ("K-OFFSET-COMMIT-010", 69),
    };
    for generation in [0, 1] {
        let who = Committer { generation, member: "m".into(), ..Committer::alone(&group.id) };
        let what = "a generation of a group that does not exist";
        let it = (&topic, mark(0, 5), expected);
        commit_is(context, &mut wire, statement, &who, it, what)?;
    }
    Ok(())
}

fn strangers(context: &mut Context<'_>) -> Step {
    let topic = Topic::new(context, 1)?;
    let (group, mut member) = Group::of_one(context)?;
    let own = Committer::of(&member);
    let wire = &mut member.wire;
    let it = |expected| (&topic, mark(0, 5), expected);
    let (alone, unknown) = (Committer::alone(&group.id), it(UNKNOWN_MEMBER_ID));
    commit_is(context, wire, "K-OFFSET-COMMIT-011", &alone, unknown, "without a member id")?;
    let other = Committer { member: "nobody".to_owned(), ..own.clone() };
    let unknown = it(UNKNOWN_MEMBER_ID);
    commit_is(context, wire, "K-OFFSET-COMMIT-012", &other, unknown, "an unknown member id")?;
    for generation in [own.generation - 1, own.generation + 1] {
        let what = format!("generation {generation} of {}", own.generation);
        let other = Committer { generation, ..own.clone() };
        let illegal = it(ILLEGAL_GENERATION);
        commit_is(context, wire, "K-OFFSET-COMMIT-013", &other, illegal, &what)?;
    }
    Ok(())
}

fn rebalances(context: &mut Context<'_>) -> Step {
    let topic = Topic::new(context, 1)?;
    let group = Group::new(context)?;
    let mut member = group.member(context)?;
    let (fourteen, fifteen) = ("K-OFFSET-COMMIT-014", "K-OFFSET-COMMIT-015");
    member.join(context, fourteen)?;
    let who = Committer::of(&member);
    let it = (&topic, mark(0, 5), REBALANCE_IN_PROGRESS);
    let what = "between JoinGroup and SyncGroup";
    commit_is(context, &mut member.wire, fourteen, &who, it, what)?;
    let own = member.id.clone();
    member.sync(context, fifteen, &[(&own, b"all")])?;
    let mut second = group.member(context)?;
    let version = context.best(ApiKey::JoinGroup)?;
    if version >= 4 {
        second.id = second.join_once(context, fifteen)?.member_id;
    }
    second.send(version, &second.join_request(version))?;
    let until = context.deadline();
    while member.heartbeat(context, fifteen)? != REBALANCE_IN_PROGRESS {
        context.must_before(fifteen, until, || "no rebalance began".to_owned())?;
    }
    let it = (&topic, mark(0, 6), 0);
    commit_is(context, &mut member.wire, fifteen, &who, it, "while the group waits for members")
}

fn fenced(context: &mut Context<'_>) -> Step {
    let topic = Topic::new(context, 1)?;
    let group = Group::new(context)?;
    let mut member = group.member(context)?;
    member.instance = Some("instance-1".to_owned());
    member.settle(context)?;
    let who = Committer { member: "another".to_owned(), ..Committer::of(&member) };
    let it = (&topic, mark(0, 5), FENCED_INSTANCE_ID);
    let what = "an instance id with another member id";
    commit_is(context, &mut member.wire, "K-OFFSET-COMMIT-016", &who, it, what)
}

fn unknown_topics(context: &mut Context<'_>) -> Step {
    let known = Topic::new(context, 1)?;
    let unknown = Topic::unknown(context);
    let group = Group::new(context)?;
    let mut wire = group.connect(context)?;
    let (statement, expected) = match context.version() {
        ..10 => ("K-OFFSET-COMMIT-017", 3),
        _ => ("K-OFFSET-COMMIT-018", 100),
    };
    let who = Committer::alone(&group.id);
    let marks = [mark(0, 5)];
    let topics: [(&Topic, &[Mark]); 2] = [(&unknown, &marks), (&known, &marks)];
    let codes = commit_all(context, &mut wire, statement, &who, &topics, expected)?;
    context.must(statement, codes[0] == expected, || {
        let (expected, code) = (error_name(expected), error_name(codes[0]));
        format!("a topic that does not exist should be {expected}; it is {code}")
    })?;
    let got = fetch_one(context, &mut wire, statement, &group.id, (&known, 0))?;
    context.must(statement, codes[1] == 0 && got.offset == 5, || {
        format!("the topic beside it: {}, and {} is read", error_name(codes[1]), got.told())
    })
}

fn is_a_heartbeat(context: &mut Context<'_>) -> Step {
    let topic = Topic::new(context, 1)?;
    let group = Group::new(context)?;
    let mut member = group.member(context)?;
    member.session_ms = 6_000;
    member.settle(context)?;
    let who = Committer::of(&member);
    let statement = "K-OFFSET-COMMIT-022";
    let until = Instant::now() + Duration::from_millis(member.session_ms as u64 + 1_000);
    let what = "longer than its session without heartbeats, but with commits";
    while Instant::now() < until {
        let it = (&topic, mark(0, 5), 0);
        commit_is(context, &mut member.wire, statement, &who, it, what)?;
        if !member.is_held(1_000) {
            return Err(Stop::harness("an answer that nothing asked for"));
        }
    }
    let code = member.heartbeat(context, statement)?;
    context.must(statement, code == 0, || format!("{what}: {}", error_name(code)))
}
