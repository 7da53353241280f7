//! A broker as a process, and a client of raw frames: the tests see the bytes that a client sees.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of this module")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_protocol::Encoder;
use ottla_protocol::header::{decode_response_header, encode_request_header};
use ottla_protocol::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::fetch::{FetchPartition, FetchTopic, PartitionData};
use ottla_protocol::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, TopicProduceData,
};
use ottla_protocol::messages::{
    ApiKey, ApiVersionsRequest, CreateTopicsRequest, FetchRequest, InitProducerIdRequest,
    ProduceRequest, Request, Response,
};
use ottla_protocol::records::{BatchBuilder, BatchFields, BatchIter, Compressor, Decompressor};

/// How long a test waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The broker's binary.
pub const BINARY: &str = env!("CARGO_BIN_EXE_ottla-broker");

/// A running broker process; killed when dropped.
#[derive(Debug)]
pub struct Process {
    pub child: Child,
    pub address: SocketAddr,
    pub ready_line: String,
}

impl Process {
    /// Starts `ottla-broker dev` on a free port and waits for its ready line.
    pub fn start(data_dir: &Path, settings: &[&str]) -> Self {
        Self::start_with(command(data_dir, settings).stderr(Stdio::null()))
    }

    /// Starts this command and waits for its ready line.
    pub fn start_with(command: &mut Command) -> Self {
        Self::start_and_read(command, 1).0
    }

    /// Starts this command, which has an `ops.listener`; where that is, by the second line.
    pub fn start_with_ops(command: &mut Command) -> (Self, SocketAddr) {
        let (process, lines) = Self::start_and_read(command, 2);
        let metrics = lines[1].strip_prefix("ottla-broker metrics on http://");
        let metrics = metrics.and_then(|rest| rest.strip_suffix("/metrics"));
        let metrics = metrics.and_then(|address| address.parse().ok());
        (process, metrics.unwrap_or_else(|| panic!("not where the metrics are: {lines:?}")))
    }

    fn start_and_read(command: &mut Command, count: usize) -> (Self, Vec<String>) {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary was built");
        let mut stdout = Lines::of(child.stdout.take().expect("stdout is a pipe"));
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        // From here on it ends with this function if it says nothing.
        let mut process = Self { child, address: nowhere, ready_line: String::new() };
        let lines: Vec<String> = (0..count).map(|_| stdout.next_with("")).collect();
        lines[0].clone_into(&mut process.ready_line);
        let address = lines[0].split_whitespace().nth(3).and_then(|word| word.parse().ok());
        process.address = address.unwrap_or_else(|| panic!("not a ready line: {lines:?}"));
        (process, lines)
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("the process runs");
        self.child.wait().expect("the process is ours");
    }

    /// SIGTERM; answers the exit status.
    pub fn terminate(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        self.child.wait().expect("the process is ours").code()
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("the process runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it has memory");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number of kB")
    }
}

/// The lines that a process writes, read as they come.
#[derive(Debug)]
pub struct Lines(Receiver<String>);

impl Lines {
    pub fn of(pipe: impl Read + Send + 'static) -> Self {
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self(lines)
    }

