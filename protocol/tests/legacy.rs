//! Message sets of magic 0 and 1: Apache Kafka's own, what Kafka refuses, and conversions.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use flate2::read::GzDecoder;
use ottla_protocol::records::json::records_to_json;
use ottla_protocol::records::legacy::{
    Codecs, Entries, Entry, LegacyMagic, LegacyMessage, LegacyRecord, MessageSetBuilder,
    MessageSetFields, down_convert, up_convert,
};
use ottla_protocol::records::{
    BatchBuilder, BatchFields, BatchIter, Compression, Compressor, Decompressor, RecordErrorKind,
    TimestampType,
};
use proptest::prelude::*;
use serde_json::{Value, json};

struct Vector {
    what: String,
    bytes: Bytes,
    json: Value,
}

fn unhex(text: &str) -> Bytes {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(byte).collect::<Vec<_>>().into()
}

/// Apache Kafka's sets of both formats.
fn vectors() -> Vec<Vector> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/records.tsv.gz");
    let mut text = String::new();
    GzDecoder::new(File::open(path).expect("vectors are part of the project"))
        .read_to_string(&mut text)
        .expect("gzip");
    let row = |line: &str| {
        let columns: Vec<_> = line.split('\t').collect();
        let [_, name, _, magic, variant, hex, json] = columns[..] else {
            panic!("seven columns: {line}");
        };
        let json = serde_json::from_str(json).expect("JSON");
        let what = format!("{name} magic {magic} {variant}");
        (magic != "2").then(|| Vector { what, bytes: unhex(hex), json })
    };
    let found: Vec<_> = text.lines().filter_map(row).collect();
    assert!(found.len() >= 39, "only {} sets", found.len());
    found
}

fn messages(bytes: &Bytes) -> Vec<LegacyMessage> {
    let entry = |entry| match entry {
        Ok(Entry::Message(message)) => message,
        other => panic!("a message, not {other:?}"),
    };
    Entries::new(bytes.clone()).map(entry).collect()
}

fn records(message: &LegacyMessage) -> Vec<LegacyRecord> {
    let records = message.records(&mut Decompressor::new()).expect("readable");
    records.map(|record| record.expect("readable")).collect()
}

fn is_whole(vector: &Vector) -> bool {
    vector.json.get("error").is_none() && vector.json.get("incompleteTail").is_none()
}

#[test]
fn what_is_read_equals_apaches_json() {
    for vector in vectors() {
        assert_eq!(records_to_json(&vector.bytes), vector.json, "{}", vector.what);
    }
}

/// A set of the same records, written by us.
fn written(sets: &[LegacyMessage]) -> Vec<u8> {
    let first = &sets[0];
    let append_time =
        (first.timestamp_type() == Some(TimestampType::LogAppendTime)).then(|| first.timestamp());
    let fields = MessageSetFields {
        compression: first.compression().expect("known"),
        append_time,
        ..MessageSetFields::new(first.magic())
    };
    let mut set = MessageSetBuilder::new(fields);
    for LegacyRecord { offset, timestamp, key, value } in sets.iter().flat_map(records) {
        set.append(offset, timestamp, key.as_deref(), value.as_deref()).expect("appended");
    }
    set.finish(&mut Compressor::new()).expect("written")
}

#[test]
fn what_is_written_equals_apaches_bytes() {
    let mut compressed = 0;
    for vector in vectors().iter().filter(|vector| is_whole(vector)) {
        let theirs = messages(&vector.bytes);
        let ours = Bytes::from(written(&theirs));
        if theirs[0].compression().expect("known") == Compression::None {
            assert_eq!(ours, vector.bytes, "{}", vector.what);
            continue;
        }
        // Another compressor's bytes may differ, and the lengths and checksum with them.
        compressed += 1;
        let (ours, theirs) = (&messages(&ours)[0], &theirs[0]);
        ours.verify_crc().expect("of its bytes");
        let facts = |of: &LegacyMessage| {
            (of.offset(), of.magic(), of.attributes(), of.timestamp(), of.key(), records(of))
        };
        assert_eq!(facts(ours), facts(theirs), "{}", vector.what);
        let front = |of: &LegacyMessage| of.value().expect("a set").slice(..7);
        if theirs.compression() == Ok(Compression::Lz4) {
            assert_eq!(front(ours), front(theirs), "{}: the frame's header", vector.what);
        }
    }
    assert!(compressed > 15);
}

