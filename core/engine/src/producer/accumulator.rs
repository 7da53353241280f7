//! Where records are gathered: one open batch per partition, filled by the callers' threads.
//!
//! A record is encoded once, into its partition's open batch, under that partition's lock only.
//! Full batches wait behind the open one until the sender takes them. The sender is woken when a
//! batch becomes ready, not for each record.

use super::completion::{BatchCompletion, Delivery, Outcome, closed_error};
use crate::error::{Error, ErrorKind};
use crate::time::Instant;
use bytes::Bytes;
use ottla_protocol::records::{BATCH_HEADER_LEN, BatchBuilder, Header, RecordError};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Memory that is reserved for an open batch at first, in bytes, unless its first record needs
/// more.
const RESERVATION_MIN: usize = 16 << 10;

/// A record on its way into a batch.
#[derive(Debug, Clone, Copy)]
pub struct NewRecord<'a> {
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: &'a [Header<'a>],
}

/// Why a record was not appended.
#[derive(Debug)]
pub enum AppendError {
    /// `buffer.memory` is used up: wait until batches are done, then try again.
    Full,
    /// It can never be appended as it is, or the producer is closed.
    Refused(Error),
}

/// An appended record.
#[derive(Debug)]
pub struct Appended {
    /// Its future.
    pub delivery: Delivery,
    /// Whether the sender has something new to do: wake it.
    pub wake_sender: bool,
    /// Whether the partition has no open batch with room left (KIP-794).
    pub is_batch_full: bool,
    /// Bytes that the record added to its batch.
    pub bytes: usize,
}

/// The limits of batches and memory.
#[derive(Debug, Clone)]
pub struct Limits {
    /// `batch.size`: a batch of this many bytes is full.
    pub batch_bytes_max: usize,
    /// `max.request.size`: a record that needs more is refused.
    pub record_bytes_max: usize,
    /// `buffer.memory`.
    pub memory_bytes_max: u64,
}

/// What all partitions of a producer share.
#[derive(Debug)]
pub struct Accumulator {
    limits: Limits,
    memory_used: AtomicU64,
    /// Partitions that have records and that the sender does not know of yet.
    listed: Mutex<Vec<u32>>,
    /// Callers that wait in `flush`: nothing lingers while there are any.
    flushing: AtomicUsize,
    /// Somebody waits for memory: nothing lingers until he has it.
    starving: AtomicBool,
    closed: AtomicBool,
    /// Buffers of batches that are done, for the next ones: fresh memory costs a page fault every 4
    /// KiB.
    spare: Mutex<Vec<Vec<u8>>>,
}

/// Buffers that are kept for reuse, beside `buffer.memory`.
const SPARE_MAX: usize = 16;

/// How busy the broker of a partition is, as far as appending threads need to know.
#[derive(Debug, Default)]
pub struct NodeLoad {
    /// Produce requests on their way to the broker.
    pub(super) in_flight: AtomicU32,
    /// How many there may be.
    pub(super) in_flight_max: AtomicU32,
    /// It has taken nothing for `partitioner.availability.timeout.ms`.
    pub(super) is_unavailable: AtomicBool,
}

/// One partition's batches that the sender has not taken.
#[derive(Debug)]
pub struct PartitionBuffer {
    topic: Arc<str>,
    partition: i32,
    /// The sender's number for this partition.
    slot: u32,
    accumulator: Arc<Accumulator>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    open: Option<OpenBatch>,
    full: VecDeque<TakenBatch>,
    /// Whether the sender knows that there is something, or will find it in `listed`.
    is_listed: bool,
    /// The load of the partition's broker; `None` while it has none.
    load: Option<Arc<NodeLoad>>,
    /// Completions that are not done, for `flush`.
    incomplete: Vec<Arc<BatchCompletion>>,
    /// The size of the last batch: what the next one probably needs.
    last_len: usize,
    refusal: Option<Error>,
}

#[derive(Debug)]
struct OpenBatch {
    builder: BatchBuilder,
    completion: Arc<BatchCompletion>,
    opened_at: Instant,
    /// Bytes of memory that are accounted for: it may grow to this.
    reserved: usize,
}

