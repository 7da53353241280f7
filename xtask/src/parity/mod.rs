//! What each feature is called in each language, and that it is there: `bindings/parity.toml`,
//! checked against the packages' declarations, becomes the table of `bindings/README.md`.

pub(crate) mod braces;
mod python;
mod symbols;

use serde::Deserialize;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use braces::Language;
use symbols::Symbols;

use crate::task::Failure;
use crate::tidy::{File, Finding};

pub(crate) const TABLE: &str = "bindings/parity.toml";
const README: &str = "bindings/README.md";
const BEGIN: &str = "<!-- parity: begin, written by `cargo xtask codegen` from parity.toml -->";
const END: &str = "<!-- parity: end -->";

/// `bindings/parity.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    feature: Vec<Feature>,
    pub(crate) tests: Tests,
}

/// A row: what users can do, and the name by which they do it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Feature {
    /// The heading under which it stands.
    of: String,
    what: String,
    python: String,
    node: String,
    swift: String,
}

/// Names of tests, as in Python without `test_`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tests {
    everywhere: Vec<String>,
    python: Vec<String>,
    node: Vec<String>,
    swift: Vec<String>,
}

impl Tests {
    /// All that a language's suite (`python`, `node` or `swift`) must have.
    pub(crate) fn of(&self, language: &str) -> impl Iterator<Item = &str> {
        let own = match language {
            "python" => &self.python,
            "node" => &self.node,
            _ => &self.swift,
        };
        self.everywhere.iter().chain(own).map(String::as_str)
    }
}

