//! From a configuration to a running broker, and back.
//!
//! Start: bind, take the data folder, read metadata, register this incarnation (M2), open the logs,
//! load the groups, accept. The broker is ready when that is done: a produce works. Stop: answer
//! what is under way, close the logs, mark the folder clean.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ottla_protocol::Uuid;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::broker::offsets_log::OffsetsTopic;
use crate::broker::{Broker, Parts};
use crate::config::{Config, Listener};
use crate::coordinator::{GroupConfig, GroupCoordinator};
use crate::log::{LogError, LogManager, RealStorage};
use crate::ops::{self, Ops};
use crate::partition::{Changes, Partitions};
use crate::quorum::{Command, LocalLog, MetadataError, MetadataLog, Outcome};
use crate::server;
use crate::testing::Faults;

mod identity;
mod maintenance;

use identity::Identity;

/// How long [`RunningBroker::kill`] waits for the last connection to let go.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// Why a broker did not start. The text names the thing and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The listener's address.
    #[error("cannot listen on {address}: {source}; {advice}")]
    Bind {
        /// Where it should listen.
        address: String,
        /// What the operating system said.
        source: std::io::Error,
        /// What to do.
        advice: &'static str,
    },
    /// The data folder belongs to another cluster or node, or its `meta.properties` cannot be read.
    #[error("{0}")]
    Identity(String),
    /// A log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The metadata log.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// Something in the process itself.
    #[error("internal error at start: {0}")]
    Internal(String),
}

impl From<JoinError> for StartError {
    fn from(error: JoinError) -> Self {
        Self::Internal(error.to_string())
    }
}

/// A broker that serves. Dropping it kills it, as [`RunningBroker::kill`] does.
#[derive(Debug)]
pub struct RunningBroker {
    address: SocketAddr,
    broker: Option<Arc<Broker>>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    maintenance: JoinHandle<()>,
    /// Ends with the broker.
    ops: Option<(SocketAddr, JoinSet<()>)>,
}

impl Broker {
    /// Starts a broker; resolves when a produce would work. Must be called inside a tokio runtime
    /// with time and I/O.
    ///
    /// # Errors [`StartError`], with nothing left running.
    pub async fn start(config: Config) -> Result<RunningBroker, StartError> {
        for name in config.ignored() {
            tracing::warn!(name, "this property has no effect here and is ignored");
        }
        let listener = bind(&config.listener()).await?;
        let address =
            listener.local_addr().map_err(|error| bind_error(&config.listener(), error))?;
        let advertised = match config.advertised_listener() {
            Some(Listener { host, port: 0 }) => (host, address.port()),
            Some(Listener { host, port }) => (host, port),
            None => (advertised_host(address), address.port()),
        };
        // Open while the rest starts, so that health can say so.
        let (state, ops) = serve_ops(&config).await?;
        let (stop, stopped) = watch::channel(false);
        let opening = {
            let (config, advertised) = (config.clone(), advertised.clone());
            tokio::task::spawn_blocking(move || open(&config, advertised)).await?
        };
        let Opened { identity, metadata, broker_epoch, partitions, changes } = opening?;
        let topic = OffsetsTopic::new(
            Arc::clone(&metadata),
            Arc::clone(&partitions),
            config.int("offsets.topic.num.partitions"),
        );
        let coordinator = GroupCoordinator::start(&group_config(&config), Arc::new(topic));
        let broker = Arc::new(Self::new(Parts {
            node_id: config.node_id(),
            config,
            cluster_id: identity.cluster_id,
            broker_epoch,
            advertised,
            metadata,
            partitions,
            coordinator: Arc::new(coordinator),
            stop: stopped.clone(),
        }));
        broker.coordinate(changes).await;
        let server = tokio::spawn(server::serve(listener, Arc::clone(&broker), stopped.clone()));
        let maintenance = tokio::spawn(maintenance::run(Arc::clone(&broker), stopped));
        state.ready(&broker);
        Ok(RunningBroker { address, broker: Some(broker), stop, server, maintenance, ops })
    }
}

impl RunningBroker {
    /// Where it listens; the port that was taken when port 0 was asked for.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Where `/metrics` and `/health` are served over HTTP, if they are.
    pub fn ops_addr(&self) -> Option<SocketAddr> {
        self.ops.as_ref().map(|(address, _)| *address)
    }

    /// The broker's state.
    pub fn broker(&self) -> &Arc<Broker> {
        self.broker.as_ref().expect("only shutdown and kill take the broker, and they take self")
    }

    /// The faults that clients of this broker meet; the first call makes them, and from then on
    /// requests are counted.
    pub fn faults(&self) -> Arc<Faults> {
        Arc::clone(self.broker().faults.get_or_init(Arc::default))
    }

    /// Answers what is under way, closes every log and marks the data folder clean.
    ///
    /// # Errors
    /// When something could not be written; the next start then recovers.
    pub async fn shutdown(mut self) -> Result<(), LogError> {
        self.stop.send_replace(true);
        let _ = (&mut self.server).await;
        let _ = (&mut self.maintenance).await;
        let broker = self.broker.take().expect("the broker is taken once");
        let partitions = Arc::clone(broker.partitions());
        let closed = tokio::task::spawn_blocking(move || partitions.shut_down()).await;
        self.released(broker).await;
        closed.expect("closing a log does not panic")
    }

