//! The records of one topic.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::{Invariant, Seen, Violation, Violations};

mod check;
#[cfg(test)]
mod tests;

/// What a producer is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// It is idempotent: each record is written once, in order.
    Once,
    /// It tries again without being known: nothing acknowledged is lost, some may be there twice.
    AtLeastOnce,
}

/// How a record's sending ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// It has not ended.
    Pending,
    /// At this offset, if the producer was told.
    Acknowledged(Seen, Option<i64>),
    /// Given up; it may be there.
    Unknown(Seen),
    /// Certainly not written.
    Refused(Seen),
}

#[derive(Debug)]
struct Sent {
    producer: String,
    partition: i32,
    /// Which record of its producer in this partition.
    number: u64,
    by: Seen,
    outcome: Outcome,
}

/// What is known of an offset.
#[derive(Debug)]
struct Value {
    value: String,
    /// The leader epoch of its batch, if anybody has said.
    epoch: Option<i32>,
    by: Seen,
    /// It was read, not only acknowledged.
    is_read: bool,
}

/// What a replica holds in the end.
#[derive(Debug, Default)]
struct Held {
    values: BTreeMap<(i32, i64), String>,
}

/// What a group was given.
#[derive(Debug, Default)]
struct Deliveries {
    delivered: BTreeSet<(i32, i64)>,
    /// Acknowledged, and not delivered yet.
    missing: BTreeSet<(i32, i64)>,
}

/// An answer to ListOffsets for the latest offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latest {
    /// When it was asked for.
    pub asked: Duration,
    /// When the answer came.
    pub at: Duration,
    /// The broker that answered.
    pub broker: String,
    /// Its leader epoch.
    pub epoch: i32,
    /// The offset behind the last record that consumers may have.
    pub offset: i64,
}

/// What clients saw of a topic's records. Values must differ from each other.
#[derive(Debug, Default)]
pub struct Log {
    producers: BTreeMap<String, Promise>,
    /// How many records a producer has sent to a partition.
    counts: BTreeMap<(String, i32), u64>,
    sent: BTreeMap<String, Sent>,
    values: BTreeMap<(i32, i64), Value>,
    /// By partition and epoch: the answers with the highest offsets, the earliest first.
    latest: BTreeMap<(i32, i32), Vec<Latest>>,
    /// By partition: the offset behind the last that was acknowledged or seen.
    ends: BTreeMap<i32, i64>,
    groups: BTreeMap<String, Deliveries>,
    held: BTreeMap<String, Held>,
    /// Where partitions start because somebody asked to delete what is below.
    starts: BTreeMap<i32, i64>,
    acknowledged: usize,
    violations: Violations,
}

impl Log {
    /// A producer begins. Records of one that nobody has named are judged as at least once.
    pub fn producer(&mut self, name: &str, promise: Promise) {
        self.producers.insert(name.to_owned(), promise);
    }

    /// A producer hands a record over; those of a partition in this order.
    pub fn sent(&mut self, at: Duration, producer: &str, partition: i32, value: &str) {
        let count = self.counts.entry((producer.to_owned(), partition)).or_default();
        let number = *count;
        *count += 1;
        let (by, outcome) = (Seen::new(at, producer), Outcome::Pending);
        let sent = Sent { producer: producer.to_owned(), partition, number, by, outcome };
        let before = self.sent.insert(value.to_owned(), sent);
        assert!(before.is_none(), "{value} was sent before: give each record a value of its own");
    }

    /// A record was acknowledged; the offset may be unknown.
    pub fn acknowledged(&mut self, at: Duration, value: &str, offset: Option<i64>) {
        let Some(sent) = self.sent.get_mut(value) else { return };
        let (by, partition) = (Seen::new(at, &sent.producer), sent.partition);
        sent.outcome = Outcome::Acknowledged(by.clone(), offset);
        self.acknowledged += 1;
        let Some(offset) = offset else { return };
        self.see(by, (partition, offset), None, value, false);
        for group in self.groups.values_mut() {
            if !group.delivered.contains(&(partition, offset)) {
                group.missing.insert((partition, offset));
            }
        }
    }

    /// A record was given up: it may have been written.
    pub fn unknown(&mut self, at: Duration, value: &str) {
        if let Some(sent) = self.sent.get_mut(value) {
            sent.outcome = Outcome::Unknown(Seen::new(at, &sent.producer));
        }
    }

    /// A record was given up: it was certainly not written.
    pub fn refused(&mut self, at: Duration, value: &str) {
        if let Some(sent) = self.sent.get_mut(value) {
            sent.outcome = Outcome::Refused(Seen::new(at, &sent.producer));
        }
    }

