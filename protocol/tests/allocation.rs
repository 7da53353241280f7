//! Decoding never takes more memory than 32 times the input and 64 KiB, whatever the bytes say:
//! counted by an allocator.

#[path = "allocation/every_message.rs"]
mod every_message;
#[path = "allocation/legacy.rs"]
mod legacy;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use flate2::read::GzDecoder;
use ottla_protocol::frame::FrameDecoder;
use ottla_protocol::header::{decode_request_header, decode_response_header};
use ottla_protocol::messages::{ApiKey, Request, Response, convert};
use ottla_protocol::records::{
    BatchIter, Compression, Compressor, Decompressor, Origin, RecordErrorKind, ValidateOptions,
    restamp, validate,
};
use ottla_protocol::varint::put_uvarint;
use serde_json::{Map, Value};

/// Counts what each thread holds; tests run on threads of their own.
struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    let live = LIVE.get() + change;
    LIVE.set(live);
    PEAK.set(PEAK.get().max(live));
}

// SAFETY: every call goes to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may be there for a moment.
        count(size as isize);
        count(-(layout.size() as isize));
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that `work` held at a time beyond what was held before.
fn peak(work: impl FnOnce()) -> usize {
    let before = LIVE.get();
    PEAK.set(before);
    work();
    usize::try_from(PEAK.get() - before).expect("a peak is not below the start")
}

#[track_caller]
fn bounded(what: &str, len: usize, work: impl FnOnce()) -> f64 {
    let peak = peak(work);
    let most = 32 * len + (64 << 10);
    assert!(peak <= most, "{what}: {peak} bytes for an input of {len}, {most} are allowed");
    peak as f64 / len.max(1) as f64
}

/// A small generator, so that every run is the same.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 11) as usize % n.max(1)
    }
}

#[derive(Clone)]
struct Vector {
    api: Option<ApiKey>,
    name: String,
    kind: String,
    version: i16,
    variant: String,
    bytes: Bytes,
}

fn vectors(file: &str) -> Vec<Vector> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
    let mut text = String::new();
    GzDecoder::new(File::open(path).expect("vectors are part of the project"))
        .read_to_string(&mut text)
        .expect("gzip");
    let row = |line: &str| {
        let columns: Vec<_> = line.split('\t').collect();
        let [key, name, kind, version, variant, hex, _] = columns[..] else {
            panic!("seven columns: {line}");
        };
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
        Vector {
            api: ApiKey::from_code(key.parse().expect("a key")),
            name: name.to_owned(),
            kind: kind.to_owned(),
            version: version.parse().expect("a version"),
            variant: variant.to_owned(),
            bytes: (0..hex.len()).step_by(2).map(byte).collect::<Vec<_>>().into(),
        }
    };
    text.lines().map(row).collect()
}

/// The vectors of messages that the specification has.
fn known() -> Vec<Vector> {
    let known = |v: &Vector| {
        convert::NAMES.contains(&v.name.as_str())
            && v.variant != "filled-framed"
            && (!matches!(v.kind.as_str(), "request" | "response")
                || v.api.is_some_and(|api| api.valid_versions().contains(&v.version)))
    };
    let known: Vec<_> = vectors("messages.tsv.gz").into_iter().filter(known).collect();
    assert!(known.len() > 800, "only {}", known.len());
    known
}

/// Reads `bytes` as the message of `v`; whether they are good does not matter here.
fn decode(v: &Vector, bytes: &Bytes) {
    let version = v.version;
    match (v.api, v.kind.as_str()) {
        (Some(api), "request") => drop(Request::decode(api, version, bytes, 0)),
        (Some(api), "response") => drop(Response::decode(api, version, bytes, 0)),
        _ => drop(convert::check_named(&v.name, version, bytes)),
    }
}

fn describe(v: &Vector) -> String {
    format!("{} v{} {}", v.name, v.version, v.variant)
}

#[test]
fn every_vector_and_every_cut_of_it() {
    for v in known() {
        bounded(&describe(&v), v.bytes.len(), || decode(&v, &v.bytes));
        // Long vectors differ from the others in repetitions only.
        let step = v.bytes.len() / 60 + 1;
        for len in (0..v.bytes.len()).step_by(step) {
            let cut = v.bytes.slice(..len);
            bounded(&describe(&v), len, || decode(&v, &cut));
        }
    }
}

