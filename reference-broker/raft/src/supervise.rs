//! What openraft does not look after: whom a node calls the leader, whether it may stand for
//! election, and that a leader without a majority lets go.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::{RaftMetrics, ServerState};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::network::{Answer, Request, ask};
use crate::types::Types;
use crate::{Node, Options, Status, Transport};

/// A leader that has not heard of a majority for this many leases lets others elect (R4).
const LEASES_ALONE: u32 = 3;

/// One node's openraft and what surrounds it.
pub(crate) struct Core {
    pub(crate) options: Options,
    pub(crate) raft: openraft::Raft<Types>,
    pub(crate) status: watch::Sender<Status>,
    transport: Arc<dyn Transport>,
    /// When a leader was heard of last.
    heard: Mutex<Instant>,
    /// It hands over and sends no heartbeats meanwhile.
    hands_over: AtomicBool,
    /// It has asked the others since it heard of a leader last.
    has_asked: AtomicBool,
}

/// Runs until it is dropped or openraft has ended.
pub(crate) async fn run(core: Arc<Core>) {
    let mut metrics = core.raft.metrics();
    let mut tick = tokio::time::interval(core.options.heartbeat / 2);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reason = loop {
        tokio::select! {
            _ = tick.tick() => {}
            changed = metrics.changed() => if changed.is_err() { break "it has ended".to_owned() },
        }
        // Never held over an await: openraft's core would wait for it.
        let metrics = metrics.borrow_and_update().clone();
        if let Err(fatal) = &metrics.running_state {
            break fatal.to_string();
        }
        core.publish();
        core.let_go(&metrics);
        core.may_elect(&metrics).await;
    };
    tracing::error!(reason, "the metadata log has stopped");
    core.status.send_modify(|status| {
        status.leader = None;
        status.stopped = Some(reason);
    });
}

impl Core {
    pub(crate) fn new(
        options: Options,
        raft: openraft::Raft<Types>,
        transport: Arc<dyn Transport>,
    ) -> Self {
        let status = watch::Sender::new(Status::default());
        let heard = Mutex::new(Instant::now());
        let (hands_over, has_asked) = Default::default();
        Self { options, raft, status, transport, heard, hands_over, has_asked }
    }

