//! `one`.

use super::{CannotRun, Reach, Select, run_name, tests};
use clap::Args;
use ottla_conformance::annotate::log;
use ottla_conformance::clean;
use ottla_conformance::codec::{hex, unhex};
use ottla_conformance::report::wire::frames;
use ottla_conformance::runner;
use ottla_conformance::verdict::Verdict;
use ottla_conformance::wire::{Trace, Way};
use std::io::Write;
use std::process::ExitCode;

/// Elements of an array that are shown; how many more there are is told.
const ELEMENTS_SHOWN: usize = 24;
/// Rows of eight bytes of a field that are shown.
const ROWS_SHOWN: usize = 4;

#[derive(Args)]
pub(super) struct One {
    /// A test, or a pattern of tests.
    test: String,
    #[command(flatten)]
    broker: Reach,
    /// Show every frame, each field with its value.
    #[arg(long)]
    trace: bool,
    /// Show every frame as plain hex.
    #[arg(long)]
    hex: bool,
}

pub(super) fn one(arguments: &One) -> Result<ExitCode, CannotRun> {
    let select = Select { profile: Vec::new(), only: vec![arguments.test.clone()] };
    let tests = tests(&select)?;
    let target = arguments.broker.target()?;
    let run = run_name();
    let mut failed = false;
    for test in &tests {
        let outcome = runner::run_one(&target, test, &run);
        say!("{} {}", outcome.verdict, outcome.test);
        say!("  statements {}", test.case.statements.join(" "));
        if !outcome.message.is_empty() {
            say!("  {} {}", outcome.statement.as_deref().unwrap_or("because"), outcome.message);
        }
        if arguments.trace || arguments.hex {
            show_frames(&outcome.trace, Way::Sent, arguments.hex);
        }
        failed |=
            matches!(outcome.verdict, Verdict::Fail | Verdict::HarnessError | Verdict::Blocked);
    }
    let _ = clean::clean(&target, &run); // what is left goes with `clean`
    Ok(ExitCode::from(u8::from(failed)))
}

/// The frames of a test: every field with its value, or plain. Requests went `asks` way.
pub(super) fn show_frames(trace: &Trace, asks: Way, plain: bool) {
    let frames = frames(&trace.frames(), asks, usize::MAX);
    for entry in log(&frames, asks, ELEMENTS_SHOWN) {
        let frame = entry.frame;
        let arrow = if frame.way == Way::Sent { "-->" } else { "<--" };
        let (ms, connection) = (frame.at_us as f64 / 1000.0, frame.connection);
        let (title, count) = (entry.title(), frame.bytes);
        say!("  {ms:>9.3} ms  connection {connection} {arrow} {title}, {count} bytes");
        if plain {
            show_plain(&unhex(&frame.hex).unwrap_or_default());
            continue;
        }
        for part in &entry.parts {
            part.text(ROWS_SHOWN).lines().for_each(|line| say!("    {line}"));
        }
    }
}

fn show_plain(bytes: &[u8]) {
    for (row, chunk) in bytes.chunks(16).enumerate() {
        let plain = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
        let pairs: Vec<String> = chunk.chunks(2).map(hex).collect();
        let text: String = chunk.iter().map(plain).collect();
        say!("      {:06x}  {:<39}  {text}", row * 16, pairs.join(" "));
    }
}
