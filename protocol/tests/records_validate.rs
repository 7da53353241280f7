//! What a broker refuses, rule by rule (PR-07, 11 to 13, 15 to 18, 31).

use bytes::Bytes;
use ottla_protocol::records::{
    BatchBuilder, BatchFields, BatchHeader, Compression, Compressor, ControlType, Decompressor,
    Origin, RecordBatch, RecordError, RecordErrorKind, Rejection, TimestampType, ValidateOptions,
    header, validate,
};
use ottla_protocol::varint::put_varint;

fn batch_of(records: &[(i64, Option<&[u8]>)], fields: &BatchFields) -> Bytes {
    let mut builder = BatchBuilder::new(0);
    for &(timestamp, key) in records {
        builder.append(timestamp, key, Some(b"value"), &[]).expect("appended");
    }
    builder.finish(fields, &mut Compressor::new()).expect("finished")
}

fn three(codec: Compression) -> Bytes {
    let fields = BatchFields { compression: codec, ..Default::default() };
    batch_of(&[(10, Some(b"a")), (30, Some(b"b")), (20, Some(b"c"))], &fields)
}

/// The batch with another header, checksum and length right.
fn edit(batch: &Bytes, change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let mut header = BatchHeader::parse(batch).expect("a header");
    change(&mut header);
    let mut bytes = batch.to_vec();
    bytes[..61].copy_from_slice(&header.to_bytes());
    header::restamp(&mut bytes, header.producer_id, header.producer_epoch, header.base_sequence);
    bytes.into()
}

/// A batch of one record with these bytes after its length, in each codec.
fn raw(body: &[u8], length: Option<i32>, codec: Compression) -> Bytes {
    let mut records = Vec::new();
    put_varint(&mut records, length.unwrap_or(body.len() as i32));
    records.extend_from_slice(body);
    let mut bytes =
        batch_of(&[(0, None)], &BatchFields { compression: codec, ..Default::default() })[..61]
            .to_vec();
    Compressor::new().compress(codec, None, &records, &mut bytes).expect("compressed");
    let length = bytes.len() as i32 - 12;
    edit(&bytes.into(), |header| header.batch_length = length)
}

fn check(batch: &Bytes, options: &ValidateOptions) -> Result<(), RecordError> {
    validate(batch, &mut Decompressor::new(), options).map(drop)
}

