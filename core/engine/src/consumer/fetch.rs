//! Fetch answers: data into the partitions' buffers, errors into what they ask for.

use ottla_protocol::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::Response;
use ottla_protocol::messages::fetch::{FetchResponse, LeaderIdAndEpoch, PartitionData};

use super::fetched::split;
use super::plan::{Asked, FetchAsked};
use super::position::Phase;
use super::{Consumer, ConsumerOutput};
use crate::call::{CallError, CallId};
use crate::error::{Error, ErrorKind};
use crate::group::TopicPartition;
use crate::time::Instant;

impl Consumer {
    pub(super) fn on_fetch(
        &mut self,
        now: Instant,
        id: CallId,
        fetch: FetchAsked,
        result: Result<Response, CallError>,
    ) {
        self.fetching.remove(&fetch.node);
        let response = match result {
            Ok(Response::Fetch(response)) => *response,
            Ok(_) => return self.on_wrong_answer("Fetch"),
            Err(error) => {
                let all: Vec<Asked> = fetch.partitions().cloned().collect();
                for asked in &all {
                    self.leave_preferred(asked, fetch.node);
                }
                let what = format!("fetch from node {}", fetch.node);
                return self.on_call_error(now, id, &all, &error, &what);
            }
        };
        if response.error_code != 0 {
            return self.on_fetch_refused(now, id, &fetch, response.error_code);
        }
        self.take_partitions(now, id, &fetch, response);
        // A partition that was asked for and is not in the answer has nothing new.
        for asked in fetch.partitions() {
            let _ = self.is_current(id, asked);
        }
    }

    /// The whole request was refused; without a session that is rare.
    fn on_fetch_refused(&mut self, now: Instant, id: CallId, fetch: &FetchAsked, code: i16) {
        for asked in fetch.partitions() {
            if self.is_current(id, asked) {
                self.retry_later(now, &asked.partition);
            }
        }
        self.outputs.push_back(ConsumerOutput::RefreshMetadata);
        if ErrorCode::from_code(code).is_none_or(|code| !code.is_retriable()) {
            let context = format!("fetch from node {}", fetch.node);
            self.errors.push_back(Error::from_raw_code(code, context));
        }
    }

    fn take_partitions(
        &mut self,
        now: Instant,
        id: CallId,
        fetch: &FetchAsked,
        response: FetchResponse,
    ) {
        for topic in response.responses {
            let named = |(name, topic_id, _): &&(std::sync::Arc<str>, _, Vec<Asked>)| {
                **name == *topic.topic || (!topic.topic_id.is_zero() && *topic_id == topic.topic_id)
            };
            let Some((_, _, asked)) = fetch.topics.iter().find(named) else { continue };
            for data in topic.partitions {
                let of = |asked: &&Asked| asked.partition.partition == data.partition_index;
                let Some(asked) = asked.iter().find(of) else { continue };
                if !self.is_current(id, asked) || !self.is_fetching_from(asked) {
                    continue;
                }
                match ErrorCode::from_code(data.error_code) {
                    Some(ErrorCode::None) => self.take_data(now, asked, fetch.node, data),
                    // Only the leader decides what is out of range (KIP-392).
                    code if self.leave_preferred(asked, fetch.node)
                        && code == Some(ErrorCode::OffsetOutOfRange) =>
                    {
                        self.retry_later(now, &asked.partition);
                    }
                    code => {
                        self.learn_leader(asked, &data.current_leader);
                        self.on_partition_error(now, asked, code, data.error_code);
                    }
                }
            }
        }
    }

    /// Whether the answer's offset is still where the partition's fetching goes on (trap 7).
    fn is_fetching_from(&self, asked: &Asked) -> bool {
        self.partitions.get(&asked.partition).is_some_and(|state| {
            state.phase == Phase::Fetching && state.fetch_position.offset == asked.offset
        })
    }

    /// The replica that was preferred to the leader serves no more; false if `node` is not that.
    fn leave_preferred(&mut self, asked: &Asked, node: i32) -> bool {
        let Some(state) = self.partitions.get_mut(&asked.partition) else { return false };
        state.preferred.take_if(|(preferred, _)| *preferred == node).is_some()
    }

