//! How a node gets into its quorum.
//!
//! A new cluster: when all configured voters have said who they are, the one with the lowest id
//! tells the quorum its first voters, each with its data folder (M15). Only one does, so there
//! cannot be two first lists. Everybody else, and who comes to a cluster that has formed, waits
//! until the quorum's log reaches it, or asks to join.
//!
//! A node that waits says what for.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::Uuid;
use ottla_raft::{Node, Raft, Status, Uuid128};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::StartError;
use crate::config::QuorumConfig;
use crate::internal::{Hello, Introduction, Peer, PeerError, QUORUM, QuorumAnswer, QuorumRequest};

/// Between two looks at the others.
const ROUND: Duration = Duration::from_millis(20);
const ROUND_MAX: Duration = Duration::from_millis(500);
/// The first report of what is waited for, and the time between further ones.
const REPORT_FIRST: Duration = Duration::from_secs(1);
const REPORT_NEXT: Duration = Duration::from_secs(10);
/// A member that sees no leader for this long may have been removed: it asks to join again.
const JOIN_AGAIN: Duration = Duration::from_secs(2);
/// The deadline of one answer.
const ANSWER: Duration = Duration::from_secs(1);
/// Joining waits for the log to be carried over.
const JOINED: Duration = Duration::from_secs(10);

/// Somebody to ask.
struct Contact {
    /// Its id, where the configuration gives it.
    node_id: Option<i32>,
    host: String,
    port: u16,
    peer: Arc<Peer>,
}

/// What all contacts said in one round.
type Round = Vec<Result<Introduction, PeerError>>;

/// Resolves when the quorum has this node and a leader.
///
/// # Errors
/// When the others refuse it: another cluster, an id that is taken, a vote of another data folder.
pub(super) async fn form(
    raft: &Raft,
    own: &Node,
    hello: &Hello,
    quorum: &QuorumConfig,
) -> Result<(), StartError> {
    let mut changes = raft.watch();
    // The leader that it knew before the restart does not reach it where it is now.
    let is_in = |status: &Status| {
        is_member(status, own) && !has_moved(status, own, quorum) && status.leader.is_some()
    };
    tokio::select! {
        biased;
        Ok(_) = changes.wait_for(|status| is_in(status)) => Ok(()),
        error = seek(raft, own, hello, quorum) => Err(error),
    }
}

fn is_member(status: &Status, own: &Node) -> bool {
    let is_own = |node: &Node| node.id == own.id && node.directory == own.directory;
    status.voters.iter().chain(&status.learners).any(is_own)
}

/// Does what can be done to get in, and ends only with an error.
async fn seek(raft: &Raft, own: &Node, hello: &Hello, quorum: &QuorumConfig) -> StartError {
    let contacts = contacts(own.id, hello, quorum);
    let started = Instant::now();
    let mut report_at = started + REPORT_FIRST;
    let mut wait = ROUND;
    loop {
        let round = ask(&contacts).await;
        if let Some(PeerError::Refused { address, reason }) =
            round.iter().filter_map(|said| said.as_ref().err()).find(|error| is_refusal(error))
        {
            return StartError::Quorum(format!("{address} refuses this node: {reason}"));
        }
        let status = raft.status();
        let formed = !status.voters.is_empty() || round.iter().flatten().any(|said| said.formed);
        if !formed && let Some(voters) = first_voters(own, hello, &contacts, &round) {
            match raft.bootstrap(voters).await {
                Ok(()) => tracing::info!("formed a new quorum"),
                Err(error) => {
                    return StartError::Quorum(format!("cannot form the quorum: {error}"));
                }
            }
        }
        let is_known = is_member(&status, own) && !has_moved(&status, own, quorum);
        if formed && (!is_known || started.elapsed() > JOIN_AGAIN) {
            let vote = quorum.auto_join && quorum.voters.iter().any(|(id, _)| *id == own.id);
            if let Err(reason) = join(&contacts, own, vote).await {
                return StartError::Quorum(reason);
            }
        }
        if Instant::now() > report_at {
            report(hello, &contacts, &round, formed);
            report_at = Instant::now() + REPORT_NEXT;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(ROUND_MAX);
    }
}

/// Whether the others look for this node where it was; where it is configured they do not.
fn has_moved(status: &Status, own: &Node, quorum: &QuorumConfig) -> bool {
    let mut members = status.voters.iter().chain(&status.learners);
    let is_configured = quorum.voters.iter().any(|(id, _)| *id == own.id);
    !is_configured && members.any(|node| node.id == own.id && node != own)
}

fn is_refusal(error: &PeerError) -> bool {
    matches!(error, PeerError::Refused { .. })
}

fn contacts(own_id: i32, hello: &Hello, quorum: &QuorumConfig) -> Vec<Contact> {
    let voters = quorum.voters.iter().filter(|(id, _)| *id != own_id);
    let voters = voters.map(|(id, listener)| (Some(*id), listener));
    let servers = quorum.servers.iter().map(|listener| (None, listener));
    let contact = |(node_id, listener): (Option<i32>, &crate::config::Listener)| {
        let (host, port) = (listener.host.clone(), listener.port);
        let hello = node_id.map_or_else(|| hello.clone(), |node_id| hello.to(node_id));
        Contact { node_id, peer: Arc::new(Peer::new(hello, &host, port)), host, port }
    };
    voters.chain(servers).map(contact).collect()
}

/// Asks all at once who they are; the answers are in the order of the contacts.
async fn ask(contacts: &[Contact]) -> Round {
    let mut asked = JoinSet::new();
    for (index, contact) in contacts.iter().enumerate() {
        let peer = Arc::clone(&contact.peer);
        asked.spawn(async move { (index, peer.introduce(ANSWER).await) });
    }
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, said)| said).collect()
}

