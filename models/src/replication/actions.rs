//! What can happen, and what comes of it.

use super::log::{self, Record};
use super::state::{Set, State, bit, size};
use super::{Planted, REPLICAS, Replication};

const SENT: usize = 0;
const FENCES: usize = 1;
const CRASHES: usize = 2;
const LOSSES: usize = 3;
const ALTERS: usize = 4;

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A producer's record with acks=all reaches a broker that believes that it leads.
    Produce(usize),
    /// A follower fetches from the leader that it knows.
    Fetch(usize),
    /// A broker hears of the newest metadata.
    Learn(usize),
    /// The controller ends a broker's session (its heartbeats were late).
    Fence(usize),
    /// A fenced broker that lives is let in again.
    Unfence(usize),
    /// The controller makes a replica the leader.
    Elect(usize),
    /// A leader asks for another ISR.
    Ask(usize, u8),
    /// The controller decides what the leader has asked.
    Decide(usize),
    /// A broker stops, and keeps so many records.
    Crash(usize, usize),
    /// It starts again and registers.
    Restart(usize),
}

/// What can happen in `state`.
pub(super) fn possible(model: &Replication, state: &State, actions: &mut Vec<Action>) {
    let bounds = &model.bounds;
    for replica in 0..REPLICAS {
        let broker = &state.brokers[replica];
        if !broker.alive {
            actions.push(Action::Restart(replica));
            continue;
        }
        if state.leads(replica) {
            if state.used[SENT] < bounds.records && size(broker.isr) >= bounds.min_isr {
                actions.push(Action::Produce(replica));
            }
            asks(model, state, replica, actions);
        } else {
            actions.push(Action::Fetch(replica));
        }
        if broker.version != state.controller.version {
            actions.push(Action::Learn(replica));
        }
        if broker.pending.is_some() {
            actions.push(Action::Decide(replica));
        }
        match state.controller.fenced & bit(replica) != 0 {
            true => actions.push(Action::Unfence(replica)),
            false if may_fence(model, state, replica) => actions.push(Action::Fence(replica)),
            false => {}
        }
        crashes(model, state, replica, actions);
    }
    if state.controller.leader.is_none() && state.controller.epoch < bounds.epochs {
        let candidates = (0..REPLICAS).filter(|replica| electable(state) & bit(*replica) != 0);
        actions.extend(candidates.map(Action::Elect));
    }
}

fn may_fence(model: &Replication, state: &State, replica: usize) -> bool {
    let chosen = model.bounds.fence_followers || state.controller.leader == Some(replica);
    state.used[FENCES] < model.bounds.fences && chosen
}

fn crashes(model: &Replication, state: &State, replica: usize, actions: &mut Vec<Action>) {
    let end = state.brokers[replica].log.len();
    if state.used[CRASHES] < model.bounds.crashes {
        actions.push(Action::Crash(replica, end));
    }
    if state.used[LOSSES] < model.bounds.losses && end > 0 {
        actions.push(Action::Crash(replica, end - 1));
        if end > 1 {
            actions.push(Action::Crash(replica, 0));
        }
    }
}

/// From the ISR, else from the eligible replicas; never from beyond (K-REPLICATION-015).
fn electable(state: &State) -> Set {
    let controller = &state.controller;
    let free = !controller.fenced;
    match controller.isr & free {
        0 => controller.elr & free,
        in_sync => in_sync,
    }
}

fn asks(model: &Replication, state: &State, leader: usize, actions: &mut Vec<Action>) {
    let broker = &state.brokers[leader];
    if broker.pending.is_some() || state.used[ALTERS] >= model.bounds.alters {
        return;
    }
    for follower in (0..REPLICAS).filter(|replica| *replica != leader) {
        let end = broker.ends[follower];
        let caught_up = end >= broker.watermark && end >= broker.epoch_start;
        match broker.isr & bit(follower) != 0 {
            true => actions.push(Action::Ask(leader, broker.isr & !bit(follower))),
            false if caught_up => actions.push(Action::Ask(leader, broker.isr | bit(follower))),
            false => {}
        }
    }
}

