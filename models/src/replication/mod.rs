//! A replicated partition: three replicas, a controller, one log each.
//!
//! Modelled by hand. The broker of this repository has no replicas yet; its rule for the epoch's
//! end (`LeaderEpochCache::end_offset_for`) writes files and is repeated in `log.rs`.
//!
//! What is atomic: a fetch (the leader takes note of the follower's offset, the follower appends
//! one record and the leader's high watermark). A follower whose leader epoch is not the leader's
//! gets nothing, so an answer that comes late is a fetch that came late. What is not: the
//! controller's decision, and each broker's hearing of it; an AlterPartition that is on its way; a
//! session that ends while its broker lives. Lost messages are steps that are not taken. Every
//! change of the metadata reaches a broker as the latest image. No symmetry is used.
//!
//! In bounds: records, leader epochs, crashes, losses, changes of the ISR (see [`Bounds`]). With
//! `min.insync.replicas` 2, one replica may lose its disk and any number may crash (P2 of the
//! promises: an acknowledged record survives `min.insync.replicas` - 1 *lost* replicas).

mod actions;
mod bounds;
mod log;
mod state;
mod words;

use stateright::{Model, Property};

pub use actions::Action;
pub use bounds::{Bounds, Planted};
pub use state::{Broker, Controller, State};
pub use words::{FAULTS, GOALS, INVARIANTS};

use crate::check::{Explained, Size};

/// Replicas of the partition.
pub const REPLICAS: usize = 3;

/// The model.
#[derive(Debug, Clone)]
pub struct Replication {
    /// What is planted.
    pub planted: Option<Planted>,
    /// How far it goes.
    pub bounds: Bounds,
}

impl Replication {
    /// The configuration for `size`, with a fault of [`FAULTS`] or none.
    pub fn new(size: Size, fault: Option<&str>) -> Self {
        let planted = fault.and_then(Planted::by_name);
        Self { planted, bounds: Bounds::of(size, planted) }
    }

    pub(crate) fn has(&self, planted: Planted) -> bool {
        self.planted == Some(planted)
    }
}

impl Model for Replication {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions::possible(self, state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        actions::take(self, &mut next, &action);
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(words::KEPT, |_, state: &State| state.committed_is_kept()),
            Property::always(words::ONE_VALUE, |_, state: &State| !state.ghost.rewritten),
            Property::always(words::PREFIX, |_, state: &State| state.prefixes_are_committed()),
            Property::always(words::LATEST, |_, state: &State| state.latest_never_falls()),
            Property::always(words::ONE_LEADER, |_, state: &State| state.one_leader_an_epoch()),
            Property::sometimes(words::COMMITS, |_, state: &State| {
                !state.ghost.committed.is_empty()
            }),
            Property::sometimes(words::LEADERS, |_, state: &State| {
                state.controller.epoch > 1 && state.commits_of_the_last_epoch()
            }),
            Property::sometimes(words::TRUNCATED, |_, state: &State| state.ghost.truncated),
            Property::sometimes(words::ZOMBIE, |_, state: &State| state.zombie_has_tail()),
            Property::sometimes(words::REJOINED, |_, state: &State| state.ghost.rejoined),
        ]
    }
}

impl Explained for Replication {
    fn explain(&self, state: &State) -> String {
        state.to_string()
    }
}
