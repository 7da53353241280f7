//! Every vector can be annotated: the lines' bytes are the bytes, the decoder's verdict is told,
//! and the values are those that the decoder reads.

use flate2::read::GzDecoder;
use ottla_conformance::annotate::{Annotated, Kind, Options, Subject, annotate};
use ottla_conformance::codec::unhex;
use ottla_protocol::Bytes;
use ottla_protocol::messages::convert;
use serde_json::Value;
use std::io::Read;

/// `api_key name kind version variant hex json` of a file of vectors.
fn vectors(file: &str) -> Vec<Vec<String>> {
    let path = format!("{}/../protocol/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let packed = std::fs::File::open(path).expect("the vectors are part of the project");
    let mut text = String::new();
    GzDecoder::new(packed).read_to_string(&mut text).expect("text");
    let row = |line: &str| line.split('\t').map(str::to_owned).collect();
    text.lines().map(row).filter(|row: &Vec<String>| row.len() == 7).collect()
}

/// The bytes of the lines are the bytes, in order and without a gap.
fn assert_adds_up(annotated: &Annotated, bytes: &[u8], what: &str) {
    let mut joined = Vec::new();
    for line in annotated.lines.iter().filter(|line| line.in_frame) {
        if line.kind != Kind::Heading && !line.bytes.is_empty() {
            assert_eq!(line.offset, joined.len() as i64, "{what}: {line:?}");
        }
        joined.extend_from_slice(&line.bytes);
    }
    assert_eq!(joined, bytes, "{what}");
    assert!(!annotated.text(4).is_empty(), "{what}");
}

/// Numbers and strings of a JSON value that stand in the bytes, in order.
fn leaves(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|one| leaves(one, out)),
        Value::Object(all) => all.values().for_each(|one| leaves(one, out)),
        Value::Number(number) => out.push(number.to_string()),
        Value::Bool(flag) => out.push(flag.to_string()),
        Value::Null | Value::String(_) => {}
    }
}

#[test]
fn every_message_vector_adds_up_and_has_the_decoders_values() {
    let mut seen = 0;
    for row in vectors("messages.tsv.gz") {
        let (name, version, variant) = (&row[1], row[3].parse().expect("a version"), &row[4]);
        let known = convert::NAMES.contains(&name.as_str());
        if !known || variant == "filled-framed" {
            continue;
        }
        let bytes = unhex(&row[5]).expect("hex");
        let what = format!("{name} v{version} {variant}");
        let decoded = convert::decode_named(name, version, &bytes);
        let subject = Subject::Message(name.clone(), version);
        let annotated = annotate(&bytes, &subject, Options::default());
        assert_adds_up(&annotated, &bytes, &what);
        assert_eq!(annotated.error, decoded.as_ref().err().map(ToString::to_string), "{what}");
        let is_unread = annotated.lines.iter().any(|l| l.kind == Kind::Unread && l.depth == 0);
        assert!(!is_unread || decoded.is_err(), "{what}:\n{}", annotated.text(4));
        let Ok(value) = decoded else { continue };
        seen += 1;
        let mut expected = Vec::new();
        leaves(&value, &mut expected);
        let mut told: Vec<String> = annotated.lines.iter().map(|line| line.value.clone()).collect();
        for value in expected {
            let found = told.iter().position(|told| *told == value);
            let at = found.unwrap_or_else(|| panic!("{what}: {value}\n{}", annotated.text(4)));
            told.swap_remove(at);
        }
    }
    assert!(seen > 800, "only {seen} vectors");
}

#[test]
fn every_cut_of_a_vector_adds_up_and_tells_the_decoders_error() {
    for row in vectors("messages.tsv.gz") {
        let (name, version) = (&row[1], row[3].parse().expect("a version"));
        if !convert::NAMES.contains(&name.as_str()) || !matches!(&*row[4], "filled" | "nulls") {
            continue;
        }
        let whole = unhex(&row[5]).expect("hex");
        if convert::decode_named(name, version, &whole).is_err() {
            continue;
        }
        // Few of each, so that over all versions every kind of place is met.
        for len in (version as usize % 7..whole.len()).step_by(whole.len() / 9 + 1) {
            let bytes = whole.slice(..len);
            let what = format!("{name} v{version} {}, {len} bytes", row[4]);
            let Err(error) = convert::decode_named(name, version, &bytes) else { continue };
            let subject = Subject::Message(name.clone(), version);
            let annotated = annotate(&bytes, &subject, Options::default());
            assert_adds_up(&annotated, &bytes, &what);
            assert_eq!(annotated.error, Some(error.to_string()), "{what}");
            // A log that kept so much of it has not broken it.
            let options = Options { missing: whole.len() - len, ..Options::default() };
            let annotated = annotate(&bytes, &subject, options);
            assert_adds_up(&annotated, &bytes, &what);
            assert_eq!(annotated.error, None, "{what}:\n{}", annotated.text(4));
        }
    }
}

#[test]
fn every_batch_vector_adds_up_whole_and_cut() {
    for row in vectors("records.tsv.gz") {
        let bytes = unhex(&row[5]).expect("hex");
        let what = format!("{} {}", row[1], row[4]);
        let annotated = annotate(&bytes, &Subject::Records, Options { elements: 8, missing: 0 });
        assert_adds_up(&annotated, &bytes, &what);
        let text = annotated.text(1);
        if row[3] == "2" {
            assert_eq!(text.contains("WRONG"), row[6] == r#"{"error":"crc"}"#, "{what}:\n{text}");
        }
        for len in (0..bytes.len().min(400)).step_by(13) {
            let cut = bytes.slice(..len);
            let annotated = annotate(&cut, &Subject::Records, Options::default());
            if len > 0 {
                assert_adds_up(&annotated, &cut, &format!("{what}, {len} bytes"));
            }
        }
    }
}

#[test]
fn bytes_that_are_nothing_add_up() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..2000 {
        let len = (random() % 90) as usize;
        let mut bytes: Vec<u8> = (0..len).map(|_| (random() >> 33) as u8).collect();
        if round % 2 == 0 && len >= 8 {
            // A length and a key that are right, so that the body is reached.
            bytes[..4].copy_from_slice(&((len - 4) as i32).to_be_bytes());
            bytes[4..8].copy_from_slice(&[0, (random() % 60) as u8, 0, (random() % 12) as u8]);
        }
        let bytes = Bytes::from(bytes);
        for subject in [Subject::Request, Subject::Answer, Subject::Records] {
            let annotated = annotate(&bytes, &subject, Options::default());
            let joined: Vec<u8> = annotated
                .lines
                .iter()
                .filter(|line| line.in_frame)
                .flat_map(|line| line.bytes.to_vec())
                .collect();
            assert_eq!(joined, bytes, "{subject:?}\n{}", annotated.text(4));
        }
    }
}
