//! The group APIs as a client sees them, against answers that Apache Kafka 4.3.1 gave.
//!
//! `tests/scripts/wire_*.txt` holds requests as JSON and, below `----`, the answer. With
//! `RECORD_FROM=127.0.0.1:9092 cargo test -p ottla-broker --test group_wire` they are written anew
//! from the broker there, which should be a fresh Apache Kafka whose
//! `group.initial.rebalance.delay.ms` is 0.
//!
//! A command is `CONNECTION API VERSION JSON`, with `>` behind the connection to send without
//! reading, `<` to read what was sent, `? PATH=VALUE` to ask again until the answer is so. A
//! trailing `=> NAME=PATH` keeps a part of the answer; `$NAME` stands for it from then on.

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use ottla_protocol::header::{decode_response_header, encode_request_header};
use ottla_protocol::messages::*;
use ottla_protocol::{Encoder, Message};
use serde_json::Value;
use support::{PATIENCE, Process, folder};

macro_rules! group_apis {
    ($($api:ident $request:ident $response:ident;)*) => {
        /// Writes the request that `json` says.
        fn encode(name: &str, version: i16, json: &Value) -> (ApiKey, Bytes) {
            let mut out = Encoder::new();
            let api = match name {
                $(stringify!($api) => {
                    let api = ApiKey::$api;
                    let request = $request::from_json(json, version).expect("a request");
                    encode_request_header(&mut out, api, version, 1, Some("cli"))
                        .expect("a short client id");
                    request.encode(&mut out, version).expect("a request of this version");
                    api
                })*
                other => panic!("unknown API {other}"),
            };
            (api, out.into_bytes())
        }

        fn decode(api: ApiKey, version: i16, frame: &Bytes) -> Value {
            let (_, at) = decode_response_header(frame, api, version).expect("a header");
            match api {
                $(ApiKey::$api => {
                    let response = $response::decode(frame, at, version).expect("a response");
                    response.to_json(version).expect("a response of this version")
                })*
                other => panic!("unknown API {}", other.name()),
            }
        }
    };
}

group_apis! {
    CreateTopics CreateTopicsRequest CreateTopicsResponse;
    DeleteGroups DeleteGroupsRequest DeleteGroupsResponse;
    DeleteTopics DeleteTopicsRequest DeleteTopicsResponse;
    DescribeGroups DescribeGroupsRequest DescribeGroupsResponse;
    FindCoordinator FindCoordinatorRequest FindCoordinatorResponse;
    Heartbeat HeartbeatRequest HeartbeatResponse;
    JoinGroup JoinGroupRequest JoinGroupResponse;
    LeaveGroup LeaveGroupRequest LeaveGroupResponse;
    ListGroups ListGroupsRequest ListGroupsResponse;
    Metadata MetadataRequest MetadataResponse;
    OffsetCommit OffsetCommitRequest OffsetCommitResponse;
    OffsetFetch OffsetFetchRequest OffsetFetchResponse;
    SyncGroup SyncGroupRequest SyncGroupResponse;
}

struct Connection {
    stream: TcpStream,
    sent: Vec<(ApiKey, i16)>,
}

impl Connection {
    fn send(&mut self, request: &str) {
        let mut parts = request.splitn(3, ' ');
        let mut next = || parts.next().unwrap_or_else(|| panic!("incomplete: {request}"));
        let (name, version, json) = (next(), next(), next());
        let version = version.parse().expect("a version");
        let json = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
        let (api, body) = encode(name, version, &json);
        let len = u32::try_from(body.len()).expect("a short request");
        self.stream.write_all(&len.to_be_bytes()).expect("the broker reads");
        self.stream.write_all(&body).expect("the broker reads");
        self.sent.push((api, version));
    }

    fn receive(&mut self) -> Value {
        let mut len = [0; 4];
        self.stream.read_exact(&mut len).expect("an answer");
        let mut frame = vec![0; usize::try_from(u32::from_be_bytes(len)).expect("32 bits fit")];
        self.stream.read_exact(&mut frame).expect("a whole answer");
        let (api, version) = self.sent.remove(0);
        decode(api, version, &Bytes::from(frame))
    }
}

struct Session {
    address: SocketAddr,
    connections: BTreeMap<String, Connection>,
    names: BTreeMap<String, String>,
}

