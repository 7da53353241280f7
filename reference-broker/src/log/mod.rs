//! The partition log: segments of record batches on disk, in Kafka's own file names and formats.
//!
//! In reading order: [`storage`] (the file system as a trait), `walk` (batches of a file), `index`,
//! `offset_index`, `time_index`, `segment`, [`epoch_cache`], [`producer_state`],
//! [`producer_snapshot`], [`checkpoint`], [`log_dir`] (what the partitions of a folder share),
//! `recovery`, `partition_log` (the [`Log`]), `follower`, `truncate`, `read`, `flush`, `lookup` (by
//! timestamp), `retention`, `compaction` with `cleaner`, `scrub` with `segment_sum`, [`manager`]
//! (all logs of all folders).
//!
//! Everything here is synchronous and knows no socket and no request. Only compaction
//! re-encodes a batch.

pub mod checkpoint;
mod cleaner;
mod compaction;
mod config;
pub mod epoch_cache;
mod error;
mod flush;
mod follower;
mod index;
pub mod log_dir;
mod lookup;
pub mod manager;
mod offset_index;
mod partition_log;
pub mod producer_snapshot;
pub mod producer_state;
mod read;
mod recovery;
mod retention;
mod scrub;
mod segment;
mod segment_sum;
mod time_index;
mod truncate;
mod walk;

pub use checkpoint::TopicPartition;
pub use compaction::{Compacted, Compaction, CompactionReport};
pub use config::LogConfig;
pub use epoch_cache::{EpochEntry, LeaderEpochCache};
pub use error::{LogError, Result};
pub use flush::FlushTask;
pub use log_dir::LogDir;
pub use lookup::FoundOffset;
pub use manager::LogManager;
pub use ottla_raft::storage::{self, RealStorage, Storage, StorageFile};
pub use partition_log::{AppendInfo, Log};
pub use producer_state::{Check, ProducerState};
pub use read::{FetchData, ReadPlan};
pub use recovery::{RecoveryReport, Startup};
pub use retention::Deleted;
pub use scrub::{Scrub, Scrubbed};
pub use time_index::TimestampOffset;
pub use truncate::Damage;
