//! Reading: what a fetch sees of a partition.

use bytes::Bytes;
use ottla_protocol::ErrorCode;

use super::{Partition, log_code};

/// Up to where a reader may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadLimit {
    /// read_uncommitted: the high watermark.
    HighWatermark,
    /// read_committed: the last stable offset.
    LastStable,
    /// The broker's own coordinators, at load, and followers.
    LogEnd,
}

/// An epoch and the offset at which it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch.
    pub epoch: i32,
    /// Its exclusive end.
    pub end_offset: i64,
}

/// What a read gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadResult {
    /// Whole batches, as they are stored; empty where there is nothing to see.
    pub records: Bytes,
    /// Everything below is committed.
    pub high_watermark: i64,
    /// Everything below belongs to no open transaction.
    pub last_stable_offset: i64,
    /// The first offset that can be read.
    pub log_start_offset: i64,
    /// Where to read on.
    pub next_offset: i64,
}

impl Partition {
    /// Reads whole batches from the one that holds `offset` on (FE-05). FE-06: at the log's end,
    /// and between the high watermark and it, there is nothing and no error; beyond it, and before
    /// the log's start, the offset is out of range.
    pub fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        limit: ReadLimit,
        min_one_batch: bool,
    ) -> Result<ReadResult, ErrorCode> {
        let state = self.lock();
        if self.is_over(&state) {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let high_watermark = state.high_watermark();
        let unstable = state.log.producers.first_unstable_offset();
        let last_stable_offset = unstable.map_or(high_watermark, |first| first.min(high_watermark));
        let upper_bound = match limit {
            ReadLimit::HighWatermark => high_watermark,
            ReadLimit::LastStable => last_stable_offset,
            ReadLimit::LogEnd => state.log.log_end_offset(),
        };
        let log_start_offset = state.log.log_start_offset();
        let plan = state
            .log
            .plan_read(offset, max_bytes, upper_bound, min_one_batch)
            .map_err(|error| log_code(&error))?;
        // The read itself needs no lock: segments stay readable while they are deleted.
        drop(state);
        let data = plan.run().map_err(|error| {
            tracing::error!(partition = ?self, %error, "read failed");
            log_code(&error)
        })?;
        Ok(ReadResult {
            records: data.records,
            high_watermark,
            last_stable_offset,
            log_start_offset,
            next_offset: data.next_offset,
        })
    }

    /// Where an epoch ended (LE-01 to LE-03 as corrected): none for an epoch that is not known
    /// here.
    pub fn end_of_epoch(&self, epoch: i32) -> Option<EpochEnd> {
        let state = self.lock();
        let end = state.log.log_end_offset();
        let found = state.log.epoch_cache().end_offset_for(epoch, end);
        found.map(|(epoch, end_offset)| EpochEnd { epoch, end_offset })
    }

    /// The last stable offset.
    pub fn last_stable_offset(&self) -> i64 {
        let state = self.lock();
        let high_watermark = state.high_watermark();
        let unstable = state.log.producers.first_unstable_offset();
        unstable.map_or(high_watermark, |first| first.min(high_watermark))
    }

    /// The epoch that wrote `offset` (LO-08).
    pub fn epoch_of(&self, offset: i64) -> Option<i32> {
        self.lock().log.epoch_cache().epoch_of(offset)
    }
}
