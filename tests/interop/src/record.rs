//! Records as the scripts speak of them: bytes as hexadecimal text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Every codec, by Kafka's name.
pub const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// A record to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Where to.
    pub partition: i32,
    /// Hexadecimal.
    pub key: Option<String>,
    /// Hexadecimal.
    pub value: Option<String>,
    /// Values hexadecimal.
    pub headers: Vec<(String, Option<String>)>,
}

/// A record that the broker acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Produced {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

/// A record that was read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Consumed {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<String>,
    pub value: Option<String>,
    pub headers: Vec<(String, Option<String>)>,
}

/// The bytes of hexadecimal text.
pub fn from_hex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16);
    let bytes = (0..text.len()).step_by(2).map(digits).collect::<Result<Vec<u8>, _>>();
    bytes.expect("the scripts and tests write two digits per byte")
}

/// Bytes as hexadecimal text.
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Records over three partitions with null, empty and filled keys and values in all combinations
/// but null with null, which some clients refuse to write; with and without headers, among them an
/// empty one, one name twice and, where asked for, a null one.
pub fn sample(count: usize, null_headers: bool) -> Vec<Record> {
    let record = |i: usize| {
        let key = [None, Some(String::new()), Some(hex(format!("key-{i}")))][i % 3].clone();
        let long = hex(format!("value {i} ").repeat(40));
        let value = match i % 4 {
            0 if key.is_some() => None,
            1 => Some(String::new()),
            2 => Some(long),
            _ => Some(hex([0, 255, i as u8])),
        };
        let mut headers = Vec::new();
        if i.is_multiple_of(2) {
            headers.push(("n".to_owned(), Some(hex(i.to_string()))));
            headers.push(("empty".to_owned(), Some(String::new())));
            headers.push(("n".to_owned(), Some(hex("again"))));
            if null_headers {
                headers.push(("null".to_owned(), None));
            }
        }
        Record { partition: (i / 2 % 3) as i32, key, value, headers }
    };
    (0..count).map(record).collect()
}

/// Asserts that `read` is exactly what was written to each topic, each partition in order, with
/// offsets that count from 0. The order of headers under different names is not compared: KafkaJS
/// keeps them in an object.
pub fn assert_same(written: &BTreeMap<String, Vec<Record>>, read: &[Consumed]) {
    let mut expected: BTreeMap<(String, i32), Vec<Record>> = BTreeMap::new();
    for (topic, records) in written {
        for record in records {
            let partition = expected.entry((topic.clone(), record.partition)).or_default();
            partition.push(normal(record.clone()));
        }
    }
    let mut found: BTreeMap<(String, i32), Vec<Record>> = BTreeMap::new();
    for record in read {
        let partition = found.entry((record.topic.clone(), record.partition)).or_default();
        assert_eq!(record.offset, partition.len() as i64, "offsets count from 0: {record:?}");
        assert!(record.timestamp > 1_600_000_000_000, "{record:?} has no timestamp of these days");
        partition.push(normal(Record {
            partition: record.partition,
            key: record.key.clone(),
            value: record.value.clone(),
            headers: record.headers.clone(),
        }));
    }
    for (place, records) in &expected {
        let read = found.remove(place).unwrap_or_default();
        assert_eq!(read.len(), records.len(), "records of {place:?}");
        for (offset, (read, written)) in read.iter().zip(records).enumerate() {
            assert_eq!(read, written, "the record of {place:?} at offset {offset}");
        }
    }
    assert!(found.is_empty(), "records came out that nobody wrote: {found:?}");
}

fn normal(mut record: Record) -> Record {
    record.headers.sort_by(|a, b| a.0.cmp(&b.0)); // stable: one name's values keep their order
    record
}
