//! What the coordinator's answers mean for the membership.
//!
//! | code | meaning here |
//! | --- | --- |
//! | 14 COORDINATOR_LOAD_IN_PROGRESS | try again later |
//! | 15, 16 COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR | look the coordinator up, try again |
//! | 22 ILLEGAL_GENERATION | the group went on: partitions are lost, join with the same id |
//! | 25 UNKNOWN_MEMBER_ID | dropped: partitions are lost, join as a new member |
//! | 27 REBALANCE_IN_PROGRESS | an ordinary round: commit, give up, join |
//! | 79 MEMBER_ID_REQUIRED | join at once with the id that was given (KIP-394) |
//! | 82 FENCED_INSTANCE_ID | another process has this instance id: fatal |

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::Response;

use super::{Member, MemberEvent, MemberOutput, MemberTimer, State};
use crate::call::CallError;
use crate::error::{Error, ErrorKind};
use crate::group::consumer_protocol::decode_assignment;
use crate::time::Instant;

impl Member {
    pub(super) fn on_join(&mut self, now: Instant, result: Result<Response, CallError>) {
        let response = match result {
            Ok(Response::JoinGroup(response)) => *response,
            Ok(_) => return self.on_wrong_answer("JoinGroup"),
            Err(error) => return self.on_join_failed(now, &error, "JoinGroup"),
        };
        match ErrorCode::from_code(response.error_code) {
            Some(ErrorCode::None) => self.on_joined(now, response),
            Some(ErrorCode::MemberIdRequired) => {
                self.member_id = response.member_id;
                self.send_join(now);
            }
            _ => self.on_round_error(now, response.error_code, "JoinGroup"),
        }
    }

    pub(super) fn on_sync(&mut self, now: Instant, result: Result<Response, CallError>) {
        let response = match result {
            Ok(Response::SyncGroup(response)) => *response,
            Ok(_) => return self.on_wrong_answer("SyncGroup"),
            Err(error) => return self.on_join_failed(now, &error, "SyncGroup"),
        };
        if response.error_code != 0 {
            return self.on_round_error(now, response.error_code, "SyncGroup");
        }
        let partitions = match decode_assignment(&response.assignment) {
            Ok(partitions) => partitions,
            Err(error) => {
                return self.fail(Error::new(
                    ErrorKind::Protocol,
                    format!(
                        "the assignment of group {} cannot be read: {error}",
                        self.config.group_id
                    ),
                ));
            }
        };
        self.last = (partitions.clone(), self.generation);
        self.state = State::Stable;
        self.event(MemberEvent::Assigned { generation: self.generation, partitions });
        if let Some(reason) = self.rejoin_after.take() {
            self.rejoin(now, &reason);
        }
    }

    pub(super) fn on_heartbeat(&mut self, now: Instant, result: Result<Response, CallError>) {
        let code = match result {
            Ok(Response::Heartbeat(response)) => response.error_code,
            Ok(_) => return self.on_wrong_answer("Heartbeat"),
            Err(error) if error.is_retriable() => {
                // Not a verdict on the membership; the session's end is the limit.
                self.outputs.push_back(MemberOutput::ForgetCoordinator);
                self.timers.set(MemberTimer::Heartbeat, now + self.config.retry_backoff);
                return;
            }
            Err(error) => return self.on_join_failed(now, &error, "Heartbeat"),
        };
        match ErrorCode::from_code(code) {
            Some(ErrorCode::None) => {
                self.timers.set(MemberTimer::Session, now + self.config.session_timeout);
            }
            Some(ErrorCode::RebalanceInProgress) => {
                // The coordinator has heard of us. While a round of ours is under way, it only
                // says what we know.
                self.timers.set(MemberTimer::Session, now + self.config.session_timeout);
                self.rejoin(now, "the coordinator started a rebalance");
            }
            Some(ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator) => {
                self.outputs.push_back(MemberOutput::ForgetCoordinator);
                self.timers.set(MemberTimer::Heartbeat, now + self.config.retry_backoff);
            }
            Some(ErrorCode::CoordinatorLoadInProgress) => {
                self.timers.set(MemberTimer::Heartbeat, now + self.config.retry_backoff);
            }
            _ => self.handle_group_error(now, code, "Heartbeat"),
        }
    }

    /// An error of JoinGroup or SyncGroup: the round starts again, sooner or later.
    fn on_round_error(&mut self, now: Instant, code: i16, api: &str) {
        match ErrorCode::from_code(code) {
            Some(ErrorCode::CoordinatorLoadInProgress) => self.wait(now),
            Some(ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator) => {
                self.outputs.push_back(MemberOutput::ForgetCoordinator);
                self.wait(now);
            }
            Some(ErrorCode::RebalanceInProgress) => {
                // From SyncGroup: another member joined meanwhile. No assignment came, so what
                // the owner holds is what it was prepared with.
                self.send_join(now);
            }
            _ => self.handle_group_error(now, code, api),
        }
    }

    /// The owner's OffsetCommit of this generation was refused by a code about the membership.
    ///
    /// Ignored if a round has ended that generation, or is about to: the commit came late, the
    /// membership is well.
    pub fn handle_commit_error(&mut self, now: Instant, generation: i32, code: i16) {
        if generation == self.generation && self.accepts_commits() {
            self.handle_group_error(now, code, "OffsetCommit");
        }
    }

    /// Whether the coordinator takes commits of this generation now: not between JoinGroup and the
    /// assignment.
    pub fn accepts_commits(&self) -> bool {
        matches!(self.state, State::Stable | State::Preparing) && self.has_generation()
    }

    /// What a code means that says something about the member itself. Other codes are fatal.
    fn handle_group_error(&mut self, now: Instant, code: i16, api: &str) {
        let code_known = ErrorCode::from_code(code);
        match code_known {
            Some(ErrorCode::RebalanceInProgress) => {
                self.rejoin(now, "the coordinator started a rebalance");
            }
            Some(ErrorCode::IllegalGeneration) => self.lose("the generation is over"),
            Some(ErrorCode::UnknownMemberId) => {
                self.member_id.clear();
                self.lose("the coordinator dropped the member");
            }
            _ => {
                let context = format!("{api} of group {}", self.config.group_id);
                if code_known == Some(ErrorCode::FencedInstanceId) {
                    // The other process has the partitions now.
                    self.event(MemberEvent::Lost { reason: "fenced".to_string() });
                }
                self.fail(Error::from_raw_code(code, context));
            }
        }
    }

    fn lose(&mut self, reason: &str) {
        if matches!(self.state, State::Closed | State::Leaving(_)) {
            return;
        }
        self.forget_generation();
        self.event(MemberEvent::Lost { reason: reason.to_string() });
        self.prepare(reason);
    }

    fn on_join_failed(&mut self, now: Instant, error: &CallError, api: &str) {
        if !error.is_retriable() {
            let context = format!("{api} of group {}", self.config.group_id);
            return self.fail(Error::from_call(error, context));
        }
        self.outputs.push_back(MemberOutput::ForgetCoordinator);
        self.wait(now);
    }

    /// Join again after the backoff; the owner stays prepared.
    fn wait(&mut self, now: Instant) {
        self.state = State::Waiting;
        let deadline = now + self.backoff();
        self.timers.set(MemberTimer::Rejoin, deadline);
    }

    fn on_wrong_answer(&mut self, api: &str) {
        self.fail(Error::new(
            ErrorKind::Protocol,
            format!("{api} of group {} was answered by another message", self.config.group_id),
        ));
    }
}
