//! Small message sets, one for each thing that a reader of them has to tell apart. A name says
//! what the set is; each is whole, but for those whose name says that they are cut.

use ottla_protocol::records::crc::crc32;
use ottla_protocol::records::legacy::{LegacyMagic, MessageSetBuilder, MessageSetFields};
use ottla_protocol::records::{
    BatchBuilder, BatchFields, Compression, Compressor, Header, RecordErrorKind,
};

/// A set, and what a reader finds in it.
pub(crate) struct Seed {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) found: Found,
}

/// What is read before the end or the first fault.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Offsets and timestamps of all records, and whether a cut entry follows.
    Records(Vec<(i64, i64)>, bool),
    /// The first fault.
    Fault(RecordErrorKind),
}

/// A message that is not compressed, or wraps what is.
struct Message<'a> {
    magic: u8,
    offset: i64,
    attributes: u8,
    timestamp: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
}

const PLAIN: Message<'_> =
    Message { magic: 1, offset: 5, attributes: 0, timestamp: 100, key: None, value: Some(b"v") };

impl Message<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut body = vec![self.magic, self.attributes];
        if self.magic > 0 {
            body.extend(self.timestamp.to_be_bytes());
        }
        for field in [self.key, self.value] {
            body.extend(field.map_or(-1, |field| field.len() as i32).to_be_bytes());
            body.extend(field.unwrap_or_default());
        }
        let mut out = self.offset.to_be_bytes().to_vec();
        out.extend((body.len() as i32 + 4).to_be_bytes());
        out.extend(crc32(&body).to_be_bytes());
        out.extend(body);
        out
    }
}

fn plain(magic: u8, offset: i64) -> Vec<u8> {
    Message { magic, offset, ..PLAIN }.bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Compressor::new().compress(Compression::Gzip, None, bytes, &mut out).expect("compressed");
    out
}

/// A wrapper around a set, compressed with gzip.
fn wrapper(magic: u8, offset: i64, inside: &[u8]) -> Vec<u8> {
    let value = gzip(inside);
    Message { magic, offset, attributes: 1, value: Some(&value), ..PLAIN }.bytes()
}

/// Three records, with a gap between their offsets, a null value and a null key.
fn written(magic: LegacyMagic, compression: Compression, append_time: Option<i64>) -> Vec<u8> {
    let mut set = MessageSetBuilder::new(MessageSetFields {
        compression,
        append_time,
        ..MessageSetFields::new(magic)
    });
    for (offset, timestamp, key, value) in [
        (40, 100, Some(&b"k"[..]), Some(&b"one"[..])),
        (41, 99, Some(b"k"), None),
        (44, 101, None, Some(b"")),
    ] {
        set.append(offset, timestamp, key, value).expect("appended");
    }
    set.finish(&mut Compressor::new()).expect("written")
}

fn sound(name: &'static str, bytes: Vec<u8>, records: &[(i64, i64)]) -> Seed {
    Seed { name, bytes, found: Found::Records(records.to_vec(), false) }
}

fn faulty(name: &'static str, bytes: Vec<u8>, kind: RecordErrorKind) -> Seed {
    Seed { name, bytes, found: Found::Fault(kind) }
}

/// All of them.
pub(crate) fn seeds() -> Vec<Seed> {
    let mut seeds = codecs();
    seeds.extend(offsets());
    seeds.extend(frames());
    seeds.extend(wrappers());
    seeds.extend(damaged());
    seeds.extend(mixed());
    seeds
}

