//! One segment of a log: a file of batches, its offset index and its time index, all named by the
//! first offset.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::records::BatchHeader;

use super::config::LogConfig;
use super::error::{LogError, Result};
use super::index::Entry;
use super::offset_index::{OffsetEntry, OffsetIndex};
use super::segment_sum;
use super::storage::{OpenMode, Storage, StorageFile};
use super::time_index::{TimeEntry, TimeIndex, TimestampOffset};
use super::walk::{BatchWalk, Step};

/// The path of a segment's file of that kind: `log`, `index`, `timeindex`.
pub(crate) fn path(dir: &Path, base_offset: i64, kind: &str) -> PathBuf {
    dir.join(format!("{base_offset:020}.{kind}"))
}

/// The base offset in a file name of that kind.
pub(crate) fn parse_name(name: &str, kind: &str) -> Option<i64> {
    let (stem, extension) = name.split_once('.')?;
    let digits = stem.len() == 20 && stem.bytes().all(|byte| byte.is_ascii_digit());
    if extension != kind || !digits { None } else { stem.parse().ok() }
}

/// Bytes between the last index entry and the last batch at which the index is made anew.
const UNINDEXED_MAX: u64 = 1 << 20;

/// One segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base_offset: i64,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn StorageFile>,
    /// Bytes of whole batches; what the file has beyond is not part of the log.
    pub(crate) size: u64,
    /// The offset after its last batch.
    pub(crate) next_offset: i64,
    pub(crate) offsets: OffsetIndex,
    pub(crate) times: TimeIndex,
    /// The largest timestamp so far, and the last offset of its batch.
    pub(crate) largest: TimestampOffset,
    /// The max timestamp of its first batch: `segment.ms` counts from it.
    first_timestamp: Option<i64>,
    created_ms: i64,
    unindexed_bytes: u64,
    /// See [`segment_sum`]; `None`: not known, the segment was not read from its start.
    sum: Option<u32>,
}

impl Segment {
    /// Makes an empty segment; leftovers of that name are emptied.
    pub(crate) fn create(storage: &Arc<dyn Storage>, dir: &Path, base_offset: i64) -> Result<Self> {
        Self::create_at(storage, dir, base_offset, path(dir, base_offset, "log"))
    }

    /// Makes an empty segment whose file has another name for now.
    pub(crate) fn create_at(
        storage: &Arc<dyn Storage>,
        dir: &Path,
        base_offset: i64,
        path: PathBuf,
    ) -> Result<Self> {
        let file = storage
            .open(&path, OpenMode::CreateEmpty)
            .map_err(LogError::io("create segment", &path))?;
        Ok(Self::empty(storage, dir, base_offset, path, file))
    }

    /// Opens a segment's file with empty, unsealed indexes: for recovery, which fills them by
    /// [`Self::index_batch`].
    pub(crate) fn open_bare(
        storage: &Arc<dyn Storage>,
        dir: &Path,
        base_offset: i64,
    ) -> Result<Self> {
        let path = path(dir, base_offset, "log");
        let file = storage
            .open(&path, OpenMode::ReadWrite)
            .map_err(LogError::io("open segment", &path))?;
        Ok(Self::empty(storage, dir, base_offset, path, file))
    }

    fn empty(
        storage: &Arc<dyn Storage>,
        dir: &Path,
        base_offset: i64,
        log_path: PathBuf,
        file: Arc<dyn StorageFile>,
    ) -> Self {
        let index = path(dir, base_offset, "index");
        let time_index = path(dir, base_offset, "timeindex");
        Self {
            base_offset,
            path: log_path,
            file,
            size: 0,
            next_offset: base_offset,
            offsets: OffsetIndex::new(Arc::clone(storage), index, base_offset),
            times: TimeIndex::new(Arc::clone(storage), time_index, base_offset),
            largest: TimestampOffset::NONE,
            first_timestamp: None,
            created_ms: storage.now_ms(),
            unindexed_bytes: 0,
            sum: Some(0),
        }
    }

