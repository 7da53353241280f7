//! ListOffsets (key 2), versions 1 to 11: offsets by timestamp, and the sentinels below zero.
//!
//! What is told is what a consumer of that isolation level may see (LO-01).

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use ottla_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::RequestContext;
use crate::partition::Partition;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

pub(crate) async fn handle(
    context: &RequestContext,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    // LO-07: a partition that stands twice is refused, and answered once.
    let mut asked = BTreeMap::new();
    let mut answered = BTreeSet::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            *asked.entry((topic.name.clone(), partition.partition_index)).or_insert(0) += 1;
        }
    }
    let read_committed = request.isolation_level == 1;
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let key = (topic.name.clone(), wanted.partition_index);
            let once = asked.get(&key) == Some(&1);
            if !answered.insert(key) {
                continue;
            }
            let found = match once {
                true => find(context, &topic.name, wanted, read_committed),
                false => Err(ErrorCode::InvalidRequest),
            };
            let answer = found.unwrap_or_else(|code| ListOffsetsPartitionResponse {
                error_code: code.code(),
                timestamp: -1,
                offset: -1,
                leader_epoch: -1,
                ..ListOffsetsPartitionResponse::default()
            });
            partitions.push(ListOffsetsPartitionResponse {
                partition_index: wanted.partition_index,
                // The field is there from version 4.
                leader_epoch: if context.api_version < 4 { -1 } else { answer.leader_epoch },
                ..answer
            });
        }
        topics.push(ListOffsetsTopicResponse {
            name: topic.name,
            partitions,
            ..ListOffsetsTopicResponse::default()
        });
    }
    ListOffsetsResponse { topics, ..ListOffsetsResponse::default() }
}

fn find(
    context: &RequestContext,
    topic: &str,
    wanted: &ListOffsetsPartition,
    read_committed: bool,
) -> Result<ListOffsetsPartitionResponse, ErrorCode> {
    let partition = context.broker.partition(topic, wanted.partition_index)?;
    partition.check_epoch(wanted.current_leader_epoch)?;
    // LO-03: each sentinel has a version from which it may be asked.
    let since = match wanted.timestamp {
        LATEST | EARLIEST | 0.. => 0,
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        EARLIEST_PENDING_UPLOAD => 11,
        _ => i16::MAX,
    };
    if context.api_version < since {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let bound = match read_committed {
        true => partition.last_stable_offset(),
        false => partition.high_watermark(),
    };
    let unavailable = partition.lags_behind_its_epoch();
    let epoch_of = |offset| partition.epoch_of(offset).unwrap_or(-1);
    Ok(match wanted.timestamp {
        LATEST if unavailable => return Err(not_available(context.api_version)),
        // LO-08: the epoch is the leader's own here, and that of the offset everywhere else.
        LATEST => answer(-1, bound, partition.leader_epoch()),
        EARLIEST | EARLIEST_LOCAL => {
            let start = partition.log_start_offset();
            answer(-1, start, epoch_of(start))
        }
        // Nothing is tiered.
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => answer(-1, -1, -1),
        timestamp => match by_timestamp(&partition, timestamp, bound)? {
            // It may lie above what is known to be committed.
            found if found.offset < 0 && unavailable => {
                return Err(not_available(context.api_version));
            }
            found => found,
        },
    })
}

/// KIP-207: a new leader does not know yet what its predecessor had committed. 78 is there since
/// version 5.
fn not_available(api_version: i16) -> ErrorCode {
    if api_version >= 5 { ErrorCode::OffsetNotAvailable } else { ErrorCode::LeaderNotAvailable }
}

/// LO-04: the first record at or after the time. LO-05: none is no error.
fn by_timestamp(
    partition: &Partition,
    timestamp: i64,
    bound: i64,
) -> Result<ListOffsetsPartitionResponse, ErrorCode> {
    let found = match timestamp {
        MAX_TIMESTAMP => partition.max_timestamp(bound)?,
        _ => partition.offset_for_timestamp(timestamp, bound)?,
    };
    Ok(match found {
        Some(found) => answer(found.timestamp, found.offset, found.leader_epoch.unwrap_or(-1)),
        None => answer(-1, -1, -1),
    })
}

fn answer(timestamp: i64, offset: i64, leader_epoch: i32) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse {
        timestamp,
        offset,
        leader_epoch,
        ..ListOffsetsPartitionResponse::default()
    }
}