/// The quorum's first voters, if it is on this node to name them and all of them are there.
fn first_voters(
    own: &Node,
    hello: &Hello,
    contacts: &[Contact],
    round: &Round,
) -> Option<Vec<Node>> {
    if hello.voters.first() != Some(&own.id) {
        return None;
    }
    let mut voters = vec![own.clone()];
    for (contact, said) in contacts.iter().zip(round) {
        let Some(id) = contact.node_id else { continue };
        let said = said.as_ref().ok()?;
        if differs(hello, said) {
            return None;
        }
        let directory: Uuid = said.directory.parse().ok()?;
        let directory = Uuid128(directory.0);
        voters.push(Node { id, directory, host: contact.host.clone(), port: contact.port });
    }
    Some(voters)
}

/// Two nodes with two lists of first voters could form two quorums.
fn differs(hello: &Hello, said: &Introduction) -> bool {
    said.voters != hello.voters
}

/// Asks every contact to take this node in, until one has.
async fn join(contacts: &[Contact], own: &Node, vote: bool) -> Result<(), String> {
    let request = serde_json::to_vec(&QuorumRequest::Join { node: own.clone(), vote });
    let request = request.expect("a node has a form in JSON");
    for contact in contacts {
        let answer = match contact.peer.call(QUORUM, 0, &request, JOINED).await {
            Ok(answer) => serde_json::from_slice(&answer).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match answer {
            Ok(QuorumAnswer::Refused(_, reason)) => return Err(reason),
            Ok(QuorumAnswer::TryAgain(reason)) | Err(reason) => {
                tracing::debug!(address = contact.peer.address(), reason, "cannot join yet");
            }
            Ok(_) => return Ok(()),
        }
    }
    Ok(())
}

fn report(hello: &Hello, contacts: &[Contact], round: &Round, formed: bool) {
    let mut missing = String::new();
    for (contact, said) in contacts.iter().zip(round) {
        let error = match said {
            Err(error) => error.to_string(),
            Ok(said) if !formed && contact.node_id.is_some() && differs(hello, said) => format!(
                "{} has the voters {:?} in controller.quorum.voters, this node {:?}: give all \
                 nodes the same",
                contact.peer.address(),
                said.voters,
                hello.voters
            ),
            Ok(_) => continue,
        };
        let separator = if missing.is_empty() { "" } else { "; " };
        let _ = match contact.node_id {
            Some(id) => write!(missing, "{separator}node {id}: {error}"),
            None => write!(missing, "{separator}{error}"),
        };
    }
    match (missing.is_empty(), formed) {
        (true, _) => tracing::warn!("waiting for the quorum: all nodes answer, none leads yet"),
        (false, true) => tracing::warn!("waiting for a majority of the quorum: {missing}"),
        (false, false) => tracing::warn!("waiting for all voters of the new quorum: {missing}"),
    }
}
