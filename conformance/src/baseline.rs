//! Failures that are known: they still run, and one that passes is told, so that the list stays
//! true.

use crate::case::matches;
use crate::runner::Outcome;
use crate::verdict::Verdict;
use std::collections::BTreeMap;

/// Reasons by test, or by pattern: `*` stands for anything without a slash, `**` for anything,
/// `@v3-7` at the end for these versions, `@v3+` for those from there on. A key without `@` stands
/// for every version.
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
        for (test, reason) in &table {
            if reason.trim().is_empty() {
                return Err(format!("{test} has no reason: say why it is known to fail"));
            }
            if !is_key(test) {
                let forms = "suite/test, and after it nothing, @v3, @v3-7 or @v3+";
                return Err(format!(
                    "{test:?} is no test and no pattern of tests: expected {forms}"
                ));
            }
        }
        Ok(Self(table))
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
    let (name, version) = split(test);
    let (pattern, versions) = split(key);
    matches(pattern, name) && versions.is_none_or(|versions| has(versions, version))
}

/// Whether it can stand for anything.
fn is_key(key: &str) -> bool {
    let (name, versions) = split(key);
    let number = |text: &str| text.parse::<u16>().is_ok();
    let in_form = |versions: &str| match versions.split_once('-') {
        Some((first, last)) => number(first) && number(last),
        None => number(versions.strip_suffix('+').unwrap_or(versions)),
    };
    !name.is_empty() && !name.contains('@') && versions.is_none_or(in_form)
}

/// `suite/test@v7` is `suite/test` and `7`.
fn split(test: &str) -> (&str, Option<&str>) {
    test.split_once("@v").map_or((test, None), |(name, version)| (name, Some(version)))
}

/// Whether a test's version is among `3`, `3-7` or `3+`.
fn has(versions: &str, version: Option<&str>) -> bool {
    let number = |text: &str| text.parse::<u16>().ok();
    let Some(version) = version.and_then(number) else { return false };
    let (first, last) = match (versions.split_once('-'), versions.strip_suffix('+')) {
        (Some((first, last)), _) => (number(first), number(last)),
        (None, Some(first)) => (number(first), Some(u16::MAX)),
        (None, None) => (number(versions), number(versions)),
    };
    first.is_some_and(|first| first <= version) && last.is_some_and(|last| version <= last)
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
    fn patterns_stand_for_tests_and_are_stale_where_none_fails() {
        for (key, test, stands) in [
            ("a/x", "a/x", true),
            ("a/x", "a/x@v3", true),
            ("a/x", "a/xy@v3", false),
            ("a/x@v3", "a/x@v31", false),
            ("a/x@v3-11", "a/x@v11", true),
            ("a/x@v3-11", "a/x@v12", false),
            ("a/x@v3-11", "a/x", false),
            ("a/x@v12+", "a/x@v12", true),
            ("a/x@v12+", "a/x@v11", false),
            ("a/*@v3+", "a/y@v4", true),
            ("a/*", "a/y", true),
            ("a/**", "a/y@v4", true),
            ("*/y", "a/y@v4", true),
            ("b/*", "a/y@v4", false),
        ] {
            assert_eq!(stands_for(key, test), stands, "{key} {test}");
        }
        let baseline = Baseline::parse("\"a/*\" = \"r\"\n\"b/*@v2-3\" = \"r\"\n").expect("good");
        let compared = baseline.compare(&[
            outcome("a/x@v1", Verdict::Fail),
            outcome("a/y@v1", Verdict::Pass),
            outcome("b/x@v2", Verdict::Pass),
            outcome("b/x@v4", Verdict::Fail),
        ]);
        assert_eq!(compared.known, ["a/x@v1"]);
        assert_eq!(compared.new, ["b/x@v4"]);
        assert_eq!(compared.stale, ["b/*@v2-3"]);
    }

    #[test]
    fn keys_have_a_form() {
        for key in ["a/x@", "a/x@v", "a/x@v3-", "a/x@vx+", "a/x@3", "@v3"] {
            let refused = Baseline::parse(&format!("{key:?} = \"r\"")).expect_err(key);
            assert!(refused.contains("no pattern"), "{refused}");
        }
    }

    #[test]
    fn a_line_needs_a_reason() {
        assert!(Baseline::parse("\"a/x\" = \"  \"").is_err());
        assert!(Baseline::parse("a/x = \"r\"").is_err());
    }
}