#[track_caller]
fn refused(batch: &Bytes, options: &ValidateOptions, kind: RecordErrorKind, says: &str) {
    let error = check(batch, options).expect_err("refused");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn facts_are_found_in_every_codec() {
    for codec in Compression::ALL {
        let facts = validate(&three(codec), &mut Decompressor::new(), &Default::default());
        let facts = facts.expect("valid");
        assert_eq!((facts.record_count, facts.max_timestamp), (3, 30));
        assert_eq!((facts.offset_of_max_timestamp, facts.compression), (1, codec));
        assert_eq!(facts.header, BatchHeader::parse(&three(codec)).expect("a header"));
    }
}

#[test]
fn max_timestamp_is_computed_and_not_believed() {
    let lie = edit(&three(Compression::None), |header| header.max_timestamp = 1 << 50);
    let facts = validate(&lie, &mut Decompressor::new(), &Default::default()).expect("valid");
    assert_eq!(facts.max_timestamp, 30);
    let mut repaired = lie.to_vec();
    header::set_max_timestamp(&mut repaired, TimestampType::CreateTime, facts.max_timestamp);
    assert_eq!(repaired, three(Compression::None));
}

#[test]
fn pr07_a_wrong_checksum() {
    let mut bytes = three(Compression::None).to_vec();
    bytes[17] ^= 1;
    refused(&bytes.into(), &Default::default(), RecordErrorKind::Crc, "CRC");
}

#[test]
fn two_batches_or_a_cut_one_are_not_one() {
    let one = three(Compression::None);
    let two: Bytes = [&one[..], &one[..]].concat().into();
    refused(&two, &Default::default(), RecordErrorKind::Malformed, "bytes, there are");
    refused(&one.slice(..80), &Default::default(), RecordErrorKind::Malformed, "batch length");
    refused(&Bytes::new(), &Default::default(), RecordErrorKind::Malformed, "0 bytes");
}

#[test]
fn pr11_offsets_and_counts_of_the_header() {
    use RecordErrorKind::{Invalid, Malformed};
    for codec in Compression::ALL {
        let good = three(codec);
        let options = ValidateOptions::default();
        let bad = |change: fn(&mut BatchHeader)| edit(&good, change);
        refused(&bad(|h| h.base_offset = 1), &options, Invalid, "base offset is 1");
        refused(&bad(|h| h.record_count = 0), &options, Invalid, "without records");
        refused(&bad(|h| h.record_count = -1), &options, Invalid, "-1 records");
        refused(&bad(|h| h.last_offset_delta = 3), &options, Invalid, "last offset delta 3");
        refused(&bad(|h| h.last_offset_delta = -1), &options, Invalid, "last offset delta -1");
        let count =
            |n: i32| move |h: &mut BatchHeader| (h.record_count, h.last_offset_delta) = (n, n - 1);
        refused(&edit(&good, count(2)), &options, Invalid, "after the last of 2");
        refused(&edit(&good, count(4)), &options, Malformed, "bad record 3");
        refused(&edit(&good, count(i32::MAX)), &options, Malformed, "bad record 3");
    }
}

#[test]
fn a_codec_that_is_not_known() {
    let odd = edit(&three(Compression::None), |h| h.attributes = header::Attributes(5));
    refused(&odd, &Default::default(), RecordErrorKind::UnsupportedCompression, "codec 5");
}

#[test]
fn pr12_control_batches_are_the_brokers_own() {
    let mut builder = BatchBuilder::new(0);
    let value = ottla_protocol::records::control::end_transaction_value(11);
    builder.append(5, Some(&ControlType::Commit.to_key()), Some(&value), &[]).expect("appended");
    let fields = BatchFields {
        control: true,
        transactional: true,
        producer_id: 4711,
        producer_epoch: 3,
        ..Default::default()
    };
    let marker = builder.finish(&fields, &mut Compressor::new()).expect("finished");
    refused(&marker, &Default::default(), RecordErrorKind::Invalid, "control records");
    let options = ValidateOptions { origin: Origin::Coordinator, ..Default::default() };
    check(&marker, &options).expect("a coordinator may");
    let batch = RecordBatch::parse(marker).expect("a batch");
    assert_eq!(batch.control_type().expect("a type"), Some(ControlType::Commit));
}

#[test]
fn control_keys_of_every_length() {
    assert!(ControlType::from_key(None).is_err());
    assert!(ControlType::from_key(Some(&[0, 0, 1])).is_err());
    assert!(ControlType::from_key(Some(&[0xff, 0xff, 0, 1])).is_err());
    // A later version may say more, and a later type may be unknown.
    let later = ControlType::from_key(Some(&[0, 9, 0, 1, 5, 5]));
    assert_eq!(later.expect("a type"), ControlType::Commit);
    let unknown = ControlType::from_key(Some(&[0, 0, 1, 0]));
    assert_eq!(unknown.expect("a type"), ControlType::Unknown(256));
    for code in 0..9 {
        assert_eq!(ControlType::from_code(code).code(), code);
    }
}

#[test]
fn pr13_a_producer_id_needs_a_sequence() {
    let without = edit(&three(Compression::None), |h| h.producer_id = 1);
    refused(&without, &Default::default(), RecordErrorKind::Invalid, "sequence");
    let with = edit(&three(Compression::None), |h| (h.producer_id, h.base_sequence) = (1, 0));
    check(&with, &Default::default()).expect("with one it is fine");
}

#[test]
fn pr15_keys_on_compacted_topics() {
    let fields = BatchFields { compression: Compression::Zstd, ..Default::default() };
    let batch = batch_of(&[(1, Some(b"")), (1, None), (1, Some(b"k")), (1, None)], &fields);
    check(&batch, &Default::default()).expect("elsewhere no key is needed");
    let options = ValidateOptions { require_key: true, ..Default::default() };
    let error = check(&batch, &options).expect_err("refused");
    assert_eq!((error.kind(), error.record()), (RecordErrorKind::Invalid, Some(1)));
    let rejected: Vec<_> = error.rejected().iter().map(|r| (r.index, r.reason)).collect();
    assert_eq!(rejected, [(1, Rejection::MissingKey), (3, Rejection::MissingKey)]);
    // The list does not grow with the batch.
    let many = batch_of(&vec![(1, None); 5000], &fields);
    let error = check(&many, &options).expect_err("refused");
    assert_eq!(error.rejected().len(), 100);
    assert!(error.to_string().contains("5000 records"), "{error}");
}

#[test]
fn pr16_timestamps_out_of_range() {
    let options = ValidateOptions { timestamps: Some(15..=30), ..Default::default() };
    for codec in Compression::ALL {
        let error = check(&three(codec), &options).expect_err("refused");
        assert_eq!((error.kind(), error.record()), (RecordErrorKind::Timestamp, Some(0)));
        assert_eq!(error.rejected().len(), 1);
    }
    // No timestamp is no wrong timestamp.
    check(&batch_of(&[(-1, None), (20, None)], &Default::default()), &options).expect("valid");
    // Beside another fault it is an invalid record.
    let both = ValidateOptions { require_key: true, ..options };
    let batch = batch_of(&[(20, None), (99, Some(b"k"))], &Default::default());
    let error = check(&batch, &both).expect_err("refused");
    assert_eq!((error.kind(), error.rejected().len()), (RecordErrorKind::Invalid, 2));
}

#[test]
fn pr17_the_producers_log_append_time() {
    let fields = BatchFields { append_time: Some(25), ..Default::default() };
    let batch = batch_of(&[(1, None), (2, None)], &fields);
    let range = Some(20..=30);
    let create = ValidateOptions { timestamps: range.clone(), ..Default::default() };
    // On a CreateTime topic it is the batch's max timestamp that is judged, and later rewritten.
    let facts = validate(&batch, &mut Decompressor::new(), &create).expect("valid");
    assert_eq!((facts.max_timestamp, facts.offset_of_max_timestamp), (25, 0));
    let append = ValidateOptions { timestamp_type: TimestampType::LogAppendTime, ..create.clone() };
    refused(&batch, &append, RecordErrorKind::Timestamp, "timestamp");
    let absent = BatchFields { append_time: Some(-1), ..Default::default() };
    refused(&batch_of(&[(1, None)], &absent), &create, RecordErrorKind::Timestamp, "timestamp");
    // An ordinary batch is fine there: the broker puts its own time in.
    check(&three(Compression::None), &append).expect("valid");
}

#[test]
fn pr31_inner_lengths() {
    // attributes, timestamp delta, offset delta, key, value, header count
    let good = [0, 0, 0, 2, b'k', 2, b'v', 2, 2, b'h', 1];
    let bad: [(&[u8], Option<i32>, &str); 16] = [
        (&good, Some(-1), "record length is -1"),
        (&good, Some(0), "record length is 0"),
        (&good, Some(5), "record length is 5"),
        (&good, Some(6), "value length 1, 0 bytes"),
        (&good, Some(10), "ends before its header value length"),
        (&good, Some(12), "too many"),
        (&good, Some(i32::MAX), "too many"),
        (&[0, 0, 0, 3, 1, 0], None, "key length -2"),
        (&[0, 0, 0, 4, 1, 0], None, "inside a value length"),
        (&[0, 0, 0, 6, 1, 0], None, "key length 3"),
        (&[0, 0, 0, 1, 3, 0], None, "value length -2"),
        (&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0], None, "value length"),
        (&[0, 0, 0, 1, 1, 1], None, "-1 headers"),
        (&[0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f], None, "headers in"),
        (&[0, 0, 0, 1, 1, 2, 1, 1], None, "header key length -1"),
        (&[0, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0], None, "more than 5 bytes"),
    ];
    for codec in Compression::ALL {
        check(&raw(&good, None, codec), &Default::default()).expect("the good one is good");
        for (body, length, says) in &bad {
            let batch = raw(body, *length, codec);
            refused(&batch, &Default::default(), RecordErrorKind::Malformed, says);
        }
        let gap = raw(&[0, 0, 2, 1, 1, 0], None, codec);
        refused(&gap, &Default::default(), RecordErrorKind::Invalid, "offset delta 1 after -1");
    }
}

