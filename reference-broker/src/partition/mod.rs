//! A replica that this broker has: its log, leader epoch, high watermark, and who waits for them.
//! It leads its partition, or follows another broker that does.
//!
//! Batches are validated outside the lock; under it there is only the producer check, the offset
//! and the write. Readers plan under the lock and read without it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use arc_swap::ArcSwap;
use ottla_protocol::{ErrorCode, Uuid};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::TopicConfig;
use crate::log::{Deleted, FoundOffset, Log, LogDir, LogError};
use crate::planted::{self, Bug};
use crate::quorum::{Image, TopicImage};
use crate::replication::{Assignment, CommitRule, Following, Leadership, LogEnds};

mod append;
mod clean;
mod commit;
mod read;
mod registry;
mod replica;

pub use append::{AppendError, Appended};
pub use read::{EpochEnd, ReadLimit, ReadResult};
pub use registry::{Changes, Partitions};
pub(crate) use replica::{Fetching, Took, wait_for};

/// A replica of a partition, for as long as the partition has one leader epoch. A new epoch is a
/// new object over the same log, so whoever waits on this one can never be completed by another
/// epoch's high watermark (M8).
pub struct Partition {
    topic: Arc<str>,
    topic_id: Uuid,
    index: i32,
    leader_epoch: i32,
    /// This broker, and the one that leads.
    node_id: i32,
    leader: i32,
    log_dir: Arc<LogDir>,
    state: Arc<Mutex<State>>,
    config: ArcSwap<TopicConfig>,
    /// The log was found damaged (M19).
    damaged: AtomicBool,
    /// Copies of what the state says, for readers without the lock.
    high_watermark: AtomicI64,
    log_start: AtomicI64,
    /// Rung when the high watermark advances or the partition is closed.
    waiters: Mutex<Vec<Weak<Notify>>>,
}

/// A replica's place in the metadata.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed<'a> {
    pub(crate) image: &'a Image,
    pub(crate) topic: &'a TopicImage,
    pub(crate) index: i32,
    pub(crate) node_id: i32,
}

/// What the lock guards; one epoch hands it on to the next.
struct State {
    log: Log,
    role: Role,
    /// The leader epoch of the object that serves it.
    epoch: i32,
    /// The partition was deleted, or the broker ends: nothing is served any more.
    closed: bool,
    /// A flush is under way; the one that runs it looks for further work when it is done.
    flushing: bool,
}

/// What this broker is to the partition.
enum Role {
    Leader(Box<Leadership>),
    Follower(Following),
}

impl State {
    fn high_watermark(&self) -> i64 {
        match &self.role {
            Role::Leader(leadership) => leadership.high_watermark(),
            Role::Follower(following) => following.high_watermark(),
        }
    }

    /// Changes what the leader knows; true if the high watermark has advanced.
    fn advance(&mut self, change: impl FnOnce(&mut Leadership, u64) -> bool) -> bool {
        match &mut self.role {
            Role::Leader(leadership) => change(leadership, monotonic_ms()),
            Role::Follower(_) => false,
        }
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{} (epoch {})", self.topic, self.index, self.leader_epoch)
    }
}

impl Partition {
    /// A replica with `log`, under the epoch that `image` says.
    pub(crate) fn open(
        place: &Placed<'_>,
        config: TopicConfig,
        log: Log,
        checkpointed_high_watermark: i64,
    ) -> Result<Self, LogError> {
        let high_watermark = checkpointed_high_watermark.max(log.log_start_offset());
        let state = State {
            role: Role::Follower(Following::new(-1, high_watermark, log.log_end_offset())),
            log,
            epoch: -1,
            closed: false,
            flushing: false,
        };
        Self::begin(place, config, Arc::new(Mutex::new(state)))
    }

    /// The same replica under a later epoch. Who waits for something under this one is told.
    pub(crate) fn succeed(&self, place: &Placed<'_>) -> Result<Self, LogError> {
        let next = Self::begin(place, TopicConfig::clone(&self.config()), self.state.clone());
        self.wake();
        next
    }

