//! Frames, answers that come in odd ways, and connections that end.

use super::reframed;
use crate::client::Scenario;
use crate::client::act::Act;
use crate::client::cluster::nobodys_address;
use crate::client::log::batch;
use crate::client::play::{Play, Sent, Step, record};
use crate::client::words::{listed, quoted};
use crate::findings::Asserts;
use crate::verdict::Stop;
use ottla_protocol::header;
use ottla_protocol::messages::{ApiKey, Response};
use serde_json::json;
use std::time::Duration;

const HEADER_TAGS: &str = "K-CLIENT-CONNECTION-011";
const BODY_TAGS: &str = "K-CLIENT-CONNECTION-012";
const BY_BYTE: &str = "K-CLIENT-CONNECTION-013";
const TOGETHER: &str = "K-CLIENT-CONNECTION-014";
const CORRELATION: &str = "K-CLIENT-CONNECTION-015";
const CLIENT_ID: &str = "K-CLIENT-CONNECTION-016";
const HEADER_1: &str = "K-CLIENT-CONNECTION-017";
const THROTTLED: &str = "K-CLIENT-CONNECTION-018";
const USED_AT_ONCE: &str = "K-CLIENT-CONNECTION-019";
const HALF_CLOSED: &str = "K-CLIENT-CONNECTION-020";
const BACKS_OFF: &str = "K-CLIENT-CONNECTION-021";
const TIMES_OUT: &str = "K-CLIENT-CONNECTION-022";
const LATE: &str = "K-CLIENT-CONNECTION-023";
const NOT_SHARED: &str = "K-CLIENT-CONNECTION-024";
const NEXT_ADDRESS: &str = "K-CLIENT-CONNECTION-025";
const REBOOTSTRAP: &str = "K-CLIENT-CONNECTION-026";

/// An offset that no log here has.
const ELSEWHERE: i64 = 4242;
/// What a broker asks the client to keep quiet for.
const THROTTLE: Duration = Duration::from_millis(1500);
/// When an answer comes that a client has given up waiting for.
const LATE_AFTER: Duration = Duration::from_millis(2500);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new("client/unknown-tags-in-the-header", header_tags, &[HEADER_TAGS]),
    Scenario::new("client/unknown-tags-in-the-body", body_tags, &[BODY_TAGS]),
    Scenario::new("client/answers-byte-by-byte", by_byte, &[BY_BYTE]),
    Scenario::new("client/answers-together", together, &[TOGETHER]),
    Scenario::new("client/wrong-correlation-id", correlation, &[CORRELATION]),
    Scenario::new("client/client-id", client_id, &[CLIENT_ID]),
    Scenario::new("client/response-headers", headers, &[HEADER_1]),
    Scenario::new("client/throttled", throttled, &[USED_AT_ONCE, THROTTLED]),
    Scenario::new("client/half-closed", half_closed, &[HALF_CLOSED]),
    Scenario::new("client/cannot-connect", cannot_connect, &[BACKS_OFF]),
    Scenario::new("client/no-answer", no_answer, &[TIMES_OUT]),
    Scenario::new("client/late-answer", late_answer, &[LATE]),
    Scenario::new("client/fetch-has-its-connection", own_connection, &[NOT_SHARED]),
    Scenario::new("client/bootstrap-address-is-gone", next_address, &[NEXT_ADDRESS]),
    Scenario::new("client/rebootstrap-required", rebootstrap, &[REBOOTSTRAP]),
];

/// Writes a record and reads one back.
fn there_and_back(play: &mut Play<'_>, statement: &'static str) -> Step {
    play.topic(1);
    let sent = play.produce(json!({}), &[record(0, "a")])?;
    play.must_be_written(statement, &sent)?;
    play.consume(json!({}), 1)?;
    Ok(())
}

