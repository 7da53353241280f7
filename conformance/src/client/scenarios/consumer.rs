//! Reading: positions, sessions, errors of fetches.

use crate::client::Scenario;
use crate::client::act::Act;
use crate::client::log::{batch, emptied, large, marker};
use crate::client::play::{Play, Step, TOPIC};
use crate::client::words::{listed, quoted};
use crate::findings::Asserts;
use crate::verdict::Stop;
use ottla_protocol::messages::fetch::FetchRequest;
use ottla_protocol::messages::{ApiKey, Request, Response};
use ottla_protocol::records::ControlType;
use serde_json::json;
use std::sync::Arc;

const FROM_POSITION: &str = "K-CLIENT-CONSUMER-001";
const EMPTY_BATCH: &str = "K-CLIENT-CONSUMER-002";
const CONTROL: &str = "K-CLIENT-CONSUMER-003";
const CUT: &str = "K-CLIENT-CONSUMER-004";
const EVICTED: &str = "K-CLIENT-CONSUMER-005";
const EPOCHS: &str = "K-CLIENT-CONSUMER-006";
const FORGOTTEN: &str = "K-CLIENT-CONSUMER-007";
const NO_SESSION: &str = "K-CLIENT-CONSUMER-008";
const TOPIC_ID_ERROR: &str = "K-CLIENT-CONSUMER-009";
const OUT_OF_RANGE: &str = "K-CLIENT-CONSUMER-010";
const NO_POLICY: &str = "K-CLIENT-CONSUMER-011";
const FOLLOWER_RANGE: &str = "K-CLIENT-CONSUMER-013";
const PREFERRED: &str = "K-CLIENT-CONSUMER-014";
const NO_RACK: &str = "K-CLIENT-CONSUMER-015";
const EPOCH_ERROR: &str = "K-CLIENT-CONSUMER-017";
const CHECKS_POSITION: &str = "K-CLIENT-CONSUMER-018";
const TRUNCATED: &str = "K-CLIENT-CONSUMER-019";
const LARGE: &str = "K-CLIENT-CONSUMER-025";
const NOT_AVAILABLE: &str = "K-CLIENT-CONSUMER-027";

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new("client/batch-from-before-the-position", from_position, &[FROM_POSITION]),
    Scenario::new("client/batch-without-records", empty_batch, &[EMPTY_BATCH]),
    Scenario::new("client/control-batch", control, &[CONTROL]),
    Scenario::new("client/batch-that-is-cut", cut, &[CUT]),
    Scenario::new("client/session-not-found", |play| ended(play, 70, EVICTED), &[EVICTED]),
    Scenario::new("client/session-epoch-refused", |play| ended(play, 71, EVICTED), &[EVICTED]),
    Scenario::new(
        "client/session-topic-id-error",
        |play| ended(play, 106, TOPIC_ID_ERROR),
        &[TOPIC_ID_ERROR],
    ),
    Scenario::new("client/session-epochs", epochs, &[EPOCHS]),
    Scenario::new("client/session-forgets", forgets, &[FORGOTTEN]),
    Scenario::new("client/no-session-given", no_session, &[NO_SESSION]),
    Scenario::new("client/reset-to-earliest", reset_earliest, &[OUT_OF_RANGE]),
    Scenario::new("client/reset-to-latest", reset_latest, &[OUT_OF_RANGE]),
    Scenario::new("client/no-reset-policy", no_policy, &[NO_POLICY]),
    Scenario::new("client/preferred-replica", preferred, &[PREFERRED, FOLLOWER_RANGE]),
    Scenario::new("client/no-rack", no_rack, &[NO_RACK]),
    Scenario::new("client/fenced-leader-epoch", fenced_epoch, &[EPOCH_ERROR]),
    Scenario::new("client/unknown-leader-epoch", unknown_epoch, &[EPOCH_ERROR]),
    Scenario::new("client/position-is-checked", checks_position, &[CHECKS_POSITION]),
    Scenario::new("client/log-is-truncated", truncated, &[TRUNCATED]),
    Scenario::new("client/batch-above-the-limits", above_limits, &[LARGE]),
    Scenario::new("client/offset-not-available", not_available, &[NOT_AVAILABLE]),
];

