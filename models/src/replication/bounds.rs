//! How far the model goes, and what can be planted.

use crate::check::Size;

/// Limits that make the state space finite.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Records that producers send.
    pub records: u8,
    /// Highest leader epoch; the first is 1.
    pub epochs: u8,
    /// Sessions that end while the broker lives.
    pub fences: u8,
    /// Crashes that keep the log.
    pub crashes: u8,
    /// Crashes that lose the log's end or all of it.
    pub losses: u8,
    /// AlterPartition requests.
    pub alters: u8,
    /// `min.insync.replicas`.
    pub min_isr: usize,
    /// Whether followers' sessions end too, and not the leader's alone.
    pub fence_followers: bool,
}

impl Bounds {
    pub(super) fn of(size: Size, planted: Option<Planted>) -> Self {
        let limits = |records, epochs, fences, crashes, losses, alters| Self {
            records,
            epochs,
            fences,
            crashes,
            losses,
            alters,
            min_isr: 2,
            fence_followers: true,
        };
        let leaders = |limits: Self| Self { fence_followers: false, ..limits };
        match (planted, size) {
            (None, Size::Small) => leaders(limits(1, 2, 1, 0, 1, 1)),
            (None, Size::Large) => limits(2, 2, 1, 0, 1, 1),
            (Some(Planted::TruncateToHighWatermark), _) => leaders(limits(1, 3, 2, 0, 0, 0)),
            (Some(Planted::EndOfUnknownEpoch), _) => {
                Self { min_isr: 1, ..leaders(limits(3, 3, 2, 0, 0, 0)) }
            }
            (Some(Planted::ShrinkBeforeCommit), _) => leaders(limits(1, 2, 1, 0, 0, 1)),
            (Some(Planted::AckAlone), _) => leaders(limits(1, 2, 1, 0, 0, 0)),
            (Some(Planted::LostLogElected), _) => leaders(limits(1, 2, 1, 0, 1, 1)),
            (Some(Planted::SameEpochAfterRestart), _) => leaders(limits(1, 2, 1, 0, 1, 0)),
            (Some(Planted::OldIncarnationJoins), _) => leaders(limits(1, 2, 1, 0, 1, 1)),
        }
    }
}

/// The faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// A new follower cuts its log at its own high watermark.
    TruncateToHighWatermark,
    /// A leader that does not know the epoch that it is asked for answers with where the next
    /// higher one begins, and the follower cuts there.
    EndOfUnknownEpoch,
    /// A leader counts without a follower before the controller has taken it out.
    ShrinkBeforeCommit,
    /// The leader's own end is the high watermark.
    AckAlone,
    /// A replica that lost its log stays in the ISR.
    LostLogElected,
    /// A leader that comes back within its session goes on in its old epoch.
    SameEpochAfterRestart,
    /// What a replica fetched before it lost its log counts after it.
    OldIncarnationJoins,
}

impl Planted {
    pub(super) fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "truncate-to-high-watermark" => Self::TruncateToHighWatermark,
            "end-of-unknown-epoch" => Self::EndOfUnknownEpoch,
            "shrink-before-commit" => Self::ShrinkBeforeCommit,
            "ack-alone" => Self::AckAlone,
            "lost-log-elected" => Self::LostLogElected,
            "same-epoch-after-restart" => Self::SameEpochAfterRestart,
            "old-incarnation-joins" => Self::OldIncarnationJoins,
            _ => return None,
        })
    }
}
