//! Offset commits: one on the way at a time, so that a late answer never moves an offset back
//! (P8), each under the membership in force when it is sent.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::Uuid;
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use ottla_protocol::messages::{OffsetFetchResponse, Request, Response};

use super::plan::Waiting;
use super::{Consumer, ConsumerOutput};
use crate::call::{CallError, Purpose, Target};
use crate::cluster::Metadata;
use crate::config::ConsumerConfig;
use crate::error::{Error, ErrorKind};
use crate::group::TopicPartition;
use crate::group::assignor::NO_GENERATION;
use crate::group::classic::Membership;
use crate::time::Instant;

/// Names a commit; its result comes as [`ConsumerOutput::Committed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommitTicket(pub u64);

/// A committed position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetAndMetadata {
    /// The next offset to consume.
    pub offset: i64,
    /// The leader epoch of the last batch before it.
    pub leader_epoch: Option<i32>,
    /// A note of the user's.
    pub metadata: Option<String>,
}

impl From<i64> for OffsetAndMetadata {
    fn from(offset: i64) -> Self {
        Self { offset, leader_epoch: None, metadata: None }
    }
}

/// Offsets on their way to the coordinator.
#[derive(Debug)]
struct Pending {
    ticket: Option<CommitTicket>,
    offsets: BTreeMap<TopicPartition, OffsetAndMetadata>,
    /// The generation in which they were handed in.
    generation: i32,
    deadline: Instant,
    failures: u32,
}

/// The queue of commits.
#[derive(Debug)]
pub(super) struct Commits {
    queue: VecDeque<Pending>,
    on_the_way: Option<Pending>,
    retry_at: Option<Instant>,
    next_auto: Option<Instant>,
    limit: Duration,
    auto_interval: Option<Duration>,
    next_ticket: u64,
}

impl Commits {
    pub(super) fn new(config: &ConsumerConfig) -> Self {
        let is_auto = config.enable_auto_commit && config.group_id.is_some();
        Self {
            queue: VecDeque::new(),
            on_the_way: None,
            retry_at: None,
            next_auto: None,
            limit: config.default_api_timeout,
            auto_interval: is_auto.then_some(config.auto_commit_interval),
            next_ticket: 0,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.on_the_way.is_none()
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.retry_at.into_iter().chain(self.next_auto).min()
    }
}

impl Consumer {
    /// Commits everything that was handed out: the user says that all of it is finished.
    pub fn commit(&mut self, now: Instant) -> CommitTicket {
        self.finish_outstanding();
        let offsets = self.finished_offsets(|_| true);
        self.enqueue(now, offsets)
    }

    /// Commits what is finished as it stands, the outstanding batch left out.
    pub fn commit_finished_only(&mut self, now: Instant) -> CommitTicket {
        let offsets = self.finished_offsets(|_| true);
        self.enqueue(now, offsets)
    }

    /// Commits these offsets.
    pub fn commit_offsets(
        &mut self,
        now: Instant,
        offsets: BTreeMap<TopicPartition, OffsetAndMetadata>,
    ) -> CommitTicket {
        self.enqueue(now, offsets)
    }

    fn enqueue(
        &mut self,
        now: Instant,
        offsets: BTreeMap<TopicPartition, OffsetAndMetadata>,
    ) -> CommitTicket {
        let ticket = CommitTicket(self.commits.next_ticket);
        self.commits.next_ticket += 1;
        let refusal = match (&self.fatal, &self.config.group_id) {
            (Some(fatal), _) => Some(fatal.clone()),
            (None, None) => {
                Some(Error::new(ErrorKind::Config, "commits need a group: set group.id"))
            }
            (None, Some(_)) if self.is_closed => {
                Some(Error::new(ErrorKind::Closed, "the consumer is closed"))
            }
            _ => None,
        };
        if let Some(error) = refusal {
            self.outputs.push_back(ConsumerOutput::Committed(ticket, Err(error)));
        } else if offsets.is_empty() {
            self.outputs.push_back(ConsumerOutput::Committed(ticket, Ok(())));
        } else {
            let deadline = now + self.commits.limit;
            self.push_commit(Some(ticket), offsets, deadline);
        }
        self.step(now);
        ticket
    }

