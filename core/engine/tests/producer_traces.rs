//! The producer's sender, driven by the scripts in `scripts/producer`.
//!
//! A script is blocks of commands, `----`, and what came of them: calls, and records that were told
//! their outcome. `OTTLA_UPDATE_TRACES=1` writes what came into the scripts; read the difference
//! before committing it.
//!
//! | command | meaning |
//! | --- | --- |
//! | `config NAME=VALUE ...` | a new sender; times in ms |
//! | `metadata TOPIC LEADER@EPOCH ...` | one per partition; `-` for no leader |
//! | `append T/P COUNT [SIZE]` | that many records, with values of that size |
//! | `time MS` | lets time pass |
//! | `id CALL ID EPOCH` | answers InitProducerId |
//! | `answer CALL T/P=OFFSET\|eCODE ...` | answers Produce |
//! | `eCODE:L@E`, `eCODE#N` | names a newer leader, or a refused record |
//! | `lost CALL sent\|unsent`, `late CALL` | the connection was lost; no answer in time |
//! | `flush`, `close` | as the user calls them |

use ottla_engine::call::{Call, CallError, CallId};
use ottla_engine::cluster::Metadata;
use ottla_engine::producer::{
    Accumulator, AppendError, Delivery, Limits, NewRecord, Output, PartitionBuffer, Sender,
    SenderConfig,
};
use ottla_engine::time::Instant;
use ottla_protocol::messages::metadata::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, PartitionProduceResponse, TopicProduceResponse,
};
use ottla_protocol::messages::{
    InitProducerIdResponse, MetadataResponse, ProduceResponse, Request, Response,
};
use ottla_protocol::records::{BatchHeader, Compression, Compressor};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A record that was appended and is not told its outcome yet.
struct Pending {
    name: String,
    number: usize,
    delivery: Delivery,
}

struct Bench {
    config: SenderConfig,
    limits: Limits,
    now: Instant,
    sender: Sender,
    accumulator: Arc<Accumulator>,
    metadata: Arc<Metadata>,
    buffers: BTreeMap<(String, i32), Arc<PartitionBuffer>>,
    counts: BTreeMap<String, usize>,
    /// Partitions whose broker takes nothing.
    unavailable: BTreeSet<(String, i32)>,
    pending: Vec<Pending>,
    out: String,
}

impl Bench {
    fn new() -> Self {
        let limits = Limits {
            batch_bytes_max: 16 << 10,
            record_bytes_max: 1 << 20,
            memory_bytes_max: 1 << 20,
        };
        Self::with(SenderConfig::default(), limits)
    }

    fn with(config: SenderConfig, limits: Limits) -> Self {
        let accumulator = Arc::new(Accumulator::new(limits.clone()));
        Self {
            sender: Sender::new(config.clone(), accumulator.clone()),
            config,
            limits,
            now: Instant::from_millis(1000),
            accumulator,
            metadata: Arc::default(),
            buffers: BTreeMap::new(),
            counts: BTreeMap::new(),
            unavailable: BTreeSet::new(),
            pending: Vec::new(),
            out: String::new(),
        }
    }

