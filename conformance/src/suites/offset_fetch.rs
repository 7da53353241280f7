//! OffsetFetch: what is answered for partitions, with and without commits.

use super::admin::metadata;
use super::groups::Group;
use super::offsets::{
    Asked, Committer, Mark, Positions, Topic, commit_is, fetch_groups, fetch_one, mark,
};
use super::told::Told;
use crate::case::{Case, Profile::Groups};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use crate::verdict::Stop;
use crate::wire::Wire;
use ottla_protocol::messages::ApiKey;
use std::collections::BTreeSet;

const NOT_COORDINATOR: i16 = 16;

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "offset-fetch/nothing-committed",
        Groups,
        (ApiKey::OffsetFetch, 1),
        nothing_committed,
        &[
            "K-OFFSET-FETCH-001",
            "K-OFFSET-FETCH-002",
            "K-OFFSET-FETCH-003",
            "K-OFFSET-FETCH-012",
            "K-OFFSET-FETCH-013",
        ],
    ),
    Case::each(
        "offset-fetch/all-topics",
        Groups,
        (ApiKey::OffsetFetch, 2),
        all_topics,
        &["K-OFFSET-FETCH-004", "K-OFFSET-FETCH-005"],
    ),
    Case::each(
        "offset-fetch/groups",
        Groups,
        (ApiKey::OffsetFetch, 8),
        groups,
        &["K-OFFSET-FETCH-008"],
    ),
    Case::each(
        "offset-fetch/at-another-broker",
        Groups,
        (ApiKey::OffsetFetch, 1),
        at_another_broker,
        &["K-OFFSET-FETCH-006", "K-OFFSET-FETCH-007", "K-OFFSET-FETCH-009"],
    ),
];

/// A group with commits of its own for these partitions, without members.
fn committed(
    context: &mut Context<'_>,
    statement: &'static str,
    topic: &Topic,
    marks: &[Mark],
) -> Step<(Group, Wire)> {
    let group = Group::new(context)?;
    let mut wire = group.connect(context)?;
    let who = Committer::alone(&group.id);
    for mark in marks {
        let it = (topic, mark.clone(), 0);
        commit_is(context, &mut wire, statement, &who, it, "before OffsetFetch")?;
    }
    Ok((group, wire))
}

fn nothing_committed(context: &mut Context<'_>) -> Step {
    let topic = Topic::new(context, 2)?;
    let (one, two) = ("K-OFFSET-FETCH-001", "K-OFFSET-FETCH-002");
    let (group, mut wire) = committed(context, one, &topic, &[mark(0, 5)])?;
    let got = fetch_one(context, &mut wire, one, &group.id, (&topic, 1))?;
    let nothing = |got: &super::offsets::Position| {
        (got.offset, got.metadata.as_deref(), got.error) == (-1, Some(""), 0)
    };
    context.must(one, nothing(&got), || format!("a partition without commit: {}", got.told()))?;
    let nobody = Group::new(context)?;
    let mut other = nobody.connect(context)?;
    let got = fetch_one(context, &mut other, two, &nobody.id, (&topic, 0))?;
    context.must(two, (got.offset, got.error) == (-1, 0), || {
        format!("a group that does not exist: {}", got.told())
    })?;
    let unknown = Topic::unknown(context);
    if context.version() >= 10 {
        let twelve = "K-OFFSET-FETCH-012";
        let got = fetch_one(context, &mut wire, twelve, &group.id, (&unknown, 0))?;
        return context.must(twelve, got.error == 100, || {
            format!("an id that no topic has: {} in {}", error_name(got.error), got.told())
        });
    }
    let (three, thirteen) = ("K-OFFSET-FETCH-003", "K-OFFSET-FETCH-013");
    let got = fetch_one(context, &mut wire, three, &group.id, (&unknown, 0))?;
    context.must(three, (got.offset, got.error) == (-1, 0), || {
        format!("a topic that does not exist: {}", got.told())
    })?;
    let asked: [(&Topic, &[i32]); 2] = [(&topic, &[1, 0]), (&unknown, &[0])];
    let answer = fetch_groups(context, &mut wire, thirteen, &[(&group.id, Some(&asked))])?;
    let count = |topic, partition| answer[0].of(topic, partition).len();
    let counts = [count(&topic, 0), count(&topic, 1), count(&unknown, 0)];
    context.must(thirteen, counts == [1, 1, 1] && answer[0].all.len() == 3, || {
        format!("three partitions of two topics are answered with {}", answer.told())
    })
}

