//! What the sending threads and the task share, against a broker in the same process.

use super::{Producer, Record};
use crate::network::{Network, NetworkConfig, lock};
use ottla_broker::{Broker, RunningBroker};
use ottla_engine::config::{Config, ProducerConfig};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

async fn broker() -> (tempfile::TempDir, RunningBroker) {
    let folder = tempfile::tempdir().expect("temporary files can be made");
    let dir = folder.path().to_str().expect("a plain path").to_owned();
    let config = ottla_broker::Config::dev()
        .set("listeners", "PLAINTEXT://127.0.0.1:0")
        .and_then(|config| config.set("log.dirs", &dir))
        .expect("settings of the table");
    (folder, Broker::start(config).await.expect("the broker starts"))
}

/// A producer that asks for metadata all the time.
async fn producer(broker: &RunningBroker, adjust: impl FnOnce(&mut ProducerConfig)) -> Producer {
    let mut config = Config::default();
    config.insert("bootstrap.servers", broker.addr()).expect("an address");
    let mut config = config.producer().expect("a whole configuration");
    config.common.metadata_max_age = Duration::from_millis(20);
    adjust(&mut config);
    let network = Network::connect(NetworkConfig::new(&config.common)).await;
    Producer::start(network.expect("the broker is there"), &config, None)
}

fn to(topic: &str) -> Record<'_> {
    Record::to(topic).partition(0).value(b"v")
}

async fn offset_of(producer: &Producer, topic: &str) -> i64 {
    let delivery = producer.send(to(topic)).await.expect("the topic is made");
    delivery.await.expect("the record is written").offset
}

fn knows(producer: &Producer, topic: &str) -> bool {
    producer.shared.network.metadata().topic(topic).is_some()
}

#[tokio::test]
async fn an_idle_topic_leaves_the_metadata_and_comes_back_with_its_sequence() {
    let (_folder, broker) = broker().await;
    let producer =
        producer(&broker, |config| config.metadata_max_idle = Duration::from_millis(300)).await;
    assert_eq!(offset_of(&producer, "idle").await, 0);
    let deadline = Instant::now() + PATIENCE;
    while knows(&producer, "idle") {
        offset_of(&producer, "busy").await;
        assert!(Instant::now() < deadline, "the topic is never forgotten");
    }
    assert!(knows(&producer, "busy"), "what is used is kept");
    let wanted = producer.shared.network.topics_not_wanted_for(Duration::ZERO);
    assert_eq!(wanted, ["busy"]);
    assert_eq!(offset_of(&producer, "idle").await, 1);
    assert!(knows(&producer, "idle"));
    producer.close().await.expect("everything is written");
    broker.shutdown().await.expect("a clean end");
}

#[tokio::test]
async fn a_topic_with_records_on_their_way_is_not_forgotten() {
    let (_folder, broker) = broker().await;
    let producer = producer(&broker, |config| {
        config.metadata_max_idle = Duration::from_millis(100);
        config.linger = Duration::from_secs(60);
    })
    .await;
    let delivery = producer.send(to("slow")).await.expect("the topic is made");
    let network = &producer.shared.network;
    for _ in 0..20 {
        let version = network.metadata().version();
        network.metadata_newer_than(version).await;
    }
    assert!(knows(&producer, "slow"));
    producer.flush().await.expect("nothing is fatal");
    assert_eq!(delivery.await.expect("the record is written").offset, 0);
    broker.shutdown().await.expect("a clean end");
}

/// The record may be appended just when its topic is forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_meet_the_forgetting_are_written_once() {
    let (_folder, broker) = broker().await;
    let producer = producer(&broker, |_| {}).await;
    let sending = producer.clone();
    let sender = tokio::spawn(async move {
        for expected in 0..500 {
            assert_eq!(offset_of(&sending, "t").await, expected);
        }
    });
    let mut forgotten = 0;
    while !sender.is_finished() {
        let shared = &producer.shared;
        if shared.topics.load().contains_key("t") {
            shared.forget_idle_topics(&mut lock(&shared.sender), Duration::ZERO);
            forgotten += usize::from(!shared.topics.load().contains_key("t"));
        }
        tokio::task::yield_now().await;
    }
    sender.await.expect("every record has its offset");
    assert!(forgotten > 0, "the two never met");
    broker.shutdown().await.expect("a clean end");
}
