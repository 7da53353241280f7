//! Opening a partition's folder after whatever happened to it.
//!
//! Below the recovery point everything was flushed; above it, nothing is believed before it was
//! read and its CRC verified. What is broken above it is the torn tail of the log, and is cut off,
//! if it *can* be torn there:
//!
//! - The process was killed ([`Startup::AfterCrash`]): the kernel still has every byte that was
//!   written, and only the last write may be incomplete. A broken batch that has good ones behind
//!   it is damage, not tearing, and may have been acknowledged: the log is not opened and nothing
//!   is changed (M19).
//! - The power failed ([`Startup::AfterPowerLoss`]): pages above the recovery point reached the
//!   disk in any order. The log ends with the last batch before the first broken one, whatever lies
//!   behind.
//! - Another replica has what is damaged here ([`Startup::Repair`]): every byte is read, and the
//!   log is cut at the first break, wherever that is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::records::BatchHeader;

use super::checkpoint::TopicPartition;
use super::compaction;
use super::config::LogConfig;
use super::epoch_cache::LeaderEpochCache;
use super::error::{LogError, Result};
use super::log_dir::LogDir;
use super::producer_snapshot;
use super::producer_state::ProducerState;
use super::segment::{self, Segment};
use super::segment_sum;
use super::storage::Storage;
use super::truncate::Damage;
use super::walk::{BatchWalk, Broken, Step, has_batch_behind};
use crate::planted::{self, Bug};

/// How the log was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Startup {
    /// Closed by [`super::Log::close`] and not touched since: indexes and producer snapshot are
    /// believed.
    Clean,
    /// The process ended in the middle of its work, the operating system did not.
    AfterCrash,
    /// The operating system ended too, or it is not known that it did not.
    AfterPowerLoss,
    /// What is damaged will be fetched from another replica: this one is in no ISR.
    Repair,
}

/// What recovery did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Segments that were read and verified.
    pub segments_verified: usize,
    /// Segments whose indexes were made anew.
    pub indexes_rebuilt: usize,
    /// Bytes that were cut off.
    pub truncated_bytes: u64,
    /// Segments that were dropped whole.
    pub segments_dropped: usize,
    /// Why something was cut off.
    pub truncated_because: Option<String>,
    /// The log's end afterwards.
    pub log_end_offset: i64,
}

/// A recovered log's parts.
pub(super) struct Recovered {
    pub(super) segments: Vec<Segment>,
    pub(super) log_start_offset: i64,
    pub(super) recovery_point: i64,
    pub(super) epochs: LeaderEpochCache,
    pub(super) producers: ProducerState,
    pub(super) report: RecoveryReport,
    /// Files were made or removed, and the folder was not synced.
    pub(super) names_changed: bool,
}

/// Opens what is in `dir`.
pub(super) fn recover(
    log_dir: &Arc<LogDir>,
    of: &TopicPartition,
    dir: &Path,
    config: &LogConfig,
    startup: Startup,
) -> Result<Recovered> {
    let storage = log_dir.storage();
    compaction::finish_swaps(&**storage, dir)?;
    let bases = tidy(&**storage, dir)?;
    let recovery_point = log_dir.recovery_point(of);
    let damaged = Damage::read(&**storage, dir)?;
    let epochs = LeaderEpochCache::open(Arc::clone(storage), dir)?;
    let mut recovery = Recovery {
        storage: Arc::clone(storage),
        dir,
        config,
        startup,
        gaps_end: gaps_end(config, log_dir.cleaned(of), startup, recovery_point),
        damaged: damaged.as_ref().map(|damage| damage.segment.clone()),
        recovery_point,
        epochs,
        epochs_changed: false,
        last_epoch: -1,
        report: RecoveryReport::default(),
    };
    let log_start_offset = log_dir.log_start(of);
    let mut segments = recovery.segments(&bases, log_start_offset)?;
    let made_segment = start_anew_if_needed(storage, dir, &mut segments, log_start_offset)?;
    let log_start_offset = log_start_offset.max(segments[0].base_offset);
    let active = segments.last_mut().expect("invariant: one was made if there was none");
    active.unseal(&**storage)?;
    let end = active.next_offset;
    recovery.report.log_end_offset = end;
    // Only what was flushed vouches for a snapshot. One that is removed here must not come back:
    // sync afterwards.
    let believed = if startup == Startup::Clean { end } else { recovery_point.min(end) };
    let producers = reload_producers(&**storage, dir, &segments, believed, end)?;
    if matches!(startup, Startup::AfterPowerLoss | Startup::Repair) {
        recovery.sync(&segments)?;
        recovery.recovery_point = end;
    }
    let recovery_point = recovery.recovery_point.min(end);
    log_dir.lower_recovery_point(of, recovery_point)?;
    if startup == Startup::Repair {
        log_dir.lower_checkpoints(of, recovery_point, end)?;
    }
    if damaged.is_some() {
        // The damage was cut off, or somebody has restored the segment.
        Damage::forget(&**storage, dir)?;
    }
    let mut epochs = recovery.epochs;
    epochs.truncate_from_end(end)?;
    epochs.truncate_from_start(log_start_offset)?;
    if recovery.epochs_changed {
        epochs.write()?;
    }
    Ok(Recovered {
        segments,
        log_start_offset,
        recovery_point,
        epochs,
        producers,
        report: recovery.report,
        names_changed: made_segment || damaged.is_some() || startup == Startup::AfterCrash,
    })
}

