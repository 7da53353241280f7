//! What a scripted broker knows: topics, logs, one group, fetch sessions.

use super::cluster::{Rule, Seen};
use ottla_protocol::messages::FetchRequest;
use ottla_protocol::messages::api_versions::ApiVersion;
use ottla_protocol::messages::{ApiKey, Request};
use ottla_protocol::records::RecordBatch;
use ottla_protocol::records::header::{next_sequence, stamp_base_offset};
use ottla_protocol::{Bytes, Uuid};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What is listed unless a scenario says otherwise.
const SERVED: [ApiKey; 18] = [
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::SyncGroup,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::DescribeCluster,
    ApiKey::DeleteRecords,
];

/// All that the nodes of a scenario know.
pub struct State {
    /// Where the nodes listen.
    pub ports: BTreeMap<i32, u16>,
    /// The nodes that metadata lists.
    pub nodes: BTreeSet<i32>,
    /// Nodes that close each connection as soon as it is made.
    pub refusing: BTreeSet<i32>,
    /// Keys of APIs whose requests are not carried out and never answered.
    pub ignored: Vec<i16>,
    /// First and last version by API key.
    pub versions: BTreeMap<i16, (i16, i16)>,
    /// Topics by name.
    pub topics: BTreeMap<String, Topic>,
    /// The group, by whatever name it is asked for.
    pub group: Group,
    /// The node of the controller.
    pub controller: i32,
    /// Every request, in order.
    pub seen: Vec<Arc<Seen>>,
    /// Every connection: its number, its node, and when it was made.
    pub connections: Vec<(usize, i32, Duration)>,
    /// Fetch sessions.
    pub sessions: Sessions,
    /// What a scenario did wrong.
    pub faults: Vec<String>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) producers: i64,
}

impl Default for State {
    fn default() -> Self {
        let range = |api: ApiKey| {
            let stable = api.stable_versions();
            // Kafka lists Produce from 0 on and serves it from 3 on (KAFKA-18659).
            let first = if api == ApiKey::Produce { 0 } else { *stable.start() };
            (api.code(), (first, *stable.end()))
        };
        Self {
            ports: BTreeMap::new(),
            nodes: BTreeSet::from([1]),
            refusing: BTreeSet::new(),
            ignored: Vec::new(),
            versions: SERVED.into_iter().map(range).collect(),
            topics: BTreeMap::new(),
            group: Group::default(),
            controller: 1,
            seen: Vec::new(),
            connections: Vec::new(),
            sessions: Sessions::default(),
            faults: Vec::new(),
            rules: Vec::new(),
            producers: 4_000,
        }
    }
}

impl State {
    /// Whether a version is listed.
    pub fn lists(&self, api: ApiKey, version: i16) -> bool {
        let range = self.versions.get(&api.code());
        range.is_some_and(|(first, last)| (*first..=*last).contains(&version))
    }

    /// Lists these versions of an API.
    pub fn list(&mut self, api: ApiKey, first: i16, last: i16) {
        self.versions.insert(api.code(), (first, last));
    }

    pub(crate) fn listed(&self) -> Vec<ApiVersion> {
        let entry = |(key, (first, last)): (&i16, &(i16, i16))| ApiVersion {
            api_key: *key,
            min_version: *first,
            max_version: *last,
            ..Default::default()
        };
        self.versions.iter().map(entry).collect()
    }

    /// A topic of so many partitions that node 1 leads.
    pub fn topic(&mut self, name: &str, partitions: usize) -> &mut Topic {
        let id = Uuid([self.topics.len() as u8 + 17; 16]);
        let topic = Topic { id, error: 0, partitions: vec![Partition::default(); partitions] };
        self.topics.entry(name.to_owned()).or_insert(topic)
    }

    /// A partition that is there.
    ///
    /// # Panics
    ///
    /// Where it is not: a mistake of the scenario.
    pub fn partition(&mut self, topic: &str, index: usize) -> &mut Partition {
        let topic = self.topics.get_mut(topic).expect("the scenario made the topic");
        &mut topic.partitions[index]
    }

