//! The topics of the matrix: made, and looked at, by frames of the suite's own.

use super::records::CODECS;
use crate::target::Target;
use crate::wire::{Trace, Wire};
use ottla_protocol::Bytes;
use ottla_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use ottla_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use ottla_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use ottla_protocol::messages::{ApiKey, Request, Response};
use ottla_protocol::records::BatchHeader;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Instant;

/// More than all records of a topic take.
const FETCH_BYTES_MAX: i32 = 8 << 20;
/// Fetch by name, with sessions left out of it, which every broker since 0.11 has.
const FETCH_VERSION: i16 = 4;

fn connect(target: &Target, address: SocketAddr) -> Result<Wire, String> {
    Wire::connect(address, target.patience * 10, Trace::default(), 1, Instant::now())
        .map_err(|why| why.to_string())
}

/// Makes topics of one partition and waits until each has a leader.
pub(super) fn create(target: &Target, names: &[String]) -> Result<(), String> {
    let mut wire = connect(target, target.address)?;
    let version = target.best(ApiKey::CreateTopics).ok_or("the broker has no CreateTopics")?;
    // The records' timestamps are old.
    let keep = || CreatableTopicConfig {
        name: "retention.ms".to_owned(),
        value: Some("-1".to_owned()),
        ..Default::default()
    };
    let topic = |name: &String| CreatableTopic {
        name: name.clone(),
        num_partitions: 1,
        replication_factor: 1,
        configs: vec![keep()],
        ..Default::default()
    };
    let request = CreateTopicsRequest {
        topics: names.iter().map(topic).collect(),
        timeout_ms: 30_000,
        ..Default::default()
    };
    let request = Request::CreateTopics(Box::new(request));
    let answer = wire.call(version, &request).map_err(|why| why.to_string())?;
    let Response::CreateTopics(answer) = answer else {
        return Err("CreateTopics was answered by another API".to_owned());
    };
    if let Some(refused) = answer.topics.iter().find(|topic| topic.error_code != 0) {
        let (name, code) = (&refused.name, refused.error_code);
        return Err(format!("topic {name} cannot be made: error {code}"));
    }
    let until = Instant::now() + target.patience * 10;
    while names.iter().any(|name| leader(target, &mut wire, name).is_err()) {
        if Instant::now() > until {
            return Err("the topics got no leaders in time".to_owned());
        }
    }
    Ok(())
}

/// Where the leader of partition 0 is.
fn leader(target: &Target, wire: &mut Wire, topic: &str) -> Result<SocketAddr, String> {
    let version = target.best(ApiKey::Metadata).ok_or("the broker has no Metadata")?;
    let named = MetadataRequestTopic { name: Some(topic.to_owned()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![named]), ..Default::default() };
    let request = Request::Metadata(Box::new(request));
    let answer = wire.call(version, &request).map_err(|why| why.to_string())?;
    let Response::Metadata(answer) = answer else {
        return Err("Metadata was answered by another API".to_owned());
    };
    let partition = answer.topics.first().and_then(|topic| topic.partitions.first());
    let broker = partition
        .and_then(|part| answer.brokers.iter().find(|broker| broker.node_id == part.leader_id));
    let broker = broker.ok_or_else(|| format!("topic {topic} has no leader"))?;
    let place = (broker.host.as_str(), u16::try_from(broker.port).unwrap_or_default());
    let mut addresses = place.to_socket_addrs().map_err(|error| error.to_string())?;
    addresses.next().ok_or_else(|| format!("{} has no address", broker.host))
}

/// Whether a batch of the topic is of the codec: clients leave small ones uncompressed.
pub(super) fn has_codec(target: &Target, topic: &str, codec: &str) -> Result<bool, String> {
    let mut wire = connect(target, target.address)?;
    let leader = leader(target, &mut wire, topic)?;
    let mut wire = connect(target, leader)?;
    let partition = FetchPartition {
        partition: 0,
        fetch_offset: 0,
        partition_max_bytes: FETCH_BYTES_MAX,
        ..Default::default()
    };
    let topics = vec![FetchTopic {
        topic: topic.to_owned(),
        partitions: vec![partition],
        ..Default::default()
    }];
    let request = FetchRequest {
        max_wait_ms: 0,
        min_bytes: 0,
        max_bytes: FETCH_BYTES_MAX,
        topics,
        ..Default::default()
    };
    let request = Request::Fetch(Box::new(request));
    let answer = wire.call(FETCH_VERSION, &request).map_err(|why| why.to_string())?;
    let Response::Fetch(answer) = answer else {
        return Err("Fetch was answered by another API".to_owned());
    };
    let partition = answer.responses.first().and_then(|topic| topic.partitions.first());
    let records = partition.and_then(|part| part.records.clone()).unwrap_or_default();
    codecs(records).map(|found| found.contains(&codec))
}

/// The codec of each batch.
pub(super) fn codecs(mut records: Bytes) -> Result<Vec<&'static str>, String> {
    let mut found = Vec::new();
    while !records.is_empty() {
        let header = BatchHeader::parse(&records).map_err(|error| error.to_string())?;
        let number = usize::try_from(header.attributes.compression_code()).unwrap_or(usize::MAX);
        found.push(*CODECS.get(number).ok_or_else(|| format!("a batch has the codec {number}"))?);
        records = records.split_off(header.size_in_bytes().min(records.len()));
    }
    Ok(found)
}
