//! Members of a classic group that speak the protocol themselves: they join, are given partitions,
//! fetch what is committed, commit, stand still, send commits that are too late, leave or vanish.
//! The oracle is told of every generation and every commit.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use ottla_oracle::{CommitId, Fetch};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::join_group::JoinGroupRequestProtocol;
use ottla_protocol::messages::leave_group::MemberIdentity;
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_fetch::OffsetFetchRequestTopic;
use ottla_protocol::messages::sync_group::SyncGroupRequestAssignment;
use ottla_protocol::messages::{
    FindCoordinatorRequest, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, OffsetCommitRequest, OffsetFetchRequest, Request, Response,
    SyncGroupRequest,
};
use rand::rngs::StdRng;
use rand::seq::{IteratorRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};

use super::{PARTITIONS, Shared, TOPIC};
use crate::readers::now;
use crate::trace;
use crate::wire::Wire;
use crate::world::{Client, NODES, Phase};

const GROUP: &str = "members";
const PROTOCOL_TYPE: &str = "simulated";
const PROTOCOL: &str = "shuffled";
const SESSION_MS: i32 = 6000;
const REBALANCE_MS: i32 = 3000;
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Longer than the session.
const STANDSTILL: Duration = Duration::from_millis(7000);
/// After something has gone wrong.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a member cannot go on as it is.
#[derive(Debug)]
enum Trouble {
    /// There was no answer that could be read.
    Wire(io::Error),
    /// The coordinator's error code.
    Code(i16),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire(error) => write!(f, "{error}"),
            Self::Code(code) => write!(f, "error code {code}"),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Wire(error)
    }
}

/// What a member was given.
struct Membership {
    generation: i32,
    owned: BTreeSet<i32>,
    /// By partition: the offset that is committed, or committed next.
    offsets: BTreeMap<i32, i64>,
}

struct Member {
    client: Client,
    shared: Rc<Shared>,
    random: StdRng,
    /// Its id, while the coordinator knows it.
    id: String,
    /// To the coordinator.
    wire: Option<Wire>,
    /// The coordinator's host.
    host: String,
}

/// Is a member again and again until faults are over, and once more then.
pub(super) async fn run(client: Client, shared: Rc<Shared>) {
    let random = StdRng::seed_from_u64(client.seed);
    let (id, wire, host) = (String::new(), None, String::new());
    let mut member = Member { client, shared, random, id, wire, host };
    loop {
        let is_last = *member.client.phase.borrow() == Phase::Quiet;
        match member.live(is_last).await {
            Ok(()) if is_last => break,
            Ok(()) => {}
            Err(trouble) => member.on_trouble(&trouble).await,
        }
    }
    member.shared.end();
}

impl Member {
    async fn on_trouble(&mut self, trouble: &Trouble) {
        trace::note(&format!("{} has trouble: {trouble}", self.client.name));
        tracing::info!(target: "ottla_sim", %trouble, "a member has trouble");
        match trouble {
            Trouble::Code(code) => match ErrorCode::from_code(*code) {
                Some(ErrorCode::UnknownMemberId) => self.id.clear(),
                Some(ErrorCode::IllegalGeneration | ErrorCode::RebalanceInProgress) => {}
                _ => self.wire = None,
            },
            Trouble::Wire(_) => self.wire = None,
        }
        sleep(PAUSE).await;
    }

    async fn call(&mut self, version: i16, request: Request) -> Result<Response, Trouble> {
        if self.wire.is_none() {
            self.find_coordinator().await?;
        }
        let Some(wire) = &mut self.wire else { return Err(another()) };
        let answer = wire.call(version, &request).await;
        if answer.is_err() {
            self.wire = None;
        }
        Ok(answer?)
    }

    async fn find_coordinator(&mut self) -> Result<(), Trouble> {
        let asked = format!("node-{}", self.random.gen_range(1..=NODES));
        let mut wire = Wire::connect(&self.client.name, &asked).await?;
        let request = FindCoordinatorRequest { key: GROUP.to_owned(), ..Default::default() };
        let Response::FindCoordinator(answer) = wire.call(3, &request.into()).await? else {
            return Err(another());
        };
        refuse(answer.error_code)?;
        self.wire = Some(Wire::connect(&self.client.name, &answer.host).await?);
        self.host = answer.host;
        Ok(())
    }

    /// One generation.
    async fn live(&mut self, is_last: bool) -> Result<(), Trouble> {
        let joined = self.join().await?;
        let owned = self.sync(&joined).await?;
        let generation = joined.generation_id;
        let offsets = self.fetch(generation).await?;
        let mut membership = Membership { generation, owned, offsets };
        if let Err(trouble) = self.work(&mut membership, is_last).await {
            if self.random.gen_bool(0.3) {
                // Stood still, and does not know that all is over.
                self.commit(&mut membership).await?;
            }
            return Err(trouble);
        }
        match self.random.gen_range(0..10) {
            0..4 if !is_last => {}
            4..6 if !is_last => {
                // Gone without a word.
                self.id.clear();
                self.wire = None;
            }
            _ => {
                let left = self.leave().await;
                self.id.clear();
                left?;
            }
        }
        let pause_ms = if is_last { 0 } else { self.random.gen_range(0..2000) };
        sleep(Duration::from_millis(pause_ms)).await;
        Ok(())
    }

