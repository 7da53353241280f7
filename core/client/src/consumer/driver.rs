//! The task behind a consumer: it carries out what the state machine asks for.
//!
//! The machine stands behind a lock. The user's side takes it once per batch, this task once per
//! event; nothing waits while holding it, and no record passes through it.

use super::RebalanceEvent;
use super::builder::Listener;
use crate::network::{CallResult, Network, Reply};
use ottla_engine::call::{Call, CallError, CallId, Target};
use ottla_engine::config::ConsumerConfig;
use ottla_engine::consumer::{CommitTicket, Consumer as Machine, ConsumerOutput};
use ottla_engine::error::{Error, ErrorKind};
use ottla_engine::time::Instant;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{Notify, mpsc, oneshot, watch};

/// [`Shared::progress`] when nothing is known.
pub(super) const NO_PROGRESS: i64 = -1;
/// With no timer set the driver still looks up now and then; nothing depends on it.
const IDLE: Duration = Duration::from_secs(3600);

/// What the user's handle and the driver share.
pub(super) struct Shared {
    pub(super) network: Network,
    pub(super) config: ConsumerConfig,
    machine: Mutex<Machine>,
    /// Wakes the user, who waits for a batch.
    pub(super) ready: Notify,
    /// Wakes the driver.
    pub(super) work: Notify,
    /// Record-wise consumption: the offset after the last finished record of the outstanding
    /// batch. Written per record, read when it matters.
    pub(super) progress: AtomicI64,
    /// A rebalance waits for the outstanding batch; looked at per record.
    wants_back: AtomicBool,
    commits: Mutex<BTreeMap<CommitTicket, oneshot::Sender<Result<(), Error>>>>,
    is_closed: watch::Sender<bool>,
    listener: Option<Listener>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("machine", &self.machine).finish_non_exhaustive()
    }
}