    fn push_commit(
        &mut self,
        ticket: Option<CommitTicket>,
        offsets: BTreeMap<TopicPartition, OffsetAndMetadata>,
        deadline: Instant,
    ) {
        let generation = self.membership().map_or(NO_GENERATION, |m| m.generation);
        let pending = Pending { ticket, offsets, generation, deadline, failures: 0 };
        self.commits.queue.push_back(pending);
    }

    /// What is finished and not yet known to the coordinator.
    fn finished_offsets(
        &self,
        of: impl Fn(&super::Partition) -> bool,
    ) -> BTreeMap<TopicPartition, OffsetAndMetadata> {
        let news = self
            .partitions
            .iter()
            .filter(|(_, p)| p.has_position && p.committed != Some(p.finished.offset) && of(p));
        news.map(|(partition, p)| {
            let finished = OffsetAndMetadata {
                offset: p.finished.offset,
                leader_epoch: p.finished.leader_epoch,
                metadata: None,
            };
            (partition.clone(), finished)
        })
        .collect()
    }

    /// Commits what is finished, before partitions are given up or the consumer closes.
    pub(super) fn commit_finished(&mut self, now: Instant) {
        let offsets = self.finished_offsets(|_| true);
        if self.config.group_id.is_some() && !offsets.is_empty() {
            let limit = self.commits.limit.min(self.config.max_poll_interval);
            let deadline = self.closing.unwrap_or(now + limit);
            self.push_commit(None, offsets, deadline);
        }
    }

    pub(super) fn auto_commit(&mut self, now: Instant) {
        let Some(interval) = self.commits.auto_interval else { return };
        if self.closing.is_some() {
            // The last commit is under way; nothing is due any more.
            self.commits.next_auto = None;
            return;
        }
        if self.commits.next_auto.is_some_and(|at| at > now) {
            return;
        }
        let was_set = self.commits.next_auto.is_some();
        self.commits.next_auto = (!self.partitions.is_empty()).then_some(now + interval);
        if was_set && self.commits.is_idle() {
            let offsets = self.finished_offsets(|p| !p.revoking);
            if !offsets.is_empty() {
                self.push_commit(None, offsets, now + interval);
            }
        }
    }

    /// Sends the next commit, unless one is on the way or a round of the group is.
    pub(super) fn send_commits(&mut self, now: Instant) {
        if self.commits.next_auto.is_none() && !self.partitions.is_empty() {
            self.auto_commit(now);
        }
        if self.commits.retry_at.is_some_and(|at| at > now) {
            return;
        }
        self.commits.retry_at = None;
        while self.commits.on_the_way.is_none() && self.may_commit() {
            let Some(mut pending) = self.commits.queue.pop_front() else { return };
            let membership = self.membership().unwrap_or(Membership {
                generation: NO_GENERATION,
                member_id: String::new(),
                instance_id: None,
            });
            if pending.generation != membership.generation {
                // A round lies between: what belongs to others now is theirs to commit. What is
                // about to be given up is still ours: nobody gets it before we have joined again.
                let owned = &self.partitions;
                pending.offsets.retain(|partition, _| owned.contains_key(partition));
                if pending.offsets.is_empty() {
                    self.finish_commit(pending, Err(rebalanced()));
                    continue;
                }
                pending.generation = membership.generation;
            }
            let request = self.commit_request(&pending.offsets, membership);
            let group = self.config.group_id.clone().unwrap_or_default();
            let id = self.call(Target::Group(group), Purpose::Coordinator, request);
            self.waiting.insert(id, Waiting::Commit);
            self.commits.on_the_way = Some(pending);
        }
    }

