//! What is hot, without uniffi's copies: the other side of `Sources/COttla/ottla.h`.
//!
//! Objects come by the address that their `address()` tells, while Swift holds them. Nothing here
//! may unwind: a panic over this border ends the process, so what could fail is a result.

use crate::batch::NativeBatch;
use crate::consumer::NativeConsumer;
use crate::deliveries::Deliveries;
use crate::producer::NativeProducer;
use ottla::RecordMetadata;
use std::sync::Arc;
use uniffi::ffi::Handle;

/// Where a batch's records are: see [`ottla_bindings::Index`]. Everything is there, unchanged, as
/// long as the batch's object.
#[derive(Debug)]
#[repr(C)]
pub struct BatchView {
    /// The records' bytes.
    pub data: *const u8,
    /// How many.
    pub data_bytes: usize,
    /// [`ottla_bindings::FIELDS`] integers a record.
    pub records: *const i32,
    /// How many records.
    pub record_count: usize,
    /// The headers of all records.
    pub headers: *const i32,
    /// How many integers.
    pub header_count: usize,
    /// The topic, UTF-8.
    pub topic: *const u8,
    /// How many bytes.
    pub topic_bytes: usize,
    /// The partition.
    pub partition: i32,
    /// The epoch of the leader that appended it; -1: unknown.
    pub leader_epoch: i32,
    /// What offsets count from, and the first offset that the batch covers.
    pub base_offset: i64,
    /// The last offset that the batch covers.
    pub last_offset: i64,
    /// What timestamps count from.
    pub base_timestamp: i64,
}

/// Where the records of a batch are.
///
/// # Safety
///
/// `batch` is the address of a batch that lives, `view` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ottla_batch_view(batch: u64, view: *mut BatchView) {
    // SAFETY: the caller holds the batch, which is never changed.
    let NativeBatch { batch, index } = unsafe { &*(batch as *const NativeBatch) };
    let (data, topic) = (batch.data(), batch.topic());
    let filled = BatchView {
        data: data.as_ptr(),
        data_bytes: data.len(),
        records: index.records.as_ptr(),
        record_count: batch.len(),
        headers: index.headers.as_ptr(),
        header_count: index.headers.len(),
        topic: topic.as_ptr(),
        topic_bytes: topic.len(),
        partition: batch.partition(),
        leader_epoch: batch.leader_epoch(),
        base_offset: index.base_offset,
        last_offset: batch.last_offset(),
        base_timestamp: index.base_timestamp,
    };
    // SAFETY: the caller gave a place for it.
    unsafe { view.write(filled) };
}

/// What became of packed records that were handed over.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Enqueued {
    /// A handle of their `Deliveries` that the caller owns; 0: nothing was done, and the waiting
    /// function tells why.
    pub deliveries: u64,
    /// Their address.
    pub address: u64,
    /// How many bytes were taken.
    pub taken_bytes: usize,
    /// How many of the records were refused at once.
    pub refused_count: usize,
}

/// Hands packed records over until one would have to wait.
///
/// # Safety
///
/// `producer` is the address of a producer that lives, `packed` is good for `bytes` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ottla_producer_enqueue(
    producer: u64,
    packed: *const u8,
    bytes: usize,
) -> Enqueued {
    // SAFETY: the caller holds the producer; every method of it takes a shared reference.
    let producer = unsafe { &*(producer as *const NativeProducer) };
    let packed = match bytes {
        0 => &[],
        // SAFETY: the caller's buffer, which is not changed during the call.
        _ => unsafe { std::slice::from_raw_parts(packed, bytes) },
    };
    let Ok((deliveries, taken_bytes)) = producer.enqueue_now(packed) else {
        return Enqueued::default();
    };
    let refused_count = deliveries.refused_count();
    let deliveries = Arc::new(deliveries);
    let address = Arc::as_ptr(&deliveries) as u64;
    let deliveries = Handle::from_arc(deliveries).as_raw();
    Enqueued { deliveries, address, taken_bytes, refused_count }
}

/// Where a record was written.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Written {
    /// Whether it was; if not, it failed or is on its way, and the waiting function tells.
    pub is_written: bool,
    /// The partition.
    pub partition: i32,
    /// The offset; -1 where the broker did not say.
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
}

/// Where a record was written that was handed over alone.
///
/// # Safety
///
/// `deliveries` is the address of deliveries that live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ottla_delivery_now(deliveries: u64) -> Written {
    // SAFETY: the caller holds the deliveries; every method of them takes a shared reference.
    let deliveries = unsafe { &*(deliveries as *const Deliveries) };
    let Some(RecordMetadata { partition, offset, timestamp, .. }) = deliveries.first_now() else {
        return Written::default();
    };
    Written { is_written: true, partition, offset, timestamp }
}

/// Tells how far a record-wise view is; whether it goes on.
///
/// # Safety
///
/// `consumer` is the address of a consumer that lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ottla_consumer_finish_up_to(consumer: u64, next_offset: i64) -> bool {
    // SAFETY: the caller holds the consumer; every method of it takes a shared reference.
    let consumer = unsafe { &*(consumer as *const NativeConsumer) };
    consumer.finish_up_to(next_offset)
}
