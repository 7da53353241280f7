//! Message sets of magic 0 and 1: whole, cut, damaged, hostile, and converted.
//!
//! What a codec makes of a whole stream is what its reader asked for: there the bound counts from
//! the decompressed bytes.

use bytes::Bytes;
use ottla_protocol::records::crc::crc32;
use ottla_protocol::records::legacy::{
    Codecs, Entries, Entry, LegacyMagic, LegacyMessage, down_convert, up_convert,
};
use ottla_protocol::records::{Compression, Compressor, Decompressor, RecordErrorKind};

use super::{Random, bounded, describe, peak, vectors};

#[allow(dead_code, reason = "what a seed holds is another test's")]
#[path = "../../examples/fuzz_corpus/legacy.rs"]
mod seeds;

/// Where the checksum and what it covers stand in a message.
const CRC_AT: usize = 12;
const MAGIC_AT: usize = 16;

/// What a compressor keeps at most while it works, whatever it is given.
const COMPRESSOR: usize = 1 << 20;

fn messages(field: &Bytes) -> impl Iterator<Item = LegacyMessage> {
    Entries::new(field.clone()).flatten().filter_map(|entry| match entry {
        Entry::Message(message) => Some(message),
        Entry::Batch(_) => None,
    })
}

/// Everything that reads a set; contexts are made anew each time.
fn read(field: &Bytes) {
    let mut decompressor = Decompressor::new();
    for message in messages(field) {
        drop(message.verify_crc());
        if let Ok(records) = message.records(&mut decompressor) {
            std::hint::black_box(records.flatten().count());
        }
    }
}

/// The bytes of all wrappers' values that decompress, decompressed.
fn grown(field: &Bytes) -> usize {
    let mut decompressor = Decompressor::new();
    let sizes = messages(field).filter_map(|message| {
        let codec = message.compression().ok().filter(|codec| *codec != Compression::None)?;
        Some(decompressor.decompress(codec, &message.value()?).ok()?.len())
    });
    sizes.sum()
}

fn check(what: &str, bytes: Vec<u8>) {
    let field = Bytes::from(bytes);
    bounded(what, field.len().max(grown(&field)), || read(&field));
}

/// The set with a right checksum in each message, so that damage is met where it hurts.
fn repaired(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for message in messages(&Bytes::copy_from_slice(bytes)) {
        let start = out.len();
        out.extend_from_slice(message.bytes());
        let crc = crc32(&out[start + MAGIC_AT..]);
        out[start + CRC_AT..start + MAGIC_AT].copy_from_slice(&crc.to_be_bytes());
    }
    out
}

fn sets() -> Vec<(String, Bytes)> {
    let vectors = vectors("records.tsv.gz").into_iter().filter(|v| v.version != 2);
    let mut sets: Vec<_> = vectors.map(|v| (describe(&v), v.bytes)).collect();
    assert!(sets.len() >= 39, "only {}", sets.len());
    let seeds = seeds::seeds().into_iter();
    sets.extend(seeds.map(|seed| (seed.name.to_owned(), Bytes::from(seed.bytes))));
    sets
}

#[test]
fn every_set_and_every_cut_of_it() {
    for (what, bytes) in sets() {
        check(&what, bytes.to_vec());
        let step = bytes.len() / 60 + 1;
        for len in (0..bytes.len()).step_by(step) {
            check(&what, bytes[..len].to_vec());
        }
    }
}

#[test]
fn damaged_sets() {
    let mut random = Random(0x0771_a000_0000_0005);
    for (what, whole) in sets() {
        for round in 0..if whole.len() < 4096 { 60 } else { 10 } {
            let mut bytes = whole.to_vec();
            for _ in 0..1 + random.below(3) {
                let at = random.below(bytes.len());
                bytes[at] = [0, 1, 0x7f, 0x80, 0xff, random.next() as u8][random.below(6)];
            }
            let bytes = if round % 2 == 0 { repaired(&bytes) } else { bytes };
            check(&what, bytes);
        }
    }
}

