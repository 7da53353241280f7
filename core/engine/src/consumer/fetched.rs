//! From the bytes of a fetched partition to batches that may be handed out.
//!
//! Only headers are read here, so the cost is per batch. Whole batches are sliced out of the
//! response's buffer; what the user shall not see (control batches, aborted transactions, batches
//! that compaction has emptied) is left out, but moves the position (trap 6).

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use ottla_protocol::Bytes;
use ottla_protocol::messages::fetch::AbortedTransaction;
use ottla_protocol::records::{BatchIter, ControlType, RecordBatch, RecordError};

use super::position::Position;
use crate::config::IsolationLevel;

/// A step of a partition's position: a batch for the user, or only progress.
#[derive(Clone, Debug)]
pub struct Ready {
    /// The batch, or `None` where there was nothing for the user.
    pub batch: Option<RecordBatch>,
    /// The position after it, and after everything left out behind it.
    pub after: Position,
    /// The last step of one fetch: a good moment for another partition's turn.
    pub ends_fetch: bool,
}

/// What one partition of a fetch response holds.
#[derive(Debug)]
pub struct Fetched {
    /// In order of offsets.
    pub steps: Vec<Ready>,
    /// Where the next fetch goes on; the fetch offset if there was nothing.
    pub next: Position,
    /// The batch at `next` cannot be read: why. What came before it is in `steps`.
    pub broken: Option<RecordError>,
}

/// Splits the records of one partition, fetched from `from` on.
///
/// `aborted` are the aborted transactions of the answer, in any order: brokers need not sort
/// them. They are looked at only under read_committed.
pub fn split(
    records: Bytes,
    from: Position,
    aborted: &[AbortedTransaction],
    isolation: IsolationLevel,
) -> Fetched {
    let mut filter = match isolation {
        IsolationLevel::ReadCommitted => Some(AbortFilter::new(aborted)),
        IsolationLevel::ReadUncommitted => None,
    };
    let mut fetched = Fetched { steps: Vec::new(), next: from, broken: None };
    let mut batches = BatchIter::new(records);
    for batch in batches.by_ref() {
        let visible = match batch {
            Ok(batch) => judge(batch, &fetched.next, filter.as_mut()),
            Err(error) => Err(error),
        };
        match visible {
            Ok((after, batch)) => push(&mut fetched, after, batch),
            Err(error) => {
                fetched.broken = Some(error);
                break;
            }
        }
    }
    if let Some(last) = fetched.steps.last_mut() {
        last.ends_fetch = true;
    }
    fetched
}

/// The position after the batch, and the batch itself if the user shall see it.
fn judge(
    batch: RecordBatch,
    next: &Position,
    filter: Option<&mut AbortFilter>,
) -> Result<(Position, Option<RecordBatch>), RecordError> {
    let header = batch.header();
    // A broker answers from the start of the batch that holds the offset; a batch that ends
    // before it never moves the position back.
    if header.next_offset() <= next.offset {
        return Ok((*next, None));
    }
    let epoch = header.partition_leader_epoch;
    let after = Position {
        offset: header.next_offset(),
        leader_epoch: (epoch >= 0).then_some(epoch).or(next.leader_epoch),
    };
    let hidden = match filter {
        Some(filter) => filter.hides(&batch)?,
        None => false,
    };
    let is_empty = batch.header().record_count == 0 || batch.header().is_control();
    Ok((after, (!hidden && !is_empty).then_some(batch)))
}

fn push(fetched: &mut Fetched, after: Position, batch: Option<RecordBatch>) {
    let moved = after.offset > fetched.next.offset;
    fetched.next = after;
    match (batch, fetched.steps.last_mut()) {
        (None, Some(last)) => last.after = after,
        (None, None) if !moved => {}
        (batch, _) => fetched.steps.push(Ready { batch, after, ends_fetch: false }),
    }
}

/// Which batches belong to aborted transactions (KIP-98).
struct AbortFilter {
    /// Aborted transactions whose first offset is not reached yet, the lowest on top.
    coming: BinaryHeap<Reverse<(i64, i64)>>,
    /// Producers whose present transaction will be aborted.
    aborting: BTreeSet<i64>,
}

impl AbortFilter {
    fn new(aborted: &[AbortedTransaction]) -> Self {
        let coming = aborted.iter().map(|a| Reverse((a.first_offset, a.producer_id))).collect();
        Self { coming, aborting: BTreeSet::new() }
    }

    fn hides(&mut self, batch: &RecordBatch) -> Result<bool, RecordError> {
        let header = batch.header();
        if !header.has_producer_id() {
            return Ok(false);
        }
        while let Some(Reverse((first_offset, producer_id))) = self.coming.peek().copied() {
            if first_offset > header.last_offset() {
                break;
            }
            self.coming.pop();
            self.aborting.insert(producer_id);
        }
        if header.is_control() {
            // The marker ends the transaction: what the producer writes next is another one.
            if batch.control_type()? == Some(ControlType::Abort) {
                self.aborting.remove(&header.producer_id);
            }
            return Ok(true);
        }
        Ok(header.is_transactional() && self.aborting.contains(&header.producer_id))
    }
}
