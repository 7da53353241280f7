//! The 61 bytes in front of a batch's records, and the patches that may be made to them in place.
//!
//! The CRC covers everything from [`ATTRIBUTES_AT`] to the end. Base offset, length, leader epoch
//! and magic lie before it, so that a broker assigns offsets without touching it (M19: nothing
//! detects damage there but continuity checks).

use nom::Parser;
use nom::number::complete::{be_i8, be_i16, be_i32, be_i64, be_u32};

use super::compression::Compression;
use super::crc::crc32c;
use super::error::{RecordError, RecordErrorKind};
use crate::error::{Parsed, Trace};

/// The length of a batch's header: the records follow.
pub const BATCH_HEADER_LEN: usize = 61;
/// What [`BatchHeader::batch_length`] does not count: the base offset and the length itself.
pub const LENGTH_PREFIX_LEN: usize = 12;
/// The magic of record batches.
pub const MAGIC: i8 = 2;

/// Position of the base offset (i64).
pub const BASE_OFFSET_AT: usize = 0;
/// Position of the batch length (i32).
pub const BATCH_LENGTH_AT: usize = 8;
/// Position of the partition leader epoch (i32).
pub const LEADER_EPOCH_AT: usize = 12;
/// Position of the magic (i8); magic 0 and 1 have theirs there, too.
pub const MAGIC_AT: usize = 16;
/// Position of the CRC-32C (u32).
pub const CRC_AT: usize = 17;
/// Position of the attributes (i16), the first byte that the CRC covers.
pub const ATTRIBUTES_AT: usize = 21;
/// Position of the last offset delta (i32).
pub const LAST_OFFSET_DELTA_AT: usize = 23;
/// Position of the base timestamp (i64).
pub const BASE_TIMESTAMP_AT: usize = 27;
/// Position of the max timestamp (i64).
pub const MAX_TIMESTAMP_AT: usize = 35;
/// Position of the producer id (i64).
pub const PRODUCER_ID_AT: usize = 43;
/// Position of the producer epoch (i16).
pub const PRODUCER_EPOCH_AT: usize = 51;
/// Position of the base sequence (i32).
pub const BASE_SEQUENCE_AT: usize = 53;
/// Position of the record count (i32).
pub const RECORD_COUNT_AT: usize = 57;

/// Where the timestamps of a batch's records come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TimestampType {
    /// From the producer, each record its own.
    #[default]
    CreateTime,
    /// From the broker: every record has the batch's max timestamp (trap 12).
    LogAppendTime,
}

/// The batch's attribute bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    const COMPRESSION: i16 = 0x07;
    const LOG_APPEND_TIME: i16 = 0x08;
    const TRANSACTIONAL: i16 = 0x10;
    const CONTROL: i16 = 0x20;
    const DELETE_HORIZON: i16 = 0x40;

    /// Sets the codec.
    #[must_use]
    pub fn with_compression(self, codec: Compression) -> Self {
        Self(self.0 & !Self::COMPRESSION | codec.code())
    }

    /// Sets the timestamp type.
    #[must_use]
    pub fn with_timestamp_type(self, timestamp_type: TimestampType) -> Self {
        self.with(Self::LOG_APPEND_TIME, timestamp_type == TimestampType::LogAppendTime)
    }

    /// Sets the transactional bit.
    #[must_use]
    pub fn with_transactional(self, on: bool) -> Self {
        self.with(Self::TRANSACTIONAL, on)
    }

    /// Sets the control bit.
    #[must_use]
    pub fn with_control(self, on: bool) -> Self {
        self.with(Self::CONTROL, on)
    }

    /// Sets the delete-horizon bit (KIP-534).
    #[must_use]
    pub fn with_delete_horizon(self, on: bool) -> Self {
        self.with(Self::DELETE_HORIZON, on)
    }

    fn with(self, bit: i16, on: bool) -> Self {
        Self(if on { self.0 | bit } else { self.0 & !bit })
    }

    /// The codec's number, 0 to 7; 5 to 7 are not assigned.
    pub fn compression_code(self) -> i16 {
        self.0 & Self::COMPRESSION
    }

    /// Where the timestamps come from.
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Part of a transaction.
    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Control records, which no consumer is given.
    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// The base timestamp is the time from which on tombstones and markers of this batch may be
    /// deleted (KIP-534).
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }
}

