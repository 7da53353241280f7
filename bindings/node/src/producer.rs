//! The producer: packed records in, ended ones out through [`Deliveries`].

use crate::deliveries::Deliveries;
use crate::event_loop::{Reply, Shared, Started, within};
use crate::packed::{Owned, Packed, Reader};
use crate::tree::Tree;
use napi_derive::napi;
use ottla::{ErrorKind, Producer};
use ottla_bindings::{Class, Failure, runtime};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A producer of the core's.
#[napi]
pub struct NativeProducer {
    inner: Arc<Inner>,
    shared: Arc<Shared>,
    /// By the index that JavaScript uses.
    topics: Vec<Arc<str>>,
}

struct Inner {
    producer: Producer,
    max_block: Duration,
    deliveries: Arc<Deliveries>,
    /// Records that the core has no room for, or whose topic it does not know yet; by topic, so
    /// that one does not hold up the others. A queue that is here has a task.
    waiting: Mutex<BTreeMap<Arc<str>, Queue>>,
    /// How many ever waited.
    entered: AtomicU64,
    /// A record does not wait any more.
    left: Notify,
}

/// At so many bytes of a topic that wait here, JavaScript keeps the rest until they have gone.
const MOST_WAITING: usize = 128 * 1024;

/// The waiting records of a topic.
struct Queue {
    /// JavaScript's index.
    topic: u32,
    records: VecDeque<Arc<Waiting>>,
    bytes: usize,
    /// Whether JavaScript was told that it is full.
    is_told: bool,
}

struct Waiting {
    slot: u32,
    bytes: usize,
    /// How many waited before it, ever.
    number: u64,
    entered: Instant,
    record: Owned,
    given_up: Notify,
}

impl NativeProducer {
    pub(crate) fn new(
        key: u32,
        producer: Producer,
        max_block: Duration,
        shared: Arc<Shared>,
    ) -> Self {
        let deliveries = Arc::new(Deliveries::new(key, shared.clone()));
        let inner = Arc::new(Inner {
            producer,
            max_block,
            deliveries,
            waiting: Mutex::default(),
            entered: AtomicU64::new(0),
            left: Notify::new(),
        });
        Self { inner, shared, topics: Vec::new() }
    }
}

#[napi]
impl NativeProducer {
    /// Makes a topic known; its index is the number of calls before.
    #[napi]
    pub fn add_topic(&mut self, topic: String) {
        self.topics.push(topic.into());
    }

    /// Sends packed records (see [`crate::packed`]), in order. Answers a failure, or the topics of
    /// which so many records wait now that no more are wanted until there is news of them.
    #[napi(ts_return_type = "object | number[] | undefined")]
    pub fn append(&self, fields: &[i32], bytes: &[u8]) -> Option<Tree> {
        let appended = within(|| {
            for packed in Reader::new(fields, bytes) {
                self.inner.append(&self.topics[packed.topic], &packed);
            }
            self.inner.newly_full()
        });
        match appended {
            Ok(full) if full.is_empty() => None,
            Ok(full) => Some(Tree::list(full, |topic| Tree::Number(topic.into()))),
            Err(failure) => Some(failure.into()),
        }
    }

    /// `max.block.ms`.
    #[napi]
    pub fn max_block_ms(&self) -> f64 {
        self.inner.max_block.as_millis() as f64
    }

    /// Why a record that waited in JavaScript until `max.block.ms` were over was not sent.
    #[napi(ts_return_type = "object")]
    pub fn late(&self) -> Tree {
        let (limit_ms, used) =
            (self.inner.max_block.as_millis(), self.inner.producer.memory_used());
        let message = format!(
            "records of the topic that were sent before have waited for memory, or for the topic, \
             until max.block.ms ({limit_ms} ms) were over: {used} bytes of buffer.memory wait for \
             the brokers; send less at once, or raise buffer.memory"
        );
        Failure::new(Class::Timeout, message).into()
    }

    /// Gives up a record that is not in a batch yet.
    #[napi]
    pub fn give_up(&self, topic: u32, slot: u32) {
        let mut waiting = self.inner.waiting();
        let Some(queue) = waiting.get_mut(&self.topics[topic as usize]) else { return };
        let position = queue.records.iter().position(|waiting| waiting.slot == slot);
        let Some(at) = position else { return };
        if at == 0 {
            queue.records[0].given_up.notify_one();
            return;
        }
        queue.bytes -= queue.records.remove(at).map_or(0, |record| record.bytes);
        drop(waiting);
        self.inner.deliveries.end(slot, Err(given_up()));
    }

    /// Starts to wait until all that was sent has ended.
    #[napi(ts_return_type = "number | object")]
    pub fn flush(&self) -> Started {
        let inner = self.inner.clone();
        self.shared.start(async move {
            inner.entered_before_left().await;
            inner.producer.flush().await.map(|()| Reply::Done)
        })
    }

