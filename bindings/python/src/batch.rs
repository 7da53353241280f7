//! What a consumer hands out: batches, and records as views on them.

use crate::errors::{invalid, wrong_type};
use crate::types::untracked;
use ottla_bindings::{FIELDS, Index};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyBufferError, PyIndexError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBytes, PyGenericAlias, PyList, PyMemoryView, PySlice, PyString, PyTuple, PyType,
};
use std::ffi::c_int;
use std::sync::{Arc, OnceLock};

/// What turns bytes into the user's keys and values.
#[derive(Debug, Default)]
pub(crate) struct Deserializers {
    pub(crate) key: Option<Py<PyAny>>,
    pub(crate) value: Option<Py<PyAny>>,
}

/// A batch that its views share.
pub(crate) struct Shared {
    batch: ottla::Batch,
    /// Where the records are; made when the first is looked at.
    index: OnceLock<Index>,
    topic: PyOnceLock<Py<PyString>>,
    deserializers: Arc<Deserializers>,
}

impl Shared {
    pub(crate) fn new(batch: ottla::Batch, deserializers: Arc<Deserializers>) -> Arc<Self> {
        let (index, topic) = (OnceLock::new(), PyOnceLock::new());
        Arc::new(Self { batch, index, topic, deserializers })
    }

    pub(crate) fn batch(&self) -> &ottla::Batch {
        &self.batch
    }

    pub(crate) fn len(&self) -> usize {
        self.batch.len()
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::of(&self.batch))
    }

    fn fields(&self, at: usize) -> &[i32; FIELDS] {
        let fields = &self.index().records[at * FIELDS..(at + 1) * FIELDS];
        fields.try_into().expect("it has this length")
    }

    pub(crate) fn offset(&self, at: usize) -> i64 {
        self.index().base_offset + i64::from(self.fields(at)[0])
    }

    fn timestamp(&self, at: usize) -> i64 {
        let [_, low, high, ..] = *self.fields(at);
        let since = i64::from(high) << 32 | i64::from(low as u32);
        self.index().base_timestamp.wrapping_add(since)
    }

    /// The bytes at a place of the index; `None` for null.
    fn slice(&self, place: i32, len: i32) -> Option<&[u8]> {
        let len = usize::try_from(len).ok()?;
        Some(&self.batch.data()[place as usize..place as usize + len])
    }

    fn key(&self, at: usize) -> Option<&[u8]> {
        let [_, _, _, place, len, ..] = *self.fields(at);
        self.slice(place, len)
    }

    fn value(&self, at: usize) -> Option<&[u8]> {
        let [_, _, _, _, _, place, len, _] = *self.fields(at);
        self.slice(place, len)
    }

    /// Where a key or value is.
    fn span(&self, at: usize, what: Part) -> Option<(usize, usize)> {
        let [_, _, _, key, key_len, value, value_len, _] = *self.fields(at);
        let (place, len) = match what {
            Part::Key => (key, key_len),
            Part::Value => (value, value_len),
        };
        Some((place as usize, usize::try_from(len).ok()?))
    }

    fn headers(&self, at: usize) -> Vec<(String, Option<&[u8]>)> {
        let Ok(mut next) = usize::try_from(self.fields(at)[7]) else { return Vec::new() };
        let places = &self.index().headers;
        let count = places[next];
        next += 1;
        let mut headers = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let [key, key_len, value, value_len] = [0, 1, 2, 3].map(|i| places[next + i]);
            let key = self.slice(key, key_len).unwrap_or_default();
            let key = String::from_utf8_lossy(key).into_owned();
            headers.push((key, self.slice(value, value_len)));
            next += 4;
        }
        headers
    }

    fn topic<'py>(&self, py: Python<'py>) -> &Bound<'py, PyString> {
        self.topic.get_or_init(py, || PyString::new(py, self.batch.topic()).unbind()).bind(py)
    }
}

/// Bytes as the user sees them.
fn shown<'py>(
    py: Python<'py>,
    bytes: Option<&[u8]>,
    deserializer: Option<&Py<PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(bytes) = bytes else { return Ok(None) };
    let bytes = PyBytes::new(py, bytes);
    match deserializer {
        Some(deserializer) => deserializer.bind(py).call1((bytes,)).map(Some),
        None => Ok(Some(bytes.into_any())),
    }
}

