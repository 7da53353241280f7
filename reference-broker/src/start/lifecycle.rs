//! A broker's life as the controller sees it: heartbeats to all voters (M14), unfenced, controlled
//! shutdown.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use ottla_protocol::Uuid;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::member::metadata_has_stopped;
use crate::internal::controller::{ControllerTask, HeartbeatReply};
use crate::internal::{HEARTBEAT, Peers};
use crate::partition::Partitions;
use crate::quorum::{Heartbeat, MetadataLog, RaftLog};

/// How many session timeouts a controlled shutdown may take, within these bounds.
const SHUTDOWN_SESSIONS: u32 = 3;
const SHUTDOWN_MIN: Duration = Duration::from_secs(1);
const SHUTDOWN_MAX: Duration = Duration::from_secs(30);
/// Between two reports of a broker that waits to be unfenced.
const REPORT: Duration = Duration::from_secs(5);

/// One incarnation of this node's broker.
pub(super) struct Lifecycle {
    pub(super) node_id: i32,
    pub(super) epoch: i64,
    pub(super) log: RaftLog,
    pub(super) peers: Arc<Peers>,
    pub(super) controller: Arc<ControllerTask>,
    pub(super) interval: Duration,
    pub(super) session_timeout: Duration,
    /// The log directories that it was registered with.
    pub(super) log_dirs: Vec<(PathBuf, Uuid)>,
    /// Set when the logs are open.
    pub(super) partitions: OnceLock<Weak<Partitions>>,
    /// Turns true when the broker wants to end.
    pub(super) wants_shutdown: watch::Sender<bool>,
    /// Turns true when nothing depends on it any more.
    pub(super) may_shut_down: watch::Sender<bool>,
    /// Why the broker cannot go on, once it cannot.
    pub(super) over: watch::Sender<Option<String>>,
}

type Call = (i32, Result<HeartbeatReply, String>);

impl Lifecycle {
    /// Sends heartbeats until it is dropped. A voter that has not answered the last one gets none.
    pub(super) async fn run(self: Arc<Self>) {
        let mut tick = tokio::time::interval(self.interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut wants_shutdown = self.wants_shutdown.subscribe();
        let mut calls: JoinSet<Call> = JoinSet::new();
        let mut busy = BTreeSet::new();
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = wants_shutdown.changed() => {}
                Some(done) = calls.join_next() => {
                    if let Ok((voter, reply)) = done {
                        busy.remove(&voter);
                        self.on_reply(voter, reply);
                    }
                    continue;
                }
            }
            self.check_incarnation();
            let status = self.log.raft().status();
            if let Some(reason) = status.stopped {
                self.over.send_replace(Some(metadata_has_stopped(&reason)));
            }
            let heartbeat = self.heartbeat();
            for voter in status.voters {
                if voter.id == self.node_id {
                    let reply = self.controller.on_heartbeat(heartbeat.clone());
                    self.on_reply(voter.id, Ok(reply));
                } else if busy.insert(voter.id) {
                    let peer = self.peers.to(voter.id, &voter.host, voter.port);
                    let body = serde_json::to_vec(&heartbeat).expect("it has a form in JSON");
                    let deadline = self.session_timeout;
                    calls.spawn(async move {
                        let answer = peer.call(HEARTBEAT, 0, &body, deadline).await;
                        let reply = answer.map_err(|error| error.to_string()).and_then(|answer| {
                            serde_json::from_slice(&answer).map_err(|error| error.to_string())
                        });
                        (voter.id, reply)
                    });
                }
            }
        }
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            broker: self.node_id,
            epoch: self.epoch,
            applied: self.log.image().applied,
            wants_shutdown: *self.wants_shutdown.borrow(),
            failed_log_dirs: self.failed_log_dirs(),
        }
    }

    fn failed_log_dirs(&self) -> Vec<Uuid> {
        let Some(partitions) = self.partitions.get().and_then(Weak::upgrade) else {
            return Vec::new();
        };
        let failed = partitions.manager().failed_dirs();
        let is_failed = |dir: &&(PathBuf, Uuid)| failed.iter().any(|(path, _)| *path == dir.0);
        self.log_dirs.iter().filter(is_failed).map(|(_, id)| *id).collect()
    }

    fn on_reply(&self, voter: i32, reply: Result<HeartbeatReply, String>) {
        match reply {
            // The metadata says it as well, but may not reach this node any more.
            Ok(reply) if reply.answer.superseded => self.end_superseded(),
            Ok(reply) if reply.active && reply.answer.may_shut_down => {
                self.may_shut_down.send_replace(true);
            }
            Ok(_) => {}
            Err(reason) => tracing::debug!(voter, reason, "a heartbeat was not answered"),
        }
    }

    /// Another process that registers with the same id takes the place of this one.
    fn check_incarnation(&self) {
        let image = self.log.image();
        if image.brokers.get(&self.node_id).is_some_and(|known| known.epoch > self.epoch) {
            self.end_superseded();
        }
    }

    fn end_superseded(&self) {
        let (node_id, epoch) = (self.node_id, self.epoch);
        self.over.send_replace(Some(format!(
            "another process has registered as node {node_id} after this one (broker epoch \
             {epoch}): give one of them another node.id"
        )));
    }

    /// Resolves when the controller lets the broker serve.
    pub(super) async fn unfenced(&self) {
        let mut changes = self.log.changes();
        let is_unfenced = |_: &u64| {
            let image = self.log.image();
            image.brokers.get(&self.node_id).is_some_and(|broker| !broker.fenced)
        };
        // An error is the end of the log, and of this node with it.
        while tokio::time::timeout(REPORT, changes.wait_for(is_unfenced)).await.is_err() {
            let applied = self.log.image().applied;
            match self.log.controller() {
                Some(controller) => tracing::warn!(
                    controller,
                    applied,
                    "not in service yet: do the voters reach this node at its INTERNAL listener, \
                     and do the others run?"
                ),
                None => tracing::warn!(applied, "not in service yet: there is no controller"),
            }
        }
    }

    /// Hands over the metadata quorum if this node leads it, and then, with a controller that goes
    /// on, what this broker leads, as far as others can take it.
    pub(super) async fn shut_down(&self) {
        self.log.raft().hand_over().await;
        self.wants_shutdown.send_replace(true);
        let patience = (self.session_timeout * SHUTDOWN_SESSIONS).clamp(SHUTDOWN_MIN, SHUTDOWN_MAX);
        let mut may = self.may_shut_down.subscribe();
        if tokio::time::timeout(patience, may.wait_for(|may| *may)).await.is_err() {
            tracing::warn!("ends without having handed over what it leads: no controller said yes");
        }
    }
}
