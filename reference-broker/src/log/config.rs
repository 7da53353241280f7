//! The settings of a partition's log, by Kafka's names with `_` for `.`.

use ottla_protocol::records::TimestampType;

/// The settings of a log. Times in milliseconds, sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment is rolled before it grows beyond this; at most 2^31 - 1.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment is rolled when its first record is this old.
    pub segment_ms: i64,
    /// `index.interval.bytes`: a batch is indexed after at least so many bytes without an entry.
    pub index_interval_bytes: u32,
    /// `segment.index.bytes`: an index that is full rolls the segment.
    pub segment_index_bytes: u32,
    /// `retention.ms`; -1: for ever.
    pub retention_ms: i64,
    /// `retention.bytes` of the partition; -1: without limit.
    pub retention_bytes: i64,
    /// `flush.messages`: after how many records [`super::Log::flush_due`] says so.
    pub flush_messages: u64,
    /// `flush.ms`: after how long [`super::Log::flush_due`] says so.
    pub flush_ms: i64,
    /// `cleanup.policy` holds `delete`: retention applies.
    pub cleanup_delete: bool,
    /// `cleanup.policy` holds `compact`: recovery accepts gaps between offsets.
    pub cleanup_compact: bool,
    /// `min.cleanable.dirty.ratio`, in millionths.
    pub min_cleanable_dirty_ppm: u32,
    /// `min.compaction.lag.ms`.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`.
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`: for how long a compacted tombstone stays.
    pub delete_retention_ms: i64,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i64,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            index_interval_bytes: 4096,
            segment_index_bytes: 10 << 20,
            retention_ms: 7 * 24 * 3_600_000,
            retention_bytes: -1,
            flush_messages: u64::MAX,
            flush_ms: i64::MAX,
            cleanup_delete: true,
            cleanup_compact: false,
            min_cleanable_dirty_ppm: 500_000,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: 24 * 3_600_000,
            timestamp_type: TimestampType::CreateTime,
            producer_id_expiration_ms: 24 * 3_600_000,
        }
    }
}
