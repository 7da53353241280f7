//! Scores: tests kept of those that were decided, per profile.

use super::{Counts, Report};
use crate::case::Profile;
use crate::verdict::Verdict;

/// The tests that the target keeps to, and those that were decided: what it does not claim is in
/// neither. A SHOULD that is not followed is not kept to.
pub fn kept(counts: &Counts) -> (usize, usize) {
    let of = |verdict| counts.get(&verdict).copied().unwrap_or_default();
    let all: usize = counts.values().sum();
    (of(Verdict::Pass) + of(Verdict::Info), all - of(Verdict::Unsupported))
}

/// One line for a README: `ottla-conformance 0.1.0: core 100/100 · groups 98/98`.
pub fn badge(report: &Report) -> String {
    let scores = report.scores();
    let part = |(profile, counts): (&Profile, &Counts)| {
        let (kept, decided) = kept(counts);
        format!("{profile} {kept}/{decided}")
    };
    let parts: Vec<String> = scores.iter().map(part).collect();
    format!("{}: {}", report.suite, parts.join(" · "))
}
