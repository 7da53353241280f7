//! The producer: appends on the caller's thread, sends from one task.

mod builder;
mod driver;
mod record;
#[cfg(test)]
mod tests;
mod topics;

pub use builder::ProducerBuilder;
pub use record::Record;

use crate::network::Network;
use arc_swap::ArcSwap;
use ottla_engine::config::{CompressionType, Config, ProducerConfig};
use ottla_engine::error::{Error, ErrorKind};
use ottla_engine::producer::partitioner::{Partitioner, Partitioning, Unplaced};
use ottla_engine::producer::{
    Accumulator, AppendError, BatchCompletion, Delivery, Limits, NewRecord, Sender, SenderConfig,
};
use ottla_protocol::records::Compression;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use topics::{Topic, Topics};

/// Sends records. Cheap to clone; every clone is the same producer, for any number of threads and
/// tasks.
///
/// Idempotent by default: each record is written once and in order per partition, whatever is
/// retried. A failure says whether the record may have been written all the same
/// ([`Error::possibly_written`]).
///
/// When the last clone is dropped without [`close`](Producer::close), records on their way are
/// still sent while the runtime runs; nobody is told how that ends. Call `close`, or `flush`,
/// before the program ends.
///
/// ```
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// # let folder = tempfile::tempdir()?;
/// # let config = ottla_broker::Config::dev().set("listeners", "PLAINTEXT://127.0.0.1:0")?;
/// # let config = config.set("log.dirs", folder.path().to_str().ok_or("a plain path")?)?;
/// # let broker = ottla_broker::Broker::start(config).await?;
/// # let address = broker.addr();
/// use ottla::{Compression, Producer, Record};
///
/// let producer = Producer::builder()
///     .bootstrap_servers(address)
///     .compression(Compression::Zstd)
///     .build()
///     .await?;
/// let delivery = producer.send(Record::to("flights").key("UA").value(b"UA1545,IAH")).await?;
/// let written = delivery.await?;
/// println!("partition {} offset {}", written.partition, written.offset);
/// producer.close().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Producer {
    shared: Arc<Shared>,
    /// Its drop is that of the last clone.
    _guard: Arc<Guard>,
}

struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.is_dropped.store(true, Ordering::SeqCst);
        self.0.wake.notify_one();
    }
}

/// What the handles and the task share.
struct Shared {
    network: Network,
    accumulator: Arc<Accumulator>,
    sender: Mutex<Sender>,
    topics: ArcSwap<Topics>,
    /// Topics that were not used for long. Changed under the sender's lock.
    parked: Mutex<Topics>,
    metadata_idle_max: Duration,
    partitioning: Partitioning,
    seed: u64,
    max_block: Duration,
    delivery_timeout: Duration,
    /// Wakes the task: a batch is ready, somebody flushes, the producer closes.
    wake: Notify,
    /// Wakes those who wait for memory.
    memory_freed: Notify,
    is_closed: AtomicBool,
    is_dropped: AtomicBool,
}

/// What a record has to wait for.
enum Wait {
    Topic,
    Memory,
}

impl Producer {
    /// Begins a configuration.
    pub fn builder() -> ProducerBuilder {
        ProducerBuilder::default()
    }

    /// A producer of this configuration.
    ///
    /// # Errors
    ///
    /// As [`ProducerBuilder::build`].
    pub async fn from_config(config: Config) -> Result<Self, Error> {
        Self::builder().config(config).build().await
    }

    fn start(
        network: Network,
        config: &ProducerConfig,
        partitioner: Option<Arc<dyn Partitioner>>,
    ) -> Self {
        let seed = network.config().seed;
        let accumulator = Arc::new(Accumulator::new(Limits {
            batch_bytes_max: config.batch_size_bytes.min(config.max_request_size_bytes),
            record_bytes_max: config.max_request_size_bytes,
            memory_bytes_max: config.buffer_memory_bytes,
        }));
        let mut sender = Sender::new(sender_config(config, seed), accumulator.clone());
        sender.handle_metadata(network.metadata());
        let mut partitioning = Partitioning::of(config);
        if let Some(partitioner) = partitioner {
            partitioning = partitioning.custom(partitioner);
        }
        let shared = Arc::new(Shared {
            network,
            accumulator,
            sender: Mutex::new(sender),
            topics: ArcSwap::default(),
            parked: Mutex::default(),
            metadata_idle_max: config.metadata_max_idle,
            partitioning,
            seed,
            max_block: config.max_block,
            delivery_timeout: config.delivery_timeout,
            wake: Notify::new(),
            memory_freed: Notify::new(),
            is_closed: AtomicBool::new(false),
            is_dropped: AtomicBool::new(false),
        });
        tokio::spawn(driver::run(shared.clone()));
        Self { _guard: Arc::new(Guard(shared.clone())), shared }
    }

