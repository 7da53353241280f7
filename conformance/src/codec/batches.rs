//! Batches from JSON: the form that `decode` prints, back to bytes.
//!
//! What the JSON does not hold is lost: which of several possible forms compressed bytes had, what
//! stood in a cut tail, unassigned bits, the times that records had before `LogAppendTime` hid
//! them. So that nothing else is, the bytes are decoded again and compared before they are given:
//! fields that say twice what others say (`lastOffset`, `count`, `sequence`) have to agree, and a
//! value that cannot be written is an error.

use super::CodecError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ottla_protocol::Bytes;
use ottla_protocol::records::crc::{crc32, crc32c};
use ottla_protocol::records::header::{
    ATTRIBUTES_AT, Attributes, BATCH_HEADER_LEN, CRC_AT, LENGTH_PREFIX_LEN, MAGIC,
};
use ottla_protocol::records::json::records_to_json;
use ottla_protocol::records::legacy::{LegacyMagic, MessageSetBuilder, MessageSetFields};
use ottla_protocol::records::{BatchHeader, Compression, Compressor, TimestampType};
use ottla_protocol::varint::{put_varint, put_varlong};
use serde_json::Value;

/// What follows from writing: compressed bytes may have another size and checksum.
const FOLLOWS: [&str; 2] = ["sizeInBytes", "crc"];
/// Of a message of magic 0 or 1: where its checksum stands, what that covers, and the timestamp.
const MESSAGE_CRC: std::ops::Range<usize> = 12..16;
const MESSAGE_TIMESTAMP: std::ops::Range<usize> = 18..26;

/// The bytes of a `records` field.
///
/// # Errors
///
/// What `decode` says of bytes that it cannot read; a field that is missing, unknown, out of its
/// range or at odds with another.
pub(super) fn from_json(value: &Value) -> Result<Bytes, CodecError> {
    if let Some(error) = value.get("error") {
        let text = format!("this is what decode says of bytes that it refuses, {error}: no batch");
        return Err(CodecError::new(text));
    }
    let whole = Place { value, path: String::new() };
    let mut out = Vec::new();
    let mut next_offset = 0;
    for batch in whole.list("batches")? {
        let written = match batch.number::<u8>("magic")? {
            0 => message(&batch, LegacyMagic::V0),
            1 => message(&batch, LegacyMagic::V1),
            2 => current(&batch),
            magic => Err(batch.wrong("magic", &format!("{magic} is not known"))),
        };
        out.extend_from_slice(&written?);
        next_offset = batch.number::<i64>("lastOffset").unwrap_or(-1).wrapping_add(1);
    }
    if value.get("incompleteTail").is_some() {
        // As much of the next as says nothing: its offset.
        out.extend_from_slice(&i64::to_be_bytes(next_offset));
    }
    let out = Bytes::from(out);
    match difference(value, &records_to_json(&out), "") {
        None => Ok(out),
        Some(text) => Err(CodecError::new(text)),
    }
}

