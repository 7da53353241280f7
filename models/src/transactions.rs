//! Transactions with KIP-890: one transactional id, two partitions, a coordinator.
//!
//! Modelled by hand: the broker of this repository does not coordinate transactions.
//!
//! The producer writes at most one batch a partition and transaction, waits for the answers before
//! it commits, and for none before it aborts. Requests (Produce, EndTxn, WriteTxnMarkers) are a
//! set of all that were ever sent: each may arrive never, late, and again. A partition that does
//! not know a transaction asks the coordinator, which adds it (protocol v2); the answer and the
//! append are a step of their own, so that markers come between. Answers to the producer are
//! immediate or lost: it then asks again. An incarnation that was replaced goes on sending.
//! Replication is left out: what is stored is committed. No symmetry is used.

mod words;

use std::collections::BTreeSet;

use stateright::{Model, Property};

use crate::check::{Explained, Size};

use words::{
    ABORTS, AS_ASKED, ATOMIC, COMMITS, COMMITTED_ONLY, FENCED, NO_HANGING, REPLACED, SECOND,
};
pub use words::{FAULTS, GOALS, INVARIANTS};

const PARTITIONS: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Planted {
    ProtocolV1,
    NoEpochBump,
    MarkerOfSameEpoch,
    ZombieNotFenced,
    StableOffsetIgnored,
}

/// The model.
#[derive(Debug, Clone)]
pub struct Transactions {
    planted: Option<Planted>,
    transactions: u8,
    incarnations: u8,
}

/// Who sends: its incarnation, its epoch, and the number of its transaction, which only the checker
/// looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sender {
    incarnation: u8,
    epoch: u8,
    number: u8,
}

/// A request on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Request {
    /// A batch for a partition.
    Produce(usize, Sender),
    /// The end of a transaction, committed or not.
    End(Sender, bool),
    /// A marker for a partition: epoch, committed or not.
    Marker(usize, u8, bool),
}

/// What a partition stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Entry {
    /// A batch of a transaction.
    Data(Sender),
    /// A control batch.
    Marker(bool),
}

/// A partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Partition {
    log: Vec<Entry>,
    /// The producer epoch that wrote last.
    epoch: u8,
    /// Whether a transaction is open.
    open: bool,
    /// A batch that the coordinator has admitted and that is not stored yet.
    admitted: Option<Sender>,
}

/// The coordinator's state of the transactional id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing is open: `Empty`, `CompleteCommit` or `CompleteAbort`.
    Complete,
    /// `Ongoing`.
    Ongoing,
    /// `PrepareCommit` or `PrepareAbort`.
    Prepare(bool),
}

/// A producer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Producer {
    /// Who it is at present.
    sender: Sender,
    /// What it has sent and what was answered, a bit a partition.
    sent: u8,
    answered: u8,
    /// How it asked to end the transaction.
    ending: Option<bool>,
}

/// A state of the whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    producers: Vec<Producer>,
    requests: BTreeSet<Request>,
    partitions: [Partition; PARTITIONS],
    phase: Phase,
    /// The coordinator's epoch and the incarnation that it was given to.
    epoch: u8,
    incarnation: u8,
    /// Partitions of the transaction, and those without a marker yet.
    added: u8,
    /// How the last transaction ended: the epoch that asked, and how.
    last: Option<(u8, bool)>,
    /// Transactions begun, over all incarnations.
    begun: u8,
    /// Numbers of transactions that were decided to commit; bits.
    committed: u8,
    /// Records (transaction, partition) that were acknowledged.
    acknowledged: BTreeSet<(u8, usize)>,
    /// What only the checker knows: broken rules.
    zombie: bool,
    not_asked: bool,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A producer sends a batch.
    Send(usize, usize),
    /// A producer asks for the end.
    End(usize, bool),
    /// A producer hears that its transaction has ended, and of its next epoch.
    Ended(usize),
    /// A producer hears that a batch is stored.
    Stored(usize, usize),
    /// A request arrives.
    Arrive(Request),
    /// A partition stores what the coordinator has admitted.
    Append(usize),
    /// The next incarnation calls InitProducerId.
    Init,
}

