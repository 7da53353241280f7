//! The rounds of the cleaner and of the scrubber: one partition after the other, beside all other
//! work.

use std::sync::Arc;

use tokio::time::Interval;

use super::every;
use crate::config::Config;
use crate::partition::Partitions;
use crate::runtime::spawn_blocking;

/// Compacts what is due, every `log.cleaner.backoff.ms`.
pub(super) async fn compactions(config: Config, partitions: Arc<Partitions>) {
    if !config.bool("log.cleaner.enable") {
        return;
    }
    let buffer = usize::try_from(config.long("log.cleaner.dedupe.buffer.size")).unwrap_or(1);
    let rounds = every(config.duration_ms("log.cleaner.backoff.ms"));
    repeat(rounds, partitions, move |partitions| {
        for partition in partitions.all() {
            match partition.compact(buffer) {
                Ok(Some(report)) => tracing::info!(?partition, ?report, "compacted"),
                Ok(None) => {}
                Err(error) => tracing::error!(?partition, %error, "cannot compact"),
            }
        }
    })
    .await;
}

/// Reads everything again, every `log.scrub.interval.ms`.
pub(super) async fn scrubs(config: Config, partitions: Arc<Partitions>) {
    let rate = u64::try_from(config.long("log.scrub.max.bytes.per.second")).unwrap_or(1);
    let rounds = every(config.duration_ms("log.scrub.interval.ms"));
    repeat(rounds, partitions, move |partitions| {
        for partition in partitions.all() {
            match partition.scrub(rate) {
                Ok(bytes) => tracing::debug!(?partition, bytes, "scrubbed"),
                Err(error) => tracing::error!(?partition, %error, "cannot scrub"),
            }
        }
    })
    .await;
}

async fn repeat(
    mut rounds: Interval,
    partitions: Arc<Partitions>,
    work: impl Fn(&Partitions) + Clone + Send + 'static,
) {
    loop {
        rounds.tick().await;
        let (partitions, work) = (Arc::clone(&partitions), work.clone());
        if let Err(error) = spawn_blocking(move || work(&partitions)).await {
            tracing::error!(%error, "cleaning failed");
        }
    }
}
