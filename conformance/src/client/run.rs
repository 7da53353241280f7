//! Runs scenarios side by side.

use super::Scenario;
use super::cluster::Cluster;
use super::play::Play;
use super::shim::ShimCommand;
use crate::case::Profile;
use crate::findings::{Findings, guarded};
use crate::runner::{Event, Outcome, side_by_side};
use crate::verdict::Stop;
use crate::wire::Trace;
use std::time::{Duration, Instant};

/// Nodes of each scenario; most list only the first.
const NODES: i32 = 3;

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Scenarios at a time.
    pub parallel: usize,
    /// How long anything that a scenario waits for may take.
    pub patience: Duration,
}

/// Runs all scenarios; `each` is told of every beginning and end.
pub fn run(
    shim: &ShimCommand,
    scenarios: &[&'static Scenario],
    options: &Options,
    each: impl Fn(Event<'_>) + Sync,
) -> Vec<Outcome> {
    side_by_side(scenarios, options.parallel, |scenario| {
        each(Event::Began(scenario.name));
        let outcome = run_one(shim, scenario, options);
        each(Event::Ended(&outcome));
        outcome
    })
}

/// Runs one scenario.
pub fn run_one(shim: &ShimCommand, scenario: &'static Scenario, options: &Options) -> Outcome {
    let began = Instant::now();
    let trace = Trace::default();
    let mut outcome = Outcome::new(scenario.name.to_owned(), Profile::Client, trace.clone());
    let cluster = match Cluster::start(NODES, trace) {
        Ok(cluster) => cluster,
        Err(error) => {
            let stop = Stop::harness(format!("a scripted broker cannot listen: {error}"));
            outcome.end(stop, &Findings::default(), began);
            return outcome;
        }
    };
    let mut play = Play::new(shim, cluster, options.patience, scenario.statements[0]);
    let ended = guarded(|| (scenario.run)(&mut play));
    let fault = play.cluster.with(|state| state.faults.first().cloned());
    let ended = fault.map_or(ended, |fault| Err(Stop::harness(fault)));
    outcome.end(play.findings.judge(ended), &play.findings, began);
    outcome
}
