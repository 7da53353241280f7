//! Reconciliation of a KIP-848 group: members and a coordinator.
//!
//! Modelled by hand after the KIP: the broker of this repository has classic groups only. A
//! member's heartbeat and its answer are two messages, of which each may be lost and the heartbeat
//! may be processed again (a client that timed out sends the same once more on a new connection).
//! What is excluded is that the coordinator processes an older heartbeat after a newer one of the
//! same member: the protocol has no number against that, and relies on a connection being closed.
//! Revoking and taking on partitions are steps of the member, as its callbacks are. A session
//! may end while the member lives; it keeps what it has until it is told. The assignor deals
//! partitions out in turn. No symmetry is used.
//!
//! Liveness: `eventually` of stateright does not see cycles, and heartbeats are one. Instead, from
//! *every* state a fair schedule without faults (each living member sends, is answered, revokes and
//! takes on in turn) must lead to the target within a bound.

use stateright::{Model, Property};

use crate::check::{Explained, Fault, Invariant, Size};

const EXCLUSIVE: &str = "no two members own a partition";
const PROMISED: &str = "no partition is promised twice";
const KNOWN: &str = "a member owns what the coordinator gave it";
const EPOCHS: &str = "no member is ahead of its group";
const RECONCILES: &str = "the group can always reconcile";
const STABLE: &str = "two members reach a common epoch";
const MOVED: &str = "a partition moves between living members";
const WAITS: &str = "a member waits for another to revoke";
const ZOMBIE: &str = "a member that was removed still holds a partition";

/// What must hold in every state.
pub const INVARIANTS: &[Invariant] = &[
    Invariant {
        name: EXCLUSIVE,
        words: "No partition is owned by two members at once, but by one that was removed from the \
                group and has not heard of it (P8).",
        sources: "KIP-848 (revoke before assign), P8",
    },
    Invariant {
        name: PROMISED,
        words: "In the coordinator's records, no partition is assigned to a member while it is \
                assigned to another, or being revoked by it.",
        sources: "KIP-848, CurrentAssignmentBuilder",
    },
    Invariant {
        name: KNOWN,
        words: "What a member owns is assigned to it or being revoked, as the coordinator has it.",
        sources: "KIP-848",
    },
    Invariant {
        name: EPOCHS,
        words: "A member's epoch is at most the assignment epoch, that at most the group epoch.",
        sources: "KIP-848, K-GROUPS-848",
    },
    Invariant {
        name: RECONCILES,
        words: "From here, a fair schedule without faults leads to all members owning their \
                target, all partitions owned, and every epoch the group's.",
        sources: "KIP-848",
    },
];

/// What must be reached.
pub const GOALS: &[Invariant] = &[
    Invariant {
        name: STABLE,
        words: "Two members own their shares in one epoch.",
        sources: "guards all",
    },
    Invariant {
        name: MOVED,
        words: "A partition was revoked by one member and taken on by another.",
        sources: "guards exclusive ownership",
    },
    Invariant {
        name: WAITS,
        words: "A member's target has a partition that another has not given up.",
        sources: "guards exclusive ownership",
    },
    Invariant {
        name: ZOMBIE,
        words: "A session ended while its member held a partition.",
        sources: "guards fencing",
    },
];

/// What can be planted.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "assign-before-release",
        words: "A member is given its target at once, whoever else still has it.",
        sources: "KIP-848",
        breaks: PROMISED,
    },
    Fault {
        name: "revocation-assumed",
        words: "The coordinator takes partitions for revoked when it has asked, not when the \
                member reports that it no longer owns them.",
        sources: "KIP-848, CurrentAssignmentBuilder.ownsRevokedPartitions",
        breaks: KNOWN,
    },
    Fault {
        name: "report-before-revoke",
        words: "A member reports what it is going to own, its callback still running.",
        sources: "KIP-848",
        breaks: KNOWN,
    },
    Fault {
        name: "report-before-taking-on",
        words: "A member reports what it owns while it takes on more: by the time its report is \
                processed it owns what the coordinator then believes to be free.",
        sources: "seen while this was written; Kafka's client omits an unchanged field",
        breaks: KNOWN,
    },
    Fault {
        name: "waits-for-ever",
        words: "A member that waits for a partition of another is told nothing when that is free.",
        sources: "KIP-848 (UNRELEASED_PARTITIONS)",
        breaks: RECONCILES,
    },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Planted {
    AssignBeforeRelease,
    RevocationAssumed,
    ReportBeforeRevoke,
    ReportBeforeTakingOn,
    WaitsForEver,
}

