//! What a `records` field holds where old and new formats may stand in one.

use alloc::format;

use bytes::Bytes;

use super::super::batch::{BatchIter, RecordBatch};
use super::super::error::{RecordError, RecordErrorKind};
use super::message::{LegacyMagic, LegacyMessage, MAGIC_AT, PREFIX_LEN, SIZE_AT, i32_at};

/// A message, or a batch of magic 2.
#[derive(Debug, Clone)]
pub enum Entry {
    /// Magic 0 or 1.
    Message(LegacyMessage),
    /// Magic 2.
    Batch(RecordBatch),
}

/// The entries of a `records` field, one after the other. One that is cut off at the end, as a
/// broker may send it, ends the iteration; so does an error.
#[derive(Debug, Clone)]
pub struct Entries {
    rest: Bytes,
    position: usize,
    incomplete_tail: bool,
}

impl Entries {
    /// Over the bytes of a `records` field.
    pub fn new(records: Bytes) -> Self {
        Self { rest: records, position: 0, incomplete_tail: false }
    }

    /// Whether the iteration ended in the middle of an entry.
    pub fn incomplete_tail(&self) -> bool {
        self.incomplete_tail
    }

    /// Bytes of the whole entries that were given so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The size of the next message; none where it is cut off, or at the end.
    fn message_size(&self, magic: LegacyMagic) -> Result<Option<usize>, RecordError> {
        let size = i32_at(&self.rest, SIZE_AT).unwrap_or(-1);
        let least = magic.size_min();
        match usize::try_from(size) {
            Ok(size) if size >= least => {
                let whole = size + PREFIX_LEN;
                Ok((whole <= self.rest.len()).then_some(whole))
            }
            _ => {
                let what =
                    format!("message size {size} is less than {least}, that of an empty one");
                Err(RecordError::new(RecordErrorKind::Malformed, SIZE_AT, what))
            }
        }
    }

    fn step(&mut self) -> Result<Option<Entry>, RecordError> {
        let magic = self.rest.get(MAGIC_AT).copied();
        let Some(legacy) = magic.and_then(LegacyMagic::from_byte) else {
            // Magic 2, or what is refused or cut off there as well.
            let mut batches = BatchIter::new(self.rest.clone());
            let found = batches.next().transpose()?;
            self.position += batches.position();
            let _ = self.rest.split_to(batches.position());
            return Ok(found.map(Entry::Batch));
        };
        let Some(size) = self.message_size(legacy)? else { return Ok(None) };
        let message = LegacyMessage::parse(self.rest.split_to(size))?;
        self.position += size;
        Ok(Some(Entry::Message(message)))
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.step();
        match found {
            Ok(Some(entry)) => Some(Ok(entry)),
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

impl core::iter::FusedIterator for Entries {}
