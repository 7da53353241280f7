//! krafka: `enqueue` buffers, a handle per record.

use bytes::Bytes;
use clap::Parser;
use krafka::consumer::AutoOffsetReset;
use krafka::Compression;
use krafka::{Kafka, Record};
use ottla_bench_peers::{Command, Consume, Failure, Latency, Options, PARTITIONS, Produce};
use std::time::{Duration, Instant};

fn compression(codec: &str) -> Compression {
    match codec {
        "gzip" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        _ => Compression::None,
    }
}

async fn produce(options: &Produce) -> Result<(), Failure> {
    let values: Vec<Bytes> =
        ottla_bench_peers::values(&options.payload)?.into_iter().map(Bytes::from).collect();
    let kafka = Kafka::builder(&options.bootstrap).connect().await?;
    let producer = kafka.producer().compression(compression(&options.codec)).build().await?;
    let start = Instant::now();
    let mut deliveries = Vec::with_capacity(options.records as usize);
    for number in 0..options.records {
        let value = values[number as usize % values.len()].clone();
        deliveries.push(producer.enqueue(Record::new(options.topic.as_str(), value)).await?);
    }
    for delivery in deliveries {
        delivery.await?;
    }
    ottla_bench_peers::print_rate(options.records, start);
    producer.close().await?;
    Ok(())
}

async fn consume(options: &Consume) -> Result<(), Failure> {
    let kafka = Kafka::builder(&options.bootstrap).connect().await?;
    let consumer = kafka
        .consumer_without_group()
        .auto_offset_reset(AutoOffsetReset::Earliest)
        .build()
        .await?;
    consumer.assign(&options.topic, (0..PARTITIONS).collect()).await?;
    let start = Instant::now();
    let (mut records, mut bytes) = (0, 0);
    while records < options.records {
        for record in consumer.poll(Duration::from_secs(1)).await? {
            bytes += record.value.as_ref().map_or(0, |value| value.len());
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
    let kafka = Kafka::builder(&options.bootstrap).connect().await?;
    let producer = kafka.producer().build().await?;
    for _ in 0..100 {
        producer.send(Record::new(options.topic.as_str(), values[0].clone())).await?;
    }
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / options.rate as f64));
    let mut tasks = Vec::new();
    for number in 0..options.rate * options.seconds {
        ticks.tick().await;
        let value = values[number as usize % values.len()].clone();
        let start = Instant::now();
        let delivery = producer.enqueue(Record::new(options.topic.as_str(), value)).await?;
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
