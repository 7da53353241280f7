//! Replication: what a leader does for a follower's fetch, and a follower with its leader's answer.

use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::fetch::{FetchPartition, PartitionData};

use super::{Partition, Role, State, log_code};
use crate::log::{Log, LogError};
use crate::quorum::{Image, IsrChange, PartitionId};
use crate::replication::{Assignment, FollowerLog, IsrProposal, ProposalResult, Step};

/// A question to the leader, and the replica that asks it.
#[derive(Debug, Clone)]
pub(crate) struct Fetching {
    pub(crate) partition: std::sync::Arc<Partition>,
    pub(crate) asked: FetchPartition,
}

/// What came of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Took {
    /// Ask on at once.
    Progress,
    /// Ask on: there was nothing new.
    Nothing,
    /// Ask again after a while.
    Wait(ErrorCode),
}

impl FollowerLog for Log {
    fn start(&self) -> i64 {
        self.log_start_offset()
    }

    fn end(&self) -> i64 {
        self.log_end_offset()
    }

    fn last_epoch(&self) -> i32 {
        self.epoch_cache().latest_epoch().unwrap_or(-1)
    }

    fn end_of_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
        self.epoch_cache().end_offset_for(epoch, self.log_end_offset())
    }
}

impl Partition {
    /// The metadata has changed and the leader epoch has not.
    pub(crate) fn on_image(&self, image: &Image) {
        let of = PartitionId { topic_id: self.topic_id(), index: self.index() };
        let Some(partition) = image.partition(of) else { return };
        if partition.leader_epoch != self.leader_epoch() {
            return;
        }
        let assignment = Assignment::of(image, partition);
        let mut state = self.lock();
        if self.is_over(&state) {
            return;
        }
        let advanced = state.advance(|leadership, now| leadership.on_assignment(assignment, now));
        self.publish(state, advanced);
    }

