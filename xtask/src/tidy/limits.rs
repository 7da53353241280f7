//! Lines per file and columns per line.

use super::{File, Finding};

const FILE_LINES: usize = 600;
const LINE_COLUMNS: usize = 100;

pub(super) fn check(file: &File) -> Vec<Finding> {
    let code = ["rs", "py", "pyi", "js", "mjs", "cjs", "ts", "mts", "swift", "sh", "toml", "yml"];
    let is_code = file.is(&code) || file.path == ".ci/run";
    if file.is_generated() || !is_code {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let lines = file.text.lines().count();
    if lines > FILE_LINES {
        let message = format!("{lines} lines, {FILE_LINES} at most: is there a second noun in it?");
        findings.push(Finding::new("long-file", &file.path, 0, message));
    }
    for (number, line, _) in file.lines() {
        let columns = line.chars().count();
        if columns > LINE_COLUMNS {
            let message = format!("{columns} columns, {LINE_COLUMNS} at most");
            findings.push(Finding::new("long-line", &file.path, number, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_inclusive() {
        let check = |text: String| check(&File { path: "a/b.rs".to_owned(), text }).len();
        assert_eq!(check("x".repeat(100)), 0);
        assert_eq!(check("x".repeat(101)), 1);
        assert_eq!(check("x\n".repeat(600)), 0);
        assert_eq!(check("x\n".repeat(601)), 1);
    }
}
