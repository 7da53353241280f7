//! Waiting for the high watermark, and flushing, which with flush-before-ack moves it (M12).

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::ErrorCode;
use tokio::sync::Notify;

use super::{Partition, Role, log_code};
use crate::log::LogError;
use crate::planted::{self, Bug};
use crate::runtime::spawn_blocking;

impl Partition {
    /// Waits until `last_offset` is committed under this leader epoch; 6 when that cannot be any
    /// more (M8), 7 when it takes longer than `patience`.
    pub(crate) async fn committed(
        &self,
        last_offset: i64,
        patience: Duration,
    ) -> Result<(), ErrorCode> {
        self.until(patience, |partition| {
            partition.high_watermark() > last_offset
                || planted::has(Bug::AckBeforeIsr)
                || (planted::has(Bug::FencedLeaderAcks) && partition.is_closed())
                || (planted::has(Bug::LaterEpochAcks) && partition.is_passed(last_offset))
        })
        .await
    }

    /// Waits until no replica that is alive has records below `offset` (M17); answers below what
    /// none has any. Errors as [`Self::committed`].
    pub(crate) async fn deleted_everywhere(
        &self,
        offset: i64,
        patience: Duration,
    ) -> Result<i64, ErrorCode> {
        self.until(patience, |partition| partition.low_watermark() >= offset).await?;
        Ok(self.low_watermark())
    }

    fn low_watermark(&self) -> i64 {
        let state = self.lock();
        let start = state.log.log_start_offset();
        match &state.role {
            Role::Leader(leadership) => leadership.low_watermark(start),
            Role::Follower(_) => start,
        }
    }

    /// Whether a leader here, of any epoch, has committed `last_offset`.
    fn is_passed(&self, last_offset: i64) -> bool {
        let state = self.lock();
        matches!(&state.role, Role::Leader(leader) if leader.high_watermark() > last_offset)
    }

    /// Waits for something that is looked at whenever the partition rings.
    async fn until(
        &self,
        patience: Duration,
        is_so: impl Fn(&Self) -> bool,
    ) -> Result<(), ErrorCode> {
        if is_so(self) {
            return Ok(());
        }
        let waiting = async {
            let bell = Arc::new(Notify::new());
            loop {
                self.register(&bell);
                // Looked at after registering: an advance in between has rung the bell.
                if is_so(self) {
                    return Ok(());
                }
                if self.is_closed() && !planted::has(Bug::LaterEpochAcks) {
                    return Err(ErrorCode::NotLeaderOrFollower);
                }
                // A flush that failed is never tried again: nobody may wait for it.
                self.log_dir.check().map_err(|error| log_code(&error))?;
                match planted::has(Bug::LaterEpochAcks) {
                    true => tokio::time::sleep(Duration::from_millis(5)).await,
                    false => bell.notified().await,
                }
            }
        };
        tokio::time::timeout(patience, waiting).await.unwrap_or(Err(ErrorCode::RequestTimedOut))
    }

    /// Flushes off the lock and off the caller's thread, again and again while a flush is due. The
    /// caller has set `flushing`.
    pub(super) fn spawn_flush(self: &Arc<Self>) {
        let partition = Arc::clone(self);
        spawn_blocking(move || while partition.flush_once().is_ok_and(|again| again) {});
    }

    /// One flush; true if another one is due already. Clears `flushing` otherwise.
    fn flush_once(&self) -> Result<bool, LogError> {
        let prepared = {
            let mut state = self.lock();
            let prepared = state.log.prepare_flush();
            state.flushing = prepared.is_ok();
            prepared
        };
        let done = prepared.and_then(|task| task.run().map(|()| task));
        let mut state = self.lock();
        match done {
            Ok(task) => {
                state.log.complete_flush(&task);
                let durable = state.log.durable_end_offset();
                let advanced = state.advance(|leadership, now| leadership.on_flush(durable, now));
                let again = state.log.flush_due();
                state.flushing = again;
                self.publish(state, advanced);
                Ok(again)
            }
            Err(error) => {
                tracing::error!(partition = ?self, %error, "flush failed");
                state.flushing = false;
                drop(state);
                self.wake();
                Err(error)
            }
        }
    }

    /// Starts a flush if one is due by time (`flush.ms`).
    pub(crate) fn flush_if_due(self: &Arc<Self>) {
        let mut state = self.lock();
        if !state.closed && !state.flushing && state.log.flush_due() {
            state.flushing = true;
            drop(state);
            self.spawn_flush();
        }
    }
}
