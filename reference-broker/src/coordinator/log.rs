//! Where the coordinator keeps its records: the partitions of `__consumer_offsets`, behind a trait.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use ottla_protocol::ErrorCode;

use super::record::Record;

/// A future that can be handed to another task.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Records of a partition, as [`OffsetsLog::read`] gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogChunk {
    /// Offset, key and value of each record, in offset order. Records without a key, and those of
    /// control batches, are left out.
    pub records: Vec<(i64, Bytes, Option<Bytes>)>,
    /// Where to go on, or none at the end.
    pub next_offset: Option<i64>,
}

/// The partitions of `__consumer_offsets` that this broker may lead.
pub trait OffsetsLog: Send + Sync + 'static {
    /// How many partitions the topic has; it never changes, since groups would move.
    fn partition_count(&self) -> i32;

    /// Appends `records` as one batch of `partition`, created at `timestamp_ms`. The place in the
    /// log is taken before this returns, so that the order of calls is the order of records. The
    /// future gives the offset of the first record once the high watermark is past the last one.
    ///
    /// An error says that the records are not in the log and never will be: 6 or 74 where the
    /// partition is not led under `leader_epoch`, 56 for a broken disk, 10 for too much at once.
    /// Where leadership is lost while the append waits, its fate is unknown: the coordinator is
    /// told to resign, and the result no longer matters (M8).
    fn append(
        &self,
        partition: i32,
        leader_epoch: i32,
        timestamp_ms: i64,
        records: Vec<Record>,
    ) -> BoxFuture<Result<i64, ErrorCode>>;

    /// Reads on from `offset`, or from the first offset where the log starts later. The end is the
    /// log's end offset at the time, and is reported only once the high watermark has reached it:
    /// what a coordinator has loaded is committed (M16).
    fn read(
        &self,
        partition: i32,
        leader_epoch: i32,
        offset: i64,
    ) -> BoxFuture<Result<LogChunk, ErrorCode>>;
}

/// A log in memory, for tests of the coordinator: what is appended is committed at once.
#[derive(Debug)]
pub struct MemoryLog {
    partitions: Vec<Mutex<Vec<Record>>>,
}

impl MemoryLog {
    /// A log with this many empty partitions.
    #[must_use]
    pub fn new(partition_count: usize) -> Self {
        Self { partitions: (0..partition_count).map(|_| Mutex::default()).collect() }
    }

    /// All records of a partition, oldest first.
    #[must_use]
    pub fn records(&self, partition: i32) -> Vec<Record> {
        let partition = usize::try_from(partition).ok().and_then(|at| self.partitions.get(at));
        let records = partition.map(|records| records.lock());
        records
            .map(|records| records.unwrap_or_else(PoisonError::into_inner).clone())
            .unwrap_or_default()
    }

    fn append_now(&self, partition: i32, records: Vec<Record>) -> Result<i64, ErrorCode> {
        let at = usize::try_from(partition).map_err(|_| ErrorCode::UnknownTopicOrPartition)?;
        let log = self.partitions.get(at).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let base = log.len();
        log.extend(records);
        Ok(i64::try_from(base).expect("invariant: a length fits"))
    }
}

impl OffsetsLog for MemoryLog {
    fn partition_count(&self) -> i32 {
        i32::try_from(self.partitions.len()).expect("invariant: few partitions")
    }

    fn append(
        &self,
        partition: i32,
        _leader_epoch: i32,
        _timestamp_ms: i64,
        records: Vec<Record>,
    ) -> BoxFuture<Result<i64, ErrorCode>> {
        let result = self.append_now(partition, records);
        Box::pin(std::future::ready(result))
    }

    fn read(
        &self,
        partition: i32,
        _leader_epoch: i32,
        offset: i64,
    ) -> BoxFuture<Result<LogChunk, ErrorCode>> {
        let skip = usize::try_from(offset).unwrap_or(0);
        let records =
            self.records(partition).into_iter().enumerate().skip(skip).map(|(at, record)| {
                (i64::try_from(at).unwrap_or(i64::MAX), record.key, record.value)
            });
        let chunk = LogChunk { records: records.collect(), next_offset: None };
        Box::pin(std::future::ready(Ok(chunk)))
    }
}
