//! The consumer, without input and output: positions, fetching, resets, commits, and its
//! membership in a group.
//!
//! The parts, in reading order: [`position`] (where a partition stands), [`plan`] (what is asked
//! of which broker next), [`fetch`], [`reset`] and [`validate`] (answers that give data, an
//! offset, or proof that an offset is still good), [`fetched`] (bytes to batches), [`hand_out`]
//! (what the user gets), [`commit`] and [`rebalance`] (the group).
//!
//! Three positions per partition carry the semantics: `fetch_position` runs ahead of `position`
//! (what was handed out), which runs ahead of `finished` (what the user is done with). Only
//! `finished` is ever committed without the user's explicit word (trap 10).

mod commit;
mod fetch;
mod fetched;
mod hand_out;
pub mod offsets;
mod plan;
mod position;
mod rebalance;
mod reset;
mod validate;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::messages::{Request, Response};

use crate::call::{Call, CallError, CallId, Purpose, Target};
use crate::cluster::Metadata;
use crate::cluster::backoff::{Seed, delay_after};
use crate::config::{ConsumerConfig, OffsetReset};
use crate::error::Error;
use crate::group::classic::MEMBER_CALLS;
use crate::group::{Assignor, Member, MemberConfig, TopicPartition};
use crate::time::Instant;

pub use commit::{CommitTicket, OffsetAndMetadata};
pub use fetched::{Fetched, Ready, split};
pub use hand_out::{HandedOut, Next};
pub use position::Position;
pub use rebalance::RebalanceEvent;

use commit::Commits;
use plan::Waiting;
use position::{Partition, Phase};
use rebalance::Round;

/// How long a consumer takes at most to commit and leave when it is closed.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(4);

/// What the consumer wants from its driver, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum ConsumerOutput {
    /// Send this.
    Call(Call),
    /// Forget who coordinates this group.
    ForgetCoordinator(String),
    /// Keep these topics in the metadata from now on.
    WantTopics(Vec<String>),
    /// The metadata is out of date.
    RefreshMetadata,
    /// An answer named a newer leader (KIP-951).
    LearnLeader {
        /// The partition.
        partition: TopicPartition,
        /// The leader's node id.
        leader: i32,
        /// Its epoch.
        epoch: i32,
    },
    /// The assignment changed.
    Rebalance(RebalanceEvent),
    /// The commit of this ticket is done, or failed for good.
    Committed(CommitTicket, Result<(), Error>),
    /// The consumer has left its group and stopped: the driver may end.
    Closed,
}

/// The consumer's state machine. The driver locks it for each event; it never waits.
#[derive(Debug)]
pub struct Consumer {
    config: ConsumerConfig,
    /// The wall clock at [`Instant::ZERO`], in ms since 1970, for resets by duration.
    wall_ms_at_zero: i64,
    seed: Seed,
    metadata: Arc<Metadata>,
    partitions: BTreeMap<TopicPartition, Partition>,
    /// The partitions with something ready, in the order of their turns.
    turns: VecDeque<TopicPartition>,
    /// The batch that the user has and is not known to have finished.
    outstanding: Option<(TopicPartition, u64)>,
    user_is_waiting: bool,
    /// The user's last call left work for the driver.
    needs_driver: bool,
    errors: VecDeque<Error>,
    /// The group ended for this consumer; every call says so.
    fatal: Option<Error>,
    waiting: BTreeMap<CallId, Waiting>,
    /// When the calls to leaders without an answer count as silent.
    silent_at: BTreeMap<CallId, Instant>,
    /// Not before this is it asked again who leads what has no answer.
    ask_in_silence_at: Instant,
    /// Nodes with a fetch on the way: one at a time each.
    fetching: BTreeSet<i32>,
    fetch_rotation: usize,
    commits: Commits,
    member: Option<Member>,
    topics: Vec<Arc<str>>,
    round: Round,
    /// As leader: the topics of the whole group, and how long to wait for their metadata.
    group_topics: Vec<Arc<str>>,
    assign_deadline: Option<Instant>,
    missing: BTreeMap<Arc<str>, Instant>,
    closing: Option<Instant>,
    is_closed: bool,
    outputs: VecDeque<ConsumerOutput>,
    next_call: u64,
    next_incarnation: u64,
}

