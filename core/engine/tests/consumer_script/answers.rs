//! Responses from words.

use super::{error_code, number, partition};
use ottla_engine::cluster::Metadata;
use ottla_engine::group::assignor::Subscriber;
use ottla_engine::group::consumer_protocol::{encode_assignment, encode_subscription};
use ottla_protocol::messages::fetch::{
    AbortedTransaction, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData,
};
use ottla_protocol::messages::heartbeat::HeartbeatResponse;
use ottla_protocol::messages::join_group::{JoinGroupResponse, JoinGroupResponseMember};
use ottla_protocol::messages::leave_group::LeaveGroupResponse;
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use ottla_protocol::messages::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::offset_commit::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopics,
};
use ottla_protocol::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};
use ottla_protocol::messages::sync_group::SyncGroupResponse;
use ottla_protocol::messages::{Request, Response};
use ottla_protocol::records::{
    Attributes, BATCH_HEADER_LEN, BatchBuilder, BatchFields, BatchHeader, Compressor,
};
use ottla_protocol::{Bytes, Uuid};
use std::collections::BTreeMap;

/// Words `name=value`; the others are under the empty name.
fn words<'a>(args: &[&'a str]) -> BTreeMap<&'a str, &'a str> {
    args.iter().map(|arg| arg.split_once('=').unwrap_or((arg, ""))).collect()
}

/// The answer to `request` that the words describe.
pub(super) fn answer(metadata: &Metadata, request: &Request, args: &[&str]) -> Response {
    match request {
        Request::JoinGroup(_) => join(&words(args)),
        Request::SyncGroup(_) => sync(&words(args)),
        Request::Heartbeat(_) => Response::Heartbeat(Box::new(HeartbeatResponse {
            error_code: args.first().map_or(0, |code| error_code(code)),
            ..Default::default()
        })),
        Request::LeaveGroup(_) => Response::LeaveGroup(Box::<LeaveGroupResponse>::default()),
        Request::OffsetFetch(_) => offset_fetch(metadata, args),
        Request::OffsetCommit(_) => offset_commit(args),
        Request::ListOffsets(_) => list_offsets(args),
        Request::OffsetForLeaderEpoch(_) => epochs(args),
        Request::Fetch(_) => fetch(metadata, args),
        other => panic!("no answer is known for {}", other.api_key().name()),
    }
}

/// `generation=1 member=a leader=a protocol=range members=a:t,b:t+u` or `error=MEMBER_ID_REQUIRED
/// member=a`; a member may own partitions of a generation: `a:t:t-0+t-1@3`.
fn join(words: &BTreeMap<&str, &str>) -> Response {
    let text = |name: &str| words.get(name).map_or(String::new(), ToString::to_string);
    let member = |word: &str| {
        let mut parts = word.split(':');
        let id = parts.next().expect("an id");
        let topics = parts.next().unwrap_or_default().split('+').map(Into::into).collect();
        let (owned, generation) = match parts.next().and_then(|p| p.split_once('@')) {
            Some((owned, generation)) => {
                (owned.split('+').map(partition).collect(), number(generation) as i32)
            }
            None => (Vec::new(), -1),
        };
        let subscriber = Subscriber { topics, owned, generation, ..Default::default() };
        JoinGroupResponseMember {
            member_id: id.to_string(),
            metadata: encode_subscription(&subscriber).expect("a short subscription"),
            ..Default::default()
        }
    };
    let members = words.get("members").map_or("", |members| members);
    Response::JoinGroup(Box::new(JoinGroupResponse {
        error_code: words.get("error").map_or(0, |code| error_code(code)),
        generation_id: words.get("generation").map_or(-1, |g| number(g) as i32),
        protocol_name: Some(text("protocol")),
        leader: text("leader"),
        member_id: text("member"),
        members: members.split(',').filter(|m| !m.is_empty()).map(member).collect(),
        ..Default::default()
    }))
}

/// `gets=t-0,t-1` or `error=REBALANCE_IN_PROGRESS`
fn sync(words: &BTreeMap<&str, &str>) -> Response {
    let gets = words.get("gets").copied().unwrap_or_default();
    let partitions: Vec<_> = gets.split(',').filter(|p| !p.is_empty()).map(partition).collect();
    Response::SyncGroup(Box::new(SyncGroupResponse {
        error_code: words.get("error").map_or(0, |code| error_code(code)),
        assignment: encode_assignment(&partitions).expect("a short assignment"),
        ..Default::default()
    }))
}

/// `5e2` -> (5, 2); `none` -> (-1, -1)
fn offset_and_epoch(word: &str) -> (i64, i32) {
    match word.split_once('e') {
        _ if word == "none" => (-1, -1),
        Some((offset, epoch)) => (number(offset), number(epoch) as i32),
        None => (number(word), -1),
    }
}

