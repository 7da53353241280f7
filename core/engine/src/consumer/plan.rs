//! What to ask of whom: one request per broker and need, for every partition that is not waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::Uuid;
use ottla_protocol::messages::Request;
use ottla_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};

use super::position::{Partition, Phase};
use super::{Consumer, ConsumerOutput};
use crate::call::{CallError, CallId, Purpose, Target};
use crate::config::OffsetReset;
use crate::error::{Error, ErrorKind};
use crate::group::TopicPartition;
use crate::time::Instant;

/// A broker that holds a long poll cannot be asked for the partitions whose buffer is full now
/// and may be empty in a moment; so the poll is short while there are such partitions.
const SHORT_WAIT: Duration = Duration::from_millis(20);
/// A topic that is unknown for this long is reported; younger ones may just be on their way.
const MISSING_TOPIC_GRACE: Duration = Duration::from_secs(5);

/// A broker that says nothing for this long, beyond what it was allowed to wait, may lead no more:
/// it is asked who does.
const SILENCE: Duration = Duration::from_secs(1);

/// What a call of this consumer was for.
#[derive(Debug)]
pub(super) enum Waiting {
    Fetch(FetchAsked),
    Offsets(Vec<(Asked, OffsetReset)>),
    Epochs(Vec<Asked>),
    Committed(Vec<Asked>),
    Commit,
}

/// A partition as it was when it was asked for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) partition: TopicPartition,
    pub(super) incarnation: u64,
    /// The fetch position.
    pub(super) offset: i64,
}

/// A fetch on the way.
#[derive(Debug)]
pub(super) struct FetchAsked {
    pub(super) node: i32,
    /// By topic in the order of the request.
    pub(super) topics: Vec<(Arc<str>, Uuid, Vec<Asked>)>,
}

impl FetchAsked {
    pub(super) fn partitions(&self) -> impl Iterator<Item = &Asked> {
        self.topics.iter().flat_map(|(_, _, partitions)| partitions)
    }
}

impl Consumer {
    pub(super) fn plan(&mut self, now: Instant) {
        self.plan_committed(now);
        self.plan_resets(now);
        self.plan_validation(now);
        self.plan_fetches(now);
    }

    fn asked(&self, partition: &TopicPartition) -> Asked {
        let state = &self.partitions[partition];
        Asked {
            partition: partition.clone(),
            incarnation: state.incarnation,
            offset: state.fetch_position.offset,
        }
    }

    /// The partitions in need of the same thing that can be asked for now.
    pub(super) fn idle_in(
        &self,
        now: Instant,
        phase: impl Fn(&Phase) -> bool,
    ) -> Vec<TopicPartition> {
        let idle = self.partitions.iter().filter(|(_, p)| !p.revoking && p.can_act(now));
        idle.filter(|(_, p)| phase(&p.phase)).map(|(partition, _)| partition.clone()).collect()
    }

    /// Groups partitions by their leader. One without a leader waits for newer metadata.
    pub(super) fn by_leader(
        &mut self,
        now: Instant,
        partitions: Vec<TopicPartition>,
    ) -> BTreeMap<i32, Vec<Asked>> {
        let mut by_leader: BTreeMap<i32, Vec<Asked>> = BTreeMap::new();
        let mut is_leader_missing = false;
        for partition in partitions {
            let known = self.metadata.partition(&partition.topic, partition.partition);
            match known.and_then(|p| p.leader) {
                Some(leader) => {
                    let asked = self.asked(&partition);
                    by_leader.entry(leader).or_default().push(asked);
                }
                None => {
                    is_leader_missing = true;
                    self.retry_later(now, &partition);
                }
            }
        }
        if is_leader_missing {
            self.outputs.push_back(ConsumerOutput::RefreshMetadata);
        }
        by_leader
    }

    pub(super) fn mark_busy(&mut self, asked: &[Asked], id: CallId) {
        for asked in asked {
            if let Some(state) = self.partitions.get_mut(&asked.partition) {
                state.busy = Some(id);
            }
        }
    }

    /// The partition's call is over. False if the answer is stale: the partition is gone, was
    /// sought or reset since (trap 7), or has another leader, which was asked instead.
    pub(super) fn is_current(&mut self, id: CallId, asked: &Asked) -> bool {
        let Some(state) = self.partitions.get_mut(&asked.partition) else { return false };
        if state.busy.take_if(|busy| *busy == id).is_none() {
            return false;
        }
        state.incarnation == asked.incarnation && !state.revoking
    }

