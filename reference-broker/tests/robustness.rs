//! Whatever a client sends: the broker closes or answers as Apache Kafka does, others go on, and
//! memory stays bounded.

mod support;

use std::io::Write;
use std::net::Shutdown;

use ottla_protocol::messages::{ApiKey, ApiVersionsRequest, MetadataRequest, Request, Response};
use support::{Client, Process, batch, fetch_request, folder, frame, produce_request};

const MEMORY_KIB_MAX: u64 = 100 << 10;

fn metadata_request() -> Request {
    MetadataRequest { topics: Some(Vec::new()), ..Default::default() }.into()
}

#[test]
fn garbage_closes_its_connection_and_no_other() {
    let (_folder, data) = folder();
    let broker = Process::start(&data, &[]);
    let mut bystander = broker.connect();
    let http = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let tls = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    let negative = (-5i32).to_be_bytes();
    let two_gib = i32::MAX.to_be_bytes();
    let unknown_api = [0, 0, 0, 8, 0x7f, 0xff, 0, 0, 0, 0, 0, 1];
    let unknown_version = [0, 0, 0, 8, 0, 3, 0x7f, 0xff, 0, 0, 0, 1];
    let produce_v2 = [0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0, 1, 0xff, 0xff];
    let empty_frame = [0, 0, 0, 0];
    let array_of_2_31 = [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff];
    let hostile: [&[u8]; 9] = [
        http,
        &tls,
        &negative,
        &two_gib,
        &unknown_api,
        &unknown_version,
        &produce_v2,
        &empty_frame,
        &array_of_2_31,
    ];
    for bytes in hostile {
        for _ in 0..20 {
            let mut client = broker.connect();
            client.stream.write_all(bytes).unwrap();
            assert!(client.is_closed(), "{bytes:?}");
        }
        assert!(bystander.is_alive(), "after {bytes:?}");
    }
    assert!(broker.resident_kib() < MEMORY_KIB_MAX, "{} KiB", broker.resident_kib());
}

#[test]
fn requests_cut_at_every_byte_harm_nobody() {
    let (_folder, data) = folder();
    let broker = Process::start(&data, &[]);
    let mut bystander = broker.connect();
    bystander.create_topic("t", 1, &[]);
    let produce: Request = produce_request("t", 0, 1, batch(&[b"never"])).into();
    for request in [metadata_request(), produce] {
        let whole = frame(9, &request, 7);
        for len in 0..whole.len() {
            // The length is corrected, so that the frame is whole and the message in it is not.
            let mut client = broker.connect();
            let mut cut = whole[..len.max(4)].to_vec();
            let claimed = i32::try_from(cut.len() - 4).unwrap();
            cut[..4].copy_from_slice(&claimed.to_be_bytes());
            client.stream.write_all(&cut).unwrap();
            client.stream.shutdown(Shutdown::Write).unwrap();
            assert!(client.is_closed(), "cut at {len}");
            // And as it would be cut by a client that dies.
            let mut client = broker.connect();
            client.stream.write_all(&whole[..len]).unwrap();
            client.stream.shutdown(Shutdown::Write).unwrap();
            assert!(client.is_closed(), "died at {len}");
        }
    }
    assert_eq!(bystander.fetch("t", 0, 0).high_watermark, 0, "nothing was appended");
}

#[test]
fn a_client_that_writes_byte_by_byte_is_served() {
    let (_folder, data) = folder();
    let broker = Process::start(&data, &[]);
    let mut client = broker.connect();
    for byte in frame(9, &metadata_request(), 3) {
        client.stream.write_all(&[byte]).unwrap();
    }
    assert!(matches!(client.receive(ApiKey::Metadata, 9, 3), Response::Metadata(_)));
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let (_folder, data) = folder();
    let broker = Process::start(&data, &[]);
    let mut client = broker.connect();
    client.create_topic("t", 1, &[]);
    // The fetch has to wait, and what comes after it is ready first (FRM-04).
    let fetch: Request = fetch_request("t", 0, 0, 300, 1 << 20).into();
    let first = client.send(11, &fetch);
    let rest: Vec<i32> = (0..20).map(|_| client.send(9, &metadata_request())).collect();
    assert!(matches!(client.receive(ApiKey::Fetch, 11, first), Response::Fetch(_)));
    for correlation_id in rest {
        client.receive(ApiKey::Metadata, 9, correlation_id);
    }
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let (_folder, data) = folder();
    let broker = Process::start(&data, &[]);
    let mut client = broker.connect();
    // AV-02: the body of a version that nobody knows cannot be read.
    let request = [0, 0, 0, 14, 0, 18, 0x7f, 0xff, 0, 0, 0, 9, 0xff, 0xff, 0, 2, 3, 4];
    client.stream.write_all(&request).unwrap();
    let Response::ApiVersions(answer) = client.receive(ApiKey::ApiVersions, 0, 9) else {
        panic!();
    };
    assert_eq!(answer.error_code, 35);
    let own = answer.api_keys.iter().find(|range| range.api_key == 18).unwrap();
    let retry = client.call(
        own.max_version,
        ApiVersionsRequest {
            client_software_name: "test".into(),
            client_software_version: "1".into(),
            ..Default::default()
        },
    );
    let Response::ApiVersions(answer) = retry else { panic!() };
    assert_eq!(answer.error_code, 0);
    let nameless = client.call(3, ApiVersionsRequest::default());
    let Response::ApiVersions(answer) = nameless else { panic!() };
    assert_eq!(answer.error_code, 42, "AV-04");
}

