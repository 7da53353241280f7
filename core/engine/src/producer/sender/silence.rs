//! Requests that have no answer for longer than usual: their partitions may have other leaders, and
//! a former leader that stands still, or is cut off from its followers, answers after
//! `request.timeout.ms` or never.
//!
//! Only an idempotent producer asks the new leader before the former one has answered: a batch that
//! both have read is written once all the same.

use super::batch::Batch;
use super::{Output, ProduceCall, Reason, Sender};
use crate::error::{Error, ErrorKind};
use crate::time::Instant;
use std::collections::BTreeSet;
use std::time::Duration;

/// After this it is asked who leads.
const SILENCE: Duration = Duration::from_secs(1);

impl ProduceCall {
    fn is_silent(&self, now: Instant) -> bool {
        self.sent_at + SILENCE <= now
    }
}

impl Sender {
    /// A request was sent at `now`.
    pub(super) fn expect_answer(&mut self, now: Instant) {
        if self.config.is_idempotent {
            self.timers.set_no_later_than(Reason::Silence, now + SILENCE);
        }
    }

    /// Asks who leads what was sent and not answered, every `retry.backoff.max.ms` at most.
    pub(super) fn on_silence(&mut self, now: Instant) {
        self.leave_former_leaders(now);
        let open = self.calls.values().filter(|call| !call.entries.is_empty());
        let (silent, young): (Vec<_>, Vec<_>) = open.partition(|call| call.is_silent(now));
        let mut next = young.iter().map(|call| call.sent_at + SILENCE).min();
        if !silent.is_empty() {
            if self.ask_in_silence_at <= now {
                self.outputs.push_back(Output::RefreshMetadata);
                self.ask_in_silence_at = now + self.config.retry_backoff.1;
            }
            next = next.into_iter().chain([self.ask_in_silence_at]).min();
        }
        if let Some(next) = next {
            self.timers.set(Reason::Silence, next);
        }
    }

    /// Gives up what a silent broker was sent for partitions that have another leader since. What
    /// was sent to it for such a partition later goes along: batches stay in their order. Its
    /// answer, if it still comes, is to nothing then.
    pub(super) fn leave_former_leaders(&mut self, now: Instant) {
        if !self.config.is_idempotent {
            return;
        }
        let silent = self.calls.values().filter(|call| call.is_silent(now));
        let left: BTreeSet<(i32, u32)> = silent
            .flat_map(|call| call.entries.iter().map(|entry| (call.node, entry)))
            .filter(|(node, entry)| {
                let partition = &self.partitions[entry.slot as usize];
                let is_last = |batch: &Batch| batch.attempts > self.config.retries;
                partition.leader.is_some_and(|leader| leader != *node)
                    && partition.leader_epoch > entry.leader_epoch
                    // What may not be sent again goes on waiting.
                    && !partition.in_flight.iter().any(is_last)
            })
            .map(|(node, entry)| (node, entry.slot))
            .collect();
        if left.is_empty() {
            return;
        }
        let mut given_up = Vec::new();
        for call in self.calls.values_mut() {
            let node = call.node;
            call.entries.retain(|entry| {
                let goes = left.contains(&(node, entry.slot));
                given_up.extend(goes.then_some((node, *entry)));
                !goes
            });
        }
        for (node, entry) in given_up {
            let partition = &mut self.partitions[entry.slot as usize];
            // After a close the batch is gone.
            let Some(mut batch) = partition.take_in_flight(entry.order) else { continue };
            batch.is_possibly_written = true;
            let (topic, index) = (partition.buffer.topic(), partition.buffer.partition());
            let text = format!("broker {node} leads {topic}-{index} no more, and did not answer");
            self.retry(now, entry.slot, batch, Error::new(ErrorKind::Timeout, text));
            self.enlist(entry.slot);
        }
    }
}
