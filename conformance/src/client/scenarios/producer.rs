//! What a producer sends: batches, sequences, errors and retries.

use crate::client::Scenario;
use crate::client::act::Act;
use crate::client::cluster::Seen;
use crate::client::play::{Play, Sent, Step, TOPIC, record};
use crate::client::words::{listed, or_none};
use crate::findings::Asserts;
use crate::verdict::Stop;
use ottla_protocol::messages::produce::BatchIndexAndErrorMessage;
use ottla_protocol::messages::{ApiKey, Request, Response};
use ottla_protocol::records::header::{BatchHeader, next_sequence};
use ottla_protocol::records::{Decompressor, RecordBatch};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const ONE_BATCH: &str = "K-CLIENT-PRODUCER-001";
const FROM_0: &str = "K-CLIENT-PRODUCER-002";
const SAME_SEQUENCE: &str = "K-CLIENT-PRODUCER-003";
const SEQUENCES_RISE: &str = "K-CLIENT-PRODUCER-004";
const IN_ORDER: &str = "K-CLIENT-PRODUCER-006";
const ORIGINAL_OFFSET: &str = "K-CLIENT-PRODUCER-007";
const DUPLICATE: &str = "K-CLIENT-PRODUCER-008";
const NO_GAP: &str = "K-CLIENT-PRODUCER-009";
const OUT_OF_ORDER: &str = "K-CLIENT-PRODUCER-010";
const NEW_EPOCH: &str = "K-CLIENT-PRODUCER-011";
const SPLITS: &str = "K-CLIENT-PRODUCER-012";
const TOO_LARGE: &str = "K-CLIENT-PRODUCER-013";
const NO_ANSWER: &str = "K-CLIENT-PRODUCER-014";
const RECORD_ERRORS: &str = "K-CLIENT-PRODUCER-015";
const IN_TIME: &str = "K-CLIENT-PRODUCER-016";
const RETRIES: &str = "K-CLIENT-PRODUCER-017";
const FAILS_AT_ONCE: &str = "K-CLIENT-PRODUCER-018";

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new("client/batches", batches, &[ONE_BATCH, FROM_0, SEQUENCES_RISE]),
    Scenario::new("client/lost-answer", lost_answer, &[SAME_SEQUENCE, ORIGINAL_OFFSET]),
    Scenario::new("client/lost-request", lost_request, &[SAME_SEQUENCE]),
    Scenario::new("client/retries-keep-the-order", retries_in_order, &[IN_ORDER, OUT_OF_ORDER]),
    Scenario::new("client/duplicate-is-success", duplicate, &[DUPLICATE]),
    Scenario::new("client/given-up-leaves-no-gap", no_gap, &[NO_GAP]),
    Scenario::new("client/unknown-producer-id", unknown_producer, &[NEW_EPOCH]),
    Scenario::new("client/too-large-is-split", split, &[SPLITS]),
    Scenario::new("client/record-too-large", too_large, &[TOO_LARGE]),
    Scenario::new("client/acks-0", acks_0, &[NO_ANSWER]),
    Scenario::new("client/record-errors", record_errors, &[RECORD_ERRORS]),
    Scenario::new("client/delivery-timeout", delivery_timeout, &[IN_TIME]),
    Scenario::new("client/retriable-error", retriable, &[RETRIES]),
    Scenario::new("client/error-that-lasts", not_retriable, &[FAILS_AT_ONCE]),
];

/// A batch that a client sent.
pub(super) struct SentBatch {
    pub(super) seen: std::sync::Arc<Seen>,
    pub(super) partition: i32,
    pub(super) bytes: ottla_protocol::Bytes,
    pub(super) header: BatchHeader,
}

