//! The follower's side: what it asks of the leader, and what it does with the answer (M6).
//!
//! Nothing is remembered between two fetches but the high watermark: the log says where it ends
//! and under which epoch that was written, and the leader says whether its own log agrees.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::fetch::{EpochEndOffset, FetchPartition, PartitionData};

use crate::planted::{self, Bug};

/// A follower's log, as far as fetching needs it.
pub trait FollowerLog {
    /// The first offset.
    fn start(&self) -> i64;
    /// The offset that the next record gets.
    fn end(&self) -> i64;
    /// The epoch of the last batch; -1 if none is known.
    fn last_epoch(&self) -> i32;
    /// Where an epoch, or the one before it, ended here; none if all that are known are older.
    fn end_of_epoch(&self, epoch: i32) -> Option<(i32, i64)>;
}

/// What a follower has to do with its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Append the records of the answer, then note where the leader stands.
    Append {
        /// The leader's high watermark.
        high_watermark: i64,
        /// The leader's log start.
        log_start: i64,
    },
    /// Cut the log so that it ends there, and ask again.
    TruncateTo(i64),
    /// Drop everything and go on there.
    StartAt(i64),
    /// The answer is to a question that is not asked any more.
    Drop,
    /// Nothing can be fetched now, for this reason: ask again after a while, or when the metadata
    /// has changed.
    Wait(ErrorCode),
}

/// One follower of one leader under one epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Following {
    epoch: i32,
    high_watermark: i64,
}

impl Following {
    /// A follower under `epoch`; `high_watermark` is what was last known to be committed.
    pub fn new(epoch: i32, high_watermark: i64, log_end: i64) -> Self {
        Self { epoch, high_watermark: high_watermark.min(log_end) }
    }

    /// The leader epoch (M5).
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// Everything below is committed, as far as this follower was told.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// What to ask of the leader: what follows the log's end, if the leader's log is the same up to
    /// there.
    pub fn request(&self, index: i32, log: &impl FollowerLog, bytes_max: i32) -> FetchPartition {
        FetchPartition {
            partition: index,
            current_leader_epoch: self.epoch,
            fetch_offset: log.end(),
            last_fetched_epoch: match is_by_epoch() {
                true => log.last_epoch(),
                false => -1,
            },
            log_start_offset: log.start(),
            partition_max_bytes: bytes_max,
            ..FetchPartition::default()
        }
    }

    /// What the answer to `asked` means for the log. Truncation comes before everything else: a
    /// high watermark that was taken from an answer that tells of divergence would commit what is
    /// about to be cut (KAFKA-14704).
    pub fn on_answer(
        &self,
        asked: &FetchPartition,
        answer: &PartitionData,
        log: &impl FollowerLog,
    ) -> Step {
        // The log was cut or replaced, or the leader has changed, since this was asked.
        if asked.current_leader_epoch != self.epoch || asked.fetch_offset != log.end() {
            return Step::Drop;
        }
        match ErrorCode::from_code(answer.error_code) {
            Some(ErrorCode::None) => {}
            // Only a log that ends below the leader's start is out of range: one that goes too far
            // diverges. An empty one has no epoch to diverge by.
            Some(ErrorCode::OffsetOutOfRange) => {
                let start = answer.log_start_offset;
                let starts_anew = start >= 0 && (log.end() < start || log.start() == log.end());
                return match starts_anew && start != log.end() {
                    true => Step::StartAt(start),
                    false => Step::Wait(ErrorCode::OffsetOutOfRange),
                };
            }
            Some(code) => return Step::Wait(code),
            None => return Step::Wait(ErrorCode::UnknownServerError),
        }
        let unknown = answer.high_watermark.min(log.end()) > self.high_watermark;
        let is_early = planted::has(Bug::HighWatermarkBeforeTruncation) && unknown;
        if answer.diverging_epoch != EpochEndOffset::default() && !is_early {
            return Step::TruncateTo(truncation_offset(&answer.diverging_epoch, log));
        }
        Step::Append { high_watermark: answer.high_watermark, log_start: answer.log_start_offset }
    }

    /// The log has been appended to, and ends at `log_end`; the leader's high watermark is another.
    /// True if the follower's has advanced. A new leader's is behind at first: what was committed
    /// stays so.
    pub fn on_appended(&mut self, leader_high_watermark: i64, log_end: i64) -> bool {
        let known = leader_high_watermark.min(log_end);
        let advanced = known > self.high_watermark;
        self.high_watermark = self.high_watermark.max(known);
        advanced
    }

    /// The log was cut and ends at `log_end`.
    pub fn on_truncated(&mut self, log_end: i64) {
        self.high_watermark = self.high_watermark.min(log_end);
    }

    /// The log was dropped and begins at `log_start`, which the leader's high watermark has passed.
    pub fn on_started_at(&mut self, log_start: i64) {
        self.high_watermark = log_start;
    }
}

/// Where to cut: the lesser of the ends of the leader's epoch here and there (KIP-101). If this log
/// has not got that epoch, its last older one ends where the next question begins, and so on
/// (KIP-279).
fn truncation_offset(diverging: &EpochEndOffset, log: &impl FollowerLog) -> i64 {
    let leader_end = diverging.end_offset.min(log.end());
    let own_end = match log.end_of_epoch(diverging.epoch) {
        Some((_, end)) => end,
        None => log.end(),
    };
    own_end.min(leader_end).max(0)
}

/// Whether logs are compared by their epochs.
fn is_by_epoch() -> bool {
    !planted::has(Bug::NoTruncation) && !planted::has(Bug::TruncationToHighWatermark)
}
