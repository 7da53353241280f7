//! What the tests of a report say of each statement.

use super::Report;
use crate::runner::Outcome;
use crate::statement::Statement;
use crate::verdict::Verdict;
use std::collections::{BTreeMap, HashMap};

/// A test, and what it says of a statement.
#[derive(Debug, Clone, Copy)]
pub struct Told<'r> {
    /// The test.
    pub outcome: &'r Outcome,
    /// How the statement fared in it. It may be better than the test's own verdict: another
    /// statement may have been broken after this one was seen to hold.
    pub verdict: Verdict,
}

/// The outcomes of a report by case and by statement.
#[derive(Debug)]
pub struct Index<'r> {
    by_case: HashMap<&'r str, Vec<&'r Outcome>>,
    by_statement: HashMap<&'r str, Vec<&'r Outcome>>,
}

impl<'r> Index<'r> {
    /// Of a report.
    pub fn new(report: &'r Report) -> Self {
        let mut by_case: HashMap<&str, Vec<&Outcome>> = HashMap::new();
        let mut by_statement: HashMap<&str, Vec<&Outcome>> = HashMap::new();
        for outcome in &report.outcomes {
            by_case.entry(case_of(&outcome.test)).or_default().push(outcome);
            let decided = outcome.statement.iter().filter(|id| !outcome.evaluated.contains(id));
            for id in outcome.evaluated.iter().chain(decided) {
                by_statement.entry(id).or_default().push(outcome);
            }
        }
        Self { by_case, by_statement }
    }

    /// What the tests say of a statement, the gravest first; empty where none was run.
    pub fn told(&self, statement: &Statement) -> Vec<Told<'r>> {
        let of_cases = statement.tests.iter().filter_map(|case| self.by_case.get(case.as_str()));
        let evaluated = self.by_statement.get(statement.id.as_str());
        let mut outcomes: Vec<&Outcome> = of_cases.chain(evaluated).flatten().copied().collect();
        outcomes.sort_by(|a, b| natural(&a.test).cmp(&natural(&b.test)));
        outcomes.dedup_by(|a, b| a.test == b.test);
        let told = outcomes.into_iter().filter_map(|outcome| {
            said(outcome, statement).map(|verdict| Told { outcome, verdict })
        });
        let mut told: Vec<Told<'_>> = told.collect();
        told.sort_by_key(|told| std::cmp::Reverse(rank(told.verdict)));
        told
    }
}

/// A test's name without its version.
pub fn case_of(test: &str) -> &str {
    test.split_once("@v").map_or(test, |(case, _)| case)
}

/// A test's version, where it has one.
pub fn version_of(test: &str) -> Option<i16> {
    test.split_once("@v").and_then(|(_, version)| version.parse().ok())
}

/// The order of names in which version 10 stands behind 9.
pub fn natural(test: &str) -> (&str, Option<i16>, &str) {
    (case_of(test), version_of(test), test)
}

/// Gravity of a cell: what is not claimed in one version and holds in another holds.
pub fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Unsupported => 0,
        Verdict::Pass => 1,
        Verdict::Info => 2,
        Verdict::NonStrict => 3,
        Verdict::Blocked => 4,
        Verdict::Fail => 5,
        Verdict::HarnessError => 6,
    }
}

fn said(outcome: &Outcome, statement: &Statement) -> Option<Verdict> {
    let is_evaluated = outcome.evaluated.contains(&statement.id);
    let held = if statement.level == "MAY" { Verdict::Info } else { Verdict::Pass };
    match outcome.verdict {
        verdict if outcome.statement.as_ref() == Some(&statement.id) => Some(verdict),
        Verdict::Pass if is_evaluated => Some(Verdict::Pass),
        _ if is_evaluated => Some(held),
        Verdict::Pass | Verdict::Info | Verdict::NonStrict => None,
        // It was not come to.
        Verdict::Fail | Verdict::Blocked => Some(Verdict::Blocked),
        verdict => Some(verdict),
    }
}

/// The outcomes of each case that did alike together, in the order of their versions.
pub fn by_case<'o>(outcomes: &[&'o Outcome]) -> Vec<Vec<&'o Outcome>> {
    let mut cases: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        cases.entry(case_of(&outcome.test)).or_default().push(outcome);
    }
    for outcomes in cases.values_mut() {
        outcomes.sort_by_key(|outcome| version_of(&outcome.test));
    }
    cases.values().flat_map(|outcomes| alike(outcomes)).collect()
}

/// A message without the name that the test made for itself, which has the version in it.
pub fn reason(outcome: &Outcome) -> String {
    outcome.message.replace(&outcome.test.replace(['/', '@'], "-"), "TEST")
}

/// Outcomes with the same verdict for the same reason, together.
pub fn alike<'o>(outcomes: &[&'o Outcome]) -> Vec<Vec<&'o Outcome>> {
    let mut groups: Vec<(String, Vec<&Outcome>)> = Vec::new();
    for outcome in outcomes {
        let reason = reason(outcome);
        let is_alike = |(other, group): &&mut (String, Vec<&Outcome>)| {
            (group[0].verdict, &group[0].statement) == (outcome.verdict, &outcome.statement)
                && *other == reason
        };
        match groups.iter_mut().find(is_alike) {
            Some((_, group)) => group.push(outcome),
            None => groups.push((reason, vec![outcome])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// `v4–v6, v9` of ascending versions.
pub fn ranges(versions: &[i16]) -> String {
    let mut runs: Vec<(i16, i16)> = Vec::new();
    for version in versions {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *version => *last = *version,
            _ => runs.push((*version, *version)),
        }
    }
    let text = |(first, last): &(i16, i16)| {
        if first == last { format!("v{first}") } else { format!("v{first}–v{last}") }
    };
    runs.iter().map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn versions_are_joined_into_ranges() {
        for (versions, text) in
            [(&[][..], ""), (&[4], "v4"), (&[4, 5, 6, 9], "v4–v6, v9"), (&[0, 2, 3], "v0, v2–v3")]
        {
            assert_eq!(ranges(versions), text);
        }
    }
}
