//! `schemas/kafka.abnf` says what Apache Kafka's bytes are: its vectors match the rules, and what
//! was changed in them does not.

#[allow(dead_code, unused_imports, reason = "other tests use more of it")]
#[path = "../interpreter/codec/mod.rs"]
mod codec;
mod grammar;
mod matcher;
#[allow(dead_code, unused_imports, reason = "other tests use more of it")]
#[path = "../interpreter/vectors.rs"]
mod vectors;

use grammar::Rules;
use matcher::matches;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;
use vectors::Vector;

/// Rules that no other rule needs.
const STARTS: &[&str] = &[
    "boolean",
    "int8",
    "uint16",
    "float64",
    "uuid",
    "compact-null",
    "compact-string",
    "compact-bytes",
    "array-count",
    "null-array",
    "compact-count",
    "presence",
    "tagged-presence",
    "request-frame",
    "response-frame",
    "token-frame",
    "coordinator-key",
    "coordinator-value",
    "metadata-record",
    "record-batches",
    "control-key",
    "message-set",
];

fn rules() -> &'static Rules {
    static RULES: OnceLock<Rules> = OnceLock::new();
    RULES.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/kafka.abnf");
        let text = std::fs::read_to_string(path).expect("the grammar is part of the project");
        grammar::parse(&text).unwrap_or_else(|error| panic!("kafka.abnf: {error}"))
    })
}