impl Transactions {
    /// The configuration for `size`, with a fault of [`FAULTS`] or none.
    pub fn new(size: Size, fault: Option<&str>) -> Self {
        let planted = fault.and_then(|name| {
            Some(match name {
                "protocol-v1" => Planted::ProtocolV1,
                "no-epoch-bump" => Planted::NoEpochBump,
                "marker-of-same-epoch" => Planted::MarkerOfSameEpoch,
                "zombie-not-fenced" => Planted::ZombieNotFenced,
                "stable-offset-ignored" => Planted::StableOffsetIgnored,
                _ => return None,
            })
        });
        let (transactions, incarnations) = match (planted, size) {
            (Some(Planted::ZombieNotFenced), _) => (2, 2),
            (Some(_), _) => (2, 1),
            (None, Size::Small) => (2, 2),
            (None, Size::Large) => (3, 2),
        };
        Self { planted, transactions, incarnations }
    }

    fn bumps(&self) -> bool {
        !matches!(self.planted, Some(Planted::ProtocolV1 | Planted::NoEpochBump))
    }

    fn arrive(&self, state: &mut State, request: Request) {
        match request {
            Request::Produce(at, sender) => self.produce(state, at, sender),
            Request::End(sender, commit) => self.end(state, sender, commit),
            Request::Marker(at, epoch, commit) => self.marker(state, at, epoch, commit),
        }
    }

    fn produce(&self, state: &mut State, at: usize, sender: Sender) {
        let partition = &mut state.partitions[at];
        let stored = partition.log.contains(&Entry::Data(sender));
        if sender.epoch < partition.epoch || stored || partition.admitted.is_some() {
            return;
        }
        if self.planted == Some(Planted::ProtocolV1) {
            self.store(state, at, sender);
            return;
        }
        if self.add(state, at, sender) {
            state.partitions[at].admitted = Some(sender);
        }
    }

    /// AddPartitionsToTxn: of the present epoch, and not while a transaction is being completed.
    fn add(&self, state: &mut State, at: usize, sender: Sender) -> bool {
        if sender.epoch != state.epoch || matches!(state.phase, Phase::Prepare(_)) {
            return false;
        }
        state.phase = Phase::Ongoing;
        state.added |= 1 << at;
        true
    }

    fn store(&self, state: &mut State, at: usize, sender: Sender) {
        let partition = &mut state.partitions[at];
        if sender.epoch < partition.epoch {
            return;
        }
        partition.epoch = sender.epoch;
        partition.open = true;
        partition.log.push(Entry::Data(sender));
        state.zombie |= sender.incarnation < state.incarnation && state.is_settled();
    }

    fn end(&self, state: &mut State, sender: Sender, commit: bool) {
        if sender.epoch != state.epoch {
            return;
        }
        if state.phase == Phase::Complete && !commit && self.bumps() {
            // Nothing was added: the epoch is raised all the same, so that what comes late is not.
            state.last = Some((sender.epoch, commit));
            state.epoch += 1;
        }
        if state.phase != Phase::Ongoing {
            return;
        }
        state.zombie |= sender.incarnation < state.incarnation;
        let numbers = state.open_numbers();
        state.not_asked |= commit && numbers.iter().any(|number| *number != sender.number);
        state.last = Some((sender.epoch, commit));
        if commit {
            state.committed |= 1 << sender.number;
        }
        self.prepare(state, commit, self.bumps());
    }

    /// Decides, raises the epoch, and sends the markers.
    fn prepare(&self, state: &mut State, commit: bool, bump: bool) {
        state.phase = Phase::Prepare(commit);
        if bump {
            state.epoch += 1;
        }
        for at in 0..PARTITIONS {
            if state.added & (1 << at) != 0 {
                state.requests.insert(Request::Marker(at, state.epoch, commit));
            }
        }
    }

    fn marker(&self, state: &mut State, at: usize, epoch: u8, commit: bool) {
        let lax = !self.bumps() || self.planted == Some(Planted::MarkerOfSameEpoch);
        let partition = &mut state.partitions[at];
        let fits = epoch > partition.epoch || (lax && epoch == partition.epoch && partition.open);
        if fits {
            partition.epoch = epoch;
            partition.open = false;
            partition.log.push(Entry::Marker(commit));
        }
        // The answer, also to a marker that is there already.
        if state.phase == Phase::Prepare(commit) && epoch == state.epoch {
            state.added &= !(1 << at);
            if state.added == 0 {
                state.phase = Phase::Complete;
            }
        }
    }

