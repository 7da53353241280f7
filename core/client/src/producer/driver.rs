//! The task that drives the sender.

use super::Shared;
use crate::network::{CallResult, Network, Reply, lock};
use ottla_engine::call::{Call, CallId, Target};
use ottla_engine::producer::{CompressJob, Compressed, Output};
use ottla_engine::time::Instant;
use ottla_protocol::records::Compressor;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// Batches below this are compressed by the task itself, in bytes: a thread's wake-up costs as
/// much.
const INLINE_COMPRESSION_MAX: usize = 4 << 10;

/// How often the partitioners are told of the queues, in nanoseconds.
const LOAD_INTERVAL_NS: u64 = 10_000_000;

/// The task's own ends of its channels.
struct Driver {
    shared: Arc<Shared>,
    answers_in: mpsc::UnboundedSender<(CallId, CallResult)>,
    compressed_in: mpsc::UnboundedSender<Compressed>,
    compressors: Arc<Mutex<Vec<Compressor>>>,
    /// When the partitioners were last told of the queues.
    load_at_ns: AtomicU64,
}

/// Runs until the producer is closed, or dropped with nothing left to send.
pub(super) async fn run(shared: Arc<Shared>) {
    let (answers_in, mut answers) = mpsc::unbounded_channel();
    let (compressed_in, mut compressed) = mpsc::unbounded_channel();
    let mut versions = shared.network.metadata_versions();
    let driver = Driver {
        shared,
        answers_in,
        compressed_in,
        compressors: Arc::default(),
        load_at_ns: AtomicU64::new(0),
    };
    let shared = &driver.shared;
    let timer = tokio::time::sleep(std::time::Duration::ZERO);
    tokio::pin!(timer);
    let mut timer_at = None;
    loop {
        let due = driver.drive_outputs();
        if shared.is_finished() {
            break;
        }
        if let Some(at) = due.filter(|at| timer_at != Some(*at)) {
            timer.as_mut().reset(shared.network.deadline(at));
        }
        timer_at = due;
        tokio::select! {
            biased;
            Some((id, result)) = answers.recv() => {
                let now = shared.network.now();
                let mut sender = lock(&shared.sender);
                sender.handle_response(now, id, result);
                while let Ok((id, result)) = answers.try_recv() {
                    sender.handle_response(now, id, result);
                }
                drop(sender);
                driver.update_load(now);
            }
            Some(done) = compressed.recv() => {
                let mut sender = lock(&shared.sender);
                sender.handle_compressed(done);
                while let Ok(done) = compressed.try_recv() {
                    sender.handle_compressed(done);
                }
            }
            Ok(()) = versions.changed() => driver.on_metadata(),
            () = shared.wake.notified() => lock(&shared.sender).handle_wake(),
            () = &mut timer, if due.is_some() => {
                timer_at = None;
                let now = shared.network.now();
                lock(&shared.sender).handle_timeout(now);
                driver.update_load(now);
            }
        }
    }
    lock(&shared.sender).handle_close();
    shared.memory_freed.notify_waiters();
    shared.network.close();
}

impl Driver {
    /// Does what the sender asks for; answers when it wants to be woken.
    fn drive_outputs(&self) -> Option<Instant> {
        let shared = &self.shared;
        let mut sender = lock(&shared.sender);
        while let Some(output) = sender.poll_output(shared.network.now()) {
            match output {
                Output::Call(call) => self.start(call),
                Output::Compress(job) if job.len_bytes() <= INLINE_COMPRESSION_MAX => {
                    sender.handle_compressed(compress(&self.compressors, job));
                }
                Output::Compress(job) => self.compress_elsewhere(job),
                Output::RefreshMetadata => shared.network.request_metadata_refresh(),
                Output::LearnLeader { topic, partition, leader, epoch } => {
                    shared.network.learn_leader(&topic, partition, leader, epoch);
                }
            }
        }
        let due = sender.poll_timeout();
        let is_released = sender.take_released();
        drop(sender);
        if is_released {
            shared.memory_freed.notify_waiters();
        }
        due
    }

    fn start(&self, call: Call) {
        let Call { id, target, purpose, request, timeout } = call;
        let network = &self.shared.network;
        if let Target::Node(node_id) = target {
            let reply = Reply::Queue(self.answers_in.clone(), id);
            return network.start_call(node_id, purpose, request, timeout, reply);
        }
        let (network, answers): (Network, _) = (network.clone(), self.answers_in.clone());
        tokio::spawn(async move {
            let result = network.call(target, purpose, request, timeout).await;
            let _ = answers.send((id, result));
        });
    }

    fn compress_elsewhere(&self, job: CompressJob) {
        let (compressors, done) = (self.compressors.clone(), self.compressed_in.clone());
        let work = move || {
            let _ = done.send(compress(&compressors, job));
        };
        #[cfg(feature = "simulation")]
        if turmoil::in_simulation() {
            return work();
        }
        tokio::task::spawn_blocking(work);
    }

    /// Tells adaptive partitioners which partitions' queues are long (KIP-794).
    fn update_load(&self, now: Instant) {
        let last = self.load_at_ns.load(Ordering::Relaxed);
        if now.as_nanos() < last + LOAD_INTERVAL_NS {
            return;
        }
        self.load_at_ns.store(now.as_nanos(), Ordering::Relaxed);
        for topic in self.shared.topics.load().values() {
            topic.update_load();
        }
    }

    fn on_metadata(&self) {
        let shared = &self.shared;
        let metadata = shared.network.metadata();
        let mut sender = lock(&shared.sender);
        sender.handle_metadata(metadata.clone());
        shared.update_topics(&mut sender, &metadata);
        shared.forget_idle_topics(&mut sender, shared.metadata_idle_max);
    }
}

/// Compresses with one of the contexts that are kept, which is much cheaper than making one.
fn compress(compressors: &Mutex<Vec<Compressor>>, job: CompressJob) -> Compressed {
    let mut compressor = lock(compressors).pop().unwrap_or_default();
    let done = job.run(&mut compressor);
    lock(compressors).push(compressor);
    done
}

impl Shared {
    /// Whether the task has nothing more to do: closed, or dropped and all is sent.
    fn is_finished(&self) -> bool {
        if self.is_closed.load(Ordering::SeqCst) {
            return true;
        }
        self.is_dropped.load(Ordering::SeqCst) && self.incomplete().is_empty()
    }
}
