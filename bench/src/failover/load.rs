//! The load on a cluster while one of its nodes is killed, and what came of it.

use super::roles::Cast;
use crate::Failure;
use crate::cluster::Cluster;
use ottla::{Admin, Consumer, NewTopic, OffsetSpec, Producer, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::{interval, sleep, timeout};

/// Producers, each to all partitions.
pub(crate) const PRODUCERS: usize = 2;
/// Partitions, all of which have the same leader.
pub(crate) const PARTITIONS: i32 = 3;
const TOPIC: &str = "failover";
/// Between two records of a producer to a partition: a gap is known to this.
const EVERY: Duration = Duration::from_millis(5);
/// Between two commits of the group.
const COMMIT_EVERY: Duration = Duration::from_millis(10);
/// The load before the kill.
const WARM_UP: Duration = Duration::from_secs(2);
/// Everything works again when nobody has waited this long.
const QUIET: Duration = Duration::from_millis(500);
/// How long anything may take before it is taken for broken.
const PATIENCE: Duration = Duration::from_secs(90);

/// A record that was acknowledged.
struct Acknowledged {
    partition: i32,
    value: String,
    offset: i64,
    at: Instant,
}

/// What the tasks of the load have in common.
#[derive(Default)]
struct Shared {
    ends: AtomicBool,
    /// By producer.
    acknowledged: [Mutex<Vec<Acknowledged>>; PRODUCERS],
    failed: Mutex<Vec<String>>,
    commits: Mutex<Vec<Instant>>,
}

/// What a run showed.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    /// The longest gap between acknowledged records, by producer and partition.
    gaps: BTreeMap<(usize, i32), Duration>,
    /// The longest gap between commits of the group.
    pub(crate) commit_gap: Duration,
    /// Acknowledged records.
    pub(crate) acknowledged: u64,
    /// Those of them that are not at their offset.
    pub(crate) lost: u64,
    /// Records that are stored more than once.
    pub(crate) duplicated: u64,
    /// Records that the producer gave up, and said so.
    pub(crate) failed: u64,
}

impl Measured {
    /// The longest gap of any producer and partition.
    pub(crate) fn produce_gap(&self) -> Duration {
        self.gaps.values().max().copied().unwrap_or_default()
    }

    /// The gaps in milliseconds: a list of partitions for each producer.
    pub(crate) fn by_producer(&self) -> Vec<Vec<u64>> {
        let of = |producer| {
            let of_producer = self.gaps.iter().filter(move |((number, _), _)| *number == producer);
            of_producer.map(|(_, gap)| super::millis(*gap)).collect()
        };
        (0..PRODUCERS).map(of).collect()
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "gaps {:?} ms, commits {} ms; {} acknowledged, {} lost, {} duplicated, {} refused",
            self.by_producer(),
            super::millis(self.commit_gap),
            self.acknowledged,
            self.lost,
            self.duplicated,
            self.failed
        )
    }
}

/// Puts the load on, kills, waits until all works again, and looks. `None` where controller or
/// coordinator had moved before the kill.
pub(crate) async fn run(
    cluster: &mut Cluster,
    cast: &Cast,
    settling: Duration,
) -> Result<Option<Measured>, Failure> {
    create_topic(cluster, TOPIC, PARTITIONS, cast.leader).await?;
    let shared = Arc::new(Shared::default());
    let consumer = Consumer::builder()
        .bootstrap_servers(&cluster.bootstrap)
        .group_id(&cast.group)
        .topics([TOPIC])
        .set("auto.offset.reset", "earliest")?
        .set("enable.auto.commit", "false")?
        .build()
        .await?;
    let group = tokio::spawn(work_as_group(Arc::clone(&shared), consumer));
    let mut producers = Vec::new();
    for number in 0..PRODUCERS {
        let producer = Producer::builder().bootstrap_servers(&cluster.bootstrap).build().await?;
        producers.push(tokio::spawn(produce(Arc::clone(&shared), number, producer)));
    }
    shared.wait_until_all_work(Instant::now()).await?;
    sleep(WARM_UP).await;
    let stays = cast.is_valid(cluster).await?;
    if stays {
        cluster.kill(cast.victim)?;
        let killed = Instant::now();
        sleep(settling).await;
        shared.wait_until_all_work(killed).await?;
    }
    shared.ends.store(true, Ordering::Relaxed);
    let ended = Instant::now();
    for producer in producers {
        timeout(PATIENCE, producer).await.map_err(|_| "a producer does not end")???;
    }
    timeout(PATIENCE, group).await.map_err(|_| "the group's member does not end")???;
    if !stays {
        return Ok(None);
    }
    for why in shared.failed().iter().collect::<BTreeSet<_>>() {
        eprintln!("    {why}");
    }
    let stored = read_all(cluster, TOPIC, PARTITIONS).await?;
    Ok(Some(shared.measure(&stored, ended)))
}