/// A batch that takes no more records.
#[derive(Debug)]
pub struct TakenBatch {
    pub(super) builder: BatchBuilder,
    pub(super) completion: Arc<BatchCompletion>,
    pub(super) opened_at: Instant,
    pub(super) reserved: usize,
}

/// What a partition has for the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// Nothing. The sender has forgotten the partition; the next record will list it again.
    Nothing,
    /// An open batch, since then.
    Open(Instant),
    /// At least one full batch, the oldest opened then.
    Full(Instant),
}

impl Accumulator {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            memory_used: AtomicU64::new(0),
            listed: Mutex::default(),
            flushing: AtomicUsize::new(0),
            starving: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            spare: Mutex::default(),
        }
    }

    /// A builder with room for this many bytes, in a buffer that was used before if there is one.
    fn builder(&self, capacity: usize) -> BatchBuilder {
        let spare = lock(&self.spare).pop();
        match spare.filter(|buffer| buffer.capacity() >= capacity) {
            Some(buffer) => BatchBuilder::with_buffer(buffer),
            None => BatchBuilder::new(capacity),
        }
    }

    /// Keeps the memory of a batch that is done, if nobody holds it any more. A connection that is
    /// still writing it does: its bytes are not written over (KAFKA-19012 is what that would be).
    pub(super) fn reuse(&self, bytes: Bytes) {
        let Ok(mut bytes) = bytes.try_into_mut() else { return };
        bytes.clear();
        self.keep(Vec::from(bytes));
    }

    /// Keeps a buffer for a later batch.
    pub(super) fn keep(&self, buffer: Vec<u8>) {
        let mut spare = lock(&self.spare);
        if spare.len() < SPARE_MAX {
            spare.push(buffer);
        }
    }

    /// Bytes of `buffer.memory` in use.
    pub fn memory_used(&self) -> u64 {
        self.memory_used.load(Ordering::Relaxed)
    }

    /// Begins a flush: nothing lingers until [`Accumulator::end_flush`].
    pub fn begin_flush(&self) {
        self.flushing.fetch_add(1, Ordering::SeqCst);
    }

    /// Ends a flush.
    pub fn end_flush(&self) {
        self.flushing.fetch_sub(1, Ordering::SeqCst);
    }

    /// Says that somebody waits for memory: batches go although they are not full.
    pub fn set_starving(&self) {
        self.starving.store(true, Ordering::SeqCst);
    }

    /// Refuses every record from now on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Whether batches that are not full go at once.
    pub(super) fn is_urgent(&self) -> bool {
        self.flushing.load(Ordering::SeqCst) > 0
            || self.starving.load(Ordering::SeqCst)
            || self.is_closed()
    }

    /// Takes the partitions that have records since the last call.
    pub(super) fn take_listed(&self, into: &mut Vec<u32>) {
        into.append(&mut lock(&self.listed));
    }

    /// Accounts for memory; where nothing is in use any request is granted, so that one large
    /// record can pass.
    fn reserve(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let grant = |used: u64| {
            let sum = used + bytes;
            (used == 0 || sum <= self.limits.memory_bytes_max).then_some(sum)
        };
        self.memory_used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, grant).is_ok()
    }

    pub(super) fn release(&self, bytes: usize) {
        self.memory_used.fetch_sub(bytes as u64, Ordering::SeqCst);
        self.starving.store(false, Ordering::SeqCst);
    }
}

impl NodeLoad {
    /// Whether the sender would have nothing to do with a batch that is not full.
    fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::SeqCst) > 0
    }

    /// Whether the sender could not even send a full batch.
    fn is_saturated(&self) -> bool {
        self.in_flight.load(Ordering::SeqCst) >= self.in_flight_max.load(Ordering::SeqCst)
    }
}

impl PartitionBuffer {
    pub(super) fn new(
        accumulator: Arc<Accumulator>,
        topic: Arc<str>,
        partition: i32,
        slot: u32,
    ) -> Self {
        Self { topic, partition, slot, accumulator, inner: Mutex::default() }
    }

