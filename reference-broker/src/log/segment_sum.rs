//! A sealed segment's checksum over what its batches' own do not cover: `<base offset>.sum`.
//!
//! A batch's CRC begins with the attributes: base offset, length, leader epoch, magic and the CRC
//! itself lie outside (M19). The sum chains those 21 bytes of each batch, so that together with the
//! CRCs every byte of the segment is covered. The file holds the segment's size, the sum, and a CRC
//! of both. It is no part of the log: one that is missing or damaged, or that tells of another
//! size, is made anew by the next scrub.

use std::path::Path;

use ottla_protocol::records::BatchHeader;
use ottla_protocol::records::crc::crc32c;
use ottla_protocol::records::header::ATTRIBUTES_AT;

use super::error::{LogError, Result};
use super::storage::{Storage, read_small, replace};

const SIZE_LEN: usize = 8;
const SUM_LEN: usize = 4;

/// What is said of a segment with another sum.
pub(crate) const DIFFERS: &str =
    "the segment's sum is another one: base offsets, lengths or leader epochs were changed";

/// The sum after another batch; that of no batch is 0.
pub(crate) fn chain(sum: u32, header: &BatchHeader) -> u32 {
    let mut bytes = [0; SUM_LEN + ATTRIBUTES_AT];
    bytes[..SUM_LEN].copy_from_slice(&sum.to_be_bytes());
    bytes[SUM_LEN..].copy_from_slice(&header.to_bytes()[..ATTRIBUTES_AT]);
    crc32c(&bytes)
}

/// Writes the sum of a segment of `size` bytes, without a sync.
pub(crate) fn write(storage: &dyn Storage, path: &Path, size: u64, sum: u32) -> Result<()> {
    let mut bytes = size.to_be_bytes().to_vec();
    bytes.extend_from_slice(&sum.to_be_bytes());
    bytes.extend_from_slice(&crc32c(&bytes).to_be_bytes());
    replace(storage, path, &bytes).map_err(LogError::io("write", path))
}

/// The sum of a segment of `size` bytes, if there is one.
pub(crate) fn read(storage: &dyn Storage, path: &Path, size: u64) -> Result<Option<u32>> {
    let bytes = read_small(storage, path).map_err(LogError::io("read", path))?;
    Ok(bytes.and_then(|bytes| parse(&bytes, size)))
}

fn parse(bytes: &[u8], size: u64) -> Option<u32> {
    let (content, crc) = bytes.split_at_checked(SIZE_LEN + SUM_LEN)?;
    let whole = crc == crc32c(content).to_be_bytes();
    let (found, sum) = content.split_at(SIZE_LEN);
    let fits = found == size.to_be_bytes();
    let sum = u32::from_be_bytes(sum.try_into().ok()?);
    (whole && fits).then_some(sum)
}
