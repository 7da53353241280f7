//! The table of errors in `bindings/README.md`, made from [`Class`]. `cargo xtask codegen` runs
//! this test with `OTTLA_CODEGEN=write`; without it the test fails when the document is stale.

use ottla_bindings::Class;
use std::fmt::Write as _;
use std::path::Path;

const BEGIN: &str =
    "<!-- errors: begin, written by `cargo xtask codegen` from shared/src/failure.rs -->";
const END: &str = "<!-- errors: end -->";

fn table() -> String {
    let mut out = String::from("\n| Python and Node | Swift | code | what it means |\n");
    out.push_str("| --- | --- | --- | --- |\n");
    for class in Class::ALL {
        let (stem, code, meaning) = (class.stem(), class.code(), class.meaning());
        let case = stem[..1].to_lowercase() + &stem[1..];
        writeln!(out, "| `{stem}Error` | `.{case}` | `{code}` | {meaning} |").expect("it grows");
    }
    out.push('\n');
    out
}

#[test]
fn errors_of_the_readme_are_the_classes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let found = std::fs::read_to_string(&path).expect("bindings/README.md is there");
    let (before, rest) = found.split_once(BEGIN).expect("it has the mark where the table begins");
    let (_, after) = rest.split_once(END).expect("it has the mark where the table ends");
    let wanted = format!("{before}{BEGIN}\n{}{END}{after}", table());
    if std::env::var_os("OTTLA_CODEGEN").is_some_and(|mode| mode == "write") {
        std::fs::write(&path, &wanted).expect("it can be written");
        return;
    }
    assert!(found == wanted, "bindings/README.md is stale: run `cargo xtask codegen`");
}