    /// The topic.
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// Appends a record; `now` is read only where a batch is opened.
    ///
    /// # Errors
    ///
    /// See [`AppendError`].
    pub fn append(
        &self,
        record: NewRecord<'_>,
        now: impl FnOnce() -> Instant,
    ) -> Result<Appended, AppendError> {
        let NewRecord { timestamp, key, value, headers } = record;
        let mut inner = lock(&self.inner);
        let Some(open) = &mut inner.open else {
            return self.append_to_new(&mut inner, record, now());
        };
        let before = open.builder.len_bytes();
        let appended = open.builder.append_within(open.reserved, timestamp, key, value, headers);
        match appended.map_err(|error| self.refused(&error))? {
            Some(index) => {
                let delivery = Delivery::new(open.completion.clone(), index, timestamp);
                let bytes = open.builder.len_bytes() - before;
                let is_batch_full =
                    open.builder.len_bytes() + bytes > self.accumulator.limits.batch_bytes_max;
                Ok(Appended { delivery, wake_sender: false, is_batch_full, bytes })
            }
            None => self.append_to_full(&mut inner, record, now),
        }
    }

    /// The open batch has no room within its reservation: reserve more, or begin the next batch.
    #[inline(never)]
    fn append_to_full(
        &self,
        inner: &mut Inner,
        record: NewRecord<'_>,
        now: impl FnOnce() -> Instant,
    ) -> Result<Appended, AppendError> {
        let NewRecord { timestamp, key, value, headers } = record;
        let open = inner.open.as_mut().expect("invariant: the caller found an open batch");
        let size = open.builder.record_size(timestamp, key, value, headers);
        let bytes = size.map_err(|error| self.refused(&error))?;
        let needed = open.builder.len_bytes() + bytes;
        let most = self.accumulator.limits.batch_bytes_max;
        if needed > most {
            let now = now();
            self.seal(inner);
            let mut appended = self.append_to_new(inner, record, now)?;
            let saturated = inner.load.as_ref().is_some_and(|load| load.is_saturated());
            appended.wake_sender |= !saturated;
            return Ok(appended);
        }
        let wanted = (open.reserved * 2).clamp(needed, most);
        if !self.accumulator.reserve(wanted - open.reserved) {
            return Err(AppendError::Full);
        }
        open.reserved = wanted;
        let index = open.builder.append(timestamp, key, value, headers);
        let index = index.map_err(|error| self.refused(&error))?;
        let delivery = Delivery::new(open.completion.clone(), index, timestamp);
        Ok(Appended { delivery, wake_sender: false, is_batch_full: needed + bytes > most, bytes })
    }

    #[inline(never)]
    fn append_to_new(
        &self,
        inner: &mut Inner,
        record: NewRecord<'_>,
        now: Instant,
    ) -> Result<Appended, AppendError> {
        let NewRecord { timestamp, key, value, headers } = record;
        if let Some(error) = &inner.refusal {
            return Err(AppendError::Refused(error.clone()));
        }
        if self.accumulator.is_closed() {
            return Err(AppendError::Refused(closed_error()));
        }
        let limits = &self.accumulator.limits;
        let size = BatchBuilder::new(0).record_size(timestamp, key, value, headers);
        let bytes = size.map_err(|error| self.refused(&error))?;
        let needed = BATCH_HEADER_LEN + bytes;
        if needed > limits.record_bytes_max {
            return Err(AppendError::Refused(self.too_large(needed)));
        }
        let first = inner.last_len.max(RESERVATION_MIN).min(limits.batch_bytes_max);
        let reserved = first.max(needed);
        if !self.accumulator.reserve(reserved) {
            return Err(AppendError::Full);
        }
        let mut builder = self.accumulator.builder(reserved);
        let index = builder.append(timestamp, key, value, headers);
        let index = index.map_err(|error| self.refused(&error))?;
        let completion = Arc::new(BatchCompletion::new(self.topic.clone(), self.partition));
        inner.incomplete.push(completion.clone());
        let delivery = Delivery::new(completion.clone(), index, timestamp);
        inner.open = Some(OpenBatch { builder, completion, opened_at: now, reserved });
        let is_new = !std::mem::replace(&mut inner.is_listed, true);
        if is_new {
            lock(&self.accumulator.listed).push(self.slot);
        }
        // Looked at after the listing: a sender that finds its broker idle looks at the list after
        // it says so, hence one of the two sees the other. A busy broker's answer wakes the sender
        // anyway.
        let idle = !inner.load.as_ref().is_some_and(|load| load.is_busy());
        let is_batch_full = needed >= limits.batch_bytes_max;
        if is_batch_full {
            self.seal(inner);
        }
        Ok(Appended { delivery, wake_sender: idle || is_batch_full, is_batch_full, bytes })
    }

