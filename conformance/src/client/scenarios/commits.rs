//! Committed offsets.

use crate::client::Scenario;
use crate::client::act::Act;
use crate::client::log::batch;
use crate::client::play::{Play, Step, TOPIC};
use crate::client::words::{listed, or_none};
use crate::findings::Asserts;
use crate::verdict::Stop;
use ottla_protocol::messages::offset_commit::OffsetCommitRequestPartition;
use ottla_protocol::messages::{ApiKey, Request};
use serde_json::json;

const NEXT: &str = "K-CLIENT-GROUP-015";
const EPOCH: &str = "K-CLIENT-GROUP-016";
const POLICY: &str = "K-CLIENT-GROUP-017";
const UNKNOWN_TOPIC: &str = "K-CLIENT-GROUP-018";
const UNSTABLE: &str = "K-CLIENT-GROUP-019";

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new("client/commits-the-next-offset", next, &[NEXT]),
    Scenario::new("client/commits-behind-a-gap", behind_a_gap, &[NEXT]),
    Scenario::new("client/commits-the-leader-epoch", epoch, &[EPOCH]),
    Scenario::new("client/no-commit-and-earliest", earliest, &[POLICY]),
    Scenario::new("client/no-commit-and-latest", latest, &[POLICY]),
    Scenario::new("client/commit-of-an-unknown-topic", unknown_topic, &[UNKNOWN_TOPIC]),
    Scenario::new("client/unstable-commit", unstable, &[UNSTABLE]),
];

/// Every partition of every commit.
fn commits(play: &Play<'_>) -> Vec<OffsetCommitRequestPartition> {
    let mut commits = Vec::new();
    for seen in play.seen(ApiKey::OffsetCommit) {
        if let Ok(Request::OffsetCommit(commit)) = &seen.request {
            let partitions = commit.topics.iter().flat_map(|topic| &topic.partitions);
            commits.extend(partitions.cloned());
        }
    }
    commits
}

/// What is committed for partition 0.
fn committed(play: &Play<'_>) -> Option<i64> {
    let place = (TOPIC.to_owned(), 0);
    play.cluster.with(|state| state.group.committed.get(&place).map(|(offset, _)| *offset))
}

fn next(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 5)]);
    let consumer = play.consume(json!({"count": 3}), 3)?;
    let last = consumer.offsets().last().copied().unwrap_or(-1);
    let got = committed(play);
    play.must(NEXT, got == Some(last + 1), || {
        format!("delivered up to offset {last}, committed {}", or_none(got))
    })
}

fn behind_a_gap(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(3, 2), batch(20, 1)]);
    play.cluster.with(|state| state.partition(TOPIC, 0).start = 3);
    play.consume(json!({"count": 3}), 3)?;
    let got = committed(play);
    play.must(NEXT, got == Some(21), || {
        format!("delivered up to offset 20, committed {}", or_none(got))
    })
}

fn epoch(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 3)]);
    play.consume(json!({"count": 3}), 3)?;
    play.needs(ApiKey::OffsetCommit, 6)?;
    let got: Vec<i32> = commits(play).iter().map(|commit| commit.committed_leader_epoch).collect();
    let fits = !got.is_empty() && got.iter().all(|epoch| [-1, 5].contains(epoch));
    play.must(EPOCH, fits, || {
        format!("the batch is of leader epoch 5, the commits of {}", listed(&got))
    })
}

fn earliest(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(4, 2)]);
    play.cluster.with(|state| state.partition(TOPIC, 0).start = 4);
    let consumer = play.consume(json!({"offset_reset": "earliest"}), 2)?;
    let got = consumer.offsets();
    play.must(POLICY, got == [4, 5], || {
        format!("delivered offsets {}, expected 4 and 5", listed(&got))
    })
}

fn latest(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 2)]);
    let mut consumer = play.consumer(json!({"offset_reset": "latest"}))?;
    play.must_see(POLICY, "Fetch", |state| state.count(ApiKey::Fetch) > 0)?;
    play.store(0, [batch(2, 1)]);
    consumer.deliver(1)?;
    let got = consumer.offsets();
    play.must(POLICY, got == [2], || format!("delivered offsets {}, expected 2", listed(&got)))
}

fn unknown_topic(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 9)]);
    play.cluster.with(|state| {
        state.group.committed.insert((TOPIC.to_owned(), 0), (7, 5));
    });
    play.first(ApiKey::OffsetFetch, 2, || Act::refuse(3));
    let mut consumer = play.consumer(json!({"offset_reset": "latest"}))?;
    consumer.read_until(play.deadline(), |consumer| {
        !consumer.delivered().is_empty() || !consumer.errors().is_empty()
    })?;
    let got = consumer.offsets();
    play.must(UNKNOWN_TOPIC, got.first() != Some(&0), || {
        format!("delivered offsets {}", listed(&got))
    })?;
    let from_0 = play.seen(ApiKey::Fetch).into_iter().find(|seen| match &seen.request {
        Ok(Request::Fetch(fetch)) => {
            let asked = fetch.topics.iter().flat_map(|topic| &topic.partitions);
            asked.into_iter().any(|asked| asked.fetch_offset == 0)
        }
        _ => false,
    });
    play.must(UNKNOWN_TOPIC, from_0.is_none(), || {
        format!("from offset 0: {}", from_0.map(|seen| seen.shown()).unwrap_or_default())
    })
}

fn unstable(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 4)]);
    play.cluster.with(|state| {
        state.group.committed.insert((TOPIC.to_owned(), 0), (2, 5));
    });
    play.cluster.rule({
        let mut left = 2;
        move |seen, _| {
            if !seen.is(ApiKey::OffsetFetch) || seen.version < 7 || left == 0 {
                return None;
            }
            left -= 1;
            Some(Act::refuse(88))
        }
    });
    let mut consumer = play.consumer(json!({"isolation": "read_committed"}))?;
    consumer.deliver(2)?;
    if play.version(ApiKey::OffsetFetch).is_none_or(|version| version < 7) {
        return Err(Stop::unsupported("the client asks OffsetFetch below version 7"));
    }
    let got = consumer.offsets();
    play.must(UNSTABLE, got == [2, 3], || {
        format!("delivered offsets {}, expected 2 and 3", listed(&got))
    })
}
