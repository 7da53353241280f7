//! Statements and tests point at each other. `OTTLA_CODEGEN=write` writes the tests' side into the
//! statements; without it the test fails when they differ.

use ottla_conformance::client;
use ottla_conformance::statement;
use ottla_conformance::suites;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Case names by statement.
fn cases() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut by_statement: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for case in suites::all() {
        for statement in case.statements {
            by_statement.entry(*statement).or_default().insert(case.name);
        }
    }
    for scenario in client::all() {
        for statement in scenario.statements {
            by_statement.entry(*statement).or_default().insert(scenario.name);
        }
    }
    by_statement
}

/// A file of statements with these tests in it.
fn with_tests(text: &str, cases: &BTreeMap<&str, BTreeSet<&str>>) -> String {
    let mut out = Vec::new();
    let mut id = "";
    let mut is_dropped = false;
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().copied().enumerate() {
        if is_dropped {
            is_dropped = !(line.ends_with("\"\"\"") || line == "]");
            continue;
        }
        if let Some(named) = line.strip_prefix("id = \"") {
            id = named.trim_end_matches('"');
        }
        let tests = cases.get(id);
        if line.starts_with("tests = ") {
            is_dropped = line == "tests = [";
            out.push(list(tests.into_iter().flatten()));
            if tests.is_none() && !is_accounted_for(&lines[at + 1..]) {
                out.push("planned = true".to_owned());
            }
        } else if tests.is_some() && line.starts_with("untestable = ") {
            // The reason may go over several lines.
            is_dropped = line.ends_with("\"\"\"\\");
        } else if tests.is_none() || line != "planned = true" {
            out.push(line.to_owned());
        }
    }
    out.join("\n") + "\n"
}

/// Whether a statement's lines say why it has no test.
fn is_accounted_for(rest: &[&str]) -> bool {
    let own = rest.iter().take_while(|line| **line != "[[statement]]");
    own.into_iter().any(|line| line.starts_with("planned = ") || line.starts_with("untestable = "))
}

/// The names as a TOML array, one a line where they do not fit into one.
fn list<'a>(names: impl Iterator<Item = &'a &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("\"{name}\"")).collect();
    let line = format!("tests = [{}]", names.join(", "));
    if line.len() <= 100 {
        return line;
    }
    let lines: String = names.iter().map(|name| format!("    {name},\n")).collect();
    format!("tests = [\n{lines}]")
}

#[test]
fn every_statement_that_a_test_names_exists() {
    let known = statement::all();
    let unknown: Vec<_> = cases().into_keys().filter(|id| !known.contains_key(*id)).collect();
    assert!(unknown.is_empty(), "no statement is named {unknown:?}");
}

#[test]
fn statements_name_the_tests_that_decide_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/statements");
    let write = std::env::var("OTTLA_CODEGEN").is_ok_and(|mode| mode == "write");
    let cases = cases();
    for entry in fs::read_dir(folder).expect("statements are part of the project") {
        let path = entry.expect("a readable folder").path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a readable file");
        let wanted = with_tests(&text, &cases);
        if write {
            fs::write(&path, &wanted).expect("a writable file");
        } else {
            assert!(text == wanted, "{} is stale: run cargo xtask codegen", path.display());
        }
    }
}

#[test]
fn names_of_tests_are_unique_and_of_their_form() {
    let mut seen = BTreeSet::new();
    for case in suites::all() {
        let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        let parts: Vec<&str> = case.name.split('/').collect();
        let is_plain = |part: &&str| part.chars().all(|letter| fits(letter) || letter == '-');
        assert!(parts.len() == 2 && parts.iter().all(is_plain), "{}", case.name);
        assert!(seen.insert(case.name), "{} is there twice", case.name);
        assert!(!case.statements.is_empty(), "{} decides nothing", case.name);
    }
    for scenario in client::all() {
        let name = scenario.name.strip_prefix("client/").unwrap_or_default();
        let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        assert!(name.chars().all(|letter| is_plain(letter) || letter == '-'), "{name:?}");
        assert!(seen.insert(scenario.name), "{} is there twice", scenario.name);
        assert!(!scenario.statements.is_empty(), "{} decides nothing", scenario.name);
    }
}

#[test]
fn statement_that_loses_its_last_test_is_planned_again() {
    let text = "[[statement]]\nid = \"K-A-001\"\ntests = [\"a/b\"]\n\n\
                [[statement]]\nid = \"K-A-002\"\ntests = []\nuntestable = \"a reason\"\n";
    let without = with_tests(text, &BTreeMap::new());
    let planned = text.replace("tests = [\"a/b\"]", "tests = []\nplanned = true");
    assert_eq!(without, planned);
    let cases = BTreeMap::from([("K-A-001", BTreeSet::from(["a/b"]))]);
    assert_eq!(with_tests(&without, &cases), text);
}
