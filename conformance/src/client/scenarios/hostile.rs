//! Answers that are broken, or are none at all.

use super::reframed;
use crate::client::Scenario;
use crate::client::act::Act;
use crate::client::play::{Play, Step, record};
use crate::findings::Asserts;
use crate::verdict::Stop;
use ottla_protocol::messages::ApiKey;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const ARRAY: &str = "K-CLIENT-HOSTILE-001";
const TRUNCATED: &str = "K-CLIENT-HOSTILE-002";
const NEGATIVE: &str = "K-CLIENT-HOSTILE-003";
const TWO_GIGABYTES: &str = "K-CLIENT-HOSTILE-004";
const HTTP: &str = "K-CLIENT-HOSTILE-005";
const LEFT_OVER: &str = "K-CLIENT-HOSTILE-006";
const UNKNOWN_ERROR: &str = "K-CLIENT-HOSTILE-013";

/// How often is looked whether a client asks again.
const LOOK: Duration = Duration::from_millis(50);

/// Memory that a client may take for an answer which claims to be of two gigabytes.
const TAKEN_KB_MAX: u64 = 1 << 20;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new("client/array-longer-than-its-answer", array, &[ARRAY]),
    Scenario::new("client/array-longer-in-produce", array_in_produce, &[ARRAY]),
    Scenario::new("client/answer-is-cut", cut, &[TRUNCATED]),
    Scenario::new("client/answer-is-cut-in-produce", cut_in_produce, &[TRUNCATED]),
    Scenario::new("client/negative-frame-length", negative, &[NEGATIVE]),
    Scenario::new("client/frame-of-two-gigabytes", two_gigabytes, &[TWO_GIGABYTES]),
    Scenario::new("client/http-answer", http, &[HTTP]),
    Scenario::new("client/garbage", garbage, &[TRUNCATED]),
    Scenario::new("client/bytes-left-over", left_over, &[LEFT_OVER]),
    Scenario::new("client/unknown-error-code", unknown_error, &[UNKNOWN_ERROR]),
];

fn quick() -> Value {
    json!({"request_timeout_ms": 1500, "delivery_timeout_ms": 5000})
}

/// Breaks every answer of an API; the record has to end in an error, and the shim well.
fn must_fail(
    play: &mut Play<'_>,
    statement: &'static str,
    api: ApiKey,
    damage: fn(Vec<u8>) -> Vec<u8>,
) -> Step {
    play.topic(1);
    play.cluster.rule(move |seen, _| seen.is(api).then(|| Act::mangle(damage)));
    let sent = play.produce(quick(), &[record(0, "a")])?;
    let name = api.name();
    play.must(statement, sent[0].end.is_err(), || {
        format!("each answer to {name} is broken, and a record {}", sent[0].ended())
    })
}

/// Puts a count of a thousand million where the first array begins: of Metadata behind the
/// throttle time, of Produce at once.
fn lie_in_metadata(mut frame: Vec<u8>) -> Vec<u8> {
    // Length, correlation id, tags, throttle time; a compact array counts in a varint.
    frame.splice(13..14, [0xff, 0xff, 0xff, 0xff, 0x07]);
    reframed(frame)
}

fn array(play: &mut Play<'_>) -> Step {
    play.cluster.with(|state| state.list(ApiKey::Metadata, 9, 13));
    must_fail(play, ARRAY, ApiKey::Metadata, lie_in_metadata)?;
    play.needs(ApiKey::Metadata, 9)
}

fn array_in_produce(play: &mut Play<'_>) -> Step {
    play.cluster.with(|state| state.list(ApiKey::Produce, 3, 8));
    must_fail(play, ARRAY, ApiKey::Produce, |mut frame| {
        frame[8..12].copy_from_slice(&0x7fff_ffff_u32.to_be_bytes());
        frame
    })
}

fn half(mut frame: Vec<u8>) -> Vec<u8> {
    let kept = 8 + (frame.len() - 8) / 2;
    frame.truncate(kept);
    reframed(frame)
}

fn cut(play: &mut Play<'_>) -> Step {
    must_fail(play, TRUNCATED, ApiKey::Metadata, half)
}

fn cut_in_produce(play: &mut Play<'_>) -> Step {
    must_fail(play, TRUNCATED, ApiKey::Produce, half)
}

