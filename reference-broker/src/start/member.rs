//! The start of a node that is one of several: quorum, registration, and what serves the others.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use ottla_raft::{Node, Options, Raft, Uuid128};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::formation::form;
use super::identity::{Identity, QUORUM_METADATA};
use super::lifecycle::Lifecycle;
use super::{StartError, random_id};
use crate::broker::{Broker, replication};
use crate::config::{Config, QuorumConfig};
use crate::internal::controller::ControllerTask;
use crate::internal::{self, Hello, Links, Peers, Services};
use crate::log::Storage;
use crate::quorum::{Command, Machine, MetadataLog, Outcome, RaftLog};
use crate::runtime::{TcpListener, is_simulated};

/// Commands between two snapshots of the metadata.
const SNAPSHOT_EVERY: u64 = 10_000;
/// The same in a simulation, which is short.
const SNAPSHOT_EVERY_SIMULATED: u64 = 30;

/// A node in its quorum, registered and still fenced. Dropping it ends what it serves.
pub(super) struct Member {
    pub(super) log: RaftLog,
    pub(super) broker_epoch: i64,
    services: Arc<Services>,
    lifecycle: Arc<Lifecycle>,
    /// The ways to the leaders that this broker follows.
    leaders: Arc<Peers>,
    pub(super) links: Arc<Links>,
    tasks: JoinSet<()>,
}

/// What a node brings into its quorum.
pub(super) struct Joining<'a> {
    pub(super) quorum: &'a QuorumConfig,
    pub(super) identity: &'a Identity,
    pub(super) storage: Arc<dyn Storage>,
    /// The listener between nodes, and where the others reach it.
    pub(super) listener: TcpListener,
    pub(super) internal: (String, u16),
}

impl Member {
    /// Gets the node into its quorum and registers its broker's incarnation.
    ///
    /// # Errors
    /// When the metadata cannot be read or the other nodes refuse this one. As long as the quorum
    /// has no majority it waits, and says so.
    pub(super) async fn start(
        config: &Config,
        joining: Joining<'_>,
        registration: Command,
    ) -> Result<Self, StartError> {
        let Joining { quorum, identity, storage, listener, internal } = joining;
        let node_id = config.node_id();
        let (host, port) = internal;
        let own = Node { id: node_id, directory: Uuid128(identity.directory_id.0), host, port };
        let hello = Hello::new(&identity.cluster_id, node_id, identity.directory_id)
            .of_voters(quorum.voters.iter().map(|(id, _)| *id));
        // Each purpose has its own connections: a vote never waits behind a proposal.
        let links = Arc::new(Links::default());
        let peers = || {
            let voters = quorum.voters.iter().cloned();
            Arc::new(Peers::new(hello.clone(), voters, Arc::clone(&links)))
        };
        let machine = Machine::default();
        let published = machine.published();
        let options = options(config, quorum, own.clone(), storage);
        let raft = Raft::start(options, machine, peers()).await.map_err(StartError::Raft)?;
        let to_controller = peers();
        let log = RaftLog::new(
            node_id,
            raft.clone(),
            Arc::clone(&to_controller),
            published,
            quorum.request_timeout,
        );
        let session_timeout = config.duration_ms("broker.session.timeout.ms");
        let controller = Arc::new(ControllerTask::new(log.clone(), config));
        let frame_len_max =
            usize::try_from(config.int("socket.request.max.bytes")).unwrap_or(usize::MAX);
        let services = Arc::new(Services::new(
            hello.clone(),
            log.clone(),
            Arc::clone(&controller),
            frame_len_max,
            Arc::clone(&links),
        ));
        let mut tasks = JoinSet::new();
        tasks.spawn(internal::serve(listener, Arc::clone(&services)));
        tasks.spawn(Arc::clone(&controller).run());
        let joined = async {
            form(&raft, &own, &hello, quorum).await?;
            register(&log, registration).await
        };
        let broker_epoch = tokio::select! {
            biased;
            reason = stopped(&raft) => Err(StartError::Quorum(reason)),
            epoch = joined => epoch,
        }?;
        let lifecycle = Arc::new(Lifecycle {
            node_id,
            epoch: broker_epoch,
            log: log.clone(),
            peers: to_controller,
            controller,
            interval: config.duration_ms("broker.heartbeat.interval.ms"),
            session_timeout,
            log_dirs: identity.log_dirs.clone(),
            partitions: OnceLock::new(),
            wants_shutdown: watch::Sender::new(false),
            may_shut_down: watch::Sender::new(false),
            over: watch::Sender::new(None),
        });
        Ok(Self { log, broker_epoch, services, lifecycle, leaders: peers(), links, tasks })
    }

