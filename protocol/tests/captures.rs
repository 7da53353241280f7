//! Frames that Apache Kafka's broker and its Java client put on the wire: read, and written again
//! with the same bytes.

use bytes::Bytes;
use flate2::read::GzDecoder;
use ottla_protocol::messages::{ApiKey, convert};
use ottla_protocol::{Encoder, Message, header};
use std::fs::File;
use std::io::Read;
use std::path::Path;

struct Frame {
    name: String,
    is_request: bool,
    api: ApiKey,
    version: i16,
    /// Without the length.
    bytes: Bytes,
}

fn unhex(text: &str) -> Bytes {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(byte).collect::<Vec<_>>().into()
}

fn frames() -> Vec<Frame> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/captures.tsv.gz");
    let mut text = String::new();
    GzDecoder::new(File::open(path).expect("part of the project"))
        .read_to_string(&mut text)
        .expect("gzip");
    let row = |line: &str| {
        let columns: Vec<_> = line.split('\t').collect();
        let [key, name, kind, version, hex, origin] = columns[..] else {
            panic!("six columns: {line}");
        };
        assert!(!origin.is_empty(), "{line}");
        let bytes = unhex(hex);
        let length = u32::from_be_bytes(bytes[..4].try_into().expect("four bytes"));
        assert_eq!(bytes.len(), length as usize + 4, "{line}");
        Frame {
            name: name.to_owned(),
            is_request: kind == "request",
            api: ApiKey::from_code(key.parse().expect("a key")).expect("an API"),
            version: version.parse().expect("a version"),
            bytes: bytes.slice(4..),
        }
    };
    text.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

/// The frame, read and written.
fn again(frame: &Frame) -> Bytes {
    let what = format!("{} v{}", frame.name, frame.version);
    let mut out = Encoder::new();
    let body_at = if frame.is_request {
        let (api, header, body_at) =
            header::decode_request_header(&frame.bytes).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!((api, header.request_api_version), (frame.api, frame.version), "{what}");
        let version = header::request_header_version(api, frame.version);
        header.encode(&mut out, version).expect("it was just read");
        body_at
    } else {
        let (header, body_at) =
            header::decode_response_header(&frame.bytes, frame.api, frame.version)
                .unwrap_or_else(|error| panic!("{what}: {error}"));
        let version = header::response_header_version(frame.api, frame.version);
        header.encode(&mut out, version).expect("it was just read");
        body_at
    };
    let body = frame.bytes.slice(body_at..);
    let body = convert::recode_named(&frame.name, frame.version, &body)
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    [&out.into_bytes()[..], &body[..]].concat().into()
}

#[test]
fn captured_frames_are_read_and_written_again() {
    let frames = frames();
    let count = |is_request| frames.iter().filter(|frame| frame.is_request == is_request).count();
    let (requests, responses) = (count(true), count(false));
    assert!(requests >= 20 && responses >= 150, "{requests} requests, {responses} responses");
    for frame in &frames {
        assert_eq!(again(frame), frame.bytes, "{} v{}", frame.name, frame.version);
    }
}
