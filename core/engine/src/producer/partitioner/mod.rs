//! Which partition a record goes to: by its key as Java or librdkafka would, sticky and adaptive
//! without one, in turn, or by the user's own function.
//!
//! A [`TopicPartitioner`] belongs to one topic and is shared by all threads that send to it. It
//! takes no lock on the way of a record. Called by the producer's accumulator.

mod murmur2;
mod sticky;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub use murmur2::murmur2;
use sticky::Sticky;

use crate::config::{PartitionerKind, ProducerConfig};

/// The partitions of a topic, by the latest metadata.
#[derive(Debug, Clone, Copy)]
pub struct Partitions<'a> {
    /// How many there are; ids are 0 to `count` - 1. Never 0.
    pub count: u32,
    /// Those that have a leader, in the order of their ids.
    pub available: &'a [u32],
}

/// A record that needs a partition.
#[derive(Debug, Clone, Copy)]
pub struct Unplaced<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The key; an empty one is a key for murmur2 and none for crc32 (semantics, trap 12).
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
}

/// A partitioner of the user's own.
pub trait Partitioner: Send + Sync {
    /// The partition for a record: less than `partitions.count`, which the producer checks.
    fn partition(&self, record: Unplaced<'_>, partitions: Partitions<'_>) -> u32;
}

impl<F> Partitioner for F
where
    F: Fn(Unplaced<'_>, Partitions<'_>) -> u32 + Send + Sync,
{
    fn partition(&self, record: Unplaced<'_>, partitions: Partitions<'_>) -> u32 {
        self(record, partitions)
    }
}

/// How a producer partitions; one value serves all its topics.
#[derive(Clone)]
pub struct Partitioning {
    scheme: Scheme,
    ignore_keys: bool,
    adaptive: bool,
    batch_size_bytes: usize,
}

#[derive(Clone)]
enum Scheme {
    Known(PartitionerKind),
    Custom(Arc<dyn Partitioner>),
}

impl Partitioning {
    /// As configured.
    pub fn of(config: &ProducerConfig) -> Self {
        Self {
            scheme: Scheme::Known(config.partitioner),
            ignore_keys: config.partitioner_ignore_keys,
            adaptive: config.partitioner_adaptive_partitioning_enable,
            batch_size_bytes: config.batch_size_bytes,
        }
    }

    /// By the user's own function, whatever the settings say.
    pub fn custom(self, partitioner: Arc<dyn Partitioner>) -> Self {
        Self { scheme: Scheme::Custom(partitioner), ..self }
    }

    /// The partitioner of one topic. `seed` decides what is left to chance.
    pub fn topic(&self, seed: u64) -> TopicPartitioner {
        TopicPartitioner {
            partitioning: self.clone(),
            sticky: Sticky::new(self.batch_size_bytes, seed),
            turn: AtomicU32::new(0),
        }
    }
}

impl fmt::Debug for Partitioning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scheme {
            Scheme::Known(kind) => write!(f, "{kind:?}"),
            Scheme::Custom(_) => f.write_str("custom"),
        }
    }
}

/// A partition for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// The partition. A custom partitioner may have given one that does not exist.
    pub partition: u32,
    /// Whether the partitioner wants to hear of the append ([`TopicPartitioner::on_appended`]).
    pub sticky: bool,
}

/// Chooses the partitions of one topic's records.
pub struct TopicPartitioner {
    partitioning: Partitioning,
    sticky: Sticky,
    turn: AtomicU32,
}

impl TopicPartitioner {
    /// The partition for a record that names none.
    pub fn place(&self, record: Unplaced<'_>, partitions: Partitions<'_>) -> Placement {
        debug_assert!(partitions.count > 0, "a topic has at least one partition");
        let fixed = |partition| Placement { partition, sticky: false };
        let kind = match &self.partitioning.scheme {
            Scheme::Custom(custom) => return fixed(custom.partition(record, partitions)),
            Scheme::Known(kind) => *kind,
        };
        let key = record.key.filter(|_| !self.partitioning.ignore_keys);
        match (kind, key) {
            (PartitionerKind::RoundRobin, _) => fixed(self.next_in_turn(partitions)),
            (PartitionerKind::Murmur2, Some(key)) => fixed(by_murmur2(key, partitions.count)),
            (PartitionerKind::Crc32, Some(key)) if !key.is_empty() => {
                fixed(by_crc32(key, partitions.count))
            }
            _ => Placement { partition: self.sticky.partition(partitions), sticky: true },
        }
    }

    /// A record that was placed stickily has been appended. `batches_full`: the partition has no
    /// open batch with room left.
    pub fn on_appended(
        &self,
        placement: Placement,
        bytes: usize,
        batches_full: bool,
        partitions: Partitions<'_>,
    ) {
        if placement.sticky {
            self.sticky.on_appended(placement.partition, bytes, batches_full, partitions);
        }
    }

    /// The length of each partition's queue of batches, those left out whose broker takes nothing
    /// (`partitioner.availability.timeout.ms`, KIP-794); `with_leader` is how many there are with
    /// these. Without effect unless adaptive.
    pub fn update_load(&self, queues: &[(u32, u32)], with_leader: usize) {
        if self.partitioning.adaptive {
            self.sticky.update_load(queues, with_leader);
        }
    }

    /// In turn over the partitions that have a leader, as the Java client's round-robin.
    fn next_in_turn(&self, partitions: Partitions<'_>) -> u32 {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        match partitions.available {
            [] => turn % partitions.count,
            available => available[turn as usize % available.len()],
        }
    }
}

/// The partition of the Java client: `toPositive(murmur2(key)) % count`, where `toPositive` masks
/// the sign and does not negate (semantics, trap 12).
pub fn by_murmur2(key: &[u8], count: u32) -> u32 {
    (murmur2(key) & i32::MAX).cast_unsigned() % count
}

/// The partition of librdkafka's `consistent` partitioner.
pub fn by_crc32(key: &[u8], count: u32) -> u32 {
    crc32fast::hash(key) % count
}
