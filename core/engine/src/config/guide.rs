//! `docs/guide/configuration.md`, made from the table. `cargo xtask codegen` runs this test with
//! `OTTLA_CODEGEN=write`; without it the test fails when the document is stale.

use std::fmt::Write as _;
use std::path::Path;

use super::{Kind, Role, SETTINGS, Setting};

const PREFACE: &str = "\
<!-- Generated from core/engine/src/config/table.rs by `cargo xtask codegen`: edit that file. -->

# Configuration

Every setting has Kafka's own dotted name, in every language; Python and Rust also write it in snake
case (`linger_ms`), Node and Swift in camel case (`lingerMs`): [all of them](#spellings). A name
that does not exist is refused with the nearest one that does, a value out of its range with the
range.
";

fn rows(out: &mut String, heading: &str, of: impl Fn(&Setting) -> bool) {
    write!(out, "\n## {heading}\n\n| name | type | default | allowed | what it does |\n").unwrap();
    out.push_str("| --- | --- | --- | --- | --- |\n");
    for setting in SETTINGS.iter().filter(|setting| of(setting)) {
        let kind = match setting.kind {
            Kind::Flag => "flag",
            Kind::Integer { .. } => "number",
            Kind::Text => "text",
            Kind::Addresses | Kind::Choices(_) => "list",
            Kind::Choice(_) | Kind::OffsetReset => "choice",
        };
        let default = setting.default.map_or("–".to_owned(), |value| format!("`{value}`"));
        let (name, allowed, doc) = (setting.name, setting.allowed(), setting.doc);
        writeln!(out, "| `{name}` | {kind} | {default} | {allowed} | {doc} |").unwrap();
    }
}

fn spellings(out: &mut String) {
    out.push_str("\n## Spellings\n\n| every language | Python, Rust | Node, Swift |\n");
    out.push_str("| --- | --- | --- |\n");
    for setting in SETTINGS {
        let (snake, camel) = (setting.snake_case(), setting.camel_case());
        writeln!(out, "| `{}` | `{snake}` | `{camel}` |", setting.name).unwrap();
    }
}

fn guide() -> String {
    let only = |role: Role| move |setting: &Setting| setting.roles.iter().eq([role]);
    let mut out = PREFACE.to_owned();
    rows(&mut out, "Several kinds of client", |setting| setting.roles.iter().count() > 1);
    rows(&mut out, "Producer", only(Role::Producer));
    rows(&mut out, "Consumer", only(Role::Consumer));
    let shared: Vec<String> = SETTINGS
        .iter()
        .filter(|setting| setting.roles.iter().count() == 2)
        .map(|setting| format!("`{}` ({})", setting.name, setting.roles))
        .collect();
    write!(out, "\nThe first table holds for all clients but for {}.\n", shared.join(", "))
        .unwrap();
    spellings(&mut out);
    out
}

#[test]
fn guide_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/configuration.md");
    if std::env::var_os("OTTLA_CODEGEN").is_some_and(|mode| mode == "write") {
        std::fs::write(&path, guide()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == guide(), "docs/guide/configuration.md is stale: run `cargo xtask codegen`");
}
