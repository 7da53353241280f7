//! Which batches go into the next request to a broker.

use super::batch::Batch;
use super::identity::IdentityState;
use super::{ANSWER_WAIT_MAX, Entry, Output, ProduceCall, Reason, Sender};
use crate::call::{Call, Purpose, Target};
use crate::producer::accumulator::Holding;
use crate::time::Instant;
use ottla_protocol::Uuid;
use ottla_protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{ProduceRequest, Request};
use ottla_protocol::records::Compression;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Batches of one partition that may be compressed ahead of their turn.
const PREPARED_MAX: usize = 8;

/// What a partition offers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offer {
    /// Nothing is left: leave the queue.
    Nothing,
    /// Nothing now; it is looked at again.
    NotNow,
    /// A batch that is not full and may wait until then, but goes along if a request goes anyway.
    MayWait(Instant),
    /// A batch that is due.
    Due,
}

impl Sender {
    /// Makes requests to a broker while there is room in flight and something is due.
    pub(super) fn drive_node(&mut self, now: Instant, node_id: i32) {
        if self.config.compression != Compression::None {
            self.start_compressions(now, node_id);
        }
        loop {
            let node = self.node(node_id);
            if node.queue.is_empty() {
                return;
            }
            let has_room = node.in_flight < self.config.in_flight_max;
            if !has_room || !self.is_anything_due(now, node_id) || !self.draw(now, node_id) {
                return;
            }
        }
    }

    /// Looks at the partitions of a broker, drops those with nothing, and sets the timer for those
    /// that may wait.
    fn is_anything_due(&mut self, now: Instant, node_id: i32) -> bool {
        let queue = std::mem::take(&mut self.node(node_id).queue);
        let mut is_due = false;
        let mut kept = std::collections::VecDeque::with_capacity(queue.len());
        for slot in queue {
            let offer = self.offer(now, slot, node_id);
            match offer {
                Offer::Nothing => {
                    self.is_queued[slot as usize] = false;
                    continue;
                }
                Offer::NotNow => {}
                Offer::MayWait(until) => self.timers.set_no_later_than(Reason::Draw, until),
                Offer::Due => is_due = true,
            }
            kept.push_back(slot);
        }
        // Nobody else fills the queue meanwhile: listing waits for the next drive.
        self.node(node_id).queue = kept;
        is_due
    }

    fn offer(&mut self, now: Instant, slot: u32, node_id: i32) -> Offer {
        self.settle(slot);
        let identity = self.identity.known();
        let needs_identity = !matches!(self.identity, IdentityState::NotNeeded);
        let in_flight_max = self.config.in_flight_max;
        let partition = &mut self.partitions[slot as usize];
        partition.adopt(identity);
        if !partition.is_sendable(now, node_id, in_flight_max) {
            if let Some(at) = partition.retry_at.filter(|at| *at > now) {
                self.timers.set_no_later_than(Reason::Draw, at);
            }
            return Offer::NotNow;
        }
        if partition.is_unresolved {
            let uncertain = partition.retry.iter().any(|batch| batch.is_possibly_written);
            return if uncertain { Offer::Due } else { Offer::NotNow };
        }
        if !partition.retry.is_empty() {
            return Offer::Due;
        }
        if needs_identity && partition.identity.is_none() {
            // Forgotten only when there is nothing; else looked at again when the producer id is
            // there.
            return match partition.buffer.look() {
                Holding::Nothing if partition.prepared.is_empty() => Offer::Nothing,
                _ => Offer::NotNow,
            };
        }
        if let Some(first) = partition.prepared.front() {
            return if first.is_ready() { Offer::Due } else { Offer::NotNow };
        }
        match partition.buffer.look() {
            // The next record lists it again, and so does the answer to what is on its way.
            Holding::Nothing => Offer::Nothing,
            Holding::Full(_) | Holding::Open(_) if self.config.compression != Compression::None => {
                Offer::NotNow
            }
            Holding::Full(_) => Offer::Due,
            Holding::Open(opened_at) => self.offer_open(now, node_id, opened_at),
        }
    }

    /// Whether a batch that is not full goes now.
    fn offer_open(&mut self, now: Instant, node_id: i32, opened_at: Instant) -> Offer {
        if self.accumulator.is_urgent() {
            return Offer::Due;
        }
        let linger = self.config.linger;
        let until = if linger.is_zero() {
            if self.node(node_id).in_flight == 0 {
                return Offer::Due;
            }
            opened_at + ANSWER_WAIT_MAX
        } else {
            opened_at + linger
        };
        if until <= now { Offer::Due } else { Offer::MayWait(until) }
    }

    /// Takes batches that are due out of the buffers and has them compressed, each in a job of its
    /// own, so that they are in parallel across partitions and within one.
    fn start_compressions(&mut self, now: Instant, node_id: i32) {
        let slots: Vec<u32> = self.node(node_id).queue.iter().copied().collect();
        for slot in slots {
            while self.partitions[slot as usize].prepared.len() < PREPARED_MAX {
                let holding = self.partitions[slot as usize].buffer.look();
                let is_due = match holding {
                    Holding::Nothing => {
                        // `look` has unlisted it; the queue of the node is left in
                        // `is_anything_due`.
                        break;
                    }
                    Holding::Full(_) => true,
                    Holding::Open(opened_at) => {
                        let is_first = self.partitions[slot as usize].prepared.is_empty();
                        let offer = self.offer_open(now, node_id, opened_at);
                        if let Offer::MayWait(until) = offer {
                            self.timers.set_no_later_than(Reason::Draw, until);
                        }
                        is_first && offer == Offer::Due
                    }
                };
                if !is_due || !self.compress_one(slot) {
                    break;
                }
            }
        }
    }

