//! Writing a batch. Records are encoded once, as they are appended, into one buffer whose first 61
//! bytes are kept for the header; an uncompressed batch is finished in place, a compressed one goes
//! into a second buffer.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use super::batch::RecordBatch;
use super::compression::{Compression, Compressor, Decompressor};
use super::error::{RecordError, RecordErrorKind};
use super::front;
use super::header::{
    Attributes, BATCH_HEADER_LEN, BatchHeader, MAGIC, TimestampType, write_header,
};
use super::record::{Cursor, Headers, RawRecord, Record};
use crate::varint::{put_varint, varint_len, varlong_len};

/// A header to be written with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header<'a> {
    /// May be empty, and may repeat.
    pub key: Cow<'a, str>,
    /// Null and empty differ.
    pub value: Option<Cow<'a, [u8]>>,
}

impl<'a> Header<'a> {
    /// A borrowed header.
    pub fn new(key: &'a str, value: Option<&'a [u8]>) -> Self {
        Self { key: Cow::Borrowed(key), value: value.map(Cow::Borrowed) }
    }

    /// The same, owning its bytes.
    pub fn into_owned(self) -> Header<'static> {
        Header {
            key: Cow::Owned(self.key.into_owned()),
            value: self.value.map(|value| Cow::Owned(value.into_owned())),
        }
    }
}

/// What the finished batch's header says besides the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchFields {
    /// The codec of the records.
    pub compression: Compression,
    /// The codec's level; `None` for its default. gzip 1 to 9, zstd -131072 to 22; the others have
    /// none.
    pub level: Option<i32>,
    /// 0 from a producer: the leader assigns offsets.
    pub base_offset: i64,
    /// -1 from a producer: the leader stamps its epoch.
    pub partition_leader_epoch: i32,
    /// -1 for none.
    pub producer_id: i64,
    /// -1 for none.
    pub producer_epoch: i16,
    /// -1 for none.
    pub base_sequence: i32,
    /// Part of a transaction.
    pub transactional: bool,
    /// Control records.
    pub control: bool,
    /// `LogAppendTime` with this time in ms; `None` for `CreateTime`.
    pub append_time: Option<i64>,
    /// The base timestamp, set by [`BatchBuilder::with_base_timestamp`], is a delete horizon
    /// (KIP-534).
    pub delete_horizon: bool,
    /// Where compaction has removed the last records: the delta of the offset that was last; `None`
    /// for the last record's.
    pub last_offset_delta: Option<i32>,
}

impl Default for BatchFields {
    fn default() -> Self {
        Self {
            compression: Compression::None,
            level: None,
            base_offset: 0,
            partition_leader_epoch: -1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            transactional: false,
            control: false,
            append_time: None,
            delete_horizon: false,
            last_offset_delta: None,
        }
    }
}

/// The lengths that make up a record; worked out before anything is written.
struct Sizes {
    timestamp_delta: i64,
    offset_delta: i32,
    /// Bytes after the length varint.
    body: i32,
    /// All bytes.
    total: usize,
}

/// A batch that records are appended to.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    /// Room for the header, then the records.
    buffer: Vec<u8>,
    count: u32,
    base_timestamp: Option<i64>,
    max_timestamp: i64,
    last_offset_delta: i32,
}

impl BatchBuilder {
    /// An empty batch with room for `capacity` bytes, header included.
    pub fn new(capacity: usize) -> Self {
        Self::with_buffer(Vec::with_capacity(capacity.max(BATCH_HEADER_LEN) + front::ROOM))
    }

    /// An empty batch in a buffer that was used before.
    pub fn with_buffer(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.resize(BATCH_HEADER_LEN, 0);
        Self { buffer, count: 0, base_timestamp: None, max_timestamp: -1, last_offset_delta: -1 }
    }

    /// Lets timestamps count from `base_timestamp` instead of the first record's, before the first
    /// record is appended.
    #[must_use]
    pub fn with_base_timestamp(mut self, base_timestamp: i64) -> Self {
        assert!(self.count == 0, "the base timestamp is set before the first record");
        self.base_timestamp = Some(base_timestamp);
        self
    }

