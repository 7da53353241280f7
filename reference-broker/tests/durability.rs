//! Real processes, real SIGKILL: what was acknowledged is there afterwards, once.

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use ottla_protocol::messages::{ApiKey, MetadataRequest, Request, Response};
use support::{Client, Process, batch, eventually, folder, frame, produce_request, sequenced};

/// `kill -9` in the middle of several producers; each retries its unanswered batch with the same
/// sequence after the restart.
#[test]
fn every_acknowledged_record_is_there_once_after_kill_9() {
    let (_folder, data) = folder();
    let broker = Process::start(&data, &[]);
    broker.connect().create_topic("t", 3, &[]);
    let (acked, producers) = mpsc::channel::<u64>();
    let threads: Vec<_> = (0..3)
        .map(|partition| {
            let address = broker.address;
            let acked = acked.clone();
            std::thread::spawn(move || produce_until_cut(address, partition, &acked))
        })
        .collect();
    drop(acked);
    // Killed once each partition may have got a good number of batches.
    for _ in 0..600 {
        producers.recv().expect("the producers get on");
    }
    broker.kill();
    let states: Vec<Interrupted> =
        threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let broker = Process::start(&data, &[]);
    let mut client = broker.connect();
    for state in states {
        let partition = state.partition;
        let retried = client.produce(
            "t",
            partition,
            -1,
            sequenced(&[&state.next_value()], state.producer_id, 0, state.next),
        );
        assert_eq!(retried.error_code, 0, "partition {partition}");
        let records = client.read_all("t", partition);
        let mut seen = BTreeMap::new();
        for (offset, value) in &records {
            assert!(seen.insert(value.clone(), *offset).is_none(), "twice: {value:?}");
        }
        for (value, offset) in &state.acked {
            assert_eq!(seen.get(value), Some(offset), "partition {partition}");
        }
        assert_eq!(records.len(), state.acked.len() + 1, "partition {partition}");
    }
}

/// What a producer knows when its connection was cut.
struct Interrupted {
    partition: i32,
    producer_id: i64,
    /// Value and offset of each acknowledged record.
    acked: Vec<(Vec<u8>, i64)>,
    /// The sequence number that was under way.
    next: i32,
}

impl Interrupted {
    fn next_value(&self) -> Vec<u8> {
        format!("{}-{}", self.partition, self.next).into_bytes()
    }
}

fn produce_until_cut(
    address: std::net::SocketAddr,
    partition: i32,
    progress: &mpsc::Sender<u64>,
) -> Interrupted {
    let mut client = Client::connect(address);
    let producer_id = client.producer_id();
    let mut state = Interrupted { partition, producer_id, acked: Vec::new(), next: 0 };
    loop {
        let value = state.next_value();
        let batch = sequenced(&[&value], producer_id, 0, state.next);
        let request: Request = produce_request("t", partition, -1, batch).into();
        if client.stream.write_all(&frame(9, &request, state.next)).is_err() {
            return state;
        }
        let Some(answer) = try_read(&mut client.stream) else { return state };
        let (_, body) =
            ottla_protocol::header::decode_response_header(&answer, ApiKey::Produce, 9).unwrap();
        let Ok(Response::Produce(answer)) = Response::decode(ApiKey::Produce, 9, &answer, body)
        else {
            panic!("not a produce response");
        };
        let part = &answer.responses[0].partition_responses[0];
        assert_eq!(part.error_code, 0);
        state.acked.push((value, part.base_offset));
        state.next += 1;
        let _ = progress.send(1);
    }
}

fn try_read(stream: &mut TcpStream) -> Option<bytes::Bytes> {
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix).ok()?;
    let mut frame = vec![0; usize::try_from(i32::from_be_bytes(prefix)).ok()?];
    stream.read_exact(&mut frame).ok()?;
    Some(frame.into())
}

