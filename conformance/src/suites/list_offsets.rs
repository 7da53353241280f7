//! ListOffsets and OffsetForLeaderEpoch: offsets by time, by name and by epoch.

use super::common::Partition;
use super::records::{Plain, TIME_MS, batch, batch_with};
use crate::case::{Case, Profile::Core};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsTopic,
};
use ottla_protocol::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use ottla_protocol::messages::{
    ApiKey, ListOffsetsResponse, OffsetForLeaderEpochResponse, Request,
};
use ottla_protocol::records::{BatchFields, Compression};

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "list-offsets/ends",
        Core,
        (ApiKey::ListOffsets, 1),
        ends,
        &[
            "K-LIST-OFFSETS-001",
            "K-LIST-OFFSETS-005",
            "K-LIST-OFFSETS-024",
            "K-LIST-OFFSETS-025",
            "K-LIST-OFFSETS-026",
        ],
    ),
    Case::each(
        "list-offsets/greatest-timestamp",
        Core,
        (ApiKey::ListOffsets, 1),
        greatest_timestamp,
        &["K-LIST-OFFSETS-006", "K-LIST-OFFSETS-007", "K-LIST-OFFSETS-008", "K-LIST-OFFSETS-009"],
    ),
    Case::each(
        "list-offsets/special-timestamps",
        Core,
        (ApiKey::ListOffsets, 1),
        special_timestamps,
        &[
            "K-LIST-OFFSETS-010",
            "K-LIST-OFFSETS-011",
            "K-LIST-OFFSETS-012",
            "K-LIST-OFFSETS-013",
            "K-LIST-OFFSETS-014",
            "K-LIST-OFFSETS-015",
            "K-LIST-OFFSETS-016",
        ],
    ),
    Case::each(
        "list-offsets/by-timestamp",
        Core,
        (ApiKey::ListOffsets, 1),
        by_timestamp,
        &["K-LIST-OFFSETS-017", "K-LIST-OFFSETS-018", "K-LIST-OFFSETS-019", "K-LIST-OFFSETS-020"],
    ),
    Case::each(
        "list-offsets/append-time",
        Core,
        (ApiKey::ListOffsets, 1),
        append_time,
        &["K-LIST-OFFSETS-021"],
    ),
    Case::each(
        "list-offsets/named-twice",
        Core,
        (ApiKey::ListOffsets, 1),
        named_twice,
        &["K-LIST-OFFSETS-022"],
    ),
    Case::each(
        "list-offsets/unknown-partition",
        Core,
        (ApiKey::ListOffsets, 1),
        unknown,
        &["K-LIST-OFFSETS-027"],
    ),
    Case::each(
        "list-offsets/leader-epoch-ahead",
        Core,
        (ApiKey::ListOffsets, 4),
        epoch_ahead,
        &["K-LIST-OFFSETS-029"],
    ),
    Case::each(
        "leader-epochs/known-and-unknown",
        Core,
        (ApiKey::OffsetForLeaderEpoch, 2),
        epochs,
        &[
            "K-LEADER-EPOCHS-001",
            "K-LEADER-EPOCHS-003",
            "K-LEADER-EPOCHS-006",
            "K-LEADER-EPOCHS-007",
            "K-LEADER-EPOCHS-009",
        ],
    ),
];

fn request(partition: &Partition, timestamps: &[i64], epoch: i32) -> Request {
    let ask = |timestamp: &i64| ListOffsetsPartition {
        partition_index: partition.index,
        current_leader_epoch: epoch,
        timestamp: *timestamp,
        ..Default::default()
    };
    let topic = ListOffsetsTopic {
        name: partition.topic.clone(),
        partitions: timestamps.iter().map(ask).collect(),
        ..Default::default()
    };
    Request::ListOffsets(Box::new(ListOffsetsRequest {
        replica_id: -1,
        topics: vec![topic],
        ..Default::default()
    }))
}

fn ask_with(
    context: &mut Context<'_>,
    partition: &mut Partition,
    statement: &'static str,
    request: &Request,
) -> Step<ListOffsetsPartitionResponse> {
    let answer: ListOffsetsResponse = context.call(statement, &mut partition.wire, request)?;
    let entry = answer.topics.into_iter().next();
    let entry = entry.and_then(|topic| topic.partitions.into_iter().next());
    context.must(statement, entry.is_some(), || "no entry for the partition".to_owned())?;
    Ok(entry.expect("it was just looked at"))
}

fn ask(
    context: &mut Context<'_>,
    partition: &mut Partition,
    statement: &'static str,
    timestamp: i64,
) -> Step<ListOffsetsPartitionResponse> {
    let request = request(partition, &[timestamp], -1);
    ask_with(context, partition, statement, &request)
}

