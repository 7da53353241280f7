//! `one`.

use super::{CannotRun, Select, reach, run_name, tests};
use clap::Args;
use ottla_conformance::clean;
use ottla_conformance::codec::hex;
use ottla_conformance::runner;
use ottla_conformance::verdict::Verdict;
use ottla_conformance::wire::{Traced, Way};
use std::io::Write;
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct One {
    /// A test, or a pattern of tests.
    test: String,
    /// The broker, as host:port.
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: String,
    /// Show every frame.
    #[arg(long)]
    trace: bool,
}

pub(super) fn one(arguments: &One) -> Result<ExitCode, CannotRun> {
    let select = Select { profile: Vec::new(), only: vec![arguments.test.clone()] };
    let tests = tests(&select)?;
    let target = reach(&arguments.bootstrap)?;
    let run = run_name();
    let mut failed = false;
    for test in &tests {
        let outcome = runner::run_one(&target, test, &run);
        say!("{} {}", outcome.verdict, outcome.test);
        say!("  statements {}", test.case.statements.join(" "));
        if !outcome.message.is_empty() {
            say!("  {} {}", outcome.statement.as_deref().unwrap_or("because"), outcome.message);
        }
        if arguments.trace {
            outcome.trace.frames().iter().for_each(show_frame);
        }
        failed |=
            matches!(outcome.verdict, Verdict::Fail | Verdict::HarnessError | Verdict::Blocked);
    }
    let _ = clean::clean(&target, &run); // what is left goes with `clean`
    Ok(ExitCode::from(u8::from(failed)))
}

fn show_frame(traced: &Traced) {
    let arrow = if traced.way == Way::Sent { "-->" } else { "<--" };
    let what = match traced.api {
        Some((api, version)) => format!("{} v{version}, ", api.name()),
        None => String::new(),
    };
    let (ms, bytes) = (traced.at.as_micros() as f64 / 1000.0, &traced.bytes);
    say!("  {ms:>9.3} ms  connection {} {arrow} {what}{} bytes", traced.connection, bytes.len());
    for (row, chunk) in bytes.chunks(16).enumerate() {
        let plain = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
        let pairs: Vec<String> = chunk.chunks(2).map(hex).collect();
        let text: String = chunk.iter().map(plain).collect();
        say!("      {:06x}  {:<39}  {text}", row * 16, pairs.join(" "));
    }
}
