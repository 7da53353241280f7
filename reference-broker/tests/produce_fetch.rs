//! The rules of Produce, Fetch, ListOffsets and OffsetForLeaderEpoch that one node can be held to,
//! by statement id.

mod support;

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsTopic,
};
use ottla_protocol::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use ottla_protocol::messages::{
    ApiKey, FetchRequest, ListOffsetsRequest, OffsetForLeaderEpochRequest, Request, Response,
};
use ottla_protocol::records::header::{BASE_OFFSET_AT, MAGIC_AT, RECORD_COUNT_AT};
use ottla_protocol::records::{
    BatchBuilder, BatchFields, BatchHeader, BatchIter, Compression, Compressor, TimestampType,
    restamp,
};
use support::{
    Client, Process, batch, batch_of, fetch_request, folder, produce_request, sequenced,
};

/// A broker with a topic `t` of one partition.
fn broker(configs: &[(&str, &str)]) -> (tempfile::TempDir, Process, Client) {
    let (holder, data) = folder();
    let broker = Process::start(&data, &[]);
    let mut client = broker.connect();
    client.create_topic("t", 1, configs);
    (holder, broker, client)
}

/// Changes a batch and makes its CRC right again.
fn altered(batch: &Bytes, at: usize, bytes: &[u8]) -> Bytes {
    let mut changed = BytesMut::from(&batch[..]);
    changed[at..at + bytes.len()].copy_from_slice(bytes);
    restamp(&mut changed, -1, -1, -1);
    changed.freeze()
}

fn keyless_at(timestamps: &[i64]) -> Bytes {
    let mut builder = BatchBuilder::new(1024);
    for timestamp in timestamps {
        builder.append(*timestamp, None, Some(b"v"), &[]).unwrap();
    }
    builder.finish(&BatchFields::default(), &mut Compressor::new()).unwrap()
}

#[test]
fn acks_0_is_never_answered_and_its_error_closes() {
    let (_folder, broker, mut client) = broker(&[]);
    let good: Request = produce_request("t", 0, 0, batch(&[b"a"])).into();
    client.send(9, &good);
    assert!(client.is_alive(), "PR-01: the next answer is that of the next request");
    assert_eq!(client.fetch("t", 0, 0).high_watermark, 1);
    let mut other = broker.connect();
    let bad: Request = produce_request("nowhere", 0, 0, batch(&[b"a"])).into();
    other.send(9, &bad);
    assert!(other.is_closed(), "PR-02");
    assert!(client.is_alive());
}

#[test]
fn batches_that_break_a_rule_are_refused_and_nothing_is_stored() {
    let (_folder, _broker, mut client) = broker(&[("max.message.bytes", "2000")]);
    let good = batch(&[b"a", b"b"]);
    let mut flipped = BytesMut::from(&good[..]);
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    let two = Bytes::from([&good[..], &good[..]].concat());
    let control = batch_of(&[b"a"], &BatchFields { control: true, ..Default::default() });
    let transactional = BatchFields { transactional: true, producer_id: 1, ..Default::default() };
    let transactional = BatchFields { producer_epoch: 0, base_sequence: 0, ..transactional };
    let zstd = BatchFields { compression: Compression::Zstd, ..Default::default() };
    let long = batch(&[&[b'x'; 3000]]);
    let cases: Vec<(&str, i16, Bytes)> = vec![
        ("PR-06", 10, long),
        ("PR-07", 2, flipped.freeze()),
        ("PR-08 two", 87, two),
        ("PR-08 none", 87, Bytes::new()),
        ("PR-09", 87, altered(&good, MAGIC_AT, &[1])),
        ("PR-11 base offset", 87, altered(&good, BASE_OFFSET_AT, &5i64.to_be_bytes())),
        ("PR-11 count", 87, altered(&good, RECORD_COUNT_AT, &3i32.to_be_bytes())),
        ("PR-11 zero", 87, altered(&good, RECORD_COUNT_AT, &0i32.to_be_bytes())),
        ("PR-12", 87, control),
        ("PR-13", 87, sequenced(&[b"a"], 5, 0, -1)),
        ("PR-27", 53, batch_of(&[b"a"], &transactional)),
        ("cut", 87, good.slice(..good.len() - 3)),
    ];
    for (rule, code, batch) in cases {
        let answer = client.produce("t", 0, -1, batch);
        assert_eq!((answer.error_code, answer.base_offset), (code, -1), "{rule}");
        assert!(answer.error_message.is_some(), "{rule}");
    }
    let acks = client.produce("t", 0, 2, good.clone());
    assert_eq!((acks.error_code, acks.base_offset), (21, -1), "PR-03");
    assert_eq!(client.produce("t", 7, 1, good.clone()).error_code, 3, "PR-05");
    let request = produce_request("t", 0, 1, batch_of(&[b"a"], &zstd));
    let Response::Produce(answer) = client.call(6, request) else { panic!() };
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 76, "PR-10");
    assert_eq!(client.fetch("t", 0, 0).high_watermark, 0);
    let answer = client.produce("t", 0, -1, good);
    assert_eq!((answer.error_code, answer.log_append_time_ms), (0, -1), "PR-19");
}

