//! Records as they come back: nulls, headers, times, offsets, codecs.

use super::common::Partition;
use super::records::{Plain, TIME_MS, batch, batch_with};
use super::told::Told;
use crate::case::{Case, Profile::Core};
use crate::context::{Context, Step};
use crate::findings::Asserts;
use crate::verdict::Stop;
use ottla_protocol::messages::ApiKey;
use ottla_protocol::records::{BatchFields, Compression, Decompressor, Header, RecordBatch};

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "records/nulls-and-headers",
        Core,
        (ApiKey::Produce, 3),
        nulls_and_headers,
        &[
            "K-RECORDS-001",
            "K-RECORDS-002",
            "K-RECORDS-003",
            "K-RECORDS-004",
            "K-RECORDS-005",
            "K-RECORDS-006",
            "K-RECORDS-007",
            "K-RECORDS-008",
        ],
    ),
    Case::each(
        "records/codecs",
        Core,
        (ApiKey::Produce, 7),
        codecs,
        &["K-RECORDS-009", "K-RECORDS-010", "K-RECORDS-011"],
    ),
    Case::each(
        "records/stamps",
        Core,
        (ApiKey::Fetch, 4),
        stamps,
        &[
            "K-RECORDS-012",
            "K-RECORDS-013",
            "K-RECORDS-014",
            "K-RECORDS-015",
            "K-RECORDS-016",
            "K-RECORDS-017",
        ],
    ),
];