/// Up to where offsets may be missing, because a cleaner took their records.
fn gaps_end(config: &LogConfig, cleaned: Option<i64>, startup: Startup, flushed: i64) -> i64 {
    match (config.cleanup_compact, cleaned) {
        (false, None) => 0,
        (_, cleaned) if startup == Startup::AfterPowerLoss => flushed.max(cleaned.unwrap_or(0)),
        _ => i64::MAX,
    }
}

/// A log that lost its whole tail may end before its start, which was made durable first (M17): it
/// goes on from there. True: a first segment was made.
fn start_anew_if_needed(
    storage: &Arc<dyn Storage>,
    dir: &Path,
    segments: &mut Vec<Segment>,
    log_start_offset: i64,
) -> Result<bool> {
    if segments.last().is_some_and(|segment| segment.next_offset < log_start_offset) {
        for segment in segments.drain(..).rev() {
            segment.remove(&**storage)?;
        }
    }
    let made = segments.is_empty();
    if made {
        segments.push(Segment::create(storage, dir, log_start_offset)?);
    }
    Ok(made)
}

/// Removes leftovers of interrupted work and gives the base offsets of the segments, ascending.
fn tidy(storage: &dyn Storage, dir: &Path) -> Result<Vec<i64>> {
    let entries = storage.read_dir(dir).map_err(LogError::io("list", dir))?;
    let bases: Vec<i64> =
        entries.iter().filter_map(|entry| segment::parse_name(&entry.name, "log")).collect();
    for entry in &entries {
        let orphan = ["index", "timeindex", "sum"]
            .iter()
            .filter_map(|kind| segment::parse_name(&entry.name, kind))
            .any(|base| !bases.contains(&base));
        let leftover =
            [".tmp", ".deleted", ".cleaned"].iter().any(|suffix| entry.name.ends_with(suffix));
        if orphan || leftover {
            let path = dir.join(&entry.name);
            storage.remove_file(&path).map_err(LogError::io("remove", &path))?;
        }
    }
    Ok(bases)
}

/// The state of a recovery.
struct Recovery<'a> {
    storage: Arc<dyn Storage>,
    dir: &'a Path,
    config: &'a LogConfig,
    startup: Startup,
    /// Up to where there may be gaps between offsets: compaction leaves them, here or at the leader
    /// that the log was fetched from. After a power failure they are believed only where
    /// everything was flushed: further up, files that were lost leave gaps as well.
    gaps_end: i64,
    /// The segment that the log was quarantined for.
    damaged: Option<PathBuf>,
    recovery_point: i64,
    epochs: LeaderEpochCache,
    epochs_changed: bool,
    /// The leader epoch of the batch before; they never fall.
    last_epoch: i32,
    report: RecoveryReport,
}

