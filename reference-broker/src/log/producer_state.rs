//! What the log remembers of each idempotent producer, so that a batch that is sent twice is stored
//! once (KIP-98).
//!
//! Per producer id: the epoch and the last five batches. A batch that is one of them is a duplicate
//! and is answered with the offset that it has; the caller then waits for the high watermark as it
//! did for the original (M9). The state is fed from batch headers alone: live appends, followers
//! and recovery all call [`ProducerState::update`].

use std::collections::{BTreeMap, VecDeque};

use ottla_protocol::ErrorCode;
use ottla_protocol::records::BatchHeader;

/// Batches remembered per producer: what a client may have in flight
/// (`max.in.flight.requests.per.connection`).
pub const BATCHES_KEPT: usize = 5;

/// One batch of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerBatch {
    /// Sequence number of its first record.
    pub first_sequence: i32,
    /// Sequence number of its last record.
    pub last_sequence: i32,
    /// Offset of its first record.
    pub base_offset: i64,
    /// Offset of its last record.
    pub last_offset: i64,
    /// Its max timestamp in milliseconds: the append time in a LogAppendTime topic.
    pub timestamp: i64,
}

/// One producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Producer {
    /// The producer epoch that wrote last.
    pub epoch: i16,
    /// The coordinator epoch of its last transaction marker; -1: none.
    pub coordinator_epoch: i32,
    /// Its last batches, oldest first, at most [`BATCHES_KEPT`]; empty when only a marker was
    /// written in this epoch.
    pub batches: VecDeque<ProducerBatch>,
    /// Where its open transaction starts.
    pub open_transaction: Option<i64>,
    /// When the broker last heard of it, by the broker's clock and not by the records' timestamps:
    /// a record dated 1970 does not make its producer expire.
    pub seen_ms: i64,
}

/// What is to be done with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// It is new: append it.
    Append,
    /// It is stored already: answer with this, when the high watermark has passed `last_offset`
    /// (M9).
    Duplicate {
        /// Offset of its first record.
        base_offset: i64,
        /// Offset of its last record.
        last_offset: i64,
        /// Its timestamp, for a LogAppendTime topic's answer.
        timestamp: i64,
    },
}

/// All producers of one partition.
#[derive(Debug, Clone, Default)]
pub struct ProducerState {
    producers: BTreeMap<i64, Producer>,
}

impl ProducerState {
    /// Nobody known.
    pub fn new() -> Self {
        Self::default()
    }

    /// The producers by id, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &Producer)> {
        self.producers.iter().map(|(id, producer)| (*id, producer))
    }

    /// One producer.
    pub fn producer(&self, producer_id: i64) -> Option<&Producer> {
        self.producers.get(&producer_id)
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// Judges a batch of a client before it is appended.
    ///
    /// # Errors
    /// `INVALID_PRODUCER_EPOCH` for an epoch below the producer's; `OUT_OF_ORDER_SEQUENCE_NUMBER`
    /// for a gap, for a duplicate that is older than five batches, and for a new epoch that does
    /// not start at 0. A producer that is not known may start anywhere (PR-24): its state may have
    /// expired.
    pub fn check(&self, header: &BatchHeader) -> Result<Check, ErrorCode> {
        if !header.has_producer_id() {
            return Ok(Check::Append);
        }
        let Some(producer) = self.producers.get(&header.producer_id) else {
            return Ok(Check::Append);
        };
        if header.producer_epoch < producer.epoch {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        if header.is_control() {
            return Ok(Check::Append);
        }
        let next = match producer.batches.back() {
            Some(last) if header.producer_epoch == producer.epoch => {
                if let Some(known) = producer.find(header) {
                    return Ok(known);
                }
                sequence_after(last.last_sequence)
            }
            _ => 0,
        };
        match header.base_sequence == next {
            true => Ok(Check::Append),
            false => Err(ErrorCode::OutOfOrderSequenceNumber),
        }
    }

    /// Takes note of a batch that is in the log, with its offsets. The check was the leader's
    /// affair: followers and recovery believe what is stored.
    pub fn update(&mut self, header: &BatchHeader, now_ms: i64) {
        if !header.has_producer_id() {
            return;
        }
        let producer = self.producers.entry(header.producer_id).or_insert_with(|| Producer {
            epoch: header.producer_epoch,
            coordinator_epoch: -1,
            batches: VecDeque::new(),
            open_transaction: None,
            seen_ms: now_ms,
        });
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
        }
        producer.seen_ms = now_ms;
        if header.is_control() {
            producer.open_transaction = None;
            return;
        }
        if header.is_transactional() && producer.open_transaction.is_none() {
            producer.open_transaction = Some(header.base_offset);
        }
        if producer.batches.len() == BATCHES_KEPT {
            producer.batches.pop_front();
        }
        producer.batches.push_back(ProducerBatch {
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            timestamp: header.max_timestamp,
        });
    }

    /// Puts an older batch of the log in front of those that are known, where it fits: a snapshot
    /// holds only the last batch of a producer, but a client may resend any of its last five after
    /// the broker was restarted. Call it with batches in *descending* order of offset.
    pub(super) fn remember_older(&mut self, header: &BatchHeader) {
        let Some(producer) = self.producers.get_mut(&header.producer_id) else { return };
        let Some(oldest) = producer.batches.front() else { return };
        let fits = header.producer_epoch == producer.epoch
            && !header.is_control()
            && producer.batches.len() < BATCHES_KEPT
            && header.last_offset() < oldest.base_offset
            && sequence_after(header.last_sequence()) == oldest.first_sequence;
        if fits {
            producer.batches.push_front(ProducerBatch {
                first_sequence: header.base_sequence,
                last_sequence: header.last_sequence(),
                base_offset: header.base_offset,
                last_offset: header.last_offset(),
                timestamp: header.max_timestamp,
            });
        }
    }

    /// The first offset of the oldest open transaction: the last stable offset is here or at the
    /// high watermark.
    pub fn first_unstable_offset(&self) -> Option<i64> {
        self.producers.values().filter_map(|producer| producer.open_transaction).min()
    }

    /// Forgets producers that were not heard of for `expiration_ms` (`producer.id.expiration.ms`)
    /// and have no open transaction. Returns how many.
    pub fn expire(&mut self, now_ms: i64, expiration_ms: i64) -> usize {
        let before = self.producers.len();
        self.producers.retain(|_, producer| {
            producer.open_transaction.is_some()
                || now_ms.saturating_sub(producer.seen_ms) < expiration_ms
        });
        before - self.producers.len()
    }

    /// Sets a producer's state as a snapshot has it.
    pub(super) fn restore(&mut self, producer_id: i64, producer: Producer) {
        self.producers.insert(producer_id, producer);
    }
}

impl Producer {
    fn find(&self, header: &BatchHeader) -> Option<Check> {
        let same = |batch: &&ProducerBatch| {
            batch.first_sequence == header.base_sequence
                && batch.last_sequence == header.last_sequence()
        };
        self.batches.iter().find(same).map(|batch| Check::Duplicate {
            base_offset: batch.base_offset,
            last_offset: batch.last_offset,
            timestamp: batch.timestamp,
        })
    }
}

/// The sequence number after `sequence`; 0 follows 2^31 - 1 (PR-25).
fn sequence_after(sequence: i32) -> i32 {
    sequence.checked_add(1).unwrap_or(0)
}
