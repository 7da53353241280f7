//! What can go wrong in a partition log, by who has to act.

use std::io;
use std::path::{Path, PathBuf};

/// An error of the log. Every message names the file or folder and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// An operation of the file system failed in a way that leaves the log usable (reading a
    /// missing file, say).
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The disk is full. What was being written was taken away again, nothing of it is
    /// acknowledged, and the log takes appends again as soon as there is space.
    #[error(
        "cannot write {}: no space left on the device; free some space or lower \
         retention.bytes, and retry",
        path.display()
    )]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// A write or a flush failed (EIO and its like): what is on the disk is no longer known, so the
    /// whole log dir is out of service until the broker is restarted. A flush that failed is never
    /// tried again: the kernel may have dropped the pages and would report success.
    #[error(
        "log dir {} is out of service: {cause}; check the disk, then restart the broker",
        dir.display()
    )]
    DirFailed {
        /// The log dir.
        dir: PathBuf,
        /// The first failure.
        cause: String,
    },
    /// Stored bytes are damaged in a place that no crash explains (M19). Nothing was changed on the
    /// disk.
    #[error(
        "corrupt segment {} at position {position}, near offset {offset}: {reason}; restore the \
         segment from another replica or a backup, or move it and all later files of this \
         partition away to give up what is in them",
        segment.display()
    )]
    Corrupt {
        /// The segment's file.
        segment: PathBuf,
        /// Byte position of the damaged batch.
        position: u64,
        /// The offset that was expected there.
        offset: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// The asked offset is not in the log. Clients get OFFSET_OUT_OF_RANGE.
    #[error("offset {offset} is out of range: the log holds {start} to {end} (exclusive)")]
    OutOfRange {
        /// The asked offset.
        offset: i64,
        /// The log start offset.
        start: i64,
        /// The exclusive end that was visible to the reader.
        end: i64,
    },
    /// The caller's batch or argument cannot be appended. Nothing was written.
    #[error("cannot append to {}: {reason}", dir.display())]
    Invalid {
        /// The partition's folder.
        dir: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Another process has the log dir open.
    #[error(
        "log dir {} is in use by another broker (its .lock is held); stop that one or configure \
         another log.dirs",
        dir.display()
    )]
    Locked {
        /// The log dir.
        dir: PathBuf,
    },
    /// The log dir cannot be written to.
    #[error(
        "log dir {} is not writable: {source}; give this user write permission or configure \
         another log.dirs",
        dir.display()
    )]
    NotWritable {
        /// The log dir.
        dir: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Result of a log operation.
pub type Result<T, E = LogError> = std::result::Result<T, E>;

impl LogError {
    /// Wraps what the file system said about a read, an open or a change of names.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| match is_disk_full(&source) {
            true => Self::DiskFull { path: path.to_path_buf() },
            false => Self::Io { action, path: path.to_path_buf(), source },
        }
    }

    /// True when the same call may succeed later without anybody repairing anything but disk space.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull { .. })
    }
}

/// ENOSPC and EDQUOT.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
