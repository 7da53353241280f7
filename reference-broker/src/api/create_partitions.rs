//! CreatePartitions (key 37), versions 0 to 3. A topic only ever grows; there is a result for every
//! topic (AD-08).

use std::collections::BTreeSet;

use ottla_protocol::messages::create_partitions::{
    CreatePartitionsTopic, CreatePartitionsTopicResult,
};
use ottla_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use ottla_protocol::{ErrorCode, Uuid};

use super::create_topics::check_replicas;
use super::{ApiError, RequestContext};
use crate::broker::{together, topics};
use crate::quorum::{Command, Image};

/// Kafka's limit of what one request may make.
const PARTITIONS_MAX: usize = 10_000;

pub(crate) async fn handle(
    context: &RequestContext,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<String> = (request.topics.iter())
        .filter(|topic| !seen.insert(topic.name.as_str()))
        .map(|topic| topic.name.clone())
        .collect();
    let (broker, image) = (&context.broker, context.broker.image());
    let mut answered = BTreeSet::new();
    // Partitions of one request are spread as if each topic grew before the next.
    let mut ahead = 0;
    let mut works = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        if !answered.insert(topic.name.as_str()) {
            continue;
        }
        let prepared = if twice.contains(&topic.name) {
            Err(ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name."))
        } else {
            prepare(&image, topic, ahead)
        };
        ahead += prepared.as_ref().map_or(0, |growth| growth.replicas.len());
        works.push(async move {
            let outcome = match prepared {
                Ok(_) if request.validate_only => Ok(()),
                Ok(Growth { id, expected_count, replicas }) => {
                    let command = Command::CreatePartitions { id, expected_count, replicas };
                    broker.propose(command).await.map(drop).map_err(ApiError::from)
                }
                Err(error) => Err(error),
            };
            let (code, message) = match outcome {
                Ok(()) => (ErrorCode::None, None),
                Err(error) => (error.code, Some(error.message)),
            };
            CreatePartitionsTopicResult {
                name: topic.name.clone(),
                error_code: code.code(),
                error_message: message,
                ..CreatePartitionsTopicResult::default()
            }
        });
    }
    let results = together(works).await;
    CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() }
}

/// The partitions that a topic gets.
struct Growth {
    id: Uuid,
    /// How many it has before.
    expected_count: usize,
    replicas: Vec<Vec<i32>>,
}

fn prepare(
    image: &Image,
    wanted: &CreatePartitionsTopic,
    ahead: usize,
) -> Result<Growth, ApiError> {
    let Some(topic) = image.topics.get(&wanted.name) else {
        let message = "This server does not host this topic-partition.";
        return Err(ApiError::new(ErrorCode::UnknownTopicOrPartition, message));
    };
    let current = topic.partitions.len();
    let bad = |message: String| Err(ApiError::new(ErrorCode::InvalidPartitions, message));
    let count = usize::try_from(wanted.count).unwrap_or(0);
    if count == current {
        return bad(format!("Topic already has {current} partition(s)."));
    }
    if count < current {
        let asked = wanted.count;
        return bad(format!(
            "The topic {} currently has {current} partition(s); {asked} would not be an increase.",
            wanted.name
        ));
    }
    let added = count - current;
    if added > PARTITIONS_MAX {
        let message = format!(
            "Excessively large number of partitions per request, at most {PARTITIONS_MAX} are \
             allowed."
        );
        return Err(ApiError::new(ErrorCode::PolicyViolation, message));
    }
    let factor = topic.partitions.first().map_or(1, |partition| partition.replicas.len());
    let replicas = match &wanted.assignments {
        None => topics::assign(image, ahead, added, factor)?,
        Some(assignments) => {
            if assignments.len() != added {
                let message = format!(
                    "Attempted to add {added} additional partition(s), but {} assignment(s) \
                     were specified.",
                    assignments.len()
                );
                return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
            }
            for assignment in assignments {
                check_replicas(image, &assignment.broker_ids)?;
            }
            assignments.iter().map(|assignment| assignment.broker_ids.clone()).collect()
        }
    };
    Ok(Growth { id: topic.id, expected_count: current, replicas })
}
