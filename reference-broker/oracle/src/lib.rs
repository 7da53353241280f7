//! Judges what clients saw while faults struck: is there anything that the promises rule out?
//!
//! A test tells a [`Log`] what was sent, acknowledged and read of one topic, and a [`Group`] what
//! the members of one classic group did; each notes what can never be right at once, and judges the
//! rest at the end. Both know nothing of sockets and clocks: they serve the simulation as well as
//! real processes. Times are durations since the run began, by one clock for all clients.
//!
//! What is *not* promised is not judged: a broker that leads no more, and does not know it, may
//! give out an older high watermark and older records; a commit that nobody answered may be stored
//! later.

#![warn(missing_docs)]

use std::fmt;
use std::time::Duration;

mod group;
mod log;

pub use group::{CommitId, Fetch, Group};
pub use log::{Latest, Log, Promise};

/// What a promise rules out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// Every acknowledged record is at its offset in the end, on every replica.
    AcknowledgedKept,
    /// What was once read stays where it was, on every replica.
    ReadKept,
    /// An offset has one value, and one leader epoch, for everybody at any time.
    OneValue,
    /// A record of an idempotent producer is there once.
    NoDuplicate,
    /// Records of an idempotent producer stand in the order in which they were sent.
    InOrder,
    /// Of an idempotent producer's records none is missing between others, but those that it has
    /// given up.
    NoGap,
    /// Only what was sent is there, in the partition that it was sent to.
    OnlySent,
    /// What a producer was told is not written is not there.
    RefusedAbsent,
    /// Offsets follow each other.
    Dense,
    /// The latest offset never goes back, seen from one leader epoch or a later one (KIP-207).
    LatestForward,
    /// All that was acknowledged was delivered to the group.
    Delivered,
    /// In a generation a partition belongs to one member.
    OneOwner,
    /// A member gets what the leader of its generation gave it.
    AsAssigned,
    /// An acknowledged commit is found until a later one takes its place.
    CommitKept,
    /// No commit of a generation is acknowledged that was sent when a later one had begun.
    FencedCommit,
    /// A commit that was refused is not stored.
    RefusedCommit,
}

impl Invariant {
    /// Its name, for reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AcknowledgedKept => "acknowledged-kept",
            Self::ReadKept => "read-kept",
            Self::OneValue => "one-value",
            Self::NoDuplicate => "no-duplicate",
            Self::InOrder => "in-order",
            Self::NoGap => "no-gap",
            Self::OnlySent => "only-sent",
            Self::RefusedAbsent => "refused-absent",
            Self::Dense => "dense",
            Self::LatestForward => "latest-forward",
            Self::Delivered => "delivered",
            Self::OneOwner => "one-owner",
            Self::AsAssigned => "as-assigned",
            Self::CommitKept => "commit-kept",
            Self::FencedCommit => "fenced-commit",
            Self::RefusedCommit => "refused-commit",
        }
    }
}

/// Something that a promise rules out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What was broken.
    pub invariant: Invariant,
    /// The partition where.
    pub partition: i32,
    /// The offset where, if there is one.
    pub offset: Option<i64>,
    /// What shows it, in words, in the order in which it happened.
    pub events: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: partition {}", self.invariant.name(), self.partition)?;
        if let Some(offset) = self.offset {
            write!(f, ", offset {offset}")?;
        }
        write!(f, ": {}", self.events.join("; "))
    }
}

/// Who saw something, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    at: Duration,
    who: String,
}

impl Seen {
    fn new(at: Duration, who: &str) -> Self {
        Self { at, who: who.to_owned() }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s {}", self.at.as_secs_f64(), self.who)
    }
}

/// Of what is wrong in the same way, so many are told.
const TOLD_MAX: usize = 5;

/// Violations, of each invariant the first few.
#[derive(Debug, Default)]
struct Violations {
    told: Vec<Violation>,
}

impl Violations {
    fn push(
        &mut self,
        invariant: Invariant,
        partition: i32,
        offset: impl Into<Option<i64>>,
        events: Vec<String>,
    ) {
        let violation = Violation { invariant, partition, offset: offset.into(), events };
        let same = self.told.iter().filter(|told| told.invariant == invariant);
        if same.count() < TOLD_MAX && !self.told.contains(&violation) {
            self.told.push(violation);
        }
    }
}
