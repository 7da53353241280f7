//! An idempotent producer: one partition, two replicas, batches of one record.
//!
//! The judge is production code: [`ProducerState`] of `ottla-broker`, fed from batch headers. It is
//! rebuilt from the leader's log before every append, as recovery and a new leader do, so the
//! model's state holds the log alone. The producer and the replication are modelled by hand; the
//! latter is reduced to a follower that copies one batch at a time, and a change of leader that
//! keeps what the follower has (all that is committed).
//!
//! The network is a set of all requests that were ever sent, and one of all answers: each may
//! arrive never, late, in any order, and again and again. A retry is thus a request that arrives
//! once more. The producer gives a batch up at any moment (`delivery.timeout.ms`). No symmetry is
//! used.

use std::collections::BTreeSet;

use ottla_broker::log::{Check, ProducerState};
use ottla_protocol::records::{Attributes, BatchHeader};
use stateright::{Model, Property};

use crate::check::{Explained, Fault, Invariant, Size};

const ORDER: &str = "values are stored once and in order";
const NO_GAP: &str = "nothing is left out";
const ACKED: &str = "an acknowledged value is stored";
const ALL_STORED: &str = "all values are stored";
const TOLD_APART: &str = "a duplicate is told";
const LED_ON: &str = "a value is committed under the second leader";
const RAISED: &str = "a value of a raised epoch is committed";

/// What must hold in every state.
pub const INVARIANTS: &[Invariant] = &[
    Invariant {
        name: ORDER,
        words: "The values in the leader's log rise strictly: no duplicate, and the order in \
                which the user sent them.",
        sources: "KIP-98, KIP-360, K-IDEMPOTENCE-003, -015, K-REPLICATION-018",
    },
    Invariant {
        name: NO_GAP,
        words: "Where a value is in the leader's log, all lower ones are, but those that the \
                producer gave up and told the user so.",
        sources: "KIP-98, K-IDEMPOTENCE-006, -009",
    },
    Invariant {
        name: ACKED,
        words: "A value that was acknowledged to the user is in the leader's log, now and later.",
        sources: "M9, K-IDEMPOTENCE-001, -005, scenario 29",
    },
];

/// What must be reached.
pub const GOALS: &[Invariant] = &[
    Invariant { name: ALL_STORED, words: "Every value is committed.", sources: "guards all" },
    Invariant {
        name: TOLD_APART,
        words: "A request arrived whose batch was stored, and was answered as a duplicate.",
        sources: "guards K-IDEMPOTENCE-001 and the rebuilt state",
    },
    Invariant {
        name: LED_ON,
        words: "A batch was appended and committed after the change of leader.",
        sources: "guards the rebuilt state",
    },
    Invariant {
        name: RAISED,
        words: "A batch was committed after the producer had raised its epoch.",
        sources: "guards KIP-360",
    },
];

/// What can be planted.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "window-of-four",
        words: "The producer state has one batch less than the client may have in flight, and a \
                duplicate outside is taken for a producer that wraps round.",
        sources: "KIP-98, K-IDEMPOTENCE-001",
        breaks: ORDER,
    },
    Fault {
        name: "reset-without-bump",
        words: "After a timeout the next value gets the sequence of the one that was given up, \
                in the same epoch.",
        sources: "KIP-360, trap 2 (a sequence is its batch's for ever)",
        breaks: ACKED,
    },
    Fault {
        name: "state-not-rebuilt",
        words: "A new leader knows only the batches that it appended itself.",
        sources: "KIP-98, M9, K-REPLICATION-018",
        breaks: ORDER,
    },
    Fault {
        name: "duplicate-answered-early",
        words: "A duplicate is answered although the original is not committed.",
        sources: "M9, K-IDEMPOTENCE-005, scenario 29",
        breaks: ACKED,
    },
    Fault {
        name: "many-before-first-ack",
        words: "A producer that the broker does not know has several batches on their way.",
        sources: "trap 3, K-IDEMPOTENCE-011",
        breaks: NO_GAP,
    },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Planted {
    WindowOfFour,
    ResetWithoutBump,
    StateNotRebuilt,
    DuplicateAnsweredEarly,
    ManyBeforeFirstAck,
}

/// The model.
#[derive(Debug, Clone)]
pub struct Idempotence {
    planted: Option<Planted>,
    values: u8,
    in_flight: usize,
    given_up: usize,
    leaders: u8,
}

