//! A classic group: members and a coordinator over a network that loses, repeats and reorders.
//!
//! Modelled by hand: the coordinator of `reference-broker` and the member of `ottla-engine` are
//! sans-IO too, but hold timers, deadlines and encoded records, which would make every state unlike
//! any other.
//!
//! JoinGroup, SyncGroup, OffsetCommit and their answers are a set of all that was ever sent: each
//! may arrive never, late, in any order, and again and again. Heartbeats are immediate, or lost; a
//! member id is given out in a round trip of its own (KIP-394), taken for immediate. A session may
//! end while the member lives: it goes on as it was until it is told. Time is not modelled; the
//! rebalance timeout is the end of the session of a member that does not join. The group's leader
//! deals partitions out in turn. No symmetry is used.
//!
//! Liveness is checked as in [`crate::reconciliation`]: from every state a fair schedule without
//! faults leads to a stable group.

mod words;

use std::collections::BTreeSet;

use stateright::{Model, Property};

use crate::check::{Explained, Size};

use words::{
    AHEAD, AS_TOLD, COMMITS, EXCLUSIVE, OLD_COMMIT, REFUSED, SECOND, SETTLES, STABLE, ZOMBIE,
};
pub use words::{FAULTS, GOALS, INVARIANTS};

const PARTITIONS: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Planted {
    CommitWithoutGeneration,
    LateSyncAnswer,
}

/// The model.
#[derive(Debug, Clone)]
pub struct Classic {
    planted: Option<Planted>,
    clients: usize,
    generations: u8,
    removals: u8,
    ids: u8,
}

/// A message on its way. A client is named by its place, a member by its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Message {
    /// JoinGroup of a client with that member id.
    Join(usize, u8),
    /// Its answer: member id, generation; the members, for the leader.
    Joined(usize, u8, u8, Option<Vec<u8>>),
    /// SyncGroup: member id, generation; the members it deals out to, from the leader.
    Sync(usize, u8, u8, Option<Vec<u8>>),
    /// Its answer: generation and partitions.
    Synced(usize, u8, u8),
    /// OffsetCommit: member id, generation, partition.
    Commit(u8, u8, usize),
}

/// What a client is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It has no place in the group and asks for none yet.
    Out,
    /// It waits for the answer to JoinGroup.
    Joining,
    /// It waits for the answer to SyncGroup.
    Syncing,
    /// It owns its share.
    Owning,
}

/// A client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Client {
    id: u8,
    generation: u8,
    phase: Phase,
    owned: u8,
}

/// A member as the coordinator knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Member {
    client: usize,
    id: u8,
    /// Whether it has joined the rebalance that is going on.
    joined: bool,
    /// Whether its SyncGroup is held back.
    waits: bool,
}

/// The group's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// `Empty`, `PreparingRebalance`.
    Preparing,
    /// `CompletingRebalance`.
    Completing,
    /// `Stable`.
    Stable,
}

/// A state of the whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    clients: Vec<Client>,
    net: BTreeSet<Message>,
    group: Group,
    generation: u8,
    members: Vec<Member>,
    next_id: u8,
    /// The members of the present generation to whom was dealt out, in order.
    dealt: Vec<u8>,
    removals: u8,
    /// What only the checker knows: who owned what in each generation; what was committed.
    history: Vec<Vec<u8>>,
    committed: u8,
    refused: bool,
    stolen: bool,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A client begins or goes on to join.
    Begin(usize),
    /// A message arrives.
    Arrive(Message),
    /// A heartbeat and its answer.
    Heartbeat(usize),
    /// A client commits a partition's offset.
    Commit(usize, usize),
    /// A client leaves.
    Leave(usize),
    /// The coordinator ends a member's session.
    Expire(u8),
}

impl Classic {
    /// The configuration for `size`, with a fault of [`FAULTS`] or none.
    pub fn new(size: Size, fault: Option<&str>) -> Self {
        let planted = fault.and_then(|name| {
            Some(match name {
                "commit-without-generation" => Planted::CommitWithoutGeneration,
                "late-sync-answer" => Planted::LateSyncAnswer,
                _ => return None,
            })
        });
        let (generations, removals, ids) = match (planted, size) {
            (Some(Planted::LateSyncAnswer), _) => (3, 0, 2),
            (None, Size::Large) => (3, 1, 3),
            _ => (2, 1, 2),
        };
        Self { planted, clients: 2, generations, removals, ids }
    }