    /// Opens a segment with the indexes that it has. `Ok(None)`: an index is missing or does not
    /// fit, or what lies behind its last entry is no batch: walk the segment instead.
    pub(crate) fn open_indexed(
        storage: &Arc<dyn Storage>,
        dir: &Path,
        base_offset: i64,
    ) -> Result<Option<Self>> {
        let mut segment = Self::open_bare(storage, dir, base_offset)?;
        let len = segment.file.len().map_err(LogError::io("measure", &segment.path))?;
        let index = path(dir, base_offset, "index");
        let offsets = OffsetIndex::open(Arc::clone(storage), index.clone(), base_offset, len)
            .map_err(LogError::io("open index", &index))?;
        let time_index = path(dir, base_offset, "timeindex");
        let times = TimeIndex::open(Arc::clone(storage), time_index.clone(), base_offset)
            .map_err(LogError::io("open index", &time_index))?;
        let (Some(offsets), Some(times)) = (offsets, times) else { return Ok(None) };
        segment.offsets = offsets;
        segment.times = times;
        segment.size = len;
        segment.sum = None;
        match segment.read_tail()? {
            true => Ok(Some(segment)),
            false => Ok(None),
        }
    }

    /// Finds the end and the largest timestamp from the last index entries on; false when they lead
    /// nowhere.
    fn read_tail(&mut self) -> Result<bool> {
        let last = self.offsets.last()?;
        let from = last.map_or(0, |entry| entry.position);
        self.largest = self.times.last()?.unwrap_or(TimestampOffset::NONE);
        let mut walk = BatchWalk::headers(&*self.file, &self.path, from, self.size);
        let mut expected = last.map(|entry| entry.offset);
        let mut next_offset = self.base_offset;
        let mut largest = self.largest;
        let mut last_position = from;
        loop {
            match walk.next()? {
                Step::Batch { header, position } => {
                    last_position = position;
                    let known = expected.take().is_none_or(|offset| offset == header.last_offset());
                    if !known || header.base_offset < next_offset {
                        return Ok(false);
                    }
                    next_offset = header.next_offset();
                    if header.max_timestamp > largest.timestamp {
                        largest = TimestampOffset {
                            timestamp: header.max_timestamp,
                            offset: header.last_offset(),
                        };
                    }
                }
                Step::Broken(_) => return Ok(false),
                Step::End => break,
            }
        }
        self.largest = largest;
        self.next_offset = next_offset;
        self.unindexed_bytes = self.size - from;
        // The time index ends with the largest timestamp when the segment was sealed or closed in
        // good order; and an offset index that leaves this much to walk has lost entries.
        let times_end = self.times.last()?.unwrap_or(TimestampOffset::NONE);
        let times_whole =
            times_end.timestamp == largest.timestamp && times_end.offset < next_offset;
        Ok(expected.is_none() && times_whole && last_position - from <= UNINDEXED_MAX)
    }

    /// Makes a sealed segment the active one again.
    pub(crate) fn unseal(&mut self, storage: &dyn Storage) -> Result<()> {
        remove_if_there(storage, &self.sum_path())?;
        self.offsets.entries.unseal().map_err(LogError::io("read", self.offsets.entries.path()))?;
        self.times.entries.unseal().map_err(LogError::io("read", self.times.entries.path()))?;
        if self.size > 0 && self.first_timestamp.is_none() {
            let mut walk = BatchWalk::headers(&*self.file, &self.path, 0, self.size);
            if let Step::Batch { header, .. } = walk.next()? {
                self.first_timestamp = Some(header.max_timestamp);
            }
        }
        Ok(())
    }

    /// Takes a batch that is in the file at [`Self::size`] into the account and the indexes.
    pub(crate) fn index_batch(&mut self, header: &BatchHeader, config: &LogConfig) {
        let last_offset = header.last_offset();
        if header.max_timestamp > self.largest.timestamp {
            self.largest = TimestampOffset { timestamp: header.max_timestamp, offset: last_offset };
        }
        if self.size == 0 {
            self.first_timestamp = Some(header.max_timestamp);
        }
        if self.unindexed_bytes > u64::from(config.index_interval_bytes) {
            self.offsets.push(last_offset, self.size);
            // The time index is in memory here: it cannot fail to look at its last entry.
            let _ = self.times.push_if_later(self.largest);
            self.unindexed_bytes = 0;
        }
        let size = header.size_in_bytes() as u64;
        self.unindexed_bytes += size;
        self.size += size;
        self.sum = self.sum.map(|sum| segment_sum::chain(sum, header));
        self.next_offset = header.next_offset();
    }