/// A message of magic 0 or 1 with these fields, which say what they like.
fn message(magic: u8, attributes: u8, size: Option<i32>, key: i32, value: (i32, &[u8])) -> Vec<u8> {
    let mut body = vec![magic, attributes];
    body.extend(vec![0; if magic > 0 { 8 } else { 0 }]);
    body.extend(key.to_be_bytes());
    body.extend(value.0.to_be_bytes());
    body.extend(value.1);
    let mut out = 7i64.to_be_bytes().to_vec();
    out.extend(size.unwrap_or(body.len() as i32 + 4).to_be_bytes());
    out.extend(crc32(&body).to_be_bytes());
    out.extend(body);
    out
}

/// Lengths that promise far more than there is, in front and inside of a wrapper.
#[test]
fn hostile_lengths() {
    let counts = [i32::MAX, 0x000f_ffff, -1, i32::MIN, 0x4000_0000];
    let filler = vec![0u8; 3000];
    for magic in [0, 1] {
        for count in counts {
            for hostile in [
                message(magic, 0, Some(count), -1, (3000, &filler)),
                message(magic, 0, None, count, (3000, &filler)),
                message(magic, 0, None, -1, (count, &filler)),
            ] {
                check("a length", hostile.clone());
                for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4] {
                    let mut inside = Vec::new();
                    let mut compressor = Compressor::new();
                    compressor.compress(codec, None, &hostile, &mut inside).expect("compressed");
                    let value = (inside.len() as i32, &*inside);
                    let wrapper = message(magic, codec.code() as u8, None, -1, value);
                    check("a length inside", wrapper);
                }
            }
        }
    }
}

/// The smallest messages, many times: in a set, and in a wrapper.
#[test]
fn many_small_messages() {
    for magic in [0, 1] {
        let many = message(magic, 0, None, -1, (-1, &[])).repeat(20_000);
        check("many", many.clone());
        for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4] {
            let mut inside = Vec::new();
            Compressor::new().compress(codec, None, &many, &mut inside).expect("compressed");
            let value = (inside.len() as i32, &*inside);
            let wrapper = message(magic, codec.code() as u8, None, -1, value);
            check("many in a wrapper", wrapper);
        }
    }
}

/// Values that grow a lot and then break, or grow beyond the limit: nothing of them is kept.
#[test]
fn wrappers_that_grow_a_lot_and_are_refused() {
    let zeros = vec![0u8; 8 << 20];
    for magic in [0, 1] {
        for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4] {
            let mut whole = Vec::new();
            Compressor::new().compress(codec, None, &zeros, &mut whole).expect("compressed");
            let cut = &whole[..whole.len() - 2];
            for (stream, limit) in [(cut, 64 << 20), (&*whole, 1 << 20)] {
                let value = (stream.len() as i32, stream);
                let field = Bytes::from(message(magic, codec.code() as u8, None, -1, value));
                bounded(codec.name(), field.len(), || {
                    let message = messages(&field).next().expect("a message");
                    let read = message.records(&mut Decompressor::with_limit(limit));
                    let kind = read.expect_err("refused").kind();
                    let expected = [RecordErrorKind::Decompress, RecordErrorKind::TooLarge];
                    assert!(expected.contains(&kind), "{codec}: {kind:?}");
                });
            }
        }
    }
}

/// What conversion takes is bounded by what it reads, and what a compressor takes by itself.
#[test]
fn conversions() {
    let mut random = Random(0x0771_a000_0000_0006);
    for (what, whole) in sets() {
        for round in 0..4 {
            let mut bytes = whole.to_vec();
            if round > 0 {
                let at = random.below(bytes.len());
                bytes[at] = random.next() as u8;
                bytes = repaired(&bytes);
            }
            let field = Bytes::from(bytes);
            let most = 32 * field.len().max(grown(&field)) + (64 << 10);
            let compressed = messages(&field).any(|m| m.compression() != Ok(Compression::None));
            let most = most + if compressed { COMPRESSOR } else { 0 };
            let used = peak(|| {
                let mut codecs = Codecs::default();
                drop(down_convert(&field, LegacyMagic::V0, &mut codecs));
                if let Ok(up) = up_convert(&field, &mut codecs) {
                    drop(down_convert(&up.into(), LegacyMagic::V1, &mut codecs));
                }
            });
            assert!(used <= most, "{what}: {used} bytes for {}, {most} are allowed", field.len());
        }
    }
}
