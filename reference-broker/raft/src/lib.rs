//! A replicated log of opaque commands, on openraft: the only crate that names it.
//!
//! openraft keeps the log and elects; what it does not do by itself is done here, with the numbers
//! by which the remedies are known: the log, the vote and the snapshots are durable before they
//! count (R6, `log`, `machine`); a voter that was cut off asks before it stands for election (R2);
//! a leader that does not hear of a majority is none to its callers (R3), and stops its heartbeats
//! so that others elect (R4) (`supervise`); every call has a deadline, and an answer that does not
//! come leaves it open whether the command was applied (R3). A term may have two leaders, one after
//! the other (R1): who needs an epoch takes the index of a command.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::error::{InitializeError, RaftError};
use openraft::{ChangeMembers, Config, SnapshotPolicy};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;

mod files;
mod log;
mod machine;
mod network;
pub mod storage;
mod supervise;
mod types;

use network::{Answer, Envelope, Request};
use storage::Storage;
use supervise::Core;
use types::Opaque;

/// A change of the members waits this long for a majority.
const CHANGE: Duration = Duration::from_secs(10);
/// A snapshot goes over in parts of this size.
const SNAPSHOT_PART_LEN: u64 = 256 << 10;

/// What the log's commands mean. The same commands make the same state and the same answers on
/// every node: no clock, no random number.
pub trait StateMachine: Send + 'static {
    /// Applies a command; its answer goes to who proposed it.
    fn apply(&mut self, index: u64, command: &[u8]) -> Vec<u8>;
    /// Everything up to `index` is applied, also where there was no command at it: publish.
    fn applied(&mut self, index: u64);
    /// The whole state.
    fn snapshot(&self) -> Vec<u8>;
    /// Takes the state of a snapshot that was made at `index`.
    ///
    /// # Errors
    /// Why the snapshot cannot be read.
    fn restore(&mut self, index: u64, snapshot: &[u8]) -> Result<(), String>;
}

/// Brings requests to other nodes, to [`Raft::handle`] there. It may connect when it is called.
pub trait Transport: Send + Sync + 'static {
    /// One request, one answer.
    fn call(
        &self,
        to: &Node,
        request: Bytes,
        deadline: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, String>> + Send + '_>>;
}

/// The id of a data folder.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Uuid128(pub [u8; 16]);

/// A node. A voter is its id and its data folder together (M15).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its id.
    pub id: i32,
    /// Its data folder.
    pub directory: Uuid128,
    /// Where other nodes reach it.
    pub host: String,
    /// Where other nodes reach it.
    pub port: u16,
}

/// How a node takes part.
#[derive(Debug, Clone)]
pub struct Options {
    /// This node.
    pub node: Node,
    /// The file system.
    pub storage: Arc<dyn Storage>,
    /// Where log, vote and snapshot are.
    pub folder: PathBuf,
    /// A leader is heard of at least this often.
    pub heartbeat: Duration,
    /// The least silence before an election.
    pub election_min: Duration,
    /// The most silence before an election, and a leader's lease.
    pub election_max: Duration,
    /// Commands between two snapshots.
    pub snapshot_every: u64,
    /// For the election timeout.
    pub seed: u64,
}

/// Why a node does not start, or a change of the members was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk refused.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The bytes are not what was once written.
    #[error(
        "corrupt metadata in {path} at byte {offset}: {reason}; remove the data folder and join \
         the cluster anew",
        path = path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: usize,
        /// What is wrong there.
        reason: String,
    },
    /// The quorum did not do it, or it is not known that it did.
    #[error("{0}")]
    Quorum(String),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn corrupt(path: &Path, offset: usize, reason: &str) -> Self {
        Self::Corrupt { path: path.to_owned(), offset, reason: reason.to_owned() }
    }
}

/// Why a command has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProposeError {
    /// Another node leads, or none. A command that was proposed to a leader which has lost its
    /// lead may be applied all the same.
    #[error("this node does not lead the quorum")]
    NotLeader {
        /// Who does, if this node knows.
        leader: Option<Node>,
    },
    /// The deadline has passed: the command may be applied or not.
    #[error("no majority has confirmed the command in time")]
    Unknown,
    /// This node takes no part any more.
    #[error("this node's metadata log has stopped: {0}")]
    Stopped(String),
}

/// An applied command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its place in the log.
    pub index: u64,
    /// What the state machine answered.
    pub answer: Vec<u8>,
}

