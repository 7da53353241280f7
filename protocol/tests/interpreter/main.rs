//! The second codec agrees with the generated one: on Apache Kafka's vectors, on random values, on
//! bytes that were cut, and on bytes that were harmed. Where one refuses so does the other, at the
//! same byte and field.
//!
//! `OTTLA_INTERPRETER_ROUNDS=50` makes all of them look fifty times as long, with other seeds.

#[allow(dead_code, unused_imports, reason = "other tests use more of it")]
mod codec;
mod random;
#[allow(dead_code, unused_imports, reason = "other tests use more of it")]
mod vectors;

use bytes::Bytes;
use codec::{Data, Message, Refusal, Schemas, Struct, Type};
use ottla_protocol::messages::convert;
use random::Random;
use serde_json::Value;
use std::sync::OnceLock;
use vectors::{Vector, same};

/// What the generated codec gives up on to spare memory, and the rules do not refuse (part 4.7).
const SPARED: &str = "nearly all empty";

fn schemas() -> &'static Schemas {
    static SCHEMAS: OnceLock<Schemas> = OnceLock::new();
    SCHEMAS.get_or_init(vectors::schemas)
}

fn rounds() -> u64 {
    let text = std::env::var("OTTLA_INTERPRETER_ROUNDS");
    text.map_or(1, |text| text.parse().expect("OTTLA_INTERPRETER_ROUNDS is a number"))
}

/// Names as both write them: `TopicId` and `topic_id` are one field.
fn plain(path: &str) -> String {
    path.chars().filter(|c| *c != '_').collect::<String>().to_ascii_lowercase()
}

/// The place in an error of the generated codec: `… at byte 12 (topics[0].name): …`.
fn place(error: &str) -> (Option<usize>, String) {
    let head = error.split(": ").next().unwrap_or(error);
    let byte = head.split_once(" at byte ").map(|(_, rest)| rest);
    let byte = byte.map(|rest| rest.split(' ').next().expect("a word"));
    let path = head.split_once(" (").map_or("", |(_, path)| path.trim_end_matches(')'));
    (byte.map(|byte| byte.parse().expect("a number")), plain(path))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads with both codecs; whether they accepted.
fn read_alike(message: &Message, version: i16, bytes: &Bytes) -> bool {
    let name = &message.name;
    let what = || format!("{name} v{version}, {} bytes: {}", bytes.len(), hex(bytes));
    let ours = message.read(version, bytes);
    let theirs = convert::check_named(name, version, bytes).map_err(|error| error.to_string());
    match (ours, theirs) {
        (Ok(value), Ok(())) => {
            let json = convert::decode_named(name, version, bytes).expect("it was read before");
            assert!(
                same(&json, &message.to_json(version, &value)),
                "{}\n generated {json}\n second {}",
                what(),
                message.to_json(version, &value)
            );
            let ours = message.write(version, &value).map(hex_of);
            let theirs = convert::recode_named(name, version, bytes).map(hex_of);
            assert_eq!(ours.ok(), theirs.ok(), "{}", what());
            true
        }
        (_, Err(error)) if error.contains(SPARED) => false,
        (Err(refusal), Err(error)) => {
            let ours = (Some(refusal.at), plain(&refusal.path));
            assert_eq!(
                ours,
                place(&error),
                "{}\n generated: {error}\n second: {refusal:?}",
                what()
            );
            false
        }
        (Ok(_), Err(error)) => panic!("{}\n the second reads it, generated: {error}", what()),
        (Err(refusal), Ok(())) => panic!("{}\n generated reads it, second: {refusal:?}", what()),
    }
}

fn hex_of(bytes: impl AsRef<[u8]>) -> String {
    hex(bytes.as_ref())
}

fn find(v: &Vector) -> &'static Message {
    schemas().get(&v.name)
}