/// Takes a step that [`possible`] has named.
pub(super) fn take(model: &Replication, state: &mut State, action: &Action) {
    match *action {
        Action::Produce(leader) => produce(model, state, leader),
        Action::Fetch(follower) => fetch(model, state, follower),
        Action::Learn(replica) => learn(model, state, replica),
        Action::Fence(replica) => {
            state.used[FENCES] += 1;
            fence(model, state, replica);
        }
        Action::Unfence(replica) => state.controller.fenced &= !bit(replica),
        Action::Elect(replica) => elect(state, replica),
        Action::Ask(leader, isr) => {
            state.used[ALTERS] += 1;
            let broker = &mut state.brokers[leader];
            // The incarnations are those of the fetches that the leader has judged (KIP-903).
            broker.pending = Some((isr, broker.fetched_by));
            raise(model, state, leader);
        }
        Action::Decide(leader) => decide(model, state, leader),
        Action::Crash(replica, kept) => crash(state, replica, kept),
        Action::Restart(replica) => restart(model, state, replica),
    }
}

fn produce(model: &Replication, state: &mut State, leader: usize) {
    let value = state.used[SENT];
    state.used[SENT] += 1;
    let broker = &mut state.brokers[leader];
    broker.log.push(Record { epoch: broker.epoch, value });
    raise(model, state, leader);
}

fn fetch(model: &Replication, state: &mut State, follower: usize) {
    let Some(leader) = state.brokers[follower].leader else { return };
    let epoch = state.brokers[follower].epoch;
    if leader == follower || !state.leads(leader) || state.brokers[leader].epoch != epoch {
        return;
    }
    let own = &state.brokers[follower].log;
    let cut = match model.planted {
        Some(Planted::TruncateToHighWatermark) => None,
        Some(Planted::EndOfUnknownEpoch) => {
            let end = log::end_of(&state.brokers[leader].log, log::last_epoch(own)).1;
            (end < own.len()).then_some(end)
        }
        _ => log::cut(own, &state.brokers[leader].log),
    };
    if let Some(end) = cut {
        let broker = &mut state.brokers[follower];
        broker.log.truncate(end);
        broker.watermark = broker.watermark.min(end);
        state.ghost.truncated = true;
        return;
    }
    let end = own.len();
    if end > state.brokers[leader].log.len() {
        // OFFSET_OUT_OF_RANGE: the follower begins again at the leader's end.
        let leader_end = state.brokers[leader].log.len();
        let broker = &mut state.brokers[follower];
        broker.log.truncate(leader_end);
        broker.watermark = broker.watermark.min(leader_end);
        return;
    }
    let incarnation = state.controller.incarnations[follower];
    let broker = &mut state.brokers[leader];
    broker.ends[follower] = end;
    broker.fetched_by[follower] = incarnation;
    raise(model, state, leader);
    let (watermark, record) = {
        let broker = &state.brokers[leader];
        (broker.watermark, broker.log.get(end).copied())
    };
    let broker = &mut state.brokers[follower];
    broker.log.extend(record);
    broker.watermark = watermark.min(broker.log.len());
}

/// Raises a leader's high watermark as far as it may: what all of the maximal ISR have
/// (M3), while that has `min.insync.replicas` members (P1).
fn raise(model: &Replication, state: &mut State, leader: usize) {
    let broker = &mut state.brokers[leader];
    broker.ends[leader] = broker.log.len();
    let counted = match (broker.pending, model.planted) {
        (Some((pending, _)), Some(Planted::ShrinkBeforeCommit)) => pending,
        (pending, _) => broker.isr | pending.map_or(0, |(isr, _)| isr),
    };
    let members = (0..REPLICAS).filter(|replica| counted & bit(*replica) != 0);
    let end = match model.planted {
        Some(Planted::AckAlone) => broker.log.len(),
        _ if size(broker.isr) < model.bounds.min_isr => return,
        _ => members.map(|replica| broker.ends[replica]).min().unwrap_or(0),
    };
    broker.watermark = broker.watermark.max(end);
    if broker.watermark >= broker.epoch_start {
        state.ghost.listed = state.ghost.listed.max(broker.watermark);
    }
    let ghost = &mut state.ghost;
    for (offset, record) in broker.log[..broker.watermark].iter().enumerate() {
        match ghost.committed.get(offset) {
            None => ghost.committed.push(*record),
            Some(known) => ghost.rewritten |= known != record,
        }
    }
}

