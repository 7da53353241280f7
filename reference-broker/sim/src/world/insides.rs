//! What must hold inside of the brokers at any moment. Clients see it break too, but only when
//! more goes wrong soon after.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_broker::Broker;
use ottla_broker::partition::Partition;
use ottla_broker::quorum::Image;

use super::World;

/// A partition, by its topic's name and index.
type Place = (String, i32);

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Insides {
    /// The largest high watermark that a leader has had.
    committed: BTreeMap<Place, i64>,
    /// The latest metadata that a broker has had: those that run now may all be behind it.
    image: Arc<Image>,
    /// Up to which command the metadata of two brokers was compared.
    compared: u64,
}

/// A replica that runs.
struct Replica {
    broker: Arc<Broker>,
    partition: Arc<Partition>,
}

impl Insides {
    /// What is wrong now, if anything is.
    pub(super) fn look(&mut self, world: &World<'_>) -> Option<String> {
        let newest = world.newest_image()?;
        if newest.applied > self.image.applied {
            self.image = newest;
        }
        if let Some(found) = self.same_commands_same_state(world) {
            return Some(found);
        }
        let image = Arc::clone(&self.image);
        let brokers = world.nodes.iter().filter_map(|node| node.broker());
        // One that has lost its place does not know yet what has become of its replicas.
        let is_registered = |broker: &Arc<Broker>| {
            let known = image.brokers.get(&broker.node_id());
            known.is_some_and(|known| known.epoch == broker.broker_epoch())
        };
        let mut replicas: BTreeMap<Place, Vec<Replica>> = BTreeMap::new();
        for broker in brokers.filter(is_registered) {
            for partition in broker.partitions().all() {
                if !partition.is_closed() {
                    let place = (partition.topic().to_owned(), partition.index());
                    let replica = Replica { broker: Arc::clone(&broker), partition };
                    replicas.entry(place).or_default().push(replica);
                }
            }
        }
        replicas.iter().find_map(|(place, replicas)| {
            self.in_sync_has_all(&image, place, replicas)
                .or_else(|| committed_agrees(place, replicas))
        })
    }

    /// Brokers that have applied the same commands have the same metadata.
    fn same_commands_same_state(&mut self, world: &World<'_>) -> Option<String> {
        let brokers = world.nodes.iter().filter_map(|node| node.broker());
        let images: Vec<_> = brokers.map(|broker| (broker.node_id(), broker.image())).collect();
        for (at, (node, image)) in images.iter().enumerate() {
            let alike = images[at + 1..].iter().find(|(_, one)| one.applied == image.applied);
            let Some((other, other_image)) = alike.filter(|_| image.applied != self.compared)
            else {
                continue;
            };
            self.compared = image.applied;
            if other_image != image {
                return Some(format!(
                    "same-commands-same-state: after command {} nodes {node} and {other} differ",
                    image.applied
                ));
            }
        }
        None
    }

    /// Every replica in sync has all that was ever committed.
    fn in_sync_has_all(
        &mut self,
        image: &Image,
        place: &Place,
        replicas: &[Replica],
    ) -> Option<String> {
        let leaders = replicas.iter().filter(|replica| replica.partition.is_leader());
        let committed = self.committed.entry(place.clone()).or_default();
        for leader in leaders {
            *committed = (*committed).max(leader.partition.high_watermark());
        }
        let index = usize::try_from(place.1).ok()?;
        let known = image.topics.get(&place.0)?.partitions.get(index)?;
        let lacks = |replica: &&Replica| {
            known.isr.contains(&replica.broker.node_id())
                && known.leader_epoch == replica.partition.leader_epoch()
                && replica.partition.log_end_offset() < *committed
        };
        replicas.iter().find(lacks).map(|replica| {
            format!(
                "in-sync-has-all: {} {}: node {} is in sync and ends at {}, {committed} was \
                 committed",
                place.0,
                place.1,
                replica.broker.node_id(),
                replica.partition.log_end_offset(),
            )
        })
    }
}

/// What two replicas count as committed was written under one leader epoch.
fn committed_agrees(place: &Place, replicas: &[Replica]) -> Option<String> {
    for one in replicas {
        let last = one.partition.high_watermark() - 1;
        if last < one.partition.log_start_offset() {
            continue;
        }
        let epoch = one.partition.epoch_of(last);
        let differs = |other: &&Replica| {
            other.partition.high_watermark() > last
                && other.partition.log_start_offset() <= last
                && other.partition.epoch_of(last) != epoch
        };
        if let Some(other) = replicas.iter().find(differs) {
            return Some(format!(
                "committed-agrees: {} {}, offset {last}: epoch {epoch:?} at node {}, {:?} at \
                 node {}",
                place.0,
                place.1,
                one.broker.node_id(),
                other.partition.epoch_of(last),
                other.broker.node_id(),
            ));
        }
    }
    None
}
