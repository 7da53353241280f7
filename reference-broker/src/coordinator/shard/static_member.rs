//! Static members that come back under a new id (KIP-345, KIP-814).

use ottla_protocol::ErrorCode;

use super::super::group::{Group, Member, State};
use super::super::record::Update;
use super::super::time::Now;
use super::super::types::{JoinReply, JoinRequest, RequestId, SyncReply};
use super::append::Purpose;
use super::{Cx, Shard};

/// A static member whose new id is on its way into the log, and what it was before.
#[derive(Debug)]
pub(super) struct StaticRejoin {
    group: String,
    generation: i32,
    instance_id: String,
    old_id: String,
    new_id: String,
    old_member: Member,
    old_leader: Option<String>,
    supports_skipping_assignment: bool,
}

impl Group {
    /// The instance `old_id` is replaced by `new_id`: whoever still speaks as the old one is
    /// fenced (CG-17). In a stable group nobody else need notice.
    pub(super) fn rejoin_static(
        &mut self,
        cx: &mut Cx,
        now: Now,
        id: RequestId,
        old_id: &str,
        new_id: &str,
        request: JoinRequest,
    ) {
        let old_leader = self.leader.clone();
        let Some(old_member) = self.replace_static(cx, now, old_id, new_id) else { return };
        let instance_id = old_member.instance_id.clone().unwrap_or_default();
        let supports_skipping_assignment = request.supports_skipping_assignment;
        self.update_member(cx, id, new_id, request);
        self.renew_session(cx, now, new_id);
        match self.state {
            State::Stable if self.select_protocol() == self.protocol_name => {
                let rejoin = StaticRejoin {
                    group: self.id.clone(),
                    generation: self.generation,
                    instance_id,
                    old_id: old_id.to_owned(),
                    new_id: new_id.to_owned(),
                    old_member,
                    old_leader,
                    supports_skipping_assignment,
                };
                let value = self.to_record(&self.assignment());
                let updates = vec![Update::Group(self.id.clone(), Some(value))];
                cx.append(now, updates, Purpose::StaticRejoin(Box::new(rejoin)));
            }
            // In CompletingRebalance the leader may already assign to the old id, and the new one
            // would get nothing: rebalance again (CG-18, KAFKA-9801).
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(cx, now),
            State::PreparingRebalance | State::Empty | State::Dead => {
                self.maybe_complete_join(cx, now);
            }
        }
    }

    /// Gives the place of `old_id` to `new_id` and returns what was there.
    fn replace_static(
        &mut self,
        cx: &mut Cx,
        now: Now,
        old_id: &str,
        new_id: &str,
    ) -> Option<Member> {
        let fenced = ErrorCode::FencedInstanceId;
        self.answer_join(cx, old_id, JoinReply::error(old_id, fenced));
        self.answer_sync(cx, now, old_id, SyncReply::error(fenced));
        let old = self.members.remove(old_id)?;
        cx.cancel_session(&self.id, old_id);
        let member = Member { is_new: false, ..old.clone() };
        let instance_id = member.instance_id.clone().unwrap_or_default();
        self.static_members.insert(instance_id, new_id.to_owned());
        self.members.insert(new_id.to_owned(), member);
        if self.is_leader(old_id) {
            self.leader = Some(new_id.to_owned());
        }
        if self.pending_sync.remove(old_id) {
            self.pending_sync.insert(new_id.to_owned());
        }
        Some(old)
    }
}

impl Shard {
    /// The new id is stored: the member goes on where it was. A leader that understands it is
    /// told to skip the assignment (KIP-814); an older one is told that its old id leads, which
    /// it takes for somebody else's.
    pub(super) fn on_static_rejoin_stored(&mut self, rejoin: &StaticRejoin) {
        let Some(group) = self.groups.get_mut(&rejoin.group) else { return };
        if group.state != State::Stable || group.generation != rejoin.generation {
            // A rebalance has begun meanwhile; its end answers the member.
            return;
        }
        let mut reply = group.join_reply(&rejoin.new_id);
        if rejoin.supports_skipping_assignment {
            reply.skip_assignment = group.is_leader(&rejoin.new_id);
        } else {
            reply.members.clear();
            reply.leader = rejoin.old_leader.clone().unwrap_or_default();
        }
        group.answer_join(&mut self.cx, &rejoin.new_id, reply);
    }

    /// The new id is not stored: after a restart the old one would be back, so it is back now.
    pub(super) fn on_static_rejoin_lost(
        &mut self,
        now: Now,
        rejoin: StaticRejoin,
        error: ErrorCode,
    ) {
        let Some(group) = self.groups.get_mut(&rejoin.group) else { return };
        let current = group.static_members.get(&rejoin.instance_id);
        if group.state != State::Stable || current != Some(&rejoin.new_id) {
            return;
        }
        let mut reply = JoinReply::error("", error);
        reply.leader = rejoin.old_leader.clone().unwrap_or_default();
        group.answer_join(&mut self.cx, &rejoin.new_id, reply);
        group.members.remove(&rejoin.new_id);
        self.cx.cancel_session(&group.id, &rejoin.new_id);
        if group.is_leader(&rejoin.new_id) {
            group.leader = Some(rejoin.old_id.clone());
        }
        let session_ms = i64::from(rejoin.old_member.session_timeout_ms);
        group.static_members.insert(rejoin.instance_id, rejoin.old_id.clone());
        group.members.insert(rejoin.old_id.clone(), rejoin.old_member);
        self.cx.set_session(now, &group.id, &rejoin.old_id, session_ms);
    }
}
