//! From a configuration to a running broker, and back.
//!
//! Start: bind, take the data folder, read metadata (with several nodes: join the quorum), register
//! this incarnation (M2), open the logs, load the groups, accept, be unfenced. The broker is ready
//! when that is done: a produce works. Stop: hand over what it leads, answer what is under way,
//! close the logs, mark the folder clean.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ottla_protocol::Uuid;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::broker::offsets_log::OffsetsTopic;
use crate::broker::{Broker, Parts};
use crate::config::{Config, ConfigError, Listener};
use crate::coordinator::{GroupConfig, GroupCoordinator};
use crate::log::{LogError, LogManager, RealStorage, Storage};
use crate::ops::{self, Ops};
use crate::partition::{Changes, Partitions};
use crate::quorum::{Command, Image, LocalLog, MetadataError, MetadataLog, Outcome};
use crate::runtime::{TcpListener, spawn_blocking};
use crate::server;
use crate::testing::Faults;

mod formation;
mod identity;
mod lifecycle;
mod maintenance;
mod member;

use identity::Identity;
use member::{Joining, Member};

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
    /// Properties that do not make sense together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The metadata log of a quorum.
    #[error(transparent)]
    Raft(ottla_raft::Error),
    /// The other nodes do not take this one.
    #[error("{0}")]
    Quorum(String),
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
pub struct RunningBroker {
    address: SocketAddr,
    broker: Option<Arc<Broker>>,
    /// Its place among several nodes.
    member: Option<Member>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    maintenance: JoinHandle<()>,
    follower: JoinHandle<()>,
    /// Ends with the broker.
    ops: Option<(SocketAddr, JoinSet<()>)>,
}

