//! Batches for tests: good ones, and bytes of good ones that were changed by hand.

use ottla_protocol::Bytes;
use ottla_protocol::records::header::{ATTRIBUTES_AT, BATCH_LENGTH_AT, CRC_AT, LENGTH_PREFIX_LEN};
use ottla_protocol::records::{BatchBuilder, BatchFields, Compression, Compressor, Header, crc};

/// A time in the past that every broker takes: the middle of November 2023.
pub(crate) const TIME_MS: i64 = 1_700_000_000_000;

/// A record of a test.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plain<'a> {
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: Vec<Header<'a>>,
}

impl<'a> Plain<'a> {
    pub(crate) fn of(key: &'a [u8], value: &'a [u8]) -> Self {
        Self { key: Some(key), value: Some(value), ..Self::default() }
    }
}

/// A batch of these records; records without a time are [`TIME_MS`] and a millisecond apart.
pub(crate) fn batch_with(fields: &BatchFields, records: &[Plain<'_>]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(1024);
    for (index, record) in records.iter().enumerate() {
        let time = record.timestamp.unwrap_or(TIME_MS + index as i64);
        builder
            .append(time, record.key, record.value, &record.headers)
            .expect("records of tests are small");
    }
    builder.finish(fields, &mut Compressor::new()).expect("every codec is built in").to_vec()
}

/// A plain batch of these values, without keys.
pub(crate) fn batch(values: &[&[u8]]) -> Vec<u8> {
    compressed(Compression::None, values)
}

/// A plain batch in a codec.
pub(crate) fn compressed(compression: Compression, values: &[&[u8]]) -> Vec<u8> {
    let fields = BatchFields { compression, ..BatchFields::default() };
    let records: Vec<Plain<'_>> =
        values.iter().map(|value| Plain { value: Some(value), ..Plain::default() }).collect();
    batch_with(&fields, &records)
}

/// Changes bytes of a batch, then makes length and CRC right for them.
pub(crate) fn patched(mut batch: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut batch);
    let length = (batch.len() - LENGTH_PREFIX_LEN) as i32;
    put(&mut batch, BATCH_LENGTH_AT, &length.to_be_bytes());
    let sum = crc::crc32c(&batch[ATTRIBUTES_AT..]);
    put(&mut batch, CRC_AT, &sum.to_be_bytes());
    batch
}

/// Puts bytes in place of others.
pub(crate) fn put(batch: &mut [u8], at: usize, bytes: &[u8]) {
    batch[at..at + bytes.len()].copy_from_slice(bytes);
}

/// What a `records` field takes.
pub(crate) fn field(batches: &[Vec<u8>]) -> Bytes {
    batches.concat().into()
}
