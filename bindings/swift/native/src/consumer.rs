//! The consumer.

use crate::batch::NativeBatch;
use crate::failure::NativeError;
use crate::settings::{NamedSetting, config};
use crate::types::{CommittedOffset, OffsetAndTimestamp, RebalanceEvent, TopicPartition};
use crate::wait::{CancelToken, Home};
use ottla_bindings::runtime;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Mutex, broadcast};

/// How many events are kept for a reader who is late; of more, the latest.
const EVENTS_KEPT: usize = 256;

/// Reads records.
#[derive(Debug, uniffi::Object)]
pub struct NativeConsumer {
    core: ottla::Consumer,
    home: Home,
    events: Mutex<broadcast::Receiver<Option<RebalanceEvent>>>,
    /// Here as well as in the listener, to tell the end: nothing.
    tell: broadcast::Sender<Option<RebalanceEvent>>,
    is_closed: AtomicBool,
}

impl NativeConsumer {
    /// As the core's: a record-wise view is so far.
    pub fn finish_up_to(&self, next_offset: i64) -> bool {
        self.core.finish_up_to(next_offset)
    }
}

#[uniffi::export]
impl NativeConsumer {
    /// Connects, and joins the group of these topics or reads these partitions.
    #[uniffi::constructor]
    pub async fn connect(
        settings: Vec<NamedSetting>,
        topics: Vec<String>,
        partitions: Vec<TopicPartition>,
        token: Arc<CancelToken>,
    ) -> Result<Arc<Self>, NativeError> {
        let home = Home::of("Consumer");
        let (tell, events) = broadcast::channel(EVENTS_KEPT);
        let listener = tell.clone();
        let build = ottla::Consumer::builder()
            .config(config(settings)?)
            .topics(topics)
            .assign(partitions.into_iter().map(ottla::TopicPartition::from))
            .on_rebalance(move |event| {
                // The consumer may be gone, and nobody reads any more.
                let _ = listener.send(Some(event.clone().into()));
            })
            .build();
        let core = home.run(&token, build).await?;
        let (events, is_closed) = (Mutex::new(events), AtomicBool::new(false));
        Ok(Arc::new(Self { core, home, events, tell, is_closed }))
    }

    /// Where this object is, for the functions of the C header. It is there as long as Swift's
    /// object.
    pub fn address(&self) -> u64 {
        std::ptr::from_ref(self) as u64
    }

