//! Compacting a log: planned under its lock, carried out without it, completed under it again.
//!
//! A pass reads the batches that came since the last one into a map of keys, as many as fit into
//! the memory that it may take, and then writes all segments from the log's start to there anew.
//! New segments are made as `<base>-<end>.cleaned`, and synced. Renamed to `.swap` they are valid,
//! and whatever segments they replace are not: recovery finishes a swap that was interrupted. Only
//! sealed segments below the high watermark are compacted, and only what was flushed: recovery
//! believes gaps there and nowhere else.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::records::{BatchHeader, Compressor, Decompressor, RecordBatch};

use super::cleaner::{Cleaner, OffsetMap, emptied, is_plain};
use super::config::LogConfig;
use super::error::{LogError, Result};
use super::log_dir::LogDir;
use super::partition_log::Log;
use super::segment::{self, Segment, remove_if_there};
use super::storage::{Storage, StorageFile};
use super::walk::{BatchWalk, Step};

/// Bytes that are written at once.
const CHUNK: usize = 1 << 20;
const MILLION: u128 = 1_000_000;

/// What a pass is going to do.
#[derive(Debug)]
#[must_use = "nothing is compacted before the pass was run and completed"]
pub struct Compaction {
    log_dir: Arc<LogDir>,
    dir: PathBuf,
    config: LogConfig,
    generation: u64,
    now_ms: i64,
    /// Where the last pass ended.
    first_dirty: i64,
    inputs: Vec<Input>,
    producers: BTreeMap<i64, i64>,
}

/// A sealed segment.
#[derive(Debug)]
struct Input {
    base_offset: i64,
    next_offset: i64,
    size: u64,
    path: PathBuf,
    file: Arc<dyn StorageFile>,
}

/// A pass that was run: the new segments are on the disk, and not part of the log yet.
#[derive(Debug)]
pub struct Compacted {
    generation: u64,
    end_offset: i64,
    inputs: Vec<i64>,
    outputs: Vec<Output>,
    report: CompactionReport,
}

/// A new segment.
#[derive(Debug)]
struct Output {
    /// Its file is still called `.cleaned`.
    segment: Segment,
    /// Those that it replaces have base offsets in here.
    range: Range<i64>,
    /// Bytes that were not written yet.
    pending: Vec<u8>,
    /// The last batch that was looked at.
    last: Option<BatchHeader>,
}

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CompactionReport {
    /// Segments before.
    pub segments: usize,
    /// Bytes before.
    pub bytes_read: u64,
    /// Bytes afterwards.
    pub bytes_kept: u64,
}

impl Log {
    /// Plans a pass if one is due: of what can be compacted, more than
    /// `min.cleanable.dirty.ratio` came since the last one, or a record of it is older than
    /// `max.compaction.lag.ms`. `bound` is the high watermark or, below it, the last stable offset.
    pub fn plan_compaction(&self, bound: i64) -> Result<Option<Compaction>> {
        self.check()?;
        if !self.config.cleanup_compact {
            return Ok(None);
        }
        let cleaned = self.log_dir.cleaned(&self.of).unwrap_or(0);
        let first_dirty = cleaned.max(self.log_start_offset);
        let now_ms = self.storage.now_ms();
        let too_young = now_ms.saturating_sub(self.config.min_compaction_lag_ms);
        let sealed = &self.segments[..self.segments.len() - 1];
        let bound = bound.min(self.recovery_point);
        let may = |segment: &&Segment| {
            let old_enough = segment.next_offset <= first_dirty
                || self.config.min_compaction_lag_ms <= 0
                || segment.largest.timestamp <= too_young;
            segment.next_offset <= bound && old_enough
        };
        let inputs: Vec<&Segment> = sealed.iter().take_while(may).collect();
        let is_dirty = |segment: &&&Segment| segment.next_offset > first_dirty;
        let dirty = || inputs.iter().filter(is_dirty);
        let dirty_bytes: u64 = dirty().map(|segment| segment.size).sum();
        let bytes: u64 = inputs.iter().map(|segment| segment.size).sum();
        let ratio = u128::from(self.config.min_cleanable_dirty_ppm);
        let due = u128::from(dirty_bytes) * MILLION > u128::from(bytes) * ratio;
        if dirty_bytes == 0 || !(due || self.is_overdue(dirty(), now_ms)?) {
            return Ok(None);
        }
        let last = |(id, producer): (i64, &super::producer_state::Producer)| {
            Some((id, producer.batches.back()?.last_offset))
        };
        Ok(Some(Compaction {
            log_dir: Arc::clone(&self.log_dir),
            dir: self.dir.clone(),
            config: self.config.clone(),
            generation: self.generation,
            now_ms,
            first_dirty,
            inputs: inputs.into_iter().map(Input::new).collect(),
            producers: self.producers.iter().filter_map(last).collect(),
        }))
    }

