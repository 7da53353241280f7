//! A tiny client with a planted fault, as a shim: what it is told and by which fault comes in the
//! environment, its lines go out by file descriptor 3.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ottla_conformance::wire::{Answer, NoAnswer, Trace, Wire};
use ottla_protocol::Bytes;
use ottla_protocol::messages::create_topics::CreatableTopic;
use ottla_protocol::messages::fetch::{FetchPartition, FetchTopic};
use ottla_protocol::messages::metadata::MetadataRequestTopic;
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_fetch::OffsetFetchRequestTopic;
use ottla_protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    FetchRequest, FetchResponse, InitProducerIdRequest, InitProducerIdResponse, JoinGroupRequest,
    JoinGroupResponse, MetadataRequest, MetadataResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, ProduceRequest, ProduceResponse,
    Request,
};
use ottla_protocol::records::{BatchBuilder, BatchFields, BatchIter, Compressor, Decompressor};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(2);
const TOPIC: &str = "played";

struct Client {
    fault: String,
    address: SocketAddr,
    wire: Wire,
    versions: BTreeMap<i16, (i16, i16)>,
    out: File,
}

pub(crate) fn run() {
    let fault = std::env::var("FAULT").unwrap_or_default();
    let operation = std::env::var("OPERATION").unwrap_or_default();
    let mut out = OpenOptions::new().write(true).open("/dev/fd/3").expect("the shim's output");
    if operation == "version" {
        writeln!(out, "{}", json!({"client": "bad", "version": fault})).expect("a reader");
        return;
    }
    let mut lines = std::io::stdin().lock().lines();
    let task = lines.next().expect("a task").expect("a readable line");
    let task: Value = serde_json::from_str(&task).expect("JSON");
    let address = task["bootstrap"].as_str().expect("an address").parse().expect("host:port");
    let wire = connect(address);
    let mut client = Client { fault, address, wire, versions: BTreeMap::new(), out };
    client.negotiate();
    match operation.as_str() {
        "produce" => client.produce(&task, lines),
        "consume-group" => client.consume(&task),
        _ => client.create(lines),
    }
    client.say(&json!({"done": true}));
}

fn connect(address: SocketAddr) -> Wire {
    Wire::connect(address, PATIENCE, Trace::default(), 1, Instant::now()).expect("a broker")
}

impl Client {
    fn has(&self, fault: &str) -> bool {
        self.fault == fault
    }

    fn say(&mut self, line: &Value) {
        writeln!(self.out, "{line}").expect("a reader");
    }

    /// The highest version that both sides have, of those that this client knows.
    fn version(&self, api: ApiKey, known: i16) -> i16 {
        let (first, last) = self.versions.get(&api.code()).copied().unwrap_or((0, 0));
        if self.has("newest-version") { known } else { known.clamp(first, last) }
    }

    fn call<A: Answer>(&mut self, known: i16, request: &Request) -> Result<A, NoAnswer> {
        let version = self.version(request.api_key(), known);
        let answer = self.wire.call(version, request)?;
        A::of(answer).ok_or_else(|| NoAnswer::NotAFrame("another API's answer".to_owned()))
    }

    fn negotiate(&mut self) {
        let ask = Request::ApiVersions(Box::<ApiVersionsRequest>::default());
        let answer = self.wire.call(0, &ask).expect("an answer to ApiVersions");
        let answer = ApiVersionsResponse::of(answer).expect("the API's answer");
        let range = |api: &ottla_protocol::messages::api_versions::ApiVersion| {
            (api.api_key, (api.min_version, api.max_version))
        };
        self.versions = answer.api_keys.iter().map(range).collect();
    }

    fn reconnect(&mut self) {
        self.wire = connect(self.address);
        self.negotiate();
    }

    /// Waits until the topic has partitions.
    fn find_leader(&mut self) {
        for _ in 0..50 {
            let topic = MetadataRequestTopic { name: Some(TOPIC.to_owned()), ..Default::default() };
            let ask = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
            let ask = Request::Metadata(Box::new(ask));
            let Ok(answer) = self.call::<MetadataResponse>(9, &ask) else { return };
            let is_known = answer.topics.iter().any(|topic| !topic.partitions.is_empty());
            if is_known || self.has("guesses-partitions") {
                return;
            }
        }
    }

