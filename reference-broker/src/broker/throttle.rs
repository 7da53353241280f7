//! Copying to replicas that are not in sync at a rate (KIP-73): a leader sends them no records, and
//! a follower asks for none, until what was copied before fits the rate. Replicas in sync are never
//! held up, as producers wait for them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ottla_protocol::Uuid;
use tokio::time::Instant;

use super::Broker;
use crate::config::has_replica;
use crate::quorum::{Image, PartitionId};

/// A side of the copying; each has a rate and a list of replicas of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Leader,
    Follower,
}

/// What was copied beyond the rate, on both sides.
#[derive(Debug, Default)]
pub(crate) struct Throttles {
    leader: Throttle,
    follower: Throttle,
}

/// What was copied and did not fit the rate yet.
#[derive(Debug, Default)]
struct Throttle(Mutex<Option<Debt>>);

#[derive(Debug, Clone, Copy)]
struct Debt {
    bytes: f64,
    at: Instant,
}

impl Throttle {
    /// How long nothing more may be copied; none is not at all.
    fn pause(&self, now: Instant, rate: impl FnOnce() -> u64) -> Option<Duration> {
        let mut debt = self.lock();
        let Debt { bytes, at } = (*debt)?;
        let rate = rate().max(1) as f64;
        let left = bytes - rate * now.saturating_duration_since(at).as_secs_f64();
        *debt = (left > 0.0).then_some(Debt { bytes: left, at: now });
        let pause = Duration::try_from_secs_f64(left / rate).unwrap_or(Duration::MAX);
        debt.map(|_| pause.max(Duration::from_millis(1)))
    }

    fn spend(&self, now: Instant, bytes: usize) {
        let mut debt = self.lock();
        let before = debt.unwrap_or(Debt { bytes: 0.0, at: now });
        *debt = Some(Debt { bytes: before.bytes + bytes as f64, ..before });
    }

    fn lock(&self) -> MutexGuard<'_, Option<Debt>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Side {
    fn rate(self) -> &'static str {
        match self {
            Self::Leader => "leader.replication.throttled.rate",
            Self::Follower => "follower.replication.throttled.rate",
        }
    }

    fn replicas(self) -> &'static str {
        match self {
            Self::Leader => "leader.replication.throttled.replicas",
            Self::Follower => "follower.replication.throttled.replicas",
        }
    }

    fn of(self, throttles: &Throttles) -> &Throttle {
        match self {
            Self::Leader => &throttles.leader,
            Self::Follower => &throttles.follower,
        }
    }
}

impl Broker {
    /// Whether copies of this partition count on this side: the topic names this broker's replica,
    /// and `replica`, which gets them, is not in sync.
    pub(crate) fn is_throttled(
        &self,
        side: Side,
        image: &Image,
        topic_id: Uuid,
        index: i32,
        replica: i32,
    ) -> bool {
        let topic = image.topic_by_id(topic_id);
        let list = topic.and_then(|topic| topic.configs.get(side.replicas()));
        let in_sync =
            || image.partition(PartitionId { topic_id, index }).map(|p| p.isr.contains(&replica));
        list.is_some_and(|list| has_replica(list, index, self.node_id()))
            && in_sync() == Some(false)
    }

    /// How long this side's throttled replicas have to wait; none is not at all.
    pub(crate) fn throttle_pause(&self, side: Side) -> Option<Duration> {
        let rate = || u64::try_from(self.effective_config().long(side.rate())).unwrap_or(0);
        side.of(&self.throttles).pause(Instant::now(), rate)
    }

    /// So many bytes of throttled replicas were copied.
    pub(crate) fn throttle_spend(&self, side: Side, bytes: usize) {
        if bytes > 0 {
            side.of(&self.throttles).spend(Instant::now(), bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_keeps_the_rate() {
        let throttle = Throttle::default();
        let mut now = Instant::now();
        let begin = now;
        let rate = 1000;
        assert_eq!(throttle.pause(now, || rate), None);
        let mut copied = 0;
        for bytes in [300, 5000, 1, 700, 2999] {
            throttle.spend(now, bytes);
            copied += bytes;
            while let Some(pause) = throttle.pause(now, || rate) {
                now += pause;
            }
        }
        let seconds = (now - begin).as_secs_f64();
        assert!((seconds - copied as f64 / rate as f64).abs() < 0.1, "{copied} in {seconds} s");
    }

    #[test]
    fn time_without_copies_saves_up_nothing_and_a_higher_rate_counts_at_once() {
        let throttle = Throttle::default();
        let mut now = Instant::now();
        throttle.spend(now, 1000);
        now += Duration::from_secs(100);
        assert_eq!(throttle.pause(now, || 1000), None);
        throttle.spend(now, 1000);
        assert_eq!(throttle.pause(now, || 1000), Some(Duration::from_secs(1)));
        assert_eq!(throttle.pause(now, || 10_000), Some(Duration::from_millis(100)));
    }
}
