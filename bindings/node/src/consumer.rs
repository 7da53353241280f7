//! The consumer: a batch crosses as its bytes and an index of its records.

use crate::event_loop::{Reply, Shared, Started, partition, within};
use crate::tree::{Tree, thrown};
use napi::Env;
use napi::bindgen_prelude::{Array, ArrayBuffer, BigInt, Either};
use napi_derive::napi;
use ottla::{Batch, Consumer, Error, OffsetAndMetadata, OffsetAndTimestamp, TopicPartition};
use ottla_bindings::{Failure, Index};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A consumer of the core's.
#[napi]
pub struct NativeConsumer {
    inner: Arc<Inner>,
    shared: Arc<Shared>,
    /// What [`NativeConsumer::finish_up_to`] counts from.
    base_offset: i64,
}

struct Inner {
    consumer: Consumer,
    /// A batch that the core handed out and JavaScript did not take yet. Were it the result of a
    /// call instead, one that is cancelled at the last moment would lose it.
    handed: Mutex<Option<Batch>>,
    /// Held while the core is asked: who asks after a call that is being cancelled sees what that
    /// one was given at the last moment.
    asking: tokio::sync::Mutex<()>,
}

/// The offset to commit for a partition, with leader epoch and a note.
type JsOffset = (String, i32, BigInt, Option<i32>, Option<String>);

impl Inner {
    fn handed(&self) -> MutexGuard<'_, Option<Batch>> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is a batch to take; answers `false` once closed.
    async fn wait(self: Arc<Self>) -> Result<bool, Error> {
        let _asking = self.asking.lock().await;
        if self.handed().is_some() {
            return Ok(true);
        }
        let batch = self.consumer.next_batch().await?;
        let is_open = batch.is_some();
        *self.handed() = batch;
        Ok(is_open)
    }
}

impl NativeConsumer {
    pub(crate) fn new(consumer: Consumer, shared: Arc<Shared>) -> Self {
        let (handed, asking) = Default::default();
        let inner = Arc::new(Inner { consumer, handed, asking });
        Self { inner, shared, base_offset: 0 }
    }
}

