//! Faults in record batches. Checksums are put right where the fault is another one.

use super::{Row, Verdict};
use crate::source::Source;
use flate2::read::GzDecoder;
use ottla_conformance::codec::unhex;
use ottla_protocol::records::crc::crc32c;
use std::fs::File;
use std::io::{self, Read};

/// Where the fields of a batch stand: `protocol/schemas/records/BATCH.md`.
const LENGTH_AT: usize = 8;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const COUNT_AT: usize = 57;
const RECORDS_AT: usize = 61;

/// The body of the record in the vector: attributes, deltas, `key`, `value`, no headers.
const BODY: &[u8] = b"\x00\x00\x00\x06key\x0avalue\x00";

/// A fault in a record: the case, the records, how many the batch says, where reading stops as
/// counted from the records, why.
type Fault = (&'static str, Vec<u8>, i32, usize, &'static str);

/// The rows.
pub(super) fn rows(source: &Source) -> io::Result<Vec<Row>> {
    let plain = vector(source, "batch-none", "single")?;
    let mut rows = header_faults(&plain);
    rows.extend(cut_batches(&plain));
    let record_faults = record_faults().into_iter().chain(field_faults()).chain(length_faults());
    for (case, records, count, at, why) in record_faults {
        let verdict = Verdict::refuse(RECORDS_AT + at, "records");
        rows.push(row(case, with_records(&plain, &records, count), verdict, why));
    }
    for (case, records, why) in taken() {
        rows.push(row(case, with_records(&plain, &records, 1), Verdict::Accept, why));
    }
    for (codec, name, variant) in [
        (1, "batch-gzip", "single"),
        (2, "batch-snappy", "single"),
        (3, "batch-lz4", "basic"),
        (4, "batch-zstd", "single"),
    ] {
        rows.extend(compressed(codec, &vector(source, name, variant)?));
    }
    Ok(rows)
}

/// The bytes of a vector of magic 2.
fn vector(source: &Source, name: &str, variant: &str) -> io::Result<Vec<u8>> {
    let mut text = String::new();
    let path = source.root.join("protocol/vectors/records.tsv.gz");
    GzDecoder::new(File::open(path)?).read_to_string(&mut text)?;
    let found = text.lines().find_map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        let is_it = columns.get(1) == Some(&name)
            && columns.get(3) == Some(&"2")
            && columns.get(4) == Some(&variant);
        is_it.then(|| unhex(columns.get(5)?).ok()).flatten()
    });
    let found = found.ok_or_else(|| io::Error::other(format!("no vector {name} {variant}")))?;
    Ok(found.to_vec())
}

fn row(case: &'static str, bytes: Vec<u8>, verdict: Verdict, why: &str) -> Row {
    Row {
        key: -1,
        name: "batch".to_owned(),
        kind: "batch".to_owned(),
        version: 2,
        case,
        bytes,
        verdict,
        why: format!("{why} (BATCH)"),
        origin: "records.tsv.gz single".to_owned(),
    }
}

