//! DeleteTopics (key 20), versions 1 to 6. By name, or from version 6 by id (AD-07). A topic that a
//! request has twice is answered once, and kept.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::delete_topics::{DeletableTopicResult, DeleteTopicState};
use ottla_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

use super::{ApiError, RequestContext};
use crate::broker::{Broker, together};
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
    let twice = twice(&context.broker, &wanted);
    let mut answered = BTreeSet::new();
    let mut works = Vec::with_capacity(wanted.len());
    for (topic, is_twice) in wanted.into_iter().zip(twice) {
        if !answered.insert((topic.name.clone(), topic.topic_id)) {
            continue;
        }
        works.push(async move {
            let outcome = if is_twice {
                Err(ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name or id."))
            } else {
                delete(&context.broker, &topic).await
            };
            outcome.unwrap_or_else(|error| DeletableTopicResult {
                name: topic.name,
                topic_id: topic.topic_id,
                error_code: error.code.code(),
                error_message: Some(error.message),
                ..DeletableTopicResult::default()
            })
        });
    }
    let responses = together(works).await;
    DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() }
}

/// Which of these stand for a topic that another one of them stands for too (K-DELETE-TOPICS-009).
/// It has to be known before the first is deleted.
fn twice(broker: &Broker, wanted: &[DeleteTopicState]) -> Vec<bool> {
    let image = broker.image();
    let which = |topic: &DeleteTopicState| match &topic.name {
        Some(name) if topic.topic_id.is_zero() => match image.topics.get(name) {
            Some(found) => (None, found.id),
            None => (Some(name.clone()), topic.topic_id),
        },
        name => (name.clone(), topic.topic_id),
    };
    let mut counts = BTreeMap::new();
    for topic in wanted {
        *counts.entry(which(topic)).or_insert(0) += 1;
    }
    wanted.iter().map(|topic| counts[&which(topic)] > 1).collect()
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
