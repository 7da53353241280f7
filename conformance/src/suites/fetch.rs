//! Fetch without sessions: what is returned, how much of it, and when.

use super::common::{Partition, shaped};
use super::records::{batch, compressed};
use super::told::Told;
use crate::case::{Case, Profile::Core};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use crate::wire;
use ottla_protocol::Uuid;
use ottla_protocol::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use ottla_protocol::messages::{ApiKey, Request};
use ottla_protocol::records::{BatchIter, Compression, RecordBatch};
use std::time::{Duration, Instant};

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "fetch/held-back",
        Core,
        (ApiKey::Fetch, 4),
        held_back,
        &["K-FETCH-001", "K-FETCH-002", "K-FETCH-011", "K-FETCH-033"],
    ),
    Case::each("fetch/at-once", Core, (ApiKey::Fetch, 4), at_once, &["K-FETCH-003", "K-FETCH-004"]),
    Case::each(
        "fetch/oversized-first-batch",
        Core,
        (ApiKey::Fetch, 4),
        oversized_first_batch,
        &["K-FETCH-005", "K-FETCH-006"],
    ),
    Case::each(
        "fetch/limits",
        Core,
        (ApiKey::Fetch, 4),
        limits,
        &["K-FETCH-007", "K-FETCH-008", "K-FETCH-009"],
    ),
    Case::each(
        "fetch/every-offset",
        Core,
        (ApiKey::Fetch, 4),
        every_offset,
        &["K-FETCH-010", "K-FETCH-035", "K-FETCH-036", "K-FETCH-037"],
    ),
    Case::each(
        "fetch/out-of-range",
        Core,
        (ApiKey::Fetch, 4),
        out_of_range,
        &["K-FETCH-013", "K-FETCH-014", "K-FETCH-016"],
    ),
    Case::each(
        "fetch/marks",
        Core,
        (ApiKey::Fetch, 4),
        marks,
        &["K-FETCH-019", "K-FETCH-020", "K-FETCH-021", "K-FETCH-030", "K-FETCH-033"],
    ),
    Case::each(
        "fetch/unknown-partitions",
        Core,
        (ApiKey::Fetch, 4),
        unknown_partitions,
        &["K-FETCH-023", "K-FETCH-024", "K-FETCH-025", "K-FETCH-026"],
    ),
    Case::each("fetch/zstd", Core, (ApiKey::Fetch, 4), zstd, &["K-FETCH-034"]),
];

/// How long a fetch waits in these tests.
const WAIT: Duration = Duration::from_millis(300);

fn wait_ms() -> i32 {
    WAIT.as_millis() as i32
}

fn batches(context: &mut Context<'_>, data: &PartitionData) -> Step<Vec<RecordBatch>> {
    let field = data.records.clone().unwrap_or_default();
    let all: Result<Vec<RecordBatch>, _> = BatchIter::new(field).collect();
    match all {
        Ok(all) => Ok(all),
        Err(why) => {
            context.must("K-FETCH-037", false, || format!("a batch of the answer: {why}"))?;
            Ok(Vec::new())
        }
    }
}

fn count(data: &PartitionData) -> usize {
    data.records.as_ref().map_or(0, ottla_protocol::Bytes::len)
}

/// The whole answer to a request for several partitions.
fn whole(
    context: &mut Context<'_>,
    partition: &mut Partition,
    statement: &'static str,
    request: FetchRequest,
) -> Step<FetchResponse> {
    let version = context.version();
    let request = shaped(Request::Fetch(Box::new(request)), version);
    context.call(statement, &mut partition.wire, &request)
}

fn held_back(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    partition.append(context, batch(&[b"first"]))?;
    let request = FetchRequest { max_wait_ms: wait_ms(), ..partition.fetch_request(1) };
    let began = Instant::now();
    let data = partition.fetch(context, "K-FETCH-001", request.clone())?;
    let took = began.elapsed();
    context.must("K-FETCH-011", data.error_code == 0 && count(&data) == 0, || {
        format!("at the log end: {}, {} bytes", error_name(data.error_code), count(&data))
    })?;
    context.must("K-FETCH-033", data.records.is_some(), || "the records are null".to_owned())?;
    context.must("K-FETCH-001", took >= WAIT, || {
        format!("MaxWaitMs is {}; it was answered after {} ms", wait_ms(), took.as_millis())
    })?;
    // One that waits for long is answered when a record comes.
    let patience_ms = context.patience().as_millis() as i32;
    let request = FetchRequest { max_wait_ms: patience_ms * 2, ..request };
    let version = context.version();
    let request = shaped(Request::Fetch(Box::new(request)), version);
    let sent = partition.wire.send(version, &request);
    let id = context.answered("K-FETCH-002", sent)?;
    let mut other = Partition {
        topic: partition.topic.clone(),
        id: partition.id,
        index: 0,
        wire: context.connect_beside(&partition.wire)?,
    };
    other.append(context, batch(&[b"second"]))?;
    let frame = partition.wire.receive();
    let answer = frame.and_then(|frame| wire::response(ApiKey::Fetch, version, id, &frame));
    let answer: FetchResponse = context.answer("K-FETCH-002", answer)?;
    let came = answer.responses.first().and_then(|topic| topic.partitions.first()).map(count);
    context.must("K-FETCH-002", came.is_some_and(|bytes| bytes > 0), || {
        "a fetch was held back, a record came, and the answer has none".to_owned()
    })
}