/// Every batch of every Produce, in order; what cannot be read fails the statement.
pub(super) fn sent_batches(play: &mut Play<'_>, statement: &'static str) -> Step<Vec<SentBatch>> {
    let mut batches = Vec::new();
    for seen in play.seen(ApiKey::Produce) {
        let Ok(Request::Produce(ask)) = &seen.request else { continue };
        for partition in ask.topic_data.iter().flat_map(|topic| &topic.partition_data) {
            let bytes = partition.records.clone().unwrap_or_default();
            let batch = RecordBatch::parse(bytes.clone());
            let batch = batch.and_then(|batch| batch.verify_crc().map(|()| batch));
            match batch {
                Ok(batch) => batches.push(SentBatch {
                    seen: seen.clone(),
                    partition: partition.index,
                    bytes,
                    header: *batch.header(),
                }),
                Err(why) => {
                    let shown = seen.shown();
                    play.must(statement, false, || format!("{shown}: {why}"))?;
                }
            }
        }
    }
    Ok(batches)
}

/// The values of all records in the log of partition 0, in its order.
fn stored(play: &Play<'_>) -> Vec<String> {
    let batches = play.cluster.with(|state| state.partition(TOPIC, 0).batches.clone());
    let mut values = Vec::new();
    for (_, _, bytes) in batches {
        let records = RecordBatch::parse(bytes)
            .and_then(|batch| batch.records(&mut Decompressor::new()))
            .expect("the leader has checked it");
        for record in records.iter() {
            let record = record.expect("the leader has checked it");
            let value = record.value.unwrap_or_default();
            values.push(String::from_utf8_lossy(value).into_owned());
        }
    }
    values
}

/// UNSUPPORTED where the batches have no producer id.
fn needs_idempotence(batches: &[SentBatch]) -> Step {
    if batches.iter().any(|batch| batch.header.producer_id >= 0) {
        return Ok(());
    }
    Err(Stop::unsupported("the client's batches have no producer id"))
}

/// Settings that let a producer send several batches at once.
fn many_batches() -> serde_json::Value {
    let config = json!({"batch.size": 120, "max.in.flight.requests.per.connection": 5});
    json!({"linger_ms": 0, "idempotence": true, "config": config})
}

fn batches(play: &mut Play<'_>) -> Step {
    play.topic(2);
    let records: Vec<_> = (0..30).map(|n| record(n % 2, &format!("{n}"))).collect();
    let sent = play.produce(many_batches(), &records)?;
    play.must_be_written(ONE_BATCH, &sent)?;
    let batches = sent_batches(play, ONE_BATCH)?;
    for batch in &batches {
        let shown = batch.seen.shown();
        let (whole, has) = (batch.header.size_in_bytes(), batch.bytes.len());
        play.must(ONE_BATCH, whole == has, || {
            format!("{shown}: a batch of {whole} bytes in records of {has}")
        })?;
        let (count, first) = (batch.header.record_count, batch.header.base_offset);
        let delta = batch.header.last_offset_delta;
        play.must(FROM_0, first == 0 && delta == count - 1, || {
            format!("{shown}: {count} records, base offset {first}, last offset delta {delta}")
        })?;
    }
    needs_idempotence(&batches)?;
    let mut next: BTreeMap<i32, i32> = BTreeMap::new();
    for batch in &batches {
        let expected = next.entry(batch.partition).or_default();
        let (first, count) = (batch.header.base_sequence, batch.header.record_count);
        let shown = batch.seen.shown();
        play.must(SEQUENCES_RISE, first == *expected, || {
            format!("{shown}: sequence {first}, expected {expected}")
        })?;
        *expected = next_sequence(first, count);
    }
    Ok(())
}

/// `producer id 5, epoch 0, sequence 3` of a batch.
fn origin(batch: &SentBatch) -> String {
    let BatchHeader { producer_id, producer_epoch, base_sequence, .. } = batch.header;
    format!("producer id {producer_id}, epoch {producer_epoch}, sequence {base_sequence}")
}