    /// The next batch if it is there; the one before is finished.
    pub fn next_batch_now(&self) -> Result<Option<Arc<NativeBatch>>, NativeError> {
        self.home.check()?;
        let _inside = runtime::runtime()?.enter();
        let next = pin!(self.core.next_batch());
        match next.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(batch) => Ok(batch?.map(|batch| Arc::new(NativeBatch::new(batch)))),
            Poll::Pending => Ok(None),
        }
    }

    /// Waits for the next batch; the one before is finished. Nothing once the consumer is closed.
    pub async fn next_batch_later(
        &self,
        token: Arc<CancelToken>,
    ) -> Result<Option<Arc<NativeBatch>>, NativeError> {
        let batch = self.home.run(&token, self.core.next_batch()).await?;
        Ok(batch.map(|batch| Arc::new(NativeBatch::new(batch))))
    }

    /// Commits what was handed out, or of a record-wise view what it told.
    pub async fn commit(&self, token: Arc<CancelToken>) -> Result<(), NativeError> {
        self.home.run(&token, self.core.commit()).await
    }

    /// As `commit`, without waiting.
    pub fn commit_later(&self) -> Result<(), NativeError> {
        self.home.check()?;
        self.core.commit_later();
        Ok(())
    }

    /// Commits these offsets.
    pub async fn commit_offsets(
        &self,
        offsets: HashMap<TopicPartition, CommittedOffset>,
        token: Arc<CancelToken>,
    ) -> Result<(), NativeError> {
        let offsets = offsets.into_iter().map(|(partition, committed)| {
            (ottla::TopicPartition::from(partition), ottla::OffsetAndMetadata::from(committed))
        });
        self.home.run(&token, self.core.commit_offsets(offsets)).await
    }

    /// What the group has committed; partitions without a commit are absent.
    pub async fn committed(
        &self,
        partitions: Vec<TopicPartition>,
        token: Arc<CancelToken>,
    ) -> Result<HashMap<TopicPartition, CommittedOffset>, NativeError> {
        let found = self.home.run(&token, self.core.committed(partitions)).await?;
        Ok(found.into_iter().map(|(partition, found)| (partition.into(), found.into())).collect())
    }

    /// Replaces the subscription.
    pub fn subscribe(&self, topics: Vec<String>) -> Result<(), NativeError> {
        self.home.check()?;
        Ok(self.core.subscribe(topics)?)
    }

    /// Replaces the partitions of a consumer without a subscription.
    pub fn assign(&self, partitions: Vec<TopicPartition>) -> Result<(), NativeError> {
        self.home.check()?;
        self.core.assign(partitions);
        Ok(())
    }

    /// The partitions that this consumer has now.
    pub fn assignment(&self) -> Result<Vec<TopicPartition>, NativeError> {
        self.home.check()?;
        Ok(self.core.assignment().into_iter().map(Into::into).collect())
    }

    /// The offset after what was handed out.
    pub fn position(&self, partition: TopicPartition) -> Result<Option<i64>, NativeError> {
        self.home.check()?;
        Ok(self.core.position(partition))
    }

    /// How many records are behind the position, as of the last fetch.
    pub fn lag(&self, partition: TopicPartition) -> Result<Option<i64>, NativeError> {
        self.home.check()?;
        Ok(self.core.lag(partition))
    }

    /// Goes to an offset.
    pub fn seek(&self, partition: TopicPartition, offset: i64) -> Result<(), NativeError> {
        self.home.check()?;
        Ok(self.core.seek(partition, offset)?)
    }

    /// Goes to the first offset.
    pub fn seek_to_beginning(&self, partition: TopicPartition) -> Result<(), NativeError> {
        self.home.check()?;
        Ok(self.core.seek_to_beginning(partition)?)
    }

    /// Goes behind the last record.
    pub fn seek_to_end(&self, partition: TopicPartition) -> Result<(), NativeError> {
        self.home.check()?;
        Ok(self.core.seek_to_end(partition)?)
    }

    /// Goes to the first record with this timestamp or a later one.
    pub fn seek_to_timestamp(
        &self,
        partition: TopicPartition,
        timestamp: i64,
    ) -> Result<(), NativeError> {
        self.home.check()?;
        Ok(self.core.seek_to_timestamp(partition, timestamp)?)
    }

    /// Delivers nothing of the partition for now.
    pub fn pause(&self, partition: TopicPartition) -> Result<(), NativeError> {
        self.home.check()?;
        Ok(self.core.pause(partition)?)
    }

    /// Delivers the partition again.
    pub fn resume(&self, partition: TopicPartition) -> Result<(), NativeError> {
        self.home.check()?;
        Ok(self.core.resume(partition)?)
    }

    /// Whether the partition is paused.
    pub fn is_paused(&self, partition: TopicPartition) -> Result<bool, NativeError> {
        self.home.check()?;
        Ok(self.core.is_paused(partition))
    }

    /// The first offset of each partition.
    pub async fn beginning_offsets(
        &self,
        partitions: Vec<TopicPartition>,
        token: Arc<CancelToken>,
    ) -> Result<HashMap<TopicPartition, i64>, NativeError> {
        let found = self.home.run(&token, self.core.beginning_offsets(partitions)).await?;
        Ok(found.into_iter().map(|(partition, offset)| (partition.into(), offset)).collect())
    }

    /// The offset after the last record of each partition.
    pub async fn end_offsets(
        &self,
        partitions: Vec<TopicPartition>,
        token: Arc<CancelToken>,
    ) -> Result<HashMap<TopicPartition, i64>, NativeError> {
        let found = self.home.run(&token, self.core.end_offsets(partitions)).await?;
        Ok(found.into_iter().map(|(partition, offset)| (partition.into(), offset)).collect())
    }

    /// The first record of each partition with this timestamp or a later one; partitions without
    /// one are absent.
    pub async fn offsets_for_times(
        &self,
        timestamps: HashMap<TopicPartition, i64>,
        token: Arc<CancelToken>,
    ) -> Result<HashMap<TopicPartition, OffsetAndTimestamp>, NativeError> {
        let found = self.home.run(&token, self.core.offsets_for_times(timestamps)).await?;
        let found = found.into_iter();
        Ok(found.filter_map(|(partition, at)| Some((partition.into(), at?.into()))).collect())
    }

    /// Waits for the next change of the assignment; nothing once the consumer is closed.
    pub async fn next_rebalance(
        &self,
        token: Arc<CancelToken>,
    ) -> Result<Option<RebalanceEvent>, NativeError> {
        let next = async {
            let mut events = self.events.lock().await;
            loop {
                if self.is_closed.load(Ordering::SeqCst) && events.is_empty() {
                    return Ok(None);
                }
                match events.recv().await {
                    Ok(Some(event)) => return Ok::<_, NativeError>(Some(event)),
                    Ok(None) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Ok(None),
                }
            }
        };
        self.home.run(&token, next).await
    }

    /// Commits what is finished, leaves the group and closes all connections.
    pub async fn close(&self, token: Arc<CancelToken>) -> Result<(), NativeError> {
        let closed = self.home.run(&token, self.core.close()).await;
        // Whatever came of it, nothing changes any more.
        self.is_closed.store(true, Ordering::SeqCst);
        // This object has a receiver.
        let _ = self.tell.send(None);
        closed
    }
}

