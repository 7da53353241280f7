//! The scenarios of faults on real processes (tests/chaos).

use std::process::Command;

use crate::programs::program;
use crate::task::{self, Failure, cargo, root};

/// Builds broker and scenarios, and runs those that `arguments` name.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    task::step("build the broker and the scenarios", "", || {
        let packages = ["-p", "ottla-broker", "-p", "ottla-chaos"];
        task::run(cargo().args(["build", "--release", "--locked"]).args(packages))
    })?;
    let mut command = Command::new(program("release", "ottla-chaos"));
    command.arg("--broker").arg(program("release", "ottla-broker")).args(arguments);
    task::run(command.current_dir(root()))
}
