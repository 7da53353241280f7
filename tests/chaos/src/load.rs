//! What goes on while faults strike: producers to every partition, a reader of all of them, and a
//! group that commits.

use crate::Failure;
use crate::history::{Acknowledged, History, Stored};
use ottla::{Admin, Consumer, OffsetSpec, Producer, Record, RecordMetadata};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::{interval, sleep, timeout};

pub(crate) const TOPIC: &str = "chaos";
pub(crate) const PARTITIONS: i32 = 3;
const PRODUCERS: usize = 2;
const GROUP: &str = "chaos";
/// Between two records of a producer to a partition.
const EVERY: Duration = Duration::from_millis(4);
/// Between two commits of the group.
const COMMIT_EVERY: Duration = Duration::from_millis(20);
/// How long anything may take that is not a fault's doing.
const PATIENCE: Duration = Duration::from_secs(60);

/// A load that is under way.
pub(crate) struct Load {
    bootstrap: String,
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<Result<(), Failure>>>,
}

#[derive(Default)]
struct Shared {
    ends: AtomicBool,
    history: Mutex<History>,
}

impl Shared {
    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ends(&self) -> bool {
        self.ends.load(Ordering::Relaxed)
    }
}

impl Drop for Load {
    /// What a producer has taken it sends all the same, until the scenario's runtime ends.
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Load {
    /// Begins, and waits until every partition has acknowledged something.
    pub(crate) async fn start(bootstrap: &str) -> Result<Self, Failure> {
        let shared = Arc::new(Shared::default());
        let mut tasks = Vec::new();
        for number in 0..PRODUCERS {
            let producer = Producer::builder().bootstrap_servers(bootstrap).build().await?;
            tasks.push(tokio::spawn(produce(Arc::clone(&shared), number, producer)));
        }
        let reader = Consumer::builder()
            .bootstrap_servers(bootstrap)
            .assign((0..PARTITIONS).map(|partition| (TOPIC.to_owned(), partition)))
            .set("auto.offset.reset", "earliest")?
            .build()
            .await?;
        tasks.push(tokio::spawn(read(Arc::clone(&shared), reader)));
        let member = Consumer::builder()
            .bootstrap_servers(bootstrap)
            .group_id(GROUP)
            .topics([TOPIC])
            .set("auto.offset.reset", "earliest")?
            .set("enable.auto.commit", "false")?
            .build()
            .await?;
        tasks.push(tokio::spawn(work_as_group(Arc::clone(&shared), member)));
        let load = Self { bootstrap: bootstrap.to_owned(), shared, tasks };
        load.progress(Duration::ZERO).await?;
        Ok(load)
    }

    /// Waits until every producer has got something acknowledged by every partition, and the group
    /// a commit, after now; then for so much longer.
    pub(crate) async fn progress(&self, longer: Duration) -> Result<(), Failure> {
        let now = Instant::now();
        let until = now + PATIENCE;
        loop {
            let missing = self.without_progress(now);
            if missing.is_empty() {
                break;
            }
            if Instant::now() > until {
                let waited = PATIENCE.as_secs();
                return Err(format!("no progress in {waited} s: {}", missing.join(", ")).into());
            }
            sleep(EVERY).await;
        }
        sleep(longer).await;
        Ok(())
    }

    fn without_progress(&self, since: Instant) -> Vec<String> {
        let history = self.shared.history();
        let recent: Vec<_> =
            history.acknowledged.iter().rev().take_while(|one| one.at > since).collect();
        let mut missing = Vec::new();
        for producer in 0..PRODUCERS {
            for partition in 0..PARTITIONS {
                if !recent.iter().any(|o| o.producer == producer && o.partition == partition) {
                    missing.push(format!("producer {producer} at partition {partition}"));
                }
            }
        }
        if history.commits.last().is_none_or(|at| *at <= since) {
            missing.push("the group's commits".to_owned());
        }
        missing
    }

    /// How many records have been acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.shared.history().acknowledged.len()
    }

    /// Ends it and answers what was seen.
    pub(crate) async fn end(mut self) -> Result<History, Failure> {
        self.shared.ends.store(true, Ordering::Relaxed);
        for task in std::mem::take(&mut self.tasks) {
            timeout(PATIENCE * 2, task).await.map_err(|_| "a client does not end")???;
        }
        let mut history = std::mem::take(&mut *self.shared.history());
        check_committed(&self.bootstrap, &mut history).await?;
        Ok(history)
    }
}

