//! A batch in the sender's hands.

use super::super::accumulator::TakenBatch;
use super::super::completion::BatchCompletion;
use crate::error::{Error, ErrorKind};
use crate::time::Instant;
use bytes::{Bytes, BytesMut};
use ottla_protocol::records::{
    BatchBuilder, BatchFields, Compression, Compressor, Decompressor, RecordBatch, restamp,
};
use std::fmt;
use std::sync::Arc;

/// A producer id with its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) id: i64,
    pub(super) epoch: i16,
}

/// What the broker tells duplicates by. Given once; only a batch that was certainly not written may
/// get another (trap 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) identity: Identity,
    pub(super) sequence: i32,
}

/// A batch's place in its partition: the order of drawing, then the first record, since the parts
/// of a split batch share the first.
pub(super) type Order = (u64, u32);

/// A batch in the sender's hands.
pub(super) struct Batch {
    pub(super) order: Order,
    pub(super) completion: Arc<BatchCompletion>,
    /// Its first record, as an index into the completion's batch.
    pub(super) first: u32,
    pub(super) count: u32,
    pub(super) opened_at: Instant,
    /// Bytes of buffer memory that are released when it ends.
    pub(super) reserved: usize,
    pub(super) body: Body,
    pub(super) stamp: Option<Stamp>,
    pub(super) attempts: u32,
    /// Whether any attempt may have written it; stays once it is set (trap 11).
    pub(super) is_possibly_written: bool,
    /// Whether its records were told already that it failed, while an attempt was on its way.
    pub(super) is_expired: bool,
    pub(super) last_error: Option<Error>,
}

/// The bytes of a batch.
pub(super) enum Body {
    /// Records that are to be sent uncompressed: the header and its checksum are written when the
    /// batch is drawn.
    Plain(BatchBuilder),
    /// Being compressed by the driver.
    Compressing,
    /// Complete but for the stamp.
    Complete(Bytes),
    /// It could not be compressed.
    Broken,
}

/// A batch for the driver to compress, off every lock.
#[derive(Debug)]
pub struct CompressJob {
    pub(super) slot: u32,
    pub(super) order: Order,
    builder: BatchBuilder,
    fields: BatchFields,
}

/// A compressed batch on its way back to the sender.
#[derive(Debug)]
pub struct Compressed {
    pub(super) slot: u32,
    pub(super) order: Order,
    pub(super) result: Result<Bytes, Error>,
    /// The buffer of the records before compression.
    pub(super) spare: Option<Vec<u8>>,
}

impl CompressJob {
    /// Bytes before compression.
    pub fn len_bytes(&self) -> usize {
        self.builder.len_bytes()
    }

    /// Does the work.
    pub fn run(self, compressor: &mut Compressor) -> Compressed {
        let Self { slot, order, builder, fields } = self;
        let (result, spare) = match builder.finish_and_reuse(&fields, compressor) {
            Ok((bytes, spare)) => (Ok(bytes), spare),
            Err(error) => {
                let text = format!("cannot compress a batch with {}: {error}", fields.compression);
                (Err(Error::new(ErrorKind::Config, text)), None)
            }
        };
        Compressed { slot, order, result, spare }
    }
}

impl Batch {
    pub(super) fn new(taken: TakenBatch, order: u64) -> Self {
        let TakenBatch { builder, completion, opened_at, reserved } = taken;
        Self {
            order: (order, 0),
            completion,
            first: 0,
            count: builder.record_count(),
            opened_at,
            reserved,
            body: Body::Plain(builder),
            stamp: None,
            attempts: 0,
            is_possibly_written: false,
            is_expired: false,
            last_error: None,
        }
    }

    /// The job that compresses it.
    pub(super) fn start_compression(
        &mut self,
        slot: u32,
        compression: Compression,
        level: Option<i32>,
    ) -> CompressJob {
        let Body::Plain(builder) = std::mem::replace(&mut self.body, Body::Compressing) else {
            unreachable!("a batch is compressed once")
        };
        let fields = BatchFields { compression, level, ..BatchFields::default() };
        CompressJob { slot, order: self.order, builder, fields }
    }

