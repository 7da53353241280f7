//! Correct requests with something in each of their fields, to be broken by tests.

use super::common::{Partition, metadata_of, shaped};
use super::groups::Group;
use super::malformed::CORRELATION;
use super::records::batch;
use crate::context::{Context, Step};
use crate::verdict::Stop;
use crate::wire;
use ottla_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use ottla_protocol::messages::{ApiKey, Request};

/// A request as it goes over the wire.
pub(super) struct Sent {
    pub(super) api: ApiKey,
    pub(super) version: i16,
    pub(super) frame: Vec<u8>,
}

/// Metadata, Produce, Fetch, ListOffsets, CreateTopics and JoinGroup in the lowest and the highest
/// version that the target lists.
pub(super) fn examples(context: &mut Context<'_>, partition: &Partition) -> Step<Vec<Sent>> {
    let member = Group::new(context)?.member(context)?;
    let topic = &partition.topic;
    let mut requests = Vec::new();
    for api in [
        ApiKey::Metadata,
        ApiKey::Produce,
        ApiKey::Fetch,
        ApiKey::ListOffsets,
        ApiKey::CreateTopics,
        ApiKey::JoinGroup,
    ] {
        let Some(versions) = context.target().versions_of(api) else { continue };
        // Before version 3 Produce takes older batches.
        let first = *versions.start().max(if api == ApiKey::Produce { &3 } else { &0 });
        for version in [first, *versions.end()] {
            let request = match api {
                ApiKey::Produce => partition.produce_request(-1, batch(&[b"value"])),
                ApiKey::Fetch => Request::Fetch(Box::new(partition.fetch_request(0))),
                ApiKey::ListOffsets => list_offsets(topic),
                ApiKey::CreateTopics => create_topics(context.name()),
                ApiKey::JoinGroup => member.join_request(version),
                _ => metadata_of(version, &[topic]),
            };
            let frame = wire::frame(version, CORRELATION, Some("c"), &shaped(request, version));
            let frame = frame.map_err(|error| Stop::harness(error.to_string()))?;
            requests.push(Sent { api, version, frame: frame.to_vec() });
        }
    }
    Ok(requests)
}

fn list_offsets(topic: &str) -> Request {
    let partition = ListOffsetsPartition {
        partition_index: 0,
        current_leader_epoch: -1,
        timestamp: -1,
        ..Default::default()
    };
    let topic = ListOffsetsTopic {
        name: topic.to_owned(),
        partitions: vec![partition],
        ..Default::default()
    };
    Request::ListOffsets(Box::new(ListOffsetsRequest {
        replica_id: -1,
        topics: vec![topic],
        ..Default::default()
    }))
}

fn create_topics(name: String) -> Request {
    let config = CreatableTopicConfig {
        name: "retention.ms".to_owned(),
        value: Some("-1".to_owned()),
        ..Default::default()
    };
    let topic = CreatableTopic {
        name,
        num_partitions: 1,
        replication_factor: 1,
        configs: vec![config],
        ..Default::default()
    };
    Request::CreateTopics(Box::new(CreateTopicsRequest {
        topics: vec![topic],
        timeout_ms: 1_000,
        ..Default::default()
    }))
}
