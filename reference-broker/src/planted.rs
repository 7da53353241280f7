//! Bugs on purpose, for the simulation to find: each takes a mechanism away without which a promise
//! breaks. Without the feature `planted` there are none.

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Bug {
    /// acks=all is answered when the leader has the records.
    AckBeforeIsr = 1,
    /// The high watermark follows the leader's log alone.
    HighWatermarkOfLeader,
    /// Followers do not cut what the leader has not.
    NoTruncation,
    /// Who is to leave the ISR does not count any more, before the controller has agreed (M3).
    EarlyShrink,
    /// An ISR change is applied although the partition has changed since (M1).
    StaleAlterPartition,
    /// A broker that comes back leads on as if nothing had been (M2).
    SameEpochAfterRestart,
    /// Any live replica is elected.
    UncleanElection,
    /// A log that has lost its tail counts as whole (M11).
    LostTailReused,
    /// Producers are forgotten at a restart and a truncation.
    ProducersForgotten,
    /// A duplicate is acknowledged at once (M9).
    EarlyDuplicate,
    /// A leader that is none any more acknowledges what waits (M8).
    FencedLeaderAcks,
    /// What waits is acknowledged by a later epoch of the same leader (M8).
    LaterEpochAcks,
    /// A follower of a new leader cuts its log at its high watermark, not where the two part (M6).
    TruncationToHighWatermark,
    /// A follower takes the high watermark of an answer that tells it to cut (M6).
    HighWatermarkBeforeTruncation,
    /// Producers are kept as they were when their batches are cut.
    ProducersKept,
    /// A snapshot of the metadata forgets which producer ids were given out (M10).
    ProducerIdsReused,
    /// A commit of offsets is answered when the leader has it (M16).
    EarlyCommit,
    /// A scrub finds nothing (M19).
    BlindScrub,
    /// Members get their shares before the leader has given them, as they were before.
    TwoOwners,
}

impl Bug {
    /// All, by the names of the command line.
    pub const ALL: [(&'static str, Self); 19] = [
        ("ack-before-isr", Self::AckBeforeIsr),
        ("high-watermark-of-leader", Self::HighWatermarkOfLeader),
        ("no-truncation", Self::NoTruncation),
        ("early-shrink", Self::EarlyShrink),
        ("stale-alter-partition", Self::StaleAlterPartition),
        ("same-epoch-after-restart", Self::SameEpochAfterRestart),
        ("unclean-election", Self::UncleanElection),
        ("lost-tail-reused", Self::LostTailReused),
        ("producers-forgotten", Self::ProducersForgotten),
        ("early-duplicate", Self::EarlyDuplicate),
        ("fenced-leader-acks", Self::FencedLeaderAcks),
        ("later-epoch-acks", Self::LaterEpochAcks),
        ("truncation-to-high-watermark", Self::TruncationToHighWatermark),
        ("high-watermark-before-truncation", Self::HighWatermarkBeforeTruncation),
        ("producers-kept", Self::ProducersKept),
        ("producer-ids-reused", Self::ProducerIdsReused),
        ("early-commit", Self::EarlyCommit),
        ("blind-scrub", Self::BlindScrub),
        ("two-owners", Self::TwoOwners),
    ];
}

#[cfg(feature = "planted")]
static PLANTED: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Plants a bug in every broker of this process.
#[cfg(feature = "planted")]
pub fn plant(bug: Bug) {
    PLANTED.store(bug as u8, std::sync::atomic::Ordering::Relaxed);
}

/// Whether this bug is there.
pub(crate) fn has(bug: Bug) -> bool {
    #[cfg(feature = "planted")]
    return PLANTED.load(std::sync::atomic::Ordering::Relaxed) == bug as u8;
    #[cfg(not(feature = "planted"))]
    {
        let _ = bug;
        false
    }
}