    fn run(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["config", settings @ ..] => self.configure(settings),
            ["metadata", topic, leaders @ ..] => self.set_metadata(topic, leaders),
            ["append", at, count] => self.append(at, count.parse().unwrap(), 10),
            ["append", at, count, size] => {
                self.append(at, count.parse().unwrap(), size.parse().unwrap());
            }
            ["time", ms] => self.pass(ms.parse().unwrap()),
            ["id", call, id, epoch] => {
                let body = InitProducerIdResponse {
                    producer_id: id.parse().unwrap(),
                    producer_epoch: epoch.parse().unwrap(),
                    ..Default::default()
                };
                self.respond(call, Ok((Response::InitProducerId(Box::new(body)), 4)));
            }
            ["answer", call, parts @ ..] => self.answer(call, parts),
            ["lost", call, how] => {
                let possibly_sent = *how == "sent";
                let reason = "h:9092: connection reset".to_owned();
                self.respond(call, Err(CallError::Disconnected { possibly_sent, reason }));
            }
            ["late", call] => self.respond(call, Err(CallError::Timeout { possibly_sent: true })),
            ["flush"] => {
                self.accumulator.begin_flush();
                self.sender.handle_wake();
            }
            ["close"] => self.sender.handle_close(),
            other => panic!("unknown command {other:?}"),
        }
        self.drain();
    }

    fn configure(&mut self, settings: &[&str]) {
        let (mut config, mut limits) = (self.config.clone(), self.limits.clone());
        for setting in settings {
            let (name, value) = setting.split_once('=').expect("name=value");
            let number = || value.parse::<u64>().expect("a number");
            match name {
                "availability" => {
                    let timeout = Duration::from_millis(number());
                    config.availability_timeout = Some(timeout).filter(|it| !it.is_zero());
                }
                "linger" => config.linger = Duration::from_millis(number()),
                "delivery" => config.delivery_timeout = Duration::from_millis(number()),
                "retries" => config.retries = number() as u32,
                "in_flight" => config.in_flight_max = number() as usize,
                "idempotent" => config.is_idempotent = value == "true",
                "acks" => config.acks = value.parse().expect("a number"),
                "batch" => limits.batch_bytes_max = number() as usize,
                "memory" => limits.memory_bytes_max = number(),
                "request" => config.request_bytes_max = number() as usize,
                "compression" => config.compression = value.parse::<Compression>().unwrap(),
                other => panic!("unknown setting {other}"),
            }
        }
        // Jitter from the seed; the backoffs in the scripts are those of seed 0.
        *self = Self::with(config, limits);
    }

    fn set_metadata(&mut self, topic: &str, leaders: &[&str]) {
        let partition = |(index, text): (usize, &&str)| {
            let (leader, epoch) = text.split_once('@').unwrap_or(("-1", "-1"));
            MetadataResponsePartition {
                partition_index: index as i32,
                leader_id: leader.parse().unwrap(),
                leader_epoch: epoch.parse().unwrap(),
                ..Default::default()
            }
        };
        let broker = |node_id| MetadataResponseBroker {
            node_id,
            host: "h".into(),
            port: 9092,
            ..Default::default()
        };
        let answer = MetadataResponse {
            brokers: (1..=3).map(broker).collect(),
            topics: vec![MetadataResponseTopic {
                name: Some(topic.into()),
                partitions: leaders.iter().enumerate().map(partition).collect(),
                ..Default::default()
            }],
            ..Default::default()
        };
        self.metadata = Arc::new(self.metadata.updated(&answer, false));
        self.sender.handle_metadata(self.metadata.clone());
        let name: Arc<str> = topic.into();
        for index in 0..leaders.len() as i32 {
            let key = (topic.to_owned(), index);
            let sender = &mut self.sender;
            self.buffers.entry(key).or_insert_with(|| sender.handle_partition(&name, index));
        }
    }

    fn append(&mut self, at: &str, count: usize, size: usize) {
        let (topic, partition) = place(at);
        let buffer = self.buffers[&(topic, partition)].clone();
        let value = vec![b'v'; size];
        for _ in 0..count {
            let record = NewRecord { timestamp: 5, key: None, value: Some(&value), headers: &[] };
            let next = self.counts.entry(at.to_owned()).or_default();
            match buffer.append(record, || self.now) {
                Ok(appended) => {
                    let (name, number) = (at.to_owned(), *next);
                    self.pending.push(Pending { name, number, delivery: appended.delivery });
                    *next += 1;
                    if appended.wake_sender {
                        self.sender.handle_wake();
                    }
                }
                Err(AppendError::Full) => {
                    writeln!(self.out, "{at} full").unwrap();
                    self.accumulator.set_starving();
                    self.sender.handle_wake();
                }
                Err(AppendError::Refused(error)) => {
                    writeln!(self.out, "{at} refused: {error}").unwrap();
                }
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

    fn answer(&mut self, call: &str, parts: &[&str]) {
        let mut topics: BTreeMap<String, Vec<PartitionProduceResponse>> = BTreeMap::new();
        for part in parts {
            let (at, outcome) = part.split_once('=').expect("T/P=OUTCOME");
            let (topic, index) = place(at);
            let mut answer = PartitionProduceResponse { index, ..Default::default() };
            answer.current_leader = LeaderIdAndEpoch::default();
            match outcome.strip_prefix('e') {
                None => answer.base_offset = outcome.parse().unwrap(),
                Some(error) => answer_error(&mut answer, error),
            }
            topics.entry(topic).or_default().push(answer);
        }
        let topic = |(name, partition_responses)| TopicProduceResponse {
            name,
            partition_responses,
            ..Default::default()
        };
        let body = ProduceResponse {
            responses: topics.into_iter().map(topic).collect(),
            ..Default::default()
        };
        self.respond(call, Ok((Response::Produce(Box::new(body)), 9)));
    }

    fn respond(&mut self, call: &str, result: Result<(Response, i16), CallError>) {
        let id = CallId(call.trim_start_matches('#').parse().expect("a call's number"));
        self.sender.handle_response(self.now, id, result);
    }

    fn drain(&mut self) {
        while let Some(output) = self.sender.poll_output(self.now) {
            match output {
                Output::Call(call) => self.print_call(&call),
                Output::Compress(job) => {
                    writeln!(self.out, "compress").unwrap();
                    let done = job.run(&mut Compressor::new());
                    self.sender.handle_compressed(done);
                }
                Output::RefreshMetadata => writeln!(self.out, "refresh metadata").unwrap(),
                Output::LearnLeader { topic, partition, leader, epoch } => {
                    writeln!(self.out, "leader of {topic}/{partition} is {leader}@{epoch}")
                        .unwrap();
                }
            }
        }
        for (place, buffer) in &self.buffers {
            let (topic, partition) = place;
            if buffer.is_available() && self.unavailable.remove(place) {
                writeln!(self.out, "{topic}/{partition} is available").unwrap();
            } else if !buffer.is_available() && self.unavailable.insert(place.clone()) {
                writeln!(self.out, "{topic}/{partition} is unavailable").unwrap();
            }
        }
        self.print_outcomes();
    }

    fn print_call(&mut self, call: &Call) {
        let Request::Produce(body) = &call.request else {
            return writeln!(self.out, "{} {}", call.id, call.request.api_key().name()).unwrap();
        };
        write!(self.out, "{} Produce to {:?}:", call.id, call.target).unwrap();
        for topic in &body.topic_data {
            for partition in &topic.partition_data {
                let bytes = partition.records.as_ref().expect("records are never null");
                let header = BatchHeader::parse(bytes).expect("a whole batch");
                let (count, sequence) = (header.record_count, header.base_sequence);
                let (id, epoch) = (header.producer_id, header.producer_epoch);
                write!(self.out, " {}/{} {count} records", topic.name, partition.index).unwrap();
                if id >= 0 {
                    write!(self.out, " seq {sequence} of {id}.{epoch}").unwrap();
                }
                self.out.push(',');
            }
        }
        self.out.pop();
        self.out.push('\n');
    }

    /// Neighbours with the same outcome on one line.
    fn print_outcomes(&mut self) {
        let mut lines: Vec<(String, usize, usize, String)> = Vec::new();
        self.pending.retain(|pending| {
            let Some(result) = pending.delivery.try_result() else { return true };
            let text = match result {
                Ok(metadata) if metadata.offset < 0 => "written, offset unknown".to_owned(),
                Ok(metadata) => format!("written at {}", metadata.offset - pending.number as i64),
                Err(error) => format!("failed: {:?}: {error}", error.kind()),
            };
            match lines.last_mut() {
                Some((name, _, end, same))
                    if *name == pending.name && *end == pending.number && *same == text =>
                {
                    *end += 1;
                }
                _ => lines.push((pending.name.clone(), pending.number, pending.number + 1, text)),
            }
            false
        });
        for (name, from, to, text) in lines {
            // An offset is shown as that of the line's first record.
            let text = match text.strip_prefix("written at ") {
                Some(shift) => {
                    let shift: i64 = shift.parse().unwrap();
                    format!("written at {}", shift + from as i64)
                }
                None => text,
            };
            writeln!(self.out, "{name} records {from}..{to} {text}").unwrap();
        }
    }
}

fn place(at: &str) -> (String, i32) {
    let (topic, partition) = at.split_once('/').expect("T/P");
    (topic.to_owned(), partition.parse().expect("a partition's number"))
}

fn answer_error(answer: &mut PartitionProduceResponse, error: &str) {
    let (code, rest) = match error.find([':', '#']) {
        Some(at) => error.split_at(at),
        None => (error, ""),
    };
    answer.error_code = code.parse().unwrap();
    answer.base_offset = -1;
    if let Some(leader) = rest.strip_prefix(':') {
        let (id, epoch) = leader.split_once('@').expect("leader@epoch");
        answer.current_leader = LeaderIdAndEpoch {
            leader_id: id.parse().unwrap(),
            leader_epoch: epoch.parse().unwrap(),
            ..Default::default()
        };
    }
    if let Some(index) = rest.strip_prefix('#') {
        answer.record_errors = vec![BatchIndexAndErrorMessage {
            batch_index: index.parse().unwrap(),
            batch_index_error_message: Some("no key".into()),
            ..Default::default()
        }];
    }
}

/// Runs a script; answers it with what came.
fn replay(script: &str) -> String {
    let mut bench = Bench::new();
    let mut result = String::new();
    let mut commands: Vec<&str> = Vec::new();
    let mut lines = script.lines().peekable();
    while let Some(line) = lines.next() {
        let text = line.trim();
        if text == "----" {
            for command in commands.drain(..) {
                bench.run(command);
            }
            result.push_str("----\n");
            result.push_str(&std::mem::take(&mut bench.out));
            while lines.peek().is_some_and(|line| !line.trim().is_empty()) {
                lines.next();
            }
            continue;
        }
        result.push_str(line);
        result.push('\n');
        if !text.is_empty() && !text.starts_with('#') {
            commands.push(text);
        }
    }
    assert!(commands.is_empty(), "the script ends with commands that no ---- follows");
    result
}

fn check(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/producer");
    let path = folder.join(name).with_extension("txt");
    let script = std::fs::read_to_string(&path).expect("the script is there");
    let result = replay(&script);
    assert_eq!(replay(&script), result, "a script runs the same way twice");
    if std::env::var_os("OTTLA_UPDATE_TRACES").is_some() {
        std::fs::write(&path, &result).expect("the script can be written");
        return;
    }
    if result != script {
        let same = |(a, b): &(&str, &str)| a == b;
        let at = result.lines().zip(script.lines()).take_while(same).count();
        panic!(
            "{}: line {}: came\n    {}\ninstead of\n    {}\n(whole trace:)\n{result}",
            path.display(),
            at + 1,
            result.lines().nth(at).unwrap_or("(the end)"),
            script.lines().nth(at).unwrap_or("(the end)"),
        );
    }
}

macro_rules! traces {
    ($($name:ident),* $(,)?) => {
        $(#[test] fn $name() { check(stringify!($name)); })*

        #[test]
        fn every_script_is_run() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/producer");
            let stem = |entry: std::io::Result<std::fs::DirEntry>| {
                let path = entry.expect("the folder can be read").path();
                path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned()
            };
            let entries = std::fs::read_dir(folder).expect("the folder is there");
            let mut found: Vec<String> = entries.map(stem).collect();
            found.sort();
            let mut run = vec![$(stringify!($name).to_owned()),*];
            run.sort();
            assert_eq!(found, run);
        }
    };
}

traces!(
    batching,
    memory,
    fresh_producer_id,
    retries_in_order,
    leader_moves,
    silent_leader,
    unresolved_then_epoch_bump,
    lost_sequence,
    producer_epoch_refused,
    too_large_is_split,
    possibly_written,
    record_errors,
    without_idempotence,
    missing_answer,
    compression,
    closing,
    availability,
);
