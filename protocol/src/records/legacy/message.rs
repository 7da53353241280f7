//! One message: offset, size, checksum, attributes, timestamp, key and value.

use alloc::format;

use bytes::Bytes;

use super::super::Compression;
use super::super::crc::crc32;
use super::super::error::{RecordError, RecordErrorKind};
use super::super::header::TimestampType;

/// Offset and size stand in front of what the size counts.
pub(super) const PREFIX_LEN: usize = 12;
pub(super) const SIZE_AT: usize = 8;
pub(super) const CRC_AT: usize = 12;
/// The checksum covers what follows it.
pub(super) const MAGIC_AT: usize = 16;
pub(super) const ATTRIBUTES_AT: usize = 17;
const TIMESTAMP_AT: usize = 18;
/// The bits of the attributes that name the codec.
const CODEC_BITS: u8 = 0x07;
/// The bit of the attributes that says `LogAppendTime` (magic 1, KIP-32).
pub(super) const LOG_APPEND_TIME_BIT: u8 = 0x08;

/// Which of the two formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LegacyMagic {
    /// Without timestamps; offsets in a compressed set are absolute.
    V0 = 0,
    /// With timestamps (KIP-32); offsets in a compressed set count from its first (KIP-31).
    V1 = 1,
}

impl LegacyMagic {
    /// From the magic byte; none for magic 2 and all others.
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::V0),
            1 => Some(Self::V1),
            _ => None,
        }
    }

    /// Where the key's length stands in a message.
    pub(super) fn key_at(self) -> usize {
        match self {
            Self::V0 => TIMESTAMP_AT,
            Self::V1 => TIMESTAMP_AT + 8,
        }
    }

    /// The least that a message's size says: with no key and no value, 14 or 22 bytes.
    pub fn size_min(self) -> usize {
        self.key_at() + 8 - PREFIX_LEN
    }
}

/// A message as it stands in a set. Where it is compressed, its value is a set itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyMessage {
    bytes: Bytes,
    magic: LegacyMagic,
    key: Option<(usize, usize)>,
    value: Option<(usize, usize)>,
}

impl LegacyMessage {
    /// Reads one message, offset and size included, that takes all of `bytes`. The checksum is
    /// not compared: see [`verify_crc`](Self::verify_crc).
    ///
    /// # Errors
    ///
    /// `UnsupportedMagic` for a magic other than 0 and 1, `Malformed` for a size or length that
    /// does not fit the bytes.
    pub fn parse(bytes: Bytes) -> Result<Self, RecordError> {
        let malformed =
            |at: usize, what| Err(RecordError::new(RecordErrorKind::Malformed, at, what));
        let Some(&magic) = bytes.get(MAGIC_AT) else {
            return malformed(bytes.len(), "a message is cut off".into());
        };
        let Some(magic) = LegacyMagic::from_byte(magic) else {
            let what = format!("magic {magic} is not that of a message set, 0 or 1");
            return Err(RecordError::new(RecordErrorKind::UnsupportedMagic, MAGIC_AT, what));
        };
        let size = i32_at(&bytes, SIZE_AT).unwrap_or(-1);
        if usize::try_from(size).ok().is_none_or(|size| size < magic.size_min()) {
            let least = magic.size_min();
            let what = format!("message size {size} is less than {least}, that of an empty one");
            return malformed(SIZE_AT, what);
        }
        if bytes.len() - PREFIX_LEN != size as usize {
            let has = bytes.len() - PREFIX_LEN;
            return malformed(SIZE_AT, format!("message size {size}, but {has} bytes follow it"));
        }
        let (key, at) = field(&bytes, magic.key_at(), "key")?;
        let (value, end) = field(&bytes, at, "value")?;
        if end != bytes.len() {
            let what = format!("{} bytes follow the message's value", bytes.len() - end);
            return malformed(end, what);
        }
        Ok(Self { bytes, magic, key, value })
    }

    /// The message's bytes, offset and size included.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The format.
    pub fn magic(&self) -> LegacyMagic {
        self.magic
    }

