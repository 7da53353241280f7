//! The time from `send` in one client to the record in another, with three replicas.

use super::{Replicated, create};
use crate::Failure;
use crate::report::{Runs, table};
use hdrhistogram::Histogram;
use ottla::{Consumer, Producer, Record};
use std::time::{Duration, Instant};

const TOPIC: &str = "end-to-end";
const PARTITIONS: i32 = 6;
/// Records a second.
const RATE: u64 = 1000;
/// Records that are not measured: connections are made, and code is loaded.
const WARM_UP: u64 = 3 * RATE;
const MEASURED: u64 = 10 * RATE;
const QUANTILES: [f64; 3] = [0.5, 0.99, 0.999];

pub(super) async fn run(what: &Replicated) -> Result<(), Failure> {
    let mut rows: Vec<[Runs; 3]> = what.clusters.iter().map(|_| Default::default()).collect();
    for _ in 0..what.runs {
        for (kind, row) in what.clusters.iter().zip(&mut rows) {
            let cluster = what.start(*kind)?;
            let histogram = once(&cluster.bootstrap).await?;
            for (quantile, runs) in QUANTILES.iter().zip(row) {
                runs.push(histogram.value_at_quantile(*quantile) as f64 / 1e3);
            }
        }
    }
    println!("\n### from `send` to another client's record at {RATE} records/s, 3 replicas, ms\n");
    let cells = what.clusters.iter().zip(&rows).map(|(kind, row)| {
        let name = vec![kind.title().to_owned()];
        [name, row.iter().map(|runs| runs.show(2)).collect()].concat()
    });
    println!("{}", table(&["cluster", "p50", "p99", "p99.9"], &cells.collect::<Vec<_>>()));
    Ok(())
}

/// Times in microseconds.
async fn once(bootstrap: &str) -> Result<Histogram<u64>, Failure> {
    create(bootstrap, TOPIC, PARTITIONS, 3, &[]).await?;
    let producer = Producer::builder().bootstrap_servers(bootstrap).build().await?;
    let consumer = Consumer::builder()
        .bootstrap_servers(bootstrap)
        .assign((0..PARTITIONS).map(|partition| (TOPIC.to_owned(), partition)))
        .set("auto.offset.reset", "earliest")?
        .build()
        .await?;
    let origin = Instant::now();
    let read = tokio::spawn(async move {
        let mut histogram = Histogram::<u64>::new(3)?;
        let mut seen = 0;
        while seen < WARM_UP + MEASURED {
            let batch = consumer.next_batch().await?.ok_or("the consumer was closed")?;
            let now = micros(origin.elapsed());
            for record in batch.iter() {
                let value = record.value.and_then(|value| value.first_chunk());
                let sent = u64::from_be_bytes(*value.ok_or("a record of somebody else")?);
                seen += 1;
                if seen > WARM_UP {
                    histogram.record(now.saturating_sub(sent))?;
                }
            }
        }
        consumer.close().await?;
        Ok::<_, Failure>(histogram)
    });
    let mut value = vec![b'x'; 1024];
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / RATE as f64));
    let mut deliveries = Vec::new();
    for number in 0..WARM_UP + MEASURED {
        ticks.tick().await;
        value[..8].copy_from_slice(&micros(origin.elapsed()).to_be_bytes());
        let partition = i32::try_from(number % PARTITIONS as u64)?;
        let record = Record::to(TOPIC).partition(partition).value(&value);
        deliveries.push(producer.send(record).await?);
    }
    for delivery in deliveries {
        delivery.await?;
    }
    let histogram = tokio::time::timeout(Duration::from_secs(30), read)
        .await
        .map_err(|_| "records that were acknowledged have not come after 30 s")???;
    producer.close().await?;
    Ok(histogram)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