#[test]
fn random_damage() {
    let mut random = Random(0x0771_a000_0000_0001);
    for v in known() {
        for _ in 0..6 {
            let mut bytes = v.bytes.to_vec();
            for _ in 0..1 + random.below(4) {
                if !bytes.is_empty() {
                    let at = random.below(bytes.len());
                    bytes[at] = [0, 1, 0x7f, 0x80, 0xff, random.next() as u8][random.below(6)];
                }
            }
            let bytes = Bytes::from(bytes);
            bounded(&describe(&v), bytes.len(), || decode(&v, &bytes));
        }
    }
}

/// Bytes that look like empty elements: zeros and ones are null and empty in compact and in classic
/// lengths.
fn fillers(len: usize) -> Vec<Vec<u8>> {
    let pattern = |unit: &[u8]| unit.iter().copied().cycle().take(len).collect();
    vec![pattern(&[0]), pattern(&[1]), pattern(&[1, 0]), pattern(&[0, 0, 0, 1]), pattern(&[0xff])]
}

#[test]
fn hostile_counts_anywhere() {
    let mut random = Random(0x0771_a000_0000_0002);
    let counts: [&[u8]; 4] = [
        &[0x7f, 0xff, 0xff, 0xff],
        &[0x00, 0x0f, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff, 0x07],
        &[0xff, 0xff, 0x3f],
    ];
    for v in known().into_iter().filter(|v| matches!(v.variant.as_str(), "filled" | "defaults")) {
        for _ in 0..2 {
            let at = random.below(v.bytes.len() + 1);
            for count in counts {
                for filler in fillers([0, 60, 3000][random.below(3)]) {
                    let bytes = Bytes::from([&v.bytes[..at], count, &filler].concat());
                    bounded(&describe(&v), bytes.len(), || decode(&v, &bytes));
                }
            }
        }
    }
}

/// The paths of all arrays in a JSON value, outermost first.
fn array_paths(json: &Value, path: &[String], out: &mut Vec<Vec<String>>) {
    let fields = json.as_object().into_iter().flatten();
    for (name, value) in fields {
        let path = [path, std::slice::from_ref(name)].concat();
        match value {
            Value::Array(elements) => {
                out.push(path.clone());
                if let Some(first) = elements.first() {
                    array_paths(first, &path, out);
                }
            }
            Value::Object(_) => array_paths(value, &path, out),
            _ => {}
        }
    }
}

/// The least JSON that has `count` empty elements in the array at `path`: whatever is absent gets
/// its default.
fn least(json: &Value, path: &[String], count: usize) -> Value {
    let [name, rest @ ..] = path else { return Value::Object(Map::new()) };
    let inner = match &json[name] {
        Value::Array(elements) if rest.is_empty() => {
            let element = match &elements[0] {
                Value::Object(_) => Value::Object(Map::new()),
                Value::Number(_) => Value::from(0),
                // An id cannot be shorter; any other text can.
                Value::String(text) if text.len() == 22 => Value::from("A".repeat(22)),
                _ => Value::from(""),
            };
            vec![element; count].into()
        }
        Value::Array(elements) => vec![least(&elements[0], rest, count)].into(),
        object => least(object, rest, count),
    };
    Value::Object(Map::from_iter([(name.clone(), inner)]))
}

/// Unknown tagged fields of no bytes at all, at the end of a message and inside its elements.
#[test]
fn many_tagged_fields() {
    let mut tried = 0;
    for v in known().into_iter().filter(|v| v.variant == "defaults" && v.bytes.ends_with(&[0])) {
        for (count, honest) in [(10_000, true), (10_000, false)] {
            let mut bytes = v.bytes[..v.bytes.len() - 1].to_vec();
            put_uvarint(&mut bytes, count);
            for _ in 0..count {
                bytes.extend_from_slice(&[0x7f, 0]);
            }
            if !honest {
                bytes.truncate(bytes.len() - 1);
            }
            let bytes = Bytes::from(bytes);
            bounded(&describe(&v), bytes.len(), || decode(&v, &bytes));
            tried += 1;
        }
    }
    assert!(tried > 100, "only {tried}");
}

