//! All timers of one state machine: an enum of reasons and a table of deadlines.
//!
//! Each machine has one enum whose variants say "When to ...", and one [`TimerTable`] over it. The
//! driver only asks for the next deadline and reports that time has passed.

use crate::time::Instant;

/// The reasons of one machine, numbered from zero.
pub trait Timer: Copy + 'static {
    /// Every reason, in the order in which simultaneous ones fire.
    const ALL: &'static [Self];

    /// This reason's place in [`Timer::ALL`].
    fn index(self) -> usize;
}

/// At most one deadline per reason.
#[derive(Debug, Clone)]
pub struct TimerTable<T: Timer> {
    deadlines: Box<[Option<Instant>]>,
    reasons: std::marker::PhantomData<T>,
}

impl<T: Timer> Default for TimerTable<T> {
    fn default() -> Self {
        let deadlines = vec![None; T::ALL.len()].into_boxed_slice();
        Self { deadlines, reasons: std::marker::PhantomData }
    }
}

impl<T: Timer> TimerTable<T> {
    /// Sets the deadline of a reason, replacing an earlier setting.
    pub fn set(&mut self, timer: T, deadline: Instant) {
        self.deadlines[timer.index()] = Some(deadline);
    }

    /// Sets the deadline of a reason unless a sooner one is set.
    pub fn set_no_later_than(&mut self, timer: T, deadline: Instant) {
        let slot = &mut self.deadlines[timer.index()];
        *slot = Some(slot.map_or(deadline, |set| set.min(deadline)));
    }

    /// Forgets the deadline of a reason.
    pub fn stop(&mut self, timer: T) {
        self.deadlines[timer.index()] = None;
    }

    /// The deadline of a reason, if it is set.
    pub fn get(&self, timer: T) -> Option<Instant> {
        self.deadlines[timer.index()]
    }

    /// The soonest deadline.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.deadlines.iter().flatten().min().copied()
    }

    /// Takes one reason whose deadline has come; call it until it answers `None`.
    pub fn pop_expired(&mut self, now: Instant) -> Option<T> {
        let due = |timer: &&T| self.deadlines[timer.index()].is_some_and(|at| at <= now);
        let timer = *T::ALL.iter().find(due)?;
        self.stop(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Reason {
        Refresh,
        Expire,
    }

    impl Timer for Reason {
        const ALL: &'static [Self] = &[Self::Refresh, Self::Expire];

        fn index(self) -> usize {
            self as usize
        }
    }

    #[test]
    fn due_reasons_are_taken_once_each() {
        let mut table = TimerTable::default();
        table.set(Reason::Expire, Instant::from_millis(10));
        table.set(Reason::Refresh, Instant::from_millis(20));
        table.set_no_later_than(Reason::Expire, Instant::from_millis(30));
        assert_eq!(table.next_timeout(), Some(Instant::from_millis(10)));
        assert_eq!(table.pop_expired(Instant::from_millis(9)), None);
        assert_eq!(table.pop_expired(Instant::from_millis(25)), Some(Reason::Refresh));
        assert_eq!(table.pop_expired(Instant::from_millis(25)), Some(Reason::Expire));
        assert_eq!(table.pop_expired(Instant::from_millis(25)), None);
        assert_eq!(table.next_timeout(), None);
    }
}
