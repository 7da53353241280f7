//! What a broker checks before it stores a batch (P7): a poison batch stops every consumer of the
//! partition. The records are walked in a stream; of compressed ones no more than a small buffer is
//! ever held, except a single block of raw snappy.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use bytes::Bytes;

use super::batch::RecordBatch;
use super::compression::{Compression, Decompressor, Stream};
use super::error::{RecordError, RecordErrorKind, Rejected, Rejection};
use super::header::{
    BASE_OFFSET_AT, BASE_SEQUENCE_AT, BATCH_HEADER_LEN, BatchHeader, LAST_OFFSET_DELTA_AT,
    RECORD_COUNT_AT, TimestampType,
};
use crate::varint::{unzigzag32, unzigzag64};

/// The refused records that are listed; the answer must not grow with a hostile batch.
const REJECTED_MAX: usize = 100;

/// Who appends the batch; each may do more than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// A client: base offset 0, offsets without gaps, at least one record, no control records
    /// (PR-11 to PR-13).
    #[default]
    Client,
    /// The broker's own coordinators: control records too.
    Coordinator,
    /// A replica or a log that is recovered: any base offset, gaps and emptied batches, as
    /// compaction leaves them.
    Replica,
}

/// What is demanded of a batch besides its being well-formed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ValidateOptions {
    /// Who appends it.
    pub origin: Origin,
    /// The topic is compacted: every record needs a key (PR-15).
    pub require_key: bool,
    /// The topic's timestamp type, `message.timestamp.type` (PR-17).
    pub timestamp_type: TimestampType,
    /// The timestamps in ms that a `CreateTime` topic takes, both ends included; -1 passes (PR-16).
    pub timestamps: Option<RangeInclusive<i64>>,
}

/// What the records of a valid batch say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchFacts {
    /// Number of records.
    pub record_count: u32,
    /// The largest timestamp in ms, computed from the records; -1 without records. The header may
    /// say otherwise: store it by [`super::set_max_timestamp`].
    pub max_timestamp: i64,
    /// Offset of the first record with that timestamp, counted from the batch's base offset as it
    /// is; -1 without one.
    pub offset_of_max_timestamp: i64,
    /// Bytes of the records, decompressed.
    pub uncompressed_bytes: u64,
    /// The codec.
    pub compression: Compression,
    /// The header, as it was.
    pub header: BatchHeader,
}

/// Checks one whole batch: header, checksum, and every record (PR-07, 11 to 13, 15 to 18, 31).
pub fn validate(
    batch: &Bytes,
    decompressor: &mut Decompressor,
    options: &ValidateOptions,
) -> Result<BatchFacts, RecordError> {
    let batch = RecordBatch::parse(batch.clone())?;
    batch.verify_crc()?;
    let header = *batch.header();
    check_header(&header, options)?;
    let codec = header.compression()?;
    let mut walk = Walk::new(&header, options);
    let uncompressed_bytes = if codec == Compression::None || header.record_count == 0 {
        let mut source = Slice { rest: batch.payload(), taken: 0 };
        walk.records(&mut source)?;
        source.taken
    } else {
        let mut buffer = decompressor.take_window();
        let stream = decompressor.stream(codec, batch.payload())?;
        let mut source = Window { stream, buffer: &mut buffer, start: 0, end: 0, taken: 0 };
        let walked = walk.records(&mut source);
        let taken = source.taken;
        drop(source);
        decompressor.give_window(buffer);
        walked?;
        taken
    };
    walk.finish(codec, uncompressed_bytes)
}

