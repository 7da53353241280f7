//! One member of a classic consumer group (KIP-62, KIP-345, KIP-394, KIP-429), as a state machine
//! without input and output.
//!
//! ```text
//! Unjoined -> Preparing -> Joining -> (leader: Assigning) -> Syncing -> Stable -> Preparing ...
//! ```
//!
//! The owner (`consumer::Consumer`) is told to give up partitions by [`MemberEvent::Prepare`] and
//! answers with [`Member::prepared`]; so commits come before the JoinGroup that ends the
//! generation. Routing to the coordinator is the driver's: calls have the target
//! `Target::Group`, and [`MemberOutput::ForgetCoordinator`] says that it is another one now.

mod answers;
mod join;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::messages::heartbeat::HeartbeatRequest;
use ottla_protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use ottla_protocol::messages::{Request, Response};

use super::TopicPartition;
use super::assignor::{Assignor, NO_GENERATION, PartitionCounts, Subscriber};
use crate::call::{Call, CallError, CallId, Purpose, Target};
use crate::error::Error;
use crate::time::Instant;
use crate::timer::{Timer, TimerTable};

/// Calls of a member have ids from here on, so that its owner can tell them from its own.
pub const MEMBER_CALLS: u64 = 1 << 62;
/// JoinGroup is answered when all members have joined, at the latest after the rebalance timeout;
/// the answer then still has to travel (`AbstractCoordinator`, trap 1).
const JOIN_GROUP_TIMEOUT_LAPSE: Duration = Duration::from_secs(5);
/// LeaveGroup is a courtesy: the session's end does the same.
const LEAVE_GROUP_TIMEOUT: Duration = Duration::from_secs(3);

