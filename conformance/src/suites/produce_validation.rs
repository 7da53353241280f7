//! What a broker must not store, and what it must.

use super::common::Partition;
use super::records::{Plain, TIME_MS, batch, batch_with, compressed, field, patched, put};
use crate::case::{Case, Profile::Core};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use ottla_protocol::messages::ApiKey;
use ottla_protocol::records::header::{
    ATTRIBUTES_AT, BASE_OFFSET_AT, CRC_AT, LAST_OFFSET_DELTA_AT, LEADER_EPOCH_AT, MAGIC_AT,
    RECORD_COUNT_AT,
};
use ottla_protocol::records::{BATCH_HEADER_LEN, BatchFields, Compression, Header};

const CORRUPT_MESSAGE: i16 = 2;
const INVALID_RECORD: i16 = 87;

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "produce-validation/size",
        Core,
        (ApiKey::Produce, 3),
        size,
        &["K-PRODUCE-VALIDATION-001", "K-PRODUCE-VALIDATION-002", "K-PRODUCE-VALIDATION-004"],
    ),
    Case::each(
        "produce-validation/crc",
        Core,
        (ApiKey::Produce, 3),
        crc,
        &["K-PRODUCE-VALIDATION-003", "K-PRODUCE-VALIDATION-004"],
    ),
    Case::each(
        "produce-validation/batches",
        Core,
        (ApiKey::Produce, 3),
        batches,
        &[
            "K-PRODUCE-VALIDATION-005",
            "K-PRODUCE-VALIDATION-006",
            "K-PRODUCE-VALIDATION-007",
            "K-PRODUCE-VALIDATION-027",
        ],
    ),
    Case::each(
        "produce-validation/zstd",
        Core,
        (ApiKey::Produce, 3),
        zstd,
        &["K-PRODUCE-VALIDATION-008"],
    ),
    Case::each(
        "produce-validation/header-fields",
        Core,
        (ApiKey::Produce, 3),
        header_fields,
        &[
            "K-PRODUCE-VALIDATION-009",
            "K-PRODUCE-VALIDATION-010",
            "K-PRODUCE-VALIDATION-011",
            "K-PRODUCE-VALIDATION-012",
            "K-PRODUCE-VALIDATION-013",
            "K-PRODUCE-VALIDATION-014",
            "K-PRODUCE-VALIDATION-015",
        ],
    ),
    Case::each(
        "produce-validation/keys-on-a-compacted-topic",
        Core,
        (ApiKey::Produce, 3),
        keys_on_a_compacted_topic,
        &["K-PRODUCE-VALIDATION-016", "K-PRODUCE-VALIDATION-017"],
    ),
    Case::each(
        "produce-validation/times",
        Core,
        (ApiKey::Produce, 3),
        times,
        &["K-PRODUCE-VALIDATION-018", "K-PRODUCE-VALIDATION-019"],
    ),
    Case::each(
        "produce-validation/append-time-bit",
        Core,
        (ApiKey::Produce, 3),
        append_time_bit,
        &["K-PRODUCE-VALIDATION-020", "K-PRODUCE-VALIDATION-021", "K-PRODUCE-VALIDATION-022"],
    ),
    Case::each(
        "produce-validation/inner-lengths",
        Core,
        (ApiKey::Produce, 3),
        inner_lengths,
        &[
            "K-PRODUCE-VALIDATION-023",
            "K-PRODUCE-VALIDATION-024",
            "K-PRODUCE-VALIDATION-025",
            "K-PRODUCE-VALIDATION-026",
        ],
    ),
];

/// The batch is answered with this error.
fn refused(
    context: &mut Context<'_>,
    partition: &mut Partition,
    statement: &'static str,
    expected: i16,
    what: &str,
    records: Vec<u8>,
) -> Step {
    let entry = partition.produce(context, statement, records)?;
    let code = entry.error_code;
    context.must(statement, code == expected, || {
        format!("{what} should be {}; it is {}", error_name(expected), error_name(code))
    })
}

fn accepted(
    context: &mut Context<'_>,
    partition: &mut Partition,
    statement: &'static str,
    what: &str,
    records: Vec<u8>,
) -> Step<i64> {
    let entry = partition.produce(context, statement, records)?;
    let code = entry.error_code;
    context.must(statement, code == 0, || {
        format!("{what} should be taken; it is {}", error_name(code))
    })?;
    Ok(entry.base_offset)
}

/// What was refused left nothing: the next record gets the offset that is due.
fn left_nothing(context: &mut Context<'_>, partition: &mut Partition, due: i64) -> Step {
    let base = partition.append(context, batch(&[b"good"]))?;
    context.must("K-PRODUCE-VALIDATION-004", base == due, || {
        format!("after batches that were refused the next offset is {base}, not {due}")
    })
}