/// A batch of magic 2.
fn current(batch: &Place<'_>) -> Result<Vec<u8>, CodecError> {
    let codec = batch.codec()?;
    let time = match batch.text("timestampType")? {
        "CreateTime" => TimestampType::CreateTime,
        "LogAppendTime" => TimestampType::LogAppendTime,
        _ => return Err(batch.wrong("timestampType", "is neither CreateTime nor LogAppendTime")),
    };
    let horizon = batch.field("deleteHorizonMs")?;
    let attributes = Attributes::default()
        .with_compression(codec)
        .with_timestamp_type(time)
        .with_transactional(batch.flag("isTransactional")?)
        .with_control(batch.flag("isControl")?)
        .with_delete_horizon(!horizon.value.is_null());
    let records = batch.list("records")?;
    let mut header = BatchHeader {
        base_offset: batch.number("baseOffset")?,
        batch_length: 0,
        partition_leader_epoch: batch.number("partitionLeaderEpoch")?,
        magic: MAGIC,
        crc: 0,
        attributes,
        last_offset_delta: batch.number("lastOffsetDelta")?,
        base_timestamp: batch.number("baseTimestamp")?,
        max_timestamp: batch.number("maxTimestamp")?,
        producer_id: batch.number("producerId")?,
        producer_epoch: batch.number("producerEpoch")?,
        base_sequence: batch.number("baseSequence")?,
        record_count: length(records.len(), batch)?,
    };
    let mut plain = Vec::new();
    for record in &records {
        put_record(&mut plain, record, &header)?;
    }
    let mut out = vec![0; BATCH_HEADER_LEN];
    // One that compaction has emptied has its codec's number, and no compressed bytes.
    let codec = if records.is_empty() { Compression::None } else { codec };
    let compressed = Compressor::new().compress(codec, None, &plain, &mut out);
    compressed.map_err(|error| batch.wrong("records", &error.to_string()))?;
    header.batch_length = length(out.len() - LENGTH_PREFIX_LEN, batch)?;
    out[..BATCH_HEADER_LEN].copy_from_slice(&header.to_bytes());
    let crc = crc32c(&out[ATTRIBUTES_AT..]);
    out[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
    Ok(out)
}

fn put_record(
    out: &mut Vec<u8>,
    record: &Place<'_>,
    header: &BatchHeader,
) -> Result<(), CodecError> {
    let offset = record.number::<i64>("offset")?.checked_sub(header.base_offset);
    let delta = offset.and_then(|delta| i32::try_from(delta).ok());
    let delta = delta.ok_or_else(|| record.wrong("offset", "is too far from baseOffset"))?;
    let timestamp = record.number::<i64>("timestamp")?;
    // No bit of a record's attributes is assigned.
    let mut body = vec![0];
    put_varlong(&mut body, timestamp.wrapping_sub(header.base_timestamp));
    put_varint(&mut body, delta);
    put_bytes(&mut body, record.bytes("key")?.as_deref(), record)?;
    put_bytes(&mut body, record.bytes("value")?.as_deref(), record)?;
    let headers = record.list("headers")?;
    put_varint(&mut body, length(headers.len(), record)?);
    for header in &headers {
        let pair = header.value.as_array().map(Vec::as_slice);
        let Some([Value::String(key), value]) = pair else {
            return Err(header.is_not("a name and a value"));
        };
        let value = Place { value, path: format!("{}[1]", header.path) };
        put_bytes(&mut body, Some(key.as_bytes()), record)?;
        put_bytes(&mut body, value.as_bytes()?.as_deref(), record)?;
    }
    put_varint(out, length(body.len(), record)?);
    out.extend_from_slice(&body);
    Ok(())
}

/// A length and as many bytes; -1 for null.
fn put_bytes(out: &mut Vec<u8>, field: Option<&[u8]>, of: &Place<'_>) -> Result<(), CodecError> {
    let Some(field) = field else {
        put_varint(out, -1);
        return Ok(());
    };
    put_varint(out, length(field.len(), of)?);
    out.extend_from_slice(field);
    Ok(())
}

/// A message of magic 0 or 1: a record, or one that wraps a compressed set.
fn message(batch: &Place<'_>, magic: LegacyMagic) -> Result<Vec<u8>, CodecError> {
    let (compression, max_timestamp) = (batch.codec()?, batch.number::<i64>("maxTimestamp")?);
    let append_time = match (magic, batch.text("timestampType")?) {
        (LegacyMagic::V0, "NoTimestampType") | (LegacyMagic::V1, "CreateTime") => None,
        (LegacyMagic::V1, "LogAppendTime") => Some(max_timestamp),
        _ => return Err(batch.wrong("timestampType", "is none of this magic")),
    };
    let records = batch.list("records")?;
    if compression == Compression::None && records.len() != 1 {
        return Err(batch.wrong("records", "has to be one: it is not compressed"));
    }
    let fields = MessageSetFields { compression, append_time, ..MessageSetFields::new(magic) };
    let mut set = MessageSetBuilder::new(fields);
    for record in &records {
        let (key, value) = (record.bytes("key")?, record.bytes("value")?);
        let (offset, timestamp) = (record.number("offset")?, record.number("timestamp")?);
        set.append(offset, timestamp, key.as_deref(), value.as_deref())
            .map_err(|error| record.wrong("offset", &error.to_string()))?;
    }
    let mut out = set
        .finish(&mut Compressor::new())
        .map_err(|error| batch.wrong("records", &error.to_string()))?;
    if out.is_empty() {
        return Err(batch.wrong("records", "is empty: a message holds one at least"));
    }
    out[..8].copy_from_slice(&batch.number::<i64>("lastOffset")?.to_be_bytes());
    if magic == LegacyMagic::V1 {
        out[MESSAGE_TIMESTAMP].copy_from_slice(&max_timestamp.to_be_bytes());
        let crc = crc32(&out[MESSAGE_CRC.end..]);
        out[MESSAGE_CRC].copy_from_slice(&crc.to_be_bytes());
    }
    Ok(out)
}

/// A length as the wire has it.
fn length(length: usize, of: &Place<'_>) -> Result<i32, CodecError> {
    i32::try_from(length).map_err(|_| of.is_not("less than 2 GiB"))
}

/// The first field of `given` that `found` has otherwise.
fn difference(given: &Value, found: &Value, path: &str) -> Option<String> {
    match (given, found) {
        (Value::Object(given), Value::Object(found)) => {
            let dot = if path.is_empty() { "" } else { "." };
            given.iter().filter(|(name, _)| !FOLLOWS.contains(&name.as_str())).find_map(
                |(name, value)| {
                    let path = format!("{path}{dot}{name}");
                    match found.get(name) {
                        Some(found) => difference(value, found, &path),
                        None => Some(format!("{path}: no such field is in what was written")),
                    }
                },
            )
        }
        (Value::Array(given), Value::Array(found)) if given.len() == found.len() => {
            let mut pairs = given.iter().zip(found).enumerate();
            pairs
                .find_map(|(at, (given, found))| difference(given, found, &format!("{path}[{at}]")))
        }
        _ if given == found => None,
        _ => Some(format!("{path}: {given} is at odds with the other fields, which say {found}")),
    }
}

/// A value and where it stands.
struct Place<'a> {
    value: &'a Value,
    path: String,
}

