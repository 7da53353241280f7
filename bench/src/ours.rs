//! Our client behind the command line that every driver has.
//!
//! `produce` prints `{"records": N, "seconds": S}` with S from the first send to the last
//! acknowledgement; `consume` the same from the first poll to the last record; `latency` prints
//! `{"p50_us": .., "p99_us": .., "p999_us": ..}`.

use crate::{Failure, payload};
use clap::Args;
use hdrhistogram::Histogram;
use ottla::{Consumer, Producer, ProducerBuilder, Record};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where, and what.
#[derive(Debug, Args)]
pub(crate) struct Topic {
    #[arg(long)]
    bootstrap: String,
    #[arg(long)]
    topic: String,
    /// A setting of the client, `name=value`
    #[arg(long)]
    set: Vec<String>,
}

/// Produces as fast as possible.
#[derive(Debug, Args)]
pub(crate) struct Produce {
    #[command(flatten)]
    topic: Topic,
    #[arg(long)]
    records: u64,
    /// Lines that are the records' values
    #[arg(long)]
    payload: PathBuf,
    #[arg(long, default_value = "none")]
    codec: String,
}

/// Consumes from the beginning, all partitions.
#[derive(Debug, Args)]
pub(crate) struct Consume {
    #[command(flatten)]
    topic: Topic,
    #[arg(long)]
    records: u64,
    #[arg(long, default_value_t = 6)]
    partitions: i32,
    /// Records are borrowed from batches: both ways are one here
    #[arg(long)]
    by: Option<String>,
}

/// Produces at a rate.
#[derive(Debug, Args)]
pub(crate) struct Latency {
    #[command(flatten)]
    topic: Topic,
    #[arg(long)]
    payload: PathBuf,
    #[arg(long, default_value_t = 1000)]
    rate: u64,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

/// Runs a driver on a runtime of its own.
pub(crate) fn block_on(run: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run)
}

impl Topic {
    fn producer(&self) -> Result<ProducerBuilder, Failure> {
        let mut builder = Producer::builder().bootstrap_servers(&self.bootstrap);
        for setting in &self.set {
            let (name, value) = setting.split_once('=').ok_or("--set takes name=value")?;
            builder = builder.set(name, value)?;
        }
        Ok(builder)
    }
}

impl Produce {
    /// See the module's documentation.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let values = payload::read(&self.payload)?;
        let producer = self.topic.producer()?.set("compression.type", &self.codec)?.build().await?;
        // The topic's metadata is there before the clock starts, as with the peers.
        let start = Instant::now();
        let mut deliveries = Vec::with_capacity(usize::try_from(self.records)?);
        for number in 0..self.records {
            let value = &values[number as usize % values.len()];
            deliveries.push(producer.send(Record::to(&self.topic.topic).value(value)).await?);
        }
        producer.flush().await?;
        for delivery in deliveries {
            delivery.await?;
        }
        let seconds = start.elapsed().as_secs_f64();
        println!("{}", json!({ "records": self.records, "seconds": seconds }));
        producer.close().await?;
        Ok(())
    }
}

impl Consume {
    /// See the module's documentation.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let topic = &self.topic.topic;
        let assignment = (0..self.partitions).map(|partition| (topic.clone(), partition));
        let mut builder = Consumer::builder()
            .bootstrap_servers(&self.topic.bootstrap)
            .assign(assignment)
            .set("auto.offset.reset", "earliest")?;
        for setting in &self.topic.set {
            let (name, value) = setting.split_once('=').ok_or("--set takes name=value")?;
            builder = builder.set(name, value)?;
        }
        let consumer = builder.build().await?;
        let start = Instant::now();
        let (mut records, mut bytes) = (0, 0);
        while records < self.records {
            let batch = consumer.next_batch().await?.ok_or("the consumer was closed")?;
            for record in batch.iter() {
                bytes += record.value.map_or(0, <[u8]>::len);
                records += 1;
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        println!("{}", json!({ "records": records, "bytes": bytes, "seconds": seconds }));
        consumer.close().await?;
        Ok(())
    }
}

impl Latency {
    /// See the module's documentation.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let values = payload::read(&self.payload)?;
        let producer = self.topic.producer()?.build().await?;
        for _ in 0..100 {
            producer.send(Record::to(&self.topic.topic).value(&values[0])).await?.await?;
        }
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / self.rate as f64));
        let (results, mut measured) = tokio::sync::mpsc::unbounded_channel();
        for number in 0..self.rate * self.seconds {
            ticks.tick().await;
            let value = &values[number as usize % values.len()];
            let start = Instant::now();
            let delivery = producer.send(Record::to(&self.topic.topic).value(value)).await?;
            let results = results.clone();
            tokio::spawn(async move {
                let outcome = delivery.await.map(|_| start.elapsed());
                // The receiver lives until all senders are gone.
                let _ = results.send(outcome);
            });
        }
        drop(results);
        let mut histogram = Histogram::<u64>::new(3)?;
        while let Some(outcome) = measured.recv().await {
            histogram.record(u64::try_from(outcome?.as_micros())?)?;
        }
        let at = |quantile| histogram.value_at_quantile(quantile);
        println!("{}", json!({ "p50_us": at(0.5), "p99_us": at(0.99), "p999_us": at(0.999) }));
        producer.close().await?;
        Ok(())
    }
}
