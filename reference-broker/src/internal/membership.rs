//! Who is in the quorum: questions and changes, answered by its leader.

use ottla_protocol::ErrorCode;
use ottla_raft::{Error, Node, Raft, Status};
use serde::{Deserialize, Serialize};

/// A question about the quorum or a change of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum QuorumRequest {
    /// A node that starts asks to be in: as a learner, or (`vote`) as the voter that it was before
    /// it lost its data folder.
    Join { node: Node, vote: bool },
    /// AddRaftVoter.
    AddVoter { node: Node },
    /// RemoveRaftVoter: the voter with this id and data folder.
    RemoveVoter { node: Node },
    /// DescribeQuorum.
    Describe,
}

/// The leader's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum QuorumAnswer {
    /// It is so.
    Done,
    /// Another node decides, or nobody can now.
    TryAgain(String),
    /// No: Kafka's error code, and why.
    Refused(i16, String),
    /// The state of the quorum.
    Described(Description),
}

/// What the leader knows of the quorum.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Description {
    pub(crate) leader: i32,
    pub(crate) term: u64,
    /// How far the log is applied on the leader, and with that committed.
    pub(crate) applied: u64,
    pub(crate) voters: Vec<Replica>,
    pub(crate) learners: Vec<Replica>,
}

/// A copy of the metadata log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Replica {
    pub(crate) node: Node,
    /// The last index that it is known to have; none when the leader has not heard of it.
    pub(crate) last_index: Option<u64>,
}

impl QuorumRequest {
    /// Serves the request on the node `own_id`.
    pub(crate) async fn serve(self, raft: &Raft, own_id: i32) -> QuorumAnswer {
        let status = raft.status();
        if status.leader.as_ref().is_none_or(|leader| leader.id != own_id) {
            return QuorumAnswer::TryAgain(format!("node {own_id} does not lead the quorum"));
        }
        if !matches!(self, Self::Describe) {
            tracing::info!(request = ?self, "the quorum is asked for a change");
        }
        let done = match self {
            Self::Join { node, vote } => join(raft, &status, node, vote).await,
            Self::AddVoter { node } => add_voter(raft, &status, node).await,
            Self::RemoveVoter { node } => remove_voter(raft, &status, &node).await,
            Self::Describe => Ok(QuorumAnswer::Described(describe(&status, own_id))),
        };
        done.unwrap_or_else(|error| QuorumAnswer::TryAgain(error.to_string()))
    }
}

fn is_same(a: &Node, b: &Node) -> bool {
    a.id == b.id && a.directory == b.directory
}

async fn join(raft: &Raft, status: &Status, node: Node, vote: bool) -> Result<QuorumAnswer, Error> {
    match status.voters.iter().find(|voter| voter.id == node.id) {
        Some(voter) if is_same(voter, &node) => {
            raft_address(raft, status, &node).await?;
            return Ok(QuorumAnswer::Done);
        }
        // M15: with its folder the voter has lost whom it voted for and what it acknowledged. The
        // old identity has to go before the new one can come.
        Some(voter) if vote => raft.remove_voter(voter.id, voter.directory, true).await?,
        Some(voter) => {
            let message = format!(
                "the quorum knows voter {} with another data folder: restore the folder, or \
                 remove that voter with RemoveRaftVoter, or set \
                 controller.quorum.auto.join.enable=true",
                voter.id
            );
            return Ok(QuorumAnswer::Refused(ErrorCode::DuplicateVoter.code(), message));
        }
        None => {}
    }
    raft_address(raft, status, &node).await?;
    if !status.learners.iter().any(|learner| is_same(learner, &node)) {
        raft.add_learner(node.clone()).await?;
    }
    if vote {
        raft.add_voter(node).await?;
    }
    Ok(QuorumAnswer::Done)
}

/// A member that comes back is reached where it is now.
async fn raft_address(raft: &Raft, status: &Status, node: &Node) -> Result<(), Error> {
    let mut members = status.voters.iter().chain(&status.learners);
    match members.any(|member| is_same(member, node) && member != node) {
        true => raft.set_address(node.clone()).await,
        false => Ok(()),
    }
}

async fn add_voter(raft: &Raft, status: &Status, node: Node) -> Result<QuorumAnswer, Error> {
    if let Some(voter) = status.voters.iter().find(|voter| voter.id == node.id) {
        let message = format!("The voter id for {} is already part of the voters.", voter.id);
        return Ok(QuorumAnswer::Refused(ErrorCode::DuplicateVoter.code(), message));
    }
    let learner = status.learners.iter().find(|learner| is_same(learner, &node));
    let node = match learner {
        Some(learner) => learner.clone(),
        None => {
            raft.add_learner(node.clone()).await?;
            node
        }
    };
    raft.add_voter(node).await?;
    Ok(QuorumAnswer::Done)
}

async fn remove_voter(raft: &Raft, status: &Status, node: &Node) -> Result<QuorumAnswer, Error> {
    if !status.voters.iter().any(|voter| is_same(voter, node)) {
        let message = format!("The voter {} with that directory id is no voter.", node.id);
        return Ok(QuorumAnswer::Refused(ErrorCode::VoterNotFound.code(), message));
    }
    raft.remove_voter(node.id, node.directory, false).await?;
    Ok(QuorumAnswer::Done)
}

fn describe(status: &Status, own_id: i32) -> Description {
    let replica = |node: &Node| Replica {
        node: node.clone(),
        last_index: match node.id == own_id {
            true => Some(status.last_index),
            false => status.matched.get(&node.id).copied(),
        },
    };
    Description {
        leader: own_id,
        term: status.term,
        applied: status.applied,
        voters: status.voters.iter().map(replica).collect(),
        learners: status.learners.iter().map(replica).collect(),
    }
}
