//! `decode` and `encode`: any message that the specification has, bytes as hex ↔ JSON in the shape
//! of Apache's JsonConverter.
//!
//! Single, from the arguments, or a table: one TSV line in, one line out, so that a program in any
//! language can hold its codec against ours without linking it.

mod batches;

use ottla_protocol::Bytes;
use ottla_protocol::messages::{ApiKey, convert};
use ottla_protocol::records::json::records_to_json;
use serde_json::{Value, json};
use std::fmt;
use std::io::{self, BufRead, Write};

/// What a message is, as the first four columns of a line say.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// The API key; -1 for what belongs to no API.
    pub api_key: i16,
    /// The message's name, such as `FetchRequest`.
    pub name: String,
    /// What kind it is.
    pub kind: Kind,
    /// The version; of a batch the magic.
    pub version: i16,
}

/// Kinds of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The body of a request.
    Request,
    /// The body of a response.
    Response,
    /// A header of either.
    Header,
    /// A record of an internal topic, or a blob inside of a message. Where it does not read as it
    /// is, its version or type may stand in front, as in those topics.
    Record,
    /// A `records` field: batches one after the other.
    Batch,
}

/// Why a line was refused.
#[derive(Debug, Clone, PartialEq)]
pub struct CodecError(String);

impl CodecError {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// `{"error": …}`, what `decode` prints for it.
    pub fn to_json(&self) -> Value {
        json!({"error": self.0})
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CodecError {}

impl Subject {
    /// Reads the four columns `api_key name kind version`.
    ///
    /// # Errors
    ///
    /// A column that is no number, a kind that does not exist, a name or version that the
    /// specification does not have.
    pub fn parse(columns: [&str; 4]) -> Result<Self, CodecError> {
        let [api_key, name, kind, version] = columns;
        let number = |what: &str, text: &str| {
            text.parse::<i16>()
                .map_err(|_| CodecError::new(format!("{what} {text:?} is not a 16-bit number")))
        };
        let kind = match kind {
            "request" => Kind::Request,
            "response" => Kind::Response,
            "header" => Kind::Header,
            "record" => Kind::Record,
            "batch" => Kind::Batch,
            other => {
                let kinds = "request, response, header, record or batch";
                return Err(CodecError::new(format!("kind {other:?} is not one of {kinds}")));
            }
        };
        let subject = Self {
            api_key: number("the API key", api_key)?,
            name: name.to_owned(),
            kind,
            version: number("the version", version)?,
        };
        subject.check()?;
        Ok(subject)
    }

    fn check(&self) -> Result<(), CodecError> {
        if self.kind == Kind::Batch {
            return match self.version {
                0..=2 => Ok(()),
                magic => Err(CodecError::new(format!("batches of magic {magic} are not known"))),
            };
        }
        if !convert::NAMES.contains(&self.name.as_str()) {
            return Err(CodecError::new(format!("no message is named {:?}", self.name)));
        }
        if !matches!(self.kind, Kind::Request | Kind::Response) {
            return Ok(());
        }
        let Some(api) = ApiKey::from_code(self.api_key) else {
            return Err(CodecError::new(format!("no API has the key {}", self.api_key)));
        };
        let suffix = if self.kind == Kind::Request { "Request" } else { "Response" };
        let expected = format!("{}{suffix}", api.name());
        if expected != self.name {
            let (key, name) = (self.api_key, &self.name);
            return Err(CodecError::new(format!("API {key} has {expected}, not {name}")));
        }
        let versions = api.valid_versions();
        if !versions.contains(&self.version) {
            let (first, last, wanted) = (versions.start(), versions.end(), self.version);
            let text = format!("{expected} has versions {first} to {last}, not {wanted}");
            return Err(CodecError::new(text));
        }
        Ok(())
    }

    /// Bytes, as hex, to JSON.
    ///
    /// # Errors
    ///
    /// What is not hex; bytes that are no such message, with the byte and the field.
    pub fn decode(&self, hex: &str) -> Result<Value, CodecError> {
        let bytes = unhex(hex)?;
        if self.kind == Kind::Batch {
            return Ok(records_to_json(&bytes));
        }
        let read = |bytes: &Bytes| convert::decode_named(&self.name, self.version, bytes);
        read(&bytes)
            .or_else(|error| self.behind(&bytes).and_then(|body| read(&body).ok()).ok_or(error))
            .map_err(|error| CodecError::new(error.to_string()))
    }

    /// What stands behind the version or the type of a stored record, where one stands in front:
    /// two bytes, or, of metadata, one for the frame and one each for type and version.
    fn behind(&self, bytes: &Bytes) -> Option<Bytes> {
        if self.kind != Kind::Record {
            return None;
        }
        let is = |byte: u8, number: i16| i16::from(byte) == number;
        match bytes[..] {
            [0, number, ..] if is(number, self.version) || is(number, self.api_key) => {
                Some(bytes.slice(2..))
            }
            [1, number, version, ..] if is(number, self.api_key) && is(version, self.version) => {
                Some(bytes.slice(3..))
            }
            _ => None,
        }
    }

    /// JSON to bytes, as hex. Of batches, what is decoded again is the same JSON but for size and
    /// checksum of what is compressed; the README of this crate has what else is not kept.
    ///
    /// # Errors
    ///
    /// What is not JSON; a field that is missing, unknown or out of its range; of a batch, fields
    /// that are at odds with others, and what `decode` says of bytes that it refuses.
    pub fn encode(&self, text: &str) -> Result<String, CodecError> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| CodecError::new(format!("this is not JSON: {error}")))?;
        if self.kind == Kind::Batch {
            return batches::from_json(&value).map(|bytes| hex(&bytes));
        }
        let bytes = convert::encode_named(&self.name, self.version, &value)
            .map_err(|error| CodecError::new(error.to_string()))?;
        Ok(hex(&bytes))
    }
}