    /// Appends a record to its partition's open batch. When it returns, the record is encoded and
    /// on its way; the [`Delivery`] tells how it ends. It waits only for memory (`buffer.memory`)
    /// and for a topic that is not known yet, at most `max.block.ms`. Records of one task are sent
    /// in the order of their calls.
    ///
    /// Dropping the future before it is ready means that the record is not sent.
    ///
    /// # Errors
    ///
    /// `Invalid` for a record that is too large or a partition that does not exist; `NotFound` for
    /// a topic that does not exist within `max.block.ms`; `Timeout` when memory does not become
    /// free; `Closed`. The record was not sent in any of these.
    pub async fn send(&self, record: Record<'_>) -> Result<Delivery, Error> {
        // Gives way now and then, so that a loop of sends does not starve the runtime's other
        // tasks. Before the append: a future that is dropped here has sent nothing.
        tokio::task::coop::consume_budget().await;
        match self.shared.append(&record)? {
            Ok(delivery) => Ok(delivery),
            Err(wait) => {
                let deadline = tokio::time::Instant::now() + self.shared.max_block;
                self.shared.append_later(&record, wait, deadline).await
            }
        }
    }

    /// As [`send`](Self::send), for a record that waited for its turn since `entered`, such as in a
    /// queue of the caller's: `max.block.ms` counts from then.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_since(
        &self,
        record: Record<'_>,
        entered: Instant,
    ) -> Result<Delivery, Error> {
        tokio::task::coop::consume_budget().await;
        match self.shared.append(&record)? {
            Ok(delivery) => Ok(delivery),
            Err(wait) => {
                let deadline = tokio::time::Instant::from_std(entered) + self.shared.max_block;
                self.shared.append_later(&record, wait, deadline).await
            }
        }
    }

    /// As [`send`](Self::send), without waiting.
    ///
    /// # Errors
    ///
    /// `Full` where it would have to wait; the rest as `send`.
    pub fn try_send(&self, record: Record<'_>) -> Result<Delivery, Error> {
        match self.shared.append(&record)? {
            Ok(delivery) => Ok(delivery),
            Err(wait) => {
                let what = match wait {
                    Wait::Memory => "buffer.memory is used up: wait for deliveries",
                    Wait::Topic => "the topic's metadata is not known yet",
                };
                self.shared.network.want_topics(&[record.topic.to_owned()]);
                Err(Error::new(ErrorKind::Full, what))
            }
        }
    }

    /// How many partitions a topic has; waits for its metadata, at most `max.block.ms`.
    ///
    /// # Errors
    ///
    /// `NotFound`, `Timeout` and `Closed` as [`send`](Self::send).
    pub async fn partition_count(&self, topic: &str) -> Result<usize, Error> {
        let deadline = tokio::time::Instant::now() + self.shared.max_block;
        let topic = self.shared.find_topic(topic, deadline).await?;
        Ok(topic.set.load().buffers.len())
    }

    /// Waits until every record that was sent before has been acknowledged or has failed; nothing
    /// lingers meanwhile.
    ///
    /// # Errors
    ///
    /// None of the records': those are told by their deliveries. Only a producer that can do no
    /// more fails.
    pub async fn flush(&self) -> Result<(), Error> {
        let shared = &self.shared;
        let _urgent = Flushing::begin(shared);
        for completion in shared.incomplete() {
            std::future::poll_fn(|context| completion.poll_done(context)).await;
        }
        match lock_sender(shared).fatal() {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Refuses new records, waits for those on their way (at most `delivery.timeout.ms`), and ends
    /// the connections.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub async fn close(&self) -> Result<(), Error> {
        self.close_within(self.shared.delivery_timeout).await
    }

    /// As [`close`](Self::close), waiting no longer than this: what is left then fails with
    /// `Closed`.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush), and `Timeout` where records were left.
    pub async fn close_within(&self, timeout: Duration) -> Result<(), Error> {
        self.shared.accumulator.close();
        let flushed = tokio::time::timeout(timeout, self.flush()).await;
        self.shared.is_closed.store(true, Ordering::SeqCst);
        self.shared.wake.notify_one();
        flushed.unwrap_or_else(|_| {
            let limit_ms = timeout.as_millis();
            let text = format!("records were left after {limit_ms} ms; their deliveries say so");
            Err(Error::new(ErrorKind::Timeout, text))
        })
    }

    /// Bytes of `buffer.memory` that are in use.
    pub fn memory_used(&self) -> u64 {
        self.shared.accumulator.memory_used()
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("memory_used", &self.memory_used()).finish_non_exhaustive()
    }
}

