//! `decode` and `encode` on every row of the vectors, as a program in another language would ask
//! for them: a line in, a line out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use ottla_conformance::codec::{self, Direction};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Fields that have another name since 4.4, as in rows of 4.3 and as we write them.
const FORMERLY: [(&str, &str, &str); 2] = [
    ("TxnOffsetCommitRequest", "generationId", "generationIdOrMemberEpoch"),
    ("StreamsGroupHeartbeatResponse", "acceptableRecoveryLag", "acceptableRecoveryLagLegacy"),
];

/// A row: `api_key name kind version`, and what it is in both forms.
#[derive(Clone)]
struct Row {
    subject: String,
    name: String,
    variant: String,
    hex: String,
    json: String,
}

impl Row {
    fn is(&self, variant: &str) -> bool {
        self.variant == variant
    }

    /// The row's JSON, with the names that fields have now where `ours` has them.
    fn value(&self, ours: &Value) -> Value {
        let mut value: Value = serde_json::from_str(&self.json).expect("a row has JSON");
        for (_, before, now) in FORMERLY.iter().filter(|(name, ..)| *name == self.name) {
            if let (Some(fields), false) = (value.as_object_mut(), ours[*now].is_null())
                && let Some(field) = fields.remove(*before)
            {
                fields.insert((*now).to_owned(), field);
            }
        }
        value
    }
}

fn rows(file: &str) -> Vec<Row> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/vectors");
    let file = File::open(folder.join(file)).expect("vectors are part of the project");
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).expect("gzip");
    let row = |line: &str| {
        let columns: Vec<&str> = line.split('\t').collect();
        let [key, name, kind, version, variant, hex, json] = columns[..] else {
            panic!("seven columns: {line}");
        };
        Row {
            subject: [key, name, kind, version].join("\t"),
            name: name.to_owned(),
            variant: variant.to_owned(),
            hex: hex.to_owned(),
            json: json.to_owned(),
        }
    };
    text.lines().map(row).collect()
}

/// A table of these payloads, and the lines that come out.
fn table(direction: Direction, rows: &[Row], payload: impl Fn(&Row) -> &str) -> Vec<String> {
    let input: Vec<String> =
        rows.iter().map(|row| format!("{}\t{}\n", row.subject, payload(row))).collect();
    let mut output = Vec::new();
    codec::table(direction, input.concat().as_bytes(), &mut output).expect("memory");
    let lines: Vec<String> =
        String::from_utf8(output).expect("text").lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), rows.len(), "a line for a line");
    lines
}

#[test]
fn every_message_is_decoded() {
    let rows = rows("messages.tsv.gz");
    assert!(rows.len() > 2_000, "{} rows", rows.len());
    for (row, line) in rows.iter().zip(table(Direction::Decode, &rows, |row| &row.hex)) {
        let ours: Value = serde_json::from_str(&line).expect("a line of JSON");
        assert_eq!(ours, row.value(&ours), "{} {}", row.subject, row.variant);
    }
}

#[test]
fn every_message_is_encoded() {
    let mut rows = rows("messages.tsv.gz");
    // Neither stands in the JSON: tags that nobody knows, and what is in front of a stored record.
    rows.retain(|row| !row.is("unknown-tags") && !row.is("filled-framed"));
    for (row, line) in rows.iter().zip(table(Direction::Encode, &rows, |row| &row.json)) {
        assert_eq!(line, row.hex, "{} {}", row.subject, row.variant);
    }
}

#[test]
fn every_batch_is_decoded() {
    let rows = rows("records.tsv.gz");
    assert!(rows.len() > 80, "{} rows", rows.len());
    for (row, line) in rows.iter().zip(table(Direction::Decode, &rows, |row| &row.hex)) {
        let ours: Value = serde_json::from_str(&line).expect("a line of JSON");
        let theirs: Value = serde_json::from_str(&row.json).expect("a row has JSON");
        assert_eq!(ours, theirs, "{} {}", row.subject, row.variant);
    }
}

/// The JSON of batches without what compression leaves open.
fn without_size_and_checksum(mut value: Value) -> Value {
    for batch in value["batches"].as_array_mut().into_iter().flatten() {
        let batch = batch.as_object_mut().expect("a batch");
        assert!(batch.remove("sizeInBytes").is_some() && batch.remove("crc").is_some());
    }
    value
}

