//! What clients saw, and whether it agrees with what the partitions hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A record that was acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledged {
    pub(crate) producer: usize,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) value: String,
    pub(crate) at: Instant,
}

/// All that was seen while faults struck.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) acknowledged: Vec<Acknowledged>,
    /// What producers gave up: code or reason, and how often.
    pub(crate) refused: BTreeMap<String, u64>,
    /// What readers got: the first value of each partition and offset.
    pub(crate) read: BTreeMap<(i32, i64), String>,
    /// Offsets that the group has committed, as acknowledged, in order.
    pub(crate) committed: Vec<(i32, i64)>,
    pub(crate) commits: Vec<Instant>,
    /// What can never be right, in words.
    pub(crate) violations: Vec<String>,
}

/// What the partitions hold at the end, by partition and offset.
pub(crate) type Stored = BTreeMap<(i32, i64), String>;

/// The figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) acknowledged: usize,
    pub(crate) lost: usize,
    pub(crate) twice: usize,
    pub(crate) longest_gap: Duration,
}

impl History {
    /// A reader got this. One offset has one value, for every reader at any time.
    pub(crate) fn on_read(&mut self, partition: i32, offset: i64, value: String) {
        match self.read.get(&(partition, offset)) {
            Some(first) if *first != value => self.violations.push(format!(
                "partition {partition}, offset {offset}: read {first} first and {value} later"
            )),
            Some(_) => {}
            None => {
                self.read.insert((partition, offset), value);
            }
        }
    }

    /// Compares with what is stored; records below a partition's start have been deleted on demand.
    pub(crate) fn check(&mut self, stored: &Stored, starts: &BTreeMap<i32, i64>) -> Figures {
        let start = |partition: i32| starts.get(&partition).copied().unwrap_or(0);
        let mut figures = Figures { acknowledged: self.acknowledged.len(), ..Figures::default() };
        for one in &self.acknowledged {
            let found = stored.get(&(one.partition, one.offset));
            if one.offset >= start(one.partition) && found != Some(&one.value) {
                figures.lost += 1;
                if figures.lost <= 3 {
                    self.violations.push(format!(
                        "partition {}, offset {}: {} was acknowledged, {} is there",
                        one.partition,
                        one.offset,
                        one.value,
                        found.map_or("nothing", String::as_str)
                    ));
                }
            }
        }
        for ((partition, offset), value) in &self.read {
            let found = stored.get(&(*partition, *offset));
            if *offset >= start(*partition) && found != Some(value) {
                let now = found.map_or("nothing", String::as_str);
                let place = format!("partition {partition}, offset {offset}");
                self.violations.push(format!("{place}: {value} was read, {now} is there"));
                break;
            }
        }
        let distinct: BTreeSet<(i32, &String)> =
            stored.iter().map(|((partition, _), value)| (*partition, value)).collect();
        figures.twice = stored.len() - distinct.len();
        if figures.twice > 0 {
            let count = figures.twice;
            self.violations
                .push(format!("{count} records of idempotent producers are there twice"));
        }
        self.check_order(stored);
        figures.longest_gap = self.longest_gap();
        figures
    }

    /// What a producer sent to a partition stands in the order of its sends.
    fn check_order(&mut self, stored: &Stored) {
        let mut last: BTreeMap<(&str, i32), (&str, i64)> = BTreeMap::new();
        for ((partition, offset), value) in stored {
            let Some((producer, sequence)) = value.rsplit_once('/') else { continue };
            let former = last.insert((producer, *partition), (sequence, *offset));
            if let Some((later, at)) = former.filter(|(former, _)| *former > sequence) {
                let place = format!("partition {partition}, offset {offset}");
                let behind = format!("{producer}/{later} at offset {at}");
                self.violations.push(format!("{place}: {value} stands behind {behind}"));
                return;
            }
        }
    }