    /// A leader was heard of.
    pub(crate) fn heard(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn silence(&self) -> Duration {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// For how long no leader was heard of; a leader hears itself.
    pub(crate) fn silence_ms(&self) -> u64 {
        let leads = self.status.borrow().leader.as_ref().is_some_and(|node| self.is_own(node));
        match leads {
            true => 0,
            false => u64::try_from(self.silence().as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn is_own(&self, node: &Node) -> bool {
        node.id == self.options.node.id
    }

    /// Tells what is known now.
    pub(crate) fn publish(&self) {
        let metrics = self.raft.metrics().borrow().clone();
        let membership = metrics.membership_config.membership();
        let node = |id: i32| membership.get_node(&id).cloned();
        let own_id = self.options.node.id;
        let leader = match metrics.state {
            ServerState::Leader if !self.hands_over() && self.lease_holds(&metrics) => Some(own_id),
            ServerState::Leader => None,
            // R3: of a leader that is silent nothing is expected.
            _ if self.silence() < self.options.election_max => {
                metrics.current_leader.filter(|leader| *leader != own_id)
            }
            _ => None,
        };
        let matched = metrics.replication.iter().flatten();
        let status = Status {
            leader: leader.and_then(node),
            term: metrics.current_term,
            last_index: metrics.last_log_index.unwrap_or(0),
            applied: metrics.last_applied.map_or(0, |log_id| log_id.index),
            voters: membership.voter_ids().filter_map(node).collect(),
            learners: membership.learner_ids().filter_map(node).collect(),
            matched: matched
                .filter_map(|(id, log_id)| Some((*id, log_id.as_ref()?.index)))
                .collect(),
            stopped: None,
        };
        self.status.send_if_modified(|known| {
            let is_new = *known != status;
            *known = status;
            is_new
        });
    }

    /// R3: whether a majority has confirmed this leader within its lease.
    fn lease_holds(&self, metrics: &RaftMetrics<i32, Node>) -> bool {
        let lease = self.options.election_max.as_millis();
        let is_alone = metrics.membership_config.voter_ids().count() == 1;
        is_alone || metrics.millis_since_quorum_ack.is_some_and(|ms| u128::from(ms) < lease)
    }

    /// R4: a leader whose heartbeats reach some followers and no majority keeps those from
    /// electing.
    fn let_go(&self, metrics: &RaftMetrics<i32, Node>) {
        let alone = (self.options.election_max * LEASES_ALONE).as_millis();
        let lost = metrics.state == ServerState::Leader
            && !self.lease_holds(metrics)
            && metrics.millis_since_quorum_ack.is_some_and(|ms| u128::from(ms) > alone);
        self.raft.runtime_config().heartbeat(!lost && !self.hands_over());
    }

    /// Whether it wants another node to lead.
    pub(crate) fn hands_over(&self) -> bool {
        self.hands_over.load(Ordering::Relaxed)
    }

    /// R2: a voter that hears of no leader asks the others before it may stand for election; who
    /// was cut off alone does not depose a leader that all others hear.
    async fn may_elect(&self, metrics: &RaftMetrics<i32, Node>) {
        let threshold = self.options.election_max * 2 / 3;
        if metrics.state == ServerState::Leader || self.silence() < threshold {
            self.has_asked.store(false, Ordering::Relaxed);
            self.raft.runtime_config().elect(true);
            return;
        }
        let membership = metrics.membership_config.membership();
        let voters: Vec<Node> =
            membership.voter_ids().filter_map(|id| membership.get_node(&id).cloned()).collect();
        if !self.has_asked.swap(true, Ordering::Relaxed) {
            self.raft.runtime_config().elect(false);
        }
        let mut asked = tokio::task::JoinSet::new();
        for voter in voters.iter().filter(|voter| !self.is_own(voter)) {
            let (transport, voter) = (Arc::clone(&self.transport), voter.clone());
            let deadline = self.options.heartbeat;
            asked.spawn(async move {
                match ask(&transport, &voter, Request::Silence, deadline).await {
                    Ok(Answer::Silence(ms)) => Some(ms),
                    _ => None,
                }
            });
        }
        let silent = |ms: Option<u64>| ms.is_some_and(|ms| u128::from(ms) >= threshold.as_millis());
        let mut agree = usize::from(voters.iter().any(|voter| self.is_own(voter)));
        while let Some(answer) = asked.join_next().await {
            agree += usize::from(silent(answer.unwrap_or(None)));
        }
        self.raft.runtime_config().elect(agree > voters.len() / 2);
    }

    /// Lets the follower with the longest log stand for election, after a lease without
    /// heartbeats.
    pub(crate) async fn hand_over(&self) {
        let status = self.status.borrow().clone();
        let others = status.voters.iter().filter(|voter| !self.is_own(voter));
        let Some(heir) = others.max_by_key(|voter| status.matched.get(&voter.id)) else { return };
        self.hands_over.store(true, Ordering::Relaxed);
        self.raft.runtime_config().heartbeat(false);
        tokio::time::sleep(self.options.election_max).await;
        let asked = ask(&self.transport, heir, Request::Elect, self.options.election_max).await;
        if let Err(reason) = asked {
            tracing::warn!(node = heir.id, reason, "cannot hand over the lead");
        }
        let mut changes = self.status.subscribe();
        let lost = changes
            .wait_for(|status| status.leader.as_ref().is_some_and(|leader| !self.is_own(leader)));
        let _ = tokio::time::timeout(self.options.election_max * 2, lost).await;
        self.hands_over.store(false, Ordering::Relaxed);
    }
}
