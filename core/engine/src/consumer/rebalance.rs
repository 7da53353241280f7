//! What the group's rounds do to the assignment.
//!
//! A partition is given up only between two batches of the user's: a round waits until the user
//! asks for the next one (or commits), so that a clean rebalance repeats nothing. How long that
//! may take is `max.poll.interval.ms`, as in the Java client, where rounds happen in `poll()`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Consumer, ConsumerOutput};
use crate::group::assignor::PartitionCounts;
use crate::group::classic::{MemberEvent, MemberOutput};
use crate::group::{Member, TopicPartition};
use crate::time::Instant;

/// How long a leader waits for the metadata of topics that only other members subscribe to.
const ASSIGN_WAIT: Duration = Duration::from_secs(3);

/// A change of the assignment, in the order in which it took place.
#[derive(Clone, Debug, PartialEq)]
pub enum RebalanceEvent {
    /// These partitions were added.
    Assigned(Vec<TopicPartition>),
    /// These partitions were given up, after their finished offsets were committed if
    /// `enable.auto.commit` is on.
    Revoked(Vec<TopicPartition>),
    /// These partitions were taken away without a chance to commit (trap 10).
    Lost(Vec<TopicPartition>),
    /// Records that were consumed are not in the log any more: an unclean election.
    Truncated {
        /// The partition.
        partition: TopicPartition,
        /// Where the consumer stood.
        position: i64,
        /// Where the log diverges, if the leader knows.
        end_offset: Option<i64>,
    },
}

/// What has to happen when partitions have been given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Tell the member, which waits to join.
    Prepared,
    /// Have the member join again, so that others get what was given up (KIP-429).
    Rejoin,
}

/// Giving up partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// Nothing to give up.
    Idle,
    /// The partitions marked `revoking` are given up as soon as the user is done with them.
    Revoking {
        /// All partitions: nothing is handed out meanwhile.
        is_eager: bool,
        /// The last commit is under way.
        is_committing: bool,
        /// What follows.
        then: Then,
    },
}

impl Round {
    pub(super) fn waits_for_user(self) -> bool {
        matches!(self, Self::Revoking { is_committing: false, .. })
    }

    pub(super) fn stops_all(self) -> bool {
        matches!(self, Self::Revoking { is_eager: true, .. })
    }
}

impl Consumer {
    pub(super) fn drain_member(&mut self, now: Instant) {
        while let Some(output) = self.member.as_mut().and_then(Member::poll_output) {
            match output {
                MemberOutput::Call(call) => self.outputs.push_back(ConsumerOutput::Call(call)),
                MemberOutput::ForgetCoordinator => self.forget_coordinator(),
                MemberOutput::WantTopics(topics) => {
                    self.want_topics(&topics);
                    self.group_topics = topics;
                    self.assign_deadline = Some(now + ASSIGN_WAIT);
                    self.give_topics(now);
                }
                MemberOutput::Event(event) => self.on_member_event(now, event),
            }
        }
    }

    /// Gives the partition counts to a member that leads.
    pub(super) fn give_topics(&mut self, now: Instant) {
        let Some(member) = &mut self.member else { return };
        let mut counts = PartitionCounts::new();
        let mut is_complete = true;
        for topic in &self.group_topics {
            match self.metadata.partition_count(topic) {
                Some(count) => {
                    counts.insert(topic.clone(), i32::try_from(count).unwrap_or(i32::MAX));
                }
                // Asked for and not there: known to be missing.
                None => is_complete &= self.metadata.topic(topic).is_some(),
            }
        }
        if member.is_assigning() {
            if is_complete || self.assign_deadline.is_none_or(|deadline| deadline <= now) {
                self.assign_deadline = None;
                member.handle_topics(now, &counts);
            }
        } else {
            self.assign_deadline = None;
            if member.leads() {
                member.handle_topics(now, &counts);
            }
        }
    }

    fn on_member_event(&mut self, now: Instant, event: MemberEvent) {
        match event {
            MemberEvent::Prepare { .. } => self.on_prepare(now),
            MemberEvent::Assigned { partitions, .. } => self.on_assigned(partitions),
            MemberEvent::Lost { .. } => self.on_lost(),
            MemberEvent::Failed(error) => {
                self.on_lost();
                self.fail_commits();
                self.fatal = Some(error);
            }
            MemberEvent::Left => {}
        }
    }

