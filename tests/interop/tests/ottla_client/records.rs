//! Records: written and read, by whom and with what codec.

use std::collections::BTreeMap;

use ottla::{Compression, Consumer, ConsumerRecord, Header, NewTopic, OffsetSpec, Producer};
use ottla_interop::{
    CODECS, Client, Consumed, Job, Record, assert_same, from_hex, hex, sample, topic,
};

use crate::Target;

const RECORDS_PER_TOPIC: usize = 60;

pub(crate) async fn make_topic(bootstrap: &str, name: &str, partitions: i32) {
    let admin = ottla::Admin::builder().bootstrap_servers(bootstrap).build().await.unwrap();
    admin.create_topic(NewTopic::new(name, partitions, 1)).await.unwrap();
    admin.close().await;
}

/// Writes records to the partitions that they name; checks that the answers name them too.
async fn write(bootstrap: &str, topic: &str, codec: &str, records: &[Record]) {
    let compression: Compression = codec.parse().unwrap();
    let producer = Producer::builder()
        .bootstrap_servers(bootstrap)
        .compression(compression)
        .build()
        .await
        .unwrap();
    let mut deliveries = Vec::new();
    for record in records {
        let bytes = |text: &Option<String>| text.as_ref().map(|text| from_hex(text));
        let (key, value) = (bytes(&record.key), bytes(&record.value));
        let headers: Vec<(&str, Option<Vec<u8>>)> =
            record.headers.iter().map(|(name, value)| (name.as_str(), bytes(value))).collect();
        let mut new = ottla::Record::to(topic).partition(record.partition);
        if let Some(key) = &key {
            new = new.key(key);
        }
        if let Some(value) = &value {
            new = new.value(value);
        }
        new = new.headers(headers.iter().map(|(name, value)| Header::new(name, value.as_deref())));
        deliveries.push((record.partition, producer.send(new).await.unwrap()));
    }
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    for (partition, delivery) in deliveries {
        let written = delivery.await.unwrap();
        assert_eq!((&*written.topic, written.partition), (topic, partition));
        let expected = next.entry(partition).or_default();
        assert_eq!(written.offset, *expected, "offsets of a new topic count from 0");
        *expected += 1;
    }
    producer.close().await.unwrap();
}

pub(crate) fn view(record: &ConsumerRecord) -> Consumed {
    let headers = record.headers().map(|(name, value)| (name.to_owned(), value.map(hex)));
    Consumed {
        topic: record.topic().to_owned(),
        partition: record.partition(),
        offset: record.offset(),
        timestamp: record.timestamp(),
        key: record.key().map(hex),
        value: record.value().map(hex),
        headers: headers.collect(),
    }
}

/// Reads that many records of these partitions, from the first on.
async fn read(bootstrap: &str, partitions: Vec<(String, i32)>, count: usize) -> Vec<Consumed> {
    let consumer = Consumer::builder()
        .bootstrap_servers(bootstrap)
        .auto_offset_reset("earliest")
        .assign(partitions.iter().map(|(topic, partition)| (topic.as_str(), *partition)))
        .build()
        .await
        .unwrap();
    let mut read = Vec::new();
    while read.len() < count {
        let record = consumer.next().await.unwrap().expect("the consumer is open");
        read.push(view(&record));
    }
    consumer.close().await.unwrap();
    read
}

async fn assert_read(bootstrap: &str, written: &BTreeMap<String, Vec<Record>>) {
    let partitions = written.keys().flat_map(|topic| (0..3).map(|p| (topic.clone(), p))).collect();
    let count = written.values().map(Vec::len).sum();
    assert_same(written, &read(bootstrap, partitions, count).await);
}

/// A topic per codec, written by our client.
async fn write_every_codec(bootstrap: &str, prefix: &str) -> BTreeMap<String, Vec<Record>> {
    let mut written = BTreeMap::new();
    for codec in CODECS {
        let (name, records) =
            (topic(&format!("{prefix}.{codec}")), sample(RECORDS_PER_TOPIC, true));
        make_topic(bootstrap, &name, 3).await;
        write(bootstrap, &name, codec, &records).await;
        written.insert(name, records);
    }
    written
}

pub(crate) async fn writes_and_reads_every_codec(bootstrap: &'static str) {
    let written = write_every_codec(bootstrap, "ottla").await;
    assert_read(bootstrap, &written).await;
}