#[test]
fn clients_do_not_write_to_internal_topics() {
    let (_folder, _broker, mut client) = broker(&[]);
    let answer = client.produce("__consumer_offsets", 0, 1, batch(&[b"a"]));
    // PR-29; before the topic exists it is unknown like any other.
    assert_eq!(answer.error_code, 3);
    let request =
        ottla_protocol::messages::FindCoordinatorRequest { key: "g".into(), ..Default::default() };
    client.call(3, request);
    let answer = client.produce("__consumer_offsets", 0, 1, batch(&[b"a"]));
    assert_eq!(answer.error_code, 17);
}

#[test]
fn a_compacted_topic_demands_keys_and_names_the_records_without() {
    let (_folder, _broker, mut client) = broker(&[("cleanup.policy", "compact")]);
    let mut builder = BatchBuilder::new(1024);
    builder.append(1, Some(b"k"), Some(b"v"), &[]).unwrap();
    builder.append(1, None, Some(b"v"), &[]).unwrap();
    builder.append(1, Some(b""), None, &[]).unwrap();
    let mixed = builder.finish(&BatchFields::default(), &mut Compressor::new()).unwrap();
    let answer = client.produce("t", 0, -1, mixed);
    assert_eq!(answer.error_code, 87, "PR-15");
    let at: Vec<i32> = answer.record_errors.iter().map(|error| error.batch_index).collect();
    assert_eq!(at, [1]);
}

#[test]
fn timestamps_outside_of_the_topics_bounds_are_refused() {
    let bounds =
        [("message.timestamp.before.max.ms", "1000"), ("message.timestamp.after.max.ms", "1000")];
    let (_folder, _broker, mut client) = broker(&bounds);
    assert_eq!(client.produce("t", 0, -1, keyless_at(&[0])).error_code, 32, "PR-16");
    assert_eq!(client.produce("t", 0, -1, keyless_at(&[i64::MAX / 2])).error_code, 32, "PR-16");
    assert_eq!(client.produce("t", 0, -1, batch(&[b"now"])).error_code, 0);
}

#[test]
fn a_log_append_time_topic_has_the_brokers_time_in_a_consistent_batch() {
    let (_folder, _broker, mut client) = broker(&[("message.timestamp.type", "LogAppendTime")]);
    let answer = client.produce("t", 0, -1, keyless_at(&[5, 6]));
    assert_eq!(answer.error_code, 0);
    assert!(answer.log_append_time_ms > 1_600_000_000_000, "PR-18");
    let records = client.fetch("t", 0, 0).records.unwrap();
    let stored = BatchIter::new(records).next().unwrap().unwrap();
    stored.verify_crc().unwrap();
    assert_eq!(stored.header().max_timestamp, answer.log_append_time_ms);
    assert_eq!(stored.header().timestamp_type(), TimestampType::LogAppendTime);
    let found = list_offset(&mut client, 7, answer.log_append_time_ms);
    assert_eq!((found.offset, found.timestamp), (0, answer.log_append_time_ms), "LO-06");
}

