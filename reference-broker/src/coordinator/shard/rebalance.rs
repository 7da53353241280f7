//! The join phase: how a rebalance starts, waits, and ends with a new generation.

use ottla_protocol::ErrorCode;

use super::super::group::{Group, State};
use super::super::record::Update;
use super::super::time::Now;
use super::super::timer::Timer;
use super::super::types::{JoinReply, SyncReply};
use super::append::Purpose;
use super::{Cx, Shard};

impl Group {
    /// Starts a rebalance where none is under way, or ends the one that waits for this event.
    pub(super) fn rebalance_or_complete_join(&mut self, cx: &mut Cx, now: Now) {
        if self.can_rebalance() {
            self.prepare_rebalance(cx, now);
        } else {
            self.maybe_complete_join(cx, now);
        }
    }

    /// Starts a rebalance. A group that was empty waits a while for further members, so that ten
    /// clients that start together cost one rebalance and not ten (KIP-134).
    pub(super) fn prepare_rebalance(&mut self, cx: &mut Cx, now: Now) {
        if self.state == State::CompletingRebalance {
            self.reset_assignment(cx, now, ErrorCode::RebalanceInProgress);
        }
        self.cancel_sync(cx);
        let initial = self.state == State::Empty;
        self.enter(State::PreparingRebalance, now.wall_ms);
        if initial {
            let delay_ms = i64::from(cx.config.initial_rebalance_delay_ms);
            let remaining_ms = (self.rebalance_timeout_ms() - delay_ms).max(0);
            self.initial_delay_ms = Some((delay_ms, remaining_ms));
            self.new_member_added = false;
            cx.set_join(now, &self.id, delay_ms);
        } else if self.all_joined() {
            self.complete_join(cx, now);
        } else {
            cx.set_join(now, &self.id, self.rebalance_timeout_ms());
        }
    }

    /// Ends the join phase if everybody is there; the initial one ends by its timer alone.
    pub(super) fn maybe_complete_join(&mut self, cx: &mut Cx, now: Now) {
        if self.state == State::PreparingRebalance
            && self.previous_state != State::Empty
            && self.all_joined()
        {
            self.complete_join(cx, now);
        }
    }

    /// Ends the join phase: dynamic members that did not come are out (CG-13); static ones keep
    /// their place until their session ends (KIP-345).
    pub(super) fn complete_join(&mut self, cx: &mut Cx, now: Now) {
        cx.timers.cancel(&Timer::Join { group: self.id.clone() });
        self.initial_delay_ms = None;
        let absent = self
            .members
            .iter()
            .filter(|(_, member)| member.awaiting_join.is_none() && member.instance_id.is_none());
        let absent: Vec<String> = absent.map(|(id, _)| id.clone()).collect();
        for id in absent {
            self.remove(&id);
            cx.cancel_session(&self.id, &id);
        }
        if !self.members.is_empty() && !self.elect_joined_leader() {
            // Only static members are left, and none has come: go on waiting for them.
            cx.set_join(now, &self.id, self.rebalance_timeout_ms());
            return;
        }
        self.init_next_generation(now.wall_ms);
        tracing::info!(
            group = self.id,
            generation = self.generation,
            members = self.members.len(),
            protocol = self.protocol_name.as_deref().unwrap_or_default(),
            "a generation begins"
        );
        if self.state == State::Empty {
            let value = self.to_record(&self.assignment());
            let updates = vec![Update::Group(self.id.clone(), Some(value))];
            cx.append(now, updates, Purpose::EmptyGroup { group: self.id.clone() });
            return;
        }
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let reply = self.join_reply(&id);
            self.answer_join(cx, &id, reply);
            self.renew_session(cx, now, &id);
            if let Some(member) = self.members.get_mut(&id) {
                member.is_new = false;
            }
            self.pending_sync.insert(id);
        }
        let deadline = now.instant.after_ms(self.rebalance_timeout_ms());
        cx.timers.set(Timer::Sync { group: self.id.clone() }, deadline);
    }

    /// Takes every share back and tells those who wait for one why.
    pub(super) fn reset_assignment(&mut self, cx: &mut Cx, now: Now, error: ErrorCode) {
        self.assignment_append = None;
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = bytes::Bytes::new();
            }
            self.answer_sync(cx, now, &id, SyncReply::error(error));
        }
    }

    /// Nobody needs to sync any more.
    fn cancel_sync(&mut self, cx: &mut Cx) {
        self.pending_sync.clear();
        cx.timers.cancel(&Timer::Sync { group: self.id.clone() });
    }

    /// Takes out a member that is dead or leaves. Its waiting JoinGroup is answered first: the
    /// client, if it is there after all, starts anew.
    pub(super) fn expel(&mut self, cx: &mut Cx, now: Now, member_id: &str) {
        self.answer_join(cx, member_id, JoinReply::error("", ErrorCode::UnknownMemberId));
        self.answer_sync(cx, now, member_id, SyncReply::error(ErrorCode::UnknownMemberId));
        self.remove(member_id);
        cx.cancel_session(&self.id, member_id);
    }
}

impl Shard {
    /// A member was silent for its session, or a promised id was not used in time.
    pub(super) fn on_session_end(&mut self, now: Now, group: &str, member: &str) {
        let Some(group) = self.groups.get_mut(group) else { return };
        if group.pending_join.contains(member) {
            group.remove(member);
            if group.state == State::PreparingRebalance && group.all_joined() {
                group.complete_join(&mut self.cx, now);
            }
            return;
        }
        match group.members.get(member) {
            None => return,
            Some(member) if member.has_satisfied_heartbeat() => return,
            Some(_) => {
                tracing::info!(group = group.id, member, "a member's session has ended");
                group.expel(&mut self.cx, now, member);
            }
        }
        match group.state {
            State::Stable | State::CompletingRebalance => {
                group.rebalance_or_complete_join(&mut self.cx, now);
            }
            State::PreparingRebalance if group.all_joined() => {
                group.complete_join(&mut self.cx, now);
            }
            _ => {}
        }
    }

    /// The join phase has lasted long enough; the initial one is extended while members come.
    pub(super) fn on_join_end(&mut self, now: Now, group: &str) {
        let Some(group) = self.groups.get_mut(group) else { return };
        if group.state != State::PreparingRebalance {
            return;
        }
        match group.initial_delay_ms {
            Some((delay_ms, remaining_ms)) if group.new_member_added && remaining_ms > 0 => {
                group.new_member_added = false;
                let next_ms =
                    remaining_ms.min(i64::from(self.cx.config.initial_rebalance_delay_ms));
                group.initial_delay_ms = Some((next_ms, (remaining_ms - delay_ms).max(0)));
                self.cx.set_join(now, &group.id, next_ms);
            }
            _ => group.complete_join(&mut self.cx, now),
        }
    }

    /// Members that have joined but not synced in time are out (CG-13).
    pub(super) fn on_sync_end(&mut self, now: Now, group: &str) {
        let Some(group) = self.groups.get_mut(group) else { return };
        if !matches!(group.state, State::CompletingRebalance | State::Stable) {
            return;
        }
        let late = std::mem::take(&mut group.pending_sync);
        if late.is_empty() {
            return;
        }
        for id in late {
            group.remove(&id);
            self.cx.cancel_session(&group.id, &id);
        }
        group.prepare_rebalance(&mut self.cx, now);
    }
}
