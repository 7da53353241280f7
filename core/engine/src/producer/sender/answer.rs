//! What the answer to a produce request does to its batches.

use super::batch::Batch;
use super::verdict::{self, Verdict};
use super::{Output, ProduceCall, Sender};
use crate::call::CallError;
use crate::error::{Error, ErrorKind};
use crate::producer::completion::Outcome;
use crate::time::Instant;
use ottla_protocol::messages::produce::PartitionProduceResponse;
use ottla_protocol::messages::{ProduceResponse, Response};
use ottla_protocol::{ErrorCode, Uuid};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// How an answer names a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum TopicKey<'a> {
    Name(&'a str),
    Id(Uuid),
}

impl Sender {
    pub(super) fn on_produced(
        &mut self,
        now: Instant,
        call: ProduceCall,
        result: Result<(Response, i16), CallError>,
    ) {
        let node = self.node(call.node);
        node.in_flight -= 1;
        node.load.in_flight.fetch_sub(1, Ordering::SeqCst);
        self.note_ended(call.node, result.is_ok());
        match result {
            Ok((Response::Produce(body), _)) => self.on_answer(now, &call, &body),
            Ok(_) => unreachable!("the connection decodes an answer as the API that was asked"),
            Err(error) => self.on_no_answer(now, &call, &error),
        }
        for entry in &call.entries {
            self.enlist(entry.slot);
        }
    }

    fn on_answer(&mut self, now: Instant, call: &ProduceCall, body: &ProduceResponse) {
        let mut by_partition = BTreeMap::new();
        for topic in &body.responses {
            let key = match topic.topic_id.is_zero() {
                true => TopicKey::Name(&topic.name),
                false => TopicKey::Id(topic.topic_id),
            };
            for partition in &topic.partition_responses {
                by_partition.insert((key, partition.index), partition);
            }
        }
        let unacknowledged = PartitionProduceResponse { base_offset: -1, ..Default::default() };
        for entry in &call.entries {
            let buffer = self.partitions[entry.slot as usize].buffer.clone();
            let (topic, index) = (buffer.topic(), buffer.partition());
            let by_name = by_partition.get(&(TopicKey::Name(topic), index));
            let by_id = || by_partition.get(&(TopicKey::Id(entry.topic_id), index));
            let answer = match by_name.or_else(by_id) {
                Some(answer) => Some(*answer),
                None if self.config.acks == 0 => Some(&unacknowledged),
                None => None,
            };
            let partition = &mut self.partitions[entry.slot as usize];
            // After a close the batch is gone.
            let Some(batch) = partition.take_in_flight(entry.order) else { continue };
            match answer {
                Some(answer) => self.on_partition_answer(now, entry.slot, batch, answer),
                // An answer that passes over a partition is no success (trap 15).
                None => self.on_missing_answer(now, entry.slot, batch, call.node),
            }
        }
    }

    fn on_missing_answer(&mut self, now: Instant, slot: u32, mut batch: Batch, node: i32) {
        batch.is_possibly_written = true;
        let buffer = &self.partitions[slot as usize].buffer;
        let text = format!(
            "broker {node} answered a produce request without a word on {}-{}",
            buffer.topic(),
            buffer.partition()
        );
        self.retry(now, slot, batch, Error::new(ErrorKind::Protocol, text));
    }

    fn on_partition_answer(
        &mut self,
        now: Instant,
        slot: u32,
        mut batch: Batch,
        answer: &PartitionProduceResponse,
    ) {
        let code = answer.error_code;
        let verdict = verdict::of_code(code);
        if verdict == Verdict::Written {
            return self.on_written(slot, batch, answer);
        }
        batch.is_possibly_written |= verdict::is_possibly_written(code);
        let error = self.error_of(slot, answer);
        if verdict::wants_metadata(code) {
            self.on_leader_lost(now, slot, answer);
        }
        match verdict {
            Verdict::Written => unreachable!("handled above"),
            Verdict::Retry => self.retry(now, slot, batch, error),
            Verdict::Split => self.split(slot, batch, error),
            Verdict::OutOfOrder => self.on_out_of_order(now, slot, batch, error),
            Verdict::IdentityLost => {
                self.lose_identity(self.partitions[slot as usize].identity);
                self.renumber(slot, batch, error);
            }
            Verdict::Fail => self.on_failed(slot, batch, error, answer),
            Verdict::Fatal => {
                self.fail(slot, batch, error.clone());
                self.fatal = Some(error.into_fatal());
            }
        }
    }

    fn on_written(&mut self, slot: u32, batch: Batch, answer: &PartitionProduceResponse) {
        let partition = &mut self.partitions[slot as usize];
        partition.failures = 0;
        partition.retry_at = None;
        partition.suspects_leader = false;
        if batch.stamp.is_some_and(|stamp| Some(stamp.identity) == partition.identity) {
            partition.is_confirmed = true;
        }
        let base_offset = Some(answer.base_offset).filter(|offset| *offset >= 0);
        let append_time = Some(answer.log_append_time_ms).filter(|ms| *ms >= 0);
        self.complete(slot, batch, Outcome::Written { base_offset, append_time });
    }

    fn error_of(&self, slot: u32, answer: &PartitionProduceResponse) -> Error {
        let buffer = &self.partitions[slot as usize].buffer;
        let context = format!("cannot write to {}-{}", buffer.topic(), buffer.partition());
        let error = Error::from_raw_code(answer.error_code, context);
        match &answer.error_message {
            Some(message) => error.with_note(format_args!("the broker says: {message}")),
            None => error,
        }
    }

