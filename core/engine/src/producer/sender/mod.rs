//! The sender: takes batches out of the accumulator, decides which goes where and when, and what an
//! answer means.
//!
//! Sans-IO. The driver hands it time, metadata, answers and compressed batches, and does what
//! [`Sender::poll_output`] yields. Records are told their outcome through their batch's completion.

mod answer;
mod availability;
mod batch;
mod draw;
mod identity;
mod partition;
mod silence;
mod verdict;

pub use batch::{CompressJob, Compressed};

use super::accumulator::{Accumulator, NodeLoad, PartitionBuffer};
use super::completion::{Outcome, closed_error};
use crate::call::{Call, CallError, CallId};
use crate::cluster::backoff::delay_after;
use crate::cluster::{Metadata, Seed};
use crate::error::Error;
use crate::time::Instant;
use crate::timer::{Timer, TimerTable};
use batch::{Batch, Body, Order};
use identity::IdentityState;
use ottla_protocol::Uuid;
use ottla_protocol::messages::Response;
use ottla_protocol::records::Compression;
use partition::Partition;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The sender's settings.
#[derive(Debug, Clone)]
pub struct SenderConfig {
    /// `acks`: -1, 0 or 1.
    pub acks: i16,
    /// `enable.idempotence`.
    pub is_idempotent: bool,
    /// `max.in.flight.requests.per.connection`.
    pub in_flight_max: usize,
    /// `retries`: attempts after the first.
    pub retries: u32,
    /// `delivery.timeout.ms`.
    pub delivery_timeout: Duration,
    /// `request.timeout.ms`.
    pub request_timeout: Duration,
    /// `retry.backoff.ms` and `retry.backoff.max.ms`.
    pub retry_backoff: (Duration, Duration),
    /// `linger.ms`. At zero a batch goes at once while nothing is on its way to its broker, else
    /// when an answer comes.
    pub linger: Duration,
    /// `max.request.size`.
    pub request_bytes_max: usize,
    /// `compression.type`.
    pub compression: Compression,
    /// The codec's level.
    pub compression_level: Option<i32>,
    /// `partitioner.availability.timeout.ms`, if it is set.
    pub availability_timeout: Option<Duration>,
    /// Feeds the jitter.
    pub seed: u64,
}

impl Default for SenderConfig {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            acks: -1,
            is_idempotent: true,
            in_flight_max: 5,
            retries: u32::MAX,
            delivery_timeout: ms(120_000),
            request_timeout: ms(30_000),
            retry_backoff: (ms(100), ms(1_000)),
            linger: Duration::ZERO,
            request_bytes_max: 1 << 20,
            compression: Compression::None,
            compression_level: None,
            availability_timeout: None,
            seed: 0,
        }
    }
}

/// How long a batch that is not full waits for an earlier request's answer when `linger.ms` is 0:
/// after this it joins in.
const ANSWER_WAIT_MAX: Duration = Duration::from_millis(5);

/// What the driver is asked to do.
#[derive(Debug)]
pub enum Output {
    /// Make this call.
    Call(Call),
    /// Run this job, on another thread if it is large, and hand the result to
    /// [`Sender::handle_compressed`].
    Compress(CompressJob),
    /// The metadata is stale.
    RefreshMetadata,
    /// An answer named a newer leader (KIP-951).
    LearnLeader {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
        /// The leader's node id.
        leader: i32,
        /// Its epoch.
        epoch: i32,
    },
}

/// The reasons to wake up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// When to look at the partitions again: a linger or a backoff is over.
    Draw,
    /// When the oldest batch's delivery timeout is over.
    Expire,
    /// When to ask for metadata again, for partitions without a leader.
    Leaderless,
    /// When to ask for metadata again, for partitions that wait to try a leader again that may be
    /// none any more.
    Suspect,
    /// When to look at requests that have no answer: their partitions may have another leader.
    Silence,
    /// When to ask for a producer id again.
    Identity,
    /// When a broker that takes nothing counts as unavailable.
    Availability,
}

