//! When to ask for metadata: by age, on request, and not too often.

use super::backoff::{Backoff, Seed};
use crate::time::Instant;
use std::time::Duration;

/// The refresh policy. The driver asks when [`Refresh::poll_timeout`] has come, and reports how it
/// went.
#[derive(Debug, Clone)]
pub struct Refresh {
    /// `metadata.max.age.ms`: when to ask although nobody wants it.
    age_max: Duration,
    /// `retry.backoff.ms`: how soon after an answer a requested refresh may follow.
    interval_min: Duration,
    backoff: Backoff,
    /// When to ask next.
    due: Instant,
    /// No request is heeded before this.
    not_before: Instant,
    is_asking: bool,
    /// Something was wanted while an answer was on its way, which may not have it.
    wanted_meanwhile: Option<Urgency>,
}

/// How soon a refresh is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// What is known turned out to be stale: ask, but not in a busy loop.
    Stale,
    /// Something is wanted that was never asked for: ask at once.
    New,
}

impl Refresh {
    /// A policy whose first refresh is due at once.
    pub fn new(age_max: Duration, retry: Duration, retry_max: Duration, seed: Seed) -> Self {
        Self {
            age_max,
            interval_min: retry,
            backoff: Backoff::new(retry, retry_max, seed),
            due: Instant::ZERO,
            not_before: Instant::ZERO,
            is_asking: false,
            wanted_meanwhile: None,
        }
    }

    /// Somebody wants newer metadata.
    pub fn handle_request(&mut self, now: Instant, urgency: Urgency) {
        if self.is_asking {
            self.wanted_meanwhile = self.wanted_meanwhile.max(Some(urgency));
            return;
        }
        let at = match urgency {
            Urgency::New if self.backoff.failures() == 0 => now,
            Urgency::New | Urgency::Stale => now.max(self.not_before),
        };
        self.due = self.due.min(at);
    }

    /// The driver begins to ask.
    pub fn handle_asking(&mut self) {
        self.is_asking = true;
        self.wanted_meanwhile = None;
    }

    /// An answer came.
    pub fn handle_success(&mut self, now: Instant) {
        self.is_asking = false;
        self.backoff.reset();
        self.not_before = now + self.interval_min;
        self.due = now + self.age_max;
        if let Some(urgency) = self.wanted_meanwhile.take() {
            self.handle_request(now, urgency);
        }
    }

    /// No answer came.
    pub fn handle_failure(&mut self, now: Instant) {
        self.is_asking = false;
        self.wanted_meanwhile = None;
        self.not_before = now + self.backoff.next_delay();
        self.due = self.not_before;
    }

    /// When to ask; `None` while an answer is on its way.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        (!self.is_asking).then_some(self.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    fn fresh() -> Refresh {
        let ms = Duration::from_millis;
        let mut refresh = Refresh::new(ms(60_000), ms(100), ms(1000), Seed::new(1));
        refresh.handle_asking();
        refresh.handle_success(at(0));
        refresh
    }

    #[test]
    fn stale_metadata_is_not_asked_for_in_a_busy_loop() {
        let mut refresh = fresh();
        refresh.handle_request(at(1), Urgency::Stale);
        assert_eq!(refresh.poll_timeout(), Some(at(100)));
    }

    #[test]
    fn a_new_topic_is_asked_for_at_once() {
        let mut refresh = fresh();
        assert_eq!(refresh.poll_timeout(), Some(at(60_000)));
        refresh.handle_request(at(1), Urgency::New);
        assert_eq!(refresh.poll_timeout(), Some(at(1)));
    }

    #[test]
    fn what_is_wanted_during_an_answer_is_asked_for_after_it() {
        let mut refresh = fresh();
        refresh.handle_asking();
        refresh.handle_request(at(5), Urgency::New);
        assert_eq!(refresh.poll_timeout(), None);
        refresh.handle_success(at(10));
        assert_eq!(refresh.poll_timeout(), Some(at(10)));
    }

    #[test]
    fn failures_back_off_and_never_stop_asking() {
        let mut refresh = fresh();
        let mut now = at(0);
        for _ in 0..50 {
            refresh.handle_asking();
            refresh.handle_failure(now);
            let due = refresh.poll_timeout().expect("a failed refresh is due again");
            assert!(due > now && due.saturating_since(now) <= Duration::from_millis(1200));
            now = due;
        }
    }
}
