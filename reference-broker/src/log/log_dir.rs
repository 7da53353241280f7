//! What the partitions of one log dir share: its checkpoints, and whether it still works.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::checkpoint::{OffsetCheckpoint, TopicPartition};
use super::error::{LogError, Result, is_disk_full};
use super::storage::Storage;

/// File name of the recovery points: below them everything was flushed.
pub const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
/// File name of the high watermarks.
pub const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
/// File name of the log start offsets.
pub const LOG_STARTS: &str = "log-start-offset-checkpoint";
/// File name of the first offsets that were not compacted yet. A log that has an entry may have
/// gaps between its offsets.
pub const CLEANED: &str = "cleaner-offset-checkpoint";

/// Offsets by partition, and the file that they are kept in.
#[derive(Debug)]
struct Offsets {
    file: OffsetCheckpoint,
    values: BTreeMap<TopicPartition, i64>,
    changed: bool,
}

impl Offsets {
    fn load(storage: &Arc<dyn Storage>, dir: &Path, name: &str) -> Result<Self> {
        let file = OffsetCheckpoint::new(Arc::clone(storage), dir.join(name));
        let values = file.read()?;
        Ok(Self { file, values, changed: false })
    }

    fn set(&mut self, of: &TopicPartition, offset: i64) {
        match self.values.get_mut(of) {
            Some(known) if *known == offset => return,
            Some(known) => *known = offset,
            None => _ = self.values.insert(of.clone(), offset),
        }
        self.changed = true;
    }

    /// Lowers an offset, durably.
    fn lower(&mut self, of: &TopicPartition, offset: i64) -> Result<()> {
        if self.values.get(of).is_none_or(|known| *known <= offset) {
            return Ok(());
        }
        self.set(of, offset);
        self.write()
    }

    /// Forgets a partition; durably, unless the file can say nothing of it but 0.
    fn forget(&mut self, of: &TopicPartition) -> Result<()> {
        match self.values.remove(of) {
            Some(offset) if offset != 0 => {
                self.changed = true;
                self.write()
            }
            _ => Ok(()),
        }
    }

    fn write(&mut self) -> Result<()> {
        if self.changed {
            self.file.write(&self.values)?;
            self.changed = false;
        }
        Ok(())
    }
}

/// A log dir. Every [`super::Log`] in it has a share.
#[derive(Debug)]
pub struct LogDir {
    dir: PathBuf,
    storage: Arc<dyn Storage>,
    failure: OnceLock<String>,
    /// Which [`super::Log`] stands for a partition now, by a number of its own, and its bytes.
    logs: Mutex<BTreeMap<TopicPartition, (u64, Arc<AtomicU64>)>>,
    logs_opened: AtomicU64,
    recovery_points: Mutex<Offsets>,
    high_watermarks: Mutex<Offsets>,
    log_starts: Mutex<Offsets>,
    cleaned: Mutex<Offsets>,
}

