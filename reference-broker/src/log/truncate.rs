//! Cutting a log: at an offset (M6), at damage (M19), or to nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{LogError, Result};
use super::partition_log::Log;
use super::producer_snapshot;
use super::producer_state::ProducerState;
use super::recovery;
use super::segment::{self, Segment};
use super::storage::{Storage, read_small, write_atomically};
use crate::planted::{self, Bug};

/// Damage that was found in a log (M19).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment's file.
    pub segment: PathBuf,
    /// Byte position of the damaged batch in it.
    pub position: u64,
    /// The offset that was expected there: below it the log is whole.
    pub offset: i64,
    /// What is wrong.
    pub reason: String,
}

/// The file in a partition's folder that says where the log is damaged.
const DAMAGE: &str = "damage";

impl Damage {
    /// What the partition's folder says; `None` when there is nothing, or nothing that is read.
    pub(super) fn read(storage: &dyn Storage, dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(DAMAGE);
        let bytes = read_small(storage, &path).map_err(LogError::io("read", &path))?;
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        Ok(text.and_then(|text| {
            let mut lines = text.lines();
            Some(Self {
                segment: dir.join(lines.next()?),
                position: lines.next()?.parse().ok()?,
                offset: lines.next()?.parse().ok()?,
                reason: lines.next()?.to_owned(),
            })
        }))
    }

    fn write(&self, storage: &dyn Storage, dir: &Path) -> Result<()> {
        let Self { segment, position, offset, reason } = self;
        let name = segment.file_name().unwrap_or_default().to_string_lossy();
        let text = format!("{name}\n{position}\n{offset}\n{reason}\n");
        let path = dir.join(DAMAGE);
        write_atomically(storage, &path, text.as_bytes()).map_err(LogError::io("write", &path))
    }

    pub(super) fn forget(storage: &dyn Storage, dir: &Path) -> Result<()> {
        segment::remove_if_there(storage, &dir.join(DAMAGE))
    }

    /// The damage that an error tells of, for [`Log::quarantine`].
    pub fn of(error: &LogError) -> Option<Self> {
        match error {
            LogError::Corrupt { segment, position, offset, reason } => Some(Self {
                segment: segment.clone(),
                position: *position,
                offset: *offset,
                reason: reason.clone(),
            }),
            _ => None,
        }
    }

    pub(super) fn error(&self) -> LogError {
        LogError::Corrupt {
            segment: self.segment.clone(),
            position: self.position,
            offset: self.offset,
            reason: self.reason.clone(),
        }
    }
}

impl Log {
    /// Takes the log out of service because of damage: appends and reads are refused with
    /// [`LogError::Corrupt`], and a restart looks at the segment again; the segment is not changed.
    /// [`Self::truncate_to`] and [`Self::truncate_fully_and_start_at`] take the damage away, so
    /// that what is lost can be fetched from another replica; who does that must have left the ISR.
    ///
    /// # Errors
    /// When the note for the next start could not be written; the log is out of service all the
    /// same.
    pub fn quarantine(&mut self, damage: Damage) -> Result<()> {
        let damage = self.damage.insert(damage);
        damage.write(&*self.storage, &self.dir)
    }

    /// Why the log is out of service, if it is.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// Refuses work in a log dir that has failed, and in a log that is damaged.
    pub fn check(&self) -> Result<()> {
        self.log_dir.check()?;
        self.damage.as_ref().map_or(Ok(()), |damage| Err(damage.error()))
    }

