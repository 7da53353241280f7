//! The topics of a producer, as the sending threads see them.

use super::Shared;
use crate::network::lock;
use arc_swap::ArcSwap;
use ottla_engine::cluster::Metadata;
use ottla_engine::producer::PartitionBuffer;
use ottla_engine::producer::partitioner::{Partitions, TopicPartitioner};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Topics by name. A snapshot: sending threads read it without a lock.
pub(super) type Topics = BTreeMap<Arc<str>, Arc<Topic>>;

/// A topic that records were sent to.
pub(super) struct Topic {
    pub(super) partitioner: TopicPartitioner,
    /// Replaced when the topic grows, or a partition gains or loses its leader.
    pub(super) set: ArcSwap<PartitionSet>,
}

/// A topic's partitions at one moment.
#[derive(Debug, Default)]
pub(super) struct PartitionSet {
    pub(super) buffers: Vec<Arc<PartitionBuffer>>,
    /// Those with a leader.
    pub(super) available: Vec<u32>,
}

impl Topic {
    /// Tells the partitioner how many batches wait for each partition that has a leader, those left
    /// out whose broker takes none.
    pub(super) fn update_load(&self) {
        let set = self.set.load();
        let queue = |&index: &u32| {
            let buffer = set.buffers.get(index as usize).filter(|buffer| buffer.is_available())?;
            Some((index, buffer.queue_len()))
        };
        let queues: Vec<(u32, u32)> = set.available.iter().filter_map(queue).collect();
        self.partitioner.update_load(&queues, set.available.len());
    }
}

impl PartitionSet {
    pub(super) fn partitions(&self) -> Partitions<'_> {
        let count = u32::try_from(self.buffers.len()).expect("a topic has fewer partitions");
        Partitions { count, available: &self.available }
    }
}

impl Shared {
    /// Makes a topic of the metadata known to senders. `None` while the metadata has no partitions
    /// for it.
    pub(super) fn add_topic(&self, metadata: &Metadata, name: &str) -> Option<Arc<Topic>> {
        metadata.partition_count(name)?;
        let mut sender = lock(&self.sender);
        // Another thread may have been quicker; the sender's lock makes it one after the other.
        if let Some(topic) = self.topics.load().get(name) {
            return Some(topic.clone());
        }
        let name: Arc<str> = Arc::from(name);
        let seed = self.seed ^ self.topics.load().len() as u64;
        let topic =
            Arc::new(Topic { partitioner: self.partitioning.topic(seed), set: ArcSwap::default() });
        let mut topics = Topics::clone(&self.topics.load());
        topics.insert(name.clone(), topic.clone());
        self.update_topic(&mut sender, metadata, &name, &topic);
        self.topics.store(Arc::new(topics));
        Some(topic)
    }

    /// Takes over what newer metadata says of the topics in use.
    pub(super) fn update_topics(
        &self,
        sender: &mut ottla_engine::producer::Sender,
        metadata: &Metadata,
    ) {
        for (name, topic) in self.topics.load().iter() {
            self.update_topic(sender, metadata, name, topic);
        }
    }

    fn update_topic(
        &self,
        sender: &mut ottla_engine::producer::Sender,
        metadata: &Metadata,
        name: &Arc<str>,
        topic: &Topic,
    ) {
        let Some(known) = metadata.topic(name) else { return };
        let with_leader = known.partitions.iter().filter(|partition| partition.leader.is_some());
        let available: Vec<u32> =
            with_leader.filter_map(|partition| u32::try_from(partition.index).ok()).collect();
        let old = topic.set.load();
        if old.buffers.len() >= known.partitions.len() && old.available == available {
            return;
        }
        // A topic never loses partitions, but a smaller one may take its name: what was sent to the
        // others fails in time.
        let mut buffers = old.buffers.clone();
        for index in buffers.len()..known.partitions.len() {
            let index = i32::try_from(index).expect("a topic has fewer partitions");
            buffers.push(sender.handle_partition(name, index));
        }
        buffers.truncate(known.partitions.len().max(1));
        topic.set.store(Arc::new(PartitionSet { buffers, available }));
    }
}
