//! The tasks that keep replicas together: a fetcher for each broker that leads something this one
//! follows, and what this broker proposes for the ISRs of what it leads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::messages::fetch::{PartitionData, ReplicaState};
use ottla_protocol::messages::{FetchRequest, FetchResponse, Request, Response};
use ottla_protocol::{ErrorCode, Uuid};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::Broker;
use super::throttle::Side;
use crate::internal::Peers;
use crate::partition::{Fetching, Took, wait_for};
use crate::quorum::{Command, Outcome, PartitionId};
use crate::replication::ProposalResult;
use crate::runtime::spawn_blocking;

mod session;

use session::Session;

/// The version that is spoken between nodes: topic ids, the replica's incarnation, and the high
/// watermark that it knows.
const FETCH_VERSION: i16 = 18;
/// How often the ISRs are looked at, at least.
const ISR_INTERVAL: Duration = Duration::from_millis(100);

/// How often replicas are looked at that cannot be served.
const MEND_INTERVAL: Duration = Duration::from_millis(500);

/// How long a replica is left alone that failed for the first time. Its leader may only not know
/// yet what it leads; the wait doubles up to `replica.fetch.backoff.ms`.
const FIRST_BACKOFF: Duration = Duration::from_millis(20);

/// Replicas that are left alone for a while.
type Waiting = BTreeMap<([u8; 16], i32), Held>;

/// Until when a replica is left alone.
#[derive(Debug, Clone, Copy)]
struct Held {
    until: Instant,
    wait: Duration,
}

impl Held {
    /// After one more failure, `before` being the last one's.
    fn again(before: Option<&Self>, now: Instant, max: Duration) -> Self {
        let wait = before.map_or(FIRST_BACKOFF, |before| before.wait * 2).min(max);
        Self { until: now + wait, wait }
    }

    /// It is known that long after its end, so that the next failure is one more.
    fn is_known(&self, now: Instant, max: Duration) -> bool {
        now < self.until + max
    }
}