impl Timer for Reason {
    const ALL: &'static [Self] = &[
        Self::Draw,
        Self::Expire,
        Self::Leaderless,
        Self::Suspect,
        Self::Silence,
        Self::Identity,
        Self::Availability,
    ];

    fn index(self) -> usize {
        self as usize
    }
}

/// A broker that partitions are led by.
#[derive(Debug, Default)]
struct Node {
    load: Arc<NodeLoad>,
    in_flight: usize,
    /// Partitions with something to send, in turn.
    queue: VecDeque<u32>,
    /// The last request that ended here had no answer.
    is_failing: bool,
    /// Since then there is something for it that it does not take.
    stalled_since: Option<Instant>,
}

/// A produce request on its way.
#[derive(Debug)]
struct ProduceCall {
    node: i32,
    sent_at: Instant,
    /// What it waits for; those that were given up are gone.
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    slot: u32,
    order: Order,
    topic_id: Uuid,
    leader_epoch: i32,
}

/// The sender.
#[derive(Debug)]
pub struct Sender {
    config: SenderConfig,
    accumulator: Arc<Accumulator>,
    metadata: Arc<Metadata>,
    partitions: Vec<Partition>,
    /// Whether a partition stands in a node's queue or among the leaderless.
    is_queued: Vec<bool>,
    nodes: BTreeMap<i32, Node>,
    leaderless: VecDeque<u32>,
    calls: BTreeMap<CallId, ProduceCall>,
    identity: IdentityState,
    outputs: VecDeque<Output>,
    timers: TimerTable<Reason>,
    seed: Seed,
    call_next: u64,
    draw_next: u64,
    listed: Vec<u32>,
    /// Whether something happened since the last look at the partitions.
    is_dirty: bool,
    /// Whether the metadata has changed since then.
    are_leaders_new: bool,
    /// Not before this is it asked again who leads what has no answer.
    ask_in_silence_at: Instant,
    fatal: Option<Error>,
    released: bool,
}

impl Sender {
    /// A sender without partitions. An idempotent one asks for a producer id at once.
    pub fn new(config: SenderConfig, accumulator: Arc<Accumulator>) -> Self {
        let identity =
            if config.is_idempotent { IdentityState::Missing } else { IdentityState::NotNeeded };
        Self {
            seed: Seed::new(config.seed),
            config,
            accumulator,
            metadata: Arc::default(),
            partitions: Vec::new(),
            is_queued: Vec::new(),
            nodes: BTreeMap::new(),
            leaderless: VecDeque::new(),
            calls: BTreeMap::new(),
            identity,
            outputs: VecDeque::new(),
            timers: TimerTable::default(),
            call_next: 0,
            draw_next: 0,
            listed: Vec::new(),
            is_dirty: true,
            are_leaders_new: false,
            ask_in_silence_at: Instant::ZERO,
            fatal: None,
            released: false,
        }
    }

    /// The next free slot; [`Sender::handle_partition`] must be told of them in order.
    pub fn slot_next(&self) -> u32 {
        u32::try_from(self.partitions.len()).expect("fewer than 2^32 partitions")
    }

    /// Makes a partition known; appending threads share the buffer that comes back.
    pub fn handle_partition(&mut self, topic: &Arc<str>, partition: i32) -> Arc<PartitionBuffer> {
        let slot = self.slot_next();
        let accumulator = self.accumulator.clone();
        let buffer = Arc::new(PartitionBuffer::new(accumulator, topic.clone(), partition, slot));
        self.partitions.push(Partition::new(buffer.clone()));
        self.is_queued.push(false);
        if let Some(error) = &self.fatal {
            buffer.refuse(error);
        }
        self.update_leader(slot);
        buffer
    }