    /// Starts to close; waits for what was sent, at most so long.
    #[napi(ts_return_type = "number | object")]
    pub fn close(&self, timeout_ms: Option<f64>) -> Started {
        let inner = self.inner.clone();
        let started = Instant::now();
        self.shared.start(async move {
            let Some(timeout_ms) = timeout_ms else {
                inner.entered_before_left().await;
                return inner.producer.close().await.map(|()| Reply::Done);
            };
            let timeout = Duration::from_secs_f64(timeout_ms / 1_000.0);
            let _ = tokio::time::timeout(timeout, inner.entered_before_left()).await;
            let left = timeout.saturating_sub(started.elapsed());
            inner.producer.close_within(left).await.map(|()| Reply::Done)
        })
    }

    /// Starts to find out how many partitions a topic has.
    #[napi(ts_return_type = "number | object")]
    pub fn partition_count(&self, topic: String) -> Started {
        let inner = self.inner.clone();
        self.shared.start(async move {
            let count = inner.producer.partition_count(&topic).await?;
            Ok::<_, ottla::Error>(Reply::Tree(Tree::Number(count as f64)))
        })
    }

    /// Bytes of `buffer.memory` in use.
    #[napi]
    pub fn memory_used(&self) -> f64 {
        self.inner.producer.memory_used() as f64
    }
}

impl Inner {
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Queue>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(self: &Arc<Self>, topic: &Arc<str>, packed: &Packed<'_>) {
        let mut waiting = self.waiting();
        let queue = waiting.get_mut(topic);
        if queue.is_none() {
            match self.producer.try_send(packed.record(topic)) {
                Ok(delivery) => return self.deliveries.add(packed.slot, delivery),
                Err(error) if error.kind() == ErrorKind::Full => {}
                Err(error) => return self.deliveries.end(packed.slot, Err(error.into())),
            }
        }
        let bytes = packed.size();
        let record = Arc::new(Waiting {
            slot: packed.slot,
            bytes,
            number: self.entered.fetch_add(1, Ordering::Relaxed),
            entered: before(packed.waited),
            record: packed.to_owned(),
            given_up: Notify::new(),
        });
        match queue {
            Some(queue) => {
                queue.records.push_back(record);
                queue.bytes += bytes;
            }
            None => {
                let (records, number) = (VecDeque::from([record]), packed.topic as u32);
                let queue = Queue { topic: number, records, bytes, is_told: false };
                waiting.insert(topic.clone(), queue);
                drop(waiting);
                let (inner, topic) = (self.clone(), topic.clone());
                let runtime = runtime::runtime().expect("it runs: the producer was made in it");
                drop(runtime.spawn(async move { inner.send_waiting(topic).await }));
            }
        }
    }

    /// The topics that became full since the last time.
    fn newly_full(&self) -> Vec<u32> {
        let mut waiting = self.waiting();
        let full = |queue: &&mut Queue| !queue.is_told && queue.bytes >= MOST_WAITING;
        let tell = |queue: &mut Queue| {
            queue.is_told = true;
            queue.topic
        };
        waiting.values_mut().filter(full).map(tell).collect()
    }

    /// Sends a topic's waiting records, one after the other, until there are none.
    async fn send_waiting(self: Arc<Self>, topic: Arc<str>) {
        while let Some(next) = self.first_waiting(&topic) {
            let sent = tokio::select! {
                biased;
                () = next.given_up.notified() => Err(given_up()),
                sent = self.producer.send_since(next.record.record(&topic), next.entered) =>
                    sent.map_err(Failure::from),
            };
            match sent {
                Ok(delivery) => self.deliveries.add(next.slot, delivery),
                Err(failure) => self.deliveries.end(next.slot, Err(failure)),
            }
            self.forget_first(&topic);
            self.left.notify_waiters();
        }
    }

    /// Waits until every record that was sent before is in a batch or has failed.
    async fn entered_before_left(&self) {
        let until = self.entered.load(Ordering::Relaxed);
        loop {
            let mut left = std::pin::pin!(self.left.notified());
            left.as_mut().enable();
            let waits =
                |queue: &Queue| queue.records.front().is_some_and(|first| first.number < until);
            if !self.waiting().values().any(waits) {
                return;
            }
            left.await;
        }
    }

    /// The first record of a topic does not wait any more.
    fn forget_first(self: &Arc<Self>, topic: &Arc<str>) {
        let mut waiting = self.waiting();
        let Some(queue) = waiting.get_mut(topic) else { return };
        queue.bytes -= queue.records.pop_front().map_or(0, |first| first.bytes);
        let has_room = queue.is_told && queue.records.is_empty();
        if has_room {
            queue.is_told = false;
            let topic = queue.topic;
            drop(waiting);
            self.deliveries.has_room(topic);
        }
    }

    fn first_waiting(&self, topic: &Arc<str>) -> Option<Arc<Waiting>> {
        let mut waiting = self.waiting();
        let first = waiting.get(topic)?.records.front().cloned();
        if first.is_none() {
            waiting.remove(topic);
        }
        first
    }
}

/// The time so long ago.
fn before(ago: Duration) -> Instant {
    let now = Instant::now();
    now.checked_sub(ago).unwrap_or(now)
}

fn given_up() -> Failure {
    Failure::new(Class::Cancelled, "the record was given up before it was sent")
}
