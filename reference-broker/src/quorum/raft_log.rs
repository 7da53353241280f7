//! The metadata log of a node that is one of several: [`MetadataLog`] on the crate `ottla-raft`.
//!
//! A command goes to the quorum's leader, from here or by a request to it (`PROPOSE`), and the
//! answer is what [`apply`] said there. When an answer does not come, the command may have been
//! applied or not; it is proposed again with the same request id, and a node that has applied that
//! id answers what it answered then. The table of those ids is a part of the snapshot (M20).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_protocol::Uuid;
use ottla_raft::{ProposeError, Raft, StateMachine};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use super::apply::apply;
use super::command::{Command, Outcome};
use super::image::{Image, uuid_text};
use super::{MetadataError, MetadataLog, Proposal};
use crate::internal::{PROPOSE, Peers, QUORUM, QuorumAnswer, QuorumRequest};
use crate::planted::{self, Bug};
use crate::start::random_id;

/// How many commands back a request id is known. It must outlast the retries of a proposal.
const REQUESTS_KNOWN: u64 = 16_384;
/// A proposal is tried again for this many request timeouts.
const PATIENCE: u32 = 10;
/// The wait before a proposal is tried again.
const RETRY_WAIT: Duration = Duration::from_millis(20);

/// The metadata log of a node that is one of several.
#[derive(Clone)]
pub struct RaftLog(Arc<Inner>);

struct Inner {
    node_id: i32,
    raft: Raft,
    peers: Arc<Peers>,
    published: Arc<Published>,
    /// For one attempt.
    request_timeout: Duration,
}

/// What the state machine has told of last.
#[derive(Debug)]
struct Published {
    image: ArcSwap<Image>,
    applied: watch::Sender<u64>,
}

/// An entry of the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    #[serde(with = "uuid_text")]
    request: Uuid,
    command: Command,
}

/// A command's place in the log and its [`Outcome`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Applied {
    index: u64,
    outcome: Outcome,
}

impl fmt::Debug for RaftLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftLog").field("node_id", &self.0.node_id).finish_non_exhaustive()
    }
}

/// The state machine that the quorum replicates.
#[derive(Debug)]
pub struct Machine {
    image: Arc<Image>,
    requests: Requests,
    published: Arc<Published>,
}

impl Default for Machine {
    fn default() -> Self {
        let image = Arc::<Image>::default();
        let published =
            Published { image: ArcSwap::new(Arc::clone(&image)), applied: watch::Sender::new(0) };
        Self { image, requests: Requests::default(), published: Arc::new(published) }
    }
}

impl Machine {
    /// What the log needs of the machine once the quorum has it.
    pub fn published(&self) -> PublishedImage {
        PublishedImage(Arc::clone(&self.published))
    }
}

/// What a [`Machine`] publishes.
#[derive(Debug)]
pub struct PublishedImage(Arc<Published>);

/// A snapshot's content.
#[derive(Serialize, Deserialize)]
struct Snapshot {
    image: Image,
    requests: Requests,
}

impl StateMachine for Machine {
    fn apply(&mut self, index: u64, command: &[u8]) -> Vec<u8> {
        // A node that skipped a command which others apply would go on with another state than
        // theirs: it must not go on.
        let entry: Entry = serde_json::from_slice(command).unwrap_or_else(|error| {
            panic!("the command at index {index} of the metadata log is unknown here: {error}")
        });
        if let Some(outcome) = self.requests.outcome(entry.request) {
            return encode(outcome);
        }
        let outcome = apply(Arc::make_mut(&mut self.image), index, &entry.command);
        let answer = encode(&outcome);
        self.requests.remember(index, entry.request, outcome);
        answer
    }

    fn applied(&mut self, index: u64) {
        Arc::make_mut(&mut self.image).applied = index;
        self.published.image.store(Arc::clone(&self.image));
        self.published.applied.send_replace(index);
    }

