//! The examples in `schemas/GRAMMAR.md` are true, by the generated codec and by the second one: the
//! value becomes the bytes, the bytes the value, and what does not fit is refused where it says.

#[allow(dead_code, unused_imports, reason = "other tests use more of it")]
#[path = "interpreter/codec/mod.rs"]
mod codec;
#[allow(dead_code, reason = "other tests use more of it")]
#[path = "interpreter/vectors.rs"]
mod vectors;

use bytes::Bytes;
use codec::Schemas;
use ottla_protocol::messages::{ApiKey, ApiVersionsRequest, HeartbeatRequest, Release, convert};
use ottla_protocol::wire::Message;
use serde_json::Value;
use std::path::Path;
use std::sync::OnceLock;

/// A block of the document.
struct Example {
    /// The words of its first line: the message, its version, and what else there is.
    head: Vec<String>,
    /// The lines below.
    lines: Vec<String>,
}

impl Example {
    fn name(&self) -> &str {
        &self.head[0]
    }

    fn version(&self) -> i16 {
        self.head[1].parse().expect("a version")
    }

    fn what(&self) -> String {
        format!("{} {:?}", self.head.join(" "), self.lines)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.lines[0]).unwrap_or_else(|e| panic!("{}: {e}", self.what()))
    }

    /// What the lines below the first say.
    fn bytes(&self) -> Bytes {
        self.lines[1..].iter().flat_map(|line| hex(line)).collect::<Vec<_>>().into()
    }
}

/// The pairs of hexadecimal digits at the start of a line; two spaces, or a word, end them.
fn hex(line: &str) -> Vec<u8> {
    line.split(' ')
        .take_while(|word| word.len() == 2)
        .map_while(|word| u8::from_str_radix(word, 16).ok())
        .collect()
}

/// The blocks that begin with three backticks and that word.
fn examples(kind: &str, least: usize) -> Vec<Example> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/GRAMMAR.md");
    let text = std::fs::read_to_string(path).expect("the grammar is part of the project");
    let fence = format!("```{kind}\n");
    let blocks = text.split(&fence).skip(1);
    let examples: Vec<Example> = blocks
        .map(|block| {
            let mut lines = block.lines().take_while(|line| *line != "```").map(str::to_owned);
            let head = lines.next().expect("a message and its version");
            let head = head.split(' ').map(str::to_owned).collect();
            Example { head, lines: lines.collect() }
        })
        .collect();
    assert!(examples.len() >= least, "only {} blocks of {kind}", examples.len());
    examples
}

fn schemas() -> &'static Schemas {
    static SCHEMAS: OnceLock<Schemas> = OnceLock::new();
    SCHEMAS.get_or_init(vectors::schemas)
}

/// Both codecs write the value as these bytes.
fn assert_written(example: &Example, bytes: &Bytes) {
    let (name, version, what) = (example.name(), example.version(), example.what());
    let written = convert::encode_named(name, version, &example.json());
    let written = written.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(written, bytes, "{what}");
    let message = schemas().get(name);
    let value = message.parse_json(version, &example.json());
    assert_eq!(message.write(version, &value).as_deref(), Ok(&bytes[..]), "{what}");
}

/// Both codecs read the bytes as the value.
fn assert_read(example: &Example, bytes: &Bytes) {
    let (name, version, what) = (example.name(), example.version(), example.what());
    let read = convert::decode_named(name, version, bytes);
    let read = read.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(read, example.json(), "{what}");
    let message = schemas().get(name);
    let value = message.read(version, bytes).unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert_eq!(message.to_json(version, &value), example.json(), "{what}");
}

#[test]
fn examples_are_written_and_read() {
    for example in examples("example", 20) {
        assert_written(&example, &example.bytes());
        assert_read(&example, &example.bytes());
    }
}

#[test]
fn what_is_only_read_is_written_otherwise() {
    for example in examples("read", 4) {
        assert_read(&example, &example.bytes());
        let (name, version) = (example.name(), example.version());
        let written = convert::encode_named(name, version, &example.json()).expect("a value");
        assert_ne!(written, example.bytes(), "{}", example.what());
    }
}