    /// InitProducerId of the next incarnation: an open transaction is aborted under a raised one;
    /// while one is being completed the answer is 51.
    fn init(&self, state: &mut State) {
        let bump = self.planted != Some(Planted::ZombieNotFenced);
        match state.phase {
            Phase::Prepare(_) => return,
            Phase::Ongoing => {
                state.last = None;
                self.prepare(state, false, true);
            }
            Phase::Complete if bump => state.epoch += 1,
            Phase::Complete => {}
        }
        state.incarnation += 1;
        let sender =
            Sender { incarnation: state.incarnation, epoch: state.epoch, number: state.begun };
        state.begun += 1;
        state.producers.push(Producer { sender, sent: 0, answered: 0, ending: None });
    }

    /// What a read_committed consumer is given.
    fn visible(&self, partition: &Partition) -> Vec<Sender> {
        let mut seen = Vec::new();
        let mut open = Vec::new();
        for entry in &partition.log {
            match entry {
                Entry::Data(sender) => open.push(*sender),
                Entry::Marker(true) => seen.append(&mut open),
                Entry::Marker(false) => open.clear(),
            }
        }
        if self.planted == Some(Planted::StableOffsetIgnored) {
            seen.append(&mut open);
        }
        seen
    }

    fn shows(&self, state: &State, number: u8, at: usize) -> bool {
        self.visible(&state.partitions[at]).iter().any(|sender| sender.number == number)
    }

    fn is_atomic(&self, state: &State) -> bool {
        let committed = |number: u8| state.committed & (1 << number) != 0;
        let mut needed = state.acknowledged.iter().filter(|(number, _)| committed(*number));
        matches!(state.phase, Phase::Prepare(_))
            || needed.all(|(number, at)| self.shows(state, *number, *at))
    }
}

impl State {
    fn is_settled(&self) -> bool {
        self.phase == Phase::Complete
    }

    /// The transactions that have data without a marker.
    fn open_numbers(&self) -> BTreeSet<u8> {
        let mut numbers = BTreeSet::new();
        for partition in &self.partitions {
            for entry in partition.log.iter().rev() {
                match entry {
                    Entry::Data(sender) => numbers.insert(sender.number),
                    Entry::Marker(_) => break,
                };
            }
        }
        numbers
    }

    fn hangs(&self) -> bool {
        let pending = |at: usize| self.phase != Phase::Complete && self.added & (1 << at) != 0;
        (0..PARTITIONS).any(|at| self.partitions[at].open && !pending(at))
    }

    fn ended(&mut self, at: usize, bumps: bool) {
        let number = self.begun;
        let epoch = self.epoch;
        let producer = &mut self.producers[at];
        if bumps {
            producer.sender.epoch = epoch;
        }
        producer.sender.number = number;
        producer.sent = 0;
        producer.answered = 0;
        producer.ending = None;
        self.begun += 1;
    }

    /// Whether the producer's EndTxn was taken: also a late answer says so.
    fn has_ended(&self, producer: &Producer, bumps: bool) -> bool {
        let Some(commit) = producer.ending else { return false };
        self.last == Some((producer.sender.epoch, commit))
            && self.phase != Phase::Ongoing
            && self.epoch == producer.sender.epoch + u8::from(bumps)
            && producer.sender.incarnation == self.incarnation
    }
}

