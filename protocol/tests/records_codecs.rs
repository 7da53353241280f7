//! The codecs against other people's implementations, their limits, and hostile input.

use std::io::{Read, Write};

use bytes::Bytes;
use ottla_protocol::records::{
    BatchBuilder, BatchFields, Compression, Compressor, Decompressor, RecordBatch, RecordErrorKind,
    ValidateOptions, validate,
};

const CODECS: [Compression; 4] =
    [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// Text that compresses, of `len` bytes, and noise in its second half.
fn sample(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut out: Vec<u8> = (0..len).map(|at| b"the quick brown fox "[at % 20]).collect();
    for byte in &mut out[len / 2..] {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = state as u8;
    }
    out
}

fn compressed(codec: Compression, level: Option<i32>, input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Compressor::new().compress(codec, level, input, &mut out).expect("compressed");
    out
}

fn decompressed(codec: Compression, input: &[u8]) -> Bytes {
    Decompressor::new().decompress(codec, input).expect("decompressed")
}

#[test]
fn every_codec_round_trips_every_size_and_is_reusable() {
    let (mut compressor, mut decompressor) = (Compressor::new(), Decompressor::new());
    for codec in CODECS {
        for len in [1, 2, 15, 100, 4095, 32 << 10, (32 << 10) + 1, 65535, 65536, 65537, 300_000] {
            let input = sample(len);
            let mut out = b"kept".to_vec();
            compressor.compress(codec, None, &input, &mut out).expect("compressed");
            assert_eq!(&out[..4], b"kept");
            let back = decompressor.decompress(codec, &out[4..]).expect("decompressed");
            assert_eq!(back, input, "{codec} {len}");
        }
    }
}

#[test]
fn what_we_write_others_read() {
    for len in [1, 1000, 200_000] {
        let input = sample(len);
        let mut out = Vec::new();
        flate2::read::GzDecoder::new(&compressed(Compression::Gzip, None, &input)[..])
            .read_to_end(&mut out)
            .expect("gzip");
        assert_eq!(out, input);
        out.clear();
        lz4_flex::frame::FrameDecoder::new(&compressed(Compression::Lz4, None, &input)[..])
            .read_to_end(&mut out)
            .expect("lz4");
        assert_eq!(out, input);
        let frame = compressed(Compression::Zstd, None, &input);
        assert_eq!(zstd::decode_all(&frame[..]).expect("zstd"), input);
        let framed = compressed(Compression::Snappy, None, &input);
        let first = u32::from_be_bytes(framed[16..20].try_into().expect("four")) as usize;
        let block = snap::raw::Decoder::new().decompress_vec(&framed[20..20 + first]);
        assert_eq!(block.expect("snappy"), &input[..len.min(32 << 10)]);
    }
}

#[test]
fn what_others_write_we_read() {
    let input = sample(200_000);
    let mut gzip = flate2::GzBuilder::new()
        .filename("name")
        .comment("comment")
        .extra(vec![1, 2, 3])
        .write(Vec::new(), flate2::Compression::best());
    gzip.write_all(&input).expect("written");
    assert_eq!(decompressed(Compression::Gzip, &gzip.finish().expect("gzip")), input);
    assert_eq!(
        decompressed(Compression::Zstd, &zstd::encode_all(&input[..], 1).expect("zstd")),
        input
    );
    // Plain raw snappy, without the framing.
    let raw = snap::raw::Encoder::new().compress_vec(&input).expect("snappy");
    assert_eq!(decompressed(Compression::Snappy, &raw), input);
}

#[test]
fn every_kind_of_lz4_frame_is_read() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    let input = sample(9 << 20);
    for mode in [BlockMode::Independent, BlockMode::Linked] {
        for size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max1MB, BlockSize::Max4MB]
        {
            for checks in [false, true] {
                let info = FrameInfo::new()
                    .block_mode(mode)
                    .block_size(size)
                    .block_checksums(checks)
                    .content_checksum(checks)
                    .content_size(checks.then_some(input.len() as u64));
                let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
                encoder.write_all(&input).expect("written");
                let frame = encoder.finish().expect("lz4");
                assert_eq!(decompressed(Compression::Lz4, &frame), input);
                if checks {
                    let mut damaged = frame.clone();
                    let last = damaged.len() - 1;
                    damaged[last] ^= 1;
                    let error = Decompressor::new().decompress(Compression::Lz4, &damaged);
                    assert_eq!(error.expect_err("damaged").kind(), RecordErrorKind::Decompress);
                }
            }
        }
    }
}