impl Feature {
    fn columns(&self) -> [(&'static str, &str); 3] {
        [("python", &self.python), ("node", &self.node), ("swift", &self.swift)]
    }
}

/// Reads the table.
pub(crate) fn read(text: &str) -> Result<Table, Failure> {
    toml::from_str(text).map_err(|error| Failure::new(format!("{TABLE}: {error}")))
}

/// Writes the table into the README, or fails if it is stale or says what is not so.
pub(crate) fn codegen(root: &Path, write: bool) -> Result<(), Failure> {
    let table = read(&fs::read_to_string(root.join(TABLE))?)?;
    let path = root.join(README);
    let found = fs::read_to_string(&path)?;
    let wanted = spliced(&found, &rendered(&table))
        .ok_or_else(|| Failure::new(format!("{README} has no lines {BEGIN:?} and {END:?}")))?;
    if found == wanted {
        return Ok(());
    }
    if !write {
        return Err(Failure::new(format!("{README} is stale: run `cargo xtask codegen`")));
    }
    fs::write(&path, wanted)?;
    println!("codegen: wrote {README}");
    Ok(())
}

/// Findings: names that a package does not declare, tests that a suite does not have.
pub(crate) fn check(files: &[File]) -> Vec<Finding> {
    let Some(text) = files.iter().find(|file| file.path == TABLE).map(|file| &file.text) else {
        return Vec::new();
    };
    let table = match read(text) {
        Ok(table) => table,
        Err(failure) => return vec![Finding::new("parity", TABLE, 0, failure.to_string())],
    };
    let mut findings = Vec::new();
    for language in ["python", "node", "swift"] {
        let symbols = declared(language, files);
        if symbols.is_empty() {
            let message = format!("no declarations of the {language} package were found");
            findings.push(Finding::new("parity", TABLE, 0, message));
            continue;
        }
        for feature in &table.feature {
            let columns = feature.columns();
            let column = columns.iter().find(|(name, _)| *name == language).map_or("", |c| c.1);
            for fault in faults(column, &symbols) {
                let line = line_of(text, &format!("{:?}", feature.what));
                let message = format!("{language} column of {:?}: {fault}", feature.what);
                findings.push(Finding::new("parity", TABLE, line, message));
            }
        }
        for name in table.tests.of(language).filter(|name| !has_test(language, name, files)) {
            let line = line_of(text, &format!("{name:?}"));
            let message = format!("the {language} suite has no test of that name: {name}");
            findings.push(Finding::new("parity", TABLE, line, message));
        }
    }
    findings
}

/// What is wrong with a column: it is empty, its reason is, or the package lacks one of its names.
fn faults(column: &str, symbols: &Symbols) -> Vec<String> {
    if let Some(reason) = column.strip_prefix("no:") {
        let is_empty = reason.trim().is_empty();
        return if is_empty { vec!["`no:` without a reason".to_owned()] } else { Vec::new() };
    }
    let names = column.split(',').map(str::trim);
    names
        .filter(|name| !symbols.has(name))
        .map(|name| match name {
            "" => "no name; where there is none write \"no: REASON\"".to_owned(),
            name => format!("the package declares no `{name}`"),
        })
        .collect()
}

/// From 1; 0 where the text does not have it.
fn line_of(text: &str, part: &str) -> usize {
    text.lines().position(|line| line.contains(part)).map_or(0, |index| index + 1)
}

/// What the language's packages declare.
fn declared(language: &str, files: &[File]) -> Symbols {
    let mut symbols = Symbols::default();
    for file in files {
        match language {
            "python" => {
                let Some(module) = python_module(&file.path, files) else { continue };
                if !module.is_empty() && !module.contains('.') && !module.starts_with('_') {
                    symbols.declare("", &module);
                }
                python::read(&mut symbols, &module, &file.text);
            }
            "node" if file.path.ends_with(".d.ts") => {
                let module = if file.path.starts_with("bindings/node/") {
                    ""
                } else if file.path.starts_with("bindings/testing/node/") {
                    symbols.declare("", "testing");
                    "testing"
                } else {
                    continue;
                };
                braces::read(&mut symbols, Language::TypeScript, module, &file.text);
            }
            "swift" if file.path.ends_with(".swift") => {
                let module = if file.path.starts_with("bindings/swift/Sources/Ottla/") {
                    ""
                } else if file.path.starts_with("bindings/swift/Sources/OttlaTesting/") {
                    symbols.declare("", "testing");
                    "testing"
                } else {
                    continue;
                };
                braces::read(&mut symbols, Language::Swift, module, &file.text);
            }
            _ => {}
        }
    }
    symbols
}

/// The path of a Python file's module below the package; none if the file is not the package's,
/// or has a stub beside it, which counts instead.
fn python_module(path: &str, files: &[File]) -> Option<String> {
    if let Some(stub) = path.strip_suffix(".py") {
        if files.iter().any(|file| file.path.strip_suffix(".pyi") == Some(stub)) {
            return None;
        }
    } else if !path.ends_with(".pyi") {
        return None;
    }
    let (module, _) = path.rsplit_once('.')?;
    let inside = module.strip_prefix("bindings/python/python/ottla/");
    let module = match inside {
        Some(inside) => inside.to_owned(),
        None => {
            let (_, inside) =
                module.strip_prefix("bindings/testing/python/")?.split_once("ottla_testing/")?;
            format!("testing/{inside}")
        }
    };
    let module = module.strip_suffix("__init__").unwrap_or(&module).trim_end_matches('/');
    Some(module.replace('/', "."))
}

/// Whether a suite has a test of that name.
fn has_test(language: &str, name: &str, files: &[File]) -> bool {
    let within = |folder: &'static str, extensions: &'static [&str]| {
        files.iter().filter(move |file| file.path.starts_with(folder) && file.is(extensions))
    };
    match language {
        "python" => {
            let wanted = format!("def test_{name}(");
            within("bindings/python/tests/", &["py"])
                .any(|file| python::without_literals(&file.text).contains(&wanted))
        }
        "node" => {
            let wanted = ["'", "\"", "`"].map(|quote| format!("({quote}{name}{quote}"));
            within("bindings/node/test/", &["js", "mjs", "cjs", "ts", "mts"]).any(|file| {
                let code = braces::without_literals(&file.text, Language::TypeScript, false);
                wanted.iter().any(|wanted| code.contains(wanted))
            })
        }
        _ => {
            let wanted = format!("func {}(", camel_case(name));
            within("bindings/swift/Tests/", &["swift"]).any(|file| {
                braces::without_literals(&file.text, Language::Swift, true).contains(&wanted)
            })
        }
    }
}

/// `a_group_of_two` as `aGroupOfTwo`.
pub(crate) fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut text = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        text.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        text.extend(letters);
    }
    text
}

/// The table as Markdown, a heading for each part of the package.
fn rendered(table: &Table) -> String {
    let mut out = String::new();
    let mut heading = "";
    for feature in &table.feature {
        if feature.of != heading {
            heading = &feature.of;
            let _ = write!(out, "\n### {heading}\n\n| feature | Python | Node | Swift |\n");
            out.push_str("| --- | --- | --- | --- |\n");
        }
        let cells = feature.columns().map(|(_, column)| cell(column));
        let _ = writeln!(out, "| {} | {} |", feature.what, cells.join(" | "));
    }
    out.push_str("\n### Tests of the same name\n\n");
    out.push_str("In Python `test_<name>`, in Node the test's title, in Swift in camel case:\n");
    let list = |names: &[String]| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    };
    let _ = writeln!(out, "{}.", list(&table.tests.everywhere));
    let own = [
        ("Python", &table.tests.python),
        ("Node", &table.tests.node),
        ("Swift", &table.tests.swift),
    ];
    for (language, names) in own.iter().filter(|(_, names)| !names.is_empty()) {
        let _ = writeln!(out, "Only in {language}: {}.", list(names));
    }
    out.push('\n');
    out
}