impl From<TopicPartition> for ottla::TopicPartition {
    fn from(partition: TopicPartition) -> Self {
        Self::new(partition.topic, partition.partition)
    }
}

impl From<ottla::TopicPartition> for TopicPartition {
    fn from(partition: ottla::TopicPartition) -> Self {
        Self { topic: partition.topic.to_string(), partition: partition.partition }
    }
}

impl From<CommittedOffset> for ottla::OffsetAndMetadata {
    fn from(committed: CommittedOffset) -> Self {
        let CommittedOffset { offset, leader_epoch, metadata } = committed;
        Self { offset, leader_epoch, metadata }
    }
}

impl From<ottla::OffsetAndMetadata> for CommittedOffset {
    fn from(committed: ottla::OffsetAndMetadata) -> Self {
        let ottla::OffsetAndMetadata { offset, leader_epoch, metadata } = committed;
        Self { offset, leader_epoch, metadata }
    }
}

impl From<ottla::OffsetAndTimestamp> for OffsetAndTimestamp {
    fn from(found: ottla::OffsetAndTimestamp) -> Self {
        let timestamp = found.timestamp_ms;
        Self { offset: found.offset, timestamp, leader_epoch: found.leader_epoch }
    }
}

impl From<ottla::RebalanceEvent> for RebalanceEvent {
    fn from(event: ottla::RebalanceEvent) -> Self {
        use ottla::RebalanceEvent as Event;
        let all = |partitions: Vec<ottla::TopicPartition>| {
            partitions.into_iter().map(Into::into).collect()
        };
        match event {
            Event::Assigned(partitions) => Self::Assigned { partitions: all(partitions) },
            Event::Revoked(partitions) => Self::Revoked { partitions: all(partitions) },
            Event::Lost(partitions) => Self::Lost { partitions: all(partitions) },
            Event::Truncated { partition, position, end_offset } => {
                Self::Truncated { partition: partition.into(), position, end_offset }
            }
        }
    }
}
