//! Produce (key 0), versions 3 to 13; 0 to 2 are advertised and refused (KAFKA-18659).
//!
//! Every partition is decided for itself. `acks` 0 is never answered: an error closes the
//! connection (PR-01, PR-02). `acks` -1 waits for the high watermark under the leader epoch of the
//! append (M8), a duplicate like its original (M9).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::produce::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceData, TopicProduceResponse,
};
use ottla_protocol::messages::{ProduceRequest, ProduceResponse};
use ottla_protocol::records::header::MAGIC_AT;
use ottla_protocol::records::{
    BATCH_HEADER_LEN, BatchHeader, Compression, Origin, RecordErrorKind,
};

use super::{Answer, RequestContext};
use crate::broker::{is_internal, now_ms};
use crate::partition::{AppendError, Appended, Partition};

const ACKS_ALL: i16 = -1;
/// The one client that may write to the broker's own topics (PR-29; `KafkaApis` has it so).
const ADMIN_CLIENT: &str = "__admin_client";

/// A partition's answer, and what has to be committed before it may be given.
struct Outcome {
    response: PartitionProduceResponse,
    pending: Option<(Arc<Partition>, i64)>,
}

pub(crate) async fn handle(context: &RequestContext, request: ProduceRequest) -> Answer {
    let acks = request.acks;
    let patience = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let mut topics: Vec<(TopicProduceResponse, Vec<Outcome>)> =
        Vec::with_capacity(request.topic_data.len());
    let transactional = request.transactional_id.is_some();
    for topic in request.topic_data {
        let answer = TopicProduceResponse {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            ..TopicProduceResponse::default()
        };
        topics.push((answer, append_topic(context, topic, acks, transactional)));
    }
    if acks != 0 {
        wait_for_commit(&mut topics, acks, patience).await;
    }
    let outcomes = topics.iter().flat_map(|(_, outcomes)| outcomes);
    let failed =
        outcomes.map(|outcome| &outcome.response).find(|response| response.error_code != 0);
    match (acks, failed) {
        (0, None) => return Answer::Silence,
        (0, Some(failed)) => {
            let why = failed.error_message.as_deref().unwrap_or_default();
            return Answer::Close(format!(
                "produce with acks=0 failed, error {}: {why}",
                failed.error_code
            ));
        }
        _ => {}
    }
    let responses = topics.into_iter().map(|(topic, outcomes)| TopicProduceResponse {
        partition_responses: outcomes.into_iter().map(|outcome| outcome.response).collect(),
        ..topic
    });
    let response = ProduceResponse { responses: responses.collect(), ..ProduceResponse::default() };
    Answer::Response(response.into())
}

fn append_topic(
    context: &RequestContext,
    topic: TopicProduceData,
    acks: i16,
    transactional: bool,
) -> Vec<Outcome> {
    let broker = &context.broker;
    let image = broker.image();
    let by_id = context.api_version >= 13;
    let found = match by_id {
        true => image.topic_by_id(topic.topic_id),
        false => image.topics.get(&topic.name),
    };
    let refusal = if !(-1..=1).contains(&acks) {
        // PR-03
        Some(AppendError::new(ErrorCode::InvalidRequiredAcks, "acks must be -1, 0 or 1"))
    } else if found.is_some_and(|topic| is_internal(&topic.name))
        && context.client_id.as_deref() != Some(ADMIN_CLIENT)
    {
        // PR-29
        let message = "clients do not write to the broker's own topics";
        Some(AppendError::new(ErrorCode::InvalidTopicException, message))
    } else {
        None
    };
    let append = |index: i32, records: Option<Bytes>| {
        if let Some(refusal) = &refusal {
            return Err(refusal.clone());
        }
        // PR-05
        let partition = match found {
            Some(topic) => broker.partition_by_id(topic.id, index),
            None if by_id => Err(ErrorCode::UnknownTopicId),
            None => Err(ErrorCode::UnknownTopicOrPartition),
        };
        let partition = partition.map_err(|code| AppendError::new(code, not_found(code)))?;
        let batch = one_batch(records, context.api_version, transactional)?;
        let appended = partition.append(batch, Origin::Client, acks == ACKS_ALL, now_ms())?;
        Ok((partition, appended))
    };
    let one = |data: ottla_protocol::messages::produce::PartitionProduceData| {
        outcome(data.index, append(data.index, data.records))
    };
    topic.partition_data.into_iter().map(one).collect()
}

