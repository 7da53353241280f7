//! What all handlers share: configuration, metadata, partitions, groups, producer ids.

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{SystemTime, UNIX_EPOCH};

use ottla_protocol::{ErrorCode, Uuid};
use tokio::sync::watch;

use crate::config::Config;
use crate::coordinator::{GroupCoordinator, OFFSETS_TOPIC, TopicResolver};
use crate::log::LogError;
use crate::ops::Metrics;
use crate::partition::{Changes, Partition, Partitions};
use crate::quorum::{
    Command, Image, MetadataError, MetadataLog, Outcome, PartitionId, RaftLog, Rejection,
};
use crate::runtime::spawn_blocking;
use crate::testing;

pub(crate) mod fetch_sessions;
pub(crate) mod offsets_log;
pub(crate) mod producer_ids;
pub(crate) mod replication;
pub(crate) mod throttle;
pub(crate) mod topics;

use fetch_sessions::FetchSessions;

use producer_ids::ProducerIds;

/// How much of one request is proposed at once.
const TOGETHER_MAX: usize = 64;
/// Beyond this many bytes of unread answers, fetches are answered with little.
const UNREAD_BYTES_MAX: usize = 64 << 20;
/// What little is.
const FETCH_BYTES_MIN: usize = 256 << 10;

/// A running broker's state. Handlers get it by their
/// [`RequestContext`](crate::api::RequestContext).
pub struct Broker {
    pub(crate) parts: Parts,
    producer_ids: ProducerIds,
    fetch_sessions: FetchSessions,
    throttles: throttle::Throttles,
    /// Bytes of answers that clients have not taken yet.
    unread_bytes: AtomicUsize,
    metrics: Metrics,
    /// Set when somebody asks for faults.
    pub(crate) faults: testing::Installed,
}

/// An answer's bytes, counted until the client has taken them.
#[derive(Debug)]
pub(crate) struct Unread<'a> {
    broker: &'a Broker,
    len: usize,
}

impl Drop for Unread<'_> {
    fn drop(&mut self) {
        self.broker.unread_bytes.fetch_sub(self.len, Ordering::Relaxed);
    }
}

/// What [`Broker`] is made of.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) node_id: i32,
    pub(crate) cluster_id: String,
    /// This incarnation (M2).
    pub(crate) broker_epoch: i64,
    /// Where clients are told to connect.
    pub(crate) advertised: (String, u16),
    pub(crate) metadata: Arc<dyn MetadataLog>,
    /// The same log, where it is one of several nodes'.
    pub(crate) quorum: Option<RaftLog>,
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) coordinator: Arc<GroupCoordinator>,
    /// Turns true when the broker shuts down: long polls end.
    pub(crate) stop: watch::Receiver<bool>,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("node_id", &self.parts.node_id).finish_non_exhaustive()
    }
}

impl Broker {
    pub(crate) fn new(parts: Parts) -> Self {
        let slots = parts.config.int("max.incremental.fetch.session.cache.slots");
        Self {
            parts,
            producer_ids: ProducerIds::default(),
            fetch_sessions: FetchSessions::new(usize::try_from(slots).unwrap_or(0)),
            throttles: throttle::Throttles::default(),
            unread_bytes: AtomicUsize::new(0),
            metrics: Metrics::default(),
            faults: testing::Installed::default(),
        }
    }

    /// What the broker was started with.
    pub fn config(&self) -> &Config {
        &self.parts.config
    }

    /// This broker's id.
    pub fn node_id(&self) -> i32 {
        self.parts.node_id
    }

    /// Under which this incarnation is registered (M2).
    pub fn broker_epoch(&self) -> i64 {
        self.parts.broker_epoch
    }

    /// The cluster's id.
    pub fn cluster_id(&self) -> &str {
        &self.parts.cluster_id
    }

    /// Where clients are told to connect: host and port.
    pub fn advertised(&self) -> (&str, u16) {
        (&self.parts.advertised.0, self.parts.advertised.1)
    }

    /// The active controller; -1 while there is none that this node knows.
    pub(crate) fn controller_id(&self) -> i32 {
        self.parts.metadata.controller().unwrap_or(-1)
    }

    /// The metadata's log.
    pub(crate) fn metadata(&self) -> &Arc<dyn MetadataLog> {
        &self.parts.metadata
    }

    /// The metadata's quorum; none in a cluster of one.
    pub(crate) fn quorum(&self) -> Option<&RaftLog> {
        self.parts.quorum.as_ref()
    }