impl<'a> Place<'a> {
    fn field(&self, name: &str) -> Result<Self, CodecError> {
        let dot = if self.path.is_empty() { "" } else { "." };
        let path = format!("{}{dot}{name}", self.path);
        match self.value.get(name) {
            Some(value) => Ok(Place { value, path }),
            None => Err(CodecError::new(format!("{path}: the field is missing"))),
        }
    }

    fn is_not(&self, what: &str) -> CodecError {
        CodecError::new(format!("{}: this is not {what}", self.path))
    }

    fn wrong(&self, name: &str, what: &str) -> CodecError {
        CodecError::new(format!("{}.{name}: {what}", self.path))
    }

    fn number<T: TryFrom<i64>>(&self, name: &str) -> Result<T, CodecError> {
        let field = self.field(name)?;
        let number = field.value.as_i64().and_then(|number| T::try_from(number).ok());
        let bits = size_of::<T>() * 8;
        number.ok_or_else(|| field.is_not(&format!("a number of {bits} bits")))
    }

    fn flag(&self, name: &str) -> Result<bool, CodecError> {
        let field = self.field(name)?;
        field.value.as_bool().ok_or_else(|| field.is_not("true or false"))
    }

    fn text(&self, name: &str) -> Result<&'a str, CodecError> {
        let field = self.field(name)?;
        field.value.as_str().ok_or_else(|| field.is_not("a string"))
    }

    fn codec(&self) -> Result<Compression, CodecError> {
        let codec = self.text("codec")?.parse::<Compression>();
        codec.map_err(|error| self.wrong("codec", &error.to_string()))
    }

    fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, CodecError> {
        self.field(name)?.as_bytes()
    }

    fn as_bytes(&self) -> Result<Option<Vec<u8>>, CodecError> {
        if self.value.is_null() {
            return Ok(None);
        }
        let bytes = self.value.as_str().and_then(|text| STANDARD.decode(text).ok());
        bytes.map(Some).ok_or_else(|| self.is_not("null or base64"))
    }

    fn list(&self, name: &str) -> Result<Vec<Self>, CodecError> {
        let field = self.field(name)?;
        let list = field.value.as_array().ok_or_else(|| field.is_not("a list"))?;
        let place = |(at, value): (usize, &'a Value)| Place {
            value,
            path: format!("{}[{at}]", field.path),
        };
        Ok(list.iter().enumerate().map(place).collect())
    }
}