    /// New metadata: leaders may have moved.
    pub fn handle_metadata(&mut self, metadata: Arc<Metadata>) {
        self.metadata = metadata;
        for slot in 0..self.slot_next() {
            self.update_leader(slot);
        }
        // Those without a leader are looked at again.
        for slot in std::mem::take(&mut self.leaderless) {
            self.is_queued[slot as usize] = false;
            self.enlist(slot);
        }
        (self.is_dirty, self.are_leaders_new) = (true, true);
    }

    /// A producer's thread says that there is something to send (or flushes, or waits for memory).
    pub fn handle_wake(&mut self) {
        self.is_dirty = true;
    }

    /// A call has ended.
    pub fn handle_response(
        &mut self,
        now: Instant,
        id: CallId,
        result: Result<(Response, i16), CallError>,
    ) {
        self.is_dirty = true;
        if self.identity.is_asking(id) {
            return self.on_identity(now, result);
        }
        if let Some(call) = self.calls.remove(&id) {
            self.on_produced(now, call, result);
        }
    }

    /// A batch has been compressed.
    pub fn handle_compressed(&mut self, compressed: Compressed) {
        self.is_dirty = true;
        let Compressed { slot, order, result, spare } = compressed;
        if let Some(spare) = spare {
            self.accumulator.keep(spare);
        }
        let partition = &mut self.partitions[slot as usize];
        let found = partition.prepared.iter().position(|batch| batch.order == order);
        // It may have expired meanwhile.
        let Some(at) = found else { return };
        match result {
            Ok(bytes) => partition.prepared[at].body = Body::Complete(bytes),
            Err(error) => {
                let batch = partition.prepared.remove(at).expect("invariant: found above");
                self.fail(slot, batch, error);
            }
        }
        self.enlist(slot);
    }