/// A relay eats the answer, the broker is killed, the same (producer id, epoch, sequence) comes
/// again: the original offset (M9, PR-20), and nothing is stored twice.
#[test]
fn a_batch_whose_answer_was_lost_keeps_its_offset_over_kill_9() {
    let (_folder, data) = folder();
    let broker = Process::start(&data, &[]);
    let mut client = broker.connect();
    client.create_topic("t", 1, &[]);
    let producer_id = client.producer_id();
    for sequence in 0..3 {
        let offset = client.produce("t", 0, -1, sequenced(&[b"before"], producer_id, 0, sequence));
        assert_eq!(offset.base_offset, i64::from(sequence));
    }
    let lost = sequenced(&[b"lost", b"answer"], producer_id, 0, 3);
    let (relay, eaten) = relay_that_eats_answers(broker.address);
    let mut cut_off = Client::connect(relay);
    let request: Request = produce_request("t", 0, -1, lost.clone()).into();
    cut_off.send(9, &request);
    eventually("the answer is eaten", || eaten.load(Ordering::Acquire));
    broker.kill();
    let broker = Process::start(&data, &[]);
    let mut client = broker.connect();
    let again = client.produce("t", 0, -1, lost);
    assert_eq!((again.error_code, again.base_offset), (0, 3), "the original offset");
    assert_eq!(client.read_all("t", 0).len(), 5);
    let next = client.produce("t", 0, -1, sequenced(&[b"after"], producer_id, 0, 5));
    assert_eq!((next.error_code, next.base_offset), (0, 5));
}

/// Forwards what the client sends and swallows what the broker answers.
fn relay_that_eats_answers(
    broker: std::net::SocketAddr,
) -> (std::net::SocketAddr, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let eaten = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&eaten);
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut upstream = TcpStream::connect(broker).unwrap();
        let mut answers = upstream.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            if answers.read(&mut bytes).is_ok_and(|len| len > 0) {
                flag.store(true, Ordering::Release);
            }
        });
        let _ = std::io::copy(&mut client, &mut upstream);
    });
    (address, eaten)
}

#[test]
fn a_restart_is_a_new_leader_epoch_and_gives_new_producer_ids() {
    let (_folder, data) = folder();
    let mut producer_ids = Vec::new();
    let mut clean = true;
    let mut last_epoch = -1;
    for restart in 0..4 {
        let broker = Process::start(&data, &[]);
        let mut client = broker.connect();
        if restart == 0 {
            client.create_topic("t", 1, &[]);
        }
        let epoch = leader_epoch(&mut client, "t");
        assert!(epoch > last_epoch, "M2, M5: {epoch} after {last_epoch}");
        last_epoch = epoch;
        producer_ids.push(client.producer_id());
        producer_ids.push(client.producer_id());
        assert_eq!(client.produce("t", 0, -1, batch(&[b"x"])).base_offset, i64::from(restart));
        drop(client);
        match clean {
            true => assert_eq!(broker.terminate(), Some(0)),
            false => broker.kill(),
        }
        clean = !clean;
    }
    let given = producer_ids.len();
    producer_ids.sort_unstable();
    producer_ids.dedup();
    assert_eq!(producer_ids.len(), given, "M10: no id is given twice");
}

fn leader_epoch(client: &mut Client, topic: &str) -> i32 {
    let Response::Metadata(metadata) =
        client.call(9, MetadataRequest { topics: None, ..Default::default() })
    else {
        panic!();
    };
    let found = metadata.topics.iter().find(|found| found.name.as_deref() == Some(topic));
    found.expect("the topic is there").partitions[0].leader_epoch
}

#[test]
fn topics_settings_and_records_survive_a_clean_stop_and_a_kill() {
    let (_folder, data) = folder();
    let broker = Process::start(&data, &[]);
    let mut client = broker.connect();
    client.create_topic("kept", 2, &[("retention.ms", "-1")]);
    client.create_topic("gone", 1, &[]);
    assert_eq!(client.produce("kept", 1, -1, batch(&[b"a", b"b"])).error_code, 0);
    let cluster = broker.ready_line.split("cluster ").nth(1).unwrap()[..22].to_owned();
    delete_topic(&mut client, "gone");
    assert!(!data.join("gone-0").exists());
    assert_eq!(broker.terminate(), Some(0));
    let broker = Process::start(&data, &[]);
    assert!(broker.ready_line.contains(&cluster), "MD-07");
    assert_eq!(broker.connect().read_all("kept", 1).len(), 2);
    broker.kill();
    let broker = Process::start(&data, &[]);
    let mut client = broker.connect();
    assert_eq!(client.read_all("kept", 1).len(), 2);
    assert_eq!(client.fetch("gone", 0, 0).error_code, 3);
}