    /// Appends a record; `timestamp` in ms since 1970. Returns its index in the batch, by which its
    /// offset is known once the batch has one.
    #[inline]
    pub fn append(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<u32, RecordError> {
        let headers_len = headers_len(headers);
        let sizes = self.sizes(self.next_delta(), timestamp, key, value, headers_len)?;
        Ok(self.write(&sizes, timestamp, key, value, |out| put_headers(out, headers)))
    }

    /// Appends a record unless the batch, uncompressed, would exceed `max_bytes`; `None` if it
    /// would.
    #[inline]
    pub fn append_within(
        &mut self,
        max_bytes: usize,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<Option<u32>, RecordError> {
        let headers_len = headers_len(headers);
        let sizes = self.sizes(self.next_delta(), timestamp, key, value, headers_len)?;
        if self.buffer.len() + sizes.total > max_bytes {
            return Ok(None);
        }
        Ok(Some(self.write(&sizes, timestamp, key, value, |out| put_headers(out, headers))))
    }

    /// Appends a record whose offset is `offset_delta` after the base, as compaction leaves gaps.
    /// Deltas must grow.
    pub fn append_at(
        &mut self,
        offset_delta: i32,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<u32, RecordError> {
        if offset_delta <= self.last_offset_delta {
            return Err(self.not_after(offset_delta));
        }
        let sizes = self.sizes(offset_delta, timestamp, key, value, headers_len(headers))?;
        Ok(self.write(&sizes, timestamp, key, value, |out| put_headers(out, headers)))
    }

    /// Appends a record that was read from another batch, headers and all as they stand there, at
    /// `offset_delta` after the base: for compaction. Deltas must grow.
    pub fn append_record(
        &mut self,
        offset_delta: i32,
        record: &Record<'_>,
    ) -> Result<u32, RecordError> {
        if offset_delta <= self.last_offset_delta {
            return Err(self.not_after(offset_delta));
        }
        self.append_as_read(
            offset_delta,
            record.timestamp,
            record.key,
            record.value,
            record.headers,
        )
    }

    /// Bytes that the record would add to the batch, were it appended next.
    pub fn record_size(
        &self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<usize, RecordError> {
        let sizes = self.sizes(self.next_delta(), timestamp, key, value, headers_len(headers))?;
        Ok(sizes.total)
    }

    /// Bytes of the batch so far, header included, uncompressed.
    pub fn len_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Records so far.
    pub fn record_count(&self) -> u32 {
        self.count
    }

    /// Whether no record was appended yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The largest timestamp so far; -1 for none.
    pub fn max_timestamp(&self) -> i64 {
        self.max_timestamp
    }

    /// The offset delta of the next record; negative when there is no more, which [`Self::sizes`]
    /// refuses.
    #[inline]
    fn next_delta(&self) -> i32 {
        self.last_offset_delta.wrapping_add(1)
    }

    #[inline]
    fn sizes(
        &self,
        offset_delta: i32,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers_len: usize,
    ) -> Result<Sizes, RecordError> {
        let base = self.base_timestamp.unwrap_or(timestamp);
        let timestamp_delta = timestamp.wrapping_sub(base);
        let front = 1 + varlong_len(timestamp_delta) + varint_len(offset_delta);
        let body = front
            .saturating_add(field_len(key))
            .saturating_add(field_len(value))
            .saturating_add(headers_len);
        let most = i32::MAX as usize - BATCH_HEADER_LEN;
        let total = body.saturating_add(varint_len(body.min(most) as i32));
        if self.buffer.len().saturating_add(total) > most || offset_delta < 0 {
            return Err(self.too_large(total));
        }
        Ok(Sizes { timestamp_delta, offset_delta, body: body as i32, total })
    }

    #[cold]
    fn not_after(&self, offset_delta: i32) -> RecordError {
        let what =
            format!("offset delta {offset_delta} does not follow {}", self.last_offset_delta);
        encode_error(what).at_record(self.count)
    }

    #[cold]
    #[inline(never)]
    fn too_large(&self, total: usize) -> RecordError {
        let what = format!(
            "{total} bytes more than {} exceed 2 GiB or 2³¹ offsets, which a batch cannot hold",
            self.buffer.len()
        );
        encode_error(what).at_record(self.count)
    }

    #[inline]
    fn write(
        &mut self,
        sizes: &Sizes,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        put_headers: impl FnOnce(&mut Vec<u8>),
    ) -> u32 {
        self.buffer.reserve(sizes.total + front::ROOM);
        let out = &mut self.buffer;
        front::append(out, |front| {
            front.varint(sizes.body);
            // No bit of the attributes is assigned.
            front.varint(0);
            front.varlong(sizes.timestamp_delta);
            front.varint(sizes.offset_delta);
            front.varint(length_of(key));
            if key.is_none() {
                front.varint(length_of(value));
            }
        });
        if let Some(key) = key {
            out.extend_from_slice(key);
            front::append_one(out, length_of(value));
        }
        if let Some(value) = value {
            out.extend_from_slice(value);
        }
        put_headers(out);
        self.base_timestamp.get_or_insert(timestamp);
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.last_offset_delta = sizes.offset_delta;
        self.count += 1;
        self.count - 1
    }

    /// Gives up the batch and keeps its buffer, for [`Self::with_buffer`].
    pub fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    /// Completes the batch: header, compression, checksum. Refuses a batch without records.
    pub fn finish(
        self,
        fields: &BatchFields,
        compressor: &mut Compressor,
    ) -> Result<Bytes, RecordError> {
        self.finish_and_reuse(fields, compressor).map(|(batch, _)| batch)
    }

    /// The same; gives the builder's buffer back if the batch was compressed into another, for
    /// [`Self::with_buffer`].
    pub fn finish_and_reuse(
        self,
        fields: &BatchFields,
        compressor: &mut Compressor,
    ) -> Result<(Bytes, Option<Vec<u8>>), RecordError> {
        if self.count == 0 {
            return Err(encode_error("a batch without records".into()));
        }
        let header = self.header(fields)?;
        if fields.compression == Compression::None {
            let mut batch = self.buffer;
            write_header(&mut batch, header)?;
            return Ok((batch.into(), None));
        }
        let records = &self.buffer[BATCH_HEADER_LEN..];
        let mut batch = Vec::with_capacity(BATCH_HEADER_LEN + records.len() / 2 + 64);
        batch.resize(BATCH_HEADER_LEN, 0);
        compressor.compress(fields.compression, fields.level, records, &mut batch)?;
        write_header(&mut batch, header)?;
        Ok((batch.into(), Some(self.buffer)))
    }

    fn header(&self, fields: &BatchFields) -> Result<BatchHeader, RecordError> {
        let last_offset_delta = fields.last_offset_delta.unwrap_or(self.last_offset_delta);
        if last_offset_delta < self.last_offset_delta {
            let what = format!(
                "last offset delta {last_offset_delta} is less than the last record's, {}",
                self.last_offset_delta
            );
            return Err(encode_error(what));
        }
        let timestamp_type = match fields.append_time {
            Some(_) => TimestampType::LogAppendTime,
            None => TimestampType::CreateTime,
        };
        let attributes = Attributes::default()
            .with_compression(fields.compression)
            .with_timestamp_type(timestamp_type)
            .with_transactional(fields.transactional)
            .with_control(fields.control)
            .with_delete_horizon(fields.delete_horizon);
        Ok(BatchHeader {
            base_offset: fields.base_offset,
            batch_length: 0,
            partition_leader_epoch: fields.partition_leader_epoch,
            magic: MAGIC,
            crc: 0,
            attributes,
            last_offset_delta,
            base_timestamp: self.base_timestamp.unwrap_or(-1),
            max_timestamp: fields.append_time.unwrap_or(self.max_timestamp),
            producer_id: fields.producer_id,
            producer_epoch: fields.producer_epoch,
            base_sequence: fields.base_sequence,
            record_count: self.count as i32,
        })
    }

    /// A builder with the records of a finished batch, for [`Self::split`] when a broker answers
    /// `MESSAGE_TOO_LARGE`.
    pub fn from_batch(
        batch: &RecordBatch,
        decompressor: &mut Decompressor,
    ) -> Result<Self, RecordError> {
        let records = batch.records(decompressor)?;
        let header = batch.header();
        let mut builder = Self::new(BATCH_HEADER_LEN + records.data().len());
        for record in &records {
            record?;
        }
        builder.buffer.extend_from_slice(records.data());
        builder.count = records.len() as u32;
        builder.base_timestamp = Some(header.base_timestamp);
        builder.max_timestamp = header.max_timestamp;
        builder.last_offset_delta = header.last_offset_delta;
        Ok(builder)
    }

    /// Divides the batch in two of about the same bytes: the records from index
    /// [`Self::record_count`] of the first on are in the second, where they count from 0 again.
    /// `None` for the second if there is one record only.
    pub fn split(self) -> Result<(Self, Option<Self>), RecordError> {
        if self.count < 2 {
            return Ok((self, None));
        }
        let base_timestamp = self.base_timestamp.unwrap_or(-1);
        let records = &self.buffer[BATCH_HEADER_LEN..];
        let mut first = Self::new(BATCH_HEADER_LEN + records.len() / 2 + 64);
        let mut second = Self::new(BATCH_HEADER_LEN + records.len() / 2 + 64);
        let mut cursor = Cursor { rest: records };
        for index in 0..self.count {
            let record = cursor.record().expect("invariant: the builder wrote whole records");
            let done = records.len() - cursor.rest.len();
            // One record at least on each side.
            let to_first = index == 0 || (done <= records.len() / 2 && index + 1 < self.count);
            let target = if to_first && second.is_empty() { &mut first } else { &mut second };
            target.append_raw(base_timestamp, &record)?;
        }
        Ok((first, Some(second)))
    }

    /// Appends a record read from another batch, its headers as they stand.
    fn append_raw(&mut self, base: i64, record: &RawRecord<'_>) -> Result<(), RecordError> {
        let timestamp = base.wrapping_add(record.timestamp_delta);
        let RawRecord { key, value, headers, .. } = *record;
        self.append_as_read(self.next_delta(), timestamp, key, value, headers).map(|_| ())
    }

    fn append_as_read(
        &mut self,
        offset_delta: i32,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Headers<'_>,
    ) -> Result<u32, RecordError> {
        let (count, raw) = (headers.len() as i32, headers.raw());
        let headers_len = varint_len(count) + raw.len();
        let sizes = self.sizes(offset_delta, timestamp, key, value, headers_len)?;
        Ok(self.write(&sizes, timestamp, key, value, |out| {
            put_varint(out, count);
            out.extend_from_slice(raw);
        }))
    }
}

/// The length that stands in front of a field; [`BatchBuilder::sizes`] has refused what does not
/// fit.
#[inline]
fn length_of(field: Option<&[u8]>) -> i32 {
    field.map_or(-1, |field| field.len() as i32)
}

#[inline]
fn field_len(field: Option<&[u8]>) -> usize {
    match field {
        Some(field) => field.len().saturating_add(length_len(field.len())),
        None => 1,
    }
}

/// Bytes of a length; most are of one.
#[inline]
fn length_len(len: usize) -> usize {
    if len < 64 { 1 } else { varint_len(len as i32) }
}

#[inline]
fn headers_len(headers: &[Header<'_>]) -> usize {
    if headers.is_empty() { 1 } else { headers_len_long(headers) }
}

#[inline(never)]
fn headers_len_long(headers: &[Header<'_>]) -> usize {
    let each = headers
        .iter()
        .map(|header| field_len(Some(header.key.as_bytes())) + field_len(header.value.as_deref()));
    each.fold(varint_len(headers.len() as i32), usize::saturating_add)
}

#[inline]
fn put_headers(out: &mut Vec<u8>, headers: &[Header<'_>]) {
    if headers.is_empty() { out.push(0) } else { put_headers_long(out, headers) }
}

#[inline(never)]
fn put_headers_long(out: &mut Vec<u8>, headers: &[Header<'_>]) {
    front::append_one(out, headers.len() as i32);
    for header in headers {
        front::append_one(out, header.key.len() as i32);
        out.extend_from_slice(header.key.as_bytes());
        front::append_one(out, length_of(header.value.as_deref()));
        out.extend_from_slice(header.value.as_deref().unwrap_or_default());
    }
}

#[cold]
fn encode_error(what: String) -> RecordError {
    RecordError::new(RecordErrorKind::Encode, 0, what)
}
