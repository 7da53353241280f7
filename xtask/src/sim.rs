//! The simulation of brokers, clients and faults (reference-broker/sim).

use crate::task::{self, Failure, cargo};

/// Builds it with optimisation and all checks, and runs it.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--profile", "sim", "-p", "ottla-sim", "--"]).args(arguments);
    task::run(&mut command)
}