    /// The metadata as it is now.
    pub fn image(&self) -> Arc<Image> {
        self.parts.metadata.image()
    }

    /// Whether consumers are sent to a replica in their own rack (KIP-392).
    pub(crate) fn selects_replicas(&self) -> bool {
        self.config().text("replica.selector.class").ends_with("RackAwareReplicaSelector")
    }

    /// The sessions of those that fetch.
    pub(crate) fn fetch_sessions(&self) -> &FetchSessions {
        &self.fetch_sessions
    }

    /// The group coordinator.
    pub fn coordinator(&self) -> &Arc<GroupCoordinator> {
        &self.parts.coordinator
    }

    /// All partitions of this broker.
    pub fn partitions(&self) -> &Arc<Partitions> {
        &self.parts.partitions
    }

    /// A partition by its topic's name.
    ///
    /// # Errors
    /// As [`Self::partition_by_id`].
    pub fn partition(&self, topic: &str, index: i32) -> Result<Arc<Partition>, ErrorCode> {
        let image = self.image();
        let topic = image.topics.get(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        self.partition_by_id(topic.id, index)
    }

    /// A partition by its topic's id.
    ///
    /// # Errors
    /// As [`Partitions::get`]; `NotLeaderOrFollower` where other brokers have the partition.
    pub fn partition_by_id(&self, topic: Uuid, index: i32) -> Result<Arc<Partition>, ErrorCode> {
        self.here(topic, index, self.parts.partitions.get(topic, index))
    }

    /// A replica by its topic's id, which this broker leads or not.
    ///
    /// # Errors
    /// As [`Partitions::replica`]; `NotLeaderOrFollower` where other brokers have the partition.
    pub fn replica_by_id(&self, topic: Uuid, index: i32) -> Result<Arc<Partition>, ErrorCode> {
        self.here(topic, index, self.parts.partitions.replica(topic, index))
    }

    /// A client that asks the wrong broker is told so: the partition is known.
    fn here<T>(
        &self,
        topic_id: Uuid,
        index: i32,
        found: Result<T, ErrorCode>,
    ) -> Result<T, ErrorCode> {
        found.map_err(|code| match self.image().partition(PartitionId { topic_id, index }) {
            Some(_) if code == ErrorCode::UnknownTopicOrPartition => ErrorCode::NotLeaderOrFollower,
            _ => code,
        })
    }

    /// Turns true when the broker shuts down.
    pub(crate) fn stop(&self) -> watch::Receiver<bool> {
        self.parts.stop.clone()
    }

    /// A producer id that nobody was given before (M10).
    pub(crate) async fn allocate_producer_id(&self) -> Result<i64, Rejection> {
        self.producer_ids.next(self).await
    }

    /// Proposes a command and makes the partitions follow; the answer is the state machine's.
    pub(crate) async fn propose(&self, command: Command) -> Result<Outcome, Rejection> {
        let outcome = self.parts.metadata.propose(command).await.map_err(|error| {
            let code = match error {
                // Applied or not: the client has to look.
                MetadataError::Unavailable { .. } => ErrorCode::RequestTimedOut,
                _ => ErrorCode::UnknownServerError,
            };
            Rejection { code, message: error.to_string() }
        })?;
        match outcome {
            Outcome::Rejected(rejection) => Err(rejection),
            outcome @ (Outcome::BrokerEpoch(_) | Outcome::ProducerIds(_)) => Ok(outcome),
            outcome => {
                self.follow().await.map_err(|error| Rejection {
                    code: ErrorCode::UnknownServerError,
                    message: error.to_string(),
                })?;
                Ok(outcome)
            }
        }
    }

    /// Makes the partitions and the group coordinator follow the metadata as it is now.
    pub(crate) async fn follow(&self) -> Result<(), LogError> {
        let (partitions, metadata) = (self.parts.partitions.clone(), self.parts.metadata.clone());
        let follow = move || partitions.reconcile(|| metadata.image());
        let mut changes = spawn_blocking(follow).await.expect("opening a partition does not panic");
        let failure = changes.failure.take();
        self.coordinate(changes).await;
        failure.map_or(Ok(()), Err)
    }

    /// Tells the group coordinator which partitions of its topic it has, and which topics are gone.
    pub(crate) async fn coordinate(&self, changes: Changes) {
        let coordinator = &self.parts.coordinator;
        for (topic, index) in changes.deleted.iter().filter(|(topic, _)| topic == OFFSETS_TOPIC) {
            tracing::info!(topic, index, "groups of a deleted partition are given up");
            coordinator.resign(*index, i32::MAX);
        }
        if !changes.deleted.is_empty() {
            coordinator.partitions_deleted(&changes.deleted);
        }
        // M16: before anybody is elected, as the same broker may lead again.
        for (topic, index, epoch) in &changes.resigned {
            if topic == OFFSETS_TOPIC {
                coordinator.resign(*index, *epoch);
            }
        }
        let led = |opened: &&Arc<Partition>| opened.is_leader();
        for partition in
            changes.opened.iter().filter(led).filter(|led| led.topic() == OFFSETS_TOPIC)
        {
            let (coordinator, partition) = (Arc::clone(coordinator), Arc::clone(partition));
            let alone = partition.replica_count() == 1;
            let mut election = Box::pin(async move {
                let (index, epoch) = (partition.index(), partition.leader_epoch());
                // What it cannot do, it tells itself.
                let _ = coordinator.elect(index, epoch).await;
            });
            if alone {
                election.await;
                continue;
            }
            // It begins here, in order with what came before; but it ends when the followers have
            // all that was found, and they must be followed meanwhile.
            let begun = poll_fn(|cx| Poll::Ready(election.as_mut().poll(cx).is_ready())).await;
            if !begun {
                tokio::spawn(election);
            }
        }
    }

    /// What is counted for operators.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Bytes of answers that clients have not taken yet.
    pub(crate) fn unread_bytes(&self) -> usize {
        self.unread_bytes.load(Ordering::Relaxed)
    }

    /// Counts an answer that is being written.
    pub(crate) fn count_unread(&self, len: usize) -> Unread<'_> {
        self.unread_bytes.fetch_add(len, Ordering::Relaxed);
        Unread { broker: self, len }
    }

