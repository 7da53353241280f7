//! What a client is told about replicas that are elsewhere or late.

use std::io::ErrorKind;
use std::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use ottla_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::{ApiKey, DeleteRecordsRequest, ListOffsetsRequest, Response};
use rustix::process::{Signal, kill_process};

use crate::broker::{Client, PATIENCE, Process, batch, eventually, folder};
use crate::support::{Cluster, Dev, brokers, create_topic, metadata};

/// The index of the node that leads a partition of `t`.
fn leader(client: &mut Client, partition: usize) -> Option<usize> {
    let metadata = metadata(client);
    let topic = metadata.topics.iter().find(|topic| topic.name.as_deref() == Some("t"))?;
    usize::try_from(topic.partitions[partition].leader_id - 1).ok()
}

fn earliest(client: &mut Client) -> (i16, i64) {
    let partition = ListOffsetsPartition { timestamp: -2, ..Default::default() };
    let partitions = vec![partition];
    let topic = ListOffsetsTopic { name: "t".into(), partitions, ..Default::default() };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
    let Response::ListOffsets(answer) = client.call(6, request) else { panic!() };
    let found = &answer.topics[0].partitions[0];
    (found.error_code, found.offset)
}

#[test]
fn records_are_deleted_on_every_replica_before_that_is_answered() {
    let (_folder, data) = folder();
    let dev = Dev::start(3, &data);
    let mut client = dev.connect(0);
    eventually("every broker is known", || brokers(&mut client) == [1, 2, 3]);
    assert_eq!(create_topic(&mut client, "t", 1, 3), 0);
    let led_by = leader(&mut client, 0).expect("it was created with a leader");
    let mut client = dev.connect(led_by);
    eventually("the leader knows it", || {
        client.produce("t", 0, -1, batch(&[b"x"])).error_code == 0
    });
    let follower = (led_by + 1) % 3;
    kill_process(dev.pids[follower], Signal::STOP).unwrap();
    let partition = DeleteRecordsPartition { offset: -1, ..Default::default() };
    let partitions = vec![partition];
    let topic = DeleteRecordsTopic { name: "t".into(), partitions, ..Default::default() };
    let request =
        DeleteRecordsRequest { topics: vec![topic], timeout_ms: 20_000, ..Default::default() };
    let id = client.send(2, &request.into());
    client.stream.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
    let nothing = client.stream.peek(&mut [0]).unwrap_err();
    assert!(matches!(nothing.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{nothing}");
    kill_process(dev.pids[follower], Signal::CONT).unwrap();
    client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let Response::DeleteRecords(answer) = client.receive(ApiKey::DeleteRecords, 2, id) else {
        panic!()
    };
    let deleted = &answer.topics[0].partitions[0];
    assert_eq!((deleted.error_code, deleted.low_watermark), (0, 1));
    // Who is elected next has not got them either.
    dev.kill(led_by);
    let mut client = dev.connect(follower);
    eventually("another one leads", || leader(&mut client, 0).is_some_and(|now| now != led_by));
    let now = leader(&mut client, 0).unwrap();
    let mut client = dev.connect(now);
    eventually("it serves", || earliest(&mut client).0 == 0);
    assert_eq!(earliest(&mut client), (0, 1));
    dev.stop();
}

#[test]
fn who_asks_a_broker_without_the_partition_is_told_to_look_for_its_leader() {
    let (_folder, data) = folder();
    let dev = Dev::start(3, &data);
    let mut client = dev.connect(0);
    eventually("every broker is known", || brokers(&mut client) == [1, 2, 3]);
    assert_eq!(create_topic(&mut client, "t", 3, 1), 0);
    for partition in 0..3 {
        let led_by = leader(&mut client, partition).expect("it was created with a leader");
        let mut wrong = dev.connect((led_by + 1) % 3);
        eventually("it is known there", || leader(&mut wrong, partition).is_some());
        let index = i32::try_from(partition).unwrap();
        let code = wrong.produce("t", index, -1, batch(&[b"x"])).error_code;
        assert_eq!(code, ErrorCode::NotLeaderOrFollower.code());
    }
    let code = client.produce("t", 3, -1, batch(&[b"x"])).error_code;
    assert_eq!(code, ErrorCode::UnknownTopicOrPartition.code());
    dev.stop();
}

/// M19: the leader's log has a flipped bit in a segment that nobody writes to any more.
#[test]
fn a_flipped_bit_is_found_not_served_and_mended_from_a_peer() {
    let cluster = Cluster::new(3, 3);
    let settings = ["log.scrub.interval.ms=200", "log.segment.bytes=4096"];
    let _nodes: Vec<Process> = std::thread::scope(|scope| {
        let start = |id| {
            let cluster = &cluster;
            scope.spawn(move || Process::start_with(&mut cluster.command(id, &settings)))
        };
        let started = [1, 2, 3].map(start);
        started.into_iter().map(|node| node.join().expect("the node starts")).collect()
    });
    let mut client = Client::connect(cluster.address(1));
    eventually("every broker is known", || brokers(&mut client) == [1, 2, 3]);
    assert_eq!(create_topic(&mut client, "t", 1, 3), 0);
    let first = leader(&mut client, 0).expect("it was created with a leader");
    let mut led = Client::connect(cluster.address(first + 1));
    eventually("20 batches are everywhere", || {
        led.produce("t", 0, -1, batch(&[&[b'x'; 500]])).base_offset >= 19
    });
    let sealed = |id| cluster.data_dir(id).join("t-0/00000000000000000000.log");
    let whole = std::fs::read(sealed(first + 1)).unwrap();
    let mut damaged = whole.clone();
    damaged[1000] ^= 1;
    std::fs::write(sealed(first + 1), damaged).unwrap();
    let other = (first + 1) % 3 + 1;
    let mut client = Client::connect(cluster.address(other));
    eventually("another one leads", || leader(&mut client, 0).is_some_and(|now| now != first));
    let now = leader(&mut client, 0).unwrap() + 1;
    let mut led = Client::connect(cluster.address(now));
    eventually("it serves all that was acknowledged", || {
        let part = led.fetch("t", 0, 0);
        part.error_code == 0 && part.high_watermark >= 20
    });
    eventually("the damaged replica is in sync again", || {
        let metadata = metadata(&mut client);
        let topic = metadata.topics.iter().find(|topic| topic.name.as_deref() == Some("t"));
        topic.is_some_and(|topic| topic.partitions[0].isr_nodes.len() == 3)
    });
    assert_eq!(std::fs::read(sealed(first + 1)).unwrap(), whole);
}
