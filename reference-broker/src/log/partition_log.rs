//! The log of one partition: append, read, truncate, flush.
//!
//! A [`Log`] is a plain object without locks or clock-driven work of its own; whoever owns it
//! serialises the calls. What takes long on a disk can be done off that lock: [`Log::plan_read`]
//! and [`Log::prepare_flush`] give values that carry the work out on their own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use ottla_protocol::records::{BATCH_HEADER_LEN, BatchHeader, stamp_base_offset};

use super::checkpoint::TopicPartition;
use super::config::LogConfig;
use super::epoch_cache::LeaderEpochCache;
use super::error::{LogError, Result};
use super::flush::FlushTask;
use super::log_dir::LogDir;
use super::producer_snapshot;
use super::producer_state::ProducerState;
use super::read::{FetchData, ReadPlan, Source};
use super::recovery::{self, RecoveryReport, Startup};
use super::segment::Segment;
use super::storage::Storage;
use super::truncate::Damage;

/// Where an appended batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendInfo {
    /// Offset of its first record.
    pub base_offset: i64,
    /// Offset of its last record.
    pub last_offset: i64,
    /// Bytes written.
    pub size: usize,
    /// The batch began a new segment.
    pub rolled: bool,
}

/// The log of one partition.
#[derive(Debug)]
pub struct Log {
    pub(super) dir: PathBuf,
    pub(super) of: TopicPartition,
    pub(super) config: LogConfig,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) log_dir: Arc<LogDir>,
    /// What the log dir knows this log by.
    number: u64,
    /// By base offset, never empty; the last one is the active one.
    pub(super) segments: Vec<Segment>,
    pub(super) log_start_offset: i64,
    /// Everything below was flushed.
    pub(super) recovery_point: i64,
    pub(super) epochs: LeaderEpochCache,
    /// The idempotent producers. [`Log::append`] keeps it up to date; ask it by
    /// [`ProducerState::check`] before an append.
    pub producers: ProducerState,
    /// Folders whose names were not synced yet, and how often any changed.
    unsynced_dirs: Vec<PathBuf>,
    names_changed: u64,
    flushed_ms: i64,
    /// See [`FlushTask`].
    pub(super) generation: u64,
    /// Why nothing is served, if so.
    pub(super) damage: Option<Damage>,
    /// Bytes of all segments, for the log dir's account.
    size: Arc<AtomicU64>,
}

impl Log {
    /// Opens or makes the log in `dir`, which must be named `topic-partition` and lie in a log dir.
    /// It is recovered as after a crash; [`Log::open_in`] can say that there was none.
    pub fn open(
        dir: &Path,
        config: LogConfig,
        storage: Arc<dyn Storage>,
    ) -> Result<(Self, RecoveryReport)> {
        let invalid =
            |reason: &str| LogError::Invalid { dir: dir.to_path_buf(), reason: reason.to_owned() };
        let name =
            dir.file_name().and_then(|name| name.to_str()).and_then(TopicPartition::from_dir_name);
        let of = name.ok_or_else(|| invalid("a partition's folder is named topic-partition"))?;
        let parent =
            dir.parent().ok_or_else(|| invalid("a partition's folder lies in a log dir"))?;
        let log_dir = LogDir::open(parent, storage)?;
        Self::open_in(&log_dir, of, config, Startup::AfterCrash)
    }

    /// Opens or makes the log of a partition in a log dir.
    pub fn open_in(
        log_dir: &Arc<LogDir>,
        of: TopicPartition,
        config: LogConfig,
        startup: Startup,
    ) -> Result<(Self, RecoveryReport)> {
        log_dir.check()?;
        let storage = Arc::clone(log_dir.storage());
        let dir = log_dir.path().join(of.dir_name());
        let mut unsynced_dirs = Vec::new();
        let is_new = !storage.exists(&dir);
        if is_new {
            storage
                .create_dir_all(&dir)
                .map_err(|error| super::log_dir::not_writable_or_io(&dir, error))?;
        }
        // A process that ended may have made the folder and never synced its name.
        if is_new || startup == Startup::AfterCrash {
            unsynced_dirs.push(log_dir.path().to_path_buf());
        }
        let recovered = recovery::recover(log_dir, &of, &dir, &config, startup)?;
        if recovered.names_changed {
            unsynced_dirs.push(dir.clone());
        }
        let (number, size) = log_dir.enter(&of);
        let log = Self {
            number,
            size,
            damage: None,
            dir,
            of,
            config,
            log_dir: Arc::clone(log_dir),
            segments: recovered.segments,
            log_start_offset: recovered.log_start_offset,
            recovery_point: recovered.recovery_point,
            epochs: recovered.epochs,
            producers: recovered.producers,
            unsynced_dirs,
            names_changed: 0,
            flushed_ms: storage.now_ms(),
            generation: 0,
            storage,
        };
        log.log_dir.set_recovery_point(&log.of, log.number, log.recovery_point);
        log.note_size();
        Ok((log, recovered.report))
    }

