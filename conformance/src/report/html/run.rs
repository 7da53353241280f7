//! The report of one run.

use super::log::wire_log;
use super::page::{anchor, class, escape, legend, mark, page, sign, statement, why};
use crate::annotate::utc;
use crate::report::cells::{alike, by_case, case_of, ranges, rank, version_of};
use crate::report::{Report, Side, kept};
use crate::runner::Outcome;
use crate::statement;
use crate::verdict::Verdict;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Scores per profile, what was not kept to, then every test: verdict, statements, message and,
/// where the report keeps it, what went over the wire.
pub fn to_html(report: &Report) -> String {
    let title = format!("{} against {}", report.suite, report.target);
    let mut body = String::new();
    head(&mut body, report);
    scores(&mut body, report);
    failures(&mut body, report);
    body.push_str(super::matrix::FILTER_OPEN);
    body.push_str(&super::matrix::verdict_choice());
    body.push_str(super::matrix::FILTER_CLOSE);
    tests(&mut body, report);
    body.push_str("</main>\n");
    page(&title, &body)
}

fn head(body: &mut String, report: &Report) {
    let whom = if report.side == Side::Broker { "broker" } else { "client" };
    let ended = utc(report.ended_ms).unwrap_or_default();
    let ended = ended.split('.').next().unwrap_or_default().replace('T', " ");
    let _ = write!(
        body,
        "<header class=\"top\"><h1>{} <span>against</span> {}</h1>\n\
         <p class=\"meta\">{whom} · {} tests in {:.1} s · ended {ended} UTC · round trip {} µs · \
         patience {} ms</p></header>\n<main>\n",
        escape(&report.suite),
        escape(&report.target),
        report.outcomes.len(),
        report.took_ms as f64 / 1000.0,
        report.round_trip_us,
        report.patience_ms
    );
}

fn scores(body: &mut String, report: &Report) {
    body.push_str(
        "<section aria-labelledby=\"scores\"><h2 id=\"scores\">Scores</h2>\n<div \
         class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"scores\"><table \
         class=\"scores\"><thead><tr><th scope=\"col\">Profile</th><th scope=\"col\">kept \
         to</th>",
    );
    for verdict in Verdict::ALL {
        let _ = write!(body, "<th scope=\"col\">{}</th>", mark(verdict));
    }
    body.push_str("</tr></thead><tbody>\n");
    for (profile, counts) in report.scores() {
        let (kept, decided) = kept(&counts);
        let _ = write!(body, "<tr><th scope=\"row\">{profile}</th><td>{kept} of {decided}</td>");
        for verdict in Verdict::ALL {
            match counts.get(&verdict) {
                Some(count) => {
                    let _ = write!(body, "<td class=\"{}\">{count}</td>", class(verdict));
                }
                None => body.push_str("<td class=\"none\">0</td>"),
            }
        }
        body.push_str("</tr>\n");
    }
    body.push_str("</tbody></table></div>\n");
    body.push_str("<details><summary>What the verdicts mean</summary>\n");
    body.push_str(&legend());
    body.push_str("</details></section>\n");
}

/// Everything that is not PASS, INFO or UNSUPPORTED, open; versions that did alike together.
fn failures(body: &mut String, report: &Report) {
    let failed: Vec<&Outcome> =
        report.outcomes.iter().filter(|o| rank(o.verdict) >= rank(Verdict::NonStrict)).collect();
    let _ = writeln!(
        body,
        "<section aria-labelledby=\"failed\"><h2 id=\"failed\">Not kept to ({})</h2>",
        failed.len()
    );
    if failed.is_empty() {
        body.push_str("<p>Every statement that was tested is kept to.</p>\n");
    }
    let mut groups = by_case(&failed);
    groups.sort_by_key(|same| std::cmp::Reverse(rank(same[0].verdict)));
    for same in groups {
        failure(body, report, &same);
    }
    body.push_str("</section>\n");
}

fn failure(body: &mut String, report: &Report, same: &[&Outcome]) {
    let Some(last) = same.last() else { return };
    let versions: Vec<i16> = same.iter().filter_map(|o| version_of(&o.test)).collect();
    let _ = writeln!(
        body,
        "<article class=\"failure {}\" id=\"f-{}\"><h3>{} <code>{}</code> {}</h3>",
        class(last.verdict),
        anchor(&last.test),
        mark(last.verdict),
        escape(case_of(&last.test)),
        ranges(&versions)
    );
    body.push_str(&why(last));
    if let Some(found) = last.statement.as_ref().and_then(|id| statement::all().get(id)) {
        body.push_str(&statement(found));
    }
    body.push_str(&newest_log(report, same));
    body.push_str(&again(report, last));
    body.push_str("</article>\n");
}

