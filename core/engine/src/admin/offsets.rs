//! ListOffsets (asked of each partition's leader) and a group's committed offsets.

use super::items::{Items, item_by_item};
use super::{Operation, Outcomes, Partition, is_transient, unexpected};
use crate::call::Target;
use crate::cluster::Metadata;
use crate::config::IsolationLevel;
use crate::error::Error;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::offset_fetch::OffsetFetchRequestGroup;
use ottla_protocol::messages::{ListOffsetsRequest, OffsetFetchRequest, Request, Response};
use std::collections::BTreeMap;

/// Which offset of a partition is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first that is there.
    Earliest,
    /// The one that the next record gets: the high watermark, or the last stable offset for
    /// read-committed.
    Latest,
    /// That of the record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// That of the first record with this timestamp or a later one, in milliseconds since 1970.
    Timestamp(i64),
}

impl OffsetSpec {
    fn wire(self) -> i64 {
        match self {
            Self::Earliest => -2,
            Self::Latest => -1,
            Self::MaxTimestamp => -3,
            Self::Timestamp(timestamp) => timestamp,
        }
    }
}

/// An offset that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset; -1 where no record is that late.
    pub offset: i64,
    /// The record's timestamp in milliseconds since 1970; `None` where a position was asked for,
    /// not a record.
    pub timestamp: Option<i64>,
    /// The leader epoch of the offset, where the broker tells.
    pub leader_epoch: Option<i32>,
}

/// Looks offsets up (API key 2).
#[derive(Debug)]
pub struct ListOffsets {
    items: Items<Partition, OffsetSpec, ListedOffset>,
    isolation: IsolationLevel,
    timeout_ms: i32,
}

impl ListOffsets {
    /// These offsets, as a reader of this isolation level sees them.
    pub fn new(
        partitions: impl IntoIterator<Item = (Partition, OffsetSpec)>,
        isolation: IsolationLevel,
        timeout_ms: i32,
    ) -> Self {
        Self { items: Items::new(partitions), isolation, timeout_ms }
    }

    /// The topics whose leaders must be known.
    pub fn topics(&self) -> Vec<String> {
        let mut topics: Vec<_> = self.items.open.keys().map(|(topic, _)| topic.clone()).collect();
        topics.dedup();
        topics
    }
}

impl Operation for ListOffsets {
    type Answer = Outcomes<Partition, ListedOffset>;

    fn what(&self) -> &'static str {
        "list offsets"
    }

    fn requests(&mut self, metadata: &Metadata) -> Vec<(Target, Request)> {
        let mut by_leader: BTreeMap<i32, BTreeMap<&str, Vec<ListOffsetsPartition>>> =
            BTreeMap::new();
        for ((topic, partition), spec) in &self.items.open {
            let Some(known) = metadata.partition(topic, *partition) else { continue };
            let Some(leader) = known.leader else { continue };
            let ask = ListOffsetsPartition {
                partition_index: *partition,
                current_leader_epoch: known.leader_epoch,
                timestamp: spec.wire(),
                ..Default::default()
            };
            by_leader.entry(leader).or_default().entry(topic).or_default().push(ask);
        }
        let topic = |(name, partitions): (&str, _)| ListOffsetsTopic {
            name: name.to_owned(),
            partitions,
            ..Default::default()
        };
        by_leader
            .into_iter()
            .map(|(leader, topics)| {
                let request = ListOffsetsRequest {
                    replica_id: -1,
                    isolation_level: self.isolation.code(),
                    topics: topics.into_iter().map(topic).collect(),
                    timeout_ms: self.timeout_ms,
                    ..Default::default()
                };
                (Target::Node(leader), Request::ListOffsets(Box::new(request)))
            })
            .collect()
    }

    fn read(&mut self, _: &Target, response: Response) -> Result<(), Error> {
        let Response::ListOffsets(response) = response else { return Err(unexpected(&response)) };
        for topic in response.topics {
            for found in topic.partitions {
                let key = (topic.name.clone(), found.partition_index);
                let what = format!("cannot look up an offset of {}-{}", key.0, key.1);
                self.items.settle(&key, found.error_code, None, what, || ListedOffset {
                    offset: found.offset,
                    timestamp: Some(found.timestamp).filter(|timestamp| *timestamp >= 0),
                    leader_epoch: Some(found.leader_epoch).filter(|epoch| *epoch >= 0),
                });
            }
        }
        Ok(())
    }

    item_by_item!();
}

/// What a group committed for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The offset of the next record to consume.
    pub offset: i64,
    /// The leader epoch of the last consumed record, where it was committed.
    pub leader_epoch: Option<i32>,
    /// The committer's note.
    pub metadata: String,
}

/// Reads all committed offsets of a group (API key 9).
#[derive(Debug)]
pub struct CommittedOffsets {
    group: String,
    offsets: Option<BTreeMap<Partition, CommittedOffset>>,
}

impl CommittedOffsets {
    /// Of this group.
    pub fn new(group: impl Into<String>) -> Self {
        Self { group: group.into(), offsets: None }
    }
}

impl Operation for CommittedOffsets {
    type Answer = BTreeMap<Partition, CommittedOffset>;

    fn what(&self) -> &'static str {
        "list a group's committed offsets"
    }

    fn requests(&mut self, _: &Metadata) -> Vec<(Target, Request)> {
        let group = OffsetFetchRequestGroup {
            group_id: self.group.clone(),
            topics: None,
            ..Default::default()
        };
        let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
        vec![(Target::Group(self.group.clone()), Request::OffsetFetch(Box::new(request)))]
    }

    fn read(&mut self, _: &Target, response: Response) -> Result<(), Error> {
        let Response::OffsetFetch(response) = response else { return Err(unexpected(&response)) };
        let what = || format!("cannot read the committed offsets of group {:?}", self.group);
        let Some(group) = response.groups.into_iter().find(|group| group.group_id == self.group)
        else {
            let message = format!("{}: the broker's answer leaves it out", what());
            return Err(Error::new(crate::error::ErrorKind::Protocol, message));
        };
        match ErrorCode::from_code(group.error_code) {
            Some(ErrorCode::None) => {}
            Some(code) if is_transient(code) => return Ok(()),
            _ => return Err(Error::from_raw_code(group.error_code, what())),
        }
        let mut offsets = BTreeMap::new();
        for topic in group.topics {
            for found in topic.partitions.into_iter().filter(|found| found.committed_offset >= 0) {
                let committed = CommittedOffset {
                    offset: found.committed_offset,
                    leader_epoch: Some(found.committed_leader_epoch).filter(|epoch| *epoch >= 0),
                    metadata: found.metadata.unwrap_or_default(),
                };
                offsets.insert((topic.name.clone(), found.partition_index), committed);
            }
        }
        self.offsets = Some(offsets);
        Ok(())
    }

    fn answer(&mut self) -> Option<Self::Answer> {
        self.offsets.take()
    }
}
