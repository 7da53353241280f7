//! A replica's log and where its epochs end.

/// A record: the epoch of the leader that appended it, and its value, unlike all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Record {
    /// Leader epoch.
    pub epoch: u8,
    /// Value.
    pub value: u8,
}

/// The epoch of the last record; 0 for an empty log.
pub(super) fn last_epoch(log: &[Record]) -> u8 {
    log.last().map_or(0, |record| record.epoch)
}

/// Where the records up to `epoch` end: the greatest epoch not above it that wrote something, and
/// the offset after its last record (K-LEADER-EPOCHS-002, -004; KIP-279).
pub(super) fn end_of(log: &[Record], epoch: u8) -> (u8, usize) {
    let end = log.partition_point(|record| record.epoch <= epoch);
    (last_epoch(&log[..end]), end)
}

/// Where a follower must cut its log to be a prefix of the leader's, by the leader's answer for its
/// last epoch; `None` when nothing is to be cut. More than one round can be needed.
pub(super) fn cut(follower: &[Record], leader: &[Record]) -> Option<usize> {
    let epoch = last_epoch(follower);
    let (known, end) = end_of(leader, epoch);
    let own_end = end_of(follower, known).1;
    let cut = own_end.min(end);
    (cut < follower.len()).then_some(cut)
}
