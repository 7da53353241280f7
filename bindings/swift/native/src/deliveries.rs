//! What became of records that were sent.

use crate::failure::{FailureDetails, NativeError};
use crate::wait::{CancelToken, Home};
use ottla::{Delivery, RecordMetadata};
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// The outcomes of records that were handed over together, in their order.
#[derive(Debug, uniffi::Object)]
pub struct Deliveries {
    home: Home,
    slots: Mutex<Vec<Slot>>,
    refused: AtomicUsize,
}

#[derive(Debug)]
enum Slot {
    Sent(Delivery),
    /// It was refused before it was sent.
    Refused(FailureDetails),
}

/// Outcomes, flat.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct Outcomes {
    /// The topics that [`places`](Self::places) names.
    pub topics: Vec<String>,
    /// 24 bytes a record, little-endian: which topic (4; -1: it failed), partition (4), offset (8),
    /// timestamp (8).
    pub places: Vec<u8>,
    /// What the failed records, by their place in the order, are told.
    pub failures: HashMap<u32, FailureDetails>,
}

impl Deliveries {
    /// None yet.
    pub fn new(home: Home) -> Self {
        Self { home, slots: Mutex::default(), refused: AtomicUsize::new(0) }
    }

    /// Adds what became of the next record.
    pub fn push(&self, sent: Result<Delivery, FailureDetails>) {
        let slot = match sent {
            Ok(delivery) => Slot::Sent(delivery),
            Err(failure) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Slot::Refused(failure)
            }
        };
        self.lock().push(slot);
    }

    /// How many were refused before they were sent.
    pub fn refused_count(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all from `first` on have ended; remembers in `first` how far that is so.
    fn poll(&self, first: &mut usize, context: &mut Context<'_>) -> Poll<()> {
        let mut slots = self.lock();
        while let Some(slot) = slots.get_mut(*first) {
            if let Slot::Sent(delivery) = slot
                && Pin::new(delivery).poll(context).is_pending()
            {
                return Poll::Pending;
            }
            *first += 1;
        }
        Poll::Ready(())
    }

    /// Where the first record was written; nothing where it failed or is on its way.
    pub fn first_now(&self) -> Option<RecordMetadata> {
        self.home.check().ok()?;
        match self.lock().first()? {
            Slot::Sent(delivery) => delivery.try_result()?.ok(),
            Slot::Refused(_) => None,
        }
    }

    fn outcomes(&self) -> Option<Outcomes> {
        let slots = self.lock();
        let mut all = Outcomes {
            topics: Vec::new(),
            places: Vec::with_capacity(slots.len() * 24),
            failures: HashMap::new(),
        };
        for (at, slot) in slots.iter().enumerate() {
            match slot {
                Slot::Refused(failure) => all.fail(at, failure.clone()),
                Slot::Sent(delivery) => match delivery.try_result()? {
                    Ok(written) => all.write(&written),
                    Err(error) => all.fail(at, error.into()),
                },
            }
        }
        Some(all)
    }
}

#[uniffi::export]
impl Deliveries {
    /// How many records were handed over.
    pub fn count(&self) -> u64 {
        self.lock().len() as u64
    }

    /// What became of all of them; nothing while one is on its way.
    pub fn outcomes_now(&self) -> Result<Option<Outcomes>, NativeError> {
        self.home.check()?;
        Ok(self.outcomes())
    }

    /// Waits until all have ended. Cancelling abandons the answer and not the records.
    pub async fn outcomes_later(&self, token: Arc<CancelToken>) -> Result<Outcomes, NativeError> {
        let mut first = 0;
        let ended = poll_fn(|context| self.poll(&mut first, context).map(Ok::<_, NativeError>));
        self.home.run(&token, ended).await?;
        Ok(self.outcomes().expect("all have ended"))
    }
}

impl Outcomes {
    fn put(&mut self, topic: i32, partition: i32, offset: i64, timestamp: i64) {
        self.places.extend(topic.to_le_bytes());
        self.places.extend(partition.to_le_bytes());
        self.places.extend(offset.to_le_bytes());
        self.places.extend(timestamp.to_le_bytes());
    }

    fn write(&mut self, written: &RecordMetadata) {
        let known = self.topics.iter().rposition(|topic| **topic == *written.topic);
        let topic = known.unwrap_or_else(|| {
            self.topics.push(written.topic.to_string());
            self.topics.len() - 1
        });
        self.put(topic as i32, written.partition, written.offset, written.timestamp);
    }

    fn fail(&mut self, at: usize, failure: FailureDetails) {
        self.put(-1, -1, -1, -1);
        self.failures.insert(at as u32, failure);
    }
}
