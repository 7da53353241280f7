//! The producing half.

use crate::Failure;
use crate::broker::{Cluster, REPLICAS};
use crate::input::Input;
use crate::report::Progress;
use ottla::{Admin, Compression, NewTopic, Producer, Record};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The header that carries a row's number.
pub(crate) const ROW: &str = "row";

/// What was produced.
pub(crate) struct Produced {
    /// Acknowledged records.
    pub(crate) acknowledged: u64,
    /// From the first send to the last acknowledgement.
    pub(crate) elapsed: Duration,
    /// The leader that was killed meanwhile.
    pub(crate) crash: Option<Crash>,
}

/// A leader that was killed while rows were on their way to it.
pub(crate) struct Crash {
    /// Its node id.
    pub(crate) node: i32,
    /// The rows that had been sent.
    pub(crate) sent: u64,
    /// From the kill to the last acknowledgement.
    pub(crate) until_done: Duration,
}

/// Creates one topic per codec.
pub(crate) async fn create_topics(
    bootstrap: &str,
    topics: &[(Compression, String)],
    partitions: i32,
) -> Result<(), Failure> {
    let admin = Admin::builder().bootstrap_servers(bootstrap).build().await?;
    let topics = topics.iter().map(|(_, topic)| NewTopic::new(topic, partitions, REPLICAS));
    for (_, created) in admin.create_topics(topics).await? {
        created?;
    }
    admin.close().await;
    Ok(())
}

/// Produces every row, keyed, with its number in a header, and waits for every acknowledgement.
/// Where `crashes`, the leader of the topic's first partition is killed in the middle.
pub(crate) async fn produce(
    cluster: &mut Cluster,
    topic: &str,
    codec: Compression,
    input: &Input,
    crashes: bool,
    progress: &Progress,
) -> Result<Produced, Failure> {
    let producer = Producer::builder()
        .bootstrap_servers(&cluster.bootstrap)
        .compression(codec)
        .build()
        .await?;
    let leader = if crashes { Some(leader(&cluster.bootstrap, topic).await?) } else { None };
    let start = Instant::now();
    let mut deliveries = VecDeque::with_capacity(input.rows.len());
    let mut acknowledged = 0;
    let mut crash = None;
    for (number, row) in input.rows.iter().enumerate() {
        if let Some(node) = leader
            && number == input.rows.len() / 2
        {
            // Some have been acknowledged, many are on their way, the others are not sent yet.
            if let Some(first) = deliveries.pop_front() {
                let first: ottla::Delivery = first;
                first.await?;
                acknowledged += 1;
            }
            cluster.kill(node)?;
            crash = Some((node, number as u64, Instant::now()));
        }
        let number = (number as u64).to_be_bytes();
        let record = Record::to(topic).key(&row.key).value(&row.line).header(ROW, &number);
        deliveries.push_back(producer.send(record).await?);
    }
    for delivery in deliveries {
        delivery.await?;
        acknowledged += 1;
        progress.advance(1);
    }
    let elapsed = start.elapsed();
    let crash = crash.map(|(node, sent, at)| Crash { node, sent, until_done: at.elapsed() });
    producer.close().await?;
    Ok(Produced { acknowledged, elapsed, crash })
}

/// Who leads the topic's first partition.
async fn leader(bootstrap: &str, topic: &str) -> Result<i32, Failure> {
    let admin = Admin::builder().bootstrap_servers(bootstrap).build().await?;
    let described = admin.describe_topics([topic]).await?;
    admin.close().await;
    let topic = described.into_iter().next().ok_or("the topic is not described")?.1?;
    let first = topic.partitions.first().and_then(|partition| partition.leader);
    first.ok_or_else(|| "the topic's first partition has no leader".into())
}