#[test]
fn every_cut_leaves_a_tail_and_every_changed_byte_is_found() {
    for vector in vectors().iter().filter(|vector| is_whole(vector)) {
        let sizes: Vec<usize> = messages(&vector.bytes).iter().map(|m| m.bytes().len()).collect();
        let step = vector.bytes.len() / 200 + 1;
        for len in (0..vector.bytes.len()).step_by(step) {
            let mut whole = 0;
            let mut at = 0;
            while sizes.get(whole).is_some_and(|size| at + size <= len) {
                at += sizes[whole];
                whole += 1;
            }
            let mut entries = Entries::new(vector.bytes.slice(..len));
            let given = entries.by_ref().filter(Result::is_ok).count();
            assert_eq!(given, whole, "{}, {len} bytes", vector.what);
            assert_eq!(entries.incomplete_tail(), at < len, "{}, {len} bytes", vector.what);
            assert_eq!(entries.position(), at);
        }
        // Offset and size of the first message are not under its checksum.
        for at in (12..sizes[0]).step_by(step) {
            let mut bytes = vector.bytes.to_vec();
            bytes[at] ^= 1 << (at % 8);
            let read = records_to_json(&bytes.into());
            assert!(read.get("error").is_some(), "{}, byte {at}", vector.what);
        }
    }
}

/// A message with a checksum that fits.
fn message(magic: u8, offset: i64, attributes: u8, value: Option<&[u8]>) -> Vec<u8> {
    let mut body = vec![magic, attributes];
    if magic == 1 {
        body.extend(7i64.to_be_bytes());
    }
    body.extend((-1i32).to_be_bytes());
    body.extend(value.map_or(-1, |value| value.len() as i32).to_be_bytes());
    body.extend(value.unwrap_or_default());
    let mut out = offset.to_be_bytes().to_vec();
    out.extend((body.len() as i32 + 4).to_be_bytes());
    out.extend(ottla_protocol::records::crc::crc32(&body).to_be_bytes());
    out.extend(body);
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Compressor::new().compress(Compression::Gzip, None, bytes, &mut out).expect("compressed");
    out
}

#[test]
fn wrappers_that_brokers_refuse_are_refused_with_the_reason() {
    use RecordErrorKind::{Crc, Decompress, Invalid, Malformed, UnsupportedCompression};
    let inner = |magic, offset| message(magic, offset, 0, Some(b"v"));
    let wrapper = |magic, offset, inside: &[u8]| message(magic, offset, 1, Some(&gzip(inside)));
    let mut wrong_inside = inner(1, 0);
    *wrong_inside.last_mut().expect("a byte") ^= 1;
    let nested = wrapper(1, 0, &inner(1, 0));
    let cases: [(Vec<u8>, RecordErrorKind, &str); 13] = [
        (message(0, 0, 1, None), Invalid, "a compressed message without a value"),
        (wrapper(1, 0, b""), Invalid, "a compressed message that holds none"),
        (wrapper(1, 0, &nested), Invalid, "a compressed message inside a compressed one"),
        (wrapper(1, 0, &inner(0, 0)), Invalid, "a message of magic 0 inside one of another"),
        (wrapper(0, 0, &inner(1, 0)), Invalid, "a message of magic 1 inside one of another"),
        (wrapper(1, 1, &inner(1, 2)), Invalid, "offset 1, below 2 of the last message inside"),
        (wrapper(1, 0, &inner(1, 0)[..20]), Malformed, "a message inside is cut off"),
        (wrapper(1, 0, &[0; 12]), Malformed, "a message inside is shorter than its header"),
        (wrapper(1, 0, &wrong_inside), Crc, "checksum"),
        (message(1, 0, 1, Some(b"not gzip")), Decompress, ""),
        (message(1, 0, 4, Some(b"")), UnsupportedCompression, "codec 4 is none of a message set"),
        (message(0, 0, 7, Some(b"")), UnsupportedCompression, "codec 7 is none of a message set"),
        (message(1, 0, 3, Some(&lz4(0))), Decompress, "the checksum of the lz4 frame header"),
    ];
    for (bytes, kind, text) in cases {
        let read = messages(&bytes.into()).remove(0);
        read.verify_crc().expect("the message itself is whole");
        let records = read.records(&mut Decompressor::new());
        let error = match records.and_then(|records| records.collect::<Result<Vec<_>, _>>()) {
            Ok(read) => panic!("{text}: {read:?}"),
            Err(error) => error,
        };
        assert_eq!(error.kind(), kind, "{text}: {error}");
        assert!(error.message().contains(text), "{text}: {error}");
    }
}

