//! The frames and batches that all codecs are given.

use bytes::Bytes;
use ottla_protocol::Message;
use ottla_protocol::messages::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
use ottla_protocol::messages::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use ottla_protocol::records::{BatchBuilder, BatchFields, Compressor, Header};

/// The versions: flexible ones in which topics still go by name.
pub const METADATA_VERSION: i16 = 12;
/// As [`METADATA_VERSION`].
pub const PRODUCE_VERSION: i16 = 9;
/// As [`METADATA_VERSION`].
pub const FETCH_VERSION: i16 = 12;
/// Records of the batches whose reading and writing is measured.
pub const RECORDS: usize = 1000;
/// The time of the first record; each is a millisecond after the one before.
pub const TIME: i64 = 1_700_000_000_000;

const VALUE_LEN: usize = 100;
/// Few enough that their batch is below what our encoder shares instead of copying: all copy.
const RECORDS_OF_PARTITION: usize = 5;
const TOPICS: usize = 10;
const PARTITIONS: i32 = 10;

/// The values of a batch's records.
pub fn values(count: usize) -> Vec<Vec<u8>> {
    let value = |at: usize| (0..VALUE_LEN).map(|byte| (at + byte) as u8).collect();
    (0..count).map(value).collect()
}

/// The headers of each record.
pub fn headers(with: bool) -> Vec<(&'static str, &'static [u8])> {
    let all: [(&str, &[u8]); 2] = [("trace-id", b"0123456789abcdef"), ("source", b"checkout")];
    if with { all.to_vec() } else { Vec::new() }
}

/// A batch of records without keys.
pub fn batch(count: usize, with_headers: bool) -> Bytes {
    let headers = headers(with_headers);
    let headers: Vec<_> =
        headers.iter().map(|(key, value)| Header::new(key, Some(value))).collect();
    let mut builder = BatchBuilder::new(1024);
    for (at, value) in values(count).iter().enumerate() {
        builder.append(TIME + at as i64, None, Some(value), &headers).expect("a small record");
    }
    builder.finish(&BatchFields::default(), &mut Compressor::new()).expect("a small batch")
}

/// A cluster of 3 brokers and 100 topics of 12 partitions, each on all three.
pub fn metadata() -> MetadataResponse {
    let broker = |node_id| MetadataResponseBroker {
        node_id,
        host: format!("broker-{node_id}.kafka.example.org"),
        port: 9092,
        rack: Some(format!("rack-{node_id}")),
        ..Default::default()
    };
    let partition = |partition_index| MetadataResponsePartition {
        partition_index,
        leader_id: partition_index % 3,
        leader_epoch: 7,
        replica_nodes: vec![0, 1, 2],
        isr_nodes: vec![0, 1, 2],
        ..Default::default()
    };
    let topic = |at: u8| MetadataResponseTopic {
        name: Some(format!("orders.eu-west.{at}")),
        topic_id: ottla_protocol::Uuid([at + 1; 16]),
        partitions: (0..12).map(partition).collect(),
        ..Default::default()
    };
    MetadataResponse {
        brokers: (0..3).map(broker).collect(),
        cluster_id: Some("u1qJXHdGTmiWLwmDSpLsbA".to_owned()),
        controller_id: 1,
        topics: (0..100).map(topic).collect(),
        ..Default::default()
    }
}

/// 10 topics of 10 partitions, a small batch each.
pub fn produce() -> ProduceRequest {
    let records = batch(RECORDS_OF_PARTITION, false);
    let partition = |index| PartitionProduceData {
        index,
        records: Some(records.clone()),
        ..Default::default()
    };
    let topic = |at: usize| TopicProduceData {
        name: format!("orders.eu-west.{at}"),
        partition_data: (0..PARTITIONS).map(partition).collect(),
        ..Default::default()
    };
    ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: (0..TOPICS).map(topic).collect(),
        ..Default::default()
    }
}

/// The answer with what [`produce`] has sent.
pub fn fetch() -> FetchResponse {
    let records = batch(RECORDS_OF_PARTITION, false);
    let partition = |partition_index| PartitionData {
        partition_index,
        high_watermark: 5,
        last_stable_offset: 5,
        log_start_offset: 0,
        aborted_transactions: None,
        records: Some(records.clone()),
        ..Default::default()
    };
    let topic = |at: usize| FetchableTopicResponse {
        topic: format!("orders.eu-west.{at}"),
        partitions: (0..PARTITIONS).map(partition).collect(),
        ..Default::default()
    };
    FetchResponse { responses: (0..TOPICS).map(topic).collect(), ..Default::default() }
}

/// A message's bytes.
pub fn frame(message: &impl Message, version: i16) -> Bytes {
    message.to_bytes(version).expect("the version has all of its fields")
}