/// Every fetch so far, with its request.
fn fetches(play: &Play<'_>) -> Vec<(Arc<crate::client::cluster::Seen>, FetchRequest)> {
    let fetch = |seen: Arc<crate::client::cluster::Seen>| match &seen.request {
        Ok(Request::Fetch(fetch)) => Some((seen.clone(), (**fetch).clone())),
        _ => None,
    };
    play.seen(ApiKey::Fetch).into_iter().filter_map(fetch).collect()
}

/// A committed offset for partition 0.
fn commit(play: &Play<'_>, offset: i64) {
    play.cluster.with(|state| {
        state.group.committed.insert((TOPIC.to_owned(), 0), (offset, 5));
    });
}

/// FAIL where the records that were delivered are not those at these offsets.
fn must_deliver(
    play: &mut Play<'_>,
    statement: &'static str,
    settings: serde_json::Value,
    offsets: &[i64],
) -> Step {
    let mut consumer = play.consumer(settings)?;
    play.blame(statement);
    consumer.deliver(offsets.len())?;
    consumer.end()?;
    let got = consumer.offsets();
    play.must(statement, got == offsets, || {
        format!("delivered offsets {}, expected {}", listed(&got), listed(offsets))
    })
}

fn from_position(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 10)]);
    commit(play, 7);
    must_deliver(play, FROM_POSITION, json!({}), &[7, 8, 9])
}

fn empty_batch(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 2), emptied(2, 8)]);
    let mut consumer = play.consumer(json!({}))?;
    consumer.deliver(2)?;
    play.must_see(EMPTY_BATCH, "Fetch from offset 10", |state| {
        state.requests(ApiKey::Fetch).any(|(_, request)| match request {
            Request::Fetch(fetch) => fetch
                .topics
                .iter()
                .flat_map(|topic| &topic.partitions)
                .any(|asked| asked.fetch_offset == 10),
            _ => false,
        })
    })?;
    play.store(0, [batch(10, 1)]);
    consumer.deliver(3)?;
    let got = consumer.offsets();
    play.must(EMPTY_BATCH, got == [0, 1, 10], || format!("delivered offsets {}", listed(&got)))
}

fn control(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 2), marker(2, 77, ControlType::Commit), batch(3, 1)]);
    must_deliver(play, CONTROL, json!({}), &[0, 1, 3])
}

fn cut(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 2), batch(2, 2)]);
    let mut is_cut = false;
    play.cluster.rule(move |seen, _| {
        if !seen.is(ApiKey::Fetch) || is_cut {
            return None;
        }
        is_cut = true;
        Some(Act::edit(|answer| {
            let Response::Fetch(answer) = answer else { return };
            for partition in answer.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
                if let Some(records) = &mut partition.records {
                    records.truncate(records.len().saturating_sub(20));
                }
            }
        }))
    });
    must_deliver(play, CUT, json!({}), &[0, 1, 2, 3])
}

/// UNSUPPORTED where the client opens no fetch session.
fn needs_sessions(play: &Play<'_>) -> Step {
    play.needs(ApiKey::Fetch, 7)?;
    if fetches(play).iter().any(|(_, fetch)| fetch.session_epoch >= 0) {
        return Ok(());
    }
    Err(Stop::unsupported("the client opens no fetch sessions"))
}

