//! Exponential backoff with jitter from a seed, for reconnects and retries.

use std::time::Duration;

/// A deterministic stream of pseudo-random numbers (SplitMix64). One seed per client, from outside;
/// each user of randomness derives its own stream.
#[derive(Debug, Clone)]
pub struct Seed(u64);

impl Seed {
    /// A stream that starts at this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream of its own for one user, by a salt.
    pub const fn derive(&self, salt: u64) -> Self {
        Self(self.0 ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next number.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Backoff that doubles with each failure up to a maximum, ±20 % (KIP-144, KIP-580).
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
    seed: Seed,
}

impl Backoff {
    /// A backoff from `min` to `max`.
    pub const fn new(min: Duration, max: Duration, seed: Seed) -> Self {
        Self { min, max, failures: 0, seed }
    }

    /// How many failures there were since the last success.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Forgets the failures.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure and answers how long to wait before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        let delay = delay_after(self.min, self.max, self.failures, self.seed.next_u64());
        self.failures = self.failures.saturating_add(1);
        delay
    }
}

/// The wait after `failures` earlier failures: `min` doubled that often, at most `max`, and 0.8 to
/// 1.2 of that.
pub fn delay_after(min: Duration, max: Duration, failures: u32, random: u64) -> Duration {
    let factor = 1u32.checked_shl(failures.min(20)).unwrap_or(u32::MAX);
    let base = min.saturating_mul(factor).min(max);
    let jitter_percent = 80 + u32::try_from(random % 41).expect("a remainder of 41 fits");
    base * jitter_percent / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_maximum_and_replay_from_the_seed() {
        let (min, max) = (Duration::from_millis(50), Duration::from_millis(1000));
        let run = || {
            let mut backoff = Backoff::new(min, max, Seed::new(7));
            (0..8).map(|_| backoff.next_delay()).collect::<Vec<_>>()
        };
        let delays = run();
        assert_eq!(delays, run());
        for (index, delay) in delays.iter().enumerate() {
            let base = (50u64 << index).min(1000);
            assert!(delay.as_millis() as u64 >= base * 8 / 10, "{index}: {delay:?}");
            assert!(delay.as_millis() as u64 <= base * 12 / 10, "{index}: {delay:?}");
        }
        assert_ne!(delays[6], delays[7], "jitter goes on at the maximum");
    }
}
