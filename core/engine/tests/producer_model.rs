//! The producer's sender against a model of brokers that lose connections, answer late, lead no
//! more and refuse, for many seeds.
//!
//! What must hold whatever happens: an acknowledged record is in the log at the offset it was told,
//! once; a record that is said not to be written is nowhere; records of a partition are in order.
//! The model has what makes this hard: a request whose connection was lost may still be carried out
//! later, after its retry.

use ottla_engine::call::{CallError, CallId, Target};
use ottla_engine::cluster::{Metadata, Seed};
use ottla_engine::producer::{
    Accumulator, Delivery, Limits, NewRecord, Output, PartitionBuffer, Sender, SenderConfig,
};
use ottla_engine::time::Instant;
use ottla_protocol::messages::metadata::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::produce::{
    LeaderIdAndEpoch, PartitionProduceResponse, TopicProduceResponse,
};
use ottla_protocol::messages::{
    InitProducerIdResponse, MetadataResponse, ProduceRequest, ProduceResponse, Request, Response,
};
use ottla_protocol::records::{BatchHeader, Compressor, Decompressor, RecordBatch};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

const PARTITIONS: usize = 2;
const NODES: [i32; 2] = [1, 2];

/// What a broker remembers of a producer id on a partition: its epoch, and the last five batches'
/// first sequence number, record count and offset.
#[derive(Default, Clone)]
struct ProducerState {
    epoch: i16,
    batches: VecDeque<(i32, i32, i64)>,
}

/// A partition: its leader's log, and what a former leader has that does not know of the next.
#[derive(Default)]
struct Log {
    leader: i32,
    leader_epoch: i32,
    replica: Replica,
    /// Records that every replica has, which a change of leaders keeps.
    committed: usize,
    zombie: Option<(i32, Replica)>,
}

#[derive(Default, Clone)]
struct Replica {
    records: Vec<u32>,
    producers: BTreeMap<i64, ProducerState>,
    batches: Vec<(BatchHeader, Vec<u32>)>,
}

impl Log {
    /// Another node leads, which may lack what is not committed; the former one may go on as if
    /// nothing had happened.
    fn lead(&mut self, node: i32, kept: usize, has_zombie: bool) {
        let former = std::mem::take(&mut self.replica);
        for (header, records) in &former.batches {
            if self.replica.records.len() + records.len() > kept {
                break;
            }
            self.replica.append(header, records).expect("it was accepted once");
        }
        self.zombie = (has_zombie && node != self.leader).then_some((self.leader, former));
        self.leader = node;
        self.leader_epoch += 1;
    }
}

impl Replica {
    /// Checks and appends as `ProducerAppendInfo` does.
    fn append(&mut self, header: &BatchHeader, records: &[u32]) -> Result<i64, i16> {
        let (sequence, count) = (header.base_sequence, header.record_count);
        let known = self.producers.get(&header.producer_id);
        if let Some(known) = known {
            if header.producer_epoch < known.epoch {
                return Err(47);
            }
            if header.producer_epoch > known.epoch {
                if sequence != 0 {
                    return Err(45);
                }
            } else {
                let same = |batch: &&(i32, i32, i64)| (batch.0, batch.1) == (sequence, count);
                if let Some((_, _, offset)) = known.batches.iter().find(same) {
                    return Ok(*offset);
                }
                let last = known.batches.back().expect("a known producer wrote a batch");
                if sequence != last.0 + last.1 {
                    return Err(45);
                }
            }
        }
        let offset = self.records.len() as i64;
        self.batches.push((*header, records.to_vec()));
        self.records.extend_from_slice(records);
        let state = self.producers.entry(header.producer_id).or_default();
        if state.epoch != header.producer_epoch {
            *state = ProducerState { epoch: header.producer_epoch, batches: VecDeque::new() };
        }
        state.batches.push_back((sequence, count, offset));
        if state.batches.len() > 5 {
            state.batches.pop_front();
        }
        Ok(offset)
    }
}

/// A request on its way to a node.
struct Sent {
    id: CallId,
    request: Request,
}