#[test]
fn every_vector_is_read_and_written_alike() {
    let vectors = vectors::bodies();
    assert!(vectors.len() >= 1_900, "only {} vectors", vectors.len());
    for v in vectors {
        let message = find(v);
        let what = format!("{} v{} {}", v.name, v.version, v.variant);
        assert!(read_alike(message, v.version, &v.bytes), "{what}");
        let value = message.parse_json(v.version, &v.json);
        let read = message.read(v.version, &v.bytes).expect("it was read before");
        let json = message.to_json(v.version, &read);
        let expected = message.to_json(v.version, &value);
        assert!(same(&json, &expected), "{what}:\n ours {json}\n Apache's {}", v.json);
        if v.variant != "unknown-tags" {
            let written = message.write(v.version, &value).map(hex_of);
            assert_eq!(written, Ok(hex(&v.bytes)), "{what}");
        }
    }
}

#[test]
fn random_values_are_written_and_read_alike() {
    for round in 0..2 * rounds() {
        for (at, message) in schemas().all().enumerate() {
            for version in message.versions.first..=message.versions.last {
                let seed = 1 + (round << 32 | (at as u64) << 16 | version as u64);
                for mut random in [Random::new(seed), Random::with_nulls(seed)] {
                    round_trip(message, version, &random.message(message, version));
                }
            }
        }
    }
}

fn round_trip(message: &Message, version: i16, value: &Struct) {
    let what = format!("{} v{version} {value:?}", message.name);
    let bytes = message.write(version, value).unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let bytes = Bytes::from(bytes);
    assert_eq!(message.read(version, &bytes).as_ref(), Ok(value), "{what}");
    assert!(read_alike(message, version, &bytes), "{what}");
    // The JSON form lacks the unknown tags.
    let json = message.to_json(version, value);
    let bare = message.write(version, &message.parse_json(version, &json));
    let theirs = convert::encode_named(&message.name, version, &json);
    let theirs = theirs.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(bare.map(hex_of), Ok(hex(&theirs)), "{what}");
}

#[test]
fn what_is_cut_is_refused_at_the_same_place() {
    let mut random = Random::new(3);
    for v in vectors::bodies() {
        // The first bytes and the last ones, and of long rows some between.
        let len = v.bytes.len();
        let some = if len <= 40 { 0 } else { 12 * rounds() as usize };
        let ends = (0..len).filter(|at| *at < 20 || len - at <= 20);
        let cuts: Vec<usize> = ends.chain((0..some).map(|_| random.below(len))).collect();
        for cut in cuts {
            let accepted = read_alike(find(v), v.version, &v.bytes.slice(..cut));
            assert!(!accepted, "{} v{} cut at {cut} is read", v.name, v.version);
        }
    }
}

#[test]
fn what_is_harmed_is_read_or_refused_alike() {
    let (mut read, mut refused) = (0, 0);
    for round in 0..rounds() {
        let mut random = Random::new(7 + round);
        for v in vectors::bodies().iter().filter(|v| v.bytes.len() < 2_000 || round > 0) {
            for _ in 0..6 {
                let mut bytes = v.bytes.to_vec();
                random.corrupt(&mut bytes);
                let accepted = read_alike(find(v), v.version, &bytes.into());
                *if accepted { &mut read } else { &mut refused } += 1;
            }
        }
    }
    assert!(read > 1_000 && refused > 1_000, "{read} read, {refused} refused");
}

#[test]
fn vectors_with_a_fault_are_refused_at_their_place() {
    let rows = vectors::odd();
    assert!(rows.len() > 2_000, "only {} rows", rows.len());
    for row in rows {
        let read = schemas().get(&row.name).read(row.version, &row.bytes);
        let place = read.err().map(|refusal| (refusal.at, plain(&refusal.path)));
        let expected = row.refused.map(|(at, field)| (at, plain(&field)));
        assert_eq!(place, expected, "{} v{} {}", row.name, row.version, row.case);
    }
}

