//! The consuming half: a group of two members, one of which leaves in the middle.

use crate::Failure;
use crate::input::Input;
use crate::produce::ROW;
use crate::report::Progress;
use ottla::{Admin, Consumer, OffsetSpec};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A run that makes no progress for this long has failed; rebalances take a few seconds at most.
const STALL: Duration = Duration::from_secs(60);

/// One delivery to one member.
pub(crate) struct Delivery {
    /// The row's number, from the record's header; `None` where the header is missing or malformed.
    pub(crate) row: Option<u64>,
    /// Who got it: 0 or 1.
    pub(crate) member: usize,
    /// Its partition.
    pub(crate) partition: i32,
    /// Its offset.
    pub(crate) offset: i64,
    /// The record's key.
    pub(crate) key: Vec<u8>,
    /// The record's value.
    pub(crate) value: Vec<u8>,
}

/// What was consumed.
pub(crate) struct Consumed {
    /// Every delivery, in the order in which the members got them.
    pub(crate) deliveries: Vec<Delivery>,
    /// From when the members share the partitions to the last delivery.
    pub(crate) elapsed: Duration,
    /// Whether the group's committed offsets are the ends of all partitions.
    pub(crate) committed_to_the_end: bool,
}

/// What the members share.
struct Shared {
    deliveries: Mutex<Vec<Delivery>>,
    rows: u64,
}

impl Shared {
    fn count(&self) -> u64 {
        self.deliveries.lock().expect("no member panics while it holds the lock").len() as u64
    }
}

/// Consumes the topic; member 1 leaves when half of the rows have been delivered.
pub(crate) async fn consume(
    bootstrap: &str,
    topic: &str,
    partitions: i32,
    input: &Arc<Input>,
    progress: &Progress,
) -> Result<Consumed, Failure> {
    let group = format!("quickstart.{topic}");
    let rows = input.rows.len() as u64;
    let shared = Arc::new(Shared { deliveries: Mutex::default(), rows });
    let stays = Member::join(0, bootstrap, topic, &group, &shared).await?;
    let leaves = Member::join(1, bootstrap, topic, &group, &shared).await?;
    share(&stays, &leaves, partitions).await?;
    let start = Instant::now();
    let (stayed, left) = tokio::join!(
        stays.run(|shared| shared.count() >= rows, progress),
        leaves.run(|shared| shared.count() >= rows / 2, progress),
    );
    stayed?;
    left?;
    let elapsed = start.elapsed();
    let committed_to_the_end = is_committed(bootstrap, topic, partitions, &group).await?;
    let deliveries = std::mem::take(&mut *shared.deliveries.lock().expect("both members ended"));
    Ok(Consumed { deliveries, elapsed, committed_to_the_end })
}

/// Waits until the two members have shared the partitions: the first to join has all of them for a
/// moment.
async fn share(stays: &Member, leaves: &Member, partitions: i32) -> Result<(), Failure> {
    let deadline = Instant::now() + STALL;
    loop {
        let (one, other) = (stays.consumer.assignment().len(), leaves.consumer.assignment().len());
        if one > 0 && other > 0 && one + other == partitions as usize {
            return Ok(());
        }
        if Instant::now() > deadline {
            let waited = STALL.as_secs();
            return Err(format!("two members did not share the partitions in {waited} s").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

struct Member {
    number: usize,
    consumer: Consumer,
    shared: Arc<Shared>,
}

impl Member {
    async fn join(
        number: usize,
        bootstrap: &str,
        topic: &str,
        group: &str,
        shared: &Arc<Shared>,
    ) -> Result<Self, Failure> {
        let consumer = Consumer::builder()
            .bootstrap_servers(bootstrap)
            .group_id(group)
            .topics([topic])
            .set("client.id", format!("quickstart-{number}"))?
            .set("auto.offset.reset", "earliest")?
            .set("enable.auto.commit", "false")?
            // A member learns of a rebalance by its heartbeat; nobody here wants to wait 3 s for
            // it.
            .set("heartbeat.interval.ms", 100)?
            .build()
            .await?;
        Ok(Self { number, consumer, shared: Arc::clone(shared) })
    }

    /// Consumes until `done`, then commits and leaves the group.
    async fn run(self, done: impl Fn(&Shared) -> bool, progress: &Progress) -> Result<(), Failure> {
        let mut last_progress = (Instant::now(), 0);
        while !done(&self.shared) {
            // A member without partitions waits; look at the others' progress from time to time.
            let next = tokio::time::timeout(Duration::from_millis(50), self.consumer.next_batch());
            match next.await {
                Ok(batch) => {
                    let Some(batch) = batch? else { break };
                    self.take(&batch, progress)?;
                    self.consumer.commit().await?;
                }
                Err(_) => {
                    let count = self.shared.count();
                    if count != last_progress.1 {
                        last_progress = (Instant::now(), count);
                    }
                    if last_progress.0.elapsed() > STALL {
                        return Err(format!(
                            "member {} waited {} s in vain: {count} of {} rows were delivered",
                            self.number,
                            STALL.as_secs(),
                            self.shared.rows
                        )
                        .into());
                    }
                }
            }
        }
        self.consumer.close().await?;
        Ok(())
    }

    fn take(&self, batch: &ottla::Batch, progress: &Progress) -> Result<(), Failure> {
        let mut deliveries = Vec::with_capacity(batch.len());
        for record in batch.iter() {
            let row = record.headers.iter().find_map(|header| {
                let (name, value) = header;
                (name == ROW).then_some(u64::from_be_bytes(value?.try_into().ok()?))
            });
            deliveries.push(Delivery {
                row,
                member: self.number,
                partition: batch.partition(),
                offset: record.offset,
                key: record.key.unwrap_or_default().to_vec(),
                value: record.value.unwrap_or_default().to_vec(),
            });
        }
        progress.advance(deliveries.len() as u64);
        self.shared
            .deliveries
            .lock()
            .expect("no member panics while it holds the lock")
            .append(&mut deliveries);
        Ok(())
    }
}

/// Whether the group's committed offsets are the ends of the partitions: nothing is left to be
/// delivered a second time.
async fn is_committed(
    bootstrap: &str,
    topic: &str,
    partitions: i32,
    group: &str,
) -> Result<bool, Failure> {
    let admin = Admin::builder().bootstrap_servers(bootstrap).build().await?;
    let all: BTreeSet<_> = (0..partitions).map(|partition| (topic.to_owned(), partition)).collect();
    let latest = all.iter().cloned().map(|partition| (partition, OffsetSpec::Latest));
    let ends = admin.list_offsets(latest).await?;
    let committed = admin.list_consumer_group_offsets(group).await?;
    admin.close().await;
    for partition in all {
        let end = ends.get(&partition).ok_or("a partition without an end")?.clone()?.offset;
        let at = committed.get(&partition).map_or(0, |committed| committed.offset);
        if end != at {
            return Ok(false);
        }
    }
    Ok(true)
}
