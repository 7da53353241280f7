//! Finding leaders.

use crate::client::Scenario;
use crate::client::act::Act;
use crate::client::log::batch;
use crate::client::play::{Play, Running, Step, TOPIC, record};
use crate::client::words::or_none;
use crate::findings::Asserts;
use ottla_protocol::Uuid;
use ottla_protocol::messages::fetch;
use ottla_protocol::messages::produce;
use ottla_protocol::messages::{ApiKey, Request, Response};
use serde_json::json;
use std::time::Duration;

const NO_PARTITIONS: &str = "K-CLIENT-METADATA-001";
const UNKNOWN_THEN_KNOWN: &str = "K-CLIENT-METADATA-002";
const LOWER_EPOCH: &str = "K-CLIENT-METADATA-003";
const OTHER_ID: &str = "K-CLIENT-METADATA-004";
const NO_LEADER: &str = "K-CLIENT-METADATA-005";
const UNKNOWN_REPLICA: &str = "K-CLIENT-METADATA-006";
const REFRESHES: &str = "K-CLIENT-METADATA-007";
const PRODUCE_LEADER: &str = "K-CLIENT-METADATA-008";
const FETCH_LEADER: &str = "K-CLIENT-METADATA-009";
const PRESENT_ID: &str = "K-CLIENT-METADATA-010";
const NEW_PARTITIONS: &str = "K-CLIENT-METADATA-011";

/// How often metadata stays as it was, though the leader has moved.
const STALE: usize = 3;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new("client/topic-without-partitions", no_partitions, &[NO_PARTITIONS]),
    Scenario::new("client/unknown-topic-then-known", unknown_then_known, &[UNKNOWN_THEN_KNOWN]),
    Scenario::new("client/lower-leader-epoch", lower_epoch, &[LOWER_EPOCH]),
    Scenario::new("client/topic-made-again", other_id, &[OTHER_ID]),
    Scenario::new("client/no-leader", no_leader, &[NO_LEADER]),
    Scenario::new("client/unknown-replica", unknown_replica, &[UNKNOWN_REPLICA]),
    Scenario::new("client/leader-moved", leader_moved, &[REFRESHES]),
    Scenario::new("client/leader-moved-under-a-consumer", moved_for_fetch, &[REFRESHES]),
    Scenario::new("client/produce-names-the-leader", produce_leader, &[PRODUCE_LEADER]),
    Scenario::new("client/fetch-names-the-leader", fetch_leader, &[FETCH_LEADER]),
    Scenario::new("client/topic-id-of-the-present", present_id, &[PRESENT_ID]),
    Scenario::new("client/new-partitions", new_partitions, &[NEW_PARTITIONS]),
];

fn no_partitions(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.first(ApiKey::Metadata, 2, || {
        Act::edit(|answer| {
            if let Response::Metadata(answer) = answer {
                answer.topics.iter_mut().for_each(|topic| topic.partitions.clear());
            }
        })
    });
    let sent = play.produce(json!({}), &[record(0, "a")])?;
    let seen = play.cluster.seen();
    let asked: Vec<_> = seen.iter().filter(|seen| seen.is(ApiKey::Metadata)).collect();
    let early = seen.iter().find(|seen| {
        seen.is(ApiKey::Produce) && asked.get(2).is_none_or(|third| third.at > seen.at)
    });
    play.must(NO_PARTITIONS, early.is_none(), || {
        let shown = early.map(|seen| seen.shown()).unwrap_or_default();
        format!("it sent to a partition that nobody told of: {shown}")
    })?;
    let is_told = sent[0].end.is_ok() || sent[0].end.is_err();
    play.must(NO_PARTITIONS, is_told, String::new)
}

fn unknown_then_known(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.first(ApiKey::Metadata, 3, || Act::refuse(3));
    let sent = play.produce(json!({}), &[record(0, "a")])?;
    play.must_be_written(UNKNOWN_THEN_KNOWN, &sent)
}

/// Says in metadata that a node leads the partition, in an epoch.
fn led_by(node: i32, epoch: i32) -> Act {
    Act::edit(move |answer| {
        let Response::Metadata(answer) = answer else { return };
        for partition in answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            (partition.leader_id, partition.leader_epoch) = (node, epoch);
        }
    })
}

