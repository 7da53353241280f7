//! Encodes and decodes a request and a record batch with `core` and `alloc` alone. The allocator
//! and the panic handler are its own: with `std` anywhere below, there would be two of the latter,
//! and no program.
//!
//! `cargo run` in this folder; the exit code is 0 where all came back as it was.
#![no_std]
#![no_main]

extern crate alloc;

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};

use alloc::string::ToString;
use ottla_protocol::header::{decode_request_header, encode_request_header};
use ottla_protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{ApiKey, ProduceRequest, Request};
use ottla_protocol::records::{
    BatchBuilder, BatchFields, BatchIter, Compressor, Decompressor, Header,
};
use ottla_protocol::{Bytes, Encoder, Message};

/// Memory for the whole run: what is given back is not used again.
const ARENA_LEN: usize = 64 << 10;

#[repr(align(16))]
struct Arena(UnsafeCell<[u8; ARENA_LEN]>, AtomicUsize);

// SAFETY: the atomic hands every byte out once.
unsafe impl Sync for Arena {}

// SAFETY: a block lies in the arena, is aligned, and overlaps no other.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut start = 0;
        let bump = |taken: usize| {
            start = taken.checked_next_multiple_of(layout.align())?;
            start.checked_add(layout.size()).filter(|end| *end <= ARENA_LEN)
        };
        let fits = layout.align() <= 16
            && self.1.fetch_update(Ordering::Relaxed, Ordering::Relaxed, bump).is_ok();
        if fits { unsafe { self.0.get().cast::<u8>().add(start) } } else { core::ptr::null_mut() }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ARENA: Arena = Arena(UnsafeCell::new([0; ARENA_LEN]), AtomicUsize::new(0));

#[link(name = "c")]
unsafe extern "C" {
    fn abort() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: it takes nothing and does not return.
    unsafe { abort() }
}

/// The precompiled `alloc` names it; with `panic = "abort"` nothing calls it.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// As [`rust_eh_personality`].
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() {}

/// The C library's start calls it; nothing else of that library is used but copying and `abort`.
#[unsafe(no_mangle)]
extern "C" fn main(_: c_int, _: *const *const c_char) -> c_int {
    match run() {
        Some(()) => 0,
        None => 1,
    }
}

/// A Produce request of version 9 with a batch of two records, there and back.
fn run() -> Option<()> {
    let mut batch = BatchBuilder::new(256);
    let headers = [Header::new("trace", Some(b"7"))];
    batch.append(1_700_000_000_000, Some(b"key"), Some(b"value"), &headers).ok()?;
    batch.append(1_700_000_000_001, None, Some(b"second"), &[]).ok()?;
    let batch = batch.finish(&BatchFields::default(), &mut Compressor::new()).ok()?;
    let partition = PartitionProduceData {
        index: 3,
        records: Some(batch.clone()),
        ..PartitionProduceData::default()
    };
    let topic = TopicProduceData {
        name: "orders".to_string(),
        partition_data: [partition].into(),
        ..TopicProduceData::default()
    };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: [topic].into(),
        ..ProduceRequest::default()
    };
    let mut out = Encoder::new();
    encode_request_header(&mut out, ApiKey::Produce, 9, 1, Some("bare")).ok()?;
    request.encode(&mut out, 9).ok()?;
    let frame = out.into_bytes();

    let (api, header, body) = decode_request_header(&frame).ok()?;
    let read = Request::decode(api, header.request_api_version, &frame, body).ok()?;
    let came_back = Request::from(request) == read;
    let cut = Request::decode(api, header.request_api_version, &frame.slice(..40), body);
    let told = cut.is_err_and(|error| !error.to_string().is_empty());
    (came_back && told && two_records(&batch)?).then_some(())
}

fn two_records(field: &Bytes) -> Option<bool> {
    let batch = BatchIter::new(field.clone()).next()?.ok()?;
    batch.verify_crc().ok()?;
    let records = batch.records(&mut Decompressor::new()).ok()?;
    let mut records = records.iter();
    let (first, second) = (records.next()?.ok()?, records.next()?.ok()?);
    let traced = first.headers.last("trace") == Some(Some(b"7"));
    Some(traced && second.value == Some(b"second") && records.next().is_none())
}
