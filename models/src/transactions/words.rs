//! The invariants, the goals and the faults in words.

use crate::check::{Fault, Invariant};

pub(super) const COMMITTED_ONLY: &str = "read_committed sees committed data only";
pub(super) const ATOMIC: &str = "a transaction is seen whole or not at all";
pub(super) const NO_HANGING: &str = "no transaction hangs";
pub(super) const FENCED: &str = "a zombie is fenced";
pub(super) const AS_ASKED: &str = "a transaction ends as it was asked";
pub(super) const COMMITS: &str = "a transaction commits on both partitions";
pub(super) const ABORTS: &str = "a transaction with data aborts";
pub(super) const SECOND: &str = "a transaction commits after an aborted one";
pub(super) const REPLACED: &str = "a new incarnation commits";

/// What must hold in every state.
pub const INVARIANTS: &[Invariant] = &[
    Invariant {
        name: COMMITTED_ONLY,
        words: "A record that a read_committed consumer is given belongs to a transaction which \
                the coordinator has decided to commit.",
        sources: "KIP-98, KIP-890, K-TRANSACTIONS-020, -022",
    },
    Invariant {
        name: ATOMIC,
        words: "Once all markers of a committed transaction are written, each of its acknowledged \
                records is given to read_committed consumers, on both partitions.",
        sources: "KIP-98, KIP-890, scenario 25",
    },
    Invariant {
        name: NO_HANGING,
        words: "A partition with an open transaction is one that the coordinator knows of and will \
                write a marker to.",
        sources: "KIP-890, KAFKA-14402",
    },
    Invariant {
        name: FENCED,
        words: "Nothing of an incarnation is stored or decided once a newer one has been \
                initialised and the old transaction is completed.",
        sources: "KIP-98, K-TRANSACTIONS-003, -006, -009",
    },
    Invariant {
        name: AS_ASKED,
        words: "The coordinator commits a transaction only if its producer asked for that, and not \
                because an EndTxn of an earlier transaction came late.",
        sources: "KIP-890, scenario 25 (Bufstream 0.1.0)",
    },
];

/// What must be reached.
pub const GOALS: &[Invariant] = &[
    Invariant {
        name: COMMITS,
        words: "Both partitions show a committed record of one transaction.",
        sources: "guards KIP-98",
    },
    Invariant {
        name: ABORTS,
        words: "A record lies before an abort marker.",
        sources: "guards KIP-98",
    },
    Invariant {
        name: SECOND,
        words: "A committed record lies behind an abort marker.",
        sources: "guards KIP-890",
    },
    Invariant {
        name: REPLACED,
        words: "A record of the second incarnation is committed.",
        sources: "guards K-TRANSACTIONS-009",
    },
];

/// What can be planted.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "protocol-v1",
        words: "The epoch stays from transaction to transaction, and a partition does not ask the \
                coordinator: a late Produce opens a transaction that nobody ends.",
        sources: "KIP-890, KAFKA-14402",
        breaks: NO_HANGING,
    },
    Fault {
        name: "no-epoch-bump",
        words: "Partitions ask the coordinator, but the epoch stays: a late EndTxn ends the next \
                transaction.",
        sources: "KIP-890, scenario 25",
        breaks: AS_ASKED,
    },
    Fault {
        name: "marker-of-same-epoch",
        words: "A partition takes a marker of its present epoch: one that is written twice ends \
                the next transaction.",
        sources: "KIP-890, ProducerAppendInfo.checkProducerEpoch",
        breaks: COMMITTED_ONLY,
    },
    Fault {
        name: "zombie-not-fenced",
        words: "The coordinator does not raise the epoch for a new incarnation.",
        sources: "KIP-98, K-TRANSACTIONS-003",
        breaks: FENCED,
    },
    Fault {
        name: "stable-offset-ignored",
        words: "A read_committed consumer reads up to the high watermark.",
        sources: "KIP-98, K-TRANSACTIONS-020",
        breaks: COMMITTED_ONLY,
    },
];
