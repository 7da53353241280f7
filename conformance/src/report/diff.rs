//! What changed between two reports.

use super::Report;
use super::cells::{by_case, case_of, natural, ranges, reason, version_of};
use crate::runner::Outcome;
use crate::verdict::Verdict;
use std::collections::BTreeMap;

/// A test that is in both reports, and not the same.
#[derive(Debug, Clone, Copy)]
pub struct Changed<'r> {
    /// Before.
    pub old: &'r Outcome,
    /// After.
    pub new: &'r Outcome,
}

/// What changed from one report to another, each list by test.
#[derive(Debug, Default)]
pub struct Diff<'r> {
    /// Graver than before.
    pub worse: Vec<Changed<'r>>,
    /// Less grave than before.
    pub better: Vec<Changed<'r>>,
    /// The same verdict, for another reason.
    pub reworded: Vec<Changed<'r>>,
    /// Only in the new report.
    pub appeared: Vec<&'r Outcome>,
    /// Only in the old report.
    pub gone: Vec<&'r Outcome>,
}

impl<'r> Diff<'r> {
    /// From `old` to `new`. Names that a run made for itself are no difference.
    pub fn new(old: &'r Report, new: &'r Report) -> Self {
        let by_test = |report: &'r Report| -> BTreeMap<_, &'r Outcome> {
            report.outcomes.iter().map(|outcome| (natural(&outcome.test), outcome)).collect()
        };
        let (before, mut after) = (by_test(old), by_test(new));
        let mut diff = Self::default();
        for (test, was) in before {
            let Some(is) = after.remove(&test) else {
                diff.gone.push(was);
                continue;
            };
            let changed = Changed { old: was, new: is };
            let message = |outcome: &Outcome, run: &str| reason(outcome).replace(run, "RUN");
            match gravity(is.verdict).cmp(&gravity(was.verdict)) {
                std::cmp::Ordering::Greater => diff.worse.push(changed),
                std::cmp::Ordering::Less => diff.better.push(changed),
                std::cmp::Ordering::Equal => {
                    let is_same = is.verdict == was.verdict
                        && is.statement == was.statement
                        && message(is, &new.run) == message(was, &old.run);
                    if !is_same {
                        diff.reworded.push(changed);
                    }
                }
            }
        }
        diff.appeared = after.into_values().collect();
        diff
    }

    /// Whether anything got worse: a graver verdict, or a new test that is not kept to.
    pub fn is_worse(&self) -> bool {
        let fails = |outcome: &&Outcome| outcome.verdict >= Verdict::NonStrict;
        !self.worse.is_empty() || self.appeared.iter().any(fails)
    }

    /// As lines of text.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        let mut section = |title: &str, count: usize, lines: Vec<String>| {
            if count > 0 {
                out += &format!("{title} ({count})\n{}\n", lines.join("\n"));
            }
        };
        let changed = |all: &[Changed<'_>]| together(all).iter().map(|same| told(same)).collect();
        let single = |all: &[&Outcome]| by_case(all).iter().map(|same| line(same)).collect();
        section("worse", self.worse.len(), changed(&self.worse));
        section("better", self.better.len(), changed(&self.better));
        section("for another reason", self.reworded.len(), changed(&self.reworded));
        section("appeared", self.appeared.len(), single(&self.appeared));
        section("gone", self.gone.len(), single(&self.gone));
        if out.is_empty() { "no difference\n".to_owned() } else { out }
    }
}

/// Versions of a test that changed alike.
fn together<'c, 'r>(all: &'c [Changed<'r>]) -> Vec<Vec<&'c Changed<'r>>> {
    let key = |changed: &Changed<'_>| {
        let of = |outcome: &Outcome| (outcome.verdict, outcome.statement.clone(), reason(outcome));
        (case_of(&changed.new.test).to_owned(), of(changed.old), of(changed.new))
    };
    let mut groups: Vec<(_, Vec<&Changed<'_>>)> = Vec::new();
    for changed in all {
        let own = key(changed);
        match groups.iter_mut().find(|(key, _)| *key == own) {
            Some((_, group)) => group.push(changed),
            None => groups.push((own, vec![changed])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn told(same: &[&Changed<'_>]) -> String {
    let Changed { old, new } = *same[0];
    let versions: Vec<i16> = same.iter().filter_map(|one| version_of(&one.new.test)).collect();
    let test = format!("{} {}", case_of(&new.test), ranges(&versions));
    let verdicts = if old.verdict == new.verdict {
        new.verdict.name().to_owned()
    } else {
        format!("{} -> {}", old.verdict, new.verdict)
    };
    let mut text = format!("  {verdicts:<28} {}", test.trim_end());
    for (mark, outcome) in [("-", old), ("+", new)] {
        if let Some(why) = why(outcome) {
            text += &format!("\n      {mark} {why}");
        }
    }
    text
}

fn line(same: &[&Outcome]) -> String {
    let first = same[0];
    let versions: Vec<i16> = same.iter().filter_map(|o| version_of(&o.test)).collect();
    let test = format!("{} {}", case_of(&first.test), ranges(&versions));
    let text = format!("  {:<28} {}", first.verdict.name(), test.trim_end());
    // Of a test that is in one report only, a reason is told if it is not kept to.
    match why(first).filter(|_| first.verdict >= Verdict::NonStrict) {
        Some(why) => format!("{text}\n      {why}"),
        None => text,
    }
}

fn why(outcome: &Outcome) -> Option<String> {
    let statement = outcome.statement.as_deref().unwrap_or("");
    let why = format!("{statement} {}", outcome.message);
    Some(why.trim().to_owned()).filter(|why| !why.is_empty())
}

/// PASS and INFO weigh the same: what the protocol leaves open is no fault.
fn gravity(verdict: Verdict) -> Verdict {
    if verdict == Verdict::Info { Verdict::Pass } else { verdict }
}