impl Session {
    /// Runs one command; the answer, if there is one, in a form that does not depend on the run.
    fn run(&mut self, command: &str) -> Option<String> {
        let (command, keep) = command.split_once(" => ").unwrap_or((command, ""));
        let mut command = command.to_owned();
        for (name, value) in self.names.iter().rev() {
            command = command.replace(&format!("${name}"), value);
        }
        let (name, rest) = command.split_once(' ').expect("a connection and a request");
        let address = self.address;
        let connection = self.connections.entry(name.to_owned()).or_insert_with(|| {
            let stream = TcpStream::connect(address).expect("the broker listens");
            stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
            Connection { stream, sent: Vec::new() }
        });
        let answer = if let Some(request) = rest.strip_prefix("> ") {
            connection.send(request);
            return None;
        } else if rest == "<" {
            connection.receive()
        } else if let Some(rest) = rest.strip_prefix("? ") {
            let (condition, request) = rest.split_once(' ').expect("a condition and a request");
            ask_until(connection, condition, request)
        } else {
            connection.send(rest);
            connection.receive()
        };
        for pair in keep.split_whitespace() {
            let (name, path) = pair.split_once('=').expect("NAME=PATH");
            let value = part(&answer, path).unwrap_or_else(|| panic!("no {path} in {answer}"));
            self.names.insert(name.to_owned(), value);
        }
        Some(self.normal(answer))
    }

    /// Names go in before arrays are sorted: ids are random, and so would be their order.
    fn normal(&self, answer: Value) -> String {
        let mut text = answer.to_string();
        for (name, value) in self.names.iter().rev() {
            text = text.replace(value, &format!("${name}"));
        }
        let mut answer: Value =
            serde_json::from_str(&without_uuids(&text)).expect("names are plain words");
        normalise(&mut answer);
        answer.to_string().replace(&self.address.port().to_string(), "PORT")
    }
}

/// Asks again until `PATH=VALUE` holds.
fn ask_until(connection: &mut Connection, condition: &str, request: &str) -> Value {
    let (path, wanted) = condition.split_once('=').expect("PATH=VALUE");
    let deadline = Instant::now() + PATIENCE;
    loop {
        connection.send(request);
        let answer = connection.receive();
        if part(&answer, path).as_deref() == Some(wanted) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{condition} does not come true: {answer}");
        std::thread::yield_now();
    }
}

/// The part of a value at a dotted path, strings without their quotes.
fn part(value: &Value, path: &str) -> Option<String> {
    let found = value.pointer(&format!("/{}", path.replace('.', "/")))?;
    Some(found.as_str().map_or_else(|| found.to_string(), str::to_owned))
}

/// Kafka gives arrays in the order of its hash tables, and texts in its own words.
fn normalise(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(normalise);
            items.sort_by_cached_key(Value::to_string);
        }
        Value::Object(fields) => {
            fields.values_mut().for_each(normalise);
            if let Some(text) = fields.get_mut("errorMessage") {
                *text = Value::from("*");
            }
        }
        _ => {}
    }
}

/// Member ids that no name stands for yet end in a UUID.
fn without_uuids(text: &str) -> String {
    let is_uuid = |window: &str| {
        window.char_indices().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        })
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let len = match rest.get(..36) {
            Some(window) if is_uuid(window) => {
                out.push_str("UUID");
                36
            }
            _ => {
                out.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[len..];
    }
    out
}

/// Runs a script and returns it with the answers that came.
fn replay(script: &str, address: SocketAddr) -> String {
    let mut session = Session { address, connections: BTreeMap::new(), names: BTreeMap::new() };
    let mut out = String::new();
    let mut lines = script.lines();
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        assert_eq!(lines.next(), Some("----"), "after the command: {line}");
        lines.by_ref().find(|old| old.is_empty());
        let answer = session.run(line).unwrap_or_else(|| "sent".to_owned());
        out.push_str(&format!("----\n{answer}\n\n"));
    }
    format!("{}\n", out.trim_end())
}

fn check(name: &str) {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(name);
    let script = std::fs::read_to_string(&path).expect("a script");
    if let Ok(address) = std::env::var("RECORD_FROM") {
        let recorded = replay(&script, address.parse().expect("an address"));
        std::fs::write(&path, recorded).expect("a script can be written");
        return;
    }
    let (_folder, data) = folder();
    let broker = Process::start(&data, &["group.min.session.timeout.ms=6000"]);
    let actual = replay(&script, broker.address);
    for (at, (expected, actual)) in script.lines().zip(actual.lines()).enumerate() {
        assert_eq!(actual, expected, "{name}:{}", at + 1);
    }
    assert_eq!(actual.lines().count(), script.lines().count());
}

#[test]
fn requests_without_a_group_are_answered_as_kafka_does() {
    check("wire_no_group.txt");
}

#[test]
fn offsets_are_answered_as_kafka_does() {
    check("wire_offsets.txt");
}

#[test]
fn dynamic_members_are_answered_as_kafka_does() {
    check("wire_dynamic_members.txt");
}

#[test]
fn static_members_are_answered_as_kafka_does() {
    check("wire_static_members.txt");
}
