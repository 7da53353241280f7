//! Where to start: the group's committed offset, else the reset policy by ListOffsets.

use std::collections::BTreeMap;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::Response;

use super::commit::committed_of;
use super::offsets::{list_offsets_request, offset_fetch_request, reset_timestamp};
use super::plan::{Asked, Waiting};
use super::position::{Phase, Position};
use super::{Consumer, ConsumerOutput};
use crate::call::{CallError, CallId, Purpose, Target};
use crate::config::OffsetReset;
use crate::error::{Error, ErrorKind};
use crate::group::TopicPartition;
use crate::time::Instant;

impl Consumer {
    pub(super) fn plan_committed(&mut self, now: Instant) {
        let partitions = self.idle_in(now, |phase| *phase == Phase::NeedsCommitted);
        let Some(group) = self.config.group_id.clone().filter(|_| !partitions.is_empty()) else {
            return;
        };
        let asked: Vec<Asked> = partitions
            .into_iter()
            .map(|partition| Asked {
                incarnation: self.partitions[&partition].incarnation,
                offset: -1,
                partition,
            })
            .collect();
        let wanted = asked.iter().map(|a| a.partition.clone()).collect::<Vec<_>>();
        let request = offset_fetch_request(&self.metadata, &group, Some(&wanted));
        // Not on the coordinator's connection: behind a JoinGroup that waits for others, this would
        // time out and take the JoinGroup with it (trap 1).
        let id = self.call(Target::Group(group), Purpose::General, request);
        self.mark_busy(&asked, id);
        self.waiting.insert(id, Waiting::Committed(asked));
    }

    pub(super) fn on_offset_fetch(
        &mut self,
        now: Instant,
        id: CallId,
        asked: Vec<Asked>,
        result: Result<Response, CallError>,
    ) {
        let group = self.config.group_id.clone().unwrap_or_default();
        let response = match result {
            Ok(Response::OffsetFetch(response)) => *response,
            Ok(_) => return self.on_wrong_answer("OffsetFetch"),
            Err(error) => {
                self.outputs.push_back(ConsumerOutput::ForgetCoordinator(group));
                return self.on_call_error(now, id, &asked, &error, "fetch of committed offsets");
            }
        };
        let (code, committed) = committed_of(&self.metadata, response);
        match ErrorCode::from_code(code) {
            Some(ErrorCode::None) => {}
            code_known => {
                if matches!(
                    code_known,
                    Some(ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable)
                ) {
                    self.outputs.push_back(ConsumerOutput::ForgetCoordinator(group.clone()));
                } else if code_known.is_none_or(|code| !code.is_retriable()) {
                    let context = format!("fetch of committed offsets of group {group}");
                    self.errors.push_back(Error::from_raw_code(code, context));
                }
                for asked in &asked {
                    if self.is_current(id, asked) {
                        self.retry_later(now, &asked.partition);
                    }
                }
                return;
            }
        }
        for asked in &asked {
            if self.is_current(id, asked) {
                // A partition that the answer leaves out is asked for again.
                match committed.get(&asked.partition) {
                    Some(Ok(found)) => self.start_from(&asked.partition, found.as_ref()),
                    Some(Err(code)) if ErrorCode::from_code(*code).is_some_and(is_passing) => {
                        self.retry_later(now, &asked.partition);
                    }
                    Some(Err(code)) => {
                        let context = format!("committed offset of {}", asked.partition);
                        let error = Error::from_raw_code(*code, context);
                        self.fail_partition(&asked.partition, error);
                    }
                    None => self.retry_later(now, &asked.partition),
                }
            }
        }
    }

    /// Starts at the committed offset, or by the reset policy where there is none.
    fn start_from(&mut self, partition: &TopicPartition, found: Option<&super::OffsetAndMetadata>) {
        let incarnation = self.new_incarnation();
        let reset = self.config.auto_offset_reset;
        let Some(state) = self.partitions.get_mut(partition) else { return };
        match found {
            Some(found) => {
                let position = Position { offset: found.offset, leader_epoch: found.leader_epoch };
                state.move_to(incarnation, position);
                state.committed = Some(found.offset);
                self.check_leader(partition);
            }
            None if reset == OffsetReset::None => {
                let message = format!(
                    "group {} has no committed offset of {partition} and auto.offset.reset is \
                     none: seek, or set a policy",
                    self.config.group_id.as_deref().unwrap_or_default()
                );
                self.fail_partition(partition, Error::new(ErrorKind::OffsetOutOfRange, message));
            }
            None => state.restart(incarnation, Phase::NeedsReset(reset)),
        }
    }