fn all_topics(context: &mut Context<'_>) -> Step {
    let statement = if context.version() < 8 { "K-OFFSET-FETCH-004" } else { "K-OFFSET-FETCH-005" };
    let (first, second) = (Topic::new(context, 3)?, Topic::new(context, 1)?);
    let (group, mut wire) = committed(context, statement, &first, &[mark(0, 5), mark(2, 7)])?;
    let who = Committer::alone(&group.id);
    let it = (&second, mark(0, 9), 0);
    commit_is(context, &mut wire, statement, &who, it, "another topic")?;
    let answer = fetch_groups(context, &mut wire, statement, &[(&group.id, None)])?;
    let at = |topic, partition| {
        let found = answer[0].of(topic, partition);
        found.first().map(|position| (position.offset, position.error))
    };
    let got = [at(&first, 0), at(&first, 2), at(&second, 0)];
    let wanted = [Some((5, 0)), Some((7, 0)), Some((9, 0))];
    let is_all = answer[0].error == 0 && answer[0].all.len() == 3 && got == wanted;
    context.must(statement, is_all, || {
        format!("three partitions are committed; null is answered with {}", answer.told())
    })
}

fn groups(context: &mut Context<'_>) -> Step {
    let eight = "K-OFFSET-FETCH-008";
    let topic = Topic::new(context, 1)?;
    let (one, mut wire) = committed(context, eight, &topic, &[mark(0, 5)])?;
    let (two, _) = committed(context, eight, &topic, &[mark(0, 7)])?;
    let nobody = context.name();
    let asked: [(&Topic, &[i32]); 1] = [(&topic, &[0])];
    let asked: Asked<'_> = Some(&asked);
    let all = [(&one.id[..], asked), (&two.id[..], None), (&nobody[..], asked)];
    let answer = fetch_groups(context, &mut wire, eight, &all)?;
    let names: BTreeSet<&str> = answer.iter().map(|group| &group.group[..]).collect();
    let wanted = BTreeSet::from([&one.id[..], &two.id, &nobody]);
    context.must(eight, answer.len() == 3 && names == wanted, || {
        format!("three groups are answered with {}", answer.told())
    })?;
    for (id, offset) in [(&one.id, 5), (&two.id, 7)] {
        let of_it = answer.iter().find(|group| group.group == *id);
        let got = of_it.map(|group| (group.error, group.of(&topic, 0)));
        // On a cluster another broker may coordinate the second one: that is an entry of its own.
        let is_it = got.as_ref().is_some_and(|(error, found)| {
            *error == 16 || found.first().is_some_and(|position| position.offset == offset)
        });
        context.must(eight, is_it, || format!("offset {offset} was committed: {}", got.told()))?;
    }
    Ok(())
}

/// A group that another broker coordinates than this one.
fn elsewhere(context: &mut Context<'_>, group: &Group) -> Step<Group> {
    let mut wire = context.connect()?;
    let brokers = metadata(context, &mut wire, &[])?.brokers.len();
    // Groups go to brokers by a hash of their names.
    for _ in 0..if brokers > 1 { 100 } else { 0 } {
        let other = Group::new(context)?;
        if other.coordinator != group.coordinator {
            return Ok(other);
        }
    }
    Err(Stop::unsupported(format!("of {brokers} brokers, one coordinates every group")))
}

fn at_another_broker(context: &mut Context<'_>) -> Step {
    let version = context.version();
    let statement = match version {
        ..2 => "K-OFFSET-FETCH-006",
        2..8 => "K-OFFSET-FETCH-007",
        8.. => "K-OFFSET-FETCH-009",
    };
    let topic = Topic::new(context, 2)?;
    let (here, mut wire) = committed(context, statement, &topic, &[mark(0, 5), mark(1, 5)])?;
    let there = elsewhere(context, &here)?;
    let asked: [(&Topic, &[i32]); 1] = [(&topic, &[0, 1])];
    let asked: Asked<'_> = Some(&asked);
    let groups = [(&there.id[..], asked), (&here.id[..], asked)];
    let groups = if version < 8 { &groups[..1] } else { &groups[..] };
    let answer = fetch_groups(context, &mut wire, statement, groups)?;
    let of_it = answer.iter().find(|one| one.group == there.id);
    let top = of_it.map(|one| one.error);
    let all = of_it.map_or(&[][..], |one| &one.all);
    let is_told = match version {
        ..2 => all.len() == 2 && all.iter().all(|one| one.error == NOT_COORDINATOR),
        2.. => top == Some(NOT_COORDINATOR),
    };
    context.must(statement, is_told, || {
        format!("a group of another broker is answered with {}", answer.told())
    })?;
    if version >= 8 {
        let of_it = answer.iter().find(|one| one.group == here.id);
        let offset = |one: &Positions, partition| {
            one.of(&topic, partition).first().map(|position| (position.offset, position.error))
        };
        let is_whole = of_it.is_some_and(|one| {
            one.error == 0 && (0..2).all(|partition| offset(one, partition) == Some((5, 0)))
        });
        context.must(statement, is_whole, || {
            format!("beside a group of another broker, its own is answered with {}", answer.told())
        })?;
    }
    Ok(())
}