/// One record: a view on its batch, which it keeps alive. Keys, values and headers are made when
/// they are asked for; a deserializer is called at each access, and its exceptions are raised
/// there.
#[pyclass(frozen, weakref, module = "ottla")]
pub(crate) struct Record {
    shared: Arc<Shared>,
    at: u32,
}

impl Record {
    pub(crate) fn new(shared: Arc<Shared>, at: usize) -> Self {
        Self { shared, at: at as u32 }
    }

    fn at(&self) -> usize {
        self.at as usize
    }
}

#[pymethods]
impl Record {
    /// For annotations: `Record[K, V]`.
    #[classmethod]
    fn __class_getitem__<'py>(
        class: &Bound<'py, PyType>,
        of: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyGenericAlias>> {
        PyGenericAlias::new(class.py(), class.as_any(), of)
    }

    /// The topic.
    #[getter]
    fn topic<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        self.shared.topic(py).clone()
    }

    /// The partition's number.
    #[getter]
    fn partition(&self) -> i32 {
        self.shared.batch.partition()
    }

    /// The offset in the partition.
    #[getter]
    fn offset(&self) -> i64 {
        self.shared.offset(self.at())
    }

    /// Milliseconds since 1970: the producer's, or the broker's under ``LogAppendTime``; -1 for
    /// none.
    #[getter]
    fn timestamp(&self) -> i64 {
        self.shared.timestamp(self.at())
    }

    /// The key; None and empty differ.
    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        shown(py, self.shared.key(self.at()), self.shared.deserializers.key.as_ref())
    }

    /// The value; None (a tombstone) and empty differ.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        shown(py, self.shared.value(self.at()), self.shared.deserializers.value.as_ref())
    }

    /// The headers in the producer's order; names may repeat.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let headers = self.shared.headers(self.at());
        let bytes = |value: Option<&[u8]>| value.map(|value| PyBytes::new(py, value));
        PyTuple::new(py, headers.into_iter().map(|(key, value)| (key, bytes(value))))
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let (topic, partition) = (self.shared.topic(py), self.partition());
        let size = |bytes: Option<&[u8]>| match bytes {
            Some(bytes) => format!("{} bytes", bytes.len()),
            None => "null".to_owned(),
        };
        let (key, value) = (self.shared.key(self.at()), self.shared.value(self.at()));
        let (offset, key, value) = (self.offset(), size(key), size(value));
        format!("<Record {topic}-{partition} offset {offset}, key {key}, value {value}>")
    }
}

/// A batch of records of one partition, in order. It owns its bytes: keep it as long as you
/// like. An uncompressed batch keeps the whole answer that it came in alive, some megabytes.
#[pyclass(frozen, weakref, sequence, module = "ottla")]
pub(crate) struct Batch {
    shared: Arc<Shared>,
    /// Records before this one were given out by themselves.
    first: usize,
}

impl Batch {
    pub(crate) fn new(shared: Arc<Shared>, first: usize) -> Self {
        Self { shared, first }
    }

    /// The record at Python's index.
    fn at(&self, index: isize) -> PyResult<usize> {
        place(index, self.shared.len() - self.first).map(|at| self.first + at)
    }
}

#[pymethods]
impl Batch {
    /// For annotations: `Batch[K, V]`.
    #[classmethod]
    fn __class_getitem__<'py>(
        class: &Bound<'py, PyType>,
        of: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyGenericAlias>> {
        PyGenericAlias::new(class.py(), class.as_any(), of)
    }

