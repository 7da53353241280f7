//! The controller on this node: broker sessions on every voter (M14), decisions on the quorum's
//! leader only.
//!
//! [`Controller`] decides and does nothing; this task gives it time, heartbeats and images, and
//! proposes what it says.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::peer;
use crate::config::Config;
use crate::quorum::{Command, Controller, Heartbeat, HeartbeatAnswer, MetadataLog, RaftLog};
use crate::runtime::TcpStream;

/// The wait after a proposal that was not applied.
const RETRY_WAIT: Duration = Duration::from_millis(20);
/// A port that does not refuse by then is cut off.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// The controller of one node.
pub(crate) struct ControllerTask {
    node_id: i32,
    log: RaftLog,
    started: Instant,
    controller: Mutex<Controller>,
    /// A heartbeat has come.
    heard: Notify,
}

/// What a voter says to a heartbeat.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HeartbeatReply {
    /// Whether it speaks as the controller; the others only take note.
    pub(crate) active: bool,
    pub(crate) answer: HeartbeatAnswer,
}

impl ControllerTask {
    pub(crate) fn new(log: RaftLog, config: &Config) -> Self {
        let session_timeout = config.duration_ms("broker.session.timeout.ms");
        let rebalance = config.bool("auto.leader.rebalance.enable").then(|| {
            let seconds = config.long("leader.imbalance.check.interval.seconds");
            Duration::from_secs(u64::try_from(seconds).unwrap_or(1))
        });
        let controller = Controller::new(log.image(), 0, session_timeout)
            .with_leader_rebalance(rebalance)
            .with_unclean_election(config.bool("unclean.leader.election.enable"));
        let controller = Mutex::new(controller);
        let node_id = config.node_id();
        Self { node_id, log, started: Instant::now(), controller, heard: Notify::new() }
    }

    /// A broker is alive.
    pub(crate) fn on_heartbeat(&self, heartbeat: Heartbeat) -> HeartbeatReply {
        let answer = self.lock().on_heartbeat(self.now(), heartbeat);
        self.heard.notify_one();
        HeartbeatReply { active: self.log.controller() == Some(self.node_id), answer }
    }

    /// A connection of another node has ended. If its port refuses another one, its process is
    /// gone, and its session need not be waited for: a node that is paused or cut off does not
    /// refuse. To fence one that is alive would cost it its leaderships, and nothing else.
    pub(crate) async fn on_connection_ended(&self, node_id: i32) {
        let image = self.log.image();
        let active = image.brokers.get(&node_id).filter(|broker| !broker.fenced);
        let Some(broker) = active.filter(|broker| broker.internal_port != 0) else { return };
        let address = peer::address(&broker.internal_host, broker.internal_port);
        let connecting = TcpStream::connect(&address);
        let connected = tokio::time::timeout(PROBE_PATIENCE, connecting).await;
        if matches!(connected, Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused) {
            self.lock().on_gone(self.now(), node_id, broker.epoch);
            self.heard.notify_one();
        }
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut status = self.log.raft().watch();
        let mut changes = self.log.changes();
        // The term in which this node has said that it is elected.
        let mut elected = None;
        loop {
            let term = {
                let status = status.borrow_and_update();
                let leads = status.leader.as_ref().is_some_and(|node| node.id == self.node_id);
                leads.then_some(status.term)
            };
            changes.borrow_and_update();
            let command = if term.is_none() || elected == term {
                let mut controller = self.lock();
                controller.on_image(self.now(), self.log.image());
                // M13: nothing is decided before the own election is applied.
                term.and_then(|_| controller.poll(self.now()))
            } else {
                Some(Command::ControllerElected { node_id: self.node_id })
            };
            if let Some(command) = command {
                let is_election = matches!(command, Command::ControllerElected { .. });
                tracing::debug!(?command, "the controller proposes");
                match self.log.propose_as_leader(command).await {
                    Ok(_) if is_election => elected = term,
                    Ok(_) => {}
                    Err(reason) => {
                        tracing::info!(reason, "what the controller decided is not applied yet");
                        tokio::time::sleep(RETRY_WAIT).await;
                    }
                }
                continue;
            }
            let timeout = self.lock().next_timeout();
            tokio::select! {
                _ = status.changed() => {}
                _ = changes.changed() => {}
                () = self.heard.notified() => {}
                () = self.sleep_until(timeout) => {}
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn sleep_until(&self, timeout: Option<u64>) {
        match timeout {
            Some(at) => {
                tokio::time::sleep_until(self.started + Duration::from_millis(at)).await;
            }
            None => std::future::pending().await,
        }
    }

    /// The machine is whole between any two of its methods.
    fn lock(&self) -> MutexGuard<'_, Controller> {
        self.controller.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
