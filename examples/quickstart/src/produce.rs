//! The producing half.

use crate::Failure;
use crate::input::Input;
use crate::report::Progress;
use ottla::{Admin, Compression, NewTopic, Producer, Record};
use std::time::{Duration, Instant};

/// The header that carries a row's number.
pub(crate) const ROW: &str = "row";

/// What was produced.
pub(crate) struct Produced {
    /// Acknowledged records.
    pub(crate) acknowledged: u64,
    /// From the first send to the last acknowledgement.
    pub(crate) elapsed: Duration,
}

/// Creates one topic per codec.
pub(crate) async fn create_topics(
    bootstrap: &str,
    topics: &[(Compression, String)],
    partitions: i32,
) -> Result<(), Failure> {
    let admin = Admin::builder().bootstrap_servers(bootstrap).build().await?;
    let topics = topics.iter().map(|(_, topic)| NewTopic::new(topic, partitions, 1));
    for (_, created) in admin.create_topics(topics).await? {
        created?;
    }
    admin.close().await;
    Ok(())
}

/// Produces every row, keyed, with its number in a header, and waits for every acknowledgement.
pub(crate) async fn produce(
    bootstrap: &str,
    topic: &str,
    codec: Compression,
    input: &Input,
    progress: &Progress,
) -> Result<Produced, Failure> {
    let producer =
        Producer::builder().bootstrap_servers(bootstrap).compression(codec).build().await?;
    let start = Instant::now();
    let mut deliveries = Vec::with_capacity(input.rows.len());
    for (number, row) in input.rows.iter().enumerate() {
        let number = (number as u64).to_be_bytes();
        let record = Record::to(topic).key(&row.key).value(&row.line).header(ROW, &number);
        deliveries.push(producer.send(record).await?);
    }
    let mut acknowledged = 0;
    for delivery in deliveries {
        delivery.await?;
        acknowledged += 1;
        progress.advance(1);
    }
    let elapsed = start.elapsed();
    producer.close().await?;
    Ok(Produced { acknowledged, elapsed })
}
