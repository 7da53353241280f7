//! Produce: acknowledgements, errors per partition, times and offsets of the answer.

use super::common::{Partition, is_passing, shaped};
use super::records::{Plain, TIME_MS, batch, batch_with};
use super::told::Told;
use crate::case::{Case, Profile::Core};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use crate::verdict::Stop;
use crate::wire::NoAnswer;
use ottla_protocol::Uuid;
use ottla_protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{
    ApiKey, FindCoordinatorResponse, MetadataResponse, ProduceResponse, Request,
};
use ottla_protocol::records::{BatchFields, TimestampType};

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "produce/acks-0",
        Core,
        (ApiKey::Produce, 3),
        acks_0,
        &["K-PRODUCE-001", "K-PRODUCE-002", "K-PRODUCE-003"],
    ),
    Case::each(
        "produce/acks-0-that-fails",
        Core,
        (ApiKey::Produce, 3),
        acks_0_that_fails,
        &["K-PRODUCE-004"],
    ),
    Case::each(
        "produce/other-acks",
        Core,
        (ApiKey::Produce, 3),
        other_acks,
        &["K-PRODUCE-005", "K-PRODUCE-006"],
    ),
    Case::each(
        "produce/unknown-partition",
        Core,
        (ApiKey::Produce, 3),
        unknown_partition,
        &["K-PRODUCE-008", "K-PRODUCE-009", "K-PRODUCE-026"],
    ),
    Case::each(
        "produce/unknown-topic-id",
        Core,
        (ApiKey::Produce, 13),
        unknown_topic_id,
        &["K-PRODUCE-010"],
    ),
    Case::each(
        "produce/append-time",
        Core,
        (ApiKey::Produce, 3),
        append_time,
        &["K-PRODUCE-012", "K-PRODUCE-013", "K-PRODUCE-014", "K-PRODUCE-015"],
    ),
    Case::each(
        "produce/create-time",
        Core,
        (ApiKey::Produce, 3),
        create_time,
        &["K-PRODUCE-016", "K-PRODUCE-017", "K-PRODUCE-018"],
    ),
    Case::each(
        "produce/internal-topics",
        Core,
        (ApiKey::Produce, 3),
        internal_topics,
        &["K-PRODUCE-019", "K-PRODUCE-020"],
    ),
];

fn acks_0(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    let version = context.version();
    // Once the leader has taken a record with an answer, one without is taken, too.
    partition.append(context, batch(&[b"first"]))?;
    let silent = shaped(partition.produce_request(0, batch(&[b"silent"])), version);
    let sent = partition.wire.send(version, &silent);
    context.answered("K-PRODUCE-001", sent)?;
    // The next answer on the connection is that of the next request, or its id does not fit.
    let asked = partition.fetch_request(0);
    partition.fetch(context, "K-PRODUCE-002", asked)?;
    context.held("K-PRODUCE-001");
    context.held("K-PRODUCE-002");
    // Nobody has said when it is replicated, and with that to be seen.
    let until = context.deadline();
    loop {
        let stored = partition.read(context, "K-PRODUCE-003", 0)?;
        let end = stored.last().map(|batch| batch.header().next_offset());
        if end == Some(2) {
            context.held("K-PRODUCE-003");
            return Ok(());
        }
        context.must_before("K-PRODUCE-003", until, || {
            format!(
                "a record with acks=0 was sent after one that was answered; the log ends at {}",
                end.told()
            )
        })?;
    }
}

fn acks_0_that_fails(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    let version = context.version();
    partition.append(context, batch(&[b"first"]))?;
    partition.index = 99;
    let request = shaped(partition.produce_request(0, batch(&[b"lost"])), version);
    let sent = partition.wire.send(version, &request);
    context.answered("K-PRODUCE-004", sent)?;
    let closed = partition.wire.receive() == Err(NoAnswer::Closed);
    context.must("K-PRODUCE-004", closed, || {
        "a request with acks=0 to a partition that does not exist should close the connection"
            .to_owned()
    })
}

