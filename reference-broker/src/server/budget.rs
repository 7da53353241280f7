//! The bytes that large requests may take, over all connections (`queued.max.request.bytes`).

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Frames up to this length cost nothing: 2,000 connections with one each are 32 MiB.
const FREE_LEN: usize = 16 << 10;
/// A permit stands for this many bytes.
const UNIT: usize = 1 << 10;

/// A common allowance of bytes, given out in order of asking.
#[derive(Debug)]
pub(super) struct Budget {
    permits: Arc<Semaphore>,
    /// A single frame takes at most the whole budget, so that one larger than it is still served,
    /// alone.
    total: u32,
}

/// Bytes taken from the budget; given back when dropped.
#[derive(Debug)]
pub(super) struct Taken {
    _permit: OwnedSemaphorePermit,
}

impl Budget {
    /// A budget of this many bytes; a negative number is no limit.
    pub(super) fn new(bytes: i64) -> Self {
        let units = usize::try_from(bytes).map_or(usize::MAX, |bytes| bytes.div_ceil(UNIT));
        let total = u32::try_from(units.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX).max(1);
        Self { permits: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Takes the bytes of a frame, waiting for its turn; none for a small frame.
    pub(super) async fn take(&self, frame_len: usize) -> Option<Taken> {
        if frame_len <= FREE_LEN {
            return None;
        }
        let units = u32::try_from(frame_len.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.total);
        let permit = Arc::clone(&self.permits).acquire_many_owned(units).await;
        Some(Taken { _permit: permit.expect("the budget's semaphore is never closed") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_frames_wait_for_each_other_and_small_ones_do_not() {
        let budget = Budget::new(1 << 20);
        let first = budget.take(5 << 20).await;
        assert!(first.is_some());
        assert!(budget.take(FREE_LEN).await.is_none());
        let second = budget.take(1 << 19);
        tokio::pin!(second);
        let poll = std::future::poll_fn(|context| {
            std::task::Poll::Ready(second.as_mut().poll(context).is_pending())
        });
        assert!(poll.await, "the budget is taken");
        drop(first);
        assert!(second.await.is_some());
    }
}
