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

/// Builds broker and example in release mode, then lets the example speak: its last line is the
/// task's last line.
pub(crate) fn quickstart(arguments: &[String]) -> Result<(), Failure> {
    task::step("build the broker and the example", "about five minutes the first time", || {
        let packages = ["-p", "ottla-broker", "-p", "ottla-quickstart"];
        task::run(cargo().args(["build", "--release", "--locked"]).args(packages))
    })?;
    task::run(
        Command::new(program("release", "ottla-quickstart"))
            .env("OTTLA_BROKER_BIN", program("release", "ottla-broker"))
            .args(arguments),
    )
}

/// What a change must pass.
pub(crate) fn ci() -> Result<(), Failure> {
    task::run(Command::new("bash").arg(".ci/run").current_dir(root()))
}

/// Writes the table of settings into the guide, or fails if the guide is stale. The table is in the
/// engine and its test makes the document, so that xtask need not be built on the engine.
pub(crate) fn guide(write: bool) -> Result<(), Failure> {
    let test = "config::guide::guide_is_what_the_table_says";
    let mut command = cargo();
    command.args(["test", "--quiet", "-p", "ottla-engine", "--lib", "--", "--exact", test]);
    if write {
        command.env("OTTLA_CODEGEN", "write");
    } else {
        command.env_remove("OTTLA_CODEGEN");
    }
    task::run_quietly(&mut command).map(drop).map_err(|failure| {
        Failure::new(format!("docs/guide/configuration.md: run `cargo xtask codegen`\n{failure}"))
    })
}
