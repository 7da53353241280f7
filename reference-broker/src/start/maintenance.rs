//! What has to be done from time to time: retention, flushes by time, forgetting producers,
//! checkpoints, compaction, scrubbing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use crate::broker::Broker;
use crate::partition::Partitions;
use crate::runtime::spawn_blocking;

mod clean;

/// Kafka's `replica.high.watermark.checkpoint.interval.ms`.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);

/// Runs until `stop` turns true.
pub(super) async fn run(broker: Arc<Broker>, mut stop: watch::Receiver<bool>) {
    let config = broker.config();
    let mut retention = every(config.duration_ms("log.retention.check.interval.ms"));
    let mut flush = every(config.duration_ms("log.flush.scheduler.interval.ms"));
    let mut producers = every(config.duration_ms("producer.id.expiration.check.interval.ms"));
    let mut checkpoints = every(CHECKPOINT_INTERVAL);
    // They end with this task.
    let mut beside = JoinSet::new();
    beside.spawn(clean::compactions(config.clone(), Arc::clone(broker.partitions())));
    beside.spawn(clean::scrubs(config.clone(), Arc::clone(broker.partitions())));
    loop {
        let work: fn(&Arc<Partitions>) = tokio::select! {
            _ = retention.tick() => apply_retention,
            _ = flush.tick() => flush_by_time,
            _ = producers.tick() => expire_producers,
            _ = checkpoints.tick() => write_checkpoints,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let partitions = Arc::clone(broker.partitions());
        let handle = tokio::runtime::Handle::current();
        let done = spawn_blocking(move || {
            let _runtime = handle.enter();
            work(&partitions);
        });
        if let Err(error) = done.await {
            tracing::error!(%error, "maintenance failed");
        }
    }
}

fn every(period: Duration) -> Interval {
    // An interval as long as a property allows would overflow the clock.
    let period = period.clamp(Duration::from_millis(1), Duration::from_secs(365 * 24 * 3600));
    let mut interval = interval_at(tokio::time::Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

fn apply_retention(partitions: &Arc<Partitions>) {
    for partition in partitions.all() {
        match partition.apply_retention() {
            Ok(deleted) if deleted.segments > 0 => {
                let (segments, bytes) = (deleted.segments, deleted.bytes);
                tracing::info!(?partition, segments, bytes, "deleted old segments");
            }
            Ok(_) => {}
            Err(error) => tracing::error!(?partition, %error, "retention failed"),
        }
    }
}

fn flush_by_time(partitions: &Arc<Partitions>) {
    for partition in partitions.all() {
        partition.flush_if_due();
    }
}

fn expire_producers(partitions: &Arc<Partitions>) {
    for partition in partitions.all() {
        let expired = partition.expire_producers();
        if expired > 0 {
            tracing::info!(?partition, expired, "forgot silent producers");
        }
    }
}

fn write_checkpoints(partitions: &Arc<Partitions>) {
    if let Err(error) = partitions.write_checkpoints() {
        tracing::error!(%error, "cannot write checkpoints");
    }
}