fn size(context: &mut Context<'_>) -> Step {
    let exact = batch(&[&[b'x'; 500]]);
    let limit = exact.len().to_string();
    let mut partition = Partition::with(context, 1, &[("max.message.bytes", &limit)])?;
    let larger = batch(&[&[b'x'; 501]]);
    refused(context, &mut partition, "K-PRODUCE-VALIDATION-001", 10, "a byte too many", larger)?;
    left_nothing(context, &mut partition, 0)?;
    accepted(context, &mut partition, "K-PRODUCE-VALIDATION-002", "the exact limit", exact)?;
    Ok(())
}

fn crc(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    let statement = "K-PRODUCE-VALIDATION-003";
    for at in [CRC_AT, BATCH_HEADER_LEN + 4] {
        let mut broken = batch(&[b"some value"]);
        broken[at] ^= 1;
        let what = format!("a bit flipped at byte {at}");
        refused(context, &mut partition, statement, 2, &what, broken)?;
    }
    left_nothing(context, &mut partition, 0)
}

fn batches(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    let one = batch(&[b"v"]);
    let two = field(&[one.clone(), one.clone()]).to_vec();
    let (five, six, seven) =
        ("K-PRODUCE-VALIDATION-005", "K-PRODUCE-VALIDATION-006", "K-PRODUCE-VALIDATION-007");
    refused(context, &mut partition, five, INVALID_RECORD, "two batches", two)?;
    refused(context, &mut partition, six, INVALID_RECORD, "no batch", Vec::new())?;
    let (mut old, mut new) = (one.clone(), one);
    old[MAGIC_AT] = 1;
    refused(context, &mut partition, seven, INVALID_RECORD, "magic 1", old)?;
    new[MAGIC_AT] = 3;
    let newer = "K-PRODUCE-VALIDATION-027";
    refused(context, &mut partition, newer, CORRUPT_MESSAGE, "magic 3", new)?;
    left_nothing(context, &mut partition, 0)
}

fn zstd(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    let batch = compressed(Compression::Zstd, &[b"value"]);
    let statement = "K-PRODUCE-VALIDATION-008";
    if context.version() < 7 {
        return refused(context, &mut partition, statement, 76, "zstd before version 7", batch);
    }
    accepted(context, &mut partition, statement, "zstd from version 7 on", batch)?;
    Ok(())
}

fn header_fields(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    let good = || batch(&[b"a", b"b"]);
    let with = |at: usize, bytes: &[u8]| patched(good(), |batch| put(batch, at, bytes));
    let control = BatchFields { control: true, ..Default::default() };
    let sequence = BatchFields { producer_id: 4_711, producer_epoch: 0, ..Default::default() };
    let plain = [Plain::of(b"k", b"v")];
    let all = [
        ("009", "base offset 1", with(BASE_OFFSET_AT, &1_i64.to_be_bytes())),
        ("010", "record count 0", with(RECORD_COUNT_AT, &0_i32.to_be_bytes())),
        ("010", "record count -1", with(RECORD_COUNT_AT, &(-1_i32).to_be_bytes())),
        ("011", "last offset delta 2 of two", with(LAST_OFFSET_DELTA_AT, &2_i32.to_be_bytes())),
        (
            "012",
            "three of two records",
            patched(good(), |batch| {
                put(batch, RECORD_COUNT_AT, &3_i32.to_be_bytes());
                put(batch, LAST_OFFSET_DELTA_AT, &2_i32.to_be_bytes());
            }),
        ),
        (
            "012",
            "one of two records",
            patched(good(), |batch| {
                put(batch, RECORD_COUNT_AT, &1_i32.to_be_bytes());
                put(batch, LAST_OFFSET_DELTA_AT, &0_i32.to_be_bytes());
            }),
        ),
        ("013", "a control batch", batch_with(&control, &plain)),
        ("014", "a producer id without a sequence", batch_with(&sequence, &plain)),
    ];
    for (number, what, records) in all {
        let statement = statement(number);
        refused(context, &mut partition, statement, INVALID_RECORD, what, records)?;
    }
    for (due, epoch) in [(0, 7_i32), (2, -1), (4, i32::MAX)] {
        let records = with(LEADER_EPOCH_AT, &epoch.to_be_bytes());
        let what = format!("leader epoch {epoch}");
        let statement = "K-PRODUCE-VALIDATION-015";
        let base = accepted(context, &mut partition, statement, &what, records)?;
        context.must("K-PRODUCE-VALIDATION-004", base == due, || {
            format!("the batch got offset {base}, not {due}: something refused was stored")
        })?;
    }
    Ok(())
}