    pub(super) fn may_commit(&self) -> bool {
        match &self.member {
            Some(member) => member.accepts_commits(),
            None => true,
        }
    }

    fn commit_request(
        &self,
        offsets: &BTreeMap<TopicPartition, OffsetAndMetadata>,
        membership: Membership,
    ) -> Request {
        let mut topics: Vec<OffsetCommitRequestTopic> = Vec::new();
        for (partition, committed) in offsets {
            let entry = OffsetCommitRequestPartition {
                partition_index: partition.partition,
                committed_offset: committed.offset,
                committed_leader_epoch: committed.leader_epoch.unwrap_or(-1),
                committed_metadata: Some(committed.metadata.clone().unwrap_or_default()),
                ..Default::default()
            };
            match topics.last_mut().filter(|topic| *topic.name == *partition.topic) {
                Some(topic) => topic.partitions.push(entry),
                None => topics.push(OffsetCommitRequestTopic {
                    name: partition.topic.to_string(),
                    topic_id: self.metadata.topic_id(&partition.topic).unwrap_or(Uuid::ZERO),
                    partitions: vec![entry],
                    ..Default::default()
                }),
            }
        }
        Request::OffsetCommit(Box::new(OffsetCommitRequest {
            group_id: self.config.group_id.clone().unwrap_or_default(),
            generation_id_or_member_epoch: membership.generation,
            member_id: membership.member_id,
            group_instance_id: membership.instance_id,
            topics,
            ..Default::default()
        }))
    }

    pub(super) fn on_commit(&mut self, now: Instant, result: Result<Response, CallError>) {
        let Some(pending) = self.commits.on_the_way.take() else { return };
        match result {
            Ok(Response::OffsetCommit(response)) => self.on_commit_answer(now, pending, &response),
            Ok(_) => self.on_wrong_answer("OffsetCommit"),
            Err(error) if error.is_retriable() => {
                self.forget_coordinator();
                self.retry_commit(now, pending, Error::from_call(&error, "commit of offsets"));
            }
            Err(error) => {
                self.finish_commit(pending, Err(Error::from_call(&error, "commit of offsets")));
            }
        }
    }

    fn on_commit_answer(
        &mut self,
        now: Instant,
        mut pending: Pending,
        response: &OffsetCommitResponse,
    ) {
        let mut worst: Option<(TopicPartition, i16)> = None;
        for topic in &response.topics {
            let name = topic_name(&self.metadata, &topic.name, topic.topic_id);
            for answer in &topic.partitions {
                let partition = TopicPartition::new(name.as_str(), answer.partition_index);
                if answer.error_code != 0 {
                    // One that will pass must not hide one that will not.
                    let is_worse = |(_, code): &(_, i16)| is_passing(*code);
                    if worst.as_ref().is_none_or(is_worse) {
                        worst = Some((partition, answer.error_code));
                    }
                } else if let Some(done) = pending.offsets.remove(&partition)
                    && let Some(state) = self.partitions.get_mut(&partition)
                {
                    state.committed = Some(done.offset);
                }
            }
        }
        let Some((partition, code)) = worst else {
            // An empty answer with no error is not success (trap 15).
            let outcome = match pending.offsets.keys().next() {
                None => Ok(()),
                Some(partition) => Err(Error::new(
                    ErrorKind::Protocol,
                    format!("the answer of the commit leaves out {partition}"),
                )),
            };
            return self.finish_commit(pending, outcome);
        };
        let error = Error::from_raw_code(code, format!("commit of the offset of {partition}"));
        match ErrorCode::from_code(code) {
            Some(ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable) => {
                self.forget_coordinator();
                self.retry_commit(now, pending, error);
            }
            Some(
                ErrorCode::IllegalGeneration
                | ErrorCode::UnknownMemberId
                | ErrorCode::FencedInstanceId
                | ErrorCode::RebalanceInProgress,
            ) => {
                let generation = pending.generation;
                self.finish_commit(pending, Err(error));
                if let Some(member) = &mut self.member {
                    member.handle_commit_error(now, generation, code);
                }
            }
            _ if is_passing(code) => self.retry_commit(now, pending, error),
            _ => self.finish_commit(pending, Err(error)),
        }
    }

