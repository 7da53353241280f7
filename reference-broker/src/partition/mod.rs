//! A partition that this broker leads: its log, leader epoch, high watermark, and who waits for
//! them.
//!
//! Batches are validated outside the lock; under it there is only the producer check, the offset
//! and the write. Readers plan under the lock and read without it.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwap;
use ottla_protocol::{ErrorCode, Uuid};
use tokio::sync::Notify;

use crate::config::TopicConfig;
use crate::log::{Deleted, FoundOffset, Log, LogDir, LogError};
use crate::quorum::TopicImage;
use crate::replication::{CommitRule, Leadership};

mod append;
mod clean;
mod commit;
mod read;
mod registry;

pub use append::{AppendError, Appended};
pub use read::{EpochEnd, ReadLimit, ReadResult};
pub use registry::{Changes, Partitions};

/// A partition, for as long as this broker leads it under one epoch. A new epoch is a new object,
/// so whoever waits on this one can never be completed by another epoch's high watermark (M8).
pub struct Partition {
    topic: Arc<str>,
    topic_id: Uuid,
    index: i32,
    leader_epoch: i32,
    log_dir: Arc<LogDir>,
    /// The replication factor.
    replicas: usize,
    state: Mutex<State>,
    config: ArcSwap<TopicConfig>,
    /// Copies of what the state says, for readers without the lock.
    high_watermark: AtomicI64,
    log_start: AtomicI64,
    /// Rung when the high watermark advances or the partition is closed.
    waiters: Mutex<Vec<Weak<Notify>>>,
}

/// What the lock guards.
struct State {
    log: Log,
    leadership: Leadership,
    /// The partition was deleted, or led by somebody else: nothing is served any more.
    closed: bool,
    /// A flush is under way; the one that runs it looks for further work when it is done.
    flushing: bool,
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{} (epoch {})", self.topic, self.index, self.leader_epoch)
    }
}

impl Partition {
    /// Takes the lead with `log`: the epoch is in the epoch cache before anything is served (M5).
    pub(crate) fn lead(
        topic: &TopicImage,
        index: i32,
        leader_epoch: i32,
        config: TopicConfig,
        mut log: Log,
        log_dir: Arc<LogDir>,
        checkpointed_high_watermark: i64,
    ) -> Result<Self, LogError> {
        log.begin_epoch(leader_epoch)?;
        let of = usize::try_from(index).expect("indexes of the image are not negative");
        let replicas = topic.partitions.get(of).map_or(1, |partition| partition.replicas.len());
        let leadership = Leadership::new(
            leader_epoch,
            checkpointed_high_watermark.max(log.log_start_offset()),
            log.log_end_offset(),
            log.durable_end_offset(),
            commit_rule(&config, replicas),
        );
        Ok(Self {
            topic: Arc::from(topic.name.as_str()),
            topic_id: topic.id,
            index,
            leader_epoch,
            log_dir,
            replicas,
            high_watermark: AtomicI64::new(leadership.high_watermark()),
            log_start: AtomicI64::new(log.log_start_offset()),
            state: Mutex::new(State { log, leadership, closed: false, flushing: false }),
            config: ArcSwap::from_pointee(config),
            waiters: Mutex::new(Vec::new()),
        })
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The topic's id.
    pub fn topic_id(&self) -> Uuid {
        self.topic_id
    }

    /// The partition's number.
    pub fn index(&self) -> i32 {
        self.index
    }

    /// The epoch under which this broker leads it.
    pub fn leader_epoch(&self) -> i32 {
        self.leader_epoch
    }

    /// The settings in force.
    pub fn config(&self) -> Arc<TopicConfig> {
        self.config.load_full()
    }

    /// Everything below is committed, and visible to consumers.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark.load(Ordering::Acquire)
    }

    /// The first offset that can be read.
    pub fn log_start_offset(&self) -> i64 {
        self.log_start.load(Ordering::Acquire)
    }

    /// The offset that the next record gets.
    pub fn log_end_offset(&self) -> i64 {
        self.lock().log.log_end_offset()
    }

    /// Whether the partition is no longer served.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// FE-19: an older epoch than the leader's is fenced (74), a newer one is not known here (75);
    /// -1 is no epoch.
    pub fn check_epoch(&self, epoch: i32) -> Result<(), ErrorCode> {
        match epoch {
            -1 => Ok(()),
            epoch if epoch < self.leader_epoch => Err(ErrorCode::FencedLeaderEpoch),
            epoch if epoch > self.leader_epoch => Err(ErrorCode::UnknownLeaderEpoch),
            _ => Ok(()),
        }
    }

