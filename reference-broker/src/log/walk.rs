//! Walking the batches of a segment from front to back.

use std::path::Path;

use bytes::Bytes;
use ottla_protocol::records::header::{MAGIC, MAGIC_AT};
use ottla_protocol::records::{BATCH_HEADER_LEN, BatchHeader, RecordBatch};

use super::error::{LogError, Result};
use super::storage::StorageFile;

/// Bytes read at once when every byte is looked at.
const CHUNK: usize = 1 << 20;
/// Bytes read at once when only headers are.
const HEADER_CHUNK: usize = 16 << 10;

/// What is wrong at a position: not an error yet, the end of a torn log looks like this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) position: u64,
    pub(crate) reason: String,
}

/// What the walk finds next.
#[derive(Debug)]
pub(crate) enum Step {
    /// A batch's header; it starts at `position` and is whole.
    Batch { position: u64, header: BatchHeader },
    /// Something that is no batch.
    Broken(Broken),
    /// The end.
    End,
}

/// A walk over `[position, end)` of a file.
pub(crate) struct BatchWalk<'a> {
    file: &'a dyn StorageFile,
    path: &'a Path,
    position: u64,
    end: u64,
    verify: bool,
    window: Bytes,
    window_at: u64,
}

impl<'a> BatchWalk<'a> {
    /// Looks at headers only.
    pub(crate) fn headers(file: &'a dyn StorageFile, path: &'a Path, position: u64, end: u64) -> Self {
        Self { file, path, position, end, verify: false, window: Bytes::new(), window_at: 0 }
    }

    /// Reads everything and verifies each batch's CRC.
    pub(crate) fn verified(file: &'a dyn StorageFile, path: &'a Path, position: u64, end: u64) -> Self {
        Self { verify: true, ..Self::headers(file, path, position, end) }
    }

    /// Goes on by one batch. `Broken` is final.
    pub(crate) fn next(&mut self) -> Result<Step> {
        let position = self.position;
        if position >= self.end {
            return Ok(Step::End);
        }
        let left = self.end - position;
        let broken = |reason: String| Ok(Step::Broken(Broken { position, reason }));
        if left < BATCH_HEADER_LEN as u64 {
            return broken(format!("{left} bytes are left, a batch header has {BATCH_HEADER_LEN}"));
        }
        let head = self.bytes(position, BATCH_HEADER_LEN)?;
        if head.len() < BATCH_HEADER_LEN {
            return broken("the file ends in a batch header".to_owned());
        }
        let header = match BatchHeader::parse(&head) {
            Ok(header) => header,
            Err(error) => return broken(error.to_string()),
        };
        let size = header.size_in_bytes();
        if size as u64 > left {
            return broken(format!("the batch has {size} bytes, {left} are left"));
        }
        if header.last_offset_delta < 0 {
            return broken(format!("last offset delta is {}", header.last_offset_delta));
        }
        if self.verify {
            let bytes = self.bytes(position, size)?;
            let verified = RecordBatch::parse(bytes).and_then(|batch| batch.verify_crc());
            if let Err(error) = verified {
                return broken(error.to_string());
            }
        }
        self.position += size as u64;
        Ok(Step::Batch { position, header })
    }

    /// `len` bytes from `position`, fewer at the end of the file; out of the window where they are in it.
    fn bytes(&mut self, position: u64, len: usize) -> Result<Bytes> {
        let inside = position.checked_sub(self.window_at).and_then(|at| usize::try_from(at).ok());
        if let Some(at) = inside
            && at.checked_add(len).is_some_and(|end| end <= self.window.len())
        {
            return Ok(self.window.slice(at..at + len));
        }
        let chunk = if self.verify { CHUNK } else { HEADER_CHUNK };
        let left = usize::try_from(self.end - position).unwrap_or(usize::MAX);
        let want = len.max(chunk.min(left));
        let window = self.file.read(position, want).map_err(LogError::io("read", self.path))?;
        self.window = Bytes::from(window);
        self.window_at = position;
        Ok(self.window.slice(..len.min(self.window.len())))
    }
}

/// Whether a valid batch (CRC and all) with a base offset above `after` starts anywhere in `[from, end)`: tells damage in the
/// middle from a torn tail. Reads the rest of the file, which is only done when something is wrong.
pub(crate) fn has_batch_behind(
    file: &dyn StorageFile,
    path: &Path,
    from: u64,
    end: u64,
    after: i64,
) -> Result<bool> {
    let mut at = from;
    while at + BATCH_HEADER_LEN as u64 <= end {
        let want = usize::try_from((end - at).min(CHUNK as u64)).unwrap_or(CHUNK);
        let chunk = file.read(at, want).map_err(LogError::io("read", path))?;
        if chunk.len() < BATCH_HEADER_LEN {
            return Ok(false);
        }
        let last = chunk.len() - BATCH_HEADER_LEN;
        for start in 0..=last {
            if chunk[start + MAGIC_AT] != MAGIC as u8 {
                continue;
            }
            let Ok(header) = BatchHeader::parse(&chunk[start..]) else { continue };
            let plausible = header.base_offset > after
                && header.base_offset - after <= i64::from(i32::MAX)
                && header.record_count >= 0
                && at + start as u64 + header.size_in_bytes() as u64 <= end;
            if plausible {
                let mut walk = BatchWalk::verified(file, path, at + start as u64, end);
                if matches!(walk.next()?, Step::Batch { .. }) {
                    return Ok(true);
                }
            }
        }
        at += last as u64 + 1;
    }
    Ok(false)
}
