//! kacrab: a synchronous `send`, a future per record.

use bytes::Bytes;
use clap::Parser;
use kacrab::common::TopicPartition;
use kacrab::consumer::Consumer;
use kacrab::producer::{Producer, ProducerRecord};
use ottla_bench_peers::{Command, Consume, Failure, Latency, Options, PARTITIONS, Produce};
use std::sync::Arc;
use std::time::{Duration, Instant};

async fn produce(options: &Produce) -> Result<(), Failure> {
    let values: Vec<Bytes> =
        ottla_bench_peers::values(&options.payload)?.into_iter().map(Bytes::from).collect();
    let mut producer = Producer::builder()
        .set("bootstrap.servers", options.bootstrap.as_str())
        .set("acks", "all")
        .set("compression.type", options.codec.as_str())
        .build()
        .await?;
    let topic: Arc<str> = options.topic.as_str().into();
    let start = Instant::now();
    let mut deliveries = Vec::with_capacity(options.records as usize);
    for number in 0..options.records {
        let value = &values[number as usize % values.len()];
        let record = ProducerRecord::topic_value(Arc::clone(&topic), value.clone());
        loop {
            // `send` does not wait for memory.
            match producer.send(record.clone()) {
                Ok(delivery) => break deliveries.push(delivery),
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    }
    producer.flush().await?;
    for delivery in deliveries {
        delivery.await?;
    }
    ottla_bench_peers::print_rate(options.records, start);
    producer.close().await?;
    Ok(())
}

async fn consume(options: &Consume) -> Result<(), Failure> {
    let mut consumer = Consumer::from_map([
        ("bootstrap.servers", options.bootstrap.as_str()),
        ("auto.offset.reset", "earliest"),
        ("enable.auto.commit", "false"),
    ])
    .await?;
    let assignment = (0..PARTITIONS).map(|p| TopicPartition::new(options.topic.as_str(), p));
    consumer.assign(assignment)?;
    let start = Instant::now();
    let (mut records, mut bytes) = (0, 0);
    while records < options.records {
        let polled = consumer.poll(Duration::from_secs(1)).await?;
        for record in &polled {
            bytes += record.value.as_ref().map_or(0, Bytes::len);
            records += 1;
        }
    }
    assert!(bytes > 0);
    ottla_bench_peers::print_rate(records, start);
    Ok(())
}

async fn latency(options: &Latency) -> Result<(), Failure> {
    let values: Vec<Bytes> =
        ottla_bench_peers::values(&options.payload)?.into_iter().map(Bytes::from).collect();
    let mut producer = Producer::builder()
        .set("bootstrap.servers", options.bootstrap.as_str())
        .set("acks", "all")
        .set("linger.ms", "0")
        .build()
        .await?;
    for _ in 0..100 {
        let record = ProducerRecord::topic_value(options.topic.as_str(), values[0].clone());
        producer.send(record)?.await?;
    }
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / options.rate as f64));
    let mut tasks = Vec::new();
    for number in 0..options.rate * options.seconds {
        ticks.tick().await;
        let value = values[number as usize % values.len()].clone();
        let start = Instant::now();
        let record = ProducerRecord::topic_value(options.topic.as_str(), value);
        let delivery = producer.send(record)?;
        tasks.push(tokio::spawn(async move { delivery.await.map(|_| start.elapsed()) }));
    }
    let mut times = Vec::new();
    for task in tasks {
        times.push(task.await??);
    }
    ottla_bench_peers::print_quantiles(&times)?;
    producer.close().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    match Options::parse().command {
        Command::Produce(options) => produce(&options).await,
        Command::Consume(options) => consume(&options).await,
        Command::Latency(options) => latency(&options).await,
    }
}
