//! What a consumer hands out: a batch whose records are slices of the bytes that were received.

use ottla_engine::consumer::HandedOut;
use ottla_protocol::Bytes;
use ottla_protocol::records::{
    BatchHeader, Decompressor, Headers, Record, RecordError, Records, RecordsIter,
};
use std::ops::Range;
use std::sync::Arc;

/// A batch of records of one partition, in order of their offsets.
///
/// It owns its bytes: keep it as long as you like, move it to another thread. Records are read as
/// they are iterated; keys and values are slices. An uncompressed batch is a slice of the whole
/// answer that it came in, some megabytes, and keeps that alive: copy what you keep for long.
#[derive(Clone, Debug)]
pub struct Batch {
    topic: Arc<str>,
    partition: i32,
    header: BatchHeader,
    records: Records,
    /// Records before this one were consumed before.
    first: usize,
    first_offset: i64,
}

impl Batch {
    /// Decompresses and checks a batch; `None` if all its records were consumed before.
    ///
    /// Every record is walked here once, so that iterating later cannot fail half-way.
    pub(super) fn open(
        handed: &HandedOut,
        decompressor: &mut Decompressor,
        check_crcs: bool,
    ) -> Result<Option<Self>, RecordError> {
        if check_crcs {
            handed.batch.verify_crc()?;
        }
        let records = handed.batch.records(decompressor)?;
        let header = *handed.batch.header();
        let mut first = 0;
        for record in records.iter() {
            first += usize::from(record?.offset < handed.first_offset);
        }
        if first == records.len() {
            return Ok(None);
        }
        let topic = handed.partition.topic.clone();
        let partition = handed.partition.partition;
        let first_offset = handed.first_offset.max(header.base_offset);
        Ok(Some(Self { topic, partition, header, records, first, first_offset }))
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The partition's number.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// How many records [`Batch::iter`] yields.
    pub fn len(&self) -> usize {
        self.records.len() - self.first
    }

    /// Whether there are none; never so in a batch that a consumer hands out.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The offset from which on the batch has records. Offsets need not be dense: transactions and
    /// compaction leave gaps.
    pub fn base_offset(&self) -> i64 {
        self.first_offset
    }

    /// The last offset that the batch covers, whether a record is left there or not.
    pub fn last_offset(&self) -> i64 {
        self.header.last_offset()
    }

    /// The epoch of the leader that appended it; -1 where the broker is too old to say.
    pub fn leader_epoch(&self) -> i32 {
        self.header.partition_leader_epoch
    }

    /// The records in order.
    pub fn iter(&self) -> Iter<'_> {
        let mut records = self.records.iter();
        for _ in 0..self.first {
            records.next();
        }
        Iter { records }
    }

    /// The records' bytes, decompressed: what keys and values are slices of.
    pub fn data(&self) -> &Bytes {
        self.records.data()
    }

    pub(super) fn topic_shared(&self) -> &Arc<str> {
        &self.topic
    }

    /// The same without its records below `offset`.
    pub(super) fn skip_to(mut self, offset: i64) -> Self {
        let skipped = self.iter().take_while(|record| record.offset < offset).count();
        self.first += skipped;
        self.first_offset = self.first_offset.max(offset);
        self
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = Record<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The records of a [`Batch`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    records: RecordsIter<'a>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        // Every record was read once when the batch was opened.
        self.records.next()?.ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.records.size_hint()
    }
}

/// One record that owns its bytes, from [`super::Consumer::next`]. Key and value are slices of the
/// batch's bytes, which it keeps alive.
#[derive(Clone, Debug)]
pub struct ConsumerRecord {
    topic: Arc<str>,
    partition: i32,
    offset: i64,
    timestamp: i64,
    data: Bytes,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Vec<(Range<usize>, Option<Range<usize>>)>,
}

impl ConsumerRecord {
    pub(super) fn new(batch: &Batch, record: &Record<'_>) -> Self {
        let data = batch.data();
        let range = |slice: &[u8]| {
            let start = slice.as_ptr() as usize - data.as_ptr() as usize;
            start..start + slice.len()
        };
        let headers = |headers: Headers<'_>| {
            headers.iter_bytes().map(|(key, value)| (range(key), value.map(range))).collect()
        };
        Self {
            topic: batch.topic_shared().clone(),
            partition: batch.partition(),
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map(range),
            value: record.value.map(range),
            headers: headers(record.headers),
            data: data.clone(),
        }
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The partition's number.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// The offset in the partition.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Milliseconds since 1970: the producer's, or the broker's under `LogAppendTime`; -1 for none.
    pub fn timestamp(&self) -> i64 {
        self.timestamp
    }

    /// The key; null and empty differ.
    pub fn key(&self) -> Option<&[u8]> {
        self.key.clone().map(|range| &self.data[range])
    }

    /// The value; null and empty differ.
    pub fn value(&self) -> Option<&[u8]> {
        self.value.clone().map(|range| &self.data[range])
    }

    /// The headers in the producer's order; keys may repeat.
    pub fn headers(&self) -> HeaderIter<'_> {
        HeaderIter { record: self, next: 0 }
    }
}

/// The headers of a [`ConsumerRecord`].
#[derive(Clone, Debug)]
pub struct HeaderIter<'a> {
    record: &'a ConsumerRecord,
    next: usize,
}

impl<'a> Iterator for HeaderIter<'a> {
    /// A key that is not UTF-8 appears as U+FFFD.
    type Item = (&'a str, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, value) = self.record.headers.get(self.next)?;
        self.next += 1;
        let data = &self.record.data;
        let key = std::str::from_utf8(&data[key.clone()]).unwrap_or("\u{fffd}");
        Some((key, value.clone().map(|range| &data[range])))
    }
}

/// Where record-wise consumption stands inside of a batch.
#[derive(Debug)]
pub(super) struct Cursor {
    batch: Batch,
    rest: std::vec::IntoIter<ConsumerRecord>,
    /// The offset after the last record that was given.
    pub(super) next_offset: i64,
}

impl Cursor {
    pub(super) fn new(batch: Batch) -> Self {
        let records: Vec<_> = batch.iter().map(|r| ConsumerRecord::new(&batch, &r)).collect();
        let next_offset = batch.base_offset();
        Self { batch, rest: records.into_iter(), next_offset }
    }

    pub(super) fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Whether records are left that were not given.
    pub(super) fn has_rest(&self) -> bool {
        self.rest.len() > 0
    }

    /// The batch without the records that were given.
    pub(super) fn into_rest(self) -> Option<Batch> {
        self.has_rest().then(|| self.batch.skip_to(self.next_offset))
    }
}

impl Iterator for Cursor {
    type Item = ConsumerRecord;

    fn next(&mut self) -> Option<ConsumerRecord> {
        let record = self.rest.next()?;
        self.next_offset = record.offset + 1;
        Some(record)
    }
}
