//! What a producer puts into its batches, and where it sends them.

use super::producer::sent_batches;
use crate::client::Scenario;
use crate::client::play::{Play, Step, keyed, record};
use crate::client::words::{listed, quoted};
use crate::codec::hex;
use crate::findings::Asserts;
use crate::verdict::Stop;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ottla_protocol::messages::ApiKey;
use ottla_protocol::records::{Compression, Decompressor, RecordBatch};
use serde_json::{Value, json};

const NULL_AND_EMPTY: &str = "K-CLIENT-PRODUCER-019";
const MURMUR2: &str = "K-CLIENT-PRODUCER-020";
const ZSTD: &str = "K-CLIENT-PRODUCER-022";
const NOT_0_TO_2: &str = "K-CLIENT-PRODUCER-023";
const ONE_BATCH: &str = "K-CLIENT-PRODUCER-001";

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new("client/null-and-empty", null_and_empty, &[NULL_AND_EMPTY]),
    Scenario::new("client/null-and-empty-headers", headers, &[NULL_AND_EMPTY]),
    Scenario::new("client/partition-of-a-key", murmur2_partition, &[MURMUR2]),
    Scenario::new("client/sends-gzip", |play| sends(play, Compression::Gzip), &[ONE_BATCH]),
    Scenario::new("client/sends-snappy", |play| sends(play, Compression::Snappy), &[ONE_BATCH]),
    Scenario::new("client/sends-lz4", |play| sends(play, Compression::Lz4), &[ONE_BATCH]),
    Scenario::new("client/sends-zstd", |play| sends(play, Compression::Zstd), &[ONE_BATCH]),
    Scenario::new("client/zstd-before-version-7", zstd, &[ZSTD]),
    Scenario::new("client/produce-versions-0-to-2", old_produce, &[NOT_0_TO_2]),
];

type Text = Option<String>;

/// Key, value and headers of each record that the client sent, in order.
fn contents(play: &mut Play<'_>, statement: &'static str) -> Step<Vec<(Text, Text, Vec<Text>)>> {
    let text =
        |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let mut contents = Vec::new();
    for batch in sent_batches(play, statement)? {
        let records = RecordBatch::parse(batch.bytes.clone())
            .and_then(|batch| batch.records(&mut Decompressor::new()));
        let records = match records {
            Ok(records) => records,
            Err(why) => {
                play.must(statement, false, || format!("{}: {why}", batch.seen.shown()))?;
                continue;
            }
        };
        for record in records.iter() {
            let record = record.map_err(|why| Stop::blocked(why.to_string()))?;
            let headers = record.headers.iter().map(|(_, value)| text(value)).collect();
            contents.push((text(record.key), text(record.value), headers));
        }
    }
    Ok(contents)
}

fn must_have(play: &mut Play<'_>, records: &[Value], expected: &[(Text, Text, Vec<Text>)]) -> Step {
    play.topic(1);
    let sent = play.produce(json!({"wait_each": true}), records)?;
    play.must_be_written(NULL_AND_EMPTY, &sent)?;
    let got = contents(play, NULL_AND_EMPTY)?;
    play.must(NULL_AND_EMPTY, got == expected, || {
        format!("sent {}; asked were {}", shown(&got), shown(expected))
    })
}

/// Records in words.
fn shown(records: &[(Text, Text, Vec<Text>)]) -> String {
    listed(records.iter().map(|(key, value, headers)| {
        let headers = listed(headers.iter().map(|value| quoted(value.as_deref())));
        let (key, value) = (quoted(key.as_deref()), quoted(value.as_deref()));
        format!("(key {key}, value {value}, header values {headers})")
    }))
}

fn null_and_empty(play: &mut Play<'_>) -> Step {
    let records = [
        json!({"partition": 0, "key": null, "value": "", "headers": []}),
        json!({"partition": 0, "key": "", "value": null, "headers": []}),
    ];
    let empty = Some(String::new());
    must_have(play, &records, &[(None, empty.clone(), vec![]), (empty, None, vec![])])
}

