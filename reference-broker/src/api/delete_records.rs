//! DeleteRecords (key 21), versions 0 to 2: raises the log start offset; segments below it go with
//! the next retention (AD-13).

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use ottla_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use super::RequestContext;
use crate::broker::is_internal;

pub(crate) async fn handle(
    context: &RequestContext,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let topics = request.topics.into_iter().map(|topic| DeleteRecordsTopicResult {
        partitions: topic
            .partitions
            .iter()
            .map(|wanted| {
                let (low_watermark, code) = match delete(context, &topic.name, wanted) {
                    Ok(start) => (start, ErrorCode::None),
                    Err(code) => (-1, code),
                };
                DeleteRecordsPartitionResult {
                    partition_index: wanted.partition_index,
                    low_watermark,
                    error_code: code.code(),
                    ..DeleteRecordsPartitionResult::default()
                }
            })
            .collect(),
        name: topic.name,
        ..DeleteRecordsTopicResult::default()
    });
    DeleteRecordsResponse { topics: topics.collect(), ..DeleteRecordsResponse::default() }
}

fn delete(
    context: &RequestContext,
    topic: &str,
    wanted: &DeleteRecordsPartition,
) -> Result<i64, ErrorCode> {
    if is_internal(topic) {
        return Err(ErrorCode::InvalidTopicException);
    }
    let partition = context.broker.partition(topic, wanted.partition_index)?;
    if !partition.config().deletes {
        return Err(ErrorCode::PolicyViolation);
    }
    partition.delete_records(wanted.offset)
}
