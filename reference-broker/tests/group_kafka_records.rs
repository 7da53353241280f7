//! `__consumer_offsets` as Apache Kafka wrote it: read, and written back to the same bytes.

use bytes::Bytes;
use ottla_broker::coordinator::GroupConfig;
use ottla_broker::coordinator::record::Update;
use ottla_broker::coordinator::shard::Shard;
use ottla_broker::coordinator::time::Now;
use ottla_protocol::{ErrorCode, Uuid};

struct Stored {
    partition: i32,
    key: Bytes,
    value: Option<Bytes>,
}

fn bytes(hex: &str) -> Bytes {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(digit).collect::<Vec<u8>>().into()
}

fn records() -> Vec<Stored> {
    let text = include_str!("scripts/kafka_records.tsv");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let stored = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        Stored {
            partition: fields[0].parse().expect("a partition"),
            key: bytes(fields[2]),
            value: (fields[3] != "-").then(|| bytes(fields[3])),
        }
    };
    lines.map(stored).collect()
}

/// A shard that has loaded the first `count` records of a partition.
fn loaded(partition: i32, count: usize) -> Shard {
    let mut shard = Shard::new(GroupConfig::default());
    shard.begin_load(Now::default(), 0);
    for record in records().iter().filter(|record| record.partition == partition).take(count) {
        shard.load_record(&record.key, record.value.as_ref()).expect("Kafka's records are sound");
    }
    shard.finish_load(Now::default(), 0);
    shard
}

#[test]
fn every_record_is_written_as_kafka_wrote_it() {
    let records = records();
    assert_eq!(records.len(), 24);
    for record in records {
        let update = Update::from_record(&record.key, record.value.as_ref()).expect("readable");
        let again = update.expect("a kind of this coordinator").to_record();
        assert_eq!((again.key, again.value), (record.key, record.value));
    }
}

#[test]
fn committed_offsets_are_read_with_what_belongs_to_them() {
    let shard = loaded(0, 2);
    let offset = |partition| {
        let value = shard.committed("ids", "wt2", Uuid::ZERO, partition).expect("active");
        value.expect("committed").clone()
    };
    let (first, second) = (offset(0), offset(1));
    assert_eq!((first.offset, first.leader_epoch, first.metadata.as_str()), (5, 4, "é"));
    assert_eq!(first.expire_timestamp_ms, None);
    assert!(!first.topic_id.is_zero());
    // A commit that named its retention is stored in an older version, without epoch and topic id.
    assert_eq!((second.offset, second.leader_epoch, second.metadata.as_str()), (6, -1, "kept"));
    assert_eq!(second.expire_timestamp_ms, Some(second.commit_timestamp_ms + 3_600_000));
    assert!(second.topic_id.is_zero());
    // The topic was deleted at last, and with it the offsets.
    assert!(loaded(0, 4).all_committed("ids").expect("active").is_empty());
}

#[test]
fn groups_go_on_where_kafka_left_them() {
    let stable = loaded(4, 5).describe("wg4").expect("a group");
    assert_eq!((stable.state, stable.protocol_name.as_str()), ("Stable", "range"));
    let members = stable.members.iter();
    let mut shares: Vec<(Option<&str>, &[u8])> =
        members.map(|member| (member.instance_id.as_deref(), member.assignment.as_ref())).collect();
    shares.sort_unstable();
    assert_eq!(shares, [(Some("i1"), &[0, 1, 2][..]), (Some("i2"), &[0, 1, 3][..])]);

    let ended = loaded(3, 6);
    let group = ended.describe("wg3").expect("a group");
    assert_eq!((group.state, group.members.len()), ("Empty", 0));
    let offsets = ended.all_committed("wg3").expect("active");
    let offsets: Vec<(i32, i64)> =
        offsets[0].1.iter().map(|(partition, value)| (*partition, value.offset)).collect();
    assert_eq!(offsets, [(0, 8), (1, 9)]);

    let deleted = loaded(1, 3);
    assert_eq!(deleted.describe("simple"), Err(ErrorCode::GroupIdNotFound));
    assert!(deleted.all_committed("simple").expect("active").is_empty());
}
