//! DeleteTopics: by name and by id, and what is left of a topic.

use super::admin::{
    INVALID_REQUEST, UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION, create_code, delete, metadata,
    plain, until_metadata,
};
use super::common::{Partition, is_passing, shaped};
use super::records::batch;
use super::told::Told;
use crate::case::{Case, Profile::Admin};
use crate::context::{Context, Step, error_name, resolve};
use crate::findings::Asserts;
use crate::verdict::Stop;
use crate::wire::Wire;
use ottla_protocol::Uuid;
use ottla_protocol::messages::{ApiKey, FetchResponse, Request};

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "delete-topics/unknown",
        Admin,
        (ApiKey::DeleteTopics, 0),
        unknown,
        &["K-DELETE-TOPICS-002", "K-DELETE-TOPICS-003"],
    ),
    Case::each(
        "delete-topics/refused",
        Admin,
        (ApiKey::DeleteTopics, 0),
        refused,
        &["K-DELETE-TOPICS-001", "K-DELETE-TOPICS-009"],
    ),
    Case::each(
        "delete-topics/by-id",
        Admin,
        (ApiKey::DeleteTopics, 6),
        by_id,
        &["K-DELETE-TOPICS-004"],
    ),
    Case::each(
        "delete-topics/made-again",
        Admin,
        (ApiKey::DeleteTopics, 0),
        made_again,
        &["K-DELETE-TOPICS-005", "K-DELETE-TOPICS-007", "K-DELETE-TOPICS-008"],
    ),
    Case::each(
        "delete-topics/fetch-by-an-old-id",
        Admin,
        (ApiKey::Fetch, 13),
        fetch_by_an_old_id,
        &["K-DELETE-TOPICS-006"],
    ),
];

/// The error with which one topic is answered; none without exactly one entry.
fn code_of(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    topic: (Option<&str>, Uuid),
) -> Step<Option<i16>> {
    let answer = delete(context, wire, statement, &[topic])?;
    Ok(if answer.len() == 1 { Some(answer[0].error_code) } else { None })
}

fn expect(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    topic: (Option<&str>, Uuid),
    expected: i16,
) -> Step {
    let code = code_of(context, wire, statement, topic)?;
    context.must(statement, code == Some(expected), || {
        let code = code.map_or_else(|| "no entry of its own".to_owned(), error_name);
        let (expected, topic) = (error_name(expected), topic.told());
        format!("deleting (name, id) {topic} should be {expected}; it is {code}")
    })
}

fn is_gone(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    name: &str,
) -> Step {
    let unknown = UNKNOWN_TOPIC_OR_PARTITION;
    until_metadata(context, wire, statement, name, |topic| topic.error_code == unknown)?;
    context.held(statement);
    Ok(())
}

fn unknown(context: &mut Context<'_>) -> Step {
    let mut wire = context.connect()?;
    let name = context.name();
    let by_name = (Some(&name[..]), Uuid::ZERO);
    expect(context, &mut wire, "K-DELETE-TOPICS-002", by_name, UNKNOWN_TOPIC_OR_PARTITION)?;
    if context.version() >= 6 {
        let by_id = (None, Uuid([0x5a; 16]));
        expect(context, &mut wire, "K-DELETE-TOPICS-003", by_id, UNKNOWN_TOPIC_ID)?;
    }
    Ok(())
}

fn refused(context: &mut Context<'_>) -> Step {
    let topic = Partition::new(context)?;
    let mut wire = context.connect()?;
    let nine = "K-DELETE-TOPICS-009";
    let named = (Some(&topic.topic[..]), Uuid::ZERO);
    let answer = delete(context, &mut wire, nine, &[named, named])?;
    let bad = answer.iter().find(|entry| entry.error_code != INVALID_REQUEST);
    context.must(nine, !answer.is_empty() && bad.is_none(), || {
        format!("a name twice is answered with {}", answer.told())
    })?;
    if context.version() >= 6 {
        let both = (Some(&topic.topic[..]), topic.id);
        expect(context, &mut wire, "K-DELETE-TOPICS-001", both, INVALID_REQUEST)?;
        let by_id = (None, topic.id);
        for twice in [[by_id, by_id], [named, by_id]] {
            let answer = delete(context, &mut wire, nine, &twice)?;
            let bad = answer.iter().find(|entry| entry.error_code != INVALID_REQUEST);
            context.must(nine, !answer.is_empty() && bad.is_none(), || {
                format!("{} are answered with {}", twice.told(), answer.told())
            })?;
        }
    }
    // None of these has deleted it.
    let code = create_code(context, &mut wire, nine, plain(&topic.topic), true)?;
    context.must(nine, code == Some(super::admin::TOPIC_ALREADY_EXISTS), || {
        format!("a dry run to make it again: {}", error_name(code.unwrap_or(-1)))
    })
}

