//! Reading the records of a batch as slices: no allocation, no copy.
//!
//! [`RecordsIter`] reads with a hand-written cursor, because nom costs 40 to 150 % more per record
//! here; [`nom_record`] is the reference, and a property test holds the two equal.

use bytes::Bytes;

use super::error::{RecordError, RecordErrorKind};
use super::header::{BATCH_HEADER_LEN, BatchHeader, TimestampType};
use crate::error::{Parsed, Trace};
use crate::varint::{unzigzag32, unzigzag64, varint, varlong};

/// A record, borrowed from its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Offset in the partition.
    pub offset: i64,
    /// Milliseconds since 1970, or -1; the batch's max timestamp under `LogAppendTime` (trap 12).
    pub timestamp: i64,
    /// Null and empty differ.
    pub key: Option<&'a [u8]>,
    /// Null (a tombstone on compacted topics) and empty differ.
    pub value: Option<&'a [u8]>,
    /// In the order of the producer; keys may repeat.
    pub headers: Headers<'a>,
}

/// The headers of a record, known to be well-formed, read when iterated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Headers<'a> {
    count: u32,
    bytes: &'a [u8],
}

impl<'a> Headers<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Key and value of each. A key that is not UTF-8 appears as U+FFFD; [`Self::iter_bytes`] has
    /// its bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> + use<'a> {
        self.iter_bytes().map(|(key, value)| (str::from_utf8(key).unwrap_or("\u{fffd}"), value))
    }

    /// Key and value of each, as they stand in the batch.
    pub fn iter_bytes(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let mut cursor = Cursor { rest: self.bytes };
        (0..self.count).map_while(move |_| cursor.header())
    }

    /// The value of the last header with this key, as Java's `lastHeader`.
    pub fn last(&self, key: &str) -> Option<Option<&'a [u8]>> {
        self.iter_bytes().filter(|(k, _)| *k == key.as_bytes()).last().map(|(_, value)| value)
    }

    /// The wire form, without the count.
    pub(crate) fn raw(&self) -> &'a [u8] {
        self.bytes
    }
}

/// What the records of one batch share: how deltas become offsets and timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Base {
    offset: i64,
    timestamp: i64,
    /// Set under `LogAppendTime`: every record has this timestamp.
    append_time: Option<i64>,
}

/// The records of a batch, decompressed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Records {
    base: Base,
    count: u32,
    data: Bytes,
}

impl Records {
    pub(crate) fn new(header: &BatchHeader, data: Bytes) -> Self {
        let base = Base {
            offset: header.base_offset,
            timestamp: header.base_timestamp,
            append_time: (header.timestamp_type() == TimestampType::LogAppendTime)
                .then_some(header.max_timestamp),
        };
        Self { base, count: u32::try_from(header.record_count).unwrap_or(0), data }
    }

    /// The records' bytes, decompressed; keys and values of [`Self::iter`] are slices of it.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// How many records the header promises.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether the header promises none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The records in order. An error ends the iteration: a broken record, or bytes after the last
    /// one. Of a batch that [`super::validate()`] has passed, every item is `Ok`.
    pub fn iter(&self) -> RecordsIter<'_> {
        RecordsIter {
            cursor: Cursor { rest: &self.data },
            base: self.base,
            left: self.count,
            len: self.data.len(),
            count: self.count,
        }
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = Result<Record<'a>, RecordError>;
    type IntoIter = RecordsIter<'a>;

    fn into_iter(self) -> RecordsIter<'a> {
        self.iter()
    }
}

/// The records of a batch, one after the other; see [`Records::iter`].
#[derive(Debug, Clone)]
pub struct RecordsIter<'a> {
    cursor: Cursor<'a>,
    base: Base,
    left: u32,
    len: usize,
    count: u32,
}

impl<'a> Iterator for RecordsIter<'a> {
    type Item = Result<Record<'a>, RecordError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return self.finish();
        }
        match self.cursor.record() {
            Some(raw) => {
                self.left -= 1;
                Some(Ok(raw.rebased(&self.base)))
            }
            None => Some(Err(self.explain())),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // Not the header's count: it is not to be trusted with an allocation. A record takes seven
        // bytes at least.
        (0, Some((self.left as usize).min(self.cursor.rest.len() / 7 + 1)))
    }
}