/// What a node knows of the quorum.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Who leads. A node names itself only while its lease holds (R3), and another only while it
    /// hears of it.
    pub leader: Option<Node>,
    /// The term.
    pub term: u64,
    /// The last index of its log.
    pub last_index: u64,
    /// The last index that is applied.
    pub applied: u64,
    /// Who votes.
    pub voters: Vec<Node>,
    /// Who has a copy and no vote.
    pub learners: Vec<Node>,
    /// On the leader: up to which index the others have the log.
    pub matched: BTreeMap<i32, u64>,
    /// Why this node takes no part any more: its disk, or a command that it cannot apply.
    pub stopped: Option<String>,
}

/// This node's part in the quorum. Clones share it; it ends with the last of them.
#[derive(Clone)]
pub struct Raft(Arc<Handle>);

struct Handle {
    core: Arc<Core>,
    supervisor: JoinHandle<()>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

impl Raft {
    /// Reads what the folder has, and takes part from now on.
    ///
    /// # Errors [`Error`].
    pub async fn start<M: StateMachine>(
        options: Options,
        machine: M,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, Error> {
        let log = log::Log::open(&options.storage, &options.folder)?;
        let machine = machine::Machine::open(&options.storage, &options.folder, Box::new(machine))?;
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let config = Config {
            cluster_name: "ottla".into(),
            heartbeat_interval: millis(options.heartbeat),
            election_timeout_min: millis(options.election_min),
            election_timeout_max: millis(options.election_max),
            snapshot_policy: SnapshotPolicy::LogsSinceLast(options.snapshot_every),
            snapshot_max_chunk_size: SNAPSHOT_PART_LEN,
            max_in_snapshot_log_to_keep: options.snapshot_every / 10,
            ..Config::default()
        };
        let config = config.validate().map_err(|error| Error::Quorum(error.to_string()))?;
        types::seed(options.seed);
        let network = network::Network(Arc::clone(&transport));
        let raft =
            openraft::Raft::new(options.node.id, Arc::new(config), network, log, machine).await;
        let raft = raft.map_err(|error| Error::Quorum(error.to_string()))?;
        let core = Arc::new(Core::new(options, raft, transport));
        core.publish();
        let supervisor = tokio::spawn(supervise::run(Arc::clone(&core)));
        Ok(Self(Arc::new(Handle { core, supervisor })))
    }

    /// Names the first voters of a new quorum; nothing happens where there is one.
    ///
    /// # Errors [`Error::Quorum`].
    pub async fn bootstrap(&self, voters: Vec<Node>) -> Result<(), Error> {
        let voters: BTreeMap<i32, Node> = voters.into_iter().map(|node| (node.id, node)).collect();
        match self.raft().initialize(voters).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(Error::Quorum(error.to_string())),
        }
    }

    /// Answers what [`Transport::call`] of another node brings.
    pub async fn handle(&self, request: Bytes) -> Bytes {
        let core = &self.0.core;
        let answer = match serde_json::from_slice::<Envelope>(&request) {
            Err(error) => Answer::Refused(format!("unreadable request: {error}")),
            Ok(envelope) if envelope.to != core.options.node.directory => Answer::Refused(
                "this node has another data folder than the one that is meant".into(),
            ),
            Ok(envelope) => match envelope.request {
                Request::Append(request) => {
                    let answer = core.raft.append_entries(request).await;
                    if answer.as_ref().is_ok_and(|answer| answer.is_success()) {
                        core.heard();
                    }
                    Answer::Append(answer)
                }
                Request::Snapshot(request) => {
                    let answer = core.raft.install_snapshot(request).await;
                    if answer.is_ok() {
                        core.heard();
                    }
                    Answer::Snapshot(answer)
                }
                Request::Vote(request) => Answer::Vote(core.raft.vote(request).await),
                Request::Silence => Answer::Silence(core.silence_ms()),
                Request::Elect => {
                    let _ = core.raft.trigger().elect().await;
                    Answer::Done
                }
            },
        };
        serde_json::to_vec(&answer).expect("answers have a form in JSON").into()
    }

    /// Appends a command and waits until it is applied here.
    ///
    /// # Errors [`ProposeError`].
    pub async fn propose(
        &self,
        command: Vec<u8>,
        deadline: Duration,
    ) -> Result<Applied, ProposeError> {
        // What is appended now would keep the followers from electing another leader.
        if self.0.core.hands_over() {
            return Err(ProposeError::NotLeader { leader: None });
        }
        let write = self.raft().client_write(Opaque(command));
        match tokio::time::timeout(deadline, write).await {
            Err(_) => Err(ProposeError::Unknown),
            Ok(Ok(done)) => Ok(Applied { index: done.log_id.index, answer: done.data.0 }),
            Ok(Err(error)) => Err(match error.forward_to_leader() {
                Some(forward) => ProposeError::NotLeader { leader: forward.leader_node.clone() },
                None => ProposeError::Stopped(error.to_string()),
            }),
        }
    }