    fn snapshot(&self) -> Vec<u8> {
        let snapshot =
            Snapshot { image: Image::clone(&self.image), requests: self.requests.clone() };
        encode(&snapshot)
    }

    fn restore(&mut self, index: u64, snapshot: &[u8]) -> Result<(), String> {
        let mut snapshot: Snapshot =
            serde_json::from_slice(snapshot).map_err(|error| format!("unreadable: {error}"))?;
        snapshot.image.reindex();
        snapshot.image.applied = index;
        if planted::has(Bug::ProducerIdsReused) {
            snapshot.image.next_producer_id = 0;
        }
        snapshot.requests.reindex();
        self.image = Arc::new(snapshot.image);
        self.requests = snapshot.requests;
        Ok(())
    }
}

/// The outcomes of the last commands by their request ids.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Requests {
    /// By log index, so that the oldest go first.
    by_index: BTreeMap<u64, Remembered>,
    #[serde(skip)]
    indexes: BTreeMap<[u8; 16], u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Remembered {
    #[serde(with = "uuid_text")]
    request: Uuid,
    outcome: Outcome,
}

impl Requests {
    fn outcome(&self, request: Uuid) -> Option<&Outcome> {
        let index = self.indexes.get(&request.0)?;
        self.by_index.get(index).map(|remembered| &remembered.outcome)
    }

    fn remember(&mut self, index: u64, request: Uuid, outcome: Outcome) {
        while let Some(oldest) = self.by_index.first_entry()
            && oldest.key() + REQUESTS_KNOWN <= index
        {
            self.indexes.remove(&oldest.remove().request.0);
        }
        self.indexes.insert(request.0, index);
        self.by_index.insert(index, Remembered { request, outcome });
    }
    /// Restores what is not serialised.
    fn reindex(&mut self) {
        let by_index = self.by_index.iter();
        self.indexes = by_index.map(|(index, known)| (known.request.0, *index)).collect();
    }
}

impl RaftLog {
    /// The log of this node; `published` is of the machine that `raft` was started with.
    pub fn new(
        node_id: i32,
        raft: Raft,
        peers: Arc<Peers>,
        published: PublishedImage,
        request_timeout: Duration,
    ) -> Self {
        let published = published.0;
        Self(Arc::new(Inner { node_id, raft, peers, published, request_timeout }))
    }

    /// The quorum.
    pub fn raft(&self) -> &Raft {
        &self.0.raft
    }

    /// Proposes a command that only the present leader may decide on: not forwarded, tried once.
    ///
    /// # Errors
    /// Why it was not applied, or is not known to be; the image tells.
    pub(crate) async fn propose_as_leader(&self, command: Command) -> Result<Outcome, String> {
        let entry = encode(&Entry { request: random_id(), command });
        let Applied { index, outcome } = self.0.propose_here(entry).await?;
        self.0.wait_applied(index, Instant::now() + self.0.request_timeout).await;
        Ok(outcome)
    }

    /// Asks the quorum's leader, this node or another; tries again while there is none.
    pub(crate) async fn ask_leader(&self, request: &QuorumRequest) -> QuorumAnswer {
        let deadline = Instant::now() + self.0.request_timeout * PATIENCE;
        let body = encode(request);
        loop {
            let answer = match self.0.raft.status().leader {
                None => QuorumAnswer::TryAgain("the metadata quorum has no leader".into()),
                Some(leader) if leader.id == self.0.node_id => {
                    request.clone().serve(&self.0.raft, leader.id).await
                }
                Some(leader) => {
                    let peer = self.0.peers.to(leader.id, &leader.host, leader.port);
                    let wait = deadline.saturating_duration_since(Instant::now());
                    match peer.call(QUORUM, 0, &body, wait).await {
                        Ok(answer) => serde_json::from_slice(&answer)
                            .unwrap_or_else(|error| QuorumAnswer::TryAgain(error.to_string())),
                        Err(error) => QuorumAnswer::TryAgain(error.to_string()),
                    }
                }
            };
            if !matches!(answer, QuorumAnswer::TryAgain(_)) || Instant::now() >= deadline {
                return answer;
            }
            tokio::time::sleep(RETRY_WAIT).await;
        }
    }

