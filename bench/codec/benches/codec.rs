//! Our codec, the crate `kafka-protocol` and a bare cursor at the same work.

use std::hint::black_box;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Throughput, criterion_group, criterion_main};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable};
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions,
};
use ottla_bench_codec::cursor;
use ottla_bench_codec::fixtures::{
    self, FETCH_VERSION, METADATA_VERSION, PRODUCE_VERSION, RECORDS, TIME,
};
use ottla_protocol::records::crc::crc32c;
use ottla_protocol::records::{
    BatchBuilder, BatchFields, Compressor, Decompressor, Header, RecordBatch,
};
use ottla_protocol::{Encoder, Message};
use rustix::time::{ClockId, clock_gettime};

/// The processor's time of this thread: what else the machine does is not counted.
struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    }

    fn end(&self, start: Duration) -> Duration {
        self.start() - start
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

type Criterion = criterion::Criterion<CpuTime>;

/// Reads and writes one message with all three, after seeing that they agree.
fn message<O: Message + PartialEq + std::fmt::Debug, T: Decodable + Encodable>(
    c: &mut Criterion,
    name: &str,
    (value, version): (O, i16),
    read: fn(&Bytes) -> Option<O>,
    write: fn(&O) -> Vec<u8>,
) {
    let frame = fixtures::frame(&value, version);
    let their_value = T::decode(&mut frame.clone(), version).expect("their reader");
    let their_frame = || {
        let mut out = BytesMut::new();
        their_value.encode(&mut out, version).expect("their writer");
        out.freeze()
    };
    let our_frame = || {
        let mut out = Encoder::new();
        value.encode(&mut out, version).expect("our writer");
        out.into_bytes()
    };
    assert_eq!(read(&frame).as_ref(), Some(&value), "the cursor reads something else");
    assert_eq!(write(&value), frame, "the cursor writes something else");
    assert_eq!(their_frame(), frame, "kafka-protocol writes something else");

    let mut group = c.benchmark_group(format!("{name} decode"));
    group.throughput(Throughput::Bytes(frame.len() as u64));
    group.bench_function("ottla", |b| b.iter(|| O::decode(black_box(&frame), 0, version)));
    group.bench_function("cursor", |b| b.iter(|| read(black_box(&frame))));
    group.bench_function("kafka-protocol", |b| {
        b.iter(|| T::decode(&mut black_box(&frame).clone(), version).expect("valid"));
    });
    group.finish();
    let mut group = c.benchmark_group(format!("{name} encode"));
    group.throughput(Throughput::Bytes(frame.len() as u64));
    group.bench_function("ottla", |b| b.iter(our_frame));
    group.bench_function("cursor", |b| b.iter(|| write(black_box(&value))));
    group.bench_function("kafka-protocol", |b| b.iter(their_frame));
    group.finish();
}

fn messages(c: &mut Criterion) {
    message::<_, theirs::MetadataResponse>(
        c,
        "Metadata",
        (fixtures::metadata(), METADATA_VERSION),
        cursor::metadata,
        cursor::put_metadata,
    );
    message::<_, theirs::ProduceRequest>(
        c,
        "Produce",
        (fixtures::produce(), PRODUCE_VERSION),
        cursor::produce,
        cursor::put_produce,
    );
    message::<_, theirs::FetchResponse>(
        c,
        "Fetch",
        (fixtures::fetch(), FETCH_VERSION),
        cursor::fetch,
        cursor::put_fetch,
    );
}

/// What a reader does with a record: everything of it is looked at.
#[derive(Default, PartialEq, Debug)]
struct Seen {
    offsets: i64,
    timestamps: i64,
    bytes: usize,
    headers: usize,
}

impl Seen {
    #[inline]
    fn record(&mut self, offset: i64, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.offsets = self.offsets.wrapping_add(offset);
        self.timestamps = self.timestamps.wrapping_add(timestamp);
        self.bytes += key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
    }

    #[inline]
    fn header(&mut self, key: &str, value: Option<&[u8]>) {
        self.headers += key.len() + value.map_or(0, <[u8]>::len);
    }
}

fn ours(batch: &Bytes, check: bool) -> Seen {
    let batch = RecordBatch::parse(batch.clone()).expect("a batch");
    if check {
        batch.verify_crc().expect("the checksum");
    }
    let records = batch.records(&mut Decompressor::new()).expect("records");
    let mut seen = Seen::default();
    for record in &records {
        let record = record.expect("a record");
        seen.record(record.offset, record.timestamp, record.key, record.value);
        for (key, value) in record.headers.iter() {
            seen.header(key, value);
        }
    }
    seen
}

fn bare(batch: &[u8], check: bool) -> Seen {
    if check {
        cursor::records::check(batch).expect("the checksum");
    }
    let mut seen = Seen::default();
    let read = cursor::records::iterate(batch, |record| {
        seen.record(record.offset, record.timestamp, record.key, record.value);
        record.headers(|key, value| seen.header(key, value)).expect("headers");
    });
    read.expect("records");
    seen
}

fn kafka_protocol(batch: &Bytes) -> Seen {
    let set = RecordBatchDecoder::decode(&mut batch.clone()).expect("a batch");
    let mut seen = Seen::default();
    for record in &set.records {
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        seen.record(record.offset, record.timestamp, key, value);
        for (key, value) in &record.headers {
            seen.header(key.as_str(), value.as_deref());
        }
    }
    seen
}

const KINDS: [(&str, bool); 2] = [("without headers", false), ("with 2 headers", true)];

fn reading(c: &mut Criterion) {
    for (kind, with_headers) in KINDS {
        let batch = fixtures::batch(RECORDS, with_headers);
        assert_eq!(ours(&batch, true), bare(&batch, true));
        assert_eq!(ours(&batch, true), kafka_protocol(&batch));
        let mut group = c.benchmark_group(format!("records {kind} read"));
        group.throughput(Throughput::Elements(RECORDS as u64));
        group.bench_function("ottla", |b| b.iter(|| ours(black_box(&batch), true)));
        group.bench_function("cursor", |b| b.iter(|| bare(black_box(&batch), true)));
        group.bench_function("kafka-protocol", |b| b.iter(|| kafka_protocol(black_box(&batch))));
        group.finish();
        let mut group = c.benchmark_group(format!("records {kind} iterate (no checksum)"));
        group.throughput(Throughput::Elements(RECORDS as u64));
        group.bench_function("ottla", |b| b.iter(|| ours(black_box(&batch), false)));
        group.bench_function("cursor", |b| b.iter(|| bare(black_box(&batch), false)));
        group.finish();
    }
}

fn build(len: usize, values: &[Vec<u8>], headers: &[Header<'_>]) -> Bytes {
    let mut builder = BatchBuilder::new(len);
    for (at, value) in values.iter().enumerate() {
        builder.append(TIME + at as i64, None, Some(value), headers).expect("a small record");
    }
    builder.finish(&BatchFields::default(), &mut Compressor::new()).expect("a small batch")
}

fn build_theirs(len: usize, records: &[Record]) -> BytesMut {
    let mut out = BytesMut::with_capacity(len);
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut out, records, &options).expect("a batch");
    out
}

fn writing(c: &mut Criterion) {
    let values = fixtures::values(RECORDS);
    for (kind, with_headers) in KINDS {
        let headers = fixtures::headers(with_headers);
        let ours: Vec<_> =
            headers.iter().map(|(key, value)| Header::new(key, Some(value))).collect();
        let batch = build(1024, &values, &ours);
        // All get the room that the batch will need, as a producer keeps it.
        let len = batch.len();
        let set = RecordBatchDecoder::decode(&mut batch.clone()).expect("a batch");
        assert_eq!(cursor::records::write(len, TIME, &values, &headers), batch);
        assert_eq!(build_theirs(0, &set.records).len(), len);
        let mut group = c.benchmark_group(format!("records {kind} write"));
        group.throughput(Throughput::Elements(RECORDS as u64));
        group.bench_function("ottla", |b| b.iter(|| build(len, black_box(&values), &ours)));
        group.bench_function("cursor", |b| {
            b.iter(|| cursor::records::write(len, TIME, black_box(&values), &headers));
        });
        group.bench_function("kafka-protocol", |b| {
            b.iter(|| build_theirs(len, black_box(&set.records)));
        });
        group.finish();
    }
}

fn checksums(c: &mut Criterion) {
    for len in [64, 1 << 10, 16 << 10, 1 << 20] {
        let bytes = vec![0x5a_u8; len];
        let mut group = c.benchmark_group(format!("CRC-32C of {len} bytes"));
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function("ottla", |b| b.iter(|| crc32c(black_box(&bytes))));
        group.bench_function("crc-fast", |b| b.iter(|| crc_fast::crc32_iscsi(black_box(&bytes))));
        group.finish();
    }
}

fn config() -> Criterion {
    criterion::Criterion::default()
        .with_measurement(CpuTime)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .sample_size(30)
}

criterion_group!(name = codec; config = config(); targets = messages, reading, writing, checksums);
criterion_main!(codec);