/// The wire log of the newest version that has one: the others' are alike.
pub(super) fn newest_log(report: &Report, same: &[&Outcome]) -> String {
    let Some(logged) = same.iter().rev().find(|outcome| !outcome.wire.is_empty()) else {
        return String::new();
    };
    let of = version_of(&logged.test).filter(|_| same.len() > 1);
    wire_log(&logged.wire, report.side.requests(), of)
}

/// The command that runs the test again and shows every frame.
pub(super) fn again(report: &Report, outcome: &Outcome) -> String {
    let test = escape(&outcome.test);
    let arguments = match report.side {
        Side::Broker => format!("one {test} --bootstrap HOST:PORT"),
        Side::Client => format!("client --shim COMMAND --only {test}"),
    };
    format!("<p class=\"again\">Again: <code>ottla-conformance {arguments} --trace</code></p>\n")
}

fn tests(body: &mut String, report: &Report) {
    body.push_str("<section aria-labelledby=\"tests\"><h2 id=\"tests\">All tests</h2>\n");
    let mut cases: BTreeMap<_, BTreeMap<&str, Vec<&Outcome>>> = BTreeMap::new();
    for outcome in &report.outcomes {
        let profile = cases.entry(outcome.profile).or_default();
        profile.entry(case_of(&outcome.test)).or_default().push(outcome);
    }
    for (profile, cases) in cases {
        let _ = writeln!(body, "<section class=\"profile\" data-group=\"\"><h3>{profile}</h3>");
        for (name, mut outcomes) in cases {
            outcomes.sort_by_key(|outcome| version_of(&outcome.test));
            case(body, report, name, &outcomes);
        }
        body.push_str("</section>\n");
    }
    body.push_str("</section>\n");
}

fn case(body: &mut String, report: &Report, name: &str, outcomes: &[&Outcome]) {
    let gravest = outcomes.iter().map(|o| o.verdict).max_by_key(|v| rank(*v));
    let gravest = gravest.unwrap_or(Verdict::Unsupported);
    let mut verdicts: Vec<String> = outcomes.iter().map(|o| class(o.verdict)).collect();
    verdicts.dedup();
    let _ = write!(
        body,
        "<details class=\"case\" data-v=\"{}\"><summary>{} <code>{}</code> <span \
         class=\"chips\">",
        verdicts.join(" "),
        mark(gravest),
        escape(name)
    );
    for outcome in outcomes {
        if let Some(version) = version_of(&outcome.test) {
            let (class, sign, verdict) =
                (class(outcome.verdict), sign(outcome.verdict), outcome.verdict);
            let _ = write!(
                body,
                "<span class=\"chip {class}\" title=\"{verdict}\">v{version} {sign}</span> "
            );
        }
    }
    body.push_str("</span></summary>\n");
    let mut ids: Vec<&String> =
        outcomes.iter().flat_map(|o| o.evaluated.iter().chain(&o.statement)).collect();
    ids.sort();
    ids.dedup();
    if !ids.is_empty() {
        body.push_str("<ul class=\"statements\">\n");
    }
    for id in &ids {
        let text = statement::all().get(*id).map_or("", |statement| &statement.text);
        let _ = writeln!(body, "<li><code>{}</code> {}</li>", escape(id), escape(text));
    }
    if !ids.is_empty() {
        body.push_str("</ul>\n");
    }
    for same in alike(outcomes) {
        let first = same[0];
        let versions: Vec<i16> = same.iter().filter_map(|o| version_of(&o.test)).collect();
        let (mark, versions) = (mark(first.verdict), ranges(&versions));
        let _ = writeln!(body, "<div class=\"told\"><p>{mark} {versions}</p>");
        body.push_str(&why(first));
        // What was not kept to has its log above.
        if rank(first.verdict) < rank(Verdict::NonStrict) {
            body.push_str(&newest_log(report, &same));
        }
        body.push_str("</div>\n");
    }
    body.push_str("</details>\n");
}