#[test]
fn the_stored_maximum_timestamp_is_that_of_the_records() {
    let (_folder, _broker, mut client) = broker(&[]);
    let honest = keyless_at(&[1_000, 9_000, 2_000]);
    let mut lying = BytesMut::from(&honest[..]);
    lying[35..43].copy_from_slice(&77i64.to_be_bytes());
    restamp(&mut lying, -1, -1, -1);
    assert_eq!(client.produce("t", 0, -1, lying.freeze()).error_code, 0);
    let records = client.fetch("t", 0, 0).records.unwrap();
    let stored = BatchIter::new(records).next().unwrap().unwrap();
    stored.verify_crc().unwrap();
    assert_eq!(stored.header().max_timestamp, 9_000, "P7");
}

#[test]
fn sequences_of_an_idempotent_producer() {
    let (_folder, _broker, mut client) = broker(&[]);
    let mut send = |epoch, sequence| {
        let answer = client.produce("t", 0, -1, sequenced(&[b"a", b"b"], 40, epoch, sequence));
        (answer.error_code, answer.base_offset)
    };
    assert_eq!(send(3, 100), (0, 0), "PR-24: an unknown producer starts anywhere");
    for batch in 1..6 {
        assert_eq!(send(3, 100 + 2 * batch), (0, 2 * i64::from(batch)));
    }
    assert_eq!(send(3, 110), (0, 10), "PR-20: a duplicate has its first offset");
    assert_eq!(send(3, 102), (0, 2), "PR-20: the oldest of five");
    assert_eq!(send(3, 100).0, 45, "a duplicate out of the window");
    assert_eq!(send(3, 116).0, 45, "PR-21: a gap");
    assert_eq!(send(2, 112).0, 47, "PR-22: a former epoch");
    assert_eq!(send(4, 5).0, 45, "PR-23: a new epoch starts at 0");
    assert_eq!(send(4, 0), (0, 12));
    let wrap = sequenced(&[b"a", b"b"], 41, 0, i32::MAX - 1);
    assert_eq!(client.produce("t", 0, -1, wrap).error_code, 0);
    let wrapped = client.produce("t", 0, -1, sequenced(&[b"a"], 41, 0, 0));
    assert_eq!(wrapped.error_code, 0, "PR-25: 2^31-1 is followed by 0");
}

#[test]
fn no_more_replicas_are_demanded_than_there_are() {
    let (_folder, _broker, mut client) = broker(&[("min.insync.replicas", "2")]);
    let answer = client.produce("t", 0, -1, batch(&[b"a"]));
    assert_eq!((answer.error_code, answer.base_offset), (0, 0), "P1");
    assert_eq!(client.fetch("t", 0, 0).high_watermark, 1, "P1");
}

#[test]
fn a_fetch_waits_for_data_and_no_longer_than_it_was_told() {
    let (_folder, broker, mut client) = broker(&[]);
    let started = Instant::now();
    client.call(11, fetch_request("t", 0, 0, 200, 1 << 20));
    assert!(started.elapsed() >= Duration::from_millis(200), "FE-01");
    let waiting: Request = fetch_request("t", 0, 0, 15_000, 1 << 20).into();
    let started = Instant::now();
    let correlation_id = client.send(11, &waiting);
    let mut producer = broker.connect();
    assert_eq!(producer.produce("t", 0, 1, batch(&[b"a"])).error_code, 0);
    let Response::Fetch(answer) = client.receive(ApiKey::Fetch, 11, correlation_id) else {
        panic!();
    };
    assert!(started.elapsed() < Duration::from_secs(10), "FE-01: woken by the data");
    let part = &answer.responses[0].partitions[0];
    assert_eq!(part.high_watermark, 1);
    assert!(!part.records.as_ref().unwrap().is_empty());
}

#[test]
fn a_long_poll_ends_with_its_topic() {
    let (_folder, broker, mut client) = broker(&[]);
    let waiting: Request = fetch_request("t", 0, 0, 15_000, 1 << 20).into();
    let started = Instant::now();
    let correlation_id = client.send(11, &waiting);
    let mut admin = broker.connect();
    let delete = ottla_protocol::messages::DeleteTopicsRequest {
        topic_names: vec!["t".into()],
        timeout_ms: 5000,
        ..Default::default()
    };
    admin.call(4, delete);
    let Response::Fetch(answer) = client.receive(ApiKey::Fetch, 11, correlation_id) else {
        panic!();
    };
    assert!(started.elapsed() < Duration::from_secs(10), "M8");
    assert_ne!(answer.responses[0].partitions[0].error_code, 0);
}