    fn on_prepare(&mut self, now: Instant) {
        if let Round::Revoking { is_eager, is_committing, .. } = self.round {
            // A cooperative revocation is under way; the round goes on with what it leaves.
            let then = Then::Prepared;
            self.round = Round::Revoking { is_eager, is_committing, then };
            return;
        }
        if self.member_is_cooperative() || self.partitions.is_empty() {
            return self.tell_prepared(now);
        }
        self.start_revoking(None, Then::Prepared);
    }

    fn member_is_cooperative(&self) -> bool {
        let mut strategies = self.config.partition_assignment_strategy.iter();
        strategies.all(|&assignor| crate::group::Assignor::from(assignor).is_cooperative())
    }

    fn tell_prepared(&mut self, now: Instant) {
        let owned = self.assignment();
        if let Some(member) = &mut self.member {
            member.prepared(now, owned);
        }
    }

    /// Marks partitions, or all of them, to be given up.
    fn start_revoking(&mut self, which: Option<&BTreeSet<TopicPartition>>, then: Then) {
        for (partition, state) in &mut self.partitions {
            if which.is_none_or(|which| which.contains(partition)) {
                state.revoking = true;
                state.busy = None;
                state.drop_ready();
            }
        }
        self.round = Round::Revoking { is_eager: which.is_none(), is_committing: false, then };
    }

    fn on_assigned(&mut self, partitions: Vec<TopicPartition>) {
        let wanted: BTreeSet<TopicPartition> = partitions.into_iter().collect();
        let owned: BTreeSet<TopicPartition> = self.partitions.keys().cloned().collect();
        let added: Vec<TopicPartition> = wanted.difference(&owned).cloned().collect();
        let revoked: BTreeSet<TopicPartition> = owned.difference(&wanted).cloned().collect();
        for partition in &added {
            self.add_partition(partition.clone());
        }
        self.outputs.push_back(ConsumerOutput::Rebalance(RebalanceEvent::Assigned(added)));
        if !revoked.is_empty() {
            self.start_revoking(Some(&revoked), Then::Rejoin);
        }
    }

    fn on_lost(&mut self) {
        let lost = self.assignment();
        self.partitions.clear();
        self.turns.clear();
        self.outstanding = None;
        self.round = Round::Idle;
        self.fail_commits();
        if !lost.is_empty() {
            self.outputs.push_back(ConsumerOutput::Rebalance(RebalanceEvent::Lost(lost)));
        }
    }

    /// Goes on giving up partitions: user done, then commit, then gone.
    pub(super) fn advance_round(&mut self, now: Instant) {
        let Round::Revoking { is_eager, is_committing, then } = self.round else { return };
        let is_in_use = self.outstanding.as_ref().is_some_and(|(partition, incarnation)| {
            self.partitions
                .get(partition)
                .is_some_and(|state| state.revoking && state.incarnation == *incarnation)
        });
        if is_in_use && self.closing.is_none() {
            return;
        }
        if !is_committing {
            if self.config.enable_auto_commit {
                self.commit_finished(now);
            }
            self.round = Round::Revoking { is_eager, is_committing: true, then };
            self.send_commits(now);
        }
        if !self.commits.is_idle() {
            return;
        }
        self.round = Round::Idle;
        let gone: Vec<TopicPartition> = self
            .partitions
            .iter()
            .filter(|(_, state)| state.revoking)
            .map(|(partition, _)| partition.clone())
            .collect();
        for partition in &gone {
            self.partitions.remove(partition);
        }
        self.outputs.push_back(ConsumerOutput::Rebalance(RebalanceEvent::Revoked(gone)));
        match then {
            Then::Prepared => self.tell_prepared(now),
            Then::Rejoin => {
                if let Some(member) = &mut self.member {
                    member.rejoin(now, "gave up partitions for others");
                }
            }
        }
    }

    /// The topics that the whole group subscribes to, if this member leads it.
    pub fn group_topics(&self) -> &[Arc<str>] {
        &self.group_topics
    }
}
