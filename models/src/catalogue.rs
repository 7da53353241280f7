//! The models by name.

use crate::check::{Fault, Invariant, Outcome, Size, check};
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
    /// Runs it, with a fault of `faults` or without, on that many threads.
    pub run: fn(Size, Option<&str>, usize) -> Outcome,
}

/// All models.
pub const ENTRIES: &[Entry] = &[
    Entry {
        name: "replication",
        invariants: replication::INVARIANTS,
        goals: replication::GOALS,
        faults: replication::FAULTS,
        run: |size, fault, threads| {
            let model = replication::Replication::new(size, fault);
            check(model, threads, breaks(replication::FAULTS, fault))
        },
    },
    Entry {
        name: "classic",
        invariants: classic::INVARIANTS,
        goals: classic::GOALS,
        faults: classic::FAULTS,
        run: |size, fault, threads| {
            let model = classic::Classic::new(size, fault);
            check(model, threads, breaks(classic::FAULTS, fault))
        },
    },
    Entry {
        name: "reconciliation",
        invariants: reconciliation::INVARIANTS,
        goals: reconciliation::GOALS,
        faults: reconciliation::FAULTS,
        run: |size, fault, threads| {
            let model = reconciliation::Reconciliation::new(size, fault);
            check(model, threads, breaks(reconciliation::FAULTS, fault))
        },
    },
    Entry {
        name: "idempotence",
        invariants: idempotence::INVARIANTS,
        goals: idempotence::GOALS,
        faults: idempotence::FAULTS,
        run: |size, fault, threads| {
            let model = idempotence::Idempotence::new(size, fault);
            check(model, threads, breaks(idempotence::FAULTS, fault))
        },
    },
    Entry {
        name: "transactions",
        invariants: transactions::INVARIANTS,
        goals: transactions::GOALS,
        faults: transactions::FAULTS,
        run: |size, fault, threads| {
            let model = transactions::Transactions::new(size, fault);
            check(model, threads, breaks(transactions::FAULTS, fault))
        },
    },
];

/// The invariant that a planted fault breaks.
fn breaks(faults: &'static [Fault], name: Option<&str>) -> Option<&'static str> {
    let name = name?;
    faults.iter().find(|fault| fault.name == name).map(|fault| fault.breaks)
}
