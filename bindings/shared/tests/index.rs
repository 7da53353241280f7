//! The index of a batch says what the batch's own records say.

use ottla::{Batch, Consumer, Header, Producer, Record};
use ottla_bindings::{FIELDS, Index};
use ottla_broker::{Broker, Config};
use std::time::Duration;

/// A record as the index tells it.
#[derive(Debug, PartialEq)]
struct Told {
    offset: i64,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// Reads as a language does: integers and bytes only.
fn read(index: &Index, data: &[u8]) -> Vec<Told> {
    let span =
        |at: i32, len: i32| (len >= 0).then(|| data[at as usize..(at + len) as usize].to_vec());
    let headers = |at: i32| -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let Ok(at) = usize::try_from(at) else { return Vec::new() };
        let count = index.headers[at] as usize;
        let quads = index.headers[at + 1..].chunks_exact(4).take(count);
        quads.map(|q| (span(q[0], q[1]).expect("a header has a key"), span(q[2], q[3]))).collect()
    };
    let record = |fields: &[i32]| Told {
        offset: index.base_offset + i64::from(fields[0]),
        timestamp: index.base_timestamp
            + (i64::from(fields[2]) << 32 | i64::from(fields[1] as u32)),
        key: span(fields[3], fields[4]),
        value: span(fields[5], fields[6]),
        headers: headers(fields[7]),
    };
    index.records.chunks_exact(FIELDS).map(record).collect()
}

fn told_by_the_batch(batch: &Batch) -> Vec<Told> {
    let owned = |bytes: &[u8]| bytes.to_vec();
    let record = |record: ottla_protocol::records::Record<'_>| Told {
        offset: record.offset,
        timestamp: record.timestamp,
        key: record.key.map(owned),
        value: record.value.map(owned),
        headers: record
            .headers
            .iter_bytes()
            .map(|(key, value)| (owned(key), value.map(owned)))
            .collect(),
    };
    batch.iter().map(record).collect()
}

async fn next(consumer: &Consumer) -> Option<Batch> {
    let batch = tokio::time::timeout(Duration::from_secs(30), consumer.next_batch()).await;
    batch.expect("there are records").expect("no error")
}

#[tokio::test]
async fn it_tells_every_record_as_the_batch_does() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = Config::dev()
        .set("listeners", "PLAINTEXT://127.0.0.1:0")
        .and_then(|config| config.set("log.dirs", folder.path().to_str().expect("a plain path")))
        .expect("valid properties");
    let broker = Broker::start(config).await.expect("the broker starts");
    let address = broker.addr().to_string();

    let producer = Producer::builder().bootstrap_servers(&address).build().await.expect("up");
    // Times before and after each other, more than 2^32 ms apart.
    let records = [
        Record::to("t").timestamp(1_600_000_000_000),
        Record::to("t").key(b"").value(b"").timestamp(1),
        Record::to("t").key(b"k").timestamp(i64::from(u32::MAX)),
        Record::to("t").value("größer").timestamp(1_700_000_000_000),
        Record::to("t").value(&[7; 5_000]).timestamp(1_600_000_000_001).headers([
            Header::new("a", Some(b"1")),
            Header::new("a", None),
            Header::new("", Some(b"")),
        ]),
        Record::to("t").value(b"last").timestamp(1_600_000_000_000).header("z", b"26"),
    ];
    let mut deliveries = Vec::new();
    let count_all = records.len();
    for record in records {
        let record = record.partition(0);
        deliveries.push(producer.send(record).await.expect("appended"));
    }
    for delivery in deliveries {
        delivery.await.expect("written");
    }

    let consumer = Consumer::builder().bootstrap_servers(&address).assign([("t", 0)]);
    let consumer = consumer.auto_offset_reset("earliest").build().await.expect("up");
    let mut count = 0;
    while count < count_all {
        let batch = next(&consumer).await.expect("not closed");
        let told = read(&Index::of(&batch), batch.data());
        assert_eq!(told, told_by_the_batch(&batch));
        assert_eq!(told.len(), batch.len());
        count += batch.len();
    }
    assert_eq!(count, count_all);

    // A batch that begins in the middle counts from its first record.
    consumer.seek(("t", 0), 3).expect("assigned");
    let rest = next(&consumer).await.expect("not closed");
    let index = Index::of(&rest);
    assert_eq!((index.base_offset, index.records[0]), (3, 0));
    assert_eq!(read(&index, rest.data()), told_by_the_batch(&rest));
}