    /// The offset that stands in front: of a record its own (inside a wrapper of magic 1: counted
    /// from the first one's), of a wrapper the last one's.
    pub fn offset(&self) -> i64 {
        let field = self.bytes.first_chunk().expect("invariant: it was parsed");
        i64::from_be_bytes(*field)
    }

    /// The checksum that the message claims: CRC-32 of all behind it.
    pub fn crc(&self) -> u32 {
        i32_at(&self.bytes, CRC_AT).expect("invariant: it was parsed") as u32
    }

    /// Compares the checksum.
    ///
    /// # Errors
    ///
    /// `Crc` where it does not match.
    pub fn verify_crc(&self) -> Result<(), RecordError> {
        let (claimed, found) = (self.crc(), crc32(&self.bytes[MAGIC_AT..]));
        if claimed == found {
            return Ok(());
        }
        let what = format!("checksum {claimed:#010x}, but the bytes have {found:#010x}");
        Err(RecordError::new(RecordErrorKind::Crc, CRC_AT, what))
    }

    /// The attributes' byte.
    pub fn attributes(&self) -> u8 {
        self.bytes[ATTRIBUTES_AT]
    }

    /// The codec of a wrapper; `None` for a record.
    ///
    /// # Errors
    ///
    /// `UnsupportedCompression` for numbers above 3: zstd came with magic 2.
    pub fn compression(&self) -> Result<Compression, RecordError> {
        let code = i16::from(self.attributes() & CODEC_BITS);
        match Compression::from_code(code) {
            Some(codec) if codec != Compression::Zstd => Ok(codec),
            _ => {
                let what = format!("codec {code} is none of a message set's");
                Err(RecordError::new(RecordErrorKind::UnsupportedCompression, ATTRIBUTES_AT, what))
            }
        }
    }

    /// Whose time the timestamp is; none in magic 0, which has no timestamps.
    pub fn timestamp_type(&self) -> Option<TimestampType> {
        (self.magic == LegacyMagic::V1).then(|| {
            if self.attributes() & LOG_APPEND_TIME_BIT == 0 {
                TimestampType::CreateTime
            } else {
                TimestampType::LogAppendTime
            }
        })
    }

    /// Milliseconds since 1970; of a wrapper the largest inside, or the broker's. -1 in magic 0.
    pub fn timestamp(&self) -> i64 {
        match self.magic {
            LegacyMagic::V0 => -1,
            LegacyMagic::V1 => {
                let field = self.bytes[TIMESTAMP_AT..].first_chunk();
                i64::from_be_bytes(*field.expect("invariant: it was parsed"))
            }
        }
    }

    /// The key; null in wrappers.
    pub fn key(&self) -> Option<Bytes> {
        self.key.map(|(start, end)| self.bytes.slice(start..end))
    }

    /// The value; of a wrapper the compressed set.
    pub fn value(&self) -> Option<Bytes> {
        self.value.map(|(start, end)| self.bytes.slice(start..end))
    }

    /// Where the value stands.
    pub(super) fn value_at(&self) -> usize {
        self.value.map_or(self.bytes.len(), |(start, _)| start)
    }
}

/// A key or value: its place, or none for null, and what is behind it.
fn field(
    bytes: &[u8],
    at: usize,
    what: &str,
) -> Result<(Option<(usize, usize)>, usize), RecordError> {
    let length = i32_at(bytes, at).ok_or_else(|| {
        let what = format!("the message ends within the length of its {what}");
        RecordError::new(RecordErrorKind::Malformed, at, what)
    })?;
    let start = at + 4;
    // Any negative length is null, as Kafka reads it.
    let Ok(length) = usize::try_from(length) else { return Ok((None, start)) };
    let end = start.saturating_add(length);
    if end > bytes.len() {
        let left = bytes.len() - start;
        let what = format!("a {what} of {length} bytes, but {left} are left in the message");
        return Err(RecordError::new(RecordErrorKind::Malformed, at, what));
    }
    Ok((Some((start, end)), end))
}

pub(super) fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(i32::from_be_bytes(*field))
}