/// `error=NOT_COORDINATOR`, or `t-0=5e2 t-1=none t-2=!UNSTABLE_OFFSET_COMMIT`
fn offset_fetch(metadata: &Metadata, args: &[&str]) -> Response {
    let mut group = OffsetFetchResponseGroup::default();
    for arg in args {
        let (name, value) = arg.split_once('=').expect("name=value");
        if name == "error" {
            group.error_code = error_code(value);
            continue;
        }
        let of = partition(name);
        let (code, (offset, epoch)) = match value.strip_prefix('!') {
            Some(code) => (error_code(code), (-1, -1)),
            None => (0, offset_and_epoch(value)),
        };
        group.topics.push(OffsetFetchResponseTopics {
            // As version 10 does: by id alone.
            topic_id: metadata.topic_id(&of.topic).expect("a topic with an id"),
            partitions: vec![OffsetFetchResponsePartitions {
                partition_index: of.partition,
                committed_offset: offset,
                committed_leader_epoch: epoch,
                error_code: code,
                ..Default::default()
            }],
            ..Default::default()
        });
    }
    Response::OffsetFetch(Box::new(OffsetFetchResponse {
        groups: vec![group],
        ..Default::default()
    }))
}

/// `t-0=0 t-1=ILLEGAL_GENERATION`
fn offset_commit(args: &[&str]) -> Response {
    let topics = args.iter().map(|arg| {
        let (name, code) = arg.split_once('=').expect("partition=code");
        let of = partition(name);
        OffsetCommitResponseTopic {
            name: of.topic.to_string(),
            partitions: vec![OffsetCommitResponsePartition {
                partition_index: of.partition,
                error_code: error_code(code),
                ..Default::default()
            }],
            ..Default::default()
        }
    });
    let topics = topics.collect();
    Response::OffsetCommit(Box::new(OffsetCommitResponse { topics, ..Default::default() }))
}

/// `t-0=100 t-1=!NOT_LEADER_OR_FOLLOWER`
fn list_offsets(args: &[&str]) -> Response {
    let topics = args.iter().map(|arg| {
        let (name, value) = arg.split_once('=').expect("partition=offset");
        let of = partition(name);
        let (code, offset) = match value.strip_prefix('!') {
            Some(code) => (error_code(code), -1),
            None => (0, number(value)),
        };
        ListOffsetsTopicResponse {
            name: of.topic.to_string(),
            partitions: vec![ListOffsetsPartitionResponse {
                partition_index: of.partition,
                error_code: code,
                offset,
                ..Default::default()
            }],
            ..Default::default()
        }
    });
    let topics = topics.collect();
    Response::ListOffsets(Box::new(ListOffsetsResponse { topics, ..Default::default() }))
}

/// `t-0=100e5 t-1=none t-2=!FENCED_LEADER_EPOCH`
fn epochs(args: &[&str]) -> Response {
    let topics = args.iter().map(|arg| {
        let (name, value) = arg.split_once('=').expect("partition=end");
        let of = partition(name);
        let (code, (end_offset, leader_epoch)) = match value.strip_prefix('!') {
            Some(code) => (error_code(code), (-1, -1)),
            None => (0, offset_and_epoch(value)),
        };
        OffsetForLeaderTopicResult {
            topic: of.topic.to_string(),
            partitions: vec![EpochEndOffset {
                partition: of.partition,
                error_code: code,
                leader_epoch,
                end_offset,
                ..Default::default()
            }],
            ..Default::default()
        }
    });
    let topics = topics.collect();
    Response::OffsetForLeaderEpoch(Box::new(OffsetForLeaderEpochResponse {
        topics,
        ..Default::default()
    }))
}

/// `t-0=0..4,5..9/t7,10/abort7 end=11 stable=11 aborted=7@5`: partitions with batches, then the
/// offsets and aborted transactions of all of them; `t-0=!OFFSET_OUT_OF_RANGE`, with the leader
/// that is named `t-0=!NOT_LEADER_OR_FOLLOWER:2@7`; `t-0=` is empty; `preferred=2` to read there.
fn fetch(metadata: &Metadata, args: &[&str]) -> Response {
    let words = words(args);
    let end = words.get("end").map_or(1000, |end| number(end));
    let stable = words.get("stable").map_or(end, |stable| number(stable));
    let aborted = words.get("aborted").map(|aborted| {
        let one = |word: &str| {
            let (producer, first) = word.split_once('@').expect("producer@offset");
            let (producer_id, first_offset) = (number(producer), number(first));
            AbortedTransaction { producer_id, first_offset, ..Default::default() }
        };
        aborted.split(',').map(one).collect()
    });
    let mut response = FetchResponse::default();
    for (name, value) in words.iter().filter(|(name, _)| name.contains('-')) {
        let of = partition(name);
        let (value, current_leader) = match value.split_once(':') {
            Some((value, named)) => (value, leader(named)),
            None => (*value, LeaderIdAndEpoch::default()),
        };
        let (code, records) = match value.strip_prefix('!') {
            Some(code) => (error_code(code), Bytes::new()),
            None => (0, value.split(',').filter(|b| !b.is_empty()).flat_map(batch).collect()),
        };
        response.responses.push(FetchableTopicResponse {
            // As version 13 and later do: by id alone.
            topic_id: metadata.topic_id(&of.topic).expect("a topic with an id"),
            partitions: vec![PartitionData {
                partition_index: of.partition,
                error_code: code,
                high_watermark: end,
                last_stable_offset: stable,
                log_start_offset: 0,
                current_leader,
                aborted_transactions: aborted.clone(),
                preferred_read_replica: words.get("preferred").map_or(-1, |n| number(n) as i32),
                records: Some(records),
                ..Default::default()
            }],
            ..Default::default()
        });
    }
    Response::Fetch(Box::new(response))
}

