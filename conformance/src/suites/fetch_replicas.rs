//! Leader epochs in Fetch, as far as one leader shows them.

use super::common::Partition;
use super::records::batch;
use super::told::Told;
use crate::case::{Case, Profile::Core};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use crate::verdict::Stop;
use ottla_protocol::messages::ApiKey;
use ottla_protocol::messages::fetch::FetchRequest;

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "fetch-replicas/current-leader-epoch",
        Core,
        (ApiKey::Fetch, 9),
        current_leader_epoch,
        &["K-FETCH-REPLICAS-002", "K-FETCH-REPLICAS-003"],
    ),
    Case::each(
        "fetch-replicas/last-fetched-epoch",
        Core,
        (ApiKey::Fetch, 12),
        last_fetched_epoch,
        &["K-FETCH-REPLICAS-004", "K-FETCH-REPLICAS-005", "K-FETCH-REPLICAS-010"],
    ),
    Case::each(
        "fetch/below-the-log-start-and-diverging",
        Core,
        (ApiKey::Fetch, 12),
        below_the_log_start,
        &["K-FETCH-015"],
    ),
];

const OUT_OF_RANGE: i16 = 1;
const UNKNOWN_LEADER_EPOCH: i16 = 75;
/// Above the epoch of any leader that tests meet.
const FAR_EPOCH: i32 = 1_000_000;

/// A partition with one record, and the epoch of its leader.
fn with_one_record(context: &mut Context<'_>) -> Step<(Partition, i32)> {
    let mut partition = Partition::new(context)?;
    partition.append(context, batch(&[b"value"]))?;
    let blocked = |stop: Stop| Stop::blocked(stop.message);
    let stored = partition.read(context, "K-FETCH-REPLICAS-003", 0).map_err(blocked)?;
    let epoch = stored.first().map(|batch| batch.header().partition_leader_epoch);
    match epoch {
        Some(epoch) if epoch >= 0 => Ok((partition, epoch)),
        other => Err(Stop::blocked(format!("the record's leader epoch is {}", other.told()))),
    }
}

fn request(partition: &Partition, offset: i64, current: i32, last_fetched: i32) -> FetchRequest {
    let mut request = partition.fetch_request(offset);
    let one = &mut request.topics[0].partitions[0];
    (one.current_leader_epoch, one.last_fetched_epoch) = (current, last_fetched);
    request.max_wait_ms = 0;
    request
}

fn current_leader_epoch(context: &mut Context<'_>) -> Step {
    let (ahead, unchecked) = ("K-FETCH-REPLICAS-002", "K-FETCH-REPLICAS-003");
    let (mut partition, epoch) = with_one_record(context)?;
    for current in [epoch + 1, FAR_EPOCH] {
        let request = request(&partition, 0, current, -1);
        let code = partition.fetch(context, ahead, request)?.error_code;
        context.must(ahead, code == UNKNOWN_LEADER_EPOCH, || {
            let expected = error_name(UNKNOWN_LEADER_EPOCH);
            format!("epoch {current}, of a leader in {epoch}, should be {expected}; it is {code}")
        })?;
    }
    for current in [-1, epoch] {
        let request = request(&partition, 0, current, -1);
        let data = partition.fetch(context, unchecked, request)?;
        let code = data.error_code;
        let count = data.records.map_or(0, |records| records.len());
        context.must(unchecked, code == 0 && count > 0, || {
            format!("epoch {current}: {}, {count} bytes", error_name(code))
        })?;
    }
    Ok(())
}

fn last_fetched_epoch(context: &mut Context<'_>) -> Step {
    let (diverges, empty) = ("K-FETCH-REPLICAS-004", "K-FETCH-REPLICAS-005");
    let (mut partition, epoch) = with_one_record(context)?;
    let data = partition.fetch(context, diverges, request(&partition, 5, -1, epoch))?;
    let (code, told) = (data.error_code, &data.diverging_epoch);
    context.must(diverges, code == 0 && (told.epoch, told.end_offset) == (epoch, 1), || {
        let (code, told) = (error_name(code), (told.epoch, told.end_offset));
        format!("offset 5 in epoch {epoch}, which ends at 1: {code}, diverging epoch {told:?}")
    })?;
    let count = data.records.map_or(0, |records| records.len());
    context.must(empty, count == 0, || format!("a diverging epoch, and {count} bytes"))?;
    let above = "K-FETCH-REPLICAS-010";
    let data = partition.fetch(context, above, request(&partition, 0, -1, FAR_EPOCH))?;
    let code = data.error_code;
    context.must(above, code == OUT_OF_RANGE, || {
        let expected = error_name(OUT_OF_RANGE);
        format!("a last fetched epoch of {FAR_EPOCH} should be {expected}; it is {code}")
    })
}

fn below_the_log_start(context: &mut Context<'_>) -> Step {
    let statement = "K-FETCH-015";
    let (mut partition, epoch) = with_one_record(context)?;
    partition.append(context, batch(&[b"second"]))?;
    partition.delete_before(context, 2)?;
    for last_fetched in [epoch, FAR_EPOCH] {
        let request = request(&partition, 0, -1, last_fetched);
        let data = partition.fetch(context, statement, request)?;
        let (code, told) = (data.error_code, data.diverging_epoch.epoch);
        context.must(statement, code == OUT_OF_RANGE && told == -1, || {
            let code = error_name(code);
            format!("offset 0 of a log from 2, last epoch {last_fetched}: {code}, epoch {told}")
        })?;
    }
    Ok(())
}
