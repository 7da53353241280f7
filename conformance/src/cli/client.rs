//! `client`.

use super::keep::Reporting;
use super::one::show_frames;
use super::progress::Progress;
use super::{CannotRun, run_name, seconds, since_1970_ms};
use clap::Args;
use ottla_conformance::case::matches;
use ottla_conformance::client::shim::ShimCommand;
use ottla_conformance::client::{self, Options, Scenario};
use ottla_conformance::report::{Report, Side};
use ottla_conformance::runner::Outcome;
use ottla_conformance::wire::Way;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
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
    /// Scenarios at a time.
    #[arg(long, default_value_t = 4)]
    parallel: usize,
    /// How long anything that a scenario waits for may take.
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    patience: Duration,
    /// Show every frame, annotated.
    #[arg(long)]
    trace: bool,
    #[command(flatten)]
    reporting: Reporting,
}

pub(super) fn client(arguments: &Client) -> Result<ExitCode, CannotRun> {
    let prepared = arguments.reporting.prepare()?;
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
    let report = Report {
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
    prepared.end(report, "scenarios")
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
    say!("{} {} {}", outcome.verdict, outcome.test, outcome.message);
    show_frames(&outcome.trace, Way::Received, false);
}