impl Model for Transactions {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let sender = Sender { incarnation: 0, epoch: 0, number: 0 };
        vec![State {
            producers: vec![Producer { sender, sent: 0, answered: 0, ending: None }],
            requests: BTreeSet::new(),
            partitions: Default::default(),
            phase: Phase::Complete,
            epoch: 0,
            incarnation: 0,
            added: 0,
            last: None,
            begun: 1,
            committed: 0,
            acknowledged: BTreeSet::new(),
            zombie: false,
            not_asked: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (i, producer) in state.producers.iter().enumerate() {
            let running = producer.ending.is_none() && producer.sender.number < self.transactions;
            for at in 0..PARTITIONS {
                let bit = 1 << at;
                if running && producer.sent & bit == 0 {
                    actions.push(Action::Send(i, at));
                }
                let data = Entry::Data(producer.sender);
                let stored = state.partitions[at].log.contains(&data);
                if producer.sent & bit != 0 && producer.answered & bit == 0 && stored {
                    actions.push(Action::Stored(i, at));
                }
            }
            if running && producer.sent != 0 {
                if producer.answered == producer.sent {
                    actions.push(Action::End(i, true));
                }
                actions.push(Action::End(i, false));
            }
            if state.has_ended(producer, self.bumps()) {
                actions.push(Action::Ended(i));
            }
        }
        actions.extend(state.requests.iter().map(|request| Action::Arrive(*request)));
        for at in 0..PARTITIONS {
            if state.partitions[at].admitted.is_some() {
                actions.push(Action::Append(at));
            }
        }
        if state.incarnation + 1 < self.incarnations {
            actions.push(Action::Init);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Send(i, at) => {
                let sender = state.producers[i].sender;
                // Protocol v1: the producer itself sends AddPartitionsToTxn before.
                let asks = self.planted == Some(Planted::ProtocolV1);
                if asks && !self.add(&mut state, at, sender) {
                    return None;
                }
                let producer = &mut state.producers[i];
                producer.sent |= 1 << at;
                state.requests.insert(Request::Produce(at, producer.sender));
            }
            Action::End(i, commit) => {
                let producer = &mut state.producers[i];
                producer.ending = Some(commit);
                state.requests.insert(Request::End(producer.sender, commit));
            }
            Action::Ended(i) => state.ended(i, self.bumps()),
            Action::Stored(i, at) => {
                let producer = &mut state.producers[i];
                producer.answered |= 1 << at;
                state.acknowledged.insert((producer.sender.number, at));
            }
            Action::Arrive(request) => self.arrive(&mut state, request),
            Action::Append(at) => {
                if let Some(sender) = state.partitions[at].admitted.take() {
                    self.store(&mut state, at, sender);
                }
            }
            Action::Init => self.init(&mut state),
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(COMMITTED_ONLY, |model: &Self, state: &State| {
                let seen = |p: &Partition| model.visible(p);
                let decided = |sender: &Sender| state.committed & (1 << sender.number) != 0;
                state.partitions.iter().flat_map(seen).all(|sender| decided(&sender))
            }),
            Property::always(ATOMIC, |model: &Self, state: &State| model.is_atomic(state)),
            Property::always(NO_HANGING, |_, state: &State| !state.hangs()),
            Property::always(FENCED, |_, state: &State| !state.zombie),
            Property::always(AS_ASKED, |_, state: &State| !state.not_asked),
            Property::sometimes(COMMITS, |model: &Self, state: &State| {
                (0..state.begun).any(|n| (0..PARTITIONS).all(|at| model.shows(state, n, at)))
            }),
            Property::sometimes(ABORTS, |_, state: &State| {
                let aborted =
                    |pair: &[Entry]| matches!(pair, [Entry::Data(_), Entry::Marker(false)]);
                state.partitions.iter().any(|p| p.log.windows(2).any(aborted))
            }),
            Property::sometimes(SECOND, |_, state: &State| {
                let shape = |part: &[Entry]| {
                    matches!(part, [Entry::Marker(false), Entry::Data(_), Entry::Marker(true)])
                };
                state.partitions.iter().any(|p| p.log.windows(3).any(shape))
            }),
            Property::sometimes(REPLACED, |model: &Self, state: &State| {
                let seen = |p: &Partition| model.visible(p);
                model.incarnations < 2
                    || state.partitions.iter().flat_map(seen).any(|s| s.incarnation > 0)
            }),
        ]
    }
}

impl Explained for Transactions {
    fn explain(&self, state: &State) -> String {
        let show = |entry: &Entry| match entry {
            Entry::Data(sender) => format!("t{}@{}", sender.number, sender.epoch),
            Entry::Marker(true) => "COMMIT".to_owned(),
            Entry::Marker(false) => "ABORT".to_owned(),
        };
        let log = |p: &Partition| p.log.iter().map(show).collect::<Vec<_>>().join(" ");
        format!(
            "coordinator: {:?}, epoch {}, partitions {:02b}; log 0 [{}], log 1 [{}]",
            state.phase,
            state.epoch,
            state.added,
            log(&state.partitions[0]),
            log(&state.partitions[1]),
        )
    }
}