/// Node 1 leads in epoch 5. It moves to node 3 in epoch 6, but what is heard first is from before:
/// node 2 in epoch 4.
fn lower_epoch(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.cluster.with(|state| state.nodes = [1, 2, 3].into());
    let mut stale = 0;
    play.cluster.rule(move |seen, state| {
        if seen.is(ApiKey::Produce) && seen.node == 1 && stale == 0 {
            stale = 1;
            state.partition(TOPIC, 0).move_to(3);
            return None;
        }
        if seen.is(ApiKey::Metadata) && (1..=2).contains(&stale) {
            stale += 1;
            return Some(led_by(2, 4));
        }
        None
    });
    // A client that asks for metadata only every few seconds has to hear the right one in time.
    let settings = json!({"config": {"metadata.max.age.ms": 1000}});
    let sent = play.produce(settings, &[record(0, "a")])?;
    play.needs(ApiKey::Metadata, 7)?;
    let seen = play.seen(ApiKey::Produce);
    let astray = seen.iter().find(|seen| seen.node == 2);
    play.must(LOWER_EPOCH, astray.is_none(), || {
        let shown = astray.map(|seen| seen.shown()).unwrap_or_default();
        format!("it believed metadata of epoch 4 after 5: {shown}")
    })?;
    play.must_be_written(LOWER_EPOCH, &sent)
}

/// Deletes the topic and makes it again, with another id, on node 2 in epoch 0.
fn make_again(state: &mut crate::client::state::State) {
    state.topics.remove(TOPIC);
    let topic = state.topic(TOPIC, 1);
    topic.id = Uuid([99; 16]);
    let log = &mut topic.partitions[0];
    (log.leader, log.epoch, log.replicas) = (2, 0, vec![2]);
}

fn other_id(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.cluster.with(|state| state.nodes = [1, 2].into());
    let mut producer = play.producer(json!({"idempotence": false, "acks": "1"}))?;
    producer.send(&record(0, "a"));
    producer.sent(0)?;
    play.cluster.with(make_again);
    producer.send(&record(0, "b"));
    let second = producer.sent(1)?;
    play.needs(ApiKey::Metadata, 10)?;
    play.must_be_written(OTHER_ID, &[second])
}

fn no_leader(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.first(ApiKey::Metadata, 3, || {
        Act::edit(|answer| {
            let Response::Metadata(answer) = answer else { return };
            for partition in answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                (partition.error_code, partition.leader_id) = (5, -1);
            }
        })
    });
    let sent = play.produce(json!({}), &[record(0, "a")])?;
    let seen = play.cluster.seen();
    let asked: Vec<_> = seen.iter().filter(|seen| seen.is(ApiKey::Metadata)).collect();
    let early = seen.iter().find(|seen| {
        seen.is(ApiKey::Produce) && asked.get(3).is_none_or(|fourth| fourth.at > seen.at)
    });
    play.must(NO_LEADER, early.is_none(), || {
        format!("no node leads: {}", early.map(|seen| seen.shown()).unwrap_or_default())
    })?;
    play.must_be_written(NO_LEADER, &sent)
}

fn unknown_replica(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.cluster.with(|state| state.partition(TOPIC, 0).replicas = vec![1, 99, 100]);
    let sent = play.produce(json!({}), &[record(0, "a")])?;
    play.must_be_written(UNKNOWN_REPLICA, &sent)?;
    play.consume(json!({}), 1)?;
    Ok(())
}

fn leader_moved(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.cluster.with(|state| state.nodes = [1, 2].into());
    let mut producer = play.producer(json!({}))?;
    producer.send(&record(0, "a"));
    producer.sent(0)?;
    play.cluster.with(|state| state.partition(TOPIC, 0).move_to(2));
    producer.send(&record(0, "b"));
    let second = producer.sent(1)?;
    play.must_be_written(REFRESHES, &[second])?;
    let to = play.seen(ApiKey::Produce).last().map(|seen| seen.node);
    play.must(REFRESHES, to == Some(2), || format!("the last Produce went to node {}", or_none(to)))
}

fn moved_for_fetch(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.cluster.with(|state| state.nodes = [1, 2].into());
    play.store(0, [batch(0, 2)]);
    let mut consumer = play.consumer(json!({}))?;
    consumer.deliver(2)?;
    play.cluster.with(|state| {
        let log = state.partition(TOPIC, 0);
        log.move_to(2);
        log.store(batch(2, 2));
    });
    consumer.deliver(4)?;
    let to = play.seen(ApiKey::Fetch).iter().any(|seen| seen.node == 2);
    play.must(REFRESHES, to, || "no Fetch went to the new leader".to_owned())
}

/// Lets the leader move to node 2, of which metadata does not tell for a while; what is answered
/// meanwhile names it by `hint`.
fn move_unheard(play: &Play<'_>, api: ApiKey, hint: fn(&mut Response, i32)) {
    let port = play.cluster.with(|state| {
        state.partition(TOPIC, 0).move_to(2);
        i32::from(state.ports[&2])
    });
    let mut stale = 0;
    play.cluster.rule(move |seen, _| {
        if seen.is(ApiKey::Metadata) && stale < STALE {
            stale += 1;
            return Some(led_by(1, 5));
        }
        (seen.is(api) && seen.node == 1)
            .then(|| Act::refuse(6).edited(move |answer| hint(answer, port)))
    });
}