#[test]
fn what_is_refused_is_refused_at_its_place() {
    for example in examples("refused", 10) {
        let what = example.what();
        let (at, field) = example.lines[0].split_once(' ').unwrap_or((&example.lines[0], ""));
        let message = schemas().get(example.name());
        let refusal = message.read(example.version(), &example.bytes()).expect_err(&what);
        assert_eq!((refusal.at.to_string().as_str(), refusal.path.as_str()), (at, field), "{what}");
        let error = convert::decode_named(example.name(), example.version(), &example.bytes());
        let error = error.expect_err(&what).to_string();
        let snake = ottla_codegen::library::snake_case(field);
        let place = if snake.is_empty() { String::new() } else { format!(" ({snake})") };
        assert!(error.contains(&format!(" at byte {at}{place}: ")), "{what}: {error}");
    }
}

/// Reads the JSON in one version and writes the value in another.
fn across<M: Message>(json: &Value, from: i16, to: i16) -> Result<Bytes, String> {
    let value = M::from_json(json, from).expect("a value of the first version");
    value.to_bytes(to).map_err(|error| error.path)
}

#[test]
fn fields_that_a_version_lacks_are_dropped_or_refused() {
    for example in examples("absent", 3) {
        let what = example.what();
        let json = example.json();
        let (from, to) = (example.version(), example.head[2].parse().expect("a version"));
        let generated = match example.name() {
            "ApiVersionsRequest" => across::<ApiVersionsRequest>(&json, from, to),
            "HeartbeatRequest" => across::<HeartbeatRequest>(&json, from, to),
            other => panic!("{other} is not one of these"),
        };
        let message = schemas().get(example.name());
        let second = message.write(to, &message.parse_json(from, &json));
        let undefined = example.lines.get(1).and_then(|line| line.strip_prefix("undefined "));
        if let Some(field) = undefined {
            assert_eq!(second.expect_err(&what).path, field);
            assert_eq!(generated, Err(ottla_codegen::library::snake_case(field)), "{what}");
        } else {
            assert_eq!(second.as_deref(), Ok(&example.bytes()[..]), "{what}");
            assert_eq!(generated, Ok(example.bytes()), "{what}");
        }
    }
}

#[test]
fn stored_messages_have_their_type_or_version_in_front() {
    for example in examples("stored", 5) {
        let what = example.what();
        let number = example.head.get(3).map(|text| text.parse::<i16>().expect("a number"));
        if number.is_some() {
            assert_eq!(schemas().get(example.name()).number, number, "{what}");
        }
        let version = example.version();
        let front = match (example.head[2].as_str(), number) {
            ("version", None) => version.to_be_bytes().to_vec(),
            ("type", Some(number)) => number.to_be_bytes().to_vec(),
            ("frame", Some(number)) => vec![1, number as u8, version as u8],
            _ => panic!("{what}: something else in front"),
        };
        let bytes = example.bytes();
        assert_eq!(bytes[..front.len()], front, "{what}");
        let rest = bytes.slice(front.len()..);
        assert_written(&example, &rest);
        assert_read(&example, &rest);
    }
}

#[test]
fn header_versions_are_those_of_apache_kafka() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/header-versions-4.4.0.tsv");
    let text = std::fs::read_to_string(path).expect("vectors are part of the project");
    let mut compared = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [key, name, version, request, response] = columns[..] else {
            panic!("five columns: {line}");
        };
        let number = |text: &str| text.parse::<i16>().expect("a number");
        let Some(api) = ApiKey::from_code(number(key)) else { continue };
        if !api.valid_versions().contains(&number(version)) {
            continue;
        }
        assert_eq!(api.name(), name);
        assert_eq!(api.request_header_version(number(version)), number(request), "{line}");
        assert_eq!(api.response_header_version(number(version)), number(response), "{line}");
        compared += 1;
    }
    let released = |api: &ApiKey| api.released_versions(Release::V4_4);
    let versions: usize =
        ApiKey::ALL.iter().filter_map(released).map(|versions| versions.count()).sum();
    assert!(compared >= versions, "{compared} of {versions} versions");
}