    fn step(&self, state: &mut State, action: Action) {
        match action {
            Action::Begin(i) => state.begin(i),
            Action::Arrive(message) => self.arrive(state, message),
            Action::Heartbeat(i) => self.heartbeat(state, i),
            Action::Commit(i, partition) => {
                let client = &state.clients[i];
                state.net.insert(Message::Commit(client.id, client.generation, partition));
            }
            Action::Leave(i) => {
                let id = state.clients[i].id;
                state.removals += 1;
                state.forget(i);
                self.remove(state, id);
            }
            Action::Expire(id) => {
                state.removals += 1;
                self.remove(state, id);
            }
        }
    }

    fn arrive(&self, state: &mut State, message: Message) {
        match message {
            Message::Join(client, id) => self.join(state, client, id),
            Message::Joined(i, id, generation, members) => {
                let client = &mut state.clients[i];
                let fits = client.phase == Phase::Joining && client.id == id;
                if fits && generation > client.generation {
                    client.phase = Phase::Syncing;
                    client.generation = generation;
                    state.net.insert(Message::Sync(i, id, generation, members));
                }
            }
            Message::Sync(i, id, generation, members) => {
                self.sync(state, i, id, generation, members);
            }
            Message::Synced(i, generation, owned) => {
                let client = &mut state.clients[i];
                let fits = generation == client.generation
                    || self.planted == Some(Planted::LateSyncAnswer);
                if client.phase == Phase::Syncing && fits {
                    client.phase = Phase::Owning;
                    client.owned = owned;
                }
            }
            Message::Commit(id, generation, partition) => {
                self.commit(state, id, generation, partition);
            }
        }
    }

    fn join(&self, state: &mut State, client: usize, id: u8) {
        let current = state.clients[client].id == id;
        let known = state.members.iter().position(|member| member.id == id);
        match (known, state.group) {
            // A member that was removed is not known any more: 25.
            (None, _) if !current || state.is_old(id) => return,
            (None, _) => {
                state.prepare();
                state.members.push(Member { client, id, joined: true, waits: false });
            }
            (Some(at), Group::Preparing) => state.members[at].joined = true,
            // The leader begins a rebalance; the others are answered as before.
            (Some(at), Group::Stable) if at == 0 && self.may_rebalance(state) => {
                state.prepare();
                state.members[at].joined = true;
            }
            (Some(at), _) => {
                state.answer_join(at);
                return;
            }
        }
        if state.members.iter().all(|member| member.joined) {
            self.complete(state);
        }
    }

    fn may_rebalance(&self, state: &State) -> bool {
        state.generation < self.generations
    }

    /// Begins the next generation with those that have joined.
    fn complete(&self, state: &mut State) {
        let ready = state.group == Group::Preparing && !state.members.is_empty();
        if !ready || state.members.iter().any(|member| !member.joined) {
            return;
        }
        state.generation += 1;
        state.group = Group::Completing;
        state.dealt.clear();
        state.history.push(Vec::new());
        for at in 0..state.members.len() {
            state.answer_join(at);
        }
    }

    fn sync(&self, state: &mut State, i: usize, id: u8, generation: u8, all: Option<Vec<u8>>) {
        let Some(at) = state.members.iter().position(|member| member.id == id) else { return };
        if generation != state.generation {
            return;
        }
        match (state.group, all) {
            (Group::Preparing, _) => {}
            (Group::Completing, Some(members)) if at == 0 => {
                state.history[usize::from(generation) - 1].clone_from(&members);
                state.dealt = members;
                state.group = Group::Stable;
                for member in &mut state.members {
                    if std::mem::take(&mut member.waits) || member.id == id {
                        let owned = share(&state.dealt, member.id);
                        state.net.insert(Message::Synced(member.client, generation, owned));
                    }
                }
            }
            (Group::Completing, _) => state.members[at].waits = true,
            (Group::Stable, _) => {
                let owned = share(&state.dealt, id);
                state.net.insert(Message::Synced(i, generation, owned));
            }
        }
    }

