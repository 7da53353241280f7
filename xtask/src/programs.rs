//! Tasks that build a program of the workspace and run it.

use std::path::PathBuf;
use std::process::Command;

use crate::task::{self, Failure, cargo, root};

/// Where cargo puts programs of a profile (`debug` or `release`).
pub(crate) fn program(profile: &str, name: &str) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join(profile).join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// What a change must pass.
pub(crate) fn ci() -> Result<(), Failure> {
    task::run(Command::new("bash").arg(".ci/run").current_dir(root()))
}

/// The protocols as models, gone through state by state.
pub(crate) fn models(arguments: &[String]) -> Result<(), Failure> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "-p", "ottla-models", "--"]).args(arguments);
    task::run(&mut command)
}

/// Writes the tables of settings and of errors into the documents, or fails if one is stale. The
/// tables are in crates whose tests make the documents, so that xtask need not be built on them.
pub(crate) fn documents(write: bool) -> Result<(), Failure> {
    let settings = "config::guide::guide_is_what_the_table_says";
    document(write, &["-p", "ottla-engine", "--lib", "--", "--exact", settings])?;
    let errors = "errors_of_the_readme_are_the_classes";
    document(write, &["-p", "ottla-bindings", "--test", "readme", "--", "--exact", errors])?;
    let tests = "statements_name_the_tests_that_decide_them";
    document(write, &["-p", "ottla-conformance", "--test", "statements", "--", "--exact", tests])
}

fn document(write: bool, test: &[&str]) -> Result<(), Failure> {
    let mut command = cargo();
    command.args(["test", "--quiet"]).args(test);
    if write {
        command.env("OTTLA_CODEGEN", "write");
    } else {
        command.env_remove("OTTLA_CODEGEN");
    }
    task::run_quietly(&mut command).map(drop).map_err(|failure| {
        Failure::new(format!("a document is stale: run `cargo xtask codegen`\n{failure}"))
    })
}