#[test]
fn every_batch_is_encoded() {
    let rows = rows("records.tsv.gz");
    let decoded = table(Direction::Decode, &rows, |row| &row.hex);
    let rows: Vec<Row> =
        rows.into_iter().zip(decoded).map(|(row, json)| Row { json, ..row }).collect();
    let (mut same, mut compressed, mut cut, mut refused) = (0, 0, 0, 0);
    for (row, line) in rows.iter().zip(table(Direction::Encode, &rows, |row| &row.json)) {
        let what = format!("{} {}", row.subject, row.variant);
        let json: Value = serde_json::from_str(&row.json).expect("JSON");
        if !json["error"].is_null() {
            assert!(line.starts_with(r#"{"error":"#), "{what}: {line}");
            refused += 1;
            continue;
        }
        let again =
            table(Direction::Decode, &[Row { hex: line.clone(), ..row.clone() }], |row| &row.hex);
        let again: Value = serde_json::from_str(&again[0]).expect("JSON");
        let codecs = json["batches"].as_array().expect("batches");
        if codecs.iter().any(|batch| batch["codec"] != "none") {
            compressed += 1;
        } else if json["incompleteTail"].is_null() {
            assert_eq!(line, row.hex, "{what}");
            same += 1;
        } else {
            // Of what was cut off, its offset.
            let (whole, tail) = line.split_at(line.len() - 16);
            assert!(row.hex.starts_with(whole) && row.hex.len() > line.len(), "{what}");
            assert_eq!((tail.len(), &again), (16, &json), "{what}");
            cut += 1;
        }
        assert_eq!(without_size_and_checksum(again), without_size_and_checksum(json), "{what}");
    }
    assert!(same > 15 && compressed > 45 && cut > 2 && refused > 5, "{same} {compressed} {cut}");
}

/// `records` is base64 there, which holds any bytes: whole, cut, damaged or compressed.
#[test]
fn every_batch_comes_back_from_produce_and_fetch() {
    let batches = rows("records.tsv.gz");
    let mut messages = rows("messages.tsv.gz");
    let carry = ["ProduceRequest", "FetchResponse"];
    messages.retain(|row| row.is("filled") && carry.contains(&row.name.as_str()));
    assert!(messages.len() > 10, "{} messages", messages.len());
    let mut rows = Vec::new();
    for (at, batch) in batches.iter().enumerate() {
        let message = messages[at % messages.len()].clone();
        let bytes = codec::unhex(&batch.hex).expect("hex");
        let records = STANDARD.encode(&bytes);
        let mut value: Value = serde_json::from_str(&message.json).expect("JSON");
        let count = put_records(&mut value, &records);
        assert!(count > 0, "{}", message.subject);
        rows.push(Row { json: value.to_string(), hex: batch.hex.clone(), ..message });
    }
    let encoded = table(Direction::Encode, &rows, |row| &row.json);
    for (row, hex) in rows.iter().zip(&encoded) {
        assert!(hex.contains(&row.hex), "{}: {hex:.200}", row.subject);
    }
    let there: Vec<Row> =
        rows.iter().zip(encoded).map(|(row, hex)| Row { hex, ..row.clone() }).collect();
    for (row, json) in there.iter().zip(table(Direction::Decode, &there, |row| &row.hex)) {
        let (ours, sent): (Value, Value) = (
            serde_json::from_str(&json).expect("JSON"),
            serde_json::from_str(&row.json).expect("JSON"),
        );
        assert_eq!(ours, sent, "{}", row.subject);
    }
}

/// Puts these bytes into every field that is named `records`; how many there were.
fn put_records(value: &mut Value, records: &str) -> usize {
    match value {
        Value::Object(fields) => fields
            .iter_mut()
            .map(|(name, value)| {
                if name == "records" {
                    *value = records.into();
                    return 1;
                }
                put_records(value, records)
            })
            .sum(),
        Value::Array(list) => list.iter_mut().map(|value| put_records(value, records)).sum(),
        _ => 0,
    }
}

#[test]
fn a_message_without_its_last_byte_is_an_error() {
    let mut rows = rows("messages.tsv.gz");
    // Of a stored record, what is in front may read as a tag that nobody knows.
    rows.retain(|row| !row.hex.is_empty() && !row.is("filled-framed"));
    let cut = |row: &Row| row.hex[..row.hex.len() - 2].to_owned();
    let cuts: Vec<Row> = rows.into_iter().map(|row| Row { hex: cut(&row), ..row }).collect();
    for (row, line) in cuts.iter().zip(table(Direction::Decode, &cuts, |row| &row.hex)) {
        let ours: Value = serde_json::from_str(&line).expect("a line of JSON");
        let error = ours["error"].as_str();
        assert!(error.is_some(), "{} {}: {line}", row.subject, row.variant);
    }
}