fn check_header(header: &BatchHeader, options: &ValidateOptions) -> Result<(), RecordError> {
    let fail = |kind, at, what: String| Err(RecordError::new(kind, at, what));
    let count = header.record_count;
    if count < 0 || header.last_offset_delta < 0 {
        let what = format!("{count} records, last offset delta {}", header.last_offset_delta);
        return fail(RecordErrorKind::Invalid, LAST_OFFSET_DELTA_AT, what);
    }
    if header.base_offset < 0
        || header.base_offset.checked_add(i64::from(header.last_offset_delta)).is_none()
    {
        let what = format!("base offset is {}", header.base_offset);
        return fail(RecordErrorKind::Invalid, BASE_OFFSET_AT, what);
    }
    // Compaction removes records, but never adds an offset.
    let dense = i64::from(header.last_offset_delta) + 1 == i64::from(count);
    if i64::from(header.last_offset_delta) + 1 < i64::from(count) {
        let what = format!("{count} records, last offset delta {}", header.last_offset_delta);
        return fail(RecordErrorKind::Invalid, LAST_OFFSET_DELTA_AT, what);
    }
    if options.origin == Origin::Replica {
        return Ok(());
    }
    if count == 0 {
        return fail(RecordErrorKind::Invalid, RECORD_COUNT_AT, "a batch without records".into());
    }
    if !dense {
        let what = format!("{count} records, last offset delta {}", header.last_offset_delta);
        return fail(RecordErrorKind::Invalid, LAST_OFFSET_DELTA_AT, what);
    }
    if header.base_offset != 0 {
        let what = format!("base offset is {}, a producer's is 0", header.base_offset);
        return fail(RecordErrorKind::Invalid, BASE_OFFSET_AT, what);
    }
    if options.origin == Origin::Client {
        if header.is_control() {
            let what = "control records, which clients may not write";
            return fail(RecordErrorKind::Invalid, super::header::ATTRIBUTES_AT, what.into());
        }
        if header.has_producer_id() && header.base_sequence < 0 {
            let what = format!("producer id without a sequence: {}", header.base_sequence);
            return fail(RecordErrorKind::Invalid, BASE_SEQUENCE_AT, what);
        }
    }
    Ok(())
}

/// The walk over a batch's records, and what it has found so far.
struct Walk<'a> {
    header: &'a BatchHeader,
    options: &'a ValidateOptions,
    max_timestamp: i64,
    delta_of_max: Option<i32>,
    last_delta: i32,
    rejected: Vec<Rejected>,
    rejected_count: u32,
}

impl<'a> Walk<'a> {
    fn new(header: &'a BatchHeader, options: &'a ValidateOptions) -> Self {
        Self {
            header,
            options,
            max_timestamp: -1,
            delta_of_max: None,
            last_delta: -1,
            rejected: Vec::new(),
            rejected_count: 0,
        }
    }

    fn records<S: Source>(&mut self, source: &mut S) -> Result<(), RecordError> {
        for index in 0..self.header.record_count as u32 {
            self.record(source, index).map_err(|error| error.at_record(index))?;
        }
        if !source.peek(1)?.is_empty() {
            // The batch is whole: it is its count that is wrong (K-PRODUCE-VALIDATION-012).
            let what = format!("bytes after the last of {} records", self.header.record_count);
            return Err(RecordError::new(RecordErrorKind::Invalid, source.position(), what));
        }
        Ok(())
    }

    fn record<S: Source>(&mut self, source: &mut S, index: u32) -> Result<(), RecordError> {
        // Length 5, attributes 1, timestamp 10, offset 5, key length 5: one look reaches for all.
        let mut front = Peek::at(source, 26)?;
        let length = front.varint("record length")?;
        // A record takes six bytes after its length at least.
        if length < 6 {
            return Err(malformed(source, format!("record length is {length}")));
        }
        let start = front.taken;
        front.byte("attributes")?;
        let timestamp_delta = front.varlong("timestamp delta")?;
        let offset_delta = front.varint("offset delta")?;
        let key = front.varint("key length")?;
        let taken = front.taken;
        source.skip(taken)?;
        let mut left = i64::from(length) - (taken - start) as i64;
        take_field(source, &mut left, key, true, "key")?;
        let value = take_varint(source, &mut left, "value length")?;
        take_field(source, &mut left, value, true, "value")?;
        take_headers(source, &mut left)?;
        if left != 0 {
            return Err(malformed(source, format!("record length {length} is {left} too many")));
        }
        self.check(source, index, timestamp_delta, offset_delta, key >= 0)
    }