    /// What was seen and what is there, a line for each offset, for whoever looks for a cause.
    pub(crate) fn tell(&self, stored: &Stored) -> String {
        let mut lines = self.violations.join("\n");
        lines.extend(self.refused.iter().map(|(why, count)| format!("\nrefused {count}: {why}")));
        let begin = self.acknowledged.first().map(|one| one.at);
        let acknowledged: BTreeMap<(i32, i64), &Acknowledged> =
            self.acknowledged.iter().map(|one| ((one.partition, one.offset), one)).collect();
        let places: BTreeSet<&(i32, i64)> =
            stored.keys().chain(self.read.keys()).chain(acknowledged.keys()).collect();
        for place in places {
            let there = stored.get(place).map_or("-", String::as_str);
            let read = self.read.get(place).map_or("-", String::as_str);
            let (value, at) = acknowledged.get(place).map_or(("-", None), |one| {
                (one.value.as_str(), begin.map(|begin| one.at.saturating_duration_since(begin)))
            });
            let (partition, offset) = place;
            let what = format!("there {there} read {read} acknowledged {value} {at:?}");
            lines += &format!("\n{partition} {offset}: {what}");
        }
        lines + "\n"
    }

    /// The longest time in which a producer got nothing acknowledged by a partition.
    fn longest_gap(&self) -> Duration {
        let mut last: BTreeMap<(usize, i32), Instant> = BTreeMap::new();
        let mut longest = Duration::ZERO;
        for one in &self.acknowledged {
            let former = last.insert((one.producer, one.partition), one.at);
            longest = longest.max(former.map_or(Duration::ZERO, |former| one.at - former));
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledged(offset: i64, value: &str) -> Acknowledged {
        let value = value.to_owned();
        Acknowledged { producer: 0, partition: 0, offset, value, at: Instant::now() }
    }

    fn stored(values: &[&str]) -> Stored {
        (0..).zip(values).map(|(offset, value)| ((0, offset), (*value).to_owned())).collect()
    }

    fn history(values: &[&str]) -> History {
        let acknowledged = (0..).zip(values).map(|(at, value)| acknowledged(at, value)).collect();
        History { acknowledged, ..History::default() }
    }

    #[test]
    fn what_is_where_it_was_acknowledged_is_kept() {
        let mut history = history(&["0/1", "0/2"]);
        history.on_read(0, 1, "0/2".into());
        let figures = history.check(&stored(&["0/1", "0/2", "0/3"]), &BTreeMap::new());
        assert_eq!((figures.acknowledged, figures.lost, figures.twice), (2, 0, 0));
        assert!(history.violations.is_empty(), "{:?}", history.violations);
    }

    #[test]
    fn a_loss_a_second_value_a_duplicate_and_disorder_are_found() {
        let mut lost = history(&["0/1", "0/2"]);
        assert_eq!(lost.check(&stored(&["0/1"]), &BTreeMap::new()).lost, 1);
        assert_eq!(lost.violations.len(), 1);
        let mut deleted = history(&["0/1", "0/2"]);
        let rest = BTreeMap::from([((0, 1), "0/2".to_owned())]);
        assert_eq!(deleted.check(&rest, &BTreeMap::from([(0, 1)])).lost, 0);
        let mut two = History::default();
        two.on_read(0, 5, "a".into());
        two.on_read(0, 5, "b".into());
        assert_eq!(two.violations.len(), 1);
        let mut gone = History::default();
        gone.on_read(0, 1, "0/2".into());
        gone.check(&stored(&["0/1"]), &BTreeMap::new());
        assert_eq!(gone.violations.len(), 1);
        let mut twice = history(&["0/1"]);
        assert_eq!(twice.check(&stored(&["0/1", "0/1"]), &BTreeMap::new()).twice, 1);
        let mut disorder = history(&[]);
        disorder.check(&stored(&["0/2", "0/1"]), &BTreeMap::new());
        assert_eq!(disorder.violations.len(), 1);
    }
}