#[test]
fn limits_let_the_first_batch_through_and_bound_the_rest() {
    let (_folder, _broker, mut client) = broker(&[]);
    for _ in 0..4 {
        client.produce("t", 0, 1, batch(&[&[b'x'; 1000], &[b'y'; 1000]]));
    }
    let size = batch(&[&[b'x'; 1000], &[b'y'; 1000]]).len();
    let mut fetched = |offset, partition_max_bytes: usize| {
        let max = i32::try_from(partition_max_bytes).unwrap();
        let Response::Fetch(answer) = client.call(11, fetch_request("t", 0, offset, 0, max)) else {
            panic!();
        };
        answer.responses[0].partitions[0].records.clone().unwrap()
    };
    assert_eq!(fetched(0, 1).len(), size, "FE-03");
    assert_eq!(fetched(0, 2 * size + 10).len(), 2 * size, "whole batches");
    let inside = fetched(3, 1);
    assert_eq!(BatchHeader::parse(&inside).unwrap().base_offset, 2, "FE-05");
    let request = FetchRequest { max_bytes: 1, ..fetch_request("t", 0, 0, 0, 1 << 20) };
    let Response::Fetch(answer) = client.call(11, request) else { panic!() };
    let records = answer.responses[0].partitions[0].records.clone().unwrap();
    assert_eq!(records.len(), size, "FE-04");
}

#[test]
fn errors_of_a_fetch() {
    let (_folder, _broker, mut client) = broker(&[]);
    client.produce("t", 0, 1, batch(&[b"a"]));
    let ahead = client.fetch("t", 0, 5);
    assert_eq!((ahead.error_code, ahead.high_watermark), (1, -1), "FE-06, FE-07");
    assert_eq!(ahead.records.as_deref(), Some(&[][..]), "FE-21");
    assert_eq!(client.fetch("t", 9, 0).error_code, 3, "FE-10");
    let end = client.fetch("t", 0, 1);
    assert_eq!((end.error_code, end.high_watermark, end.last_stable_offset), (0, 1, 1), "FE-09");
    assert_eq!(end.log_start_offset, 0);
    let mut with_epoch = |epoch| {
        let mut request = fetch_request("t", 0, 0, 0, 1 << 20);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        let Response::Fetch(answer) = client.call(11, request) else { panic!() };
        answer.responses[0].partitions[0].error_code
    };
    assert_eq!(with_epoch(0), 0);
    assert_eq!(with_epoch(1), 75, "FE-19");
    let unknown =
        FetchRequest { session_id: 77, session_epoch: 3, ..fetch_request("t", 0, 0, 0, 1) };
    let Response::Fetch(answer) = client.call(11, unknown) else { panic!() };
    assert_eq!((answer.error_code, answer.session_id, answer.responses.len()), (70, 0, 0), "FE-11");
    let opened = FetchRequest { session_epoch: 0, ..fetch_request("t", 0, 0, 0, 1) };
    let Response::Fetch(answer) = client.call(11, opened) else { panic!() };
    assert_eq!(answer.error_code, 0, "FE-11");
    assert!(answer.session_id > 0, "FE-11: opened");
    let follower = FetchRequest { replica_id: 2, ..fetch_request("t", 0, 0, 0, 1) };
    let Response::Fetch(answer) = client.call(11, follower) else { panic!() };
    assert_eq!(answer.responses[0].partitions[0].error_code, 6, "M7");
}

