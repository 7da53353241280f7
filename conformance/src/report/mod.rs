//! Reports: JSON is the contract, the others are made from it.

pub mod cells;
mod diff;
mod html;
mod junit;
mod markdown;
mod score;
pub mod wire;

use crate::case::Profile;
use crate::runner::Outcome;
use crate::verdict::Verdict;
use crate::wire::Way;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use diff::{Changed, Diff};
pub use html::{to_html, to_matrix};
pub use junit::to_junit;
pub use markdown::to_markdown;
pub use score::{badge, kept, standing};

/// Whom a run was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// A broker: the suite sent the requests.
    #[default]
    Broker,
    /// A client: the suite answered its requests.
    Client,
}

impl Side {
    /// Whether it is [`Side::Broker`], which reports leave out.
    pub fn is_broker(&self) -> bool {
        *self == Self::Broker
    }

    /// The way that requests go, as seen from the suite.
    pub fn requests(self) -> Way {
        match self {
            Self::Broker => Way::Sent,
            Self::Client => Way::Received,
        }
    }
}

/// Whose frames a report keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// Those of the tests that did not end as PASS or UNSUPPORTED.
    #[default]
    Failures,
    /// Those of all tests.
    All,
}

/// A run against one target.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// `ottla-conformance` and its version.
    pub suite: String,
    /// The target's name, or its address.
    pub target: String,
    /// Whether the target is a broker or a client.
    #[serde(default, skip_serializing_if = "Side::is_broker")]
    pub side: Side,
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

    /// Fills in [`Outcome::wire`] from the traces.
    pub fn keep_wire(&mut self, keep: Keep) {
        let requests = self.side.requests();
        for outcome in &mut self.outcomes {
            let is_quiet = matches!(outcome.verdict, Verdict::Pass | Verdict::Unsupported);
            if keep == Keep::All || !is_quiet {
                let mut trace = outcome.trace.frames();
                wire::shorten(&mut trace);
                outcome.wire = wire::frames(&trace, requests, wire::KEPT_BYTES);
            }
        }
    }

    /// As JSON, an outcome a line.
    ///
    /// # Panics
    ///
    /// Never: a report is plain data.
    pub fn to_json(&self) -> String {
        let head = Self { outcomes: Vec::new(), ..self.clone() };
        let mut text = serde_json::to_string(&head).expect("a report is plain data");
        // The outcomes are its last field.
        text.truncate(text.len() - "]}".len());
        let line = |outcome| serde_json::to_string(outcome).expect("an outcome is plain data");
        let lines: Vec<String> = self.outcomes.iter().map(line).collect();
        format!("{text}\n{}\n]}}\n", lines.join(",\n"))
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