    /// Ends it as `kill -9` would: nothing more is written or answered. Resolves when the data
    /// folder is free again.
    pub async fn kill(mut self) {
        let broker = self.broker.take().expect("the broker is taken once");
        broker.partitions().abandon();
        self.server.abort();
        self.maintenance.abort();
        let _ = (&mut self.server).await;
        let _ = (&mut self.maintenance).await;
        self.released(broker).await;
    }

    /// Waits until no connection task holds the broker any more, and with it the data folder's
    /// lock.
    async fn released(&self, broker: Arc<Broker>) {
        let partitions: Weak<Partitions> = Arc::downgrade(broker.partitions());
        drop(broker);
        let gone = async {
            while partitions.strong_count() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        if tokio::time::timeout(KILL_PATIENCE, gone).await.is_err() {
            tracing::warn!("the broker is still in use after it was stopped");
        }
    }
}

impl Drop for RunningBroker {
    fn drop(&mut self) {
        if let Some(broker) = self.broker.take() {
            broker.partitions().abandon();
            self.server.abort();
            self.maintenance.abort();
        }
    }
}

/// What the blocking part of the start gives.
struct Opened {
    identity: Identity,
    metadata: Arc<dyn MetadataLog>,
    broker_epoch: i64,
    partitions: Arc<Partitions>,
    changes: Changes,
}

fn open(config: &Config, (host, port): (String, u16)) -> Result<Opened, StartError> {
    let dir = config.data_dir();
    let manager = LogManager::open(&dir, Arc::new(RealStorage))?;
    let identity = Identity::load_or_make(&dir, config)?;
    let metadata = LocalLog::open(Path::new(&dir))?;
    let node_id = config.node_id();
    let rack = config.text("broker.rack");
    let registration = Command::RegisterBroker {
        node_id,
        incarnation: random_id(),
        host,
        port,
        rack: (!rack.is_empty()).then(|| rack.to_owned()),
    };
    let Outcome::BrokerEpoch(broker_epoch) = metadata.propose_blocking(registration)? else {
        unreachable!("a registration is answered with an epoch");
    };
    let image = metadata.image();
    let (partitions, changes) = Partitions::open(manager, node_id, config, &image)?;
    Ok(Opened {
        identity,
        metadata: Arc::new(metadata),
        broker_epoch,
        partitions: Arc::new(partitions),
        changes,
    })
}

/// Opens the port for operators, if there shall be one.
async fn serve_ops(
    config: &Config,
) -> Result<(Arc<Ops>, Option<(SocketAddr, JoinSet<()>)>), StartError> {
    let state = Arc::new(Ops::default());
    let Some(wanted) = config.ops_listener() else { return Ok((state, None)) };
    let failed = |source: std::io::Error| {
        let address = format!("{}:{}", wanted.bind_host(), wanted.port);
        let advice = "name another place in ops.listener (port 0 takes a free one)";
        StartError::Bind { address, source, advice }
    };
    let listener = TcpListener::bind((wanted.bind_host(), wanted.port)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let mut task = JoinSet::new();
    task.spawn(ops::serve(listener, Arc::clone(&state)));
    Ok((state, Some((address, task))))
}

async fn bind(listener: &Listener) -> Result<TcpListener, StartError> {
    let bound = TcpListener::bind((listener.bind_host(), listener.port)).await;
    bound.map_err(|error| bind_error(listener, error))
}

fn bind_error(listener: &Listener, source: std::io::Error) -> StartError {
    let advice = match source.kind() {
        std::io::ErrorKind::AddrInUse => {
            "another process has that port: stop it, or take another by --port (0 takes a free one)"
        }
        std::io::ErrorKind::PermissionDenied => {
            "ports below 1024 need privileges: take another one"
        }
        _ => "name an address of this machine in listeners",
    };
    let address = format!("{}:{}", listener.bind_host(), listener.port);
    StartError::Bind { address, source, advice }
}

/// A wildcard address is none that a client could connect to.
fn advertised_host(address: SocketAddr) -> String {
    match address.ip() {
        ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
        ip => ip.to_string(),
    }
}

fn group_config(config: &Config) -> GroupConfig {
    GroupConfig {
        min_session_timeout_ms: config.int("group.min.session.timeout.ms"),
        max_session_timeout_ms: config.int("group.max.session.timeout.ms"),
        initial_rebalance_delay_ms: config.int("group.initial.rebalance.delay.ms"),
        max_size: usize::try_from(config.int("group.max.size")).unwrap_or(usize::MAX),
        offset_metadata_max_bytes: usize::try_from(config.int("offset.metadata.max.bytes"))
            .unwrap_or(0),
        offsets_retention_ms: config.long("offsets.retention.minutes") * 60_000,
        offsets_retention_check_interval_ms: config.long("offsets.retention.check.interval.ms"),
        ..GroupConfig::default()
    }
}

/// An id that nobody else has.
pub(crate) fn random_id() -> Uuid {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system has random numbers");
    Uuid(bytes)
}