    /// The next line that holds `words`.
    pub fn next_with(&mut self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.0.recv_timeout(left) {
                Ok(line) if line.contains(words) => return line,
                Ok(_) => {}
                Err(error) => panic!("no line with '{words}': {error}"),
            }
        }
    }

    /// What is left, once the process has ended.
    pub fn rest(self) -> Vec<String> {
        self.0.into_iter().collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `ottla-broker dev` on a free port.
pub fn command(data_dir: &Path, settings: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(["dev", "--port", "0", "--data-dir"]).arg(data_dir);
    for setting in settings {
        command.args(["--set", setting]);
    }
    command
}

/// Runs a broker that must not start; answers its output.
pub fn refused(mut command: Command) -> Output {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().expect("the process is ours").is_none() {
        if Instant::now() > deadline {
            child.kill().expect("it runs");
            panic!("the broker started although it must not");
        }
        std::thread::yield_now();
    }
    child.wait_with_output().expect("the process has ended")
}

/// A connection that speaks in frames.
#[derive(Debug)]
pub struct Client {
    pub stream: TcpStream,
    next_correlation_id: i32,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the broker listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_nodelay(true).expect("nodelay can be set");
        Self { stream, next_correlation_id: 1 }
    }

    /// Sends a request without waiting; answers its correlation id.
    pub fn send(&mut self, version: i16, request: &Request) -> i32 {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let bytes = frame(version, request, correlation_id);
        self.stream.write_all(&bytes).expect("the broker reads");
        correlation_id
    }

    /// Reads a frame without its length; none at the end of the stream.
    pub fn read_frame(&mut self) -> Option<Bytes> {
        let mut prefix = [0; 4];
        if let Err(error) = self.stream.read_exact(&mut prefix) {
            let closed = matches!(
                error.kind(),
                std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset
            );
            assert!(closed, "the broker neither answers nor closes: {error}");
            return None;
        }
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(prefix)).expect("positive")];
        self.stream.read_exact(&mut frame).expect("the rest of the frame comes");
        Some(Bytes::from(frame))
    }

    /// Reads the answer to a request.
    pub fn receive(&mut self, api: ApiKey, version: i16, correlation_id: i32) -> Response {
        let frame = self.read_frame().expect("the connection stays open");
        let (header, body) = decode_response_header(&frame, api, version).expect("a header");
        assert_eq!(header.correlation_id, correlation_id, "answers come in order");
        Response::decode(api, version, &frame, body).expect("a whole body of that version")
    }

    pub fn call(&mut self, version: i16, request: impl Into<Request>) -> Response {
        let request = request.into();
        let api = request.api_key();
        let correlation_id = self.send(version, &request);
        self.receive(api, version, correlation_id)
    }

    /// Whether the broker still answers here.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.call(0, ApiVersionsRequest::default()), Response::ApiVersions(_))
    }

    /// Whether the broker has closed without another byte.
    pub fn is_closed(&mut self) -> bool {
        self.read_frame().is_none()
    }

    pub fn create_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
            name: (*name).to_owned(),
            value: Some((*value).to_owned()),
            ..Default::default()
        };
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: name.to_owned(),
                num_partitions: partitions,
                replication_factor: 1,
                configs: configs.iter().map(config).collect(),
                ..Default::default()
            }],
            timeout_ms: 10_000,
            ..Default::default()
        };
        let Response::CreateTopics(response) = self.call(5, request) else { panic!() };
        assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
    }

    /// Produces one batch; answers the partition's part.
    pub fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        acks: i16,
        batch: Bytes,
    ) -> PartitionProduceResponse {
        let request = produce_request(topic, partition, acks, batch);
        let Response::Produce(response) = self.call(9, request) else { panic!() };
        response.responses[0].partition_responses[0].clone()
    }

    /// Fetches from one partition.
    pub fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> PartitionData {
        let request = fetch_request(topic, partition, offset, 0, 1 << 20);
        let Response::Fetch(response) = self.call(11, request) else { panic!() };
        assert_eq!(response.error_code, 0);
        response.responses[0].partitions[0].clone()
    }

    /// All records from `offset` to the high watermark: offset and value.
    pub fn read_all(&mut self, topic: &str, partition: i32) -> Vec<(i64, Vec<u8>)> {
        let mut records = Vec::new();
        let mut offset = 0;
        loop {
            let part = self.fetch(topic, partition, offset);
            assert_eq!(part.error_code, 0, "fetch at {offset}");
            if offset >= part.high_watermark {
                return records;
            }
            let mut decompressor = Decompressor::new();
            let before = offset;
            for batch in BatchIter::new(part.records.expect("records are never null")) {
                let batch = batch.expect("a whole batch");
                batch.verify_crc().expect("its checksum holds");
                for record in batch.records(&mut decompressor).expect("readable").iter() {
                    let record = record.expect("a record");
                    if record.offset >= offset {
                        records.push((record.offset, record.value.unwrap_or_default().to_vec()));
                    }
                }
                offset = batch.header().next_offset();
            }
            assert!(offset > before, "the broker gives nothing below its high watermark");
        }
    }

    pub fn producer_id(&mut self) -> i64 {
        let request = InitProducerIdRequest {
            transactional_id: None,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        let Response::InitProducerId(response) = self.call(4, request) else { panic!() };
        assert_eq!(response.error_code, 0);
        response.producer_id
    }
}

/// A request as bytes, the length in front.
pub fn frame(version: i16, request: &Request, correlation_id: i32) -> Bytes {
    let mut out = Encoder::framed();
    encode_request_header(&mut out, request.api_key(), version, correlation_id, Some("test"))
        .expect("a short client id");
    request.encode(&mut out, version).expect("the request fits the version");
    out.into_bytes()
}

pub fn produce_request(topic: &str, partition: i32, acks: i16, batch: Bytes) -> ProduceRequest {
    ProduceRequest {
        acks,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            partition_data: vec![PartitionProduceData {
                index: partition,
                records: Some(batch),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub fn fetch_request(
    topic: &str,
    partition: i32,
    offset: i64,
    max_wait_ms: i32,
    max_bytes: i32,
) -> FetchRequest {
    FetchRequest {
        replica_id: -1,
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 50 << 20,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: topic.to_owned(),
            partitions: vec![FetchPartition {
                partition,
                current_leader_epoch: -1,
                fetch_offset: offset,
                last_fetched_epoch: -1,
                partition_max_bytes: max_bytes,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A batch of these values, without keys, of now.
pub fn batch(values: &[&[u8]]) -> Bytes {
    batch_of(values, &BatchFields::default())
}

/// A batch of an idempotent producer.
pub fn sequenced(values: &[&[u8]], producer_id: i64, epoch: i16, sequence: i32) -> Bytes {
    let fields = BatchFields {
        producer_id,
        producer_epoch: epoch,
        base_sequence: sequence,
        ..Default::default()
    };
    batch_of(values, &fields)
}

pub fn batch_of(values: &[&[u8]], fields: &BatchFields) -> Bytes {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("the clock is set")
        .as_millis();
    let mut builder = BatchBuilder::new(4096);
    for value in values {
        let now = i64::try_from(now).expect("a time of our age");
        builder.append(now, None, Some(value), &[]).expect("a small record");
    }
    builder.finish(fields, &mut Compressor::new()).expect("a small batch")
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

/// A folder that no broker has used.
pub fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("temporary files can be made");
    let path = folder.path().join("data");
    (folder, path)
}

/// Status, head and body of an answer.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Asks over HTTP.
pub fn ask(address: SocketAddr, method: &str, path: &str) -> Page {
    let mut stream = TcpStream::connect(address).expect("the port is open");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer in UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Page { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// The value of a metric with its labels as they are written.
pub fn value(text: &str, metric: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {metric} in\n{text}")).parse().expect("a number")
}