#[test]
fn headers_and_frames() {
    let mut random = Random(0x0771_a000_0000_0003);
    for _ in 0..20_000 {
        let len = random.below(64);
        let bytes: Bytes = (0..len).map(|_| random.next() as u8 & 0x83).collect::<Vec<_>>().into();
        bounded("request header", len, || drop(decode_request_header(&bytes)));
        let api = ApiKey::ALL[random.below(ApiKey::ALL.len())];
        let version = *api.valid_versions().end();
        bounded("response header", len, || drop(decode_response_header(&bytes, api, version)));
    }
    for prefix in [i32::MAX, -1, 100 << 20, 0] {
        bounded("frame", 4, || {
            let mut decoder = FrameDecoder::new(200 << 20);
            decoder.buffer().extend_from_slice(&prefix.to_be_bytes());
            drop(decoder.next_frame());
            decoder.buffer().clear();
        });
    }
}

/// Everything that reads a batch; contexts are made anew each time.
fn read_records(field: &Bytes) {
    let mut decompressor = Decompressor::new();
    for batch in BatchIter::new(field.clone()).flatten() {
        drop(batch.verify_crc());
        drop(batch.control_type());
        if let Ok(records) = batch.records(&mut decompressor) {
            let headers = records.iter().flatten().map(|r| r.headers.iter().count());
            std::hint::black_box(headers.sum::<usize>());
        }
    }
}

fn check_records(field: &Bytes) {
    let options = ValidateOptions {
        origin: Origin::Replica,
        require_key: true,
        timestamps: Some(0..=1),
        ..Default::default()
    };
    let mut decompressor = Decompressor::new();
    for batch in BatchIter::new(field.clone()).flatten() {
        drop(validate(batch.bytes(), &mut decompressor, &options));
    }
}

#[test]
fn record_batches_cut_and_damaged() {
    let mut random = Random(0x0771_a000_0000_0004);
    for v in vectors("records.tsv.gz").into_iter().filter(|v| v.version == 2) {
        let what = describe(&v);
        let small = v.bytes.len() < 4096;
        for round in 0..if small { 60 } else { 10 } {
            let mut bytes = v.bytes.to_vec();
            if round > 0 {
                let at = random.below(bytes.len());
                bytes[at] = random.next() as u8;
                bytes.truncate(random.below(bytes.len() * 2));
            }
            // A right checksum and length take the damage to where it hurts.
            if round % 2 == 0 && bytes.len() > 61 {
                let length = bytes.len() as i32 - 12;
                bytes[8..12].copy_from_slice(&length.to_be_bytes());
                restamp(&mut bytes, -1, -1, -1);
            }
            let bytes = Bytes::from(bytes);
            bounded(&what, bytes.len(), || check_records(&bytes));
            bounded(&what, bytes.len(), || read_records(&bytes));
        }
    }
}

/// Good streams that grow a lot, cut before their end: what was read so far may not have been kept.
#[test]
fn streams_that_grow_a_lot_and_then_break() {
    let zeros = vec![0u8; 8 << 20];
    for codec in Compression::ALL.into_iter().skip(1) {
        let mut whole = Vec::new();
        Compressor::new().compress(codec, None, &zeros, &mut whole).expect("compressed");
        let cut = &whole[..whole.len() - 2];
        let refused = |limit| Decompressor::with_limit(limit).decompress(codec, cut).is_err();
        bounded(codec.name(), cut.len(), || assert!(refused(64 << 20), "{codec}"));
        bounded(codec.name(), cut.len(), || assert!(refused(1 << 20), "{codec}"));
    }
}

/// A gibibyte of zeros in a batch of a megabyte: refused, and nothing of it is kept.
#[test]
fn a_bomb_is_refused_in_bounded_memory() {
    let zeros = vec![0u8; 1 << 20];
    for codec in [Compression::Gzip, Compression::Zstd] {
        let mut member = Vec::new();
        Compressor::new().compress(codec, None, &zeros, &mut member).expect("compressed");
        let bomb = member.repeat(1024);
        bounded(codec.name(), bomb.len(), || {
            let error = Decompressor::new().decompress(codec, &bomb).expect_err("a bomb");
            assert_eq!(error.kind(), RecordErrorKind::TooLarge, "{error}");
        });
    }
}
