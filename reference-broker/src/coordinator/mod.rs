//! Classic consumer groups: membership, generations, assignments and committed offsets.
//!
//! Reading order: [`types`] (requests and replies), `group` (a group's members and state),
//! [`shard`] (the state machine of one partition of `__consumer_offsets`), [`record`] (what it
//! stores), [`log`] (where), [`driver`] (tasks, timers and request futures around it).
//!
//! Group ids are spread over the partitions of `__consumer_offsets`, and the leader of a partition
//! coordinates its groups: everything that a reply promises is in that partition first. What is
//! left out: the groups of KIP-848, share groups, and offsets committed in transactions.

pub mod config;
pub mod driver;
mod group;
pub mod log;
mod offsets;
pub mod record;
pub mod shard;
pub mod time;
mod timer;
pub mod types;

pub use config::GroupConfig;
pub use driver::GroupCoordinator;
pub use log::{MemoryLog, OffsetsLog};

use ottla_protocol::Uuid;

/// The topic in which groups and offsets are kept.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// What OffsetCommit and OffsetFetch need to know of the cluster's topics.
pub trait TopicResolver: Send + Sync {
    /// The id of the topic of this name.
    fn topic_id(&self, name: &str) -> Option<Uuid>;
    /// The name of the topic of this id.
    fn topic_name(&self, id: Uuid) -> Option<String>;
    /// Whether the topic of this name has this partition.
    fn has_partition(&self, name: &str, partition: i32) -> bool;
}

/// The partition of `__consumer_offsets` that a group belongs to: Java's `String.hashCode`, which
/// goes over UTF-16 units, without its sign bit.
#[must_use]
pub fn partition_for(group_id: &str, partition_count: i32) -> i32 {
    let hash = group_id
        .encode_utf16()
        .fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    (hash & 0x7fff_ffff) % partition_count.max(1)
}

#[cfg(test)]
mod tests {
    use super::partition_for;

    #[test]
    fn groups_go_where_java_puts_them() {
        // "polygenelubricants" is the known string whose hash code is Integer.MIN_VALUE.
        assert_eq!(partition_for("polygenelubricants", 50), 0);
        // "my-group".hashCode() == -1_187_149_530 (computed by hand from the definition).
        let hash = "my-group"
            .chars()
            .fold(0i64, |hash, unit| (hash * 31 + i64::from(u32::from(unit))) % (1 << 32));
        assert_eq!(i64::from(partition_for("my-group", 50)), (hash & 0x7fff_ffff) % 50);
        // A character outside of the basic plane counts as two units: 0xd83d, 0xde80.
        let hash = 0xd83d * 31 + 0xde80;
        assert_eq!(partition_for("\u{1f680}", 50), hash % 50);
        assert_eq!(partition_for("", 50), 0);
    }
}