    /// Something's time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(reason) = self.timers.pop_expired(now) {
            match reason {
                Reason::Draw | Reason::Identity | Reason::Availability => {}
                Reason::Expire => self.on_expire(now),
                Reason::Leaderless => self.on_leaderless_timeout(),
                Reason::Suspect => self.ask_for_leaders(now),
                Reason::Silence => self.on_silence(now),
            }
            self.is_dirty = true;
        }
    }

    /// When [`Sender::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next_timeout()
    }

    /// What the driver is to do next.
    #[must_use]
    pub fn poll_output(&mut self, now: Instant) -> Option<Output> {
        if self.outputs.is_empty() && std::mem::take(&mut self.is_dirty) {
            self.drive(now);
        }
        self.outputs.pop_front()
    }

    /// Whether batches ended since the last call, so that memory is free: wake those who wait for
    /// it.
    pub fn take_released(&mut self) -> bool {
        std::mem::take(&mut self.released)
    }

    /// Why the producer can do no more, if so.
    pub fn fatal(&self) -> Option<&Error> {
        self.fatal.as_ref()
    }

    /// The producer is closed: everything that is left fails. What is on its way may have been
    /// written.
    pub fn handle_close(&mut self) {
        self.accumulator.close();
        self.fail_everything(&closed_error());
        self.calls.clear();
    }

    fn drive(&mut self, now: Instant) {
        let mut listed = std::mem::take(&mut self.listed);
        self.accumulator.take_listed(&mut listed);
        for slot in listed.drain(..) {
            self.enlist(slot);
            self.timers.set_no_later_than(Reason::Expire, now + self.config.delivery_timeout);
        }
        self.listed = listed;
        self.ask_for_identity(now);
        if let Some(error) = self.fatal.clone() {
            return self.fail_everything(&error);
        }
        if std::mem::take(&mut self.are_leaders_new) {
            self.leave_former_leaders(now);
        }
        self.drive_leaderless(now);
        let nodes: Vec<i32> = self.nodes.keys().copied().collect();
        for node in nodes {
            self.drive_node(now, node);
            self.note_availability(now, node);
        }
    }

    fn drive_leaderless(&mut self, now: Instant) {
        if self.leaderless.is_empty() || self.timers.get(Reason::Leaderless).is_some() {
            return;
        }
        self.outputs.push_back(Output::RefreshMetadata);
        self.timers.set(Reason::Leaderless, now + self.config.retry_backoff.1);
    }

    fn on_leaderless_timeout(&mut self) {
        for slot in std::mem::take(&mut self.leaderless) {
            self.is_queued[slot as usize] = false;
            self.enlist(slot);
        }
    }

    /// The wait before the next attempt grows, and a leader that is elected meanwhile should not
    /// have to wait for its end: who leads is asked about as often as at first.
    fn ask_for_leaders(&mut self, now: Instant) {
        let waits = |partition: &Partition| {
            partition.suspects_leader && partition.retry_at.is_some_and(|at| at > now)
        };
        if self.partitions.iter().any(waits) {
            self.outputs.push_back(Output::RefreshMetadata);
            self.suspect_leaders(now);
        }
    }

    /// Has [`Sender::ask_for_leaders`] look in a while: longer than the first wait, which ends with
    /// an attempt that asks as well.
    fn suspect_leaders(&mut self, now: Instant) {
        self.timers.set(Reason::Suspect, now + self.config.retry_backoff.0 * 3 / 2);
    }

    /// Puts a partition into its leader's queue.
    fn enlist(&mut self, slot: u32) {
        if std::mem::replace(&mut self.is_queued[slot as usize], true) {
            return;
        }
        match self.partitions[slot as usize].leader {
            Some(node) => self.node(node).queue.push_back(slot),
            None => self.leaderless.push_back(slot),
        }
    }

    fn node(&mut self, node_id: i32) -> &mut Node {
        let in_flight_max = u32::try_from(self.config.in_flight_max).unwrap_or(u32::MAX);
        self.nodes.entry(node_id).or_insert_with(|| {
            let node = Node::default();
            node.load.in_flight_max.store(in_flight_max, Ordering::SeqCst);
            node
        })
    }

    fn update_leader(&mut self, slot: u32) {
        let partition = &self.partitions[slot as usize];
        let (topic, index) = (partition.buffer.topic().clone(), partition.buffer.partition());
        let known = self.metadata.partition(&topic, index);
        let leader = known.and_then(|known| known.leader);
        let leader_epoch = known.map_or(-1, |known| known.leader_epoch);
        let load = leader.map(|leader| self.node(leader).load.clone());
        let partition = &mut self.partitions[slot as usize];
        if partition.leader == leader && partition.leader_epoch == leader_epoch {
            return;
        }
        let old = std::mem::replace(&mut partition.leader, leader);
        partition.leader_epoch = leader_epoch;
        partition.suspects_leader = false;
        if leader.is_some() {
            // The failure was the old leader's: no need to wait.
            partition.retry_at = None;
        }
        partition.buffer.set_load(load);
        if old == leader || !self.is_queued[slot as usize] {
            return;
        }
        if let Some(node) = old.and_then(|old| self.nodes.get_mut(&old)) {
            node.queue.retain(|other| *other != slot);
        }
        self.leaderless.retain(|other| *other != slot);
        self.is_queued[slot as usize] = false;
        self.enlist(slot);
    }

    /// The wait before the next attempt.
    fn retry_delay(&mut self, failures: u32) -> Duration {
        let (min, max) = self.config.retry_backoff;
        delay_after(min, max, failures, self.seed.next_u64())
    }

    /// Tells a batch's records how they ended, once, and frees its memory.
    fn complete(&mut self, slot: u32, mut batch: Batch, outcome: Outcome) {
        if let Body::Complete(bytes) = std::mem::replace(&mut batch.body, Body::Broken) {
            self.accumulator.reuse(bytes);
        }
        self.tell(slot, &batch, outcome);
    }

    fn tell(&mut self, slot: u32, batch: &Batch, outcome: Outcome) {
        if batch.is_expired {
            return;
        }
        let buffer = &self.partitions[slot as usize].buffer;
        buffer.complete(&batch.completion, batch.first, batch.count, outcome);
        self.accumulator.release(batch.reserved);
        self.released = true;
    }

    fn fail(&mut self, slot: u32, batch: Batch, error: Error) {
        let error = error.with_possibly_written(batch.is_possibly_written);
        self.complete(slot, batch, Outcome::failed(error));
    }

    /// Fails what its delivery timeout is over for.
    fn on_expire(&mut self, now: Instant) {
        let mut next: Option<Instant> = None;
        let timeout = self.config.delivery_timeout;
        for slot in 0..self.slot_next() {
            self.expire_partition(now, slot);
            let partition = &self.partitions[slot as usize];
            let oldest = partition.oldest().into_iter().chain(partition.buffer.oldest()).min();
            if let Some(oldest) = oldest {
                next = Some(next.map_or(oldest, |next| next.min(oldest)));
            }
        }
        if let Some(oldest) = next {
            self.timers.set_no_later_than(Reason::Expire, oldest + timeout);
        }
    }

    fn expire_partition(&mut self, now: Instant, slot: u32) {
        let timeout = self.config.delivery_timeout;
        let is_over = |opened_at: Instant| opened_at + timeout <= now;
        let partition = &mut self.partitions[slot as usize];
        let mut over = Vec::new();
        while partition.buffer.oldest().is_some_and(is_over) {
            let Some(taken) = partition.buffer.take(usize::MAX) else { break };
            over.push(Batch::new(taken, u64::MAX));
        }
        for queue in [&mut partition.prepared, &mut partition.retry] {
            let (late, kept) =
                std::mem::take(queue).into_iter().partition(|b| is_over(b.opened_at));
            *queue = kept;
            over.extend::<VecDeque<Batch>>(late);
        }
        // Its number is missing from now on, or may be: the rest is settled first (trap 2).
        if over.iter().any(|batch| batch.stamp.is_some()) {
            partition.is_unresolved = true;
        }
        let mut sent = Vec::new();
        for batch in
            partition.in_flight.iter_mut().filter(|b| is_over(b.opened_at) && !b.is_expired)
        {
            // The answer may still come; it settles the number, but the records are told now.
            batch.is_possibly_written = true;
            sent.push(batch.order);
        }
        for batch in over {
            let error = self.expired(slot, &batch);
            self.fail(slot, batch, error);
        }
        for order in sent {
            let partition = &mut self.partitions[slot as usize];
            let batch = partition.take_in_flight(order).expect("invariant: found above");
            let error = self.expired(slot, &batch).with_possibly_written(true);
            self.tell(slot, &batch, Outcome::failed(error));
            let partition = &mut self.partitions[slot as usize];
            let at = partition.in_flight.partition_point(|other| other.order < order);
            partition.in_flight.insert(at, Batch { is_expired: true, ..batch });
        }
        self.enlist(slot);
    }

    fn expired(&self, slot: u32, batch: &Batch) -> Error {
        let buffer = &self.partitions[slot as usize].buffer;
        let limit_ms = self.config.delivery_timeout.as_millis();
        let mut last = batch.last_error.clone();
        if last.is_none() && self.partitions[slot as usize].leader.is_none() {
            let kind = crate::error::ErrorKind::Unreachable;
            last = Some(Error::new(kind, "the partition has no leader"));
        }
        verdict::expired(buffer.topic(), buffer.partition(), limit_ms, last.as_ref())
    }

    fn fail_everything(&mut self, error: &Error) {
        for slot in 0..self.slot_next() {
            let partition = &mut self.partitions[slot as usize];
            partition.buffer.refuse(error);
            let mut left: Vec<Batch> = Vec::new();
            left.extend(std::mem::take(&mut partition.prepared));
            left.extend(std::mem::take(&mut partition.retry));
            for mut batch in std::mem::take(&mut partition.in_flight) {
                batch.is_possibly_written = true;
                left.push(batch);
            }
            while let Some(taken) = partition.buffer.take(usize::MAX) {
                left.push(Batch::new(taken, u64::MAX));
            }
            for batch in left {
                self.fail(slot, batch, error.clone());
            }
        }
    }
}
