//! The committed offsets of the groups of one shard: only what is at or below the high watermark.

use std::collections::BTreeMap;

use super::record::{CommittedOffset, OffsetKey};

/// Offsets of a group by topic and partition.
pub(crate) type GroupOffsets = BTreeMap<String, BTreeMap<i32, CommittedOffset>>;

/// The offsets of all groups of a shard.
#[derive(Debug, Default)]
pub(crate) struct OffsetCache {
    groups: BTreeMap<String, GroupOffsets>,
}

impl OffsetCache {
    pub(crate) fn put(&mut self, key: OffsetKey, value: CommittedOffset) {
        let topics = self.groups.entry(key.group).or_default();
        topics.entry(key.topic).or_default().insert(key.partition, value);
    }

    pub(crate) fn remove(&mut self, key: &OffsetKey) {
        let Some(topics) = self.groups.get_mut(&key.group) else { return };
        if let Some(partitions) = topics.get_mut(&key.topic) {
            partitions.remove(&key.partition);
            if partitions.is_empty() {
                topics.remove(&key.topic);
            }
        }
        if topics.is_empty() {
            self.groups.remove(&key.group);
        }
    }

    pub(crate) fn group(&self, group: &str) -> Option<&GroupOffsets> {
        self.groups.get(group)
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = (&String, &GroupOffsets)> {
        self.groups.iter()
    }

    pub(crate) fn clear(&mut self) {
        self.groups.clear();
    }
}

/// The keys under which a group has offsets.
pub(crate) fn keys_of(group: &str, offsets: &GroupOffsets) -> Vec<OffsetKey> {
    let mut keys = Vec::new();
    for (topic, partitions) in offsets {
        for partition in partitions.keys() {
            keys.push(OffsetKey {
                group: group.to_owned(),
                topic: topic.clone(),
                partition: *partition,
            });
        }
    }
    keys
}
