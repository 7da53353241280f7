//! The records that are written, and how what was read differs from them.

use crate::verdict::Verdict;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;

/// Every codec, by Kafka's name, in the order of its number.
pub const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// Long ago, so that it is told apart from the time of writing.
const TIMESTAMP_MS: i64 = 1_700_000_000_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// A record as shims take it; bytes as base64.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Given {
    #[serde(skip)]
    pub(super) what: &'static str,
    pub(super) partition: i32,
    pub(super) key: Option<String>,
    pub(super) value: Option<String>,
    pub(super) headers: Vec<(String, Option<String>)>,
    pub(super) timestamp: Option<i64>,
}

/// A record as shims tell it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Read {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) timestamp: i64,
    pub(super) key: Option<String>,
    pub(super) value: Option<String>,
    pub(super) headers: Vec<(String, Option<String>)>,
}

impl Read {
    /// A line, if it is a record.
    pub(super) fn of(line: &Value) -> Option<Self> {
        line.get("offset")?;
        serde_json::from_value(line.clone()).ok()
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

/// Something that not every client can write, with a record that has it.
pub(super) type Feature = (&'static str, fn() -> Given);

/// See there.
pub(super) const FEATURES: [Feature; 3] = [
    ("a header with a null value", || {
        given("a header with a null value", Some("k"), Some("v")).with(&[("null", None)])
    }),
    ("headers of one name with another between", || {
        let headers = [("a", Some("1")), ("b", Some("2")), ("a", Some("3"))];
        given("headers of one name with another between", Some("k"), Some("v")).with(&headers)
    }),
    ("neither key nor value", || given("neither key nor value", None, None)),
];

/// What every client can write.
pub(super) fn base() -> Vec<Given> {
    let all_bytes: Vec<u8> = (0..=255).collect();
    let binary = Given {
        key: Some(STANDARD.encode(&all_bytes)),
        value: Some(STANDARD.encode(all_bytes.repeat(2))),
        ..given("every byte", None, None)
    };
    let long = "a long value, which compresses well; ".repeat(600);
    let unicode = given("unicode", Some("ključ 🗝"), Some("Ljubljana, 東京, Ελλάδα \u{0} 🌉"));
    let records = [
        given("key and value", Some("key"), Some("value")),
        given("a null key", None, Some("value")),
        given("an empty key", Some(""), Some("value")),
        given("a null value", Some("key"), None),
        given("an empty value", Some("key"), Some("")),
        given("empty key and value", Some(""), Some("")),
        unicode.with(&[("glava-č", Some("vrednost-ž"))]),
        given("headers", Some("k"), Some("v")).with(&[("a", Some("1")), ("b", Some("2"))]),
        given("a header twice", Some("k"), Some("v")).with(&[
            ("n", Some("1")),
            ("n", Some("2")),
            ("m", Some("3")),
        ]),
        given("an empty header value", Some("k"), Some("v")).with(&[("empty", Some(""))]),
        binary,
        given("a long value", Some("k"), Some(&long)),
        given("a timestamp before the first", Some("k"), Some("v")).at(TIMESTAMP_MS - DAY_MS),
    ];
    let mut records: Vec<Given> = records.into();
    for (number, record) in records.iter_mut().enumerate() {
        record.timestamp = Some(record.timestamp.unwrap_or(TIMESTAMP_MS + number as i64));
    }
    records.push(given("no timestamp given", Some("k"), Some("v")));
    records
}

fn given(what: &'static str, key: Option<&str>, value: Option<&str>) -> Given {
    let encode = |text: &str| STANDARD.encode(text);
    Given {
        what,
        partition: 0,
        key: key.map(encode),
        value: value.map(encode),
        headers: Vec::new(),
        timestamp: None,
    }
}

impl Given {
    fn with(mut self, headers: &[(&str, Option<&str>)]) -> Self {
        let encode = |(name, value): &(&str, Option<&str>)| {
            ((*name).to_owned(), value.map(|value| STANDARD.encode(value)))
        };
        self.headers = headers.iter().map(encode).collect();
        self
    }

    fn at(mut self, timestamp_ms: i64) -> Self {
        self.timestamp = Some(timestamp_ms);
        self
    }

    /// Whether what was read is something else, how grave that is, and the first difference.
    pub(super) fn differs(&self, read: &Read) -> Option<(Verdict, String)> {
        let fail = |field: &str, wanted: &Value, read: &Value| {
            let (wanted, read) = (cut(wanted.to_string()), cut(read.to_string()));
            Some((Verdict::Fail, format!("({self}) the {field} is {read}, written was {wanted}")))
        };
        if read.partition != self.partition {
            return fail("partition", &json!(self.partition), &json!(read.partition));
        }
        if read.key != self.key {
            return fail("key", &json!(self.key), &json!(read.key));
        }
        if read.value != self.value {
            return fail("value", &json!(self.value), &json!(read.value));
        }
        match self.timestamp {
            Some(timestamp) if timestamp != read.timestamp => {
                return fail("timestamp", &json!(timestamp), &json!(read.timestamp));
            }
            None if read.timestamp <= TIMESTAMP_MS => {
                return fail("timestamp", &json!("the time of writing"), &json!(read.timestamp));
            }
            _ => {}
        }
        if read.headers == self.headers {
            return None;
        }
        let (mut wanted, mut told) = (self.headers.clone(), read.headers.clone());
        // A stable sort by name: values of one name keep their order.
        wanted.sort_by(|left, right| left.0.cmp(&right.0));
        told.sort_by(|left, right| left.0.cmp(&right.0));
        if wanted == told {
            let text = format!("({self}) headers of different names are in another order");
            return Some((Verdict::NonStrict, text));
        }
        fail("list of headers", &json!(self.headers), &json!(read.headers))
    }
}

/// A text of a length that fits into a report.
fn cut(text: String) -> String {
    const MAX: usize = 120;
    if text.chars().count() <= MAX {
        return text;
    }
    format!("{}...", text.chars().take(MAX).collect::<String>())
}
