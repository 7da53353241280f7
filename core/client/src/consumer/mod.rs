//! The consumer: partitions by hand or as a member of a group.
//!
//! What to ask whom, what is handed out, what is committed and when is decided in
//! [`ottla_engine::consumer`]; here are the handle, its task ([`driver`]) and the batches that the
//! user gets ([`batch`]). Decompression happens on the user's thread, where the bytes are used.

mod batch;
mod builder;
mod driver;
mod queries;

pub use batch::{Batch, ConsumerRecord, HeaderIter, Iter as Records};
pub use builder::ConsumerBuilder;
pub use ottla_engine::consumer::{OffsetAndMetadata, RebalanceEvent};
pub use ottla_engine::group::TopicPartition;
pub use queries::OffsetAndTimestamp;

use batch::Cursor;
use driver::{NO_PROGRESS, Shared};
use ottla_engine::config::{Config, OffsetReset};
use ottla_engine::consumer::{HandedOut, Next, Position};
use ottla_engine::error::{Error, ErrorKind};
use ottla_protocol::records::Decompressor;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long [`Consumer::close`] takes at most, some slack for the last answer included.
const CLOSE_LIMIT: Duration = Duration::from_millis(4_800);

/// Reads records.
///
/// Ask for batches one after the other, from one task. A batch is *finished* when the next is asked
/// for, and only what is finished is committed by itself: nothing is lost when the program dies in
/// the middle of a batch. Heartbeats, fetching ahead and commits go on in the background while a
/// batch is processed.
///
/// Dropping the consumer leaves the group in the background; [`Consumer::close`] waits for it.
///
/// ```
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// # let folder = tempfile::tempdir()?;
/// # let config = ottla_broker::Config::dev().set("listeners", "PLAINTEXT://127.0.0.1:0")?;
/// # let config = config.set("log.dirs", folder.path().to_str().ok_or("a plain path")?)?;
/// # let broker = ottla_broker::Broker::start(config).await?;
/// # let address = broker.addr();
/// # let producer = ottla::Producer::builder().bootstrap_servers(address).build().await?;
/// # producer.send(ottla::Record::to("orders").value("one")).await?.await?;
/// use ottla::Consumer;
///
/// let consumer = Consumer::builder()
///     .bootstrap_servers(address)
///     .group_id("billing")
///     .topics(["orders"])
///     .auto_offset_reset("earliest")
///     .build()
///     .await?;
/// while let Some(batch) = consumer.next_batch().await? {
///     for record in batch.iter() {
///         println!("{} {:?}", record.offset, record.value);
///     }
/// #   break;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Consumer {
    shared: Arc<Shared>,
    decompressor: Mutex<Decompressor>,
    cursor: Mutex<Option<Cursor>>,
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.shared.with_machine(|machine, now| machine.close(now));
    }
}

impl Consumer {
    /// Starts a configuration.
    pub fn builder() -> ConsumerBuilder {
        ConsumerBuilder::default()
    }

    /// A consumer of these topics from a configuration by dotted names.
    ///
    /// # Errors
    ///
    /// As [`ConsumerBuilder::build`].
    pub async fn from_config(
        config: Config,
        topics: impl IntoIterator<Item = impl Into<Arc<str>>>,
    ) -> Result<Self, Error> {
        Self::builder().config(config).topics(topics).build().await
    }

    fn new(shared: Arc<Shared>) -> Self {
        let decompressor = Mutex::new(Decompressor::new());
        Self { shared, decompressor, cursor: Mutex::new(None) }
    }

    /// Waits for the next batch; the one before is finished by asking. `None` once closed. A caller
    /// that finishes a batch record by record says so with [`Consumer::finish_up_to`].
    ///
    /// Dropping the future loses nothing. After [`Consumer::next`] stopped inside of a batch, its
    /// rest comes first.
    ///
    /// # Errors
    ///
    /// What the user has to know: a topic that does not exist, a missing permission, a position
    /// that is not in the log under `auto.offset.reset=none`, a batch that cannot be read, the end
    /// of the membership. Unless [`Error::is_fatal`], asking again goes on.
    pub async fn next_batch(&self) -> Result<Option<Batch>, Error> {
        if let Some(rest) = self.cursor().take().and_then(Cursor::into_rest) {
            return Ok(Some(rest));
        }
        self.ask().await
    }

