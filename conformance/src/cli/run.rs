//! `run`.

use super::keep::Reporting;
use super::progress::Progress;
use super::{CannotRun, Reach, Select, run_name, since_1970_ms, tests};
use clap::Args;
use ottla_conformance::clean;
use ottla_conformance::report::{Report, Side};
use ottla_conformance::runner::{self, Event, Options, Outcome};
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

#[derive(Args)]
pub(super) struct Run {
    #[command(flatten)]
    broker: Reach,
    /// What reports call it; the address without this.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    select: Select,
    /// Tests at a time.
    #[arg(long, default_value_t = 8)]
    parallel: usize,
    /// Run what went badly while the target went down once more at the end, each test alone, and
    /// let that count: for a target that is started again where a test takes it down.
    #[arg(long)]
    again_alone: bool,
    /// Leave the topics and groups that were made.
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    reporting: Reporting,
}

pub(super) fn run(arguments: &Run) -> Result<ExitCode, CannotRun> {
    let tests = tests(&arguments.select)?;
    let prepared = arguments.reporting.prepare()?;
    let target = arguments.broker.target()?;
    let options = Options { parallel: arguments.parallel, run: run_name() };
    let began = Instant::now();
    let progress = Progress::new(tests.len());
    let mut outcomes = runner::run(&target, &tests, &options, |event| progress.see(event));
    if arguments.again_alone {
        say!("what went badly while the target went down, each test alone:");
        let see = |outcome: &Outcome| progress.see(Event::Ended(outcome));
        runner::run_again_alone(&target, &tests, &options, &mut outcomes, see);
    }
    progress.finish();
    if !arguments.keep
        && let Err(why) = clean::clean(&target, &options.run)
    {
        eprintln!("ottla-conformance: the topics of this run are left: {why}");
    }
    let report = Report {
        suite: format!("ottla-conformance {}", env!("CARGO_PKG_VERSION")),
        target: arguments.name.clone().unwrap_or_else(|| arguments.broker.bootstrap.clone()),
        side: Side::Broker,
        run: options.run,
        ended_ms: since_1970_ms(),
        took_ms: began.elapsed().as_millis() as u64,
        round_trip_us: target.round_trip.as_micros() as u64,
        patience_ms: target.patience.as_millis() as u64,
        advertised: target.advertised,
        outcomes,
    };
    prepared.end(report, "tests")
}
