//! What a test finds on its way, of a broker as of a client: every assertion, the SHOULDs that were
//! not followed, what is left open; and the verdict that follows from them.

use crate::context::Step;
use crate::verdict::{Stop, Verdict};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One assertion that was evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The statement.
    pub statement: &'static str,
    /// Whether it held.
    pub held: bool,
}

/// What was found so far.
#[derive(Debug, Default)]
pub struct Findings {
    /// Every assertion, in order.
    pub(crate) checked: Vec<Checked>,
    /// SHOULDs that were not followed.
    lapses: Vec<Stop>,
    /// What is done where the protocol leaves it open.
    notes: Vec<String>,
}

/// Somebody who asserts statements and remembers what came of it.
pub trait Asserts {
    /// What was found so far.
    fn findings(&mut self) -> &mut Findings;

    /// A MUST: the test ends as FAIL where it does not hold.
    ///
    /// # Errors
    ///
    /// FAIL, with the message.
    fn must(
        &mut self,
        statement: &'static str,
        holds: bool,
        otherwise: impl FnOnce() -> String,
    ) -> Step {
        self.findings().checked.push(Checked { statement, held: holds });
        if holds {
            return Ok(());
        }
        let message = otherwise();
        Err(Stop { verdict: Verdict::Fail, statement: Some(statement), message })
    }

    /// A SHOULD: the test goes on, and ends as NON-STRICT at best where it does not hold.
    fn should(&mut self, statement: &'static str, holds: bool, otherwise: impl FnOnce() -> String) {
        let findings = self.findings();
        findings.checked.push(Checked { statement, held: holds });
        if !holds {
            let message = otherwise();
            let verdict = Verdict::NonStrict;
            findings.lapses.push(Stop { verdict, statement: Some(statement), message });
        }
    }

    /// What is done where the protocol leaves it open; the test ends as INFO at best.
    fn note(&mut self, statement: &'static str, what: impl Into<String>) {
        self.held(statement);
        self.findings().notes.push(what.into());
    }

    /// A MUST that has held because what went before came to pass.
    fn held(&mut self, statement: &'static str) {
        self.findings().checked.push(Checked { statement, held: true });
    }
}

impl Findings {
    /// The verdict of a test that ended so.
    pub(crate) fn judge(&self, ended: Step) -> Stop {
        if let Err(stop) = ended {
            return stop;
        }
        if self.checked.is_empty() {
            return Stop::harness("the test evaluated no assertion");
        }
        if let Some(lapse) = self.lapses.first() {
            return lapse.clone();
        }
        let verdict = if self.notes.is_empty() { Verdict::Pass } else { Verdict::Info };
        Stop { verdict, statement: None, message: self.notes.join("; ") }
    }

    /// The statements that were evaluated, each once.
    pub(crate) fn evaluated(&self) -> Vec<String> {
        let mut all: Vec<String> = self.checked.iter().map(|c| c.statement.to_owned()).collect();
        all.sort();
        all.dedup();
        all
    }
}

/// Runs a test to its end: one that panics is the suite's fault.
pub(crate) fn guarded(test: impl FnOnce() -> Step) -> Step {
    catch_unwind(AssertUnwindSafe(test)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Stop::harness(format!("the test panicked: {}", text.unwrap_or_default())))
    })
}
