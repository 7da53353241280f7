//! `cargo xtask tidy`: the rules of style that can be counted, and files that nothing needs.
//!
//! Each check looks at all files that git knows or would add, and reports findings. A finding that
//! was looked at and accepted stands in `xtask/tidy-exceptions.txt` with its reason; a line there
//! that nothing needs any more is a finding itself.

mod banned;
mod functions;
mod limits;
mod links;
mod mechanisms;
mod statements;
mod structure;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::parity;
use crate::task::{Failure, root, run_quietly};

/// A file of the project that is text.
pub(crate) struct File {
    /// From the project's folder, with slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn is(&self, extensions: &[&str]) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
    }

    /// Written by a program or kept as it came: not for people to edit.
    pub(crate) fn is_generated(&self) -> bool {
        const GENERATED: [&str; 5] = [
            "protocol/src/messages/",
            "protocol/src/error_code.rs",
            "protocol/vectors/",
            "bindings/swift/Sources/OttlaFFI/",
            "Cargo.lock",
        ];
        GENERATED.iter().any(|prefix| self.path.starts_with(prefix))
    }

    /// Whether the whole file is test code.
    pub(crate) fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        self.path.split('/').any(|folder| matches!(folder, "tests" | "fuzz" | "benches"))
            || matches!(name, "tests.rs" | "guide.rs")
            || name.ends_with("_tests.rs")
    }

    /// The lines with their numbers from 1, and whether each is test code: all of a test file, and
    /// what follows `#[cfg(test)]` with a module in braces, which stands last in a file.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str, bool)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let tests_from = lines
            .windows(2)
            .position(|pair| {
                pair[0].trim() == "#[cfg(test)]"
                    && pair[1].contains("mod ")
                    && pair[1].trim_end().ends_with('{')
            })
            .unwrap_or(usize::MAX);
        let whole = self.is_test();
        lines
            .into_iter()
            .enumerate()
            .map(move |(index, line)| (index + 1, line, whole || index >= tests_from))
    }
}

/// Something to mend.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The rule's short name, as used in the list of exceptions.
    pub(crate) rule: &'static str,
    pub(crate) path: String,
    /// From 1; 0 for the file as a whole.
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl Finding {
    pub(crate) fn new(
        rule: &'static str,
        path: impl Into<String>,
        line: usize,
        message: impl Into<String>,
    ) -> Self {
        Self { rule, path: path.into(), line, message: message.into() }
    }
}

/// An accepted kind of finding in one file.
#[derive(Debug, PartialEq)]
struct Exception {
    rule: String,
    path: String,
}

const EXCEPTIONS: &str = "xtask/tidy-exceptions.txt";

/// Runs every check.
pub(crate) fn run() -> Result<(), Failure> {
    let files = project_files()?;
    let mut findings = Vec::new();
    for file in &files {
        findings.extend(limits::check(file));
        findings.extend(functions::check(file));
        findings.extend(banned::check(file));
        findings.extend(links::check(file, &root()));
    }
    findings.extend(structure::check(&files));
    findings.extend(mechanisms::check(&files));
    findings.extend(statements::check(&files));
    findings.extend(parity::check(&files));
    let list = fs::read_to_string(root().join(EXCEPTIONS)).unwrap_or_default();
    let left = without_exceptions(findings, &list);
    println!("{}", structure::broker_size(&files));
    report(left)?;
    println!("tidy: {} files, nothing to mend", files.len());
    Ok(())
}

/// Only the check of the parity table.
pub(crate) fn parity() -> Result<(), Failure> {
    report(parity::check(&project_files()?))
}

fn report(mut findings: Vec<Finding>) -> Result<(), Failure> {
    findings.sort();
    for Finding { rule, path, line, message } in &findings {
        println!("{path}:{line}: {message} [{rule}]");
    }
    match findings.len() {
        0 => Ok(()),
        count => Err(Failure::new(format!("{count} findings"))),
    }
}

/// All files that git knows or would add, but for those that are not text.
fn project_files() -> Result<Vec<File>, Failure> {
    let listed = run_quietly(
        Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .current_dir(root()),
    )?;
    let paths: BTreeSet<&str> = listed.lines().collect();
    let read = |path: &str| {
        let text = fs::read_to_string(root().join(path)).ok()?;
        Some(File { path: path.to_owned(), text })
    };
    Ok(paths.into_iter().filter_map(read).collect())
}

/// Takes away what the list accepts. A line is `rule path reason`; `#` starts a comment.
fn without_exceptions(findings: Vec<Finding>, list: &str) -> Vec<Finding> {
    let mut left = Vec::new();
    let mut exceptions = Vec::new();
    for (index, line) in list.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.splitn(3, char::is_whitespace);
        let (Some(rule), Some(path), Some(_reason)) = (words.next(), words.next(), words.next())
        else {
            let message = "an exception is: rule path reason";
            left.push(Finding::new("exceptions", EXCEPTIONS, index + 1, message));
            continue;
        };
        let exception = Exception { rule: rule.to_owned(), path: path.to_owned() };
        if findings.iter().any(|finding| accepts(&exception, finding)) {
            exceptions.push(exception);
        } else {
            let message = format!("nothing in {path} breaks the rule {rule}: remove this line");
            left.push(Finding::new("exceptions", EXCEPTIONS, index + 1, message));
        }
    }
    let not_accepted = |finding: &Finding| !exceptions.iter().any(|e| accepts(e, finding));
    left.extend(findings.into_iter().filter(not_accepted));
    left
}

fn accepts(exception: &Exception, finding: &Finding) -> bool {
    exception.rule == finding.rule && exception.path == finding.path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_take_findings_away_and_stale_ones_are_findings() {
        let findings = vec![
            Finding::new("long-line", "a.rs", 3, "x"),
            Finding::new("long-line", "b.rs", 1, "x"),
        ];
        let list = "# why\nlong-line a.rs a table\nlong-file a.rs no longer\nshort\n";
        let left = without_exceptions(findings, list);
        let rules: Vec<(&str, usize)> = left.iter().map(|f| (f.rule, f.line)).collect();
        assert_eq!(rules, [("exceptions", 3), ("exceptions", 4), ("long-line", 1)]);
    }

    #[test]
    fn tests_at_the_end_of_a_file_are_told_apart() {
        let text = "fn a() {}\n#[cfg(test)]\nmod guide;\n#[cfg(test)]\nmod tests {\n}\n".to_owned();
        let file = File { path: "x/src/a.rs".to_owned(), text };
        let tests: Vec<bool> = file.lines().map(|(_, _, test)| test).collect();
        assert_eq!(tests, [false, false, false, true, true, true]);
    }
}