/// An lz4 frame of a message of this magic, with the checksum that producers gave it there.
fn lz4(magic: u8) -> Vec<u8> {
    let magic = LegacyMagic::from_byte(magic).expect("0 or 1");
    let compression = Compression::Lz4;
    let fields = MessageSetFields { compression, ..MessageSetFields::new(magic) };
    let mut set = MessageSetBuilder::new(fields);
    set.append(5, 7, None, Some(b"v")).expect("appended");
    let bytes = set.finish(&mut Compressor::new()).expect("written");
    messages(&bytes.into())[0].value().expect("a frame").to_vec()
}

#[test]
fn in_magic_0_both_checksums_of_an_lz4_frame_are_read() {
    let broken = lz4(0);
    // KAFKA-3160: 0x82 is right for these flags, 0x1a is what was written.
    assert_eq!(broken[4..7], [0x60, 0x40, 0x1a]);
    let mut right = broken.clone();
    right[6] = 0x82;
    for frame in [broken, right] {
        let read = messages(&message(0, 5, 3, Some(&frame)).into()).remove(0);
        assert_eq!(records(&read)[0].value.as_deref(), Some(&b"v"[..]));
    }
}

#[test]
fn a_wrapper_whose_offset_was_left_at_0_has_the_offsets_inside() {
    let inside = [message(1, 0, 0, Some(b"a")), message(1, 1, 0, Some(b"b"))].concat();
    let read = |offset| {
        let bytes = message(1, offset, 1, Some(&gzip(&inside)));
        records(&messages(&bytes.into())[0]).iter().map(|record| record.offset).collect::<Vec<_>>()
    };
    assert_eq!((read(0), read(1), read(41)), (vec![0, 1], vec![0, 1], vec![40, 41]));
}

#[test]
fn a_message_that_is_no_message_is_refused_with_the_place() {
    let whole = message(1, 3, 0, Some(b"value"));
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = whole.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        LegacyMessage::parse(changed.into()).expect_err("refused")
    };
    for (error, at, text) in [
        (with(8, &[0, 0, 0, 21]), 8, "message size 21 is less than 22"),
        (with(8, &[255, 0, 0, 0]), 8, "is less than 22"),
        (with(8, &[0, 0, 0, 28]), 8, "message size 28, but 27 bytes follow it"),
        (with(16, &[2]), 16, "magic 2 is not that of a message set"),
        (with(26, &[0, 0, 1, 0]), 26, "a key of 256 bytes, but 9 are left"),
        (with(26, &[0, 0, 0, 7]), 37, "the message ends within the length of its value"),
        (with(30, &[0, 0, 0, 6]), 30, "a value of 6 bytes, but 5 are left"),
        (with(30, &[0, 0, 0, 4]), 38, "1 bytes follow the message's value"),
    ] {
        assert_eq!((error.offset(), error.message().contains(text)), (at, true), "{error}");
    }
    assert!(LegacyMessage::parse(Bytes::from(whole).slice(..16)).is_err());
}

fn batch(compression: Compression, append_time: Option<i64>) -> Bytes {
    let mut batch = BatchBuilder::new(256);
    for (delta, value) in [(0, Some(&b"a"[..])), (3, None), (4, Some(b"c"))] {
        let header = [ottla_protocol::records::Header::new("h", Some(b"x"))];
        batch.append_at(delta, 100 + i64::from(delta), Some(b"k"), value, &header).expect("room");
    }
    let fields =
        BatchFields { base_offset: 40, compression, append_time, ..BatchFields::default() };
    batch.finish(&fields, &mut Compressor::new()).expect("written")
}