    fn compress_one(&mut self, slot: u32) -> bool {
        let (compression, level) = (self.config.compression, self.config.compression_level);
        let order = self.draw_next;
        let partition = &mut self.partitions[slot as usize];
        let Some(taken) = partition.buffer.take(usize::MAX) else { return false };
        self.draw_next += 1;
        let mut batch = Batch::new(taken, order);
        let job = batch.start_compression(slot, compression, level);
        partition.prepared.push_back(batch);
        self.outputs.push_back(Output::Compress(job));
        true
    }

    /// Makes one request of what is due, and of what may go along.
    fn draw(&mut self, now: Instant, node_id: i32) -> bool {
        let mut bytes_left = self.config.request_bytes_max;
        let mut entries = Vec::new();
        let mut topics: BTreeMap<Arc<str>, Vec<PartitionProduceData>> = BTreeMap::new();
        let queue_len = self.node(node_id).queue.len();
        for _ in 0..queue_len {
            let node = self.node(node_id);
            let Some(slot) = node.queue.pop_front() else { break };
            node.queue.push_back(slot);
            let offer = self.offer(now, slot, node_id);
            if !matches!(offer, Offer::Due | Offer::MayWait(_)) {
                continue;
            }
            let most = if entries.is_empty() { usize::MAX } else { bytes_left };
            let Some((order, data)) = self.draw_batch(slot, node_id, most) else { continue };
            bytes_left =
                bytes_left.saturating_sub(data.records.as_ref().map_or(0, bytes::Bytes::len));
            let partition = &self.partitions[slot as usize];
            let (topic, leader_epoch) = (partition.buffer.topic().clone(), partition.leader_epoch);
            let topic_id = self.metadata.topic_id(&topic).unwrap_or(Uuid::ZERO);
            entries.push(Entry { slot, order, topic_id, leader_epoch });
            topics.entry(topic).or_default().push(data);
            if bytes_left == 0 {
                break;
            }
        }
        if entries.is_empty() {
            return false;
        }
        self.push_request(now, node_id, entries, topics);
        true
    }

    /// Takes a partition's next batch, gives it its number, and puts it in flight.
    fn draw_batch(
        &mut self,
        slot: u32,
        node_id: i32,
        bytes_max: usize,
    ) -> Option<(super::Order, PartitionProduceData)> {
        let order = self.draw_next;
        let partition = &mut self.partitions[slot as usize];
        let mut batch = if partition.retry.is_empty() {
            let mut batch = match partition.prepared.front() {
                Some(first) if first.len_bytes() > bytes_max => return None,
                Some(_) => partition.prepared.pop_front()?,
                None => Batch::new(partition.buffer.take(bytes_max)?, order),
            };
            self.draw_next += 1;
            if let Err(error) = partition.stamp(&mut batch) {
                self.fail(slot, batch, error);
                return None;
            }
            batch
        } else {
            // While a number is missing only what may have been written is asked about (trap 2).
            let wanted = |batch: &Batch| !partition.is_unresolved || batch.is_possibly_written;
            let at = partition.retry.iter().position(wanted)?;
            if partition.retry[at].len_bytes() > bytes_max {
                return None;
            }
            partition.retry.remove(at)?
        };
        batch.attempts += 1;
        let (order, records) = (batch.order, Some(batch.bytes()));
        let index = partition.buffer.partition();
        partition.in_flight_node = Some(node_id);
        partition.in_flight.push_back(batch);
        Some((order, PartitionProduceData { index, records, ..Default::default() }))
    }

    fn push_request(
        &mut self,
        now: Instant,
        node_id: i32,
        entries: Vec<Entry>,
        topics: BTreeMap<Arc<str>, Vec<PartitionProduceData>>,
    ) {
        let topic_data = topics.into_iter().map(|(name, partition_data)| TopicProduceData {
            topic_id: self.metadata.topic_id(&name).unwrap_or(Uuid::ZERO),
            name: name.to_string(),
            partition_data,
            ..Default::default()
        });
        let timeout_ms = self.config.request_timeout.as_millis();
        let body = ProduceRequest {
            acks: self.config.acks,
            timeout_ms: i32::try_from(timeout_ms).unwrap_or(i32::MAX),
            topic_data: topic_data.collect(),
            ..Default::default()
        };
        let id = self.next_call_id();
        let node = self.node(node_id);
        node.in_flight += 1;
        node.load.in_flight.fetch_add(1, Ordering::SeqCst);
        self.calls.insert(id, ProduceCall { node: node_id, sent_at: now, entries });
        self.expect_answer(now);
        self.outputs.push_back(Output::Call(Call {
            id,
            target: Target::Node(node_id),
            purpose: Purpose::Produce,
            request: Request::Produce(Box::new(body)),
            timeout: self.config.request_timeout,
        }));
    }

    /// Gives a partition that lost a number a new epoch, once nothing that may be written is open.
    fn settle(&mut self, slot: u32) {
        let partition = &self.partitions[slot as usize];
        if !partition.is_unresolved || !partition.is_settled() {
            return;
        }
        if matches!(self.identity, IdentityState::NotNeeded) {
            self.partitions[slot as usize].is_unresolved = false;
            return;
        }
        let old = partition.identity;
        let Some(identity) = self.raised_identity(old) else { return };
        if let Err(error) = self.partitions[slot as usize].restart(identity) {
            self.fatal = Some(error.into_fatal());
        }
    }
}
