//! The topics of a producer, as the sending threads see them.

use super::Shared;
use crate::network::lock;
use arc_swap::ArcSwap;
use ottla_engine::cluster::Metadata;
use ottla_engine::producer::partitioner::{Partitions, TopicPartitioner};
use ottla_engine::producer::{PartitionBuffer, Sender};
use ottla_engine::time::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Topics by name. A snapshot: sending threads read it without a lock.
pub(super) type Topics = BTreeMap<Arc<str>, Arc<Topic>>;

/// A topic that records were sent to.
pub(super) struct Topic {
    pub(super) partitioner: TopicPartitioner,
    /// Replaced when the topic grows, or a partition gains or loses its leader.
    pub(super) set: ArcSwap<PartitionSet>,
    /// When a batch was last begun, on the engine's clock.
    used_at_ns: AtomicU64,
    /// Its metadata is forgotten; its partitions keep their sequence numbers.
    is_parked: AtomicBool,
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

    /// A batch is begun: records that follow are in this one, or in one that is begun later.
    pub(super) fn note_use(&self, now: Instant) {
        self.used_at_ns.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// Whether the topic was forgotten while a thread appended to it.
    pub(super) fn is_parked(&self) -> bool {
        self.is_parked.load(Ordering::SeqCst)
    }

    fn is_idle(&self, now: Instant, limit: Duration) -> bool {
        let used_at = Instant::from_nanos(self.used_at_ns.load(Ordering::Relaxed));
        now.saturating_since(used_at) >= limit && !self.has_incomplete()
    }

    fn has_incomplete(&self) -> bool {
        self.set.load().buffers.iter().any(|buffer| !buffer.incomplete().is_empty())
    }
}

impl PartitionSet {
    pub(super) fn partitions(&self) -> Partitions<'_> {
        let count = u32::try_from(self.buffers.len()).expect("a topic has fewer partitions");
        Partitions { count, available: &self.available }
    }
}

impl Shared {
    /// Makes a topic of the metadata known to senders, and keeps it in the metadata. `None` while
    /// the metadata has no partitions for it.
    pub(super) fn add_topic(&self, name: &str) -> Option<Arc<Topic>> {
        let mut sender = lock(&self.sender);
        // Under the lock: it may just have been forgotten.
        self.network.want_topics(&[name.to_owned()]);
        let metadata = self.network.metadata();
        metadata.partition_count(name)?;
        // Another thread may have been quicker; the sender's lock makes it one after the other.
        if let Some(topic) = self.topics.load().get(name) {
            return Some(topic.clone());
        }
        let name: Arc<str> = Arc::from(name);
        // Not in one statement: the guard would live on while the new topic counts the parked ones.
        let parked = lock(&self.parked).remove(&name);
        let topic = parked.unwrap_or_else(|| self.new_topic());
        topic.note_use(self.network.now());
        self.update_topic(&mut sender, &metadata, &name, &topic);
        self.insert_topic(name, topic.clone());
        Some(topic)
    }

    fn new_topic(&self) -> Arc<Topic> {
        let known = self.topics.load().len() + lock(&self.parked).len();
        Arc::new(Topic {
            partitioner: self.partitioning.topic(self.seed ^ known as u64),
            set: ArcSwap::default(),
            used_at_ns: AtomicU64::default(),
            is_parked: AtomicBool::default(),
        })
    }

    /// The sender's lock must be held.
    fn insert_topic(&self, name: Arc<str>, topic: Arc<Topic>) {
        topic.is_parked.store(false, Ordering::SeqCst);
        let mut topics = Topics::clone(&self.topics.load());
        topics.insert(name, topic);
        self.topics.store(Arc::new(topics));
    }

    /// Forgets the metadata of topics that nothing was sent to for this long. The next record asks
    /// for it again. The caller holds the sender's lock.
    pub(super) fn forget_idle_topics(&self, _sender: &mut Sender, limit: Duration) {
        let now = self.network.now();
        let mut idle = self.network.topics_not_wanted_for(limit);
        let mut topics = Topics::clone(&self.topics.load());
        idle.retain(|name| topics.get(&**name).is_none_or(|topic| topic.is_idle(now, limit)));
        if idle.is_empty() {
            return;
        }
        for name in &idle {
            let Some((name, topic)) = topics.remove_entry(&**name) else { continue };
            topic.is_parked.store(true, Ordering::SeqCst);
            lock(&self.parked).insert(name, topic);
        }
        self.topics.store(Arc::new(topics));
        self.network.forget_topics(&idle);
        // A thread that found a topic before may append to it now. Either it sees that the topic is
        // parked, since a partition's lock orders its append behind this look, or the record is
        // seen here.
        let parked = lock(&self.parked).clone();
        for (name, topic) in parked.into_iter().filter(|(_, topic)| topic.has_incomplete()) {
            lock(&self.parked).remove(&name);
            self.network.want_topics(&[name.to_string()]);
            self.insert_topic(name, topic);
        }
    }

    /// Takes a topic back that was forgotten while a record was appended to it.
    #[cold]
    pub(super) fn unpark(&self, name: &str) {
        let _sender = lock(&self.sender);
        let parked = lock(&self.parked).remove_entry(name);
        if let Some((name, topic)) = parked {
            self.network.want_topics(&[name.to_string()]);
            self.insert_topic(name, topic);
        }
    }

    /// Takes over what newer metadata says of the topics in use.
    pub(super) fn update_topics(&self, sender: &mut Sender, metadata: &Metadata) {
        for (name, topic) in self.topics.load().iter() {
            self.update_topic(sender, metadata, name, topic);
        }
    }

    fn update_topic(
        &self,
        sender: &mut Sender,
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
