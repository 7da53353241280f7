//! Between magic 0 or 1 and 2, as Kafka's brokers converted for clients and segments of the other
//! format. Offsets and codec stay.

use alloc::format;
use alloc::vec::Vec;

use bytes::Bytes;

use super::super::builder::{BatchBuilder, BatchFields};
use super::super::error::{RecordError, RecordErrorKind};
use super::super::header::TimestampType;
use super::super::{Compression, Compressor, Decompressor};
use super::builder::{MessageSetBuilder, MessageSetFields};
use super::entries::{Entries, Entry};
use super::message::{LegacyMagic, LegacyMessage};
use super::records::LegacyRecord;

/// A `records` field as batches of magic 2. Each compressed message becomes a batch of its own, and
/// so do messages that follow each other uncompressed with times of one type; batches of magic 2
/// stay as they are. Magic 0 has no timestamps: they are -1. A cut entry at the end is left out.
///
/// # Errors
///
/// Those of reading the messages, their checksums among them, and `Encode` where offsets are
/// negative or do not ascend within a message.
pub fn up_convert(records: &Bytes, codecs: &mut Codecs) -> Result<Vec<u8>, RecordError> {
    let mut out = Vec::new();
    let mut run = Run::default();
    for entry in Entries::new(records.clone()) {
        match entry? {
            Entry::Batch(batch) => {
                run.finish(&mut out, codecs)?;
                out.extend_from_slice(batch.bytes());
            }
            Entry::Message(message) => {
                message.verify_crc()?;
                run.take(&message, &mut out, codecs)?;
            }
        }
    }
    run.finish(&mut out, codecs)?;
    Ok(out)
}

/// A `records` field in magic 0 or 1, for readers that know no later one: what a broker did for a
/// fetch of an old version. Headers and what belongs to transactions and idempotence are lost,
/// control batches are left out, timestamps too in magic 0. A cut entry at the end is left out.
/// Entries that are of this format, or an older one, stay as they are.
///
/// # Errors
///
/// Those of reading, `UnsupportedCompression` for batches that are compressed with zstd, which
/// those readers do not know, and `Encode` for negative offsets.
pub fn down_convert(
    records: &Bytes,
    magic: LegacyMagic,
    codecs: &mut Codecs,
) -> Result<Vec<u8>, RecordError> {
    let mut out = Vec::new();
    for entry in Entries::new(records.clone()) {
        match entry? {
            Entry::Message(message) if message.magic() <= magic => {
                out.extend_from_slice(message.bytes());
            }
            Entry::Message(message) => {
                message.verify_crc()?;
                let fields = MessageSetFields {
                    magic,
                    compression: message.compression()?,
                    level: None,
                    append_time: append_time(&message),
                };
                let mut set = MessageSetBuilder::new(fields);
                for record in message.records(&mut codecs.decompressor)? {
                    let LegacyRecord { offset, timestamp, key, value } = record?;
                    set.append(offset, timestamp, key.as_deref(), value.as_deref())?;
                }
                out.extend_from_slice(&set.finish(&mut codecs.compressor)?);
            }
            Entry::Batch(batch) => {
                batch.verify_crc()?;
                let header = *batch.header();
                if header.is_control() {
                    continue;
                }
                let compression = header.compression()?;
                if compression == Compression::Zstd {
                    let what = "zstd is unknown to readers of magic 0 and 1";
                    let kind = RecordErrorKind::UnsupportedCompression;
                    return Err(RecordError::new(kind, 0, what));
                }
                let is_append_time = header.timestamp_type() == TimestampType::LogAppendTime;
                let append_time = is_append_time.then_some(header.max_timestamp);
                let fields = MessageSetFields { magic, compression, level: None, append_time };
                let mut set = MessageSetBuilder::new(fields);
                for record in &batch.records(&mut codecs.decompressor)? {
                    let record = record?;
                    set.append(record.offset, record.timestamp, record.key, record.value)?;
                }
                out.extend_from_slice(&set.finish(&mut codecs.compressor)?);
            }
        }
    }
    Ok(out)
}

/// Both directions of the codecs; keep one per thread.
#[derive(Debug, Default)]
pub struct Codecs {
    /// For what is read.
    pub decompressor: Decompressor,
    /// For what is written.
    pub compressor: Compressor,
}

fn append_time(message: &LegacyMessage) -> Option<i64> {
    let is_append_time = message.timestamp_type() == Some(TimestampType::LogAppendTime);
    is_append_time.then(|| message.timestamp())
}

/// The records that become the next batch.
#[derive(Default)]
struct Run {
    records: Vec<LegacyRecord>,
    append_time: Option<i64>,
    compression: Compression,
}

impl Run {
    fn take(
        &mut self,
        message: &LegacyMessage,
        out: &mut Vec<u8>,
        codecs: &mut Codecs,
    ) -> Result<(), RecordError> {
        let (compression, append_time) = (message.compression()?, append_time(message));
        let goes_on = compression == Compression::None
            && self.compression == compression
            && self.append_time == append_time
            && self.records.last().is_none_or(|last| {
                // An offset's distance from the first has 32 bits.
                let first = self.records[0].offset;
                let distance = message.offset().checked_sub(first);
                last.offset < message.offset()
                    && distance.is_some_and(|distance| i32::try_from(distance).is_ok())
            });
        if !goes_on {
            self.finish(out, codecs)?;
        }
        (self.compression, self.append_time) = (compression, append_time);
        for record in message.records(&mut codecs.decompressor)? {
            self.records.push(record?);
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>, codecs: &mut Codecs) -> Result<(), RecordError> {
        let Some(first) = self.records.first() else { return Ok(()) };
        if first.offset < 0 {
            let what = format!("offset {}, offsets of a batch are not negative", first.offset);
            return Err(RecordError::new(RecordErrorKind::Encode, 0, what));
        }
        let fields = BatchFields {
            compression: self.compression,
            base_offset: first.offset,
            append_time: self.append_time,
            ..BatchFields::default()
        };
        let mut batch = BatchBuilder::new(256);
        for LegacyRecord { offset, timestamp, key, value } in self.records.drain(..) {
            let distance = offset.checked_sub(fields.base_offset);
            let delta = distance.and_then(|distance| i32::try_from(distance).ok());
            let delta = delta.ok_or_else(|| {
                let what = "offsets of one message are further apart than 32 bits say";
                RecordError::new(RecordErrorKind::Encode, 0, what)
            })?;
            batch.append_at(delta, timestamp, key.as_deref(), value.as_deref(), &[])?;
        }
        out.extend_from_slice(&batch.finish(&fields, &mut codecs.compressor)?);
        Ok(())
    }
}