    /// An index that this node, being the leader still, has applied: who reads its state then reads
    /// everything that was answered before the call.
    ///
    /// # Errors [`ProposeError`].
    pub async fn barrier(&self, deadline: Duration) -> Result<u64, ProposeError> {
        match tokio::time::timeout(deadline, self.raft().ensure_linearizable()).await {
            Err(_) => Err(ProposeError::Unknown),
            Ok(Ok(read)) => Ok(read.map_or(0, |log_id| log_id.index)),
            Ok(Err(error)) => Err(match error.forward_to_leader() {
                Some(forward) => ProposeError::NotLeader { leader: forward.leader_node.clone() },
                None => ProposeError::Unknown,
            }),
        }
    }

    /// What this node knows now.
    pub fn status(&self) -> Status {
        self.0.core.status.borrow().clone()
    }

    /// The same, as it changes.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.0.core.status.subscribe()
    }

    /// Gives a node a copy of the log; resolves when it has it. The leader's affair, as the other
    /// changes are.
    ///
    /// # Errors [`Error::Quorum`].
    pub async fn add_learner(&self, node: Node) -> Result<(), Error> {
        let known = self.status().learners.into_iter().find(|known| known.id == node.id);
        if known.is_some_and(|known| known.directory != node.directory) {
            self.change(ChangeMembers::RemoveNodes(BTreeSet::from([node.id]))).await?;
        }
        let added = self.raft().add_learner(node.id, node, true);
        within(added).await
    }

    /// Tells everybody where a member is reached now. Its data folder must be that of the member,
    /// so that no other node can come by its vote.
    ///
    /// # Errors [`Error::Quorum`].
    pub async fn set_address(&self, node: Node) -> Result<(), Error> {
        self.change(ChangeMembers::SetNodes(BTreeMap::from([(node.id, node)]))).await
    }

    /// If this node leads, lets another one lead; as far as that can be had within a few election
    /// timeouts.
    pub async fn hand_over(&self) {
        if self.status().leader.is_some_and(|leader| leader.id == self.0.core.options.node.id) {
            self.0.core.hand_over().await;
        }
    }

    /// Gives a learner a vote.
    ///
    /// # Errors [`Error::Quorum`].
    pub async fn add_voter(&self, node: Node) -> Result<(), Error> {
        self.change(ChangeMembers::AddVoterIds(BTreeSet::from([node.id]))).await
    }

    /// Takes a voter's vote; with `forget` its copy as well. A leader hands over first, and the new
    /// one has to be asked.
    ///
    /// # Errors [`Error::Quorum`].
    pub async fn remove_voter(
        &self,
        id: i32,
        directory: Uuid128,
        forget: bool,
    ) -> Result<(), Error> {
        let is_it = |node: &Node| node.id == id && node.directory == directory;
        if !self.status().voters.iter().any(is_it) {
            return Err(Error::Quorum(format!("node {id} with that data folder has no vote")));
        }
        let core = &self.0.core;
        if id == core.options.node.id {
            core.hand_over().await;
            return Err(Error::Quorum("the leader that goes has handed over".into()));
        }
        // R2's cousin: a voter that is dropped at once may not learn of it and campaign for ever.
        self.change(ChangeMembers::RemoveVoters(BTreeSet::from([id]))).await?;
        match forget {
            true => self.change(ChangeMembers::RemoveNodes(BTreeSet::from([id]))).await,
            false => Ok(()),
        }
    }

    async fn change(&self, change: ChangeMembers<i32, Node>) -> Result<(), Error> {
        within(self.raft().change_membership(change, true)).await
    }

    /// Takes no part any more; resolves when nothing more is written.
    pub async fn shutdown(&self) {
        self.0.supervisor.abort();
        // An error says that it has ended already.
        let _ = self.raft().shutdown().await;
    }

    fn raft(&self) -> &openraft::Raft<types::Types> {
        &self.0.core.raft
    }
}

/// Waits for a change of the members as long as one may take.
async fn within<T, E: std::fmt::Display>(
    change: impl Future<Output = Result<T, E>>,
) -> Result<(), Error> {
    match tokio::time::timeout(CHANGE, change).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Error::Quorum(error.to_string())),
        Err(_) => Err(Error::Quorum("no majority has confirmed the change in time".into())),
    }
}