    /// A follower, whose id and incarnation were checked (M7), asks for what begins at `offset`,
    /// which was found to be one of this log's. Its own log starts at `log_start`.
    ///
    /// # Errors
    /// 6 when this broker does not lead any more; 75 when the metadata here knows no such replica
    /// yet.
    pub(crate) fn on_follower_fetch(
        &self,
        from: i32,
        broker_epoch: i64,
        offset: i64,
        log_start: i64,
    ) -> Result<(), ErrorCode> {
        let mut state = self.lock();
        let Role::Leader(leadership) = &state.role else {
            return Err(ErrorCode::NotLeaderOrFollower);
        };
        if self.is_over(&state) {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        if !leadership.is_replica(from) {
            return Err(ErrorCode::UnknownLeaderEpoch);
        }
        let (mut started_later, own_start) = (false, state.log.log_start_offset());
        let advanced = state.advance(|leadership, now| {
            started_later = leadership.on_log_start(from, log_start, own_start);
            leadership.on_fetch(from, broker_epoch, offset, now)
        });
        self.publish(state, advanced || started_later);
        Ok(())
    }

    /// Who shall serve a consumer in `rack` instead of this leader: the replica there that is in
    /// sync and furthest (KIP-392). None where the leader is in that rack itself, or nobody is.
    pub(crate) fn preferred_replica(&self, image: &Image, rack: &str, offset: i64) -> Option<i32> {
        let is_near = |id: i32| {
            let broker = image.brokers.get(&id);
            broker.is_some_and(|broker| broker.rack.as_deref() == Some(rack))
        };
        if is_near(self.node_id) {
            return None;
        }
        let state = self.lock();
        let Role::Leader(leadership) = &state.role else { return None };
        let near = leadership.readable_from(offset).filter(|(id, _)| is_near(*id));
        near.max_by_key(|(_, end)| *end).map(|(id, _)| id)
    }

    /// The next ISR to propose.
    pub(crate) fn poll_isr(&self) -> Option<(IsrProposal, IsrChange)> {
        let mut state = self.lock();
        if self.is_over(&state) {
            return None;
        }
        let now = super::monotonic_ms();
        let Role::Leader(leadership) = &mut state.role else { return None };
        let proposal = leadership.poll(now)?;
        let change = IsrChange {
            partition: PartitionId { topic_id: self.topic_id(), index: self.index() },
            leader_epoch: self.leader_epoch(),
            partition_epoch: proposal.partition_epoch,
            isr: proposal.isr.clone(),
        };
        Some((proposal, change))
    }

    /// What became of it.
    pub(crate) fn on_isr(&self, proposal: &IsrProposal, result: ProposalResult) {
        let mut state = self.lock();
        if self.is_over(&state) {
            return;
        }
        let advanced =
            state.advance(|leadership, now| leadership.on_proposal(proposal, result, now));
        self.publish(state, advanced);
    }

    /// The followers that have fetched, each with how many records it has not; of a leader only.
    pub(crate) fn follower_lags(&self) -> Vec<(i32, i64)> {
        let state = self.lock();
        let Role::Leader(leadership) = &state.role else { return Vec::new() };
        let end = state.log.log_end_offset();
        leadership.followers().map(|(id, has)| (id, (end - has).max(0))).collect()
    }

    /// What to ask the leader; none if this replica does not follow one, or cannot be written.
    pub(crate) fn fetch_request(&self, bytes_max: i32) -> Option<FetchPartition> {
        let state = self.lock();
        if self.is_over(&state) || state.log.check().is_err() {
            return None;
        }
        match &state.role {
            Role::Follower(following) => {
                Some(following.request(self.index(), &state.log, bytes_max))
            }
            Role::Leader(_) => None,
        }
    }

    /// Does what the leader's answer asks for (M6). May take as long as the disk does.
    pub(crate) fn take_answer(
        &self,
        asked: &FetchPartition,
        answer: &PartitionData,
    ) -> Result<Took, LogError> {
        let mut guard = self.lock();
        if self.is_over(&guard) {
            return Ok(Took::Nothing);
        }
        let State { log, role, .. } = &mut *guard;
        let Role::Follower(following) = role else { return Ok(Took::Nothing) };
        let step = following.on_answer(asked, answer, log);
        let advanced = match step {
            Step::Drop => return Ok(Took::Nothing),
            Step::Wait(code) => return Ok(Took::Wait(code)),
            Step::TruncateTo(offset) => {
                let (from, high_watermark) = (log.log_end_offset(), following.high_watermark());
                let end = log.truncate_to(offset)?;
                following.on_truncated(end);
                tracing::info!(partition = ?self, from, end, high_watermark, "cut a log");
                false
            }
            Step::StartAt(offset) => {
                log.truncate_fully_and_start_at(offset)?;
                following.on_started_at(offset);
                tracing::info!(partition = ?self, offset, "began a log anew");
                false
            }
            Step::Append { high_watermark, log_start } => {
                let none = Bytes::new();
                let records = answer.records.as_ref().unwrap_or(&none);
                let appended = log.append_as_follower(records, asked.current_leader_epoch)?;
                // M12: what is fetched next acknowledges what is below it.
                if appended.is_some() && self.config().flush_before_ack() {
                    log.flush()?;
                }
                let advanced = following.on_appended(high_watermark, log.log_end_offset());
                // Never beyond what is committed here: the next answer comes with more.
                let start = log_start.min(following.high_watermark());
                if start > log.log_start_offset() {
                    log.advance_log_start(start)?;
                }
                if appended.is_none() {
                    self.publish(guard, advanced);
                    return Ok(Took::Nothing);
                }
                advanced
            }
        };
        self.publish(guard, advanced);
        Ok(Took::Progress)
    }
}

/// The code of an error of the log, for who only has to wait.
pub(crate) fn wait_for(error: &LogError) -> Took {
    Took::Wait(log_code(error))
}