/// A batch as it is sent and stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Batch {
    /// Producer epoch.
    pub epoch: u8,
    /// Sequence of its one record.
    pub sequence: u8,
    /// What the user sent.
    pub value: u8,
}

/// A state of the whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// Producer epoch of the client.
    epoch: u8,
    /// Its next sequence.
    sequence: u8,
    /// Its next value.
    value: u8,
    /// Whether it waits for its batches to settle before it raises its epoch.
    unresolved: bool,
    /// Whether a batch of this epoch was acknowledged.
    known: bool,
    /// Its batches on their way, in order.
    flying: Vec<Batch>,
    /// Values that the user was told to be stored.
    acked: BTreeSet<u8>,
    /// Values that the user was told to be possibly lost.
    lost: BTreeSet<u8>,
    /// All requests.
    requests: BTreeSet<Batch>,
    /// All answers that say that a batch (epoch, sequence) is stored.
    answers: BTreeSet<(u8, u8)>,
    /// The leader's log.
    log: Vec<Batch>,
    /// How many of it the follower has, which is what is committed.
    copied: usize,
    /// How often the leader changed.
    leader: u8,
    /// Where the present leader's own appends begin.
    led_from: usize,
    /// Whether a duplicate was told.
    told: bool,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The client sends the next value.
    Send,
    /// A request arrives.
    Arrive(Batch),
    /// The follower copies a batch.
    Copy,
    /// An answer reaches the client.
    Answer(u8, u8),
    /// The client gives its oldest batch up.
    GiveUp,
    /// The client raises its epoch.
    RaiseEpoch,
    /// The follower becomes the leader.
    ChangeLeader,
}

impl Idempotence {
    /// The configuration for `size`, with a fault of [`FAULTS`] or none.
    pub fn new(size: Size, fault: Option<&str>) -> Self {
        let planted = fault.and_then(|name| {
            Some(match name {
                "window-of-four" => Planted::WindowOfFour,
                "reset-without-bump" => Planted::ResetWithoutBump,
                "state-not-rebuilt" => Planted::StateNotRebuilt,
                "duplicate-answered-early" => Planted::DuplicateAnsweredEarly,
                "many-before-first-ack" => Planted::ManyBeforeFirstAck,
                _ => return None,
            })
        });
        let (values, in_flight, given_up, leaders) = match (planted, size) {
            (Some(Planted::WindowOfFour), _) => (6, 5, 0, 0),
            (Some(_), _) => (3, 2, 1, 1),
            (None, Size::Small) => (5, 3, 1, 1),
            (None, Size::Large) => (9, 5, 2, 2),
        };
        Self { planted, values, in_flight, given_up, leaders }
    }

    fn may_send(&self, state: &State) -> bool {
        let first = !state.known && self.planted != Some(Planted::ManyBeforeFirstAck);
        let most = if first { 1 } else { self.in_flight };
        state.value < self.values && !state.unresolved && state.flying.len() < most
    }

    /// What the leader knows of producers: production code over its log.
    fn producers(&self, state: &State) -> ProducerState {
        let from = match self.planted {
            Some(Planted::StateNotRebuilt) => state.led_from.min(state.log.len()),
            Some(Planted::WindowOfFour) => state.log.len().saturating_sub(4),
            _ => 0,
        };
        let mut producers = ProducerState::new();
        for (offset, batch) in state.log.iter().enumerate().skip(from) {
            producers.update(&header(batch, offset), 0);
        }
        producers
    }

    fn arrive(&self, state: &mut State, batch: Batch) {
        match self.producers(state).check(&header(&batch, 0)) {
            Ok(Check::Append) => state.log.push(batch),
            Ok(Check::Duplicate { last_offset, .. }) => {
                state.told = true;
                let stored = usize::try_from(last_offset).is_ok_and(|at| at < state.copied);
                if stored || self.planted == Some(Planted::DuplicateAnsweredEarly) {
                    state.answers.insert((batch.epoch, batch.sequence));
                }
            }
            // With a window that is too small, the leader does not find what it forgot, and a
            // leader that took it for a new producer's batch would append it.
            Err(_) if self.planted == Some(Planted::WindowOfFour) => {
                let oldest = state.log.len().saturating_sub(4);
                if state.log[..oldest].contains(&batch) {
                    state.log.push(batch);
                }
            }
            Err(_) => {}
        }
    }
}

