//! The statements in `statements/` keep to the form that its README gives, and cover what they are
//! to cover. Every rule is seen to find something in [`bad_statements_are_found`].

use ottla_codegen::library::Library;
use ottla_codegen::range::Range;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const TEXT_CHARACTERS: usize = 300;

/// A file of statements.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    statement: Vec<Statement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    id: String,
    text: String,
    role: Role,
    level: Level,
    profile: Profile,
    api: Vec<String>,
    versions: String,
    source: Vec<String>,
    kind: Kind,
    #[serde(default)]
    behaviour: Vec<String>,
    tests: Vec<String>,
    untestable: Option<String>,
    planned: Option<bool>,
}

#[derive(Deserialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Role {
    Broker,
    Client,
}

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord, Clone, Copy, Debug)]
#[serde(rename_all = "UPPERCASE")]
enum Level {
    Must,
    Should,
    May,
}

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord, Clone, Copy, Debug)]
#[serde(rename_all = "kebab-case")]
enum Profile {
    Core,
    Groups,
    Admin,
    Robustness,
    Client,
    #[serde(rename = "groups-848")]
    Groups848,
    Transactions,
    Security,
    Quotas,
    ShareGroups,
    Replication,
}

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord, Clone, Copy, Debug)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Normative,
    KafkaBehaviour,
    Unspecified,
}

/// What the statements refer to.
struct World {
    /// The versions of each API.
    apis: BTreeMap<String, Range>,
    errors: BTreeMap<String, i16>,
    behaviours: BTreeSet<String>,
    retired: BTreeSet<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("statements")
}

/// The lines of a list, without comments.
fn list(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder().join(name)).expect("the list is beside the files");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines.map(str::to_owned).collect()
}

fn number(text: &str) -> Option<i16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// `3`, `3-13` or `9+`.
fn range(text: &str) -> Option<Range> {
    if let Some(first) = text.strip_suffix('+') {
        return Some(Range { first: number(first)?, last: None });
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then(|| Range::closed(first, last))
}

fn world() -> World {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let library = Library::read(&schemas).expect("the schemas are there").expect("and are schemas");
    let mut apis = BTreeMap::<String, Range>::new();
    for (_, api) in library.apis() {
        let request = api.request.as_ref().expect("an API has a request");
        apis.insert(api.name.value.clone(), request.versions.value);
    }
    let errors = library.errors().map(|(_, error)| (error.name.value.clone(), error.code.value));
    let retired = list("retired.txt");
    let first_word = |line: &String| line.split([',', ' ']).next().unwrap_or(line).to_owned();
    World {
        apis,
        errors: errors.collect(),
        behaviours: list("behaviours.txt").into_iter().collect(),
        retired: retired.iter().map(first_word).collect(),
    }
}

/// Name without `.toml`, and text, of each file.
fn files() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder()).expect("the folder of the statements");
    let paths = entries.map(|entry| entry.expect("an entry of the folder").path());
    let mut files: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name in ASCII");
            (stem.to_owned(), std::fs::read_to_string(&path).expect("a text"))
        })
        .collect();
    files.sort();
    files
}

/// What is wrong with an id that stands in this file after `last`.
fn check_id(stem: &str, id: &str, last: &str, world: &World) -> Option<String> {
    let area = stem.to_uppercase().replace('_', "-");
    let digits = id.strip_prefix("K-").and_then(|rest| rest.strip_prefix(&area));
    let digits = digits.and_then(|rest| rest.strip_prefix('-')).unwrap_or("");
    if digits.len() != 3 || number(digits).is_none_or(|number| number == 0) {
        return Some(format!("the id is not of the form K-{area}-001"));
    }
    if id <= last {
        return Some(format!("stands after {last}: ids are unique and rise"));
    }
    world.retired.contains(id).then(|| "the number was used before (retired.txt)".to_owned())
}

/// `NAME (7)` in a text, where the error of that name has another number.
fn wrong_error(text: &str, world: &World) -> Option<String> {
    for (before, after) in text.match_indices(" (").map(|(at, _)| text.split_at(at)) {
        let name = before.rsplit(' ').next().unwrap_or(before);
        let code = after[2..].split(')').next().and_then(|code| code.parse::<i16>().ok());
        let is_name = name.len() > 3 && name.bytes().all(|b| b == b'_' || b.is_ascii_uppercase());
        if is_name && code != world.errors.get(name).copied() {
            return Some(format!("{name} is error {:?}", world.errors.get(name)));
        }
    }
    None
}

fn check_text(text: &str, world: &World) -> Vec<String> {
    let mut findings = Vec::new();
    let characters = text.chars().count();
    if characters == 0 || characters > TEXT_CHARACTERS {
        findings.push(format!("{characters} characters of text, 1 to {TEXT_CHARACTERS}"));
    }
    let lower = text.to_lowercase();
    if lower.contains(" and must ") || lower.contains(" and should ") {
        findings.push("the text has two obligations: make it two statements".to_owned());
    }
    let words: Vec<_> = text.split(' ').collect();
    let ends = |word: &str| word.len() > 2 && word.ends_with('.');
    let two = |pair: &[&str]| ends(pair[0]) && pair[1].starts_with(char::is_uppercase);
    if !text.ends_with('.') || words.windows(2).any(two) {
        findings.push("the text is not one sentence with a full stop".to_owned());
    }
    if text.contains("  ") || text.contains('\n') {
        findings.push("the text has two spaces or a line break in it".to_owned());
    }
    findings.extend(wrong_error(text, world));
    findings
}