#[test]
fn batches_become_messages_and_messages_batches() {
    let codecs = &mut Codecs::default();
    for compression in [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4]
    {
        for append_time in [None, Some(999)] {
            let batch = batch(compression, append_time);
            let down = Bytes::from(down_convert(&batch, LegacyMagic::V1, codecs).expect("down"));
            let read: Vec<_> = messages(&down).iter().flat_map(records).collect();
            let facts = |r: &LegacyRecord| (r.offset, r.timestamp, r.value.clone());
            let expected =
                [(40, 100, Some("a".into())), (43, 103, None), (44, 104, Some("c".into()))]
                    .map(|(offset, own, value)| (offset, append_time.unwrap_or(own), value));
            assert_eq!(read.iter().map(facts).collect::<Vec<_>>(), expected);
            assert_eq!(messages(&down).len(), if compression == Compression::None { 3 } else { 1 });

            let lower = Bytes::from(down_convert(&down, LegacyMagic::V0, codecs).expect("lower"));
            assert!(messages(&lower).iter().flat_map(records).all(|r| r.timestamp == -1));
            let same = down_convert(&lower, LegacyMagic::V1, codecs).expect("older stays");
            assert_eq!(same, lower);

            let up = Bytes::from(up_convert(&down, codecs).expect("up"));
            let batches: Vec<_> = BatchIter::new(up).map(|batch| batch.expect("whole")).collect();
            assert_eq!(batches.len(), 1);
            let header = batches[0].header();
            assert_eq!((header.base_offset, header.compression()), (40, Ok(compression)));
            assert_eq!(header.max_timestamp, append_time.unwrap_or(104));
            let back = batches[0].records(&mut codecs.decompressor).expect("readable");
            let back: Vec<_> = back.iter().map(|r| r.expect("readable").offset).collect();
            assert_eq!(back, [40, 43, 44]);
        }
    }
    let zstd = down_convert(&batch(Compression::Zstd, None), LegacyMagic::V1, codecs);
    let error = zstd.expect_err("unknown there");
    assert_eq!(error.kind(), RecordErrorKind::UnsupportedCompression);
}

#[test]
fn negative_offsets_are_read_and_not_converted() {
    // Some producers left -1 there: it is the broker that gives offsets.
    let codecs = &mut Codecs::default();
    for bytes in [
        message(0, -1, 0, Some(b"v")),
        message(0, -1, 1, Some(&gzip(&message(0, -5, 0, Some(b"v"))))),
        message(1, -1, 0, Some(b"v")),
    ] {
        let bytes = Bytes::from(bytes);
        assert!(records(&messages(&bytes)[0])[0].offset < 0);
        let up = up_convert(&bytes, codecs).expect_err("no place for it");
        assert_eq!(up.kind(), RecordErrorKind::Encode);
    }
    let down = message(1, -1, 0, Some(b"v")).into();
    let down = down_convert(&down, LegacyMagic::V0, codecs).expect_err("no place for it");
    assert_eq!(down.kind(), RecordErrorKind::Encode);
    let mut set = MessageSetBuilder::new(MessageSetFields::new(LegacyMagic::V1));
    assert!(set.append(-1, 0, None, None).is_err());
    assert!(set.is_empty());
}

#[test]
fn a_field_may_mix_all_formats() {
    let codecs = &mut Codecs::default();
    let plain = [message(0, 1, 0, Some(b"a")), message(0, 2, 0, Some(b"b"))].concat();
    let wrapped = message(1, 4, 1, Some(&gzip(&message(1, 0, 0, Some(b"c")))));
    let control = {
        let mut batch = BatchBuilder::new(64);
        batch.append(9, Some(&[0, 0, 0, 1]), Some(&[0, 0, 0, 0, 0, 0]), &[]).expect("room");
        let fields = BatchFields {
            base_offset: 50,
            producer_id: 1,
            producer_epoch: 0,
            control: true,
            transactional: true,
            ..BatchFields::default()
        };
        batch.finish(&fields, &mut Compressor::new()).expect("written")
    };
    let cut = &message(0, 60, 0, Some(b"d"))[..20];
    let field: Bytes =
        [&plain[..], &wrapped, &batch(Compression::None, None), &control, cut].concat().into();
    let mut entries = Entries::new(field.clone());
    let kinds: Vec<u8> = entries
        .by_ref()
        .map(|entry| match entry.expect("whole") {
            Entry::Message(message) => message.magic() as u8,
            Entry::Batch(_) => 2,
        })
        .collect();
    assert_eq!((kinds, entries.incomplete_tail()), (vec![0, 0, 1, 2, 2], true));
    let up = up_convert(&field, codecs).expect("up");
    let bases: Vec<i64> =
        BatchIter::new(up.into()).map(|batch| batch.expect("whole").header().base_offset).collect();
    assert_eq!(bases, [1, 4, 40, 50]);
    let down = down_convert(&field, LegacyMagic::V0, codecs).expect("down").into();
    let offsets: Vec<i64> =
        messages(&down).iter().flat_map(records).map(|record| record.offset).collect();
    assert_eq!(offsets, [1, 2, 4, 40, 43, 44]);
    assert_eq!(records_to_json(&down)["batches"][0]["timestampType"], json!("NoTimestampType"));
}

