//! librdkafka through the `rdkafka` crate: a polling thread, a callback per record.

use clap::Parser;
use ottla_bench_peers::{Command, Consume, Failure, Latency, Options, PARTITIONS, Produce};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Message, Offset, TopicPartitionList};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(Default)]
struct Counter {
    failed: AtomicU64,
    times: Mutex<Vec<Duration>>,
    timed: bool,
}

impl ClientContext for Counter {}

impl ProducerContext for Counter {
    type DeliveryOpaque = Box<Instant>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Instant>) {
        if result.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        if self.timed {
            self.times.lock().expect("no panic under the lock").push(sent.elapsed());
        }
    }
}

fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("acks", "all")
        .set("queue.buffering.max.messages", "1000000");
    config
}

fn produce(options: &Produce) -> Result<(), Failure> {
    let values = ottla_bench_peers::values(&options.payload)?;
    let producer: ThreadedProducer<Counter> = config(&options.bootstrap)
        .set("compression.type", &options.codec)
        .create_with_context(Counter::default())?;
    let start = Instant::now();
    let opaque = Instant::now();
    for number in 0..options.records {
        let value = &values[number as usize % values.len()];
        let mut record =
            BaseRecord::<[u8], [u8], Box<Instant>>::with_opaque_to(&options.topic, Box::new(opaque))
                .payload(&value[..]);
        while let Err((error, back)) = producer.send(record) {
            if !matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) {
                return Err(error.into());
            }
            record = back;
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    producer.flush(Duration::from_secs(120))?;
    let failed = producer.context().failed.load(Ordering::Relaxed);
    if failed > 0 {
        return Err(format!("{failed} records failed").into());
    }
    ottla_bench_peers::print_rate(options.records, start);
    Ok(())
}

fn consume(options: &Consume) -> Result<(), Failure> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &options.bootstrap)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .create()?;
    let mut assignment = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        assignment.add_partition_offset(&options.topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&assignment)?;
    let start = Instant::now();
    let (mut records, mut bytes) = (0, 0);
    while records < options.records {
        if let Some(message) = consumer.poll(Duration::from_secs(1)) {
            bytes += message?.payload().map_or(0, <[u8]>::len);
            records += 1;
        }
    }
    assert!(bytes > 0);
    ottla_bench_peers::print_rate(records, start);
    Ok(())
}

fn latency(options: &Latency) -> Result<(), Failure> {
    let values = ottla_bench_peers::values(&options.payload)?;
    let counter = Counter { timed: true, ..Counter::default() };
    let producer: ThreadedProducer<Counter> =
        config(&options.bootstrap).set("linger.ms", "0").create_with_context(counter)?;
    let send = |number: u64| {
        let value = &values[number as usize % values.len()];
        let record = BaseRecord::<[u8], [u8], Box<Instant>>::with_opaque_to(
            &options.topic,
            Box::new(Instant::now()),
        );
        producer.send(record.payload(&value[..])).map_err(|(error, _)| error)
    };
    (0..100).try_for_each(send)?;
    producer.flush(Duration::from_secs(30))?;
    producer.context().times.lock().expect("no panic under the lock").clear();
    let start = Instant::now();
    for number in 0..options.rate * options.seconds {
        let due = start + Duration::from_secs_f64(number as f64 / options.rate as f64);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        send(number)?;
    }
    producer.flush(Duration::from_secs(30))?;
    ottla_bench_peers::print_quantiles(
        &producer.context().times.lock().expect("no panic under the lock"),
    )
}

fn main() -> Result<(), Failure> {
    match Options::parse().command {
        Command::Produce(options) => produce(&options),
        Command::Consume(options) => consume(&options),
        Command::Latency(options) => latency(&options),
    }
}
