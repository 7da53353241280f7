//! `ottla-conformance`: see `--help`, and the README beside this crate.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