fn learn(model: &Replication, state: &mut State, replica: usize) {
    let controller = &state.controller;
    let (leader, epoch, isr, version) =
        (controller.leader, controller.epoch, controller.isr, controller.version);
    let broker = &mut state.brokers[replica];
    let newer = epoch > broker.epoch || leader != broker.leader;
    broker.leader = leader;
    broker.epoch = epoch;
    broker.isr = isr;
    broker.version = version;
    broker.pending = None;
    let leads = leader == Some(replica);
    if newer && leads {
        broker.epoch_start = broker.log.len();
        broker.ends = [0; REPLICAS];
    }
    if newer && !leads && leader.is_some() && model.has(Planted::TruncateToHighWatermark) {
        broker.log.truncate(broker.watermark);
    }
    if leads {
        raise(model, state, replica);
    } else {
        // What only a leader needs is forgotten, so that like states are one.
        broker.epoch_start = 0;
        broker.ends = [0; REPLICAS];
        broker.fetched_by = [0; REPLICAS];
    }
}

/// Takes a replica out of the ISR and its leadership from it (M4). The members that a too small ISR
/// leaves behind stay eligible (KIP-966).
fn fence(model: &Replication, state: &mut State, replica: usize) {
    let controller = &mut state.controller;
    controller.fenced |= bit(replica);
    controller.version += 1;
    shrink(model, state, state.controller.isr & !bit(replica));
    let controller = &mut state.controller;
    if controller.leader == Some(replica) {
        controller.leader = None;
    }
}

fn shrink(model: &Replication, state: &mut State, isr: Set) {
    let controller = &mut state.controller;
    if size(isr) < model.bounds.min_isr {
        controller.elr |= controller.isr & !isr;
    }
    controller.elr &= !isr;
    controller.isr = isr;
    if size(isr) >= model.bounds.min_isr {
        controller.elr = 0;
    }
}

fn elect(state: &mut State, replica: usize) {
    let controller = &mut state.controller;
    controller.leader = Some(replica);
    controller.epoch += 1;
    controller.version += 1;
    if controller.isr & bit(replica) == 0 {
        controller.isr |= bit(replica);
        controller.elr &= !bit(replica);
    }
}

/// The controller repeats every test on what it has committed (M1).
fn decide(model: &Replication, state: &mut State, leader: usize) {
    let broker = &state.brokers[leader];
    let Some((isr, fetched_by)) = broker.pending else { return };
    let controller = &state.controller;
    let joining = isr & !controller.isr;
    let known = |replica: usize| {
        model.has(Planted::OldIncarnationJoins)
            || fetched_by[replica] == controller.incarnations[replica]
    };
    let old = (0..REPLICAS).any(|replica| joining & bit(replica) != 0 && !known(replica));
    let current = controller.leader == Some(leader)
        && controller.epoch == broker.epoch
        && controller.version == broker.version;
    if !current {
        // The image will tell (M3): a newer one is on its way to the leader.
        return;
    }
    if joining & controller.fenced != 0 || old {
        state.brokers[leader].pending = None;
        return;
    }
    state.ghost.rejoined |= joining != 0;
    shrink(model, state, isr);
    state.controller.version += 1;
}

fn crash(state: &mut State, replica: usize, kept: usize) {
    let broker = &mut state.brokers[replica];
    let lost = kept < broker.log.len();
    state.used[if lost { LOSSES } else { CRASHES }] += 1;
    broker.alive = false;
    broker.unclean |= lost;
    broker.log.truncate(kept);
    broker.watermark = broker.watermark.min(kept);
    broker.pending = None;
    broker.ends = [0; REPLICAS];
    broker.fetched_by = [0; REPLICAS];
}

/// A start is a new incarnation: registration takes the old one out of the ISR (M2), and one that
/// lost records is not eligible either (M11).
fn restart(model: &Replication, state: &mut State, replica: usize) {
    let unclean = std::mem::take(&mut state.brokers[replica].unclean);
    state.brokers[replica].alive = true;
    if model.has(Planted::SameEpochAfterRestart) {
        raise(model, state, replica);
        return;
    }
    fence(model, state, replica);
    let controller = &mut state.controller;
    controller.fenced &= !bit(replica);
    if unclean {
        controller.incarnations[replica] += 1;
        if !model.has(Planted::LostLogElected) {
            controller.elr &= !bit(replica);
        }
    }
    let broker = &mut state.brokers[replica];
    broker.leader = None;
    broker.epoch_start = 0;
    broker.version = u8::MAX;
}
