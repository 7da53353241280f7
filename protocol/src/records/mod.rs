//! Record batches: what a `records` field carries, and what a log segment is made of.
//!
//! A batch (magic 2, KIP-98) is a header of 61 bytes and its records, compressed as one or not at
//! all. The parts, in reading order: [`header`] (the fixed fields and their positions), [`batch`]
//! (cutting a `records` field into batches), [`record`] (reading records as slices), [`builder`]
//! (writing a batch), [`mod@validate`] (what a broker checks before it stores one), [`control`]
//! (transaction markers and their like), [`compression`].
//!
//! The module never re-encodes a batch to change it: base offset and leader epoch lie outside the
//! CRC and are patched in place, and [`restamp`] and [`set_max_timestamp`] patch the header and its
//! CRC. Message sets of magic 0 and 1 are refused by [`BatchIter`] with
//! [`RecordErrorKind::UnsupportedMagic`]; [`legacy`] reads and writes them, alone and mixed with
//! batches.

pub mod batch;
pub mod builder;
pub mod compression;
pub mod control;
pub mod crc;
pub mod error;
mod front;
pub mod header;
#[cfg(feature = "json")]
pub mod json;
pub mod legacy;
pub mod record;
pub mod validate;

pub use batch::{BatchIter, RecordBatch};
pub use builder::{BatchBuilder, BatchFields, Header};
pub use compression::{Compression, Compressor, Decompressor};
pub use control::ControlType;
pub use error::{RecordError, RecordErrorKind, Rejected, Rejection};
pub use header::{
    Attributes, BATCH_HEADER_LEN, BatchHeader, TimestampType, next_sequence, restamp,
    set_max_timestamp, stamp_base_offset,
};
pub use record::{Headers, Record, Records, RecordsIter};
pub use validate::{BatchFacts, Origin, ValidateOptions, validate};