fn at_once(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    partition.append(context, batch(&[b"first"]))?;
    let long = context.patience().as_millis() as i32 * 2;
    let base = partition.fetch_request(1);
    // An answer that is held back does not come within the patience.
    let request = FetchRequest { min_bytes: 0, max_wait_ms: long, ..base.clone() };
    partition.fetch(context, "K-FETCH-003", request)?;
    context.held("K-FETCH-003");
    let request = FetchRequest { max_wait_ms: 0, ..base };
    partition.fetch(context, "K-FETCH-004", request)?;
    context.held("K-FETCH-004");
    Ok(())
}

fn oversized_first_batch(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    let large = batch(&[&[b'x'; 5_000]]);
    partition.append(context, large.clone())?;
    partition.append(context, large.clone())?;
    for (statement, max_bytes, partition_max_bytes) in
        [("K-FETCH-005", 100, 1 << 20), ("K-FETCH-006", 1 << 20, 100), ("K-FETCH-006", 1, 1)]
    {
        let mut request = FetchRequest { max_bytes, ..partition.fetch_request(0) };
        request.topics[0].partitions[0].partition_max_bytes = partition_max_bytes;
        let data = partition.fetch(context, statement, request)?;
        let got = count(&data);
        context.must(statement, got == large.len(), || {
            format!(
                "MaxBytes {max_bytes}, PartitionMaxBytes {partition_max_bytes}: {got} bytes of a \
                 batch of {}",
                large.len()
            )
        })?;
    }
    Ok(())
}

fn limits(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::with(context, 3, &[])?;
    let one = batch(&[&[b'x'; 1_000]]);
    for index in 0..3 {
        partition.index = index;
        for _ in 0..4 {
            partition.append(context, one.clone())?;
        }
    }
    let size = one.len() as i32;
    let ask = |partition: &Partition, order: [i32; 3], max_bytes: i32, each: i32| {
        let mut request = FetchRequest { max_bytes, ..partition.fetch_request(0) };
        let template = request.topics[0].partitions[0].clone();
        request.topics[0].partitions = order
            .iter()
            .map(|index| FetchPartition {
                partition: *index,
                partition_max_bytes: each,
                ..template.clone()
            })
            .collect();
        request
    };
    for order in [[0, 1, 2], [2, 0, 1]] {
        // Room for five batches: the first partition's four and one of the second.
        let request = ask(&partition, order, size * 5, 1 << 20);
        let answer = whole(context, &mut partition, "K-FETCH-007", request)?;
        let bytes = |index: i32| {
            let mut all = answer.responses.iter().flat_map(|topic| &topic.partitions);
            all.find(|data| data.partition_index == index).map_or(0, count)
        };
        let sum: usize = order.iter().map(|index| bytes(*index)).sum();
        context.must("K-FETCH-007", sum <= size as usize * 5, || {
            format!("MaxBytes is {}, the records are {sum} bytes", size * 5)
        })?;
        let [first, _, last] = order.map(bytes);
        context.must("K-FETCH-009", first == one.len() * 4 && last == 0, || {
            format!("order {order:?}: the first has {first} bytes, the last {last}")
        })?;
        // Room for two and a half batches each: only the very first may go past it.
        let request = ask(&partition, order, 1 << 20, size * 5 / 2);
        let answer = whole(context, &mut partition, "K-FETCH-008", request)?;
        for data in answer.responses.iter().flat_map(|topic| &topic.partitions) {
            let (at, got) = (data.partition_index, count(data));
            context.must("K-FETCH-008", got <= size as usize * 5 / 2, || {
                format!("PartitionMaxBytes is {}, partition {at} has {got} bytes", size * 5 / 2)
            })?;
        }
    }
    Ok(())
}

fn every_offset(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    // Batches of three, one and four records, one of them compressed.
    partition.append(context, batch(&[b"a", b"b", b"c"]))?;
    partition.append(context, batch(&[b"d"]))?;
    partition.append(context, compressed(Compression::Gzip, &[b"e", b"f", b"g", b"h"]))?;
    let bases = [0, 0, 0, 3, 4, 4, 4, 4];
    let mut seen: Option<Vec<u8>> = None;
    for (offset, base) in bases.into_iter().enumerate() {
        let request = partition.fetch_request(offset as i64);
        let data = partition.fetch(context, "K-FETCH-035", request)?;
        context.must("K-FETCH-035", data.error_code == 0 && count(&data) > 0, || {
            format!("offset {offset}: {}, {} bytes", error_name(data.error_code), count(&data))
        })?;
        let batches = batches(context, &data)?;
        let first = batches.first().map(|batch| batch.header().base_offset);
        context.must("K-FETCH-010", first == Some(base), || {
            format!(
                "offset {offset} is in the batch at {base}; the answer begins at {}",
                first.told()
            )
        })?;
        context.held("K-FETCH-037");
        let last = batches.last().map(|batch| batch.bytes().to_vec()).unwrap_or_default();
        let before = seen.get_or_insert_with(|| last.clone());
        context.must("K-FETCH-036", *before == last, || {
            format!("the last batch is other bytes when it is fetched from offset {offset}")
        })?;
    }
    Ok(())
}