    /// Somebody was given a record, by whichever replica; `epoch` is the leader epoch of its batch.
    pub fn read(
        &mut self,
        at: Duration,
        reader: &str,
        place: (i32, i64),
        epoch: Option<i32>,
        value: &str,
    ) {
        self.see(Seen::new(at, reader), place, epoch, value, true);
    }

    /// A group is there: what was acknowledged, and will be, is for it.
    pub fn group(&mut self, name: &str) {
        let acknowledged = self.values.iter().filter(|(_, value)| self.is_acknowledged(value));
        let missing = acknowledged.map(|(place, _)| *place).collect();
        let group = Deliveries { missing, ..Deliveries::default() };
        self.groups.entry(name.to_owned()).or_insert(group);
    }

    /// A group that is there was given a record.
    pub fn delivered(&mut self, group: &str, place: (i32, i64)) {
        if let Some(group) = self.groups.get_mut(group) {
            group.delivered.insert(place);
            group.missing.remove(&place);
        }
    }

    /// A leader said how far consumers may read. An offset that one epoch has given out, the same
    /// and later ones never go behind; an earlier one may, whose leader knows of nothing.
    pub fn latest(&mut self, partition: i32, latest: Latest) {
        let range = (partition, i32::MIN)..=(partition, latest.epoch);
        let former = self
            .latest
            .range(range)
            .flat_map(|(_, answers)| answers)
            .filter(|former| former.at <= latest.asked)
            .max_by_key(|former| former.offset);
        if let Some(former) = former.filter(|former| former.offset > latest.offset) {
            let events = vec![former.to_string(), latest.to_string()];
            self.violations.push(Invariant::LatestForward, partition, latest.offset, events);
        }
        let answers = self.latest.entry((partition, latest.epoch)).or_default();
        if answers.last().is_none_or(|last| latest.offset > last.offset) {
            answers.push(latest);
        }
    }

    /// Somebody asked to delete what lies before an offset: it need not be there any more.
    pub fn deleted(&mut self, partition: i32, before: i64) {
        let start = self.starts.entry(partition).or_default();
        *start = (*start).max(before);
    }

    /// In the end, a replica is there to be judged, also if it holds nothing.
    pub fn replica(&mut self, replica: &str) {
        self.held.entry(replica.to_owned()).or_default();
    }

    /// In the end, a replica holds a record.
    pub fn held(
        &mut self,
        at: Duration,
        replica: &str,
        place: (i32, i64),
        epoch: Option<i32>,
        value: &str,
    ) {
        self.see(Seen::new(at, replica), place, epoch, value, false);
        let held = self.held.entry(replica.to_owned()).or_default();
        held.values.insert(place, value.to_owned());
    }

    /// How many records were acknowledged, and how many offsets were seen.
    pub fn counts(&self) -> (usize, usize) {
        (self.acknowledged, self.values.len())
    }

    /// Whether everything that was acknowledged, or read by anybody, lies below these positions,
    /// by partition.
    pub fn is_covered(&self, positions: &[i64]) -> bool {
        self.ends.iter().all(|(partition, end)| {
            let position = usize::try_from(*partition).ok().and_then(|at| positions.get(at));
            position.is_some_and(|position| end <= position)
        })
    }

    /// Whether a group was given everything that was acknowledged.
    pub fn is_delivered(&self, group: &str) -> bool {
        self.groups.get(group).is_some_and(|group| group.missing.is_empty())
    }

    fn is_acknowledged(&self, value: &Value) -> bool {
        let sent = self.sent.get(&value.value);
        sent.is_some_and(|sent| matches!(sent.outcome, Outcome::Acknowledged(..)))
    }

    fn see(&mut self, by: Seen, place: (i32, i64), epoch: Option<i32>, value: &str, is_read: bool) {
        let end = self.ends.entry(place.0).or_default();
        *end = (*end).max(place.1 + 1);
        let known = self.values.entry(place).or_insert_with(|| Value {
            value: value.to_owned(),
            epoch,
            by: by.clone(),
            is_read,
        });
        let is_same_epoch = known.epoch.is_none() || epoch.is_none() || known.epoch == epoch;
        if known.value != value || !is_same_epoch {
            let tell = |by: &Seen, value: &str, epoch: Option<i32>| {
                let epoch = epoch.map(|epoch| format!(" of epoch {epoch}")).unwrap_or_default();
                format!("{by}: {value}{epoch}")
            };
            let first = tell(&known.by, &known.value, known.epoch);
            let events = vec![first, tell(&by, value, epoch)];
            self.violations.push(Invariant::OneValue, place.0, place.1, events);
        }
        known.epoch = known.epoch.or(epoch);
        known.is_read |= is_read;
    }

    /// What has been wrong until now; all of it only after [`Self::check`].
    pub fn violations(&self) -> &[Violation] {
        &self.violations.told
    }
}
