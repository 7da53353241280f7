//! DeleteTopics (key 20), versions 1 to 6. By name, or from version 6 by id (AD-07).

use std::collections::BTreeSet;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::delete_topics::{DeletableTopicResult, DeleteTopicState};
use ottla_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

use super::{ApiError, RequestContext};
use crate::broker::Broker;
use crate::quorum::Command;

pub(crate) async fn handle(
    context: &RequestContext,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let by_name = |name: String| DeleteTopicState { name: Some(name), ..Default::default() };
    let wanted = if context.api_version >= 6 {
        request.topics
    } else {
        request.topic_names.into_iter().map(by_name).collect()
    };
    let mut seen = BTreeSet::new();
    let mut responses = Vec::with_capacity(wanted.len());
    for topic in wanted {
        let first = seen.insert((topic.name.clone(), topic.topic_id));
        let outcome = if first {
            delete(&context.broker, &topic).await
        } else {
            Err(ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name or id."))
        };
        responses.push(match outcome {
            Ok(deleted) => deleted,
            Err(error) => DeletableTopicResult {
                name: topic.name,
                topic_id: topic.topic_id,
                error_code: error.code.code(),
                error_message: Some(error.message),
                ..DeletableTopicResult::default()
            },
        });
    }
    DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() }
}

async fn delete(
    broker: &Broker,
    wanted: &DeleteTopicState,
) -> Result<DeletableTopicResult, ApiError> {
    if !broker.config().bool("delete.topic.enable") {
        let message = "Topic deletion is disabled.";
        return Err(ApiError::new(ErrorCode::TopicDeletionDisabled, message));
    }
    let image = broker.image();
    let found = match (&wanted.name, wanted.topic_id.is_zero()) {
        (Some(_), false) => {
            let message = "You may not specify both topic name and topic id.";
            return Err(ApiError::new(ErrorCode::InvalidRequest, message));
        }
        (None, true) => {
            let message = "Neither topic name nor id were specified.";
            return Err(ApiError::new(ErrorCode::InvalidRequest, message));
        }
        (Some(name), true) => image.topics.get(name).ok_or_else(|| {
            let message = "This server does not host this topic-partition.";
            ApiError::new(ErrorCode::UnknownTopicOrPartition, message)
        })?,
        (None, false) => image.topic_by_id(wanted.topic_id).ok_or_else(|| {
            let message = "This server does not host this topic ID.";
            ApiError::new(ErrorCode::UnknownTopicId, message)
        })?,
    };
    broker.propose(Command::DeleteTopic { id: found.id }).await?;
    Ok(DeletableTopicResult {
        name: Some(found.name.clone()),
        topic_id: found.id,
        ..DeletableTopicResult::default()
    })
}
