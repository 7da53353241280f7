//! Records as Swift packs them: one after the other in one buffer, little-endian.
//!
//! | bytes | are |
//! | --- | --- |
//! | 4 | bytes of the topic |
//! | 4 | the partition; -1: the partitioner chooses |
//! | 8 | the timestamp, milliseconds since 1970; the smallest integer: the time of sending |
//! | 4 | bytes of the key; -1: null |
//! | 4 | bytes of the value; -1: null |
//! | 4 | how many headers |
//! | … | topic, key, value; then per header: bytes of its key (4) and value (4; -1: null), both |
//!
//! A cut or wrong buffer is a mistake of the package's, and is answered as such: no length is
//! believed.

use ottla::{Header, Record};
use ottla_bindings::{Class, Failure};
use std::borrow::Cow;

/// Reads records off the front of a buffer.
#[derive(Debug, Clone, Copy)]
pub struct Packed<'a> {
    rest: &'a [u8],
}

impl<'a> Packed<'a> {
    /// The records of this buffer.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The bytes that were not read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Failure> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(broken)?;
        self.rest = rest;
        Ok(taken)
    }

    fn int(&mut self) -> Result<i32, Failure> {
        let bytes = self.take(4)?.try_into().map_err(|_| broken())?;
        Ok(i32::from_le_bytes(bytes))
    }

    fn long(&mut self) -> Result<i64, Failure> {
        let bytes = self.take(8)?.try_into().map_err(|_| broken())?;
        Ok(i64::from_le_bytes(bytes))
    }

    fn bytes(&mut self, length: i32) -> Result<Option<&'a [u8]>, Failure> {
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| broken())?;
        self.take(length).map(Some)
    }

    fn text(&mut self, length: i32) -> Result<&'a str, Failure> {
        let bytes = self.bytes(length)?.ok_or_else(broken)?;
        std::str::from_utf8(bytes).map_err(|_| broken())
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    ///
    /// `Invalid` for a buffer that is cut.
    pub fn next_record(&mut self) -> Result<Option<Record<'a>>, Failure> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (topic, partition, timestamp) = (self.int()?, self.int()?, self.long()?);
        let (key, value, headers) = (self.int()?, self.int()?, self.int()?);
        let mut record = Record::to(self.text(topic)?);
        if partition != -1 {
            record = record.partition(partition);
        }
        if timestamp != i64::MIN {
            record = record.timestamp(timestamp);
        }
        if let Some(key) = self.bytes(key)? {
            record = record.key(key);
        }
        if let Some(value) = self.bytes(value)? {
            record = record.value(value);
        }
        for _ in 0..headers {
            let (key, value) = (self.int()?, self.int()?);
            let key = Cow::Borrowed(self.text(key)?);
            let value = self.bytes(value)?.map(Cow::Borrowed);
            record = record.headers([Header { key, value }]);
        }
        Ok(Some(record))
    }
}

fn broken() -> Failure {
    Failure::new(Class::Invalid, "the packed records are cut or too large: split them")
}
