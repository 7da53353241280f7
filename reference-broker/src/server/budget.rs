//! The bytes that large requests may take, over all connections (`queued.max.request.bytes`).
//!
//! A frame takes its share as its bytes arrive, not when it claims its length: a client that claims
//! 90 MiB and stops holds next to nothing. So that frames which are all half-way cannot wait for
//! each other for ever, one at a time may go on beyond the budget.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// This much of every frame costs nothing: 2,000 connections with as much each are 32 MiB.
const FREE_LEN: usize = 16 << 10;
/// The least that is taken at once.
const STEP_LEN: usize = 64 << 10;
/// A permit stands for this many bytes.
const UNIT: usize = 1 << 10;

/// A common allowance of bytes, given out in order of asking.
#[derive(Debug)]
pub(super) struct Budget {
    permits: Arc<Semaphore>,
    /// Who holds this needs no permits.
    overdraft: Arc<Mutex<()>>,
}

/// What a frame has taken from the budget; given back when dropped.
#[derive(Debug, Default)]
pub(super) struct Taken {
    permit: Option<OwnedSemaphorePermit>,
    overdraft: Option<OwnedMutexGuard<()>>,
    /// How much of the frame is paid for, beyond what is free.
    len: usize,
}

impl Taken {
    /// How many bytes may be read at once when `arrived` of a frame of `frame_len` are there: what
    /// is paid for, and never much of the frames behind it.
    pub(super) fn room(&self, arrived: usize, frame_len: usize) -> usize {
        let paid = FREE_LEN + self.len;
        let is_whole = self.overdraft.is_some() || paid >= frame_len;
        let end = if is_whole { frame_len + FREE_LEN } else { paid };
        end.saturating_sub(arrived).max(1)
    }
}

impl Budget {
    /// A budget of this many bytes; a negative number is no limit.
    pub(super) fn new(bytes: i64) -> Self {
        let units = usize::try_from(bytes).map_or(Semaphore::MAX_PERMITS, |bytes| bytes / UNIT);
        Self {
            permits: Arc::new(Semaphore::new(units.clamp(1, Semaphore::MAX_PERMITS))),
            overdraft: Arc::default(),
        }
    }

    /// Pays for a frame of `frame_len` bytes of which `arrived` are there, and for some more, so
    /// that reading can go on; waits for its turn if it must.
    pub(super) async fn pay(&self, taken: &mut Taken, arrived: usize, frame_len: usize) {
        if taken.overdraft.is_some() || arrived < FREE_LEN + taken.len {
            return;
        }
        // Doubling: a frame of a megabyte asks five times.
        let left = frame_len.saturating_sub(FREE_LEN + taken.len);
        let step = left.min(taken.len.max(STEP_LEN));
        if step == 0 {
            return;
        }
        let units = u32::try_from(step.div_ceil(UNIT)).unwrap_or(u32::MAX);
        tokio::select! {
            biased;
            permit = Arc::clone(&self.permits).acquire_many_owned(units) => {
                let permit = permit.expect("the budget's semaphore is never closed");
                match &mut taken.permit {
                    Some(held) => held.merge(permit),
                    none => *none = Some(permit),
                }
                taken.len += step;
            }
            guard = Arc::clone(&self.overdraft).lock_owned() => taken.overdraft = Some(guard),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    /// Pays as a connection does while its frame arrives; false if it would have to wait.
    async fn arrives(budget: &Budget, taken: &mut Taken, len: usize, frame_len: usize) -> bool {
        for arrived in (0..=len).step_by(4096) {
            let paying = budget.pay(taken, arrived, frame_len);
            if tokio::time::timeout(std::time::Duration::ZERO, paying).await.is_err() {
                return false;
            }
        }
        true
    }

    #[tokio::test]
    async fn a_claimed_length_costs_nothing_and_small_frames_never_wait() {
        let budget = Budget::new(1 << 20);
        let mut claims: Vec<Taken> = (0..100).map(|_| Taken::default()).collect();
        for taken in &mut claims {
            assert!(arrives(&budget, taken, 8192, 90 * MIB).await);
        }
        let mut whole = Taken::default();
        assert!(arrives(&budget, &mut whole, MIB, MIB).await);
        assert!(whole.overdraft.is_none());
    }

    #[tokio::test]
    async fn no_more_is_read_than_what_is_paid_for() {
        let budget = Budget::new(1 << 20);
        let mut taken = Taken::default();
        assert_eq!(taken.room(0, 0), FREE_LEN, "a prefix");
        assert_eq!(taken.room(4, 100), FREE_LEN + 96, "a small frame");
        assert_eq!(taken.room(FREE_LEN - 1, MIB), 1);
        let mut arrived = FREE_LEN;
        while arrived < MIB {
            budget.pay(&mut taken, arrived, MIB).await;
            let paid = MIB / UNIT - budget.permits.available_permits();
            arrived += taken.room(arrived, MIB);
            assert!(arrived <= 2 * FREE_LEN + paid * UNIT, "{arrived} of {paid} KiB");
        }
        assert!(taken.overdraft.is_none());
    }

    #[tokio::test]
    async fn one_frame_may_overdraw_and_the_next_waits_for_its_turn() {
        let budget = Budget::new(1 << 20);
        let mut first = Taken::default();
        assert!(arrives(&budget, &mut first, 5 * MIB, 5 * MIB).await);
        assert!(first.overdraft.is_some(), "larger than the whole budget, it is still served");
        let mut second = Taken::default();
        assert!(!arrives(&budget, &mut second, 2 * MIB, 2 * MIB).await);
        drop(first);
        assert!(arrives(&budget, &mut second, 2 * MIB, 2 * MIB).await);
    }
}