fn not_found(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::UnknownTopicId => "no topic has this id",
        ErrorCode::KafkaStorageError => "the partition's log is damaged, see the broker's own log",
        _ => "no such partition",
    }
}

/// PR-08: exactly one batch. PR-09: of magic 2. What is deeper inside is for the validation.
fn one_batch(
    records: Option<Bytes>,
    version: i16,
    transactional: bool,
) -> Result<Bytes, AppendError> {
    let invalid = |message: String| AppendError::new(ErrorCode::InvalidRecord, message);
    let records = records.unwrap_or_default();
    if records.is_empty() {
        return Err(invalid(
            "Produce requests must have exactly one record batch, found none".into(),
        ));
    }
    if records.len() < BATCH_HEADER_LEN {
        return Err(invalid(format!("{} bytes are no record batch", records.len())));
    }
    let header = BatchHeader::parse(&records).map_err(|error| match error.kind() {
        // PR-09: those that there were once; what is no magic at all is damage.
        RecordErrorKind::UnsupportedMagic if matches!(records[MAGIC_AT], 0 | 1) => {
            invalid(error.to_string())
        }
        _ => AppendError::new(ErrorCode::CorruptMessage, error.to_string()),
    })?;
    match header.size_in_bytes() {
        size if size > records.len() => {
            // Apache Kafka does not see a batch that is cut, and misses it: the same code as for
            // none.
            let there = records.len();
            return Err(invalid(format!("the batch says {size} bytes, the request has {there}")));
        }
        size if size < records.len() => {
            let message = "Produce requests must have exactly one record batch, found more";
            return Err(invalid(message.into()));
        }
        _ => {}
    }
    // PR-10
    if version < 7 && matches!(header.compression(), Ok(Compression::Zstd)) {
        let message = "zstd needs Produce version 7 or later";
        return Err(AppendError::new(ErrorCode::UnsupportedCompressionType, message));
    }
    // PR-27; transactions are left out (SKIPPED.md), so with an id they are in no state that allows
    // a write.
    if header.is_transactional() {
        return Err(match transactional {
            true => AppendError::new(ErrorCode::InvalidTxnState, "this broker has no transactions"),
            false => AppendError::new(
                ErrorCode::TransactionalIdAuthorizationFailed,
                "a transactional batch in a request without a transactional id",
            ),
        });
    }
    Ok(records)
}

fn outcome(index: i32, result: Result<(Arc<Partition>, Appended), AppendError>) -> Outcome {
    match result {
        Ok((partition, appended)) => Outcome {
            response: PartitionProduceResponse {
                index,
                base_offset: appended.base_offset,
                log_append_time_ms: appended.log_append_time_ms,
                log_start_offset: appended.log_start_offset,
                ..PartitionProduceResponse::default()
            },
            pending: Some((partition, appended.last_offset)),
        },
        Err(error) => {
            let record = |(index, message): (u32, String)| BatchIndexAndErrorMessage {
                batch_index: i32::try_from(index).unwrap_or(i32::MAX),
                batch_index_error_message: Some(message),
                ..BatchIndexAndErrorMessage::default()
            };
            Outcome {
                response: PartitionProduceResponse {
                    record_errors: error.records.into_iter().map(record).collect(),
                    ..failed(index, error.code, Some(error.message))
                },
                pending: None,
            }
        }
    }
}

fn failed(index: i32, code: ErrorCode, message: Option<String>) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        error_code: code.code(),
        base_offset: -1,
        error_message: message,
        ..PartitionProduceResponse::default()
    }
}

async fn wait_for_commit(
    topics: &mut [(TopicProduceResponse, Vec<Outcome>)],
    acks: i16,
    patience: Duration,
) {
    let deadline = tokio::time::Instant::now() + patience;
    for outcome in topics.iter_mut().flat_map(|(_, outcomes)| outcomes) {
        let Some((partition, last_offset)) = &outcome.pending else { continue };
        // M12: with flush-before-ack an acknowledgement of the leader alone is one of its disk,
        // too.
        if acks != ACKS_ALL && !partition.config().flush_before_ack() {
            continue;
        }
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        if let Err(code) = partition.committed(*last_offset, left).await {
            outcome.response = failed(outcome.response.index, code, None);
        }
    }
}