#[test]
fn bytes_behind_a_request_are_ignored() {
    let (_folder, data) = folder();
    let broker = Process::start(&data, &[]);
    let mut client = broker.connect();
    let mut bytes = frame(9, &metadata_request(), 5).to_vec();
    bytes.extend_from_slice(&[0; 3]);
    let len = i32::try_from(bytes.len() - 4).unwrap();
    bytes[..4].copy_from_slice(&len.to_be_bytes());
    client.stream.write_all(&bytes).unwrap();
    assert!(matches!(client.receive(ApiKey::Metadata, 9, 5), Response::Metadata(_)));
}

#[test]
fn frames_that_never_end_do_not_fill_the_memory() {
    let (_folder, data) = folder();
    let broker = Process::start(&data, &[]);
    let mut clients = Vec::new();
    for _ in 0..200 {
        let mut client = broker.connect();
        client.stream.write_all(&(90i32 << 20).to_be_bytes()).unwrap();
        client.stream.write_all(&[0; 512]).unwrap();
        clients.push(client);
    }
    // Those that are whole are served, beside those that are not.
    let mut bystander = broker.connect();
    bystander.create_topic("t", 1, &[]);
    for offset in 0..20 {
        let answer = bystander.produce("t", 0, -1, batch(&[&[b'x'; 1_000_000]]));
        assert_eq!((answer.error_code, answer.base_offset), (0, offset));
    }
    assert!(broker.resident_kib() < MEMORY_KIB_MAX, "{} KiB", broker.resident_kib());
}

#[test]
fn clients_that_do_not_read_their_answers_do_not_fill_the_memory() {
    let (_folder, data) = folder();
    let broker = Process::start(&data, &[]);
    let mut bystander = broker.connect();
    bystander.create_topic("t", 1, &[]);
    for _ in 0..40 {
        bystander.produce("t", 0, 1, batch(&[&[b'x'; 1_000_000]]));
    }
    let fetch: Request = fetch_request("t", 0, 0, 0, 50 << 20).into();
    let mut greedy: Vec<Client> = (0..50).map(|_| broker.connect()).collect();
    for client in &mut greedy {
        client.send(11, &fetch);
    }
    // Each has an answer under way.
    for client in &mut greedy {
        let mut first = [0; 1];
        std::io::Read::read_exact(&mut client.stream, &mut first).unwrap();
    }
    assert!(!bystander.fetch("t", 0, 0).records.unwrap().is_empty());
    // 50 answers of 40 MB would be 2 GB.
    assert!(broker.resident_kib() < 200 << 10, "{} KiB", broker.resident_kib());
}

#[test]
fn two_thousand_connections_are_served_at_once() {
    let (_folder, data) = folder();
    raise_file_limit();
    let broker = Process::start(&data, &[]);
    let mut clients: Vec<Client> = (0..2000).map(|_| broker.connect()).collect();
    let sent: Vec<i32> =
        clients.iter_mut().map(|client| client.send(9, &metadata_request())).collect();
    for (client, correlation_id) in clients.iter_mut().zip(sent) {
        client.receive(ApiKey::Metadata, 9, correlation_id);
    }
    assert!(clients.iter_mut().all(Client::is_alive));
    assert!(broker.resident_kib() < MEMORY_KIB_MAX, "{} KiB", broker.resident_kib());
}

#[test]
fn connections_above_the_limit_are_closed_and_those_below_are_not() {
    let (_folder, data) = folder();
    let broker = Process::start(&data, &["max.connections=3"]);
    let mut clients: Vec<Client> = (0..3).map(|_| broker.connect()).collect();
    assert!(clients.iter_mut().all(Client::is_alive));
    assert!(broker.connect().is_closed());
    drop(clients.pop());
    support::eventually("a place becomes free", || {
        let mut client = broker.connect();
        let _ = client.stream.write_all(&frame(0, &ApiVersionsRequest::default().into(), 1));
        client.read_frame().is_some()
    });
    assert!(clients.iter_mut().all(Client::is_alive));
}

#[test]
fn a_broker_without_file_descriptors_serves_whom_it_has() {
    let (_folder, data) = folder();
    let broker = Process::start(&data, &[]);
    let mut known = broker.connect();
    assert!(known.is_alive());
    let pid = rustix::process::Pid::from_child(&broker.child);
    let open = std::fs::read_dir(format!("/proc/{}/fd", broker.child.id())).unwrap().count();
    // Without privileges the hard limit cannot be raised again, so it is left alone.
    let before = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let limit = rustix::process::Rlimit { current: Some(open as u64), ..before };
    rustix::process::prlimit(Some(pid), rustix::process::Resource::Nofile, limit).unwrap();
    let waiting: Vec<Client> = (0..5).map(|_| broker.connect()).collect();
    assert!(known.is_alive(), "EMFILE concerns new connections only");
    rustix::process::prlimit(Some(pid), rustix::process::Resource::Nofile, before).unwrap();
    for mut client in waiting {
        assert!(client.is_alive(), "they are accepted as soon as there is room");
    }
}

fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}
