//! How files hang together: schemas and generated code, crates and their description.

use super::{File, Finding};

/// The broker is made to be read in a day: its lines of code, without tests, comments and blanks.
const BROKER_LINES: usize = 25_000;

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = dead_schemas(files);
    findings.extend(undescribed_crates(files));
    let lines = broker_lines(files);
    if lines > BROKER_LINES {
        let message = format!("{lines} lines of code, {BROKER_LINES} at most");
        findings.push(Finding::new("broker-size", "reference-broker", 0, message));
    }
    findings
}

/// The line about the broker's size that every run prints.
pub(super) fn broker_size(files: &[File]) -> String {
    let lines = broker_lines(files);
    format!("reference-broker: {lines} lines of code of at most {BROKER_LINES}, tests not counted")
}

/// Of the broker and of the log that its quorum stands on.
fn broker_lines(files: &[File]) -> usize {
    const SOURCES: [&str; 2] = ["reference-broker/src/", "reference-broker/raft/src/"];
    let is_test = |path: &str| path.contains("/tests/") || path.ends_with("/tests.rs");
    files
        .iter()
        .filter(|file| SOURCES.iter().any(|source| file.path.starts_with(source)))
        .filter(|file| file.is(&["rs"]) && !is_test(&file.path))
        .map(|file| code_lines(&file.text))
        .sum()
}

/// A module of tests at the end of a file is not counted, nor comments and blank lines.
fn code_lines(text: &str) -> usize {
    let tests = |line: &&str| !matches!(*line, "mod test {" | "mod tests {");
    let code = |line: &&str| !line.is_empty() && !line.starts_with("//");
    text.lines().take_while(tests).map(str::trim).filter(code).count()
}

/// `03_metadata.schema` is `metadata`.
fn stem(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next()?.strip_suffix(".schema")?;
    Some(name.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '_'))
}

/// Every schema of an API has its generated file, and every generated file its schema.
fn dead_schemas(files: &[File]) -> Vec<Finding> {
    const NO_MESSAGES: [&str; 2] = ["errors", "types"];
    /// Made from all schemas together.
    const OF_ALL: [&str; 4] = ["mod", "api_key", "convert", "dispatch"];
    let mut findings = Vec::new();
    let under = |folder: &'static str| files.iter().filter(move |f| f.path.starts_with(folder));
    let schemas: Vec<(&str, &str)> = under("protocol/schemas/")
        .filter_map(|file| Some((file.path.as_str(), stem(&file.path)?)))
        .filter(|(_, stem)| !NO_MESSAGES.contains(stem))
        .collect();
    let generated: Vec<(&str, &str)> = under("protocol/src/messages/")
        .filter_map(|file| {
            let name = file.path.strip_prefix("protocol/src/messages/")?.strip_suffix(".rs")?;
            (!OF_ALL.contains(&name)).then_some((file.path.as_str(), name))
        })
        .collect();
    for (path, stem) in &schemas {
        if !generated.iter().any(|(_, name)| name == stem) {
            let message = format!("nothing is generated from it: no messages/{stem}.rs");
            findings.push(Finding::new("dead-schema", *path, 0, message));
        }
    }
    for (path, name) in &generated {
        if !schemas.iter().any(|(_, stem)| stem == name) {
            let message = format!("no schema makes it: no {name}.schema");
            findings.push(Finding::new("dead-schema", *path, 0, message));
        }
    }
    findings
}

/// Every crate's folder is named in ARCHITECTURE.md.
fn undescribed_crates(files: &[File]) -> Vec<Finding> {
    let named = files.iter().find(|file| file.path == "ARCHITECTURE.md");
    let text = named.map(|file| file.text.as_str()).unwrap_or_default();
    files
        .iter()
        .filter_map(|file| file.path.strip_suffix("/Cargo.toml"))
        .filter(|folder| !folder.contains("fuzz") && !text.contains(&format!("`{folder}")))
        .map(|folder| {
            let message = format!("ARCHITECTURE.md does not describe `{folder}`");
            Finding::new("undescribed-crate", format!("{folder}/Cargo.toml"), 0, message)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(all: &[(&str, &str)]) -> Vec<File> {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        all.iter().map(file).collect()
    }

    #[test]
    fn schema_and_generated_file_need_each_other() {
        let found = check(&files(&[
            ("protocol/schemas/00_produce.schema", ""),
            ("protocol/schemas/01_fetch.schema", ""),
            ("protocol/schemas/errors.schema", ""),
            ("protocol/src/messages/mod.rs", ""),
            ("protocol/src/messages/fetch.rs", ""),
            ("protocol/src/messages/old.rs", ""),
        ]));
        let paths: Vec<&str> = found.iter().map(|finding| finding.path.as_str()).collect();
        assert_eq!(paths, ["protocol/schemas/00_produce.schema", "protocol/src/messages/old.rs"]);
    }

    #[test]
    fn crate_that_is_not_described_is_a_finding() {
        let found = check(&files(&[
            ("ARCHITECTURE.md", "| `core/engine` | the engine |"),
            ("core/engine/Cargo.toml", ""),
            ("core/client/Cargo.toml", ""),
            ("Cargo.toml", ""),
        ]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "core/client/Cargo.toml");
    }

    #[test]
    fn size_of_the_broker_is_its_code() {
        let lines = broker_lines(&files(&[
            ("reference-broker/src/a.rs", "//! What.\n\nfn a() {\n    // why\n    b();\n}\n"),
            ("reference-broker/src/b.rs", "fn b() {}\n\nmod tests {\n    fn c() {}\n}\n"),
            ("reference-broker/raft/src/lib.rs", "fn d() {}\n"),
            ("reference-broker/src/tests.rs", "fn e() {}\n"),
            ("reference-broker/src/quorum/tests/f.rs", "fn f() {}\n"),
            ("reference-broker/tests/g.rs", "fn g() {}\n"),
        ]));
        assert_eq!(lines, 5);
    }
}
