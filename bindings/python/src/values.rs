//! Arguments: Python's objects as the core's borrowed and owned values.

use crate::errors::{invalid, wrong_type};
use ottla::{Header, OffsetAndMetadata, Record, TopicPartition};
use pyo3::buffer::PyUntypedBuffer;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMapping, PyString};
use std::borrow::Cow;
use std::time::Duration;

const BYTES: &str = "bytes, bytearray, memoryview, str or None";

/// Bytes of an argument, borrowed for as long as the interpreter is held.
pub(crate) enum Input<'a> {
    Borrowed(&'a [u8]),
    Buffer(PyUntypedBuffer),
    Owned(Vec<u8>),
}

impl<'a> Input<'a> {
    /// Text becomes UTF-8.
    pub(crate) fn of(what: &str, value: &'a Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = value.cast::<PyBytes>() {
            return Ok(Self::Borrowed(bytes.as_bytes()));
        }
        if let Ok(text) = value.cast::<PyString>() {
            return Ok(Self::Borrowed(text.to_str()?.as_bytes()));
        }
        Self::of_buffer(what, value)
    }

    fn of_buffer(what: &str, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = value.cast::<PyByteArray>() {
            return Ok(Self::Owned(bytes.to_vec()));
        }
        let Ok(buffer) = PyUntypedBuffer::get(value) else {
            return Err(wrong_type(what, BYTES, value));
        };
        if buffer.is_c_contiguous() {
            return Ok(Self::Buffer(buffer));
        }
        let copied = value.call_method0("tobytes")?;
        Ok(Self::Owned(copied.extract()?))
    }

    /// `None` for None.
    pub(crate) fn optional(what: &str, value: &'a Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        if value.is_none() { Ok(None) } else { Self::of(what, value).map(Some) }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
            Self::Buffer(buffer) if buffer.len_bytes() == 0 => &[],
            // SAFETY: the buffer is contiguous and exported until it is dropped. Whoever writes to
            // it meanwhile needs the interpreter, which this thread holds.
            Self::Buffer(buffer) => unsafe {
                std::slice::from_raw_parts(buffer.buf_ptr().cast(), buffer.len_bytes())
            },
        }
    }
}

/// A record's fields as they were given.
pub(crate) struct Fields<'a> {
    pub(crate) topic: &'a str,
    pub(crate) key: Option<Input<'a>>,
    pub(crate) value: Option<Input<'a>>,
    pub(crate) partition: Option<i32>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(crate) timestamp: Option<i64>,
}

impl Fields<'_> {
    pub(crate) fn record(&self) -> Record<'_> {
        let slices = [self.key.as_ref(), self.value.as_ref()].map(|b| b.map(Input::as_slice));
        record(self.topic, slices, self.partition, &self.headers, self.timestamp)
    }

    /// For a wait without the interpreter.
    pub(crate) fn into_owned(self) -> OwnedRecord {
        OwnedRecord {
            topic: self.topic.to_owned(),
            key: self.key.map(|bytes| bytes.as_slice().to_vec()),
            value: self.value.map(|bytes| bytes.as_slice().to_vec()),
            partition: self.partition,
            headers: self.headers,
            timestamp: self.timestamp,
        }
    }
}

/// A record that has to wait before it is encoded.
pub(crate) struct OwnedRecord {
    topic: String,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    partition: Option<i32>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    timestamp: Option<i64>,
}

impl OwnedRecord {
    pub(crate) fn record(&self) -> Record<'_> {
        let slices = [self.key.as_deref(), self.value.as_deref()];
        record(&self.topic, slices, self.partition, &self.headers, self.timestamp)
    }
}

fn record<'a>(
    topic: &'a str,
    [key, value]: [Option<&'a [u8]>; 2],
    partition: Option<i32>,
    headers: &'a [(String, Option<Vec<u8>>)],
    timestamp: Option<i64>,
) -> Record<'a> {
    let mut record = Record::to(topic);
    if let Some(key) = key {
        record = record.key(key);
    }
    if let Some(value) = value {
        record = record.value(value);
    }
    if let Some(partition) = partition {
        record = record.partition(partition);
    }
    if let Some(timestamp) = timestamp {
        record = record.timestamp(timestamp);
    }
    record.headers(headers.iter().map(|(key, value)| Header {
        key: Cow::Borrowed(key.as_str()),
        value: value.as_deref().map(Cow::Borrowed),
    }))
}