    async fn join(&mut self) -> Result<JoinGroupResponse, Trouble> {
        loop {
            let protocol = JoinGroupRequestProtocol {
                name: PROTOCOL.to_owned(),
                metadata: Bytes::copy_from_slice(TOPIC.as_bytes()),
                ..Default::default()
            };
            let request = JoinGroupRequest {
                group_id: GROUP.to_owned(),
                session_timeout_ms: SESSION_MS,
                rebalance_timeout_ms: REBALANCE_MS,
                member_id: self.id.clone(),
                protocol_type: PROTOCOL_TYPE.to_owned(),
                protocols: vec![protocol],
                ..Default::default()
            };
            let Response::JoinGroup(answer) = self.call(7, request.into()).await? else {
                return Err(another());
            };
            if ErrorCode::from_code(answer.error_code) == Some(ErrorCode::MemberIdRequired) {
                self.id = answer.member_id;
                continue;
            }
            refuse(answer.error_code)?;
            self.id.clone_from(&answer.member_id);
            return Ok(*answer);
        }
    }

    /// Gives each member its part, if this one leads, and takes its own.
    async fn sync(&mut self, joined: &JoinGroupResponse) -> Result<BTreeSet<i32>, Trouble> {
        let generation = joined.generation_id;
        let mut given: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
        if joined.leader == self.id {
            let ids: Vec<&str> = joined.members.iter().map(|one| one.member_id.as_str()).collect();
            given.extend(ids.iter().map(|id| ((*id).to_owned(), BTreeSet::new())));
            let mut partitions: Vec<i32> = (0..PARTITIONS).collect();
            partitions.shuffle(&mut self.random);
            for (partition, id) in partitions.into_iter().zip(ids.iter().cycle()) {
                given.entry((*id).to_owned()).or_default().insert(partition);
            }
            trace::note(&format!("{} gives in generation {generation}: {given:?}", self.id));
            self.shared.group.borrow_mut().proposes(generation, given.clone());
        }
        let assignments = given.iter().map(|(member, owned)| SyncGroupRequestAssignment {
            member_id: member.clone(),
            assignment: to_bytes(owned),
            ..Default::default()
        });
        let request = SyncGroupRequest {
            group_id: GROUP.to_owned(),
            generation_id: generation,
            member_id: self.id.clone(),
            protocol_type: Some(PROTOCOL_TYPE.to_owned()),
            protocol_name: Some(PROTOCOL.to_owned()),
            assignments: assignments.collect(),
            ..Default::default()
        };
        let Response::SyncGroup(answer) = self.call(5, request.into()).await? else {
            return Err(another());
        };
        refuse(answer.error_code)?;
        let owned = from_bytes(&answer.assignment);
        trace::note(&format!("{} owns in generation {generation}: {owned:?}", self.id));
        self.shared.group.borrow_mut().owns(now(), &self.id, generation, &owned);
        Ok(owned)
    }

    /// What is committed in every partition, from the coordinator that gave the generation.
    async fn fetch(&mut self, generation: i32) -> Result<BTreeMap<i32, i64>, Trouble> {
        let topic = OffsetFetchRequestTopic {
            name: TOPIC.to_owned(),
            partition_indexes: (0..PARTITIONS).collect(),
            ..Default::default()
        };
        let request = OffsetFetchRequest {
            group_id: GROUP.to_owned(),
            topics: Some(vec![topic]),
            ..Default::default()
        };
        let asked = now();
        // Another one might be one that has been replaced and does not know it.
        let Some(wire) = &mut self.wire else { return Err(another()) };
        let Response::OffsetFetch(answer) = wire.call(7, &request.into()).await? else {
            return Err(another());
        };
        refuse(answer.error_code)?;
        let mut offsets = BTreeMap::new();
        let mut group = self.shared.group.borrow_mut();
        for found in answer.topics.into_iter().flat_map(|topic| topic.partitions) {
            refuse(found.error_code)?;
            let (partition, offset) = (found.partition_index, found.committed_offset);
            let id = found.metadata.as_deref().unwrap_or_default().parse().unwrap_or(u64::MAX);
            trace::note(&format!("{} finds {partition} {offset} of {id}", self.id));
            group.fetched(&Fetch {
                asked,
                at: now(),
                member: &self.id,
                generation: Some(generation),
                partition,
                found: (offset >= 0).then_some((CommitId(id), offset)),
            });
            offsets.insert(partition, offset.max(0));
        }
        Ok(offsets)
    }

