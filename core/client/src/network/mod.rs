//! The driver: owns every socket and the metadata.
//!
//! One task per (broker, [`Purpose`]) owns its socket, so that dropping a caller's future never
//! cuts a frame in half (trap 4); one task keeps the metadata. [`Network`] is a handle to them; the
//! tasks end when the last handle is dropped or closed.

mod config;
mod connection;
mod metadata;
mod routing;
#[cfg(feature = "simulation")]
mod simulated;
#[cfg(test)]
mod tests;

pub(crate) use config::NetworkConfig;
pub(crate) use connection::Reply;

use arc_swap::ArcSwap;
use connection::{Command, ConnectionHandle};
use ottla_engine::call::{CallError, Purpose, Target};
use ottla_engine::cluster::{BrokerAddress, Metadata, Urgency};
use ottla_engine::error::Error;
use ottla_engine::time::Instant;
use ottla_protocol::messages::{Request, Response};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// What a call that is answered through a channel comes back with.
pub(crate) type CallResult = Result<(Response, i16), CallError>;

/// A handle to the connections and the metadata of one client.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Arc<NetworkConfig>,
    start: std::time::Instant,
    metadata: ArcSwap<Metadata>,
    /// The version of the snapshot in `metadata`, for those who wait for a newer one.
    version: watch::Sender<u64>,
    wants: Mutex<Wants>,
    /// Wakes the metadata task after a change of `wants`, and when the client closes.
    wake_metadata: Arc<Notify>,
    connections: Mutex<BTreeMap<(Endpoint, Purpose), ConnectionHandle>>,
    coordinators: Mutex<BTreeMap<String, BrokerAddress>>,
    /// Rotates the brokers that calls for any broker begin with.
    rotation: AtomicUsize,
    is_closed: watch::Sender<bool>,
}

/// What the metadata task is asked for.
#[derive(Debug, Default)]
struct Wants {
    /// When each was last asked for.
    topics: BTreeMap<String, Instant>,
    urgency: Option<Urgency>,
}

/// Where a connection leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Endpoint {
    Node(i32),
    /// The n-th of `bootstrap.servers`, whose node id is not known yet.
    Bootstrap(usize),
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.wake_metadata.notify_one();
    }
}

impl Network {
    /// Reaches the cluster: asks the bootstrap servers in turn for metadata, then keeps it fresh.
    ///
    /// # Errors
    ///
    /// `Unreachable` when no bootstrap server answers, naming each address with what went wrong.
    pub(crate) async fn connect(config: NetworkConfig) -> Result<Self, Error> {
        let first = config.seed as usize;
        let inner = Arc::new(Inner {
            config: Arc::new(config),
            start: std::time::Instant::now(),
            metadata: ArcSwap::default(),
            version: watch::Sender::new(0),
            wants: Mutex::default(),
            wake_metadata: Arc::default(),
            connections: Mutex::default(),
            coordinators: Mutex::default(),
            rotation: AtomicUsize::new(first),
            is_closed: watch::Sender::new(false),
        });
        let network = Self { inner };
        network.bootstrap().await?;
        metadata::spawn(&network);
        Ok(network)
    }

    /// Sends one request and waits for its answer; also returns the version that was used.
    ///
    /// One attempt: it is not retried. `timeout` bounds the answer, from the moment the request is
    /// handed over; making the connection has its own limit. Dropping the future abandons the
    /// answer, not the request.
    pub(crate) async fn call(
        &self,
        target: Target,
        purpose: Purpose,
        request: Request,
        timeout: Duration,
    ) -> CallResult {
        match target {
            Target::Any => self.call_any(purpose, request, timeout).await,
            Target::Node(node_id) => {
                let broker = self.broker(node_id)?;
                self.call_broker(&broker, purpose, request, timeout).await
            }
            Target::Controller => match self.metadata().controller_id() {
                Some(node_id) => {
                    let broker = self.broker(node_id)?;
                    self.call_broker(&broker, purpose, request, timeout).await
                }
                None => self.call_any(purpose, request, timeout).await,
            },
            Target::Group(group) => {
                let broker = self.coordinator(&group).await?;
                self.call_broker(&broker, purpose, request, timeout).await
            }
        }
    }

    /// Hands a request to a node's connection; the answer comes through `reply`. The producer's
    /// sender uses this, so that a call costs no task.
    pub(crate) fn start_call(
        &self,
        node_id: i32,
        purpose: Purpose,
        request: Request,
        timeout: Duration,
        reply: Reply,
    ) {
        match self.broker(node_id) {
            Ok(broker) => {
                let handle = self.connection(Endpoint::Node(node_id), purpose, &broker);
                handle.send(Command { request, timeout, reply });
            }
            Err(error) => reply.answer(Err(error)),
        }
    }