fn by_id(context: &mut Context<'_>) -> Step {
    let topic = Partition::new(context)?;
    let mut wire = context.connect()?;
    let four = "K-DELETE-TOPICS-004";
    expect(context, &mut wire, four, (None, topic.id), 0)?;
    is_gone(context, &mut wire, four, &topic.topic)
}

/// A topic of the same name as one that was deleted: its id, and a connection to its leader.
fn again(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    name: &str,
) -> Step<(Uuid, Wire)> {
    let code = create_code(context, wire, statement, plain(name), false)?;
    if code != Some(0) {
        let text = format!("making it again: {}", error_name(code.unwrap_or(-1)));
        return Err(Stop::blocked(text));
    }
    let topic = until_metadata(context, wire, statement, name, |topic| {
        let is_led = |leader: i32| leader >= 0;
        topic.error_code == 0
            && topic.partitions.iter().all(|one| one.error_code == 0 && is_led(one.leader_id))
    })?;
    let first = topic.partitions.first().map_or(-1, |partition| partition.leader_id);
    let cluster = metadata(context, wire, &[])?;
    let leader = cluster.brokers.iter().find(|broker| broker.node_id == first);
    let leader = leader.ok_or_else(|| Stop::blocked("the leader is no broker"))?;
    let leader = context.connect_to(resolve(&leader.host, leader.port)?)?;
    Ok((topic.topic_id, leader))
}

fn made_again(context: &mut Context<'_>) -> Step {
    let mut topic = Partition::new(context)?;
    topic.append(context, batch(&[b"of the first topic"]))?;
    let mut wire = context.connect()?;
    let (five, seven, eight) =
        ("K-DELETE-TOPICS-005", "K-DELETE-TOPICS-007", "K-DELETE-TOPICS-008");
    let (name, id) = (topic.topic.clone(), topic.id);
    expect(context, &mut wire, seven, (Some(&name), Uuid::ZERO), 0)?;
    is_gone(context, &mut wire, seven, &name)?;
    (topic.id, topic.wire) = again(context, &mut wire, five, &name)?;
    if context.best(ApiKey::Metadata)? >= 10 {
        context.must(five, topic.id != id, || format!("made again, it still has id {id:?}"))?;
    }
    let base = topic.append(context, batch(&[b"of the second topic"]))?;
    let all = topic.read(context, eight, 0)?;
    context.must(eight, base == 0 && all.len() == 1, || {
        format!("its first batch is at {base}; {} batches are read", all.len())
    })
}

fn fetch_by_an_old_id(context: &mut Context<'_>) -> Step {
    let mut topic = Partition::new(context)?;
    let mut wire = context.connect()?;
    let six = "K-DELETE-TOPICS-006";
    let name = topic.topic.clone();
    let code = code_of(context, &mut wire, six, (Some(&name), Uuid::ZERO))?;
    if code != Some(0) {
        let text = format!("DeleteTopics: {}", error_name(code.unwrap_or(-1)));
        return Err(Stop::blocked(text));
    }
    for what in ["deleted", "made again"] {
        if what == "deleted" {
            is_gone(context, &mut wire, six, &name)?;
        } else {
            again(context, &mut wire, six, &name)?;
        }
        let version = context.version();
        let request = Request::Fetch(Box::new(topic.fetch_request(0)));
        let request = shaped(request, version);
        let until = context.deadline();
        loop {
            let answer: FetchResponse = context.call(six, &mut topic.wire, &request)?;
            let entry = answer.responses.first().and_then(|topic| topic.partitions.first());
            let code = entry.map_or(answer.error_code, |entry| entry.error_code);
            if code == UNKNOWN_TOPIC_ID {
                context.held(six);
                break;
            }
            context.must(six, is_passing(code), || {
                format!("{what}, its old id is answered with {}", error_name(code))
            })?;
            context.must_before(six, until, || {
                format!("{what}, its old id is still answered with {}", error_name(code))
            })?;
        }
    }
    Ok(())
}