    pub(super) fn retry_later(&mut self, now: Instant, partition: &TopicPartition) {
        let failures = self.partitions.get(partition).map_or(0, |p| p.failures);
        let delay = self.backoff(failures);
        if let Some(state) = self.partitions.get_mut(partition) {
            state.failures += 1;
            state.retry_at = Some(now + delay);
        }
    }

    /// The call had no answer: all its partitions try again, with newer metadata.
    pub(super) fn on_call_error(
        &mut self,
        now: Instant,
        id: CallId,
        asked: &[Asked],
        error: &CallError,
        what: &str,
    ) {
        for asked in asked {
            if self.is_current(id, asked) {
                self.retry_later(now, &asked.partition);
            }
        }
        if error.is_retriable() {
            self.outputs.push_back(ConsumerOutput::RefreshMetadata);
        } else {
            self.errors.push_back(Error::from_call(error, what));
        }
    }

    /// Remembers a call to a leader; it is silent when it has not answered in time.
    pub(super) fn wait_for(&mut self, now: Instant, id: CallId, waiting: Waiting) {
        let wait = match waiting {
            Waiting::Fetch(_) => self.config.fetch_max_wait,
            _ => Duration::ZERO,
        };
        self.silent_at.insert(id, now + wait + SILENCE);
        self.waiting.insert(id, waiting);
    }

    /// When [`Consumer::ask_in_silence`] has something to do.
    pub(super) fn next_silence(&self) -> Option<Instant> {
        let first = self.silent_at.values().min().filter(|_| self.closing.is_none())?;
        Some((*first).max(self.ask_in_silence_at))
    }

    /// Asks who leads what a silent broker was asked for, every `retry.backoff.max.ms` at most. A
    /// partition that has another leader goes there with the answer, and does not wait for the
    /// former one, which may stand still for all of `request.timeout.ms`.
    pub(super) fn ask_in_silence(&mut self, now: Instant) {
        if self.next_silence().is_none_or(|at| at > now) {
            return;
        }
        // What nobody waits for any more may take its time.
        let awaited: BTreeSet<CallId> = self.partitions.values().filter_map(|p| p.busy).collect();
        self.silent_at.retain(|id, at| *at > now || awaited.contains(id));
        if self.silent_at.values().any(|at| *at <= now) {
            self.outputs.push_back(ConsumerOutput::RefreshMetadata);
            self.ask_in_silence_at = now + self.config.common.retry_backoff_max;
        }
    }

    fn plan_fetches(&mut self, now: Instant) {
        let ready: usize = self.partitions.values().map(|p| p.ready_bytes).sum();
        if ready >= self.config.fetch_max_bytes as usize {
            return;
        }
        let room_up_to = self.config.max_partition_fetch_bytes as usize;
        let mut wanted = Vec::new();
        let mut full_nodes = Vec::new();
        for (partition, state) in &self.partitions {
            let Some(node) = self.node_to_fetch_from(state, now) else { continue };
            if state.phase != Phase::Fetching || state.paused || state.revoking {
                continue;
            }
            if state.ready_bytes >= room_up_to || state.drain_first {
                full_nodes.push(node);
            } else if state.can_act(now) && !self.fetching.contains(&node) {
                wanted.push((node, partition.clone()));
            }
        }
        if wanted.is_empty() {
            return;
        }
        // Another partition first each time: a broker fills the answer in the order asked.
        self.fetch_rotation = self.fetch_rotation.wrapping_add(1);
        let first = self.fetch_rotation % wanted.len();
        wanted.rotate_left(first);
        let mut by_node: BTreeMap<i32, Vec<TopicPartition>> = BTreeMap::new();
        for (node, partition) in wanted {
            by_node.entry(node).or_default().push(partition);
        }
        for (node, partitions) in by_node {
            self.send_fetch(now, node, partitions, full_nodes.contains(&node));
        }
    }

    /// The replica that the leader has named, as long as that holds and the cluster has it; else
    /// the leader, who is asked again for one when that time is over.
    fn node_to_fetch_from(&self, state: &Partition, now: Instant) -> Option<i32> {
        let (leader, _) = state.leader?;
        let holds =
            |(node, until): &(i32, Instant)| *until > now && self.metadata.broker(*node).is_some();
        Some(state.preferred.filter(holds).map_or(leader, |(node, _)| node))
    }

