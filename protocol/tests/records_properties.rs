//! Properties of record batches: what is written is read back, damage is noticed, and the fast
//! cursor is the nom parser.

use bytes::Bytes;
use ottla_protocol::records::TimestampType;
use ottla_protocol::records::record::{RawRecord, nom_record};
use ottla_protocol::records::{
    BatchBuilder, BatchFields, BatchHeader, BatchIter, Compression, Compressor, Decompressor,
    Header, RecordBatch, RecordErrorKind, ValidateOptions, header, next_sequence, restamp,
    set_max_timestamp, stamp_base_offset, validate,
};
use proptest::prelude::*;

#[derive(Debug, Clone, PartialEq)]
struct Plain {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

fn field(max: usize) -> impl Strategy<Value = Option<Vec<u8>>> {
    proptest::option::weighted(0.8, proptest::collection::vec(any::<u8>(), 0..max))
}

fn plain() -> impl Strategy<Value = Plain> {
    // Few and short names: they repeat, and some are empty.
    let headers = proptest::collection::vec(("[a-cé]{0,2}", field(20)), 0..4);
    let timestamp = prop_oneof![Just(-1), 0..4_000_000_000_000i64, any::<i64>()];
    (timestamp, field(40), field(300), headers).prop_map(|(timestamp, key, value, headers)| Plain {
        timestamp,
        key,
        value,
        headers,
    })
}

fn records() -> impl Strategy<Value = Vec<Plain>> {
    proptest::collection::vec(plain(), 1..40)
}

fn headers(record: &Plain) -> Vec<Header<'_>> {
    record.headers.iter().map(|(key, value)| Header::new(key, value.as_deref())).collect()
}

fn build(records: &[Plain]) -> BatchBuilder {
    let mut builder = BatchBuilder::new(64);
    for (i, r) in records.iter().enumerate() {
        let (key, value, headers) = (r.key.as_deref(), r.value.as_deref(), headers(r));
        let before = builder.len_bytes();
        let size = builder.record_size(r.timestamp, key, value, &headers).expect("a size");
        let index = builder.append(r.timestamp, key, value, &headers).expect("appended");
        assert_eq!(index as usize, i);
        assert_eq!(builder.len_bytes() - before, size);
    }
    builder
}

fn read(batch: &RecordBatch) -> Vec<Plain> {
    batch
        .records(&mut Decompressor::new())
        .expect("records")
        .iter()
        .map(|r| {
            let r = r.expect("a record");
            Plain {
                timestamp: r.timestamp,
                key: r.key.map(<[u8]>::to_vec),
                value: r.value.map(<[u8]>::to_vec),
                headers: r
                    .headers
                    .iter()
                    .map(|(key, value)| (key.to_owned(), value.map(<[u8]>::to_vec)))
                    .collect(),
            }
        })
        .collect()
}

fn finish(builder: BatchBuilder, compression: Compression) -> RecordBatch {
    let fields = BatchFields { compression, ..Default::default() };
    let bytes = builder.finish(&fields, &mut Compressor::new()).expect("finished");
    RecordBatch::parse(bytes).expect("a batch")
}

/// The records of `data` by nom, up to the first error.
fn by_nom(mut data: &[u8], count: usize) -> (Vec<RawRecord<'_>>, bool) {
    let mut out = Vec::new();
    for _ in 0..count {
        let Ok((rest, record)) = nom_record(data) else { return (out, false) };
        out.push(record);
        data = rest;
    }
    (out, data.is_empty())
}

