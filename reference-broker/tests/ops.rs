//! `/metrics` and `/health`, over HTTP from a broker process.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use support::{Client, PATIENCE, Process, ask, batch, command, folder, refused, value};

fn with_ops(data: &Path) -> Command {
    let mut command = command(data, &["ops.listener=127.0.0.1:0"]);
    command.stderr(std::process::Stdio::null());
    command
}

/// Starts a broker; where its metrics are, by the second line that it prints.
fn start(data: &Path) -> (Process, SocketAddr) {
    Process::start_with_ops(&mut with_ops(data))
}

fn produce(address: SocketAddr, count: i64) {
    let mut client = Client::connect(address);
    client.create_topic("other", 1, &[]);
    client.create_topic("t", 2, &[]);
    for offset in 0..count {
        assert_eq!(client.produce("t", 1, -1, batch(&[b"x"])).base_offset, offset);
    }
}

#[test]
fn metrics_count_what_was_served() {
    let (_folder, data) = folder();
    let (broker, ops) = start(&data);
    let before = ask(ops, "GET", "/metrics");
    assert_eq!(before.status, 200);
    assert!(before.head.contains("content-type: application/openmetrics-text"), "{}", before.head);
    assert_eq!(value(&before.body, "ottla_broker_partitions"), 0.0);
    let client = Client::connect(broker.address);
    produce(broker.address, 3);
    let text = ask(ops, "GET", "/metrics").body;
    assert_eq!(value(&text, "ottla_broker_request_duration_seconds_count{api=\"Produce\"}"), 3.0);
    assert_eq!(value(&text, "ottla_broker_high_watermark{topic=\"t\",partition=\"1\"}"), 3.0);
    assert_eq!(value(&text, "ottla_broker_high_watermark{topic=\"t\",partition=\"0\"}"), 0.0);
    assert_eq!(value(&text, "ottla_broker_topics"), 2.0);
    assert_eq!(value(&text, "ottla_broker_partitions"), 3.0);
    assert_eq!(value(&text, "ottla_broker_ready"), 1.0);
    assert!(value(&text, "ottla_broker_connections") >= 1.0, "{text}");
    assert!(value(&text, "ottla_broker_connections_accepted_total") >= 2.0, "{text}");
    for name in ["received", "sent"] {
        let metric = format!("ottla_broker_{name}_bytes_total");
        assert!(value(&text, &metric) > 300.0, "{text}");
    }
    assert!(text.ends_with("# EOF\n"), "{text}");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, number) = line.rsplit_once(' ').expect("a name and a number");
        assert!(name.starts_with("ottla_broker_") || name.starts_with("process_"), "{line}");
        assert!(number.parse::<f64>().is_ok(), "{line}");
    }
    drop(client);
}

#[test]
fn health_is_ready_when_a_produce_works() {
    let (_folder, data) = folder();
    let (broker, ops) = start(&data);
    let health = ask(ops, "GET", "/health");
    assert_eq!((health.status, &*health.body), (200, "{\"reasons\":[],\"status\":\"ready\"}\n"));
    produce(broker.address, 1);
    let head = ask(ops, "HEAD", "/health");
    assert_eq!((head.status, &*head.body), (200, ""));
}

#[test]
fn health_tells_of_a_damaged_log() {
    let (_folder, data) = folder();
    let (broker, _) = start(&data);
    produce(broker.address, 2);
    broker.kill();
    let segment = data.join("t-1/00000000000000000000.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let (_broker, ops) = start(&data);
    let health = ask(ops, "GET", "/health");
    assert_eq!(health.status, 503);
    assert!(health.body.contains("\"status\":\"failing\""), "{}", health.body);
    assert!(health.body.contains("1 partitions are offline"), "{}", health.body);
    let text = ask(ops, "GET", "/metrics").body;
    assert_eq!(value(&text, "ottla_broker_offline_replica_count"), 1.0);
    assert_eq!(value(&text, "ottla_broker_ready"), 0.0);
}

#[test]
fn other_paths_and_methods_are_refused_in_words() {
    let (_folder, data) = folder();
    let (_broker, ops) = start(&data);
    let page = ask(ops, "GET", "/");
    assert_eq!(page.status, 404);
    assert_eq!(page.body, "there is no /, but /metrics and /health\n");
    let page = ask(ops, "DELETE", "/metrics");
    assert_eq!(page.status, 405);
    assert!(page.head.contains("allow: get, head"), "{}", page.head);
    // Something that is no HTTP ends the connection, and nothing else.
    let mut stream = TcpStream::connect(ops).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[0, 0, 0, 9, 0, 18, 0, 3]).unwrap();
    stream.write_all(b"\r\n\r\n").unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    assert_eq!(ask(ops, "GET", "/health").status, 200);
}

#[test]
fn a_place_that_cannot_be_listened_on_is_named() {
    let (_folder, data) = folder();
    let output = refused(command(&data, &["ops.listener=127.0.0.1"]));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("invalid value '127.0.0.1' for ops.listener"), "{text}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = taken.local_addr().unwrap();
    let output = refused(command(&data, &[&format!("ops.listener={place}")]));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains(&format!("cannot listen on {place}")), "{text}");
    assert!(text.contains("name another place in ops.listener"), "{text}");
}
