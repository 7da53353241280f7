//! The sparse index from offsets to positions of a segment: `.index`, entries of 8 bytes.
//!
//! An entry names a batch by its *last* offset and the position where the batch starts, as Kafka's
//! own index does. So to find an offset, take the last entry at or below it and walk the batches
//! from there.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::error::Result;
use super::index::{Entry, IndexFile};
use super::storage::Storage;

/// An entry as it is on disk: the batch's last offset relative to the segment's base, and its
/// position, big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    relative_offset: i32,
    position: i32,
}

impl Entry for OffsetEntry {
    const LEN: usize = 8;

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.relative_offset.to_be_bytes());
        out.extend_from_slice(&self.position.to_be_bytes());
    }

    fn get(bytes: &[u8]) -> Self {
        let (offset, position) = bytes.split_at(4);
        Self { relative_offset: be_i32(offset), position: be_i32(position) }
    }

    fn precedes(&self, next: &Self) -> bool {
        self.relative_offset < next.relative_offset && self.position < next.position
    }
}

fn be_i32(bytes: &[u8]) -> i32 {
    i32::from_be_bytes(bytes.try_into().expect("invariant: index fields are four bytes"))
}

/// Where a batch lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OffsetPosition {
    /// The batch's last offset.
    pub(crate) offset: i64,
    /// Where it starts in the segment's file.
    pub(crate) position: u64,
}

/// The offset index of one segment.
#[derive(Debug)]
pub(crate) struct OffsetIndex {
    base_offset: i64,
    pub(crate) entries: IndexFile<OffsetEntry>,
}

impl OffsetIndex {
    pub(crate) fn new(storage: Arc<dyn Storage>, path: PathBuf, base_offset: i64) -> Self {
        Self { base_offset, entries: IndexFile::new(storage, path) }
    }

    /// Opens a finished index; `None` when it is missing or does not fit a segment of `segment_len`
    /// bytes.
    pub(crate) fn open(
        storage: Arc<dyn Storage>,
        path: PathBuf,
        base_offset: i64,
        segment_len: u64,
    ) -> io::Result<Option<Self>> {
        let Some(entries) = IndexFile::<OffsetEntry>::open_sealed(storage, path)? else {
            return Ok(None);
        };
        let index = Self { base_offset, entries };
        let fits = match index.entries.last().map_err(io::Error::other)? {
            Some(last) => {
                last.relative_offset >= 0
                    && u64::try_from(last.position).is_ok_and(|position| position < segment_len)
            }
            None => true,
        };
        Ok(fits.then_some(index))
    }

    /// The last entry at or below `offset`.
    pub(crate) fn lookup(&self, offset: i64) -> Result<Option<OffsetPosition>> {
        let relative = i32::try_from(offset - self.base_offset).unwrap_or(i32::MAX);
        let found = self.entries.last_while(|entry| entry.relative_offset <= relative)?;
        Ok(found.map(|entry| self.resolve(entry)))
    }

    /// The last entry of all.
    pub(crate) fn last(&self) -> Result<Option<OffsetPosition>> {
        Ok(self.entries.last()?.map(|entry| self.resolve(entry)))
    }

    /// The last indexed position at or before `position`; 0 when there is none.
    pub(crate) fn position_before(&self, position: u64) -> Result<u64> {
        let limit = i32::try_from(position).unwrap_or(i32::MAX);
        let found = self.entries.last_while(|entry| entry.position <= limit)?;
        Ok(found.map_or(0, |entry| self.resolve(entry).position))
    }

    /// Adds the batch that ends with `offset` and starts at `position`.
    pub(crate) fn push(&mut self, offset: i64, position: u64) {
        let relative_offset = i32::try_from(offset - self.base_offset)
            .expect("invariant: a segment is rolled before its offsets leave 31 bits");
        let position = i32::try_from(position)
            .expect("invariant: a segment stays below 2 GiB, its roll limit");
        self.entries.push(OffsetEntry { relative_offset, position });
    }

    /// Drops the entries at or above `offset`.
    pub(crate) fn truncate_to(&mut self, offset: i64) -> Result<()> {
        let relative = i32::try_from(offset - self.base_offset).unwrap_or(i32::MAX);
        self.entries.keep_while(|entry| entry.relative_offset < relative)
    }

    fn resolve(&self, entry: OffsetEntry) -> OffsetPosition {
        OffsetPosition {
            offset: self.base_offset + i64::from(entry.relative_offset),
            position: u64::try_from(entry.position).unwrap_or(0),
        }
    }
}
