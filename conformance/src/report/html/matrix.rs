//! Targets × statements, of several reports.

use super::page::{anchor, class, escape, legend, mark, page, sign, statement, why};
use super::run::{again, newest_log};
use crate::annotate::utc;
use crate::report::cells::{Index, Told, by_case, case_of, ranges, rank, version_of};
use crate::report::{Report, Side, kept, standing};
use crate::runner::Outcome;
use crate::statement::{self, Statement};
use crate::verdict::Verdict;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

/// The filter, which only shows where there is JavaScript.
pub(super) const FILTER_OPEN: &str = "<form class=\"filter\" hidden=\"hidden\" role=\"search\">\n\
    <label>Search <input type=\"search\" id=\"q\" placeholder=\"text or id\" \
    autocomplete=\"off\"/></label>\n";
/// See there.
pub(super) const FILTER_CLOSE: &str = "<output id=\"found\"></output>\n</form>\n";

/// The choice of a verdict in the filter.
pub(super) fn verdict_choice() -> String {
    let mut out = String::from(
        "<label>Verdict <select id=\"v\"><option value=\"\">any</option>\
         <option value=\"bad\">not kept to</option>",
    );
    for verdict in Verdict::ALL {
        let (class, sign) = (class(verdict), sign(verdict));
        let _ = write!(out, "<option value=\"{class}\">{sign} {verdict}</option>");
    }
    out + "</select></label>\n"
}

/// One page of all reports: a table for brokers and one for clients, statements down and targets
/// across; what the tests say is behind each cell.
pub fn to_matrix(reports: &[Report]) -> String {
    let mut body = String::from(
        "<header class=\"top\"><h1>Kafka protocol conformance</h1>\n<p class=\"meta\">Each row is \
         a statement of what a broker or a client has to do, each column a program that was run \
         against it. A cell shows its gravest verdict and how many tests there were.</p>\
         </header>\n<main>\n",
    );
    body.push_str(&legend());
    let mut panels = String::new();
    let sides = [(Side::Broker, "Brokers", "broker"), (Side::Client, "Clients", "client")];
    for (side, title, role) in sides {
        let of_side: Vec<&Report> = reports.iter().filter(|r| r.side == side).collect();
        if of_side.is_empty() {
            continue;
        }
        let _ =
            writeln!(body, "<section aria-labelledby=\"{role}s\"><h2 id=\"{role}s\">{title}</h2>");
        scores(&mut body, &of_side, role);
        filter(&mut body, &of_side);
        let indexes = indexes(&of_side);
        let mut table = Table { reports: &of_side, role, indexes, logged: HashMap::new() };
        table.write(&mut body, &mut panels);
        body.push_str("</section>\n");
    }
    body.push_str("</main>\n");
    body.push_str(&panels);
    page("Kafka protocol conformance", &body)
}

fn indexes<'r>(reports: &[&'r Report]) -> Vec<Index<'r>> {
    reports.iter().map(|report| Index::new(report)).collect()
}

/// Targets and profiles.
fn scores(body: &mut String, reports: &[&Report], role: &str) {
    let profiles: BTreeSet<_> = reports.iter().flat_map(|r| r.scores().into_keys()).collect();
    let _ = write!(
        body,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Scores of the \
         {role}s\"><table class=\"scores\"><caption>Tests kept to, of those that the target \
         claims</caption><thead><tr><th scope=\"col\">Target</th>"
    );
    for profile in &profiles {
        let _ = write!(body, "<th scope=\"col\">{profile}</th>");
    }
    body.push_str("<th scope=\"col\">suite</th><th scope=\"col\">run</th></tr></thead><tbody>\n");
    for report in reports {
        let scores = report.scores();
        let _ = write!(body, "<tr><th scope=\"row\">{}</th>", escape(&report.target));
        for profile in &profiles {
            match scores.get(profile) {
                Some(counts) => {
                    let ((kept, decided), verdict) = (kept(counts), standing(counts));
                    let (class, sign) = (class(verdict), sign(verdict));
                    let _ = write!(
                        body,
                        "<td><span class=\"score {class}\">{kept}/{decided} {sign}</span></td>"
                    );
                }
                None => body.push_str("<td class=\"none\">not run</td>"),
            }
        }
        let date = utc(report.ended_ms).unwrap_or_default();
        let date = date.split('T').next().unwrap_or_default();
        let _ = writeln!(body, "<td>{}</td><td>{date}</td></tr>", escape(&report.suite));
    }
    body.push_str("</tbody></table></div>\n");
}

