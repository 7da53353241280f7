//! Batches for a scripted broker's logs.

use ottla_protocol::records::control::end_transaction_value;
use ottla_protocol::records::crc::crc32c;
use ottla_protocol::records::header::{Attributes, BatchHeader, MAGIC};
use ottla_protocol::records::{BatchBuilder, BatchFields, Compression, Compressor, ControlType};

/// The timestamp of the first record of a batch.
pub(crate) const TIMESTAMP: i64 = 1_700_000_000_000;

/// The value of the record at an offset.
pub(crate) fn value(offset: i64) -> String {
    format!("value-{offset}")
}

/// A batch of so many records from an offset on.
pub(crate) fn batch(base_offset: i64, count: i64) -> Vec<u8> {
    batch_with(base_offset, count, &BatchFields::default())
}

/// As [`batch`], compressed.
pub(crate) fn compressed(base_offset: i64, count: i64, compression: Compression) -> Vec<u8> {
    batch_with(base_offset, count, &BatchFields { compression, ..Default::default() })
}

/// As [`batch`], part of a producer's transaction.
pub(crate) fn transactional(base_offset: i64, count: i64, producer_id: i64) -> Vec<u8> {
    let fields = BatchFields {
        producer_id,
        producer_epoch: 0,
        base_sequence: 0,
        transactional: true,
        ..Default::default()
    };
    batch_with(base_offset, count, &fields)
}

/// As [`batch`], with these fields in its header.
pub(crate) fn batch_with(base_offset: i64, count: i64, fields: &BatchFields) -> Vec<u8> {
    let mut builder = BatchBuilder::new(256);
    for index in 0..count {
        let (value, timestamp) = (value(base_offset + index), TIMESTAMP + index);
        builder
            .append(timestamp, None, Some(value.as_bytes()), &[])
            .expect("records of scenarios are small");
    }
    let fields = BatchFields { base_offset, partition_leader_epoch: 5, ..fields.clone() };
    finish(builder, &fields)
}

/// A batch of one record with a value of so many bytes.
pub(crate) fn large(base_offset: i64, bytes: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new(bytes + 128);
    let value = vec![b'x'; bytes];
    builder.append(TIMESTAMP, None, Some(&value), &[]).expect("records of scenarios are small");
    let fields = BatchFields { base_offset, partition_leader_epoch: 5, ..BatchFields::default() };
    finish(builder, &fields)
}

/// The marker that ends a transaction.
pub(crate) fn marker(base_offset: i64, producer_id: i64, kind: ControlType) -> Vec<u8> {
    let mut builder = BatchBuilder::new(256);
    builder
        .append(TIMESTAMP, Some(&kind.to_key()), Some(&end_transaction_value(0)), &[])
        .expect("a marker is small");
    let fields = BatchFields {
        base_offset,
        partition_leader_epoch: 5,
        producer_id,
        producer_epoch: 0,
        transactional: true,
        control: true,
        ..Default::default()
    };
    finish(builder, &fields)
}

/// A batch whose records compaction has taken away.
pub(crate) fn emptied(base_offset: i64, offsets: i32) -> Vec<u8> {
    let header = BatchHeader {
        base_offset,
        batch_length: 49,
        partition_leader_epoch: 5,
        magic: MAGIC,
        crc: 0,
        attributes: Attributes(0),
        last_offset_delta: offsets - 1,
        base_timestamp: TIMESTAMP,
        max_timestamp: TIMESTAMP,
        producer_id: 7,
        producer_epoch: 0,
        base_sequence: 0,
        record_count: 0,
    };
    let mut bytes = header.to_bytes().to_vec();
    seal(&mut bytes);
    bytes
}

/// Gives changed bytes of a batch a checksum that holds.
pub(crate) fn seal(batch: &mut [u8]) {
    let crc = crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

fn finish(builder: BatchBuilder, fields: &BatchFields) -> Vec<u8> {
    let batch = builder.finish(fields, &mut Compressor::new());
    batch.expect("batches of scenarios are small").to_vec()
}