impl std::fmt::Debug for RunningBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningBroker").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Broker {
    /// Starts a broker; resolves when a produce would work. Must be called inside a tokio runtime
    /// with time and I/O. As long as its quorum has no majority it waits: dropping the future ends
    /// that.
    ///
    /// # Errors [`StartError`], with nothing left running.
    pub async fn start(config: Config) -> Result<RunningBroker, StartError> {
        Self::start_on(config, Arc::new(RealStorage)).await
    }

    /// [`Self::start`] with its data folders on another file system than the real one; a cluster of
    /// one keeps its metadata on the real one all the same.
    ///
    /// # Errors [`StartError`], with nothing left running.
    pub async fn start_on(
        config: Config,
        storage: Arc<dyn Storage>,
    ) -> Result<RunningBroker, StartError> {
        for name in config.ignored() {
            tracing::warn!(name, "this property has no effect here and is ignored");
        }
        let quorum = config.quorum()?;
        let (listener, clients) = bind(&config.listener(), config.advertised_listener()).await?;
        let address =
            listener.local_addr().map_err(|error| bind_error(&config.listener(), error))?;
        let internal = match &quorum {
            Some(quorum) => Some(bind(&quorum.listener, quorum.advertised.clone()).await?),
            None => None,
        };
        // Open while the rest starts, so that health can say so.
        let (state, ops) = serve_ops(&config).await?;
        state.starting("its data folders are being opened");
        let (manager, identity) = {
            let (config, of_several) = (config.clone(), quorum.is_some());
            let storage = Arc::clone(&storage);
            spawn_blocking(move || open_folders(&config, &storage, of_several)).await??
        };
        let at = internal.as_ref().map(|(_, address)| address);
        let registration = registration(&config, &manager, &identity, &clients, at);
        let joining = quorum.as_ref().zip(internal).map(|(quorum, (listener, internal))| Joining {
            quorum,
            identity: &identity,
            storage,
            listener,
            internal,
        });
        state.starting("it waits for the metadata quorum: the log says for whom");
        let Registered { member, metadata, broker_epoch } =
            register(&config, joining, registration).await?;
        state.starting("its logs are being opened");
        let (partitions, changes) = open_partitions(manager, &config, metadata.image()).await?;
        let (stop, stopped) = watch::channel(false);
        let coordinator = group_coordinator(&config, &metadata, &partitions);
        let broker = Arc::new(Self::new(Parts {
            node_id: config.node_id(),
            config,
            cluster_id: identity.cluster_id,
            broker_epoch,
            advertised: clients,
            metadata,
            quorum: member.as_ref().map(|member| member.log.clone()),
            partitions,
            coordinator,
            stop: stopped.clone(),
        }));
        broker.coordinate(changes).await;
        let server = tokio::spawn(server::serve(listener, Arc::clone(&broker), stopped.clone()));
        let maintenance = tokio::spawn(maintenance::run(Arc::clone(&broker), stopped.clone()));
        let follower = tokio::spawn(follow_and_observe(Arc::clone(&broker), stopped));
        state.starting("it waits for the controller to unfence it");
        let mut running = RunningBroker {
            address,
            broker: Some(broker),
            member,
            stop,
            server,
            maintenance,
            follower,
            ops,
        };
        running.enter_service().await?;
        state.ready(running.broker());
        Ok(running)
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
        let make = || {
            let links = self.member.as_ref().map(|member| Arc::clone(&member.links));
            Arc::new(Faults::of(self.broker(), links.unwrap_or_default()))
        };
        Arc::clone(self.broker().faults.get_or_init(make))
    }

    /// With several nodes: tells the others that it serves, and waits until the controller has
    /// unfenced it.
    async fn enter_service(&mut self) -> Result<(), StartError> {
        let broker = Arc::clone(self.broker());
        match &mut self.member {
            Some(member) => member.serve(&broker).await,
            None => Ok(()),
        }
    }

    /// Resolves, with the reason, when this broker cannot go on: another process has taken its id.
    pub async fn over(&self) -> String {
        match &self.member {
            Some(member) => member.over().await,
            None => std::future::pending().await,
        }
    }

    /// Hands over what the broker leads, answers what is under way, closes every log and marks the
    /// data folder clean.
    ///
    /// # Errors
    /// When something could not be written; the next start then recovers.
    pub async fn shutdown(mut self) -> Result<(), LogError> {
        let hand_over = self.broker().config().bool("controlled.shutdown.enable");
        if let Some(member) = self.member.as_ref().filter(|_| hand_over) {
            member.hand_over().await;
            // A produce that waits for what others lead now is answered by this, and the client
            // goes there; otherwise it would hold up the end for all of the grace.
            if let Err(error) = self.broker().follow().await {
                tracing::warn!(%error, "the partitions cannot follow the metadata");
            }
        }
        self.stop.send_replace(true);
        let _ = (&mut self.server).await;
        let _ = (&mut self.maintenance).await;
        let _ = (&mut self.follower).await;
        let broker = self.broker.take().expect("the broker is taken once");
        let partitions = Arc::clone(broker.partitions());
        let closed = spawn_blocking(move || partitions.shut_down()).await;
        if let Some(member) = self.member.take() {
            member.stop().await;
        }
        self.released(broker).await;
        closed.expect("closing a log does not panic")
    }

    /// Ends it as `kill -9` would: nothing more is written or answered. Resolves when the data
    /// folder is free again.
    pub async fn kill(mut self) {
        let broker = self.broker.take().expect("the broker is taken once");
        broker.partitions().abandon();
        self.abort();
        let _ = (&mut self.server).await;
        let _ = (&mut self.maintenance).await;
        let _ = (&mut self.follower).await;
        if let Some(member) = self.member.take() {
            member.stop().await;
        }
        self.released(broker).await;
    }

    fn abort(&self) {
        self.server.abort();
        self.maintenance.abort();
        self.follower.abort();
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
            self.abort();
        }
    }
}

/// Opens the logs of what the image places here.
async fn open_partitions(
    manager: LogManager,
    config: &Config,
    image: Arc<Image>,
) -> Result<(Arc<Partitions>, Changes), StartError> {
    let config = config.clone();
    let open = move || Partitions::open(manager, config.node_id(), &config, &image);
    let (partitions, changes) = spawn_blocking(open).await??;
    Ok((Arc::new(partitions), changes))
}

/// What happens in the metadata is done here and told to operators, until `stop` turns true.
async fn follow_and_observe(broker: Arc<Broker>, stop: watch::Receiver<bool>) {
    tokio::join!(follow(Arc::clone(&broker), stop.clone()), ops::observe(broker, stop));
}

/// Makes the partitions follow what is applied to the metadata, until `stop` turns true.
async fn follow(broker: Arc<Broker>, mut stop: watch::Receiver<bool>) {
    let mut changes = broker.metadata().changes();
    loop {
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            _ = stop.wait_for(|stop| *stop) => return,
        }
        if let Err(error) = broker.follow().await {
            tracing::error!(%error, "the partitions cannot follow the metadata");
        }
    }
}