fn other_acks(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    let version = context.version();
    for acks in [2, -2, i16::MAX] {
        let request = shaped(partition.produce_request(acks, batch(&[b"v"])), version);
        let answer = partition.wire.call(version, &request);
        let answer: ProduceResponse = context.answer("K-PRODUCE-005", answer)?;
        let entry = answer.responses.first().and_then(|topic| topic.partition_responses.first());
        let told = entry.map(|entry| (entry.error_code, entry.base_offset));
        let code = told.map(|told| told.0);
        context.must("K-PRODUCE-005", code == Some(21), || {
            let code = code.map_or("no entry".to_owned(), error_name);
            format!("acks={acks} should be INVALID_REQUIRED_ACKS (21); it is {code}")
        })?;
        context.must("K-PRODUCE-006", told == Some((21, -1)), || {
            format!("acks={acks}: error and base offset are {}", told.told())
        })?;
    }
    Ok(())
}

fn unknown_partition(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::with(context, 2, &[])?;
    partition.append(context, batch(&[b"first"]))?;
    let version = context.version();
    let Request::Produce(mut request) = partition.produce_request(-1, batch(&[b"second"])) else {
        return Err(Stop::harness("another request"));
    };
    let unknown = PartitionProduceData {
        index: 99,
        records: Some(batch(&[b"lost"]).into()),
        ..Default::default()
    };
    request.topic_data[0].partition_data.push(unknown);
    let request = shaped(Request::Produce(request), version);
    let answer = partition.wire.call(version, &request);
    let answer: ProduceResponse = context.answer("K-PRODUCE-009", answer)?;
    let entries: Vec<_> = answer.responses.iter().flat_map(|t| &t.partition_responses).collect();
    let code = |index: i32| {
        let mut found = entries.iter().filter(|entry| entry.index == index);
        (found.next().map(|entry| entry.error_code), found.next().is_none())
    };
    context.must("K-PRODUCE-026", code(0).1 && code(99).1 && entries.len() == 2, || {
        format!("two partitions were asked for; the answer has {} entries", entries.len())
    })?;
    context.must("K-PRODUCE-009", code(0).0 == Some(0), || {
        format!("the partition that exists: error {}", code(0).0.told())
    })?;
    if version <= 12 {
        context.must("K-PRODUCE-008", code(99).0 == Some(3), || {
            format!("the partition that does not exist: error {}, not 3", code(99).0.told())
        })?;
    }
    Ok(())
}

fn unknown_topic_id(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    partition.append(context, batch(&[b"first"]))?;
    let version = context.version();
    let Request::Produce(mut request) = partition.produce_request(-1, batch(&[b"v"])) else {
        return Err(Stop::harness("another request"));
    };
    let data = request.topic_data[0].partition_data.clone();
    let unknown =
        TopicProduceData { topic_id: Uuid([0x5a; 16]), partition_data: data, ..Default::default() };
    request.topic_data = vec![unknown];
    let request = shaped(Request::Produce(request), version);
    let answer = partition.wire.call(version, &request);
    let answer: ProduceResponse = context.answer("K-PRODUCE-010", answer)?;
    let entry = answer.responses.first().and_then(|topic| topic.partition_responses.first());
    let code = entry.map(|entry| entry.error_code);
    context.must("K-PRODUCE-010", code == Some(100), || {
        let code = code.map_or("no entry".to_owned(), error_name);
        format!("an unknown topic id should be UNKNOWN_TOPIC_ID (100); it is {code}")
    })
}

