//! Each function takes any bytes at all. It may not panic, and what it can read it must be able to
//! write again so that it reads the same.

use ottla_codegen::Library;
use ottla_protocol::frame::FrameDecoder;
use ottla_protocol::header::{decode_request_header, decode_response_header};
use ottla_protocol::messages::{ApiKey, Request, Response};
use ottla_protocol::records::crc::crc32;
use ottla_protocol::records::legacy::{
    Codecs, Entries, Entry, LegacyMagic, down_convert, up_convert,
};
use ottla_protocol::records::{
    BatchBuilder, BatchFields, BatchIter, Compressor, Decompressor, Origin, RecordBatch,
    ValidateOptions, restamp, validate,
};
use ottla_protocol::{Bytes, Encoder};

/// Records of one batch may have 1 MiB, so that a run is fast.
const RECORDS_MAX: usize = 1 << 20;

/// A stream of frames, and the header of each.
pub fn header(data: &[u8]) {
    let mut decoder = FrameDecoder::new(1 << 16);
    for piece in data.chunks(7) {
        decoder.buffer().extend_from_slice(piece);
        while let Ok(Some(frame)) = decoder.next_frame() {
            assert!(frame.len() <= 1 << 16);
        }
    }
    let frame = Bytes::copy_from_slice(data);
    if let Ok((api, _, end)) = decode_request_header(&frame) {
        assert!(end <= frame.len());
        assert!(ApiKey::ALL.contains(&api));
    }
    for &api in ApiKey::ALL {
        if let Ok((_, end)) = decode_response_header(&frame, api, *api.valid_versions().end()) {
            assert!(end <= frame.len());
        }
    }
}

/// A request's frame without its length.
pub fn request(data: &[u8]) {
    let frame = Bytes::copy_from_slice(data);
    let Ok((api, header, end)) = decode_request_header(&frame) else { return };
    let version = header.request_api_version;
    let Ok(request) = Request::decode(api, version, &frame, end) else { return };
    let written = |request: &Request| {
        let mut out = Encoder::new();
        request.encode(&mut out, version).expect("what was read can be written");
        out.into_bytes()
    };
    // Not the values are compared: tagged fields that came in another order are written by number.
    let first = written(&request);
    let again = Request::decode(api, version, &first, 0).expect("what was written can be read");
    assert_eq!(written(&again), first);
}

/// API key and version, two bytes each, then a response's frame without its length.
pub fn response(data: &[u8]) {
    let Some((front, frame)) = data.split_first_chunk::<4>() else { return };
    let Some(api) = ApiKey::from_code(i16::from_be_bytes([front[0], front[1]])) else { return };
    let version = i16::from_be_bytes([front[2], front[3]]);
    if !api.valid_versions().contains(&version) {
        return;
    }
    let frame = Bytes::copy_from_slice(frame);
    let Ok((_, end)) = decode_response_header(&frame, api, version) else { return };
    let Ok(response) = Response::decode(api, version, &frame, end) else { return };
    let written = |response: &Response| {
        let mut out = Encoder::new();
        response.encode(&mut out, version).expect("what was read can be written");
        out.into_bytes()
    };
    // Not the values are compared: tagged fields that came in another order are written by number.
    let first = written(&response);
    let again = Response::decode(api, version, &first, 0).expect("what was written can be read");
    assert_eq!(written(&again), first);
}

/// A `records` field.
pub fn record_batch(data: &[u8]) {
    let field = Bytes::copy_from_slice(data);
    let mut decompressor = Decompressor::with_limit(RECORDS_MAX);
    for batch in BatchIter::new(field.clone()).flatten() {
        one_batch(&batch, &mut decompressor);
        // With a right checksum, whatever else is wrong is met.
        let mut repaired = batch.bytes().to_vec();
        let header = batch.header();
        restamp(&mut repaired, header.producer_id, header.producer_epoch, header.base_sequence);
        let repaired = RecordBatch::parse(repaired.into()).expect("the header is as it was");
        repaired.verify_crc().expect("the checksum was just made");
        one_batch(&repaired, &mut decompressor);
    }
}

fn one_batch(batch: &RecordBatch, decompressor: &mut Decompressor) {
    drop(batch.control_type());
    let replica = ValidateOptions { origin: Origin::Replica, ..Default::default() };
    let valid = validate(batch.bytes(), decompressor, &replica);
    let read = batch.records(decompressor);
    let Ok(records) = read else {
        assert!(valid.is_err(), "valid, but it cannot be read: {read:?}");
        return;
    };
    let whole = records.iter().all(|record| record.is_ok());
    for record in records.iter().flatten() {
        assert_eq!(record.headers.iter().count(), record.headers.len());
    }
    let Ok(facts) = valid else { return };
    assert!(whole, "valid, but a record cannot be read");
    assert_eq!(records.iter().count(), facts.record_count as usize);
    assert_eq!(records.data().len() as u64, facts.uncompressed_bytes);
    if facts.record_count == 0 {
        return;
    }
    let builder = BatchBuilder::from_batch(batch, decompressor).expect("it was read before");
    let fields = BatchFields { compression: facts.compression, ..Default::default() };
    let again = builder.finish(&fields, &mut Compressor::new()).expect("it was a batch");
    let again = RecordBatch::parse(again).expect("what was written can be read");
    again.verify_crc().expect("the checksum was just made");
    assert_eq!(again.records(decompressor).expect("as before").data(), records.data());
}

/// A `records` field in which old formats may stand.
pub fn legacy_set(data: &[u8]) {
    let field = Bytes::copy_from_slice(data);
    let decompressor = Decompressor::with_limit(RECORDS_MAX);
    let mut codecs = Codecs { decompressor, compressor: Compressor::new() };
    let mut repaired = Vec::new();
    for entry in Entries::new(field.clone()).flatten() {
        let Entry::Message(message) = entry else { continue };
        if let Ok(records) = message.records(&mut codecs.decompressor) {
            records.flatten().for_each(drop);
        }
        // With a right checksum, whatever else is wrong is met.
        let mut bytes = message.bytes().to_vec();
        let crc = crc32(&bytes[16..]);
        bytes[12..16].copy_from_slice(&crc.to_be_bytes());
        repaired.extend(bytes);
    }
    let _ = up_convert(&field, &mut codecs);
    let repaired = Bytes::from(repaired);
    let Ok(up) = up_convert(&repaired, &mut codecs) else { return };
    let up = Bytes::from(up);
    for batch in BatchIter::new(up.clone()) {
        batch.expect("what was written can be cut").verify_crc().expect("the checksum was made");
    }
    // A record of magic 1 takes more than it took.
    codecs.decompressor = Decompressor::with_limit(8 * RECORDS_MAX);
    for magic in [LegacyMagic::V0, LegacyMagic::V1] {
        let down = down_convert(&up, magic, &mut codecs).expect("what went up comes down");
        for entry in Entries::new(down.into()) {
            let Entry::Message(message) = entry.expect("a message") else { panic!("a batch") };
            message.verify_crc().expect("the checksum was just made");
            let mut records = message.records(&mut codecs.decompressor).expect("readable");
            assert!(records.all(|record| record.is_ok()));
        }
    }
}

/// A schema file.
pub fn schema(data: &[u8]) {
    let Ok(source) = str::from_utf8(data) else { return };
    if let Err(diagnostics) = Library::parse(&[("fuzz.schema".to_owned(), source.to_owned())]) {
        assert!(!diagnostics.is_empty(), "refused without a reason");
        for diagnostic in diagnostics {
            assert!(!diagnostic.to_string().is_empty());
        }
    }
}
