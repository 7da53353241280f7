//! Reports: JSON is the contract, the others are made from it.

mod junit;
mod markdown;

use crate::case::Profile;
use crate::runner::Outcome;
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use junit::to_junit;
pub use markdown::to_markdown;

/// A run against one target.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// `ottla-conformance` and its version.
    pub suite: String,
    /// The target's name, or its address.
    pub target: String,
    /// The first part of all names that the run made.
    pub run: String,
    /// When it ended, in milliseconds since 1970.
    pub ended_ms: u64,
    /// How long it took.
    pub took_ms: u64,
    /// The measured round trip in microseconds, and the patience for an answer in milliseconds.
    pub round_trip_us: u64,
    /// See there.
    pub patience_ms: u64,
    /// What the target lists: first and last version per API key.
    pub advertised: BTreeMap<i16, (i16, i16)>,
    /// Every test, by name.
    pub outcomes: Vec<Outcome>,
}

/// Counts by verdict.
pub type Counts = BTreeMap<Verdict, usize>;

impl Report {
    /// Counts per profile: the score. There is no single percentage.
    pub fn scores(&self) -> BTreeMap<Profile, Counts> {
        let mut scores: BTreeMap<Profile, Counts> = BTreeMap::new();
        for outcome in &self.outcomes {
            *scores.entry(outcome.profile).or_default().entry(outcome.verdict).or_default() += 1;
        }
        scores
    }

    /// Whether a MUST was broken, or the suite itself.
    pub fn has_failed(&self) -> bool {
        let is_bad = |outcome: &Outcome| {
            matches!(outcome.verdict, Verdict::Fail | Verdict::HarnessError | Verdict::Blocked)
        };
        self.outcomes.iter().any(is_bad)
    }
}

/// `PASS 12, FAIL 1`.
pub fn counts_text(counts: &Counts) -> String {
    let parts: Vec<String> = counts.iter().map(|(verdict, n)| format!("{verdict} {n}")).collect();
    parts.join(", ")
}
