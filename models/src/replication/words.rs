//! The invariants, the goals and the faults in words.

use crate::check::{Fault, Invariant};

pub(super) const KEPT: &str = "a committed record is never lost";
pub(super) const ONE_VALUE: &str = "an offset has one committed value";
pub(super) const PREFIX: &str = "replicas agree below their high watermarks";
pub(super) const LATEST: &str = "the latest offset never goes back";
pub(super) const ONE_LEADER: &str = "one leader an epoch";
pub(super) const COMMITS: &str = "a record is committed";
pub(super) const LEADERS: &str = "a later leader commits";
pub(super) const TRUNCATED: &str = "a follower cuts its log";
pub(super) const ZOMBIE: &str = "a leader that was replaced has a tail of its own";
pub(super) const REJOINED: &str = "a replica comes back into the ISR";

/// What must hold in every state.
pub const INVARIANTS: &[Invariant] = &[
    Invariant {
        name: KEPT,
        words: "The leader of the controller's epoch, once it knows, has every record below any \
                high watermark that a leader ever had: all that was acknowledged with acks=all.",
        sources: "KIP-101, KIP-966, M2, M11, M12, K-REPLICATION-001, -002, -025",
    },
    Invariant {
        name: ONE_VALUE,
        words: "No leader's high watermark passes an offset with another record than an earlier \
                leader's did, zombies included.",
        sources: "KIP-101, KIP-279, M8, K-REPLICATION-006, -011",
    },
    Invariant {
        name: PREFIX,
        words: "What a replica has below its high watermark is committed, so two replicas have the \
                same there, and no reader of any replica sees what is not committed.",
        sources: "KIP-101, KAFKA-14704, M6, K-REPLICATION-020",
    },
    Invariant {
        name: LATEST,
        words: "The answer to ListOffsets latest of a leader that may answer (its high watermark \
                has reached its epoch's start) is not below an earlier one.",
        sources: "KIP-207, P4, K-REPLICATION-007",
    },
    Invariant {
        name: ONE_LEADER,
        words: "No two replicas believe that they lead in the same epoch.",
        sources: "KIP-320, M5, K-REPLICATION-003",
    },
];

/// What must be reached.
pub const GOALS: &[Invariant] = &[
    Invariant {
        name: COMMITS,
        words: "Some state has a committed record.",
        sources: "guards every invariant",
    },
    Invariant {
        name: LEADERS,
        words: "Some state has a committed record of the latest epoch, after a change of leader.",
        sources: "guards every invariant",
    },
    Invariant {
        name: TRUNCATED,
        words: "Some follower's log diverged and was cut by leader epochs.",
        sources: "guards truncation, KIP-101",
    },
    Invariant {
        name: ZOMBIE,
        words: "Some leader has a record that is not committed, and another leader was elected.",
        sources: "guards fencing, P5",
    },
    Invariant {
        name: REJOINED,
        words: "Some replica was taken into the ISR by AlterPartition.",
        sources: "guards M3, KIP-497",
    },
];

/// What can be planted.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "truncate-to-high-watermark",
        words: "A new follower cuts its log at its own high watermark, which lags by a fetch.",
        sources: "KIP-101, K-REPLICATION-025",
        breaks: KEPT,
    },
    Fault {
        name: "end-of-unknown-epoch",
        words: "A leader that is asked for an epoch which it does not know answers with the \
                start of the next higher one alone, and the follower keeps a tail that differs.",
        sources: "KIP-279, K-LEADER-EPOCHS-004",
        breaks: PREFIX,
    },
    Fault {
        name: "shrink-before-commit",
        words: "A leader stops waiting for a follower before the controller took it from the ISR.",
        sources: "KIP-497, M3, scenario 3",
        breaks: KEPT,
    },
    Fault {
        name: "ack-alone",
        words: "A leader acknowledges acks=all when only it has the record.",
        sources: "KIP-101, K-REPLICATION-001",
        breaks: KEPT,
    },
    Fault {
        name: "lost-log-elected",
        words: "A replica that lost its log is elected, the last one that stood.",
        sources: "KIP-966, M11, scenario 5",
        breaks: KEPT,
    },
    Fault {
        name: "same-epoch-after-restart",
        words: "A leader that is back within its session leads on in its old epoch, its tail lost.",
        sources: "M2, scenario 27",
        breaks: KEPT,
    },
    Fault {
        name: "old-incarnation-joins",
        words: "What a replica had fetched before it lost its log brings it back into the ISR.",
        sources: "KIP-903, M3, K-REPLICATION-021",
        breaks: KEPT,
    },
];
