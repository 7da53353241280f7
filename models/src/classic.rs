//! A classic group: members and a coordinator over a network that loses, repeats and reorders.
//!
//! Modelled by hand: the coordinator of `reference-broker` and the member of `ottla-engine` are
//! sans-IO too, but hold timers, deadlines and encoded records, which would make every state unlike
//! any other.
//!
//! JoinGroup, SyncGroup, OffsetCommit and their answers are a set of all that was ever sent: each
//! may arrive never, late, in any order, and again and again; but a JoinGroup that was answered
//! does not arrive once more, for the member's next request is behind it on the connection.
//! Heartbeats are immediate, or lost; a member id is given out in a round trip of its own
//! (KIP-394), taken for immediate. A session may end while the member lives: it goes on as it was
//! until it is told. The group's leader may begin a rebalance at any time. Time is not modelled;
//! the rebalance timeout is the end of the session of a member that does not join. The leader
//! deals partitions out in turn, beginning with another member in each generation. Left out: a
//! coordinator that fails over, protocols to choose from. No symmetry is used.
//!
//! The search begins from two groups: one of members that have nothing to do with each other, and
//! one in which both clients are processes of one static member (KIP-345), each of which may come
//! up while the other lives and take its place.
//!
//! Liveness is checked as in [`crate::reconciliation`]: from every state a fair schedule without
//! faults leads to a stable group.

mod state;
mod words;

use std::collections::BTreeSet;

use stateright::{Model, Property};

use crate::check::{Explained, Size};

use state::share;
pub use state::{Action, Client, Group, Member, Message, Phase, State};
use words::{
    AHEAD, AS_TOLD, COMMITS, EXCLUSIVE, GIVEN_UP, OF_GENERATION, OLD_COMMIT, REFUSED, REPLACED,
    SECOND, SETTLES, STABLE, ZOMBIE,
};
pub use words::{FAULTS, GOALS, INVARIANTS};

