//! Walking the batches of a segment from front to back.

use std::path::Path;

use bytes::Bytes;
use ottla_protocol::records::crc::crc32c;
use ottla_protocol::records::header::{
    ATTRIBUTES_AT, BATCH_LENGTH_AT, LAST_OFFSET_DELTA_AT, LENGTH_PREFIX_LEN, MAGIC, MAGIC_AT,
};
use ottla_protocol::records::{BATCH_HEADER_LEN, BatchHeader};

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
    pub(crate) fn headers(
        file: &'a dyn StorageFile,
        path: &'a Path,
        position: u64,
        end: u64,
    ) -> Self {
        Self { file, path, position, end, verify: false, window: Bytes::new(), window_at: 0 }
    }

    /// Reads everything and verifies each batch's CRC.
    pub(crate) fn verified(
        file: &'a dyn StorageFile,
        path: &'a Path,
        position: u64,
        end: u64,
    ) -> Self {
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
            let crc = bytes.get(ATTRIBUTES_AT..size).map_or(0, crc32c);
            if crc != header.crc || bytes.len() < size {
                return broken(format!("CRC is {:#010x}, the bytes have {crc:#010x}", header.crc));
            }
        }
        self.position += size as u64;
        Ok(Step::Batch { position, header })
    }

    /// The whole batch that [`Self::next`] has just given; no second read where it was verified.
    pub(crate) fn batch(&mut self, position: u64, header: &BatchHeader) -> Result<Bytes> {
        self.bytes(position, header.size_in_bytes())
    }

    /// `len` bytes from `position`, fewer at the end of the file; out of the window where they are
    /// in it.
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

/// The extent of a batch, without the rest of its header: reads look at every batch that they give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Bytes, header included.
    pub(crate) size: usize,
    /// The offset after it.
    pub(crate) next_offset: i64,
}

impl Extent {
    /// Of the batch that `bytes` starts with; `None` if they do not start with a batch's header.
    /// Agrees with [`BatchHeader::parse`], of which it is the part that matters here, at a tenth of
    /// the cost.
    pub(crate) fn peek(bytes: &[u8]) -> Option<Self> {
        let head: &[u8; BATCH_HEADER_LEN] = bytes.first_chunk()?;
        let i32_at =
            |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let base_offset = i64::from_be_bytes(*head.first_chunk()?);
        let size = usize::try_from(i32_at(BATCH_LENGTH_AT)).ok()? + LENGTH_PREFIX_LEN;
        let delta = i64::from(i32_at(LAST_OFFSET_DELTA_AT));
        let sound = head[MAGIC_AT] == MAGIC as u8 && size >= BATCH_HEADER_LEN && delta >= 0;
        let next_offset = base_offset.checked_add(delta)?.checked_add(1)?;
        sound.then_some(Self { size, next_offset })
    }
}

/// Whether a valid batch (CRC and all) with a base offset above `after` starts anywhere in `[from,
/// end)`: tells damage in the middle from a torn tail. Reads the rest of the file, which is only
/// done when something is wrong.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extent_is_what_the_whole_header_says() {
        let mut bytes = vec![0; BATCH_HEADER_LEN];
        for at in 0..BATCH_HEADER_LEN {
            for bit in 0..8 {
                bytes[7] = 9;
                bytes[BATCH_LENGTH_AT + 3] = 100;
                bytes[LAST_OFFSET_DELTA_AT + 3] = 4;
                bytes[MAGIC_AT] = MAGIC as u8;
                bytes[at] ^= 1 << bit;
                let whole =
                    BatchHeader::parse(&bytes).ok().filter(|header| header.last_offset_delta >= 0);
                let expected = whole.map(|header| Extent {
                    size: header.size_in_bytes(),
                    next_offset: header.next_offset(),
                });
                assert_eq!(Extent::peek(&bytes), expected, "byte {at} bit {bit}");
                bytes.fill(0);
            }
        }
        assert_eq!(Extent::peek(&bytes[..60]), None);
    }
}
