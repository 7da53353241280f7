//! What a consumer makes of batches: codecs, timestamps, transactions, damage.

use crate::client::Scenario;
use crate::client::log::{
    TIMESTAMP, batch, batch_with, compressed, marker, seal, transactional, value,
};
use crate::client::play::{Play, Step, TOPIC};
use crate::client::words::listed;
use crate::findings::Asserts;
use ottla_protocol::records::{BatchFields, Compression, ControlType};
use serde_json::json;

const ABORTED: &str = "K-CLIENT-CONSUMER-020";
const AFTER_ABORT: &str = "K-CLIENT-CONSUMER-021";
const UNCOMMITTED: &str = "K-CLIENT-CONSUMER-022";
const APPEND_TIME: &str = "K-CLIENT-CONSUMER-023";
const CODECS: &str = "K-CLIENT-CONSUMER-024";
const NEGATIVE_LENGTH: &str = "K-CLIENT-HOSTILE-007";
const TWO_MARKERS: &str = "K-CLIENT-HOSTILE-008";
const CRC: &str = "K-CLIENT-HOSTILE-009";
const CODEC_DATA: &str = "K-CLIENT-HOSTILE-010";
const RECORD_LENGTH: &str = "K-CLIENT-HOSTILE-011";
const NULL_ABORTED: &str = "K-CLIENT-HOSTILE-012";

/// The producer of transactions.
const PRODUCER: i64 = 77;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new("client/aborted-transactions", aborted, &[ABORTED, AFTER_ABORT]),
    Scenario::new("client/aborted-and-read-uncommitted", uncommitted, &[UNCOMMITTED]),
    Scenario::new("client/log-append-time", append_time, &[APPEND_TIME]),
    Scenario::new("client/reads-gzip", |play| reads(play, Compression::Gzip), &[CODECS]),
    Scenario::new("client/reads-snappy", |play| reads(play, Compression::Snappy), &[CODECS]),
    Scenario::new("client/reads-lz4", |play| reads(play, Compression::Lz4), &[CODECS]),
    Scenario::new("client/reads-zstd", |play| reads(play, Compression::Zstd), &[CODECS]),
    Scenario::new("client/batch-with-negative-length", negative_length, &[NEGATIVE_LENGTH]),
    Scenario::new("client/two-abort-markers", two_markers, &[TWO_MARKERS]),
    Scenario::new("client/batch-with-wrong-crc", wrong_crc, &[CRC]),
    Scenario::new("client/damaged-codec-data", codec_data, &[CODEC_DATA]),
    Scenario::new("client/codec-that-is-none", codec_lie, &[CODEC_DATA]),
    Scenario::new("client/record-past-its-batch", record_length, &[RECORD_LENGTH]),
    Scenario::new("client/no-aborted-transactions", null_aborted, &[NULL_ABORTED]),
];

fn must_deliver(
    play: &mut Play<'_>,
    statement: &'static str,
    isolation: &str,
    offsets: &[i64],
) -> Step {
    let mut consumer = play.consumer(json!({"isolation": isolation}))?;
    play.blame(statement);
    consumer.deliver(offsets.len())?;
    consumer.end()?;
    let got = consumer.offsets();
    play.must(statement, got == offsets, || {
        format!("delivered offsets {}, expected {}", listed(&got), listed(offsets))
    })?;
    let values: Vec<String> = consumer.delivered().into_iter().map(|r| r.value).collect();
    let expected: Vec<String> = offsets.iter().map(|offset| value(*offset)).collect();
    play.must(statement, values == expected, || format!("the values are {}", listed(&values)))
}

/// Two aborted records, their marker, and a committed one of the same producer.
fn abort(play: &Play<'_>) {
    play.topic(1);
    play.store(
        0,
        [
            batch(0, 1),
            transactional(1, 2, PRODUCER),
            marker(3, PRODUCER, ControlType::Abort),
            transactional(4, 1, PRODUCER),
            marker(5, PRODUCER, ControlType::Commit),
            batch(6, 1),
        ],
    );
    play.cluster.with(|state| {
        state.partition(TOPIC, 0).aborted = Some(vec![(PRODUCER, 1)]);
    });
}

fn aborted(play: &mut Play<'_>) -> Step {
    abort(play);
    let mut consumer = play.consumer(json!({"isolation": "read_committed"}))?;
    let is_last = |offset: &i64| *offset == 6;
    let came =
        consumer.read_until(play.deadline(), |consumer| consumer.offsets().iter().any(is_last))?;
    let got = consumer.offsets();
    let leaked = got.iter().any(|offset| [1, 2].contains(offset));
    play.must(ABORTED, came && !leaked, || format!("delivered offsets {}", listed(&got)))?;
    play.must(AFTER_ABORT, got.contains(&4), || {
        format!("delivered offsets {}, without 4", listed(&got))
    })
}