impl LogDir {
    /// Reads the checkpoints of a folder, which is made when it is missing.
    pub fn open(dir: &Path, storage: Arc<dyn Storage>) -> Result<Arc<Self>> {
        make_dir(&*storage, dir)?;
        Ok(Arc::new(Self {
            failure: OnceLock::new(),
            logs: Mutex::default(),
            logs_opened: AtomicU64::new(0),
            recovery_points: Mutex::new(Offsets::load(&storage, dir, RECOVERY_POINTS)?),
            high_watermarks: Mutex::new(Offsets::load(&storage, dir, HIGH_WATERMARKS)?),
            log_starts: Mutex::new(Offsets::load(&storage, dir, LOG_STARTS)?),
            cleaned: Mutex::new(Offsets::load(&storage, dir, CLEANED)?),
            dir: dir.to_path_buf(),
            storage,
        }))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// The file system that it is on.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Why the dir is out of service, if it is.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Refuses work in a dir that has failed.
    pub fn check(&self) -> Result<()> {
        match self.failure.get() {
            None => Ok(()),
            Some(cause) => Err(LogError::DirFailed { dir: self.dir.clone(), cause: cause.clone() }),
        }
    }

    /// Judges an error of a write: a full disk is the caller's affair, anything else takes the dir
    /// out of service.
    pub(super) fn write_failed(
        &self,
        action: &'static str,
        path: &Path,
        error: io::Error,
    ) -> LogError {
        match is_disk_full(&error) {
            true => LogError::DiskFull { path: path.to_path_buf() },
            false => self.fail(action, path, &error),
        }
    }

    /// Takes the dir out of service.
    pub(super) fn fail(&self, action: &'static str, path: &Path, error: &io::Error) -> LogError {
        let cause = format!("cannot {action} {}: {error}", path.display());
        let cause = self.failure.get_or_init(|| cause).clone();
        LogError::DirFailed { dir: self.dir.clone(), cause }
    }

    /// Up to where the partition was flushed; 0 when unknown.
    pub fn recovery_point(&self, of: &TopicPartition) -> i64 {
        lock(&self.recovery_points).values.get(of).copied().unwrap_or(0)
    }

    /// Enters a log that was opened, in the place of an older one; gives it its number, and the
    /// account of its bytes, which it keeps up to date.
    pub(super) fn enter(&self, of: &TopicPartition) -> (u64, Arc<AtomicU64>) {
        let number = self.logs_opened.fetch_add(1, Ordering::Relaxed);
        let size = Arc::default();
        lock(&self.logs).insert(of.clone(), (number, Arc::clone(&size)));
        (number, size)
    }

    /// Whether the partition's log was opened here.
    pub(super) fn holds(&self, of: &TopicPartition) -> bool {
        lock(&self.logs).contains_key(of)
    }

    /// The open logs and the bytes of their segments, by partition.
    pub fn sizes(&self) -> Vec<(TopicPartition, u64)> {
        let logs = lock(&self.logs);
        logs.iter().map(|(of, (_, size))| (of.clone(), size.load(Ordering::Relaxed))).collect()
    }

    /// Notes a log's recovery point in memory; [`Self::write_checkpoints`] writes it. Nothing
    /// happens when the partition was deleted meanwhile: a flush that was under way must not vouch
    /// for another topic of that name.
    pub(super) fn set_recovery_point(&self, of: &TopicPartition, log: u64, offset: i64) {
        let logs = lock(&self.logs);
        if logs.get(of).is_some_and(|(number, _)| *number == log) {
            lock(&self.recovery_points).set(of, offset);
        }
    }

    /// Lowers a recovery point durably, *before* offsets above it are written anew: otherwise,
    /// after a truncation, new and unflushed batches would lie below an old recovery point, and be
    /// believed.
    pub(super) fn lower_recovery_point(&self, of: &TopicPartition, offset: i64) -> Result<()> {
        lock(&self.recovery_points).lower(of, offset)
    }

    /// Lowers what the checkpoints say of a log before it is cut at `end`, durably: the recovery
    /// point to `recovery_point`, and to `end` the high watermark, which must not vouch for the
    /// batches that come in the place of those that go, and what was compacted.
    pub(super) fn lower_checkpoints(
        &self,
        of: &TopicPartition,
        recovery_point: i64,
        end: i64,
    ) -> Result<()> {
        self.lower_recovery_point(of, recovery_point)?;
        lock(&self.high_watermarks).lower(of, end)?;
        lock(&self.cleaned).lower(of, end)
    }

    /// The partition's checkpointed high watermark; 0 when unknown.
    pub fn high_watermark(&self, of: &TopicPartition) -> i64 {
        lock(&self.high_watermarks).values.get(of).copied().unwrap_or(0)
    }

    /// Notes a high watermark in memory; [`Self::write_checkpoints`] writes it.
    pub fn set_high_watermark(&self, of: &TopicPartition, offset: i64) {
        lock(&self.high_watermarks).set(of, offset);
    }

    /// The partition's checkpointed log start offset; 0 when unknown.
    pub fn log_start(&self, of: &TopicPartition) -> i64 {
        lock(&self.log_starts).values.get(of).copied().unwrap_or(0)
    }

    /// Sets a log start offset durably, before segments go (M17).
    pub(super) fn set_log_start(&self, of: &TopicPartition, offset: i64) -> Result<()> {
        let mut starts = lock(&self.log_starts);
        starts.set(of, offset);
        starts.write()
    }

    /// The first offset that was not compacted yet; `None`: nothing ever was, and the log has no
    /// gaps.
    pub fn cleaned(&self, of: &TopicPartition) -> Option<i64> {
        lock(&self.cleaned).values.get(of).copied()
    }

    /// Notes, durably, up to where a log was compacted.
    pub(super) fn set_cleaned(&self, of: &TopicPartition, offset: i64) -> Result<()> {
        let mut cleaned = lock(&self.cleaned);
        cleaned.set(of, offset);
        cleaned.write()
    }

    /// Notes, durably, that a log is going to have gaps between its offsets.
    pub(super) fn note_gaps(&self, of: &TopicPartition) -> Result<()> {
        match self.cleaned(of) {
            Some(_) => Ok(()),
            None => self.set_cleaned(of, 0),
        }
    }

    /// Writes the recovery points if they have changed.
    pub(super) fn write_recovery_points(&self) -> Result<()> {
        lock(&self.recovery_points).write()
    }

    /// Writes the checkpoints that have changed: on a timer and at shutdown.
    pub fn write_checkpoints(&self) -> Result<()> {
        self.check()?;
        lock(&self.recovery_points).write()?;
        lock(&self.high_watermarks).write()?;
        lock(&self.log_starts).write()?;
        lock(&self.cleaned).write()
    }

    /// Forgets a partition that was deleted, durably: a new one of that name starts from 0.
    pub fn forget(&self, of: &TopicPartition) -> Result<()> {
        self.check()?;
        lock(&self.logs).remove(of);
        lock(&self.recovery_points).forget(of)?;
        lock(&self.high_watermarks).forget(of)?;
        lock(&self.log_starts).forget(of)?;
        lock(&self.cleaned).forget(of)
    }
}

/// Makes a log dir and the folders above it where they are missing, durably.
pub(super) fn make_dir(storage: &dyn Storage, dir: &Path) -> Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|dir| !storage.exists(dir)).collect();
    storage.create_dir_all(dir).map_err(|error| not_writable_or_io(dir, error))?;
    for dir in missing {
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            storage.sync_dir(parent).map_err(LogError::io("flush", parent))?;
        }
    }
    Ok(())
}

/// A clear error for a folder without permission.
pub(super) fn not_writable_or_io(dir: &Path, error: io::Error) -> LogError {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            LogError::NotWritable { dir: dir.to_path_buf(), source: error }
        }
        _ => LogError::io("create log dir", dir)(error),
    }
}

/// The maps are whole between any two statements: a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