/// Takes the data folders and finds out whose they are; the first one is the node's.
fn open_folders(
    config: &Config,
    storage: &Arc<dyn Storage>,
    of_several: bool,
) -> Result<(LogManager, Identity), StartError> {
    let manager = LogManager::open_all(&config.data_dirs(), storage)?;
    let mut dirs = manager.log_dirs().map(|dir| dir.path());
    let first = dirs.next().expect("the first log dir was opened");
    let mut identity = Identity::load_or_make(&**storage, first, config, of_several)?;
    let of_this_cluster = config.clone().set("cluster.id", &identity.cluster_id)?;
    for dir in dirs {
        let other = Identity::load_or_make(&**storage, dir, &of_this_cluster, of_several)?;
        identity.log_dirs.extend(other.log_dirs);
    }
    Ok((manager, identity))
}

/// A registered incarnation, with the metadata that says so.
struct Registered {
    member: Option<Member>,
    metadata: Arc<dyn MetadataLog>,
    broker_epoch: i64,
}

/// Registers this incarnation with its quorum, or with itself where it is alone.
async fn register(
    config: &Config,
    joining: Option<Joining<'_>>,
    registration: Command,
) -> Result<Registered, StartError> {
    if let Some(joining) = joining {
        let member = Member::start(config, joining, registration).await?;
        let (metadata, broker_epoch) = (Arc::new(member.log.clone()), member.broker_epoch);
        return Ok(Registered { member: Some(member), metadata, broker_epoch });
    }
    let config = config.clone();
    let opened = spawn_blocking(move || open_alone(&config, registration)).await?;
    let (metadata, broker_epoch) = opened?;
    Ok(Registered { member: None, metadata: Arc::new(metadata), broker_epoch })
}

/// The metadata of a cluster of one: its broker registers, and lets itself serve.
fn open_alone(config: &Config, registration: Command) -> Result<(LocalLog, i64), StartError> {
    let node_id = config.node_id();
    let metadata = LocalLog::open(&config.data_dir())?;
    let Outcome::BrokerEpoch(broker_epoch) = metadata.propose_blocking(registration)? else {
        unreachable!("a registration is answered with an epoch");
    };
    metadata.propose_blocking(Command::UnfenceBroker { node_id, broker_epoch })?;
    Ok((metadata, broker_epoch))
}

/// What this incarnation says of itself.
fn registration(
    config: &Config,
    manager: &LogManager,
    identity: &Identity,
    (host, port): &(String, u16),
    internal: Option<&(String, u16)>,
) -> Command {
    let rack = config.text("broker.rack");
    let (internal_host, internal_port) = internal.cloned().unwrap_or_else(|| (host.clone(), *port));
    Command::RegisterBroker {
        node_id: config.node_id(),
        incarnation: random_id(),
        host: host.clone(),
        port: *port,
        rack: (!rack.is_empty()).then(|| rack.to_owned()),
        cluster_id: identity.cluster_id.clone(),
        internal_host,
        internal_port,
        directory: identity.directory_id,
        log_dirs: identity.log_dirs.iter().map(|(_, id)| *id).collect(),
        tail_intact: manager.tail_intact(),
        log_dir_lost: manager.has_lost_a_dir(),
        flushes_before_ack: config.long("log.flush.interval.messages") == 1,
        min_in_sync: usize::try_from(config.int("min.insync.replicas")).unwrap_or(0),
    }
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
    let place = (wanted.bind_host(), wanted.port);
    let listener = TcpListener::bind(place).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let mut task = JoinSet::new();
    task.spawn(ops::serve(listener, Arc::clone(&state)));
    Ok((state, Some((address, task))))
}

/// Listens; answers as well where others are told to connect.
async fn bind(
    listener: &Listener,
    advertised: Option<Listener>,
) -> Result<(TcpListener, (String, u16)), StartError> {
    let bound = TcpListener::bind((listener.bind_host(), listener.port)).await;
    let bound = bound.map_err(|error| bind_error(listener, error))?;
    let address = bound.local_addr().map_err(|error| bind_error(listener, error))?;
    let advertised = match advertised {
        Some(Listener { host, port: 0 }) => (host, address.port()),
        Some(Listener { host, port }) => (host, port),
        None => (advertised_host(address), address.port()),
    };
    Ok((bound, advertised))
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

fn group_coordinator(
    config: &Config,
    metadata: &Arc<dyn MetadataLog>,
    partitions: &Arc<Partitions>,
) -> Arc<GroupCoordinator> {
    let topic = OffsetsTopic::new(
        Arc::clone(metadata),
        Arc::clone(partitions),
        config.int("offsets.topic.num.partitions"),
    );
    Arc::new(GroupCoordinator::start(&group_config(config), Arc::new(topic)))
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
