//! Files that tell whole content from torn and from damaged: `length: u32, crc32c: u32, payload`.

use std::path::Path;

use crc_fast::{CrcAlgorithm, checksum};

use crate::Error;
use crate::storage::{Storage, read_small};

const HEADER_LEN: usize = 8;

/// A payload as a record.
pub(crate) fn record(payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("a record is smaller than 4 GiB");
    let mut bytes = Vec::with_capacity(HEADER_LEN + payload.len());
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(&sum(payload).to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn sum(payload: &[u8]) -> u32 {
    u32::try_from(checksum(CrcAlgorithm::Crc32Iscsi, payload)).expect("a CRC-32 has 32 bits")
}

/// The payload of the record at the start of `bytes`, if it is whole.
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let len = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let crc = u32::from_be_bytes(bytes.get(4..HEADER_LEN)?.try_into().ok()?);
    let payload = bytes.get(HEADER_LEN..HEADER_LEN.checked_add(len)?)?;
    (len > 0 && sum(payload) == crc).then_some(payload)
}

/// The records of a file and how many bytes they take. A bad record at the end was torn by a
/// crash; one with a good one behind it is damaged.
///
/// # Errors [`Error::Corrupt`].
pub(crate) fn records<'a>(bytes: &'a [u8], path: &Path) -> Result<(Vec<&'a [u8]>, usize), Error> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let Some(payload) = whole(&bytes[at..]) else {
            let later = |from| {
                let behind: &[u8] = &bytes[from..];
                behind.get(HEADER_LEN) == Some(&b'{') && whole(behind).is_some()
            };
            if (at + 1..bytes.len()).any(later) {
                return Err(Error::corrupt(path, at, "a record's checksum does not match"));
            }
            break;
        };
        found.push(payload);
        at += HEADER_LEN + payload.len();
    }
    Ok((found, at))
}

/// The only record of a small file; none if there is no file.
///
/// # Errors [`Error`].
pub(crate) fn read(storage: &dyn Storage, path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let read = read_small(storage, path).map_err(|error| Error::io("read", path, error))?;
    let Some(bytes) = read else { return Ok(None) };
    let payload = whole(&bytes).filter(|payload| payload.len() + HEADER_LEN == bytes.len());
    let damaged = || Error::corrupt(path, 0, "the checksum does not match");
    payload.map(|payload| Some(payload.to_vec())).ok_or_else(damaged)
}