fn ended(play: &mut Play<'_>, code: i16, statement: &'static str) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 1)]);
    let mut consumer = play.consumer(json!({}))?;
    consumer.deliver(1)?;
    play.cluster.wait(play.deadline(), |state| state.count(ApiKey::Fetch) >= 3);
    needs_sessions(play)?;
    if code == 106 {
        play.needs(ApiKey::Fetch, 13)?;
    }
    let before = fetches(play).len();
    let mut is_told = false;
    play.cluster.rule(move |seen, state| {
        let Ok(Request::Fetch(fetch)) = &seen.request else { return None };
        if is_told || fetch.session_epoch <= 0 {
            return None;
        }
        is_told = true;
        state.sessions.evict();
        Some(Act::edit(move |answer| {
            if let Response::Fetch(answer) = answer {
                (answer.error_code, answer.session_id) = (code, 0);
                answer.responses.clear();
            }
        }))
    });
    play.must_see(statement, "Fetch after the session's end", |state| {
        let mut later = state.requests(ApiKey::Fetch).skip(before);
        later.any(
            |(_, request)| matches!(request, Request::Fetch(fetch) if fetch.session_epoch <= 0),
        )
    })?;
    let later = fetches(play).split_off(before);
    let (seen, next) = &later[later.len().min(2) - 1];
    let is_full = next.session_epoch <= 0 && next.topics.iter().any(|t| !t.partitions.is_empty());
    play.must(statement, is_full, || {
        let epoch = next.session_epoch;
        let count: usize = next.topics.iter().map(|topic| topic.partitions.len()).sum();
        format!("{} has session epoch {epoch} and {count} partitions", seen.shown())
    })?;
    play.store(0, [batch(1, 1)]);
    consumer.deliver(2)
}

fn epochs(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 1)]);
    let mut consumer = play.consumer(json!({}))?;
    consumer.deliver(1)?;
    play.cluster.wait(play.deadline(), |state| state.count(ApiKey::Fetch) >= 5);
    needs_sessions(play)?;
    let got: Vec<_> =
        fetches(play).iter().map(|(_, fetch)| (fetch.session_id, fetch.session_epoch)).collect();
    let open = got.iter().position(|(id, _)| *id > 0).unwrap_or(got.len());
    let in_session = &got[open..];
    let follows = in_session
        .iter()
        .enumerate()
        .all(|(at, (id, epoch))| *id == in_session[0].0 && *epoch == at as i32 + 1);
    play.must(EPOCHS, !in_session.is_empty() && follows, || {
        let told = listed(got.iter().map(|(id, epoch)| format!("session {id} epoch {epoch}")));
        format!("the fetches were of {told}")
    })
}

fn forgets(play: &mut Play<'_>) -> Step {
    play.topic(2);
    play.store(0, [batch(0, 1)]);
    play.store(1, [batch(0, 1)]);
    let both = vec![(TOPIC.to_owned(), 0), (TOPIC.to_owned(), 1)];
    play.cluster.with(|state| {
        (state.group.is_led, state.group.assignment) = (true, both);
    });
    let mut consumer = play.consumer(json!({}))?;
    consumer.deliver(2)?;
    play.cluster.wait(play.deadline(), |state| state.count(ApiKey::Fetch) >= 3);
    needs_sessions(play)?;
    let open = fetches(play).len();
    play.cluster.with(|state| {
        state.group.assignment = vec![(TOPIC.to_owned(), 0)];
        state.group.is_rebalancing = true;
    });
    play.must_see(FORGOTTEN, "SyncGroup after the rebalance", |state| {
        state.count(ApiKey::SyncGroup) >= 2
    })?;
    let before = fetches(play).len();
    play.must_see(FORGOTTEN, "Fetch after the rebalance", |state| {
        state.count(ApiKey::Fetch) >= before + 3
    })?;
    let all = fetches(play);
    let is_good = all.iter().any(|(_, fetch)| {
        fetch.forgotten_topics_data.iter().any(|topic| topic.partitions.contains(&1))
    });
    let later = &all[open..];
    let starts_anew = later.iter().any(|(_, fetch)| fetch.session_epoch <= 0);
    play.must(FORGOTTEN, is_good || starts_anew, || {
        "partition 1 was taken away, and no fetch forgets it or begins a session".to_owned()
    })
}

