//! DeleteRecords (key 21), versions 0 to 2: raises the log start offset; segments below it go with
//! the next retention (AD-13). Answered when every replica that is alive has done so (M17).

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use ottla_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use tokio::time::Instant;

use super::RequestContext;
use crate::broker::is_internal;
use crate::partition::Partition;

pub(crate) async fn handle(
    context: &RequestContext,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let patience = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let until = Instant::now() + patience;
    // All are begun before one is waited for.
    let mut begun = Vec::new();
    for topic in &request.topics {
        begun.extend(topic.partitions.iter().map(|wanted| delete(context, &topic.name, wanted)));
    }
    let mut begun = begun.into_iter();
    let mut topics = Vec::new();
    for topic in request.topics {
        let mut partitions = Vec::new();
        for wanted in &topic.partitions {
            let deleted = match begun.next().expect("there is one for each partition") {
                // M17: else a replica that is elected next would have them again.
                Ok((partition, start)) => {
                    let left = until.saturating_duration_since(Instant::now());
                    partition.deleted_everywhere(start, left).await
                }
                Err(code) => Err(code),
            };
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: wanted.partition_index,
                low_watermark: *deleted.as_ref().unwrap_or(&-1),
                error_code: deleted.err().unwrap_or(ErrorCode::None).code(),
                ..DeleteRecordsPartitionResult::default()
            });
        }
        let name = topic.name;
        topics.push(DeleteRecordsTopicResult { name, partitions, ..Default::default() });
    }
    DeleteRecordsResponse { topics, ..DeleteRecordsResponse::default() }
}

fn delete(
    context: &RequestContext,
    topic: &str,
    wanted: &DeleteRecordsPartition,
) -> Result<(Arc<Partition>, i64), ErrorCode> {
    if is_internal(topic) {
        return Err(ErrorCode::InvalidTopicException);
    }
    let partition = context.broker.partition(topic, wanted.partition_index)?;
    if !partition.config().deletes {
        return Err(ErrorCode::PolicyViolation);
    }
    let start = partition.delete_records(wanted.offset)?;
    Ok((partition, start))
}