impl Recovery<'_> {
    /// Opens the segments one after the other; cuts the log at the first break, if that may be.
    fn segments(&mut self, bases: &[i64], log_start: i64) -> Result<Vec<Segment>> {
        let mut segments: Vec<Segment> = Vec::with_capacity(bases.len());
        for (at, &base) in bases.iter().enumerate() {
            let upper = bases.get(at + 1).copied();
            let flushed = upper.is_some_and(|upper| upper <= self.recovery_point);
            let suspect = self.startup == Startup::Repair
                || self.damaged.as_ref() == Some(&segment::path(self.dir, base, "log"));
            // The first epoch of a log is not made durable at once: batches tell it, too.
            let known = self.epochs.epoch_of(base.max(log_start)).is_some();
            let doubtful = suspect || (self.startup != Startup::Clean && !(flushed && known));
            let indexed = match doubtful {
                true => None,
                false => Segment::open_indexed(&self.storage, self.dir, base)?,
            };
            let (mut segment, mut broken) = match indexed {
                Some(segment) => (segment, None),
                None => self.walk(base)?,
            };
            if suspect && flushed && broken.is_none() {
                (segment, broken) = self.check_sum(segment)?;
            }
            let gap = upper.is_some_and(|upper| segment.next_offset != upper);
            let broken = match broken {
                // Junk behind a segment that is complete: a write that failed, or was torn.
                Some(junk) if upper.is_some() && !gap => {
                    self.cut(&mut segment, junk)?;
                    None
                }
                Some(broken) => Some(broken),
                None => self.gap(&segment, upper.filter(|_| gap)),
            };
            if let Some(broken) = broken {
                self.judge(&segment, &broken, &bases[at + 1..])?;
                self.cut(&mut segment, broken)?;
                segments.push(segment);
                self.drop_segments(&bases[at + 1..])?;
                break;
            }
            if upper.is_some() {
                segment.seal(&*self.storage)?;
            }
            segments.push(segment);
        }
        Ok(segments)
    }

    /// Reads a segment from front to back, and makes its indexes.
    fn walk(&mut self, base: i64) -> Result<(Segment, Option<Broken>)> {
        let mut segment = Segment::open_bare(&self.storage, self.dir, base)?;
        let len = segment.file.len().map_err(LogError::io("measure", &segment.path))?;
        let file = Arc::clone(&segment.file);
        let path = segment.path.clone();
        let mut walk = BatchWalk::verified(&*file, &path, 0, len);
        self.report.segments_verified += 1;
        self.report.indexes_rebuilt += 1;
        loop {
            match walk.next()? {
                Step::Batch { position, header } => {
                    if let Some(reason) = self.discontinuity(&segment, &header) {
                        return Ok((segment, Some(Broken { position, reason })));
                    }
                    self.note_epoch(&header);
                    segment.index_batch(&header, self.config);
                }
                Step::Broken(broken) => return Ok((segment, Some(broken))),
                Step::End => return Ok((segment, None)),
            }
        }
    }

    /// A segment whose sum is another one is broken somewhere: nothing of it is kept.
    fn check_sum(&self, segment: Segment) -> Result<(Segment, Option<Broken>)> {
        if segment.sum_differs(&*self.storage)?.is_none() {
            return Ok((segment, None));
        }
        let empty = Segment::open_bare(&self.storage, self.dir, segment.base_offset)?;
        Ok((empty, Some(Broken { position: 0, reason: segment_sum::DIFFERS.to_owned() })))
    }

    /// The CRC covers neither base offset nor leader epoch (M19): offsets must go on where the last
    /// batch ended, epochs never fall.
    fn discontinuity(&self, segment: &Segment, header: &BatchHeader) -> Option<String> {
        let expected = segment.next_offset;
        let gap_allowed = header.base_offset <= self.gaps_end
            && header.last_offset() - segment.base_offset <= i64::from(i32::MAX);
        let epoch = header.partition_leader_epoch;
        if (0..self.last_epoch).contains(&epoch) {
            return Some(format!("leader epoch {epoch} follows {}", self.last_epoch));
        }
        if header.base_offset == expected || (header.base_offset > expected && gap_allowed) {
            return None;
        }
        Some(format!("base offset is {}, {expected} was expected", header.base_offset))
    }

    fn note_epoch(&mut self, header: &BatchHeader) {
        let epoch = header.partition_leader_epoch;
        self.last_epoch = self.last_epoch.max(epoch);
        if epoch >= 0 && self.epochs.epoch_of(header.base_offset) != Some(epoch) {
            self.epochs.assign_in_memory(epoch, header.base_offset);
            self.epochs_changed = true;
        }
    }

    fn gap(&self, segment: &Segment, upper: Option<i64>) -> Option<Broken> {
        let upper = upper?;
        if upper <= self.gaps_end && segment.next_offset < upper {
            return None;
        }
        let reason = format!(
            "the segment ends with offset {} (exclusive), the next one begins with {upper}",
            segment.next_offset
        );
        Some(Broken { position: segment.size, reason })
    }

    /// Whether the log may be cut here; see the module's text.
    fn judge(&self, segment: &Segment, broken: &Broken, later: &[i64]) -> Result<()> {
        if self.startup == Startup::Repair {
            return Ok(());
        }
        let offset = segment.next_offset;
        let corrupt = |why: &str| {
            Err(segment.corrupt(broken.position, offset, format!("{}{why}", broken.reason)))
        };
        if offset < self.recovery_point {
            return corrupt(", and this part had been flushed");
        }
        // What a scrub has found is no torn tail: this replica resigns before it is cut (M19).
        if self.damaged.as_ref() == Some(&segment.path) {
            return corrupt(", and this was found before");
        }
        if self.startup == Startup::AfterPowerLoss {
            return Ok(());
        }
        for &base in later {
            let path = segment::path(self.dir, base, "log");
            let next = Segment::open_bare(&self.storage, self.dir, base)?;
            if next.file.len().map_err(LogError::io("measure", &path))? > 0 {
                return corrupt(", and there are later segments");
            }
        }
        let len = segment.file.len().map_err(LogError::io("measure", &segment.path))?;
        let from = broken.position + 1;
        if has_batch_behind(&*segment.file, &segment.path, from, len, offset)? {
            return corrupt(", and there are good batches behind it");
        }
        Ok(())
    }

    /// Cuts the segment's file after its last whole batch, durably: junk that came back after
    /// another power failure would be taken for the log's end, with good segments behind it.
    fn cut(&mut self, segment: &mut Segment, broken: Broken) -> Result<()> {
        let len = segment.file.len().map_err(LogError::io("measure", &segment.path))?;
        if len > segment.size {
            self.report.truncated_bytes += len - segment.size;
            segment.file.set_len(segment.size).map_err(LogError::io("truncate", &segment.path))?;
            segment.file.sync().map_err(LogError::io("flush", &segment.path))?;
        }
        self.report.truncated_because = Some(format!(
            "{} at position {}: {}",
            segment.path.display(),
            broken.position,
            broken.reason
        ));
        Ok(())
    }

    /// Removes the segments behind a cut, the last one first, so that an interruption leaves no
    /// gap.
    fn drop_segments(&mut self, bases: &[i64]) -> Result<()> {
        for &base in bases.iter().rev() {
            let segment = Segment::open_bare(&self.storage, self.dir, base)?;
            self.report.truncated_bytes +=
                segment.file.len().map_err(LogError::io("measure", &segment.path))?;
            self.report.segments_dropped += 1;
            segment.remove(&*self.storage)?;
        }
        Ok(())
    }

    /// After a power loss, what was verified may still be in memory only: a write-back may have
    /// been interrupted again.
    fn sync(&self, segments: &[Segment]) -> Result<()> {
        for segment in segments.iter().filter(|segment| segment.next_offset > self.recovery_point) {
            segment.file.sync().map_err(LogError::io("flush", &segment.path))?;
        }
        self.storage.sync_dir(self.dir).map_err(LogError::io("flush", self.dir))
    }
}

