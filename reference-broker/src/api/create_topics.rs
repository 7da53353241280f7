//! CreateTopics (key 19), versions 2 to 7.
//!
//! Each topic is decided for itself; the answer comes when its partitions can be written to. From
//! version 5 it holds the settings in force (AD-06), from version 7 the topic id.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult,
};
use ottla_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};

use super::describe_configs::topic_entries;
use super::{ApiError, RequestContext};
use crate::broker::Broker;
use crate::broker::together;
use crate::broker::topics::{self, NewTopic};
use crate::quorum::Image;

/// Kafka's limit of what one request may make.
const PARTITIONS_MAX: usize = 10_000;

pub(crate) async fn handle(
    context: &RequestContext,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for topic in &request.topics {
        if !seen.insert(topic.name.as_str()) {
            twice.insert(topic.name.clone());
        }
    }
    let (broker, image) = (&context.broker, context.broker.image());
    let mut answered = BTreeSet::new();
    // Topics of one request are spread as if each was made before the next is placed.
    let mut ahead = 0;
    let mut made = BTreeMap::new();
    let mut works = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        // AD-03: a name that stands twice is refused, once.
        if !answered.insert(topic.name.clone()) {
            continue;
        }
        let prepared = if twice.contains(&topic.name) {
            Err(ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name."))
        } else {
            prepare(broker, &image, topic, ahead).and_then(|prepared| {
                // Those of one request are proposed together, and the first has the name.
                match made.insert(topic.name.replace('.', "_"), topic.name.as_str()) {
                    None => Ok(prepared),
                    Some(other) => Err(topics::collision(&topic.name, other)),
                }
            })
        };
        ahead += prepared.as_ref().map_or(0, |(new, _)| new.replicas.len());
        works.push(async move {
            let outcome = match prepared {
                // AD-04: validate_only has reported an existing topic by now, and creates nothing.
                Ok((_, result)) if request.validate_only => Ok(result),
                Ok((new, result)) => topics::create(broker, new)
                    .await
                    .map(|made| CreatableTopicResult { topic_id: made.id, ..result }),
                Err(error) => Err(error),
            };
            outcome.unwrap_or_else(|error| CreatableTopicResult {
                name: topic.name.clone(),
                error_code: error.code.code(),
                error_message: Some(error.message),
                ..CreatableTopicResult::default()
            })
        });
    }
    let topics = together(works).await;
    CreateTopicsResponse { topics, ..CreateTopicsResponse::default() }
}

/// What is to be made, and the answer when it is.
fn prepare(
    broker: &Broker,
    image: &Image,
    topic: &CreatableTopic,
    ahead: usize,
) -> Result<(NewTopic, CreatableTopicResult), ApiError> {
    topics::check_name(&topic.name)?;
    let new =
        NewTopic { name: topic.name.clone(), configs: own_configs(topic)?, replicas: Vec::new() };
    topics::check(image, &new)?;
    let replicas = replicas_of(broker, image, topic, ahead)?;
    if replicas.len() > PARTITIONS_MAX {
        let message = format!(
            "Excessively large number of partitions per request, at most {PARTITIONS_MAX} are \
             allowed."
        );
        return Err(ApiError::new(ErrorCode::PolicyViolation, message));
    }
    let replication_factor = replicas.first().map_or(0, Vec::len);
    let result = CreatableTopicResult {
        name: topic.name.clone(),
        num_partitions: i32::try_from(replicas.len()).expect("checked against the limit"),
        replication_factor: i16::try_from(replication_factor).unwrap_or(i16::MAX),
        configs: Some(described(broker, &new.configs)),
        ..CreatableTopicResult::default()
    };
    Ok((NewTopic { replicas, ..new }, result))
}

/// The topic's own settings; one that is null is refused, one without effect here is kept for the
/// record of it.
fn own_configs(topic: &CreatableTopic) -> Result<BTreeMap<String, String>, ApiError> {
    let mut configs = BTreeMap::new();
    for config in &topic.configs {
        let Some(value) = &config.value else {
            let message = format!("Null value not supported for topic configs: {}", config.name);
            return Err(ApiError::new(ErrorCode::InvalidConfig, message));
        };
        configs.insert(config.name.clone(), value.trim().to_owned());
    }
    Ok(configs)
}