    /// Whether one of these segments has waited for `max.compaction.lag.ms` (KIP-354).
    fn is_overdue<'a>(
        &self,
        segments: impl Iterator<Item = &'a &'a Segment>,
        now_ms: i64,
    ) -> Result<bool> {
        let latest = now_ms.saturating_sub(self.config.max_compaction_lag_ms);
        if latest <= 0 {
            return Ok(false);
        }
        for segment in segments {
            let mut walk = BatchWalk::headers(&*segment.file, &segment.path, 0, segment.size);
            if let Step::Batch { header, .. } = walk.next()?
                && (0..latest).contains(&header.max_timestamp)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Puts the new segments in the place of the old ones. `None`: the log was cut or lost segments
    /// to retention meanwhile; the pass is void.
    ///
    /// # Errors
    /// [`LogError::DirFailed`] when a swap could not be carried through: the next start does it.
    pub fn complete_compaction(&mut self, done: Compacted) -> Result<Option<CompactionReport>> {
        self.check()?;
        let bases = self.segments.iter().map(|segment| segment.base_offset);
        let unchanged = bases.take(done.inputs.len()).eq(done.inputs.iter().copied());
        if done.generation != self.generation || !unchanged {
            remove_outputs(&*self.storage, &done.outputs);
            return Ok(None);
        }
        self.log_dir.write_recovery_points()?;
        self.log_dir.note_gaps(&self.of)?;
        self.generation += 1;
        // The oldest first: what a tombstone supersedes goes before it, also over a crash.
        for output in done.outputs {
            let swapped = self.swap(output);
            self.or_fail(swapped)?;
        }
        self.note_names_changed();
        self.note_size();
        self.log_dir.set_cleaned(&self.of, done.end_offset)?;
        Ok(Some(done.report))
    }

    fn swap(&mut self, output: Output) -> Result<()> {
        let Output { mut segment, range, .. } = output;
        let storage = Arc::clone(&self.storage);
        let sync = || storage.sync_dir(&self.dir).map_err(LogError::io("flush", &self.dir));
        let swap = segment.path.with_extension("swap");
        storage.rename(&segment.path, &swap).map_err(LogError::io("rename", &segment.path))?;
        sync()?;
        let from = self.segments.partition_point(|old| old.base_offset < range.start);
        let to = self.segments.partition_point(|old| old.base_offset < range.end);
        for old in &self.segments[from..to] {
            old.remove(&*storage)?;
        }
        sync()?;
        segment.path = segment::path(&self.dir, segment.base_offset, "log");
        storage.rename(&swap, &segment.path).map_err(LogError::io("rename", &swap))?;
        segment.seal(&*storage)?;
        for index in [segment.offsets.entries.file(), segment.times.entries.file()] {
            let synced = index.map_or(Ok(()), |file| file.sync());
            synced.map_err(LogError::io("flush", segment.offsets.entries.path()))?;
        }
        self.segments.splice(from..to, [segment]);
        Ok(())
    }
}

impl Input {
    fn new(segment: &Segment) -> Self {
        Self {
            base_offset: segment.base_offset,
            next_offset: segment.next_offset,
            size: segment.size,
            path: segment.path.clone(),
            file: Arc::clone(&segment.file),
        }
    }

    /// Every batch, its CRC verified.
    fn batches(
        &self,
        mut each: impl FnMut(&BatchHeader, u64, Bytes) -> Result<bool>,
    ) -> Result<bool> {
        let mut walk = BatchWalk::verified(&*self.file, &self.path, 0, self.size);
        let mut expected = self.base_offset;
        loop {
            match walk.next()? {
                Step::Batch { header, position } if header.base_offset >= expected => {
                    expected = header.next_offset();
                    let bytes = walk.batch(position, &header)?;
                    if !each(&header, position, bytes)? {
                        return Ok(false);
                    }
                }
                Step::Batch { header, position } => {
                    let reason = format!("base offset is {}", header.base_offset);
                    return Err(self.corrupt(position, expected, reason));
                }
                Step::Broken(broken) => {
                    return Err(self.corrupt(broken.position, expected, broken.reason));
                }
                Step::End => return Ok(true),
            }
        }
    }

    fn corrupt(&self, position: u64, offset: i64, reason: String) -> LogError {
        LogError::Corrupt { segment: self.path.clone(), position, offset, reason }
    }
}

impl Compaction {
    /// Carries the pass out, with a map of keys of `buffer_bytes` at most, but one batch's in any
    /// case. `pace` is told of bytes that were read; it may take its time, or end the work by an
    /// error. After an error nothing is left behind.
    pub fn run(
        self,
        buffer_bytes: usize,
        mut pace: impl FnMut(usize) -> Result<()>,
    ) -> Result<Compacted> {
        self.log_dir.check()?;
        let (map, end_offset) = self.read_keys(buffer_bytes, &mut pace)?;
        let mut outputs = Vec::new();
        if end_offset > self.first_dirty {
            let written = self.write(&map, end_offset, &mut outputs, &mut pace);
            if let Err(error) = written {
                remove_outputs(&**self.log_dir.storage(), &outputs);
                return Err(error);
            }
        }
        let is_new = !outputs.is_empty();
        let inputs = self.inputs.iter().filter(|input| is_new && input.base_offset < end_offset);
        let report = CompactionReport {
            segments: inputs.clone().count(),
            bytes_read: inputs.clone().map(|input| input.size).sum(),
            bytes_kept: outputs.iter().map(|output| output.segment.size).sum(),
        };
        let inputs = inputs.map(|input| input.base_offset).collect();
        Ok(Compacted { generation: self.generation, end_offset, inputs, outputs, report })
    }

    /// The last offset of each key that came since the last pass, and up to where.
    fn read_keys(
        &self,
        buffer_bytes: usize,
        pace: &mut impl FnMut(usize) -> Result<()>,
    ) -> Result<(OffsetMap, i64)> {
        let mut map = OffsetMap::default();
        let mut end_offset = self.first_dirty;
        let mut decompressor = Decompressor::new();
        for input in self.inputs.iter().filter(|input| input.next_offset > self.first_dirty) {
            let go_on = input.batches(|header, position, bytes| {
                pace(bytes.len())?;
                if header.next_offset() <= self.first_dirty {
                    return Ok(true);
                }
                if !is_plain(header) || map.bytes() >= buffer_bytes.max(1) {
                    return Ok(false);
                }
                let corrupt = |error: ottla_protocol::records::RecordError| {
                    input.corrupt(position, header.base_offset, error.to_string())
                };
                let batch = RecordBatch::parse(bytes).map_err(corrupt)?;
                for record in &batch.records(&mut decompressor).map_err(corrupt)? {
                    let record = record.map_err(corrupt)?;
                    if let Some(key) = record.key {
                        map.insert(key, record.offset);
                    }
                }
                end_offset = header.next_offset();
                Ok(true)
            })?;
            if !go_on {
                break;
            }
        }
        Ok((map, end_offset))
    }

    /// Writes the segments below `end_offset` anew.
    fn write(
        &self,
        map: &OffsetMap,
        end_offset: i64,
        outputs: &mut Vec<Output>,
        pace: &mut impl FnMut(usize) -> Result<()>,
    ) -> Result<()> {
        let mut cleaner = Cleaner {
            map,
            map_end: end_offset,
            now_ms: self.now_ms,
            delete_retention_ms: self.config.delete_retention_ms,
            producers: &self.producers,
            decompressor: Decompressor::new(),
            compressor: Compressor::new(),
        };
        for (at, input) in self.inputs.iter().enumerate() {
            if input.base_offset >= end_offset {
                break;
            }
            let fits = outputs.last().is_some_and(|output| self.fits(output, input));
            if !fits {
                self.finish_last(outputs)?;
                outputs.push(self.begin(input)?);
            }
            let output = outputs.last_mut().expect("one was made if there was none");
            output.range.end = match self.inputs.get(at + 1) {
                Some(next) => next.base_offset,
                None => input.next_offset,
            };
            input.batches(|header, position, bytes| {
                pace(bytes.len())?;
                output.last = Some(*header);
                let kept = cleaner.clean(header, bytes).map_err(|error| {
                    input.corrupt(position, header.base_offset, error.to_string())
                })?;
                kept.map_or(Ok(()), |bytes| self.put(output, &bytes)).map(|()| true)
            })?;
        }
        self.finish_last(outputs)
    }

    /// Whether another segment may go into the same new one.
    fn fits(&self, output: &Output, input: &Input) -> bool {
        let limit = u64::from(self.config.segment_bytes.min(i32::MAX as u32));
        output.size() + input.size <= limit
            && input.next_offset - output.segment.base_offset <= i64::from(i32::MAX)
    }

    fn begin(&self, input: &Input) -> Result<Output> {
        let base = input.base_offset;
        let path = self.dir.join(format!("{base:020}-{base:020}.cleaned"));
        let storage = self.log_dir.storage();
        let segment = Segment::create_at(storage, &self.dir, base, path)?;
        Ok(Output { segment, range: base..base, pending: Vec::new(), last: None })
    }

    fn put(&self, output: &mut Output, bytes: &Bytes) -> Result<()> {
        let invalid = |reason| LogError::Invalid { dir: self.dir.clone(), reason };
        if output.size() + bytes.len() as u64 > i32::MAX as u64 {
            return Err(invalid(
                "a compacted segment would have more than 2 GiB; lower segment.bytes".to_owned(),
            ));
        }
        let header = BatchHeader::parse(bytes).map_err(|error| invalid(error.to_string()))?;
        output.pending.extend_from_slice(bytes);
        output.segment.index_batch(&header, &self.config);
        match output.pending.len() >= CHUNK {
            true => self.write_out(output),
            false => Ok(()),
        }
    }

    fn write_out(&self, output: &mut Output) -> Result<()> {
        let segment = &output.segment;
        let at = segment.size - output.pending.len() as u64;
        let written = segment.file.write(at, &[&output.pending]);
        written.map_err(|error| self.log_dir.write_failed("write", &segment.path, error))?;
        output.pending.clear();
        Ok(())
    }

    /// Completes the new segment that was written last, if there is one: synced, its name saying
    /// what it replaces.
    fn finish_last(&self, outputs: &mut [Output]) -> Result<()> {
        let Some(output) = outputs.last_mut() else { return Ok(()) };
        if let (0, Some(last)) = (output.size(), output.last) {
            // A segment without a batch would not say where it ends.
            self.put(output, &emptied(&last))?;
        }
        self.write_out(output)?;
        let storage = self.log_dir.storage();
        let segment = &mut output.segment;
        let synced = segment.file.sync();
        synced.map_err(|error| self.log_dir.fail("flush", &segment.path, &error))?;
        let Range { start, end } = output.range;
        let path = self.dir.join(format!("{start:020}-{end:020}.cleaned"));
        if path != segment.path {
            storage.rename(&segment.path, &path).map_err(LogError::io("rename", &segment.path))?;
            segment.path = path;
        }
        Ok(())
    }
}

impl Output {
    fn size(&self) -> u64 {
        self.segment.size
    }
}

/// What is left behind is removed by the next start at the latest.
fn remove_outputs(storage: &dyn Storage, outputs: &[Output]) {
    for output in outputs {
        let _ = storage.remove_file(&output.segment.path);
    }
}

/// Finishes swaps that were interrupted: the new segment is whole and valid, those that it replaces
/// are not any more.
pub(super) fn finish_swaps(storage: &dyn Storage, dir: &Path) -> Result<()> {
    let sync = || storage.sync_dir(dir).map_err(LogError::io("flush", dir));
    let entries = storage.read_dir(dir).map_err(LogError::io("list", dir))?;
    for entry in &entries {
        let Some(range) = parse_swap(&entry.name) else { continue };
        for old in &entries {
            let kinds = ["log", "index", "timeindex", "sum"].iter();
            let replaced = kinds
                .filter_map(|kind| segment::parse_name(&old.name, kind))
                .any(|base| range.contains(&base));
            if replaced {
                remove_if_there(storage, &dir.join(&old.name))?;
            }
        }
        sync()?;
        let swap = dir.join(&entry.name);
        let path = segment::path(dir, range.start, "log");
        storage.rename(&swap, &path).map_err(LogError::io("rename", &swap))?;
        sync()?;
    }
    Ok(())
}

/// The range in the name of a segment that is being swapped in.
fn parse_swap(name: &str) -> Option<Range<i64>> {
    let (start, end) = name.strip_suffix(".swap")?.split_once('-')?;
    Some(start.parse().ok()?..end.parse().ok()?)
}
