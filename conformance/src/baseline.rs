//! Failures that are known: they still run, and one that passes is told, so that the list stays
//! true.

use crate::runner::Outcome;
use crate::verdict::Verdict;
use std::collections::BTreeMap;

/// Reasons by test. A key without `@vN` stands for every version.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Baseline(BTreeMap<String, String>);

/// What a baseline makes of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Compared {
    /// Failures that are not in the list.
    pub new: Vec<String>,
    /// Failures that are.
    pub known: Vec<String>,
    /// Lines that no failure answers to any more: they are stale, and fail the run.
    pub stale: Vec<String>,
}

impl Baseline {
    /// Reads lines `"suite/test@v7" = "reason"`.
    ///
    /// # Errors
    ///
    /// What is not such TOML, and an empty reason.
    pub fn parse(text: &str) -> Result<Self, String> {
        let table: BTreeMap<String, String> =
            toml::from_str(text).map_err(|error| error.to_string())?;
        match table.iter().find(|(_, reason)| reason.trim().is_empty()) {
            Some((test, _)) => Err(format!("{test} has no reason: say why it is known to fail")),
            None => Ok(Self(table)),
        }
    }

    /// Holds the failures of a run against the list. Lines of tests that did not run are left be.
    pub fn compare(&self, outcomes: &[Outcome]) -> Compared {
        let mut compared = Compared::default();
        let failed = |outcome: &&Outcome| {
            matches!(outcome.verdict, Verdict::Fail | Verdict::Blocked | Verdict::HarnessError)
        };
        for outcome in outcomes.iter().filter(failed) {
            let listed = self.0.keys().any(|key| stands_for(key, &outcome.test));
            let list = if listed { &mut compared.known } else { &mut compared.new };
            list.push(outcome.test.clone());
        }
        for key in self.0.keys() {
            let mut ran =
                outcomes.iter().filter(|outcome| stands_for(key, &outcome.test)).peekable();
            if ran.peek().is_some() && !ran.any(|outcome| failed(&outcome)) {
                compared.stale.push(key.clone());
            }
        }
        compared
    }
}

fn stands_for(key: &str, test: &str) -> bool {
    key == test || test.strip_prefix(key).is_some_and(|rest| rest.starts_with("@v"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Profile;
    use crate::wire::Trace;

    fn outcome(test: &str, verdict: Verdict) -> Outcome {
        Outcome {
            test: test.to_owned(),
            profile: Profile::Core,
            verdict,
            statement: None,
            message: String::new(),
            evaluated: Vec::new(),
            took_ms: 0,
            wire: Vec::new(),
            trace: Trace::default(),
        }
    }

    #[test]
    fn known_failures_new_ones_and_stale_lines() {
        let text = "\"a/x\" = \"a reason\"\n\"a/y@v2\" = \"another\"\n\"a/gone\" = \"not run\"\n";
        let baseline = Baseline::parse(text).expect("good");
        let compared = baseline.compare(&[
            outcome("a/x@v1", Verdict::Fail),
            outcome("a/x@v2", Verdict::Pass),
            outcome("a/y@v1", Verdict::Fail),
            outcome("a/y@v2", Verdict::Pass),
        ]);
        assert_eq!(compared.known, ["a/x@v1"]);
        assert_eq!(compared.new, ["a/y@v1"]);
        assert_eq!(compared.stale, ["a/y@v2"]);
    }

    #[test]
    fn a_line_needs_a_reason() {
        assert!(Baseline::parse("\"a/x\" = \"  \"").is_err());
        assert!(Baseline::parse("a/x = \"r\"").is_err());
    }
}