    fn take_data(&mut self, now: Instant, asked: &Asked, node: i32, data: PartitionData) {
        let preferred_until = now + self.config.common.metadata_max_age;
        let isolation = self.config.isolation_level;
        let Some(state) = self.partitions.get_mut(&asked.partition) else { return };
        state.failures = 0;
        state.reported = None;
        if data.preferred_read_replica >= 0 && data.preferred_read_replica != node {
            state.preferred = Some((data.preferred_read_replica, preferred_until));
        }
        state.high_watermark = Some(data.high_watermark);
        state.last_stable_offset = Some(data.last_stable_offset).filter(|&offset| offset >= 0);
        state.log_start_offset = Some(data.log_start_offset).filter(|&offset| offset >= 0);
        let records: Bytes = data.records.unwrap_or_default();
        if records.is_empty() {
            return;
        }
        let aborted = data.aborted_transactions.unwrap_or_default();
        let fetched = split(records, state.fetch_position, &aborted, isolation);
        state.fetch_position = fetched.next;
        for ready in fetched.steps {
            state.ready_bytes += ready.batch.as_ref().map_or(0, |batch| batch.bytes().len());
            state.ready.push_back(ready);
        }
        let is_stuck = state.ready.is_empty() && fetched.next.offset == asked.offset;
        if !state.ready.is_empty() && !state.is_listed && !state.paused {
            state.is_listed = true;
            self.turns.push_back(asked.partition.clone());
        }
        if let Some(broken) = fetched.broken.filter(|_| is_stuck) {
            // Nothing readable before it: the next fetch would bring the same.
            self.fail_partition(&asked.partition, unreadable(asked, fetched.next.offset, &broken));
        }
    }

    /// A broker that is not the leader may say who is: that is earlier than metadata says so.
    fn learn_leader(&mut self, asked: &Asked, named: &LeaderIdAndEpoch) {
        if named.leader_id >= 0 {
            self.outputs.push_back(ConsumerOutput::LearnLeader {
                partition: asked.partition.clone(),
                leader: named.leader_id,
                epoch: named.leader_epoch,
            });
        }
    }

    fn on_partition_error(
        &mut self,
        now: Instant,
        asked: &Asked,
        code: Option<ErrorCode>,
        raw_code: i16,
    ) {
        let partition = &asked.partition;
        match code {
            Some(ErrorCode::OffsetOutOfRange) => self.on_out_of_range(asked),
            Some(
                ErrorCode::NotLeaderOrFollower
                | ErrorCode::UnknownTopicOrPartition
                | ErrorCode::UnknownTopicId
                | ErrorCode::InconsistentTopicId
                | ErrorCode::FencedLeaderEpoch
                | ErrorCode::UnknownLeaderEpoch
                | ErrorCode::ReplicaNotAvailable
                | ErrorCode::KafkaStorageError
                | ErrorCode::LeaderNotAvailable
                | ErrorCode::OffsetNotAvailable,
            ) => {
                // 78 OFFSET_NOT_AVAILABLE: the new leader's high watermark lags; it is not a
                // reason to reset (trap 9).
                self.retry_later(now, partition);
                self.outputs.push_back(ConsumerOutput::RefreshMetadata);
            }
            Some(code) if !code.is_retriable() || code == ErrorCode::CorruptMessage => {
                let context = format!("fetch of {partition} at offset {}", asked.offset);
                self.fail_partition(partition, Error::from_code(code, context));
            }
            Some(_) => self.retry_later(now, partition),
            None => {
                let context = format!("fetch of {partition} at offset {}", asked.offset);
                let error = Error::from_raw_code(raw_code, context);
                self.fail_partition(partition, error);
            }
        }
    }

    /// The leader has no record at the fetch position: the log was cut at either end (trap 9).
    fn on_out_of_range(&mut self, asked: &Asked) {
        let reset = self.config.auto_offset_reset;
        let Some(state) = self.partitions.get_mut(&asked.partition) else { return };
        if !state.ready.is_empty() {
            // What is buffered was good. The user gets it; then the same offset is asked again,
            // and only that answer decides.
            state.drain_first = true;
            return;
        }
        if reset == crate::config::OffsetReset::None {
            let message = format!(
                "offset {} of {} is not in the log any more and auto.offset.reset is none: seek",
                asked.offset, asked.partition
            );
            return self.fail_partition(
                &asked.partition,
                Error::new(ErrorKind::OffsetOutOfRange, message),
            );
        }
        let incarnation = self.new_incarnation();
        if let Some(state) = self.partitions.get_mut(&asked.partition) {
            state.restart(incarnation, Phase::NeedsReset(reset));
        }
    }

    /// The partition stands still until the user seeks; the user is told once.
    pub(super) fn fail_partition(&mut self, partition: &TopicPartition, error: Error) {
        let Some(state) = self.partitions.get_mut(partition) else { return };
        state.phase = Phase::Failed;
        if state.reported.as_ref() != Some(&error) {
            state.reported = Some(error.clone());
            self.errors.push_back(error);
        }
    }

    pub(super) fn on_wrong_answer(&mut self, api: &str) {
        self.errors.push_back(Error::new(
            ErrorKind::Protocol,
            format!("{api} was answered by another message"),
        ));
    }
}

fn unreadable(asked: &Asked, offset: i64, broken: &dyn std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!(
            "the batch of {} at offset {offset} cannot be read: {broken}; seek past it to go on",
            asked.partition
        ),
    )
}