fn statement(number: &str) -> &'static str {
    let all = CASES.iter().flat_map(|case| case.statements);
    all.copied().find(|id| id.ends_with(number)).expect("a statement of this suite")
}

fn keys_on_a_compacted_topic(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::with(context, 1, &[("cleanup.policy", "compact")])?;
    let keyless = Plain { value: Some(b"v"), ..Plain::default() };
    let records = batch_with(
        &BatchFields::default(),
        &[Plain::of(b"k", b"v"), keyless, Plain::of(b"k", b"v")],
    );
    let statement = "K-PRODUCE-VALIDATION-016";
    let entry = partition.produce(context, statement, records)?;
    context.must(statement, entry.error_code == INVALID_RECORD, || {
        format!("a record without a key should be refused; it is {}", error_name(entry.error_code))
    })?;
    if context.version() >= 8 {
        let indexes: Vec<i32> = entry.record_errors.iter().map(|error| error.batch_index).collect();
        context.must("K-PRODUCE-VALIDATION-017", indexes == [1], || {
            format!("the second record has no key; RecordErrors lists {indexes:?}")
        })?;
    }
    Ok(())
}

fn times(context: &mut Context<'_>) -> Step {
    let configs = [
        ("message.timestamp.type", "CreateTime"),
        ("message.timestamp.before.max.ms", "60000"),
        ("message.timestamp.after.max.ms", "60000"),
    ];
    let mut partition = Partition::with(context, 1, &configs)?;
    let at = |timestamp: i64| {
        let record = Plain { timestamp: Some(timestamp), ..Plain::of(b"k", b"v") };
        batch_with(&BatchFields::default(), &[record])
    };
    let now = now_ms();
    accepted(context, &mut partition, "K-PRODUCE-VALIDATION-018", "the time of now", at(now))?;
    let (before, after) = ("K-PRODUCE-VALIDATION-018", "K-PRODUCE-VALIDATION-019");
    refused(context, &mut partition, before, 32, "an hour ago", at(now - 3_600_000))?;
    refused(context, &mut partition, after, 32, "in an hour", at(now + 3_600_000))
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(TIME_MS, |since| since.as_millis() as i64)
}

fn append_time_bit(context: &mut Context<'_>) -> Step {
    let fields = BatchFields { append_time: Some(TIME_MS), ..Default::default() };
    let records = batch_with(&fields, &[Plain::of(b"k", b"v")]);
    let configs = [
        ("message.timestamp.type", "CreateTime"),
        ("message.timestamp.before.max.ms", "9223372036854775807"),
    ];
    let mut partition = Partition::with(context, 1, &configs)?;
    let taken = "K-PRODUCE-VALIDATION-020";
    accepted(context, &mut partition, taken, "the LogAppendTime bit", records.clone())?;
    let stored = partition.read(context, "K-PRODUCE-VALIDATION-021", 0)?;
    let bits = stored.first().map(|batch| batch.bytes()[ATTRIBUTES_AT + 1] & 8);
    context.must("K-PRODUCE-VALIDATION-021", bits == Some(0), || {
        "the batch comes back with the LogAppendTime bit on a CreateTime topic".to_owned()
    })?;
    let configs = [("message.timestamp.type", "LogAppendTime")];
    let mut partition = Partition::with(context, 1, &configs)?;
    let statement = "K-PRODUCE-VALIDATION-022";
    refused(context, &mut partition, statement, 32, "the bit on LogAppendTime", records)
}

fn inner_lengths(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    // length, attributes, timestamp delta, offset delta, key length, key, value length, value,
    // header count.
    let plain = batch_with(&BatchFields::default(), &[Plain::of(b"k", b"v")]);
    let at = BATCH_HEADER_LEN;
    let byte =
        |offset: usize, value: u8| patched(plain.clone(), |batch| batch[at + offset] = value);
    let header = Plain { headers: vec![Header::new("h", Some(b"1"))], ..Plain::of(b"k", b"v") };
    let with_header = batch_with(&BatchFields::default(), &[header]);
    let all = [
        ("023", "a key length past the record's end", byte(4, 100)),
        ("023", "a value length past the record's end", byte(6, 100)),
        ("024", "a header key of length -2", patched(with_header, |batch| batch[at + 9] = 3)),
        ("025", "-2 headers", byte(8, 3)),
        ("026", "60 headers in no bytes", byte(8, 120)),
    ];
    for (number, what, records) in all {
        let statement = statement(number);
        refused(context, &mut partition, statement, INVALID_RECORD, what, records)?;
    }
    left_nothing(context, &mut partition, 0)
}
