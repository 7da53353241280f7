//! Reading everything again, to find what a disk has changed (M19).
//!
//! A batch's CRC covers what follows it. What stands before is held against what is known: offsets
//! must go on where the last batch ended, leader epochs must be those of the epoch cache, and a
//! sealed segment's sum must be what it was. So one flipped bit is found wherever it is.

use std::path::PathBuf;
use std::sync::Arc;

use ottla_protocol::records::BatchHeader;

use super::epoch_cache::EpochEntry;
use super::error::{LogError, Result};
use super::log_dir::LogDir;
use super::partition_log::Log;
use super::segment::Segment;
use super::segment_sum;
use super::storage::StorageFile;
use super::truncate::Damage;
use super::walk::{BatchWalk, Step};

/// A scrub that can be run without the log.
#[derive(Debug)]
pub struct Scrub {
    log_dir: Arc<LogDir>,
    generation: u64,
    segments: Vec<Part>,
    epochs: Vec<EpochEntry>,
    gaps_allowed: bool,
}

/// What a scrub has to know of a segment.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    file: Arc<dyn StorageFile>,
    size: u64,
    base_offset: i64,
    next_offset: i64,
    /// Where the sum is; `None` while the segment grows.
    sum: Option<PathBuf>,
}

/// What a scrub has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "damage counts once the log was told"]
pub struct Scrubbed {
    /// Bytes that were read.
    pub bytes: u64,
    /// The first damage, if there is any.
    pub damage: Option<Damage>,
    generation: u64,
    /// Sums of sealed segments that had none, with their sizes.
    sums: Vec<(PathBuf, u64, u32)>,
}

impl Log {
    /// Plans to read the whole log as it is now.
    pub fn plan_scrub(&self) -> Result<Scrub> {
        self.check()?;
        let active = self.active().base_offset;
        let part = |segment: &Segment| Part {
            path: segment.path.clone(),
            file: Arc::clone(&segment.file),
            size: segment.size,
            base_offset: segment.base_offset,
            next_offset: segment.next_offset,
            sum: (segment.base_offset != active).then(|| segment.sum_path()),
        };
        Ok(Scrub {
            log_dir: Arc::clone(&self.log_dir),
            generation: self.generation,
            segments: self.segments.iter().map(part).collect(),
            epochs: self.epochs.entries().to_vec(),
            gaps_allowed: self.config.cleanup_compact || self.log_dir.cleaned(&self.of).is_some(),
        })
    }

    /// Quarantines the log if damage was found in it, and says whether it was. What was cut,
    /// compacted or deleted meanwhile does not count: the next scrub sees what is there then.
    pub fn complete_scrub(&mut self, scrubbed: &Scrubbed) -> Result<bool> {
        if scrubbed.generation != self.generation || self.damage.is_some() {
            return Ok(false);
        }
        for (path, size, sum) in &scrubbed.sums {
            if self.segments.iter().any(|segment| segment.sum_path() == *path) {
                segment_sum::write(&*self.storage, path, *size, *sum)?;
            }
        }
        match &scrubbed.damage {
            Some(damage) if self.segments.iter().any(|here| here.path == damage.segment) => {
                self.quarantine(damage.clone()).map(|()| true)
            }
            _ => Ok(false),
        }
    }
}

impl Scrub {
    /// Reads. `pace` is told of bytes that were read; it may take its time, or end the work by an
    /// error.
    ///
    /// # Errors
    /// When the log dir is out of service. A segment that cannot be read counts as damaged.
    pub fn run(&self, mut pace: impl FnMut(usize) -> Result<()>) -> Result<Scrubbed> {
        let mut scrubbed = Scrubbed { generation: self.generation, ..Scrubbed::default() };
        for part in &self.segments {
            self.log_dir.check()?;
            scrubbed.bytes += part.size;
            match self.read(part, &mut pace)? {
                Ok(sum) => scrubbed.damage = self.check_sum(part, sum, &mut scrubbed.sums)?,
                Err(damage) => scrubbed.damage = Some(damage),
            }
            if scrubbed.damage.is_some() {
                break;
            }
        }
        Ok(scrubbed)
    }

    /// A segment's sum, or the first damage in it.
    fn read(
        &self,
        part: &Part,
        pace: &mut impl FnMut(usize) -> Result<()>,
    ) -> Result<Result<u32, Damage>> {
        let mut walk = BatchWalk::verified(&*part.file, &part.path, 0, part.size);
        let (mut expected, mut sum, mut at) = (part.base_offset, 0, 0);
        loop {
            let reason = match walk.next() {
                Ok(Step::Batch { header, position }) => {
                    pace(header.size_in_bytes())?;
                    at = position;
                    match self.wrong(part, &header, expected) {
                        Some(reason) => reason,
                        None => {
                            sum = segment_sum::chain(sum, &header);
                            expected = header.next_offset();
                            continue;
                        }
                    }
                }
                Ok(Step::Broken(broken)) => {
                    at = broken.position;
                    broken.reason
                }
                Ok(Step::End) => return Ok(Ok(sum)),
                Err(LogError::Io { source, .. }) => format!("it cannot be read: {source}"),
                Err(error) => return Err(error),
            };
            return Ok(Err(part.damaged(at, expected, reason)));
        }
    }

    /// What of a batch with a good CRC does not fit the log.
    fn wrong(&self, part: &Part, header: &BatchHeader, expected: i64) -> Option<String> {
        let BatchHeader { base_offset, partition_leader_epoch: epoch, .. } = *header;
        if base_offset < expected || (base_offset > expected && !self.gaps_allowed) {
            return Some(format!("base offset is {base_offset}, {expected} was expected"));
        }
        if header.next_offset() > part.next_offset {
            let (next, end) = (header.next_offset(), part.next_offset);
            return Some(format!("the batch ends with {next}, the segment with {end} (exclusive)"));
        }
        let above = self.epochs.partition_point(|entry| entry.start_offset <= base_offset);
        let known = above.checked_sub(1).map(|entry| self.epochs[entry].epoch);
        match known {
            Some(known) if known != epoch => {
                Some(format!("leader epoch is {epoch}, {known} wrote offset {base_offset}"))
            }
            _ => None,
        }
    }

    /// Compares the sum of a sealed segment, or notes it where there is none.
    fn check_sum(
        &self,
        part: &Part,
        sum: u32,
        sums: &mut Vec<(PathBuf, u64, u32)>,
    ) -> Result<Option<Damage>> {
        let Some(path) = &part.sum else { return Ok(None) };
        match segment_sum::read(&**self.log_dir.storage(), path, part.size)? {
            Some(written) if written != sum => {
                return Ok(Some(part.damaged(
                    0,
                    part.base_offset,
                    segment_sum::DIFFERS.to_owned(),
                )));
            }
            Some(_) => {}
            None => sums.push((path.clone(), part.size, sum)),
        }
        Ok(None)
    }
}

impl Part {
    fn damaged(&self, position: u64, offset: i64, reason: String) -> Damage {
        Damage { segment: self.path.clone(), position, offset, reason }
    }
}