/// While it lives nothing lingers.
struct Flushing<'a>(&'a Shared);

impl<'a> Flushing<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.accumulator.begin_flush();
        shared.wake.notify_one();
        Self(shared)
    }
}

impl Drop for Flushing<'_> {
    fn drop(&mut self) {
        self.0.accumulator.end_flush();
    }
}

impl Shared {
    /// Appends where topic and memory are at hand.
    fn append(&self, record: &Record<'_>) -> Result<Result<Delivery, Wait>, Error> {
        let topics = self.topics.load();
        let Some(topic) = topics.get(record.topic) else { return Ok(Err(Wait::Topic)) };
        let set = topic.set.load();
        let partitions = set.partitions();
        let unplaced = Unplaced { topic: record.topic, key: record.key, value: record.value };
        let placement =
            record.partition.is_none().then(|| topic.partitioner.place(unplaced, partitions));
        let index = match placement {
            Some(placement) => placement.partition as usize,
            None => usize::try_from(record.partition.unwrap_or(-1)).unwrap_or(usize::MAX),
        };
        let Some(buffer) = set.buffers.get(index) else {
            return Err(no_such_partition(record, index, set.buffers.len()));
        };
        let new = NewRecord {
            timestamp: record.timestamp_or_now(),
            key: record.key,
            value: record.value,
            headers: &record.headers,
        };
        let now = || {
            let now = self.network.now();
            topic.note_use(now);
            now
        };
        match buffer.append(new, now) {
            Ok(appended) => {
                if topic.is_parked() {
                    self.unpark(record.topic);
                }
                if appended.wake_sender {
                    self.wake.notify_one();
                }
                if let Some(placement) = placement.filter(|placement| placement.sticky) {
                    let (bytes, full) = (appended.bytes, appended.is_batch_full);
                    topic.partitioner.on_appended(placement, bytes, full, partitions);
                }
                Ok(Ok(appended.delivery))
            }
            Err(AppendError::Full) => Ok(Err(Wait::Memory)),
            Err(AppendError::Refused(error)) => Err(error),
        }
    }

    /// Appends after waiting for what was missing.
    #[inline(never)]
    async fn append_later(
        &self,
        record: &Record<'_>,
        first: Wait,
        deadline: tokio::time::Instant,
    ) -> Result<Delivery, Error> {
        let mut wait = first;
        loop {
            match wait {
                Wait::Topic => drop(self.find_topic(record.topic, deadline).await?),
                Wait::Memory => {
                    let freed = self.memory_freed.notified();
                    tokio::pin!(freed);
                    // Registered before the next attempt, so that memory freed in between is not
                    // missed.
                    freed.as_mut().enable();
                    self.accumulator.set_starving();
                    self.wake.notify_one();
                    match self.append(record)? {
                        Ok(delivery) => return Ok(delivery),
                        Err(Wait::Topic) => {}
                        Err(Wait::Memory) => {
                            let late = tokio::time::timeout_at(deadline, freed).await.is_err();
                            if late {
                                return Err(self.no_memory());
                            }
                        }
                    }
                }
            }
            match self.append(record)? {
                Ok(delivery) => return Ok(delivery),
                Err(next) => wait = next,
            }
        }
    }