    /// How many bytes a fetch may answer with: less while clients leave much unread, so that many
    /// of them together cannot fill the memory, but always some.
    pub(crate) fn fetch_allowance(&self) -> usize {
        UNREAD_BYTES_MAX.saturating_sub(self.unread_bytes()).max(FETCH_BYTES_MIN)
    }

    /// The configuration with what was changed at run time laid over it.
    pub(crate) fn effective_config(&self) -> Config {
        effective_config(&self.parts.config, &self.image(), self.parts.node_id)
    }
}

impl TopicResolver for Broker {
    fn topic_id(&self, name: &str) -> Option<Uuid> {
        self.image().topics.get(name).map(|topic| topic.id)
    }

    fn topic_name(&self, id: Uuid) -> Option<String> {
        self.image().topic_by_id(id).map(|topic| topic.name.clone())
    }

    fn has_partition(&self, name: &str, partition: i32) -> bool {
        let image = self.image();
        let count = image.topics.get(name).map_or(0, |topic| topic.partitions.len());
        usize::try_from(partition).is_ok_and(|partition| partition < count)
    }
}

/// Does all of these, up to [`TOGETHER_MAX`] at once: what they propose goes into the metadata log
/// together. Answers are in order.
pub(crate) async fn together<T>(
    works: impl IntoIterator<Item = impl Future<Output = T>>,
) -> Vec<T> {
    let mut works = works.into_iter();
    let mut done = Vec::new();
    loop {
        let mut running: Vec<_> =
            works.by_ref().take(TOGETHER_MAX).map(|work| (Box::pin(work), None)).collect();
        if running.is_empty() {
            return done;
        }
        poll_fn(|cx| {
            for (work, result) in running.iter_mut().filter(|(_, result)| result.is_none()) {
                if let Poll::Ready(ready) = work.as_mut().poll(cx) {
                    *result = Some(ready);
                }
            }
            let all_done = running.iter().all(|(_, result)| result.is_some());
            if all_done { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        done.extend(running.into_iter().filter_map(|(_, result)| result));
    }
}

/// Now, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A broker's configuration with the dynamic settings of `image` laid over it: those of all
/// brokers, then its own.
pub(crate) fn effective_config(config: &Config, image: &Image, node_id: i32) -> Config {
    let all = config.overlaid(&image.default_broker_configs);
    match image.broker_configs.get(&node_id) {
        Some(own) => all.overlaid(own),
        None => all,
    }
}

/// Whether a topic is the broker's own (PR-29, MD-11).
pub fn is_internal(topic: &str) -> bool {
    topic == OFFSETS_TOPIC || topic == "__transaction_state"
}