#[test]
fn the_examples_of_the_document_are_true() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/records/LEGACY.md");
    let text = std::fs::read_to_string(path).expect("the document is part of the project");
    for (fence, least) in [("set", 2), ("read", 2)] {
        let blocks = blocks(&text, fence);
        assert!(blocks.len() >= least, "only {} of {fence}", blocks.len());
        for block in blocks {
            let json: Value = serde_json::from_str(block[0]).expect("JSON");
            let bytes = of_lines(&block[1..]);
            assert_eq!(records_to_json(&bytes), json);
            // What is compressed may be written in many ways.
            assert_eq!(written(&messages(&bytes)) == bytes, fence == "set", "{json}");
        }
    }
    let conversions = blocks(&text, "convert");
    assert!(conversions.len() >= 3, "only {}", conversions.len());
    let mut codecs = Codecs::default();
    for block in conversions {
        let at = block.iter().position(|line| *line == "becomes").expect("two sides");
        let (from, to) = (of_lines(&block[1..at]), of_lines(&block[at + 1..]));
        let converted = match block[0] {
            "2" => up_convert(&from, &mut codecs),
            "1" => down_convert(&from, LegacyMagic::V1, &mut codecs),
            "0" => down_convert(&from, LegacyMagic::V0, &mut codecs),
            other => panic!("magic {other}"),
        };
        assert_eq!(converted.expect("both sides are right"), to, "to magic {}", block[0]);
        assert_ne!(records_to_json(&from), records_to_json(&to));
        assert!(records_to_json(&to).get("error").is_none(), "{}", records_to_json(&to));
    }
}

/// The lines of the blocks that begin with three backticks and that word.
fn blocks<'t>(text: &'t str, fence: &str) -> Vec<Vec<&'t str>> {
    let fence = format!("```{fence}\n");
    let blocks = text.split(&*fence).skip(1);
    blocks.map(|block| block.lines().take_while(|line| *line != "```").collect()).collect()
}

/// The pairs of digits at the starts of lines.
fn of_lines(lines: &[&str]) -> Bytes {
    let words =
        |line: &&str| line.split(' ').take_while(|word| word.len() == 2).collect::<String>();
    unhex(&lines.iter().map(words).collect::<String>())
}

fn value() -> impl Strategy<Value = Option<Vec<u8>>> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(
        of in proptest::collection::vec((1..1000i64, any::<i64>(), value(), value()), 1..20),
        codec in 0..4i16,
        is_v1: bool,
        start in 0..i64::MAX / 2,
        append_time in proptest::option::of(0..i64::MAX),
    ) {
        let magic = if is_v1 { LegacyMagic::V1 } else { LegacyMagic::V0 };
        let compression = Compression::from_code(codec).expect("a codec");
        let fields = MessageSetFields { magic, compression, level: None, append_time };
        let mut set = MessageSetBuilder::new(fields);
        let mut offset = start;
        let mut expected = Vec::new();
        for (gap, timestamp, key, value) in of {
            offset += gap;
            set.append(offset, timestamp, key.as_deref(), value.as_deref()).expect("appended");
            let timestamp = if is_v1 { append_time.unwrap_or(timestamp) } else { -1 };
            let (key, value) = (key.map(Bytes::from), value.map(Bytes::from));
            expected.push(LegacyRecord { offset, timestamp, key, value });
        }
        let bytes = Bytes::from(set.finish(&mut Compressor::new()).expect("written"));
        let read: Vec<_> = messages(&bytes).iter().flat_map(records).collect();
        prop_assert_eq!(&read, &expected);
        let up = up_convert(&bytes, &mut Codecs::default()).expect("up");
        let down = down_convert(&up.into(), magic, &mut Codecs::default()).expect("down").into();
        let again: Vec<_> = messages(&down).iter().flat_map(records).collect();
        prop_assert_eq!(again, expected);
    }
}