pub(crate) fn confluent_kafka_reads_what_ottla_writes(target: Target) {
    if !Client::ConfluentKafka.is_here() {
        return;
    }
    crate::on(target, async |bootstrap| {
        let written = write_every_codec(bootstrap, "to-confluent").await;
        let counts = written.iter().map(|(topic, all)| (topic.clone(), all.len())).collect();
        assert_same(&written, &Client::ConfluentKafka.consume(bootstrap, &counts));
    });
}

pub(crate) fn ottla_reads_what_confluent_kafka_writes(target: Target) {
    if !Client::ConfluentKafka.is_here() {
        return;
    }
    crate::on(target, async |bootstrap| {
        let job = |codec| Job {
            topic: topic(&format!("from-confluent.{codec}")),
            partitions: 3,
            codec,
            records: sample(RECORDS_PER_TOPIC, true),
        };
        let jobs: Vec<Job> = CODECS.into_iter().map(job).collect();
        Client::ConfluentKafka.produce(bootstrap, &jobs);
        let written = jobs.into_iter().map(|job| (job.topic, job.records)).collect();
        assert_read(bootstrap, &written).await;
    });
}

/// Small batches, many in flight: per key the values come out in the order of their writing, each
/// once.
pub(crate) async fn keyed_records_keep_their_order_under_load(bootstrap: &'static str) {
    const RECORDS: u32 = 20_000;
    const KEYS: u32 = 50;
    let name = topic("ordered");
    make_topic(bootstrap, &name, 6).await;
    let producer = Producer::builder()
        .bootstrap_servers(bootstrap)
        .compression(Compression::Lz4)
        .set("batch.size", 2_000)
        .unwrap()
        .build()
        .await
        .unwrap();
    let mut deliveries = Vec::new();
    for i in 0..RECORDS {
        let key = format!("key-{}", i % KEYS);
        let value = i.to_string();
        let record = ottla::Record::to(&name).key(&key).value(&value);
        deliveries.push(producer.send(record).await.unwrap());
    }
    producer.flush().await.unwrap();
    for delivery in deliveries {
        delivery.await.unwrap();
    }
    producer.close().await.unwrap();
    let partitions = (0..6).map(|partition| (name.clone(), partition)).collect();
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    for record in read(bootstrap, partitions, RECORDS as usize).await {
        let value = String::from_utf8(from_hex(&record.value.unwrap())).unwrap();
        let value: i64 = value.parse().unwrap();
        let before = last.insert(record.key.unwrap(), value).unwrap_or(value - i64::from(KEYS));
        assert_eq!(value, before + i64::from(KEYS), "each value of a key once, in order");
    }
    assert_eq!(last.len(), KEYS as usize);
}

/// By seek, by timestamp, at the end.
pub(crate) async fn read_begins_where_it_is_told(bootstrap: &'static str) {
    let name = topic("positions");
    make_topic(bootstrap, &name, 1).await;
    let producer = Producer::builder().bootstrap_servers(bootstrap).build().await.unwrap();
    const START_MS: i64 = 1_700_000_000_000;
    for i in 0..100 {
        let value = i.to_string();
        let record = ottla::Record::to(&name).value(&value).timestamp(START_MS + i * 1_000);
        producer.send(record).await.unwrap().await.unwrap();
    }
    producer.close().await.unwrap();

    let from_timestamp = format!("timestamp:{}", START_MS + 40_000);
    for (reset, first) in [("earliest", 0), (&*from_timestamp, 40)] {
        let consumer = Consumer::builder()
            .bootstrap_servers(bootstrap)
            .auto_offset_reset(reset)
            .assign([(name.as_str(), 0)])
            .build()
            .await
            .unwrap();
        assert_eq!(consumer.next().await.unwrap().unwrap().offset(), first, "{reset}");
        consumer.seek((name.as_str(), 0), 77).unwrap();
        let record = consumer.next().await.unwrap().unwrap();
        assert_eq!((record.offset(), record.value().unwrap()), (77, b"77".as_slice()));
        consumer.close().await.unwrap();
    }

    let admin = ottla::Admin::builder().bootstrap_servers(bootstrap).build().await.unwrap();
    let mut offsets = Vec::new();
    for spec in [OffsetSpec::Earliest, OffsetSpec::Latest, OffsetSpec::Timestamp(START_MS + 1)] {
        let found = admin.list_offsets([((name.clone(), 0), spec)]).await.unwrap();
        offsets.push(found[&(name.clone(), 0)].as_ref().unwrap().offset);
    }
    assert_eq!(offsets, [0, 100, 1]);
    admin.close().await;
}