    /// Asks to be told when the high watermark advances or the partition is closed; holds for one
    /// time.
    pub fn register(&self, waiter: &Arc<Notify>) {
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        // Those who gave up waiting would pile up on a quiet partition.
        if waiters.len() >= 8 && waiters.len() == waiters.capacity() {
            waiters.retain(|waiter| waiter.strong_count() > 0);
        }
        waiters.push(Arc::downgrade(waiter));
    }

    /// How many wait for the high watermark, some of whom may have given up.
    pub fn waiting(&self) -> usize {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn wake(&self) {
        let waiters = {
            let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *waiters)
        };
        for waiter in waiters.iter().filter_map(Weak::upgrade) {
            waiter.notify_one();
        }
    }

    /// Ends service: whoever waits is answered with 6 (M8).
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake();
    }

    /// Puts new settings in force.
    pub(crate) fn set_config(&self, config: TopicConfig, log_config: crate::log::LogConfig) {
        let mut state = self.lock();
        state.log.set_config(log_config);
        let advanced = state.leadership.on_rule(commit_rule(&config, self.replicas));
        self.config.store(Arc::new(config));
        self.publish(state, advanced);
    }

    /// The first record at or after a time (LO-04, LO-05), of those below `bound`.
    pub fn offset_for_timestamp(
        &self,
        timestamp: i64,
        bound: i64,
    ) -> Result<Option<FoundOffset>, ErrorCode> {
        let found = self.lock().log.offset_for_timestamp(timestamp);
        let found = found.map_err(|error| log_code(&error))?;
        Ok(found.filter(|found| found.offset < bound))
    }

    /// The record with the largest timestamp (LO-03), if it lies below `bound`.
    pub fn max_timestamp(&self, bound: i64) -> Result<Option<FoundOffset>, ErrorCode> {
        let found = self.lock().log.max_timestamp().map_err(|error| log_code(&error))?;
        Ok(found.filter(|found| found.offset < bound))
    }

    /// Raises the log start offset (DeleteRecords, AD-13); answers where it is now.
    pub(crate) fn delete_records(&self, offset: i64) -> Result<i64, ErrorCode> {
        let mut state = self.lock();
        if state.closed {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let high_watermark = state.leadership.high_watermark();
        let offset = if offset == -1 { high_watermark } else { offset };
        if offset < 0 || offset > high_watermark {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        state.log.advance_log_start(offset).map_err(|error| log_code(&error))?;
        let start = state.log.log_start_offset();
        self.publish(state, false);
        Ok(start)
    }

    /// Deletes segments by the topic's retention (M17).
    pub(crate) fn apply_retention(&self) -> Result<Deleted, LogError> {
        let mut state = self.lock();
        if state.closed {
            return Ok(Deleted::default());
        }
        let high_watermark = state.leadership.high_watermark();
        let deleted = state.log.delete_old_segments(high_watermark)?;
        self.publish(state, false);
        Ok(deleted)
    }

    /// Forgets idempotent producers that were silent for `producer.id.expiration.ms`.
    pub(crate) fn expire_producers(&self) -> usize {
        self.lock().log.expire_producers()
    }

    /// Ends service, with everything on disk.
    pub(crate) fn shut_down(&self) -> Result<(), LogError> {
        let mut state = self.lock();
        state.closed = true;
        let closed = state.log.close();
        drop(state);
        self.wake();
        closed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The log checks its own consistency; a panic elsewhere must not take the partition away.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the lock back, with the copies brought up to date and the waiters woken.
    fn publish(&self, state: MutexGuard<'_, State>, advanced: bool) {
        self.high_watermark.store(state.leadership.high_watermark(), Ordering::Release);
        self.log_start.store(state.log.log_start_offset(), Ordering::Release);
        drop(state);
        if advanced {
            self.wake();
        }
    }
}

/// P1: more replicas than the partition has are never demanded (Kafka's `effectiveMinIsr`,
/// KIP-966).
fn commit_rule(config: &TopicConfig, replicas: usize) -> CommitRule {
    let min_in_sync = usize::try_from(config.min_insync_replicas).unwrap_or(1);
    CommitRule {
        min_in_sync: min_in_sync.min(replicas),
        flush_before_ack: config.flush_before_ack(),
    }
}

/// What a client is told of an error of the log.
pub(crate) fn log_code(error: &LogError) -> ErrorCode {
    match error {
        LogError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        LogError::Invalid { .. } => ErrorCode::RecordListTooLarge,
        _ => ErrorCode::KafkaStorageError,
    }
}
