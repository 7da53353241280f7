//! A broker in this process, records in it, and what a consumer got.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of this module")]

use ottla::{Admin, Compression, Consumer, ConsumerBuilder, NewTopic, Producer, Record};
use ottla_broker::{Broker, Config, RunningBroker};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a test waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A broker on a free port, its data folder, and its address.
pub struct Cluster {
    pub broker: RunningBroker,
    pub address: String,
    _folder: tempfile::TempDir,
}

impl Cluster {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().to_str().expect("a readable path").to_string();
        let config = Config::dev()
            .set("listeners", "PLAINTEXT://127.0.0.1:0")
            .and_then(|config| config.set("log.dirs", &path))
            .and_then(|config| config.set("auto.create.topics.enable", "false"))
            .expect("valid properties");
        let broker = Broker::start(config).await.expect("the broker starts");
        let address = broker.addr().to_string();
        Self { broker, address, _folder: folder }
    }

    pub async fn with_topic(topic: &str, partitions: i32) -> Self {
        let cluster = Self::start().await;
        let admin =
            Admin::builder().bootstrap_servers(&cluster.address).build().await.expect("reachable");
        admin.create_topic(NewTopic::new(topic, partitions, 1)).await.expect("a new topic");
        cluster
    }

    pub fn consumer(&self) -> ConsumerBuilder {
        Consumer::builder().bootstrap_servers(&self.address).auto_offset_reset("earliest")
    }

    /// Writes the numbers of `range`, number n to partition n % `partitions`.
    pub async fn produce(&self, topic: &str, partitions: i32, range: std::ops::Range<u32>) {
        self.produce_with(topic, partitions, range, Compression::None).await;
    }

    pub async fn produce_with(
        &self,
        topic: &str,
        partitions: i32,
        range: std::ops::Range<u32>,
        compression: Compression,
    ) {
        let producer = Producer::builder()
            .bootstrap_servers(&self.address)
            .compression(compression)
            .build()
            .await
            .expect("reachable");
        for number in range {
            let value = number.to_string();
            let partition = (number as i32) % partitions;
            let record = Record::to(topic).key("k").value(&value).partition(partition);
            let record = record.timestamp(1_000 + i64::from(number)).header("h", "1");
            drop(producer.send(record).await.expect("a small record"));
        }
        producer.flush().await.expect("all are written");
        producer.close().await.expect("nothing is left");
    }
}

/// How often each number was delivered.
#[derive(Default)]
pub struct Seen(pub BTreeMap<u32, usize>);

impl Seen {
    pub fn add(&mut self, value: Option<&[u8]>) {
        let text = std::str::from_utf8(value.expect("a value")).expect("digits");
        *self.0.entry(text.parse().expect("a number")).or_default() += 1;
    }

    /// Every number below `count` exactly once.
    pub fn assert_each_once(&self, count: u32) {
        let missing: Vec<u32> = (0..count).filter(|n| !self.0.contains_key(n)).collect();
        let twice: Vec<_> = self.0.iter().filter(|(_, times)| **times > 1).collect();
        assert!(missing.is_empty(), "lost: {missing:?}");
        assert!(twice.is_empty(), "more than once: {twice:?}");
    }
}

/// Reads batches until `count` records came.
pub async fn read(consumer: &Consumer, count: usize, seen: &mut Seen) {
    let mut read = 0;
    let reading = async {
        while read < count {
            let batch = consumer.next_batch().await.expect("no error").expect("not closed");
            batch.iter().for_each(|record| seen.add(record.value));
            read += batch.len();
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, reading).await;
    assert!(in_time.is_ok(), "only {read} of {count} records came");
}
