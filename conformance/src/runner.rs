//! Runs tests side by side and gives their verdicts.

mod health;

use crate::case::{Profile, Test};
use crate::context::Context;
use crate::findings::{Asserts, Findings, guarded};
use crate::report::wire::Frame;
use crate::target::Target;
use crate::verdict::{Stop, Verdict};
use crate::wire::Trace;
use health::{Down, Health};
use serde::{Deserialize, Serialize};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// What became of a test.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// `suite/what-it-tests@v7`.
    pub test: String,
    /// The profile that it counts for.
    pub profile: Profile,
    /// How it ended.
    pub verdict: Verdict,
    /// The statement that decided, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// What was expected and what came; the proof of an UNSUPPORTED.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The statements that were evaluated.
    #[serde(default)]
    pub evaluated: Vec<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What went over the wire, as far as the report keeps it; see
    /// [`Report::keep_wire`](crate::report::Report::keep_wire).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wire: Vec<Frame>,
    /// Every frame, for `--trace` and the reports.
    #[serde(skip)]
    pub trace: Trace,
}

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Tests at a time.
    pub parallel: usize,
    /// What the names of topics and groups begin with: unique to the run.
    pub run: String,
}

/// What happens while tests run.
#[derive(Debug, Clone, Copy)]
pub enum Event<'e> {
    /// A test of this name begins.
    Began(&'e str),
    /// A test has ended.
    Ended(&'e Outcome),
}

/// Runs all tests; `watch` is told of every beginning and end as it comes.
pub fn run(
    target: &Target,
    tests: &[Test],
    options: &Options,
    watch: impl Fn(Event<'_>) + Sync,
) -> Vec<Outcome> {
    let health = Health::default();
    side_by_side(tests, options.parallel, |test| {
        watch(Event::Began(&test.id()));
        let outcome = run_guarded(target, test, &options.run, &health);
        watch(Event::Ended(&outcome));
        outcome
    })
}

/// Runs tests, so many at a time; their outcomes, by name.
pub(crate) fn side_by_side<T: Sync>(
    tests: &[T],
    parallel: usize,
    run: impl Fn(&T) -> Outcome + Sync,
) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::with_capacity(tests.len()));
    let work = || {
        while let Some(test) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = run(test);
            outcomes.lock().expect("no test panics in here").push(outcome);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..parallel.clamp(1, tests.len().max(1)) {
            scope.spawn(work);
        }
    });
    let mut outcomes = outcomes.into_inner().expect("all threads have ended");
    outcomes.sort_by(|a, b| a.test.cmp(&b.test));
    outcomes
}

/// What is said of a test that took the target down, and of one beside such a test.
const TOOK_DOWN: &str = "; it took the target down";
const WENT_DOWN: &str = "; the target went down meanwhile";

/// Runs one test, unless the target has gone.
fn run_guarded(target: &Target, test: &Test, run: &str, health: &Health) -> Outcome {
    let id = test.id();
    if let Some(why) = health.gone()
        && test.unsupported(target).is_none()
    {
        let mut outcome = Outcome::new(id, test.case.profile, Trace::default());
        (outcome.verdict, outcome.message) = (Verdict::Blocked, why.to_owned());
        return outcome;
    }
    let began = Instant::now();
    let trace = Trace::default();
    health.begin(&id, trace.clone());
    let mut outcome = run_traced(target, test, run, trace);
    let went_badly = outcome.verdict >= Verdict::Blocked;
    match health.end(&id, began, went_badly, target) {
        None => {}
        Some(Down::ByIt(away)) => {
            let text = format!("{TOOK_DOWN}, for {} ms or more", away.as_millis());
            outcome.message.push_str(&text);
        }
        Some(Down::Meanwhile) => outcome.message.push_str(WENT_DOWN),
    }
    outcome
}

/// Runs what went badly while the target went down once more, each test alone, and puts what is
/// found then in its place: for a target that some tests take down, with others that ran beside
/// them, and that is started again on its address.
pub fn run_again_alone(
    target: &Target,
    tests: &[Test],
    options: &Options,
    outcomes: &mut [Outcome],
    each: impl Fn(&Outcome),
) {
    let health = Health::default();
    let run = format!("{}-again", options.run);
    let is_tainted = |outcome: &&mut Outcome| {
        [TOOK_DOWN, WENT_DOWN].iter().any(|by| outcome.message.contains(by))
    };
    for outcome in outcomes.iter_mut().filter(is_tainted) {
        let Some(test) = tests.iter().find(|test| test.id() == outcome.test) else { continue };
        let mut again = run_guarded(target, test, &run, &health);
        if again.verdict < Verdict::Blocked {
            let (verdict, message) = (outcome.verdict, &outcome.message);
            let text = format!("alone; beside other tests it was {verdict}: {message}");
            let before = std::mem::take(&mut again.message);
            again.message = if before.is_empty() { text } else { format!("{before}; {text}") };
        }
        each(&again);
        *outcome = again;
    }
}

impl Outcome {
    /// Of a test that has not been run.
    pub(crate) fn new(test: String, profile: Profile, trace: Trace) -> Self {
        Self {
            test,
            profile,
            verdict: Verdict::Unsupported,
            statement: None,
            message: String::new(),
            evaluated: Vec::new(),
            took_ms: 0,
            wire: Vec::new(),
            trace,
        }
    }

    /// The test that began then has ended so.
    pub(crate) fn end(&mut self, stop: Stop, findings: &Findings, began: Instant) {
        (self.verdict, self.message) = (stop.verdict, stop.message);
        self.statement = stop.statement.map(str::to_owned);
        self.evaluated = findings.evaluated();
        self.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    }
}

/// Runs one test.
pub fn run_one(target: &Target, test: &Test, run: &str) -> Outcome {
    run_traced(target, test, run, Trace::default())
}

fn run_traced(target: &Target, test: &Test, run: &str, trace: Trace) -> Outcome {
    let began = Instant::now();
    let mut outcome = Outcome::new(test.id(), test.case.profile, trace.clone());
    if let Some(proof) = test.unsupported(target) {
        outcome.message = proof;
        return outcome;
    }
    let suite = test.id().replace(['/', '@'], "-");
    let mut context = Context::new(target, format!("{run}-{suite}"), test, trace);
    let ended = guarded(|| (test.case.run)(&mut context));
    let findings = context.findings();
    outcome.end(findings.judge(ended), findings, began);
    outcome
}