/// A record as it came back.
#[derive(Debug, Clone, PartialEq)]
struct Came {
    offset: i64,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Told for Came {
    fn told(&self) -> String {
        let (key, value, headers) = (self.key.told(), self.value.told(), self.headers.told());
        format!("offset {}, key {key}, value {value}, headers {headers}", self.offset)
    }
}

fn records(batch: &RecordBatch) -> Step<Vec<Came>> {
    let unreadable = |why: &dyn std::fmt::Display| Stop::blocked(format!("a stored batch: {why}"));
    let records = batch.records(&mut Decompressor::new()).map_err(|why| unreadable(&why))?;
    let mut all = Vec::new();
    for record in &records {
        let record = record.map_err(|why| unreadable(&why))?;
        let headers = record.headers.iter_bytes();
        all.push(Came {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: headers.map(|(k, v)| (k.to_vec(), v.map(<[u8]>::to_vec))).collect(),
        });
    }
    Ok(all)
}

fn all(
    context: &mut Context<'_>,
    partition: &mut Partition,
    statement: &'static str,
) -> Step<Vec<Came>> {
    let batches = partition.read(context, statement, 0)?;
    Ok(batches.iter().map(records).collect::<Step<Vec<_>>>()?.concat())
}

fn nulls_and_headers(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    let plain = |key, value| Plain { key, value, ..Plain::default() };
    let with_headers = Plain {
        headers: vec![
            Header::new("b", Some(b"2")),
            Header::new("a", None),
            Header::new("b", Some(b"")),
            Header::new("", Some(b"no key")),
            Header::new("bytes", Some(&[0xff, 0, 0xfe])),
        ],
        ..plain(Some(b"k"), Some(b"v"))
    };
    let sent = [
        plain(None, Some(b"v")),
        plain(Some(b"k"), None),
        plain(Some(b""), Some(b"v")),
        plain(Some(b"k"), Some(b"")),
        with_headers,
    ];
    let bytes = batch_with(&BatchFields::default(), &sent);
    let entry = partition.produce(context, "K-RECORDS-001", bytes)?;
    context.must("K-RECORDS-001", entry.error_code == 0, || {
        format!("a batch with nulls and headers: error {}", entry.error_code)
    })?;
    let came = all(context, &mut partition, "K-RECORDS-001")?;
    context.must("K-RECORDS-001", came.len() == sent.len(), || {
        format!("{} of {} records came back", came.len(), sent.len())
    })?;
    for (index, statement, holds) in [
        (0, "K-RECORDS-001", came[0].key.is_none()),
        (1, "K-RECORDS-002", came[1].value.is_none()),
        (2, "K-RECORDS-003", came[2].key.as_deref() == Some(b"")),
        (3, "K-RECORDS-004", came[3].value.as_deref() == Some(b"")),
    ] {
        context.must(statement, holds, || format!("it came back as {}", came[index].told()))?;
    }
    let headers = &came[4].headers;
    let values: Vec<_> = headers.iter().map(|(_, value)| value.as_deref()).collect();
    let shown = || format!("headers came back as {}", headers.told());
    let nulls = values.get(1) == Some(&None) && values.get(2) == Some(&Some(&b""[..]));
    context.must("K-RECORDS-005", nulls, shown)?;
    let keys: Vec<&[u8]> = headers.iter().map(|(key, _)| key.as_slice()).collect();
    let order: [&[u8]; 5] = [b"b", b"a", b"b", b"", b"bytes"];
    context.must("K-RECORDS-006", keys == order, shown)?;
    context.must("K-RECORDS-007", values.get(3) == Some(&Some(&b"no key"[..])), shown)?;
    let bytes: &[u8] = &[0xff, 0, 0xfe];
    context.must("K-RECORDS-008", values.get(4) == Some(&Some(bytes)), shown)
}

fn codecs(context: &mut Context<'_>) -> Step {
    for compression in Compression::ALL {
        let mut partition = Partition::new(context)?;
        let fields = BatchFields { compression, ..Default::default() };
        let many: Vec<Plain<'_>> = (0..50).map(|_| Plain::of(b"key", b"some value")).collect();
        partition.append(context, batch_with(&fields, &many))?;
        let empty = Plain { value: Some(b""), ..Plain::default() };
        let entry = partition.produce(context, "K-RECORDS-011", batch_with(&fields, &[empty]))?;
        context.must("K-RECORDS-011", entry.error_code == 0, || {
            format!("{compression}: one record with an empty value: error {}", entry.error_code)
        })?;
        let stored = partition.read(context, "K-RECORDS-010", 0)?;
        for batch in &stored {
            let codec = batch.header().compression();
            context.must("K-RECORDS-010", codec.as_ref() == Ok(&compression), || {
                let codec = codec.map_or_else(|why| why.to_string(), |codec| codec.to_string());
                format!("sent as {compression}, returned as {codec}")
            })?;
        }
        let came = all(context, &mut partition, "K-RECORDS-011")?;
        let sent = (Some(&b"key"[..]), Some(&b"some value"[..]));
        let whole = came.len() == 51
            && came[..50].iter().all(|one| (one.key.as_deref(), one.value.as_deref()) == sent);
        context.must("K-RECORDS-009", whole, || {
            format!("{compression}: 50 records and one came back as {}", came.told())
        })?;
        let last = came.last().map(|record| (record.offset, record.value.clone()));
        context.must("K-RECORDS-011", last == Some((50, Some(Vec::new()))), || {
            format!("{compression}: the last record came back as {}", last.told())
        })?;
    }
    Ok(())
}

fn stamps(context: &mut Context<'_>) -> Step {
    let configs = [("message.timestamp.type", "CreateTime")];
    let mut partition = Partition::with(context, 1, &configs)?;
    partition.append(context, batch(&[b"a", b"b"]))?;
    let at = |plus: i64| Plain { timestamp: Some(TIME_MS + plus), ..Plain::of(b"k", b"v") };
    let times = [5, 90, -7];
    let records: Vec<_> = times.into_iter().map(at).collect();
    partition.append(context, batch_with(&BatchFields::default(), &records))?;
    let stored = partition.read(context, "K-RECORDS-012", 0)?;
    for batch in &stored {
        let sound = batch.verify_crc();
        context.must("K-RECORDS-012", sound.is_ok(), || {
            format!("a stored batch: {}", sound.err().told())
        })?;
    }
    let bases: Vec<i64> = stored.iter().map(|batch| batch.header().base_offset).collect();
    context.must("K-RECORDS-013", bases == [0, 2], || {
        format!("batches of two and three records have base offsets {bases:?}")
    })?;
    let came = all(context, &mut partition, "K-RECORDS-014")?;
    let offsets: Vec<i64> = came.iter().map(|record| record.offset).collect();
    context.must("K-RECORDS-014", offsets == [0, 1, 2, 3, 4], || {
        format!("five records have offsets {offsets:?}")
    })?;
    let epochs: Vec<i32> =
        stored.iter().map(|batch| batch.header().partition_leader_epoch).collect();
    context.must("K-RECORDS-015", epochs.iter().all(|epoch| *epoch >= 0), || {
        format!("the partition leader epochs are {epochs:?}; they were sent as -1")
    })?;
    let got: Vec<i64> = came[2..].iter().map(|record| record.timestamp - TIME_MS).collect();
    context.must("K-RECORDS-016", got == times, || {
        format!("timestamps were sent as {times:?} and came back as {got:?}")
    })?;
    let greatest = stored[1].header().max_timestamp - TIME_MS;
    context.must("K-RECORDS-017", greatest == 90, || {
        format!("the greatest timestamp is 90, the batch says {greatest}")
    })
}
