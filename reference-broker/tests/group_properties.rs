//! Random clients, deaths, failed appends and restarts against one shard of the group coordinator.
//!
//! What must hold in every history: a request is answered once; a share is what the leader of that
//! generation gave; within a generation a partition belongs to one client at most (P8); only the
//! leader sees the member list; an acknowledged commit is there, and is there after a restart; when
//! the clients fall silent the group becomes empty and nobody waits (CG-13).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ottla_broker::coordinator::GroupConfig;
use ottla_broker::coordinator::record::Record;
use ottla_broker::coordinator::shard::Shard;
use ottla_broker::coordinator::time::{Instant, Now};
use ottla_broker::coordinator::types::{
    AppendId, CommitPartition, CommitRequest, CommitTopic, HeartbeatRequest, JoinReply,
    JoinRequest, LeaveRequest, LeavingMember, Output, Reply, RequestId, SyncReply, SyncRequest,
};
use ottla_protocol::{ErrorCode, Uuid};
use proptest::prelude::*;

const PARTITIONS: usize = 4;
const CLIENTS: usize = 3;
const GROUP: &str = "g";

/// What happens next.
#[derive(Clone, Debug)]
enum Event {
    /// The client does what it should do next: join, sync or heartbeat.
    Step(usize),
    /// The client joins although it need not.
    Rejoin(usize),
    /// The client forgets everything, as after a crash; a static one keeps its instance.
    Crash(usize),
    Leave(usize),
    Commit(usize, i64),
    Advance(u64),
    /// All appends that are on their way are committed, or fail.
    Appends(bool),
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        24 => (0..CLIENTS).prop_map(Event::Step),
        1 => (0..CLIENTS).prop_map(Event::Rejoin),
        1 => (0..CLIENTS).prop_map(Event::Crash),
        1 => (0..CLIENTS).prop_map(Event::Leave),
        3 => (0..CLIENTS, 0..1_000i64).prop_map(|(client, offset)| Event::Commit(client, offset)),
        4 => (0..300u64).prop_map(Event::Advance),
        1 => (0..12_000u64).prop_map(Event::Advance),
        // Rare, so that a group can move on while its assignment is on the way.
        2 => prop::bool::weighted(0.9).prop_map(Event::Appends),
        1 => Just(Event::Restart),
    ]
}

/// What a client believes.
#[derive(Clone, Debug, Default)]
struct Client {
    member_id: String,
    generation: i32,
    /// What the leader was told, if the client leads.
    members: Vec<String>,
    joined: bool,
    synced: bool,
    waiting: Option<RequestId>,
}

#[derive(Debug)]
enum Asked {
    Join(usize),
    Sync(usize, i32),
    Heartbeat(usize),
    Leave,
    Commit(i32, i64),
}