    /// Commits and says that it is alive, for a while.
    async fn work(&mut self, membership: &mut Membership, is_last: bool) -> Result<(), Trouble> {
        let for_ms = if is_last { 300 } else { self.random.gen_range(500..8000) };
        let until = Instant::now() + Duration::from_millis(for_ms);
        let mut beat = Instant::now();
        while Instant::now() < until && (is_last || *self.client.phase.borrow() == Phase::Faults) {
            if Instant::now() >= beat {
                self.heartbeat(membership.generation).await?;
                beat = Instant::now() + HEARTBEAT;
            }
            if self.random.gen_bool(0.002) {
                sleep(STANDSTILL).await;
            }
            match self.random.gen_bool(0.03) {
                true => self.commit_aside(membership),
                false => self.commit(membership).await?,
            }
            sleep(Duration::from_millis(self.random.gen_range(5..60))).await;
        }
        Ok(())
    }

    async fn heartbeat(&mut self, generation_id: i32) -> Result<(), Trouble> {
        let (group_id, member_id) = (GROUP.to_owned(), self.id.clone());
        let rest = HeartbeatRequest::default();
        let request = HeartbeatRequest { group_id, generation_id, member_id, ..rest };
        let Response::Heartbeat(answer) = self.call(4, request.into()).await? else {
            return Err(another());
        };
        refuse(answer.error_code)
    }

    /// A commit of one of its partitions, and the number that the oracle has for it.
    fn next_commit(&mut self, membership: &mut Membership) -> Option<(CommitId, Request)> {
        let partition = *membership.owned.iter().choose(&mut self.random)?;
        let offset = membership.offsets.entry(partition).or_default();
        *offset += self.random.gen_range(1..50);
        let (generation, at) = (membership.generation, (partition, *offset));
        let id = self.shared.group.borrow_mut().commit(now(), &self.id, generation, at);
        let partition = OffsetCommitRequestPartition {
            partition_index: partition,
            committed_offset: *offset,
            committed_metadata: Some(id.0.to_string()),
            ..Default::default()
        };
        let (name, partitions) = (TOPIC.to_owned(), vec![partition]);
        let topic = OffsetCommitRequestTopic { name, partitions, ..Default::default() };
        let request = OffsetCommitRequest {
            group_id: GROUP.to_owned(),
            generation_id_or_member_epoch: generation,
            member_id: self.id.clone(),
            topics: vec![topic],
            ..Default::default()
        };
        trace::note(&format!("{} commits {at:?} in {generation} as {}", self.id, id.0));
        Some((id, request.into()))
    }

    async fn commit(&mut self, membership: &mut Membership) -> Result<(), Trouble> {
        let Some((id, request)) = self.next_commit(membership) else { return Ok(()) };
        let answer = self.call(8, request).await?;
        refuse(settle(&self.shared, id, &answer)?)
    }

    /// A commit on a connection of its own, which nobody waits for: it may come late.
    fn commit_aside(&mut self, membership: &mut Membership) {
        let Some((id, request)) = self.next_commit(membership) else { return };
        let (shared, host, name) =
            (Rc::clone(&self.shared), self.host.clone(), self.client.name.clone());
        spawn_local(async move {
            let answer = async { Wire::connect(&name, &host).await?.call(8, &request).await };
            let settled = answer.await.map(|answer| settle(&shared, id, &answer));
            trace::note(&format!("{name} has sent {} aside: {settled:?}", id.0));
        });
    }

    async fn leave(&mut self) -> Result<(), Trouble> {
        let member = MemberIdentity { member_id: self.id.clone(), ..Default::default() };
        let (group_id, members) = (GROUP.to_owned(), vec![member]);
        let request = LeaveGroupRequest { group_id, members, ..Default::default() };
        let Response::LeaveGroup(answer) = self.call(4, request.into()).await? else {
            return Err(another());
        };
        refuse(answer.error_code)
    }
}

/// Tells the oracle how a commit ended, and answers the error code.
fn settle(shared: &Shared, id: CommitId, answer: &Response) -> Result<i16, Trouble> {
    let Response::OffsetCommit(answer) = answer else { return Err(another()) };
    let mut codes = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let Some(code) = codes.next().map(|partition| partition.error_code) else {
        return Err(another());
    };
    trace::note(&format!("commit {} is answered {code}", id.0));
    let mut group = shared.group.borrow_mut();
    match ErrorCode::from_code(code) {
        Some(ErrorCode::None) => group.acknowledged(now(), id),
        Some(
            ErrorCode::IllegalGeneration
            | ErrorCode::UnknownMemberId
            | ErrorCode::RebalanceInProgress
            | ErrorCode::CoordinatorLoadInProgress,
        ) => group.refused(now(), id),
        // It may be in the log (M16).
        _ => {}
    }
    Ok(code)
}

fn refuse(code: i16) -> Result<(), Trouble> {
    if code == 0 { Ok(()) } else { Err(Trouble::Code(code)) }
}

fn another() -> Trouble {
    Trouble::Wire(io::Error::other("the answer is to another request"))
}

fn to_bytes(partitions: &BTreeSet<i32>) -> Bytes {
    partitions.iter().flat_map(|partition| partition.to_be_bytes()).collect()
}

fn from_bytes(bytes: &[u8]) -> BTreeSet<i32> {
    let (numbers, _) = bytes.as_chunks();
    numbers.iter().map(|number| i32::from_be_bytes(*number)).collect()
}
