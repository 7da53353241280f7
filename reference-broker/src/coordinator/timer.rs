//! The deadlines of one shard, in the order in which they fall due.

use std::collections::{BTreeMap, BTreeSet};

use super::time::Instant;
use super::types::AppendId;

/// Every reason for which the coordinator acts without being asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// When to take a member for dead, or a promised member id for unused (CG-01).
    Session { group: String, member: String },
    /// When to end the join phase with those who came (CG-13).
    Join { group: String },
    /// When to put out the members that have not synced (CG-13).
    Sync { group: String },
    /// When to stop waiting for an append to commit (M16: answered with 15).
    Append { append: AppendId },
    /// When to look for offsets that have outlived their retention.
    Retention,
}

/// A deadline per [`Timer`]; setting one again moves it.
#[derive(Debug, Default)]
pub(crate) struct TimerTable {
    deadlines: BTreeMap<Timer, Instant>,
    order: BTreeSet<(Instant, Timer)>,
}

impl TimerTable {
    pub(crate) fn set(&mut self, timer: Timer, deadline: Instant) {
        if let Some(old) = self.deadlines.insert(timer.clone(), deadline) {
            self.order.remove(&(old, timer.clone()));
        }
        self.order.insert((deadline, timer));
    }

    pub(crate) fn cancel(&mut self, timer: &Timer) {
        if let Some(old) = self.deadlines.remove(timer) {
            self.order.remove(&(old, timer.clone()));
        }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(deadline, _)| *deadline)
    }

    /// Takes the earliest timer that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        let (_, timer) = self.order.pop_first()?;
        self.deadlines.remove(&timer);
        Some(timer)
    }

    pub(crate) fn clear(&mut self) {
        self.deadlines.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_a_timer_again_moves_it() {
        let mut table = TimerTable::default();
        table.set(Timer::Retention, Instant::from_millis(10));
        table.set(Timer::Retention, Instant::from_millis(20));
        assert_eq!(table.pop_due(Instant::from_millis(19)), None);
        assert_eq!(table.pop_due(Instant::from_millis(20)), Some(Timer::Retention));
        assert_eq!(table.next(), None);
    }
}