fn filter(body: &mut String, reports: &[&Report]) {
    // One filter serves both tables.
    if body.contains(FILTER_OPEN) {
        return;
    }
    body.push_str(FILTER_OPEN);
    body.push_str(&verdict_choice());
    if reports.len() > 1 {
        body.push_str(
            "<label><input type=\"checkbox\" id=\"d\"/> only where targets differ</label>\n",
        );
    }
    body.push_str(FILTER_CLOSE);
}

struct Table<'a, 'r> {
    reports: &'a [&'r Report],
    role: &'a str,
    indexes: Vec<Index<'r>>,
    /// Under which statement a target's test has its wire log: one test decides many.
    logged: HashMap<(usize, &'r str), String>,
}

/// A statement, and what each report says of it.
struct Row<'r> {
    statement: &'static Statement,
    cells: Vec<Vec<Told<'r>>>,
}

impl Row<'_> {
    /// The gravest verdict of a cell.
    fn verdicts(&self) -> impl Iterator<Item = Option<Verdict>> {
        self.cells.iter().map(|told| told.first().map(|told| told.verdict))
    }
}

impl<'r> Table<'_, 'r> {
    fn write(&mut self, body: &mut String, panels: &mut String) {
        let of_role = || statement::all().values().filter(|s| s.role == self.role);
        let mut areas: BTreeMap<&str, Vec<Row<'r>>> = BTreeMap::new();
        for statement in of_role() {
            let cells: Vec<_> = self.indexes.iter().map(|index| index.told(statement)).collect();
            if cells.iter().any(|told| !told.is_empty()) {
                areas.entry(area(&statement.id)).or_default().push(Row { statement, cells });
            }
        }
        let (shown, all) = (areas.values().map(Vec::len).sum::<usize>(), of_role().count());
        let _ = writeln!(
            body,
            "<p class=\"meta\">{shown} of {all} statements were tested here; the others have no \
             test yet, cannot be tested, or belong to profiles that were not run.</p>"
        );
        let (role, many) = (self.role, if self.reports.len() > 6 { " many" } else { "" });
        let _ = write!(
            body,
            "<div class=\"scroll tall\" tabindex=\"0\" role=\"region\" aria-label=\"Statements \
             and {role}s\"><table class=\"matrix{many}\"><thead><tr><th \
             scope=\"col\">Statement</th>"
        );
        for report in self.reports {
            let target = escape(&report.target);
            let _ = write!(body, "<th scope=\"col\"><span>{target}</span></th>");
        }
        body.push_str("</tr></thead>\n");
        for (area, rows) in &areas {
            let span = self.reports.len() + 1;
            let title = area_title(area);
            let _ = writeln!(
                body,
                "<tbody data-group=\"\"><tr class=\"area\"><th scope=\"rowgroup\" \
                 colspan=\"{span}\"><span>{title}</span></th></tr>"
            );
            for row in rows {
                self.row(body, row);
                self.panel(panels, row);
            }
            body.push_str("</tbody>\n");
        }
        body.push_str("</table></div>\n");
    }

    fn row(&self, body: &mut String, row: &Row<'_>) {
        let statement = row.statement;
        let id = escape(&statement.id);
        let mut verdicts: Vec<Verdict> = row.verdicts().flatten().collect();
        verdicts.sort();
        verdicts.dedup();
        let classes: Vec<String> = verdicts.iter().map(|verdict| class(*verdict)).collect();
        let differs = if verdicts.len() > 1 { " data-d=\"1\"" } else { "" };
        let _ = write!(
            body,
            "<tr id=\"row-{id}\" data-v=\"{}\"{differs}><th scope=\"row\"><a \
             href=\"#{id}\"><code>{id}</code></a> <span class=\"level\">{}</span> <span \
             class=\"text\">{}</span></th>",
            classes.join(" "),
            escape(&statement.level),
            escape(&statement.text)
        );
        for (target, told) in row.cells.iter().enumerate() {
            cell(body, &format!("{id}-t{target}"), told);
        }
        body.push_str("</tr>\n");
    }

    /// What is behind the cells of a row.
    fn panel(&mut self, out: &mut String, row: &Row<'r>) {
        let id = escape(&row.statement.id);
        let _ = write!(
            out,
            "<section class=\"panel\" id=\"{id}\" aria-labelledby=\"h-{id}\"><p \
             class=\"close\"><a href=\"#row-{id}\">Close</a></p>\n<h2 id=\"h-{id}\">{id}</h2>\n"
        );
        out.push_str(&statement(row.statement));
        for (target, told) in row.cells.iter().enumerate() {
            let Some(first) = told.first() else { continue };
            let report = self.reports[target];
            let _ = writeln!(
                out,
                "<section id=\"{id}-t{target}\" class=\"told\"><h3>{} {}</h3>",
                mark(first.verdict),
                escape(&report.target)
            );
            for (verdict, outcomes) in by_verdict(told) {
                for same in by_case(&outcomes) {
                    told_of(out, report, verdict, &same);
                    if verdict != Verdict::Pass {
                        self.log(out, &format!("{id}-t{target}"), target, &same);
                    }
                    out.push_str("</div>\n");
                }
            }
            out.push_str("</section>\n");
        }
        out.push_str("</section>\n");
    }

    /// The wire log of tests, or where it stands.
    fn log(&mut self, out: &mut String, place: &str, target: usize, same: &[&'r Outcome]) {
        let Some(last) = same.iter().rev().find(|outcome| !outcome.wire.is_empty()) else {
            return;
        };
        match self.logged.get(&(target, last.test.as_str())) {
            Some(place) => {
                let _ = writeln!(
                    out,
                    "<p class=\"meta\">Wire log: see <a href=\"#{place}\">{}</a></p>",
                    place.rsplit_once("-t").map_or(place.as_str(), |(id, _)| id)
                );
            }
            None => {
                out.push_str(&newest_log(self.reports[target], same));
                self.logged.insert((target, &last.test), place.to_owned());
            }
        }
    }
}

