//! A record to send.

use ottla_protocol::records::Header;
use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

/// A record to send: borrowed, since [`send`](crate::Producer::send) encodes it before it returns.
///
/// ```
/// # use ottla::Record;
/// let record = Record::to("orders").key("customer-7").value(b"...").header("trace", b"4711");
/// assert_eq!(record.topic(), "orders");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a record does nothing until it is sent"]
pub struct Record<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: Option<i32>,
    pub(super) timestamp: Option<i64>,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: Vec<Header<'a>>,
}

impl<'a> Record<'a> {
    /// A record for this topic, without key, value and headers.
    pub fn to(topic: &'a str) -> Self {
        Self {
            topic,
            partition: None,
            timestamp: None,
            key: None,
            value: None,
            headers: Vec::new(),
        }
    }

    /// The key: records of one key go to one partition, in order. An empty key is a key; without
    /// this call there is none.
    pub fn key<T: AsRef<[u8]> + ?Sized>(mut self, key: &'a T) -> Self {
        self.key = Some(key.as_ref());
        self
    }

    /// The value. Without this call it is null: a tombstone on a compacted topic.
    pub fn value<T: AsRef<[u8]> + ?Sized>(mut self, value: &'a T) -> Self {
        self.value = Some(value.as_ref());
        self
    }

    /// Adds a header. Keys may repeat; order is kept.
    pub fn header<T: AsRef<[u8]> + ?Sized>(mut self, key: &'a str, value: &'a T) -> Self {
        self.headers
            .push(Header { key: Cow::Borrowed(key), value: Some(Cow::Borrowed(value.as_ref())) });
        self
    }

    /// Adds headers that were made elsewhere; null values are possible here.
    pub fn headers(mut self, headers: impl IntoIterator<Item = Header<'a>>) -> Self {
        self.headers.extend(headers);
        self
    }

    /// The partition; without this call the partitioner chooses.
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Milliseconds since 1970; without this call the time of `send`.
    pub fn timestamp(mut self, timestamp_ms: i64) -> Self {
        self.timestamp = Some(timestamp_ms);
        self
    }

    /// The topic.
    pub fn topic(&self) -> &'a str {
        self.topic
    }

    pub(super) fn timestamp_or_now(&self) -> i64 {
        self.timestamp.unwrap_or_else(now_ms)
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