/// The answer is this offset and, where it matters, this timestamp.
fn expect(
    context: &mut Context<'_>,
    partition: &mut Partition,
    statement: &'static str,
    timestamp: i64,
    (offset, found): (i64, Option<i64>),
) -> Step {
    let entry = ask(context, partition, statement, timestamp)?;
    let fits = entry.error_code == 0
        && entry.offset == offset
        && found.is_none_or(|found| entry.timestamp == found);
    context.must(statement, fits, || {
        let (code, at, time) = (error_name(entry.error_code), entry.offset, entry.timestamp);
        let found = found.map(|found| format!(" at {found}")).unwrap_or_default();
        format!(
            "timestamp {timestamp}: expected offset {offset}{found}; {code}, offset {at} at {time}"
        )
    })
}

fn refused(
    context: &mut Context<'_>,
    partition: &mut Partition,
    statement: &'static str,
    timestamp: i64,
) -> Step {
    let code = ask(context, partition, statement, timestamp)?.error_code;
    context.must(statement, code == 35, || {
        format!("timestamp {timestamp} should be UNSUPPORTED_VERSION (35); {}", error_name(code))
    })
}

fn ends(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    for end in 0..4 {
        expect(context, &mut partition, "K-LIST-OFFSETS-001", -1, (end, Some(-1)))?;
        expect(context, &mut partition, "K-LIST-OFFSETS-005", -2, (0, Some(-1)))?;
        partition.append(context, batch(&[b"v"]))?;
    }
    context.held("K-LIST-OFFSETS-025");
    context.held("K-LIST-OFFSETS-026");
    if context.version() >= 4 {
        let entry = ask(context, &mut partition, "K-LIST-OFFSETS-024", -1)?;
        context.must("K-LIST-OFFSETS-024", entry.leader_epoch >= 0, || {
            format!("the leader epoch of the end is {}", entry.leader_epoch)
        })?;
    }
    Ok(())
}

fn greatest_timestamp(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    if context.version() < 7 {
        return refused(context, &mut partition, "K-LIST-OFFSETS-009", -3);
    }
    expect(context, &mut partition, "K-LIST-OFFSETS-008", -3, (-1, Some(-1)))?;
    let at = |plus: i64| Plain { timestamp: Some(TIME_MS + plus), ..Plain::of(b"k", b"v") };
    // Offsets 0 to 5; the greatest stands at 2 and again at 4.
    for times in [[5, 1, 9], [3, 9, 2]] {
        let records: Vec<_> = times.into_iter().map(at).collect();
        partition.append(context, batch_with(&BatchFields::default(), &records))?;
    }
    let statement = "K-LIST-OFFSETS-006";
    expect(context, &mut partition, statement, -3, (2, None))?;
    expect(context, &mut partition, "K-LIST-OFFSETS-007", -3, (2, Some(TIME_MS + 9)))
}

fn special_timestamps(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    partition.append(context, batch(&[b"v"]))?;
    let version = context.version();
    let all = [
        (-4, 8, "K-LIST-OFFSETS-010", "K-LIST-OFFSETS-011", 0),
        (-5, 9, "K-LIST-OFFSETS-012", "K-LIST-OFFSETS-013", -1),
    ];
    for (timestamp, since, from, before, offset) in all {
        if version >= since {
            expect(context, &mut partition, from, timestamp, (offset, None))?;
        } else {
            refused(context, &mut partition, before, timestamp)?;
        }
    }
    if version >= 11 {
        let code = ask(context, &mut partition, "K-LIST-OFFSETS-014", -6)?.error_code;
        context.must("K-LIST-OFFSETS-014", code == 0, || {
            format!("timestamp -6: {}", error_name(code))
        })?;
    } else {
        refused(context, &mut partition, "K-LIST-OFFSETS-015", -6)?;
    }
    refused(context, &mut partition, "K-LIST-OFFSETS-016", -7)?;
    refused(context, &mut partition, "K-LIST-OFFSETS-016", i64::MIN)
}

fn by_timestamp(context: &mut Context<'_>) -> Step {
    for compression in [Compression::None, Compression::Gzip, Compression::Lz4] {
        let mut partition = Partition::new(context)?;
        let fields = BatchFields { compression, ..Default::default() };
        let at = |plus: i64| Plain { timestamp: Some(TIME_MS + plus), ..Plain::of(b"k", b"v") };
        for times in [[10, 20, 30], [40, 50, 60]] {
            let records: Vec<_> = times.into_iter().map(at).collect();
            partition.append(context, batch_with(&fields, &records))?;
        }
        let inside = match compression {
            Compression::None => "K-LIST-OFFSETS-017",
            _ => "K-LIST-OFFSETS-018",
        };
        for (wanted, offset, found) in
            [(0, 0, 10), (10, 0, 10), (11, 1, 20), (50, 4, 50), (51, 5, 60), (60, 5, 60)]
        {
            let expected = (offset, Some(TIME_MS + found));
            expect(context, &mut partition, inside, TIME_MS + wanted, expected)?;
        }
        context.held("K-LIST-OFFSETS-019");
        let none = (-1, Some(-1));
        expect(context, &mut partition, "K-LIST-OFFSETS-020", TIME_MS + 61, none)?;
    }
    Ok(())
}