/// A set of partitions as bits.
type Set = u8;

/// The model.
#[derive(Debug, Clone)]
pub struct Reconciliation {
    planted: Option<Planted>,
    members: usize,
    partitions: usize,
    changes: u8,
    expiries: u8,
}

/// What a heartbeat says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Heartbeat {
    /// Member epoch; 0 to join.
    epoch: u8,
    /// Partitions that it owns; `None` where it does not say: then it may own what it did.
    owned: Option<Set>,
}

/// What it is answered: an epoch and an assignment, or that the member is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Member epoch and assignment.
    Assigned(u8, Set),
    /// UNKNOWN_MEMBER_ID or FENCED_MEMBER_EPOCH.
    Fenced,
}

/// A member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Member {
    /// Whether it runs and wants to be in the group.
    running: bool,
    /// Its epoch; 0 before it has joined.
    epoch: u8,
    /// What it owns.
    owned: Set,
    /// What it was last assigned.
    assigned: Set,
    /// Its last heartbeat, which may be processed again.
    heartbeat: Option<Heartbeat>,
    /// The answer on its way.
    answer: Option<Answer>,
}

/// A member's record at the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Record {
    epoch: u8,
    previous_epoch: u8,
    /// Assigned and not to be revoked.
    assigned: Set,
    /// To be revoked, not reported as such.
    revoking: Set,
    /// Whether something of its target is not free.
    waits: bool,
}

/// A state of the whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    members: Vec<Member>,
    records: Vec<Option<Record>>,
    target: Vec<Set>,
    group_epoch: u8,
    assignment_epoch: u8,
    changes: u8,
    expiries: u8,
    moved: bool,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A member starts.
    Start(usize),
    /// It leaves in good order.
    Leave(usize),
    /// It sends a heartbeat; an older one and its answer are lost.
    Heartbeat(usize),
    /// The coordinator processes it, perhaps again.
    Process(usize),
    /// The member reads the answer.
    Read(usize),
    /// The member gives up what is not assigned any more.
    Revoke(usize),
    /// The member takes on what is assigned.
    TakeOn(usize),
    /// The coordinator computes a new target.
    Assign,
    /// The coordinator ends the member's session.
    Expire(usize),
}

impl Reconciliation {
    /// The configuration for `size`, with a fault of [`FAULTS`] or none.
    pub fn new(size: Size, fault: Option<&str>) -> Self {
        let planted = fault.and_then(|name| {
            Some(match name {
                "assign-before-release" => Planted::AssignBeforeRelease,
                "revocation-assumed" => Planted::RevocationAssumed,
                "report-before-revoke" => Planted::ReportBeforeRevoke,
                "report-before-taking-on" => Planted::ReportBeforeTakingOn,
                "waits-for-ever" => Planted::WaitsForEver,
                _ => return None,
            })
        });
        let (members, partitions, changes, expiries) = match (planted, size) {
            (None, Size::Large) => (3, 3, 4, 1),
            _ => (2, 2, 3, 1),
        };
        Self { planted, members, partitions, changes, expiries }
    }

    fn deal(&self, state: &mut State) {
        let known = |i: &usize| state.records[*i].is_some();
        let members: Vec<usize> = (0..self.members).filter(known).collect();
        state.target = vec![0; self.members];
        for partition in 0..self.partitions {
            if !members.is_empty() {
                state.target[members[partition % members.len()]] |= 1 << partition;
            }
        }
        state.assignment_epoch = state.group_epoch;
    }

    fn process(&self, state: &mut State, i: usize) {
        let Some(heartbeat) = state.members[i].heartbeat else { return };
        let record = match (state.records[i], heartbeat.epoch) {
            (None, 0) => {
                state.group_epoch += 1;
                Record { epoch: 0, previous_epoch: 0, assigned: 0, revoking: 0, waits: false }
            }
            (Some(record), 0) => record,
            (Some(record), epoch) if epoch == record.epoch => record,
            (Some(record), epoch)
                if epoch == record.previous_epoch
                    && heartbeat.owned.is_none_or(|owned| owned & !record.assigned == 0) =>
            {
                record
            }
            _ => {
                state.members[i].answer = Some(Answer::Fenced);
                return;
            }
        };
        state.records[i] = Some(record);
        let next = self.reconcile(state, i, record, heartbeat);
        state.records[i] = Some(next);
        state.members[i].answer = Some(Answer::Assigned(next.epoch, next.assigned));
    }

