//! The records of one producer that are on their way, by batch: a batch that ends is one piece of
//! news, however many records it has.

use crate::event_loop::Shared;
use crate::tree::Tree;
use napi::Env;
use napi::bindgen_prelude::{Array, BigInt64Array, Float64Array, Int32Array};
use ottla::{Delivery, RecordMetadata};
use ottla_bindings::Failure;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};

type Ended = (u32, Result<RecordMetadata, Failure>);

/// The deliveries of a producer. Records are named by their slot in JavaScript's table.
pub(crate) struct Deliveries {
    /// JavaScript's name of the producer.
    key: u32,
    shared: Arc<Shared>,
    batches: Mutex<HashMap<usize, Batch>>,
    news: Mutex<News>,
}

#[derive(Default)]
struct News {
    /// Whether the loop knows that there are some.
    is_told: bool,
    /// Batches of which records ended.
    batches: Vec<usize>,
    /// Records that ended otherwise.
    records: Vec<Ended>,
    /// Topics of which JavaScript may hand over more.
    topics: Vec<u32>,
}

/// The records of a batch that have not ended.
struct Batch {
    waker: Waker,
    records: Vec<(u32, Delivery)>,
}

/// Tells that records of a batch ended.
struct OfBatch {
    deliveries: Arc<Deliveries>,
    batch: usize,
}

impl Wake for OfBatch {
    fn wake(self: Arc<Self>) {
        self.deliveries.tell(|news| news.batches.push(self.batch));
    }
}

impl Deliveries {
    pub(crate) fn new(key: u32, shared: Arc<Shared>) -> Self {
        Self { key, shared, batches: Mutex::default(), news: Mutex::default() }
    }

    /// A record is in a batch of the core's.
    pub(crate) fn add(self: &Arc<Self>, slot: u32, delivery: Delivery) {
        let key = delivery.batch_key();
        let mut batches = lock(&self.batches);
        if let Some(batch) = batches.get_mut(&key) {
            // The first of the batch was registered: what ends is told after this.
            batch.records.push((slot, delivery));
            return;
        }
        let waker = Waker::from(Arc::new(OfBatch { deliveries: self.clone(), batch: key }));
        match delivery.poll_result(&Context::from_waker(&waker)) {
            std::task::Poll::Ready(result) => {
                drop(batches);
                self.end(slot, result.map_err(Into::into));
            }
            std::task::Poll::Pending => {
                batches.insert(key, Batch { waker, records: vec![(slot, delivery)] });
            }
        }
    }

    /// A record ended before it was in a batch.
    pub(crate) fn end(self: &Arc<Self>, slot: u32, result: Result<RecordMetadata, Failure>) {
        self.tell(|news| news.records.push((slot, result)));
    }

    /// Records of a topic are taken again.
    pub(crate) fn has_room(self: &Arc<Self>, topic: u32) {
        self.tell(|news| news.topics.push(topic));
    }

    fn tell(self: &Arc<Self>, add: impl FnOnce(&mut News)) {
        let was_told = {
            let mut news = lock(&self.news);
            add(&mut news);
            std::mem::replace(&mut news.is_told, true)
        };
        if !was_told {
            self.shared.tell_deliveries(self.clone());
        }
    }

    fn ended(&self) -> (Vec<Ended>, Vec<u32>) {
        let news = std::mem::take(&mut *lock(&self.news));
        let mut ended = news.records;
        let mut batches = lock(&self.batches);
        for key in news.batches {
            if let Some(batch) = batches.remove(&key)
                && let Some(rest) = batch.take_ended(&mut ended)
            {
                batches.insert(key, rest);
            }
        }
        (ended, news.topics)
    }

    /// What ended since the last time: `[key, slots, partitions, offsets, timestamps, failures,
    /// topics]`, where failures are slot and failure one after the other, and topics those of which
    /// more may be handed over.
    pub(crate) fn take<'env>(&self, env: &'env Env) -> napi::Result<Array<'env>> {
        let (ended, topics) = self.ended();
        let (mut slots, mut partitions) = (Vec::with_capacity(ended.len()), Vec::new());
        let (mut offsets, mut timestamps, mut failures) = (Vec::new(), Vec::new(), Vec::new());
        partitions.reserve_exact(ended.len());
        offsets.reserve_exact(ended.len());
        timestamps.reserve_exact(ended.len());
        for (slot, result) in ended {
            match result {
                Ok(written) => {
                    slots.push(slot as i32);
                    partitions.push(written.partition);
                    offsets.push(written.offset);
                    timestamps.push(written.timestamp as f64);
                }
                Err(failure) => failures.extend([Tree::Number(slot.into()), failure.into()]),
            }
        }
        let mut all = env.create_array(7)?;
        all.set(0, self.key)?;
        all.set(1, Int32Array::new(slots))?;
        all.set(2, Int32Array::new(partitions))?;
        all.set(3, BigInt64Array::new(offsets))?;
        all.set(4, Float64Array::new(timestamps))?;
        all.set(5, failures)?;
        all.set(6, topics)?;
        Ok(all)
    }
}

impl Batch {
    /// Takes those that ended; answers the others, of whose end the waker will tell.
    fn take_ended(mut self, ended: &mut Vec<Ended>) -> Option<Self> {
        loop {
            // Registered before looking, so that nothing ends between the two unheard.
            let (_, first) = self.records.first()?;
            let is_registered = first.poll_result(&Context::from_waker(&self.waker)).is_pending();
            self.records.retain(|(slot, delivery)| match delivery.try_result() {
                Some(result) => {
                    ended.push((*slot, result.map_err(Into::into)));
                    false
                }
                None => true,
            });
            if is_registered && !self.records.is_empty() {
                return Some(self);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