fn headers(play: &mut Play<'_>) -> Step {
    let headers = json!([["h", ""], ["h", null], ["h", STANDARD.encode("x")]]);
    let value = STANDARD.encode("v");
    let line = json!({"partition": 0, "key": null, "value": value, "headers": headers});
    let values = vec![Some(String::new()), None, Some("x".to_owned())];
    must_have(play, &[line], &[(None, Some("v".to_owned()), values)])
}

/// Java's hash of keys: `Utils.murmur2`.
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ key.len() as u32;
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        let bytes = rest.iter().rev().fold(0_u32, |all, byte| all << 8 | u32::from(*byte));
        hash = (hash ^ bytes).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

fn murmur2_partition(play: &mut Play<'_>) -> Step {
    const PARTITIONS: u32 = 7;
    play.topic(PARTITIONS as usize);
    let keys: Vec<Vec<u8>> = (0..24_u32)
        .map(|n| match n {
            0..8 => format!("key-{n}").into_bytes(),
            _ => n.wrapping_mul(2_654_435_761).to_be_bytes()[..(n % 4 + 1) as usize].to_vec(),
        })
        .collect();
    let records: Vec<_> = keys.iter().map(|key| keyed(key, "v")).collect();
    let sent = play.produce(json!({}), &records)?;
    play.must_be_written(MURMUR2, &sent)?;
    for (key, sent) in keys.iter().zip(&sent) {
        let expected = ((murmur2(key) & 0x7fff_ffff) % PARTITIONS) as i32;
        let got = sent.end.as_ref().map_or(-1, |(partition, _)| *partition);
        play.should(MURMUR2, got == expected, || {
            let key = hex(key);
            format!("the key of bytes {key} went to partition {got}, Java's is {expected}")
        });
    }
    Ok(())
}

fn sends(play: &mut Play<'_>, codec: Compression) -> Step {
    play.topic(1);
    let records: Vec<_> = (0..20).map(|_| record(0, &"0123456789".repeat(20))).collect();
    let settings = json!({"compression": codec.name(), "linger_ms": 200});
    let sent = play.produce(settings, &records)?;
    play.must_be_written(ONE_BATCH, &sent)?;
    let batches = sent_batches(play, ONE_BATCH)?;
    let codes: Vec<i16> =
        batches.iter().map(|batch| batch.header.attributes.compression_code()).collect();
    play.must(ONE_BATCH, codes.contains(&codec.code()), || {
        let codes = listed(&codes);
        format!("asked to send {}, it sent batches of codecs {codes}", codec.name())
    })?;
    let got = contents(play, ONE_BATCH)?.len();
    play.must(ONE_BATCH, got == 20, || format!("the batches hold {got} of 20 records"))
}

fn zstd(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.cluster.with(|state| state.list(ApiKey::Produce, 0, 6));
    let settings = json!({"compression": "zstd", "delivery_timeout_ms": 4000});
    play.produce(settings, &[record(0, &"0123456789".repeat(50))])?;
    let batches = sent_batches(play, ZSTD)?;
    let sent = batches.iter().find(|batch| batch.header.attributes.compression_code() == 4);
    play.must(ZSTD, sent.is_none(), || {
        format!("a zstd batch in {}", sent.map(|batch| batch.seen.shown()).unwrap_or_default())
    })
}

fn old_produce(play: &mut Play<'_>) -> Step {
    play.topic(1);
    // As Kafka 4 lists it. Where there is no other, as with Kafka 0.10, they are what one has.
    play.cluster.with(|state| state.list(ApiKey::Produce, 0, 9));
    play.produce(json!({"delivery_timeout_ms": 4000}), &[record(0, "a")])?;
    let asked = play.seen(ApiKey::Produce);
    let old = asked.iter().find(|seen| seen.version <= 2);
    play.must(NOT_0_TO_2, !asked.is_empty() && old.is_none(), || {
        old.map_or_else(|| "there was no Produce".to_owned(), |seen| seen.shown())
    })
}

#[cfg(test)]
mod tests {
    use super::murmur2;

    #[test]
    fn murmur2_is_that_of_java() {
        // UtilsTest.testMurmur2.
        let cases: [(&[u8], i32); 5] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"abc", 479_470_107),
        ];
        for (key, hash) in cases {
            assert_eq!(murmur2(key) as i32, hash, "{key:?}");
        }
    }
}