async fn produce(shared: Arc<Shared>, number: usize, producer: Producer) -> Result<(), Failure> {
    let mut ticks = interval(EVERY);
    let mut deliveries = Vec::new();
    let mut sequence = 0_u64;
    while !shared.ends() {
        ticks.tick().await;
        sequence += 1;
        for partition in 0..PARTITIONS {
            let value = format!("{number}/{sequence:0>40}");
            let record = Record::to(TOPIC).partition(partition).value(&value);
            let delivery = match producer.send(record).await {
                Ok(delivery) => delivery,
                Err(error) => {
                    *shared.history().refused.entry(error.to_string()).or_default() += 1;
                    continue;
                }
            };
            let shared = Arc::clone(&shared);
            deliveries.push(tokio::spawn(async move {
                let outcome = delivery.await;
                let mut history = shared.history();
                match outcome {
                    Ok(RecordMetadata { offset, .. }) => history.acknowledged.push(Acknowledged {
                        producer: number,
                        partition,
                        offset,
                        value,
                        at: Instant::now(),
                    }),
                    Err(error) => *history.refused.entry(error.to_string()).or_default() += 1,
                }
            }));
        }
    }
    for delivery in deliveries {
        delivery.await?;
    }
    producer.close().await?;
    Ok(())
}

/// Reads everything, again from the start when a partition has been read to its end, so that later
/// readers are compared with earlier ones.
async fn read(shared: Arc<Shared>, reader: Consumer) -> Result<(), Failure> {
    while !shared.ends() {
        match timeout(COMMIT_EVERY, reader.next_batch()).await {
            Ok(Ok(Some(batch))) => {
                let mut history = shared.history();
                for record in batch.iter() {
                    let value = String::from_utf8_lossy(record.value.unwrap_or_default());
                    history.on_read(batch.partition(), record.offset, value.into_owned());
                }
            }
            Ok(Ok(None)) => break,
            Ok(Err(error)) => {
                *shared.history().refused.entry(format!("a reader: {error}")).or_default() += 1;
            }
            Err(_) => {}
        }
    }
    reader.close().await?;
    Ok(())
}

async fn work_as_group(shared: Arc<Shared>, member: Consumer) -> Result<(), Failure> {
    let mut positions = BTreeMap::new();
    while !shared.ends() {
        match timeout(COMMIT_EVERY, member.next_batch()).await {
            Ok(Ok(Some(batch))) => {
                positions.insert((TOPIC.to_owned(), batch.partition()), batch.last_offset() + 1);
            }
            Ok(Ok(None)) => break,
            // Errors of a member's session are told by the commits that are missing.
            Ok(Err(_)) | Err(_) => {}
        }
        if positions.is_empty() {
            continue;
        }
        if let Ok(()) = member.commit_offsets(positions.clone()).await {
            let mut history = shared.history();
            history.commits.push(Instant::now());
            let all = positions.iter().map(|((_, partition), offset)| (*partition, *offset));
            history.committed.extend(all);
        }
    }
    // What goes wrong when it leaves loses nothing.
    let _ = timeout(PATIENCE, member.close()).await;
    Ok(())
}

/// A committed offset is not lost, and none has moved back.
async fn check_committed(bootstrap: &str, history: &mut History) -> Result<(), Failure> {
    let admin = Admin::builder().bootstrap_servers(bootstrap).build().await?;
    let fetched = admin.list_consumer_group_offsets(GROUP).await?;
    admin.close().await;
    let mut last = BTreeMap::new();
    for (partition, offset) in &history.committed {
        last.insert(*partition, *offset);
    }
    for (partition, offset) in last {
        let found = fetched.get(&(TOPIC.to_owned(), partition)).map(|found| found.offset);
        // One that was sent and not answered may have come after it.
        if found.is_none_or(|found| found < offset) {
            history.violations.push(format!(
                "partition {partition}: the group's commit of {offset} was acknowledged, \
                 {found:?} is there"
            ));
        }
    }
    Ok(())
}

/// What stands in the partitions, and where each of them starts.
pub(crate) async fn read_all(bootstrap: &str) -> Result<(Stored, BTreeMap<i32, i64>), Failure> {
    let all = || (0..PARTITIONS).map(|partition| (TOPIC.to_owned(), partition));
    let admin = Admin::builder().bootstrap_servers(bootstrap).build().await?;
    let (mut starts, mut ends) = (BTreeMap::new(), BTreeMap::new());
    for ((_, partition), start) in
        admin.list_offsets(all().map(|of| (of, OffsetSpec::Earliest))).await?
    {
        starts.insert(partition, start?.offset);
    }
    for ((_, partition), end) in
        admin.list_offsets(all().map(|of| (of, OffsetSpec::Latest))).await?
    {
        ends.insert(partition, end?.offset);
    }
    admin.close().await;
    ends.retain(|partition, end| *end > starts[partition]);
    let consumer = Consumer::builder()
        .bootstrap_servers(bootstrap)
        .assign(all())
        .set("auto.offset.reset", "earliest")?
        .build()
        .await?;
    let mut stored = Stored::new();
    while !ends.is_empty() {
        let batch = timeout(PATIENCE, consumer.next_batch()).await;
        let batch = batch.map_err(|_| "the records cannot be read again")??;
        let batch = batch.ok_or("the consumer was closed")?;
        let partition = batch.partition();
        for record in batch.iter() {
            let value = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
            stored.insert((partition, record.offset), value);
        }
        if ends.get(&partition).is_some_and(|end| batch.last_offset() + 1 >= *end) {
            ends.remove(&partition);
        }
    }
    consumer.close().await?;
    Ok((stored, starts))
}
