//! The examples in `schemas/GRAMMAR.md` are true: the value becomes the bytes, and the bytes the
//! value.

use bytes::Bytes;
use ottla_protocol::messages::{ApiKey, Release, convert};
use serde_json::Value;
use std::path::Path;

struct Example {
    name: String,
    version: i16,
    json: Value,
    bytes: Bytes,
}

/// The pairs of hexadecimal digits at the start of a line; two spaces, or a word, end them.
fn hex(line: &str) -> Vec<u8> {
    line.split(' ')
        .take_while(|word| word.len() == 2)
        .map_while(|word| u8::from_str_radix(word, 16).ok())
        .collect()
}

/// The blocks that begin with three backticks and `example`.
fn examples() -> Vec<Example> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/GRAMMAR.md");
    let text = std::fs::read_to_string(path).expect("the grammar is part of the project");
    let blocks = text.split("```example\n").skip(1);
    blocks
        .map(|block| {
            let mut lines = block.lines().take_while(|line| *line != "```");
            let head = lines.next().expect("a message and its version");
            let (name, version) = head.split_once(' ').expect("a message and its version");
            let json = lines.next().expect("the value");
            Example {
                name: name.to_owned(),
                version: version.parse().expect("a version"),
                json: serde_json::from_str(json).expect("JSON"),
                bytes: lines.flat_map(hex).collect::<Vec<_>>().into(),
            }
        })
        .collect()
}

#[test]
fn the_examples_of_the_grammar_are_true() {
    let examples = examples();
    assert!(examples.len() >= 9, "only {} examples", examples.len());
    for example in examples {
        let what = format!("{} {}", example.name, example.version);
        let written = convert::encode_named(&example.name, example.version, &example.json)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(written, example.bytes, "{what}");
        let read = convert::decode_named(&example.name, example.version, &example.bytes)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(read, example.json, "{what}");
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