const PARTITIONS: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Planted {
    CommitWithoutGeneration,
    CommitWithoutMember,
    LateSyncAnswer,
    SyncWithoutGeneration,
    JoinWithoutWaiting,
    KeepsWhileJoining,
    GenerationRestarts,
    AnswersJoinOnce,
    OldProcessCommits,
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

impl Classic {
    /// The configuration for `size`, with a fault of [`FAULTS`] or none.
    pub fn new(size: Size, fault: Option<&str>) -> Self {
        let planted = fault.and_then(|name| {
            Some(match name {
                "commit-without-generation" => Planted::CommitWithoutGeneration,
                "commit-without-member" => Planted::CommitWithoutMember,
                "late-sync-answer" => Planted::LateSyncAnswer,
                "sync-without-generation" => Planted::SyncWithoutGeneration,
                "join-without-waiting" => Planted::JoinWithoutWaiting,
                "keeps-while-joining" => Planted::KeepsWhileJoining,
                "generation-restarts" => Planted::GenerationRestarts,
                "answers-join-once" => Planted::AnswersJoinOnce,
                "old-process-commits" => Planted::OldProcessCommits,
                _ => return None,
            })
        });
        let (generations, removals, ids) = match (planted, size) {
            (Some(Planted::JoinWithoutWaiting), _) => (3, 0, 2),
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
            Action::Rejoin(i) => self.rejoin(state, i),
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
                    state.net.remove(&Message::Join(i, id));
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
        if state.is_fenced(id) {
            return;
        }
        match (known, state.group) {
            // A member that was removed is not known any more: 25.
            (None, _) if !current || state.is_old(id) => return,
            (None, group) if state.is_static && !state.members.is_empty() => {
                state.replace(client, id);
                if group == Group::Stable {
                    state.answer_join(0);
                    return;
                }
                self.prepare(state);
                state.members[0].joined = true;
            }
            (None, _) => {
                self.prepare(state);
                state.members.push(Member { client, id, joined: true, waits: false });
            }
            (Some(at), Group::Preparing) => state.members[at].joined = true,
            // The leader begins a rebalance; the others are answered as before.
            (Some(at), Group::Stable) if at == 0 && self.may_rebalance(state) => {
                self.prepare(state);
                state.members[at].joined = true;
            }
            (Some(at), group) => {
                let is_left = self.planted == Some(Planted::AnswersJoinOnce);
                if !(is_left && group == Group::Completing) {
                    state.answer_join(at);
                }
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

    /// Begins a rebalance: all have to join again.
    fn prepare(&self, state: &mut State) {
        if state.group == Group::Preparing {
            return;
        }
        state.group = Group::Preparing;
        for member in &mut state.members {
            member.joined = self.planted == Some(Planted::JoinWithoutWaiting);
            member.waits = false;
        }
    }

    /// A client gives all up and joins again.
    fn rejoin(&self, state: &mut State, i: usize) {
        let client = &mut state.clients[i];
        if self.planted != Some(Planted::KeepsWhileJoining) {
            client.owned = 0;
        }
        client.phase = Phase::Joining;
        let id = client.id;
        state.net.insert(Message::Join(i, id));
    }

    fn rejoin_as_told(&self, state: &mut State, i: usize) {
        // The generation is forgotten, so that the answer to the new JoinGroup counts.
        state.clients[i].generation = state.clients[i].generation.saturating_sub(1);
        self.rejoin(state, i);
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
        state.rosters.push(state.members.iter().map(|member| member.id).collect());
        for at in 0..state.members.len() {
            state.answer_join(at);
        }
    }

    fn sync(&self, state: &mut State, i: usize, id: u8, generation: u8, all: Option<Vec<u8>>) {
        let Some(at) = state.members.iter().position(|member| member.id == id) else { return };
        let is_taken = self.planted == Some(Planted::SyncWithoutGeneration);
        if generation != state.generation && !is_taken {
            return;
        }
        let generation = state.generation;
        match (state.group, all) {
            (Group::Preparing, _) => {}
            (Group::Completing, Some(members)) if at == 0 => {
                state.history[usize::from(generation) - 1].clone_from(&members);
                state.dealt = members;
                state.group = Group::Stable;
                for member in &mut state.members {
                    if std::mem::take(&mut member.waits) || member.id == id {
                        let owned = share(&state.dealt, member.id, generation);
                        state.net.insert(Message::Synced(member.client, generation, owned));
                    }
                }
            }
            (Group::Completing, _) => state.members[at].waits = true,
            (Group::Stable, _) => {
                let owned = share(&state.dealt, id, generation);
                state.net.insert(Message::Synced(i, generation, owned));
            }
        }
    }

    fn commit(&self, state: &mut State, id: u8, generation: u8, partition: usize) {
        let known = state.members.iter().any(|member| member.id == id);
        let fits = generation == state.generation && state.group != Group::Completing;
        let is_process = self.planted == Some(Planted::OldProcessCommits) && state.is_fenced(id);
        let is_member = known || is_process || self.planted == Some(Planted::CommitWithoutMember);
        let is_present = fits || self.planted == Some(Planted::CommitWithoutGeneration);
        if !is_member || !is_present {
            state.refused = true;
            return;
        }
        let dealt = state.history.last().map_or(&[][..], Vec::as_slice);
        let owns = share(dealt, id, state.generation) & (1 << partition) != 0;
        state.stolen |= !known || !owns;
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
            self.rejoin(state, i);
        }
    }

    fn remove(&self, state: &mut State, id: u8) {
        let before = state.members.len();
        state.members.retain(|member| member.id != id);
        if state.members.len() < before {
            self.prepare(state);
            self.complete(state);
        }
        if state.members.is_empty() && self.planted == Some(Planted::GenerationRestarts) {
            state.generation = 0;
            state.history.clear();
            state.rosters.clear();
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
                    Phase::Out if client.id > 0 && !state.is_fenced(client.id) => state.begin(i),
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
            Phase::Syncing => self.rejoin_as_told(state, i),
            _ => {}
        }
    }
}

impl Model for Classic {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let client = Client { id: 0, generation: 0, phase: Phase::Out, owned: 0 };
        let group = |is_static| State {
            is_static,
            fenced: 0,
            clients: vec![client.clone(); self.clients],
            net: BTreeSet::new(),
            group: Group::Preparing,
            generation: 0,
            members: Vec::new(),
            next_id: 0,
            dealt: Vec::new(),
            removals: 0,
            history: Vec::new(),
            rosters: Vec::new(),
            committed: 0,
            refused: false,
            stolen: false,
        };
        match self.planted {
            None => vec![group(false), group(true)],
            Some(planted) => vec![group(planted == Planted::OldProcessCommits)],
        }
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (i, client) in state.clients.iter().enumerate() {
            if client.phase == Phase::Out {
                if state.next_id < self.ids && !state.is_fenced(client.id) {
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
                let is_leader = state.members.first().is_some_and(|first| first.id == client.id);
                let may = state.group == Group::Stable && self.may_rebalance(state);
                if is_leader && may {
                    actions.push(Action::Rejoin(i));
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
            Property::always(GIVEN_UP, |_, state: &State| state.is_given_up()),
            Property::always(OF_GENERATION, |_, state: &State| state.is_of_its_generation()),
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
            Property::sometimes(REPLACED, |_, state: &State| {
                let old = |client: &&Client| state.is_fenced(client.id) && client.owned != 0;
                let new = |client: &Client| !state.is_fenced(client.id) && client.owned != 0;
                state.clients.iter().any(|client| old(&client)) && state.clients.iter().any(new)
            }),
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
