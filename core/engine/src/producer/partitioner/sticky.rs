//! The partition of records without a key: one at a time, a batch's worth each, more often those
//! whose brokers keep up (KIP-480, KIP-794).

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Partitions;

/// No partition was chosen yet.
const NONE: u32 = u32::MAX;

/// The partition in use and the bytes that went to it. Shared by all threads that send to a topic:
/// reading it is one load, and the lock is taken only to change over.
pub(super) struct Sticky {
    /// Partition in the upper half, bytes in the lower, so that both change in one exchange.
    current: AtomicU64,
    batch_size_bytes: u32,
    random: Random,
    load: Mutex<Option<Load>>,
}

/// How often each partition is to be taken.
struct Load {
    partitions: Vec<u32>,
    /// Entry i: the sum of the weights of partitions 0 to i.
    weights_cumulated: Vec<u64>,
}

impl Sticky {
    pub(super) fn new(batch_size_bytes: usize, seed: u64) -> Self {
        Self {
            current: AtomicU64::new(pack(NONE, 0)),
            // A limit of 0 would change over without a record; KIP-794 takes at least 1.
            batch_size_bytes: u32::try_from(batch_size_bytes).unwrap_or(u32::MAX / 4).max(1),
            random: Random(AtomicU64::new(seed)),
            load: Mutex::new(None),
        }
    }

    /// The partition in use; chosen anew if there is none, or if the topic has it no longer.
    pub(super) fn partition(&self, partitions: Partitions<'_>) -> u32 {
        loop {
            let seen = self.current.load(Ordering::Acquire);
            let (partition, _) = unpack(seen);
            if partition < partitions.count {
                return partition;
            }
            self.change_over(seen, partitions);
        }
    }

    /// Counts what was appended. Changes over after a batch's worth, but not while the partition's
    /// open batch still has room (`batches_full` false), which would leave it small; twice the
    /// size ends the wait for that (KIP-794, as the Java client).
    pub(super) fn on_appended(
        &self,
        to: u32,
        bytes: usize,
        batches_full: bool,
        partitions: Partitions<'_>,
    ) {
        let most = self.batch_size_bytes.saturating_mul(2);
        let bytes = u32::try_from(bytes).unwrap_or(most).min(most);
        loop {
            let seen = self.current.load(Ordering::Acquire);
            let (partition, before) = unpack(seen);
            if partition != to {
                return; // another thread has changed over: these bytes no longer count
            }
            let sum = before.saturating_add(bytes);
            if sum >= most || (sum >= self.batch_size_bytes && batches_full) {
                if self.change_over(seen, partitions) {
                    return;
                }
            } else if self.exchange(seen, pack(partition, sum)) {
                return;
            }
        }
    }

    /// New queue lengths: the longer a partition's queue, the less often it is taken; those that
    /// were left out are not taken. None, or queues that are all there and all the same, make every
    /// partition equally likely.
    pub(super) fn update_load(&self, queues: &[(u32, u32)], with_leader: usize) {
        let longest = queues.iter().map(|(_, length)| *length).max().unwrap_or(0);
        let even = queues.iter().all(|(_, length)| *length == longest);
        let is_partial = !queues.is_empty() && queues.len() < with_leader;
        let load = (is_partial || !even).then(|| {
            let mut sum = 0;
            let weigh = |(_, length): &(u32, u32)| {
                sum += u64::from(longest - length) + 1;
                sum
            };
            let weights_cumulated = queues.iter().map(weigh).collect();
            Load { partitions: queues.iter().map(|(id, _)| *id).collect(), weights_cumulated }
        });
        *self.load.lock().expect("no holder of this lock panics") = load;
    }

    /// Any of the partitions that have a leader, or of all if none has.
    pub(super) fn any(&self, partitions: Partitions<'_>) -> u32 {
        match partitions.available {
            [] => self.random.below(u64::from(partitions.count)) as u32,
            available => available[self.random.below(available.len() as u64) as usize],
        }
    }

    /// False if another thread was quicker.
    fn change_over(&self, seen: u64, partitions: Partitions<'_>) -> bool {
        self.exchange(seen, pack(self.next(partitions), 0))
    }

    fn next(&self, partitions: Partitions<'_>) -> u32 {
        let load = self.load.lock().expect("no holder of this lock panics");
        let Some(load) = load.as_ref() else { return self.any(partitions) };
        let all = *load.weights_cumulated.last().expect("a load has at least one partition");
        let point = self.random.below(all);
        let index = load.weights_cumulated.partition_point(|sum| *sum <= point);
        let partition = load.partitions[index];
        // The queues may be older than the metadata: a topic can be made anew with fewer.
        if partition < partitions.count { partition } else { self.any(partitions) }
    }

    fn exchange(&self, seen: u64, new: u64) -> bool {
        self.current.compare_exchange(seen, new, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

fn pack(partition: u32, bytes: u32) -> u64 {
    u64::from(partition) << 32 | u64::from(bytes)
}

fn unpack(packed: u64) -> (u32, u32) {
    ((packed >> 32) as u32, packed as u32)
}

/// SplitMix64 over a shared counter: the seed comes from outside, so a run can be repeated.
struct Random(AtomicU64);

impl Random {
    fn below(&self, bound: u64) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((u128::from(z) * u128::from(bound)) >> 64) as u64
    }
}
