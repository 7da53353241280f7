//! The leader's view of its partition: who has what, who is in sync, what is committed.

use std::collections::BTreeMap;

use ottla_protocol::ErrorCode;

use crate::planted::{self, Bug};
use crate::quorum::{Image, PartitionImage};

/// The wait before an ISR that was refused is proposed again, in milliseconds: the metadata here
/// was behind and will come.
const RETRY_WAIT_MS: u64 = 50;

/// What the metadata says of a partition, as far as its leader needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// +1 on each election (M5).
    pub leader_epoch: i32,
    /// +1 on each change.
    pub partition_epoch: i32,
    /// The replicas, the leader among them.
    pub replicas: Vec<i32>,
    /// Those in sync.
    pub isr: Vec<i32>,
    /// The replicas whose brokers are neither fenced nor shutting down, with their epochs.
    pub active: BTreeMap<i32, i64>,
}

impl Assignment {
    /// What `image` says of one of its partitions.
    pub fn of(image: &Image, partition: &PartitionImage) -> Self {
        let active = |id: &i32| {
            let broker = image.brokers.get(id).filter(|broker| broker.is_active())?;
            Some((*id, broker.epoch))
        };
        Self {
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            replicas: partition.replicas.clone(),
            isr: partition.isr.clone(),
            active: partition.replicas.iter().filter_map(active).collect(),
        }
    }
}

/// The settings that the leader goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitRule {
    /// `min.insync.replicas`.
    pub min_in_sync: usize,
    /// `flush.messages` is 1: only what is on disk is acknowledged.
    pub flush_before_ack: bool,
    /// `replica.lag.time.max.ms`.
    pub lag_max_ms: u64,
}

/// Where the leader's own log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEnds {
    /// What was last known to be committed.
    pub high_watermark: i64,
    /// The offset that the next record gets.
    pub log_end: i64,
    /// Everything below is on disk.
    pub durable_end: i64,
}

/// An ISR that the leader wants, for `AlterPartition`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsrProposal {
    /// The partition epoch that it was decided on.
    pub partition_epoch: i32,
    /// The members, each with the broker epoch under which it is in sync (KIP-903).
    pub isr: Vec<(i32, i64)>,
}

/// What became of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProposalResult {
    /// It is in the metadata, which will come.
    Applied,
    /// Perhaps it is, perhaps not.
    Unknown,
    /// It is not.
    Refused(ErrorCode),
}

/// The leader's view of one partition, from one election to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leadership {
    node_id: i32,
    assignment: Assignment,
    /// The log's end at the election: where this epoch starts.
    epoch_start: i64,
    /// Where the leader's own log started at the last fetch.
    log_start: i64,
    ends: LogEnds,
    rule: CommitRule,
    /// The replicas but the leader.
    followers: BTreeMap<i32, Follower>,
    proposed: Option<Proposed>,
    /// No new proposal before this time.
    not_before_ms: u64,
}

/// What the leader knows of a follower.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Follower {
    /// Its log's end; -1 before it has fetched.
    log_end: i64,
    /// Where its log starts; -1 before it has fetched.
    log_start: i64,
    /// Under which it fetched last; -1 before.
    broker_epoch: i64,
    /// When it last had all that the leader had.
    caught_up_ms: Option<u64>,
    /// Time of its last fetch, and the leader's end then.
    last_fetch: Option<(u64, i64)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Proposed {
    proposal: IsrProposal,
    /// Its result is unknown: it is to be sent again as it was.
    again: bool,
}

impl Leadership {
    /// A leader from now on. Of the followers nothing is known; those in sync have the lag time to
    /// show up.
    pub fn new(
        node_id: i32,
        assignment: Assignment,
        ends: LogEnds,
        rule: CommitRule,
        now_ms: u64,
    ) -> Self {
        let LogEnds { high_watermark, log_end, durable_end } = ends;
        let mut leadership = Self {
            node_id,
            epoch_start: log_end,
            log_start: -1,
            ends: LogEnds {
                high_watermark: high_watermark.min(log_end),
                log_end,
                durable_end: durable_end.min(log_end),
            },
            rule,
            followers: BTreeMap::new(),
            proposed: None,
            not_before_ms: 0,
            assignment,
        };
        leadership.follow_replicas(now_ms);
        leadership.advance(now_ms);
        leadership
    }

    /// The leader epoch (M5).
    pub fn epoch(&self) -> i32 {
        self.assignment.leader_epoch
    }

    /// Everything below is committed.
    pub fn high_watermark(&self) -> i64 {
        self.ends.high_watermark
    }

    /// Where this leader epoch starts. Before the high watermark is there, what was acknowledged
    /// under earlier epochs may lie above it (KIP-207).
    pub fn epoch_start(&self) -> i64 {
        self.epoch_start
    }

    /// Whether acks=all can be served: otherwise it is refused before the append (19).
    pub fn has_enough_in_sync(&self) -> bool {
        self.assignment.isr.len() >= self.rule.min_in_sync
    }

    /// How many replicas the partition has, the leader among them.
    pub fn replica_count(&self) -> usize {
        self.assignment.replicas.len()
    }

