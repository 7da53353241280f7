//! `__consumer_offsets` as the group coordinator sees it: appends that are done when they are
//! committed, and a load that shows only what is committed (M16).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::records::{
    BatchBuilder, BatchFields, BatchIter, Compressor, Decompressor, Origin,
};

use super::now_ms;
use crate::coordinator::log::{BoxFuture, LogChunk};
use crate::coordinator::record::Record;
use crate::coordinator::{OFFSETS_TOPIC, OffsetsLog};
use crate::partition::{Appended, Partition, Partitions, ReadLimit};
use crate::planted::{self, Bug};
use crate::quorum::MetadataLog;

/// How much of a partition is read at once while it is loaded.
const LOAD_BYTES: usize = 1 << 20;
/// The coordinator has a timer of its own and answers 15 when it ends; what is in the log may
/// commit later yet, and an error here would say that it never will.
const COMMIT_PATIENCE: Duration = LOAD_PATIENCE;
/// A load waits for the high watermark as long as it takes.
const LOAD_PATIENCE: Duration = Duration::from_secs(3600);

/// The partitions of `__consumer_offsets` on this broker.
#[derive(Debug)]
pub(crate) struct OffsetsTopic {
    metadata: Arc<dyn MetadataLog>,
    partitions: Arc<Partitions>,
    partition_count: i32,
}

impl OffsetsTopic {
    /// Over the topic as it is, or as it will be made.
    pub(crate) fn new(
        metadata: Arc<dyn MetadataLog>,
        partitions: Arc<Partitions>,
        configured_count: i32,
    ) -> Self {
        let existing =
            metadata.image().topics.get(OFFSETS_TOPIC).map(|topic| topic.partitions.len());
        let partition_count =
            existing.and_then(|count| i32::try_from(count).ok()).unwrap_or(configured_count);
        Self { metadata, partitions, partition_count }
    }

    fn led(&self, index: i32, leader_epoch: i32) -> Result<Arc<Partition>, ErrorCode> {
        let image = self.metadata.image();
        let partition = (image.topics.get(OFFSETS_TOPIC))
            .and_then(|topic| self.partitions.get(topic.id, index).ok())
            .ok_or(ErrorCode::NotLeaderOrFollower)?;
        if partition.leader_epoch() != leader_epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        Ok(partition)
    }

    fn append_now(
        &self,
        index: i32,
        leader_epoch: i32,
        timestamp_ms: i64,
        records: &[Record],
    ) -> Result<(Arc<Partition>, Appended), ErrorCode> {
        let partition = self.led(index, leader_epoch)?;
        let mut builder = BatchBuilder::new(1024);
        for record in records {
            builder
                .append(timestamp_ms, Some(&record.key), record.value.as_deref(), &[])
                .map_err(|_| ErrorCode::MessageTooLarge)?;
        }
        let batch = builder
            .finish(&BatchFields::default(), &mut Compressor::new())
            .map_err(|_| ErrorCode::MessageTooLarge)?;
        let appended = partition
            .append(batch, Origin::Coordinator, true, now_ms())
            .map_err(|error| error.code)?;
        Ok((partition, appended))
    }
}

impl OffsetsLog for OffsetsTopic {
    fn partition_count(&self) -> i32 {
        self.partition_count
    }

    fn append(
        &self,
        partition: i32,
        leader_epoch: i32,
        timestamp_ms: i64,
        records: Vec<Record>,
    ) -> BoxFuture<Result<i64, ErrorCode>> {
        let appended = self.append_now(partition, leader_epoch, timestamp_ms, &records);
        Box::pin(async move {
            let (partition, appended) = appended?;
            if !planted::has(Bug::EarlyCommit) {
                partition.committed(appended.last_offset, COMMIT_PATIENCE).await?;
            }
            Ok(appended.base_offset)
        })
    }

    fn read(
        &self,
        partition: i32,
        leader_epoch: i32,
        offset: i64,
    ) -> BoxFuture<Result<LogChunk, ErrorCode>> {
        let led = self.led(partition, leader_epoch);
        Box::pin(async move { read_chunk(&*led?, offset).await })
    }
}

async fn read_chunk(partition: &Partition, offset: i64) -> Result<LogChunk, ErrorCode> {
    let offset = offset.max(partition.log_start_offset());
    let read = partition.read(offset, LOAD_BYTES, ReadLimit::LogEnd, true)?;
    if read.records.is_empty() {
        // M16: the end counts only once it is committed.
        partition.committed(read.next_offset - 1, LOAD_PATIENCE).await?;
        return Ok(LogChunk::default());
    }
    let records = parse(read.records).map_err(|reason| {
        tracing::error!(?partition, offset, %reason, "unreadable records");
        ErrorCode::CorruptMessage
    })?;
    Ok(LogChunk { records, next_offset: Some(read.next_offset) })
}

type Parsed = Vec<(i64, Bytes, Option<Bytes>)>;

fn parse(batches: Bytes) -> Result<Parsed, ottla_protocol::records::RecordError> {
    let mut decompressor = Decompressor::new();
    let mut parsed = Vec::new();
    for batch in BatchIter::new(batches) {
        let batch = batch?;
        if batch.header().is_control() {
            continue;
        }
        let records = batch.records(&mut decompressor)?;
        for record in records.iter() {
            let record = record?;
            if let Some(key) = record.key {
                let value = record.value.map(Bytes::copy_from_slice);
                parsed.push((record.offset, Bytes::copy_from_slice(key), value));
            }
        }
    }
    Ok(parsed)
}
