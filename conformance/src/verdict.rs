//! What a test found.

use ottla_protocol::EncodeError;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a test ended. The order is that of gravity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
pub enum Verdict {
    /// Every assertion held.
    Pass,
    /// Where the protocol leaves it open: what the target does.
    Info,
    /// The target does not claim to have it, with the proof.
    Unsupported,
    /// A SHOULD was not followed.
    NonStrict,
    /// What the test needs did not work: another test tells why.
    Blocked,
    /// A MUST was not followed.
    Fail,
    /// The suite itself is at fault.
    HarnessError,
}

impl Verdict {
    /// All of them, gravest last.
    pub const ALL: [Self; 7] = [
        Self::Pass,
        Self::Info,
        Self::Unsupported,
        Self::NonStrict,
        Self::Blocked,
        Self::Fail,
        Self::HarnessError,
    ];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Info => "INFO",
            Self::Unsupported => "UNSUPPORTED",
            Self::NonStrict => "NON-STRICT",
            Self::Blocked => "BLOCKED",
            Self::Fail => "FAIL",
            Self::HarnessError => "HARNESS-ERROR",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why a test stops before its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Stop {
    /// The verdict that it leads to.
    pub verdict: Verdict,
    /// The statement that decides, if one does.
    pub statement: Option<&'static str>,
    /// What was expected and what came.
    pub message: String,
}

impl Stop {
    /// The target lacks it and does not claim it; `proof` says how that is known.
    pub fn unsupported(proof: impl Into<String>) -> Self {
        Self { verdict: Verdict::Unsupported, statement: None, message: proof.into() }
    }

    /// Something that the test needs did not work.
    pub fn blocked(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::Blocked, statement: None, message: why.into() }
    }

    /// The suite is at fault.
    pub fn harness(what: impl Into<String>) -> Self {
        Self { verdict: Verdict::HarnessError, statement: None, message: what.into() }
    }
}

impl From<EncodeError> for Stop {
    /// A request of a test that cannot be written is the test's fault.
    fn from(why: EncodeError) -> Self {
        Self::harness(format!("a request cannot be written: {why}"))
    }
}