    /// Whether a broker has a replica of this partition.
    pub fn is_replica(&self, node_id: i32) -> bool {
        self.assignment.replicas.contains(&node_id)
    }

    /// The followers that have fetched, with their logs' ends.
    pub fn followers(&self) -> impl Iterator<Item = (i32, i64)> {
        let fetched = self.followers.iter().filter(|(_, follower)| follower.log_end >= 0);
        fetched.map(|(id, follower)| (*id, follower.log_end))
    }

    /// The followers in sync that are alive and have `offset`, with their logs' ends.
    pub fn readable_from(&self, offset: i64) -> impl Iterator<Item = (i32, i64)> {
        let Assignment { isr, active, .. } = &self.assignment;
        let has = move |id: &i32, follower: &Follower| {
            isr.contains(id)
                && active.get(id) == Some(&follower.broker_epoch)
                && (0..=offset).contains(&follower.log_start)
                && offset <= follower.log_end
        };
        let readable = self.followers.iter().filter(move |(id, follower)| has(id, follower));
        readable.map(|(id, follower)| (*id, follower.log_end))
    }

    /// The log has grown; true if the high watermark has, too.
    pub fn on_append(&mut self, log_end: i64, now_ms: u64) -> bool {
        debug_assert!(log_end >= self.ends.log_end, "a leader's log only grows");
        self.ends.log_end = log_end;
        self.advance(now_ms)
    }

    /// The log is on disk up to here; true if the high watermark has advanced.
    pub fn on_flush(&mut self, durable_end: i64, now_ms: u64) -> bool {
        let durable_end = durable_end.min(self.ends.log_end);
        self.ends.durable_end = self.ends.durable_end.max(durable_end);
        self.advance(now_ms)
    }

    /// The topic's settings have changed; true if the high watermark has advanced. It never goes
    /// back.
    pub fn on_rule(&mut self, rule: CommitRule, now_ms: u64) -> bool {
        self.rule = rule;
        self.advance(now_ms)
    }

    /// A follower asks for what begins at `offset`: everything below it has, on disk where that is
    /// demanded (M12). Only for a fetch whose sender was checked (M7) and whose offset is one of
    /// this log, of the epoch it says. True if the high watermark has advanced.
    pub fn on_fetch(&mut self, from: i32, broker_epoch: i64, offset: i64, now_ms: u64) -> bool {
        let leader_end = self.ends.log_end;
        let Some(follower) = self.followers.get_mut(&from) else { return false };
        if broker_epoch < follower.broker_epoch || offset > leader_end {
            return false;
        }
        // As Kafka: who has now what the leader had at the last fetch was caught up then.
        let caught_up = match follower.last_fetch {
            _ if offset == leader_end => Some(now_ms),
            Some((at, end)) if offset >= end => Some(at),
            _ => None,
        };
        follower.caught_up_ms = follower.caught_up_ms.max(caught_up);
        follower.last_fetch = Some((now_ms, leader_end));
        follower.log_end = offset;
        follower.broker_epoch = broker_epoch;
        self.advance(now_ms)
    }

    /// Where the log of a follower starts, which has just fetched, and the leader's `own`; true if
    /// the follower's is news.
    pub fn on_log_start(&mut self, from: i32, log_start: i64, own: i64) -> bool {
        self.log_start = own;
        let Some(follower) = self.followers.get_mut(&from) else { return false };
        std::mem::replace(&mut follower.log_start, log_start) != log_start
    }

    /// Below this no replica whose broker is alive has records (M17); `own` is where the leader's
    /// log starts.
    pub fn low_watermark(&self, own: i64) -> i64 {
        let alive = self.followers.iter().filter(|(id, _)| self.assignment.active.contains_key(id));
        alive.map(|(_, follower)| follower.log_start).fold(own, i64::min)
    }

    /// The metadata has changed, under the same leader epoch; true if the high watermark has
    /// advanced. An older state is ignored (M13).
    pub fn on_assignment(&mut self, assignment: Assignment, now_ms: u64) -> bool {
        debug_assert_eq!(assignment.leader_epoch, self.epoch(), "another epoch, another leader");
        if assignment.partition_epoch < self.assignment.partition_epoch {
            return false;
        }
        let decided =
            |proposed: &Proposed| assignment.partition_epoch > proposed.proposal.partition_epoch;
        if self.proposed.as_ref().is_some_and(decided) {
            self.proposed = None;
        }
        // Who was taken out of the ISR joins it by what it fetches from now on: its log may be cut
        // since its last fetch, or its log dir have failed.
        for id in self.assignment.isr.iter().filter(|id| !assignment.isr.contains(id)) {
            if let Some(follower) = self.followers.get_mut(id) {
                (follower.log_end, follower.caught_up_ms, follower.last_fetch) = (-1, None, None);
            }
        }
        self.assignment = assignment;
        self.follow_replicas(now_ms);
        self.advance(now_ms)
    }

