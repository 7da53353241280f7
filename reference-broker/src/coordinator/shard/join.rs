//! JoinGroup.

use std::ops::ControlFlow;

use ottla_protocol::ErrorCode;

use super::super::group::{Group, Member, State};
use super::super::record::Update;
use super::super::time::Now;
use super::super::types::{JoinReply, JoinRequest, Reply, RequestId};
use super::append::Purpose;
use super::{Cx, Shard};

/// Go on where the answer comes later; break with one that is known at once, error or not.
type Admission = ControlFlow<JoinReply>;

fn refuse(member_id: &str, error: ErrorCode) -> Admission {
    ControlFlow::Break(JoinReply::error(member_id, error))
}

impl Shard {
    /// A JoinGroup request; [`Reply::Join`] follows, often only when the join phase ends.
    pub fn handle_join(&mut self, now: Now, id: RequestId, request: JoinRequest) {
        tracing::debug!(
            group = request.group_id,
            member = request.member_id,
            client = request.client_id,
            reason = request.reason.as_deref().unwrap_or("not provided"),
            "a member joins"
        );
        if let ControlFlow::Break(reply) = self.admit_join(now, id, request) {
            self.cx.reply(id, Reply::Join(reply));
        }
    }

    fn admit_join(&mut self, now: Now, id: RequestId, request: JoinRequest) -> Admission {
        if request.group_id.is_empty() {
            return refuse(&request.member_id, ErrorCode::InvalidGroupId);
        }
        let config = &self.cx.config;
        let sessions = config.min_session_timeout_ms..=config.max_session_timeout_ms;
        if !sessions.contains(&request.session_timeout_ms) {
            return refuse(&request.member_id, ErrorCode::InvalidSessionTimeout);
        }
        if let Err(error) = self.check_active() {
            return refuse(&request.member_id, error);
        }
        let is_new_member = request.member_id.is_empty();
        let is_new_group = !self.groups.contains_key(&request.group_id);
        if is_new_group {
            if !is_new_member {
                return refuse(&request.member_id, ErrorCode::UnknownMemberId);
            }
            let group = Group::new(&request.group_id, now.wall_ms);
            self.groups.insert(request.group_id.clone(), group);
        }
        let group = self.groups.get_mut(&request.group_id).expect("invariant: inserted above");
        if is_new_group {
            group.store_as_new(&mut self.cx, now);
        }
        if !group.accepts(&request.member_id, self.cx.config.max_size) {
            group.remove(&request.member_id);
            self.cx.cancel_session(&group.id, &request.member_id);
            group.maybe_complete_join(&mut self.cx, now);
            return refuse("", ErrorCode::GroupMaxSizeReached);
        }
        if is_new_member {
            group.join_new(&mut self.cx, now, id, request)
        } else {
            group.join_existing(&mut self.cx, now, id, request)
        }
    }
}

impl Group {
    /// Writes a group that has no generation yet, so that it is there after a restart.
    fn store_as_new(&self, cx: &mut Cx, now: Now) {
        let value = self.to_record(&self.assignment());
        let updates = vec![Update::Group(self.id.clone(), Some(value))];
        cx.append(now, updates, Purpose::EmptyGroup { group: self.id.clone() });
    }

    /// CG-16, KIP-389. While members rejoin, those who have come count: the last ones stay out.
    fn accepts(&self, member_id: &str, max_size: usize) -> bool {
        let member = self.members.get(member_id);
        match self.state {
            State::Empty | State::Dead => true,
            State::PreparingRebalance => {
                member.is_some_and(|member| member.awaiting_join.is_some())
                    || self.awaiting_join_count() < max_size
            }
            State::CompletingRebalance | State::Stable => {
                member.is_some() || self.members.len() < max_size
            }
        }
    }

