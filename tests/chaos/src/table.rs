//! What came of the scenarios: for the terminal, and for the table in the documentation.

use crate::Failure;
use crate::scenarios::{SCENARIOS, Scenario};
use crate::world::Report;
use comfy_table::{Table, presets};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- chaos: begin -->\n";
const END: &str = "<!-- chaos: end -->\n";
const HEADER: &str = "| | scenario | source | what was done | acknowledged | lost | longest gap ms \
    | result |\n| ---: | --- | --- | --- | ---: | ---: | ---: | --- |\n";

/// Outcomes in the order in which they came.
#[derive(Default)]
pub(crate) struct Results {
    rows: Vec<(&'static Scenario, Result<Report, String>)>,
}

impl Results {
    pub(crate) fn add(&mut self, scenario: &'static Scenario, report: Result<Report, Failure>) {
        let report = report.map_err(|error| error.to_string());
        eprintln!("{:>2} {}: {}", scenario.number, scenario.name, outcome(&report));
        self.rows.push((scenario, report));
    }

    /// How many passed, failed and were not run.
    pub(crate) fn count(&self) -> [usize; 3] {
        let mut count = [0; 3];
        for (_, report) in &self.rows {
            let place = match report {
                Ok(report) if !report.was_run() => 2,
                Ok(report) if report.is_kept() => 0,
                _ => 1,
            };
            count[place] += 1;
        }
        count
    }

    pub(crate) fn show(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        let header = ["", "scenario", "acknowledged", "lost", "twice", "longest gap ms", "outcome"];
        table.set_header(header);
        for (scenario, report) in &self.rows {
            let [acknowledged, lost, twice, gap] = cells(report);
            let (number, outcome) = (scenario.number.to_string(), outcome(report));
            let name = scenario.name.to_owned();
            table.add_row([number, name, acknowledged, lost, twice, gap, outcome]);
        }
        table.to_string()
    }

    /// Puts these outcomes into the table of a file, between its marks; rows of other scenarios
    /// stay as they are.
    pub(crate) fn write(&self, file: &Path) -> Result<(), Failure> {
        let text = fs::read_to_string(file)?;
        let row = |(scenario, report): &(&'static Scenario, Result<Report, String>)| {
            let Scenario { number, name, source, what, .. } = scenario;
            let [acknowledged, lost, _, gap] = cells(report);
            let outcome = outcome(report);
            let figures = format!("{acknowledged} | {lost} | {gap}");
            (*number, format!("| {number} | {name} | {source} | {what} | {figures} | {outcome} |"))
        };
        let text = with_rows(&text, self.rows.iter().map(row).collect())
            .ok_or_else(|| format!("{} has no lines {BEGIN}{END}", file.display()))?;
        Ok(fs::write(file, text)?)
    }
}

/// The text with the rows of its table replaced, by their numbers.
fn with_rows(text: &str, mut rows: BTreeMap<u8, String>) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (table, after) = rest.split_once(END)?;
    for line in table.lines() {
        let number = line.split('|').nth(1).and_then(|cell| cell.trim().parse().ok());
        if let Some(number) = number.filter(|n| SCENARIOS.iter().any(|s| s.number == *n)) {
            rows.entry(number).or_insert_with(|| line.to_owned());
        }
    }
    let rows = rows.into_values().map(|row| row + "\n").collect::<String>();
    Some(format!("{before}{BEGIN}{HEADER}{rows}{END}{after}"))
}

fn cells(report: &Result<Report, String>) -> [String; 4] {
    report.as_ref().map(Report::cells).unwrap_or_default()
}

fn outcome(report: &Result<Report, String>) -> String {
    match report {
        Ok(report) => report.outcome(),
        Err(error) => format!("FAILED: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_replaced_by_their_numbers_and_others_stay() {
        let text =
            format!("before\n{BEGIN}| | old |\n| 1 | a |\n| 7 | b |\n| 99 | gone |\n{END}after");
        let rows = BTreeMap::from([(7, "| 7 | new |".to_owned()), (3, "| 3 | c |".to_owned())]);
        let found = with_rows(&text, rows).expect("the marks are there");
        let body = "| 1 | a |\n| 3 | c |\n| 7 | new |\n";
        assert_eq!(found, format!("before\n{BEGIN}{HEADER}{body}{END}after"));
        assert_eq!(with_rows("no marks", BTreeMap::new()), None);
    }
}