/// Puts `payload` behind the header of `batch`, says `count` records, and makes the checksum right.
fn with_payload(batch: &RecordBatch, payload: &[u8], count: i32) -> Bytes {
    let mut bytes = batch.bytes()[..61].to_vec();
    bytes.extend_from_slice(payload);
    let length = bytes.len() as i32 - 12;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[57..61].copy_from_slice(&count.to_be_bytes());
    restamp(&mut bytes, -1, -1, -1);
    bytes.into()
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(records in records(), codec in 0i16..5) {
        let codec = Compression::from_code(codec).expect("a codec");
        let batch = finish(build(&records), codec);
        batch.verify_crc().expect("a checksum");
        prop_assert_eq!(read(&batch), records.clone());
        let max = records.iter().map(|r| r.timestamp).max().expect("one").max(-1);
        prop_assert_eq!(batch.header().max_timestamp, max);
        let options = ValidateOptions::default();
        let facts = validate(batch.bytes(), &mut Decompressor::new(), &options).expect("valid");
        prop_assert_eq!(facts.max_timestamp, max);
        let first = records.iter().position(|r| r.timestamp == max && max > -1);
        let first = first.map_or(-1, |i| i as i64);
        prop_assert_eq!(facts.offset_of_max_timestamp, first);
        prop_assert_eq!(facts.record_count as usize, records.len());
    }

    #[test]
    fn the_cursor_reads_what_nom_reads(
        records in records(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        junk in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let batch = finish(build(&records), Compression::None);
        let mut data = batch.payload().to_vec();
        for (at, byte) in damage {
            let at = at.index(data.len());
            data[at] = byte;
        }
        for data in [&data[..], &data[..cut.index(data.len())], &junk[..]] {
            let bytes = with_payload(&batch, data, records.len() as i32);
            let damaged = RecordBatch::parse(bytes).expect("a batch");
            let records_read = damaged.records(&mut Decompressor::new()).expect("plain");
            let (expected, whole) = by_nom(data, records.len());
            let mut iter = records_read.iter();
            for raw in &expected {
                let record = iter.next().expect("a record").expect("as nom");
                prop_assert_eq!(record.offset, i64::from(raw.offset_delta));
                let base = damaged.header().base_timestamp;
                prop_assert_eq!(record.timestamp, base.wrapping_add(raw.timestamp_delta));
                prop_assert_eq!((record.key, record.value), (raw.key, raw.value));
                prop_assert_eq!(record.headers, raw.headers);
            }
            match iter.next() {
                None => prop_assert!(whole),
                Some(last) => {
                    prop_assert!(!whole);
                    let error = last.expect_err("nom failed here");
                    prop_assert!(error.offset() <= 61 + data.len());
                    prop_assert!(iter.next().is_none());
                }
            }
        }
    }

    #[test]
    fn a_split_batch_has_the_same_records(records in records(), codec in 0i16..5) {
        let codec = Compression::from_code(codec).expect("a codec");
        let batch = finish(build(&records), codec);
        let again = BatchBuilder::from_batch(&batch, &mut Decompressor::new()).expect("read");
        prop_assert_eq!(again.record_count() as usize, records.len());
        let whole = again.len_bytes();
        let (first, second) = again.split().expect("split");
        let at = first.record_count() as usize;
        let first_bytes = first.len_bytes();
        prop_assert_eq!(read(&finish(first, codec)), &records[..at]);
        let Some(second) = second else {
            prop_assert_eq!(records.len(), 1);
            return Ok(());
        };
        // Halves, but for the one record that lies across the middle.
        let longest = records.iter().map(|r| {
            let (key, value) = (r.key.as_deref(), r.value.as_deref());
            BatchBuilder::new(0).record_size(r.timestamp, key, value, &headers(r)).expect("a size")
        }).max().expect("one");
        let most = 61 + whole / 2 + longest + 16 * records.len();
        prop_assert!(first_bytes <= most && second.len_bytes() <= most);
        let second = finish(second, codec);
        prop_assert_eq!(second.header().last_offset_delta as usize, records.len() - at - 1);
        prop_assert_eq!(read(&second), &records[at..]);
    }

    #[test]
    fn a_header_is_read_as_it_was_written(
        longs in any::<[i64; 4]>(), ints in any::<[i32; 5]>(),
        epoch: i16, attributes: i16, crc: u32,
    ) {
        let header = BatchHeader {
            base_offset: longs[0],
            batch_length: ints[0].saturating_abs().max(49),
            partition_leader_epoch: ints[1],
            magic: 2,
            crc,
            attributes: header::Attributes(attributes),
            last_offset_delta: ints[2],
            base_timestamp: longs[1],
            max_timestamp: longs[2],
            producer_id: longs[3],
            producer_epoch: epoch,
            base_sequence: ints[3],
            record_count: ints[4],
        };
        prop_assert_eq!(BatchHeader::parse(&header.to_bytes()).expect("a header"), header);
        for len in 0..61 {
            prop_assert!(BatchHeader::parse(&header.to_bytes()[..len]).is_err());
        }
    }
}

fn small() -> RecordBatch {
    let mut builder = BatchBuilder::new(0);
    let headers =
        [Header::new("h", Some(b"x")), Header::new("", None), Header::new("h", Some(b""))];
    builder.append(1_700_000_000_000, Some(b"key"), Some(b"value"), &headers).expect("appended");
    builder.append(1_700_000_000_001, None, None, &[]).expect("appended");
    builder.append(1_600_000_000_000, Some(b""), Some(b""), &[]).expect("appended");
    finish(builder, Compression::None)
}

#[test]
fn every_truncation_ends_the_iteration_as_an_incomplete_tail() {
    let batch = small();
    let mut two = batch.bytes().to_vec();
    two.extend_from_slice(batch.bytes());
    for len in 0..=two.len() {
        let mut iter = BatchIter::new(Bytes::copy_from_slice(&two[..len]));
        let whole = iter.by_ref().inspect(|batch| assert!(batch.is_ok())).count();
        assert_eq!(whole, len / batch.bytes().len());
        assert_eq!(iter.incomplete_tail(), len % batch.bytes().len() != 0, "cut to {len}");
        assert_eq!(iter.position(), whole * batch.bytes().len());
        let alone = RecordBatch::parse(Bytes::copy_from_slice(&two[..len]));
        assert_eq!(alone.is_ok(), len == batch.bytes().len());
    }
}

#[test]
fn every_truncation_of_the_records_is_an_error() {
    for codec in Compression::ALL {
        let options = BatchFields { compression: codec, ..Default::default() };
        let builder = BatchBuilder::from_batch(&small(), &mut Decompressor::new()).expect("read");
        let batch = builder.finish(&options, &mut Compressor::new()).expect("finished");
        let batch = RecordBatch::parse(batch).expect("a batch");
        for len in 0..batch.payload().len() {
            let cut = with_payload(&batch, &batch.payload()[..len], 3);
            let parsed = RecordBatch::parse(cut.clone()).expect("a batch");
            let broken = match parsed.records(&mut Decompressor::new()) {
                Ok(records) => records.iter().any(|record| record.is_err()),
                Err(_) => true,
            };
            assert!(broken, "{codec} cut to {len}");
            let valid = validate(&cut, &mut Decompressor::new(), &ValidateOptions::default());
            assert!(valid.is_err(), "{codec} cut to {len}");
        }
    }
}

#[test]
fn every_flipped_bit_is_noticed_or_harmless() {
    let batch = small();
    let expected = read(&batch);
    for bit in 0..batch.bytes().len() * 8 {
        let mut bytes = batch.bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let bytes = Bytes::from(bytes);
        let parsed = RecordBatch::parse(bytes.clone()).and_then(|b| b.verify_crc().map(|()| b));
        if bit / 8 >= header::CRC_AT {
            let error = parsed.expect_err("the checksum sees it");
            assert_eq!(error.kind(), RecordErrorKind::Crc, "bit {bit}");
        } else if let Ok(flipped) = parsed {
            // Base offset and leader epoch are outside the checksum: the records are the same.
            let at = bit / 8;
            assert!(at < 8 || (12..16).contains(&at), "bit {bit} in length or magic passes");
            assert_eq!(read(&flipped), expected, "bit {bit}");
        }
        // With the checksum made right again nothing may panic, whatever the bytes say.
        let mut repaired = bytes.to_vec();
        restamp(&mut repaired, -1, -1, -1);
        let repaired = Bytes::from(repaired);
        drop(validate(&repaired, &mut Decompressor::new(), &ValidateOptions::default()));
        for batch in BatchIter::new(repaired).flatten() {
            drop(batch.control_type());
            if let Ok(records) = batch.records(&mut Decompressor::with_limit(1 << 20)) {
                records
                    .iter()
                    .flatten()
                    .for_each(|r| assert_eq!(r.headers.iter().count(), r.headers.len()));
            }
        }
    }
}

#[test]
fn stamps_change_what_they_say_and_nothing_else() {
    let batch = small();
    let mut bytes = batch.bytes().to_vec();
    stamp_base_offset(&mut bytes, 1 << 40, 7);
    restamp(&mut bytes, 4711, 3, i32::MAX - 1);
    set_max_timestamp(&mut bytes, TimestampType::LogAppendTime, 1_800_000_000_000);
    let stamped = RecordBatch::parse(bytes.clone().into()).expect("a batch");
    stamped.verify_crc().expect("the new checksum is right");
    let header = *stamped.header();
    let expected = BatchHeader {
        base_offset: 1 << 40,
        partition_leader_epoch: 7,
        producer_id: 4711,
        producer_epoch: 3,
        base_sequence: i32::MAX - 1,
        max_timestamp: 1_800_000_000_000,
        attributes: batch.header().attributes.with_timestamp_type(TimestampType::LogAppendTime),
        crc: header.crc,
        ..*batch.header()
    };
    assert_eq!(header, expected);
    // After 2³¹-1 comes 0; the third record has sequence 0.
    assert_eq!(header.last_sequence(), 0);
    assert_eq!(next_sequence(i32::MAX, 1), 0);
    // Every record has the append time (trap 12).
    let times: Vec<_> = read(&stamped).iter().map(|r| r.timestamp).collect();
    assert_eq!(times, [1_800_000_000_000; 3]);
    let same = bytes.clone();
    set_max_timestamp(&mut bytes, TimestampType::LogAppendTime, 1_800_000_000_000);
    assert_eq!(bytes, same);
}

#[test]
fn null_and_empty_differ_and_headers_keep_their_order() {
    let read = read(&small());
    assert_eq!(read[0].key.as_deref(), Some(&b"key"[..]));
    let headers: Vec<_> = read[0].headers.iter().map(|(k, v)| (k.as_str(), v.as_deref())).collect();
    assert_eq!(headers, [("h", Some(&b"x"[..])), ("", None), ("h", Some(&b""[..]))]);
    assert_eq!((&read[1].key, &read[1].value), (&None, &None));
    assert_eq!((&read[2].key, &read[2].value), (&Some(vec![]), &Some(vec![])));
    let records = small().records(&mut Decompressor::new()).expect("records");
    let first = records.iter().next().expect("one").expect("good");
    assert_eq!(first.headers.last("h"), Some(Some(&b""[..])));
    assert_eq!(first.headers.last("none"), None);
}

#[test]
fn a_header_key_that_is_not_utf8_keeps_its_bytes_and_does_not_stop_the_reader() {
    let payload = [22, 0, 0, 0, 1, 1, 2, 4, 0xff, 0xfe, 2, b'v'];
    let bytes = with_payload(&small(), &payload, 1);
    let batch = RecordBatch::parse(bytes).expect("a batch");
    let records = batch.records(&mut Decompressor::new()).expect("records");
    let record = records.iter().next().expect("one").expect("good");
    assert_eq!(record.headers.iter().next(), Some(("\u{fffd}", Some(&b"v"[..]))));
    assert_eq!(record.headers.iter_bytes().next(), Some((&[0xff, 0xfe][..], Some(&b"v"[..]))));
    let (first, none) = BatchBuilder::from_batch(&batch, &mut Decompressor::new())
        .expect("read")
        .split()
        .expect("split");
    assert!(none.is_none());
    assert_eq!(finish(first, Compression::None).payload(), payload);
}

#[test]
fn a_builder_keeps_to_its_bounds_and_gives_buffers_back() {
    let mut builder = BatchBuilder::with_buffer(Vec::with_capacity(4096));
    let size = builder.record_size(5, None, Some(&[7; 100]), &[]).expect("a size");
    let most = builder.len_bytes() + size;
    assert_eq!(builder.append_within(most, 5, None, Some(&[7; 100]), &[]).expect("fits"), Some(0));
    assert_eq!(builder.append_within(most, 5, None, None, &[]).expect("no error"), None);
    assert_eq!((builder.record_count(), builder.len_bytes()), (1, most));
    let fields = BatchFields { compression: Compression::Zstd, ..Default::default() };
    let (_, spare) = builder.finish_and_reuse(&fields, &mut Compressor::new()).expect("finished");
    let spare = spare.expect("the buffer comes back");
    let (capacity, at) = (spare.capacity(), spare.as_ptr());
    let mut builder = BatchBuilder::with_buffer(spare);
    builder.append(5, None, Some(b"x"), &[]).expect("appended");
    // Uncompressed, the builder's buffer is the batch: nothing is copied.
    let batch = builder.finish(&BatchFields::default(), &mut Compressor::new()).expect("finished");
    assert_eq!((batch.as_ptr(), capacity), (at, 4096));
    let empty = BatchBuilder::new(0).finish(&BatchFields::default(), &mut Compressor::new());
    assert_eq!(empty.expect_err("no records").kind(), RecordErrorKind::Encode);
}