    /// The topic.
    #[getter]
    fn topic<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        self.shared.topic(py).clone()
    }

    /// The partition's number.
    #[getter]
    fn partition(&self) -> i32 {
        self.shared.batch.partition()
    }

    /// The offset from which on the batch has records. Offsets need not be dense.
    #[getter]
    fn base_offset(&self) -> i64 {
        if self.first == 0 {
            self.shared.batch.base_offset()
        } else {
            self.shared.offset(self.first)
        }
    }

    /// The last offset that the batch covers, whether a record is left there or not.
    #[getter]
    fn last_offset(&self) -> i64 {
        self.shared.batch.last_offset()
    }

    /// The keys, without a copy.
    #[getter]
    fn keys(&self) -> Column {
        Column { shared: self.shared.clone(), first: self.first, part: Part::Key }
    }

    /// The values, without a copy.
    #[getter]
    fn values(&self) -> Column {
        Column { shared: self.shared.clone(), first: self.first, part: Part::Value }
    }

    fn __len__(&self) -> usize {
        self.shared.len() - self.first
    }

    fn __iter__(&self) -> RecordIterator {
        RecordIterator { shared: self.shared.clone(), next: self.first }
    }

    fn __getitem__<'py>(
        &self,
        py: Python<'py>,
        index: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let record = |at| untracked(py, Record::new(self.shared.clone(), at));
        if let Ok(slice) = index.cast::<PySlice>() {
            let places = slice_places(slice, self.__len__())?;
            let records: PyResult<Vec<_>> = places.map(|at| record(self.first + at)).collect();
            return records?.into_bound_py_any(py);
        }
        record(self.at(index_of(index)?)?).map(Bound::into_any)
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let (topic, partition) = (self.shared.topic(py), self.partition());
        let (base, last) = (self.base_offset(), self.last_offset());
        format!("<Batch {topic}-{partition} offsets {base} to {last}, {} records>", self.__len__())
    }

    /// A ``pyarrow.RecordBatch`` of offset, timestamp, key, value and headers, with topic and
    /// partition in the schema's metadata. Raises :class:`UnsupportedError` without pyarrow.
    fn to_arrow<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("ottla._arrow")?.call_method1("to_arrow", (slf,))
    }

    /// Columns in Arrow's layout: offsets, timestamps, keys, values, headers.
    fn _columns<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let shared = &self.shared;
        let range = self.first..shared.len();
        let offsets: Vec<u8> =
            range.clone().flat_map(|at| shared.offset(at).to_ne_bytes()).collect();
        let timestamps: Vec<u8> =
            range.clone().flat_map(|at| shared.timestamp(at).to_ne_bytes()).collect();
        let keys = packed(py, range.clone().map(|at| shared.key(at)));
        let values = packed(py, range.clone().map(|at| shared.value(at)));
        let mut ends = Vec::from(0_i32.to_ne_bytes());
        let mut headers = Vec::new();
        for at in range {
            headers.extend(shared.headers(at));
            ends.extend((headers.len() as i32).to_ne_bytes());
        }
        let names = packed(py, headers.iter().map(|(name, _)| Some(name.as_bytes())));
        let contents = packed(py, headers.iter().map(|(_, value)| *value));
        let plain = |bytes: &[u8]| PyBytes::new(py, bytes);
        let headers = (plain(&ends), names, contents);
        (plain(&offsets), plain(&timestamps), keys, values, headers).into_bound_py_any(py)
    }
}

/// Arrow's layout of binary values: validity bits, 32-bit ends, data.
fn packed<'py, 'a>(
    py: Python<'py>,
    items: impl ExactSizeIterator<Item = Option<&'a [u8]>>,
) -> [Bound<'py, PyBytes>; 3] {
    let mut validity = vec![0_u8; items.len().div_ceil(8)];
    let mut ends = Vec::with_capacity((items.len() + 1) * 4);
    ends.extend(0_i32.to_ne_bytes());
    let mut data = Vec::new();
    for (at, item) in items.enumerate() {
        if let Some(bytes) = item {
            validity[at / 8] |= 1 << (at % 8);
            data.extend_from_slice(bytes);
        }
        ends.extend((data.len() as i32).to_ne_bytes());
    }
    [validity, ends, data].map(|bytes| PyBytes::new(py, &bytes))
}

/// A batch's records.
#[pyclass(module = "ottla")]
pub(crate) struct RecordIterator {
    shared: Arc<Shared>,
    next: usize,
}

#[pymethods]
impl RecordIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, Record>>> {
        let at = self.next;
        if at == self.shared.len() {
            return Ok(None);
        }
        self.next += 1;
        untracked(py, Record::new(self.shared.clone(), at)).map(Some)
    }

    fn __length_hint__(&self) -> usize {
        self.shared.len() - self.next
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Part {
    Key,
    Value,
}

/// The keys or the values of a batch: read-only views on its bytes, None for null.
#[pyclass(frozen, sequence, module = "ottla")]
pub(crate) struct Column {
    shared: Arc<Shared>,
    first: usize,
    part: Part,
}

impl Column {
    fn view<'py>(&self, py: Python<'py>, at: usize) -> PyResult<Option<Bound<'py, PyMemoryView>>> {
        let Some((place, len)) = self.shared.span(at, self.part) else { return Ok(None) };
        self.view_of(py, place, len).map(Some)
    }

    fn view_of<'py>(
        &self,
        py: Python<'py>,
        place: usize,
        len: usize,
    ) -> PyResult<Bound<'py, PyMemoryView>> {
        let view = View { shared: self.shared.clone(), place, len };
        PyMemoryView::from(untracked(py, view)?.as_any())
    }
}