    /// Whether its bytes are at hand.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.body, Body::Plain(_) | Body::Complete(_))
    }

    /// Its size on the wire; before compression where that is not over.
    pub(super) fn len_bytes(&self) -> usize {
        match &self.body {
            Body::Plain(builder) => builder.len_bytes(),
            Body::Complete(bytes) => bytes.len(),
            Body::Compressing | Body::Broken => 0,
        }
    }

    /// Completes the batch under this stamp. Only for a batch that was never sent, or was certainly
    /// not written.
    pub(super) fn seal(&mut self, stamp: Option<Stamp>) -> Result<(), Error> {
        self.stamp = stamp;
        let (id, epoch, sequence) =
            stamp.map_or((-1, -1, -1), |s| (s.identity.id, s.identity.epoch, s.sequence));
        let bytes = match std::mem::replace(&mut self.body, Body::Broken) {
            Body::Plain(builder) => {
                let fields = BatchFields {
                    producer_id: id,
                    producer_epoch: epoch,
                    base_sequence: sequence,
                    ..BatchFields::default()
                };
                builder.finish(&fields, &mut Compressor::new()).map_err(|error| {
                    Error::new(ErrorKind::Invalid, format!("cannot finish a batch: {error}"))
                })?
            }
            Body::Complete(bytes) if stamp.is_some() => {
                let mut bytes = BytesMut::from(bytes);
                restamp(&mut bytes, id, epoch, sequence);
                bytes.freeze()
            }
            Body::Complete(bytes) => bytes,
            Body::Compressing | Body::Broken => unreachable!("only a batch at hand is drawn"),
        };
        self.body = Body::Complete(bytes);
        Ok(())
    }

    /// The finished bytes.
    pub(super) fn bytes(&self) -> Bytes {
        match &self.body {
            Body::Complete(bytes) => bytes.clone(),
            Body::Plain(_) | Body::Compressing | Body::Broken => {
                unreachable!("a batch is sealed before it is sent")
            }
        }
    }

    /// Divides a batch that was too large for the broker. The parts keep its sequence numbers,
    /// since it was not written. `None` where it cannot be divided: it has one record.
    pub(super) fn split(
        &self,
        compression: Compression,
        level: Option<i32>,
    ) -> Option<(Self, Self)> {
        if self.count < 2 {
            return None;
        }
        let batch = RecordBatch::parse(self.bytes()).ok()?;
        let limit = self.reserved.saturating_mul(2).max(1 << 20);
        let builder =
            BatchBuilder::from_batch(&batch, &mut Decompressor::with_limit(limit)).ok()?;
        let (first, second) = builder.split().ok()?;
        let count = first.record_count();
        let fields = BatchFields { compression, level, ..BatchFields::default() };
        Some((self.part(first, 0, self.reserved, &fields)?, self.part(second?, count, 0, &fields)?))
    }

    fn part(
        &self,
        builder: BatchBuilder,
        at: u32,
        reserved: usize,
        fields: &BatchFields,
    ) -> Option<Self> {
        let count = builder.record_count();
        let stamp =
            self.stamp.map(|stamp| Stamp { sequence: sequence_after(stamp.sequence, at), ..stamp });
        let mut fields = fields.clone();
        if let Some(Stamp { identity, sequence }) = stamp {
            fields.producer_id = identity.id;
            fields.producer_epoch = identity.epoch;
            fields.base_sequence = sequence;
        }
        let bytes = builder.finish(&fields, &mut Compressor::new()).ok()?;
        Some(Self {
            order: (self.order.0, self.first + at),
            completion: self.completion.clone(),
            first: self.first + at,
            count,
            opened_at: self.opened_at,
            reserved,
            body: Body::Complete(bytes),
            stamp,
            attempts: self.attempts,
            is_possibly_written: self.is_possibly_written,
            is_expired: self.is_expired,
            last_error: self.last_error.clone(),
        })
    }
}

/// The sequence number `count` records after `sequence`: it wraps to 0 after 2^31 - 1.
pub(super) fn sequence_after(sequence: i32, count: u32) -> i32 {
    let sum = (i64::from(sequence) + i64::from(count)) % (i64::from(i32::MAX) + 1);
    i32::try_from(sum).expect("a remainder of 2^31 fits")
}

/// As the traces show it: `batch 3 (records 0..5, seq 10@7.0)`.
impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch {} (records {}..{}", self.order.0, self.first, self.first + self.count)?;
        if let Some(Stamp { identity, sequence }) = self.stamp {
            write!(f, ", seq {sequence}@{}.{}", identity.id, identity.epoch)?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_wrap_to_zero() {
        assert_eq!(sequence_after(0, 5), 5);
        assert_eq!(sequence_after(i32::MAX, 1), 0);
        assert_eq!(sequence_after(i32::MAX - 1, 5), 3);
    }
}