#[test]
fn replicas_keep_gaps_and_emptied_batches() {
    let replica = ValidateOptions { origin: Origin::Replica, ..Default::default() };
    let mut builder = BatchBuilder::new(0);
    for delta in [2, 5, 9] {
        builder.append_at(delta, 7, None, Some(b"v"), &[]).expect("appended");
    }
    assert!(builder.append_at(9, 7, None, None, &[]).is_err());
    let fields =
        BatchFields { base_offset: 100, last_offset_delta: Some(12), ..Default::default() };
    let batch = builder.finish(&fields, &mut Compressor::new()).expect("finished");
    let facts = validate(&batch, &mut Decompressor::new(), &replica).expect("valid");
    assert_eq!((facts.record_count, facts.offset_of_max_timestamp), (3, 102));
    assert_eq!((facts.header.last_offset(), facts.header.next_offset()), (112, 113));
    refused(&batch, &Default::default(), RecordErrorKind::Invalid, "last offset delta 12");
    for codec in Compression::ALL {
        let mut header = facts.header;
        header.record_count = 0;
        header.batch_length = 49;
        header.attributes = header.attributes.with_compression(codec);
        let emptied = edit(&header.to_bytes().to_vec().into(), |_| ());
        let facts = validate(&emptied, &mut Decompressor::new(), &replica).expect("valid");
        assert_eq!((facts.record_count, facts.max_timestamp), (0, -1));
        let batch = RecordBatch::parse(emptied).expect("a batch");
        assert!(batch.records(&mut Decompressor::new()).expect("none").iter().next().is_none());
    }
    // But never an offset beyond the last, or one that does not grow.
    let beyond = edit(&batch, |h| h.last_offset_delta = 8);
    refused(&beyond, &replica, RecordErrorKind::Invalid, "offset delta 9");
    let crowded = edit(&batch, |h| h.last_offset_delta = 1);
    refused(&crowded, &replica, RecordErrorKind::Invalid, "3 records");
    let overflow = edit(&batch, |h| h.base_offset = i64::MAX - 3);
    refused(&overflow, &replica, RecordErrorKind::Invalid, "base offset");
}
