//! Which brokers have taken nothing for `partitioner.availability.timeout.ms` (KIP-794).

use super::{Reason, Sender};
use crate::time::Instant;
use std::sync::atomic::Ordering;

impl Sender {
    /// Notes whether a broker takes what there is for it, and since when it does not: it has as
    /// many requests as it may have, or does not answer. One with nothing to take is available,
    /// so that it is tried again.
    pub(super) fn note_availability(&mut self, now: Instant, node_id: i32) {
        let Some(timeout) = self.config.availability_timeout else { return };
        let in_flight_max = self.config.in_flight_max;
        let node = self.node(node_id);
        let is_idle = node.queue.is_empty() && node.in_flight == 0;
        let is_stuck = node.is_failing || node.in_flight >= in_flight_max;
        if is_idle || !is_stuck {
            node.stalled_since = None;
        } else {
            node.stalled_since.get_or_insert(now);
        }
        let until = node.stalled_since.map(|since| since + timeout);
        node.load.is_unavailable.store(until.is_some_and(|at| at <= now), Ordering::Relaxed);
        if let Some(until) = until.filter(|until| *until > now) {
            self.timers.set_no_later_than(Reason::Availability, until);
        }
    }

    /// A request to the broker has ended. One that answers is available, however slow.
    pub(super) fn note_ended(&mut self, node_id: i32, is_answered: bool) {
        let node = self.node(node_id);
        node.is_failing = !is_answered;
        if is_answered {
            node.stalled_since = None;
        }
    }
}
