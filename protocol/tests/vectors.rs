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
    key: i16,
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

/// All rows but those with something in front of the message.
fn vectors() -> Vec<Vector> {
    rows().into_iter().filter(|v| v.variant != "filled-framed").collect()
}

fn rows() -> Vec<Vector> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/messages.tsv.gz");
    let mut text = String::new();
    GzDecoder::new(File::open(path).expect("vectors are part of the project"))
        .read_to_string(&mut text)
        .expect("gzip");
    text.lines()
        .map(|line| {
            let columns: Vec<_> = line.split('\t').collect();
            let [key, name, kind, version, variant, hex, json] = columns[..] else {
                panic!("seven columns: {line}");
            };
            let version: i16 = version.parse().expect("a version");
            let key: i16 = key.parse().expect("a key");
            assert!(convert::NAMES.contains(&name), "the specification lacks {name}");
            if matches!(kind, "request" | "response") {
                let api = ApiKey::from_code(key).expect(name);
                assert!(api.valid_versions().contains(&version), "{name} lacks version {version}");
            }
            Vector {
                key,
                name: name.to_owned(),
                version,
                variant: variant.to_owned(),
                bytes: unhex(hex),
                json: serde_json::from_str(json).expect("JSON"),
            }
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

/// Fields that have another name since Apache Kafka 4.4, and the last version that had the former.
/// Vectors of 4.3 have the former one, which we read and do not write.
const RENAMED: &[(&str, i16, &str, &str)] = &[
    ("TxnOffsetCommitRequest", 5, "generationId", "generationIdOrMemberEpoch"),
    ("StreamsGroupHeartbeatResponse", 0, "acceptableRecoveryLag", "acceptableRecoveryLagLegacy"),
];

/// The value with the names of the latest release.
fn renamed(vector: &Vector) -> Value {
    let mut json = vector.json.clone();
    for (message, last, former, name) in RENAMED {
        if vector.name == *message
            && vector.version <= *last
            && let Some(value) = json.as_object_mut().and_then(|object| object.remove(*former))
        {
            json[*name] = value;
        }
    }
    json
}

/// A stored record has the type of its key or the version of its value in front, or of a log of
/// records three varints: a number for the frame, the type, the version.
#[test]
fn what_stands_in_front_of_stored_records_is_as_described() {
    let rows = rows();
    let framed: Vec<&Vector> = rows.iter().filter(|v| v.variant == "filled-framed").collect();
    assert!(framed.len() >= 60, "only {} framed rows", framed.len());
    for v in framed {
        let what = format!("{} v{}", v.name, v.version);
        let read =
            |front: usize| convert::decode_named(&v.name, v.version, &v.bytes.slice(front..));
        let front = if v.bytes[0] == 0 { 2 } else { 3 };
        let ours = read(front).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(same(&ours, &v.json), "{what}:\n ours {ours}\n Apache's {}", v.json);
        let number = i16::from(v.bytes[1]);
        if front == 3 {
            assert_eq!((v.bytes[0], i16::from(v.bytes[2])), (1, v.version), "{what}");
        } else if !v.name.ends_with("Key") {
            assert_eq!(number, v.version, "{what}");
        }
        if v.key >= 0 && (front == 3 || v.name.ends_with("Key")) {
            assert_eq!(number, v.key, "{what}");
        }
    }
}

#[test]
fn what_is_read_equals_apaches_json() {
    let vectors = vectors();
    assert!(vectors.len() >= 1_900, "only {} vectors", vectors.len());
    for v in &vectors {
        let what = format!("{} v{} {}", v.name, v.version, v.variant);
        let ours = convert::decode_named(&v.name, v.version, &v.bytes)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let theirs = renamed(v);
        assert!(same(&ours, &theirs), "{what}:\n ours {ours}\n Apache's {theirs}");
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

#[test]
fn what_json_has_no_number_for_is_a_string() {
    let quota = |bits: [u8; 8]| {
        let mut bytes = vec![0; 8];
        bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]);
        bytes.extend(bits);
        Bytes::from(bytes)
    };
    let of = [("NaN", f64::NAN), ("Infinity", f64::INFINITY), ("-Infinity", f64::NEG_INFINITY)];
    for (name, number) in of {
        let bytes = quota(number.to_be_bytes());
        let json = convert::decode_named("DescribeClientQuotasResponse", 0, &bytes).expect("read");
        assert_eq!(json["entries"][0]["values"][0]["value"], name);
        let written = convert::encode_named("DescribeClientQuotasResponse", 0, &json);
        assert_eq!(written.expect("the same value"), bytes, "{name}");
    }
}