/// UNSUPPORTED where the client asked nothing in a flexible version.
fn needs_flexible(play: &Play<'_>) -> Step {
    let is_flexible = |key: i16, version: i16| {
        let api = ApiKey::from_code(key);
        api.is_some_and(|api| header::request_header_version(api, version) >= 2)
    };
    if play.cluster.seen().iter().any(|seen| is_flexible(seen.key, seen.version)) {
        return Ok(());
    }
    Err(Stop::unsupported("the client asks nothing in a flexible version"))
}

fn header_tags(play: &mut Play<'_>) -> Step {
    play.cluster.rule(|seen, _| {
        let api = ApiKey::from_code(seen.key)?;
        (header::response_header_version(api, seen.version) >= 1).then(|| {
            Act::mangle(|mut frame| {
                // Behind the length and the correlation id: the number of tagged fields.
                frame.splice(8..9, [2, 88, 3, 1, 2, 3, 99, 0]);
                reframed(frame)
            })
        })
    });
    there_and_back(play, HEADER_TAGS)?;
    needs_flexible(play)
}

fn body_tags(play: &mut Play<'_>) -> Step {
    play.cluster.rule(|seen, _| {
        let api = ApiKey::from_code(seen.key)?;
        (header::request_header_version(api, seen.version) >= 2).then(|| {
            Act::mangle(|mut frame| {
                // Every answer ends with the number of its tagged fields, here none.
                if frame.pop() == Some(0) {
                    frame.extend_from_slice(&[1, 88, 3, 1, 2, 3]);
                }
                reframed(frame)
            })
        })
    });
    there_and_back(play, BODY_TAGS)?;
    needs_flexible(play)
}

fn by_byte(play: &mut Play<'_>) -> Step {
    play.cluster.rule(|_, _| Some(Act::plain().by_byte()));
    there_and_back(play, BY_BYTE)
}

fn together(play: &mut Play<'_>) -> Step {
    play.topic(1);
    let both = [ApiKey::Produce, ApiKey::Fetch];
    play.cluster
        .rule(move |seen, _| both.iter().any(|api| seen.is(*api)).then(|| Act::plain().held()));
    let records: Vec<_> = (0..20).map(|n| record(0, &format!("{n}"))).collect();
    let settings = json!({"linger_ms": 0, "config": {"batch.size": 100}});
    let sent = play.produce(settings, &records)?;
    play.must_be_written(TOGETHER, &sent)?;
    play.consume(json!({}), 20)?;
    Ok(())
}

/// FAIL where a record was told to have the offset of an answer that was not its own.
fn must_not_be_elsewhere(play: &mut Play<'_>, statement: &'static str, sent: &[Sent]) -> Step {
    let mut ends = sent.iter().map(|sent| sent.end.as_ref().ok());
    let taken = ends.any(|end| end.is_some_and(|(_, offset)| *offset == ELSEWHERE));
    play.must(statement, !taken, || {
        format!("a record has offset {ELSEWHERE}, of an answer that is not to its request")
    })
}

/// Tells a record's success at an offset that no log has, and stores nothing.
fn elsewhere() -> Act {
    Act::refuse(0).edited(|answer| {
        let Response::Produce(answer) = answer else { return };
        let partitions = answer.responses.iter_mut().flat_map(|t| &mut t.partition_responses);
        partitions.for_each(|partition| partition.base_offset = ELSEWHERE);
    })
}

fn correlation(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.first(ApiKey::Produce, 1, || {
        elsewhere().mangled(|mut frame| {
            frame[4] ^= 0x40;
            frame
        })
    });
    let settings = json!({"request_timeout_ms": 1500, "delivery_timeout_ms": 6000});
    let sent = play.produce(settings, &[record(0, "a")])?;
    must_not_be_elsewhere(play, CORRELATION, &sent)
}

