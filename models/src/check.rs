//! Runs a model through stateright's breadth-first search and says what came of it.

use std::fmt::Debug;
use std::hash::Hash;
use std::time::{Duration, Instant};

use stateright::{Checker, Expectation, HasDiscoveries, Model};

/// How much of the state space is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// A few seconds in a debug build: what CI runs.
    Small,
    /// As far as time and memory go, in a release build.
    Large,
}

/// What is looked at, and how.
#[derive(Debug, Clone, Copy)]
pub struct Search {
    /// Which configuration.
    pub size: Size,
    /// What is planted; none for nothing.
    pub fault: Option<&'static str>,
    /// Threads; with one, a counterexample is the shortest.
    pub threads: usize,
    /// After how many states it ends at the latest, repetitions counted; none for no limit. What is
    /// found then holds for the states that were seen. (A limit of time is none: stateright's ends
    /// no search that still has states before it.)
    pub limit: Option<usize>,
}

impl Search {
    /// Every state of the small configuration, with a fault or none.
    pub fn small(fault: Option<&'static str>) -> Self {
        Self { size: Size::Small, fault, threads: 1, limit: None }
    }
}

/// An invariant, in words.
#[derive(Debug, Clone, Copy)]
pub struct Invariant {
    /// The property's name.
    pub name: &'static str,
    /// What must hold in every state, or, for a goal, what some state must show.
    pub words: &'static str,
    /// KIPs, Kafka's issues, mechanisms and statements that it comes from.
    pub sources: &'static str,
}

/// A fault that can be planted.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// Its name on the command line.
    pub name: &'static str,
    /// What is done wrong.
    pub words: &'static str,
    /// Where it was seen.
    pub sources: &'static str,
    /// The invariant that it breaks, the one that it is meant for.
    pub breaks: &'static str,
}

/// A model whose states can be read.
pub trait Explained: Model {
    /// One line: what is worth knowing of a state.
    fn explain(&self, state: &Self::State) -> String;
}

/// What a run found of one property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// An invariant that held in every state.
    Held,
    /// An invariant that did not.
    Broken,
    /// A goal that some state reached.
    Reached,
    /// A goal that no state reached: what it guards is not tested.
    NotReached,
}

/// A property and its verdict.
#[derive(Debug, Clone, Copy)]
pub struct Finding {
    /// The property's name.
    pub name: &'static str,
    /// What was found.
    pub verdict: Verdict,
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Different states.
    pub unique: usize,
    /// States with repetitions, as they were generated.
    pub total: usize,
    /// The longest of the shortest ways to a state, in steps.
    pub depth: usize,
    /// How long it took.
    pub time: Duration,
    /// Whether it ended at its limit, so that there may be states that it has not seen.
    pub stopped: bool,
    /// Every property.
    pub findings: Vec<Finding>,
    /// The shortest way to the first broken invariant: an action and the state after it, a line
    /// each.
    pub counterexample: Option<(&'static str, Vec<String>)>,
}

impl Outcome {
    /// Whether every invariant held and every goal was reached. Where the search was stopped, of
    /// the states that it has seen; goals that are further away may not be among them.
    pub fn passed(&self) -> bool {
        let good = |finding: &Finding| match finding.verdict {
            Verdict::Held | Verdict::Reached => true,
            Verdict::NotReached => self.stopped,
            Verdict::Broken => false,
        };
        self.findings.iter().all(good)
    }
}

/// Looks at every state of `model`, or stops at the first broken invariant: at `sought`, if that is
/// given, and also past others.
pub fn check<M>(model: M, search: Search, sought: Option<&'static str>) -> Outcome
where
    M: Explained + Clone + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync + 'static,
{
    let start = Instant::now();
    let Search { threads, limit, .. } = search;
    let mut search = model.clone().checker().threads(threads);
    if let Some(states) = limit {
        search = search.target_state_count(states);
    }
    let end = match sought {
        Some(name) => HasDiscoveries::AnyOf([name].into()),
        None => HasDiscoveries::AnyFailures,
    };
    let checker = search.finish_when(end).spawn_bfs().join();
    let mut found = checker.discoveries();
    let judge = |name: &'static str, expectation: &Expectation| {
        let verdict = match (expectation, found.contains_key(name)) {
            (Expectation::Sometimes, true) => Verdict::Reached,
            (Expectation::Sometimes, false) => Verdict::NotReached,
            (_, true) => Verdict::Broken,
            (_, false) => Verdict::Held,
        };
        Finding { name, verdict }
    };
    let properties = model.properties();
    let findings: Vec<Finding> =
        properties.iter().map(|property| judge(property.name, &property.expectation)).collect();
    let mut broken = findings.iter().filter(|finding| finding.verdict == Verdict::Broken);
    let broken = match sought {
        Some(name) => broken.find(|finding| finding.name == name),
        None => broken.next(),
    };
    let counterexample = broken.and_then(|finding| {
        let path = found.remove(finding.name)?;
        Some((finding.name, steps(&model, path.into_vec())))
    });
    let total = checker.state_count();
    let at_limit = limit.is_some_and(|states| total >= states);
    Outcome {
        unique: checker.unique_state_count(),
        total,
        depth: checker.max_depth(),
        time: start.elapsed(),
        // One that ended by itself in the same moment is taken for stopped: that claims less.
        stopped: at_limit && counterexample.is_none(),
        findings,
        counterexample,
    }
}

fn steps<M>(model: &M, path: Vec<(M::State, Option<M::Action>)>) -> Vec<String>
where
    M: Explained,
    M::Action: Debug,
{
    let mut lines = Vec::with_capacity(path.len());
    let mut action = None;
    for (state, next) in path {
        let done = action.map_or("at first".to_owned(), |a| model.format_action(&a));
        lines.push(format!("{done:<34} {}", model.explain(&state)));
        action = next;
    }
    lines
}