/// The producers at `end`: the newest valid snapshot at or below `believed`, and the batch headers
/// from there on. Snapshots beyond `believed` are removed: they may tell of batches that are gone.
pub(super) fn reload_producers(
    storage: &dyn Storage,
    dir: &Path,
    segments: &[Segment],
    believed: i64,
    end: i64,
) -> Result<ProducerState> {
    if planted::has(Bug::ProducersForgotten) {
        return Ok(ProducerState::new());
    }
    let now_ms = storage.now_ms();
    let entries = storage.read_dir(dir).map_err(LogError::io("list", dir))?;
    let mut snapshots: Vec<i64> =
        entries.iter().filter_map(|entry| segment::parse_name(&entry.name, "snapshot")).collect();
    snapshots.sort_unstable();
    let mut from = segments[0].base_offset;
    let mut state = ProducerState::new();
    while let Some(offset) = snapshots.pop() {
        if offset <= believed
            && let Some(read) = producer_snapshot::read(storage, dir, offset, now_ms)?
        {
            (from, state) = (offset, read);
            break;
        }
        let path = producer_snapshot::path(dir, offset);
        storage.remove_file(&path).map_err(LogError::io("remove", &path))?;
    }
    remember_older_batches(&mut state, segments, from)?;
    for segment in segments.iter().filter(|segment| segment.next_offset > from) {
        let start = match segment.base_offset >= from {
            true => Some(0),
            false => segment.locate(from)?.map(|(position, _)| position),
        };
        let Some(start) = start else { continue };
        let mut walk = BatchWalk::headers(&*segment.file, &segment.path, start, segment.size);
        while let Step::Batch { header, .. } = walk.next()? {
            if header.base_offset >= from && header.next_offset() <= end {
                state.update(&header, now_ms);
            }
        }
    }
    Ok(state)
}

/// How much of the log before a snapshot is looked at for the batches that it does not hold.
const LOOK_BACK: u64 = 1 << 20;

/// A snapshot holds the last batch of each producer only, but any of the last five may be sent
/// again after a restart.
fn remember_older_batches(
    state: &mut ProducerState,
    segments: &[Segment],
    from: i64,
) -> Result<()> {
    if state.is_empty() {
        return Ok(());
    }
    let Some(segment) = segments.iter().rev().find(|segment| segment.base_offset < from) else {
        return Ok(());
    };
    let end = segment.locate(from)?.map_or(segment.size, |(position, _)| position);
    let start = segment.offsets.position_before(end.saturating_sub(LOOK_BACK))?;
    let mut headers = Vec::new();
    let mut walk = BatchWalk::headers(&*segment.file, &segment.path, start, end);
    while let Step::Batch { header, .. } = walk.next()? {
        if header.has_producer_id() {
            headers.push(header);
        }
    }
    headers.iter().rev().for_each(|header| state.remember_older(header));
    Ok(())
}