fn check_versions(statement: &Statement, world: &World) -> Option<String> {
    let api = &statement.api;
    if api.is_empty() {
        return Some("no API is named".to_owned());
    }
    if api.iter().any(|name| name == "any") {
        let alone = api.len() == 1 && statement.versions == "all";
        return (!alone).then(|| "`any` stands alone, with all versions".to_owned());
    }
    let versions = match (statement.versions.as_str(), range(&statement.versions)) {
        ("all", _) => None,
        (_, Some(versions)) => Some(versions),
        (text, None) => return Some(format!("`{text}` is not 4, 3-13, 9+ or all")),
    };
    for name in api {
        let Some(range) = world.apis.get(name) else {
            return Some(format!("no schema describes {name}"));
        };
        let has = |version| range.contains(version);
        let ends = versions.map(|range| (range.first, range.last.unwrap_or(range.first)));
        if ends.is_some_and(|(first, last)| !has(first) || !has(last)) {
            return Some(format!("{name} has no versions {}", statement.versions));
        }
    }
    None
}

/// Whether a source has one of the forms of the README.
fn is_source(source: &str) -> bool {
    let all = |text: &str, also: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
    };
    let numbered = ["KIP-", "KAFKA-", "RFC "];
    if let Some(digits) = numbered.iter().find_map(|prefix| source.strip_prefix(prefix)) {
        return number(digits).is_some();
    }
    if let Some(name) = source.strip_prefix("config ") {
        return all(name, ".-");
    }
    if let Some((repository, issue)) = source.split_once('#') {
        let owner = repository.split_once('/');
        return owner.is_some_and(|(owner, name)| all(owner, "-") && all(name, "-._"))
            && all(issue, "")
            && issue.parse::<u32>().is_ok();
    }
    let document = source.split_once(' ').unwrap_or((source, "")).0;
    let is_class = source.starts_with(|first: char| first.is_ascii_uppercase());
    source == "protocol guide"
        || source.strip_prefix("seen ").is_some_and(|release| all(release, "."))
        || document.ends_with(".md")
        || (source.ends_with(".json") && all(source, "."))
        || (is_class && all(source, ".:"))
}

fn check_rest(statement: &Statement, world: &World) -> Vec<String> {
    let mut findings = Vec::new();
    if (statement.role == Role::Client) != (statement.profile == Profile::Client) {
        findings.push("the profile of a client's statement, and only of one, is client".to_owned());
    }
    if statement.kind == Kind::Unspecified && statement.level != Level::May {
        findings.push("what nobody specifies is a MAY".to_owned());
    }
    if statement.source.is_empty() {
        findings.push("no source".to_owned());
    }
    let sources = statement.source.iter().filter(|source| !is_source(source));
    findings.extend(sources.map(|source| format!("`{source}` is not a source (README.md)")));
    let unknown = statement.behaviour.iter().filter(|id| !world.behaviours.contains(*id));
    findings.extend(unknown.map(|id| format!("behaviours.txt has no {id}")));
    let ways = [
        !statement.tests.is_empty(),
        statement.untestable.as_ref().is_some_and(|reason| !reason.is_empty()),
        statement.planned == Some(true),
    ];
    if ways.into_iter().filter(|way| *way).count() != 1 {
        findings.push("has not exactly one of tests, untestable and planned = true".to_owned());
    }
    findings
}

/// Everything that is wrong with these files.
fn findings(files: &[(String, String)], world: &World) -> Vec<String> {
    let mut findings = Vec::new();
    let mut covered = BTreeSet::new();
    for (stem, text) in files {
        let file: File = match toml::from_str(text) {
            Ok(file) => file,
            Err(error) => {
                findings.push(format!("{stem}.toml: {error}"));
                continue;
            }
        };
        let mut last = "";
        let mut texts = BTreeSet::new();
        for statement in &file.statement {
            let id = &statement.id;
            let mut add = |what: String| findings.push(format!("{id}: {what}"));
            if let Some(what) = check_id(stem, id, last, world) {
                add(what);
            }
            if statement.role == Role::Client && !stem.starts_with("client_") {
                add("statements on clients stand in client_*.toml".to_owned());
            }
            if !texts.insert((&statement.text, &statement.versions)) {
                add("the text stands twice in this file".to_owned());
            }
            check_text(&statement.text, world).into_iter().for_each(&mut add);
            check_versions(statement, world).into_iter().for_each(&mut add);
            check_rest(statement, world).into_iter().for_each(&mut add);
            covered.extend(statement.behaviour.iter().cloned());
            last = id;
        }
    }
    let open = world.behaviours.difference(&covered);
    findings.extend(open.map(|id| format!("no statement covers {id} (behaviours.txt)")));
    findings
}

