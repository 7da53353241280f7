//! What is judged in the end.

use std::collections::BTreeMap;
use std::fmt;

use super::{Latest, Log, Outcome, Promise, Sent};
use crate::Invariant;

impl fmt::Display for Latest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (asked, at) = (self.asked.as_secs_f64(), self.at.as_secs_f64());
        let Self { broker, epoch, offset, .. } = self;
        write!(f, "{asked:.3} to {at:.3} s {broker}: latest offset {offset} in epoch {epoch}")
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: sent", self.by)?;
        match &self.outcome {
            Outcome::Pending => write!(f, ", not answered"),
            Outcome::Acknowledged(by, Some(offset)) => write!(f, ", {by}: told offset {offset}"),
            Outcome::Acknowledged(by, None) => write!(f, ", {by}: acknowledged"),
            Outcome::Unknown(by) => write!(f, ", {by}: given up, may be written"),
            Outcome::Refused(by) => write!(f, ", {by}: told that it is not written"),
        }
    }
}

/// Where each value is, on all replicas together.
type Places<'a> = BTreeMap<&'a str, Vec<(i32, i64)>>;

impl Log {
    /// Judges what the replicas hold. Nothing must be going on any more, and every replica must
    /// have been read from its start until all that was acknowledged was there or cannot come.
    pub fn check(&mut self) {
        let held = std::mem::take(&mut self.held);
        let mut all: BTreeMap<(i32, i64), &str> = BTreeMap::new();
        for (replica, held) in &held {
            self.check_replica(replica, &held.values);
            all.extend(held.values.iter().map(|(place, value)| (*place, value.as_str())));
        }
        if !held.is_empty() {
            let mut places = Places::new();
            for (place, value) in &all {
                places.entry(value).or_default().push(*place);
            }
            self.check_sent(&places);
            self.check_streams(&all, &places);
        }
        self.check_delivered();
        self.held = held;
    }

    fn start(&self, partition: i32) -> i64 {
        self.starts.get(&partition).copied().unwrap_or(0)
    }

    /// Whatever was acknowledged or read is here, and offsets follow each other.
    fn check_replica(&mut self, replica: &str, held: &BTreeMap<(i32, i64), String>) {
        let mut found = Vec::new();
        for (place, known) in &self.values {
            let is_here = held.get(place) == Some(&known.value);
            if is_here || place.1 < self.start(place.0) {
                continue;
            }
            let there = held.get(place).map_or("nothing", String::as_str);
            let end = format!("in the end {replica} has {there}");
            let read = format!("{}: {} is there", known.by, known.value);
            if self.is_acknowledged(known) {
                let sent = &self.sent[&known.value];
                let events = vec![format!("{} {sent}", known.value), end];
                found.push((Invariant::AcknowledgedKept, *place, events));
            } else if known.is_read {
                found.push((Invariant::ReadKept, *place, vec![read, end]));
            }
        }
        let places: Vec<(i32, i64)> = held.keys().copied().collect();
        for pair in places.windows(2) {
            let (place, next) = (pair[0], pair[1]);
            if place.0 == next.0 && next.1 != place.1 + 1 && place.1 >= self.start(place.0) {
                let event =
                    format!("in the end {replica} has nothing between {} and {}", place.1, next.1);
                found.push((Invariant::Dense, place, vec![event]));
            }
        }
        for (invariant, (partition, offset), events) in found {
            self.violations.push(invariant, partition, offset, events);
        }
    }

    /// Each record that was sent is where it may be, and only there.
    fn check_sent(&mut self, places: &Places<'_>) {
        let mut found = Vec::new();
        for (value, places) in places {
            let first = places[0];
            let Some(sent) = self.sent.get(*value) else {
                let event = format!("nobody has sent {value}");
                found.push((Invariant::OnlySent, first, vec![event]));
                continue;
            };
            let sending = format!("{value} {sent}");
            if let Some(other) = places.iter().find(|(partition, _)| *partition != sent.partition) {
                let event = format!("it was for partition {}", sent.partition);
                found.push((Invariant::OnlySent, *other, vec![sending.clone(), event]));
            }
            let is_once = self.producers.get(&sent.producer) == Some(&Promise::Once);
            if is_once && places.len() > 1 {
                let event = format!("it is at {places:?}");
                found.push((Invariant::NoDuplicate, first, vec![sending.clone(), event]));
            }
            if matches!(sent.outcome, Outcome::Refused(_)) {
                let event = format!("it is at offset {}", first.1);
                found.push((Invariant::RefusedAbsent, first, vec![sending, event]));
            }
        }
        // What was acknowledged without an offset is somewhere.
        for (value, sent) in &self.sent {
            let is_anywhere = matches!(sent.outcome, Outcome::Acknowledged(_, None));
            let may_be_deleted = self.start(sent.partition) > 0;
            if is_anywhere && !may_be_deleted && !places.contains_key(value.as_str()) {
                let events = vec![format!("{value} {sent}"), "in the end it is nowhere".to_owned()];
                found.push((Invariant::AcknowledgedKept, (sent.partition, -1), events));
            }
        }
        for (invariant, (partition, offset), events) in found {
            self.violations.push(invariant, partition, Some(offset).filter(|at| *at >= 0), events);
        }
    }

    /// The records of each idempotent producer stand in order, and none is missing that was not
    /// given up.
    fn check_streams(&mut self, all: &BTreeMap<(i32, i64), &str>, places: &Places<'_>) {
        let mut found = Vec::new();
        let mut last: BTreeMap<(&str, i32), (u64, &str)> = BTreeMap::new();
        for ((partition, offset), value) in all {
            let Some(sent) = self.sent.get(*value).filter(|sent| self.is_once(sent)) else {
                continue;
            };
            let stream = (sent.producer.as_str(), *partition);
            let end = last.entry(stream).or_insert((sent.number, value));
            if end.0 < sent.number {
                *end = (sent.number, value);
            } else if end.0 > sent.number {
                let other = end.1;
                let events = vec![
                    format!("{value} {sent}"),
                    format!("{other} {}", self.sent[other]),
                    format!("{value} stands behind {other}"),
                ];
                found.push((Invariant::InOrder, (*partition, Some(*offset)), events));
            }
        }
        for (value, sent) in &self.sent {
            let end = last.get(&(sent.producer.as_str(), sent.partition));
            let is_inside = end.is_some_and(|(number, _)| *number > sent.number);
            let is_missing = !places.contains_key(value.as_str());
            let may_be_deleted = self.start(sent.partition) > 0;
            if is_inside && is_missing && !may_be_deleted && sent.outcome == Outcome::Pending {
                let events = vec![format!("{value} {sent}"), "later ones are there".to_owned()];
                found.push((Invariant::NoGap, (sent.partition, None), events));
            }
        }
        for (invariant, (partition, offset), events) in found {
            self.violations.push(invariant, partition, offset, events);
        }
    }

    fn is_once(&self, sent: &Sent) -> bool {
        self.producers.get(&sent.producer) == Some(&Promise::Once)
    }

    fn check_delivered(&mut self) {
        for (name, group) in &self.groups {
            for (partition, offset) in &group.missing {
                let value = &self.values[&(*partition, *offset)].value;
                let is_deleted = *offset < self.start(*partition);
                let Some(sent) = self.sent.get(value).filter(|_| !is_deleted) else { continue };
                let events = vec![format!("{value} {sent}"), format!("group {name} never had it")];
                self.violations.push(Invariant::Delivered, *partition, *offset, events);
            }
        }
    }
}