    fn commit(&self, state: &mut State, id: u8, generation: u8, partition: usize) {
        let known = state.members.iter().any(|member| member.id == id);
        let fits = generation == state.generation && state.group != Group::Completing;
        if !known || !(fits || self.planted == Some(Planted::CommitWithoutGeneration)) {
            state.refused = true;
            return;
        }
        let dealt = state.history.last().map_or(&[][..], Vec::as_slice);
        state.stolen |= share(dealt, id) & (1 << partition) == 0;
        state.committed = state.committed.max(generation);
    }

    fn heartbeat(&self, state: &mut State, i: usize) {
        let id = state.clients[i].id;
        let known = state.members.iter().any(|member| member.id == id);
        if !known {
            // 25: all is lost, and the client joins anew under another id.
            state.forget(i);
            return;
        }
        let behind = state.clients[i].generation != state.generation;
        if state.group == Group::Preparing || behind {
            state.rejoin(i);
        }
    }

    fn remove(&self, state: &mut State, id: u8) {
        let before = state.members.len();
        state.members.retain(|member| member.id != id);
        if state.members.len() < before {
            state.prepare();
            self.complete(state);
        }
    }

    fn settled(&self, state: &State) -> bool {
        let owned = state.clients.iter().fold(0, |set, client| set | client.owned);
        let owning = |client: &Client| {
            client.phase == Phase::Out && client.generation == 0
                || client.phase == Phase::Owning && client.generation == state.generation
        };
        let all = owned == (1 << PARTITIONS) - 1;
        let none = state.clients.iter().all(|client| client.phase == Phase::Out);
        none || (state.group == Group::Stable && state.clients.iter().all(owning) && all)
    }

    /// A fair schedule: messages on their way are lost, then each client heartbeats, joins and is
    /// answered in turn; the coordinator ends the sessions of those that nobody is.
    fn can_settle(&self, state: &State) -> bool {
        let mut state = state.clone();
        state.net.clear();
        for _ in 0..8 {
            let clients = state.clients.clone();
            let gone = |member: &&Member| clients[member.client].id != member.id;
            let dead: Vec<u8> = state.members.iter().filter(gone).map(|member| member.id).collect();
            for id in dead {
                self.remove(&mut state, id);
            }
            for i in 0..self.clients {
                let client = &state.clients[i];
                match client.phase {
                    Phase::Out if client.generation > 0 || client.id > 0 => state.begin(i),
                    Phase::Out => {}
                    _ => self.heartbeat(&mut state, i),
                }
                self.send_again(&mut state, i);
            }
            for _ in 0..4 {
                for message in std::mem::take(&mut state.net) {
                    self.arrive(&mut state, message);
                }
            }
            if self.settled(&state) {
                return true;
            }
        }
        false
    }

    /// A client whose answer is lost asks again; one that waits for SyncGroup joins again.
    fn send_again(&self, state: &mut State, i: usize) {
        let client = &state.clients[i];
        match client.phase {
            Phase::Joining => {
                let id = client.id;
                state.net.insert(Message::Join(i, id));
            }
            Phase::Syncing => state.rejoin_as_told(i),
            _ => {}
        }
    }
}

/// A member's share, dealt out in turn.
fn share(dealt: &[u8], id: u8) -> u8 {
    let owns = |partition: &usize| !dealt.is_empty() && dealt[partition % dealt.len()] == id;
    (0..PARTITIONS).filter(owns).fold(0, |set, partition| set | 1 << partition)
}

impl State {
    fn begin(&mut self, i: usize) {
        self.next_id += 1;
        let client = &mut self.clients[i];
        client.id = self.next_id;
        client.generation = 0;
        client.phase = Phase::Joining;
        self.net.insert(Message::Join(i, self.next_id));
    }

    /// Whether an id was given to a client that has another one by now.
    fn is_old(&self, id: u8) -> bool {
        self.clients.iter().all(|client| client.id != id || client.generation > 0)
    }

    fn forget(&mut self, i: usize) {
        let client = &mut self.clients[i];
        *client = Client { id: client.id, generation: 0, phase: Phase::Out, owned: 0 };
    }

    /// Gives all up and joins again.
    fn rejoin(&mut self, i: usize) {
        let client = &mut self.clients[i];
        client.owned = 0;
        client.phase = Phase::Joining;
        let id = client.id;
        self.net.insert(Message::Join(i, id));
    }

    fn rejoin_as_told(&mut self, i: usize) {
        // The generation is forgotten, so that the answer to the new JoinGroup counts.
        self.clients[i].generation = self.clients[i].generation.saturating_sub(1);
        self.rejoin(i);
    }

