//! A broker inside the test, and what tests do with it.
#![allow(dead_code, reason = "each test file uses its part")]

use ottla::{Admin, Consumer, ConsumerRecord, NewTopic, Producer, ProducerBuilder};
use ottla_broker::{Broker, Config, RunningBroker, StartError};
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;

/// The longest that anything in a test may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A broker on a folder of its own.
pub(crate) struct TestBroker {
    dir: TempDir,
    settings: Vec<(String, String)>,
    running: Option<RunningBroker>,
    address: SocketAddr,
}

impl TestBroker {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let settings: Vec<_> = settings.iter().map(own).collect();
        let any = "127.0.0.1:0".parse().expect("an address");
        let mut broker = Self { dir, settings, running: None, address: any };
        broker.restart().await;
        broker
    }

    /// Starts it again, on the port that it had.
    pub(crate) async fn restart(&mut self) {
        let listener = format!("PLAINTEXT://{}", self.address);
        let folder = self.dir.path().to_str().expect("a plain path").to_owned();
        let mut config = Config::dev();
        config = config.set("listeners", &listener).expect("a listener");
        config = config.set("log.dirs", &folder).expect("a folder");
        for (name, value) in &self.settings {
            config = config.set(name, value).expect("a known setting");
        }
        // Any connection on this machine may have taken the port for its own end meanwhile.
        let deadline = std::time::Instant::now() + LIMIT;
        let running = loop {
            match Broker::start(config.clone()).await {
                Err(StartError::Bind { source, .. })
                    if source.kind() == std::io::ErrorKind::AddrInUse
                        && std::time::Instant::now() < deadline =>
                {
                    tokio::task::yield_now().await;
                }
                started => break started.expect("the broker starts"),
            }
        };
        self.address = running.addr();
        self.running = Some(running);
    }

    /// Ends it as SIGKILL would.
    pub(crate) async fn kill(&mut self) {
        self.running.take().expect("it runs").kill().await;
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn producer(&self) -> ProducerBuilder {
        Producer::builder().bootstrap_servers(self.address())
    }

    pub(crate) async fn create_topic(&self, name: &str, partitions: i32) {
        self.create(NewTopic::new(name, partitions, 1)).await;
    }

    pub(crate) async fn create(&self, topic: NewTopic) {
        let admin = Admin::builder().bootstrap_servers(self.address()).build().await;
        let admin = admin.expect("the broker is there");
        admin.create_topic(topic).await.expect("the topic is created");
    }

    /// Every record of a topic, by partition and offset.
    pub(crate) async fn read(
        &self,
        topic: &str,
        partitions: i32,
        count: usize,
    ) -> Vec<ConsumerRecord> {
        let consumer = Consumer::builder()
            .bootstrap_servers(self.address())
            .auto_offset_reset("earliest")
            .assign((0..partitions).map(|partition| (topic, partition)))
            .build()
            .await
            .expect("a consumer");
        let mut records = Vec::new();
        let all = async {
            while records.len() < count {
                records.extend(consumer.next().await.expect("a record"));
            }
        };
        let in_time = tokio::time::timeout(LIMIT, all).await.is_ok();
        assert!(in_time, "{} of {count} records came", records.len());
        // More than was expected would show here.
        let more = tokio::time::timeout(Duration::from_millis(100), consumer.next()).await;
        if let Ok(Ok(Some(record))) = more {
            records.push(record);
        }
        records.sort_by_key(|record| (record.partition(), record.offset()));
        records
    }
}