/// Which way a table goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Hex to JSON.
    Decode,
    /// JSON to hex.
    Encode,
}

/// One line of a table: five columns in, one out. What cannot be done is `{"error": …}` in either
/// direction, so that lines stay in step.
pub fn line(direction: Direction, line: &str) -> String {
    let run = || {
        let columns: Vec<&str> = line.splitn(5, '\t').collect();
        let [api_key, name, kind, version, payload] = columns[..] else {
            let last = if direction == Direction::Decode { "hex" } else { "json" };
            let text =
                format!("expected api_key, name, kind, version and {last}, with tabs between");
            return Err(CodecError::new(text));
        };
        let subject = Subject::parse([api_key, name, kind, version])?;
        match direction {
            Direction::Decode => subject.decode(payload).map(|value| value.to_string()),
            Direction::Encode => subject.encode(payload),
        }
    };
    run().unwrap_or_else(|error| error.to_json().to_string())
}

/// A whole table. Empty lines stay empty.
///
/// # Errors
///
/// Those of the streams.
pub fn table(direction: Direction, input: impl BufRead, output: impl Write) -> io::Result<()> {
    let mut output = io::BufWriter::new(output);
    for text in input.lines() {
        let text = text?;
        if !text.is_empty() {
            output.write_all(line(direction, text.trim_end_matches('\r')).as_bytes())?;
        }
        output.write_all(b"\n")?;
        // A peer that waits for each answer gets it.
        output.flush()?;
    }
    Ok(())
}

/// Hex in lower case.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a String takes everything
        text
    })
}

