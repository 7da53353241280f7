//! The statements of `protocol/statements`, in the binary.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Every file: its stem and its text.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/statements.rs"));

/// One obligation. The README beside the files tells what the fields mean.
#[derive(Debug, Clone, Deserialize)]
pub struct Statement {
    /// `K-FETCH-014`.
    pub id: String,
    /// The obligation.
    pub text: String,
    /// `broker` or `client`.
    pub role: String,
    /// `MUST`, `SHOULD` or `MAY`.
    pub level: String,
    /// What one claims as a whole.
    pub profile: String,
    /// The requests in which it shows.
    pub api: Vec<String>,
    /// Their versions.
    pub versions: String,
    /// Where it comes from, the strongest first.
    pub source: Vec<String>,
    /// `normative`, `kafka-behaviour` or `unspecified`.
    pub kind: String,
    /// The tests that decide it, without versions.
    #[serde(default)]
    pub tests: Vec<String>,
    /// Why no test can decide it.
    pub untestable: Option<String>,
}

#[derive(Deserialize)]
struct File {
    statement: Vec<Statement>,
}

/// All statements, by id.
pub fn all() -> &'static BTreeMap<String, Statement> {
    static ALL: OnceLock<BTreeMap<String, Statement>> = OnceLock::new();
    ALL.get_or_init(|| {
        let read = |(stem, text): &(&str, &str)| -> Vec<Statement> {
            let file: File = toml::from_str(text)
                .unwrap_or_else(|error| panic!("{stem}.toml, which its own tests check: {error}"));
            file.statement
        };
        let statements = FILES.iter().flat_map(read);
        statements.map(|statement| (statement.id.clone(), statement)).collect()
    })
}