    pub(super) fn plan_resets(&mut self, now: Instant) {
        let partitions = self.idle_in(now, |phase| matches!(phase, Phase::NeedsReset(_)));
        for partition in &partitions {
            // So that a change of it is noticed.
            self.check_leader(partition);
        }
        for (node, asked) in self.by_leader(now, partitions) {
            let mut wanted = BTreeMap::new();
            let mut with_policy = Vec::new();
            for asked in &asked {
                let Phase::NeedsReset(reset) = self.partitions[&asked.partition].phase else {
                    continue;
                };
                let wall_ms = self.wall_ms_at_zero + now.as_millis() as i64;
                wanted.insert(asked.partition.clone(), reset_timestamp(reset, wall_ms));
                with_policy.push((asked.clone(), reset));
            }
            let isolation = self.config.isolation_level;
            let request = list_offsets_request(&self.metadata, &wanted, isolation);
            let id = self.call(Target::Node(node), Purpose::General, request);
            self.mark_busy(&asked, id);
            self.wait_for(now, id, Waiting::Offsets(with_policy));
        }
    }

    pub(super) fn on_list_offsets(
        &mut self,
        now: Instant,
        id: CallId,
        asked: Vec<(Asked, OffsetReset)>,
        result: Result<Response, CallError>,
    ) {
        let response = match result {
            Ok(Response::ListOffsets(response)) => *response,
            Ok(_) => return self.on_wrong_answer("ListOffsets"),
            Err(error) => {
                let asked: Vec<Asked> = asked.into_iter().map(|(asked, _)| asked).collect();
                return self.on_call_error(now, id, &asked, &error, "look-up of offsets");
            }
        };
        let mut found = BTreeMap::new();
        for topic in &response.topics {
            for answer in &topic.partitions {
                let partition = TopicPartition::new(topic.name.as_str(), answer.partition_index);
                found.insert(partition, (answer.error_code, answer.offset));
            }
        }
        for (asked, reset) in asked {
            if !self.is_current(id, &asked) {
                continue;
            }
            match found.get(&asked.partition) {
                Some((0, offset)) if *offset >= 0 => self.reset_to(&asked.partition, *offset),
                // No record is as young as that: the next one that comes will be.
                Some((0, _)) if reset != OffsetReset::Latest => {
                    if let Some(state) = self.partitions.get_mut(&asked.partition) {
                        state.phase = Phase::NeedsReset(OffsetReset::Latest);
                    }
                }
                Some((code, _)) => self.on_reset_error(now, &asked, *code),
                None => self.retry_later(now, &asked.partition),
            }
        }
    }

    fn reset_to(&mut self, partition: &TopicPartition, offset: i64) {
        let incarnation = self.new_incarnation();
        if let Some(state) = self.partitions.get_mut(partition) {
            state.move_to(incarnation, Position::at(offset));
        }
        self.check_leader(partition);
    }

    fn on_reset_error(&mut self, now: Instant, asked: &Asked, code: i16) {
        let is_passing =
            ErrorCode::from_code(code).is_none_or(|c| c.is_retriable() || c == ErrorCode::None);
        if is_passing {
            self.retry_later(now, &asked.partition);
            self.outputs.push_back(ConsumerOutput::RefreshMetadata);
        } else {
            let context = format!("look-up of an offset of {}", asked.partition);
            self.fail_partition(&asked.partition, Error::from_raw_code(code, context));
        }
    }
}

/// 88 UNSTABLE_OFFSET_COMMIT: a transaction that commits offsets is open (KIP-447). Starting from
/// the old offset would read its input twice, so wait.
fn is_passing(code: ErrorCode) -> bool {
    code == ErrorCode::UnstableOffsetCommit || code.is_retriable()
}