fn client_id(play: &mut Play<'_>) -> Step {
    play.topic(1);
    let settings = json!({"config": {"client.id": "played-client"}});
    play.produce(settings, &[record(0, "a")])?;
    needs_flexible(play)?;
    let seen = play.cluster.seen();
    // ApiVersions may be asked in a version that is newer than the suite.
    let newest = *ApiKey::ApiVersions.stable_versions().end();
    for seen in &seen {
        if seen.is(ApiKey::ApiVersions) && seen.version > newest {
            continue;
        }
        let why = seen.request.as_ref().err();
        play.must(CLIENT_ID, why.is_none(), || {
            format!("{} cannot be read: {}", seen.shown(), why.cloned().unwrap_or_default())
        })?;
    }
    let ids: Vec<_> = seen.iter().map(|seen| seen.client_id.clone()).collect();
    let is_plain = |id: &Option<String>| {
        id.as_ref().is_none_or(|id| id.chars().all(|letter| letter.is_ascii_graphic()))
    };
    play.must(CLIENT_ID, ids.iter().all(is_plain), || {
        format!("client ids: {}", listed(ids.iter().map(|id| quoted(id.as_deref()))))
    })
}

fn headers(play: &mut Play<'_>) -> Step {
    there_and_back(play, HEADER_1)?;
    needs_flexible(play)
}

fn throttled(play: &mut Play<'_>) -> Step {
    play.topic(1);
    let ms = THROTTLE.as_millis() as i32;
    play.first(ApiKey::Produce, 1, move || {
        Act::edit(move |answer| {
            if let Response::Produce(answer) = answer {
                answer.throttle_time_ms = ms;
            }
        })
    });
    let mut producer = play.producer(json!({}))?;
    producer.send(&record(0, "a"));
    let first = producer.sent(0)?;
    producer.send(&record(0, "b"));
    let second = producer.sent(1)?;
    play.must_be_written(USED_AT_ONCE, &[first.clone(), second])?;
    play.needs(ApiKey::Produce, 6)?;
    let seen = play.cluster.seen();
    let asked = seen.iter().find(|seen| seen.is(ApiKey::Produce)).expect("it was answered");
    let took = first.at.duration_since(play.cluster.began()).saturating_sub(asked.at);
    play.should(USED_AT_ONCE, took < THROTTLE * 2 / 3, || {
        format!("the record was told {} ms after its request", took.as_millis())
    });
    let (from, until) = (asked.at + Duration::from_millis(20), asked.at + THROTTLE * 9 / 10);
    let early = seen
        .iter()
        .find(|seen| seen.connection == asked.connection && seen.at > from && seen.at < until);
    play.should(THROTTLED, early.is_none(), || {
        let shown = early.map(|seen| seen.shown()).unwrap_or_default();
        format!("told to wait {ms} ms after {} ms, it sent {shown}", asked.at.as_millis())
    });
    Ok(())
}

fn half_closed(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.first(ApiKey::Produce, 1, || Act::plain().and_half_close());
    let mut producer = play.producer(json!({}))?;
    producer.send(&record(0, "a"));
    producer.sent(0)?;
    producer.send(&record(0, "b"));
    let second = producer.sent(1)?;
    play.must_be_written(HALF_CLOSED, &[second])?;
    let seen = play.seen(ApiKey::Produce);
    let connections: Vec<_> = seen.iter().map(|seen| seen.connection).collect();
    let other = connections.last() != connections.first();
    play.must(HALF_CLOSED, other, || {
        format!("Produce came on connections {}", listed(&connections))
    })
}

fn cannot_connect(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.cluster.with(|state| state.refusing.insert(1));
    let settings = json!({"delivery_timeout_ms": 3000, "request_timeout_ms": 1000});
    let mut producer = play.producer(settings)?;
    producer.send(&record(0, "a"));
    let within = Duration::from_secs(2);
    producer.sent(0)?;
    let made: Vec<Duration> =
        play.cluster.with(|state| state.connections.iter().map(|(.., at)| *at).collect());
    let Some(first) = made.first() else {
        return Err(Stop::blocked("the client did not connect"));
    };
    let count = made.iter().filter(|at| **at < *first + within).count();
    play.must(BACKS_OFF, count <= 100, || {
        format!("{count} connections within {} s of the first", within.as_secs())
    })
}

