//! The two clocks that the coordinator is given: one for its timers, one for what it stores.

/// A point on a clock that only goes forward, in milliseconds since the broker's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

impl Instant {
    /// The point `millis` milliseconds after the broker's start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the broker's start.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The point `delay_ms` milliseconds later; a negative delay counts as none.
    #[must_use]
    pub fn after_ms(self, delay_ms: i64) -> Self {
        Self(self.0.saturating_add(u64::try_from(delay_ms).unwrap_or(0)))
    }
}

/// What every `handle_*` is told about the time.
///
/// Timers follow `instant`, so that a step of the wall clock neither expires members nor keeps
/// dead ones; `wall_ms` goes into records, where other brokers and later runs read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock.
    pub instant: Instant,
    /// Milliseconds since the Unix epoch.
    pub wall_ms: i64,
}
