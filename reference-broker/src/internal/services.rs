//! What a node answers to the others, beside what its broker answers to followers.

use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::controller::ControllerTask;
use super::membership::QuorumRequest;
use super::{HEARTBEAT, Hello, HelloAnswer, Introduction, Links, PROPOSE, QUORUM, RAFT};
use crate::broker::Broker;
use crate::quorum::RaftLog;

/// The parts of a node that other nodes ask.
pub(crate) struct Services {
    own: Hello,
    log: RaftLog,
    controller: Arc<ControllerTask>,
    frame_len_max: usize,
    links: Arc<Links>,
    /// Set when the broker runs.
    broker: OnceLock<Weak<Broker>>,
}

impl Services {
    pub(crate) fn new(
        own: Hello,
        log: RaftLog,
        controller: Arc<ControllerTask>,
        frame_len_max: usize,
        links: Arc<Links>,
    ) -> Self {
        Self { own, log, controller, frame_len_max, links, broker: OnceLock::new() }
    }

    /// From now on followers are answered.
    pub(crate) fn serve_broker(&self, broker: &Arc<Broker>) {
        self.broker.set(Arc::downgrade(broker)).expect("a node has one broker");
    }

    pub(super) fn frame_len_max(&self) -> usize {
        self.frame_len_max
    }

    pub(super) fn links(&self) -> &Links {
        &self.links
    }

    pub(super) fn broker(&self) -> Option<Arc<Broker>> {
        self.broker.get()?.upgrade()
    }

    /// A node has ended a connection, or its end has.
    pub(super) async fn connection_ended(&self, node_id: i32) {
        self.controller.on_connection_ended(node_id).await;
    }

    /// Answers the first request of a connection.
    pub(super) fn hello(&self, body: &[u8]) -> Result<(Hello, HelloAnswer), String> {
        let hello: Hello = read(body)?;
        let answer = match self.own.refuse(&hello) {
            Some(reason) => HelloAnswer::Refused(reason),
            None => HelloAnswer::Introduced(Introduction {
                node_id: self.own.node_id,
                directory: self.own.directory.clone(),
                formed: !self.log.raft().status().voters.is_empty(),
                voters: self.own.voters.clone(),
            }),
        };
        Ok((hello, answer))
    }

    /// Answers a request that is not one of Kafka's.
    pub(super) async fn private(&self, key: i16, body: Bytes) -> Result<Bytes, String> {
        Ok(match key {
            RAFT => self.log.raft().handle(body).await,
            PROPOSE => self.log.serve(&body).await.into(),
            HEARTBEAT => write(&self.controller.on_heartbeat(read(&body)?)).into(),
            QUORUM => {
                let request: QuorumRequest = read(&body)?;
                write(&request.serve(self.log.raft(), self.own.node_id).await).into()
            }
            _ => return Err(format!("API {key} between nodes is not known here")),
        })
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("malformed request: {error}"))
}

fn write(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("requests between nodes have a form in JSON")
}