/// FAIL where the first two batches do not have the same producer id, epoch and sequence.
fn must_be_sent_again(play: &mut Play<'_>) -> Step {
    let batches = sent_batches(play, SAME_SEQUENCE)?;
    needs_idempotence(&batches)?;
    let (first, again) = (batches.first().map(origin), batches.get(1).map(origin));
    play.must(SAME_SEQUENCE, again.is_some() && first == again, || {
        format!("the batch had {}, the second {}", or_none(first), or_none(again))
    })
}

fn lost_answer(play: &mut Play<'_>) -> Step {
    play.topic(1);
    // So that the offset is not that of a broker without a log.
    play.store(0, [crate::client::log::batch(0, 3)]);
    play.first(ApiKey::Produce, 1, Act::lose_answer);
    let sent = play.produce(json!({"idempotence": true}), &[record(0, "a")])?;
    play.must_be_written(ORIGINAL_OFFSET, &sent)?;
    must_be_sent_again(play)?;
    play.must(ORIGINAL_OFFSET, sent[0].end == Ok((0, 3)), || {
        format!("the record was stored at offset 3; the client told that it {}", sent[0].ended())
    })
}

fn lost_request(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.first(ApiKey::Produce, 1, Act::lose_request);
    let sent = play.produce(json!({"idempotence": true}), &[record(0, "a")])?;
    play.must_be_written(SAME_SEQUENCE, &sent)?;
    must_be_sent_again(play)
}

fn retries_in_order(play: &mut Play<'_>) -> Step {
    play.topic(1);
    let mut producer = play.producer(many_batches())?;
    producer.send(&record(0, "0"));
    producer.sent(0)?;
    // The next is refused late, so that others are on their way behind it.
    play.first(ApiKey::Produce, 1, || Act::refuse(19).after(Duration::from_millis(300)));
    for n in 1..12 {
        producer.send(&record(0, &format!("{n}")));
    }
    producer.end()?;
    let sent: Vec<Sent> = (0..12).map(|n| producer.sent(n)).collect::<Step<_>>()?;
    play.must_be_written(OUT_OF_ORDER, &sent)?;
    let batches = sent_batches(play, IN_ORDER)?;
    needs_idempotence(&batches)?;
    let expected: Vec<String> = (0..12).map(|n| n.to_string()).collect();
    let got = stored(play);
    play.must(IN_ORDER, got == expected, || format!("the log has {}", listed(&got)))
}

fn duplicate(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.first(ApiKey::Produce, 1, || Act::refuse(46));
    let sent = play.produce(json!({"idempotence": true}), &[record(0, "a")])?;
    needs_idempotence(&sent_batches(play, DUPLICATE)?)?;
    play.must_be_written(DUPLICATE, &sent)
}

fn no_gap(play: &mut Play<'_>) -> Step {
    play.topic(1);
    let settings = json!({
        "idempotence": true, "request_timeout_ms": 1000, "delivery_timeout_ms": 2500,
    });
    let mut producer = play.producer(settings)?;
    producer.send(&record(0, "0"));
    producer.sent(0)?;
    play.cluster.with(|state| state.ignored = vec![ApiKey::Produce.code()]);
    producer.send(&record(0, "1"));
    let Some(given_up) = producer.sent_by(play.deadline(), 1)? else {
        return Err(Stop::unsupported("the producer did not give up what nobody answered"));
    };
    if given_up.end.is_ok() {
        return Err(Stop::blocked("a record was written that nobody answered"));
    }
    let before = play.seen(ApiKey::Produce).len();
    play.cluster.with(|state| state.ignored.clear());
    producer.send(&record(0, "2"));
    producer.sent(2)?;
    let batches = sent_batches(play, NO_GAP)?;
    needs_idempotence(&batches)?;
    if play.seen(ApiKey::Produce).len() == before {
        return Err(Stop::unsupported("the producer is of no further use after that"));
    }
    let old = &batches[0].header;
    let Some(next) = batches.get(before).map(|batch| &batch.header) else {
        return Err(Stop::blocked("a Produce had no batch"));
    };
    let has_moved =
        (next.producer_id, next.producer_epoch) != (old.producer_id, old.producer_epoch);
    let fits = if has_moved { next.base_sequence == 0 } else { next.base_sequence <= 1 };
    play.must(NO_GAP, fits, || {
        let (sequence, epoch) = (next.base_sequence, next.producer_epoch);
        format!("after sequence 1 was given up came sequence {sequence} in epoch {epoch}")
    })
}