    fn seal(&self, inner: &mut Inner) {
        let Some(open) = inner.open.take() else { return };
        inner.last_len = open.builder.len_bytes();
        let OpenBatch { builder, completion, opened_at, reserved } = open;
        completion.seal(builder.record_count());
        inner.full.push_back(TakenBatch { builder, completion, opened_at, reserved });
    }

    /// What there is to take. The answer `Nothing` makes the partition forgotten.
    pub(super) fn look(&self) -> Holding {
        let mut inner = lock(&self.inner);
        if let Some(first) = inner.full.front() {
            return Holding::Full(first.opened_at);
        }
        if let Some(open) = &inner.open {
            return Holding::Open(open.opened_at);
        }
        inner.is_listed = false;
        Holding::Nothing
    }

    /// When the oldest batch here was opened.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let inner = lock(&self.inner);
        let open = inner.open.as_ref().map(|open| open.opened_at);
        inner.full.front().map(|batch| batch.opened_at).or(open)
    }

    /// Takes the oldest batch of at most `bytes_max` bytes, the open one too if there is no other.
    pub(super) fn take(&self, bytes_max: usize) -> Option<TakenBatch> {
        let mut inner = lock(&self.inner);
        if inner.full.is_empty() {
            self.seal(&mut inner);
        }
        let len = inner.full.front()?.builder.len_bytes();
        if len > bytes_max { None } else { inner.full.pop_front() }
    }

    /// Tells appending threads how busy the partition's broker is.
    pub(super) fn set_load(&self, load: Option<Arc<NodeLoad>>) {
        lock(&self.inner).load = load;
    }

    /// A batch, or a part of one, has ended.
    pub(super) fn complete(
        &self,
        completion: &Arc<BatchCompletion>,
        first: u32,
        count: u32,
        outcome: Outcome,
    ) {
        if completion.complete(first, count, outcome) {
            let mut inner = lock(&self.inner);
            inner.incomplete.retain(|other| !Arc::ptr_eq(other, completion));
        }
    }

    /// Every batch that is not done, the open one included.
    pub fn incomplete(&self) -> Vec<Arc<BatchCompletion>> {
        lock(&self.inner).incomplete.clone()
    }

    /// Batches that wait here, for adaptive partitioning.
    pub fn queue_len(&self) -> u32 {
        let inner = lock(&self.inner);
        inner.full.len() as u32 + u32::from(inner.open.is_some())
    }

    /// Whether the partition's broker takes batches: the sticky partitioner leaves out those of a
    /// broker that has not for `partitioner.availability.timeout.ms`.
    pub fn is_available(&self) -> bool {
        let inner = lock(&self.inner);
        !inner.load.as_ref().is_some_and(|load| load.is_unavailable.load(Ordering::Relaxed))
    }

    /// Refuses records from now on with this error.
    pub(super) fn refuse(&self, error: &Error) {
        lock(&self.inner).refusal = Some(error.clone());
    }

    #[cold]
    fn refused(&self, error: &RecordError) -> AppendError {
        let text = format!("cannot encode a record for topic \"{}\": {error}", self.topic);
        AppendError::Refused(Error::new(ErrorKind::Invalid, text))
    }

    #[cold]
    fn too_large(&self, needed: usize) -> Error {
        let most = self.accumulator.limits.record_bytes_max;
        Error::new(
            ErrorKind::Invalid,
            format!(
                "a record of {needed} bytes for topic \"{}\" is larger than max.request.size \
                 ({most} bytes): send less, or raise max.request.size here and max.message.bytes \
                 of the topic",
                self.topic
            ),
        )
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