#[test]
fn an_epoch_that_ended_earlier_diverges() {
    let (holder, data) = folder();
    let broker = Process::start(&data, &[]);
    let mut client = broker.connect();
    client.create_topic("t", 1, &[]);
    client.produce("t", 0, 1, batch(&[b"a", b"b"]));
    broker.kill();
    let broker = Process::start(&data, &[]);
    let mut client = broker.connect();
    client.produce("t", 0, 1, batch(&[b"c"]));
    let mut request = fetch_request("t", 0, 3, 0, 1 << 20);
    request.topics[0].partitions[0].last_fetched_epoch = 0;
    let Response::Fetch(answer) = client.call(12, request) else { panic!() };
    let part = &answer.responses[0].partitions[0];
    assert_eq!((part.diverging_epoch.epoch, part.diverging_epoch.end_offset), (0, 2), "FE-20");
    assert!(part.records.as_ref().unwrap().is_empty());
    assert_eq!(part.error_code, 0);
    let end_of = |client: &mut Client, epoch| -> EpochEndOffset {
        let request = OffsetForLeaderEpochRequest {
            replica_id: -1,
            topics: vec![OffsetForLeaderTopic {
                topic: "t".into(),
                partitions: vec![OffsetForLeaderPartition {
                    partition: 0,
                    current_leader_epoch: -1,
                    leader_epoch: epoch,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let Response::OffsetForLeaderEpoch(answer) = client.call(4, request) else { panic!() };
        answer.topics[0].partitions[0].clone()
    };
    let past = end_of(&mut client, 0);
    assert_eq!((past.error_code, past.leader_epoch, past.end_offset), (0, 0, 2), "LE-02");
    // The restart lost the leader and elected it again: two epochs, the first of them empty.
    let empty = end_of(&mut client, 1);
    assert_eq!((empty.leader_epoch, empty.end_offset), (0, 2));
    let current = end_of(&mut client, 2);
    assert_eq!((current.leader_epoch, current.end_offset), (2, 3));
    let future = end_of(&mut client, 9);
    assert_eq!((future.error_code, future.leader_epoch, future.end_offset), (0, -1, -1), "LE-01");
    drop(holder);
}

fn list_offset(client: &mut Client, version: i16, timestamp: i64) -> ListOffsetsPartitionResponse {
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: "t".into(),
            partitions: vec![ListOffsetsPartition {
                timestamp,
                current_leader_epoch: -1,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let Response::ListOffsets(answer) = client.call(version, request) else { panic!() };
    answer.topics[0].partitions[0].clone()
}

#[test]
fn offsets_by_timestamp_and_by_sentinel() {
    let (_folder, _broker, mut client) = broker(&[]);
    let mut builder = BatchBuilder::new(1024);
    for timestamp in [100, 300, 200] {
        builder.append(timestamp, None, Some(b"v"), &[]).unwrap();
    }
    let fields = BatchFields { compression: Compression::Gzip, ..Default::default() };
    let compressed = builder.finish(&fields, &mut Compressor::new()).unwrap();
    client.produce("t", 0, 1, compressed);
    client.produce("t", 0, 1, keyless_at(&[250]));
    let mut at = |version, timestamp| {
        let found = list_offset(&mut client, version, timestamp);
        (found.error_code, found.offset, found.timestamp)
    };
    assert_eq!(at(7, -1), (0, 4, -1), "LO-01");
    assert_eq!(at(7, -2), (0, 0, -1), "LO-02");
    assert_eq!(at(7, 150), (0, 1, 300), "LO-04: inside a compressed batch");
    assert_eq!(at(7, 301), (0, -1, -1), "LO-05");
    assert_eq!(at(7, -3), (0, 1, 300), "LO-03");
    assert_eq!(at(6, -3).0, 35, "LO-03");
    assert_eq!(at(7, -4).0, 35, "LO-03");
    assert_eq!(at(8, -4), (0, 0, -1));
    assert_eq!(at(9, -5), (0, -1, -1));
    assert_eq!(at(9, -99).0, 35);
}

#[test]
fn a_partition_that_is_asked_for_twice_is_refused() {
    let (_folder, _broker, mut client) = broker(&[]);
    let twice = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: "t".into(),
            partitions: vec![ListOffsetsPartition { timestamp: -1, ..Default::default() }; 2],
            ..Default::default()
        }],
        ..Default::default()
    };
    let Response::ListOffsets(answer) = client.call(7, twice) else { panic!() };
    let codes: Vec<i16> =
        answer.topics[0].partitions.iter().map(|partition| partition.error_code).collect();
    assert_eq!(codes, [42], "LO-07: refused, once");
}
