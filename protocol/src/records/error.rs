//! What was wrong with a batch, and where.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

/// What kind of fault it is; a broker maps it to an error code, a client to "skip", "retry" or
/// "give up".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecordErrorKind {
    /// The bytes break the batch format: a length, a count, a field's range. `CORRUPT_MESSAGE`
    /// where the batch header is broken, and `INVALID_RECORD` inside the records; see
    /// [`RecordError::record`].
    Malformed,
    /// The checksum does not fit the bytes (`CORRUPT_MESSAGE`).
    Crc,
    /// A magic that is not read here: message sets have 0 and 1 ([`super::legacy`]), batches 2.
    UnsupportedMagic,
    /// A codec number that the protocol does not know, or a codec that this build leaves out.
    UnsupportedCompression,
    /// The compressed bytes are damaged or end early.
    Decompress,
    /// The records would take more memory than the caller allows: a decompression bomb, or a limit
    /// that is too low.
    TooLarge,
    /// The batch keeps to the format, but a rule of the log forbids it (`INVALID_RECORD`): PR-11,
    /// 12, 13, 15.
    Invalid,
    /// A timestamp outside the topic's bounds, or of the wrong type (`INVALID_TIMESTAMP`): PR-16,
    /// 17.
    Timestamp,
    /// The caller's input cannot be written: too large for the format, or a compression level out
    /// of range.
    Encode,
}

/// Why a single record was refused by [`super::validate()`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// The topic is compacted and the record has no key (PR-15).
    MissingKey,
    /// The timestamp is out of the topic's bounds, or the batch says `LogAppendTime` where it may
    /// not (PR-16, PR-17).
    Timestamp,
}

/// A record that was refused, for `RecordErrors` of the Produce response (version 8 and later).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected {
    /// The record's index in its batch, from 0.
    pub index: u32,
    /// Why.
    pub reason: Rejection,
}

/// A batch that cannot be read, stored or written. One pointer wide, because it travels in every
/// record's `Result`.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordError(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    kind: RecordErrorKind,
    offset: usize,
    record: Option<u32>,
    rejected: Vec<Rejected>,
    message: Cow<'static, str>,
}

impl RecordError {
    /// A fault at `offset` bytes from the start of the batch.
    #[cold]
    #[inline(never)]
    pub fn new(
        kind: RecordErrorKind,
        offset: usize,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let message = message.into();
        Self(Box::new(Inner { kind, offset, record: None, rejected: Vec::new(), message }))
    }

    /// The same, of the record with this index in its batch.
    #[cold]
    #[inline(never)]
    pub(crate) fn at_record(mut self, index: u32) -> Self {
        self.0.record = Some(index);
        self
    }

    #[cold]
    pub(crate) fn with_rejected(mut self, rejected: Vec<Rejected>) -> Self {
        self.0.rejected = rejected;
        self
    }

    /// What kind of fault it is.
    pub fn kind(&self) -> RecordErrorKind {
        self.0.kind
    }

    /// Bytes from the start of the batch to the fault. Inside compressed records it counts as if
    /// the records followed the header uncompressed; for a codec's own error it counts the
    /// compressed bytes.
    pub fn offset(&self) -> usize {
        self.0.offset
    }

    /// The index of the record at fault; `None` where the batch as a whole is.
    pub fn record(&self) -> Option<u32> {
        self.0.record
    }

    /// The records that a rule of the topic refused, in order; the list ends after the first
    /// hundred.
    pub fn rejected(&self) -> &[Rejected] {
        &self.0.rejected
    }

    /// What was wrong, without the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, offset, record, message, .. } = &*self.0;
        match (kind, record) {
            (RecordErrorKind::Encode, None) => write!(f, "cannot write record batch: {message}"),
            (RecordErrorKind::Encode, Some(record)) => {
                write!(f, "cannot write record {record} of the batch: {message}")
            }
            (_, None) => write!(f, "bad record batch at byte {offset}: {message}"),
            (_, Some(record)) => {
                write!(f, "bad record {record} of the batch at byte {offset}: {message}")
            }
        }
    }
}

impl fmt::Debug for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for RecordError {}