fn cell(body: &mut String, link: &str, told: &[Told<'_>]) {
    let Some(first) = told.first() else {
        body.push_str("<td class=\"none\"><span aria-label=\"not run\">·</span></td>");
        return;
    };
    let verdict = first.verdict;
    let of = |wanted| told.iter().filter(|one| one.verdict == wanted).count();
    // Versions that are not claimed count only where none is.
    let (alike, lacking) = (of(verdict), of(Verdict::Unsupported));
    let all = if verdict == Verdict::Unsupported { alike } else { told.len() - lacking };
    let count = match verdict {
        Verdict::Unsupported => String::new(),
        _ if alike == all => format!(" {alike}"),
        _ => format!(" {alike}/{all}"),
    };
    let (class, sign) = (class(verdict), sign(verdict));
    let label = format!("{verdict}, {alike} of {all} tests");
    let _ = write!(
        body,
        "<td class=\"{class}\"><a href=\"#{link}\" aria-label=\"{label}\" \
         title=\"{label}\">{sign}{count}</a></td>"
    );
}

fn by_verdict<'r>(told: &[Told<'r>]) -> Vec<(Verdict, Vec<&'r Outcome>)> {
    let mut groups: Vec<(Verdict, Vec<&Outcome>)> = Vec::new();
    for one in told {
        match groups.iter_mut().find(|(verdict, _)| *verdict == one.verdict) {
            Some((_, group)) => group.push(one.outcome),
            None => groups.push((one.verdict, vec![one.outcome])),
        }
    }
    groups.sort_by_key(|(verdict, _)| std::cmp::Reverse(rank(*verdict)));
    groups
}

/// Tests that say the same of the statement: the beginning of an element.
fn told_of(out: &mut String, report: &Report, verdict: Verdict, same: &[&Outcome]) {
    let versions: Vec<i16> = same.iter().filter_map(|o| version_of(&o.test)).collect();
    let Some(last) = same.last() else { return };
    let _ = writeln!(
        out,
        "<div class=\"test\"><p>{} <code>{}</code> {}</p>",
        mark(verdict),
        escape(case_of(&last.test)),
        ranges(&versions)
    );
    let is_quiet = verdict == Verdict::Pass && last.verdict != Verdict::Info;
    if !is_quiet {
        out.push_str(&why(last));
        if rank(verdict) >= rank(Verdict::NonStrict) {
            out.push_str(&again(report, last));
        }
    }
}

/// `K-FETCH-SESSIONS` of `K-FETCH-SESSIONS-003`.
fn area(id: &str) -> &str {
    id.rsplit_once('-').map_or(id, |(area, _)| area)
}

/// `Fetch sessions`.
fn area_title(area: &str) -> String {
    let words = area.strip_prefix("K-").unwrap_or(area).to_ascii_lowercase().replace('-', " ");
    if let Some(rest) = words.strip_prefix("api ") {
        return format!("API {}", escape(rest));
    }
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => escape(&format!("{}{}", first.to_ascii_uppercase(), letters.as_str())),
        None => anchor(area),
    }
}
