//! LeaveGroup.

use ottla_protocol::ErrorCode;

use super::super::group::{Group, State};
use super::super::time::Now;
use super::super::types::{LeaveRequest, LeaveResult, LeavingMember, Reply, RequestId};
use super::{Cx, Shard};

impl Shard {
    /// A LeaveGroup request; [`Reply::Leave`] follows at once.
    pub fn handle_leave(&mut self, now: Now, id: RequestId, request: &LeaveRequest) {
        let result = self.leave(now, request);
        self.cx.reply(id, Reply::Leave(result));
    }

    fn leave(&mut self, now: Now, request: &LeaveRequest) -> Result<Vec<LeaveResult>, ErrorCode> {
        if request.group_id.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        self.check_active()?;
        let Some(group) = self.groups.get_mut(&request.group_id) else {
            let unknown = |member| result(member, ErrorCode::UnknownMemberId);
            return Ok(request.members.iter().map(unknown).collect());
        };
        if group.state == State::Dead {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        let mut results = Vec::with_capacity(request.members.len());
        for member in &request.members {
            let error = match group.leave_one(&mut self.cx, now, member) {
                Ok(()) => ErrorCode::None,
                Err(error) => error,
            };
            results.push(result(member, error));
        }
        if results.iter().any(|result| result.error == ErrorCode::None) {
            match group.state {
                State::Stable | State::CompletingRebalance => {
                    group.rebalance_or_complete_join(&mut self.cx, now);
                }
                State::PreparingRebalance => group.maybe_complete_join(&mut self.cx, now),
                State::Empty | State::Dead => {}
            }
        }
        Ok(results)
    }
}

impl Group {
    /// CG-15. Without a member id an operator puts out a static member by its instance (KIP-345).
    fn leave_one(
        &mut self,
        cx: &mut Cx,
        now: Now,
        member: &LeavingMember,
    ) -> Result<(), ErrorCode> {
        if member.member_id.is_empty() {
            let instance = member.instance_id.as_ref().ok_or(ErrorCode::UnknownMemberId)?;
            let id = self.static_members.get(instance).ok_or(ErrorCode::UnknownMemberId)?.clone();
            self.expel(cx, now, &id);
            return Ok(());
        }
        if self.pending_join.contains(&member.member_id) {
            self.remove(&member.member_id);
            cx.cancel_session(&self.id, &member.member_id);
            return Ok(());
        }
        self.validate_member(&member.member_id, member.instance_id.as_deref())?;
        self.expel(cx, now, &member.member_id);
        Ok(())
    }
}

fn result(member: &LeavingMember, error: ErrorCode) -> LeaveResult {
    let LeavingMember { member_id, instance_id } = member.clone();
    LeaveResult { member_id, instance_id, error }
}