    /// Whether a batch must go into a new segment, once `before` bytes of others are in this one.
    pub(crate) fn must_roll(
        &self,
        header: &BatchHeader,
        before: u64,
        now_ms: i64,
        config: &LogConfig,
    ) -> bool {
        let size = self.size + before;
        if size == 0 {
            return false;
        }
        let entries_max = |len: usize| (config.segment_index_bytes as usize / len).max(1);
        let age = match self.first_timestamp {
            Some(first) if first >= 0 && header.max_timestamp >= 0 => header.max_timestamp - first,
            _ => now_ms - self.created_ms,
        };
        size + header.size_in_bytes() as u64 > u64::from(config.segment_bytes.min(i32::MAX as u32))
            || age > config.segment_ms
            || self.offsets.entries.len() >= entries_max(OffsetEntry::LEN)
            || self.times.entries.len() >= entries_max(TimeEntry::LEN)
            || header.last_offset() - self.base_offset > i64::from(i32::MAX)
    }

    /// Ends the time index with the largest timestamp and writes both indexes out.
    pub(crate) fn write_indexes(&mut self, final_entry: bool) -> Result<()> {
        if final_entry {
            self.times.push_if_later(self.largest)?;
        }
        self.offsets
            .entries
            .write_out()
            .map_err(LogError::io("write", self.offsets.entries.path()))?;
        self.times.entries.write_out().map_err(LogError::io("write", self.times.entries.path()))
    }

    /// Ends the segment: complete indexes on disk, none in memory.
    pub(crate) fn seal(&mut self, storage: &dyn Storage) -> Result<()> {
        if self.offsets.entries.is_sealed() && self.times.entries.is_sealed() {
            return Ok(());
        }
        self.write_indexes(true)?;
        self.offsets.entries.seal().map_err(LogError::io("write", self.offsets.entries.path()))?;
        self.times.entries.seal().map_err(LogError::io("write", self.times.entries.path()))?;
        if let Some(sum) = self.sum {
            // Without it the next scrub makes one.
            let _ = segment_sum::write(storage, &self.sum_path(), self.size, sum);
        }
        Ok(())
    }

    /// Whether the sum that was written is another than that of what was read; `None`: they agree,
    /// or one of them is not known.
    pub(crate) fn sum_differs(&self, storage: &dyn Storage) -> Result<Option<u32>> {
        let written = segment_sum::read(storage, &self.sum_path(), self.size)?;
        Ok(written.filter(|written| self.sum.is_some_and(|sum| sum != *written)))
    }

    /// Where the segment's sum is.
    pub(crate) fn sum_path(&self) -> PathBuf {
        self.path.with_extension("sum")
    }

    /// Where the batch that holds `offset`, or else the first one beyond it, starts; `None` past
    /// the end.
    pub(crate) fn locate(&self, offset: i64) -> Result<Option<(u64, BatchHeader)>> {
        let entry = self.offsets.lookup(offset)?;
        if let Some(entry) = entry {
            let mut walk = BatchWalk::headers(&*self.file, &self.path, entry.position, self.size);
            match walk.next()? {
                Step::Batch { header, position } if header.last_offset() == entry.offset => {
                    if header.last_offset() >= offset {
                        return Ok(Some((position, header)));
                    }
                    return self.find_in(walk, offset);
                }
                // The index is damaged: the segment itself decides, from its start.
                _ => {}
            }
        }
        self.find_in(BatchWalk::headers(&*self.file, &self.path, 0, self.size), offset)
    }

