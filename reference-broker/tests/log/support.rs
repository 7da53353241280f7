//! Batches and logs for the tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use ottla_broker::log::{Log, LogConfig, LogDir, RecoveryReport, Startup, TopicPartition};
use ottla_faulty_storage::FaultyStorage;
use ottla_protocol::records::{
    BatchBuilder, BatchFields, BatchHeader, BatchIter, Compressor, Decompressor,
};

/// The clock of the tests: 2026-01-01.
pub(crate) const NOW_MS: i64 = 1_767_225_600_000;

/// Where the logs are.
pub(crate) fn root() -> PathBuf {
    PathBuf::from("/data")
}

/// The partition of the tests.
pub(crate) fn partition() -> TopicPartition {
    TopicPartition::new("flights", 0)
}

/// A path in the partition's folder.
pub(crate) fn file(name: &str) -> PathBuf {
    root().join("flights-0").join(name)
}

/// The path of the segment with that base offset.
pub(crate) fn segment(base: i64) -> PathBuf {
    file(&format!("{base:020}.log"))
}

/// Small segments and a dense index, so that little data exercises much.
pub(crate) fn small() -> LogConfig {
    LogConfig {
        segment_bytes: 2000,
        index_interval_bytes: 200,
        retention_ms: -1,
        ..LogConfig::default()
    }
}

/// A batch of records with those timestamps; each value names its record.
pub(crate) fn batch_at(timestamps: &[i64], fields: &BatchFields) -> Bytes {
    let mut builder = BatchBuilder::new(1024);
    for (index, timestamp) in timestamps.iter().enumerate() {
        let value = format!("value-{index:03}-of-{}", timestamps.len());
        builder.append(*timestamp, Some(b"key"), Some(value.as_bytes()), &[]).unwrap();
    }
    builder.finish(fields, &mut Compressor::new()).unwrap()
}

/// A batch of `count` records of now.
pub(crate) fn batch(count: usize) -> Bytes {
    batch_at(&vec![NOW_MS; count], &BatchFields::default())
}

/// A batch of `count` records by an idempotent producer.
pub(crate) fn batch_by(
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    count: usize,
) -> Bytes {
    let fields =
        BatchFields { producer_id, producer_epoch, base_sequence, ..BatchFields::default() };
    batch_at(&vec![NOW_MS; count], &fields)
}

/// The header of a batch.
pub(crate) fn header(batch: &Bytes) -> BatchHeader {
    BatchHeader::parse(batch).unwrap()
}

/// Opens the log on that disk.
pub(crate) fn open(
    storage: &FaultyStorage,
    config: &LogConfig,
    startup: Startup,
) -> (Log, RecoveryReport) {
    try_open(storage, config, startup).unwrap()
}

/// Opens the log on that disk, or says why not.
pub(crate) fn try_open(
    storage: &FaultyStorage,
    config: &LogConfig,
    startup: Startup,
) -> ottla_broker::log::Result<(Log, RecoveryReport)> {
    let log_dir = LogDir::open(&root(), Arc::new(storage.clone()))?;
    Log::open_in(&log_dir, partition(), config.clone(), startup)
}

/// A log on a new disk.
pub(crate) fn fresh(config: &LogConfig) -> (FaultyStorage, Log) {
    let storage = FaultyStorage::new(NOW_MS);
    let (log, _) = open(&storage, config, Startup::AfterCrash);
    (storage, log)
}

/// Appends as a leader of epoch 0.
pub(crate) fn append(log: &mut Log, batch: &Bytes) -> i64 {
    let end = log.log_end_offset();
    log.append(batch, end, 0).unwrap().base_offset
}

/// Everything in the log, batch by batch: (base offset, next offset, bytes after the stamped header
/// fields).
pub(crate) fn contents(log: &Log) -> Vec<(i64, i64, Bytes)> {
    let mut result = Vec::new();
    let mut offset = log.log_start_offset();
    loop {
        let data = log.read(offset, 1000, log.log_end_offset(), true).unwrap();
        if data.records.is_empty() {
            assert_eq!(offset, log.log_end_offset(), "the read stopped in the middle");
            return result;
        }
        for batch in BatchIter::new(data.records) {
            let batch = batch.unwrap();
            batch.verify_crc().unwrap();
            assert!(batch.records(&mut Decompressor::new()).is_ok());
            let header = batch.header();
            result.push((header.base_offset, header.next_offset(), batch.bytes().slice(16..)));
        }
        offset = data.next_offset;
    }
}

/// The names in the partition's folder.
pub(crate) fn names(storage: &FaultyStorage, dir: &Path) -> Vec<String> {
    use ottla_broker::log::Storage;
    storage.read_dir(dir).unwrap().into_iter().map(|entry| entry.name).collect()
}