    /// The requests of an API so far, readable ones.
    pub fn requests(&self, api: ApiKey) -> impl Iterator<Item = (&Arc<Seen>, &Request)> {
        let of_api = self.seen.iter().filter(move |seen| seen.is(api));
        of_api.filter_map(|seen| seen.request.as_ref().ok().map(|request| (seen, request)))
    }

    /// How many requests of an API came.
    pub fn count(&self, api: ApiKey) -> usize {
        self.seen.iter().filter(|seen| seen.is(api)).count()
    }

    /// A topic's name by its name or, where that is empty, by its id.
    pub(crate) fn name_of(&self, name: &str, id: Uuid) -> Option<String> {
        if !name.is_empty() {
            return self.topics.contains_key(name).then(|| name.to_owned());
        }
        self.topics.iter().find(|(_, topic)| topic.id == id).map(|(name, _)| name.clone())
    }
}

/// A topic.
#[derive(Debug, Clone)]
pub struct Topic {
    /// Its id.
    pub id: Uuid,
    /// What Metadata answers for it.
    pub error: i16,
    /// Its partitions, by index.
    pub partitions: Vec<Partition>,
}

/// A partition and its log.
#[derive(Debug, Clone)]
pub struct Partition {
    /// The node that leads it; -1 for none.
    pub leader: i32,
    /// The leader's epoch.
    pub epoch: i32,
    /// What metadata says: replicas, and those in sync.
    pub replicas: Vec<i32>,
    /// What Metadata answers for it.
    pub error: i16,
    /// The first offset that is kept.
    pub start: i64,
    /// The next offset.
    pub end: i64,
    /// Batches, with their first and last offset.
    pub batches: Vec<(i64, i64, Bytes)>,
    /// Aborted transactions: producer id and first offset; `None` is null.
    pub aborted: Option<Vec<(i64, i64)>>,
    producers: BTreeMap<i64, Sequences>,
}

#[derive(Debug, Clone, Default)]
struct Sequences {
    epoch: i16,
    next: i32,
    /// First sequence, count and offset of each batch.
    batches: Vec<(i32, i32, i64)>,
}

impl Default for Partition {
    fn default() -> Self {
        Self {
            leader: 1,
            epoch: 5,
            replicas: vec![1],
            error: 0,
            start: 0,
            end: 0,
            batches: Vec::new(),
            aborted: Some(Vec::new()),
            producers: BTreeMap::new(),
        }
    }
}

impl Partition {
    /// Lets another node lead, with the next epoch.
    pub fn move_to(&mut self, node: i32) {
        self.leader = node;
        self.epoch += 1;
        self.replicas = vec![node];
    }

    /// Appends a batch as it is, at the offsets that its header has.
    pub fn store(&mut self, batch: impl Into<Bytes>) {
        let batch = batch.into();
        let read = |at: usize, len: usize| {
            let field = batch.get(at..at + len).unwrap_or_default();
            field.iter().fold(0_i64, |all, byte| all << 8 | i64::from(*byte))
        };
        let base = read(0, 8);
        let last = base + i64::from(read(23, 4) as i32);
        self.batches.push((base, last, batch));
        self.end = self.end.max(last + 1);
    }

    /// What a leader does with a producer's batch: the offset, or an error.
    pub(crate) fn append(&mut self, records: &Bytes) -> Result<i64, i16> {
        let batch = RecordBatch::parse(records.clone()).map_err(|_| 2_i16)?;
        batch.verify_crc().map_err(|_| 2_i16)?;
        let head = batch.header();
        let count = head.last_offset_delta + 1;
        if head.has_producer_id() {
            let known = self.producers.entry(head.producer_id).or_default();
            if head.producer_epoch != known.epoch || known.batches.is_empty() {
                *known = Sequences { epoch: head.producer_epoch, ..Sequences::default() };
            }
            let same =
                |(first, n, _): &&(i32, i32, i64)| *first == head.base_sequence && *n == count;
            if let Some((_, _, offset)) = known.batches.iter().find(same) {
                return Ok(*offset);
            }
            if head.base_sequence != known.next {
                return Err(45);
            }
            known.next = next_sequence(head.base_sequence, count);
            known.batches.push((head.base_sequence, count, self.end));
        }
        let mut stored = records.to_vec();
        let base = self.end;
        stamp_base_offset(&mut stored, base, self.epoch);
        self.batches.push((base, base + i64::from(count) - 1, stored.into()));
        self.end = base + i64::from(count);
        Ok(base)
    }