/// Nine tagged fields are more than a reader believes in on their count's word alone.
#[test]
fn of_two_faults_in_a_section_the_first_is_named() {
    let mut bytes = vec![0, 0, 1, 0, 0, 0, 0, 9];
    bytes.extend([3, 2, 1, 0]); // ZkMigrationReady, and a byte too many
    for tag in 100..107 {
        bytes.extend([tag, 0]);
    }
    bytes.extend([107, 5, 0]); // cut
    let message = schemas().get("ApiVersionsResponse");
    assert!(!read_alike(message, 3, &bytes.clone().into()));
    let refusal = message.read(3, &bytes).expect_err("two faults");
    assert_eq!((refusal.at, refusal.path.as_str()), (11, "ZkMigrationReady"));
}

/// All places of a value at which a version has a field that cannot be null, or a string.
fn spoil(message: &Message, version: i16, json: &mut Value, random: &mut Random) -> Option<String> {
    let mut fields = &message.fields;
    let mut at = json;
    let mut path = String::new();
    loop {
        let here: Vec<_> = fields
            .iter()
            .filter(|field| field.versions.contains(version) && field.tag_in(version).is_none())
            .collect();
        if here.is_empty() {
            return None;
        }
        let field = here[random.below(here.len())];
        let joint = if path.is_empty() { "" } else { "." };
        path = format!("{path}{joint}{}", field.name);
        let key = field.name[..1].to_ascii_lowercase() + &field.name[1..];
        at = at.get_mut(&key)?;
        match &field.ty {
            Type::Array(element) if !random.one_in(3) => {
                let Type::Struct(inner) = &**element else { return None };
                at = at.get_mut(0)?;
                path.push_str("[0]");
                fields = inner;
            }
            Type::Struct(inner) if at.is_object() && !random.one_in(3) => fields = inner,
            Type::String if random.one_in(3) => {
                *at = "x".repeat(32_768).into();
                return Some(path);
            }
            _ if field.nullable.contains(version) => return None,
            _ => {
                *at = Value::Null;
                return Some(path);
            }
        }
    }
}

#[test]
fn what_cannot_be_written_is_refused_at_the_same_field() {
    let mut refused = 0;
    for (at, message) in schemas().all().enumerate() {
        for version in message.versions.first..=message.versions.last {
            let mut random = Random::new(11 + at as u64);
            let value = random.message(message, version);
            let mut json = message.to_json(version, &value);
            let Some(path) = spoil(message, version, &mut json, &mut random) else { continue };
            let theirs = convert::encode_named(&message.name, version, &json);
            let theirs = theirs.expect_err("it cannot be written").to_string();
            let ours = message.write(version, &message.parse_json(version, &json));
            let ours = ours.expect_err("it cannot be written");
            assert_eq!(plain(&ours.path), plain(&path), "{} v{version}", message.name);
            assert_eq!(place(&theirs).1, plain(&path), "{} v{version}: {theirs}", message.name);
            refused += 1;
        }
    }
    assert!(refused > 200, "only {refused} values were spoiled");
}

/// A field that is set and that the version lacks: the generated codec's side of this rule is in
/// the worked examples of `GRAMMAR.md`, for JSON cannot say it.
#[test]
fn what_a_version_lacks_is_dropped_if_ignorable_and_else_refused() {
    let (mut dropped, mut refused) = (0, 0);
    for message in schemas().all() {
        for version in message.versions.first..=message.versions.last {
            for (at, field) in message.fields.iter().enumerate() {
                let Type::Int { .. } = field.ty else { continue };
                if field.versions.contains(version) {
                    continue;
                }
                let mut value = Random::new(13).message(message, version);
                let without = message.write(version, &value).expect("it has its default");
                value.fields[at] = Data::Int(77);
                match message.write(version, &value) {
                    Ok(bytes) => {
                        assert!(field.ignorable && bytes == without, "{}", message.name);
                        dropped += 1;
                    }
                    Err(Refusal { path, .. }) => {
                        assert!(!field.ignorable && path == field.name, "{}", message.name);
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(dropped > 50 && refused > 50, "{dropped} dropped, {refused} refused");
}
