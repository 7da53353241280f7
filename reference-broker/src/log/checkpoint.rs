//! Kafka's small text files: checkpoints of a log dir and `partition.metadata`.
//!
//! A checkpoint is a version line (0), a count line and as many lines of content. All are written
//! by `storage::write_atomically`; a file that is empty or does not parse counts as
//! missing (M18).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::Uuid;

use super::error::{LogError, Result};
use super::storage::{Storage, read_small, write_atomically};

/// A topic's name and a partition's index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: String,
    /// The partition's index.
    pub partition: i32,
}

impl TopicPartition {
    /// Puts the two together.
    pub fn new(topic: impl Into<String>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }

    /// The partition's folder in its log dir: `topic-partition`.
    pub fn dir_name(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }

    /// The reverse; `None` for the name of anything else.
    pub fn from_dir_name(name: &str) -> Option<Self> {
        let (topic, partition) = name.rsplit_once('-')?;
        let partition: i32 = partition.parse().ok()?;
        let canonical = partition >= 0 && !topic.is_empty() && !topic.contains('/');
        let result = Self::new(topic, partition);
        (canonical && result.dir_name() == name).then_some(result)
    }
}

impl std::fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// The content lines of a checkpoint; `None` when it is not one.
pub(crate) fn parse_lines(bytes: &[u8]) -> Option<Vec<&str>> {
    let mut lines = std::str::from_utf8(bytes).ok()?.lines();
    if lines.next()?.trim() != "0" {
        return None;
    }
    let count: usize = lines.next()?.trim().parse().ok()?;
    let content: Vec<&str> = lines.take(count).collect();
    (content.len() == count).then_some(content)
}

/// A checkpoint's bytes.
pub(crate) fn format_lines(lines: impl ExactSizeIterator<Item = String>) -> Vec<u8> {
    let mut text = format!("0\n{}\n", lines.len());
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text.into_bytes()
}

/// A checkpoint that maps partitions to offsets: recovery points, high watermarks, log start
/// offsets.
#[derive(Debug, Clone)]
pub struct OffsetCheckpoint {
    storage: Arc<dyn Storage>,
    path: PathBuf,
}

impl OffsetCheckpoint {
    /// The checkpoint in that file, which need not exist.
    pub fn new(storage: Arc<dyn Storage>, path: PathBuf) -> Self {
        Self { storage, path }
    }

    /// Reads all entries; empty when the file is missing or no checkpoint.
    pub fn read(&self) -> Result<BTreeMap<TopicPartition, i64>> {
        let bytes =
            read_small(&*self.storage, &self.path).map_err(LogError::io("read", &self.path))?;
        let lines = bytes.as_deref().and_then(parse_lines).unwrap_or_default();
        Ok(lines.into_iter().filter_map(parse_offset_line).collect())
    }

    /// Replaces all entries, durably.
    pub fn write(&self, offsets: &BTreeMap<TopicPartition, i64>) -> Result<()> {
        let lines =
            offsets.iter().map(|(of, offset)| format!("{} {} {offset}", of.topic, of.partition));
        write_atomically(&*self.storage, &self.path, &format_lines(lines))
            .map_err(LogError::io("write", &self.path))
    }
}

fn parse_offset_line(line: &str) -> Option<(TopicPartition, i64)> {
    let mut fields = line.split_whitespace();
    let topic = fields.next()?;
    let partition = fields.next()?.parse().ok()?;
    let offset = fields.next()?.parse().ok()?;
    Some((TopicPartition::new(topic, partition), offset))
}

/// The name of the file that carries a partition's topic id (M18).
pub const PARTITION_METADATA: &str = "partition.metadata";

/// Reads the topic id of a partition's folder; `None` when there is none.
pub fn read_topic_id(storage: &dyn Storage, dir: &Path) -> Result<Option<Uuid>> {
    let path = dir.join(PARTITION_METADATA);
    let bytes = read_small(storage, &path).map_err(LogError::io("read", &path))?;
    let Some(text) = bytes.and_then(|bytes| String::from_utf8(bytes).ok()) else {
        return Ok(None);
    };
    let id = text.lines().find_map(|line| line.strip_prefix("topic_id:"));
    Ok(id.and_then(|id| id.trim().parse().ok()))
}

/// Writes the topic id of a partition's folder, durably.
pub fn write_topic_id(storage: &dyn Storage, dir: &Path, id: Uuid) -> io::Result<()> {
    let text = format!("version: 0\ntopic_id: {id}");
    write_atomically(storage, &dir.join(PARTITION_METADATA), text.as_bytes())
}
