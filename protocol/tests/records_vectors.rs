//! Golden record batches made by Apache Kafka's released classes: what is read equals their JSON,
//! what is written equals their bytes where the codec leaves no choice.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::read::GzDecoder;
use ottla_protocol::records::json::records_to_json;
use ottla_protocol::records::{
    BatchBuilder, BatchFields, BatchIter, Compression, Compressor, Decompressor, Header, Origin,
    RecordBatch, RecordErrorKind, ValidateOptions, validate,
};
use serde_json::{Value, json};

struct Vector {
    what: String,
    magic: i8,
    bytes: Bytes,
    json: Value,
}

fn unhex(text: &str) -> Bytes {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(byte).collect::<Vec<_>>().into()
}

fn vectors() -> Vec<Vector> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/records.tsv.gz");
    let mut text = String::new();
    GzDecoder::new(File::open(path).expect("vectors are part of the project"))
        .read_to_string(&mut text)
        .expect("gzip");
    let row = |line: &str| {
        let columns: Vec<_> = line.split('\t').collect();
        let [_, name, _, magic, variant, hex, json] = columns[..] else {
            panic!("seven columns: {line}");
        };
        Vector {
            what: format!("{name} magic {magic} {variant}"),
            magic: magic.parse().expect("a magic"),
            bytes: unhex(hex),
            json: serde_json::from_str(json).expect("JSON"),
        }
    };
    text.lines().map(row).collect()
}

fn current() -> Vec<Vector> {
    let vectors: Vec<_> = vectors().into_iter().filter(|v| v.magic == 2).collect();
    assert!(vectors.len() >= 45, "only {} vectors of magic 2", vectors.len());
    vectors
}

fn bytes(text: &Value) -> Option<Vec<u8>> {
    text.as_str().map(|text| STANDARD.decode(text).expect("base64"))
}

#[test]
fn what_is_read_equals_apaches_json() {
    for v in current() {
        assert_eq!(records_to_json(&v.bytes), v.json, "{}", v.what);
    }
}

#[test]
fn older_message_sets_are_refused_by_name() {
    let old: Vec<_> = vectors().into_iter().filter(|v| v.magic < 2).collect();
    assert!(old.len() > 30);
    for v in old {
        let error = BatchIter::new(v.bytes).next().expect("an answer").expect_err("refused");
        assert_eq!(error.kind(), RecordErrorKind::UnsupportedMagic, "{}", v.what);
        assert!(error.to_string().contains(&format!("magic {}", v.magic)), "{error}");
    }
}

#[test]
fn every_good_vector_is_valid_as_a_replicas() {
    let options = ValidateOptions { origin: Origin::Replica, ..Default::default() };
    let mut checked = 0;
    for v in current() {
        for batch in BatchIter::new(v.bytes.clone()) {
            let batch = batch.expect("a batch");
            let expected = json!({"error": "crc"});
            let facts = validate(batch.bytes(), &mut Decompressor::new(), &options);
            if v.json == expected {
                assert_eq!(facts.expect_err("damaged").kind(), RecordErrorKind::Crc);
                continue;
            }
            let facts = facts.unwrap_or_else(|error| panic!("{}: {error}", v.what));
            let header = batch.header();
            assert_eq!(facts.record_count, header.record_count as u32, "{}", v.what);
            assert_eq!(facts.max_timestamp, header.max_timestamp, "{}", v.what);
            let data = batch.records(&mut Decompressor::new()).expect("records");
            assert_eq!(facts.uncompressed_bytes, data.data().len() as u64, "{}", v.what);
            checked += 1;
        }
    }
    assert!(checked >= 45, "only {checked}");
}

/// Writes the batch that `json` describes.
fn rebuild(json: &Value, vector: &RecordBatch) -> Bytes {
    let number = |name: &str| json[name].as_i64().unwrap_or_else(|| panic!("{name}"));
    let codec: Compression = json["codec"].as_str().expect("codec").parse().expect("known");
    let append_time = (json["timestampType"] == "LogAppendTime").then(|| number("maxTimestamp"));
    let fields = BatchFields {
        compression: codec,
        level: None,
        base_offset: number("baseOffset"),
        partition_leader_epoch: number("partitionLeaderEpoch") as i32,
        producer_id: number("producerId"),
        producer_epoch: number("producerEpoch") as i16,
        base_sequence: number("baseSequence") as i32,
        transactional: json["isTransactional"] == true,
        control: json["isControl"] == true,
        append_time,
        delete_horizon: !json["deleteHorizonMs"].is_null(),
        last_offset_delta: Some(number("lastOffsetDelta") as i32),
    };
    let mut builder = BatchBuilder::new(0).with_base_timestamp(number("baseTimestamp"));
    // Under LogAppendTime the JSON hides what the records themselves say.
    let raw = vector.records(&mut Decompressor::new()).expect("records");
    let mut rest = &raw.data()[..];
    for record in json["records"].as_array().expect("records") {
        let (after, original) =
            ottla_protocol::records::record::nom_record(rest).expect("a record");
        rest = after;
        let headers: Vec<(String, Option<Vec<u8>>)> = record["headers"]
            .as_array()
            .expect("headers")
            .iter()
            .map(|h| (h[0].as_str().expect("a key").to_owned(), bytes(&h[1])))
            .collect();
        let headers: Vec<Header<'_>> =
            headers.iter().map(|(key, value)| Header::new(key, value.as_deref())).collect();
        let timestamp = match append_time {
            Some(_) => number("baseTimestamp") + original.timestamp_delta,
            None => record["timestamp"].as_i64().expect("a timestamp"),
        };
        let delta = record["offset"].as_i64().expect("an offset") - fields.base_offset;
        let (key, value) = (bytes(&record["key"]), bytes(&record["value"]));
        builder
            .append_at(delta as i32, timestamp, key.as_deref(), value.as_deref(), &headers)
            .expect("appended");
    }
    builder.finish(&fields, &mut Compressor::new()).expect("finished")
}

#[test]
fn what_is_written_equals_apaches_bytes() {
    let (mut plain, mut compressed) = (0, 0);
    for v in current() {
        let Some(expected) = v.json["batches"].as_array() else { continue };
        for (batch, json) in BatchIter::new(v.bytes.clone()).zip(expected) {
            let batch = batch.expect("a batch");
            let ours = rebuild(json, &batch);
            if json["codec"] == "none" {
                assert_eq!(ours, batch.bytes(), "{}", v.what);
                plain += 1;
                continue;
            }
            // Another compressor's bytes differ; the header's fields and the decompressed records
            // must not.
            let ours = RecordBatch::parse(ours).expect("a batch");
            ours.verify_crc().expect("our own checksum");
            let data = |b: &RecordBatch| b.records(&mut Decompressor::new()).expect("records");
            assert_eq!(data(&ours).data(), data(&batch).data(), "{}", v.what);
            let mut header = *ours.header();
            header.crc = batch.header().crc;
            header.batch_length = batch.header().batch_length;
            assert_eq!(&header, batch.header(), "{}", v.what);
            let frame = match json["codec"].as_str() {
                Some("gzip") => 10,
                Some("snappy") => 16,
                Some("lz4") => 7,
                _ => 4,
            };
            assert_eq!(ours.payload()[..frame], batch.payload()[..frame], "{}", v.what);
            compressed += 1;
        }
    }
    assert!(plain >= 10 && compressed >= 30, "{plain} plain, {compressed} compressed");
}