#[napi]
impl NativeConsumer {
    /// The next batch if it is there; else the number of a call that ends when one is (with whether
    /// there is), or a failure.
    #[napi(ts_return_type = "unknown[] | number | object | null")]
    pub fn next_batch<'env>(&mut self, env: &'env Env) -> napi::Result<Either<Array<'env>, Tree>> {
        let mut waiting = Box::pin(self.inner.clone().wait());
        let now = within(|| waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())));
        Ok(Either::B(match now {
            Ok(Poll::Ready(Ok(true))) => return self.take_batch(env),
            Ok(Poll::Ready(Ok(false))) => Tree::Null,
            Ok(Poll::Ready(Err(error))) => Failure::from(error).into(),
            Err(failure) => failure.into(),
            Ok(Poll::Pending) => self
                .shared
                .start(async move { waiting.await.map(|is_open| Reply::Tree(is_open.into())) }),
        }))
    }

    /// The batch that a call waited for: `[topic, partition, base offset, last offset, leader
    /// epoch, base timestamp, records, integers of the index, bytes]`, where bytes are the index,
    /// the headers' index and the batch's data.
    #[napi(ts_return_type = "unknown[] | null")]
    pub fn take_batch<'env>(&mut self, env: &'env Env) -> napi::Result<Either<Array<'env>, Tree>> {
        let Some(batch) = self.inner.handed().take() else { return Ok(Either::B(Tree::Null)) };
        let index = Index::of(&batch);
        self.base_offset = index.base_offset;
        let integers = index.records.len() + index.headers.len();
        let mut bytes = Vec::with_capacity(integers * 4 + batch.data().len());
        bytes.extend(index.records.iter().chain(&index.headers).flat_map(|i| i.to_ne_bytes()));
        bytes.extend_from_slice(batch.data());
        let mut parts = env.create_array(9)?;
        parts.set(0, batch.topic())?;
        parts.set(1, batch.partition())?;
        parts.set(2, BigInt::from(index.base_offset))?;
        parts.set(3, BigInt::from(batch.last_offset()))?;
        parts.set(4, batch.leader_epoch())?;
        parts.set(5, index.base_timestamp as f64)?;
        parts.set(6, batch.len() as u32)?;
        parts.set(7, integers as u32)?;
        parts.set(8, ArrayBuffer::from_data(env, bytes)?)?;
        Ok(Either::A(parts))
    }

    /// Every record below this one is finished; the offset counts from the base offset of the last
    /// batch. Answers whether to go on with the batch.
    #[napi]
    pub fn finish_up_to(&self, offset: i32) -> bool {
        self.inner.consumer.finish_up_to(self.base_offset + i64::from(offset))
    }

    /// Starts to commit what is finished.
    #[napi(ts_return_type = "number | object")]
    pub fn commit(&self) -> Started {
        let inner = self.inner.clone();
        self.shared.start(async move { inner.consumer.commit().await.map(|()| Reply::Done) })
    }

    /// Starts to commit these offsets.
    #[napi(ts_return_type = "number | object")]
    pub fn commit_offsets(&self, offsets: Vec<JsOffset>) -> Started {
        let inner = self.inner.clone();
        let offsets: Vec<_> = offsets
            .into_iter()
            .map(|(topic, partition, offset, leader_epoch, metadata)| {
                let offset = offset.get_i64().0;
                let offset = OffsetAndMetadata { offset, leader_epoch, metadata };
                (TopicPartition::new(topic, partition), offset)
            })
            .collect();
        self.shared.start(async move {
            inner.consumer.commit_offsets(offsets).await.map(|()| Reply::Done)
        })
    }

    /// Replaces the subscription.
    #[napi(ts_return_type = "object | undefined")]
    pub fn subscribe(&self, topics: Vec<String>) -> Option<Tree> {
        self.tell(|consumer| consumer.subscribe(topics))
    }

    /// Replaces the partitions.
    #[napi(ts_return_type = "object | undefined")]
    pub fn assign(&self, partitions: Vec<(String, i32)>) -> Option<Tree> {
        self.tell(|consumer| {
            consumer.assign(partitions.into_iter().map(TopicPartition::from));
            Ok(())
        })
    }

    /// The partitions that it has.
    #[napi(ts_return_type = "object[]")]
    pub fn assignment(&self) -> Tree {
        Tree::list(self.inner.consumer.assignment(), |p| partition(&p))
    }

    /// The offset after what was handed out.
    #[napi]
    pub fn position(&self, topic: String, partition: i32) -> Option<BigInt> {
        self.inner.consumer.position((topic, partition)).map(BigInt::from)
    }

    /// How many records are behind the position.
    #[napi]
    pub fn lag(&self, topic: String, partition: i32) -> Option<BigInt> {
        self.inner.consumer.lag((topic, partition)).map(BigInt::from)
    }

    /// Goes to an offset.
    #[napi(ts_return_type = "object | undefined")]
    pub fn seek(&self, topic: String, partition: i32, offset: BigInt) -> Option<Tree> {
        self.tell(|consumer| consumer.seek((topic, partition), offset.get_i64().0))
    }

    /// Goes to the first record.
    #[napi(ts_return_type = "object | undefined")]
    pub fn seek_to_beginning(&self, topic: String, partition: i32) -> Option<Tree> {
        self.tell(|consumer| consumer.seek_to_beginning((topic, partition)))
    }

    /// Goes behind the last record.
    #[napi(ts_return_type = "object | undefined")]
    pub fn seek_to_end(&self, topic: String, partition: i32) -> Option<Tree> {
        self.tell(|consumer| consumer.seek_to_end((topic, partition)))
    }

    /// Goes to the first record of this time or a later one.
    #[napi(ts_return_type = "object | undefined")]
    pub fn seek_to_timestamp(
        &self,
        topic: String,
        partition: i32,
        timestamp_ms: f64,
    ) -> Option<Tree> {
        let partition = (topic, partition);
        self.tell(|consumer| consumer.seek_to_timestamp(partition, timestamp_ms as i64))
    }

    /// Delivers nothing of the partition until `resume`.
    #[napi(ts_return_type = "object | undefined")]
    pub fn pause(&self, topic: String, partition: i32) -> Option<Tree> {
        self.tell(|consumer| consumer.pause((topic, partition)))
    }

    /// Delivers the partition again.
    #[napi(ts_return_type = "object | undefined")]
    pub fn resume(&self, topic: String, partition: i32) -> Option<Tree> {
        self.tell(|consumer| consumer.resume((topic, partition)))
    }

    /// Whether the partition is paused.
    #[napi]
    pub fn is_paused(&self, topic: String, partition: i32) -> bool {
        self.inner.consumer.is_paused((topic, partition))
    }

    /// Starts to ask what the group has committed.
    #[napi(ts_return_type = "number | object")]
    pub fn committed(&self, partitions: Vec<(String, i32)>) -> Started {
        let inner = self.inner.clone();
        self.shared.start(async move {
            let committed = inner.consumer.committed(partitions).await?;
            let entry = |(p, offset): (TopicPartition, OffsetAndMetadata)| {
                located(
                    &p,
                    vec![
                        ("offset", Tree::Big(offset.offset)),
                        ("leaderEpoch", offset.leader_epoch.into()),
                        ("metadata", offset.metadata.into()),
                    ],
                )
            };
            Ok::<_, Error>(Reply::Tree(Tree::list(committed, entry)))
        })
    }

    /// Starts to ask for the first offsets.
    #[napi(ts_return_type = "number | object")]
    pub fn beginning_offsets(&self, partitions: Vec<(String, i32)>) -> Started {
        let inner = self.inner.clone();
        self.shared.start(async move {
            let offsets = inner.consumer.beginning_offsets(partitions).await?;
            Ok::<_, Error>(Reply::Tree(Tree::list(offsets, offset)))
        })
    }

    /// Starts to ask for the offsets after the last records.
    #[napi(ts_return_type = "number | object")]
    pub fn end_offsets(&self, partitions: Vec<(String, i32)>) -> Started {
        let inner = self.inner.clone();
        self.shared.start(async move {
            let offsets = inner.consumer.end_offsets(partitions).await?;
            Ok::<_, Error>(Reply::Tree(Tree::list(offsets, offset)))
        })
    }

    /// Starts to ask for the first records of these times or later.
    #[napi(ts_return_type = "number | object")]
    pub fn offsets_for_times(&self, timestamps: Vec<(String, i32, f64)>) -> Started {
        let inner = self.inner.clone();
        let wanted: Vec<_> = timestamps
            .into_iter()
            .map(|(topic, partition, at)| (TopicPartition::new(topic, partition), at as i64))
            .collect();
        self.shared.start(async move {
            let found = inner.consumer.offsets_for_times(wanted).await?;
            let entry = |(p, found): (TopicPartition, Option<OffsetAndTimestamp>)| {
                located(
                    &p,
                    vec![
                        ("offset", found.map_or(Tree::Null, |f| Tree::Big(f.offset))),
                        (
                            "timestamp",
                            found.map_or(Tree::Null, |f| Tree::Number(f.timestamp_ms as f64)),
                        ),
                    ],
                )
            };
            Ok::<_, Error>(Reply::Tree(Tree::list(found, entry)))
        })
    }

    /// Starts to close.
    #[napi(ts_return_type = "number | object")]
    pub fn close(&self) -> Started {
        let inner = self.inner.clone();
        self.shared.start(async move { inner.consumer.close().await.map(|()| Reply::Done) })
    }

    fn tell(&self, act: impl FnOnce(&Consumer) -> Result<(), Error>) -> Option<Tree> {
        let told = within(|| act(&self.inner.consumer));
        thrown(told.and_then(|told| told.map_err(Failure::from)))
    }
}

fn offset((p, offset): (TopicPartition, i64)) -> Tree {
    located(&p, vec![("offset", Tree::Big(offset))])
}

fn located(p: &TopicPartition, mut fields: Vec<(&'static str, Tree)>) -> Tree {
    fields.splice(0..0, [("topic", (&*p.topic).into()), ("partition", p.partition.into())]);
    Tree::Map(fields)
}