impl Consumer {
    /// A consumer without partitions: [`Consumer::subscribe`] or [`Consumer::assign`] it.
    ///
    /// `wall_ms_at_zero` is the wall clock at the engine's time zero, in ms since 1970; `seed`
    /// feeds the jitter of retries.
    pub fn new(config: ConsumerConfig, wall_ms_at_zero: i64, seed: u64) -> Self {
        Self {
            commits: Commits::new(&config),
            config,
            wall_ms_at_zero,
            seed: Seed::new(seed),
            metadata: Arc::default(),
            partitions: BTreeMap::new(),
            turns: VecDeque::new(),
            outstanding: None,
            user_is_waiting: false,
            needs_driver: false,
            errors: VecDeque::new(),
            fatal: None,
            waiting: BTreeMap::new(),
            silent_at: BTreeMap::new(),
            ask_in_silence_at: Instant::ZERO,
            fetching: BTreeSet::new(),
            fetch_rotation: 0,
            member: None,
            topics: Vec::new(),
            round: Round::Idle,
            group_topics: Vec::new(),
            assign_deadline: None,
            missing: BTreeMap::new(),
            closing: None,
            is_closed: false,
            outputs: VecDeque::new(),
            next_call: 0,
            next_incarnation: 0,
        }
    }

    /// Subscribes to topics as a member of the group `group.id`; replaces an earlier subscription.
    pub fn subscribe(&mut self, now: Instant, topics: Vec<Arc<str>>) {
        self.want_topics(&topics);
        self.topics.clone_from(&topics);
        self.missing.clear();
        if self.member.is_none() {
            let member = Member::new(self.member_config());
            self.member = Some(member);
            if !self.user_is_waiting {
                self.user_works(now);
            }
        }
        if let Some(member) = &mut self.member {
            member.subscribe(now, topics);
        }
        self.step(now);
    }

    /// Takes exactly these partitions, without a group's say; replaces an earlier assignment.
    /// Partitions that stay keep their position.
    pub fn assign(&mut self, now: Instant, partitions: Vec<TopicPartition>) {
        let topics: BTreeSet<Arc<str>> = partitions.iter().map(|p| p.topic.clone()).collect();
        self.topics = topics.into_iter().collect();
        self.want_topics(&self.topics.clone());
        self.missing.clear();
        let wanted: BTreeSet<TopicPartition> = partitions.into_iter().collect();
        self.partitions.retain(|partition, _| wanted.contains(partition));
        for partition in wanted {
            self.add_partition(partition);
        }
        self.step(now);
    }

