//! Compaction and scrubbing: long work on a log, planned and completed under the lock, done without
//! it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Partition;
use crate::log::{CompactionReport, Damage, LogError};
use crate::planted::{self, Bug};

/// Bytes between two looks at the clock, and at whether the partition is still served.
const STRIDE: usize = 1 << 20;

impl Partition {
    /// Compacts the log if that is due, with `buffer_bytes` of memory for keys. `None`: it was not,
    /// or the log was cut meanwhile.
    pub(crate) fn compact(
        &self,
        buffer_bytes: usize,
    ) -> Result<Option<CompactionReport>, LogError> {
        let (planned, generation) = {
            let state = self.lock();
            if state.closed || state.log.check().is_err() {
                return Ok(None);
            }
            let high_watermark = state.high_watermark();
            let unstable = state.log.producers.first_unstable_offset().unwrap_or(high_watermark);
            let planned = state.log.plan_compaction(high_watermark.min(unstable))?;
            (planned, state.log.generation())
        };
        let Some(planned) = planned else { return Ok(None) };
        let compacted = planned.run(buffer_bytes, self.pace(None));
        let mut state = self.lock();
        if state.closed {
            return Ok(None);
        }
        match compacted {
            Ok(compacted) => state.log.complete_compaction(compacted),
            Err(error) => {
                // A log that was cut meanwhile looks damaged to who reads it.
                let damage = Damage::of(&error).filter(|_| state.log.generation() == generation);
                if let Some(damage) = damage {
                    let noted = state.log.quarantine(damage);
                    drop(state);
                    self.go_offline();
                    noted?;
                }
                Err(error)
            }
        }
    }

    /// Reads the whole log again, no faster than `bytes_per_second`; says how many bytes that were.
    ///
    /// # Errors
    /// [`LogError::Corrupt`]: it is damaged, and quarantined (M19).
    pub(crate) fn scrub(&self, bytes_per_second: u64) -> Result<u64, LogError> {
        let planned = {
            let state = self.lock();
            if state.closed || state.log.check().is_err() {
                return Ok(0);
            }
            state.log.plan_scrub()?
        };
        let scrubbed = planned.run(self.pace(Some(bytes_per_second)))?;
        let mut state = self.lock();
        let blind = planted::has(Bug::BlindScrub);
        if !state.closed && !blind && state.log.complete_scrub(&scrubbed)? {
            let damaged = state.log.check();
            drop(state);
            self.go_offline();
            return damaged.map(|()| scrubbed.bytes);
        }
        Ok(scrubbed.bytes)
    }

    /// Whether nothing of the log is served: it is damaged (M19), or its log dir has failed.
    pub(crate) fn is_offline(&self) -> bool {
        self.damaged.load(Ordering::Acquire) || self.log_dir.failure().is_some()
    }

    /// Whether only the log is damaged, and not its log dir failed.
    pub(super) fn dir_works(&self) -> bool {
        self.log_dir.failure().is_none()
    }

    /// Tells everybody that the log was quarantined.
    fn go_offline(&self) {
        self.damaged.store(true, Ordering::Release);
        self.wake();
    }

    /// Ends the work when the partition is not served any more, and holds it to a rate.
    fn pace(&self, bytes_per_second: Option<u64>) -> impl FnMut(usize) -> Result<(), LogError> {
        let (began, mut done, mut next) = (Instant::now(), 0, STRIDE);
        move |bytes| {
            done += bytes;
            if done < next {
                return Ok(());
            }
            next = done + STRIDE;
            if self.is_closed() {
                let reason = "the partition is not served any more".to_owned();
                return Err(LogError::Invalid { dir: self.log_dir.path().to_path_buf(), reason });
            }
            if let Some(rate) = bytes_per_second {
                let due = Duration::from_secs_f64(done as f64 / rate.max(1) as f64);
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
            Ok(())
        }
    }
}