/// Whether node 2 was asked before metadata told of it.
fn went_unheard(play: &Play<'_>, api: ApiKey, since: Duration) -> bool {
    let seen = play.cluster.seen();
    let after = |seen: &&std::sync::Arc<crate::client::cluster::Seen>| seen.at > since;
    let told = seen.iter().filter(after).filter(|seen| seen.is(ApiKey::Metadata)).nth(STALE);
    let went = seen.iter().filter(after).find(|seen| seen.is(api) && seen.node == 2);
    went.is_some_and(|went| told.is_none_or(|told| went.at < told.at))
}

fn produce_leader(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.cluster.with(|state| state.nodes = [1, 2].into());
    let mut producer = play.producer(json!({}))?;
    producer.send(&record(0, "a"));
    producer.sent(0)?;
    play.needs(ApiKey::Produce, 10)?;
    let since = play.cluster.began().elapsed();
    move_unheard(play, ApiKey::Produce, |answer, port| {
        let Response::Produce(answer) = answer else { return };
        for partition in answer.responses.iter_mut().flat_map(|t| &mut t.partition_responses) {
            partition.current_leader.leader_id = 2;
            partition.current_leader.leader_epoch = 6;
        }
        let host = "127.0.0.1".to_owned();
        answer.node_endpoints =
            vec![produce::NodeEndpoint { node_id: 2, host, port, ..Default::default() }];
    });
    producer.send(&record(0, "b"));
    producer.sent(1)?;
    let went = went_unheard(play, ApiKey::Produce, since);
    play.should(PRODUCE_LEADER, went, || {
        "it did not go to node 2 before metadata told of that".to_owned()
    });
    Ok(())
}

fn fetch_leader(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.cluster.with(|state| state.nodes = [1, 2].into());
    play.store(0, [batch(0, 1)]);
    let mut consumer = play.consumer(json!({}))?;
    consumer.deliver(1)?;
    play.needs(ApiKey::Fetch, 16)?;
    let since = play.cluster.began().elapsed();
    move_unheard(play, ApiKey::Fetch, |answer, port| {
        let Response::Fetch(answer) = answer else { return };
        for partition in answer.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
            partition.current_leader.leader_id = 2;
            partition.current_leader.leader_epoch = 6;
        }
        let host = "127.0.0.1".to_owned();
        answer.node_endpoints =
            vec![fetch::NodeEndpoint { node_id: 2, host, port, ..Default::default() }];
    });
    play.store(0, [batch(1, 1)]);
    consumer.deliver(2)?;
    let went = went_unheard(play, ApiKey::Fetch, since);
    play.should(FETCH_LEADER, went, || {
        "it did not go to node 2 before metadata told of that".to_owned()
    });
    Ok(())
}

fn present_id(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.cluster.with(|state| state.nodes = [1, 2].into());
    play.store(0, [batch(0, 1)]);
    let mut consumer = play.consumer(json!({"config": {"metadata.max.age.ms": 1000}}))?;
    consumer.deliver(1)?;
    play.needs(ApiKey::Fetch, 13)?;
    play.cluster.with(|state| {
        make_again(state);
        state.partition(TOPIC, 0).store(batch(0, 2));
    });
    let fresh = Uuid([99; 16]);
    play.must_see(PRESENT_ID, "Fetch with the new topic's id", |state| {
        state.requests(ApiKey::Fetch).any(|(_, request)| match request {
            Request::Fetch(fetch) => fetch.topics.iter().any(|topic| topic.topic_id == fresh),
            _ => false,
        })
    })
}

fn new_partitions(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, [batch(0, 1)]);
    let settings = json!({"config": {"metadata.max.age.ms": 1000, "heartbeat.interval.ms": 300}});
    let mut consumer = play.consumer(settings)?;
    consumer.deliver(1)?;
    play.cluster.with(|state| {
        let topic = state.topics.get_mut(TOPIC).expect("it was made");
        topic.partitions.push(Default::default());
        topic.partitions[1].store(batch(0, 1));
    });
    play.blame(NEW_PARTITIONS);
    let has_new = |consumer: &Running| consumer.delivered().iter().any(|r| r.partition == 1);
    let came = consumer.read_until(play.deadline(), has_new)?;
    play.must(NEW_PARTITIONS, came, || "no record came from partition 1".to_owned())
}