    /// The partition.
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.of
    }

    /// The partition's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What this log shares with the others of its log dir.
    pub fn log_dir(&self) -> &Arc<LogDir> {
        &self.log_dir
    }

    /// The settings.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Replaces the settings; they hold from the next append on.
    pub fn set_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// The first offset that readers may ask for.
    pub fn log_start_offset(&self) -> i64 {
        self.log_start_offset
    }

    /// The offset that the next record gets.
    pub fn log_end_offset(&self) -> i64 {
        self.active().next_offset
    }

    /// Everything below was flushed: with flush-before-ack this is what may be acknowledged (M12).
    pub fn durable_end_offset(&self) -> i64 {
        self.recovery_point
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// Brings the log dir's account up to date after segments have changed.
    pub(super) fn note_size(&self) {
        self.size.store(self.size_bytes(), Ordering::Relaxed);
    }

    /// Bumped whenever batches are cut off or segments replaced: what was read from the files
    /// before may be void.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Number of segments, the active one included.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// The leader epochs of this log.
    pub fn epoch_cache(&self) -> &LeaderEpochCache {
        &self.epochs
    }

    /// Notes that the leader of `epoch` writes from the log's end on; before it serves (M5).
    pub fn begin_epoch(&mut self, epoch: i32) -> Result<()> {
        self.log_dir.check()?;
        self.epochs.assign(epoch, self.log_end_offset())
    }

    pub(super) fn active(&self) -> &Segment {
        self.segments.last().expect("invariant: a log has an active segment")
    }

    pub(super) fn active_mut(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("invariant: a log has an active segment")
    }

    /// The segment that `offset` falls into by base offsets.
    pub(super) fn segment_of(&self, offset: i64) -> usize {
        self.segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1)
    }

    /// Appends one batch that was checked before. The bytes are written as they are but for the
    /// base offset and the leader epoch, which are stamped into a copy of the header. A leader
    /// passes [`Self::log_end_offset`]; a follower passes what the batch has.
    ///
    /// # Errors
    /// [`LogError::DiskFull`]: nothing was appended, later appends may succeed.
    /// [`LogError::DirFailed`]: the log dir is out of service. [`LogError::Invalid`]: the batch
    /// does not fit the segment size or the offset.
    pub fn append(
        &mut self,
        batch: &Bytes,
        base_offset: i64,
        leader_epoch: i32,
    ) -> Result<AppendInfo> {
        self.check()?;
        let mut head = [0; BATCH_HEADER_LEN];
        let Some((given, rest)) = batch.split_at_checked(BATCH_HEADER_LEN) else {
            return Err(self.invalid(format!("{} bytes are no batch", batch.len())));
        };
        head.copy_from_slice(given);
        stamp_base_offset(&mut head, base_offset, leader_epoch);
        let header = BatchHeader::parse(&head).map_err(|error| self.invalid(error.to_string()))?;
        self.check_batch(&header, batch.len())?;
        let now_ms = self.storage.now_ms();
        let rolled = self.active().must_roll(&header, 0, now_ms, &self.config);
        if rolled {
            self.roll()?;
        }
        self.note_epoch(base_offset, leader_epoch)?;
        let active = self.active();
        if let Err(error) = active.file.write(active.size, &[&head, rest]) {
            return Err(self.take_back(error));
        }
        self.count_batch(&header, now_ms);
        let last_offset = header.last_offset();
        Ok(AppendInfo { base_offset, last_offset, size: batch.len(), rolled })
    }

    /// Enters the epoch of a batch that is about to be written.
    pub(super) fn note_epoch(&mut self, base_offset: i64, leader_epoch: i32) -> Result<()> {
        match self.epochs.epoch_of(base_offset) == Some(leader_epoch) {
            true => Ok(()),
            false => self.epochs.assign(leader_epoch, base_offset),
        }
    }

    /// Takes account of a batch that was written at the end of the active segment.
    pub(super) fn count_batch(&mut self, header: &BatchHeader, now_ms: i64) {
        let active = self.segments.last_mut().expect("invariant: a log has an active segment");
        active.index_batch(header, &self.config);
        // What is not written of an index is written later, or built anew from the segment.
        let _ = active.offsets.entries.write_behind();
        let _ = active.times.entries.write_behind();
        self.producers.update(header, now_ms);
        self.size.fetch_add(header.size_in_bytes() as u64, Ordering::Relaxed);
    }

    fn check_batch(&self, header: &BatchHeader, len: usize) -> Result<()> {
        let end = self.log_end_offset();
        if header.size_in_bytes() != len {
            return Err(self.invalid(format!(
                "the batch says {} bytes and has {len}; append one whole batch at a time",
                header.size_in_bytes()
            )));
        }
        self.check_header(header, end)?;
        let limit = self.config.segment_bytes.min(i32::MAX as u32) as usize;
        if len > limit {
            return Err(self.invalid(format!(
                "the batch has {len} bytes, segment.bytes is {limit}; send smaller batches or \
                 raise segment.bytes"
            )));
        }
        Ok(())
    }

    /// Takes the bytes of a failed append away again, so that the file ends with the last whole
    /// batch.
    pub(super) fn take_back(&self, error: std::io::Error) -> LogError {
        let active = self.active();
        // Durably, as no later flush may have a reason to look at this segment again.
        if let Err(error) = active.file.set_len(active.size).and_then(|()| active.file.sync()) {
            return self.log_dir.fail("truncate after a failed append", &active.path, &error);
        }
        self.log_dir.write_failed("append to", &active.path, error)
    }

    pub(super) fn invalid(&self, reason: String) -> LogError {
        LogError::Invalid { dir: self.dir.clone(), reason }
    }

    /// Ends the active segment and begins a new one at the log's end, with a snapshot of the
    /// producers.
    pub(super) fn roll(&mut self) -> Result<()> {
        let end = self.log_end_offset();
        if self.active().size == 0 {
            return Ok(());
        }
        let failed = |log: &Self, error| match error {
            LogError::Io { action, path, source } => log.log_dir.fail(action, &path, &source),
            error => error,
        };
        let storage = Arc::clone(&self.storage);
        self.active_mut().seal(&*storage).map_err(|error| failed(self, error))?;
        let made = producer_snapshot::write(&*self.storage, &self.dir, end, &self.producers)
            .and_then(|()| Segment::create(&self.storage, &self.dir, end));
        match made {
            Ok(segment) => self.segments.push(segment),
            Err(error) => {
                // The old segment goes on: whoever appends next tries to roll again.
                self.active_mut().unseal(&*storage)?;
                return Err(failed(self, error));
            }
        }
        self.note_names_changed();
        Ok(())
    }

    /// Reads from `offset`; the first batch holds it and may begin before it. Only whole batches
    /// are given, only such as end below `upper_bound` (the high watermark, the last stable offset
    /// or, for followers, the log's end; exclusive), and `max_bytes` at most, but the first one
    /// whole in any case if `min_one_batch`.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`] below the log's start or above its end.
    pub fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        upper_bound: i64,
        min_one_batch: bool,
    ) -> Result<FetchData> {
        self.plan_read(offset, max_bytes, upper_bound, min_one_batch)?.run()
    }

    /// [`Self::read`] in two steps: the plan can be run without the log.
    pub fn plan_read(
        &self,
        offset: i64,
        max_bytes: usize,
        upper_bound: i64,
        min_one_batch: bool,
    ) -> Result<ReadPlan> {
        self.check()?;
        let end = self.log_end_offset();
        if offset < self.log_start_offset || offset > end {
            return Err(LogError::OutOfRange { offset, start: self.log_start_offset, end });
        }
        let upper_bound = upper_bound.min(end);
        let mut plan = ReadPlan { offset, source: None, max_bytes, upper_bound, min_one_batch };
        if offset >= upper_bound {
            return Ok(plan);
        }
        for segment in &self.segments[self.segment_of(offset)..] {
            if let Some((position, header)) = segment.locate(offset)? {
                plan.source = Some(Source {
                    file: Arc::clone(&segment.file),
                    path: segment.path.clone(),
                    position,
                    end: segment.size,
                    first_size: header.size_in_bytes(),
                });
                break;
            }
        }
        Ok(plan)
    }

    pub(super) fn note_names_changed(&mut self) {
        self.names_changed += 1;
        if !self.unsynced_dirs.contains(&self.dir) {
            self.unsynced_dirs.push(self.dir.clone());
        }
    }

    /// Whether `flush.messages` or `flush.ms` asks for a flush now, or a segment that is full was
    /// not flushed: recovery would read it again.
    pub fn flush_due(&self) -> bool {
        let unflushed = u64::try_from(self.log_end_offset() - self.recovery_point).unwrap_or(0);
        unflushed > 0
            && (self.recovery_point < self.active().base_offset
                || unflushed >= self.config.flush_messages
                || self.storage.now_ms() - self.flushed_ms >= self.config.flush_ms)
    }

    /// Makes everything durable: fdatasync of the segments above the recovery point, and of the
    /// folders with new names.
    pub fn flush(&mut self) -> Result<()> {
        let task = self.prepare_flush()?;
        task.run()?;
        self.complete_flush(&task);
        Ok(())
    }

    /// The first of three steps of [`Self::flush`]: the task can be run without the log.
    pub fn prepare_flush(&mut self) -> Result<FlushTask> {
        self.log_dir.check()?;
        let end = self.log_end_offset();
        let mut files = Vec::new();
        for segment in &self.segments {
            if segment.next_offset > self.recovery_point {
                files.push((segment.path.clone(), Arc::clone(&segment.file)));
                let indexes = [
                    (segment.offsets.entries.path(), segment.offsets.entries.file()),
                    (segment.times.entries.path(), segment.times.entries.file()),
                ];
                let sealed = segment.base_offset != self.active().base_offset;
                for (path, file) in indexes {
                    if let (true, Some(file)) = (sealed, file) {
                        files.push((path.to_path_buf(), file));
                    }
                }
            }
        }
        Ok(FlushTask {
            log_dir: Arc::clone(&self.log_dir),
            files,
            dirs: self.unsynced_dirs.clone(),
            end_offset: end,
            generation: self.generation,
            names_changed: self.names_changed,
        })
    }

    /// The last step of [`Self::flush`], after the task was run with success: the durable end
    /// advances.
    pub fn complete_flush(&mut self, task: &FlushTask) {
        if task.generation != self.generation {
            return;
        }
        if task.names_changed == self.names_changed {
            self.unsynced_dirs.clear();
        }
        self.recovery_point = self.recovery_point.max(task.end_offset);
        self.flushed_ms = self.storage.now_ms();
        self.log_dir.set_recovery_point(&self.of, self.number, self.recovery_point);
    }

    /// Flushes, snapshots the producers and writes the indexes out: after this the log may be
    /// opened as [`Startup::Clean`].
    pub fn close(&mut self) -> Result<()> {
        let end = self.log_end_offset();
        if end == 0 {
            // Nothing was ever written: as good as new without any sync.
            return Ok(());
        }
        self.active_mut().write_indexes(true)?;
        self.flush()?;
        for path in self.active_index_files() {
            path.1.sync().map_err(|error| self.log_dir.fail("flush", &path.0, &error))?;
        }
        producer_snapshot::write(&*self.storage, &self.dir, end, &self.producers)
    }

    fn active_index_files(&self) -> Vec<(PathBuf, Arc<dyn super::storage::StorageFile>)> {
        let active = self.active();
        let offsets =
            active.offsets.entries.file().map(|file| (active.offsets.entries.path(), file));
        let times = active.times.entries.file().map(|file| (active.times.entries.path(), file));
        [offsets, times]
            .into_iter()
            .flatten()
            .map(|(path, file)| (path.to_path_buf(), file))
            .collect()
    }
}