    /// Waits for the next record; the one before is finished by asking. `None` once closed.
    ///
    /// A view on the batches: it costs a little more per record than iterating them.
    ///
    /// # Errors
    ///
    /// As [`Consumer::next_batch`].
    pub async fn next(&self) -> Result<Option<ConsumerRecord>, Error> {
        loop {
            if let Some(record) = self.next_buffered() {
                return Ok(Some(record));
            }
            match self.ask().await? {
                Some(batch) => *self.cursor() = Some(Cursor::new(batch)),
                None => return Ok(None),
            }
        }
    }

    /// Tells how far a batch is finished, for views that give its records out one by one: every
    /// record below `next_offset` is. A commit that comes meanwhile covers these and no more.
    ///
    /// Answers whether to go on. `false`: a rebalance waits for the batch; what is left of it goes
    /// back to the group, whose next owner gets it, and the view ends here. Costs two atomic
    /// accesses.
    pub fn finish_up_to(&self, next_offset: i64) -> bool {
        self.shared.progress.store(next_offset, Ordering::Relaxed);
        if self.shared.wants_batch_back() {
            self.shared.with_machine(|machine, now| machine.return_rest(now, next_offset));
            return false;
        }
        true
    }

    fn next_buffered(&self) -> Option<ConsumerRecord> {
        let mut cursor = self.cursor();
        let open = cursor.as_mut()?;
        if !self.finish_up_to(open.next_offset) {
            *cursor = None;
            return None;
        }
        let record = open.next();
        if record.is_none() {
            *cursor = None;
        }
        record
    }

    async fn ask(&self) -> Result<Option<Batch>, Error> {
        loop {
            self.shared.progress.store(NO_PROGRESS, Ordering::Relaxed);
            let (next, wakes_driver) = self.shared.peek(|machine, now| machine.next_batch(now));
            if wakes_driver {
                self.shared.work.notify_one();
            }
            match next {
                Next::Batch(handed) => {
                    if let Some(batch) = self.open(&handed)? {
                        return Ok(Some(batch));
                    }
                }
                Next::Closed => return Ok(None),
                Next::Failed(error) => return Err(error),
                Next::Wait => {
                    let mut waiting = Waiting { shared: Some(&self.shared) };
                    self.shared.ready.notified().await;
                    waiting.shared = None;
                }
            }
        }
    }

    fn open(&self, handed: &HandedOut) -> Result<Option<Batch>, Error> {
        let mut decompressor = self.decompressor.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = Batch::open(handed, &mut decompressor, self.shared.config.check_crcs);
        opened.map_err(|broken| {
            self.shared.with_machine(|machine, now| machine.give_back(now, handed, &broken))
        })
    }

    /// Commits everything that was handed out, and waits until the coordinator has it. After
    /// [`Consumer::next`]: up to the last record that was given.
    ///
    /// # Errors
    ///
    /// `Rebalance`: the partitions belong to another member by now, which goes on from the last
    /// commit. Others after they were retried for `default.api.timeout.ms`.
    pub async fn commit(&self) -> Result<(), Error> {
        self.start_commit().await.unwrap_or_else(|_| Err(closed()))
    }

    /// As [`Consumer::commit`], without waiting. Commits are sent one after the other, in order.
    pub fn commit_later(&self) {
        drop(self.start_commit());
    }

    fn start_commit(&self) -> tokio::sync::oneshot::Receiver<Result<(), Error>> {
        let given = self.cursor().as_ref().map(|c| c.has_rest().then_some(c.next_offset));
        // Without a cursor it may be a view of the caller's that says how far it is.
        let within = given.unwrap_or_else(|| self.progress());
        self.shared.commit(|machine, now| match within {
            Some(offset) => {
                machine.finish_up_to(offset);
                machine.commit_finished_only(now)
            }
            None => machine.commit(now),
        })
    }