/// The settings of a member.
#[derive(Clone, Debug)]
pub struct MemberConfig {
    /// `group.id`.
    pub group_id: String,
    /// `group.instance.id`: makes the member static (KIP-345).
    pub instance_id: Option<String>,
    /// `session.timeout.ms`.
    pub session_timeout: Duration,
    /// `heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `max.poll.interval.ms`: also the rebalance timeout.
    pub max_poll_interval: Duration,
    /// `retry.backoff.ms`; doubled with each failure.
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms`.
    pub retry_backoff_max: Duration,
    /// `request.timeout.ms`, for heartbeats.
    pub request_timeout: Duration,
    /// `partition.assignment.strategy`, the preferred one first.
    pub assignors: Vec<Assignor>,
}

impl MemberConfig {
    /// Whether partitions that stay are kept in a rebalance: only if every strategy is
    /// cooperative, since any of them may be chosen.
    pub fn is_cooperative(&self) -> bool {
        !self.assignors.is_empty() && self.assignors.iter().all(|a| a.is_cooperative())
    }
}

/// What a member wants from its driver and its owner, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum MemberOutput {
    /// Send this.
    Call(Call),
    /// Forget who coordinates the group and look it up for the next call.
    ForgetCoordinator,
    /// The leader needs the partition counts of these topics: [`Member::handle_topics`].
    WantTopics(Vec<Arc<str>>),
    /// Tell the owner.
    Event(MemberEvent),
}

/// What happened to the membership.
#[derive(Clone, Debug, PartialEq)]
pub enum MemberEvent {
    /// A rebalance is due. Finish with the partitions that will be given up, commit, then call
    /// [`Member::prepared`]. Heartbeats go on meanwhile.
    Prepare {
        /// Why.
        reason: String,
    },
    /// These are the member's partitions now.
    Assigned {
        /// The generation that they belong to.
        generation: i32,
        /// Sorted.
        partitions: Vec<TopicPartition>,
    },
    /// The group went on without this member: all partitions belong to others, and a commit under
    /// the old generation would be theirs to suffer (trap 10). A `Prepare` follows.
    Lost {
        /// Why.
        reason: String,
    },
    /// The member cannot go on; discard it.
    Failed(Error),
    /// The member has left, or could not say so.
    Left,
}

/// What a commit carries so that the coordinator knows who speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The generation, or -1 outside of a group.
    pub generation: i32,
    /// Empty before the coordinator gave one.
    pub member_id: String,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MemberTimer {
    /// When to send the next heartbeat.
    Heartbeat,
    /// When the coordinator has dropped the member unless it has heard from it.
    Session,
    /// When to join again after a failure.
    Rejoin,
    /// When the user has taken too long with a batch.
    MaxPoll,
}

impl Timer for MemberTimer {
    const ALL: &'static [Self] = &[Self::MaxPoll, Self::Session, Self::Heartbeat, Self::Rejoin];

    fn index(self) -> usize {
        match self {
            Self::MaxPoll => 0,
            Self::Session => 1,
            Self::Heartbeat => 2,
            Self::Rejoin => 3,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    /// Not in the group, and nothing is under way.
    Unjoined,
    /// The owner is giving up partitions.
    Preparing,
    /// Ready to join, waiting for the backoff to pass.
    Waiting,
    /// JoinGroup is on the way.
    Joining(CallId),
    /// This member leads the generation and waits for the topics' partition counts.
    Assigning { assignor: Assignor, members: Vec<Subscriber> },
    /// SyncGroup is on the way.
    Syncing(CallId),
    /// Has its assignment.
    Stable,
    /// LeaveGroup is on the way.
    Leaving(CallId),
    /// Left for good, or failed.
    Closed,
}

/// One member of a classic group.
#[derive(Debug)]
pub struct Member {
    config: MemberConfig,
    state: State,
    topics: Vec<Arc<str>>,
    member_id: String,
    generation: i32,
    /// What the owner still had when it was last prepared.
    owned: Vec<TopicPartition>,
    /// The last assignment and its generation: what the sticky assignor reports.
    last: (Vec<TopicPartition>, i32),
    assignor: Assignor,
    /// The counts on which this member, as leader, based the assignment.
    led_counts: Option<PartitionCounts>,
    /// Set when a reason to rejoin comes while a round is under way.
    rejoin_after: Option<String>,
    /// Why the coming JoinGroup is sent (KIP-800).
    join_reason: String,
    heartbeat: Option<CallId>,
    failures: u32,
    /// The user took too long and the member left; it joins again when the user comes back.
    user_is_away: bool,
    timers: TimerTable<MemberTimer>,
    outputs: VecDeque<MemberOutput>,
    next_call: u64,
}

impl Member {
    /// A member that has not joined; [`Member::subscribe`] starts it.
    pub fn new(config: MemberConfig) -> Self {
        let assignor = config.assignors.first().copied().unwrap_or(Assignor::Range);
        Self {
            config,
            state: State::Unjoined,
            topics: Vec::new(),
            member_id: String::new(),
            generation: NO_GENERATION,
            owned: Vec::new(),
            last: (Vec::new(), NO_GENERATION),
            assignor,
            led_counts: None,
            rejoin_after: None,
            join_reason: String::new(),
            heartbeat: None,
            failures: 0,
            user_is_away: false,
            timers: TimerTable::default(),
            outputs: VecDeque::new(),
            next_call: MEMBER_CALLS,
        }
    }

    /// Who speaks in a commit. The generation is -1 while the member has none.
    pub fn membership(&self) -> Membership {
        Membership {
            generation: self.generation,
            member_id: self.member_id.clone(),
            instance_id: self.config.instance_id.clone(),
        }
    }

    /// Whether the member has a valid generation, in which commits are accepted.
    pub fn has_generation(&self) -> bool {
        self.generation != NO_GENERATION
    }

    /// Whether no round is under way and the assignment is in force.
    pub fn is_stable(&self) -> bool {
        self.state == State::Stable
    }

    /// The assignor of the present generation.
    pub fn assignor(&self) -> Assignor {
        self.assignor
    }

    /// Whether the member has left for good or failed.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Sets the topics and joins, or joins again if they differ from those before.
    pub fn subscribe(&mut self, now: Instant, mut topics: Vec<Arc<str>>) {
        topics.sort();
        topics.dedup();
        if self.topics != topics {
            self.topics = topics;
            self.rejoin(now, "the subscription changed");
        }
    }

    /// Starts a new round, or notes it for the end of the one under way.
    pub fn rejoin(&mut self, _now: Instant, reason: &str) {
        match self.state {
            State::Unjoined | State::Stable if !self.user_is_away => self.prepare(reason),
            State::Joining(_) | State::Assigning { .. } | State::Syncing(_) => {
                self.rejoin_after = Some(reason.to_string());
            }
            _ => {}
        }
    }

    /// The owner has given up what it had to and still has `owned`: JoinGroup may go.
    pub fn prepared(&mut self, now: Instant, owned: Vec<TopicPartition>) {
        if self.state != State::Preparing {
            return;
        }
        self.owned = owned;
        self.owned.sort();
        self.state = State::Waiting;
        if self.timers.get(MemberTimer::Rejoin).is_none() {
            self.send_join(now);
        }
    }

    /// The user asks for a batch and waits: the poll interval does not run.
    pub fn user_waits(&mut self, now: Instant) {
        self.timers.stop(MemberTimer::MaxPoll);
        if std::mem::take(&mut self.user_is_away) {
            self.rejoin(now, "the user came back after max.poll.interval.ms");
        }
    }

    /// The user has a batch, or does other things: the poll interval runs.
    pub fn user_works(&mut self, now: Instant) {
        self.timers.set(MemberTimer::MaxPoll, now + self.config.max_poll_interval);
    }

    /// Leaves for good. A static member says nothing: its place is kept until the session ends.
    pub fn leave(&mut self, now: Instant, reason: &str) {
        self.timers = TimerTable::default();
        self.rejoin_after = None;
        if matches!(self.state, State::Closed | State::Leaving(_)) {
            return;
        }
        match self.leave_request(reason) {
            Some(request) => {
                let id = self.call_leave(request);
                self.state = State::Leaving(id);
            }
            None => self.close(),
        }
        self.forget_generation();
        let _ = now;
    }

    /// Whether [`Member::poll_output`] has something.
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// One output, until there is none. Any `handle_*` or command may add some.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<MemberOutput> {
        self.outputs.pop_front()
    }

    /// When [`Member::handle_timeout`] is due; any `handle_*` or command may change it.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next_timeout()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_expired(now) {
            match timer {
                MemberTimer::Heartbeat => self.send_heartbeat(now),
                MemberTimer::Session => self.on_session_end(now),
                MemberTimer::Rejoin if self.state == State::Waiting => self.send_join(now),
                MemberTimer::Rejoin => {}
                MemberTimer::MaxPoll => self.on_max_poll_interval(),
            }
        }
    }

    /// Takes the answer of a call; one that is not of this member, or no longer awaited, is
    /// dropped.
    pub fn handle_response(
        &mut self,
        now: Instant,
        id: CallId,
        result: Result<Response, CallError>,
    ) {
        if self.heartbeat == Some(id) {
            self.heartbeat = None;
            self.on_heartbeat(now, result);
        } else if self.state == State::Joining(id) {
            self.on_join(now, result);
        } else if self.state == State::Syncing(id) {
            self.on_sync(now, result);
        } else if self.state == State::Leaving(id) {
            self.close();
        }
    }

    fn prepare(&mut self, reason: &str) {
        self.state = State::Preparing;
        self.join_reason = reason.to_string();
        self.event(MemberEvent::Prepare { reason: reason.to_string() });
    }

    fn send_heartbeat(&mut self, now: Instant) {
        let in_group = matches!(
            self.state,
            State::Stable | State::Preparing | State::Syncing(_) | State::Assigning { .. }
        );
        if !in_group || !self.has_generation() {
            return;
        }
        self.timers.set(MemberTimer::Heartbeat, now + self.config.heartbeat_interval);
        if self.heartbeat.is_some() {
            // One at a time: a slow answer delays the next, and must not be the last.
            return;
        }
        let request = Request::Heartbeat(Box::new(HeartbeatRequest {
            group_id: self.config.group_id.clone(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: self.config.instance_id.clone(),
            ..Default::default()
        }));
        let timeout = self.config.request_timeout.min(self.config.session_timeout);
        self.heartbeat = Some(self.call(request, timeout));
    }

    /// Nothing was heard for a session. The coordinator may have moved; whether it still counts
    /// this member, its next answer tells.
    fn on_session_end(&mut self, now: Instant) {
        self.outputs.push_back(MemberOutput::ForgetCoordinator);
        self.timers.set(MemberTimer::Session, now + self.config.session_timeout);
        self.timers.set(MemberTimer::Heartbeat, now);
    }

    /// The user is stuck: leave, so that others get the partitions (KIP-62).
    fn on_max_poll_interval(&mut self) {
        if matches!(self.state, State::Closed | State::Leaving(_) | State::Unjoined) {
            return;
        }
        let reason = "the user did not ask for a batch within max.poll.interval.ms";
        if let Some(request) = self.leave_request(reason) {
            self.call_leave(request);
        }
        self.forget_generation();
        self.timers = TimerTable::default();
        self.user_is_away = true;
        self.state = State::Unjoined;
        self.event(MemberEvent::Lost { reason: reason.to_string() });
    }

    fn leave_request(&self, reason: &str) -> Option<Request> {
        if self.member_id.is_empty() || self.config.instance_id.is_some() {
            return None;
        }
        Some(Request::LeaveGroup(Box::new(LeaveGroupRequest {
            group_id: self.config.group_id.clone(),
            member_id: self.member_id.clone(),
            members: vec![MemberIdentity {
                member_id: self.member_id.clone(),
                reason: Some(reason.to_string()),
                ..Default::default()
            }],
            ..Default::default()
        })))
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.timers = TimerTable::default();
        self.event(MemberEvent::Left);
    }

    fn fail(&mut self, error: Error) {
        self.state = State::Closed;
        self.forget_generation();
        self.timers = TimerTable::default();
        self.event(MemberEvent::Failed(error.into_fatal()));
    }

    /// The coordinator knows neither the generation nor, perhaps, the member any more.
    fn forget_generation(&mut self) {
        self.generation = NO_GENERATION;
        self.heartbeat = None;
        self.led_counts = None;
    }

    fn event(&mut self, event: MemberEvent) {
        self.outputs.push_back(MemberOutput::Event(event));
    }

    /// A JoinGroup or SyncGroup on the way holds up the coordinator's connection, maybe for
    /// minutes; the farewell takes another (trap 1).
    fn call_leave(&mut self, request: Request) -> CallId {
        let is_held_up = matches!(self.state, State::Joining(_) | State::Syncing(_));
        let id = self.call(request, LEAVE_GROUP_TIMEOUT);
        if is_held_up && let Some(MemberOutput::Call(call)) = self.outputs.back_mut() {
            call.purpose = Purpose::General;
        }
        id
    }

    fn call(&mut self, request: Request, timeout: Duration) -> CallId {
        let id = CallId(self.next_call);
        self.next_call += 1;
        self.outputs.push_back(MemberOutput::Call(Call {
            id,
            target: Target::Group(self.config.group_id.clone()),
            purpose: Purpose::Coordinator,
            request,
            timeout,
        }));
        id
    }

    fn backoff(&mut self) -> Duration {
        let factor = 1u32 << self.failures.min(16);
        self.failures += 1;
        self.config.retry_backoff.saturating_mul(factor).min(self.config.retry_backoff_max)
    }
}