    fn produce(&mut self, task: &Value, lines: impl Iterator<Item = std::io::Result<String>>) {
        self.find_leader();
        let acks = match task["acks"].as_str() {
            Some("0") => 0,
            _ => -1,
        };
        let ask = InitProducerIdRequest { transaction_timeout_ms: 1000, ..Default::default() };
        let ask = Request::InitProducerId(Box::new(ask));
        let producer = self.call::<InitProducerIdResponse>(3, &ask);
        let producer_id = producer.map_or(-1, |answer| answer.producer_id);
        let mut sequence = 0;
        for (number, line) in lines.enumerate() {
            let line: Value = serde_json::from_str(&line.expect("a readable line")).expect("JSON");
            let value = STANDARD.decode(line["value"].as_str().unwrap_or_default());
            let value = value.expect("base64");
            let end = self.write(acks, producer_id, &mut sequence, &value);
            self.say(&match end {
                Ok(offset) => json!({"record": number, "partition": 0, "offset": offset}),
                Err(code) => json!({"record": number, "error": {
                    "code": code, "name": "", "retriable": null, "message": "",
                }}),
            });
            sequence += 1;
        }
    }

    /// Writes a record; its offset, or the error. An answer that is lost is asked for again.
    fn write(
        &mut self,
        acks: i16,
        producer_id: i64,
        sequence: &mut i32,
        value: &[u8],
    ) -> Result<i64, i16> {
        for _ in 0..4 {
            let request = produce_request(acks, producer_id, *sequence, value);
            let version = self.version(ApiKey::Produce, 8);
            if acks == 0 {
                self.wire.send(version, &request).map_err(|_| -1_i16)?;
                if self.has("waits-for-acks-0") && self.wire.receive().is_err() {
                    return Err(7);
                }
                return Ok(-1);
            }
            let answer = if self.has("any-correlation-id") {
                self.any_answer(version, &request)
            } else {
                self.call::<ProduceResponse>(8, &request)
            };
            let Ok(answer) = answer else {
                self.reconnect();
                *sequence += i32::from(self.has("new-sequence"));
                continue;
            };
            let partition = &answer.responses[0].partition_responses[0];
            match partition.error_code {
                0 => return Ok(partition.base_offset),
                9_999 if self.has("success-by-default") => return Ok(0),
                44 if self.has("retries-all") => {}
                code => return Err(code),
            }
        }
        Err(44)
    }

    /// Takes the next answer, whatever it is the answer to.
    fn any_answer(&mut self, version: i16, request: &Request) -> Result<ProduceResponse, NoAnswer> {
        self.wire.send(version, request)?;
        let frame = self.wire.receive()?;
        let id = i32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
        let answer = ottla_conformance::wire::response(ApiKey::Produce, version, id, &frame)?;
        ProduceResponse::of(answer).ok_or_else(|| NoAnswer::NotAFrame("another API".to_owned()))
    }

    fn join(&mut self) -> Option<JoinGroupResponse> {
        let mut member_id = String::new();
        for _ in 0..3 {
            let protocol = ottla_protocol::messages::join_group::JoinGroupRequestProtocol {
                name: "range".to_owned(),
                ..Default::default()
            };
            let ask = JoinGroupRequest {
                group_id: "g".to_owned(),
                session_timeout_ms: 10_000,
                rebalance_timeout_ms: 10_000,
                member_id: member_id.clone(),
                protocol_type: "consumer".to_owned(),
                protocols: vec![protocol],
                ..Default::default()
            };
            let answer: JoinGroupResponse =
                self.call(5, &Request::JoinGroup(Box::new(ask))).ok()?;
            if answer.error_code == 0 {
                return Some(answer);
            }
            if !self.has("forgets-member-id") {
                member_id.clone_from(&answer.member_id);
            }
        }
        None
    }

    fn committed(&mut self) -> i64 {
        let topic = OffsetFetchRequestTopic {
            name: TOPIC.to_owned(),
            partition_indexes: vec![0],
            ..Default::default()
        };
        let ask = OffsetFetchRequest {
            group_id: "g".to_owned(),
            topics: Some(vec![topic]),
            ..Default::default()
        };
        let ask = Request::OffsetFetch(Box::new(ask));
        let answer: OffsetFetchResponse = self.call(5, &ask).expect("an answer to OffsetFetch");
        answer.topics[0].partitions[0].committed_offset.max(0)
    }