fn header(batch: &Batch, offset: usize) -> BatchHeader {
    BatchHeader {
        base_offset: i64::try_from(offset).unwrap_or(i64::MAX),
        batch_length: 0,
        partition_leader_epoch: 0,
        magic: 2,
        crc: 0,
        attributes: Attributes(0),
        last_offset_delta: 0,
        base_timestamp: 0,
        max_timestamp: 0,
        producer_id: 1,
        producer_epoch: i16::from(batch.epoch),
        base_sequence: i32::from(batch.sequence),
        record_count: 1,
    }
}

impl State {
    fn answered(&mut self, epoch: u8, sequence: u8) {
        let fits = |batch: &Batch| batch.epoch == epoch && batch.sequence == sequence;
        if let Some(at) = self.flying.iter().position(fits) {
            self.acked.insert(self.flying.remove(at).value);
            self.known = true;
        }
    }

    fn give_up(&mut self, reset: bool) {
        let batch = self.flying.remove(0);
        self.lost.insert(batch.value);
        match reset {
            true => self.sequence = batch.sequence,
            false => self.unresolved = true,
        }
    }

    fn raise_epoch(&mut self) {
        self.epoch += 1;
        self.sequence = 0;
        self.unresolved = false;
        self.known = false;
    }

    fn is_ordered(&self) -> bool {
        self.log.is_sorted_by(|a, b| a.value < b.value)
    }

    fn has_no_gap(&self) -> bool {
        let highest = self.log.iter().map(|batch| batch.value).max();
        highest.is_none_or(|highest| {
            (0..highest).all(|value| self.lost.contains(&value) || self.stores(value))
        })
    }

    fn stores(&self, value: u8) -> bool {
        self.log.iter().any(|batch| batch.value == value)
    }
}

impl Model for Idempotence {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if self.may_send(state) {
            actions.push(Action::Send);
        }
        actions.extend(state.requests.iter().map(|batch| Action::Arrive(*batch)));
        if state.copied < state.log.len() {
            actions.push(Action::Copy);
        }
        actions.extend(state.answers.iter().map(|(epoch, seq)| Action::Answer(*epoch, *seq)));
        if state.lost.len() < self.given_up && !state.flying.is_empty() {
            actions.push(Action::GiveUp);
        }
        if state.unresolved && state.flying.is_empty() {
            actions.push(Action::RaiseEpoch);
        }
        if state.leader < self.leaders {
            actions.push(Action::ChangeLeader);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Send => {
                let (epoch, sequence, value) = (state.epoch, state.sequence, state.value);
                let batch = Batch { epoch, sequence, value };
                state.flying.push(batch);
                state.requests.insert(batch);
                state.sequence += 1;
                state.value += 1;
            }
            Action::Arrive(batch) => self.arrive(&mut state, batch),
            Action::Copy => {
                let batch = state.log[state.copied];
                state.copied += 1;
                state.answers.insert((batch.epoch, batch.sequence));
            }
            Action::Answer(epoch, sequence) => state.answered(epoch, sequence),
            Action::GiveUp => state.give_up(self.planted == Some(Planted::ResetWithoutBump)),
            Action::RaiseEpoch => state.raise_epoch(),
            Action::ChangeLeader => {
                state.leader += 1;
                state.log.truncate(state.copied);
                state.led_from = state.copied;
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ORDER, |_, state: &State| state.is_ordered()),
            Property::always(NO_GAP, |_, state: &State| state.has_no_gap()),
            Property::always(ACKED, |_, state: &State| {
                state.acked.iter().all(|value| state.stores(*value))
            }),
            Property::sometimes(ALL_STORED, |model: &Self, state: &State| {
                state.copied == usize::from(model.values)
            }),
            Property::sometimes(TOLD_APART, |_, state: &State| state.told),
            Property::sometimes(LED_ON, |_, state: &State| {
                state.leader > 0 && state.copied > state.led_from
            }),
            Property::sometimes(RAISED, |_, state: &State| {
                state.log[..state.copied].iter().any(|batch| batch.epoch > 0)
            }),
        ]
    }
}

impl Explained for Idempotence {
    fn explain(&self, state: &State) -> String {
        let show = |batch: &Batch| format!("{}@{}.{}", batch.value, batch.epoch, batch.sequence);
        let log: Vec<String> = state.log.iter().map(show).collect();
        let flying: Vec<String> = state.flying.iter().map(show).collect();
        format!(
            "log [{}], committed {}, in flight [{}], acknowledged {:?}, given up {:?}",
            log.join(" "),
            state.copied,
            flying.join(" "),
            state.acked,
            state.lost,
        )
    }
}
