//! A report for people, as Markdown.

use super::{Report, badge, counts_text};
use crate::verdict::Verdict;
use std::fmt::Write as _;

/// A line for a badge, the scores, then everything that did not pass.
pub fn to_markdown(report: &Report) -> String {
    let mut out = String::new();
    let line = |out: &mut String, text: String| {
        let _ = writeln!(out, "{text}"); // a String takes everything
    };
    line(&mut out, format!("# {} against {}\n", report.suite, report.target));
    line(&mut out, format!("`{}`\n", badge(report)));
    let seconds = report.took_ms as f64 / 1000.0;
    let (tests, trip) = (report.outcomes.len(), report.round_trip_us);
    line(&mut out, format!("{tests} tests in {seconds:.1} s, round trip {trip} µs.\n"));
    line(&mut out, "| profile | verdicts |\n| --- | --- |".to_owned());
    for (profile, counts) in report.scores() {
        line(&mut out, format!("| {profile} | {} |", counts_text(&counts)));
    }
    for verdict in Verdict::ALL.into_iter().rev().filter(|v| *v != Verdict::Pass) {
        let those: Vec<_> = report.outcomes.iter().filter(|o| o.verdict == verdict).collect();
        if those.is_empty() {
            continue;
        }
        line(
            &mut out,
            format!("\n## {verdict}\n\n| test | statement | why |\n| --- | --- | --- |"),
        );
        for outcome in those {
            let statement = outcome.statement.as_deref().unwrap_or("");
            let why = outcome.message.replace('|', "\\|").replace('\n', " ");
            line(&mut out, format!("| `{}` | {statement} | {why} |", outcome.test));
        }
    }
    out
}
