//! Finding offsets by timestamp (ListOffsets), exact to the record also inside compressed batches.

use bytes::Bytes;
use ottla_protocol::records::{BatchHeader, Decompressor, RecordBatch, TimestampType};

use super::error::{LogError, Result};
use super::partition_log::Log;
use super::segment::Segment;
use super::walk::{BatchWalk, Step};

/// An offset that was found by its timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundOffset {
    /// The record's timestamp in milliseconds.
    pub timestamp: i64,
    /// The record's offset.
    pub offset: i64,
    /// The leader epoch that wrote it, if it is known.
    pub leader_epoch: Option<i32>,
}

impl Log {
    /// The first record whose timestamp is `timestamp` or later; `None` when there is none. The
    /// answer may lie above the high watermark: what may be told is the caller's affair.
    pub fn offset_for_timestamp(&self, timestamp: i64) -> Result<Option<FoundOffset>> {
        self.check()?;
        for segment in &self.segments {
            let candidate = segment.next_offset > self.log_start_offset
                && segment.largest.timestamp >= timestamp;
            if candidate
                && let Some(found) = first_at_or_after(segment, timestamp, self.log_start_offset)?
            {
                return Ok(Some(self.found(found)));
            }
        }
        Ok(None)
    }

    /// The first record with the largest timestamp (ListOffsets -3, KIP-734); `None` when the log
    /// is empty.
    pub fn max_timestamp(&self) -> Result<Option<FoundOffset>> {
        self.check()?;
        let in_log =
            self.segments.iter().filter(|segment| segment.next_offset > self.log_start_offset);
        let Some(largest) = in_log.map(|segment| segment.largest.timestamp).max() else {
            return Ok(None);
        };
        if largest < 0 {
            return Ok(None);
        }
        self.offset_for_timestamp(largest)
    }

    fn found(&self, (timestamp, offset): (i64, i64)) -> FoundOffset {
        FoundOffset { timestamp, offset, leader_epoch: self.epochs.epoch_of(offset) }
    }
}

/// In one segment: from where the time index points to, the first batch with a late enough
/// timestamp, and in it the first such record at or beyond `start`.
fn first_at_or_after(segment: &Segment, timestamp: i64, start: i64) -> Result<Option<(i64, i64)>> {
    // The entry says that nothing before its batch is as late as it is; its own batch may hold what
    // is sought.
    let from = match segment.times.lookup(timestamp)? {
        Some(entry) => entry.offset.max(start),
        None => start,
    };
    let Some((position, _)) = segment.locate(from)? else { return Ok(None) };
    let mut walk = BatchWalk::headers(&*segment.file, &segment.path, position, segment.size);
    let mut decompressor = Decompressor::new();
    loop {
        match walk.next()? {
            Step::Batch { position, header } if header.max_timestamp >= timestamp => {
                let found =
                    in_batch(segment, position, &header, timestamp, start, &mut decompressor)?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            Step::Batch { .. } => {}
            Step::Broken(broken) => {
                return Err(segment.corrupt(broken.position, from, broken.reason));
            }
            Step::End => return Ok(None),
        }
    }
}

fn in_batch(
    segment: &Segment,
    position: u64,
    header: &BatchHeader,
    timestamp: i64,
    start: i64,
    decompressor: &mut Decompressor,
) -> Result<Option<(i64, i64)>> {
    if header.timestamp_type() == TimestampType::LogAppendTime {
        // All records have the batch's max timestamp (trap 12).
        return Ok(Some((header.max_timestamp, header.base_offset.max(start))));
    }
    let bytes = segment
        .file
        .read(position, header.size_in_bytes())
        .map_err(LogError::io("read", &segment.path))?;
    let corrupt = |error: ottla_protocol::records::RecordError| {
        segment.corrupt(position, header.base_offset, error.to_string())
    };
    let batch = RecordBatch::parse(Bytes::from(bytes)).map_err(corrupt)?;
    let records = batch.records(decompressor).map_err(corrupt)?;
    for record in records.iter() {
        let record = record.map_err(corrupt)?;
        if record.timestamp >= timestamp && record.offset >= start {
            return Ok(Some((record.timestamp, record.offset)));
        }
    }
    Ok(None)
}
