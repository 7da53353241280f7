//! The invariants, the goals and the faults in words.

use crate::check::{Fault, Invariant};

pub(super) const EXCLUSIVE: &str = "ownership is exclusive in a generation";
pub(super) const GIVEN_UP: &str = "a partition is given up before another member has it";
pub(super) const OF_GENERATION: &str = "what is dealt out goes to the generation's members";
pub(super) const OLD_COMMIT: &str = "no commit of another generation is taken";
pub(super) const AS_TOLD: &str = "a member owns what its generation's leader gave it";
pub(super) const AHEAD: &str = "no member is ahead of its group";
pub(super) const SETTLES: &str = "the group can always become stable";
pub(super) const STABLE: &str = "a generation of two members is stable";
pub(super) const SECOND: &str = "a second generation is stable";
pub(super) const COMMITS: &str = "a commit is taken after a rebalance";
pub(super) const ZOMBIE: &str = "a member that was removed still owns a partition";
pub(super) const REFUSED: &str = "a commit of an old generation arrives";
pub(super) const REPLACED: &str = "a process takes the place of one that owns a partition";

/// What must hold in every state.
pub const INVARIANTS: &[Invariant] = &[
    Invariant {
        name: EXCLUSIVE,
        words: "No partition is owned by two members of the same generation; a process of a static \
                member in whose place another came is none.",
        sources: "P8, KIP-62, K-SYNC-GROUP-003",
    },
    Invariant {
        name: GIVEN_UP,
        words: "No partition is owned by two members that the group has, whatever their \
                generations: all gave up what they had before the next generation began.",
        sources: "P8, KIP-62, K-JOIN-GROUP-020",
    },
    Invariant {
        name: OF_GENERATION,
        words: "The assignment of a generation is for all that joined it, and for nobody else.",
        sources: "K-SYNC-GROUP-005, K-JOIN-GROUP-013, -015",
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
        name: REPLACED,
        words: "A process of a static member owns what one that still runs believes to own.",
        sources: "guards KIP-345, K-OFFSET-COMMIT-016",
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
        name: "commit-without-member",
        words: "The coordinator looks at the generation of a commit alone: a member that was \
                removed commits until the next generation begins.",
        sources: "K-OFFSET-COMMIT-012, scenario 38",
        breaks: OLD_COMMIT,
    },
    Fault {
        name: "sync-without-generation",
        words: "The coordinator takes an assignment from the leader without looking at its \
                generation: a late one, of an earlier generation, becomes that of the present.",
        sources: "K-SYNC-GROUP-005, scenario 11",
        breaks: OF_GENERATION,
    },
    Fault {
        name: "join-without-waiting",
        words: "The coordinator begins the next generation when the first member has joined \
                again: the others own what they had while it is dealt out anew.",
        sources: "K-JOIN-GROUP-020, K-HEARTBEAT-003, KIP-62",
        breaks: GIVEN_UP,
    },
    Fault {
        name: "keeps-while-joining",
        words: "A member goes on with its partitions until the next assignment comes, as with a \
                cooperative assignor, and the leader deals out as if it had given them up.",
        sources: "KIP-429, P8",
        breaks: EXCLUSIVE,
    },
    Fault {
        name: "generation-restarts",
        words: "A group that has lost its last member forgets its generation and counts anew: \
                the number of a member that lives on says nothing any more.",
        sources: "K-JOIN-GROUP-022, M16",
        breaks: AHEAD,
    },
    Fault {
        name: "answers-join-once",
        words: "JoinGroup is not answered again between it and SyncGroup: a member whose answer \
                was lost waits for ever, and all the others with it.",
        sources: "K-JOIN-GROUP-021, KAFKA-9752",
        breaks: SETTLES,
    },
    Fault {
        name: "old-process-commits",
        words: "The coordinator takes commits of a static member under the id of a process in \
                whose place another came: both commit the same partitions.",
        sources: "KIP-345, K-OFFSET-COMMIT-016, K-JOIN-GROUP-027",
        breaks: OLD_COMMIT,
    },
    Fault {
        name: "late-sync-answer",
        words: "A member takes the answer to an earlier SyncGroup for that to its last.",
        sources: "scenario 11 (late answers), K-SYNC-GROUP-003",
        breaks: AS_TOLD,
    },
];
