//! SyncGroup: the leader brings the assignment, everybody takes their share.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_protocol::ErrorCode;

use super::super::group::{Group, State};
use super::super::record::Update;
use super::super::time::Now;
use super::super::timer::Timer;
use super::super::types::{AppendId, Reply, RequestId, SyncReply, SyncRequest};
use super::append::Purpose;
use super::{Cx, Shard};
use crate::planted::{self, Bug};

impl Shard {
    /// A SyncGroup request; [`Reply::Sync`] follows, a follower's when the leader's assignment is
    /// in the log (CG-08).
    pub fn handle_sync(&mut self, now: Now, id: RequestId, request: SyncRequest) {
        if let Err(error) = self.admit_sync(now, id, request) {
            self.cx.reply(id, Reply::Sync(SyncReply::error(error)));
        }
    }

    fn admit_sync(
        &mut self,
        now: Now,
        id: RequestId,
        request: SyncRequest,
    ) -> Result<(), ErrorCode> {
        if request.group_id.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        self.check_active()?;
        let group = self.groups.get_mut(&request.group_id).ok_or(ErrorCode::UnknownMemberId)?;
        group.validate_sync(&request)?;
        match group.state {
            State::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            State::CompletingRebalance => {
                group.sync_completing(&mut self.cx, now, id, request);
                Ok(())
            }
            State::Stable => {
                group.note_synced(&mut self.cx, &request.member_id);
                let reply = group.sync_reply(&request.member_id);
                self.cx.reply(id, Reply::Sync(reply));
                Ok(())
            }
            State::Empty | State::Dead => Err(ErrorCode::UnknownMemberId),
        }
    }
}

impl Group {
    /// CG-10: who, which generation, which protocol (KIP-559).
    fn validate_sync(&self, request: &SyncRequest) -> Result<(), ErrorCode> {
        match self.state {
            State::Dead => return Err(ErrorCode::CoordinatorNotAvailable),
            State::Empty => return Err(ErrorCode::UnknownMemberId),
            _ => {}
        }
        self.validate_member(&request.member_id, request.instance_id.as_deref())?;
        if request.generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let differs = |told: &Option<String>, own: &Option<String>| {
            told.is_some() && own.is_some() && told != own
        };
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol_name, &self.protocol_name)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn sync_completing(&mut self, cx: &mut Cx, now: Now, id: RequestId, request: SyncRequest) {
        let member_id = &request.member_id;
        self.await_sync(cx, now, member_id, id);
        self.note_synced(cx, member_id);
        if planted::has(Bug::TwoOwners) && !self.is_leader(member_id) {
            let reply = self.sync_reply(member_id);
            return self.answer_sync(cx, now, member_id, reply);
        }
        // A leader that asks again gets what its first assignment becomes.
        if !self.is_leader(member_id) || self.assignment_append.is_some() {
            return;
        }
        let mut assignment: BTreeMap<String, Bytes> =
            self.members.keys().map(|id| (id.clone(), Bytes::new())).collect();
        for (id, share) in request.assignments {
            // Shares of those who are no members are dropped; members without one get none (CG-09).
            if let Some(slot) = assignment.get_mut(&id) {
                *slot = share;
            }
        }
        let value = self.to_record(&assignment);
        let updates = vec![Update::Group(self.id.clone(), Some(value))];
        let purpose = Purpose::Assignment { group: self.id.clone(), assignment };
        self.assignment_append = Some(cx.append(now, updates, purpose));
    }

    fn note_synced(&mut self, cx: &mut Cx, member_id: &str) {
        self.pending_sync.remove(member_id);
        if self.pending_sync.is_empty() {
            cx.timers.cancel(&Timer::Sync { group: self.id.clone() });
        }
    }

    fn sync_reply(&self, member_id: &str) -> SyncReply {
        let member = self.members.get(member_id);
        SyncReply {
            error: ErrorCode::None,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment: member.map(|member| member.assignment.clone()).unwrap_or_default(),
        }
    }

    /// The assignment is in the log: give everyone their share, unless the group has moved on.
    pub(super) fn on_assignment_stored(
        &mut self,
        cx: &mut Cx,
        now: Now,
        append: AppendId,
        assignment: &BTreeMap<String, Bytes>,
    ) {
        if self.assignment_append != Some(append) || self.state != State::CompletingRebalance {
            return;
        }
        self.assignment_append = None;
        self.enter(State::Stable, now.wall_ms);
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = assignment.get(&id).cloned().unwrap_or_default();
            }
            let reply = self.sync_reply(&id);
            self.answer_sync(cx, now, &id, reply);
        }
    }

    /// The assignment is not in the log, or nobody knows: everybody starts again.
    pub(super) fn on_assignment_lost(
        &mut self,
        cx: &mut Cx,
        now: Now,
        append: AppendId,
        error: ErrorCode,
    ) {
        if self.assignment_append != Some(append) || self.state != State::CompletingRebalance {
            return;
        }
        self.reset_assignment(cx, now, error);
        self.rebalance_or_complete_join(cx, now);
    }
}