#[test]
fn concatenated_streams_are_read_as_one() {
    for codec in CODECS {
        let mut twice = compressed(codec, None, b"hello ");
        twice.extend(compressed(codec, None, b"world"));
        assert_eq!(decompressed(codec, &twice), &b"hello world"[..], "{codec}");
    }
}

#[test]
fn every_cut_and_no_stream_at_all_is_an_error() {
    let input = sample(3000);
    for codec in CODECS {
        let whole = compressed(codec, None, &input);
        let mut decompressor = Decompressor::new();
        for len in 0..whole.len() {
            // A snappy stream says nowhere how long it is: cut after a whole block, it is a shorter
            // one.
            if codec == Compression::Snappy && len == 16 {
                continue;
            }
            let result = decompressor.decompress(codec, &whole[..len]);
            assert!(result.is_err(), "{codec} cut to {len} of {}", whole.len());
        }
        assert_eq!(decompressor.decompress(codec, &whole).expect("whole"), input);
    }
}

#[test]
fn a_flipped_bit_never_panics_and_the_contexts_survive_it() {
    let input = sample(600);
    for codec in CODECS {
        let mut decompressor = Decompressor::with_limit(1 << 20);
        let whole = compressed(codec, None, &input);
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // An answer of any kind will do: the batch's CRC has seen the damage before.
            drop(decompressor.decompress(codec, &damaged));
            assert_eq!(decompressor.decompress(codec, &whole).expect("whole"), input, "{codec}");
        }
    }
}

#[test]
fn the_limit_is_exact() {
    let input = sample(50_000);
    for codec in CODECS {
        let bytes = compressed(codec, None, &input);
        let mut enough = Decompressor::with_limit(input.len());
        assert_eq!(enough.decompress(codec, &bytes).expect("enough"), input, "{codec}");
        let mut short = Decompressor::with_limit(input.len() - 1);
        let error = short.decompress(codec, &bytes).expect_err("one byte too many");
        assert_eq!(error.kind(), RecordErrorKind::TooLarge, "{codec}: {error}");
    }
}

#[test]
fn levels_are_checked_and_change_the_outcome() {
    let words = ["offset", "partition", "leader", "epoch", "fetch", "produce", "log"];
    let mut state = 1u64;
    let mut word = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        words[(state >> 33) as usize % words.len()]
    };
    let input: Vec<u8> = (0..8000).flat_map(|_| word().bytes()).collect();
    for (codec, fast, best) in [(Compression::Gzip, 1, 9), (Compression::Zstd, 1, 19)] {
        let mut compressor = Compressor::new();
        let mut len = |level| {
            let mut out = Vec::new();
            compressor.compress(codec, level, &input, &mut out).expect("compressed");
            assert_eq!(decompressed(codec, &out), input);
            out.len()
        };
        let (fast, best) = (len(Some(fast)), len(Some(best)));
        assert!(best < fast, "{codec}: {best} {fast}");
    }
    for (codec, level) in [
        (Compression::Gzip, 0),
        (Compression::Gzip, 10),
        (Compression::Zstd, 23),
        (Compression::Zstd, -200_000),
    ] {
        let error = Compressor::check_level(codec, Some(level)).expect_err("out of range");
        assert!(error.to_string().contains("level"), "{error}");
    }
    Compressor::check_level(Compression::Gzip, Some(-1)).expect("Java's default");
}

