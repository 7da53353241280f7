//! What the user gets: one batch after the other, each finished when the next is asked for.

use ottla_protocol::records::{RecordBatch, RecordError};

use super::Consumer;
use super::position::{Partition, Phase, Position};
use crate::error::{Error, ErrorKind};
use crate::group::TopicPartition;
use crate::time::Instant;

/// A batch for the user. Its records are not decompressed yet.
#[derive(Clone, Debug)]
pub struct HandedOut {
    /// Where it is from.
    pub partition: TopicPartition,
    /// The batch as it was fetched.
    pub batch: RecordBatch,
    /// Records with a lower offset were consumed before: skip them (trap 6).
    pub first_offset: i64,
    /// The position after it.
    pub after: Position,
    /// For [`Consumer::give_back`].
    pub incarnation: u64,
}

/// The answer to the wish for a batch.
#[derive(Debug)]
pub enum Next {
    /// Here is one.
    Batch(HandedOut),
    /// None is ready; ask again when the driver says so.
    Wait,
    /// The consumer is closed, and will never have one.
    Closed,
    /// Something the user has to know; asking again goes on.
    Failed(Error),
}

impl Consumer {
    /// The next batch; the one before is finished by this (trap 10).
    ///
    /// Returns also whether the driver should look for work: a buffer has room again, or a
    /// rebalance waited for the user.
    pub fn next_batch(&mut self, now: Instant) -> (Next, bool) {
        self.finish_outstanding();
        self.needs_driver |= self.round.waits_for_user();
        let next = self.choose_next(now);
        (next, std::mem::take(&mut self.needs_driver))
    }

    fn choose_next(&mut self, now: Instant) -> Next {
        if let Some(error) = self.errors.pop_front() {
            return Next::Failed(error);
        }
        if let Some(fatal) = &self.fatal {
            return Next::Failed(fatal.clone());
        }
        if self.is_closed || self.closing.is_some() {
            return Next::Closed;
        }
        // Before an eager rebalance everything is given up: a batch handed out now would be
        // consumed twice.
        if !self.round.stops_all() {
            while let Some(partition) = self.turns.pop_front() {
                if let Some(handed) = self.take_ready(&partition) {
                    self.outstanding = Some((partition, handed.incarnation));
                    self.user_works(now);
                    return Next::Batch(handed);
                }
            }
        }
        if let Some(error) = self.missing_position() {
            return Next::Failed(error);
        }
        self.user_waits(now);
        Next::Wait
    }

    /// A partition that stands still for want of a seek, told once.
    fn missing_position(&mut self) -> Option<Error> {
        let unknown =
            |state: &Partition| state.phase == Phase::NeedsSeek && state.reported.is_none();
        let (partition, state) = self.partitions.iter_mut().find(|(_, state)| unknown(state))?;
        let message = format!(
            "{partition} has no position: there is no group and auto.offset.reset is none: seek"
        );
        let error = Error::new(ErrorKind::OffsetOutOfRange, message);
        state.reported = Some(error.clone());
        Some(error)
    }

    /// Whether the user, who waits, should ask again.
    pub fn wakes_user(&self) -> bool {
        self.user_is_waiting && self.has_news()
    }

    fn has_news(&self) -> bool {
        !self.errors.is_empty()
            || self.fatal.is_some()
            || self.is_closed
            || self.closing.is_some()
            || (!self.turns.is_empty() && !self.round.stops_all())
    }

    /// The user stopped waiting without a batch: the future was dropped.
    pub fn user_left(&mut self, now: Instant) {
        self.user_works(now);
    }

    /// The batch's records could not be read: it counts as never handed out, and its partition
    /// stands still until the user seeks. Asked for at once or later, the error is the same.
    pub fn give_back(&mut self, now: Instant, handed: &HandedOut, broken: &RecordError) -> Error {
        let partition = &handed.partition;
        let offset = handed.batch.header().base_offset.max(handed.first_offset);
        let message = format!(
            "the batch of {partition} at offset {offset} cannot be read: {broken}; seek past it \
             to go on"
        );
        let error = Error::new(ErrorKind::Protocol, message);
        self.outstanding = None;
        let incarnation = self.new_incarnation();
        if let Some(state) = self.partitions.get_mut(partition)
            && state.incarnation == handed.incarnation
        {
            let before = Position { offset: handed.first_offset, ..state.finished };
            let leader = state.leader;
            state.move_to(incarnation, before);
            state.leader = leader;
            state.phase = Phase::Failed;
        }
        self.step(now);
        error
    }