/// Bytes of hex in either case; blanks between bytes are skipped.
///
/// # Errors
///
/// The first character that is none, and an odd count.
pub fn unhex(text: &str) -> Result<Bytes, CodecError> {
    let mut digits = Vec::with_capacity(text.len());
    for (at, letter) in text.chars().enumerate() {
        match letter.to_digit(16) {
            Some(digit) => digits.push(digit as u8),
            None if letter.is_ascii_whitespace() => {}
            None => {
                let text = format!("character {at} of the bytes is {letter:?}, not hexadecimal");
                return Err(CodecError::new(text));
            }
        }
    }
    if digits.len() % 2 == 1 {
        let count = digits.len();
        return Err(CodecError::new(format!("{count} hexadecimal digits are no whole bytes")));
    }
    Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect::<Vec<u8>>().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = "3\tMetadataRequest\trequest\t1\t";

    #[test]
    fn a_line_goes_there_and_back() {
        let json = line(Direction::Decode, &format!("{METADATA}00000001000161"));
        assert_eq!(json, r#"{"topics":[{"name":"a"}]}"#);
        assert_eq!(line(Direction::Encode, &format!("{METADATA}{json}")), "00000001000161");
    }

    #[test]
    fn every_mistake_is_an_error_in_its_line() {
        for (text, part) in [
            ("3\tMetadataRequest", "expected api_key, name, kind, version and hex"),
            ("x\tMetadataRequest\trequest\t1\t", "the API key \"x\""),
            ("3\tMetadataRequest\tquestion\t1\t", "kind \"question\""),
            ("3\tMetadataRequest\trequest\t99\t", "has versions 0 to 13, not 99"),
            ("99\tMetadataRequest\trequest\t1\t", "no API has the key 99"),
            ("1\tMetadataRequest\trequest\t1\t", "API 1 has FetchRequest"),
            ("3\tNoRequest\trequest\t1\t", "no message is named"),
            ("3\tMetadataRequest\trequest\t1\t00x0", "character 2 of the bytes is 'x'"),
            ("3\tMetadataRequest\trequest\t1\t000", "3 hexadecimal digits"),
            ("3\tMetadataRequest\trequest\t1\t0000000100", "Topics"),
            ("-1\tbatch-none\tbatch\t3\t", "magic 3"),
        ] {
            let answer: Value = serde_json::from_str(&line(Direction::Decode, text)).expect("JSON");
            let error = answer["error"].as_str().expect("an error");
            assert!(error.to_lowercase().contains(&part.to_lowercase()), "{text}: {error}");
        }
        let answer = line(Direction::Encode, &format!("{METADATA}{{"));
        assert!(answer.contains("this is not JSON"), "{answer}");
    }

    /// A batch of two records, without codec.
    fn a_batch() -> Value {
        let record = |offset: i64| {
            json!({"offset": offset, "timestamp": 7 + offset, "key": null, "value": "YQ==",
                "sequence": -1, "headers": [["h", null], ["h", "Yg=="]]})
        };
        json!({"batches": [{
            "magic": 2, "baseOffset": 3, "lastOffset": 5, "codec": "none",
            "timestampType": "CreateTime", "maxTimestamp": 12, "lastOffsetDelta": 2,
            "baseTimestamp": 9, "partitionLeaderEpoch": 4, "producerId": -1, "producerEpoch": -1,
            "baseSequence": -1, "lastSequence": -1, "isTransactional": false, "isControl": false,
            "deleteHorizonMs": null, "count": 2, "records": [record(3), record(5)],
        }]})
    }

    /// The same, as a message of magic 1.
    fn a_message(record: &Value) -> Value {
        json!({"batches": [{
            "magic": 1, "baseOffset": 4, "lastOffset": 4, "codec": "none",
            "timestampType": "CreateTime", "maxTimestamp": 9, "records": [record],
        }]})
    }

    fn encoded(batches: &Value) -> String {
        line(Direction::Encode, &format!("-1\tbatch\tbatch\t2\t{batches}"))
    }

    #[test]
    fn batches_are_encoded_from_what_matters() {
        let batch = a_batch();
        let hex = encoded(&batch);
        let json = line(Direction::Decode, &format!("-1\tbatch\tbatch\t2\t{hex}"));
        let json: Value = serde_json::from_str(&json).expect("JSON");
        let (written, given) = (&json["batches"][0], &batch["batches"][0]);
        for (name, value) in given.as_object().expect("an object") {
            assert_eq!(&written[name], value, "{name}");
        }
        assert_eq!(written["sizeInBytes"], hex.len() / 2);
        assert_eq!(encoded(&json), hex);
    }

    #[test]
    fn every_mistake_in_a_batch_names_its_place() {
        let message = a_message(&json!({"offset": 4, "timestamp": 9, "key": "", "value": null}));
        assert!(unhex(&encoded(&message)).is_ok(), "{}", encoded(&message));
        for (of, at, value, part) in [
            (a_batch(), "/batches/0/count", json!(3), "batches[0].count: 3 is at odds"),
            (a_batch(), "/batches/0/lastOffset", json!(9), "batches[0].lastOffset: 9 is at odds"),
            (a_batch(), "/batches/0/magic", json!(3), "batches[0].magic: 3 is not known"),
            (a_batch(), "/batches/0/codec", json!("br"), "batches[0].codec: compression \"br\""),
            (a_batch(), "/batches/0/isControl", json!(0), "batches[0].isControl: this is not true"),
            (a_batch(), "/batches/0/producerEpoch", json!(40_000), "not a number of 16 bits"),
            (a_batch(), "/batches/0/timestampType", json!("Never"), "neither CreateTime nor"),
            (a_batch(), "/batches/0/deleteHorizonMs", json!(8), "8 is at odds with the other"),
            (a_batch(), "/batches/0/records", json!({}), "batches[0].records: this is not a list"),
            (a_batch(), "/batches/0/records/1/offset", json!(1_i64 << 40), "too far from"),
            (a_batch(), "/batches/0/records/1/value", json!("%"), "records[1].value: this is not"),
            (a_batch(), "/batches/0/records/1/sequence", json!(0), "sequence: 0 is at odds"),
            (a_batch(), "/batches/0/records/0/headers/1", json!(["a"]), "headers[1]: this is not"),
            (a_batch(), "/batches/0/records/0/headers/1/1", json!(1), "headers[1][1]: this is not"),
            (message.clone(), "/batches/0/codec", json!("zstd"), "zstd came with magic 2"),
            (message.clone(), "/batches/0/baseOffset", json!(1), "baseOffset: 1 is at odds"),
            (message.clone(), "/batches/0/maxTimestamp", json!(8), "timestamp: 9 is at odds"),
            (message.clone(), "/batches/0/records", json!([]), "records: has to be one"),
            (message.clone(), "/batches/0/records/0/offset", json!(-1), "offset: "),
            (message, "/batches/0/timestampType", json!("NoTimestampType"), "none of this magic"),
        ] {
            let mut wrong = of;
            *wrong.pointer_mut(at).expect("it is there") = value;
            let answer = encoded(&wrong);
            let answer: Value = serde_json::from_str(&answer).expect("an error, no hex");
            let error = answer["error"].as_str().expect("an error");
            assert!(error.contains(part), "{at}: {error}");
        }
        let mut lacks = a_batch();
        lacks["batches"][0].as_object_mut().expect("an object").remove("baseTimestamp");
        assert!(encoded(&lacks).contains("batches[0].baseTimestamp: the field is missing"));
        let mut more = a_batch();
        more["batches"][0]["records"][1]["colour"] = json!("red");
        assert!(encoded(&more).contains("batches[0].records[1].colour: no such field"));
        assert!(encoded(&json!({"error": "crc"})).contains("bytes that it refuses, \\\"crc\\\""));
    }

    #[test]
    fn a_table_keeps_in_step() {
        let mut out = Vec::new();
        let input = format!("{METADATA}ffffffff\n\nnonsense\n{METADATA}00000000\n");
        table(Direction::Decode, input.as_bytes(), &mut out).expect("memory");
        let out = String::from_utf8(out).expect("text");
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[1]), (4, r#"{"topics":null}"#, ""));
        assert!(lines[2].starts_with(r#"{"error":"#));
        assert_eq!(lines[3], r#"{"topics":[]}"#);
    }
}