    /// The next assignment of a member: revoke first, then wait for it to say so, then advance.
    fn reconcile(&self, state: &State, i: usize, now: Record, heartbeat: Heartbeat) -> Record {
        let report = heartbeat.epoch == now.epoch || heartbeat.epoch == 0;
        let may_own = |set: Set| !report || heartbeat.owned.is_none_or(|owned| owned & set != 0);
        if now.revoking != 0 && may_own(now.revoking) {
            return now;
        }
        let settled = now.epoch == state.assignment_epoch && now.revoking == 0;
        if settled && (!now.waits || self.planted == Some(Planted::WaitsForEver)) {
            return now;
        }
        if state.assignment_epoch == 0 {
            return now;
        }
        let target = state.target[i];
        let kept = now.assigned & target;
        let revoke = now.assigned & !target;
        if revoke != 0 && may_own(revoke) && self.planted != Some(Planted::RevocationAssumed) {
            return Record { assigned: kept, revoking: revoke, ..now };
        }
        let taken = match self.planted {
            Some(Planted::AssignBeforeRelease) => 0,
            _ => self.held_by_others(state, i),
        };
        let epoch = state.assignment_epoch;
        let previous_epoch = if epoch == now.epoch { now.previous_epoch } else { now.epoch };
        Record {
            epoch,
            previous_epoch,
            assigned: kept | (target & !taken),
            revoking: 0,
            waits: target & taken != 0,
        }
    }

    fn held_by_others(&self, state: &State, i: usize) -> Set {
        let others = (0..self.members).filter(|j| *j != i).filter_map(|j| state.records[j]);
        others.fold(0, |set, record| set | record.assigned | record.revoking)
    }

    fn heartbeat(&self, member: &mut Member) {
        let owned = match self.planted {
            Some(Planted::ReportBeforeRevoke) => Some(member.owned & member.assigned),
            Some(Planted::ReportBeforeTakingOn) => Some(member.owned),
            _ => (member.owned & !member.assigned != 0 || member.owned == member.assigned)
                .then_some(member.owned),
        };
        member.heartbeat = Some(Heartbeat { epoch: member.epoch, owned });
        member.answer = None;
    }

    fn expire(state: &mut State, i: usize) {
        if state.records[i].take().is_some() {
            state.group_epoch += 1;
        }
    }

    fn step(&self, state: &mut State, action: &Action) {
        match *action {
            Action::Start(i) => {
                state.changes += 1;
                state.members[i].running = true;
            }
            Action::Leave(i) => {
                state.changes += 1;
                state.members[i] = Member::default();
                Self::expire(state, i);
            }
            Action::Heartbeat(i) => self.heartbeat(&mut state.members[i]),
            Action::Process(i) => self.process(state, i),
            Action::Read(i) => read(&mut state.members[i]),
            Action::Revoke(i) => {
                let member = &mut state.members[i];
                member.owned &= member.assigned;
            }
            Action::TakeOn(i) => {
                let member = &mut state.members[i];
                let new = member.assigned & !member.owned;
                member.owned = member.assigned;
                state.moved |= new != 0 && state.members.iter().filter(|m| m.epoch > 1).count() > 1;
            }
            Action::Assign => self.deal(state),
            Action::Expire(i) => {
                state.expiries += 1;
                Self::expire(state, i);
            }
        }
    }

    fn reconciled(&self, state: &State) -> bool {
        let all = (1 << self.partitions) - 1;
        let running = || (0..self.members).filter(|i| state.members[*i].running);
        let there = |i: usize| {
            let member = &state.members[i];
            member.epoch == state.group_epoch && member.owned == state.target[i]
        };
        let owned = running().fold(0, |set, i| set | state.members[i].owned);
        running().all(there) && (owned == all || running().next().is_none())
    }

    /// A fair schedule without faults.
    fn can_reconcile(&self, state: &State) -> bool {
        let mut state = state.clone();
        for _ in 0..4 * self.members + 4 {
            if self.reconciled(&state) {
                return true;
            }
            for i in 0..self.members {
                if state.members[i].running {
                    for action in [Action::Heartbeat(i), Action::Process(i), Action::Read(i)] {
                        self.step(&mut state, &action);
                    }
                    self.step(&mut state, &Action::Revoke(i));
                    self.step(&mut state, &Action::TakeOn(i));
                }
            }
            if state.assignment_epoch < state.group_epoch {
                self.deal(&mut state);
            }
        }
        self.reconciled(&state)
    }
}