fn uncommitted(play: &mut Play<'_>) -> Step {
    abort(play);
    must_deliver(play, UNCOMMITTED, "read_uncommitted", &[0, 1, 2, 4, 6])
}

fn append_time(play: &mut Play<'_>) -> Step {
    play.topic(1);
    let time = TIMESTAMP + 5_000;
    let fields = BatchFields { append_time: Some(time), ..Default::default() };
    play.store(0, [batch_with(0, 2, &fields)]);
    let consumer = play.consume(json!({}), 2)?;
    let got: Vec<i64> = consumer.delivered().iter().map(|record| record.timestamp).collect();
    play.must(APPEND_TIME, got == [time, time], || {
        format!("the batch was appended at {time}, the records have {}", listed(&got))
    })
}

fn reads(play: &mut Play<'_>, codec: Compression) -> Step {
    play.topic(1);
    play.store(0, [compressed(0, 5, codec), compressed(5, 1, codec)]);
    must_deliver(play, CODECS, "read_uncommitted", &[0, 1, 2, 3, 4, 5])
}

/// Damages the second of three batches; the client has to tell an error, and must not hand over the
/// records of the damaged one.
fn must_tell(
    play: &mut Play<'_>,
    statement: &'static str,
    damage: impl FnOnce(Vec<u8>) -> Vec<u8>,
) -> Step {
    play.topic(1);
    let damaged = damage(batch(2, 2));
    play.store(0, [batch(0, 2)]);
    play.cluster.with(|state| {
        let log = state.partition(TOPIC, 0);
        log.batches.push((2, 3, damaged.into()));
        log.end = 4;
    });
    let mut consumer = play.consumer(json!({}))?;
    play.blame(statement);
    let told = consumer.read_until(play.deadline(), |consumer| {
        !consumer.errors().is_empty() || consumer.offsets().iter().any(|offset| *offset >= 2)
    })?;
    let got = consumer.offsets();
    let leaked = got.iter().any(|offset| [2, 3].contains(offset));
    play.must(statement, !leaked, || {
        format!("offsets 2 and 3 are of a damaged batch; delivered {}", listed(&got))
    })?;
    play.must(statement, told, || format!("no error was told; delivered offsets {}", listed(&got)))
}

fn negative_length(play: &mut Play<'_>) -> Step {
    must_tell(play, NEGATIVE_LENGTH, |mut batch| {
        batch[8..12].copy_from_slice(&(-61_i32).to_be_bytes());
        batch
    })
}

fn two_markers(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(
        0,
        [
            transactional(0, 1, PRODUCER),
            marker(1, PRODUCER, ControlType::Abort),
            marker(2, PRODUCER, ControlType::Abort),
            batch(3, 1),
        ],
    );
    play.cluster.with(|state| {
        state.partition(TOPIC, 0).aborted = Some(vec![(PRODUCER, 0)]);
    });
    must_deliver(play, TWO_MARKERS, "read_committed", &[3])
}

fn wrong_crc(play: &mut Play<'_>) -> Step {
    play.topic(1);
    let mut damaged = batch(2, 2);
    let last = damaged.len() - 3;
    damaged[last] ^= 1; // a letter of the last value
    play.store(0, [batch(0, 2), damaged]);
    let mut consumer = play.consumer(json!({}))?;
    consumer.read_until(play.deadline(), |consumer| {
        !consumer.errors().is_empty() || consumer.offsets().iter().any(|offset| *offset >= 2)
    })?;
    let got = consumer.offsets();
    play.must(CRC, got.iter().all(|offset| *offset < 2), || {
        format!("offsets from 2 on are of a batch with a wrong checksum: {}", listed(&got))
    })
}

fn codec_data(play: &mut Play<'_>) -> Step {
    let whole = compressed(2, 2, Compression::Gzip);
    must_tell(play, CODEC_DATA, |_| {
        let mut damaged = whole;
        damaged[61..].iter_mut().skip(4).for_each(|byte| *byte = 0xa5);
        seal(&mut damaged);
        damaged
    })
}

/// The attributes say zstd, the records are plain.
fn codec_lie(play: &mut Play<'_>) -> Step {
    must_tell(play, CODEC_DATA, |mut batch| {
        batch[22] |= 4;
        seal(&mut batch);
        batch
    })
}

fn record_length(play: &mut Play<'_>) -> Step {
    must_tell(play, RECORD_LENGTH, |mut batch| {
        batch[61] = 0x7e; // 63 bytes, of which there are not so many
        seal(&mut batch);
        batch
    })
}

fn null_aborted(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 2)]);
    play.cluster.with(|state| state.partition(TOPIC, 0).aborted = None);
    must_deliver(play, NULL_ABORTED, "read_committed", &[0, 1])
}