fn cell(column: &str) -> String {
    if let Some(reason) = column.strip_prefix("no:") {
        return format!("– ({})", reason.trim());
    }
    let names: Vec<String> = column.split(',').map(|name| format!("`{}`", name.trim())).collect();
    names.join(", ")
}

/// The document with what stands between the marks replaced; none if it lacks them.
fn spliced(document: &str, between: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{between}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str = r#"
[[feature]]
of = "Producer"
what = "send"
python = "Producer.send, aio.Producer.send"
node = "Producer.send"
swift = "no: by value"

[tests]
everywhere = ["commit_and_resume"]
python = ["ctrl_c"]
node = []
swift = []
"#;

    fn files(python: &str, node: &str, tests: [&str; 3]) -> Vec<File> {
        let file = |(path, text): (&str, &str)| File { path: path.into(), text: text.into() };
        [
            (TABLE, ROWS),
            ("bindings/python/python/ottla/__init__.py", "from ._native import Producer\n"),
            ("bindings/python/python/ottla/_native.pyi", python),
            ("bindings/python/python/ottla/aio.py", "class Producer:\n async def send(self): 1\n"),
            ("bindings/python/tests/test_a.py", tests[0]),
            ("bindings/node/index.d.ts", node),
            ("bindings/node/test/a.test.mjs", tests[1]),
            ("bindings/swift/Sources/Ottla/A.swift", "public struct Producer {}\n"),
            ("bindings/swift/Tests/OttlaTests/A.swift", tests[2]),
        ]
        .map(file)
        .into()
    }

    const PYTHON: &str = "class Producer:\n def send(self): ...\n";
    const NODE: &str = "export class Producer { send(): void }\n";
    const TESTS: [&str; 3] = [
        "async def test_commit_and_resume(b): 1\ndef test_ctrl_c(): 1\n",
        "test('commit_and_resume', async () => {})\n",
        "@Test func commitAndResume() async throws {}\n",
    ];

    fn findings(files: &[File]) -> Vec<(usize, String)> {
        check(files).into_iter().map(|finding| (finding.line, finding.message)).collect()
    }

    #[test]
    fn what_is_there_is_no_finding() {
        assert_eq!(findings(&files(PYTHON, NODE, TESTS)), []);
    }

    #[test]
    fn names_that_a_package_lacks_are_findings() {
        let found = findings(&files(
            "class Producer:\n def flush(self): ...\n\ndef send(): ...\n",
            "export class Consumer { send(): void }\nexport class Producer {}\n",
            TESTS,
        ));
        let message = |language: &str| {
            let fault = "the package declares no `Producer.send`";
            (4, format!("{language} column of \"send\": {fault}"))
        };
        assert_eq!(found, [message("python"), message("node")]);
    }

    #[test]
    fn tests_that_a_suite_lacks_are_findings() {
        let commented = [
            "# def test_commit_and_resume(b): 1\n",
            "// test('commit_and_resume')\nconst a = ['commit_and_resume']\n",
            "/* func commitAndResume() */ func commitAndResumeToo() {}\n",
        ];
        let found = findings(&files(PYTHON, NODE, commented));
        let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [10, 11, 10, 10], "{found:?}");
    }

    #[test]
    fn a_column_needs_a_name_or_a_reason() {
        let symbols = Symbols::default();
        assert_eq!(faults("no:  ", &symbols).len(), 1);
        assert_eq!(faults("", &symbols).len(), 1);
        assert_eq!(faults("no: not there", &symbols), Vec::<String>::new());
    }

    #[test]
    fn the_table_stands_between_its_marks() {
        let table = read(ROWS).expect("it is valid");
        let document = format!("# A\n{BEGIN}\nold\n{END}\nrest\n");
        let wanted = spliced(&document, &rendered(&table)).expect("the marks are there");
        assert!(wanted.starts_with("# A\n") && wanted.ends_with("-->\nrest\n"), "{wanted}");
        assert!(
            wanted.contains("| send | `Producer.send`, `aio.Producer.send` | `Producer.send` |")
        );
        assert!(wanted.contains("| – (by value) |"), "{wanted}");
        assert_eq!(spliced(&wanted, &rendered(&table)).as_deref(), Some(&*wanted));
        assert_eq!(spliced("none", ""), None);
    }
}