    fn check<S: Source>(
        &mut self,
        source: &S,
        index: u32,
        timestamp_delta: i64,
        offset_delta: i32,
        has_key: bool,
    ) -> Result<(), RecordError> {
        let replica = self.options.origin == Origin::Replica;
        let follows = if replica {
            offset_delta > self.last_delta && offset_delta <= self.header.last_offset_delta
        } else {
            offset_delta == self.last_delta + 1
        };
        if !follows {
            let what = format!("offset delta {offset_delta} after {}", self.last_delta);
            return Err(RecordError::new(RecordErrorKind::Invalid, source.position(), what));
        }
        self.last_delta = offset_delta;
        let timestamp = match self.header.timestamp_type() {
            TimestampType::LogAppendTime => self.header.max_timestamp,
            TimestampType::CreateTime => self.header.base_timestamp.wrapping_add(timestamp_delta),
        };
        if timestamp > self.max_timestamp {
            self.max_timestamp = timestamp;
            self.delta_of_max = Some(offset_delta);
        }
        if replica {
            return Ok(());
        }
        if self.options.require_key && !has_key {
            self.reject(index, Rejection::MissingKey);
        } else if !self.timestamp_fits(timestamp) {
            self.reject(index, Rejection::Timestamp);
        }
        Ok(())
    }

    /// As Kafka's `LogValidator.validateTimestamp`: the batch's own `LogAppendTime` bit passes only
    /// where its timestamp can be judged by the topic's range.
    fn timestamp_fits(&self, timestamp: i64) -> bool {
        if self.options.timestamp_type == TimestampType::CreateTime && timestamp != -1 {
            return self.options.timestamps.as_ref().is_none_or(|range| range.contains(&timestamp));
        }
        self.header.timestamp_type() != TimestampType::LogAppendTime
    }

    fn reject(&mut self, index: u32, reason: Rejection) {
        self.rejected_count += 1;
        if self.rejected.len() < REJECTED_MAX {
            self.rejected.push(Rejected { index, reason });
        }
    }

    fn finish(self, compression: Compression, bytes: u64) -> Result<BatchFacts, RecordError> {
        if let Some(first) = self.rejected.first() {
            let all_time = self.rejected.iter().all(|r| r.reason == Rejection::Timestamp);
            let (kind, why) = match first.reason {
                _ if all_time => (RecordErrorKind::Timestamp, "timestamp out of range"),
                Rejection::Timestamp => (RecordErrorKind::Invalid, "timestamp out of range"),
                Rejection::MissingKey => {
                    (RecordErrorKind::Invalid, "no key, which a compacted topic demands")
                }
            };
            let what = format!("{why} ({} records refused)", self.rejected_count);
            let error = RecordError::new(kind, BATCH_HEADER_LEN, what).at_record(first.index);
            return Err(error.with_rejected(self.rejected));
        }
        Ok(BatchFacts {
            record_count: self.header.record_count as u32,
            max_timestamp: self.max_timestamp,
            offset_of_max_timestamp: self
                .delta_of_max
                .map_or(-1, |delta| self.header.base_offset + i64::from(delta)),
            uncompressed_bytes: bytes,
            compression,
            header: *self.header,
        })
    }
}

fn take_varint<S: Source>(source: &mut S, left: &mut i64, what: &str) -> Result<i32, RecordError> {
    let mut peek = Peek::at(source, 5)?;
    let value = peek.varint(what)?;
    let taken = peek.taken;
    *left -= taken as i64;
    if *left < 0 {
        return Err(malformed(source, format!("the record ends before its {what}")));
    }
    source.skip(taken)?;
    Ok(value)
}

fn take_field<S: Source>(
    source: &mut S,
    left: &mut i64,
    length: i32,
    nullable: bool,
    what: &str,
) -> Result<(), RecordError> {
    if length == -1 && nullable {
        return Ok(());
    }
    if length < 0 || i64::from(length) > *left {
        return Err(malformed(source, format!("{what} length {length}, {left} bytes remain")));
    }
    *left -= i64::from(length);
    source.skip(length as usize)
}

fn take_headers<S: Source>(source: &mut S, left: &mut i64) -> Result<(), RecordError> {
    let count = take_varint(source, left, "header count")?;
    // A header takes two bytes at least.
    if count < 0 || i64::from(count) > *left / 2 {
        return Err(malformed(source, format!("{count} headers in {left} bytes")));
    }
    for _ in 0..count {
        let key = take_varint(source, left, "header key length")?;
        take_field(source, left, key, false, "header key")?;
        let value = take_varint(source, left, "header value length")?;
        take_field(source, left, value, true, "header value")?;
    }
    Ok(())
}

#[cold]
#[inline(never)]
fn malformed<S: Source>(source: &S, what: String) -> RecordError {
    RecordError::new(RecordErrorKind::Malformed, source.position(), what)
}