fn no_session(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 1)]);
    play.cluster.with(|state| state.sessions.are_refused = true);
    let mut consumer = play.consumer(json!({}))?;
    consumer.deliver(1)?;
    play.store(0, [batch(1, 1)]);
    consumer.deliver(2)?;
    play.cluster.wait(play.deadline(), |state| state.count(ApiKey::Fetch) >= 4);
    needs_sessions(play)?;
    for (seen, fetch) in fetches(play) {
        let is_full = fetch.session_id == 0 && fetch.session_epoch <= 0 && !fetch.topics.is_empty();
        play.must(NO_SESSION, is_full, || {
            let (id, epoch) = (fetch.session_id, fetch.session_epoch);
            format!("{} has session {id} and epoch {epoch}", seen.shown())
        })?;
    }
    Ok(())
}

fn reset_earliest(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(5, 2)]);
    play.cluster.with(|state| state.partition(TOPIC, 0).start = 5);
    commit(play, 1);
    must_deliver(play, OUT_OF_RANGE, json!({}), &[5, 6])
}

fn reset_latest(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(5, 2)]);
    play.cluster.with(|state| state.partition(TOPIC, 0).start = 5);
    commit(play, 1);
    let mut consumer = play.consumer(json!({"offset_reset": "latest"}))?;
    play.must_see(OUT_OF_RANGE, "Fetch from the log's end, 7", |state| {
        state.requests(ApiKey::Fetch).any(|(_, request)| match request {
            Request::Fetch(fetch) => fetch
                .topics
                .iter()
                .flat_map(|topic| &topic.partitions)
                .any(|asked| asked.fetch_offset == 7),
            _ => false,
        })
    })?;
    play.store(0, [batch(7, 1)]);
    consumer.deliver(1)?;
    let got = consumer.offsets();
    play.must(OUT_OF_RANGE, got == [7], || format!("delivered offsets {}", listed(&got)))
}

fn no_policy(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(5, 2)]);
    play.cluster.with(|state| state.partition(TOPIC, 0).start = 5);
    commit(play, 1);
    let mut consumer = play.consumer(json!({"offset_reset": "none"}))?;
    let told = consumer.read_until(play.deadline(), |consumer| {
        !consumer.errors().is_empty() || !consumer.delivered().is_empty()
    })?;
    let got = consumer.offsets();
    play.must(NO_POLICY, told && got.is_empty(), || {
        format!("no error was told; delivered offsets {}", listed(&got))
    })
}

/// The leader, node 1, sends the consumer to node 2, which has not got so far yet.
fn preferred(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 3)]);
    play.cluster.with(|state| {
        state.nodes = [1, 2].into();
        state.partition(TOPIC, 0).replicas = vec![1, 2];
    });
    commit(play, 2);
    let mut is_behind = true;
    play.cluster.rule(move |seen, _| {
        let Ok(Request::Fetch(fetch)) = &seen.request else { return None };
        if seen.version < 11 || fetch.rack_id.is_empty() {
            return None;
        }
        if seen.node == 2 {
            is_behind = false;
            return Some(Act::refuse(1));
        }
        is_behind.then(|| {
            Act::edit(|answer| {
                let Response::Fetch(answer) = answer else { return };
                let partitions = answer.responses.iter_mut().flat_map(|t| &mut t.partitions);
                for partition in partitions {
                    partition.preferred_read_replica = 2;
                    partition.records = Some(Default::default());
                }
            })
        })
    });
    let settings = json!({"config": {"client.rack": "r2"}});
    let mut consumer = play.consumer(settings)?;
    consumer.deliver(1)?;
    let all = fetches(play);
    if all.iter().all(|(seen, fetch)| seen.version < 11 || fetch.rack_id.is_empty()) {
        return Err(Stop::unsupported("the client sends no rack"));
    }
    let at_2 = all.iter().position(|(seen, _)| seen.node == 2);
    play.should(PREFERRED, at_2.is_some(), || "node 2 was never asked".to_owned());
    let Some(at_2) = at_2 else { return Ok(()) };
    let asks_leader = all[at_2..].iter().any(|(seen, _)| seen.node == 1);
    let got = consumer.offsets();
    play.must(FOLLOWER_RANGE, asks_leader && got == [2], || {
        let got = listed(&got);
        format!("after OFFSET_OUT_OF_RANGE of the follower it delivered offsets {got}")
    })
}

