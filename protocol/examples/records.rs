//! What a record costs: append, iterate, check, for a batch of 100-byte records.
//!
//! `cargo run --release -p ottla-protocol --example records`; best of nine rounds each.

use std::hint::black_box;
use std::time::Instant;

use ottla_protocol::records::record::nom_record;
use ottla_protocol::records::{
    BatchBuilder, BatchFields, Compression, Compressor, Decompressor, Header, RecordBatch,
    ValidateOptions, validate,
};

const RECORDS: usize = 140;
const BATCHES: usize = 500;

/// Best of nine, in ns per record.
fn measure(what: &str, mut round: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..9 {
        let start = Instant::now();
        for _ in 0..BATCHES {
            round();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / (RECORDS * BATCHES) as f64);
    }
    println!("{what:<44} {best:>8.1} ns/record");
}

/// Text with as much in it as JSON has.
fn values() -> Vec<Vec<u8>> {
    let value = |i: usize| {
        let seed = i.wrapping_mul(2_654_435_761) % 1_000_000;
        let (delay, tail) = (seed % 97, seed % 9973);
        let mut text =
            format!("{{\"id\":{seed},\"carrier\":\"UA\",\"delay\":{delay},\"tail\":{tail}}}");
        text.push_str(&"x".repeat(100usize.saturating_sub(text.len())));
        text.into_bytes()
    };
    (0..RECORDS).map(value).collect()
}

fn fill(values: &[Vec<u8>], buffer: Vec<u8>, headers: &[Header<'_>]) -> BatchBuilder {
    let mut builder = BatchBuilder::with_buffer(buffer);
    for (i, value) in values.iter().enumerate() {
        let timestamp = 1_700_000_000_000 + i as i64;
        builder.append(timestamp, None, Some(value), headers).expect("appended");
    }
    builder
}

fn main() {
    let values = values();
    let fields = |compression| BatchFields { compression, ..Default::default() };
    let mut compressor = Compressor::new();
    let mut buffer = Vec::with_capacity(1 << 16);
    measure("append", || {
        let builder = fill(black_box(&values), std::mem::take(&mut buffer), &[]);
        buffer = black_box(builder).into_buffer();
    });
    let headers = [Header::new("trace", Some(b"0123456789")), Header::new("k", None)];
    measure("append, 2 headers", || {
        let builder = fill(black_box(&values), std::mem::take(&mut buffer), &headers);
        buffer = black_box(builder).into_buffer();
    });
    for headers in [&headers[..0], &headers[..]] {
        let batch =
            fill(&values, Vec::new(), headers).finish(&fields(Compression::None), &mut compressor);
        let batch = RecordBatch::parse(batch.expect("finished")).expect("a batch");
        let records = batch.records(&mut Decompressor::new()).expect("records");
        measure(&format!("iterate, {} headers", headers.len()), || {
            let mut sum = 0;
            for record in &black_box(&records).clone() {
                let record = record.expect("a record");
                sum += record.offset as usize + record.value.map_or(0, <[u8]>::len);
            }
            black_box(sum);
        });
        measure(&format!("iterate with nom, {} headers", headers.len()), || {
            let (mut rest, mut sum) = (&black_box(records.data())[..], 0);
            while !rest.is_empty() {
                let (after, record) = nom_record(rest).expect("a record");
                sum += record.offset_delta as usize + record.value.map_or(0, <[u8]>::len);
                rest = after;
            }
            black_box(sum);
        });
    }
    for codec in Compression::ALL {
        measure(&format!("append and finish, {codec}"), || {
            let builder = fill(black_box(&values), std::mem::take(&mut buffer), &[]);
            let (batch, spare) =
                builder.finish_and_reuse(&fields(codec), &mut compressor).expect("finished");
            black_box(batch);
            buffer = spare.unwrap_or_default();
        });
        let batch = fill(&values, Vec::new(), &[]).finish(&fields(codec), &mut compressor);
        let bytes = batch.expect("finished");
        let batch = RecordBatch::parse(bytes.clone()).expect("a batch");
        let mut decompressor = Decompressor::new();
        measure(&format!("CRC, records, iterate, {codec}"), || {
            batch.verify_crc().expect("good");
            let records = batch.records(&mut decompressor).expect("records");
            black_box(records.iter().map(|r| r.expect("a record").offset).sum::<i64>());
        });
        let options = ValidateOptions::default();
        measure(&format!("validate, {codec}"), || {
            black_box(validate(&bytes, &mut decompressor, &options).expect("valid"));
        });
        println!("{:<44} {:>8} bytes", format!("batch, {codec}"), bytes.len());
    }
}