fn no_answer(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.first(ApiKey::Produce, 1, Act::ignore);
    let settings = json!({"request_timeout_ms": 1000, "delivery_timeout_ms": 6000});
    let sent = play.produce(settings, &[record(0, "a")])?;
    let asked = play.seen(ApiKey::Produce).len();
    play.must(TIMES_OUT, asked >= 2 || sent[0].end.is_err(), || {
        "a record was written by a request that was not answered".to_owned()
    })
}

fn late_answer(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.first(ApiKey::Produce, 1, || elsewhere().after(LATE_AFTER));
    let settings = json!({"request_timeout_ms": 1000, "delivery_timeout_ms": 8000});
    let sent = play.produce(settings, &[record(0, "a")])?;
    let seen = play.seen(ApiKey::Produce);
    let again = seen.get(1).is_some_and(|again| again.at < seen[0].at + LATE_AFTER);
    let moved = play
        .cluster
        .with(|state| state.connections.iter().filter(|(.., at)| *at > seen[0].at).count());
    if !again && moved == 0 && sent[0].end.is_ok() {
        return Err(Stop::unsupported("the client waits longer than request.timeout.ms says"));
    }
    must_not_be_elsewhere(play, LATE, &sent)
}

fn own_connection(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 3)]);
    let mut consumer = play.consumer(json!({}))?;
    consumer.deliver(3)?;
    play.must_see(NOT_SHARED, "second heartbeat and fetch", |state| {
        state.count(ApiKey::Heartbeat) >= 2 && state.count(ApiKey::Fetch) >= 2
    })?;
    consumer.end()?;
    let of = |apis: &[ApiKey]| {
        let seen = play.cluster.seen();
        let of_these = seen.into_iter().filter(|seen| apis.iter().any(|api| seen.is(*api)));
        of_these.map(|seen| seen.connection).collect::<Vec<_>>()
    };
    let waiting = of(&[ApiKey::Fetch]);
    let shared = of(&[ApiKey::Heartbeat]).into_iter().find(|number| waiting.contains(number));
    play.should(NOT_SHARED, shared.is_none(), || {
        format!("connection {} has Fetch and Heartbeat", shared.unwrap_or_default())
    });
    Ok(())
}

fn next_address(play: &mut Play<'_>) -> Step {
    play.topic(1);
    let nobody = nobodys_address().map_err(|error| Stop::harness(error.to_string()))?;
    let bootstrap = format!("{nobody},{}", play.cluster.address(1));
    let sent = play.produce(json!({"bootstrap": bootstrap}), &[record(0, "a")])?;
    play.must_be_written(NEXT_ADDRESS, &sent)
}

/// Node 1 is the bootstrap address, and tells of node 2 only; that one knows no way any more.
fn rebootstrap(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.cluster.with(|state| {
        state.nodes = [2].into();
        state.partition(crate::client::play::TOPIC, 0).move_to(2);
    });
    play.cluster.rule(|seen, state| {
        if seen.node == 2 && seen.is(ApiKey::Produce) {
            state.nodes = [1].into();
            state.partition(crate::client::play::TOPIC, 0).move_to(1);
            return Some(Act::refuse(6));
        }
        (seen.node == 2 && seen.is(ApiKey::Metadata) && seen.version >= 13).then(|| {
            Act::edit(|answer| {
                if let Response::Metadata(answer) = answer {
                    answer.error_code = 129;
                    answer.brokers.clear();
                    answer.topics.clear();
                }
            })
        })
    });
    let sent = play.produce(json!({}), &[record(0, "a")])?;
    play.needs(ApiKey::Metadata, 13)?;
    let asked = play.seen(ApiKey::Metadata).iter().any(|seen| seen.node == 2);
    if !asked {
        return Err(Stop::unsupported("the client asks its bootstrap address for metadata"));
    }
    play.must_be_written(REBOOTSTRAP, &sent)
}