fn no_rack(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 1)]);
    play.consume(json!({}), 1)?;
    play.needs(ApiKey::Fetch, 11)?;
    let racks: Vec<String> = fetches(play).into_iter().map(|(_, fetch)| fetch.rack_id).collect();
    play.must(NO_RACK, racks.iter().all(String::is_empty), || {
        format!("racks: {}", listed(racks.iter().map(|rack| quoted(Some(rack)))))
    })
}

fn fenced_epoch(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 1)]);
    // Until the client has asked for metadata again.
    let (mut is_refused, mut is_over) = (false, false);
    play.cluster.rule(move |seen, _| {
        is_over |= is_refused && seen.is(ApiKey::Metadata);
        if !seen.is(ApiKey::Fetch) || is_over {
            return None;
        }
        is_refused = true;
        Some(Act::refuse(74))
    });
    let mut consumer = play.consumer(json!({"config": {"metadata.max.age.ms": 300_000}}))?;
    play.blame(EPOCH_ERROR);
    consumer.deliver(1)?;
    play.needs(ApiKey::Fetch, 9)?;
    play.must(EPOCH_ERROR, true, String::new)
}

/// The broker has not yet heard of the epoch.
fn unknown_epoch(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 1)]);
    play.first(ApiKey::Fetch, 3, || Act::refuse(75));
    let mut consumer = play.consumer(json!({}))?;
    consumer.deliver(1)?;
    play.needs(ApiKey::Fetch, 9)?;
    play.must(EPOCH_ERROR, true, String::new)
}

fn checks_position(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 2)]);
    play.cluster.with(|state| state.nodes = [1, 2].into());
    let mut consumer = play.consumer(json!({}))?;
    consumer.deliver(2)?;
    play.cluster.with(|state| {
        let log = state.partition(TOPIC, 0);
        log.move_to(2);
        log.store(batch(2, 1));
    });
    consumer.deliver(3)?;
    play.needs(ApiKey::Fetch, 9)?;
    let seen = play.cluster.seen();
    let moved = seen.iter().position(|seen| seen.is(ApiKey::Fetch) && seen.node == 2);
    let before = &seen[..moved.unwrap_or(seen.len())];
    let checked = before.iter().any(|seen| seen.is(ApiKey::OffsetForLeaderEpoch));
    play.should(CHECKS_POSITION, checked, || {
        "it fetched from the new leader without OffsetForLeaderEpoch".to_owned()
    });
    Ok(())
}

fn truncated(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 4)]);
    play.cluster.with(|state| state.nodes = [1, 2].into());
    commit(play, 0);
    let mut consumer = play.consumer(json!({"offset_reset": "none"}))?;
    consumer.deliver(4)?;
    play.cluster.with(|state| {
        let log = state.partition(TOPIC, 0);
        log.move_to(2);
        log.batches.clear();
        log.end = 0;
        log.store(batch(0, 2));
    });
    let told = consumer.read_until(play.deadline(), |consumer| !consumer.errors().is_empty())?;
    if play.seen(ApiKey::OffsetForLeaderEpoch).is_empty() {
        return Err(Stop::unsupported("the client does not ask OffsetForLeaderEpoch"));
    }
    play.should(TRUNCATED, told, || {
        "the log ends below the position, and no error was told".to_owned()
    });
    Ok(())
}

fn above_limits(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [large(0, 100_000), batch(1, 1)]);
    let config = json!({"max.partition.fetch.bytes": 1000, "fetch.max.bytes": 1000});
    must_deliver(play, LARGE, json!({"config": config}), &[0, 1])
}

fn not_available(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 2)]);
    play.first(ApiKey::ListOffsets, 2, || Act::refuse(78));
    must_deliver(play, NOT_AVAILABLE, json!({}), &[0, 1])?;
    play.needs(ApiKey::ListOffsets, 5)
}
