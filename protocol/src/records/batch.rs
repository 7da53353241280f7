//! Cutting a `records` field into batches. Nothing is copied: a batch is a slice of the buffer that
//! it came in.

use bytes::Bytes;

use super::compression::{Compression, Decompressor};
use super::control::ControlType;
use super::crc::crc32c;
use super::error::{RecordError, RecordErrorKind};
use super::header::{
    ATTRIBUTES_AT, BATCH_HEADER_LEN, BATCH_LENGTH_AT, BatchHeader, CRC_AT, LENGTH_PREFIX_LEN,
    MAGIC_AT, RECORD_COUNT_AT, check_magic,
};
use super::record::Records;

/// The least length of a message of magic 0; less is not a cut tail but damage.
const LEAST_LENGTH: i32 = 14;

/// One batch: the header, read, and all its bytes.
#[derive(Debug, Clone)]
pub struct RecordBatch {
    header: BatchHeader,
    bytes: Bytes,
}

impl RecordBatch {
    /// Reads exactly one batch: nothing may be missing, and nothing may follow.
    pub fn parse(bytes: Bytes) -> Result<Self, RecordError> {
        let header = BatchHeader::parse(&bytes)?;
        if header.size_in_bytes() != bytes.len() {
            let what = format!(
                "batch length {} needs {} bytes, there are {}",
                header.batch_length,
                header.size_in_bytes(),
                bytes.len()
            );
            return Err(RecordError::new(RecordErrorKind::Malformed, BATCH_LENGTH_AT, what));
        }
        Ok(Self { header, bytes })
    }

    /// The fixed fields.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch, header included.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What follows the header: the records, as they are, compressed or not.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[BATCH_HEADER_LEN..]
    }

    /// Compares the checksum with the bytes.
    pub fn verify_crc(&self) -> Result<(), RecordError> {
        let computed = crc32c(&self.bytes[ATTRIBUTES_AT..]);
        if computed == self.header.crc {
            return Ok(());
        }
        let what = format!("CRC is {:#010x}, the bytes have {computed:#010x}", self.header.crc);
        Err(RecordError::new(RecordErrorKind::Crc, CRC_AT, what))
    }

    /// The records, decompressed if need be, within the limit of `decompressor`. The CRC is not
    /// looked at: call [`Self::verify_crc`] first.
    pub fn records(&self, decompressor: &mut Decompressor) -> Result<Records, RecordError> {
        let codec = self.header.compression()?;
        if self.header.record_count < 0 {
            let what = format!("record count is {}", self.header.record_count);
            return Err(RecordError::new(RecordErrorKind::Malformed, RECORD_COUNT_AT, what));
        }
        // A batch that compaction has emptied keeps its codec bits, and has no compressed stream.
        let data = if codec == Compression::None || self.header.record_count == 0 {
            self.bytes.slice(BATCH_HEADER_LEN..)
        } else {
            decompressor.decompress(codec, self.payload())?
        };
        Ok(Records::new(&self.header, data))
    }

    /// What a control batch says; `None` if it is a batch of data.
    pub fn control_type(&self) -> Result<Option<ControlType>, RecordError> {
        if !self.header.is_control() {
            return Ok(None);
        }
        let records = self.records(&mut Decompressor::new())?;
        let Some(first) = records.iter().next() else {
            let what = "a control batch without a record";
            return Err(RecordError::new(RecordErrorKind::Malformed, RECORD_COUNT_AT, what));
        };
        ControlType::from_key(first?.key).map(Some)
    }
}

/// The batches of a `records` field, one after the other. A batch that is cut off at the end, as a
/// broker may send it, ends the iteration; so does an error.
#[derive(Debug, Clone)]
pub struct BatchIter {
    rest: Bytes,
    position: usize,
    incomplete_tail: bool,
}

impl BatchIter {
    /// Over the bytes of a `records` field.
    pub fn new(records: Bytes) -> Self {
        Self { rest: records, position: 0, incomplete_tail: false }
    }

    /// Whether the iteration ended in the middle of a batch.
    pub fn incomplete_tail(&self) -> bool {
        self.incomplete_tail
    }

    /// Bytes of the whole batches that were given so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The next batch's whole size; `None` at the end or if it is cut.
    fn next_size(&self) -> Result<Option<usize>, RecordError> {
        let Some(length) = self.rest.get(BATCH_LENGTH_AT..LENGTH_PREFIX_LEN) else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(length.try_into().expect("invariant: a slice of four"));
        if length < LEAST_LENGTH {
            let what = format!("batch length {length} is less than any batch's");
            return Err(RecordError::new(RecordErrorKind::Malformed, BATCH_LENGTH_AT, what));
        }
        let Some(&magic) = self.rest.get(MAGIC_AT) else {
            return Ok(None);
        };
        // Magic 0 and 1 have their magic byte in the same place: see `legacy::Entries`.
        check_magic(magic as i8)?;
        let size = length as usize + LENGTH_PREFIX_LEN;
        Ok((size <= self.rest.len()).then_some(size))
    }
}

impl Iterator for BatchIter {
    type Item = Result<RecordBatch, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_size() {
            Ok(Some(size)) => {
                let batch = RecordBatch::parse(self.rest.split_to(size));
                self.position += size;
                if batch.is_err() {
                    self.rest.clear();
                }
                Some(batch)
            }
            Ok(None) => {
                self.incomplete_tail |= !self.rest.is_empty();
                self.rest.clear();
                None
            }
            Err(error) => {
                self.rest.clear();
                Some(Err(error))
            }
        }
    }
}

impl core::iter::FusedIterator for BatchIter {}