    /// Commits these offsets: of each partition the *next* one to be consumed.
    ///
    /// # Errors
    ///
    /// As [`Consumer::commit`].
    pub async fn commit_offsets<P, O>(
        &self,
        offsets: impl IntoIterator<Item = (P, O)>,
    ) -> Result<(), Error>
    where
        P: Into<TopicPartition>,
        O: Into<OffsetAndMetadata>,
    {
        let offsets: BTreeMap<TopicPartition, OffsetAndMetadata> =
            offsets.into_iter().map(|(partition, o)| (partition.into(), o.into())).collect();
        let done = self.shared.commit(|machine, now| machine.commit_offsets(now, offsets));
        done.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Replaces the subscription; the group rebalances.
    ///
    /// # Errors
    ///
    /// `Config` without a group.
    pub fn subscribe(
        &self,
        topics: impl IntoIterator<Item = impl Into<Arc<str>>>,
    ) -> Result<(), Error> {
        if self.shared.config.group_id.is_none() {
            let message = "topics are shared in a group: set group.id, or use assign(..)";
            return Err(Error::new(ErrorKind::Config, message));
        }
        let topics = topics.into_iter().map(Into::into).collect();
        self.shared.with_machine(|machine, now| machine.subscribe(now, topics));
        Ok(())
    }

    /// Replaces the partitions of a consumer that was built with them. Those that stay keep their
    /// position.
    pub fn assign(&self, partitions: impl IntoIterator<Item = impl Into<TopicPartition>>) {
        let partitions = partitions.into_iter().map(Into::into).collect();
        self.shared.with_machine(|machine, now| machine.assign(now, partitions));
    }

    /// The partitions that this consumer has now.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.shared.peek(|machine, _| machine.assignment())
    }

    /// The offset after what was handed out; `None` while it is not known, as between a seek to the
    /// end and the broker's answer where that is, or if the partition is not assigned.
    pub fn position(&self, partition: impl Into<TopicPartition>) -> Option<i64> {
        let partition = partition.into();
        if let Some(cursor) = self.cursor().as_ref().filter(|c| c.has_rest())
            && cursor.batch().topic() == &*partition.topic
            && cursor.batch().partition() == partition.partition
        {
            return Some(cursor.next_offset);
        }
        self.shared.peek(|machine, _| machine.position(&partition)).map(|p| p.offset)
    }

    /// How many records are behind the position, as of the last fetch; `None` before it and
    /// while the position is not known.
    pub fn lag(&self, partition: impl Into<TopicPartition>) -> Option<i64> {
        let partition = partition.into();
        self.shared.peek(|machine, _| machine.lag(&partition))
    }

    /// Goes to an offset; what was fetched ahead of it is dropped.
    ///
    /// # Errors
    ///
    /// `Invalid` if the partition is not assigned.
    pub fn seek(&self, partition: impl Into<TopicPartition>, offset: i64) -> Result<(), Error> {
        let partition = partition.into();
        self.drop_cursor_of(&partition);
        let position = Position::at(offset);
        let known =
            self.shared.with_machine(|machine, now| machine.seek(now, &partition, position));
        known.then_some(()).ok_or_else(|| not_assigned(&partition))
    }

    /// Goes to the first offset of the partition, once its leader has told which that is.
    ///
    /// # Errors
    ///
    /// `Invalid` if the partition is not assigned.
    pub fn seek_to_beginning(&self, partition: impl Into<TopicPartition>) -> Result<(), Error> {
        self.seek_by(partition.into(), OffsetReset::Earliest)
    }

    /// Goes behind the last record of the partition.
    ///
    /// # Errors
    ///
    /// `Invalid` if the partition is not assigned.
    pub fn seek_to_end(&self, partition: impl Into<TopicPartition>) -> Result<(), Error> {
        self.seek_by(partition.into(), OffsetReset::Latest)
    }