    /// Takes the part that the image gives: as the leader the epoch is in the epoch cache before
    /// anything is served (M5), as a follower an epoch that was begun and has written nothing is
    /// forgotten.
    fn begin(
        place: &Placed<'_>,
        config: TopicConfig,
        shared: Arc<Mutex<State>>,
    ) -> Result<Self, LogError> {
        let Placed { image, topic, index, node_id } = *place;
        let of = usize::try_from(index).expect("indexes of the image are not negative");
        let partition = &topic.partitions[of];
        let (leader_epoch, leader) = (partition.leader_epoch, partition.leader);
        let mut guard = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        let high_watermark = state.high_watermark();
        // Nothing is served, under no epoch, until this has succeeded.
        state.epoch = i32::MIN;
        if leader == node_id {
            state.log.begin_epoch(leader_epoch)?;
            let ends = LogEnds {
                high_watermark,
                log_end: state.log.log_end_offset(),
                durable_end: state.log.durable_end_offset(),
            };
            let assignment = Assignment::of(image, partition);
            let rule = commit_rule(&config, partition.replicas.len());
            let leadership = Leadership::new(node_id, assignment, ends, rule, monotonic_ms());
            state.role = Role::Leader(Box::new(leadership));
        } else {
            if state.log.damage().is_none() {
                let end = match planted::has(Bug::TruncationToHighWatermark) {
                    true => high_watermark,
                    false => state.log.log_end_offset(),
                };
                state.log.truncate_to(end)?;
            }
            let end = state.log.log_end_offset();
            state.role = Role::Follower(Following::new(leader_epoch, high_watermark, end));
        }
        state.epoch = leader_epoch;
        let damaged = state.log.damage().is_some();
        let (high_watermark, log_start) = (state.high_watermark(), state.log.log_start_offset());
        let log_dir = Arc::clone(state.log.log_dir());
        drop(guard);
        Ok(Self {
            topic: Arc::from(topic.name.as_str()),
            topic_id: topic.id,
            index,
            leader_epoch,
            node_id,
            leader,
            log_dir,
            damaged: AtomicBool::new(damaged),
            high_watermark: AtomicI64::new(high_watermark),
            log_start: AtomicI64::new(log_start),
            state: shared,
            config: ArcSwap::from_pointee(config),
            waiters: Mutex::new(Vec::new()),
        })
    }

    /// How many replicas the partition has, as its leader knows; 0 where another broker leads.
    pub(crate) fn replica_count(&self) -> usize {
        match &self.lock().role {
            Role::Leader(leadership) => leadership.replica_count(),
            Role::Follower(_) => 0,
        }
    }

    /// Whether this broker leads the partition.
    pub fn is_leader(&self) -> bool {
        self.leader == self.node_id
    }

    /// The broker that leads; -1 is none.
    pub fn leader(&self) -> i32 {
        self.leader
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

    /// The epoch of its leader.
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
        self.is_over(&self.lock())
    }

    /// Whether nothing is served under this epoch any more.
    fn is_over(&self, state: &State) -> bool {
        state.closed || state.epoch != self.leader_epoch
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
        let advanced = state.advance(|leadership, now| {
            leadership.on_rule(commit_rule(&config, leadership.replica_count()), now)
        });
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

    /// Whether what is committed may be more than is known here: a new leader's followers have not
    /// all fetched what it found (KIP-207).
    pub(crate) fn lags_behind_its_epoch(&self) -> bool {
        match &self.lock().role {
            Role::Leader(leadership) => leadership.high_watermark() < leadership.epoch_start(),
            Role::Follower(_) => false,
        }
    }

    /// Raises the log start offset (DeleteRecords, AD-13); answers where it is now.
    pub(crate) fn delete_records(&self, offset: i64) -> Result<i64, ErrorCode> {
        let mut state = self.lock();
        if self.is_over(&state) || !self.is_leader() {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let high_watermark = state.high_watermark();
        let offset = if offset == -1 { high_watermark } else { offset };
        if offset < 0 || offset > high_watermark {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        state.log.advance_log_start(offset).map_err(|error| log_code(&error))?;
        let start = state.log.log_start_offset();
        // Followers are told.
        self.publish(state, true);
        Ok(start)
    }

    /// Deletes segments by the topic's retention (M17).
    pub(crate) fn apply_retention(&self) -> Result<Deleted, LogError> {
        let mut state = self.lock();
        if state.closed {
            return Ok(Deleted::default());
        }
        let high_watermark = state.high_watermark();
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
        // Under another epoch they are another object's.
        if state.epoch == self.leader_epoch {
            self.high_watermark.store(state.high_watermark(), Ordering::Release);
            self.log_start.store(state.log.log_start_offset(), Ordering::Release);
        }
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
        lag_max_ms: config.replica_lag_max_ms,
    }
}

/// A clock for what only has to last as long as the process.
fn monotonic_ms() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(Instant::now);
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// What a client is told of an error of the log.
pub(crate) fn log_code(error: &LogError) -> ErrorCode {
    match error {
        LogError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        LogError::Invalid { .. } => ErrorCode::RecordListTooLarge,
        _ => ErrorCode::KafkaStorageError,
    }
}
