//! DeleteRecords: the log's start moves.

use super::admin::{TIMEOUT_MS, UNKNOWN_TOPIC_OR_PARTITION};
use super::common::{Partition, is_passing};
use super::groups::Group;
use super::offsets::{Committer, Topic, commit_is, mark};
use super::records::batch;
use crate::case::{Case, Profile::Admin};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use crate::wire::Wire;
use ottla_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use ottla_protocol::messages::{ApiKey, DeleteRecordsResponse, Request};

const OFFSET_OUT_OF_RANGE: i16 = 1;
const INVALID_TOPIC_EXCEPTION: i16 = 17;
const POLICY_VIOLATION: i16 = 44;

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "delete-records/start-moves",
        Admin,
        (ApiKey::DeleteRecords, 0),
        start_moves,
        &[
            "K-DELETE-RECORDS-001",
            "K-DELETE-RECORDS-002",
            "K-DELETE-RECORDS-003",
            "K-DELETE-RECORDS-006",
            "K-DELETE-RECORDS-007",
        ],
    ),
    Case::each(
        "delete-records/refused",
        Admin,
        (ApiKey::DeleteRecords, 0),
        refused,
        &["K-DELETE-RECORDS-004", "K-DELETE-RECORDS-005", "K-DELETE-RECORDS-008"],
    ),
];

/// Deletes below an offset; the error and the low watermark of the one entry.
fn cut(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    (topic, index): (&str, i32),
    offset: i64,
    expected: i16,
) -> Step<i64> {
    let partition = DeleteRecordsPartition { partition_index: index, offset, ..Default::default() };
    let name = topic.to_owned();
    let topics =
        vec![DeleteRecordsTopic { name, partitions: vec![partition], ..Default::default() }];
    let request = DeleteRecordsRequest { topics, timeout_ms: TIMEOUT_MS, ..Default::default() };
    let request = Request::DeleteRecords(Box::new(request));
    let until = context.deadline();
    loop {
        let answer: DeleteRecordsResponse = context.call(statement, wire, &request)?;
        let entries = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let found: Vec<_> = entries.map(|one| (one.error_code, one.low_watermark)).collect();
        context.must(statement, found.len() == 1, || {
            format!("one partition is answered with {found:?}")
        })?;
        let (code, low) = found[0];
        if code != expected && is_passing(code) {
            context.must_before(statement, until, || {
                format!("still {} at the deadline", error_name(code))
            })?;
            continue;
        }
        context.must(statement, code == expected, || {
            let (expected, code) = (error_name(expected), error_name(code));
            format!("offset {offset} should be answered with {expected}; it is {code}")
        })?;
        return Ok(low);
    }
}

/// A fetch below the log start; and one at it gives the start.
fn starts_at(
    context: &mut Context<'_>,
    topic: &mut Partition,
    statement: &'static str,
    start: i64,
) -> Step {
    let request = topic.fetch_request(start - 1);
    let code = topic.fetch(context, statement, request)?.error_code;
    context.must(statement, code == OFFSET_OUT_OF_RANGE, || {
        format!("the log starts at {start}; a fetch below it: {}", error_name(code))
    })?;
    let request = topic.fetch_request(start);
    let data = topic.fetch(context, statement, request)?;
    let is_it = (data.error_code, data.log_start_offset) == (0, start);
    // Before version 5, Fetch does not tell it.
    let is_told = context.best(ApiKey::Fetch)? >= 5;
    context.must(statement, is_it || (!is_told && data.error_code == 0), || {
        let (code, told) = (error_name(data.error_code), data.log_start_offset);
        format!("a fetch at {start}: {code}, log start {told}")
    })
}

fn start_moves(context: &mut Context<'_>) -> Step {
    let (one, two, three) =
        ("K-DELETE-RECORDS-001", "K-DELETE-RECORDS-002", "K-DELETE-RECORDS-003");
    let (six, seven) = ("K-DELETE-RECORDS-006", "K-DELETE-RECORDS-007");
    let mut topic = Partition::new(context)?;
    for _ in 0..3 {
        topic.append(context, batch(&[b"a", b"b"]))?;
    }
    let name = topic.topic.clone();
    let it = (&name[..], 0);
    cut(context, &mut topic.wire, two, it, 7, OFFSET_OUT_OF_RANGE)?;
    let low = cut(context, &mut topic.wire, three, it, 3, 0)?;
    context.must(three, low == 3, || format!("cut at 3, the low watermark is {low}"))?;
    starts_at(context, &mut topic, six, 3)?;
    let low = cut(context, &mut topic.wire, seven, it, 1, 0)?;
    context.must(seven, low == 3, || format!("cut at 1 below 3, the low watermark is {low}"))?;
    starts_at(context, &mut topic, seven, 3)?;
    let low = cut(context, &mut topic.wire, one, it, -1, 0)?;
    context.must(one, low == 6, || format!("cut at the high watermark 6, it is {low}"))?;
    starts_at(context, &mut topic, one, 6)
}

fn refused(context: &mut Context<'_>) -> Step {
    let (five, eight) = ("K-DELETE-RECORDS-005", "K-DELETE-RECORDS-008");
    let topic = Partition::with(context, 1, &[("cleanup.policy", "compact")])?;
    let mut wire = topic.wire;
    let it = (&topic.topic[..], 0);
    cut(context, &mut wire, "K-DELETE-RECORDS-004", it, 0, POLICY_VIOLATION)?;
    let unknown = context.name();
    for it in [(&topic.topic[..], 1), (&unknown[..], 0)] {
        cut(context, &mut wire, eight, it, 0, UNKNOWN_TOPIC_OR_PARTITION)?;
    }
    // A commit makes sure that the topic of commits is there.
    let group = Group::new(context)?;
    let mut wire = group.connect(context)?;
    let committed = Topic { name: topic.topic, id: topic.id };
    let who = Committer::alone(&group.id);
    commit_is(context, &mut wire, five, &who, (&committed, mark(0, 0), 0), "before it")?;
    let it = ("__consumer_offsets", 0);
    cut(context, &mut wire, five, it, 0, INVALID_TOPIC_EXCEPTION).map(drop)
}