struct World {
    shard: Shard,
    now_ms: u64,
    clients: Vec<Client>,
    asked: BTreeMap<RequestId, Asked>,
    next_request: u64,
    next_member: u64,
    on_the_way: BTreeMap<AppendId, Vec<Record>>,
    disk: Vec<Record>,
    /// Owner of each partition by generation and incarnation of the assignment.
    owners: BTreeMap<(i32, usize), usize>,
    /// What leaders have dealt out in each generation: member and share.
    dealt: BTreeSet<(i32, String, Vec<u8>)>,
    generations: BTreeSet<i32>,
    highest_generation: i32,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            shard: Shard::new(GroupConfig::default()),
            now_ms: 0,
            clients: vec![Client::default(); CLIENTS],
            asked: BTreeMap::new(),
            next_request: 0,
            next_member: 0,
            on_the_way: BTreeMap::new(),
            disk: Vec::new(),
            owners: BTreeMap::new(),
            dealt: BTreeSet::new(),
            generations: BTreeSet::new(),
            highest_generation: 0,
        };
        world.load();
        world
    }

    fn now(&self) -> Now {
        let wall_ms = i64::try_from(self.now_ms).expect("small");
        Now { instant: Instant::from_millis(self.now_ms), wall_ms }
    }

    fn load(&mut self) {
        self.shard = Shard::new(GroupConfig {
            initial_rebalance_delay_ms: 100,
            offsets_retention_ms: i64::MAX,
            ..GroupConfig::default()
        });
        self.shard.begin_load(self.now(), 0);
        for record in &self.disk {
            self.shard.load_record(&record.key, record.value.as_ref()).expect("own records");
        }
        self.shard.finish_load(self.now(), 0);
    }

    /// Half of the clients are static.
    fn instance(client: usize) -> Option<String> {
        (client % 2 == 1).then(|| format!("i{client}"))
    }

    fn ask(&mut self, asked: Asked) -> RequestId {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        self.asked.insert(id, asked);
        id
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Step(client) => self.step(*client),
            Event::Rejoin(client) => self.join(*client),
            Event::Crash(client) => self.clients[*client] = Client::default(),
            Event::Leave(client) => self.leave(*client),
            Event::Commit(client, offset) => self.commit(*client, *offset),
            Event::Advance(by_ms) => self.advance(*by_ms),
            Event::Appends(succeed) => self.settle(*succeed),
            Event::Restart => self.restart(),
        }
        self.drain();
    }

    fn step(&mut self, at: usize) {
        let client = &self.clients[at];
        if client.waiting.is_some() {
            return;
        }
        if !client.joined {
            self.join(at);
        } else if !client.synced {
            self.sync(at);
        } else {
            let request = HeartbeatRequest {
                group_id: GROUP.into(),
                member_id: client.member_id.clone(),
                instance_id: Self::instance(at),
                generation: client.generation,
            };
            let id = self.ask(Asked::Heartbeat(at));
            self.shard.handle_heartbeat(self.now(), id, &request);
        }
    }

    fn join(&mut self, at: usize) {
        let id = self.ask(Asked::Join(at));
        self.next_member += 1;
        let client = &mut self.clients[at];
        client.waiting = Some(id);
        client.joined = false;
        client.synced = false;
        let request = JoinRequest {
            group_id: GROUP.into(),
            member_id: client.member_id.clone(),
            instance_id: Self::instance(at),
            client_id: format!("c{at}"),
            protocol_type: "consumer".into(),
            protocols: vec![("range".into(), Bytes::new())],
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 15_000,
            new_id_suffix: self.next_member.to_string(),
            requires_known_member_id: true,
            supports_skipping_assignment: true,
            ..JoinRequest::default()
        };
        self.shard.handle_join(self.now(), id, request);
    }

    /// The leader deals the partitions out in turn; a share is the list of them as bytes.
    fn sync(&mut self, at: usize) {
        let client = self.clients[at].clone();
        let id = self.ask(Asked::Sync(at, client.generation));
        let mut shares: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        if !client.members.is_empty() {
            for partition in 0..PARTITIONS {
                let member = client.members[partition % client.members.len()].clone();
                shares.entry(member).or_default().push(u8::try_from(partition).expect("few"));
            }
        }
        for member in &client.members {
            let share = shares.get(member).cloned().unwrap_or_default();
            self.dealt.insert((client.generation, member.clone(), share));
        }
        let request = SyncRequest {
            group_id: GROUP.into(),
            member_id: client.member_id,
            instance_id: Self::instance(at),
            generation: client.generation,
            assignments: shares.into_iter().map(|(id, share)| (id, share.into())).collect(),
            ..SyncRequest::default()
        };
        self.clients[at].waiting = Some(id);
        self.shard.handle_sync(self.now(), id, request);
    }

    fn leave(&mut self, at: usize) {
        let id = self.ask(Asked::Leave);
        let member_id = std::mem::take(&mut self.clients[at]).member_id;
        let members = vec![LeavingMember { member_id, instance_id: Self::instance(at) }];
        let request = LeaveRequest { group_id: GROUP.into(), members };
        self.shard.handle_leave(self.now(), id, &request);
    }

    fn commit(&mut self, at: usize, offset: i64) {
        let client = self.clients[at].clone();
        if !client.synced {
            return;
        }
        let partition = i32::try_from(at).expect("few");
        let id = self.ask(Asked::Commit(partition, offset));
        let partition =
            CommitPartition { index: partition, offset, leader_epoch: 0, metadata: String::new() };
        let topic =
            CommitTopic { name: "t".into(), topic_id: Uuid::ZERO, partitions: vec![partition] };
        let request = CommitRequest {
            group_id: GROUP.into(),
            member_id: client.member_id.clone(),
            instance_id: Self::instance(at),
            generation: client.generation,
            missing_group_error: ErrorCode::GroupIdNotFound,
            retention_ms: None,
            topics: vec![topic],
        };
        self.shard.handle_commit(self.now(), id, &request);
    }

    fn advance(&mut self, by_ms: u64) {
        let end_ms = self.now_ms + by_ms;
        while let Some(next) = self.shard.poll_timeout() {
            if next.as_millis() > end_ms {
                break;
            }
            self.now_ms = self.now_ms.max(next.as_millis());
            self.shard.handle_timeout(self.now());
            self.drain();
        }
        self.now_ms = end_ms;
    }

    fn append(&mut self, succeeds: bool) {
        let (id, records) = self.on_the_way.pop_first().expect("checked by the caller");
        let result = if succeeds {
            self.disk.extend(records);
            Ok(0)
        } else {
            Err(ErrorCode::NotEnoughReplicas)
        };
        self.shard.handle_append_done(self.now(), id, result);
    }

    /// What is on its way is lost; connections break. The clients keep what they believe.
    fn restart(&mut self) {
        self.on_the_way.clear();
        self.asked.clear();
        for client in &mut self.clients {
            client.waiting = None;
        }
        self.load();
    }

    fn drain(&mut self) {
        while let Some(output) = self.shard.poll_output() {
            match output {
                Output::Append { id, records, .. } => {
                    self.on_the_way.insert(id, records);
                }
                Output::Reply { id, reply } => {
                    let asked = self.asked.remove(&id).expect("a request is answered once");
                    self.answered(id, asked, reply);
                }
            }
        }
    }

    fn answered(&mut self, id: RequestId, asked: Asked, reply: Reply) {
        match (asked, reply) {
            (Asked::Join(at), Reply::Join(reply)) => self.joined(id, at, reply),
            (Asked::Sync(at, generation), Reply::Sync(reply)) => {
                self.synced(id, at, generation, &reply);
            }
            (Asked::Heartbeat(at), Reply::Heartbeat(error)) => self.heard(at, error),
            (Asked::Commit(partition, offset), Reply::Commit(result)) => {
                if result.is_ok() {
                    let stored = self.shard.committed(GROUP, "t", Uuid::ZERO, partition);
                    let stored = stored.expect("active").expect("acknowledged");
                    assert_eq!(stored.offset, offset, "an acknowledged commit is not there");
                }
            }
            (Asked::Leave, Reply::Leave(_)) => {}
            (asked, reply) => panic!("{asked:?} was answered with {reply:?}"),
        }
    }

    fn joined(&mut self, id: RequestId, at: usize, reply: JoinReply) {
        if reply.error == ErrorCode::None {
            let lead = reply.leader == reply.member_id;
            assert!(lead || reply.members.is_empty(), "a follower sees the members");
            self.highest_generation = self.highest_generation.max(reply.generation);
        }
        if self.clients[at].waiting != Some(id) {
            return;
        }
        let client = &mut self.clients[at];
        client.waiting = None;
        match reply.error {
            ErrorCode::None => {
                client.member_id = reply.member_id;
                client.generation = reply.generation;
                // A leader that may skip the assignment has nothing to deal out.
                client.members = if reply.skip_assignment {
                    Vec::new()
                } else {
                    reply.members.into_iter().map(|member| member.member_id).collect()
                };
                client.joined = true;
            }
            ErrorCode::MemberIdRequired => client.member_id = reply.member_id,
            ErrorCode::RebalanceInProgress | ErrorCode::CoordinatorNotAvailable => {}
            ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId => {
                *client = Client::default();
            }
            error => panic!("join: {}", error.name()),
        }
    }

    fn synced(&mut self, id: RequestId, at: usize, generation: i32, reply: &SyncReply) {
        if reply.error == ErrorCode::None {
            for partition in &reply.assignment {
                let place = (generation, usize::from(*partition));
                let owner = *self.owners.entry(place).or_insert(at);
                assert_eq!(owner, at, "generation and partition {place:?} have two owners");
            }
            self.generations.insert(generation);
        }
        if self.clients[at].waiting != Some(id) {
            return;
        }
        let client = &mut self.clients[at];
        client.waiting = None;
        match reply.error {
            ErrorCode::None => {
                client.synced = true;
                // A static member has its share from the time of an older id.
                let share = (generation, client.member_id.clone(), reply.assignment.to_vec());
                assert!(
                    at % 2 == 1 || self.dealt.contains(&share),
                    "{share:?} is not what a leader has dealt out"
                );
            }
            ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId => {
                *client = Client::default();
            }
            ErrorCode::RebalanceInProgress
            | ErrorCode::IllegalGeneration
            | ErrorCode::CoordinatorNotAvailable => client.joined = false,
            error => panic!("sync: {}", error.name()),
        }
    }

    fn heard(&mut self, at: usize, error: ErrorCode) {
        let client = &mut self.clients[at];
        match error {
            ErrorCode::None => {}
            ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration => {
                client.joined = false;
                client.synced = false;
            }
            ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId => {
                *client = Client::default();
            }
            error => panic!("heartbeat: {}", error.name()),
        }
    }

    /// The log takes all that is on its way, or refuses it.
    fn settle(&mut self, succeed: bool) {
        while !self.on_the_way.is_empty() {
            self.append(succeed);
            self.drain();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_history_breaks_a_group(events in prop::collection::vec(event(), 1..250)) {
        let mut world = World::new();
        for event in &events {
            world.apply(event);
        }
        world.settle(true);
        let before = world.shard.all_committed(GROUP);
        world.restart();
        prop_assert_eq!(before, world.shard.all_committed(GROUP));

        // Everybody falls silent: within sessions and rebalance timeouts the group is empty.
        for _ in 0..100 {
            world.advance(10_000);
            world.settle(true);
        }
        if let Ok(group) = world.shard.describe(GROUP) {
            prop_assert_eq!(group.state, "Empty");
            prop_assert!(group.members.is_empty());
        }
        prop_assert!(world.asked.is_empty(), "still waiting: {:?}", world.asked);
    }
}

#[test]
fn willing_clients_share_all_partitions() {
    // The world itself is sound: without mischief every client gets its share.
    let mut world = World::new();
    for _ in 0..40 {
        for client in 0..CLIENTS {
            world.apply(&Event::Step(client));
        }
        world.apply(&Event::Advance(100));
        world.settle(true);
    }
    let group = world.shard.describe(GROUP).expect("a group");
    assert_eq!(group.state, "Stable");
    assert_eq!(group.members.len(), CLIENTS);
    let generation = *world.generations.last().expect("a generation");
    let owned = (0..PARTITIONS).filter(|at| world.owners.contains_key(&(generation, *at)));
    assert_eq!(owned.count(), PARTITIONS);
}
