//! The invariants, the goals and the faults in words.

use crate::check::{Fault, Invariant};

pub(super) const EXCLUSIVE: &str = "ownership is exclusive in a generation";
pub(super) const OLD_COMMIT: &str = "no commit of another generation is taken";
pub(super) const AS_TOLD: &str = "a member owns what its generation's leader gave it";
pub(super) const AHEAD: &str = "no member is ahead of its group";
pub(super) const SETTLES: &str = "the group can always become stable";
pub(super) const STABLE: &str = "a generation of two members is stable";
pub(super) const SECOND: &str = "a second generation is stable";
pub(super) const COMMITS: &str = "a commit is taken after a rebalance";
pub(super) const ZOMBIE: &str = "a member that was removed still owns a partition";
pub(super) const REFUSED: &str = "a commit of an old generation arrives";

/// What must hold in every state.
pub const INVARIANTS: &[Invariant] = &[
    Invariant {
        name: EXCLUSIVE,
        words: "No partition is owned by two members of the same generation.",
        sources: "P8, KIP-62, K-SYNC-GROUP-003",
    },
    Invariant {
        name: OLD_COMMIT,
        words: "A commit that is taken comes from the member that owns the partition in the \
                group's present generation.",
        sources: "P8, K-OFFSET-COMMIT-012, -013, scenario 38",
    },
    Invariant {
        name: AS_TOLD,
        words: "What a member owns is its share of the one assignment of its generation.",
        sources: "K-SYNC-GROUP-002, -003, -005, K-JOIN-GROUP-015",
    },
    Invariant {
        name: AHEAD,
        words: "No member's generation is above the group's.",
        sources: "K-JOIN-GROUP-022, -023",
    },
    Invariant {
        name: SETTLES,
        words: "From here, a fair schedule without faults makes the group stable, with every \
                partition owned by a living member.",
        sources: "K-JOIN-GROUP-020, -021, KAFKA-9752",
    },
];

/// What must be reached.
pub const GOALS: &[Invariant] = &[
    Invariant { name: STABLE, words: "Two members own a partition each.", sources: "guards all" },
    Invariant {
        name: SECOND,
        words: "A member owns a partition in generation 2 or above.",
        sources: "guards K-SYNC-GROUP-005",
    },
    Invariant {
        name: COMMITS,
        words: "A commit of generation 2 or above is taken.",
        sources: "guards K-OFFSET-COMMIT-013",
    },
    Invariant {
        name: ZOMBIE,
        words: "A member owns a partition, and the group does not have it.",
        sources: "guards K-OFFSET-COMMIT-012",
    },
    Invariant {
        name: REFUSED,
        words: "A commit is refused for its generation or its member id.",
        sources: "guards K-OFFSET-COMMIT-012, -013",
    },
];

/// What can be planted.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "commit-without-generation",
        words: "The coordinator looks at the member id of a commit alone.",
        sources: "K-OFFSET-COMMIT-013, scenario 38",
        breaks: OLD_COMMIT,
    },
    Fault {
        name: "late-sync-answer",
        words: "A member takes the answer to an earlier SyncGroup for that to its last.",
        sources: "scenario 11 (late answers), K-SYNC-GROUP-003",
        breaks: AS_TOLD,
    },
];
