//! Measures the time from `send` to the consumer's hand at 1,000 records/s: `end_to_end HOST:PORT`.

use ottla::{Admin, Consumer, NewTopic, Producer, Record};
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const TOPIC: &str = "end-to-end";
const RECORDS: u32 = 10_000;
/// Records at the start that are not counted.
const WARM_UP: usize = 500;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let address = std::env::args().nth(1).ok_or("usage: end_to_end HOST:PORT")?;
    let admin = Admin::builder().bootstrap_servers(&address).build().await?;
    admin.create_topic(NewTopic::new(TOPIC, 1, 1)).await?;
    let consumer = Consumer::builder()
        .bootstrap_servers(&address)
        .assign([(TOPIC, 0)])
        .auto_offset_reset("earliest")
        .build()
        .await?;
    let producer = Producer::builder().bootstrap_servers(&address).build().await?;
    let start = Instant::now();
    let sending = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(1));
        let mut deliveries = Vec::new();
        for _ in 0..RECORDS {
            ticks.tick().await;
            let sent = u64::try_from(start.elapsed().as_micros()).expect("a short run");
            let value = [&sent.to_be_bytes()[..], &[b'x'; 92]].concat();
            deliveries.push(producer.send(Record::to(TOPIC).value(&value)).await?);
        }
        for delivery in deliveries {
            delivery.await?;
        }
        producer.close().await
    });
    let mut times = Vec::new();
    while times.len() < RECORDS as usize {
        let batch = consumer.next_batch().await?.ok_or("the consumer was closed")?;
        for record in batch.iter() {
            let value = record.value.ok_or("a record without a value")?;
            let sent = u64::from_be_bytes(value[..8].try_into()?);
            times.push(u64::try_from(start.elapsed().as_micros())? - sent);
        }
    }
    sending.await??;
    let mut counted = times.split_off(WARM_UP);
    counted.sort_unstable();
    let at = |share: f64| counted[((counted.len() - 1) as f64 * share) as usize] as f64 / 1e3;
    println!("p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms", at(0.5), at(0.99), at(0.999));
    Ok(())
}