fn append_time(context: &mut Context<'_>) -> Step {
    let configs = [("message.timestamp.type", "LogAppendTime")];
    let mut partition = Partition::with(context, 1, &configs)?;
    let old = Plain { timestamp: Some(TIME_MS), ..Plain::of(b"k", b"v") };
    let records = batch_with(&BatchFields::default(), &[old.clone(), old]);
    let entry = partition.produce(context, "K-PRODUCE-012", records)?;
    let (code, time) = (entry.error_code, entry.log_append_time_ms);
    context.must("K-PRODUCE-012", code == 0 && time > TIME_MS, || {
        format!("{}, LogAppendTimeMs {time}", error_name(code))
    })?;
    let stored = partition.read(context, "K-PRODUCE-013", 0)?;
    let Some(batch) = stored.first() else {
        return context.must("K-PRODUCE-013", false, || "nothing is stored".to_owned());
    };
    let header = batch.header();
    context.must("K-PRODUCE-013", header.max_timestamp == time, || {
        format!("the stored max timestamp is {}, the answer said {time}", header.max_timestamp)
    })?;
    let kind = header.timestamp_type();
    context.must("K-PRODUCE-014", kind == TimestampType::LogAppendTime, || {
        "the stored batch does not have the LogAppendTime bit".to_owned()
    })?;
    let sound = batch.verify_crc();
    context.must("K-PRODUCE-015", sound.is_ok(), || {
        format!("the stored batch: {}", sound.err().told())
    })
}

fn create_time(context: &mut Context<'_>) -> Step {
    let configs = [("message.timestamp.type", "CreateTime")];
    let mut partition = Partition::with(context, 1, &configs)?;
    for due in [0, 2, 4] {
        let entry = partition.produce(context, "K-PRODUCE-016", batch(&[b"a", b"b"]))?;
        context.must("K-PRODUCE-017", entry.error_code == 0 && entry.base_offset == due, || {
            let (code, base) = (error_name(entry.error_code), entry.base_offset);
            format!("the batch that is due at {due}: {code}, base offset {base}")
        })?;
        let time = entry.log_append_time_ms;
        context.must("K-PRODUCE-016", time == -1, || {
            format!("LogAppendTimeMs on a CreateTime topic is {time}")
        })?;
        if context.version() >= 5 {
            let start = entry.log_start_offset;
            context.must("K-PRODUCE-018", start == 0, || {
                format!("LogStartOffset of a new topic is {start}")
            })?;
        }
    }
    let stored = partition.read(context, "K-PRODUCE-017", 4)?;
    let base = stored.first().map(|batch| batch.header().base_offset);
    context.must("K-PRODUCE-017", base == Some(4), || {
        format!("a batch that was answered with base offset 4 is found at {}", base.told())
    })
}

/// `__consumer_offsets` exists once a coordinator was asked for.
fn internal_topics(context: &mut Context<'_>) -> Step {
    let (mut partition, version) = (Partition::new(context)?, context.version());
    let group = context.name();
    let until = context.deadline();
    loop {
        let mut request = Request::default_of(ApiKey::FindCoordinator);
        if let Request::FindCoordinator(request) = &mut request {
            if context.best(ApiKey::FindCoordinator)? >= 4 {
                request.coordinator_keys = vec![group.clone()];
            } else {
                request.key.clone_from(&group);
            }
        }
        let answer: FindCoordinatorResponse = context.prepare(&mut partition.wire, &request)?;
        let code = answer.coordinators.first().map_or(answer.error_code, |one| one.error_code);
        if code == 0 {
            break;
        }
        if !is_passing(code) || std::time::Instant::now() >= until {
            return Err(Stop::blocked(format!("FindCoordinator: {}", error_name(code))));
        }
    }
    partition.topic = "__consumer_offsets".to_owned();
    let found = super::common::metadata_of(12, &[&partition.topic]);
    let found: MetadataResponse = context.prepare(&mut partition.wire, &found)?;
    let Some(known) = found.topics.first().filter(|topic| topic.error_code == 0) else {
        return Err(Stop::unsupported("Metadata does not know of __consumer_offsets"));
    };
    partition.id = known.topic_id;
    let records = batch_with(&BatchFields::default(), &[Plain::of(b"k", b"v")]);
    let request = shaped(partition.produce_request(-1, records), version);
    let answer = partition.wire.call(version, &request);
    let answer: ProduceResponse = context.answer("K-PRODUCE-019", answer)?;
    let entry = answer.responses.first().and_then(|topic| topic.partition_responses.first());
    let code = entry.map(|entry| entry.error_code);
    context.must("K-PRODUCE-019", code == Some(17), || {
        let code = code.map_or("no entry".to_owned(), error_name);
        format!("a batch for __consumer_offsets should be 17; it is {code}")
    })
}