/// AD-02, AD-03: counts (-1 is the broker's default), or an assignment and no counts.
fn replicas_of(
    broker: &Broker,
    image: &Image,
    topic: &CreatableTopic,
    ahead: usize,
) -> Result<Vec<Vec<i32>>, ApiError> {
    let config = broker.config();
    if !topic.assignments.is_empty() {
        return assigned_replicas(image, topic);
    }
    let partitions = match topic.num_partitions {
        -1 => config.int("num.partitions"),
        count => count,
    };
    if partitions <= 0 {
        let message = "Number of partitions was set to an invalid non-positive value.";
        return Err(ApiError::new(ErrorCode::InvalidPartitions, message));
    }
    let factor = match topic.replication_factor {
        -1 => config.long("default.replication.factor"),
        factor => i64::from(factor),
    };
    let Ok(factor) = usize::try_from(factor) else {
        let message = "Replication factor was set to an invalid non-positive value.";
        return Err(ApiError::new(ErrorCode::InvalidReplicationFactor, message));
    };
    let partitions = usize::try_from(partitions).expect("checked to be positive");
    if partitions > PARTITIONS_MAX {
        let message = format!(
            "Excessively large number of partitions per request, at most {PARTITIONS_MAX} are \
             allowed."
        );
        return Err(ApiError::new(ErrorCode::PolicyViolation, message));
    }
    topics::assign(image, ahead, partitions, factor)
}

fn assigned_replicas(image: &Image, topic: &CreatableTopic) -> Result<Vec<Vec<i32>>, ApiError> {
    let bad = |message: String| ApiError::new(ErrorCode::InvalidReplicaAssignment, message);
    if topic.replication_factor != -1 {
        let message = "A manual partition assignment was specified, but replication factor \
                       was not set to -1.";
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    }
    if topic.num_partitions != -1 {
        let message =
            "A manual partition assignment was specified, but numPartitions was not set to -1.";
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    }
    let mut by_index = BTreeMap::new();
    for assignment in &topic.assignments {
        check_replicas(image, &assignment.broker_ids)?;
        let ids = assignment.broker_ids.clone();
        if by_index.insert(assignment.partition_index, ids).is_some() {
            let index = assignment.partition_index;
            return Err(bad(format!(
                "Found multiple manual partition assignments for partition {index}"
            )));
        }
    }
    let dense = by_index.keys().copied().eq(0..i32::try_from(by_index.len()).unwrap_or(i32::MAX));
    if !dense {
        let message = "partitions should be a consecutive 0-based integer sequence";
        return Err(bad(message.into()));
    }
    Ok(by_index.into_values().collect())
}

/// What holds for one partition's replicas: there are some, each once, each a registered broker.
pub(crate) fn check_replicas(image: &Image, ids: &[i32]) -> Result<(), ApiError> {
    let bad = |message: String| Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
    if ids.is_empty() {
        return bad("The manual partition assignment includes an empty replica list.".into());
    }
    if ids.iter().collect::<BTreeSet<_>>().len() != ids.len() {
        return bad("The manual partition assignment includes a broker more than once.".into());
    }
    match ids.iter().find(|id| !image.brokers.contains_key(id)) {
        Some(id) => bad(format!(
            "The manual partition assignment includes broker {id}, but no such broker is \
             registered."
        )),
        None => Ok(()),
    }
}

/// AD-06: all settings in force, as version 5 and later report them.
fn described(broker: &Broker, own: &BTreeMap<String, String>) -> Vec<CreatableTopicConfigs> {
    topic_entries(broker, own)
        .map(|entry| CreatableTopicConfigs {
            name: entry.name.to_owned(),
            value: Some(entry.value),
            read_only: false,
            config_source: entry.source,
            is_sensitive: false,
            ..CreatableTopicConfigs::default()
        })
        .collect()
}