/// Runs until `stop` turns true.
pub(crate) async fn run(broker: Arc<Broker>, peers: Arc<Peers>, mut stop: watch::Receiver<bool>) {
    let mut tasks = JoinSet::new();
    tasks.spawn(propose_isrs(Arc::clone(&broker)));
    tasks.spawn(mend_replicas(Arc::clone(&broker)));
    let mut roles = broker.partitions().roles();
    let mut fetched_from = BTreeSet::new();
    loop {
        roles.borrow_and_update();
        for partition in broker.partitions().all() {
            let leader = partition.leader();
            if leader >= 0 && !partition.is_leader() && fetched_from.insert(leader) {
                tasks.spawn(fetch_from(leader, Arc::clone(&broker), Arc::clone(&peers)));
            }
        }
        tokio::select! {
            changed = roles.changed() => if changed.is_err() { return },
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Fetches from one broker whatever it leads and this one follows.
async fn fetch_from(leader: i32, broker: Arc<Broker>, peers: Arc<Peers>) {
    let mut roles = broker.partitions().roles();
    let mut waiting = Waiting::new();
    let mut session = Session::default();
    let wait_max = broker.config().duration_ms("replica.fetch.wait.max.ms");
    let backoff = broker.config().duration_ms("replica.fetch.backoff.ms");
    loop {
        roles.borrow_and_update();
        let now = Instant::now();
        waiting.retain(|_, held| held.is_known(now, backoff));
        let pause = broker.throttle_pause(Side::Follower);
        let asks = questions(&broker, leader, &waiting, pause.is_some());
        let image = broker.image();
        let Some(node) = image.brokers.get(&leader).filter(|_| !asks.is_empty()) else {
            let wait = wait_until_first(&waiting, now, pause.unwrap_or(backoff).min(backoff));
            let ends = !waiting.is_empty() || !asks.is_empty() || pause.is_some();
            tokio::select! {
                changed = roles.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(wait), if ends => {}
            }
            continue;
        };
        let peer = peers.to(leader, &node.internal_host, node.internal_port);
        // Who is left alone for a while does not wait for what others have nothing new of.
        let wait_max = pause.map_or(wait_max, |pause| pause.min(wait_max));
        let wait = wait_until_first(&waiting, Instant::now(), wait_max);
        let named = asks.iter().map(|ask| (ask.partition.topic_id(), &ask.asked));
        let request = Request::from(fetch_request(&broker, session.request(named), wait));
        let deadline = wait_max + broker.config().duration_ms("replica.lag.time.max.ms");
        let answer = tokio::select! {
            answer = peer.send(FETCH_VERSION, &request, deadline) => answer,
            // Another partition may be waiting for its first fetch, or this one has ended.
            changed = roles.changed() => match changed {
                Ok(()) => {
                    session.begin_again();
                    continue;
                }
                Err(_) => return,
            },
        };
        let trouble = match answer {
            Ok(Response::Fetch(answer)) if answer.error_code == 0 => {
                let is_incremental = session.is_incremental();
                session.on_answer(&answer);
                count_throttled(&broker, &answer);
                let held = spawn_blocking(move || take(&asks, *answer, is_incremental)).await;
                let held = held.expect("taking an answer does not panic");
                for of in held {
                    let held = Held::again(waiting.get(&of), Instant::now(), backoff);
                    waiting.insert(of, held);
                }
                continue;
            }
            // The leader has forgotten the session.
            Ok(Response::Fetch(_)) if session.is_incremental() => {
                session.begin_again();
                continue;
            }
            Ok(Response::Fetch(answer)) => format!("it answers {}", answer.error_code),
            Ok(_) => "its answer is to another request".to_owned(),
            Err(error) => error.to_string(),
        };
        tracing::info!(leader, trouble, "cannot fetch");
        session.begin_again();
        tokio::time::sleep(backoff).await;
    }
}

/// How long a fetch may wait for data: until the first replica that is left alone is due again.
fn wait_until_first(waiting: &Waiting, now: Instant, max: Duration) -> Duration {
    let first = waiting.values().map(|held| held.until).filter(|until| *until > now).min();
    first.map_or(max, |until| until.saturating_duration_since(now).min(max))
}

/// What to ask of a leader now.
fn questions(broker: &Broker, leader: i32, waiting: &Waiting, pauses: bool) -> Vec<Fetching> {
    let now = Instant::now();
    let (image, own_id) = (broker.image(), broker.node_id());
    let bytes_max = broker.config().int("replica.fetch.max.bytes");
    let follows = broker.partitions().all().into_iter().filter(|partition| {
        let of = (partition.topic_id().0, partition.index());
        let throttled =
            |(id, index)| broker.is_throttled(Side::Follower, &image, Uuid(id), index, own_id);
        let is_held = waiting.get(&of).is_some_and(|held| held.until > now);
        let is_held = is_held || (pauses && throttled(of));
        partition.leader() == leader && !partition.is_leader() && !is_held
    });
    // Who serves consumers is told at once what is committed; otherwise that comes with the next
    // records, or at the end of the long poll (KAFKA-9731).
    let serves_consumers = broker.selects_replicas();
    let ask = |partition: Arc<_>| {
        let partition: Arc<crate::partition::Partition> = partition;
        let mut asked = partition.fetch_request(bytes_max)?;
        if serves_consumers {
            asked.high_watermark = partition.high_watermark();
        }
        Some(Fetching { partition, asked })
    };
    let mut asks: Vec<_> = follows.filter_map(ask).collect();
    // The same topics together, and the order not that of a hash.
    asks.sort_by_key(|ask| (ask.partition.topic_id().0, ask.partition.index()));
    asks
}

fn fetch_request(broker: &Broker, of_session: FetchRequest, wait: Duration) -> FetchRequest {
    let config = broker.config();
    FetchRequest {
        replica_state: ReplicaState {
            replica_id: broker.node_id(),
            replica_epoch: broker.parts.broker_epoch,
            ..ReplicaState::default()
        },
        max_wait_ms: i32::try_from(wait.as_millis()).unwrap_or(i32::MAX),
        min_bytes: config.int("replica.fetch.min.bytes"),
        max_bytes: config.int("replica.fetch.response.max.bytes"),
        ..of_session
    }
}

/// Counts what was fetched by throttled replicas (KIP-73).
fn count_throttled(broker: &Broker, answer: &FetchResponse) {
    let (image, own_id) = (broker.image(), broker.node_id());
    let mut bytes = 0;
    for topic in &answer.responses {
        for partition in &topic.partitions {
            let (id, index) = (topic.topic_id, partition.partition_index);
            if broker.is_throttled(Side::Follower, &image, id, index, own_id) {
                bytes += partition.records.as_ref().map_or(0, |records| records.len());
            }
        }
    }
    broker.throttle_spend(Side::Follower, bytes);
}

/// Gives each replica its answer; answers those that are to be left alone for a while. An
/// incremental answer leaves out where nothing is new.
fn take(asks: &[Fetching], answer: FetchResponse, is_incremental: bool) -> Vec<([u8; 16], i32)> {
    let mut answers: BTreeMap<([u8; 16], i32), PartitionData> = BTreeMap::new();
    for topic in answer.responses {
        let Uuid(id) = topic.topic_id;
        answers.extend(topic.partitions.into_iter().map(|it| ((id, it.partition_index), it)));
    }
    let mut held = Vec::new();
    for Fetching { partition, asked } in asks {
        let of = (partition.topic_id().0, partition.index());
        let took = match answers.remove(&of) {
            None if is_incremental => Took::Nothing,
            None => Took::Wait(ErrorCode::UnknownTopicOrPartition),
            Some(answer) => partition.take_answer(asked, &answer).unwrap_or_else(|error| {
                tracing::error!(?partition, %error, "cannot take what was fetched");
                wait_for(&error)
            }),
        };
        if let Took::Wait(code) = took {
            tracing::debug!(?partition, code = code.name(), "nothing to fetch for now");
            held.push(of);
        }
    }
    held
}

/// Looks at the ISRs of what this broker leads and proposes what should change, in one command.
async fn propose_isrs(broker: Arc<Broker>) {
    let lag_max = broker.config().duration_ms("replica.lag.time.max.ms");
    let mut tick =
        tokio::time::interval(ISR_INTERVAL.min(lag_max / 2).max(Duration::from_millis(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let partitions = broker.partitions().all();
        let (mut proposals, mut changes) = (Vec::new(), Vec::new());
        for partition in partitions {
            if let Some((proposal, change)) = partition.poll_isr() {
                proposals.push((partition, proposal));
                changes.push(change);
            }
        }
        if changes.is_empty() {
            continue;
        }
        let (leader, broker_epoch) = (broker.node_id(), broker.parts.broker_epoch);
        let command = Command::AlterPartitions { leader, broker_epoch, changes };
        let outcome = broker.metadata().propose(command).await;
        for (at, (partition, proposal)) in proposals.iter().enumerate() {
            let result = match &outcome {
                Ok(Outcome::Partitions(results)) => match results.get(at) {
                    Some(Some(rejection)) => ProposalResult::Refused(rejection.code),
                    _ => ProposalResult::Applied,
                },
                Ok(Outcome::Rejected(rejection)) => ProposalResult::Refused(rejection.code),
                Ok(_) => ProposalResult::Applied,
                Err(_) => ProposalResult::Unknown,
            };
            tracing::debug!(?partition, ?proposal, ?result, "proposed an ISR");
            partition.on_isr(proposal, result);
        }
    }
}

/// M19: gives up replicas that cannot be served, so that others lead, and has what is damaged
/// fetched from those.
async fn mend_replicas(broker: Arc<Broker>) {
    let mut tick = tokio::time::interval(MEND_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What cannot be repaired either is for the next start.
    let mut given_up = BTreeSet::new();
    // Repaired is what the metadata has known to be damaged: the image here may be one from before
    // the replica was in sync.
    let mut resigned = BTreeSet::new();
    let (node_id, broker_epoch) = (broker.node_id(), broker.parts.broker_epoch);
    loop {
        tick.tick().await;
        let offline = broker.partitions().offline();
        resigned.retain(|known| offline.iter().any(|(of, _)| (of.topic_id.0, of.index) == *known));
        for (of, repairable) in offline {
            let image = broker.image();
            let Some(partition) = image.partition(of).filter(|p| p.replicas.len() > 1) else {
                continue;
            };
            let PartitionId { topic_id, index } = of;
            let known = (topic_id.0, index);
            if partition.isr.contains(&node_id) || !resigned.contains(&known) {
                let command = Command::ResignLeadership { topic_id, index, node_id, broker_epoch };
                match broker.metadata().propose(command).await {
                    Ok(Outcome::Done) => {
                        tracing::warn!(%topic_id, index, "resigned a replica");
                        resigned.insert(known);
                    }
                    other => tracing::info!(%topic_id, index, ?other, "cannot resign a replica"),
                }
            } else if repairable && !given_up.contains(&known) {
                let partitions = Arc::clone(broker.partitions());
                let metadata = Arc::clone(broker.metadata());
                let repaired = spawn_blocking(move || partitions.repair(of, || metadata.image()));
                let repaired = repaired.await.expect("opening a partition does not panic");
                if let Err(error) = repaired {
                    tracing::error!(%topic_id, index, %error, "cannot repair a replica");
                    given_up.insert(known);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
