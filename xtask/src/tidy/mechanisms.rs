//! The numbered mechanisms of the broker: the page that explains them, and the code that has them.

use std::collections::BTreeMap;

use super::{File, Finding};

const PAGE: &str = "reference-broker/REPLICATION.md";

/// Every row of the page names a file that says its number, and every number in the code has a row.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let Some(page) = files.iter().find(|file| file.path == PAGE) else { return Vec::new() };
    let rows = rows(&page.text);
    let mut findings = Vec::new();
    for (&number, row) in &rows {
        let path = format!("reference-broker/{}", row.file);
        let says =
            |file: &&File| file.path == path && numbers(&file.text).any(|(_, n)| n == number);
        if files.iter().find(says).is_none() {
            let message = format!("`{path}` is not there or does not say M{number}");
            findings.push(Finding::new("mechanism", PAGE, row.line, message));
        }
    }
    let code = files.iter().filter(|f| f.path.starts_with("reference-broker/") && f.is(&["rs"]));
    for file in code {
        for (line, number) in numbers(&file.text).filter(|(_, n)| !rows.contains_key(n)) {
            let message = format!("M{number} has no row in {PAGE}");
            findings.push(Finding::new("mechanism", &file.path, line, message));
        }
    }
    findings
}

struct Row<'a> {
    line: usize,
    /// From the broker's folder.
    file: &'a str,
}

/// `| M1 | what | why | [name](src/file.rs) |`
fn rows(page: &str) -> BTreeMap<u32, Row<'_>> {
    let row = |(index, line): (usize, &'_ str)| -> Option<(u32, usize)> {
        let number = line.strip_prefix("| M")?.split(' ').next()?.parse().ok()?;
        Some((number, index))
    };
    let lines: Vec<&str> = page.lines().collect();
    let found = lines.iter().copied().enumerate().filter_map(row);
    found
        .map(|(number, index)| {
            let link = lines[index].rsplit_once("](").map_or("", |(_, link)| link);
            let file = link.split(')').next().unwrap_or_default();
            (number, Row { line: index + 1, file })
        })
        .collect()
}

/// Lines, from 1, that have a word `M` and digits in a comment or a string, and the numbers.
fn numbers(text: &str) -> impl Iterator<Item = (usize, u32)> {
    text.lines().enumerate().flat_map(|(index, line)| {
        let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let number = |word: &str| match word.strip_prefix('M')? {
            digits if digits.len() <= 2 => digits.parse().ok(),
            _ => None,
        };
        words.filter_map(number).map(move |number| (index + 1, number)).collect::<Vec<_>>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(page: &str, code: &str) -> Vec<String> {
        let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
        let files = [file(PAGE, page), file("reference-broker/src/a.rs", code)];
        check(&files).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn page_and_code_say_the_same() {
        let page = "# Page\n\n| M7 | what | why | [a.rs](src/a.rs) |\n";
        assert!(found(page, "/// What it is (M7, KIP-1).\n").is_empty());
    }

    #[test]
    fn row_without_code_and_code_without_row_are_findings() {
        let page = "| M7 | what | why | [a.rs](src/a.rs) |\n";
        let all = found(page, "/// As it says (M8).\nfn f<M>() {}\n");
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(all[0].contains("does not say M7"), "{all:?}");
        assert!(all[1].contains("M8 has no row"), "{all:?}");
    }
}