    /// Goes to the first record with this timestamp (ms since 1970) or a later one.
    ///
    /// # Errors
    ///
    /// `Invalid` if the partition is not assigned.
    pub fn seek_to_timestamp(
        &self,
        partition: impl Into<TopicPartition>,
        timestamp_ms: i64,
    ) -> Result<(), Error> {
        self.seek_by(partition.into(), OffsetReset::Timestamp { timestamp_ms })
    }

    fn seek_by(&self, partition: TopicPartition, reset: OffsetReset) -> Result<(), Error> {
        self.drop_cursor_of(&partition);
        let known =
            self.shared.with_machine(|machine, now| machine.seek_by(now, &partition, reset));
        known.then_some(()).ok_or_else(|| not_assigned(&partition))
    }

    /// Delivers nothing of the partition until [`Consumer::resume`].
    ///
    /// # Errors
    ///
    /// `Invalid` if the partition is not assigned.
    pub fn pause(&self, partition: impl Into<TopicPartition>) -> Result<(), Error> {
        self.set_paused(partition.into(), true)
    }

    /// Delivers the partition again.
    ///
    /// # Errors
    ///
    /// `Invalid` if the partition is not assigned.
    pub fn resume(&self, partition: impl Into<TopicPartition>) -> Result<(), Error> {
        self.set_paused(partition.into(), false)
    }

    fn set_paused(&self, partition: TopicPartition, paused: bool) -> Result<(), Error> {
        let known = self.shared.with_machine(|machine, now| machine.pause(now, &partition, paused));
        self.shared.ready.notify_one();
        known.then_some(()).ok_or_else(|| not_assigned(&partition))
    }

    /// Whether the partition is paused.
    pub fn is_paused(&self, partition: impl Into<TopicPartition>) -> bool {
        let partition = partition.into();
        self.shared.peek(|machine, _| machine.is_paused(&partition))
    }

    /// Commits what is finished (if `enable.auto.commit` is on), leaves the group and closes all
    /// connections, within 5 s. The last batch is finished only if another was asked for: commit
    /// before closing to include it. Of a batch that is consumed record by record, what
    /// [`Consumer::finish_up_to`] told is finished.
    ///
    /// # Errors
    ///
    /// `Timeout` if the coordinator did not answer in time; the consumer is closed all the same.
    pub async fn close(&self) -> Result<(), Error> {
        let given = self.cursor().take().map(|cursor| cursor.next_offset);
        let within = given.or_else(|| self.progress());
        self.shared.with_machine(|machine, now| {
            if let Some(offset) = within {
                machine.finish_up_to(offset);
            }
            machine.close(now);
        });
        let mut closed = self.shared.closed();
        let waited = tokio::time::timeout(CLOSE_LIMIT, closed.wait_for(|closed| *closed)).await;
        match waited {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                "the consumer did not leave its group in time: its partitions move when the \
                 session ends",
            )),
        }
    }

    /// How far the caller's own view on the outstanding batch is, if it told.
    fn progress(&self) -> Option<i64> {
        let progress = self.shared.progress.load(Ordering::Relaxed);
        (progress != NO_PROGRESS).then_some(progress)
    }

    fn drop_cursor_of(&self, partition: &TopicPartition) {
        let mut cursor = self.cursor();
        let is_of = |cursor: &mut Cursor| {
            cursor.batch().topic() == &*partition.topic
                && cursor.batch().partition() == partition.partition
        };
        let _ = cursor.take_if(is_of);
    }

    fn cursor(&self) -> MutexGuard<'_, Option<Cursor>> {
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The user waits; if the future is dropped, they are off to something else.
struct Waiting<'a> {
    shared: Option<&'a Shared>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared {
            shared.peek(|machine, now| machine.user_left(now));
        }
    }
}

fn not_assigned(partition: &TopicPartition) -> Error {
    Error::new(ErrorKind::Invalid, format!("{partition} is not assigned to this consumer"))
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the consumer is closed")
}