fn unknown_producer(play: &mut Play<'_>) -> Step {
    play.topic(1);
    let mut producer = play.producer(json!({"idempotence": true}))?;
    producer.send(&record(0, "0"));
    producer.sent(0)?;
    let batches = sent_batches(play, NEW_EPOCH)?;
    needs_idempotence(&batches)?;
    let old = (batches[0].header.producer_id, batches[0].header.producer_epoch);
    play.cluster.rule(move |seen, _| {
        let Ok(Request::Produce(ask)) = &seen.request else { return None };
        let partition = ask.topic_data.first()?.partition_data.first()?;
        let batch = RecordBatch::parse(partition.records.clone()?).ok()?;
        let header = batch.header();
        ((header.producer_id, header.producer_epoch) == old).then(|| Act::refuse(59))
    });
    producer.send(&record(0, "1"));
    producer.sent(1)?;
    producer.send(&record(0, "2"));
    producer.sent(2)?;
    let batches = sent_batches(play, NEW_EPOCH)?;
    let is_other =
        |batch: &&SentBatch| (batch.header.producer_id, batch.header.producer_epoch) != old;
    let next = batches.iter().find(is_other);
    play.must(NEW_EPOCH, next.is_some_and(|next| next.header.base_sequence == 0), || {
        let next = or_none(next.map(origin));
        format!("{} was refused; the first batch of another: {next}", origin(&batches[0]))
    })
}

/// Refuses batches of more than so many records with MESSAGE_TOO_LARGE.
fn limit_records(play: &Play<'_>, records_max: i32) {
    play.cluster.rule(move |seen, _| {
        let Ok(Request::Produce(ask)) = &seen.request else { return None };
        let partition = ask.topic_data.first()?.partition_data.first()?;
        let batch = RecordBatch::parse(partition.records.clone()?).ok()?;
        (batch.header().record_count > records_max).then(|| Act::refuse(10))
    });
}

fn split(play: &mut Play<'_>) -> Step {
    play.topic(1);
    limit_records(play, 2);
    let records: Vec<_> = (0..8).map(|n| record(0, &format!("{n}"))).collect();
    let sent = play.produce(json!({"linger_ms": 300}), &records)?;
    let failed = sent.iter().find_map(|sent| sent.end.as_ref().err());
    play.should(SPLITS, failed.is_none(), || {
        let shown = failed.map(|failure| failure.shown()).unwrap_or_default();
        format!("8 records, of which the broker takes 2 at a time: {shown}")
    });
    Ok(())
}

fn too_large(play: &mut Play<'_>) -> Step {
    play.topic(1);
    limit_records(play, 0);
    let sent = play.produce(json!({"delivery_timeout_ms": 6000}), &[record(0, "a")])?;
    must_fail(play, TOO_LARGE, &sent[0], 10, "MESSAGE_TOO_LARGE")
}

/// FAIL where a record did not fail, or the failure tells neither Kafka's number nor its name.
fn must_fail(
    play: &mut Play<'_>,
    statement: &'static str,
    sent: &Sent,
    code: i64,
    name: &str,
) -> Step {
    match &sent.end {
        Ok(_) => play.must(statement, false, || {
            format!("the record was refused with {name}, and {}", sent.ended())
        }),
        Err(failure) => {
            let shown = failure.shown();
            let plain = |text: &str| text.to_ascii_lowercase().replace(['_', ' '], "");
            let is_told = failure.code == Some(code) || plain(&shown).contains(&plain(name));
            play.must(statement, is_told, || format!("{name} was told as {shown}"))
        }
    }
}