    fn prepare(&mut self) {
        if self.group == Group::Preparing {
            return;
        }
        self.group = Group::Preparing;
        for member in &mut self.members {
            member.joined = false;
            member.waits = false;
        }
    }

    /// Answers a member's JoinGroup with the present generation; the first member leads.
    fn answer_join(&mut self, at: usize) {
        let (client, id) = (self.members[at].client, self.members[at].id);
        let all = (at == 0).then(|| self.members.iter().map(|member| member.id).collect());
        self.net.insert(Message::Joined(client, id, self.generation, all));
    }

    fn is_exclusive(&self) -> bool {
        self.clients.iter().enumerate().all(|(i, one)| {
            let others = &self.clients[..i];
            others
                .iter()
                .all(|other| one.generation != other.generation || one.owned & other.owned == 0)
        })
    }

    fn owns_as_told(&self) -> bool {
        let fits = |client: &Client| {
            let dealt = usize::from(client.generation).checked_sub(1);
            let dealt = dealt.and_then(|at| self.history.get(at));
            dealt.is_some_and(|dealt| client.owned == share(dealt, client.id))
        };
        self.clients.iter().filter(|client| client.phase == Phase::Owning).all(fits)
    }

    fn zombie_owns(&self) -> bool {
        let known = |client: &Client| self.members.iter().any(|member| member.id == client.id);
        self.clients.iter().any(|client| client.owned != 0 && !known(client))
    }
}

impl Model for Classic {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let client = Client { id: 0, generation: 0, phase: Phase::Out, owned: 0 };
        vec![State {
            clients: vec![client; self.clients],
            net: BTreeSet::new(),
            group: Group::Preparing,
            generation: 0,
            members: Vec::new(),
            next_id: 0,
            dealt: Vec::new(),
            removals: 0,
            history: Vec::new(),
            committed: 0,
            refused: false,
            stolen: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (i, client) in state.clients.iter().enumerate() {
            if client.phase == Phase::Out {
                if state.next_id < self.ids {
                    actions.push(Action::Begin(i));
                }
                continue;
            }
            actions.push(Action::Heartbeat(i));
            if client.phase == Phase::Owning {
                let owned = (0..PARTITIONS).filter(|p| client.owned & (1 << p) != 0);
                actions.extend(owned.take(1).map(|p| Action::Commit(i, p)));
                if state.removals < self.removals {
                    actions.push(Action::Leave(i));
                }
            }
        }
        actions.extend(state.net.iter().cloned().map(Action::Arrive));
        if state.removals < self.removals {
            actions.extend(state.members.iter().map(|member| Action::Expire(member.id)));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.step(&mut state, action);
        (state != *last).then_some(state)
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.generation <= self.generations
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(EXCLUSIVE, |_, state: &State| state.is_exclusive()),
            Property::always(OLD_COMMIT, |_, state: &State| !state.stolen),
            Property::always(AS_TOLD, |_, state: &State| state.owns_as_told()),
            Property::always(AHEAD, |_, state: &State| {
                state.clients.iter().all(|client| client.generation <= state.generation)
            }),
            Property::always(SETTLES, |model: &Self, state: &State| model.can_settle(state)),
            Property::sometimes(STABLE, |_, state: &State| {
                state.clients.iter().filter(|client| client.owned != 0).count() > 1
            }),
            Property::sometimes(SECOND, |_, state: &State| {
                state.clients.iter().any(|client| client.owned != 0 && client.generation > 1)
            }),
            Property::sometimes(COMMITS, |_, state: &State| state.committed > 1),
            Property::sometimes(ZOMBIE, |_, state: &State| state.zombie_owns()),
            Property::sometimes(REFUSED, |_, state: &State| state.refused),
        ]
    }
}

impl Explained for Classic {
    fn explain(&self, state: &State) -> String {
        let ids: Vec<u8> = state.members.iter().map(|member| member.id).collect();
        let mut text = format!("{:?} {}, members {ids:?}", state.group, state.generation);
        for (i, client) in state.clients.iter().enumerate() {
            let (id, phase, generation) = (client.id, client.phase, client.generation);
            text += &format!("; {i} is {id}, {phase:?} {generation}, owns {:02b}", client.owned);
        }
        text
    }
}
