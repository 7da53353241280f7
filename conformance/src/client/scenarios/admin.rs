//! Administration, and which node is asked what.

use crate::client::Scenario;
use crate::client::act::Act;
use crate::client::log::batch;
use crate::client::play::{Failure, Play, Step, TOPIC};
use crate::client::words::listed;
use crate::findings::Asserts;
use crate::verdict::Stop;
use ottla_protocol::messages::{ApiKey, Request, Response};
use serde_json::{Value, json};

const MESSAGE: &str = "K-CLIENT-ADMIN-002";
const CONTROLLER: &str = "K-CLIENT-ADMIN-003";
const COORDINATOR: &str = "K-CLIENT-ADMIN-004";
const LEADERS: &str = "K-CLIENT-ADMIN-005";
const MISSING: &str = "K-CLIENT-ADMIN-006";

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new("client/error-message-is-told", message, &[MESSAGE]),
    Scenario::new("client/controller-moved", controller, &[CONTROLLER]),
    Scenario::new("client/groups-at-their-coordinator", coordinator, &[COORDINATOR]),
    Scenario::new("client/partitions-at-their-leaders", leaders, &[LEADERS]),
    Scenario::new("client/answer-lacks-the-topic", lacks, &[MISSING]),
];

/// Creates a topic.
fn create(play: &mut Play<'_>) -> Step<Result<Value, Failure>> {
    let mut admin = play.admin()?;
    let line = json!({
        "operation": "create-topic", "topic": "made", "partitions": 1, "replication": 1,
    });
    admin.send(&line);
    let answer = admin.answer(0)?;
    admin.end()?;
    Ok(answer)
}

/// What a client made of an operation.
fn told_as(answer: &Result<Value, Failure>) -> String {
    match answer {
        Ok(answer) => format!("told success, {answer}"),
        Err(failure) => format!("told the error {}", failure.shown()),
    }
}

fn message(play: &mut Play<'_>) -> Step {
    let text = "the name of the topic rhymes";
    play.cluster.rule(move |seen, _| {
        seen.is(ApiKey::CreateTopics).then(|| {
            Act::edit(move |answer| {
                let Response::CreateTopics(answer) = answer else { return };
                for topic in &mut answer.topics {
                    (topic.error_code, topic.error_message) = (44, Some(text.to_owned()));
                }
            })
        })
    });
    let answer = create(play)?;
    play.needs(ApiKey::CreateTopics, 1)?;
    let told = answer.as_ref().is_err_and(|failure| failure.shown().contains(text));
    play.must(MESSAGE, told, || {
        format!("the broker said {text:?}, the client {}", told_as(&answer))
    })
}

fn controller(play: &mut Play<'_>) -> Step {
    play.cluster.with(|state| state.nodes = [1, 2].into());
    play.cluster.rule(|seen, state| {
        if !seen.is(ApiKey::CreateTopics) || seen.node == 2 {
            return None;
        }
        state.controller = 2;
        Some(Act::refuse(41))
    });
    let answer = create(play)?;
    play.must(CONTROLLER, answer.is_ok(), || {
        format!("the topic was not made: the client {}", told_as(&answer))
    })?;
    let at_2 = play.seen(ApiKey::CreateTopics).iter().any(|seen| seen.node == 2);
    play.must(CONTROLLER, at_2, || "the new controller was not asked".to_owned())
}

fn coordinator(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 1)]);
    play.cluster.with(|state| {
        state.nodes = [1, 2].into();
        state.group.coordinator = 2;
    });
    play.consume(json!({}), 1)?;
    let apis = [ApiKey::JoinGroup, ApiKey::OffsetFetch, ApiKey::OffsetCommit];
    let seen = play.cluster.seen();
    let of_group = || seen.iter().filter(|seen| apis.iter().any(|api| seen.is(*api)));
    let astray = of_group().find(|seen| seen.node != 2);
    play.must(COORDINATOR, astray.is_none() && of_group().count() > 0, || {
        let shown = astray.map(|seen| seen.shown()).unwrap_or_default();
        format!("the coordinator is node 2: {shown}")
    })
}

fn leaders(play: &mut Play<'_>) -> Step {
    play.topic(2);
    play.store(0, [batch(0, 1)]);
    play.store(1, [batch(0, 1)]);
    play.cluster.with(|state| {
        state.nodes = [1, 2].into();
        let log = state.partition(TOPIC, 1);
        (log.leader, log.replicas) = (2, vec![2]);
    });
    play.consume(json!({}), 2)?;
    let asked: Vec<_> = play.seen(ApiKey::ListOffsets);
    if asked.is_empty() {
        return Err(Stop::unsupported("the client does not ask ListOffsets"));
    }
    for seen in asked {
        let Ok(Request::ListOffsets(ask)) = &seen.request else { continue };
        let partitions = ask.topics.iter().flat_map(|topic| &topic.partitions);
        let indexes: Vec<i32> = partitions.map(|partition| partition.partition_index).collect();
        let fits = indexes.iter().all(|index| index + 1 == seen.node);
        play.must(LEADERS, fits, || {
            format!("{} has partitions {}", seen.shown(), listed(&indexes))
        })?;
    }
    Ok(())
}

fn lacks(play: &mut Play<'_>) -> Step {
    play.cluster.rule(|seen, _| {
        seen.is(ApiKey::CreateTopics).then(|| {
            Act::edit(|answer| {
                if let Response::CreateTopics(answer) = answer {
                    answer.topics.clear();
                }
            })
        })
    });
    let answer = create(play)?;
    play.must(MISSING, answer.is_err(), || {
        format!("the answer has no topic, and the client {}", told_as(&answer))
    })
}
