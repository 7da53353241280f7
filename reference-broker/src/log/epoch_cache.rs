//! Which leader epoch wrote which offsets: `leader-epoch-checkpoint`.
//!
//! The leader notes (epoch, log end) before it serves (M5), every append and every recovery adds
//! what the batch headers say. Followers ask it where an epoch ended and cut their log there
//! (KIP-101, KIP-279); consumers do the same to notice a truncation (KIP-320).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint;
use super::error::{LogError, Result};
use super::storage::{Storage, read_small, replace, write_atomically};

/// The name of the file in a partition's folder.
pub const FILE_NAME: &str = "leader-epoch-checkpoint";

/// An epoch and the offset of its first record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEntry {
    /// The leader epoch.
    pub epoch: i32,
    /// Where it starts.
    pub start_offset: i64,
}

/// The leader epochs of one log, both fields of its entries ascending.
#[derive(Debug)]
pub struct LeaderEpochCache {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    entries: Vec<EpochEntry>,
}

impl LeaderEpochCache {
    /// Reads the file in `dir`. A file that is empty or does not parse counts as none (an empty
    /// file after a power loss is normal, M18): recovery fills the cache from the batch headers.
    pub fn open(storage: Arc<dyn Storage>, dir: &Path) -> Result<Self> {
        let path = dir.join(FILE_NAME);
        let bytes = read_small(&*storage, &path).map_err(LogError::io("read", &path))?;
        let lines = bytes.as_deref().and_then(checkpoint::parse_lines).unwrap_or_default();
        let mut cache = Self { storage, path, entries: Vec::new() };
        for line in lines {
            let mut fields = line.split_whitespace();
            let epoch = fields.next().and_then(|field| field.parse().ok());
            let start_offset = fields.next().and_then(|field| field.parse().ok());
            if let (Some(epoch), Some(start_offset)) = (epoch, start_offset) {
                cache.insert(EpochEntry { epoch, start_offset });
            }
        }
        Ok(cache)
    }

    /// The entries, ascending.
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// The newest epoch, if there is any.
    pub fn latest_epoch(&self) -> Option<i32> {
        self.entries.last().map(|entry| entry.epoch)
    }

    /// Notes that `epoch` starts at `start_offset` and makes it durable. Nothing happens when the
    /// epoch is known already.
    pub fn assign(&mut self, epoch: i32, start_offset: i64) -> Result<()> {
        match self.insert(EpochEntry { epoch, start_offset }) {
            true if start_offset > 0 => self.write(),
            true => replace(&*self.storage, &self.path, &self.bytes())
                .map_err(LogError::io("write", &self.path)),
            false => Ok(()),
        }
    }

    /// [`Self::assign`] without the file: recovery writes once at its end.
    pub(super) fn assign_in_memory(&mut self, epoch: i32, start_offset: i64) {
        self.insert(EpochEntry { epoch, start_offset });
    }

    /// Where `epoch` ends, for OffsetForLeaderEpoch and for the diverging epoch of a Fetch: an
    /// epoch and its exclusive end. (LE-02, LE-03 as corrected:) the newest epoch ends at the log
    /// end; an epoch above all known gives `None`; one that wrote nothing gives the next lower
    /// known one and its end; one below all gives itself and the first known start.
    pub fn end_offset_for(&self, epoch: i32, log_end_offset: i64) -> Option<(i32, i64)> {
        if epoch < 0 {
            return None;
        }
        if self.latest_epoch() == Some(epoch) {
            return Some((epoch, log_end_offset));
        }
        let above = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let next = self.entries.get(above)?;
        let floor = above.checked_sub(1).map(|index| self.entries[index].epoch);
        Some((floor.unwrap_or(epoch), next.start_offset))
    }

    /// The epoch that wrote `offset`, if it is known.
    pub fn epoch_of(&self, offset: i64) -> Option<i32> {
        let above = self.entries.partition_point(|entry| entry.start_offset <= offset);
        above.checked_sub(1).map(|index| self.entries[index].epoch)
    }

    /// Forgets epochs that start at or beyond `end_offset`, the log's new end.
    pub fn truncate_from_end(&mut self, end_offset: i64) -> Result<()> {
        let keep = self.entries.partition_point(|entry| entry.start_offset < end_offset);
        if keep == self.entries.len() {
            return Ok(());
        }
        self.entries.truncate(keep);
        self.write()
    }

    /// Forgets everything.
    pub fn clear(&mut self) -> Result<()> {
        self.entries.clear();
        self.write()
    }

    /// Forgets epochs that ended at or before `start_offset`, the log's new start; the one it falls
    /// into now starts there.
    pub fn truncate_from_start(&mut self, start_offset: i64) -> Result<()> {
        let above = self.entries.partition_point(|entry| entry.start_offset <= start_offset);
        let Some(floor) = above.checked_sub(1) else { return Ok(()) };
        if floor == 0 && self.entries[0].start_offset == start_offset {
            return Ok(());
        }
        self.entries.drain(..floor);
        self.entries[0].start_offset = start_offset;
        self.write()
    }

    pub(super) fn write(&self) -> Result<()> {
        write_atomically(&*self.storage, &self.path, &self.bytes())
            .map_err(LogError::io("write", &self.path))
    }

    fn bytes(&self) -> Vec<u8> {
        let entries = self.entries.iter();
        checkpoint::format_lines(
            entries.map(|entry| format!("{} {}", entry.epoch, entry.start_offset)),
        )
    }

    /// Keeps both fields ascending: a later writer's word wins over entries that contradict it.
    fn insert(&mut self, entry: EpochEntry) -> bool {
        if entry.epoch < 0 || entry.start_offset < 0 {
            return false;
        }
        if let Some(last) = self.entries.last()
            && last.epoch == entry.epoch
            && last.start_offset <= entry.start_offset
        {
            return false;
        }
        self.entries
            .retain(|known| known.epoch < entry.epoch && known.start_offset < entry.start_offset);
        self.entries.push(entry);
        true
    }
}
