//! `client`.

use super::progress::Progress;
use super::run::{Wire, read_baseline, report_kind};
use super::{CannotRun, run_name, seconds, since_1970_ms};
use clap::Args;
use ottla_conformance::case::matches;
use ottla_conformance::client::shim::ShimCommand;
use ottla_conformance::client::{self, Options, Scenario};
use ottla_conformance::report::{Report, Side, counts_text, to_html, to_junit, to_markdown};
use ottla_conformance::runner::Outcome;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long a shim may take to say its version.
const VERSION_WITHIN: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(super) struct Client {
    /// The command that drives the client; see conformance/shims.
    #[arg(long, value_name = "CMD")]
    shim: String,
    /// Only scenarios that match: `*` stands for anything without a slash, `**` for anything.
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// What reports call the client; what its shim says without this.
    #[arg(long)]
    name: Option<String>,
    /// Reports: `json=FILE`, `junit=FILE`, `md=FILE`; more of them separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "KIND=FILE")]
    report: Vec<String>,
    /// Failures that are known, as lines `"scenario" = "reason"`.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Scenarios at a time.
    #[arg(long, default_value_t = 4)]
    parallel: usize,
    /// How long anything that a scenario waits for may take.
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    patience: Duration,
    /// Whose frames the reports hold: those of the scenarios that did not pass, or of all.
    #[arg(long, value_enum, default_value_t = Wire::Failures)]
    wire: Wire,
    /// Show every frame, annotated.
    #[arg(long)]
    trace: bool,
}

pub(super) fn client(arguments: &Client) -> Result<ExitCode, CannotRun> {
    let reports = arguments.report.iter().map(|text| report_kind(text));
    let reports = reports.collect::<Result<Vec<_>, _>>()?;
    let baseline = arguments.baseline.as_deref().map(read_baseline).transpose()?;
    let scenarios = scenarios(&arguments.only)?;
    let shim = ShimCommand::parse(&arguments.shim).map_err(CannotRun)?;
    let version = version(&shim)?;
    let patience = arguments.patience;
    let parallel = if arguments.trace { 1 } else { arguments.parallel };
    let options = Options { parallel, patience };
    let began = Instant::now();
    let progress = Progress::new(scenarios.len());
    let outcomes = client::run(&shim, &scenarios, &options, |event| progress.see(event));
    progress.finish();
    if arguments.trace {
        outcomes.iter().for_each(trace);
    }
    let mut report = Report {
        suite: format!("ottla-conformance {}", env!("CARGO_PKG_VERSION")),
        target: arguments.name.clone().unwrap_or(version),
        side: Side::Client,
        run: run_name(),
        ended_ms: since_1970_ms(),
        took_ms: began.elapsed().as_millis() as u64,
        round_trip_us: 0,
        patience_ms: patience.as_millis() as u64,
        advertised: BTreeMap::new(),
        outcomes,
    };
    report.keep_wire(arguments.wire.into());
    for (kind, file) in reports {
        let text = match kind {
            "json" => serde_json::to_string_pretty(&report).expect("a report is plain data"),
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
    say!("{} scenarios in {:.1} s", report.outcomes.len(), report.took_ms as f64 / 1000.0);
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

fn scenarios(only: &[String]) -> Result<Vec<&'static Scenario>, CannotRun> {
    let is_wanted = |scenario: &&Scenario| {
        only.is_empty() || only.iter().any(|pattern| matches(pattern, scenario.name))
    };
    let scenarios: Vec<_> = client::all().filter(is_wanted).collect();
    if scenarios.is_empty() {
        let names: Vec<&str> = client::all().map(|scenario| scenario.name).collect();
        return Err(CannotRun(format!("no scenario matches: there are {}", names.join(", "))));
    }
    Ok(scenarios)
}

/// The client's name and version, as its shim says.
fn version(shim: &ShimCommand) -> Result<String, CannotRun> {
    let mut running = shim.start("version").map_err(CannotRun)?;
    running.end_input();
    let said = running.next(Instant::now() + VERSION_WITHIN);
    let said = said.map_err(|why| CannotRun(format!("the shim's version: {why}")))?;
    let said = said.ok_or_else(|| {
        let seconds = VERSION_WITHIN.as_secs();
        CannotRun(format!("the shim's version: nothing within {seconds} s"))
    })?;
    match (&said["client"], &said["version"]) {
        (Value::String(client), Value::String(version)) => Ok(format!("{client} {version}")),
        _ => Err(CannotRun(format!(
            "the shim's version: expected {{\"client\": …, \"version\": …}}, not {said}"
        ))),
    }
}

fn trace(outcome: &Outcome) {
    use ottla_conformance::annotate::log;
    use ottla_conformance::report::wire::frames;
    use ottla_conformance::wire::Way;
    say!("{} {} {}", outcome.verdict, outcome.test, outcome.message);
    let frames = frames(&outcome.trace.frames(), Way::Received, usize::MAX);
    for entry in log(&frames, Way::Received, 24) {
        let frame = entry.frame;
        let arrow = if frame.way == Way::Sent { "-->" } else { "<--" };
        let (ms, connection) = (frame.at_us as f64 / 1000.0, frame.connection);
        let (title, count) = (entry.title(), frame.bytes);
        say!("  {ms:>9.3} ms  connection {connection} {arrow} {title}, {count} bytes");
        for part in &entry.parts {
            part.text(4).lines().for_each(|line| say!("    {line}"));
        }
    }
}