/// Makes a topic with a replica on each node and one leader for all partitions, and waits for both.
pub(crate) async fn create_topic(
    cluster: &Cluster,
    name: &str,
    partitions: i32,
    leader: i32,
) -> Result<(), Failure> {
    let mut replicas = vec![leader];
    replicas.extend(cluster.ids().into_iter().filter(|id| *id != leader));
    let topic = NewTopic::assigned(name, vec![replicas; partitions as usize]);
    let admin = Admin::builder().bootstrap_servers(&cluster.bootstrap).build().await?;
    admin.create_topic(topic.config("min.insync.replicas", 2)).await?;
    let until = Instant::now() + PATIENCE;
    loop {
        let described = admin.describe_topics([name]).await?;
        let topic = described.get(name).and_then(|outcome| outcome.as_ref().ok());
        let is_whole = topic.is_some_and(|topic| {
            topic.partitions.len() == partitions as usize
                && topic.partitions.iter().all(|p| p.leader == Some(leader) && p.isr.len() == 3)
        });
        if is_whole {
            admin.close().await;
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!("the topic has not the leader {leader} and all replicas").into());
        }
        sleep(EVERY).await;
    }
}

/// Sends a record to each partition at a steady rate until the end.
async fn produce(shared: Arc<Shared>, number: usize, producer: Producer) -> Result<(), Failure> {
    let mut ticks = interval(EVERY);
    let mut deliveries = Vec::new();
    let mut sequence = 0_u64;
    while !shared.ends.load(Ordering::Relaxed) {
        ticks.tick().await;
        sequence += 1;
        for partition in 0..PARTITIONS {
            let value = format!("{number}/{partition}/{sequence:0>90}");
            let record = Record::to(TOPIC).partition(partition).value(&value);
            let delivery = producer.send(record).await?;
            let shared = Arc::clone(&shared);
            deliveries.push(tokio::spawn(async move {
                match delivery.await {
                    Ok(metadata) => {
                        let (offset, at) = (metadata.offset, Instant::now());
                        let one = Acknowledged { partition, value, offset, at };
                        shared.acknowledged(number).push(one);
                    }
                    Err(error) => shared.failed().push(error.to_string()),
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

/// Consumes, and commits all the time, whether there is something new or not.
async fn work_as_group(shared: Arc<Shared>, consumer: Consumer) -> Result<(), Failure> {
    let mut positions = BTreeMap::new();
    while !shared.ends.load(Ordering::Relaxed) {
        match timeout(COMMIT_EVERY, consumer.next_batch()).await {
            Ok(Ok(Some(batch))) => {
                positions.insert((TOPIC.to_owned(), batch.partition()), batch.last_offset() + 1);
            }
            Ok(Ok(None)) => break,
            Ok(Err(error)) => eprintln!("    the group's member: {error}"),
            Err(_) => {}
        }
        if positions.is_empty() {
            continue;
        }
        match consumer.commit_offsets(positions.clone()).await {
            Ok(()) => shared.commits().push(Instant::now()),
            Err(error) => eprintln!("    the group's member, a commit: {error}"),
        }
    }
    // What goes wrong when it leaves is not measured.
    let _ = timeout(QUIET, consumer.close()).await;
    Ok(())
}

/// What stands in the partitions, at each offset.
pub(crate) async fn read_all(
    cluster: &Cluster,
    topic: &str,
    partitions: i32,
) -> Result<BTreeMap<(i32, i64), String>, Failure> {
    let all = || (0..partitions).map(|partition| (topic.to_owned(), partition));
    let admin = Admin::builder().bootstrap_servers(&cluster.bootstrap).build().await?;
    let asked = all().map(|partition| (partition, OffsetSpec::Latest));
    let mut ends = BTreeMap::new();
    for ((_, partition), end) in admin.list_offsets(asked).await? {
        let end = end?.offset;
        if end > 0 {
            ends.insert(partition, end);
        }
    }
    admin.close().await;
    let consumer = Consumer::builder()
        .bootstrap_servers(&cluster.bootstrap)
        .assign(all())
        .set("auto.offset.reset", "earliest")?
        .build()
        .await?;
    let mut stored = BTreeMap::new();
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
    Ok(stored)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn acknowledged(&self, producer: usize) -> MutexGuard<'_, Vec<Acknowledged>> {
        lock(&self.acknowledged[producer])
    }

    fn failed(&self) -> MutexGuard<'_, Vec<String>> {
        lock(&self.failed)
    }

    fn commits(&self) -> MutexGuard<'_, Vec<Instant>> {
        lock(&self.commits)
    }

    /// Waits until each producer and partition, and the group, has worked after `since` and just
    /// now.
    async fn wait_until_all_work(&self, since: Instant) -> Result<(), Failure> {
        let until = Instant::now() + PATIENCE;
        loop {
            let is_recent = |at: &Instant| *at > since && at.elapsed() < QUIET;
            let mut waits = BTreeSet::new();
            for producer in 0..PRODUCERS {
                let all = self.acknowledged(producer);
                for partition in 0..PARTITIONS {
                    let last = all.iter().rev().find(|one| one.partition == partition);
                    if !last.is_some_and(|one| is_recent(&one.at)) {
                        waits.insert(format!("producer {producer} at partition {partition}"));
                    }
                }
            }
            if !self.commits().last().is_some_and(is_recent) {
                waits.insert("the group".to_owned());
            }
            if waits.is_empty() {
                return Ok(());
            }
            if Instant::now() > until {
                let (waits, waited) = (Vec::from_iter(waits).join(", "), PATIENCE.as_secs());
                return Err(format!("no progress within {waited} s: {waits}").into());
            }
            sleep(EVERY).await;
        }
    }

    fn measure(&self, stored: &BTreeMap<(i32, i64), String>, ended: Instant) -> Measured {
        let (mut gaps, mut acknowledged, mut lost) = (BTreeMap::new(), 0, 0);
        for producer in 0..PRODUCERS {
            let all = self.acknowledged(producer);
            acknowledged += all.len() as u64;
            let is_there = |one: &Acknowledged| {
                stored.get(&(one.partition, one.offset)).is_some_and(|value| *value == one.value)
            };
            lost += all.iter().filter(|one| !is_there(one)).count() as u64;
            for partition in 0..PARTITIONS {
                let of_partition = all.iter().filter(|one| one.partition == partition);
                let times = of_partition.map(|one| one.at).collect();
                gaps.insert((producer, partition), longest_gap(times, ended));
            }
        }
        let distinct: BTreeSet<&String> = stored.values().collect();
        Measured {
            gaps,
            commit_gap: longest_gap(self.commits().clone(), ended),
            acknowledged,
            lost,
            duplicated: (stored.len() - distinct.len()) as u64,
            failed: self.failed().len() as u64,
        }
    }
}

/// The longest time in which nothing happened, from the first to the end.
pub(crate) fn longest_gap(mut times: Vec<Instant>, ended: Instant) -> Duration {
    times.push(ended);
    times.sort_unstable();
    let gaps = times.windows(2).map(|two| two[1].duration_since(two[0]));
    gaps.max().unwrap_or_default()
}