/// Puts length and checksum right.
fn sealed(mut batch: Vec<u8>) -> Vec<u8> {
    let length = i32::try_from(batch.len() - 12).expect("a batch is short");
    batch[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c(&batch[ATTRIBUTES_AT..]);
    batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    batch
}

fn with_records(batch: &[u8], records: &[u8], count: i32) -> Vec<u8> {
    let mut batch = [&batch[..RECORDS_AT], records].concat();
    batch[COUNT_AT..RECORDS_AT].copy_from_slice(&count.to_be_bytes());
    sealed(batch)
}

/// A record with its length.
fn record(body: &[u8]) -> Vec<u8> {
    let mut out = vec![u8::try_from(body.len() * 2).expect("a record of at most 63 bytes")];
    out.extend(body);
    out
}

/// A body with other bytes from `start` to `end`.
fn body(start: usize, end: usize, by: &[u8]) -> Vec<u8> {
    [&BODY[..start], by, &BODY[end..]].concat()
}

fn header_faults(batch: &[u8]) -> Vec<Row> {
    let patched = |at: usize, by: &[u8]| {
        let mut batch = batch.to_vec();
        batch[at..at + by.len()].copy_from_slice(by);
        batch
    };
    let mut rows = Vec::new();
    let mut refuse = |case, bytes, at, field, why| {
        rows.push(row(case, bytes, Verdict::refuse(at, field), why));
    };
    let last = batch.len() - 2;
    let crc = "crc-wrong";
    refuse(crc, patched(last, &[batch[last] ^ 1]), CRC_AT, "crc", "a bit of a record has changed");
    let wrong = [batch[CRC_AT] ^ 0x80];
    refuse(crc, patched(CRC_AT, &wrong), CRC_AT, "crc", "a bit of the checksum has changed");
    for (case, length) in [
        ("batch-length-negative", -1),
        ("batch-length-zero", 0),
        ("batch-length-too-small", 13),
        ("batch-length-below-the-header", 48),
    ] {
        let bytes = patched(LENGTH_AT, &i32::to_be_bytes(length));
        refuse(case, bytes, LENGTH_AT, "batch_length", "no batch is so short");
    }
    for (case, magic) in [("magic-unknown", 3), ("magic-unknown", 0x7f), ("magic-negative", 0xff)] {
        refuse(case, patched(MAGIC_AT, &[magic]), MAGIC_AT, "magic", "there is no such magic");
    }
    for codec in [5, 6, 7] {
        let bytes = sealed(patched(ATTRIBUTES_AT + 1, &[codec]));
        let why = "there is no such codec";
        refuse("codec-unknown", bytes, ATTRIBUTES_AT, "attributes", why);
    }
    let bytes = with_records(batch, &batch[RECORDS_AT..], -1);
    refuse("records-negative", bytes, COUNT_AT, "records_count", "less than no records");
    let bytes = sealed(patched(ATTRIBUTES_AT, &[0xff]));
    rows.push(row("attributes-unknown", bytes, Verdict::Accept, "bits 7 to 15 mean nothing yet"));
    let bytes = with_records(batch, &[], 0);
    rows.push(row("batch-empty", bytes, Verdict::Accept, "compaction may leave no record"));
    rows
}

/// What is cut off at the end comes again with the next fetch.
fn cut_batches(batch: &[u8]) -> Vec<Row> {
    let why = "a batch that is cut off at the end is left";
    let two = [batch, batch].concat();
    [("batch-cut", 40), ("batch-cut", 75), ("batch-cut", 5), ("batch-cut", 120), ("batch-cut", 0)]
        .into_iter()
        .map(|(case, len)| row(case, two[..len].to_vec(), Verdict::Accept, why))
        .collect()
}

fn record_faults() -> Vec<Fault> {
    let one = record(BODY);
    let two = [&one[..], &one[..]].concat();
    vec![
        ("records-missing", one.clone(), 2, one.len(), "the batch says two records and has one"),
        ("records-left-over", two, 1, one.len(), "the batch says one record and has two"),
        ("record-length-negative", vec![1], 1, 0, "a record of less than no bytes"),
        ("record-length-beyond-the-end", [&[0x7e], BODY].concat(), 1, 0, "longer than its batch"),
        (
            "record-length-too-long",
            [&[0xff, 0xff, 0xff, 0xff, 0xff, 1], BODY].concat(),
            1,
            0,
            "a varint of six bytes",
        ),
        ("record-cut", one[..1].to_vec(), 1, 0, "a length and no record"),
        (
            "record-left-over",
            record(&body(BODY.len(), BODY.len(), &[0])),
            1,
            one.len(),
            "a byte is left over behind the headers",
        ),
        (
            "record-length-too-small",
            [&[0x1a], BODY].concat(),
            1,
            one.len() - 1,
            "the record ends before the count of its headers",
        ),
    ]
}

fn field_faults() -> Vec<Fault> {
    let at = |at: usize| at + 1;
    vec![
        (
            "timestamp-too-long",
            record(&body(1, 2, &[0xff; 10])),
            1,
            at(1),
            "a varlong of more than ten bytes",
        ),
        (
            "offset-too-long",
            record(&body(2, 3, &[0xff, 0xff, 0xff, 0xff, 0xff, 1])),
            1,
            at(2),
            "a varint of six bytes",
        ),
        ("key-beyond-the-end", record(&body(3, 4, &[0x7e])), 1, at(3), "a key of 63 bytes"),
        ("value-beyond-the-end", record(&body(7, 8, &[0x7e])), 1, at(7), "a value of 63 bytes"),
        ("headers-negative", record(&body(13, 14, &[1])), 1, at(13), "less than no headers"),
        (
            "headers-beyond-the-end",
            record(&body(13, 14, &[0x7e])),
            1,
            at(13),
            "63 headers and no bytes",
        ),
    ]
}

fn length_faults() -> Vec<Fault> {
    let at = |at: usize| at + 1;
    vec![
        (
            "header-key-null",
            record(&body(13, 14, &[2, 1, 1])),
            1,
            at(14),
            "the key of a header is never null",
        ),
        (
            "header-key-beyond-the-end",
            record(&body(13, 14, &[2, 0x7e, 1])),
            1,
            at(14),
            "a header's key of 63 bytes",
        ),
        (
            "header-value-beyond-the-end",
            record(&body(13, 14, &[2, 2, b'h', 0x7e])),
            1,
            at(16),
            "a header's value of 63 bytes",
        ),
    ]
}

/// What looks odd and is not refused.
fn taken() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    vec![
        (
            "record-attributes",
            record(&body(0, 1, &[0xff])),
            "no bit of a record's attributes is given",
        ),
        ("key-negative", record(&body(3, 7, &[3])), "any negative length is null"),
        ("value-negative", record(&body(7, 13, &[5])), "any negative length is null"),
        (
            "varint-not-shortest",
            record(&body(2, 3, &[0x80, 0])),
            "a varint may be longer than it has to",
        ),
        ("offset-negative", record(&body(2, 3, &[1])), "the format has no rule for the deltas"),
        (
            "header-value-null",
            record(&body(13, 14, &[2, 2, b'h', 1])),
            "the value of a header may be null",
        ),
    ]
}

/// Compressed records that are none.
fn compressed(codec: u8, batch: &[u8]) -> Vec<Row> {
    let mut garbage = batch[..RECORDS_AT].to_vec();
    garbage[ATTRIBUTES_AT + 1] = codec;
    garbage.extend([0xff; 24]);
    let cut = batch[..batch.len() - 9].to_vec();
    let refuse = |case, bytes, why| {
        let mut row = row(case, sealed(bytes), Verdict::refuse(RECORDS_AT, "records"), why);
        row.origin = format!("records.tsv.gz, codec {codec}");
        row
    };
    vec![
        refuse("compressed-garbage", garbage, "what stands there was not compressed by this codec"),
        refuse("compressed-cut", cut, "the compressed bytes end early"),
    ]
}
