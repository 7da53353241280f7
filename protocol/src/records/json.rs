//! Record batches, and message sets of magic 0 and 1, as JSON, for vectors and tools: what a
//! `records` field holds, bytes in base64.

use super::legacy::{Entries, Entry, LegacyMessage};
use super::{Compression, Decompressor, RecordBatch, RecordError, RecordErrorKind};
use crate::Bytes;
use alloc::string::ToString;
use alloc::vec::Vec;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// What a `records` field holds: `{"batches": […]}`, with `"incompleteTail": true` where the last
/// batch is cut; `{"error": "crc"}` where a checksum does not match, `{"error": text}` where it
/// cannot be read for another reason.
///
/// Keys, values and header values are in standard base64; null is null.
pub fn records_to_json(field: &Bytes) -> Value {
    let mut iter = Entries::new(field.clone());
    let to_json = |entry| match entry {
        Entry::Batch(batch) => batch_to_json(&batch),
        Entry::Message(message) => message_to_json(&message),
    };
    let batches: Result<Vec<Value>, RecordError> =
        iter.by_ref().map(|entry| to_json(entry?)).collect();
    match batches {
        Ok(batches) if iter.incomplete_tail() => {
            json!({"batches": batches, "incompleteTail": true})
        }
        Ok(batches) => json!({"batches": batches}),
        Err(error) if error.kind() == RecordErrorKind::Crc => json!({"error": "crc"}),
        Err(error) => json!({"error": error.to_string()}),
    }
}

/// One batch, checked and decompressed.
///
/// # Errors
///
/// A checksum that does not match, a codec that is unknown, records that cannot be read.
pub fn batch_to_json(batch: &RecordBatch) -> Result<Value, RecordError> {
    batch.verify_crc()?;
    let header = batch.header();
    let control = batch.control_type()?;
    let mut records = Vec::new();
    for record in &batch.records(&mut Decompressor::new())? {
        let record = record?;
        let delta = (record.offset - header.base_offset) as i32;
        let headers: Vec<Value> =
            record.headers.iter().map(|(key, value)| json!([key, text(value)])).collect();
        let mut json = json!({
            "offset": record.offset, "timestamp": record.timestamp, "key": text(record.key),
            "value": text(record.value), "sequence": header.sequence_at(delta), "headers": headers,
        });
        if let Some(control) = control {
            json["control"] = control.name().into();
        }
        records.push(json);
    }
    Ok(json!({
        "magic": header.magic, "sizeInBytes": header.size_in_bytes(),
        "baseOffset": header.base_offset, "lastOffset": header.last_offset(), "crc": header.crc,
        "codec": header.compression()?.name(),
        "timestampType": format!("{:?}", header.timestamp_type()),
        "maxTimestamp": header.max_timestamp, "lastOffsetDelta": header.last_offset_delta,
        "baseTimestamp": header.base_timestamp,
        "partitionLeaderEpoch": header.partition_leader_epoch, "producerId": header.producer_id,
        "producerEpoch": header.producer_epoch, "baseSequence": header.base_sequence,
        "lastSequence": header.last_sequence(), "isTransactional": header.is_transactional(),
        "isControl": header.is_control(), "deleteHorizonMs": header.delete_horizon_ms(),
        "count": header.record_count, "records": records,
    }))
}

/// One message of magic 0 or 1, checked and decompressed.
///
/// # Errors
///
/// As [`batch_to_json`].
pub fn message_to_json(message: &LegacyMessage) -> Result<Value, RecordError> {
    message.verify_crc()?;
    let codec = message.compression()?;
    let mut records = Vec::new();
    let mut first = None;
    for record in message.records(&mut Decompressor::new())? {
        let record = record?;
        first = first.or(Some(record.offset));
        records.push(json!({
            "offset": record.offset, "timestamp": record.timestamp,
            "key": text(record.key.as_deref()), "value": text(record.value.as_deref()),
        }));
    }
    let timestamp_type = message.timestamp_type();
    let timestamp_type =
        timestamp_type.map_or("NoTimestampType".to_string(), |of| format!("{of:?}"));
    let is_wrapper = codec != Compression::None;
    Ok(json!({
        "magic": message.magic() as u8, "sizeInBytes": message.bytes().len(),
        "baseOffset": if is_wrapper { first } else { None }.unwrap_or(message.offset()),
        "lastOffset": message.offset(), "crc": message.crc(), "codec": codec.name(),
        "timestampType": timestamp_type, "maxTimestamp": message.timestamp(), "records": records,
    }))
}

fn text(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Null, |bytes| STANDARD.encode(bytes).into())
}