fn garbage(play: &mut Play<'_>) -> Step {
    must_fail(play, TRUNCATED, ApiKey::Metadata, |mut frame| {
        for (at, byte) in frame.iter_mut().enumerate().skip(8) {
            *byte = (at as u8).wrapping_mul(151) ^ 0x5c;
        }
        frame
    })
}

/// Sends this in place of each answer to Produce, and nothing more on the connection.
fn in_place_of_answers(play: &Play<'_>, bytes: &'static [u8]) {
    play.cluster.rule(move |seen, _| {
        seen.is(ApiKey::Produce).then(|| Act::mangle(move |_| bytes.to_vec()))
    });
}

fn negative(play: &mut Play<'_>) -> Step {
    play.topic(1);
    in_place_of_answers(play, &[0xff, 0xff, 0xff, 0xf0, 0, 0, 0, 0]);
    let mut producer = play.producer(quick())?;
    producer.send(&record(0, "a"));
    let sent = producer.sent(0)?;
    play.must(NEGATIVE, sent.end.is_err(), || format!("the record {}", sent.ended()))?;
    let seen = play.seen(ApiKey::Produce);
    let again = seen.iter().skip(1).find(|again| again.connection == seen[0].connection);
    play.must(NEGATIVE, again.is_none(), || {
        format!("it went on: {}", again.map(|seen| seen.shown()).unwrap_or_default())
    })
}

/// What the process may use at most so far, in KiB; none where that cannot be known.
fn peak_kb(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

fn two_gigabytes(play: &mut Play<'_>) -> Step {
    play.topic(1);
    let mut producer = play.producer(quick())?;
    producer.send(&record(0, "a"));
    producer.sent(0)?;
    let Some(before) = peak_kb(producer.shim.process()) else {
        return Err(Stop::unsupported("the memory of a process is known on Linux only"));
    };
    let asked = play.seen(ApiKey::Produce).len() + 1;
    in_place_of_answers(play, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1]);
    producer.send(&record(0, "b"));
    // Not every client has a limit for a record as a whole, but one that asks again lives.
    let until = play.deadline();
    let (sent, lives) = loop {
        let sent = producer.sent_by(until.min(Instant::now() + LOOK), 1)?;
        let lives = sent.is_some() || play.seen(ApiKey::Produce).len() > asked;
        if lives || Instant::now() >= until {
            break (sent, lives);
        }
    };
    let after = peak_kb(producer.shim.process()).unwrap_or(before);
    let taken = after.saturating_sub(before);
    play.must(TWO_GIGABYTES, taken < TAKEN_KB_MAX, || {
        format!("for a frame that claims 2 GB the process took {} MB more", taken >> 10)
    })?;
    play.must(TWO_GIGABYTES, lives, || {
        "after a frame that claims 2 GB it neither told the record's end nor asked again".to_owned()
    })?;
    let Some(sent) = sent else { return Ok(()) };
    play.must(TWO_GIGABYTES, sent.end.is_err(), || format!("the record {}", sent.ended()))
}

fn http(play: &mut Play<'_>) -> Step {
    play.topic(1);
    let text: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    play.cluster.rule(move |_, _| Some(Act::mangle(move |_| text.to_vec()).and_close()));
    let mut producer = play.producer(quick())?;
    producer.send(&record(0, "a"));
    let began = Instant::now();
    let sent = producer.sent(0)?;
    let took = began.elapsed();
    play.must(HTTP, sent.end.is_err() && took < Duration::from_secs(15), || {
        format!("after {} ms the record {}", took.as_millis(), sent.ended())
    })
}

fn left_over(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.first(ApiKey::Produce, 1, || {
        Act::mangle(|mut frame| {
            frame.extend_from_slice(&[1, 2, 3, 4, 5]);
            reframed(frame)
        })
    });
    let sent = play.produce(quick(), &[record(0, "a")])?;
    let asked = play.seen(ApiKey::Produce).len();
    play.note(
        LEFT_OVER,
        match &sent[0].end {
            Ok(_) if asked == 1 => "bytes behind an answer are ignored".to_owned(),
            Ok(_) => "the request is sent again".to_owned(),
            Err(failure) => format!("an error is told: {}", failure.shown()),
        },
    );
    Ok(())
}

fn unknown_error(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.cluster.rule(|seen, _| seen.is(ApiKey::Produce).then(|| Act::refuse(9_999)));
    let sent = play.produce(quick(), &[record(0, "a")])?;
    play.must(UNKNOWN_ERROR, sent[0].end.is_err(), || {
        format!("its answer had error 9999, and a record {}", sent[0].ended())
    })
}
