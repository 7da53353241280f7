//! The sparse index from timestamps to offsets of a segment: `.timeindex`, entries of 12 bytes.
//!
//! An entry (t, o) says: the largest timestamp up to and including the batch that ends with offset
//! o is t, and it is in that batch. Entries ascend in both. The last entry of a sealed segment is
//! the segment's largest timestamp.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::error::Result;
use super::index::{Entry, IndexFile};
use super::storage::Storage;

/// An entry as it is on disk: timestamp in milliseconds and offset relative to the segment's base,
/// big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    timestamp: i64,
    relative_offset: i32,
}

impl Entry for TimeEntry {
    const LEN: usize = 12;

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.relative_offset.to_be_bytes());
    }

    fn get(bytes: &[u8]) -> Self {
        let (timestamp, offset) = bytes.split_at(8);
        Self {
            timestamp: i64::from_be_bytes(
                timestamp.try_into().expect("invariant: the first eight of twelve bytes"),
            ),
            relative_offset: i32::from_be_bytes(
                offset.try_into().expect("invariant: the last four of twelve bytes"),
            ),
        }
    }

    fn precedes(&self, next: &Self) -> bool {
        self.timestamp < next.timestamp && self.relative_offset < next.relative_offset
    }
}

/// A timestamp in milliseconds and the offset that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Milliseconds since 1970; -1: none.
    pub timestamp: i64,
    /// The offset.
    pub offset: i64,
}

impl TimestampOffset {
    /// No timestamp seen yet.
    pub(crate) const NONE: Self = Self { timestamp: -1, offset: -1 };
}

/// The time index of one segment.
#[derive(Debug)]
pub(crate) struct TimeIndex {
    base_offset: i64,
    pub(crate) entries: IndexFile<TimeEntry>,
}

impl TimeIndex {
    pub(crate) fn new(storage: Arc<dyn Storage>, path: PathBuf, base_offset: i64) -> Self {
        Self { base_offset, entries: IndexFile::new(storage, path) }
    }

    /// Opens a finished index; `None` when it is missing or does not fit.
    pub(crate) fn open(
        storage: Arc<dyn Storage>,
        path: PathBuf,
        base_offset: i64,
    ) -> io::Result<Option<Self>> {
        let Some(entries) = IndexFile::<TimeEntry>::open_sealed(storage, path)? else {
            return Ok(None);
        };
        let index = Self { base_offset, entries };
        let fits = match index.entries.last().map_err(io::Error::other)? {
            Some(last) => last.relative_offset >= 0 && last.timestamp >= 0,
            None => true,
        };
        Ok(fits.then_some(index))
    }

    /// The last entry at or before `timestamp`.
    pub(crate) fn lookup(&self, timestamp: i64) -> Result<Option<TimestampOffset>> {
        let found = self.entries.last_while(|entry| entry.timestamp <= timestamp)?;
        Ok(found.map(|entry| self.resolve(entry)))
    }

    /// The last entry of all.
    pub(crate) fn last(&self) -> Result<Option<TimestampOffset>> {
        Ok(self.entries.last()?.map(|entry| self.resolve(entry)))
    }

    /// Adds the largest timestamp so far, unless it is what the last entry says already.
    pub(crate) fn push_if_later(&mut self, largest: TimestampOffset) -> Result<()> {
        let Ok(relative_offset) = i32::try_from(largest.offset - self.base_offset) else {
            return Ok(());
        };
        let entry = TimeEntry { timestamp: largest.timestamp, relative_offset };
        let later = match self.entries.last()? {
            Some(last) => last.precedes(&entry),
            None => largest.timestamp >= 0 && relative_offset >= 0,
        };
        if later {
            self.entries.push(entry);
        }
        Ok(())
    }

    /// Drops the entries at or above `offset`.
    pub(crate) fn truncate_to(&mut self, offset: i64) -> Result<()> {
        let relative = i32::try_from(offset - self.base_offset).unwrap_or(i32::MAX);
        self.entries.keep_while(|entry| entry.relative_offset < relative)
    }

    fn resolve(&self, entry: TimeEntry) -> TimestampOffset {
        let offset = self.base_offset + i64::from(entry.relative_offset);
        TimestampOffset { timestamp: entry.timestamp, offset }
    }
}
