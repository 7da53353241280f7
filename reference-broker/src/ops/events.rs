//! What an operator wants to read when the metadata changes: one line an event, also when it
//! concerns thousands of partitions, and the counts that go with it under Kafka's names.
//!
//! Of the cluster the active controller tells, of what it leads each broker.

use std::sync::Arc;

use tokio::sync::watch;

use super::Metrics;
use crate::broker::Broker;
use crate::quorum::{Image, PartitionImage, TopicImage};

/// So many partitions are named in a line.
const NAMED_MAX: usize = 3;

/// What two images after each other say of partitions, to somebody who is one of their brokers.
#[derive(Debug, Default)]
struct Changed {
    shrunk: Group,
    expanded: Group,
    elected: Group,
    unclean: Group,
    leaderless: Group,
}

/// Partitions to which the same has happened.
#[derive(Debug, Default)]
struct Group {
    count: usize,
    first: Vec<String>,
}

impl Group {
    fn push(&mut self, topic: &str, index: usize, what: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < NAMED_MAX {
            self.first.push(format!("{topic}-{index} {}", what()));
        }
    }

    /// The first of them, and that there are more.
    fn text(&self) -> String {
        let more = if self.count > NAMED_MAX { ", ..." } else { "" };
        self.first.join(", ") + more
    }
}

/// Tells of each change until `stop` turns true.
pub(crate) async fn observe(broker: Arc<Broker>, mut stop: watch::Receiver<bool>) {
    let mut changes = broker.metadata().changes();
    let mut last = Arc::<Image>::default();
    loop {
        changes.borrow_and_update();
        let image = broker.image();
        // What was before the start is no event.
        if last.applied > 0 {
            let is_controller = broker.controller_id() == broker.node_id();
            tell(&last, &image, broker.node_id(), is_controller, broker.metrics());
        }
        last = image;
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

fn tell(old: &Image, new: &Image, node_id: i32, is_controller: bool, metrics: &Metrics) {
    if new.controller != old.controller
        && let Some(controller) = &new.controller
    {
        let (controller, epoch) = (controller.node_id, controller.epoch);
        tracing::info!(controller, epoch, "a controller is elected");
    }
    let concerns = |id: i32| is_controller || id == node_id;
    for (id, broker) in new.brokers.iter().filter(|(id, _)| concerns(**id)) {
        let before = old.brokers.get(id).filter(|before| before.epoch == broker.epoch);
        let was_fenced = before.is_none_or(|before| before.fenced);
        let was_ending = before.is_some_and(|before| before.shutting_down);
        let (node, epoch) = (*id, broker.epoch);
        if before.is_none() {
            tracing::info!(node, epoch, host = broker.host, port = broker.port, "registered");
        }
        match (was_fenced, broker.fenced) {
            (false, true) if broker.shutting_down => tracing::info!(node, epoch, "has ended"),
            (false, true) => tracing::warn!(node, epoch, "fenced: it is in no ISR"),
            (true, false) => tracing::info!(node, epoch, "unfenced"),
            _ => {}
        }
        if broker.shutting_down && !was_ending {
            tracing::info!(node, epoch, "begins a controlled shutdown");
        }
    }
    for node in old.brokers.keys().filter(|id| is_controller && !new.brokers.contains_key(id)) {
        tracing::info!(node, "unregistered");
    }
    tell_of_partitions(&changed(old, new, node_id), is_controller, metrics);
}

fn tell_of_partitions(changed: &Changed, is_controller: bool, metrics: &Metrics) {
    let Changed { shrunk, expanded, elected, unclean, leaderless } = changed;
    metrics.isr_shrinks.inc_by(shrunk.count as u64);
    metrics.isr_expands.inc_by(expanded.count as u64);
    let line = |group: &Group, what: &str| {
        if group.count > 0 {
            tracing::info!(partitions = group.count, first = group.text(), "{what}");
        }
    };
    line(shrunk, "ISRs have shrunk");
    line(expanded, "ISRs have expanded");
    if !is_controller {
        return;
    }
    metrics.leader_elections.inc_by(elected.count as u64);
    metrics.unclean_leader_elections.inc_by(unclean.count as u64);
    line(elected, "leaders are elected");
    for (group, what) in [
        (unclean, "leaders are elected that may lack acknowledged records"),
        (leaderless, "partitions have no leader: no replica that is known to be whole is alive"),
    ] {
        if group.count > 0 {
            tracing::warn!(partitions = group.count, first = group.text(), "{what}");
        }
    }
}

fn changed(old: &Image, new: &Image, node_id: i32) -> Changed {
    let mut changed = Changed::default();
    for topic in new.topics.values() {
        let before = old.topics.get(&topic.name).filter(|before| before.id == topic.id);
        if before.is_none_or(|before| !Arc::ptr_eq(before, topic)) {
            compare(&mut changed, before.map(|before| &**before), topic, node_id);
        }
    }
    changed
}

fn compare(changed: &mut Changed, old: Option<&TopicImage>, new: &TopicImage, node_id: i32) {
    for (index, after) in new.partitions.iter().enumerate() {
        // A new partition is born with its first leader.
        let Some(before) = old.and_then(|old| old.partitions.get(index)) else { continue };
        let lost =
            |a: &PartitionImage, b: &PartitionImage| a.isr.iter().any(|id| !b.isr.contains(id));
        let isrs = || format!("{:?} to {:?}", before.isr, after.isr);
        if after.leader == node_id && lost(before, after) {
            changed.shrunk.push(&new.name, index, isrs);
        }
        if after.leader == node_id && lost(after, before) {
            changed.expanded.push(&new.name, index, isrs);
        }
        if after.leader == before.leader {
            continue;
        }
        let leaders = || format!("{} to {}", before.leader, after.leader);
        match after.leader {
            -1 => changed.leaderless.push(&new.name, index, || format!("of {:?}", after.replicas)),
            _ if after.recovering => changed.unclean.push(&new.name, index, leaders),
            _ => changed.elected.push(&new.name, index, leaders),
        }
    }
}

#[cfg(test)]
mod tests;