/// Makes the machine and its task.
pub(super) fn start(
    network: Network,
    config: ConsumerConfig,
    listener: Option<Listener>,
) -> Arc<Shared> {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let wall_ms = i64::try_from(wall.as_millis()).unwrap_or(i64::MAX);
    let wall_ms_at_zero = wall_ms - network.now().as_millis() as i64;
    let seed = network.config().seed;
    let machine = Machine::new(config.clone(), wall_ms_at_zero, seed);
    let shared = Arc::new(Shared {
        network,
        config,
        machine: Mutex::new(machine),
        ready: Notify::new(),
        work: Notify::new(),
        progress: AtomicI64::new(NO_PROGRESS),
        wants_back: AtomicBool::new(false),
        commits: Mutex::default(),
        is_closed: watch::Sender::new(false),
        listener,
    });
    tokio::spawn(run(shared.clone()));
    shared
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Machine> {
        // A panic under the lock is a bug of ours; what it leaves is still consistent, since the
        // machine changes one field after the other and checks all of them before use.
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks or tells the machine; what follows is the driver's work.
    pub(super) fn with_machine<T>(&self, act: impl FnOnce(&mut Machine, Instant) -> T) -> T {
        let answer = self.peek(act);
        self.work.notify_one();
        answer
    }

    /// Asks the machine without waking the driver.
    pub(super) fn peek<T>(&self, act: impl FnOnce(&mut Machine, Instant) -> T) -> T {
        let now = self.network.now();
        act(&mut self.lock(), now)
    }

    /// Hands in a commit and gives the place where its result comes.
    pub(super) fn commit(
        &self,
        act: impl FnOnce(&mut Machine, Instant) -> CommitTicket,
    ) -> oneshot::Receiver<Result<(), Error>> {
        let (sender, receiver) = oneshot::channel();
        self.with_machine(|machine, now| {
            let ticket = act(machine, now);
            // Under the machine's lock: the driver cannot see the result before this.
            self.commits().insert(ticket, sender);
        });
        // Closing marks itself before it ends the commits that wait: one that came after is ended
        // here, by dropping its sender.
        if *self.is_closed.borrow() {
            self.commits().clear();
        }
        receiver
    }

    /// Whether the user, record by record, should give the rest of the batch back.
    pub(super) fn wants_batch_back(&self) -> bool {
        self.wants_back.load(Ordering::Relaxed)
    }

    /// Changes to true when the consumer has stopped.
    pub(super) fn closed(&self) -> watch::Receiver<bool> {
        self.is_closed.subscribe()
    }

    fn commits(
        &self,
    ) -> MutexGuard<'_, BTreeMap<CommitTicket, oneshot::Sender<Result<(), Error>>>> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where calls go, and their answers.
struct Calls {
    replies: mpsc::UnboundedSender<(CallId, CallResult)>,
    /// What the coordinator is asked, in this order.
    group: mpsc::UnboundedSender<Call>,
}

/// The driver's task; it ends when the machine is closed.
async fn run(shared: Arc<Shared>) {
    let (replies, mut answers) = mpsc::unbounded_channel::<(CallId, CallResult)>();
    let (group, group_calls) = mpsc::unbounded_channel();
    tokio::spawn(ask_coordinator(shared.network.clone(), group_calls, replies.clone()));
    let calls = Calls { replies, group };
    let mut versions = shared.network.metadata_versions();
    let mut seen_progress = NO_PROGRESS;
    shared.peek(|machine, now| machine.handle_metadata(now, shared.network.metadata()));
    loop {
        let deadline = drive_outputs(&shared, &calls);
        if *shared.is_closed.borrow() {
            return;
        }
        let sleep = tokio::time::sleep_until(match deadline {
            Some(deadline) => shared.network.deadline(deadline),
            None => tokio::time::Instant::now() + IDLE,
        });
        tokio::select! {
            Some((id, result)) = answers.recv() => drive_answers(&shared, &mut answers, id, result),
            Ok(()) = versions.changed() => shared.peek(|machine, now| {
                machine.handle_metadata(now, shared.network.metadata());
            }),
            () = shared.work.notified() => shared.peek(Machine::handle_user),
            () = sleep => shared.peek(|machine, now| {
                let progress = shared.progress.load(Ordering::Relaxed);
                if progress != seen_progress && progress != NO_PROGRESS {
                    machine.note_progress(now, progress);
                }
                seen_progress = progress;
                machine.handle_timeout(now);
            }),
        }
    }
}

/// Every answer that is there, under one lock.
fn drive_answers(
    shared: &Shared,
    answers: &mut mpsc::UnboundedReceiver<(CallId, CallResult)>,
    id: CallId,
    result: CallResult,
) {
    shared.peek(|machine, now| {
        let mut next = Some((id, result));
        while let Some((id, result)) = next {
            machine.handle_response(now, id, result.map(|(response, _)| response));
            next = answers.try_recv().ok();
        }
    });
}

/// Carries out what the machine wants; returns when it wants to be called again.
fn drive_outputs(shared: &Arc<Shared>, calls: &Calls) -> Option<Instant> {
    let mut outputs = Vec::new();
    let (deadline, wakes_user) = shared.peek(|machine, _| {
        outputs.extend(std::iter::from_fn(|| machine.poll_output()));
        shared.wants_back.store(machine.wants_batch_back(), Ordering::Relaxed);
        (machine.poll_timeout(), machine.wakes_user())
    });
    if wakes_user {
        shared.ready.notify_one();
    }
    for output in outputs {
        match output {
            ConsumerOutput::Call(call) => drive_call(shared, call, calls),
            ConsumerOutput::ForgetCoordinator(group) => {
                shared.network.invalidate_coordinator(&group);
            }
            ConsumerOutput::WantTopics(topics) => shared.network.want_topics(&topics),
            ConsumerOutput::RefreshMetadata => shared.network.request_metadata_refresh(),
            ConsumerOutput::LearnLeader { partition, leader, epoch } => {
                let (topic, index) = (&partition.topic, partition.partition);
                shared.network.learn_leader(topic, index, leader, epoch);
            }
            ConsumerOutput::Rebalance(event) => tell(shared, &event),
            ConsumerOutput::Committed(ticket, result) => {
                if let Err(error) = &result {
                    tracing::debug!(%error, "commit failed");
                }
                if let Some(waiting) = shared.commits().remove(&ticket) {
                    // Nobody may be waiting any more.
                    let _ = waiting.send(result);
                }
            }
            ConsumerOutput::Closed => drive_close(shared),
        }
    }
    deadline
}

fn drive_call(shared: &Arc<Shared>, call: Call, calls: &Calls) {
    let reply = Reply::Queue(calls.replies.clone(), call.id);
    match call.target {
        Target::Node(node) => {
            shared.network.start_call(node, call.purpose, call.request, call.timeout, reply);
        }
        Target::Group(_) => {
            if let Err(mpsc::error::SendError(_)) = calls.group.send(call) {
                reply.answer(Err(CallError::Closed { possibly_sent: false }));
            }
        }
        Target::Any | Target::Controller => {
            let network = shared.network.clone();
            tokio::spawn(async move {
                let Call { target, purpose, request, timeout, .. } = call;
                reply.answer(network.call(target, purpose, request, timeout).await);
            });
        }
    }
}

/// Hands calls to the coordinator's connections in the order in which the machine made them: a
/// JoinGroup that overtook a commit would end the generation that the commit is of.
async fn ask_coordinator(
    network: Network,
    mut calls: mpsc::UnboundedReceiver<Call>,
    replies: mpsc::UnboundedSender<(CallId, CallResult)>,
) {
    while let Some(Call { id, target, purpose, request, timeout }) = calls.recv().await {
        let Target::Group(group) = target else { unreachable!("only these are handed in") };
        let reply = Reply::Queue(replies.clone(), id);
        let failed = network.start_group_call(&group, purpose, request, timeout, reply).await.err();
        // What has waited for the same look-up does not wait for another.
        while let Some(error) = &failed
            && let Ok(call) = calls.try_recv()
        {
            Reply::Queue(replies.clone(), call.id).answer(Err(error.clone()));
        }
    }
}

fn drive_close(shared: &Shared) {
    shared.is_closed.send_replace(true);
    for (_, waiting) in std::mem::take(&mut *shared.commits()) {
        let _ = waiting.send(Err(Error::new(ErrorKind::Closed, "the consumer was closed")));
    }
    shared.network.close();
    shared.ready.notify_waiters();
    shared.ready.notify_one();
}

fn tell(shared: &Shared, event: &RebalanceEvent) {
    match event {
        RebalanceEvent::Truncated { partition, position, end_offset } => tracing::warn!(
            %partition, position, end_offset,
            "records that were consumed are not in the log any more: an unclean election"
        ),
        event => tracing::debug!(?event, "assignment changed"),
    }
    if let Some(listener) = &shared.listener {
        listener(event);
    }
}