fn delete_topic(client: &mut Client, name: &str) {
    let request = ottla_protocol::messages::DeleteTopicsRequest {
        topic_names: vec![name.to_owned()],
        timeout_ms: 1000,
        ..Default::default()
    };
    let Response::DeleteTopics(response) = client.call(4, request) else { panic!() };
    assert_eq!(response.responses[0].error_code, 0);
}

#[test]
fn flush_before_ack_answers_when_the_records_are_on_disk() {
    let (_folder, data) = folder();
    let broker = Process::start(&data, &[]);
    let mut client = broker.connect();
    client.create_topic("t", 1, &[("flush.messages", "1")]);
    for offset in 0..20 {
        let acks = if offset % 2 == 0 { -1 } else { 1 };
        let answer = client.produce("t", 0, acks, batch(&[b"x"]));
        assert_eq!((answer.error_code, answer.base_offset), (0, offset));
        // The high watermark is the durable end here (M12).
        assert_eq!(client.fetch("t", 0, 0).high_watermark, offset + 1);
    }
}

#[test]
fn old_segments_go_by_size_and_stay_gone() {
    let (_folder, data) = folder();
    let broker = Process::start(&data, &["log.retention.check.interval.ms=20"]);
    let mut client = broker.connect();
    client.create_topic("t", 1, &[("segment.bytes", "2000"), ("retention.bytes", "4000")]);
    for _ in 0..20 {
        assert_eq!(client.produce("t", 0, -1, batch(&[&[b'x'; 1500]])).error_code, 0);
    }
    eventually("the oldest segments are deleted", || {
        let part = client.fetch("t", 0, 19);
        part.error_code == 0 && part.log_start_offset >= 16
    });
    assert_eq!(client.fetch("t", 0, 0).error_code, 1);
    let start = client.fetch("t", 0, 19).log_start_offset;
    broker.kill();
    let broker = Process::start(&data, &[]);
    let part = broker.connect().fetch("t", 0, start);
    assert_eq!((part.error_code, part.log_start_offset, part.high_watermark), (0, start, 20));
}

/// A small file system: a full disk is said, nothing acknowledged is lost, and service goes on when
/// there is room again.
#[test]
fn a_full_disk_refuses_appends_and_keeps_what_was_acknowledged() {
    let (holder, _) = folder();
    let mount = holder.path().join("small");
    std::fs::create_dir(&mount).unwrap();
    let Some(_mounted) = Mounted::tmpfs(&mount) else {
        // Only root may mount. The log's own tests do the same with a faulty storage.
        eprintln!("not root: tmpfs cannot be mounted");
        return;
    };
    let data = mount.join("data");
    let ballast = mount.join("ballast");
    std::fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let broker = Process::start(&data, &[]);
    let mut client = broker.connect();
    client.create_topic("t", 1, &[]);
    let mut acked = 0;
    let refusal = loop {
        let answer = client.produce("t", 0, -1, batch(&[&[b'x'; 100_000]]));
        if answer.error_code != 0 {
            break answer;
        }
        assert_eq!(answer.base_offset, acked);
        acked += 1;
        assert!(acked < 200, "8 MiB hold no 20 MB");
    };
    assert_eq!(refusal.error_code, 56);
    let message = refusal.error_message.unwrap();
    assert!(message.contains("no space left") && message.contains("t-0"), "{message}");
    assert_eq!(i64::try_from(client.read_all("t", 0).len()).unwrap(), acked);
    std::fs::remove_file(&ballast).unwrap();
    let answer = client.produce("t", 0, -1, batch(&[b"again"]));
    assert_eq!((answer.error_code, answer.base_offset), (0, acked));
    broker.kill();
    let broker = Process::start(&data, &[]);
    assert_eq!(i64::try_from(broker.connect().read_all("t", 0).len()).unwrap(), acked + 1);
}

/// A mounted file system, unmounted when dropped.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn tmpfs(at: &'a Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
            .arg(at)
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(Self(at))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}
