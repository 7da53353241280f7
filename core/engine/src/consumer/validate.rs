//! After a change of leader: does the new leader's log hold what was consumed? (KIP-320, trap 8)

use std::collections::BTreeMap;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::Response;
use ottla_protocol::messages::offset_for_leader_epoch::EpochEndOffset;

use super::offsets::epochs_request;
use super::plan::{Asked, Waiting};
use super::position::{Phase, Position};
use super::{Consumer, ConsumerOutput, RebalanceEvent};
use crate::call::{CallError, CallId, Purpose, Target};
use crate::config::OffsetReset;
use crate::error::{Error, ErrorKind};
use crate::group::TopicPartition;
use crate::time::Instant;

impl Consumer {
    /// Looks for partitions whose leader is another one than that of their position.
    pub(super) fn check_leaders(&mut self) {
        for partition in self.assignment() {
            self.check_leader(&partition);
        }
    }

    pub(super) fn check_leader(&mut self, partition: &TopicPartition) {
        let Some(known) = self.metadata.partition(&partition.topic, partition.partition) else {
            return;
        };
        let leader = known.leader.map(|leader| (leader, known.leader_epoch));
        let Some(state) = self.partitions.get_mut(partition) else { return };
        if leader.is_none() || state.leader == leader {
            return;
        }
        let had_leader = std::mem::replace(&mut state.leader, leader).is_some();
        state.preferred = None;
        state.retry_at = None;
        let is_epoch_known = known.leader_epoch >= 0 && state.fetch_position.leader_epoch.is_some();
        let is_reading = matches!(state.phase, Phase::Fetching | Phase::NeedsValidation);
        if is_reading {
            // Without epochs on both sides nothing can be held against anything.
            state.phase = if is_epoch_known { Phase::NeedsValidation } else { Phase::Fetching };
        }
        let asks_leader = had_leader && matches!(state.phase, Phase::NeedsReset(_));
        if is_reading || asks_leader {
            // An answer under the old leader says nothing about the new one's log.
            state.busy = None;
        }
    }

    pub(super) fn plan_validation(&mut self, now: Instant) {
        self.adopt_leaders(now);
        let partitions = self.idle_in(now, |phase| *phase == Phase::NeedsValidation);
        for (node, asked) in self.by_leader(now, partitions) {
            let mut wanted = BTreeMap::new();
            for asked in &asked {
                let state = &self.partitions[&asked.partition];
                if let Some(epoch) = state.fetch_position.leader_epoch {
                    wanted.insert(asked.partition.clone(), epoch);
                }
            }
            let request = epochs_request(&self.metadata, &wanted);
            let id = self.call(Target::Node(node), Purpose::General, request);
            self.mark_busy(&asked, id);
            self.wait_for(now, id, Waiting::Epochs(asked));
        }
    }

    /// Positions that were set before the leader was known.
    fn adopt_leaders(&mut self, now: Instant) {
        let without = self.partitions.iter().filter(|(_, state)| {
            state.phase == Phase::Fetching && state.leader.is_none() && state.can_act(now)
        });
        let without: Vec<TopicPartition> = without.map(|(p, _)| p.clone()).collect();
        let mut is_missing = false;
        for partition in without {
            self.check_leader(&partition);
            if self.partitions[&partition].leader.is_none() {
                is_missing = true;
                self.retry_later(now, &partition);
            }
        }
        if is_missing {
            self.outputs.push_back(ConsumerOutput::RefreshMetadata);
        }
    }