fn append_time(context: &mut Context<'_>) -> Step {
    let configs = [("message.timestamp.type", "LogAppendTime")];
    let mut partition = Partition::with(context, 1, &configs)?;
    // The records' own time is years ago.
    partition.append(context, batch(&[b"v"]))?;
    let statement = "K-LIST-OFFSETS-021";
    let entry = ask(context, &mut partition, statement, TIME_MS + 60_000)?;
    let (offset, time) = (entry.offset, entry.timestamp);
    context.must(statement, entry.error_code == 0 && offset == 0, || {
        format!("after the record's own time, before that of the append: offset {offset}, {time}")
    })
}

fn named_twice(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    let request = request(&partition, &[-1, -2], -1);
    let code = ask_with(context, &mut partition, "K-LIST-OFFSETS-022", &request)?.error_code;
    context.must("K-LIST-OFFSETS-022", code == 42, || {
        format!("a partition that is named twice: {}", error_name(code))
    })
}

fn unknown(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    partition.index = 99;
    let code = ask(context, &mut partition, "K-LIST-OFFSETS-027", -1)?.error_code;
    context.must("K-LIST-OFFSETS-027", code == 3, || {
        format!("a partition that does not exist: {}", error_name(code))
    })
}

fn epoch_ahead(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    let request = request(&partition, &[-1], 1_000_000);
    let code = ask_with(context, &mut partition, "K-LIST-OFFSETS-029", &request)?.error_code;
    context.must("K-LIST-OFFSETS-029", code == 75, || {
        format!("a leader epoch of the future: {}", error_name(code))
    })
}

fn ask_epoch(
    context: &mut Context<'_>,
    partition: &mut Partition,
    statement: &'static str,
    current: i32,
    epoch: i32,
) -> Step<EpochEndOffset> {
    let wanted = OffsetForLeaderPartition {
        partition: partition.index,
        current_leader_epoch: current,
        leader_epoch: epoch,
        ..Default::default()
    };
    let topic = OffsetForLeaderTopic {
        topic: partition.topic.clone(),
        partitions: vec![wanted],
        ..Default::default()
    };
    let request = Request::OffsetForLeaderEpoch(Box::new(OffsetForLeaderEpochRequest {
        replica_id: -1,
        topics: vec![topic],
        ..Default::default()
    }));
    let answer: OffsetForLeaderEpochResponse =
        context.call(statement, &mut partition.wire, &request)?;
    let entry = answer.topics.into_iter().next();
    let entry = entry.and_then(|topic| topic.partitions.into_iter().next());
    context.must(statement, entry.is_some(), || "no entry for the partition".to_owned())?;
    Ok(entry.expect("it was just looked at"))
}

fn epochs(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    partition.append(context, batch(&[b"a", b"b"]))?;
    let stored = partition.read(context, "K-LEADER-EPOCHS-003", 0)?;
    let current = stored.first().map_or(-1, |batch| batch.header().partition_leader_epoch);
    for (statement, epoch, expected) in [
        ("K-LEADER-EPOCHS-001", current + 1, (0, -1, -1)),
        ("K-LEADER-EPOCHS-003", current, (0, current, 2)),
        ("K-LEADER-EPOCHS-006", -1, (0, -1, -1)),
    ] {
        let entry = ask_epoch(context, &mut partition, statement, -1, epoch)?;
        let got = (entry.error_code, entry.leader_epoch, entry.end_offset);
        context.must(statement, got == expected, || {
            format!("epoch {epoch}: expected {expected:?} (error, epoch, end), it is {got:?}")
        })?;
    }
    let ahead = ask_epoch(context, &mut partition, "K-LEADER-EPOCHS-007", current + 1, current)?;
    context.must("K-LEADER-EPOCHS-007", ahead.error_code == 75, || {
        format!("a current leader epoch of the future: {}", error_name(ahead.error_code))
    })?;
    partition.index = 99;
    let entry = ask_epoch(context, &mut partition, "K-LEADER-EPOCHS-009", -1, 0)?;
    context.must("K-LEADER-EPOCHS-009", entry.error_code == 3, || {
        format!("a partition that does not exist: {}", error_name(entry.error_code))
    })
}