    /// Answers a `PROPOSE` of another node.
    pub(crate) async fn serve(&self, request: &[u8]) -> Vec<u8> {
        // What this node cannot read must not get into the log, where everybody has to read it.
        let answer = match serde_json::from_slice::<Entry>(request) {
            Ok(_) => self.0.propose_here(request.to_vec()).await,
            Err(error) => Err(format!("node {} cannot read the command: {error}", self.0.node_id)),
        };
        encode(&answer)
    }
}

impl Inner {
    async fn propose(&self, command: Command) -> Result<Outcome, MetadataError> {
        let entry = encode(&Entry { request: random_id(), command });
        let deadline = Instant::now() + self.request_timeout * PATIENCE;
        loop {
            match self.attempt(&entry).await {
                Ok(Applied { index, outcome }) => {
                    self.wait_applied(index, deadline).await;
                    return Ok(outcome);
                }
                Err(reason) if Instant::now() >= deadline => {
                    return Err(MetadataError::Unavailable { reason });
                }
                Err(reason) => tracing::debug!(reason, "a proposal is tried again"),
            }
            tokio::time::sleep(RETRY_WAIT).await;
        }
    }

    async fn attempt(&self, entry: &[u8]) -> Result<Applied, String> {
        let Some(leader) = self.raft.status().leader else {
            return Err("the metadata quorum has no leader".into());
        };
        if leader.id == self.node_id {
            return self.propose_here(entry.to_vec()).await;
        }
        let peer = self.peers.to(leader.id, &leader.host, leader.port);
        let answer = peer.call(PROPOSE, 0, entry, self.request_timeout).await;
        let answer = answer.map_err(|error| error.to_string())?;
        serde_json::from_slice(&answer).map_err(|error| format!("unreadable answer: {error}"))?
    }

    async fn propose_here(&self, entry: Vec<u8>) -> Result<Applied, String> {
        let applied = match self.raft.propose(entry, self.request_timeout).await {
            Ok(applied) => applied,
            Err(ProposeError::NotLeader { .. }) => {
                return Err(format!("node {} does not lead the metadata quorum", self.node_id));
            }
            Err(error) => return Err(error.to_string()),
        };
        let outcome = serde_json::from_slice(&applied.answer)
            .map_err(|error| format!("unreadable outcome: {error}"))?;
        Ok(Applied { index: applied.index, outcome })
    }

    /// Waits until this node's image holds the command with this index, so that who proposed it
    /// reads what it wrote.
    async fn wait_applied(&self, index: u64, deadline: Instant) {
        let mut applied = self.published.applied.subscribe();
        let caught_up = applied.wait_for(|applied| *applied >= index);
        if tokio::time::timeout_at(deadline, caught_up).await.is_err() {
            tracing::warn!(index, "this node's metadata lags behind the command that it proposed");
        }
    }
}

impl MetadataLog for RaftLog {
    fn propose(&self, command: Command) -> Proposal<'_> {
        Box::pin(self.0.propose(command))
    }

    fn image(&self) -> Arc<Image> {
        self.0.published.image.load_full()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.published.applied.subscribe()
    }

    /// The quorum's leader, once it has applied that it is elected (M13).
    fn controller(&self) -> Option<i32> {
        let leader = self.0.raft.status().leader?.id;
        let image = self.image();
        image.controller.as_ref().filter(|elected| elected.node_id == leader).map(|_| leader)
    }

    /// The quorum takes its own.
    fn snapshot(&self) -> Result<(), MetadataError> {
        Ok(())
    }
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("what the metadata is made of has a form in JSON")
}

#[cfg(test)]
mod tests;
