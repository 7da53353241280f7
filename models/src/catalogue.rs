//! The models by name.

use crate::check::{Fault, Invariant, Outcome, Search, check};
use crate::{classic, idempotence, reconciliation, replication, transactions};

/// A model as the program and the tests know it.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its name on the command line.
    pub name: &'static str,
    /// What must hold.
    pub invariants: &'static [Invariant],
    /// What must be reached.
    pub goals: &'static [Invariant],
    /// What can be planted.
    pub faults: &'static [Fault],
    /// Runs it, with a fault of `faults` or without.
    pub run: fn(Search) -> Outcome,
}

/// All models.
pub const ENTRIES: &[Entry] = &[
    Entry {
        name: "replication",
        invariants: replication::INVARIANTS,
        goals: replication::GOALS,
        faults: replication::FAULTS,
        run: |search| {
            let model = replication::Replication::new(search.size, search.fault);
            check(model, search, breaks(replication::FAULTS, search.fault))
        },
    },
    Entry {
        name: "classic",
        invariants: classic::INVARIANTS,
        goals: classic::GOALS,
        faults: classic::FAULTS,
        run: |search| {
            let model = classic::Classic::new(search.size, search.fault);
            check(model, search, breaks(classic::FAULTS, search.fault))
        },
    },
    Entry {
        name: "reconciliation",
        invariants: reconciliation::INVARIANTS,
        goals: reconciliation::GOALS,
        faults: reconciliation::FAULTS,
        run: |search| {
            let model = reconciliation::Reconciliation::new(search.size, search.fault);
            check(model, search, breaks(reconciliation::FAULTS, search.fault))
        },
    },
    Entry {
        name: "idempotence",
        invariants: idempotence::INVARIANTS,
        goals: idempotence::GOALS,
        faults: idempotence::FAULTS,
        run: |search| {
            let model = idempotence::Idempotence::new(search.size, search.fault);
            check(model, search, breaks(idempotence::FAULTS, search.fault))
        },
    },
    Entry {
        name: "transactions",
        invariants: transactions::INVARIANTS,
        goals: transactions::GOALS,
        faults: transactions::FAULTS,
        run: |search| {
            let model = transactions::Transactions::new(search.size, search.fault);
            check(model, search, breaks(transactions::FAULTS, search.fault))
        },
    },
];

/// The invariant that a planted fault breaks.
fn breaks(faults: &'static [Fault], name: Option<&str>) -> Option<&'static str> {
    let name = name?;
    faults.iter().find(|fault| fault.name == name).map(|fault| fault.breaks)
}
