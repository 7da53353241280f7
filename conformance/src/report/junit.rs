//! A report for CI systems, as JUnit XML.

use super::Report;
use crate::verdict::Verdict;
use std::fmt::Write as _;

/// One suite per profile. FAIL is a failure, HARNESS-ERROR and BLOCKED are errors, UNSUPPORTED is
/// skipped; the rest passed.
pub fn to_junit(report: &Report) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let mut line = |text: String| {
        let _ = writeln!(out, "{text}"); // a String takes everything
    };
    line(format!("<testsuites name=\"{}\">", escape(&report.target)));
    for (profile, counts) in report.scores() {
        let count = |verdict| counts.get(&verdict).copied().unwrap_or_default();
        let tests: usize = counts.values().sum();
        let failures = count(Verdict::Fail);
        let errors = count(Verdict::HarnessError) + count(Verdict::Blocked);
        let skipped = count(Verdict::Unsupported);
        line(format!(
            "  <testsuite name=\"{profile}\" tests=\"{tests}\" failures=\"{failures}\" \
             errors=\"{errors}\" skipped=\"{skipped}\">"
        ));
        for outcome in report.outcomes.iter().filter(|outcome| outcome.profile == profile) {
            let (suite, name) = outcome.test.split_once('/').unwrap_or(("", &outcome.test));
            let seconds = outcome.took_ms as f64 / 1000.0;
            let head = format!(
                "    <testcase classname=\"{}\" name=\"{}\" time=\"{seconds:.3}\"",
                escape(suite),
                escape(name)
            );
            let tag = match outcome.verdict {
                Verdict::Fail => "failure",
                Verdict::HarnessError | Verdict::Blocked => "error",
                Verdict::Unsupported => "skipped",
                Verdict::Pass | Verdict::Info | Verdict::NonStrict => {
                    line(format!("{head}/>"));
                    continue;
                }
            };
            let statement = outcome.statement.as_deref().unwrap_or("");
            let message = escape(format!("{statement} {}", outcome.message).trim());
            let verdict = outcome.verdict;
            line(format!("{head}>"));
            line(format!("      <{tag} message=\"{verdict}: {message}\"/>"));
            line("    </testcase>".to_owned());
        }
        line("  </testsuite>".to_owned());
    }
    line("</testsuites>".to_owned());
    out
}

/// Text for an attribute. What XML cannot hold at all becomes U+FFFD.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push(' '),
            letter if letter.is_control() => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}