/// Headers: pairs of a name and bytes, or a mapping of them.
pub(crate) fn headers(value: &Bound<'_, PyAny>) -> PyResult<Vec<(String, Option<Vec<u8>>)>> {
    const PAIRS: &str = "a mapping or an iterable of (str, bytes or None)";
    let pairs = match value.cast::<PyMapping>() {
        Ok(mapping) => mapping.items()?.into_any(),
        Err(_) => value.clone(),
    };
    let Ok(pairs) = pairs.try_iter() else { return Err(wrong_type("headers", PAIRS, value)) };
    let mut headers = Vec::new();
    for pair in pairs {
        let pair = pair?;
        let Ok((key, value)) = pair.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>() else {
            return Err(wrong_type("a header", "a pair of str and bytes or None", &pair));
        };
        let key = text("a header's name", &key)?.to_owned();
        let value = Input::optional("a header's value", &value)?;
        headers.push((key, value.map(|bytes| bytes.as_slice().to_vec())));
    }
    Ok(headers)
}

pub(crate) fn text<'a>(what: &str, value: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    match value.cast::<PyString>() {
        Ok(text) => text.to_str(),
        Err(_) => Err(wrong_type(what, "str", value)),
    }
}

/// Whole numbers; not flags, which are numbers in Python only.
pub(crate) fn integer<'a, 'py, T: FromPyObject<'a, 'py>>(
    what: &str,
    value: &'a Bound<'py, PyAny>,
) -> PyResult<T> {
    if value.is_instance_of::<pyo3::types::PyInt>()
        && !value.is_instance_of::<pyo3::types::PyBool>()
    {
        let out_of_range = |_| invalid(format!("{what} is out of range: {value}"));
        return value.extract::<T>().map_err(out_of_range);
    }
    Err(wrong_type(what, "int", value))
}

pub(crate) fn optional_integer<'a, 'py, T: FromPyObject<'a, 'py>>(
    what: &str,
    value: Option<&'a Bound<'py, PyAny>>,
) -> PyResult<Option<T>> {
    value.filter(|value| !value.is_none()).map(|value| integer(what, value)).transpose()
}

/// Seconds; None is without an end.
pub(crate) fn timeout(value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Duration>> {
    let Some(value) = value.filter(|value| !value.is_none()) else { return Ok(None) };
    let Ok(seconds) = value.extract::<f64>() else {
        return Err(wrong_type("timeout", "seconds as float or int, or None", value));
    };
    if seconds.is_nan() || seconds < 0.0 {
        return Err(invalid(format!("timeout must not be negative: {seconds}")));
    }
    Ok(Duration::try_from_secs_f64(seconds).ok())
}

/// One str, or an iterable of them.
pub(crate) fn texts(what: &str, value: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(vec![text.to_str()?.to_owned()]);
    }
    let Ok(items) = value.try_iter() else {
        return Err(wrong_type(what, "str or an iterable of str", value));
    };
    items.map(|item| Ok(text(what, &item?)?.to_owned())).collect()
}

/// A pair of topic and partition.
pub(crate) fn partition(value: &Bound<'_, PyAny>) -> PyResult<TopicPartition> {
    let Ok((topic, index)) = value.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>() else {
        let expected = "a TopicPartition or a pair of str and int";
        return Err(wrong_type("a partition", expected, value));
    };
    let topic = text("a partition's topic", &topic)?;
    Ok(TopicPartition::new(topic, integer("a partition's number", &index)?))
}

/// An iterable of pairs of topic and partition.
pub(crate) fn partitions(value: &Bound<'_, PyAny>) -> PyResult<Vec<TopicPartition>> {
    let items = value.try_iter().ok().filter(|_| !value.is_instance_of::<PyString>());
    let Some(items) = items else {
        let expected = "an iterable of TopicPartition or of pairs of str and int";
        return Err(wrong_type("partitions", expected, value));
    };
    items.map(|item| partition(&item?)).collect()
}

/// A mapping from partitions to offsets: int or OffsetAndMetadata.
pub(crate) fn offsets(
    value: &Bound<'_, PyAny>,
) -> PyResult<Vec<(TopicPartition, OffsetAndMetadata)>> {
    let Ok(mapping) = value.cast::<PyMapping>() else {
        let expected = "a mapping from partitions to int or OffsetAndMetadata";
        return Err(wrong_type("offsets", expected, value));
    };
    let mut offsets = Vec::new();
    for pair in mapping.items()?.iter() {
        let (key, value) = pair.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
        offsets.push((partition(&key)?, offset(&value)?));
    }
    Ok(offsets)
}

fn offset(value: &Bound<'_, PyAny>) -> PyResult<OffsetAndMetadata> {
    type Triple<'py> = (i64, Option<String>, Option<i32>);
    if let Ok((offset, metadata, leader_epoch)) = value.extract::<Triple<'_>>() {
        return Ok(OffsetAndMetadata { offset, leader_epoch, metadata });
    }
    integer::<i64>("an offset", value).map(Into::into)
}
