//! The request that `schemas/BY_HAND.md` builds byte by byte is what this crate writes, and the
//! numbers in its text are those of its bytes. `tests/interop` sends it to real brokers.

#[path = "by_hand/blocks.rs"]
mod blocks;

use bytes::Bytes;
use ottla_protocol::header::{decode_request_header, decode_response_header};
use ottla_protocol::messages::{ApiKey, ProduceRequest, ProduceResponse};
use ottla_protocol::wire::Message;

/// CRC-32C bit by bit, as the document describes it.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let fell_out = crc & 1;
            crc >>= 1;
            if fell_out == 1 {
                crc ^= 0x82f6_3b78;
            }
        }
    }
    !crc
}

fn document() -> blocks::Blocks {
    blocks::read(env!("CARGO_MANIFEST_DIR").as_ref())
}

#[test]
fn the_request_is_what_the_codec_reads_and_writes() {
    let frame: Bytes = document().bytes("frame").into();
    assert_eq!(frame[..4], (frame.len() as u32 - 4).to_be_bytes());
    let frame = frame.slice(4..);
    let (api, header, body) = decode_request_header(&frame).expect("a header");
    assert_eq!((api, header.request_api_version), (ApiKey::Produce, 9));
    assert_eq!(header.client_id.as_deref(), Some("hand"));
    let request = ProduceRequest::decode(&frame, body, 9).expect("a request");
    assert_eq!(request.topic_data[0].name, "orders");
    let records = request.topic_data[0].partition_data[0].records.as_ref().expect("a batch");
    assert_eq!(records[..], document().bytes("batch"));
    assert_eq!(request.to_bytes(9).expect("writable"), frame.slice(body..));
}

#[test]
fn the_answer_is_what_the_codec_reads_and_writes() {
    let frame: Bytes = document().bytes("answer").into();
    assert_eq!(frame[..4], (frame.len() as u32 - 4).to_be_bytes());
    let frame = frame.slice(4..);
    let (header, body) = decode_response_header(&frame, ApiKey::Produce, 9).expect("a header");
    assert_eq!(header.correlation_id, 7);
    let response = ProduceResponse::decode(&frame, body, 9).expect("a response");
    assert_eq!(response.to_bytes(9).expect("writable"), frame.slice(body..));
}

#[test]
fn lengths_and_checksum_are_those_of_the_bytes() {
    let blocks = document();
    let (checked, batch) = (blocks.bytes("checked"), blocks.bytes("batch"));
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    assert_eq!(batch[17..21], crc32c(&checked).to_be_bytes());
    let text = &blocks.text;
    for (count, said) in [
        (checked.len(), "CRC-32C of these 74 bytes"),
        (batch.len(), "The whole batch has 95 bytes"),
        (blocks.bytes("request").len(), "That is 119 bytes"),
        (blocks.bytes("header").len(), "The header has 15 bytes"),
    ] {
        assert!(text.contains(said) && said.contains(&count.to_string()), "{said}: {count}");
    }
}
