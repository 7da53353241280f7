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

/// What a score amounts to: PASS where all that is claimed is kept to, UNSUPPORTED where nothing is
/// claimed, else the gravest verdict.
pub fn standing(counts: &Counts) -> Verdict {
    match (kept(counts), counts.keys().max()) {
        ((_, 0), _) | (_, None) => Verdict::Unsupported,
        ((kept, decided), _) if kept == decided => Verdict::Pass,
        (_, Some(gravest)) => *gravest,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_as_grave_as_its_gravest_test() {
        use Verdict::{Fail, Info, NonStrict, Pass, Unsupported};
        for (verdicts, expected) in [
            (&[Pass, Info, Unsupported][..], Pass),
            (&[Pass, NonStrict, Unsupported], NonStrict),
            (&[Pass, NonStrict, Fail], Fail),
            (&[Unsupported], Unsupported),
        ] {
            let counts: Counts = verdicts.iter().map(|verdict| (*verdict, 1)).collect();
            assert_eq!(standing(&counts), expected, "{verdicts:?}");
        }
    }
}