fn is(rule: &str, octets: &[u8]) -> bool {
    matches(rules(), rule, octets)
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn assert_is(rule: &str, octets: &[u8], what: &str) {
    assert!(is(rule, octets), "{what}: no {rule}: {}", hex(octets));
}

fn assert_is_not(rule: &str, octets: &[u8], what: &str) {
    assert!(!is(rule, octets), "{what}: a {rule}: {}", hex(octets));
}

#[test]
fn every_rule_is_defined_and_used() {
    let mut used = Vec::new();
    rules().values().for_each(|node| grammar::names(node, &mut used));
    let used: BTreeSet<&str> = used.iter().map(String::as_str).collect();
    for name in &used {
        assert!(rules().contains_key(*name), "`{name}` is not defined");
    }
    for name in rules().keys() {
        let is_start = STARTS.contains(&name.as_str());
        assert!(
            used.contains(name.as_str()) != is_start,
            "`{name}` is used and a start, or neither"
        );
    }
}

#[test]
fn what_is_no_abnf_is_refused_with_its_line() {
    for (text, reason) in [
        ("a = %x00\na = %x01", "line 2: `a` is defined twice"),
        ("a =/ %x00", "line 1: `a` is extended before it is defined"),
        ("a = ( %x00", "line 1: expected `)`"),
        ("a = %x00 / ; nothing", "line 1: expected an element before ``"),
        ("a = <octets of b>", "line 1: <octets of b> has none of the documented forms"),
        ("a = %x00 ; …", "line 1: '…' is not ASCII"),
        ("  a = %x00", "line 1: a continuation of nothing"),
        ("9a = %x00", "line 1: `9a` is no rule's name"),
        ("a = %x100", "line 1: `100` is no octet"),
    ] {
        assert_eq!(grammar::parse(text).err().as_deref(), Some(reason), "{text}");
    }
}

/// The numbers, strings, lengths and tagged sections of every vector: twenty of each length.
#[test]
fn what_stands_in_messages_matches_and_with_more_or_less_does_not() {
    let schemas = vectors::schemas();
    let mut pieces: BTreeMap<(&str, usize), BTreeSet<&[u8]>> = BTreeMap::new();
    for v in vectors::bodies() {
        let (_, seen) = codec::read_seen(schemas.get(&v.name), v.version, &v.bytes)
            .unwrap_or_else(|refusal| panic!("{} v{}: {refusal:?}", v.name, v.version));
        for piece in seen {
            let octets = &v.bytes[piece.start..piece.end];
            pieces.entry((piece.rule, octets.len())).or_default().insert(octets);
        }
    }
    let seen: BTreeSet<&str> = pieces.keys().map(|(rule, _)| *rule).collect();
    assert!(seen.len() >= 20, "{seen:?}");
    for ((rule, len), texts) in pieces {
        for octets in texts.into_iter().take(if len < 200 { 20 } else { 1 }) {
            assert_is(rule, octets, "a piece of a vector");
            assert_is_not(rule, &octets[..octets.len() - 1], "a piece without its last octet");
            assert_is_not(rule, &[octets, &[0]].concat(), "a piece and one octet more");
            if let (true, [head @ .., _]) = (rule.ends_with("string") && octets.len() > 2, octets) {
                let last = [head, &[0xff]].concat();
                assert_is_not(rule, &last, "a text that is not UTF-8");
            }
        }
    }
}

#[test]
fn edges_of_primitive_types() {
    for (rule, octets) in [
        ("uvarint", &[0x80, 0x80, 0x80, 0x80, 0x80][..]),
        ("uvarint", &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]),
        ("uvarint", &[]),
        ("varlong", &[0xff; 10]),
        ("compact-null", &[0x01]),
        ("compact-null", &[0x80, 0x80, 0x80, 0x80, 0x01]),
        ("compact-string", &[0x00]),
        ("compact-string", &[0x03, b'a']),
        ("string", &[0xff, 0xff]),
        ("null-string", &[0x00, 0x00]),
        ("string", &[0x00, 0x02, 0xc0, 0x80]),
        ("string", &[0x00, 0x03, 0xed, 0xa0, 0x80]),
        ("array-count", &[0xff, 0xff, 0xff, 0xff]),
        ("tagged-fields", &[0x02, 0x00, 0x00]),
        ("control-key", &[0, 0, 0, 7]),
    ] {
        assert_is_not(rule, octets, "an edge");
    }
    for (rule, octets) in [
        ("uvarint", &[0xff, 0xff, 0xff, 0xff, 0x7f][..]),
        ("uvarint", &[0x80, 0x00]),
        ("varlong", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ("compact-null", &[0x80, 0x80, 0x80, 0x80, 0x10]),
        ("null-string", &[0x80, 0x00]),
        ("string", &[0x00, 0x04, 0xf4, 0x8f, 0xbf, 0xbf]),
        ("tagged-fields", &[0x02, 0x07, 0x00, 0x81, 0x01, 0x01, 0xff]),
        ("boolean", &[0x02]),
    ] {
        assert_is(rule, octets, "an edge");
    }
}

#[test]
fn headers_and_frames() {
    let framed = |inside: &[u8]| {
        let len = u32::try_from(inside.len()).expect("a short frame").to_be_bytes();
        [&len[..], inside].concat()
    };
    let mut headers = 0;
    for v in vectors::bodies().iter().filter(|v| v.kind == "header") {
        let request = v.name == "RequestHeader";
        let side = if request { "request" } else { "response" };
        let what = format!("{} v{} {}", v.name, v.version, v.variant);
        let rule = format!("{side}-header-{}", v.version);
        assert_is(&rule, &v.bytes, &what);
        assert_is_not(&rule, &v.bytes[..v.bytes.len() - 1], &what);
        assert_is_not(&rule, &[&v.bytes[..], &[0]].concat(), &what);
        let rule = format!("{side}-frame");
        let mut frame = framed(&[&v.bytes[..], b"a message"].concat());
        assert_is(&rule, &frame, &what);
        assert_is_not(&rule, &frame[..frame.len() - 1], &what);
        assert_is_not(&rule, &[&frame[..], &[0]].concat(), &what);
        frame[3] -= 1;
        assert_is_not(&rule, &frame, &what);
        frame[0] = 0x80;
        assert_is_not(&rule, &frame, &what);
        headers += 1;
    }
    assert!(headers >= 8, "only {headers} headers");
    assert_is("token-frame", &framed(&[]), "an empty token");
    assert_is_not("request-frame", &framed(&[]), "a request without a header");
    assert_is_not("request-frame", &framed(&[0; 7]), "a cut header");
}

#[test]
fn what_stands_in_front_of_stored_records() {
    let mut seen = BTreeSet::new();
    for v in vectors::framed() {
        let rule = match (v.bytes[0], v.name.ends_with("Key")) {
            (1, _) => "metadata-record",
            (_, true) => "coordinator-key",
            (_, false) => "coordinator-value",
        };
        seen.insert(rule);
        assert_is(rule, &v.bytes, &v.name);
        assert_is_not(rule, &v.bytes[..1], &v.name);
    }
    assert_eq!(seen.len(), 3);
    assert_is_not("metadata-record", &[2, 3, 0, 0], "another frame version");
}

/// Whether a batch is to be refused, or has something behind it.
fn is_whole(v: &Vector) -> bool {
    v.json.get("error").is_none() && v.json["incompleteTail"] != true
}

fn rule_of(v: &Vector) -> &'static str {
    if v.version == 2 { "record-batches" } else { "message-set" }
}

