//! OffsetForLeaderEpoch (key 23), versions 2 to 4: where an epoch ended, for consumers that check
//! for truncation (KIP-320).

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderPartition, OffsetForLeaderTopicResult,
};
use ottla_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::RequestContext;

pub(crate) async fn handle(
    context: &RequestContext,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| OffsetForLeaderTopicResult {
        partitions: topic
            .partitions
            .iter()
            .map(|wanted| {
                let end = end_of(context, &topic.topic, wanted);
                let end = end
                    .unwrap_or_else(|code| EpochEndOffset { error_code: code.code(), ..unknown() });
                EpochEndOffset { partition: wanted.partition, ..end }
            })
            .collect(),
        topic: topic.topic,
        ..OffsetForLeaderTopicResult::default()
    });
    OffsetForLeaderEpochResponse {
        topics: topics.collect(),
        ..OffsetForLeaderEpochResponse::default()
    }
}

fn end_of(
    context: &RequestContext,
    topic: &str,
    wanted: &OffsetForLeaderPartition,
) -> Result<EpochEndOffset, ErrorCode> {
    let partition = context.broker.partition(topic, wanted.partition)?;
    partition.check_epoch(wanted.current_leader_epoch)?;
    // LE-01: a future epoch is no error. The leader's own epoch ends, for consumers, at the high
    // watermark.
    let found = partition.end_of_epoch(wanted.leader_epoch);
    Ok(found.map_or_else(unknown, |end| EpochEndOffset {
        leader_epoch: end.epoch,
        end_offset: end.end_offset,
        ..EpochEndOffset::default()
    }))
}

fn unknown() -> EpochEndOffset {
    EpochEndOffset { leader_epoch: -1, end_offset: -1, ..EpochEndOffset::default() }
}
