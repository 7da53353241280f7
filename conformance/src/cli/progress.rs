//! How far a run is: on a terminal counts by verdict, the time and the tests under way; else only
//! what was not kept to, a line each.

use indicatif::{ProgressBar, ProgressStyle};
use ottla_conformance::runner::{Event, Outcome};
use ottla_conformance::verdict::Verdict;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often the time moves.
const TICK: Duration = Duration::from_millis(200);

pub(super) struct Progress {
    bar: ProgressBar,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    counts: BTreeMap<Verdict, usize>,
    under_way: Vec<String>,
}

impl Progress {
    /// Of so many tests.
    pub(super) fn new(tests: usize) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            let template = "{bar:24} {pos}/{len}  {elapsed_precise}  {prefix}\n  {wide_msg}";
            let style = ProgressStyle::with_template(template).expect("known fields");
            let bar = ProgressBar::new(tests as u64).with_style(style);
            bar.enable_steady_tick(TICK);
            bar
        } else {
            ProgressBar::hidden()
        };
        Self { bar, state: Mutex::default() }
    }

    /// Something happened.
    pub(super) fn see(&self, event: Event<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Began(test) => state.under_way.push(test.to_owned()),
            Event::Ended(outcome) => {
                state.under_way.retain(|test| *test != outcome.test);
                *state.counts.entry(outcome.verdict).or_default() += 1;
                self.bar.inc(1);
            }
        }
        self.bar.set_prefix(state.counts_text());
        self.bar.set_message(state.under_way.join(" · "));
        drop(state);
        if let Event::Ended(outcome) = event
            && !matches!(outcome.verdict, Verdict::Pass | Verdict::Unsupported | Verdict::Info)
        {
            self.bar.suspend(|| tell(outcome));
        }
    }

    /// Takes the view away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl State {
    /// The gravest first, so that it is seen on a narrow terminal.
    fn counts_text(&self) -> String {
        let part = |(verdict, count): (&Verdict, &usize)| format!("{verdict} {count}");
        self.counts.iter().rev().map(part).collect::<Vec<_>>().join("  ")
    }
}

fn tell(outcome: &Outcome) {
    let statement = outcome.statement.as_deref().unwrap_or("");
    say!("{:<14} {} {statement}", outcome.verdict, outcome.test);
    say!("               {}", outcome.message);
}