fn read(member: &mut Member) {
    if member.answer.is_some() {
        member.heartbeat = None;
    }
    match member.answer.take() {
        Some(Answer::Assigned(epoch, assigned)) => {
            member.epoch = epoch;
            member.assigned = assigned;
        }
        Some(Answer::Fenced) => {
            // Its partitions are lost; it joins again with nothing.
            *member = Member { running: true, ..Member::default() };
        }
        None => {}
    }
}

impl State {
    /// Members that the coordinator knows as they know themselves.
    fn current(&self) -> impl Iterator<Item = (Member, Record)> {
        let pairs = self.members.iter().zip(&self.records);
        pairs.filter_map(|(member, record)| Some((*member, (*record)?)))
    }

    fn is_exclusive(&self) -> bool {
        disjoint(self.current().map(|(member, _)| member.owned))
    }

    fn is_promised_once(&self) -> bool {
        disjoint(self.records.iter().flatten().map(|record| record.assigned | record.revoking))
    }

    fn zombie_holds(&self) -> bool {
        let pairs = self.members.iter().zip(&self.records);
        pairs.into_iter().any(|(member, record)| record.is_none() && member.owned != 0)
    }
}

fn disjoint(sets: impl Iterator<Item = Set>) -> bool {
    let mut seen = 0;
    for set in sets {
        if seen & set != 0 {
            return false;
        }
        seen |= set;
    }
    true
}

impl Model for Reconciliation {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            members: vec![Member::default(); self.members],
            records: vec![None; self.members],
            target: vec![0; self.members],
            group_epoch: 0,
            assignment_epoch: 0,
            changes: 0,
            expiries: 0,
            moved: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (i, member) in state.members.iter().enumerate() {
            let changes = state.changes < self.changes;
            if !member.running {
                if changes {
                    actions.push(Action::Start(i));
                }
                continue;
            }
            if changes && member.epoch > 0 {
                actions.push(Action::Leave(i));
            }
            actions.push(Action::Heartbeat(i));
            if member.heartbeat.is_some() {
                actions.push(Action::Process(i));
            }
            if member.answer.is_some() {
                actions.push(Action::Read(i));
            }
            if member.owned & !member.assigned != 0 {
                actions.push(Action::Revoke(i));
            } else if member.assigned != member.owned {
                actions.push(Action::TakeOn(i));
            }
            if state.records[i].is_some() && state.expiries < self.expiries {
                actions.push(Action::Expire(i));
            }
        }
        if state.assignment_epoch < state.group_epoch {
            actions.push(Action::Assign);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.step(&mut state, &action);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(EXCLUSIVE, |_, state: &State| state.is_exclusive()),
            Property::always(PROMISED, |_, state: &State| state.is_promised_once()),
            Property::always(KNOWN, |_, state: &State| {
                state.current().all(|(member, record)| {
                    member.epoch == 0 || member.owned & !(record.assigned | record.revoking) == 0
                })
            }),
            Property::always(EPOCHS, |_, state: &State| {
                state.assignment_epoch <= state.group_epoch
                    && state.current().all(|(_, record)| record.epoch <= state.assignment_epoch)
            }),
            Property::always(RECONCILES, |model: &Self, state: &State| model.can_reconcile(state)),
            Property::sometimes(STABLE, |model: &Self, state: &State| {
                state.members.iter().filter(|member| member.owned != 0).count() > 1
                    && model.reconciled(state)
            }),
            Property::sometimes(MOVED, |_, state: &State| state.moved),
            Property::sometimes(WAITS, |_, state: &State| {
                state.current().any(|(_, record)| record.waits)
            }),
            Property::sometimes(ZOMBIE, |_, state: &State| state.zombie_holds()),
        ]
    }
}

impl Explained for Reconciliation {
    fn explain(&self, state: &State) -> String {
        let mut text = format!("group {}, target {}", state.group_epoch, state.assignment_epoch);
        for (i, (member, record)) in state.members.iter().zip(&state.records).enumerate() {
            text += &format!("; {i} at {} owns {:02b}", member.epoch, member.owned);
            if let Some(record) = record {
                let (assigned, revoking) = (record.assigned, record.revoking);
                text += &format!(" (has {assigned:02b}, revokes {revoking:02b})");
            }
        }
        text
    }
}