/// The fixed fields of a batch, in wire order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record; 0 from a producer, assigned by the leader.
    pub base_offset: i64,
    /// Bytes of the batch after this field.
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch; -1 from a producer.
    pub partition_leader_epoch: i32,
    /// Always 2 here.
    pub magic: i8,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Codec, timestamp type, transactional, control, delete horizon.
    pub attributes: Attributes,
    /// Offset of the last record minus the base offset; stays when compaction removes that record.
    pub last_offset_delta: i32,
    /// Timestamp that the records' deltas count from, in ms; the delete horizon if that bit is set.
    pub base_timestamp: i64,
    /// Largest timestamp of the batch in ms, or the append time; -1 for none.
    pub max_timestamp: i64,
    /// Producer id; -1 for none.
    pub producer_id: i64,
    /// Producer epoch; -1 for none.
    pub producer_epoch: i16,
    /// Sequence number of the first record; -1 for none.
    pub base_sequence: i32,
    /// Number of records that are there; compaction may have emptied the batch.
    pub record_count: i32,
}

/// Reads the header with nom, without judging it.
fn batch_header(i: &[u8]) -> Parsed<'_, BatchHeader> {
    let (i, (base_offset, batch_length, partition_leader_epoch, magic, crc, attributes)) =
        (be_i64, be_i32, be_i32, be_i8, be_u32, be_i16).parse(i)?;
    let (i, (last_offset_delta, base_timestamp, max_timestamp)) =
        (be_i32, be_i64, be_i64).parse(i)?;
    let (i, (producer_id, producer_epoch, base_sequence, record_count)) =
        (be_i64, be_i16, be_i32, be_i32).parse(i)?;
    let header = BatchHeader {
        base_offset,
        batch_length,
        partition_leader_epoch,
        magic,
        crc,
        attributes: Attributes(attributes),
        last_offset_delta,
        base_timestamp,
        max_timestamp,
        producer_id,
        producer_epoch,
        base_sequence,
        record_count,
    };
    Ok((i, header))
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`; the records need not be there yet. Refuses other
    /// magics, and a length that cannot hold the header.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        if let Some(&magic) = bytes.get(MAGIC_AT) {
            check_magic(magic as i8)?;
        }
        // Before the rest is missed: the length is what cuts it off.
        let length = bytes.get(BATCH_LENGTH_AT..).and_then(<[u8]>::first_chunk);
        let length = length.map(|length| i32::from_be_bytes(*length));
        if let Some(length) = length
            && length < (BATCH_HEADER_LEN - LENGTH_PREFIX_LEN) as i32
        {
            let what = format!("batch length {length} is less than the header's");
            return Err(RecordError::new(RecordErrorKind::Malformed, BATCH_LENGTH_AT, what));
        }
        let (_, header) = batch_header(bytes).map_err(|_: nom::Err<Trace>| {
            let what = format!("{} bytes, a batch header has {BATCH_HEADER_LEN}", bytes.len());
            RecordError::new(RecordErrorKind::Malformed, bytes.len(), what)
        })?;
        Ok(header)
    }

    /// Writes the header's 61 bytes.
    pub fn to_bytes(&self) -> [u8; BATCH_HEADER_LEN] {
        let mut out = [0; BATCH_HEADER_LEN];
        let mut put = |at: usize, field: &[u8]| out[at..at + field.len()].copy_from_slice(field);
        put(BASE_OFFSET_AT, &self.base_offset.to_be_bytes());
        put(BATCH_LENGTH_AT, &self.batch_length.to_be_bytes());
        put(LEADER_EPOCH_AT, &self.partition_leader_epoch.to_be_bytes());
        put(MAGIC_AT, &self.magic.to_be_bytes());
        put(CRC_AT, &self.crc.to_be_bytes());
        put(ATTRIBUTES_AT, &self.attributes.0.to_be_bytes());
        put(LAST_OFFSET_DELTA_AT, &self.last_offset_delta.to_be_bytes());
        put(BASE_TIMESTAMP_AT, &self.base_timestamp.to_be_bytes());
        put(MAX_TIMESTAMP_AT, &self.max_timestamp.to_be_bytes());
        put(PRODUCER_ID_AT, &self.producer_id.to_be_bytes());
        put(PRODUCER_EPOCH_AT, &self.producer_epoch.to_be_bytes());
        put(BASE_SEQUENCE_AT, &self.base_sequence.to_be_bytes());
        put(RECORD_COUNT_AT, &self.record_count.to_be_bytes());
        out
    }

    /// Offset of the last record, whether it is still there or not.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// The offset after the batch: where a consumer goes on, even if the batch gave it nothing
    /// (trap 6).
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Bytes of the whole batch, header included.
    pub fn size_in_bytes(&self) -> usize {
        usize::try_from(self.batch_length).unwrap_or(0).saturating_add(LENGTH_PREFIX_LEN)
    }

    /// Part of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes.is_transactional()
    }

    /// Control records, which no consumer is given.
    pub fn is_control(&self) -> bool {
        self.attributes.is_control()
    }

    /// Written by an idempotent or transactional producer.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id >= 0
    }

    /// The codec of the records; an error where the number is not assigned.
    pub fn compression(&self) -> Result<Compression, RecordError> {
        let code = self.attributes.compression_code();
        Compression::from_code(code).ok_or_else(|| {
            let what = format!("compression codec {code} is not known");
            RecordError::new(RecordErrorKind::UnsupportedCompression, ATTRIBUTES_AT, what)
        })
    }

    /// Where the records' timestamps come from.
    pub fn timestamp_type(&self) -> TimestampType {
        self.attributes.timestamp_type()
    }

    /// From when on tombstones and markers of this batch may be deleted, in ms (KIP-534).
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        self.attributes.has_delete_horizon().then_some(self.base_timestamp)
    }

    /// Sequence number of the last record; -1 for none.
    pub fn last_sequence(&self) -> i32 {
        self.sequence_at(self.last_offset_delta)
    }

    /// Sequence number of the record with this offset delta; after 2³¹-1 comes 0 (PR-25). -1 for
    /// none.
    pub fn sequence_at(&self, offset_delta: i32) -> i32 {
        if self.base_sequence < 0 { -1 } else { next_sequence(self.base_sequence, offset_delta) }
    }
}

/// `sequence` advanced by `records`, wrapping from 2³¹-1 to 0 (PR-25).
pub fn next_sequence(sequence: i32, records: i32) -> i32 {
    ((i64::from(sequence) + i64::from(records)) & 0x7fff_ffff) as i32
}

/// Refuses what is not magic 2.
pub(crate) fn check_magic(magic: i8) -> Result<(), RecordError> {
    let message = match magic {
        MAGIC => return Ok(()),
        0 | 1 => format!(
            "magic {magic} is a message set of before Kafka 0.11, which is not read; have the \
             broker convert it, or rewrite the topic"
        ),
        _ => format!("magic {magic} is not known, expected {MAGIC}"),
    };
    Err(RecordError::new(RecordErrorKind::UnsupportedMagic, MAGIC_AT, message))
}

fn put(batch: &mut [u8], at: usize, field: &[u8]) {
    batch[at..at + field.len()].copy_from_slice(field);
}

fn write_crc(batch: &mut [u8]) {
    let crc = crc32c(&batch[ATTRIBUTES_AT..]);
    put(batch, CRC_AT, &crc.to_be_bytes());
}

/// Sets base offset and leader epoch, which the CRC does not cover, in the header of a batch that
/// was validated.
///
/// # Panics
/// If `header` is shorter than a batch header.
pub fn stamp_base_offset(header: &mut [u8], base_offset: i64, leader_epoch: i32) {
    put(header, BASE_OFFSET_AT, &base_offset.to_be_bytes());
    put(header, LEADER_EPOCH_AT, &leader_epoch.to_be_bytes());
}

/// Gives a whole batch its producer id, epoch and first sequence number, and a new CRC.
///
/// # Panics
/// If `batch` is shorter than a batch header.
pub fn restamp(batch: &mut [u8], producer_id: i64, producer_epoch: i16, base_sequence: i32) {
    put(batch, PRODUCER_ID_AT, &producer_id.to_be_bytes());
    put(batch, PRODUCER_EPOCH_AT, &producer_epoch.to_be_bytes());
    put(batch, BASE_SEQUENCE_AT, &base_sequence.to_be_bytes());
    write_crc(batch);
}

/// Gives a whole batch its timestamp type and max timestamp, and a new CRC if anything changed
/// (PR-18).
///
/// # Panics
/// If `batch` is shorter than a batch header.
pub fn set_max_timestamp(batch: &mut [u8], timestamp_type: TimestampType, max_timestamp: i64) {
    let before = Attributes(i16::from_be_bytes([batch[ATTRIBUTES_AT], batch[ATTRIBUTES_AT + 1]]));
    let after = before.with_timestamp_type(timestamp_type);
    let max = max_timestamp.to_be_bytes();
    if before == after && batch[MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8] == max {
        return;
    }
    put(batch, ATTRIBUTES_AT, &after.0.to_be_bytes());
    put(batch, MAX_TIMESTAMP_AT, &max);
    write_crc(batch);
}

/// Completes the header of a batch whose records are in place: length and CRC are computed here.
pub(crate) fn write_header(batch: &mut [u8], mut header: BatchHeader) -> Result<(), RecordError> {
    header.batch_length = i32::try_from(batch.len() - LENGTH_PREFIX_LEN).map_err(|_| {
        RecordError::new(RecordErrorKind::Encode, 0, "the batch exceeds 2 GiB, split it")
    })?;
    put(batch, 0, &header.to_bytes());
    write_crc(batch);
    Ok(())
}