/// Bytes that come one after the other.
trait Source {
    /// The next bytes: `want` or more, fewer only at the end.
    fn peek(&mut self, want: usize) -> Result<&[u8], RecordError>;
    /// Goes on by `n` bytes, whether they were looked at or not.
    fn skip(&mut self, n: usize) -> Result<(), RecordError>;
    /// Bytes from the start of the batch, as if its records were not compressed.
    fn position(&self) -> usize;
}

/// A look at the next bytes of a source; nothing is consumed.
struct Peek<'a> {
    bytes: &'a [u8],
    taken: usize,
    position: usize,
}

impl<'a> Peek<'a> {
    #[inline]
    fn at<S: Source>(source: &'a mut S, want: usize) -> Result<Self, RecordError> {
        let position = source.position();
        Ok(Self { bytes: source.peek(want)?, taken: 0, position })
    }

    #[inline]
    fn byte(&mut self, what: &str) -> Result<u8, RecordError> {
        match self.bytes.get(self.taken) {
            Some(&byte) => {
                self.taken += 1;
                Ok(byte)
            }
            None => Err(self.cut(what)),
        }
    }

    #[cold]
    #[inline(never)]
    fn cut(&self, what: &str) -> RecordError {
        let what = format!("the records end inside a {what}");
        RecordError::new(RecordErrorKind::Malformed, self.position + self.taken, what)
    }

    #[inline]
    fn varint(&mut self, what: &str) -> Result<i32, RecordError> {
        self.uvar(5, what).map(|raw| unzigzag32(raw as u32))
    }

    #[inline]
    fn varlong(&mut self, what: &str) -> Result<i64, RecordError> {
        self.uvar(10, what).map(unzigzag64)
    }

    #[inline]
    fn uvar(&mut self, max: u32, what: &str) -> Result<u64, RecordError> {
        let mut value = 0;
        for at in 0..max {
            let byte = self.byte(what)?;
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        let what = format!("{what} of more than {max} bytes");
        Err(RecordError::new(RecordErrorKind::Malformed, self.position + self.taken, what))
    }
}

/// Records that are not compressed.
struct Slice<'a> {
    rest: &'a [u8],
    taken: u64,
}

impl Source for Slice<'_> {
    #[inline]
    fn peek(&mut self, _: usize) -> Result<&[u8], RecordError> {
        Ok(self.rest)
    }

    #[inline]
    fn skip(&mut self, n: usize) -> Result<(), RecordError> {
        match self.rest.split_at_checked(n) {
            Some((_, rest)) => {
                self.rest = rest;
                self.taken += n as u64;
                Ok(())
            }
            None => Err(malformed(self, format!("{n} bytes expected, {} remain", self.rest.len()))),
        }
    }

    fn position(&self) -> usize {
        BATCH_HEADER_LEN.saturating_add(self.taken as usize)
    }
}

/// Records that are decompressed through a small buffer.
struct Window<'a, 'b> {
    stream: Stream<'a>,
    buffer: &'b mut Vec<u8>,
    start: usize,
    end: usize,
    taken: u64,
}

impl Window<'_, '_> {
    /// Decompresses more into the buffer's free end; false at the end of the stream.
    fn fill(&mut self) -> Result<bool, RecordError> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        let read = self.stream.read(&mut self.buffer[self.end..])?;
        self.end += read;
        Ok(read > 0)
    }
}

impl Source for Window<'_, '_> {
    #[inline]
    fn peek(&mut self, want: usize) -> Result<&[u8], RecordError> {
        while self.end - self.start < want {
            if self.start > 0 && self.buffer.len() - self.start < want {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            }
            if !self.fill()? {
                break;
            }
        }
        Ok(&self.buffer[self.start..self.end])
    }

    #[inline]
    fn skip(&mut self, n: usize) -> Result<(), RecordError> {
        let mut left = n;
        loop {
            let here = left.min(self.end - self.start);
            self.start += here;
            self.taken += here as u64;
            left -= here;
            if left == 0 {
                return Ok(());
            }
            if !self.fill()? {
                return Err(malformed(self, format!("{left} more bytes expected at the end")));
            }
        }
    }

    fn position(&self) -> usize {
        BATCH_HEADER_LEN.saturating_add(self.taken as usize)
    }
}