impl core::iter::FusedIterator for RecordsIter<'_> {}

impl RecordsIter<'_> {
    /// After the last record nothing may follow.
    #[inline]
    fn finish<T>(&mut self) -> Option<Result<T, RecordError>> {
        if self.cursor.rest.is_empty() {
            return None;
        }
        let at = BATCH_HEADER_LEN + self.len - self.cursor.rest.len();
        let what = format!("{} bytes after the last record", self.cursor.rest.len());
        self.cursor.rest = &[];
        Some(Err(RecordError::new(RecordErrorKind::Malformed, at, what)))
    }

    /// What the cursor stumbled over, found out by reading the record again with nom. Ends the
    /// iteration.
    #[cold]
    #[inline(never)]
    fn explain(&mut self) -> RecordError {
        let start = BATCH_HEADER_LEN + self.len - self.cursor.rest.len();
        let index = self.count - self.left;
        let (message, left) = match nom_record(self.cursor.rest) {
            Err(nom::Err::Error(trace) | nom::Err::Failure(trace)) => trace.into_parts(),
            _ => ("the record is broken".into(), self.cursor.rest.len()),
        };
        let at = start + self.cursor.rest.len().saturating_sub(left);
        self.cursor.rest = &[];
        self.left = 0;
        RecordError::new(RecordErrorKind::Malformed, at, message).at_record(index)
    }
}

/// A record before its batch's base is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawRecord<'a> {
    /// The record's own attributes; no bit is assigned.
    pub attributes: i8,
    /// Milliseconds after the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Offsets after the batch's base offset.
    pub offset_delta: i32,
    /// Null and empty differ.
    pub key: Option<&'a [u8]>,
    /// Null and empty differ.
    pub value: Option<&'a [u8]>,
    /// In the order of the producer.
    pub headers: Headers<'a>,
}

impl<'a> RawRecord<'a> {
    #[inline]
    fn rebased(self, base: &Base) -> Record<'a> {
        Record {
            // Java's arithmetic wraps, too; a validated batch has no such deltas.
            offset: base.offset.wrapping_add(i64::from(self.offset_delta)),
            timestamp: match base.append_time {
                Some(time) => time,
                None => base.timestamp.wrapping_add(self.timestamp_delta),
            },
            key: self.key,
            value: self.value,
            headers: self.headers,
        }
    }
}

