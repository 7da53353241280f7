//! ElectLeaders, where no election is needed.

use super::admin::{TIMEOUT_MS, UNKNOWN_TOPIC_OR_PARTITION};
use crate::case::{Case, Profile::Admin};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use crate::wire::Wire;
use ottla_protocol::messages::elect_leaders::TopicPartitions;
use ottla_protocol::messages::{ApiKey, ElectLeadersRequest, ElectLeadersResponse, Request};

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "elect-leaders/named",
        Admin,
        (ApiKey::ElectLeaders, 0),
        named,
        &["K-ELECT-LEADERS-001", "K-ELECT-LEADERS-004"],
    ),
    Case::each(
        "elect-leaders/all",
        Admin,
        (ApiKey::ElectLeaders, 0),
        all,
        &["K-ELECT-LEADERS-002", "K-ELECT-LEADERS-003"],
    ),
];

const ELECTION_NOT_NEEDED: i16 = 84;

/// The error of the whole, and those of partitions.
type Elected = (i16, Vec<(String, i32, i16)>);

fn elect(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    partitions: Option<&[(&str, &[i32])]>,
) -> Step<Elected> {
    let topic = |(topic, partitions): &(&str, &[i32])| TopicPartitions {
        topic: (*topic).to_owned(),
        partitions: partitions.to_vec(),
        ..Default::default()
    };
    let request = Request::ElectLeaders(Box::new(ElectLeadersRequest {
        topic_partitions: partitions.map(|all| all.iter().map(topic).collect()),
        timeout_ms: TIMEOUT_MS,
        ..Default::default()
    }));
    let answer: ElectLeadersResponse = context.call(statement, wire, &request)?;
    let results = answer.replica_election_results.iter().flat_map(|topic| {
        let name = &topic.topic;
        topic.partition_result.iter().map(|one| (name.clone(), one.partition_id, one.error_code))
    });
    Ok((answer.error_code, results.collect()))
}

fn named(context: &mut Context<'_>) -> Step {
    let (one, four) = ("K-ELECT-LEADERS-001", "K-ELECT-LEADERS-004");
    let (topic, mut wire) = context.topic(2)?;
    let nowhere = context.name();
    let asked: [(&str, &[i32]); 2] = [(&topic, &[0, 1, 7]), (&nowhere, &[0])];
    let until = context.deadline();
    loop {
        let (top, results) = elect(context, &mut wire, one, Some(&asked))?;
        let code = |name: &str, index: i32| {
            let found = results.iter().find(|(topic, at, _)| (&topic[..], *at) == (name, index));
            found.map(|(_, _, code)| *code)
        };
        // The controller may hear of the topic later than the broker that was asked for it.
        let led = [code(&topic, 0), code(&topic, 1)];
        if led.contains(&Some(UNKNOWN_TOPIC_OR_PARTITION)) {
            context.must_before(one, until, || format!("at the deadline still {results:?}"))?;
            continue;
        }
        context.must(one, top == 0 && led == [Some(ELECTION_NOT_NEEDED); 2], || {
            let (expected, top) = (error_name(ELECTION_NOT_NEEDED), error_name(top));
            format!("led by their preferred leader they should be {expected}: {top}, {results:?}")
        })?;
        let unknown = [code(&topic, 7), code(&nowhere, 0)];
        return context.must(four, unknown == [Some(UNKNOWN_TOPIC_OR_PARTITION); 2], || {
            let expected = error_name(UNKNOWN_TOPIC_OR_PARTITION);
            format!("partitions that do not exist should be {expected}: {results:?}")
        });
    }
}

fn all(context: &mut Context<'_>) -> Step {
    let (two, three) = ("K-ELECT-LEADERS-002", "K-ELECT-LEADERS-003");
    let (topic, mut wire) = context.topic(2)?;
    let (top, results) = elect(context, &mut wire, two, None)?;
    context.must(two, top == 0, || format!("a null list: {}", error_name(top)))?;
    let own: Vec<_> = results.iter().filter(|(name, _, _)| *name == topic).collect();
    context.must(three, own.is_empty(), || {
        format!("of all partitions, those that need no election are answered: {own:?}")
    })?;
    let needless = results.iter().filter(|(_, _, code)| *code == ELECTION_NOT_NEEDED).count();
    context.must(three, needless == 0, || {
        format!("of all partitions, {needless} are answered with 84")
    })
}