    /// Waits until the metadata has the topic.
    async fn find_topic(
        &self,
        name: &str,
        deadline: tokio::time::Instant,
    ) -> Result<Arc<Topic>, Error> {
        loop {
            let metadata = self.network.metadata();
            if let Some(topic) = self.add_topic(name) {
                return Ok(topic);
            }
            if self.is_closed.load(Ordering::SeqCst) {
                return Err(Error::new(
                    ErrorKind::Closed,
                    "the producer is closed: make a new one",
                ));
            }
            let error = metadata.topic(name).and_then(|topic| topic.error);
            if let Some(code) = error.filter(|code| !code.is_retriable()) {
                let context = format!("cannot send to topic \"{name}\"");
                return Err(Error::from_code(code, context));
            }
            self.network.request_metadata_refresh();
            let newer = self.network.metadata_newer_than(metadata.version());
            if tokio::time::timeout_at(deadline, newer).await.is_err() {
                return Err(self.unknown_topic(name, error.is_some()));
            }
        }
    }

    fn unknown_topic(&self, name: &str, answered: bool) -> Error {
        let limit_ms = self.max_block.as_millis();
        if answered {
            return Error::new(
                ErrorKind::NotFound,
                format!(
                    "topic \"{name}\" does not exist, and was not created within max.block.ms \
                     ({limit_ms} ms): create it, or correct the name"
                ),
            );
        }
        Error::new(
            ErrorKind::Timeout,
            format!(
                "no metadata for topic \"{name}\" within max.block.ms ({limit_ms} ms): check that \
                 the brokers can be reached"
            ),
        )
    }

    fn no_memory(&self) -> Error {
        let (limit_ms, used) = (self.max_block.as_millis(), self.accumulator.memory_used());
        Error::new(
            ErrorKind::Timeout,
            format!(
                "no memory for the record within max.block.ms ({limit_ms} ms): {used} bytes of \
                 buffer.memory wait for the brokers; send less, or raise buffer.memory"
            ),
        )
    }

    /// Every batch that is not done.
    fn incomplete(&self) -> Vec<Arc<BatchCompletion>> {
        let (topics, parked) = (self.topics.load(), crate::network::lock(&self.parked).clone());
        let sets = topics.values().chain(parked.values()).map(|topic| topic.set.load_full());
        sets.flat_map(|set| set.buffers.clone()).flat_map(|buffer| buffer.incomplete()).collect()
    }
}

fn lock_sender(shared: &Shared) -> std::sync::MutexGuard<'_, Sender> {
    crate::network::lock(&shared.sender)
}

#[cold]
fn no_such_partition(record: &Record<'_>, index: usize, count: usize) -> Error {
    let wanted = record.partition.map_or(index as i64, i64::from);
    let topic = record.topic;
    Error::new(
        ErrorKind::Invalid,
        format!("topic \"{topic}\" has no partition {wanted}: its {count} partitions begin at 0"),
    )
}

fn sender_config(config: &ProducerConfig, seed: u64) -> SenderConfig {
    SenderConfig {
        acks: config.acks.code(),
        is_idempotent: config.enable_idempotence,
        in_flight_max: config.max_in_flight_requests_per_connection as usize,
        retries: config.retries,
        delivery_timeout: config.delivery_timeout,
        request_timeout: config.common.request_timeout,
        retry_backoff: (config.common.retry_backoff, config.common.retry_backoff_max),
        linger: config.linger,
        request_bytes_max: config.max_request_size_bytes,
        compression: match config.compression {
            CompressionType::None => Compression::None,
            CompressionType::Gzip => Compression::Gzip,
            CompressionType::Snappy => Compression::Snappy,
            CompressionType::Lz4 => Compression::Lz4,
            CompressionType::Zstd => Compression::Zstd,
        },
        compression_level: config.compression_level,
        availability_timeout: config.partitioner_availability_timeout,
        seed,
    }
}
