//! Reading batches: planned under the log's lock, carried out without it.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::records::BATCH_HEADER_LEN;

use super::error::{LogError, Result};
use super::storage::StorageFile;
use super::walk::Extent;

/// What a read gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchData {
    /// Whole batches, as they are stored. The first one may begin before the asked offset.
    pub records: Bytes,
    /// The offset after the last batch; the asked offset when there is none.
    pub next_offset: i64,
}

/// A read that knows its file and position. It may be run after the log's lock was given back:
/// segments that are deleted meanwhile stay readable, and what lies below the upper bound is not
/// truncated.
#[derive(Debug, Clone)]
pub struct ReadPlan {
    pub(super) offset: i64,
    /// `None`: there is nothing to read.
    pub(super) source: Option<Source>,
    pub(super) max_bytes: usize,
    pub(super) upper_bound: i64,
    pub(super) min_one_batch: bool,
}

/// Where a read starts, and where its segment ends.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) file: Arc<dyn StorageFile>,
    pub(super) path: PathBuf,
    pub(super) position: u64,
    pub(super) end: u64,
    /// The first batch's size.
    pub(super) first_size: usize,
}

impl ReadPlan {
    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.source.is_none()
    }

    /// Reads: whole batches below the upper bound, `max_bytes` at most, but the first one in any
    /// case if that was asked for (KIP-74).
    pub fn run(&self) -> Result<FetchData> {
        let nothing = FetchData { records: Bytes::new(), next_offset: self.offset };
        let Some(source) = &self.source else { return Ok(nothing) };
        let least = if self.min_one_batch { source.first_size } else { 0 };
        let limit = self.max_bytes.max(least);
        if limit < source.first_size {
            return Ok(nothing);
        }
        let left = usize::try_from(source.end - source.position).unwrap_or(usize::MAX);
        let want = limit.min(left);
        let bytes =
            source.file.read(source.position, want).map_err(LogError::io("read", &source.path))?;
        if bytes.len() < want {
            return Err(LogError::Corrupt {
                segment: source.path.clone(),
                position: source.position + bytes.len() as u64,
                offset: self.offset,
                reason: format!("the file ends here, {} bytes too early", want - bytes.len()),
            });
        }
        let (len, next_offset) = self.whole_batches(source, &bytes)?;
        let mut records = Bytes::from(bytes);
        records.truncate(len);
        Ok(FetchData { records, next_offset })
    }

    /// How much of `bytes` is whole batches below the upper bound, and where they end.
    fn whole_batches(&self, source: &Source, bytes: &[u8]) -> Result<(usize, i64)> {
        let (mut len, mut next_offset) = (0, self.offset);
        while bytes.len() - len >= BATCH_HEADER_LEN {
            let extent = Extent::peek(&bytes[len..]).ok_or_else(|| LogError::Corrupt {
                segment: source.path.clone(),
                position: source.position + len as u64,
                offset: next_offset,
                reason: "this is no batch header".to_owned(),
            })?;
            let end = len.saturating_add(extent.size);
            if end > bytes.len() || extent.next_offset > self.upper_bound {
                break;
            }
            len = end;
            next_offset = extent.next_offset;
        }
        Ok((len, next_offset))
    }
}