/// Each magic with each codec, and both kinds of time.
fn codecs() -> Vec<Seed> {
    use Compression::{Gzip, Lz4, None as Plain, Snappy};
    let untimed = [(40, -1), (41, -1), (44, -1)];
    let timed = [(40, 100), (41, 99), (44, 101)];
    let appended = [(40, 777), (41, 777), (44, 777)];
    let named = [
        (Plain, ["hand-none-magic0", "hand-none-magic1", "hand-none-append-time"]),
        (Gzip, ["hand-gzip-magic0", "hand-gzip-magic1", "hand-gzip-append-time"]),
        (Snappy, ["hand-snappy-magic0", "hand-snappy-magic1", "hand-snappy-append-time"]),
        (Lz4, ["hand-lz4-magic0", "hand-lz4-magic1", "hand-lz4-append-time"]),
    ];
    let of_codec = |(codec, [first, second, third]): (Compression, [&'static str; 3])| {
        [
            sound(first, written(LegacyMagic::V0, codec, None), &untimed),
            sound(second, written(LegacyMagic::V1, codec, None), &timed),
            sound(third, written(LegacyMagic::V1, codec, Some(777)), &appended),
        ]
    };
    named.into_iter().flat_map(of_codec).collect()
}

/// Offsets of wrappers, which in magic 1 are told from the last one inside.
fn offsets() -> Vec<Seed> {
    let inside = [plain(1, 0), plain(1, 3), plain(1, 4)].concat();
    let absolute = [plain(0, 7), plain(0, 9)].concat();
    let far = [plain(0, 0), plain(0, 1 << 33)].concat();
    let invalid = RecordErrorKind::Invalid;
    vec![
        sound("hand-relative", wrapper(1, 44, &inside), &[(40, 100), (43, 100), (44, 100)]),
        sound("hand-relative-from-0", wrapper(1, 4, &inside), &[(0, 100), (3, 100), (4, 100)]),
        sound("hand-relative-left-at-0", wrapper(1, 0, &inside), &[(0, 100), (3, 100), (4, 100)]),
        faulty("hand-relative-below", wrapper(1, 3, &inside), invalid),
        sound("hand-absolute", wrapper(0, 9, &absolute), &[(7, -1), (9, -1)]),
        sound("hand-absolute-unlike-wrapper", wrapper(0, 2, &absolute), &[(7, -1), (9, -1)]),
        sound("hand-far-apart", wrapper(0, 1 << 33, &far), &[(0, -1), (1 << 33, -1)]),
        sound("hand-negative-offset", plain(1, -1), &[(-1, 100)]),
        sound("hand-descending", [plain(1, 9), plain(1, 3)].concat(), &[(9, 100), (3, 100)]),
    ]
}

/// Forms of compressed values: the checksums of lz4, bare snappy, a value that grows a lot.
fn frames() -> Vec<Seed> {
    let lz4 = |magic: u8, checksum: u8| {
        let inside = plain(magic, 5);
        let mut frame = vec![4, 0x22, 0x4d, 0x18, 0x60, 0x40, checksum];
        // One block, as it is.
        frame.extend((inside.len() as u32 | 1 << 31).to_le_bytes());
        frame.extend(inside);
        frame.extend([0; 4]);
        Message { magic, attributes: 3, value: Some(&frame), ..PLAIN }.bytes()
    };
    let bare = {
        let inside = plain(0, 5);
        let mut block = vec![inside.len() as u8, (inside.len() as u8 - 1) << 2];
        block.extend(inside);
        Message { magic: 0, attributes: 2, value: Some(&block), ..PLAIN }.bytes()
    };
    let zeros = Message { value: Some(&[0; 50_000]), ..PLAIN }.bytes();
    vec![
        sound("hand-lz4-quirk", lz4(0, 0x1a), &[(5, -1)]),
        sound("hand-lz4-right-in-magic0", lz4(0, 0x82), &[(5, -1)]),
        sound("hand-lz4-right-in-magic1", lz4(1, 0x82), &[(5, 100)]),
        faulty("hand-lz4-quirk-in-magic1", lz4(1, 0x1a), RecordErrorKind::Decompress),
        sound("hand-snappy-bare", bare, &[(5, -1)]),
        sound("hand-grows", wrapper(1, 5, &zeros), &[(5, 100)]),
    ]
}

/// What a wrapper may not hold.
fn wrappers() -> Vec<Seed> {
    use RecordErrorKind::{Crc, Decompress, Invalid, Malformed, UnsupportedCompression};
    let codec = |attributes| Message { attributes, ..PLAIN }.bytes();
    let mut wrong_inside = plain(1, 0);
    wrong_inside[12] ^= 1;
    vec![
        faulty("hand-nested", wrapper(1, 5, &wrapper(1, 5, &plain(1, 0))), Invalid),
        faulty("hand-magic0-in-magic1", wrapper(1, 5, &plain(0, 0)), Invalid),
        faulty("hand-magic1-in-magic0", wrapper(0, 5, &plain(1, 0)), Invalid),
        faulty("hand-holds-nothing", wrapper(1, 5, b""), Invalid),
        faulty("hand-null-value", Message { attributes: 1, value: None, ..PLAIN }.bytes(), Invalid),
        faulty("hand-cut-inside", wrapper(1, 5, &plain(1, 0)[..30]), Malformed),
        faulty("hand-short-inside", wrapper(1, 5, &[0; 12]), Malformed),
        faulty("hand-crc-inside", wrapper(1, 5, &wrong_inside), Crc),
        faulty("hand-no-gzip", codec(1), Decompress),
        faulty("hand-codec-4", codec(4), UnsupportedCompression),
        faulty("hand-codec-7", codec(7), UnsupportedCompression),
    ]
}

/// Messages that are cut or changed.
fn damaged() -> Vec<Seed> {
    use RecordErrorKind::{Crc, Malformed, UnsupportedMagic};
    let two = [plain(1, 5), plain(1, 6)].concat();
    let cut = |name, len: usize| {
        let bytes = two[..two.len() / 2 + len].to_vec();
        Seed { name, bytes, found: Found::Records(vec![(5, 100)], true) }
    };
    let changed = |at: usize, with: &[u8]| {
        let mut bytes = plain(1, 5);
        bytes[at..at + with.len()].copy_from_slice(with);
        bytes
    };
    let mut in_magic_0 = plain(0, 5);
    in_magic_0[15] ^= 0x80;
    vec![
        cut("hand-cut-in-offset", 3),
        cut("hand-cut-behind-size", 12),
        cut("hand-cut-in-value", 34),
        faulty("hand-crc-magic0", in_magic_0, Crc),
        faulty("hand-crc-magic1", changed(12, &[0; 4]), Crc),
        faulty("hand-size-too-small", changed(8, &[0, 0, 0, 21]), Malformed),
        faulty("hand-size-negative", changed(8, &[0xff; 4]), Malformed),
        faulty("hand-key-too-long", changed(26, &[0, 0, 1, 0]), Malformed),
        faulty("hand-value-too-long", changed(30, &[0x7f, 0xff, 0xff, 0xff]), Malformed),
        faulty("hand-bytes-behind-value", changed(30, &[0; 4]), Malformed),
        faulty("hand-magic-3", changed(16, &[3]), UnsupportedMagic),
    ]
}

/// Fields in which formats follow one another.
fn mixed() -> Vec<Seed> {
    let batch = |base_offset| {
        let mut batch = BatchBuilder::new(64);
        let headers = [Header::new("h", Some(b"x"))];
        batch.append(100, Some(b"k"), Some(b"v"), &headers).expect("appended");
        let fields = BatchFields { base_offset, ..BatchFields::default() };
        batch.finish(&fields, &mut Compressor::new()).expect("written").to_vec()
    };
    let all = [plain(0, 1), plain(1, 2), wrapper(1, 4, &plain(1, 0)), batch(5), plain(0, 6)];
    let found = [(1, -1), (2, 100), (4, 100), (5, 100), (6, -1)];
    let mut cut = all.concat();
    cut.extend(&batch(7)[..40]);
    let records = found.to_vec();
    vec![
        sound("hand-mixed", all.concat(), &found),
        Seed { name: "hand-mixed-cut", bytes: cut, found: Found::Records(records, true) },
        sound("hand-batch", batch(5), &[(5, 100)]),
    ]
}
