//! Runs scenarios side by side.

use super::Scenario;
use super::cluster::Cluster;
use super::play::Play;
use super::shim::ShimCommand;
use crate::case::Profile;
use crate::runner::{Event, Outcome};
use crate::verdict::{Stop, Verdict};
use crate::wire::Trace;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::with_capacity(scenarios.len()));
    let work = || {
        while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
            each(Event::Began(scenario.name));
            let outcome = run_one(shim, scenario, options);
            each(Event::Ended(&outcome));
            outcomes.lock().expect("no scenario panics in here").push(outcome);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.parallel.clamp(1, scenarios.len().max(1)) {
            scope.spawn(work);
        }
    });
    let mut outcomes = outcomes.into_inner().expect("all threads have ended");
    outcomes.sort_by(|a, b| a.test.cmp(&b.test));
    outcomes
}

/// Runs one scenario.
pub fn run_one(shim: &ShimCommand, scenario: &'static Scenario, options: &Options) -> Outcome {
    let began = Instant::now();
    let mut outcome = Outcome {
        test: scenario.name.to_owned(),
        profile: Profile::Client,
        verdict: Verdict::HarnessError,
        statement: None,
        message: String::new(),
        evaluated: Vec::new(),
        took_ms: 0,
        wire: Vec::new(),
        trace: Trace::default(),
    };
    let cluster = match Cluster::start(NODES, outcome.trace.clone()) {
        Ok(cluster) => cluster,
        Err(error) => {
            outcome.message = format!("a scripted broker cannot listen: {error}");
            return outcome;
        }
    };
    let mut play = Play::new(shim, cluster, options.patience, scenario.statements[0]);
    let ended = catch_unwind(AssertUnwindSafe(|| (scenario.run)(&mut play)));
    let ended = ended.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Stop::harness(format!("the scenario panicked: {}", text.unwrap_or_default())))
    });
    let stop = judge(&play, ended);
    (outcome.verdict, outcome.message) = (stop.verdict, stop.message);
    outcome.statement = stop.statement.map(str::to_owned);
    outcome.evaluated = play.checked.iter().map(|c| c.statement.to_owned()).collect();
    outcome.evaluated.sort();
    outcome.evaluated.dedup();
    drop(play);
    outcome.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    outcome
}

fn judge(play: &Play<'_>, ended: Result<(), Stop>) -> Stop {
    if let Some(fault) = play.cluster.with(|state| state.faults.first().cloned()) {
        return Stop::harness(fault);
    }
    if let Err(stop) = ended {
        return stop;
    }
    if play.checked.is_empty() {
        return Stop::harness("the scenario evaluated no assertion");
    }
    if let Some(lapse) = play.lapses.first() {
        return lapse.clone();
    }
    let verdict = if play.notes.is_empty() { Verdict::Pass } else { Verdict::Info };
    Stop { verdict, statement: None, message: play.notes.join("; ") }
}
