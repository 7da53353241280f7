//! Where the records of a batch are, as integers.

use ottla::Batch;

/// Integers per record in an [`Index`].
pub const FIELDS: usize = 8;

/// The places of a batch's records in [`Batch::data`], in one array of 32-bit integers, so that a
/// language reads records without a call into this one:
///
/// | at | is |
/// | --- | --- |
/// | 0 | offset, less the batch's [`base_offset`](Self::base_offset) |
/// | 1, 2 | ms since [`base_timestamp`](Self::base_timestamp): low half (unsigned), high half |
/// | 3 | where the key begins |
/// | 4 | bytes of the key; -1 for null |
/// | 5 | where the value begins |
/// | 6 | bytes of the value; -1 for null |
/// | 7 | where the headers begin; -1 for none |
///
/// The headers of a record are in [`headers`](Self::headers), from the named place on: their count,
/// then per header where its key begins, the key's bytes, where the value begins, and the value's
/// bytes (-1 for null).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Index {
    /// What the offsets count from.
    pub base_offset: i64,
    /// What the timestamps count from: that of the first record.
    pub base_timestamp: i64,
    /// [`FIELDS`] integers per record.
    pub records: Vec<i32>,
    /// The headers of all records.
    pub headers: Vec<i32>,
}

impl Index {
    /// That of a batch. Batches are at most 2 GiB, so that every place fits.
    pub fn of(batch: &Batch) -> Self {
        let base = batch.data().as_ptr() as usize;
        let place = |slice: &[u8]| (slice.as_ptr() as usize - base) as i32;
        let span = |slice: Option<&[u8]>| slice.map_or([0, -1], |s| [place(s), s.len() as i32]);
        let base_offset = batch.base_offset();
        let base_timestamp = batch.iter().next().map_or(0, |record| record.timestamp);
        let mut index = Self {
            base_offset,
            base_timestamp,
            records: Vec::with_capacity(batch.len() * FIELDS),
            headers: Vec::new(),
        };
        for record in batch.iter() {
            let since = record.timestamp.wrapping_sub(base_timestamp);
            let mut headers_at = -1;
            if !record.headers.is_empty() {
                headers_at = index.headers.len() as i32;
                index.headers.push(record.headers.len() as i32);
                for (key, value) in record.headers.iter_bytes() {
                    index.headers.extend(span(Some(key)));
                    index.headers.extend(span(value));
                }
            }
            let [key_at, key_len] = span(record.key);
            let [value_at, value_len] = span(record.value);
            index.records.extend([
                (record.offset - base_offset) as i32,
                since as i32,
                (since >> 32) as i32,
                key_at,
                key_len,
                value_at,
                value_len,
                headers_at,
            ]);
        }
        index
    }
}