    /// The broker serves; resolves when the controller lets it.
    ///
    /// # Errors
    /// When this node cannot go on.
    pub(super) async fn serve(&mut self, broker: &Arc<Broker>) -> Result<(), StartError> {
        self.services.serve_broker(broker);
        self.lifecycle.partitions.get_or_init(|| Arc::downgrade(broker.partitions()));
        self.tasks.spawn(Arc::clone(&self.lifecycle).run());
        let leaders = Arc::clone(&self.leaders);
        self.tasks.spawn(replication::run(Arc::clone(broker), leaders, broker.stop()));
        tokio::select! {
            () = self.lifecycle.unfenced() => Ok(()),
            reason = self.over() => Err(StartError::Quorum(reason)),
        }
    }

    /// Resolves with the reason when this node cannot go on.
    pub(super) async fn over(&self) -> String {
        let mut over = self.lifecycle.over.subscribe();
        let reason = over.wait_for(Option::is_some).await;
        let reason = reason.ok().and_then(|reason| reason.clone());
        reason.expect("the sender lives as long as the member, and sends reasons only")
    }

    /// Hands over what the broker leads.
    pub(super) async fn hand_over(&self) {
        self.lifecycle.shut_down().await;
    }

    /// Ends what the node does for the others, and frees its files.
    pub(super) async fn stop(mut self) {
        self.tasks.shutdown().await;
        self.log.raft().shutdown().await;
    }
}

fn options(
    config: &Config,
    quorum: &QuorumConfig,
    node: Node,
    storage: Arc<dyn Storage>,
) -> Options {
    let election_min = quorum.election_timeout;
    let seed = u64::from_be_bytes(*random_id().0.first_chunk().expect("an id has 16 bytes"));
    Options {
        node,
        storage,
        folder: Path::new(&config.data_dir()).join(QUORUM_METADATA),
        heartbeat: election_min / 3,
        election_min,
        election_max: election_min * 2,
        snapshot_every: match is_simulated() {
            true => SNAPSHOT_EVERY_SIMULATED,
            false => SNAPSHOT_EVERY,
        },
        seed,
    }
}

/// Resolves with the reason when this node takes no part in the quorum any more.
async fn stopped(raft: &Raft) -> String {
    let mut changes = raft.watch();
    let stopped = changes.wait_for(|status| status.stopped.is_some()).await;
    let reason = stopped.ok().and_then(|status| status.stopped.clone());
    metadata_has_stopped(&reason.unwrap_or_default())
}

/// What is said of a node whose disk has refused its metadata.
pub(super) fn metadata_has_stopped(reason: &str) -> String {
    format!("the metadata log of this node has stopped: {reason}")
}

/// Registers this incarnation; tries until a controller has said yes or no.
async fn register(log: &RaftLog, registration: Command) -> Result<i64, StartError> {
    loop {
        match log.propose(registration.clone()).await {
            Ok(Outcome::BrokerEpoch(epoch)) => return Ok(epoch),
            Ok(Outcome::Rejected(refused)) => return Err(StartError::Quorum(refused.message)),
            Ok(other) => unreachable!("a registration is answered with {other:?}"),
            Err(error) => tracing::warn!(%error, "cannot register yet"),
        }
    }
}