#[test]
fn record_batches_and_message_sets() {
    let (mut whole, mut broken) = (0, 0);
    for v in &vectors::records() {
        let what = format!("{} magic {} {}", v.name, v.version, v.variant);
        if is_whole(v) {
            assert_is(rule_of(v), &v.bytes, &what);
            whole += 1;
        } else {
            assert_is_not(rule_of(v), &v.bytes, &what);
            broken += 1;
        }
    }
    assert!(whole > 60 && broken > 8, "{whole} whole, {broken} broken");
}

#[test]
fn a_changed_batch_is_none() {
    for v in vectors::records().iter().filter(|v| is_whole(v) && v.bytes.len() < 600) {
        let what = format!("{} magic {} {}", v.name, v.version, v.variant);
        // Before the checksum: base offset and leader epoch, which a broker sets, or the offset.
        let free = |at: usize| at < 8 || v.version == 2 && (12..16).contains(&at);
        let first = 12 + u32::from_be_bytes(v.bytes[8..12].try_into().expect("four")) as usize;
        for at in 0..first {
            let mut octets = v.bytes.to_vec();
            octets[at] ^= 1 << (at % 8);
            assert!(is(rule_of(v), &octets) == free(at), "{what}: octet {at} changed");
        }
        for len in first - 20..first {
            assert_is_not(rule_of(v), &v.bytes[..len], &what);
        }
    }
}

#[test]
fn records_are_said_too_where_nothing_is_summed() {
    // The number of records, the first one's length and its key's, each one less or more.
    let plain = |v: &&Vector| v.name == "batch-none" && v.version == 2 && v.variant == "basic";
    let records = vectors::records();
    let v = records.iter().find(plain).expect("a plain batch");
    let checked = &v.bytes[21..];
    assert_is("checked-batch", checked, "the part that is summed");
    for at in [39, 40, 44] {
        let mut octets = checked.to_vec();
        octets[at] ^= 2;
        assert_is_not("checked-batch", &octets, &format!("octet {at}"));
    }
    assert_is_not("checked-batch", &[checked, &[0]].concat(), "one octet behind the records");
}

#[test]
fn control_keys() {
    use base64::Engine;
    let mut keys = 0;
    for v in vectors::records().iter().filter(|v| v.variant.starts_with("control-")) {
        collect_keys(&v.json, &mut |key| {
            let key = base64::engine::general_purpose::STANDARD.decode(key).expect("base64");
            assert_is("control-key", &key, &v.variant);
            keys += 1;
        });
    }
    assert!(keys >= 4, "only {keys} control records");
}

fn collect_keys(json: &Value, found: &mut impl FnMut(&str)) {
    match json {
        Value::Array(all) => all.iter().for_each(|value| collect_keys(value, found)),
        Value::Object(all) => {
            for (name, value) in all {
                match (name.as_str(), value) {
                    ("key", Value::String(key)) => found(key),
                    (_, value) => collect_keys(value, found),
                }
            }
        }
        _ => {}
    }
}
