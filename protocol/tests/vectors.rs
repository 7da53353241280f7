//! Golden vectors made by Apache Kafka's released classes: what we read equals their JSON, what we
//! write equals their bytes.

use base64::Engine;
use bytes::Bytes;
use flate2::read::GzDecoder;
use ottla_protocol::messages::{ApiKey, convert};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::Path;

struct Vector {
    name: String,
    version: i16,
    variant: String,
    bytes: Bytes,
    json: Value,
}

fn unhex(text: &str) -> Bytes {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex"))
        .collect::<Vec<_>>()
        .into()
}

/// The rows whose message the specification has.
fn vectors() -> Vec<Vector> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/messages.tsv.gz");
    let mut text = String::new();
    GzDecoder::new(File::open(path).expect("vectors are part of the project"))
        .read_to_string(&mut text)
        .expect("gzip");
    text.lines()
        .filter_map(|line| {
            let columns: Vec<_> = line.split('\t').collect();
            let [key, name, kind, version, variant, hex, json] = columns[..] else {
                panic!("seven columns: {line}");
            };
            let version: i16 = version.parse().expect("a version");
            let api = ApiKey::from_code(key.parse().expect("a key"));
            // Vectors of later releases have versions that 4.3 does not. A framed record has its
            // type or version in front; the plain row of the same value is tested.
            let known = convert::NAMES.contains(&name)
                && variant != "filled-framed"
                && (!matches!(kind, "request" | "response")
                    || api.is_some_and(|api| api.valid_versions().contains(&version)));
            known.then(|| Vector {
                name: name.to_owned(),
                version,
                variant: variant.to_owned(),
                bytes: unhex(hex),
                json: serde_json::from_str(json).expect("JSON"),
            })
        })
        .collect()
}

/// Numbers compare by value: `0` and `0.0` are the same double.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => ours == theirs,
    }
}

#[test]
fn what_is_read_equals_apaches_json() {
    let vectors = vectors();
    assert!(vectors.len() >= 870, "only {} vectors", vectors.len());
    for v in &vectors {
        let what = format!("{} v{} {}", v.name, v.version, v.variant);
        let ours = convert::decode_named(&v.name, v.version, &v.bytes)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(same(&ours, &v.json), "{what}:\n ours {ours}\n Apache's {}", v.json);
    }
}

#[test]
fn what_is_written_equals_apaches_bytes() {
    for v in vectors().iter().filter(|v| v.variant != "unknown-tags") {
        let what = format!("{} v{} {}", v.name, v.version, v.variant);
        let ours = convert::encode_named(&v.name, v.version, &v.json)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(ours, v.bytes, "{what}");
    }
}

#[test]
fn every_message_round_trips_with_its_unknown_tags() {
    for v in &vectors() {
        let what = format!("{} v{} {}", v.name, v.version, v.variant);
        let again = convert::recode_named(&v.name, v.version, &v.bytes)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(again, v.bytes, "{what}");
    }
}

#[test]
fn every_truncation_is_refused_with_its_place() {
    for v in vectors().iter().filter(|v| v.bytes.len() < 400) {
        for len in 0..v.bytes.len() {
            let cut = v.bytes.slice(..len);
            let error = convert::decode_named(&v.name, v.version, &cut)
                .expect_err("a cut message is no message");
            assert!(error.to_string().contains("at byte"), "{error}");
        }
    }
}

#[test]
fn bytes_in_json_are_base64() {
    // Guards the comparison above against a converter that leaves bytes out.
    let produce = vectors()
        .into_iter()
        .find(|v| v.name == "ProduceRequest" && v.variant == "filled")
        .expect("a produce vector");
    let records = produce.json["topicData"][0]["partitionData"][0]["records"].clone();
    let engine = base64::engine::general_purpose::STANDARD;
    assert!(engine.decode(records.as_str().expect("a string")).expect("base64").len() > 60);
}