    fn on_leader_lost(&mut self, now: Instant, slot: u32, answer: &PartitionProduceResponse) {
        self.suspect_leaders(now);
        let partition = &mut self.partitions[slot as usize];
        partition.suspects_leader = partition.in_flight_node == partition.leader;
        let buffer = &partition.buffer;
        let (leader, epoch) = (answer.current_leader.leader_id, answer.current_leader.leader_epoch);
        if leader >= 0 {
            let (topic, partition) = (buffer.topic().clone(), buffer.partition());
            self.outputs.push_back(Output::LearnLeader { topic, partition, leader, epoch });
        }
        self.outputs.push_back(Output::RefreshMetadata);
    }

    /// Puts a batch back to be sent again after a pause, or fails it where that is of no use.
    pub(super) fn retry(&mut self, now: Instant, slot: u32, mut batch: Batch, error: Error) {
        if batch.is_expired || batch.attempts > self.config.retries {
            self.lose(slot, &batch);
            return self.fail(slot, batch, error);
        }
        batch.last_error = Some(error);
        let failures = self.partitions[slot as usize].failures;
        let delay = self.retry_delay(failures);
        let partition = &mut self.partitions[slot as usize];
        // Batches that fail together are one failure; that of a broker that leads no more is none.
        let moved = partition.leader.is_some() && partition.leader != partition.in_flight_node;
        if !moved && partition.retry_at.is_none_or(|at| at <= now) {
            partition.failures = failures.saturating_add(1);
            partition.retry_at = Some(now + delay);
        }
        partition.push_retry(batch);
    }

    /// A batch with a number ends without being known to be written: the number is missing, or may
    /// be (trap 2).
    fn lose(&mut self, slot: u32, batch: &Batch) {
        if batch.stamp.is_some() {
            self.partitions[slot as usize].is_unresolved = true;
        }
    }

    /// 45: something before this batch is missing at the broker. While earlier ones are open that
    /// is what is expected, and it waits its turn; else the broker lost something, or an earlier
    /// batch was given up.
    ///
    /// The answer does not undo an earlier "possibly": the first attempt may still stand unread in
    /// a lost connection behind the batch that is missing, and both be written when they are read.
    /// A new number would then make a duplicate.
    fn on_out_of_order(&mut self, now: Instant, slot: u32, batch: Batch, error: Error) {
        let partition = &self.partitions[slot as usize];
        let is_expected = !partition.is_first_open(batch.order) && !partition.is_unresolved;
        if error.code() == Some(ErrorCode::OutOfOrderSequenceNumber) && is_expected {
            return self.retry(now, slot, batch, error);
        }
        self.renumber(slot, batch, error);
    }

    /// The batch needs another number: where it may be written that would make a duplicate, so it
    /// fails.
    fn renumber(&mut self, slot: u32, mut batch: Batch, error: Error) {
        self.lose(slot, &batch);
        if batch.is_possibly_written || batch.is_expired || batch.stamp.is_none() {
            return self.fail(slot, batch, error);
        }
        batch.last_error = Some(error);
        self.partitions[slot as usize].push_retry(batch);
    }

    /// 10: not written, and never will be as it is. Its halves go instead, at once.
    fn split(&mut self, slot: u32, batch: Batch, error: Error) {
        let (compression, level) = (self.config.compression, self.config.compression_level);
        if batch.is_expired {
            return self.lose(slot, &batch);
        }
        match batch.split(compression, level) {
            Some((first, second)) => {
                let partition = &mut self.partitions[slot as usize];
                partition.push_retry(first);
                partition.push_retry(second);
            }
            None => {
                self.lose(slot, &batch);
                let note = "send a smaller record, or raise max.message.bytes of the topic";
                self.fail(slot, batch, error.with_note(note));
            }
        }
    }

    fn on_failed(
        &mut self,
        slot: u32,
        batch: Batch,
        error: Error,
        answer: &PartitionProduceResponse,
    ) {
        self.lose(slot, &batch);
        if answer.record_errors.is_empty() {
            return self.fail(slot, batch, error);
        }
        let mut by_record = Vec::new();
        for record in &answer.record_errors {
            let Ok(index) = u32::try_from(record.batch_index) else { continue };
            let text = match &record.batch_index_error_message {
                Some(message) => format!("the broker refused the record: {message}"),
                None => format!("the broker refused the record: {error}"),
            };
            by_record.push((batch.first + index, Error::new(ErrorKind::Invalid, text)));
        }
        let error = error.with_note("another record of the batch was refused, so none was written");
        let error = error.with_possibly_written(batch.is_possibly_written);
        self.complete(slot, batch, Outcome::Failed { error, by_record });
    }

    fn on_no_answer(&mut self, now: Instant, call: &ProduceCall, call_error: &CallError) {
        let verdict = verdict::of_call_error(call_error);
        if verdict == Verdict::Retry {
            self.outputs.push_back(Output::RefreshMetadata);
            self.suspect_leaders(now);
        }
        for entry in &call.entries {
            let partition = &mut self.partitions[entry.slot as usize];
            let Some(mut batch) = partition.take_in_flight(entry.order) else { continue };
            partition.suspects_leader = partition.in_flight_node == partition.leader;
            batch.is_possibly_written |= call_error.possibly_sent();
            let buffer = &partition.buffer;
            let context = format!("cannot write to {}-{}", buffer.topic(), buffer.partition());
            let error = Error::from_call(call_error, context);
            match verdict {
                Verdict::Retry => self.retry(now, entry.slot, batch, error),
                _ => {
                    self.lose(entry.slot, &batch);
                    self.fail(entry.slot, batch, error);
                }
            }
        }
    }
}