#[pymethods]
impl Column {
    fn __len__(&self) -> usize {
        self.shared.len() - self.first
    }

    fn __getitem__<'py>(
        &self,
        py: Python<'py>,
        index: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Ok(slice) = index.cast::<PySlice>() {
            let places = slice_places(slice, self.__len__())?;
            let views: PyResult<Vec<_>> = places.map(|at| self.view(py, self.first + at)).collect();
            return views?.into_bound_py_any(py);
        }
        let at = place(index_of(index)?, self.__len__())?;
        self.view(py, self.first + at)?.into_bound_py_any(py)
    }

    fn __iter__(&self, py: Python<'_>) -> PyResult<ColumnIterator> {
        let all = self.view_of(py, 0, self.shared.batch.data().len())?.unbind();
        let (shared, next, part) = (self.shared.clone(), self.first, self.part);
        Ok(ColumnIterator { shared, all, next, part })
    }

    /// Copies of all, at once: what small keys and values are read by soonest.
    fn tolist<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let bytes = |at| match self.part {
            Part::Key => self.shared.key(at),
            Part::Value => self.shared.value(at),
        };
        let range = self.first..self.shared.len();
        PyList::new(py, range.map(|at| bytes(at).map(|bytes| PyBytes::new(py, bytes))))
    }

    fn __repr__(&self) -> String {
        let what = if self.part == Part::Key { "keys" } else { "values" };
        format!("<{} {what} of a batch>", self.__len__())
    }
}

/// The keys or the values of a batch, one after the other: slices of one view, which cost less
/// than a view each.
#[pyclass(module = "ottla")]
struct ColumnIterator {
    shared: Arc<Shared>,
    all: Py<PyMemoryView>,
    next: usize,
    part: Part,
}

#[pymethods]
impl ColumnIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let at = self.next;
        if at == self.shared.len() {
            return Ok(None);
        }
        self.next += 1;
        let Some((place, len)) = self.shared.span(at, self.part) else {
            return Ok(Some(py.None().into_bound(py)));
        };
        // `PySlice::new` would leak the two numbers.
        // SAFETY: the view is alive, and the answer is a new reference or an error.
        let slice = unsafe {
            let (start, end) = (place as isize, (place + len) as isize);
            let slice = ffi::PySequence_GetSlice(self.all.as_ptr(), start, end);
            Bound::from_owned_ptr_or_err(py, slice)?
        };
        Ok(Some(slice))
    }

    fn __length_hint__(&self) -> usize {
        self.shared.len() - self.next
    }
}

/// A part of a batch's bytes, read-only, by the buffer protocol.
#[pyclass(frozen, module = "ottla")]
struct View {
    shared: Arc<Shared>,
    place: usize,
    len: usize,
}

#[pymethods]
impl View {
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("the view is null"));
        }
        let this = slf.get();
        let bytes = &this.shared.batch.data()[this.place..this.place + this.len];
        // SAFETY: the bytes live as long as the view's owner, which it holds, and are read-only.
        let filled = unsafe {
            let start = bytes.as_ptr().cast_mut().cast();
            let len = bytes.len() as ffi::Py_ssize_t;
            ffi::PyBuffer_FillInfo(view, slf.as_ptr(), start, len, 1, flags)
        };
        if filled == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}

/// Python's index, negative from the end, as a place.
fn place(index: isize, len: usize) -> PyResult<usize> {
    let at = if index < 0 { index + len as isize } else { index };
    match usize::try_from(at) {
        Ok(at) if at < len => Ok(at),
        _ => Err(PyIndexError::new_err(format!("index {index} of a batch of {len} records"))),
    }
}

fn index_of(index: &Bound<'_, PyAny>) -> PyResult<isize> {
    index.extract().map_err(|_| wrong_type("an index", "int or slice", index))
}

fn slice_places(
    slice: &Bound<'_, PySlice>,
    len: usize,
) -> PyResult<impl Iterator<Item = usize> + use<>> {
    let indices =
        slice.indices(isize::try_from(len).map_err(|_| invalid("a batch is smaller"))?)?;
    let (start, step) = (indices.start, indices.step);
    Ok((0..indices.slicelength).map(move |i| (start + i as isize * step) as usize))
}
