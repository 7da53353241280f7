//! Metadata (key 3), versions 0 to 13.
//!
//! Which topics: version 0 an empty list is all, later null is all and an empty list none (MD-01);
//! by id from version 12. A topic that does not exist is created where broker and request allow it
//! (MD-02, MD-03).

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::metadata::{
    MetadataRequestTopic, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::{MetadataRequest, MetadataResponse};

use super::RequestContext;
use crate::broker::{Broker, is_internal, topics};
use crate::quorum::{Image, PartitionImage, TopicImage};

/// What everybody may do with a topic: there is no authoriser (MD-11). The bits are Kafka's
/// `AclOperation` codes: read, write, create, delete, alter, describe, describe configs, alter
/// configs.
const TOPIC_OPERATIONS: i32 =
    1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;
/// The same for the cluster: create, alter, describe, cluster action, describe and alter configs,
/// idempotent write.
pub(crate) const CLUSTER_OPERATIONS: i32 =
    1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

pub(crate) async fn handle(context: &RequestContext, request: MetadataRequest) -> MetadataResponse {
    let broker = &context.broker;
    let version = context.api_version;
    let include = request.include_topic_authorized_operations;
    let topics = match &request.topics {
        None => all_topics(broker, include),
        Some(topics) if topics.is_empty() && version == 0 => all_topics(broker, include),
        Some(topics) => {
            if let Some(refusal) = refuse_topics(topics, version) {
                return refusal;
            }
            let create = version < 4 || request.allow_auto_topic_creation;
            named_topics(context, topics, create, include).await
        }
    };
    let image = broker.image();
    let node = |(id, registered): (&i32, &crate::quorum::BrokerImage)| MetadataResponseBroker {
        node_id: *id,
        host: registered.host.clone(),
        port: i32::from(registered.port),
        rack: registered.rack.clone(),
        ..MetadataResponseBroker::default()
    };
    MetadataResponse {
        // A fenced broker serves nobody: clients do not learn of it.
        brokers: image.brokers.iter().filter(|(_, broker)| !broker.fenced).map(node).collect(),
        cluster_id: Some(broker.cluster_id().to_owned()),
        controller_id: broker.controller_id(),
        topics,
        cluster_authorized_operations: match request.include_cluster_authorized_operations {
            true => CLUSTER_OPERATIONS,
            false => i32::MIN,
        },
        ..MetadataResponse::default()
    }
}

/// MD-05: a null name needs an id, and ids are read from version 12 on.
fn refuse_topics(topics: &[MetadataRequestTopic], version: i16) -> Option<MetadataResponse> {
    let bad = |topic: &MetadataRequestTopic| {
        (topic.name.is_none() && topic.topic_id.is_zero())
            || (version < 12 && (topic.name.is_none() || !topic.topic_id.is_zero()))
    };
    if !topics.iter().any(bad) {
        return None;
    }
    let refused = |topic: &MetadataRequestTopic| MetadataResponseTopic {
        error_code: ErrorCode::InvalidRequest.code(),
        name: Some(topic.name.clone().unwrap_or_default()),
        topic_id: topic.topic_id,
        ..MetadataResponseTopic::default()
    };
    Some(MetadataResponse {
        topics: topics.iter().map(refused).collect(),
        ..MetadataResponse::default()
    })
}

fn all_topics(broker: &Broker, include: bool) -> Vec<MetadataResponseTopic> {
    let image = broker.image();
    image.topics.values().map(|topic| describe(broker, &image, topic, include)).collect()
}

async fn named_topics(
    context: &RequestContext,
    wanted: &[MetadataRequestTopic],
    create: bool,
    include: bool,
) -> Vec<MetadataResponseTopic> {
    let broker = &context.broker;
    let mut seen = BTreeSet::new();
    let mut answers = Vec::with_capacity(wanted.len());
    for topic in wanted {
        // MD-09: a topic that is named twice is answered once.
        if !seen.insert((topic.topic_id, topic.name.as_deref())) {
            continue;
        }
        let found = if topic.topic_id.is_zero() {
            let name = topic.name.as_deref().unwrap_or_default();
            by_name(broker, name, create).await
        } else {
            broker.image().topic_by_id(topic.topic_id).cloned().ok_or(ErrorCode::UnknownTopicId)
        };
        answers.push(match found {
            Ok(found) => describe(broker, &broker.image(), &found, include),
            Err(code) => MetadataResponseTopic {
                error_code: code.code(),
                // MD-05: null is not allowed before version 12.
                name: match (topic.topic_id.is_zero(), context.api_version >= 12) {
                    (false, true) => None,
                    _ => Some(topic.name.clone().unwrap_or_default()),
                },
                topic_id: topic.topic_id,
                is_internal: topic.name.as_deref().is_some_and(is_internal),
                ..MetadataResponseTopic::default()
            },
        });
    }
    answers
}

async fn by_name(
    broker: &Arc<Broker>,
    name: &str,
    create: bool,
) -> Result<Arc<TopicImage>, ErrorCode> {
    if let Some(topic) = broker.image().topics.get(name) {
        return Ok(Arc::clone(topic));
    }
    // MD-04: nothing is created under a bad name, and the client is told that the name is why.
    if topics::check_name(name).is_err() {
        return Err(ErrorCode::InvalidTopicException);
    }
    if !create || !broker.config().bool("auto.create.topics.enable") {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    topics::auto_create(broker, name).await.map_err(|error| error.code)
}

pub(super) fn describe(
    broker: &Broker,
    image: &Image,
    topic: &TopicImage,
    include: bool,
) -> MetadataResponseTopic {
    let partition = |(index, partition): (i32, &PartitionImage)| {
        // A damaged log here is a partition without a leader to its clients, as with Apache Kafka.
        let offline = broker.partitions().is_offline(topic.id, index);
        let serves = |id: i32| image.brokers.get(&id).is_some_and(|broker| !broker.fenced);
        let damaged =
            |id: i32| partition.offline.contains(&id) || (offline && id == broker.node_id());
        let alive = |id: i32| serves(id) && !damaged(id);
        let (leader_id, error_code) = match alive(partition.leader) {
            true => (partition.leader, ErrorCode::None),
            false => (-1, ErrorCode::LeaderNotAvailable),
        };
        MetadataResponsePartition {
            error_code: error_code.code(),
            partition_index: index,
            leader_id,
            leader_epoch: partition.leader_epoch,
            replica_nodes: partition.replicas.clone(),
            isr_nodes: partition.isr.clone(),
            offline_replicas: partition.replicas.iter().copied().filter(|id| !alive(*id)).collect(),
            ..MetadataResponsePartition::default()
        }
    };
    MetadataResponseTopic {
        name: Some(topic.name.clone()),
        topic_id: topic.id,
        is_internal: is_internal(&topic.name),
        partitions: (0..).zip(&topic.partitions).map(partition).collect(),
        topic_authorized_operations: if include { TOPIC_OPERATIONS } else { i32::MIN },
        ..MetadataResponseTopic::default()
    }
}