    fn consume(&mut self, task: &Value) {
        let joined = self.join();
        let mut position = self.committed();
        let count = task["count"].as_u64().unwrap_or(u64::MAX);
        let mut delivered = 0;
        for _ in 0..3 {
            for record in self.fetch(&mut position) {
                if delivered < count {
                    delivered += 1;
                    let offset = record;
                    self.say(&json!({
                        "topic": TOPIC, "partition": 0, "offset": offset, "timestamp": 0,
                        "key": null, "value": "", "headers": [],
                    }));
                    position = offset + 1;
                }
            }
        }
        let Some(joined) = joined else { return };
        let is_behind = i64::from(self.has("commits-the-last"));
        let partition = OffsetCommitRequestPartition {
            committed_offset: position - is_behind,
            ..Default::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: TOPIC.to_owned(),
            partitions: vec![partition],
            ..Default::default()
        };
        let ask = OffsetCommitRequest {
            group_id: "g".to_owned(),
            generation_id_or_member_epoch: joined.generation_id,
            member_id: joined.member_id,
            topics: vec![topic],
            ..Default::default()
        };
        let _ = self.call::<OffsetCommitResponse>(5, &Request::OffsetCommit(Box::new(ask)));
    }

    /// The offsets of the records from a position on.
    fn fetch(&mut self, position: &mut i64) -> Vec<i64> {
        let partition = FetchPartition {
            fetch_offset: *position,
            partition_max_bytes: 1 << 20,
            ..Default::default()
        };
        let topic = FetchTopic {
            topic: TOPIC.to_owned(),
            partitions: vec![partition],
            ..Default::default()
        };
        let ask = FetchRequest { max_wait_ms: 50, topics: vec![topic], ..Default::default() };
        let Ok(answer) = self.call::<FetchResponse>(4, &Request::Fetch(Box::new(ask))) else {
            return Vec::new();
        };
        let records = answer.responses[0].partitions[0].records.clone().unwrap_or_default();
        self.offsets(*position, records)
    }

    fn offsets(&mut self, position: i64, records: Bytes) -> Vec<i64> {
        let mut offsets = Vec::new();
        for batch in BatchIter::new(records) {
            let Ok(batch) = batch else { break };
            if batch.verify_crc().is_err() && !self.has("trusts-checksums") {
                self.say(&json!({"error": {"code": 2, "name": "CORRUPT_MESSAGE"}}));
                break;
            }
            if batch.header().is_control() && !self.has("hands-over-control") {
                continue;
            }
            let Ok(records) = batch.records(&mut Decompressor::new()) else { break };
            let all = records.iter().filter_map(|record| Some(record.ok()?.offset));
            let is_whole = self.has("whole-batches");
            offsets.extend(all.filter(|offset| is_whole || *offset >= position));
        }
        offsets
    }

    fn create(&mut self, lines: impl Iterator<Item = std::io::Result<String>>) {
        for _ in lines {
            let topic = CreatableTopic {
                name: "made".to_owned(),
                num_partitions: 1,
                replication_factor: 1,
                ..Default::default()
            };
            let ask = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
            let ask = Request::CreateTopics(Box::new(ask));
            let answer: CreateTopicsResponse = self.call(5, &ask).expect("an answer");
            let topic = &answer.topics[0];
            let message = topic.error_message.clone().filter(|_| !self.has("keeps-messages"));
            let code = topic.error_code;
            self.say(&match code {
                0 => json!({"ok": true}),
                _ => json!({"error": {"code": code, "name": "", "message": message}}),
            });
        }
    }
}

fn produce_request(acks: i16, producer_id: i64, sequence: i32, value: &[u8]) -> Request {
    let mut builder = BatchBuilder::new(256);
    builder.append(0, None, Some(value), &[]).expect("a small record");
    let producer_epoch = if producer_id < 0 { -1 } else { 0 };
    let base_sequence = if producer_id < 0 { -1 } else { sequence };
    let fields = BatchFields { producer_id, producer_epoch, base_sequence, ..Default::default() };
    let batch = builder.finish(&fields, &mut Compressor::new()).expect("a small batch");
    let data = PartitionProduceData { index: 0, records: Some(batch), ..Default::default() };
    let topic = TopicProduceData {
        name: TOPIC.to_owned(),
        partition_data: vec![data],
        ..Default::default()
    };
    let ask =
        ProduceRequest { acks, timeout_ms: 1000, topic_data: vec![topic], ..Default::default() };
    Request::Produce(Box::new(ask))
}