    /// The batches from an offset on: the first whole, others while there is room.
    pub(crate) fn read(&self, offset: i64, bytes_max: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for (_, _, bytes) in self.batches.iter().filter(|(_, last, _)| *last >= offset) {
            if !out.is_empty() && out.len() + bytes.len() > bytes_max {
                break;
            }
            out.extend_from_slice(bytes);
        }
        out
    }
}

/// The one group of a scenario. The client is its only real member.
#[derive(Debug, Clone)]
pub struct Group {
    /// The node that coordinates it.
    pub coordinator: i32,
    /// The generation.
    pub generation: i32,
    /// The member's id.
    pub member: String,
    /// Whether the member leads, or somebody else does.
    pub is_led: bool,
    /// What a member that does not lead is assigned.
    pub assignment: Vec<(String, i32)>,
    /// SkipAssignment of the answer to JoinGroup.
    pub skips_assignment: bool,
    /// Whether heartbeats are answered with REBALANCE_IN_PROGRESS until the member joins again.
    pub is_rebalancing: bool,
    /// Committed offsets and their leader epochs.
    pub committed: BTreeMap<(String, i32), (i64, i32)>,
    pub(crate) members: usize,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            coordinator: 1,
            generation: 0,
            member: String::new(),
            is_led: false,
            assignment: Vec::new(),
            skips_assignment: false,
            is_rebalancing: false,
            committed: BTreeMap::new(),
            members: 0,
        }
    }
}

/// A partition that a fetch wants.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub(crate) topic: String,
    pub(crate) id: Uuid,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) epoch: i32,
    pub(crate) bytes_max: i32,
}

/// Fetch sessions.
#[derive(Debug, Default)]
pub struct Sessions {
    /// Whether none is given.
    pub are_refused: bool,
    next: i32,
    open: BTreeMap<i32, (i32, Vec<Wanted>)>,
}

/// What a fetch wants: a session's id, whether it goes on, and the partitions; or an error.
pub(crate) type Asked = Result<(i32, bool, Vec<Wanted>), i16>;

impl Sessions {
    /// Forgets all sessions.
    pub fn evict(&mut self) {
        self.open.clear();
    }

    pub(crate) fn wanted(&mut self, version: i16, fetch: &FetchRequest) -> Asked {
        let listed: Vec<Wanted> = fetch
            .topics
            .iter()
            .flat_map(|topic| {
                topic.partitions.iter().map(|partition| Wanted {
                    topic: topic.topic.clone(),
                    id: topic.topic_id,
                    partition: partition.partition,
                    offset: partition.fetch_offset,
                    epoch: partition.current_leader_epoch,
                    bytes_max: partition.partition_max_bytes,
                })
            })
            .collect();
        if version < 7 || fetch.session_epoch <= 0 {
            self.open.remove(&fetch.session_id);
            if version < 7 || fetch.session_epoch < 0 || self.are_refused {
                return Ok((0, false, listed));
            }
            self.next += 1;
            self.open.insert(self.next + 900, (1, listed.clone()));
            return Ok((self.next + 900, false, listed));
        }
        let id = fetch.session_id;
        let (epoch, known) = self.open.get_mut(&id).ok_or(70_i16)?;
        if *epoch != fetch.session_epoch {
            return Err(71);
        }
        *epoch = next_sequence(*epoch, 1).max(1);
        for topic in &fetch.forgotten_topics_data {
            known.retain(|wanted| {
                let same = (&wanted.topic, wanted.id) == (&topic.topic, topic.topic_id);
                !(same && topic.partitions.contains(&wanted.partition))
            });
        }
        for wanted in listed {
            let place = |known: &&mut Wanted| {
                (&known.topic, known.id, known.partition)
                    == (&wanted.topic, wanted.id, wanted.partition)
            };
            match known.iter_mut().find(place) {
                Some(known) => *known = wanted,
                None => known.push(wanted),
            }
        }
        Ok((id, true, known.clone()))
    }
}
