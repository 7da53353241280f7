//! openraft's calls over the caller's transport.
//!
//! Every request names the data folder that it is for: a node that has come back with another one
//! is another voter, and answers nothing that was meant for the former (M15).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::error::{
    InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize};

use crate::types::Types;
use crate::{Node, Transport, Uuid128};

/// The wait before a node that did not answer is asked again.
const BACKOFF: Duration = Duration::from_millis(100);

/// A request with the data folder that it is for.
#[derive(Serialize, Deserialize)]
pub(crate) struct Envelope {
    pub(crate) to: Uuid128,
    pub(crate) request: Request,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Request {
    Append(AppendEntriesRequest<Types>),
    Snapshot(InstallSnapshotRequest<Types>),
    Vote(VoteRequest<i32>),
    /// For how many milliseconds have you not heard of a leader? (R2)
    Silence,
    /// Stand for election: the leader hands over.
    Elect,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Answer {
    Append(Result<AppendEntriesResponse<i32>, RaftError<i32>>),
    Snapshot(Result<InstallSnapshotResponse<i32>, RaftError<i32, InstallSnapshotError>>),
    Vote(Result<VoteResponse<i32>, RaftError<i32>>),
    Silence(u64),
    Done,
    Refused(String),
}

/// Sends one request.
///
/// # Errors
/// Why no answer came.
pub(crate) async fn ask(
    transport: &Arc<dyn Transport>,
    to: &Node,
    request: Request,
    deadline: Duration,
) -> Result<Answer, String> {
    let envelope = Envelope { to: to.directory, request };
    let bytes = serde_json::to_vec(&envelope).expect("requests have a form in JSON");
    let answer = transport.call(to, Bytes::from(bytes), deadline);
    // The transport's word on its deadline is not enough: openraft waits for this (R3).
    let answer =
        tokio::time::timeout(deadline, answer).await.map_err(|_| "no answer in time")??;
    let answer = serde_json::from_slice(&answer).map_err(|error| format!("unreadable: {error}"))?;
    match answer {
        Answer::Refused(reason) => Err(reason),
        answer => Ok(answer),
    }
}

/// Makes a way to each node; connects to none (R7).
pub(crate) struct Network(pub(crate) Arc<dyn Transport>);

impl RaftNetworkFactory<Types> for Network {
    type Network = Way;

    async fn new_client(&mut self, _: i32, node: &Node) -> Way {
        Way { transport: Arc::clone(&self.0), to: node.clone() }
    }
}

/// The way to one node.
pub(crate) struct Way {
    transport: Arc<dyn Transport>,
    to: Node,
}

impl Way {
    /// Sends a request and takes out of the answer what belongs to it.
    async fn ask<T, E: std::error::Error>(
        &self,
        request: Request,
        option: &RPCOption,
        take: impl FnOnce(Answer) -> Option<Result<T, E>>,
    ) -> Result<T, RPCError<i32, Node, E>> {
        let answer = ask(&self.transport, &self.to, request, option.hard_ttl()).await;
        let answer = answer.map_err(|reason| {
            RPCError::Unreachable(Unreachable::new(&std::io::Error::other(reason)))
        })?;
        match take(answer) {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) => Err(RPCError::RemoteError(RemoteError::new(self.to.id, error))),
            None => {
                let error = std::io::Error::other("the answer is to another request");
                Err(RPCError::Network(NetworkError::new(&error)))
            }
        }
    }
}

impl RaftNetwork<Types> for Way {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<i32>, RPCError<i32, Node, RaftError<i32>>> {
        let take = |answer| match answer {
            Answer::Append(answer) => Some(answer),
            _ => None,
        };
        self.ask(Request::Append(request), &option, take).await
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<Types>,
        option: RPCOption,
    ) -> Result<
        InstallSnapshotResponse<i32>,
        RPCError<i32, Node, RaftError<i32, InstallSnapshotError>>,
    > {
        let take = |answer| match answer {
            Answer::Snapshot(answer) => Some(answer),
            _ => None,
        };
        self.ask(Request::Snapshot(request), &option, take).await
    }

    async fn vote(
        &mut self,
        request: VoteRequest<i32>,
        option: RPCOption,
    ) -> Result<VoteResponse<i32>, RPCError<i32, Node, RaftError<i32>>> {
        let take = |answer| match answer {
            Answer::Vote(answer) => Some(answer),
            _ => None,
        };
        self.ask(Request::Vote(request), &option, take).await
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(BACKOFF))
    }
}