    /// The partitions that are assigned.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.partitions.keys().cloned().collect()
    }

    /// The position after what was handed out; `None` while none is known, as between a seek to
    /// the end and the broker's answer where that is.
    pub fn position(&self, partition: &TopicPartition) -> Option<Position> {
        self.partitions.get(partition)?.known_position()
    }

    /// How many records are behind the position, by the last answer of the partition's leader;
    /// `None` while either is not known.
    pub fn lag(&self, partition: &TopicPartition) -> Option<i64> {
        self.partitions.get(partition)?.lag(self.reads_committed())
    }

    /// Goes to an offset. Whatever was fetched is dropped, answers on the way are ignored.
    /// Returns false for a partition that is not assigned.
    pub fn seek(&mut self, now: Instant, partition: &TopicPartition, position: Position) -> bool {
        let incarnation = self.new_incarnation();
        let Some(state) = self.partitions.get_mut(partition) else { return false };
        state.move_to(incarnation, position);
        self.step(now);
        true
    }

    /// Goes to the offset that `reset` names, once a broker has told it. Returns false for a
    /// partition that is not assigned.
    pub fn seek_by(
        &mut self,
        now: Instant,
        partition: &TopicPartition,
        reset: OffsetReset,
    ) -> bool {
        let incarnation = self.new_incarnation();
        let Some(state) = self.partitions.get_mut(partition) else { return false };
        state.restart(incarnation, Phase::NeedsReset(reset));
        self.step(now);
        true
    }

    /// Stops or resumes the partition's delivery; what is fetched already is kept. Returns false
    /// for a partition that is not assigned.
    pub fn pause(&mut self, now: Instant, partition: &TopicPartition, paused: bool) -> bool {
        let Some(state) = self.partitions.get_mut(partition) else { return false };
        state.paused = paused;
        if !paused && !state.ready.is_empty() && !state.is_listed {
            state.is_listed = true;
            self.turns.push_back(partition.clone());
        }
        self.step(now);
        true
    }

    /// Whether the partition is paused.
    pub fn is_paused(&self, partition: &TopicPartition) -> bool {
        self.partitions.get(partition).is_some_and(|p| p.paused)
    }

    /// The group's membership that commits carry.
    pub fn membership(&self) -> Option<crate::group::classic::Membership> {
        self.member.as_ref().map(Member::membership)
    }

    /// Takes a new metadata snapshot.
    pub fn handle_metadata(&mut self, now: Instant, metadata: Arc<Metadata>) {
        if metadata.version() <= self.metadata.version() {
            return;
        }
        self.metadata = metadata;
        self.check_leaders();
        self.check_topics(now);
        self.step(now);
    }

    /// Takes the answer of a call.
    pub fn handle_response(
        &mut self,
        now: Instant,
        id: CallId,
        result: Result<Response, CallError>,
    ) {
        if id.0 >= MEMBER_CALLS {
            if let Some(member) = &mut self.member {
                member.handle_response(now, id, result);
            }
        } else {
            self.silent_at.remove(&id);
            match self.waiting.remove(&id) {
                Some(Waiting::Fetch(fetch)) => self.on_fetch(now, id, fetch, result),
                Some(Waiting::Offsets(asked)) => self.on_list_offsets(now, id, asked, result),
                Some(Waiting::Epochs(asked)) => self.on_epochs(now, id, asked, result),
                Some(Waiting::Committed(asked)) => self.on_offset_fetch(now, id, asked, result),
                Some(Waiting::Commit) => self.on_commit(now, result),
                None => {}
            }
        }
        self.step(now);
    }

    /// When [`Consumer::handle_timeout`] is due; anything else may change it.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let member = self.member.as_ref().and_then(Member::poll_timeout);
        let retries = self.partitions.values().filter(|p| p.busy.is_none());
        let retry = retries.filter_map(|p| p.retry_at).min();
        let missing = self.missing.values().filter(|at| **at < Instant::FAR_FUTURE).min().copied();
        let silence = self.next_silence();
        let others = [self.commits.next_timeout(), self.closing, self.assign_deadline, silence];
        [member, retry, missing].into_iter().chain(others).flatten().min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(member) = &mut self.member {
            member.handle_timeout(now);
        }
        for partition in self.partitions.values_mut() {
            if partition.retry_at.is_some_and(|at| at <= now) {
                partition.retry_at = None;
            }
        }
        self.ask_in_silence(now);
        self.auto_commit(now);
        self.report_missing(now);
        self.give_topics(now);
        if self.closing.is_some_and(|deadline| deadline <= now) {
            self.finish_close();
        }
        self.step(now);
    }

    /// Does what the user's last call left to do, as that call asked for.
    pub fn handle_user(&mut self, now: Instant) {
        self.step(now);
    }

    /// One output, until there is none. Everything else may add some.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<ConsumerOutput> {
        self.outputs.pop_front()
    }

    /// Stops: commits what is finished if auto-commit is on, leaves the group, then
    /// [`ConsumerOutput::Closed`]; all within [`CLOSE_TIMEOUT`].
    pub fn close(&mut self, now: Instant) {
        if self.closing.is_some() || self.is_closed {
            return;
        }
        self.closing = Some(now + CLOSE_TIMEOUT);
        self.outstanding = None;
        self.drop_all_ready();
        if self.config.enable_auto_commit {
            self.commit_finished(now);
        }
        self.step(now);
    }

    /// Whether [`ConsumerOutput::Closed`] was given.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Everything that may have become possible by the last input.
    fn step(&mut self, now: Instant) {
        if self.is_closed {
            return;
        }
        self.drain_member(now);
        self.advance_round(now);
        self.drain_member(now);
        self.advance_close(now);
        if self.closing.is_none() {
            self.plan(now);
        }
        self.send_commits(now);
    }

    fn advance_close(&mut self, now: Instant) {
        if self.closing.is_none() {
            return;
        }
        if !self.may_commit() {
            // No generation to commit in: a round is under way.
            self.fail_commits();
        }
        if !self.commits.is_idle() {
            return;
        }
        if let Some(member) = &mut self.member {
            member.leave(now, "the consumer was closed");
            self.drain_member(now);
        }
        if self.member.as_ref().is_none_or(Member::is_closed) {
            self.finish_close();
        }
    }

    fn finish_close(&mut self) {
        if !self.is_closed {
            self.is_closed = true;
            self.closing = None;
            self.partitions.clear();
            self.turns.clear();
            self.waiting.clear();
            self.silent_at.clear();
            self.fail_commits();
            self.outputs.push_back(ConsumerOutput::Closed);
        }
    }

    fn add_partition(&mut self, partition: TopicPartition) {
        if self.partitions.contains_key(&partition) {
            return;
        }
        let phase = match self.config.group_id {
            Some(_) => Phase::NeedsCommitted,
            None if self.config.auto_offset_reset == OffsetReset::None => Phase::NeedsSeek,
            None => Phase::NeedsReset(self.config.auto_offset_reset),
        };
        let incarnation = self.new_incarnation();
        self.partitions.insert(partition, Partition::new(incarnation, phase));
    }

    fn want_topics(&mut self, topics: &[Arc<str>]) {
        let names = topics.iter().map(ToString::to_string).collect();
        self.outputs.push_back(ConsumerOutput::WantTopics(names));
    }

    fn member_config(&self) -> MemberConfig {
        let config = &self.config;
        MemberConfig {
            group_id: config.group_id.clone().unwrap_or_default(),
            instance_id: config.group_instance_id.clone(),
            session_timeout: config.session_timeout,
            heartbeat_interval: config.heartbeat_interval,
            max_poll_interval: config.max_poll_interval,
            retry_backoff: config.common.retry_backoff,
            retry_backoff_max: config.common.retry_backoff_max,
            request_timeout: config.common.request_timeout,
            assignors: config.partition_assignment_strategy.iter().map(|&a| a.into()).collect(),
        }
    }

    fn reads_committed(&self) -> bool {
        self.config.isolation_level == crate::config::IsolationLevel::ReadCommitted
    }

    fn new_incarnation(&mut self) -> u64 {
        self.next_incarnation += 1;
        self.next_incarnation
    }

    fn backoff(&mut self, failures: u32) -> Duration {
        let common = &self.config.common;
        let (min, max) = (common.retry_backoff, common.retry_backoff_max);
        delay_after(min, max, failures, self.seed.next_u64())
    }

    fn call(&mut self, target: Target, purpose: Purpose, request: Request) -> CallId {
        let id = CallId(self.next_call);
        self.next_call += 1;
        let mut timeout = self.config.common.request_timeout;
        if purpose == Purpose::Fetch {
            timeout += self.config.fetch_max_wait;
        }
        self.outputs.push_back(ConsumerOutput::Call(Call {
            id,
            target,
            purpose,
            request,
            timeout,
        }));
        id
    }
}

impl From<crate::config::Assignor> for Assignor {
    fn from(configured: crate::config::Assignor) -> Self {
        match configured {
            crate::config::Assignor::Range => Self::Range,
            crate::config::Assignor::RoundRobin => Self::RoundRobin,
            crate::config::Assignor::Sticky => Self::Sticky,
            crate::config::Assignor::CooperativeSticky => Self::CooperativeSticky,
        }
    }
}
