//! Heartbeat.

use ottla_protocol::ErrorCode;

use super::super::group::State;
use super::super::time::Now;
use super::super::types::{HeartbeatRequest, Reply, RequestId};
use super::Shard;

impl Shard {
    /// A Heartbeat request; [`Reply::Heartbeat`] follows at once.
    pub fn handle_heartbeat(&mut self, now: Now, id: RequestId, request: &HeartbeatRequest) {
        let error = match self.heartbeat(now, request) {
            Ok(()) => ErrorCode::None,
            // M16: a member must not give up its partitions because its coordinator moved.
            Err(ErrorCode::CoordinatorLoadInProgress) => ErrorCode::None,
            Err(error) => error,
        };
        self.cx.reply(id, Reply::Heartbeat(error));
    }

    /// CG-11: Empty 25, `PreparingRebalance` 27, the others 0.
    fn heartbeat(&mut self, now: Now, request: &HeartbeatRequest) -> Result<(), ErrorCode> {
        if request.group_id.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        self.check_active()?;
        let group = self.groups.get(&request.group_id).ok_or(ErrorCode::UnknownMemberId)?;
        if group.state == State::Dead {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        group.validate_member(&request.member_id, request.instance_id.as_deref())?;
        if request.generation != group.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        match group.state {
            State::Empty | State::Dead => Err(ErrorCode::UnknownMemberId),
            State::PreparingRebalance => {
                group.renew_session(&mut self.cx, now, &request.member_id);
                Err(ErrorCode::RebalanceInProgress)
            }
            State::CompletingRebalance | State::Stable => {
                group.renew_session(&mut self.cx, now, &request.member_id);
                Ok(())
            }
        }
    }
}
