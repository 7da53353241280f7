//! A member of a consumer group, as a process of its own.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::json;

use crate::process::{Event, Process};
use crate::record::Consumed;
use crate::{Client, DEADLINE};

/// A member that reads, commits after each answer to its poll, and leaves when told to.
pub struct Member {
    process: Process,
    assigned: Vec<i32>,
    read: Vec<Consumed>,
    committed: BTreeMap<i32, i64>,
}

impl Member {
    /// Starts a member; it joins in the background.
    pub fn join(client: Client, bootstrap: &str, group: &str, topic: &str) -> Self {
        let task = json!({"bootstrap": bootstrap, "group": group, "topic": topic});
        let process = client.start("member", &task);
        Self { process, assigned: Vec::new(), read: Vec::new(), committed: BTreeMap::new() }
    }

    /// The partitions of its latest assignment.
    pub fn assigned(&self) -> &[i32] {
        &self.assigned
    }

    /// All that it has read.
    pub fn read(&self) -> &[Consumed] {
        &self.read
    }

    /// Waits until the member's state is as wanted.
    pub fn wait(&mut self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let until = Instant::now() + DEADLINE;
        while !wanted(self) {
            let Some(event) = self.process.next(until) else {
                self.process.fail(&format!("ended before {what}"));
            };
            self.on_event(event);
        }
    }

    /// Takes in what has happened, waiting at most this long for the first event.
    pub fn look(&mut self, wait: std::time::Duration) {
        let until = Instant::now() + wait;
        while let Some(event) = self.process.next_within(until) {
            self.on_event(event);
        }
    }

    /// Whether all that was read is committed.
    pub fn has_committed_all(&self) -> bool {
        let mut next: BTreeMap<i32, i64> = BTreeMap::new();
        for record in &self.read {
            let offset = next.entry(record.partition).or_default();
            *offset = (*offset).max(record.offset + 1);
        }
        next.iter().all(|(partition, offset)| self.committed.get(partition) >= Some(offset))
    }

    /// Leaves the group, in order; answers with all that was read.
    pub fn leave(mut self) -> Vec<Consumed> {
        self.process.command("leave");
        let mut left = false;
        for event in self.process.finish() {
            match event {
                Event::Left => left = true,
                Event::Record(record) => self.read.push(record),
                _ => {}
            }
        }
        assert!(left, "the member ended without leaving");
        self.read
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Assigned { partitions } => self.assigned = partitions,
            Event::Record(record) => self.read.push(record),
            Event::Committed { partition, offset } => {
                self.committed.insert(partition, offset);
            }
            Event::Produced(_) | Event::Left => {}
        }
    }
}
