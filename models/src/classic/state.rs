//! What there is: clients, the group, messages on their way; and what can be asked of it.

use std::collections::BTreeSet;

use super::PARTITIONS;

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
    pub(super) id: u8,
    pub(super) generation: u8,
    pub(super) phase: Phase,
    pub(super) owned: u8,
}

/// A member as the coordinator knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Member {
    pub(super) client: usize,
    pub(super) id: u8,
    /// Whether it has joined the rebalance that is going on.
    pub(super) joined: bool,
    /// Whether its SyncGroup is held back.
    pub(super) waits: bool,
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
    /// Whether all clients are processes of one static member.
    pub(super) is_static: bool,
    /// The member ids in whose place another came, a bit each.
    pub(super) fenced: u64,
    pub(super) clients: Vec<Client>,
    pub(super) net: BTreeSet<Message>,
    pub(super) group: Group,
    pub(super) generation: u8,
    pub(super) members: Vec<Member>,
    pub(super) next_id: u8,
    /// The members of the present generation to whom was dealt out, in order.
    pub(super) dealt: Vec<u8>,
    pub(super) removals: u8,
    /// What only the checker knows: to whom was dealt out in each generation, and who its members
    /// were; what was committed.
    pub(super) history: Vec<Vec<u8>>,
    pub(super) rosters: Vec<Vec<u8>>,
    pub(super) committed: u8,
    pub(super) refused: bool,
    pub(super) stolen: bool,
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
    /// The group's leader joins again, since what it subscribes to has changed.
    Rejoin(usize),
    /// A client leaves.
    Leave(usize),
    /// The coordinator ends a member's session.
    Expire(u8),
}

/// A member's share, dealt out in turn.
pub(super) fn share(dealt: &[u8], id: u8, generation: u8) -> u8 {
    let first = usize::from(generation);
    let owns =
        |partition: &usize| !dealt.is_empty() && dealt[(first + partition) % dealt.len()] == id;
    (0..PARTITIONS).filter(owns).fold(0, |set, partition| set | 1 << partition)
}

impl State {
    pub(super) fn begin(&mut self, i: usize) {
        self.next_id += 1;
        let client = &mut self.clients[i];
        client.id = self.next_id;
        client.generation = 0;
        client.phase = Phase::Joining;
        self.net.insert(Message::Join(i, self.next_id));
    }

    /// Whether an id was given to a client that has another one by now.
    pub(super) fn is_old(&self, id: u8) -> bool {
        self.clients.iter().all(|client| client.id != id || client.generation > 0)
    }

    pub(super) fn forget(&mut self, i: usize) {
        let client = &mut self.clients[i];
        *client = Client { id: client.id, generation: 0, phase: Phase::Out, owned: 0 };
    }

    /// Answers a member's JoinGroup with the present generation; the first member leads.
    pub(super) fn answer_join(&mut self, at: usize) {
        let (client, id) = (self.members[at].client, self.members[at].id);
        let all = (at == 0).then(|| self.members.iter().map(|member| member.id).collect());
        self.net.insert(Message::Joined(client, id, self.generation, all));
    }

    /// A process of the static member comes in place of the one that the group has.
    pub(super) fn replace(&mut self, client: usize, id: u8) {
        let member = &mut self.members[0];
        let old = std::mem::replace(&mut member.id, id);
        member.client = client;
        member.waits = false;
        self.fenced |= 1 << old;
        let present = [self.history.last_mut(), self.rosters.last_mut(), Some(&mut self.dealt)];
        for list in present.into_iter().flatten() {
            list.iter_mut().filter(|one| **one == old).for_each(|one| *one = id);
        }
    }

    pub(super) fn is_fenced(&self, id: u8) -> bool {
        self.fenced & (1 << id) != 0
    }

    /// The clients that nobody came in place of.
    fn present(&self) -> impl Iterator<Item = &Client> {
        self.clients.iter().filter(|client| !self.is_fenced(client.id))
    }

    pub(super) fn is_exclusive(&self) -> bool {
        self.present().enumerate().all(|(i, one)| {
            self.present()
                .take(i)
                .all(|other| one.generation != other.generation || one.owned & other.owned == 0)
        })
    }

    pub(super) fn owns_as_told(&self) -> bool {
        let fits = |client: &Client| {
            let dealt = usize::from(client.generation).checked_sub(1);
            let dealt = dealt.and_then(|at| self.history.get(at));
            dealt.is_some_and(|dealt| client.owned == share(dealt, client.id, client.generation))
        };
        self.present().filter(|client| client.phase == Phase::Owning).all(fits)
    }

    pub(super) fn knows(&self, client: &Client) -> bool {
        self.members.iter().any(|member| member.id == client.id)
    }

    /// Whether no two members that the group has own one partition, whatever their generations.
    pub(super) fn is_given_up(&self) -> bool {
        let members: Vec<&Client> =
            self.clients.iter().filter(|client| self.knows(client)).collect();
        members
            .iter()
            .enumerate()
            .all(|(i, one)| members[..i].iter().all(|other| one.owned & other.owned == 0))
    }

    /// Whether what was dealt out in a generation went to its members.
    pub(super) fn is_of_its_generation(&self) -> bool {
        let mut generations = self.history.iter().zip(&self.rosters);
        generations.all(|(dealt, roster)| dealt.is_empty() || dealt == roster)
    }

    pub(super) fn zombie_owns(&self) -> bool {
        self.clients.iter().any(|client| client.owned != 0 && !self.knows(client))
    }
}