    fn find_in(&self, mut walk: BatchWalk<'_>, offset: i64) -> Result<Option<(u64, BatchHeader)>> {
        loop {
            match walk.next()? {
                Step::Batch { header, position } if header.last_offset() >= offset => {
                    return Ok(Some((position, header)));
                }
                Step::Batch { .. } => {}
                Step::Broken(broken) => {
                    return Err(self.corrupt(broken.position, offset, broken.reason));
                }
                Step::End => return Ok(None),
            }
        }
    }

    /// Where to cut so that no batch stays that holds `offset` or more, or has a byte beyond
    /// `limit`: the position, and the offset after what stays.
    pub(crate) fn place_to_cut(&self, offset: i64, limit: u64) -> Result<(u64, i64)> {
        let end = self.size.min(limit);
        let entry = self.offsets.lookup(offset - 1)?.filter(|entry| entry.position < end);
        if let Some(entry) = entry {
            let mut walk = BatchWalk::headers(&*self.file, &self.path, entry.position, end);
            if let Step::Batch { header, position } = walk.next()?
                && header.last_offset() == entry.offset
            {
                let behind = position + header.size_in_bytes() as u64;
                return self.last_below(walk, offset, (behind, header.next_offset()));
            }
        }
        let walk = BatchWalk::headers(&*self.file, &self.path, 0, end);
        self.last_below(walk, offset, (0, self.base_offset))
    }

    fn last_below(
        &self,
        mut walk: BatchWalk<'_>,
        offset: i64,
        mut behind: (u64, i64),
    ) -> Result<(u64, i64)> {
        loop {
            match walk.next()? {
                Step::Batch { header, position } if header.last_offset() < offset => {
                    behind = (position + header.size_in_bytes() as u64, header.next_offset());
                }
                Step::Batch { .. } | Step::End => return Ok(behind),
                Step::Broken(broken) => {
                    return Err(self.corrupt(broken.position, behind.1, broken.reason));
                }
            }
        }
    }

    /// Drops what lies from `position` on; `end` is the offset after what stays. The segment must
    /// not be sealed.
    pub(crate) fn truncate_at(&mut self, position: u64, end: i64) -> Result<()> {
        self.offsets.truncate_to(end)?;
        self.times.truncate_to(end)?;
        self.file.set_len(position).map_err(LogError::io("truncate", &self.path))?;
        self.size = position;
        self.sum = (position == 0).then_some(0);
        self.recount()
    }

    /// After a cut: the largest timestamp, bytes without an index entry, the end.
    fn recount(&mut self) -> Result<()> {
        let from = self.offsets.last()?.map_or(0, |entry| entry.position);
        let mut largest = self.times.last()?.unwrap_or(TimestampOffset::NONE);
        let mut next_offset = self.base_offset;
        let mut walk = BatchWalk::headers(&*self.file, &self.path, from, self.size);
        while let Step::Batch { header, .. } = walk.next()? {
            if header.max_timestamp > largest.timestamp {
                let offset = header.last_offset();
                largest = TimestampOffset { timestamp: header.max_timestamp, offset };
            }
            next_offset = header.next_offset();
        }
        self.largest = largest;
        self.next_offset = next_offset;
        self.unindexed_bytes = self.size - from;
        if self.size == 0 {
            self.first_timestamp = None;
        }
        Ok(())
    }

    /// Removes the files. Readers that have them open keep them.
    pub(crate) fn remove(&self, storage: &dyn Storage) -> Result<()> {
        remove_if_there(storage, &self.path)?;
        self.remove_aids(storage)
    }

    /// Removes what can be made anew from the segment: its indexes and its sum.
    pub(crate) fn remove_aids(&self, storage: &dyn Storage) -> Result<()> {
        remove_if_there(storage, self.offsets.entries.path())?;
        remove_if_there(storage, self.times.entries.path())?;
        remove_if_there(storage, &self.sum_path())
    }

    pub(crate) fn corrupt(&self, position: u64, offset: i64, reason: String) -> LogError {
        LogError::Corrupt { segment: self.path.clone(), position, offset, reason }
    }
}

/// Removes a file that need not be there.
pub(super) fn remove_if_there(storage: &dyn Storage, path: &Path) -> Result<()> {
    match storage.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(LogError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}
