//! `run`.

use super::progress::Progress;
use super::{CannotRun, Reach, Select, run_name, since_1970_ms, tests};
use clap::{Args, ValueEnum};
use ottla_conformance::baseline::Baseline;
use ottla_conformance::clean;
use ottla_conformance::report::{Keep, Report, Side, counts_text, to_html, to_junit, to_markdown};
use ottla_conformance::runner::{self, Event, Options, Outcome};
use std::io::Write;
use std::path::{Path, PathBuf};
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
    /// Reports: `json=FILE`, `junit=FILE`, `html=FILE`, `md=FILE`; more of them separated by
    /// commas.
    #[arg(long, value_delimiter = ',', value_name = "KIND=FILE")]
    report: Vec<String>,
    /// Tests at a time.
    #[arg(long, default_value_t = 8)]
    parallel: usize,
    /// Run what went badly while the target went down once more at the end, each test alone, and
    /// let that count: for a target that is started again where a test takes it down.
    #[arg(long)]
    again_alone: bool,
    /// Failures that are known, as lines `"test" = "reason"`. They run all the same; the exit
    /// status is 1 for a failure that is not listed, and for a line that no failure answers to any
    /// more.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Whose frames the reports hold: those of the tests that did not pass, or of all.
    #[arg(long, value_enum, default_value_t = Wire::Failures)]
    wire: Wire,
    /// Leave the topics and groups that were made.
    #[arg(long)]
    keep: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Wire {
    Failures,
    All,
}

impl From<Wire> for Keep {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire::Failures => Self::Failures,
            Wire::All => Self::All,
        }
    }
}

pub(super) fn run(arguments: &Run) -> Result<ExitCode, CannotRun> {
    let tests = tests(&arguments.select)?;
    let reports = arguments.report.iter().map(|text| report_kind(text));
    let reports = reports.collect::<Result<Vec<_>, _>>()?;
    let baseline = arguments.baseline.as_deref().map(read_baseline).transpose()?;
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
    let mut report = Report {
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
    report.keep_wire(arguments.wire.into());
    for (kind, file) in reports {
        let text = match kind {
            "json" => report.to_json(),
            "junit" => to_junit(&report),
            "html" => to_html(&report),
            _ => to_markdown(&report),
        };
        std::fs::write(&file, text)
            .map_err(|error| CannotRun(format!("writing {}: {error}", file.display())))?;
    }
    for (profile, counts) in report.scores() {
        say!("{profile:<12} {}", counts_text(&counts));
    }
    say!("{} tests in {:.1} s", report.outcomes.len(), report.took_ms as f64 / 1000.0);
    let Some(baseline) = baseline else {
        return Ok(ExitCode::from(u8::from(report.has_failed())));
    };
    let compared = baseline.compare(&report.outcomes);
    for stale in &compared.stale {
        say!("STALE          {stale} is listed as a known failure, and passed: take it out");
    }
    say!("{} failures are known, {} are not", compared.known.len(), compared.new.len());
    let is_bad = !(compared.new.is_empty() && compared.stale.is_empty());
    Ok(ExitCode::from(u8::from(is_bad)))
}

pub(super) fn read_baseline(file: &Path) -> Result<Baseline, CannotRun> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| CannotRun(format!("reading {shown}: {error}")))?;
    Baseline::parse(&text).map_err(|error| CannotRun(format!("{shown}: {error}")))
}

pub(super) fn report_kind(text: &str) -> Result<(&str, PathBuf), CannotRun> {
    match text.split_once('=') {
        Some((kind @ ("json" | "junit" | "html" | "md"), file)) if !file.is_empty() => {
            Ok((kind, PathBuf::from(file)))
        }
        _ => Err(CannotRun(format!(
            "report {text:?}: expected json=, junit=, html= or md= and a file"
        ))),
    }
}