    pub(super) fn on_epochs(
        &mut self,
        now: Instant,
        id: CallId,
        asked: Vec<Asked>,
        result: Result<Response, CallError>,
    ) {
        let response = match result {
            Ok(Response::OffsetForLeaderEpoch(response)) => *response,
            Ok(_) => return self.on_wrong_answer("OffsetForLeaderEpoch"),
            Err(CallError::UnsupportedVersion { .. }) => {
                // Brokers that old cannot tell; they are believed as before KIP-320.
                return asked.iter().for_each(|asked| {
                    if self.is_current(id, asked) {
                        self.accept(&asked.partition);
                    }
                });
            }
            Err(error) => {
                return self.on_call_error(now, id, &asked, &error, "look-up of leader epochs");
            }
        };
        let mut answers: BTreeMap<TopicPartition, EpochEndOffset> = BTreeMap::new();
        for topic in response.topics {
            for answer in topic.partitions {
                let partition = TopicPartition::new(topic.topic.as_str(), answer.partition);
                answers.insert(partition, answer);
            }
        }
        for asked in &asked {
            if !self.is_current(id, asked) || !self.is_validating(asked) {
                continue;
            }
            match answers.get(&asked.partition) {
                Some(answer) if answer.error_code == 0 => self.on_epoch_end(asked, answer),
                Some(answer) => self.on_epoch_error(now, asked, answer.error_code),
                None => self.retry_later(now, &asked.partition),
            }
        }
    }

    fn is_validating(&self, asked: &Asked) -> bool {
        self.partitions.get(&asked.partition).is_some_and(|state| {
            state.phase == Phase::NeedsValidation && state.fetch_position.offset == asked.offset
        })
    }

    fn on_epoch_end(&mut self, asked: &Asked, answer: &EpochEndOffset) {
        let partition = &asked.partition;
        let end = Some(answer.end_offset).filter(|&end| end >= 0 && answer.leader_epoch >= 0);
        if end.is_some_and(|end| end >= asked.offset) {
            return self.accept(partition);
        }
        let Some(state) = self.partitions.get_mut(partition) else { return };
        if state.position.offset < asked.offset {
            // What was fetched ahead is not in the log any more. Ask again for what the user has.
            state.drop_ready();
            if state.position.leader_epoch.is_none() {
                state.phase = Phase::Fetching;
            }
            return;
        }
        self.on_truncated(partition, asked.offset, end, answer.leader_epoch);
    }

    /// Records that the user was given are not in the log: an unclean election. Never skipped
    /// over in silence (scenario 42).
    fn on_truncated(
        &mut self,
        partition: &TopicPartition,
        offset: i64,
        end: Option<i64>,
        end_epoch: i32,
    ) {
        self.outputs.push_back(ConsumerOutput::Rebalance(RebalanceEvent::Truncated {
            partition: partition.clone(),
            position: offset,
            end_offset: end,
        }));
        let reset = self.config.auto_offset_reset;
        if reset == OffsetReset::None {
            let message = format!(
                "the log of {partition} was truncated below offset {offset} by an unclean \
                 election and auto.offset.reset is none: seek"
            );
            let error = Error::new(ErrorKind::OffsetOutOfRange, message);
            return self.fail_partition(partition, error);
        }
        let incarnation = self.new_incarnation();
        let Some(state) = self.partitions.get_mut(partition) else { return };
        match end {
            Some(end) => {
                let leader = state.leader;
                let position = Position { offset: end, leader_epoch: Some(end_epoch) };
                state.move_to(incarnation, position);
                // The answer came from this leader: the position is valid under it.
                state.leader = leader;
            }
            None => state.restart(incarnation, Phase::NeedsReset(reset)),
        }
    }

    fn accept(&mut self, partition: &TopicPartition) {
        if let Some(state) = self.partitions.get_mut(partition) {
            state.phase = Phase::Fetching;
            state.failures = 0;
        }
    }

    fn on_epoch_error(&mut self, now: Instant, asked: &Asked, code: i16) {
        match ErrorCode::from_code(code) {
            Some(ErrorCode::TopicAuthorizationFailed) => {
                let context = format!("look-up of the leader epoch of {}", asked.partition);
                let error = Error::from_raw_code(code, context);
                self.fail_partition(&asked.partition, error);
            }
            _ => {
                self.retry_later(now, &asked.partition);
                self.outputs.push_back(ConsumerOutput::RefreshMetadata);
            }
        }
    }
}
