//! The records of a message: itself, or those that it wraps.

use alloc::borrow::ToOwned;
use alloc::format;

use bytes::Bytes;

use super::super::error::{RecordError, RecordErrorKind};
use super::super::header::{BATCH_HEADER_LEN, TimestampType};
use super::super::{Compression, Decompressor};
use super::message::{LegacyMagic, LegacyMessage, PREFIX_LEN, SIZE_AT, i32_at};

/// A record of magic 0 or 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyRecord {
    /// The offset in the partition.
    pub offset: i64,
    /// Milliseconds since 1970, the producer's or, with `LogAppendTime`, the broker's; -1 in
    /// magic 0.
    pub timestamp: i64,
    /// The key, or null.
    pub key: Option<Bytes>,
    /// The value, or null.
    pub value: Option<Bytes>,
}

/// The records of one message.
#[derive(Debug, Clone)]
pub struct LegacyRecords {
    /// The messages that are still to be given.
    rest: Bytes,
    magic: LegacyMagic,
    /// What is added to the offsets inside.
    base: i64,
    /// The wrapper's time, where it is that of all.
    append_time: Option<i64>,
    index: u32,
}

impl LegacyMessage {
    /// The records: this one, or those that it wraps, decompressed.
    ///
    /// # Errors
    ///
    /// `Decompress` and `TooLarge` from the codec, `UnsupportedCompression`, and `Invalid` for a
    /// wrapper that Kafka's brokers refuse: without a value, without records, of messages of
    /// another magic or that are compressed themselves, or with an offset below that of its last
    /// record; `Malformed` for one whose last message is cut. The checksum of a record inside is
    /// compared when the record is given.
    pub fn records(&self, decompressor: &mut Decompressor) -> Result<LegacyRecords, RecordError> {
        let magic = self.magic();
        let codec = self.compression()?;
        if codec == Compression::None {
            let rest = self.bytes().clone();
            return Ok(LegacyRecords { rest, magic, base: 0, append_time: None, index: 0 });
        }
        let Some(value) = self.value() else {
            return Err(invalid(self.value_at(), "a compressed message without a value"));
        };
        let data = self.decompressed(codec, &value, decompressor)?;
        let base = self.checked(&data)?;
        let is_append_time = self.timestamp_type() == Some(TimestampType::LogAppendTime);
        let append_time = is_append_time.then(|| self.timestamp());
        Ok(LegacyRecords { rest: data, magic, base, append_time, index: 0 })
    }

    fn decompressed(
        &self,
        codec: Compression,
        value: &Bytes,
        decompressor: &mut Decompressor,
    ) -> Result<Bytes, RecordError> {
        #[cfg(feature = "lz4")]
        if codec == Compression::Lz4 && self.magic() == LegacyMagic::V0 {
            let mended = super::super::compression::lz4::with_right_header(value);
            return self.decompress(codec, &mended, decompressor);
        }
        self.decompress(codec, value, decompressor)
    }

    fn decompress(
        &self,
        codec: Compression,
        input: &[u8],
        decompressor: &mut Decompressor,
    ) -> Result<Bytes, RecordError> {
        decompressor.decompress(codec, input).map_err(|error| {
            // The codec counts from a batch's records.
            let at = error.offset().saturating_sub(BATCH_HEADER_LEN) + self.value_at();
            RecordError::new(error.kind(), at, error.message().to_owned())
        })
    }

    /// Looks at what a wrapper holds, and finds what is added to the offsets inside.
    fn checked(&self, data: &[u8]) -> Result<i64, RecordError> {
        let at = self.value_at();
        let mut rest = data;
        let mut last = None;
        while !rest.is_empty() {
            let size = i32_at(rest, SIZE_AT).and_then(|size| usize::try_from(size).ok());
            let whole = size.map(|size| size.saturating_add(PREFIX_LEN));
            let Some(whole) = whole.filter(|whole| *whole <= rest.len()) else {
                return Err(malformed(at, "a message inside is cut off"));
            };
            let (front, back) = rest.split_at(whole);
            let header = front.first_chunk::<18>();
            let Some(header) = header else {
                return Err(malformed(at, "a message inside is shorter than its header"));
            };
            let (magic, attributes) = (header[16], header[17]);
            if magic != self.magic() as u8 {
                let what = format!("a message of magic {magic} inside one of another");
                return Err(invalid(at, what));
            }
            if attributes & 0x07 != 0 {
                return Err(invalid(at, "a compressed message inside a compressed one"));
            }
            let offset = header.first_chunk().expect("invariant: the header is longer");
            last = Some(i64::from_be_bytes(*offset));
            rest = back;
        }
        let Some(last) = last else {
            return Err(invalid(at, "a compressed message that holds none"));
        };
        match self.magic() {
            LegacyMagic::V0 => Ok(0),
            // Some versions of librdkafka left the offset of what they produced at 0.
            LegacyMagic::V1 if self.offset() == 0 => Ok(0),
            LegacyMagic::V1 if self.offset() < last => {
                let offset = self.offset();
                let what = format!("offset {offset}, below {last} of the last message inside");
                Err(invalid(0, what))
            }
            LegacyMagic::V1 => Ok(self.offset().wrapping_sub(last)),
        }
    }
}

impl Iterator for LegacyRecords {
    type Item = Result<LegacyRecord, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let size = i32_at(&self.rest, SIZE_AT).expect("invariant: the set was checked");
        let message = LegacyMessage::parse(self.rest.split_to(size as usize + PREFIX_LEN));
        let record = message.and_then(|message| {
            message.verify_crc()?;
            Ok(LegacyRecord {
                offset: self.base.wrapping_add(message.offset()),
                timestamp: match self.magic {
                    LegacyMagic::V0 => -1,
                    LegacyMagic::V1 => self.append_time.unwrap_or_else(|| message.timestamp()),
                },
                key: message.key(),
                value: message.value(),
            })
        });
        let record = record.map_err(|error| error.at_record(self.index));
        self.index += 1;
        if record.is_err() {
            self.rest.clear();
        }
        Some(record)
    }
}

impl core::iter::FusedIterator for LegacyRecords {}

fn invalid(at: usize, what: impl Into<alloc::borrow::Cow<'static, str>>) -> RecordError {
    RecordError::new(RecordErrorKind::Invalid, at, what)
}

fn malformed(at: usize, what: &'static str) -> RecordError {
    RecordError::new(RecordErrorKind::Malformed, at, what)
}