fn out_of_range(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    partition.append(context, batch(&[b"a", b"b"]))?;
    for (statement, offset) in
        [("K-FETCH-013", 3), ("K-FETCH-013", i64::MAX), ("K-FETCH-014", -1), ("K-FETCH-014", -7)]
    {
        let request = partition.fetch_request(offset);
        let data = partition.fetch(context, statement, request)?;
        context.must(statement, data.error_code == 1, || {
            format!("offset {offset} of a log from 0 to 2: {}", error_name(data.error_code))
        })?;
        let marks = (data.high_watermark, data.log_start_offset);
        let expected = if context.version() >= 5 { (-1, -1) } else { (-1, marks.1) };
        if marks != expected {
            context.note("K-FETCH-016", format!("high watermark and log start are {marks:?}"));
        }
    }
    Ok(())
}

fn marks(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    for due in [0, 1] {
        for isolation_level in [0, 1] {
            let request =
                FetchRequest { max_wait_ms: 0, isolation_level, ..partition.fetch_request(due) };
            let data = partition.fetch(context, "K-FETCH-019", request)?;
            let (high, stable) = (data.high_watermark, data.last_stable_offset);
            context.must("K-FETCH-019", high == due, || {
                format!("the high watermark of a log of {due} records is {high}")
            })?;
            context.must("K-FETCH-020", stable == due, || {
                format!("the last stable offset of a log of {due} records is {stable}")
            })?;
            if context.version() >= 5 {
                let start = data.log_start_offset;
                context.must("K-FETCH-021", start == 0, || format!("the log start is {start}"))?;
            }
            context.must("K-FETCH-033", data.records.is_some(), || {
                "the records are null".to_owned()
            })?;
            if isolation_level == 0 {
                context.must("K-FETCH-030", data.aborted_transactions.is_none(), || {
                    "AbortedTransactions is not null with read_uncommitted".to_owned()
                })?;
            }
        }
        partition.append(context, batch(&[b"one"]))?;
    }
    Ok(())
}

fn unknown_partitions(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    partition.append(context, batch(&[b"one"]))?;
    let by_id = context.version() >= 13;
    let statement = if by_id { "K-FETCH-024" } else { "K-FETCH-023" };
    let expected = if by_id { 100 } else { 3 };
    let unknown = |partition: &Partition, request: &mut FetchRequest, name: &str| {
        let mut topic = partition.fetch_request(0).topics.remove(0);
        (topic.topic, topic.topic_id) = (name.to_owned(), Uuid([0x5a; 16]));
        request.topics.insert(0, topic);
    };
    let name = context.name();
    let mut request = partition.fetch_request(0);
    unknown(&partition, &mut request, &name);
    let answer = whole(context, &mut partition, statement, request)?;
    // The order of the answer is the broker's.
    let told = |topic: &str, id: Uuid| {
        let is_it = |found: &&FetchableTopicResponse| match by_id {
            true => found.topic_id == id,
            false => found.topic == topic,
        };
        let data = answer.responses.iter().find(is_it)?.partitions.first()?;
        Some((data.error_code, count(data)))
    };
    let missing = told(&name, Uuid([0x5a; 16]));
    context.must(statement, missing.is_some_and(|(code, _)| code == expected), || {
        format!("an unknown topic beside a known one: {} (error, bytes)", missing.told())
    })?;
    let known = told(&partition.topic, partition.id);
    context.must("K-FETCH-026", known.is_some_and(|(code, n)| code == 0 && n > 0), || {
        format!("a known topic beside an unknown one: {} (error, bytes)", known.told())
    })?;
    let long = context.patience().as_millis() as i32 * 2;
    let mut request = FetchRequest { max_wait_ms: long, ..partition.fetch_request(0) };
    request.topics.clear();
    unknown(&partition, &mut request, &name);
    // An answer that is held back does not come within the patience.
    let answer = whole(context, &mut partition, "K-FETCH-025", request)?;
    let code = answer.responses.first().and_then(|topic| topic.partitions.first());
    let code = code.map(|data| data.error_code);
    context.must("K-FETCH-025", code == Some(expected), || format!("the error is {}", code.told()))
}

fn zstd(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    partition.append(context, compressed(Compression::Zstd, &[b"value"]))?;
    let request = partition.fetch_request(0);
    let data = partition.fetch(context, "K-FETCH-034", request)?;
    let what = match data.error_code {
        0 => format!("{} bytes of a zstd batch are returned", count(&data)),
        code => format!("a zstd batch is answered with {}", error_name(code)),
    };
    if context.version() >= 10 {
        return context.must("K-FETCH-034", data.error_code == 0, || what);
    }
    context.note("K-FETCH-034", what);
    Ok(())
}