/// `2@7`: node 2 in epoch 7.
fn leader(word: &str) -> LeaderIdAndEpoch {
    let (node, epoch) = word.split_once('@').expect("node@epoch");
    let (leader_id, leader_epoch) = (number(node) as i32, number(epoch) as i32);
    LeaderIdAndEpoch { leader_id, leader_epoch, ..Default::default() }
}

/// `0..4` records 0 to 4; `/t7` of a transaction of producer 7; `/e3` of leader epoch 3; `/gap`
/// only the first record is left; `/empty` none; `/cut` half of its bytes; `10/abort7`,
/// `10/commit7` markers.
fn batch(word: &str) -> Bytes {
    let mut flags = word.split('/');
    let offsets = flags.next().expect("offsets");
    let (first, last) = offsets.split_once("..").unwrap_or((offsets, offsets));
    let (first, last) = (number(first), number(last));
    let delta = (last - first) as i32;
    let mut fields = BatchFields {
        base_offset: first,
        partition_leader_epoch: 5,
        last_offset_delta: Some(delta),
        ..Default::default()
    };
    let (mut left, mut marker, mut is_cut) = (delta + 1, None, false);
    for flag in flags {
        match flag {
            "gap" => left = 1,
            "empty" => left = 0,
            "cut" => is_cut = true,
            flag => {
                let digits = flag.find(|c: char| c.is_ascii_digit()).expect("a number");
                let (kind, value) = (&flag[..digits], number(&flag[digits..]));
                match kind {
                    "e" => fields.partition_leader_epoch = value as i32,
                    "t" | "abort" | "commit" => {
                        fields.producer_id = value;
                        fields.producer_epoch = 0;
                        fields.transactional = true;
                        fields.control = kind != "t";
                        marker = (kind != "t").then_some(u8::from(kind == "commit"));
                    }
                    other => panic!("unknown flag {other}"),
                }
            }
        }
    }
    let mut builder = BatchBuilder::new(256);
    for index in 0..left {
        let key = marker.map(|kind| [0, 0, 0, kind]);
        let key = key.as_ref().map(<[u8; 4]>::as_slice);
        builder.append_at(index, 1000, key, Some(b"value"), &[]).expect("a small record");
    }
    if left == 0 {
        return emptied(&fields, delta);
    }
    let bytes = builder.finish(&fields, &mut Compressor::new()).expect("a small batch");
    if is_cut { bytes.slice(..bytes.len() / 2) } else { bytes }
}

/// What compaction leaves of a producer's last batch: the header alone.
fn emptied(fields: &BatchFields, last_offset_delta: i32) -> Bytes {
    let header = BatchHeader {
        base_offset: fields.base_offset,
        batch_length: BATCH_HEADER_LEN as i32 - 12,
        partition_leader_epoch: fields.partition_leader_epoch,
        magic: 2,
        crc: 0,
        attributes: Attributes::default(),
        last_offset_delta,
        base_timestamp: 1000,
        max_timestamp: 1000,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        record_count: 0,
    };
    Bytes::copy_from_slice(&header.to_bytes())
}

/// `t:0@1e5` partition 0 of t, led by node 1 in epoch 5; `t:0@-` without a leader; `u:?` unknown.
pub(super) fn metadata(args: &[&str]) -> MetadataResponse {
    let mut topics: BTreeMap<&str, MetadataResponseTopic> = BTreeMap::new();
    for arg in args {
        let (name, rest) = arg.split_once(':').expect("topic:partition");
        let topic = topics.entry(name).or_insert_with(|| MetadataResponseTopic {
            name: Some(name.to_string()),
            topic_id: Uuid([name.as_bytes()[0]; 16]),
            ..Default::default()
        });
        if rest == "?" {
            topic.error_code = error_code("UNKNOWN_TOPIC_OR_PARTITION");
            topic.topic_id = Uuid::ZERO;
            continue;
        }
        let (index, leader) = rest.split_once('@').expect("partition@leader");
        let (leader_id, leader_epoch) = match leader.split_once('e') {
            Some((node, epoch)) => (number(node) as i32, number(epoch) as i32),
            None => (-1, 0),
        };
        topic.partitions.push(MetadataResponsePartition {
            partition_index: number(index) as i32,
            leader_id,
            leader_epoch,
            ..Default::default()
        });
    }
    let broker = |node_id| MetadataResponseBroker {
        node_id,
        host: "h".to_string(),
        port: 9092,
        ..Default::default()
    };
    MetadataResponse {
        brokers: vec![broker(1), broker(2)],
        topics: topics.into_values().collect(),
        ..Default::default()
    }
}