    /// The user has finished the records below `offset` of the outstanding batch: record-wise
    /// consumption inside of a batch.
    pub fn finish_up_to(&mut self, offset: i64) {
        if let Some((partition, incarnation)) = &self.outstanding
            && let Some(state) = self.partitions.get_mut(partition)
            && state.incarnation == *incarnation
            && offset > state.finished.offset
            && offset <= state.position.offset
        {
            let leader_epoch = state.position.leader_epoch;
            state.finished = Position { offset, leader_epoch };
        }
    }

    /// The user consumes record by record and has finished those below `offset`: the poll interval
    /// starts anew.
    pub fn note_progress(&mut self, now: Instant, offset: i64) {
        self.finish_up_to(offset);
        if self.outstanding.is_some() {
            self.user_works(now);
        }
    }

    /// Whether a rebalance waits for the user to finish the outstanding batch.
    pub fn wants_batch_back(&self) -> bool {
        self.round.waits_for_user()
            && self
                .outstanding
                .as_ref()
                .and_then(|(partition, _)| self.partitions.get(partition))
                .is_some_and(|state| state.revoking)
    }

    /// The user, who consumes record by record, gives back the rest of the outstanding batch from
    /// `offset` on.
    pub fn return_rest(&mut self, now: Instant, offset: i64) {
        if let Some((partition, incarnation)) = self.outstanding.take() {
            let next = self.new_incarnation();
            if let Some(state) = self.partitions.get_mut(&partition)
                && state.incarnation == incarnation
                && offset < state.position.offset
            {
                let (leader, revoking) = (state.leader, state.revoking);
                let leader_epoch = state.position.leader_epoch;
                state.move_to(next, Position { offset, leader_epoch });
                (state.leader, state.revoking) = (leader, revoking);
            } else {
                self.outstanding = Some((partition, incarnation));
                self.finish_outstanding();
            }
        }
        self.step(now);
    }

    pub(super) fn finish_outstanding(&mut self) {
        if let Some((partition, incarnation)) = self.outstanding.take()
            && let Some(state) = self.partitions.get_mut(&partition)
            && state.incarnation == incarnation
        {
            state.finished = state.position;
        }
    }

    /// The partition's next batch; `None` if it has none for the user.
    fn take_ready(&mut self, partition: &TopicPartition) -> Option<HandedOut> {
        let room_up_to = self.config.max_partition_fetch_bytes as usize;
        let state = self.partitions.get_mut(partition)?;
        state.is_listed = false;
        if state.paused || state.revoking {
            return None;
        }
        let mut found = None;
        let was_full = state.ready_bytes >= room_up_to || state.drain_first;
        while let Some(ready) = state.ready.pop_front() {
            let first_offset = state.position.offset;
            state.position = ready.after;
            match ready.batch {
                Some(batch) => {
                    let size = batch.bytes().len();
                    state.ready_bytes = state.ready_bytes.saturating_sub(size);
                    found = Some((batch, first_offset, ready.ends_fetch));
                    break;
                }
                // Nothing in it that the user would have to finish.
                None => state.finished = state.position,
            }
        }
        if state.ready.is_empty() {
            state.ready_bytes = 0;
            state.drain_first = false;
        }
        self.needs_driver |= was_full && state.ready_bytes < room_up_to && !state.drain_first;
        let (batch, first_offset, ends_fetch) = found?;
        let handed = HandedOut {
            partition: partition.clone(),
            batch,
            first_offset,
            after: state.position,
            incarnation: state.incarnation,
        };
        if !state.ready.is_empty() {
            state.is_listed = true;
            if ends_fetch {
                self.turns.push_back(partition.clone());
            } else {
                self.turns.push_front(partition.clone());
            }
        }
        Some(handed)
    }

    pub(super) fn drop_all_ready(&mut self) {
        self.turns.clear();
        for state in self.partitions.values_mut() {
            state.drop_ready();
            state.is_listed = false;
        }
    }

    fn user_waits(&mut self, now: Instant) {
        self.user_is_waiting = true;
        if let Some(member) = &mut self.member {
            member.user_waits(now);
            self.needs_driver |= member.has_output();
        }
    }

    pub(super) fn user_works(&mut self, now: Instant) {
        self.user_is_waiting = false;
        if let Some(member) = &mut self.member {
            member.user_works(now);
        }
    }
}
