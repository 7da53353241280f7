//! Record batches as JSON, for vectors and tools: what a `records` field holds, bytes in base64.

use super::{BatchIter, Decompressor, RecordBatch, RecordError, RecordErrorKind};
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
    let mut iter = BatchIter::new(field.clone());
    let batches: Result<Vec<Value>, RecordError> =
        iter.by_ref().map(|batch| batch_to_json(&batch?)).collect();
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

fn text(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Null, |bytes| STANDARD.encode(bytes).into())
}
