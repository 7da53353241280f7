//! Records as JavaScript packs them: integers in one array, bytes in another.
//!
//! Per record [`FIELDS`] integers, then two per header (bytes of the key; bytes of the value, -1
//! for null). Key, value, and each header's key and value follow each other in the bytes. The same
//! is in `lib/pack.cjs`.

use ottla::{Header, Record};
use std::borrow::Cow;
use std::time::Duration;

/// Integers per record: slot, topic, partition (-1 for none), low and high half of the timestamp
/// (high half `i32::MIN` for none), bytes of the key (-1 for null), bytes of the value (-1 for
/// null), number of headers, milliseconds that it waited in JavaScript.
const FIELDS: usize = 9;

/// A record between the boundary and the core.
pub(crate) struct Packed<'a> {
    /// JavaScript's number for it.
    pub(crate) slot: u32,
    /// The index of its topic.
    pub(crate) topic: usize,
    partition: Option<i32>,
    timestamp: Option<i64>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Vec<Header<'a>>,
    /// How long it waited in JavaScript.
    pub(crate) waited: Duration,
}

impl<'a> Packed<'a> {
    /// How many bytes waiting with it takes, about.
    pub(crate) fn size(&self) -> usize {
        let bytes = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let headers = self.headers.iter().map(|header| {
            size_of::<Header<'_>>() + header.key.len() + bytes(header.value.as_deref())
        });
        size_of::<Owned>() + bytes(self.key) + bytes(self.value) + headers.sum::<usize>()
    }

    /// For the core.
    pub(crate) fn record(&self, topic: &'a str) -> Record<'a> {
        record(topic, self.partition, self.timestamp, self.key, self.value)
            .headers(self.headers.iter().cloned())
    }

    /// The same, with bytes of its own.
    pub(crate) fn to_owned(&self) -> Owned {
        Owned {
            partition: self.partition,
            timestamp: self.timestamp,
            key: self.key.map(Into::into),
            value: self.value.map(Into::into),
            headers: self.headers.iter().map(into_owned).collect(),
        }
    }
}

/// A record that waits for its topic or for memory.
pub(crate) struct Owned {
    partition: Option<i32>,
    timestamp: Option<i64>,
    key: Option<Box<[u8]>>,
    value: Option<Box<[u8]>>,
    headers: Vec<Header<'static>>,
}

impl Owned {
    /// For the core.
    pub(crate) fn record<'a>(&'a self, topic: &'a str) -> Record<'a> {
        record(topic, self.partition, self.timestamp, self.key.as_deref(), self.value.as_deref())
            .headers(self.headers.iter().cloned())
    }
}

fn record<'a>(
    topic: &'a str,
    partition: Option<i32>,
    timestamp: Option<i64>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
) -> Record<'a> {
    let mut record = Record::to(topic);
    if let Some(partition) = partition {
        record = record.partition(partition);
    }
    if let Some(timestamp) = timestamp {
        record = record.timestamp(timestamp);
    }
    if let Some(key) = key {
        record = record.key(key);
    }
    if let Some(value) = value {
        record = record.value(value);
    }
    record
}

fn into_owned(header: &Header<'_>) -> Header<'static> {
    Header {
        key: Cow::Owned(header.key.clone().into_owned()),
        value: header.value.as_ref().map(|value| Cow::Owned(value.clone().into_owned())),
    }
}

/// Reads packed records; ends early where they are cut off, which JavaScript never does.
pub(crate) struct Reader<'a> {
    fields: &'a [i32],
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(fields: &'a [i32], bytes: &'a [u8]) -> Self {
        Self { fields, bytes }
    }

    /// So many bytes; outer `None` where they are not there, inner for null.
    fn bytes(&mut self, len: i32) -> Option<Option<&'a [u8]>> {
        let Ok(len) = usize::try_from(len) else { return Some(None) };
        let (bytes, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(Some(bytes))
    }

    fn headers(&mut self, count: i32) -> Option<Vec<Header<'a>>> {
        let mut headers = Vec::new();
        for _ in 0..count {
            let (lengths, rest) = self.fields.split_at_checked(2)?;
            self.fields = rest;
            let key = self.bytes(lengths[0])?.unwrap_or_default();
            let value = self.bytes(lengths[1])?.map(Cow::Borrowed);
            headers.push(Header { key: String::from_utf8_lossy(key), value });
        }
        Some(headers)
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Packed<'a>;

    fn next(&mut self) -> Option<Packed<'a>> {
        let (fields, rest) = self.fields.split_at_checked(FIELDS)?;
        self.fields = rest;
        let &[slot, topic, partition, low, high, key, value, headers, waited] = fields else {
            return None;
        };
        let key = self.bytes(key)?;
        let value = self.bytes(value)?;
        let headers = self.headers(headers)?;
        let timestamp = i64::from(high) << 32 | i64::from(low as u32);
        Some(Packed {
            slot: slot as u32,
            topic: topic as usize,
            partition: (partition != -1).then_some(partition),
            timestamp: (high != i32::MIN).then_some(timestamp),
            key,
            value,
            headers,
            waited: Duration::from_millis(waited.unsigned_abs().into()),
        })
    }
}