    /// Cuts the log so that it ends at or before `offset`: batches that hold it or anything beyond
    /// go, and with them what they did to the producers, the leader epochs and the indexes (M6).
    /// A damaged log is cut at the damage, or before it. Returns the new end.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] where the place to cut cannot be found, [`LogError::DiskFull`]:
    /// nothing was changed. [`LogError::DirFailed`]: the log dir is out of service.
    pub fn truncate_to(&mut self, offset: i64) -> Result<i64> {
        self.log_dir.check()?;
        let damaged = self.damage.as_ref().filter(|damage| damage.offset <= offset);
        if damaged.is_none() && offset >= self.log_end_offset() {
            // An epoch that was begun at the end and has written nothing goes all the same: the
            // leader may have other batches there (KIP-279).
            self.epochs.truncate_from_end(offset)?;
            return Ok(self.log_end_offset());
        }
        let (keep, offset, limit) = match damaged {
            Some(damage) => {
                let holds = |segment: &Segment| segment.path == damage.segment;
                (self.segments.iter().position(holds), damage.offset, damage.position)
            }
            None => (None, offset, u64::MAX),
        };
        if offset < self.segments[0].base_offset {
            return self.truncate_fully_and_start_at(offset.max(0));
        }
        let keep = keep.unwrap_or_else(|| self.segment_of(offset));
        let (position, end) = self.segments[keep].place_to_cut(offset, limit)?;
        self.generation += 1;
        self.recovery_point = self.recovery_point.min(end);
        self.log_dir.lower_checkpoints(&self.of, end, end)?;
        if self.log_start_offset > end {
            self.log_dir.set_log_start(&self.of, end)?;
        }
        let cut = self.cut(keep, position, end);
        self.or_fail(cut)
    }

    /// Durably at each step: otherwise a power failure could put old batches behind new ones, each
    /// with a good CRC.
    fn cut(&mut self, keep: usize, position: u64, end: i64) -> Result<i64> {
        for segment in self.segments.drain(keep + 1..).rev() {
            segment.remove(&*self.storage)?;
        }
        let storage = Arc::clone(&self.storage);
        let active = self.active_mut();
        active.unseal(&*storage)?;
        active.truncate_at(position, end)?;
        self.log_start_offset = self.log_start_offset.min(end);
        self.epochs.truncate_from_end(end)?;
        if !planted::has(Bug::ProducersKept) {
            self.producers =
                recovery::reload_producers(&*self.storage, &self.dir, &self.segments, end, end)?;
        }
        self.after_truncation()
    }

    /// Drops everything, what is known of epochs and producers included, and goes on at `offset`: a
    /// follower whose log ends before its leader's starts. Returns the new end, which is `offset`.
    ///
    /// # Errors
    /// [`LogError::DirFailed`]: the log dir is out of service.
    pub fn truncate_fully_and_start_at(&mut self, offset: i64) -> Result<i64> {
        self.log_dir.check()?;
        self.generation += 1;
        self.recovery_point = 0;
        self.log_dir.lower_checkpoints(&self.of, 0, offset)?;
        self.log_dir.set_log_start(&self.of, offset)?;
        let restarted = self.restart(offset);
        self.or_fail(restarted)
    }

    fn restart(&mut self, offset: i64) -> Result<i64> {
        for segment in self.segments.iter().rev() {
            segment.remove(&*self.storage)?;
        }
        let entries = self.storage.read_dir(&self.dir).map_err(LogError::io("list", &self.dir))?;
        for at in entries.iter().filter_map(|entry| segment::parse_name(&entry.name, "snapshot")) {
            let path = producer_snapshot::path(&self.dir, at);
            self.storage.remove_file(&path).map_err(LogError::io("remove", &path))?;
        }
        self.segments = vec![Segment::create(&self.storage, &self.dir, offset)?];
        self.log_start_offset = offset;
        self.epochs.clear()?;
        self.producers = ProducerState::new();
        self.after_truncation()
    }

    fn after_truncation(&mut self) -> Result<i64> {
        Damage::forget(&*self.storage, &self.dir)?;
        let active = self.active();
        active.file.sync().map_err(LogError::io("flush", &active.path))?;
        self.storage.sync_dir(&self.dir).map_err(LogError::io("flush", &self.dir))?;
        self.damage = None;
        self.note_size();
        Ok(self.log_end_offset())
    }

    /// A change of several files that has failed halfway: what is on the disk is not what is in
    /// memory, and only a restart sorts that out.
    pub(super) fn or_fail<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| match error {
            LogError::Io { action, path, source } => self.log_dir.fail(action, &path, &source),
            LogError::DiskFull { path } => {
                self.log_dir.fail("write", &path, &io::ErrorKind::StorageFull.into())
            }
            error => error,
        })
    }
}