    fn join_new(
        &mut self,
        cx: &mut Cx,
        now: Now,
        id: RequestId,
        request: JoinRequest,
    ) -> Admission {
        if self.state == State::Dead {
            return refuse("", ErrorCode::CoordinatorNotAvailable);
        }
        if !self.supports(&request.protocol_type, &request.protocols) {
            return refuse("", ErrorCode::InconsistentGroupProtocol);
        }
        let name = request.instance_id.as_deref().unwrap_or(&request.client_id);
        let member_id = format!("{name}-{}", request.new_id_suffix);
        if let Some(instance_id) = &request.instance_id {
            match self.static_members.get(instance_id).cloned() {
                Some(old_id) => self.rejoin_static(cx, now, id, &old_id, &member_id, request),
                None => self.add_member(cx, now, id, &member_id, request),
            }
        } else if request.requires_known_member_id {
            // KIP-394: the id goes out first, so that a client which gives up and tries again
            // does not leave a member behind with each attempt. Unused, it expires (CG-01).
            let session_ms = i64::from(request.session_timeout_ms);
            cx.set_session(now, &self.id, &member_id, session_ms);
            self.pending_join.insert(member_id.clone());
            return refuse(&member_id, ErrorCode::MemberIdRequired);
        } else {
            self.add_member(cx, now, id, &member_id, request);
        }
        Admission::Continue(())
    }

    fn join_existing(
        &mut self,
        cx: &mut Cx,
        now: Now,
        id: RequestId,
        request: JoinRequest,
    ) -> Admission {
        let member_id = request.member_id.clone();
        if self.state == State::Dead {
            return refuse(&member_id, ErrorCode::CoordinatorNotAvailable);
        }
        if !self.supports(&request.protocol_type, &request.protocols) {
            return refuse(&member_id, ErrorCode::InconsistentGroupProtocol);
        }
        if self.pending_join.contains(&member_id) && request.instance_id.is_none() {
            self.add_member(cx, now, id, &member_id, request);
            return Admission::Continue(());
        }
        if let Err(error) = self.validate_member(&member_id, request.instance_id.as_deref()) {
            return refuse(&member_id, error);
        }
        let member = self.members.get(&member_id).expect("invariant: validated");
        let unchanged = member.protocols == request.protocols;
        match self.state {
            // A follower that asks again without anything new gets what it may have missed; the
            // leader asks because it wants a rebalance (CG-12). Before the assignment is there,
            // even the leader may only have missed the answer.
            State::CompletingRebalance if unchanged => {
                Admission::Break(self.join_reply(&member_id))
            }
            State::Stable if unchanged && !self.is_leader(&member_id) => {
                Admission::Break(self.join_reply(&member_id))
            }
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => {
                self.update_member(cx, id, &member_id, request);
                self.rebalance_or_complete_join(cx, now);
                Admission::Continue(())
            }
            State::Empty | State::Dead => refuse(&member_id, ErrorCode::UnknownMemberId),
        }
    }

    /// Adds a member, which has one join phase's time of its own to be let in.
    fn add_member(
        &mut self,
        cx: &mut Cx,
        now: Now,
        id: RequestId,
        member_id: &str,
        request: JoinRequest,
    ) {
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type);
        }
        if self.state == State::PreparingRebalance && self.previous_state == State::Empty {
            self.new_member_added = true;
        }
        let member = Member {
            instance_id: request.instance_id,
            client_id: request.client_id,
            client_host: request.client_host,
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            protocols: request.protocols,
            assignment: bytes::Bytes::new(),
            awaiting_join: Some(id),
            awaiting_sync: None,
            is_new: true,
            arrival: 0,
        };
        self.insert(member_id.to_owned(), member);
        let timeout_ms = i64::from(cx.config.new_member_join_timeout_ms);
        cx.set_session(now, &self.id, member_id, timeout_ms);
        self.rebalance_or_complete_join(cx, now);
    }

    /// Takes over what a rejoining member says about itself (CG-19).
    pub(super) fn update_member(
        &mut self,
        cx: &mut Cx,
        id: RequestId,
        member_id: &str,
        request: JoinRequest,
    ) {
        self.await_join(cx, member_id, id);
        let Some(member) = self.members.get_mut(member_id) else { return };
        member.protocols = request.protocols;
        member.session_timeout_ms = request.session_timeout_ms;
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.client_id = request.client_id;
        member.client_host = request.client_host;
    }
}
