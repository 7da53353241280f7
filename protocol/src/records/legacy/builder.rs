//! Writing message sets.

use alloc::format;
use alloc::vec::Vec;

use super::super::crc::crc32;
use super::super::error::{RecordError, RecordErrorKind};
use super::super::{Compression, Compressor};
use super::message::{CRC_AT, LOG_APPEND_TIME_BIT, LegacyMagic, MAGIC_AT, PREFIX_LEN, SIZE_AT};

/// What holds for a whole set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageSetFields {
    /// The format.
    pub magic: LegacyMagic,
    /// The codec: `None`, gzip, snappy or lz4.
    pub compression: Compression,
    /// The codec's level; `None` for its default.
    pub level: Option<i32>,
    /// `LogAppendTime` with this time in milliseconds, `None` for `CreateTime`. Magic 0 has
    /// neither.
    pub append_time: Option<i64>,
}

impl MessageSetFields {
    /// An uncompressed set with the producer's times.
    pub fn new(magic: LegacyMagic) -> Self {
        Self { magic, compression: Compression::None, level: None, append_time: None }
    }
}

/// A message set that records are appended to: one message after the other, or where it is
/// compressed, one that wraps them all.
#[derive(Debug, Clone)]
pub struct MessageSetBuilder {
    fields: MessageSetFields,
    buffer: Vec<u8>,
    first_offset: Option<i64>,
    last_offset: i64,
    max_timestamp: i64,
}

impl MessageSetBuilder {
    /// An empty set.
    pub fn new(fields: MessageSetFields) -> Self {
        let buffer = Vec::new();
        Self { fields, buffer, first_offset: None, last_offset: -1, max_timestamp: -1 }
    }

    /// Appends a record. Offsets ascend; the timestamp, in milliseconds since 1970, is left out in
    /// magic 0 and replaced by `append_time` where there is one.
    ///
    /// # Errors
    ///
    /// `Encode` for an offset below 0 or that does not ascend, and for a record above 2 GiB. The
    /// set is as before then.
    pub fn append(
        &mut self,
        offset: i64,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), RecordError> {
        if offset < 0 {
            // A reader of magic 1 could not tell them from those inside the set.
            let what = format!("offset {offset}, offsets of a set are not negative");
            return Err(RecordError::new(RecordErrorKind::Encode, 0, what));
        }
        let first = self.first_offset.unwrap_or(offset);
        if self.first_offset.is_some() && offset <= self.last_offset {
            let what = format!("offset {offset} after {}, offsets ascend", self.last_offset);
            return Err(RecordError::new(RecordErrorKind::Encode, 0, what));
        }
        let is_relative =
            self.fields.magic == LegacyMagic::V1 && self.fields.compression != Compression::None;
        let written = if is_relative { offset.wrapping_sub(first) } else { offset };
        let timestamp = self.fields.append_time.unwrap_or(timestamp);
        let attributes = self.time_bit();
        put(&mut self.buffer, self.fields.magic, (written, attributes, timestamp), key, value)?;
        self.first_offset = Some(first);
        self.last_offset = offset;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        Ok(())
    }

    /// Whether nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The set's bytes.
    ///
    /// # Errors
    ///
    /// `UnsupportedCompression` for zstd, which magic 2 brought, and for codecs that this build
    /// leaves out; `Encode` from the codec.
    pub fn finish(self, compressor: &mut Compressor) -> Result<Vec<u8>, RecordError> {
        let MessageSetFields { magic, compression, level, .. } = self.fields;
        if compression == Compression::Zstd {
            let what = "zstd came with magic 2: a message set cannot be compressed with it";
            return Err(RecordError::new(RecordErrorKind::UnsupportedCompression, 0, what));
        }
        if compression == Compression::None || self.buffer.is_empty() {
            return Ok(self.buffer);
        }
        let mut value = Vec::new();
        compressor.compress(compression, level, &self.buffer, &mut value)?;
        #[cfg(feature = "lz4")]
        if compression == Compression::Lz4 && magic == LegacyMagic::V0 {
            super::super::compression::lz4::break_header(&mut value);
        }
        let attributes = self.time_bit() | compression.code() as u8;
        let mut out = Vec::with_capacity(value.len() + 64);
        let head = (self.last_offset, attributes, self.max_timestamp);
        put(&mut out, magic, head, None, Some(&value))?;
        Ok(out)
    }

    fn time_bit(&self) -> u8 {
        let has = self.fields.magic == LegacyMagic::V1 && self.fields.append_time.is_some();
        if has { LOG_APPEND_TIME_BIT } else { 0 }
    }
}

/// Writes one message: its offset, attributes and timestamp, key and value.
fn put(
    out: &mut Vec<u8>,
    magic: LegacyMagic,
    (offset, attributes, timestamp): (i64, u8, i64),
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Result<(), RecordError> {
    let fields = [key, value].map(|field| field.map_or(0, <[u8]>::len));
    let size = fields.iter().fold(magic.size_min(), |size, len| size.saturating_add(*len));
    let Ok(size) = i32::try_from(size) else {
        let what = format!("a message of {size} bytes, {} at most", i32::MAX);
        return Err(RecordError::new(RecordErrorKind::Encode, 0, what));
    };
    let start = out.len();
    out.reserve(PREFIX_LEN + size as usize);
    out.extend_from_slice(&offset.to_be_bytes());
    debug_assert_eq!(out.len() - start, SIZE_AT);
    out.extend_from_slice(&size.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.push(magic as u8);
    out.push(attributes);
    if magic == LegacyMagic::V1 {
        out.extend_from_slice(&timestamp.to_be_bytes());
    }
    for field in [key, value] {
        let length = field.map_or(-1, |field| field.len() as i32);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(field.unwrap_or_default());
    }
    let crc = crc32(&out[start + MAGIC_AT..]);
    out[start + CRC_AT..start + MAGIC_AT].copy_from_slice(&crc.to_be_bytes());
    Ok(())
}
