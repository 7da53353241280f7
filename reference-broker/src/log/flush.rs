//! Making a log durable: prepared under the log's lock, carried out without it, completed under it
//! again.

use std::path::PathBuf;
use std::sync::Arc;

use super::error::Result;
use super::log_dir::LogDir;
use super::storage::StorageFile;

/// What has to be synced so that everything below [`FlushTask::end_offset`] is durable. Several
/// partitions' tasks can be run by one thread, one after the other, while their logs take further
/// appends.
#[derive(Debug)]
#[must_use = "nothing is durable before the task was run"]
pub struct FlushTask {
    pub(super) log_dir: Arc<LogDir>,
    pub(super) files: Vec<(PathBuf, Arc<dyn StorageFile>)>,
    /// Folders with names that were not synced yet.
    pub(super) dirs: Vec<PathBuf>,
    pub(super) end_offset: i64,
    /// Bumped by every truncation: an outcome of before is void.
    pub(super) generation: u64,
    /// Bumped by every change of names: a later one is not synced by this task.
    pub(super) names_changed: u64,
}

impl FlushTask {
    /// The offset below which everything is durable once [`Self::run`] has succeeded.
    pub fn end_offset(&self) -> i64 {
        self.end_offset
    }

    /// Syncs. A failure takes the log dir out of service: it is not known what was written, and a
    /// second sync would not tell.
    pub fn run(&self) -> Result<()> {
        self.log_dir.check()?;
        for (path, file) in &self.files {
            file.sync().map_err(|error| self.log_dir.fail("flush", path, &error))?;
        }
        for dir in &self.dirs {
            let synced = self.log_dir.storage().sync_dir(dir);
            synced.map_err(|error| self.log_dir.fail("flush", dir, &error))?;
        }
        Ok(())
    }
}
