//! One partition in the sender: which batch goes next, and under which sequence number.
//!
//! Batches pass from the buffer to `prepared` (being compressed), get their sequence number when
//! they are drawn, wait in `in_flight` for their answer and, where that asks for it, in `retry` for
//! the next attempt. At most five hold a sequence number at once, which is how many a broker
//! remembers.

use super::super::accumulator::PartitionBuffer;
use super::batch::{Batch, Identity, Order, Stamp, sequence_after};
use crate::error::Error;
use crate::time::Instant;
use std::collections::VecDeque;
use std::sync::Arc;

/// One partition in the sender.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) buffer: Arc<PartitionBuffer>,
    pub(super) leader: Option<i32>,
    pub(super) leader_epoch: i32,
    /// Taken out of the buffer, without a sequence number; perhaps being compressed.
    pub(super) prepared: VecDeque<Batch>,
    /// To be sent again, in order.
    pub(super) retry: VecDeque<Batch>,
    /// On their way, in order, all to `in_flight_node`.
    pub(super) in_flight: VecDeque<Batch>,
    pub(super) in_flight_node: Option<i32>,
    /// Whose numbers `sequence_next` counts.
    pub(super) identity: Option<Identity>,
    pub(super) sequence_next: i32,
    /// A broker has acknowledged a batch under `identity`. Before that, one batch at a time: a
    /// broker without state for a producer takes any first sequence number, so a second batch that
    /// overtook the first would hide its loss (trap 3).
    pub(super) is_confirmed: bool,
    /// A sequence number is missing, or may be: nothing new is drawn before the rest is settled
    /// (trap 2).
    pub(super) is_unresolved: bool,
    /// No attempt before this.
    pub(super) retry_at: Option<Instant>,
    /// Failed attempts in a row.
    pub(super) failures: u32,
    /// The last attempt did not reach the leader, or found none.
    pub(super) suspects_leader: bool,
}

impl Partition {
    pub(super) fn new(buffer: Arc<PartitionBuffer>) -> Self {
        Self {
            buffer,
            leader: None,
            leader_epoch: -1,
            prepared: VecDeque::new(),
            retry: VecDeque::new(),
            in_flight: VecDeque::new(),
            in_flight_node: None,
            identity: None,
            sequence_next: 0,
            is_confirmed: false,
            is_unresolved: false,
            retry_at: None,
            failures: 0,
            suspects_leader: false,
        }
    }

    /// Whether a batch may be sent to `node` now.
    pub(super) fn is_sendable(&self, now: Instant, node: i32, in_flight_max: usize) -> bool {
        if self.retry_at.is_some_and(|at| at > now) {
            return false;
        }
        // What was given up on its way may be written or not: its number is settled first (trap 2).
        if self.in_flight.iter().any(|batch| batch.is_expired && batch.stamp.is_some()) {
            return false;
        }
        // After a failure, one by one: what goes again must not overtake what is on its way, and
        // the answers of another leader come first.
        if !self.retry.is_empty() || self.is_unresolved {
            return self.in_flight.is_empty();
        }
        let moved = self.in_flight_node != Some(node) && !self.in_flight.is_empty();
        let fresh = self.identity.is_some() && !self.is_confirmed && !self.in_flight.is_empty();
        self.in_flight.len() < in_flight_max && !moved && !fresh
    }

    /// Takes over a new identity, once nothing is left under the old one.
    pub(super) fn adopt(&mut self, identity: Option<Identity>) {
        let is_settled = self.in_flight.is_empty() && self.retry.is_empty();
        if self.identity == identity || !is_settled || self.is_unresolved {
            return;
        }
        self.identity = identity;
        self.sequence_next = 0;
        self.is_confirmed = false;
    }

    /// Gives a batch the next sequence numbers.
    pub(super) fn stamp(&mut self, batch: &mut Batch) -> Result<(), Error> {
        let stamp = self.identity.map(|identity| Stamp { identity, sequence: self.sequence_next });
        batch.seal(stamp)?;
        self.sequence_next = sequence_after(self.sequence_next, batch.count);
        Ok(())
    }

    /// Whether no batch before this one is open: a broker that misses something before it has lost
    /// it.
    pub(super) fn is_first_open(&self, order: Order) -> bool {
        let mut open = self.in_flight.iter().chain(&self.retry);
        !open.any(|batch| batch.order < order)
    }

    /// Takes a batch that was answered out of those on their way.
    pub(super) fn take_in_flight(&mut self, order: Order) -> Option<Batch> {
        let at = self.in_flight.iter().position(|batch| batch.order == order)?;
        self.in_flight.remove(at)
    }

    /// Puts a batch among those to be sent again, in order.
    pub(super) fn push_retry(&mut self, batch: Batch) {
        let at = self.retry.partition_point(|other| other.order < batch.order);
        self.retry.insert(at, batch);
    }

    /// Whether the partition can take a new identity: everything that is open was certainly not
    /// written, so that new numbers cannot make duplicates.
    pub(super) fn is_settled(&self) -> bool {
        self.in_flight.is_empty() && !self.retry.iter().any(|batch| batch.is_possibly_written)
    }

    /// Begins again under a new identity: what is left gets new numbers from 0 (KIP-360).
    pub(super) fn restart(&mut self, identity: Identity) -> Result<(), Error> {
        debug_assert!(self.is_settled(), "nothing that may be written gets a second number");
        self.identity = Some(identity);
        self.sequence_next = 0;
        self.is_confirmed = false;
        self.is_unresolved = false;
        let mut retry = std::mem::take(&mut self.retry);
        for batch in &mut retry {
            self.stamp(batch)?;
        }
        self.retry = retry;
        Ok(())
    }

    /// When the oldest batch here was opened.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let batches = self.prepared.iter().chain(&self.retry).chain(&self.in_flight);
        batches.filter(|batch| !batch.is_expired).map(|batch| batch.opened_at).min()
    }
}