#[test]
fn names_and_numbers_of_codecs() {
    for (code, name) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let codec: Compression = name.parse().expect("known");
        assert_eq!((codec.code(), codec.to_string().as_str()), (code as i16, name));
        assert_eq!(Compression::from_code(code as i16), Some(codec));
    }
    assert_eq!(Compression::from_code(5), None);
    assert!("brotli".parse::<Compression>().expect_err("unknown").to_string().contains("brotli"));
}

/// A batch whose one record claims a value of 1 GiB, and brings it as zeros.
fn bomb(codec: Compression) -> Bytes {
    let zeros = vec![0u8; 1 << 20];
    let payload = match codec {
        // A thousand members, as they may follow each other.
        Compression::Gzip => compressed(Compression::Gzip, None, &zeros).repeat(1024),
        _ => {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("zstd");
            (0..1024).for_each(|_| encoder.write_all(&zeros).expect("written"));
            encoder.finish().expect("zstd")
        }
    };
    assert!(payload.len() < 2 << 20);
    with_payload(codec, &payload)
}

/// A batch of one record whose payload is exchanged for `payload`, with a right checksum.
fn with_payload(codec: Compression, payload: &[u8]) -> Bytes {
    let mut builder = BatchBuilder::new(0);
    builder.append(0, None, None, &[]).expect("appended");
    let fields = BatchFields { compression: codec, ..Default::default() };
    let batch = builder.finish(&fields, &mut Compressor::new()).expect("finished");
    let mut bytes = batch[..61].to_vec();
    bytes.extend_from_slice(payload);
    let length = bytes.len() as i32 - 12;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    ottla_protocol::records::restamp(&mut bytes, -1, -1, -1);
    bytes.into()
}

#[test]
fn bombs_are_refused() {
    for codec in [Compression::Gzip, Compression::Zstd] {
        let bytes = bomb(codec);
        let batch = RecordBatch::parse(bytes.clone()).expect("a batch");
        batch.verify_crc().expect("the checksum is right");
        let error = batch.records(&mut Decompressor::new()).expect_err("a bomb");
        assert_eq!(error.kind(), RecordErrorKind::TooLarge, "{error}");
        // Zeros are records of length 0, which no record has: refused at once.
        let error = validate(&bytes, &mut Decompressor::new(), &ValidateOptions::default())
            .expect_err("a bomb");
        assert_eq!(error.kind(), RecordErrorKind::Malformed, "{error}");
    }
}

#[test]
fn a_bomb_inside_a_well_formed_record_is_refused_by_validation() {
    // One record of 1 GiB, lengths and all: only the limit is in its way.
    let value = 1usize << 30;
    let mut inner = Vec::new();
    let body = 1 + 1 + 1 + 1 + 5 + value + 1;
    ottla_protocol::varint::put_varint(&mut inner, body as i32);
    inner.extend_from_slice(&[0, 0, 0, 1]);
    ottla_protocol::varint::put_varint(&mut inner, value as i32);
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("zstd");
    encoder.write_all(&inner).expect("written");
    let zeros = vec![0u8; 1 << 20];
    (0..1024).for_each(|_| encoder.write_all(&zeros).expect("written"));
    encoder.write_all(&[0]).expect("written");
    let bytes = with_payload(Compression::Zstd, &encoder.finish().expect("zstd"));
    let check =
        |limit| validate(&bytes, &mut Decompressor::with_limit(limit), &ValidateOptions::default());
    let error = check(Decompressor::DEFAULT_LIMIT).expect_err("a bomb");
    assert_eq!(error.kind(), RecordErrorKind::TooLarge, "{error}");
    let facts = check(2 << 30).expect("a batch like any other, for who allows it");
    assert_eq!(facts.uncompressed_bytes, (inner.len() + value + 1) as u64);
}

#[test]
fn a_small_block_cannot_claim_a_large_one() {
    // Snappy's length says 1 GiB; ten bytes cannot become so many.
    let mut hostile = vec![0x80, 0x80, 0x80, 0x80, 0x04];
    hostile.extend_from_slice(&[0; 10]);
    let error = Decompressor::with_limit(2 << 30).decompress(Compression::Snappy, &hostile);
    assert_eq!(error.expect_err("a lie").kind(), RecordErrorKind::Decompress);
}