    fn retry_commit(&mut self, now: Instant, mut pending: Pending, error: Error) {
        let delay = self.backoff(pending.failures);
        if now + delay >= pending.deadline {
            return self.finish_commit(pending, Err(error));
        }
        pending.failures += 1;
        self.commits.retry_at = Some(now + delay);
        self.commits.queue.push_front(pending);
    }

    fn finish_commit(&mut self, pending: Pending, outcome: Result<(), Error>) {
        match (pending.ticket, outcome) {
            (Some(ticket), outcome) => {
                self.outputs.push_back(ConsumerOutput::Committed(ticket, outcome));
            }
            // An auto-commit comes again; only what the user can mend is told.
            (None, Err(error)) if error.kind() == ErrorKind::Authorization => {
                self.errors.push_back(error);
            }
            (None, _) => {}
        }
    }

    /// Nothing of this may be committed any more: the generation is over (trap 10).
    pub(super) fn fail_commits(&mut self) {
        self.commits.retry_at = None;
        let on_the_way = self.commits.on_the_way.take();
        let queued: Vec<Pending> = self.commits.queue.drain(..).collect();
        for pending in on_the_way.into_iter().chain(queued) {
            self.finish_commit(pending, Err(rebalanced()));
        }
    }

    pub(super) fn forget_coordinator(&mut self) {
        let group = self.config.group_id.clone().unwrap_or_default();
        self.outputs.push_back(ConsumerOutput::ForgetCoordinator(group));
    }
}

fn rebalanced() -> Error {
    Error::new(
        ErrorKind::Rebalance,
        "the group rebalanced before the commit: the partitions belong to another member, which \
         goes on from the last commit",
    )
}

fn is_passing(code: i16) -> bool {
    // 3: the topic is unknown to this broker for a moment.
    ErrorCode::from_code(code).is_some_and(ErrorCode::is_retriable)
}

/// A topic's name in an answer that may carry its id instead.
pub(super) fn topic_name(metadata: &Metadata, name: &str, id: Uuid) -> String {
    if !name.is_empty() {
        return name.to_string();
    }
    metadata.topic_name(id).unwrap_or_default().to_string()
}

/// What a group has committed, by partition: nothing, an offset, or an error code.
pub(crate) type Committed = BTreeMap<TopicPartition, Result<Option<OffsetAndMetadata>, i16>>;

/// The error of an OffsetFetch answer as a whole, and its offsets; either shape (KIP-709).
pub(crate) fn committed_of(metadata: &Metadata, response: OffsetFetchResponse) -> (i16, Committed) {
    let mut committed = Committed::new();
    let mut code = response.error_code;
    let mut add = |name: String, index: i32, code: i16, offset: i64, epoch: i32, note| {
        let found = (offset >= 0).then_some(OffsetAndMetadata {
            offset,
            leader_epoch: (epoch >= 0).then_some(epoch),
            metadata: note,
        });
        let result = if code == 0 { Ok(found) } else { Err(code) };
        committed.insert(TopicPartition::new(name.as_str(), index), result);
    };
    for topic in response.topics {
        for p in topic.partitions {
            let (offset, epoch) = (p.committed_offset, p.committed_leader_epoch);
            add(topic.name.clone(), p.partition_index, p.error_code, offset, epoch, p.metadata);
        }
    }
    for group in response.groups {
        code = if code == 0 { group.error_code } else { code };
        for topic in group.topics {
            let name = topic_name(metadata, &topic.name, topic.topic_id);
            for p in topic.partitions {
                let (offset, epoch) = (p.committed_offset, p.committed_leader_epoch);
                add(name.clone(), p.partition_index, p.error_code, offset, epoch, p.metadata);
            }
        }
    }
    (code, committed)
}