    fn send_fetch(
        &mut self,
        now: Instant,
        node: i32,
        partitions: Vec<TopicPartition>,
        is_partial: bool,
    ) {
        let mut topics: Vec<(Arc<str>, Uuid, Vec<Asked>)> = Vec::new();
        for partition in &partitions {
            let asked = self.asked(partition);
            match topics.iter_mut().find(|(topic, _, _)| *topic == partition.topic) {
                Some((_, _, all)) => all.push(asked),
                None => {
                    let id = self.metadata.topic_id(&partition.topic).unwrap_or(Uuid::ZERO);
                    topics.push((partition.topic.clone(), id, vec![asked]));
                }
            }
        }
        let request = self.fetch_request(&topics, is_partial);
        let id = self.call(Target::Node(node), Purpose::Fetch, request);
        let fetch = FetchAsked { node, topics };
        for asked in fetch.partitions() {
            if let Some(state) = self.partitions.get_mut(&asked.partition) {
                state.busy = Some(id);
            }
        }
        self.fetching.insert(node);
        self.wait_for(now, id, Waiting::Fetch(fetch));
    }

    fn fetch_request(&self, topics: &[(Arc<str>, Uuid, Vec<Asked>)], is_partial: bool) -> Request {
        let max_wait = self.config.fetch_max_wait;
        let max_wait = if is_partial { max_wait.min(SHORT_WAIT) } else { max_wait };
        let partition = |asked: &Asked| FetchPartition {
            partition: asked.partition.partition,
            // With the epoch the leader can refuse a client whose metadata is older, or newer,
            // than its own (KIP-320).
            current_leader_epoch: self.partitions[&asked.partition].leader.map_or(-1, |l| l.1),
            fetch_offset: asked.offset,
            partition_max_bytes: self.config.max_partition_fetch_bytes,
            ..Default::default()
        };
        Request::Fetch(Box::new(FetchRequest {
            max_wait_ms: i32::try_from(max_wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: self.config.fetch_min_bytes,
            max_bytes: self.config.fetch_max_bytes,
            isolation_level: self.config.isolation_level.code(),
            rack_id: self.config.client_rack.clone(),
            topics: topics
                .iter()
                .map(|(topic, id, asked)| FetchTopic {
                    topic: topic.to_string(),
                    topic_id: *id,
                    partitions: asked.iter().map(partition).collect(),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }))
    }

    /// Topics that are wanted and unknown get a limit; the others lose theirs.
    pub(super) fn check_topics(&mut self, now: Instant) {
        for topic in self.topics.clone() {
            if self.metadata.partition_count(&topic).is_some() {
                self.missing.remove(&topic);
            } else {
                self.missing.entry(topic).or_insert(now + MISSING_TOPIC_GRACE);
                self.outputs.push_back(ConsumerOutput::RefreshMetadata);
            }
        }
        self.report_missing_partitions();
        self.give_topics(now);
    }

    /// A partition by hand that its topic does not have, told once.
    fn report_missing_partitions(&mut self) {
        for (partition, state) in &mut self.partitions {
            let count = self.metadata.partition_count(&partition.topic);
            let Some(count) = count.filter(|&count| partition.partition as usize >= count) else {
                continue;
            };
            let message = format!(
                "partition {} of topic '{}' does not exist: it has {count}, from 0",
                partition.partition, partition.topic
            );
            let error = Error::new(ErrorKind::NotFound, message);
            if state.reported.as_ref() != Some(&error) {
                state.reported = Some(error.clone());
                self.errors.push_back(error);
            }
        }
    }

    /// Tells the user once per limit which topics are missing, and goes on waiting for them.
    pub(super) fn report_missing(&mut self, now: Instant) {
        let mut due = Vec::new();
        for (topic, deadline) in &mut self.missing {
            if *deadline <= now {
                *deadline = Instant::FAR_FUTURE;
                due.push(topic.clone());
            }
        }
        for topic in due {
            let code = self.metadata.topic(&topic).and_then(|t| t.error);
            let context = format!("topic '{topic}' cannot be read");
            self.errors.push_back(match code {
                Some(ottla_protocol::ErrorCode::UnknownTopicOrPartition) | None => Error::new(
                    ErrorKind::NotFound,
                    format!("topic '{topic}' does not exist: create it, or correct the name"),
                ),
                Some(code) => Error::from_code(code, context),
            });
        }
    }
}
