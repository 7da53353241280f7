//! A damaged log takes its partition offline and nothing else (M19): the broker starts, says what
//! is damaged, and changes nothing of it.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::fetch::FetchPartition;
use ottla_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::metadata::{MetadataRequestTopic, MetadataResponsePartition};
use ottla_protocol::messages::{
    DeleteTopicsRequest, FindCoordinatorRequest, ListOffsetsRequest, MetadataRequest, Response,
};
use support::{Client, Process, batch, command, eventually, fetch_request, folder};

/// A data folder with 20 batches in each of two partitions, in several segments; the process was
/// killed, and then a bit of partition 0 has turned. Answers the damaged segment.
fn damaged(data: &Path) -> PathBuf {
    let broker = Process::start(data, &[]);
    let mut client = broker.connect();
    client.create_topic("t", 2, &[("segment.bytes", "4096")]);
    for partition in [0, 1] {
        for _ in 0..20 {
            let answer = client.produce("t", partition, -1, batch(&[&[b'x'; 500]]));
            assert_eq!(answer.error_code, 0);
        }
    }
    broker.kill();
    let segment = data.join("t-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    segment
}

/// Every file of a folder.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
}

fn describe(client: &mut Client, topic: &str) -> Vec<MetadataResponsePartition> {
    let topic = MetadataRequestTopic { name: Some(topic.to_owned()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
    let Response::Metadata(answer) = client.call(9, request) else { panic!() };
    assert_eq!(answer.topics[0].error_code, 0);
    answer.topics[0].partitions.clone()
}

fn list_offsets(client: &mut Client, partition: i32) -> (i16, i64) {
    let partition = ListOffsetsPartition {
        partition_index: partition,
        current_leader_epoch: -1,
        timestamp: -1,
        ..Default::default()
    };
    let topic = ListOffsetsTopic {
        name: "t".to_owned(),
        partitions: vec![partition],
        ..Default::default()
    };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
    let Response::ListOffsets(answer) = client.call(5, request) else { panic!() };
    let answer = &answer.topics[0].partitions[0];
    (answer.error_code, answer.offset)
}

/// What a client is told of the damaged partition 0 and the sound partition 1.
fn assert_offline(client: &mut Client, records: i64) {
    let storage = ErrorCode::KafkaStorageError.code();
    assert_eq!(client.produce("t", 0, -1, batch(&[b"y"])).error_code, storage);
    assert_eq!(client.fetch("t", 0, 0).error_code, storage);
    assert_eq!(list_offsets(client, 0), (storage, -1));
    assert_eq!(list_offsets(client, 1), (0, records));
    assert_eq!(client.produce("t", 1, -1, batch(&[b"y"])).base_offset, records);
    assert_eq!(client.read_all("t", 1).len() as i64, records + 1);
    let described: Vec<_> = describe(client, "t")
        .into_iter()
        .map(|partition| (partition.error_code, partition.leader_id, partition.offline_replicas))
        .collect();
    let no_leader = ErrorCode::LeaderNotAvailable.code();
    assert_eq!(described, [(no_leader, -1, vec![1]), (0, 1, vec![])]);
}

#[test]
fn a_corrupt_segment_takes_its_partition_offline_and_no_other() {
    let (holder, data) = folder();
    let segment = damaged(&data);
    let before = files(&data.join("t-0"));
    assert!(before.len() > 6, "several segments with their indexes: {:?}", before.keys());
    let log = holder.path().join("stderr");
    let stderr = Stdio::from(std::fs::File::create(&log).unwrap());
    let broker = Process::start_with(command(&data, &[]).stderr(stderr));
    assert_offline(&mut broker.connect(), 20);
    let text = std::fs::read_to_string(&log).unwrap();
    let line = text.lines().find(|line| line.contains("offline")).expect("the log says so");
    let at = format!("position {}", batch(&[&[b'x'; 500]]).len());
    for word in ["ERROR", "t-0", segment.to_str().unwrap(), &at, "offset 1", "restore"] {
        assert!(line.contains(word), "'{word}' is not in: {line}");
    }
    assert_eq!(broker.terminate(), Some(0));
    assert_eq!(files(&data.join("t-0")), before, "nothing of it was changed");
}

/// The error is told at once, also beside a partition that has nothing new.
#[test]
fn a_long_poll_does_not_wait_with_an_offline_partition() {
    let (_folder, data) = folder();
    damaged(&data);
    let broker = Process::start(&data, &[]);
    let mut request = fetch_request("t", 1, 20, 60_000, 1 << 20);
    let idle = request.topics[0].partitions[0].clone();
    request.topics[0].partitions.push(FetchPartition { partition: 0, ..idle });
    // The answer comes before the client's patience ends, which is much sooner.
    let Response::Fetch(answer) = broker.connect().call(11, request) else { panic!() };
    let codes: Vec<_> = answer.responses[0].partitions.iter().map(|part| part.error_code).collect();
    assert_eq!(codes, [0, ErrorCode::KafkaStorageError.code()]);
}

/// A folder that was closed in good order is believed: the damage would be served.
#[test]
fn a_clean_stop_does_not_make_a_damaged_log_sound() {
    let (_folder, data) = folder();
    damaged(&data);
    assert_eq!(Process::start(&data, &[]).terminate(), Some(0));
    let broker = Process::start(&data, &[]);
    assert_offline(&mut broker.connect(), 20);
}

#[test]
fn a_restored_segment_brings_the_partition_back() {
    let (_folder, data) = folder();
    let segment = damaged(&data);
    let broker = Process::start(&data, &[]);
    assert_offline(&mut broker.connect(), 20);
    broker.kill();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let broker = Process::start(&data, &[]);
    let mut client = broker.connect();
    assert_eq!(client.read_all("t", 0).len(), 20);
    assert_eq!(client.produce("t", 0, -1, batch(&[b"y"])).base_offset, 20);
}

#[test]
fn a_topic_with_a_damaged_log_can_be_deleted_and_made_anew() {
    let (_folder, data) = folder();
    damaged(&data);
    let broker = Process::start(&data, &[]);
    let mut client = broker.connect();
    let request = DeleteTopicsRequest {
        topic_names: vec!["t".to_owned()],
        timeout_ms: 10_000,
        ..Default::default()
    };
    let Response::DeleteTopics(answer) = client.call(4, request) else { panic!() };
    assert_eq!(answer.responses[0].error_code, 0);
    eventually("its folders are gone", || !data.join("t-0").exists());
    client.create_topic("t", 1, &[]);
    assert_eq!(client.produce("t", 0, -1, batch(&[b"y"])).base_offset, 0);
}

#[test]
fn a_damaged_offsets_partition_leaves_its_groups_without_a_coordinator() {
    let (_folder, data) = folder();
    let broker = Process::start(&data, &["offsets.topic.num.partitions=1"]);
    let mut client = broker.connect();
    let find = |client: &mut Client| {
        let request = FindCoordinatorRequest { key: "g".to_owned(), ..Default::default() };
        let Response::FindCoordinator(answer) = client.call(2, request) else { panic!() };
        (answer.error_code, answer.node_id)
    };
    assert_eq!(find(&mut client), (0, 1));
    broker.kill();
    // What is no batch, with a good one of a later offset behind it.
    let mut bytes = vec![0xff; 200];
    bytes.extend_from_slice(&batch(&[b"x"]));
    bytes[200..208].copy_from_slice(&1u64.to_be_bytes());
    std::fs::write(data.join("__consumer_offsets-0/00000000000000000000.log"), bytes).unwrap();
    let broker = Process::start(&data, &["offsets.topic.num.partitions=1"]);
    let mut client = broker.connect();
    assert_eq!(find(&mut client), (ErrorCode::CoordinatorNotAvailable.code(), -1));
    client.create_topic("t", 1, &[]);
    assert_eq!(client.produce("t", 0, -1, batch(&[b"y"])).base_offset, 0);
}

/// A folder that is no partition's is kept, out of the way, and named at every start.
#[test]
fn a_stray_folder_is_set_aside_and_named() {
    let (holder, data) = folder();
    std::fs::create_dir_all(data.join("ghost-0")).unwrap();
    for round in 0..2 {
        let log = holder.path().join(format!("stderr-{round}"));
        let stderr = Stdio::from(std::fs::File::create(&log).unwrap());
        drop(Process::start_with(command(&data, &[]).stderr(stderr)));
        let stray = data.join("ghost-0.00000000-stray");
        assert!(stray.is_dir());
        let text = std::fs::read_to_string(&log).unwrap();
        let named = |line: &str| line.contains("WARN") && line.contains(stray.to_str().unwrap());
        assert!(text.lines().any(named), "{text}");
    }
}

/// The broker may be killed when a topic is decided on and only some of its folders are made.
#[test]
fn a_partition_without_a_folder_is_made_at_the_next_start() {
    let (_folder, data) = folder();
    let broker = Process::start(&data, &[]);
    broker.connect().create_topic("t", 3, &[]);
    broker.kill();
    std::fs::remove_dir_all(data.join("t-1")).unwrap();
    let broker = Process::start(&data, &[]);
    let mut client = broker.connect();
    for partition in 0..3 {
        let answer = client.produce("t", partition, -1, batch(&[b"y"]));
        assert_eq!((answer.error_code, answer.base_offset), (0, 0), "partition {partition}");
    }
}