    /// Hands a request to the connection of a group's coordinator, which is looked up first where
    /// it is not known; the answer comes through `reply`. Calls that are started one after the
    /// other reach a connection in that order.
    ///
    /// # Errors
    /// Why there is no coordinator; `reply` was told.
    pub(crate) async fn start_group_call(
        &self,
        group: &str,
        purpose: Purpose,
        request: Request,
        timeout: Duration,
        reply: Reply,
    ) -> Result<(), CallError> {
        match self.coordinator(group).await {
            Ok(broker) => {
                let handle = self.connection(Endpoint::Node(broker.node_id), purpose, &broker);
                handle.send(Command { request, timeout, reply });
                Ok(())
            }
            Err(error) => {
                reply.answer(Err(error.clone()));
                Err(error)
            }
        }
    }

    /// The latest snapshot.
    pub(crate) fn metadata(&self) -> Arc<Metadata> {
        self.inner.metadata.load_full()
    }

    /// Keeps these topics in the metadata from now on; asks for them at once when one is new.
    pub(crate) fn want_topics(&self, topics: &[String]) {
        let mut wants = lock(&self.inner.wants);
        let mut is_new = false;
        for topic in topics {
            is_new |= wants.topics.insert(topic.clone(), self.now()).is_none();
        }
        if is_new {
            wants.urgency = wants.urgency.max(Some(Urgency::New));
            self.inner.wake_metadata.notify_one();
        }
    }

    /// The topics that nobody has asked for within this time.
    pub(crate) fn topics_not_wanted_for(&self, time: Duration) -> Vec<String> {
        let (wants, now) = (lock(&self.inner.wants), self.now());
        let old = wants.topics.iter().filter(|(_, at)| now.saturating_since(**at) >= time);
        old.map(|(topic, _)| topic.clone()).collect()
    }

    /// Keeps these topics in the metadata no longer.
    pub(crate) fn forget_topics(&self, topics: &[String]) {
        let mut wants = lock(&self.inner.wants);
        for topic in topics {
            wants.topics.remove(topic);
        }
        drop(wants);
        self.publish(|current| current.without(topics));
    }

    /// Asks for a refresh, at once or when the backoff since the last one has passed.
    pub(crate) fn request_metadata_refresh(&self) {
        let mut wants = lock(&self.inner.wants);
        wants.urgency = wants.urgency.max(Some(Urgency::Stale));
        self.inner.wake_metadata.notify_one();
    }

    /// Waits for a snapshot whose version is above `version`.
    pub(crate) async fn metadata_newer_than(&self, version: u64) -> Arc<Metadata> {
        let mut versions = self.inner.version.subscribe();
        // The sender lives in `inner`, which this borrow keeps alive.
        let _ = versions.wait_for(|known| *known > version).await;
        self.metadata()
    }

    /// A receiver that changes with every snapshot.
    pub(crate) fn metadata_versions(&self) -> watch::Receiver<u64> {
        self.inner.version.subscribe()
    }

    /// Takes over a leader that a produce or fetch answer named (KIP-951).
    pub(crate) fn learn_leader(&self, topic: &str, partition: i32, leader: i32, epoch: i32) {
        let next = |current: &Metadata| current.with_leader(topic, partition, leader, epoch);
        if next(&self.metadata()).is_some() {
            self.publish(|current| next(current).unwrap_or_else(|| current.clone()));
        }
    }

    /// Forgets who coordinates a group: after NOT_COORDINATOR or COORDINATOR_NOT_AVAILABLE.
    pub(crate) fn invalidate_coordinator(&self, group: &str) {
        lock(&self.inner.coordinators).remove(group);
    }

    /// Now, on the engine's clock.
    pub(crate) fn now(&self) -> Instant {
        let ns = self.inner.start.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }

    /// The tokio clock's reading of an engine instant.
    pub(crate) fn deadline(&self, at: Instant) -> tokio::time::Instant {
        let since = Duration::from_nanos(at.as_nanos());
        let far = || self.inner.start + Duration::from_secs(365 * 24 * 3600);
        self.inner.start.checked_add(since).unwrap_or_else(far).into()
    }

    /// The settings.
    pub(crate) fn config(&self) -> &NetworkConfig {
        &self.inner.config
    }

    /// Ends every connection and the metadata task; open calls are answered `Closed`.
    pub(crate) fn close(&self) {
        self.inner.is_closed.send_replace(true);
        self.inner.wake_metadata.notify_one();
        lock(&self.inner.connections).clear();
    }

    /// Replaces the snapshot by what `next` makes of it. Tasks that publish at once build on each
    /// other.
    fn publish(&self, next: impl Fn(&Metadata) -> Metadata) {
        self.inner.metadata.rcu(|current| next(current));
        self.inner.version.send_replace(self.metadata().version());
    }
}

/// Locks; a panic of another holder leaves data that is still whole, since every critical section
/// here is a plain update.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