struct World {
    seed: Seed,
    now: Instant,
    sender: Sender,
    metadata: Arc<Metadata>,
    buffers: Vec<Arc<PartitionBuffer>>,
    logs: Vec<Log>,
    queues: BTreeMap<i32, VecDeque<Sent>>,
    /// Requests whose connection was lost, which may be carried out all the same.
    limbo: Vec<(i32, Request)>,
    deliveries: Vec<(u32, usize, Delivery)>,
    producer_id_next: i64,
    has_faults: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let limits =
            Limits { batch_bytes_max: 150, record_bytes_max: 10_000, memory_bytes_max: 1 << 20 };
        let config = SenderConfig {
            seed,
            delivery_timeout: Duration::from_millis(1500),
            ..SenderConfig::default()
        };
        let mut world = Self {
            seed: Seed::new(seed),
            now: Instant::from_millis(1),
            sender: Sender::new(config, Arc::new(Accumulator::new(limits))),
            metadata: Arc::default(),
            buffers: Vec::new(),
            logs: (0..PARTITIONS).map(|_| Log { leader: 1, ..Log::default() }).collect(),
            queues: NODES.iter().map(|node| (*node, VecDeque::new())).collect(),
            limbo: Vec::new(),
            deliveries: Vec::new(),
            producer_id_next: 100,
            has_faults: true,
        };
        world.publish_metadata();
        let topic: Arc<str> = "t".into();
        for partition in 0..PARTITIONS as i32 {
            world.buffers.push(world.sender.handle_partition(&topic, partition));
        }
        world
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.seed.next_u64() % bound
    }

    fn publish_metadata(&mut self) {
        let partition = |(index, log): (usize, &Log)| MetadataResponsePartition {
            partition_index: index as i32,
            leader_id: log.leader,
            leader_epoch: log.leader_epoch,
            ..Default::default()
        };
        let broker = |node_id: &i32| MetadataResponseBroker {
            node_id: *node_id,
            host: "h".into(),
            port: 9092,
            ..Default::default()
        };
        let answer = MetadataResponse {
            brokers: NODES.iter().map(broker).collect(),
            topics: vec![MetadataResponseTopic {
                name: Some("t".into()),
                partitions: self.logs.iter().enumerate().map(partition).collect(),
                ..Default::default()
            }],
            ..Default::default()
        };
        self.metadata = Arc::new(self.metadata.updated(&answer, false));
        self.sender.handle_metadata(self.metadata.clone());
    }

    fn step(&mut self) {
        match self.below(12) {
            0..=3 => self.append(),
            4..=7 => self.serve(),
            8 | 9 => {
                let ms = self.below(120);
                self.pass(ms);
            }
            10 => {
                let (partition, node) = (self.below(PARTITIONS as u64), self.below(2));
                if self.below(4) == 0 {
                    let (kept, has_zombie) = (self.below(40) as usize, self.below(2) == 0);
                    let log = &mut self.logs[partition as usize];
                    let kept = log.committed.max(log.replica.records.len().saturating_sub(kept));
                    log.lead(NODES[node as usize], kept, has_zombie);
                } else if self.below(4) == 0 {
                    self.logs[partition as usize].zombie = None;
                }
                if self.below(2) == 0 {
                    self.publish_metadata();
                }
            }
            _ => self.carry_out_late(),
        }
        self.drain();
    }

    fn append(&mut self) {
        for _ in 0..=self.below(3) {
            let number = self.deliveries.len() as u32;
            let partition = self.below(PARTITIONS as u64) as usize;
            let value = number.to_be_bytes();
            let record = NewRecord { timestamp: 0, key: None, value: Some(&value), headers: &[] };
            let now = self.now;
            let appended = self.buffers[partition].append(record, || now).expect("there is room");
            self.deliveries.push((number, partition, appended.delivery));
            if appended.wake_sender {
                self.sender.handle_wake();
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while let Some(at) = self.sender.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.sender.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    fn drain(&mut self) {
        while let Some(output) = self.sender.poll_output(self.now) {
            match output {
                Output::Call(call) => {
                    let node = match call.target {
                        Target::Node(node) => node,
                        _ => NODES[0],
                    };
                    let sent = Sent { id: call.id, request: call.request };
                    self.queues.get_mut(&node).expect("a known node").push_back(sent);
                }
                Output::Compress(job) => {
                    let done = job.run(&mut Compressor::new());
                    self.sender.handle_compressed(done);
                }
                Output::RefreshMetadata if self.has_faults => {}
                Output::RefreshMetadata => self.publish_metadata(),
                Output::LearnLeader { .. } => {}
            }
        }
    }

    /// A node takes its next request, and the answer arrives or does not.
    fn serve(&mut self) {
        let node = NODES[self.below(2) as usize];
        let fate = if self.has_faults { self.below(12) } else { 99 };
        let queue = self.queues.get_mut(&node).expect("a known node");
        let Some(sent) = queue.pop_front() else { return };
        match fate {
            0 => self.lose(node, sent, true),
            1 => self.lose(node, sent, false),
            2 | 3 => {
                let response = self.carry_out(node, &sent.request, true);
                self.sender.handle_response(self.now, sent.id, Ok((response, 9)));
            }
            _ => {
                let response = self.carry_out(node, &sent.request, false);
                self.sender.handle_response(self.now, sent.id, Ok((response, 9)));
            }
        }
    }

    /// The connection is lost, before or after the first request was carried out; the others were
    /// sent as well.
    fn lose(&mut self, node: i32, first: Sent, was_carried_out: bool) {
        let mut lost = vec![first];
        lost.extend(std::mem::take(self.queues.get_mut(&node).expect("a known node")));
        for (index, sent) in lost.into_iter().enumerate() {
            if index == 0 && was_carried_out {
                self.carry_out(node, &sent.request, false);
            } else {
                self.limbo.push((node, sent.request));
            }
            let error = match index {
                0 => CallError::Timeout { possibly_sent: true },
                _ => CallError::Disconnected { possibly_sent: true, reason: "lost".into() },
            };
            self.sender.handle_response(self.now, sent.id, Err(error));
        }
    }

    /// A request of a lost connection is carried out, or never; those of one connection in order.
    fn carry_out_late(&mut self) {
        if self.limbo.is_empty() {
            return;
        }
        let (node, request) = self.limbo.remove(0);
        if self.below(3) > 0 {
            self.carry_out(node, &request, false);
        }
    }

    fn carry_out(&mut self, node: i32, request: &Request, with_error: bool) -> Response {
        match request {
            Request::Produce(body) => self.produce(node, body, with_error),
            Request::InitProducerId(_) => {
                self.producer_id_next += 1;
                Response::InitProducerId(Box::new(InitProducerIdResponse {
                    producer_id: self.producer_id_next,
                    ..Default::default()
                }))
            }
            other => panic!("the sender asks {:?}", other.api_key()),
        }
    }

    fn produce(&mut self, node: i32, body: &ProduceRequest, with_error: bool) -> Response {
        let mut answers = Vec::new();
        for data in &body.topic_data[0].partition_data {
            let batch = data.records.clone().expect("records are never null");
            let batch = RecordBatch::parse(batch).expect("a sound batch");
            batch.verify_crc().expect("a sound checksum");
            let records = batch.records(&mut Decompressor::new()).expect("sound records");
            let number = |value: &[u8]| u32::from_be_bytes(value.try_into().expect("a number"));
            let numbers: Vec<u32> = records
                .iter()
                .map(|record| number(record.expect("a sound record").value.expect("a value")))
                .collect();
            let kind = self.below(6);
            let log = &mut self.logs[data.index as usize];
            let outcome = match &mut log.zombie {
                // It refuses by what it knows, and never learns that all have what it took.
                Some((zombie, replica)) if *zombie == node => {
                    let code = if kind == 0 { 7 } else { 6 };
                    replica.append(batch.header(), &numbers).and(Err(code))
                }
                _ if log.leader != node => Err(6),
                _ => match kind {
                    0 if with_error => Err(19),
                    1 if with_error => Err(10),
                    // Written, and the broker says that it does not know.
                    2 if with_error => log.replica.append(batch.header(), &numbers).and(Err(7)),
                    3 if with_error => log.replica.append(batch.header(), &numbers).and(Err(20)),
                    // Its place was lost while it waited for the others.
                    4 if with_error => log.replica.append(batch.header(), &numbers).and(Err(6)),
                    _ => log.replica.append(batch.header(), &numbers),
                },
            };
            if let Ok(offset) = outcome {
                log.committed = log.committed.max(offset as usize + numbers.len());
            }
            answers.push(PartitionProduceResponse {
                index: data.index,
                error_code: outcome.err().unwrap_or(0),
                base_offset: outcome.unwrap_or(-1),
                log_append_time_ms: -1,
                current_leader: LeaderIdAndEpoch::default(),
                ..Default::default()
            });
        }
        let topic = TopicProduceResponse {
            name: "t".into(),
            partition_responses: answers,
            ..Default::default()
        };
        Response::Produce(Box::new(ProduceResponse {
            responses: vec![topic],
            ..Default::default()
        }))
    }

    /// No more faults: everything ends.
    fn settle(&mut self) {
        self.has_faults = false;
        self.logs.iter_mut().for_each(|log| log.zombie = None);
        while !self.limbo.is_empty() {
            self.carry_out_late();
        }
        self.publish_metadata();
        self.drain();
        for _ in 0..1000 {
            if self.deliveries.iter().all(|(_, _, delivery)| delivery.try_result().is_some()) {
                return;
            }
            for _ in 0..4 {
                self.serve();
                self.drain();
            }
            self.pass(20);
        }
        panic!("records are never told their outcome");
    }

    fn check(&self) -> (usize, usize) {
        let (mut written, mut failed) = (0, 0);
        for (number, partition, delivery) in &self.deliveries {
            let log = &self.logs[*partition].replica.records;
            let copies = log.iter().filter(|record| *record == number).count();
            match delivery.try_result().expect("settled") {
                Ok(metadata) => {
                    written += 1;
                    assert_eq!(copies, 1, "record {number} was acknowledged");
                    assert_eq!(log[metadata.offset as usize], *number, "its offset is its own");
                }
                Err(error) if error.possibly_written() => {
                    failed += 1;
                    assert!(copies <= 1, "record {number} is there twice: {error}");
                }
                Err(error) => {
                    failed += 1;
                    assert_eq!(copies, 0, "record {number} was said not to be written: {error}");
                }
            }
        }
        for log in &self.logs {
            let records = &log.replica.records;
            assert!(records.is_sorted(), "order: {records:?}");
        }
        (written, failed)
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_written_twice() {
    let seeds = std::env::var("OTTLA_MODEL_SEEDS").map_or(300, |text| text.parse().unwrap());
    let (mut written, mut failed) = (0, 0);
    for seed in 0..seeds {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..400 {
                world.step();
            }
            world.settle();
            world.check()
        });
        let Ok((ok, err)) = outcome else { panic!("seed {seed} (see above)") };
        written += ok;
        failed += err;
    }
    // A model in which nothing fails, or everything, would show nothing.
    assert!(written > failed && failed > 0, "{written} written, {failed} failed");
}