#[test]
fn the_statements_keep_to_their_form() {
    let findings = findings(&files(), &world());
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

/// Prints how many there are; `--nocapture` shows it.
#[test]
fn there_are_enough_statements() {
    let mut counts = BTreeMap::<_, usize>::new();
    for (stem, text) in files() {
        let file: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{stem}: {error}"));
        for statement in file.statement {
            *counts.entry((statement.profile, statement.level, statement.kind)).or_default() += 1;
        }
    }
    for ((profile, level, kind), count) in &counts {
        println!("{count:4} {profile:?} {level:?} {kind:?}");
    }
    let all: usize = counts.values().sum();
    println!("{all:4} statements");
    assert!(all >= 350, "{all} statements");
}

const GOOD: &str = r#"
[[statement]]
id = "K-FETCH-001"
text = "An offset above the log end is answered with OFFSET_OUT_OF_RANGE (1)."
role = "broker"
level = "MUST"
profile = "core"
api = ["Fetch"]
versions = "4-12"
source = ["KIP-74", "UnifiedLog.read", "LogValidator:549", "owner/name.rs#12", "BATCH.md", "RFC 1"]
kind = "normative"
behaviour = ["FE-06"]
tests = []
planned = true
"#;

/// What is found in [`GOOD`] with one piece replaced.
fn found(piece: &str, by: &str) -> String {
    assert!(GOOD.contains(piece), "{piece}");
    let mut world = world();
    world.behaviours = BTreeSet::from(["FE-06".to_owned()]);
    world.retired = BTreeSet::from(["K-FETCH-009".to_owned()]);
    findings(&[("fetch".to_owned(), GOOD.replacen(piece, by, 1))], &world).join("\n")
}

#[test]
fn a_good_statement_is_good() {
    assert_eq!(found("K-FETCH-001", "K-FETCH-001"), "");
}

#[test]
fn bad_statements_are_found() {
    let long = format!("{}.", "x".repeat(300));
    let twice = format!("{GOOD}{GOOD}");
    let cases = [
        ("tests = []", "test = []", "unknown field `test`"),
        ("tests = []\n", "", "missing field `tests`"),
        ("\"broker\"", "\"server\"", "unknown variant `server`"),
        ("\"MUST\"", "\"must\"", "unknown variant `must`"),
        ("\"core\"", "\"kernel\"", "unknown variant `kernel`"),
        ("\"normative\"", "\"norm\"", "unknown variant `norm`"),
        ("K-FETCH-001", "K-FETCH-01", "not of the form K-FETCH-001"),
        ("K-FETCH-001", "K-FETCH-000", "not of the form K-FETCH-001"),
        ("K-FETCH-001", "K-PRODUCE-001", "not of the form K-FETCH-001"),
        ("K-FETCH-001", "K-FETCH-009", "used before"),
        (GOOD, &twice, "stands after K-FETCH-001"),
        (GOOD, &twice, "stands twice"),
        ("(1)", "(2)", "OFFSET_OUT_OF_RANGE is error Some(1)"),
        ("An offset above", &long, "characters of text"),
        (" is answered", " and must be", "two obligations"),
        (" is answered", " is odd. It is", "not one sentence"),
        (" is answered", "  is", "two spaces"),
        ("[\"Fetch\"]", "[]", "no API"),
        ("[\"Fetch\"]", "[\"Fetched\"]", "no schema describes Fetched"),
        ("[\"Fetch\"]", "[\"any\"]", "`any` stands alone"),
        ("\"4-12\"", "\"4-\"", "is not 4, 3-13, 9+ or all"),
        ("\"4-12\"", "\"12-4\"", "is not 4, 3-13, 9+ or all"),
        ("\"4-12\"", "\"4-99\"", "Fetch has no versions 4-99"),
        ("\"4-12\"", "\"99+\"", "Fetch has no versions 99+"),
        ("\"KIP-74\"", "\"KIP-x\"", "`KIP-x` is not a source"),
        ("\"KIP-74\"", "\"somewhere\"", "`somewhere` is not a source"),
        ("owner/name.rs#12", "owner#12", "`owner#12` is not a source"),
        ("source = [", "source = [] # [", "no source"),
        ("\"normative\"", "\"unspecified\"", "is a MAY"),
        ("[\"FE-06\"]", "[\"FE-99\"]", "behaviours.txt has no FE-99"),
        ("behaviour = [\"FE-06\"]\n", "", "no statement covers FE-06"),
        ("planned = true", "", "exactly one of"),
        ("planned = true", "planned = false", "exactly one of"),
        ("planned = true", "untestable = \"\"", "exactly one of"),
        ("tests = []", "tests = [\"fetch/x\"]", "exactly one of"),
        ("\"broker\"", "\"client\"", "only of one, is client"),
        ("\"broker\"", "\"client\"", "stand in client_*.toml"),
    ];
    for (piece, by, expected) in cases {
        let found = found(piece, by);
        assert!(found.contains(expected), "{piece} -> {by}: {expected} is not in `{found}`");
    }
}