fn acks_0(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.cluster.rule(|seen, _| {
        let Ok(Request::Produce(ask)) = &seen.request else { return None };
        (ask.acks != 0).then(|| Act::refuse(21))
    });
    let settings = json!({"acks": "0", "idempotence": false, "request_timeout_ms": 5000});
    let mut producer = play.producer(settings)?;
    producer.send(&record(0, "a"));
    producer.sent(0)?;
    let began = Instant::now();
    producer.send(&record(0, "b"));
    let second = producer.sent(1)?;
    let took = began.elapsed();
    play.must(NO_ANSWER, second.end.is_ok() && took < Duration::from_secs(4), || {
        format!("after {} ms the record {}", took.as_millis(), second.ended())
    })
}

fn record_errors(play: &mut Play<'_>) -> Step {
    play.topic(1);
    let text = "the record has no colour";
    play.cluster.rule(move |seen, _| {
        (seen.is(ApiKey::Produce) && seen.version >= 8).then(|| {
            Act::refuse(87).edited(move |answer| {
                let Response::Produce(answer) = answer else { return };
                for topic in &mut answer.responses {
                    for partition in &mut topic.partition_responses {
                        partition.error_message = Some(text.to_owned());
                        partition.record_errors = vec![BatchIndexAndErrorMessage {
                            batch_index: 0,
                            batch_index_error_message: Some(text.to_owned()),
                            ..Default::default()
                        }];
                    }
                }
            })
        })
    });
    let records = [record(0, "a"), record(0, "b")];
    let sent = play.produce(json!({"linger_ms": 200}), &records)?;
    play.needs(ApiKey::Produce, 8)?;
    must_fail(play, RECORD_ERRORS, &sent[0], 87, "INVALID_RECORD").or_else(|stop| {
        let told = sent[0].end.as_ref().err().map(|failure| failure.shown());
        // The cause may also be told in the broker's words alone.
        play.findings.checked.pop();
        play.must(RECORD_ERRORS, told.is_some_and(|told| told.contains(text)), || stop.message)
    })?;
    play.must(RECORD_ERRORS, sent[1].end.is_err(), || {
        format!("a record of a refused batch {}", sent[1].ended())
    })
}

fn delivery_timeout(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.cluster.with(|state| state.ignored = vec![ApiKey::Produce.code()]);
    let settings = json!({"request_timeout_ms": 1000, "delivery_timeout_ms": 3000});
    let mut producer = play.producer(settings)?;
    producer.send(&record(0, "a"));
    let sent = producer.sent(0)?;
    let asked = play.seen(ApiKey::Produce);
    let first = asked.first().map(|seen| play.cluster.began() + seen.at);
    let first = first.ok_or_else(|| Stop::blocked("no Produce came"))?;
    let took = sent.at.saturating_duration_since(first);
    play.must(IN_TIME, sent.end.is_err() && took < Duration::from_secs(6), || {
        let ms = took.as_millis();
        format!("with a delivery timeout of 3 s, after {ms} ms the record {}", sent.ended())
    })
}

fn retriable(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.first(ApiKey::Produce, 2, || Act::refuse(19));
    let sent = play.produce(json!({}), &[record(0, "a")])?;
    play.must_be_written(RETRIES, &sent)
}

fn not_retriable(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.cluster.rule(|seen, _| seen.is(ApiKey::Produce).then(|| Act::refuse(44)));
    let sent = play.produce(json!({"delivery_timeout_ms": 6000}), &[record(0, "a")])?;
    must_fail(play, FAILS_AT_ONCE, &sent[0], 44, "POLICY_VIOLATION")?;
    let asked = play.seen(ApiKey::Produce).len();
    play.must(FAILS_AT_ONCE, asked == 1, || format!("it was sent {asked} times"))
}