    /// The next ISR to propose, if it should change; at most one is under way (KIP-497).
    pub fn poll(&mut self, now_ms: u64) -> Option<IsrProposal> {
        if now_ms < self.not_before_ms {
            return None;
        }
        if let Some(proposed) = &mut self.proposed {
            let again = std::mem::take(&mut proposed.again);
            return again.then(|| proposed.proposal.clone());
        }
        let isr = &self.assignment.isr;
        let stays = |id: &&i32| **id == self.node_id || self.is_in_time(**id, now_ms);
        let joins = |id: &&i32| !isr.contains(id) && self.may_join(**id);
        let members: Vec<i32> =
            isr.iter().filter(stays).chain(self.followers.keys().filter(joins)).copied().collect();
        if members == *isr {
            return None;
        }
        // Of a member that stays the metadata knows the incarnation: another one would have been
        // taken out, with a new partition epoch (M2).
        let with_epoch = |id: &i32| Some((*id, *self.assignment.active.get(id)?));
        let isr: Vec<_> = members.iter().filter_map(with_epoch).collect();
        if !isr.iter().any(|(id, _)| *id == self.node_id) {
            // This broker is fenced or ends, as far as it knows: others decide.
            return None;
        }
        let proposal = IsrProposal { partition_epoch: self.assignment.partition_epoch, isr };
        self.proposed = Some(Proposed { proposal: proposal.clone(), again: false });
        Some(proposal)
    }

    /// What became of a proposal. Only the metadata ends one that may be in it (M3).
    pub fn on_proposal(&mut self, of: &IsrProposal, result: ProposalResult, now_ms: u64) -> bool {
        let Some(proposed) = self.proposed.as_mut().filter(|own| own.proposal == *of) else {
            return false;
        };
        match result {
            ProposalResult::Applied => return false,
            // The controller has not seen yet what this broker has.
            ProposalResult::Unknown | ProposalResult::Refused(ErrorCode::NotController) => {
                proposed.again = true;
            }
            ProposalResult::Refused(ErrorCode::IneligibleReplica | ErrorCode::InvalidRequest) => {
                self.proposed = None;
            }
            // It was decided on a state that is no more; the new one is on its way.
            ProposalResult::Refused(_) => return false,
        }
        self.not_before_ms = now_ms + RETRY_WAIT_MS;
        self.advance(now_ms)
    }

    /// Whether a replica counts for the high watermark: it is in the ISR, or may be (M3).
    fn is_in_maximal_isr(&self, id: i32) -> bool {
        let joins = |proposed: &Proposed| proposed.proposal.isr.iter().any(|(to, _)| *to == id);
        if planted::has(Bug::EarlyShrink) && self.proposed.is_some() {
            return self.proposed.as_ref().is_some_and(joins);
        }
        self.assignment.isr.contains(&id) || self.proposed.as_ref().is_some_and(joins)
    }

    /// Whether a follower has been caught up within the lag time.
    fn is_in_time(&self, id: i32, now_ms: u64) -> bool {
        self.followers.get(&id).is_some_and(|follower| {
            let since = follower.caught_up_ms.map(|at| now_ms.saturating_sub(at));
            follower.log_end == self.ends.log_end
                || since.is_some_and(|since| since <= self.rule.lag_max_ms)
        })
    }

    /// M3: it has all that is committed, and all that this leader found; its broker is alive, and
    /// it was this incarnation that fetched (KIP-841, KIP-903).
    fn may_join(&self, id: i32) -> bool {
        self.followers.get(&id).is_some_and(|follower| {
            follower.log_end >= self.ends.high_watermark
                && follower.log_end >= self.epoch_start
                // M17: nor has it what was deleted.
                && follower.log_start >= self.log_start
                && self.assignment.active.get(&id) == Some(&follower.broker_epoch)
        })
    }

    fn follow_replicas(&mut self, now_ms: u64) {
        let Assignment { replicas, isr, .. } = &self.assignment;
        self.followers.retain(|id, _| replicas.contains(id));
        for id in replicas.iter().filter(|id| **id != self.node_id) {
            self.followers.entry(*id).or_insert_with(|| Follower {
                log_end: -1,
                log_start: -1,
                broker_epoch: -1,
                caught_up_ms: isr.contains(id).then_some(now_ms),
                last_fetch: None,
            });
        }
    }

    fn advance(&mut self, now_ms: u64) -> bool {
        // P1: below min.insync.replicas the high watermark stands still, for acks=1 as well.
        if !self.has_enough_in_sync() {
            return false;
        }
        let LogEnds { log_end, durable_end, .. } = self.ends;
        let mut committed = if self.rule.flush_before_ack { durable_end } else { log_end };
        for (id, follower) in &self.followers {
            // One that has caught up and is not in the ISR yet holds it back as well: otherwise the
            // high watermark could run ahead of it for ever.
            let counts = self.is_in_maximal_isr(*id)
                || (self.assignment.active.get(id) == Some(&follower.broker_epoch)
                    && self.is_in_time(*id, now_ms));
            if counts && !planted::has(Bug::HighWatermarkOfLeader) {
                committed = committed.min(follower.log_end);
            }
        }
        if committed <= self.ends.high_watermark {
            return false;
        }
        self.ends.high_watermark = committed;
        true
    }
}