/// The cursor over a batch's records: `None` is a broken record, which nom then explains.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Reads one record and, on success, moves behind it.
    #[inline]
    pub(crate) fn record(&mut self) -> Option<RawRecord<'a>> {
        let mut outer = Self { rest: self.rest };
        let len = usize::try_from(outer.varint()?).ok()?;
        let (body, after) = outer.rest.split_at_checked(len)?;
        let mut inner = Self { rest: body };
        let attributes = inner.byte()? as i8;
        let timestamp_delta = inner.varlong()?;
        let offset_delta = inner.varint()?;
        let key = inner.bytes()?;
        let value = inner.bytes()?;
        let headers = inner.headers()?;
        self.rest = after;
        Some(RawRecord { attributes, timestamp_delta, offset_delta, key, value, headers })
    }

    #[inline]
    fn headers(&mut self) -> Option<Headers<'a>> {
        // Nearly all records have none, and then the count is the last byte.
        if let [0] = self.rest {
            return Some(Headers::default());
        }
        self.headers_long()
    }

    #[inline(never)]
    fn headers_long(&mut self) -> Option<Headers<'a>> {
        let count = u32::try_from(self.varint()?).ok()?;
        let bytes = self.rest;
        // A header takes two bytes at least: no count is believed beyond that.
        if count as usize > bytes.len() / 2 {
            return None;
        }
        for _ in 0..count {
            self.header()?;
        }
        self.rest.is_empty().then_some(Headers { count, bytes })
    }

    #[inline]
    fn header(&mut self) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        // A header's key is never null.
        let key = self.bytes()??;
        Some((key, self.bytes()?))
    }

    #[inline]
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// A length and as many bytes. Any negative length is null, as Java reads it.
    #[inline]
    fn bytes(&mut self) -> Option<Option<&'a [u8]>> {
        let Ok(len) = usize::try_from(self.varint()?) else {
            return Some(None);
        };
        let (field, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(Some(field))
    }

    #[inline]
    fn varint(&mut self) -> Option<i32> {
        match *self.rest {
            [first, ref rest @ ..] if first < 0x80 => {
                self.rest = rest;
                Some(unzigzag32(u32::from(first)))
            }
            [first, second, ref rest @ ..] if second < 0x80 => {
                self.rest = rest;
                Some(unzigzag32(u32::from(first & 0x7f) | u32::from(second) << 7))
            }
            _ => self.uvar_long(5).map(|raw| unzigzag32(raw as u32)),
        }
    }

    #[inline]
    fn varlong(&mut self) -> Option<i64> {
        match *self.rest {
            [first, ref rest @ ..] if first < 0x80 => {
                self.rest = rest;
                Some(unzigzag64(u64::from(first)))
            }
            [first, second, ref rest @ ..] if second < 0x80 => {
                self.rest = rest;
                Some(unzigzag64(u64::from(first & 0x7f) | u64::from(second) << 7))
            }
            _ => self.uvar_long(10).map(unzigzag64),
        }
    }

    /// A varint of any length up to `max` bytes.
    #[inline(never)]
    fn uvar_long(&mut self, max: u32) -> Option<u64> {
        let mut value = 0;
        for at in 0..max {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

/// Reads one record with nom: the reference for [`RecordsIter`]'s cursor, and the source of its
/// error messages.
pub fn nom_record(i: &[u8]) -> Parsed<'_, RawRecord<'_>> {
    let (body, len) = varint(i)?;
    let Ok(len) = usize::try_from(len) else {
        return Trace::fail(i, format!("record length is {len}"));
    };
    let Some((mut i, after)) = body.split_at_checked(len) else {
        return Trace::fail(i, format!("record length {len}, {} bytes remain", body.len()));
    };
    let attributes;
    let (timestamp_delta, offset_delta, key, value, headers);
    // Offsets count from the end of the whole: an error inside the record must know of what follows
    // it.
    let inner = |trace: nom::Err<Trace>| trace.map(|trace| trace.deeper(after.len()));
    (i, attributes) = nom::number::complete::be_i8(i).map_err(inner)?;
    (i, timestamp_delta) = varlong(i).map_err(inner)?;
    (i, offset_delta) = varint(i).map_err(inner)?;
    (i, key) = nom_bytes(i, "key").map_err(inner)?;
    (i, value) = nom_bytes(i, "value").map_err(inner)?;
    (i, headers) = nom_headers(i).map_err(inner)?;
    if !i.is_empty() {
        let what = format!("record length {len}, {} bytes are left over", i.len());
        return Trace::fail(i, what).map_err(inner);
    }
    Ok((after, RawRecord { attributes, timestamp_delta, offset_delta, key, value, headers }))
}

fn nom_bytes<'a>(i: &'a [u8], what: &str) -> Parsed<'a, Option<&'a [u8]>> {
    let (rest, len) = varint(i)?;
    let Ok(len) = usize::try_from(len) else {
        return Ok((rest, None));
    };
    match rest.split_at_checked(len) {
        Some((field, rest)) => Ok((rest, Some(field))),
        None => Trace::fail(i, format!("{what} length {len}, {} bytes remain", rest.len())),
    }
}

fn nom_headers(i: &[u8]) -> Parsed<'_, Headers<'_>> {
    let (bytes, count) = varint(i)?;
    if count < 0 || count as usize > bytes.len() / 2 {
        return Trace::fail(i, format!("{count} headers in {} bytes", bytes.len()));
    }
    let mut rest = bytes;
    for _ in 0..count {
        let (i, key) = nom_bytes(rest, "header key")?;
        if key.is_none() {
            return Trace::fail(rest, "the key of a header is null");
        }
        (rest, _) = nom_bytes(i, "header value")?;
    }
    let bytes = &bytes[..bytes.len() - rest.len()];
    Ok((rest, Headers { count: count as u32, bytes }))
}
