//! Values that `ottla/_types.py` defines.

use ottla::{OffsetAndMetadata, OffsetAndTimestamp, TopicPartition};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{IntoPyObjectExt, PyClass, PyClassInitializer, ffi};
use std::collections::BTreeMap;

/// Makes one of `ottla/_types.py`'s values of its fields.
pub(crate) fn make<'py>(
    py: Python<'py>,
    name: &str,
    fields: impl IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error = PyErr>,
) -> PyResult<Bound<'py, PyAny>> {
    static TYPES: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = TYPES.get_or_try_init(py, || py.import("ottla._types").map(Bound::unbind))?;
    module.bind(py).getattr(name)?.call1(fields.into_pyobject(py)?)
}

/// An object for the class's own count of references alone: the collector of cycles, which would
/// look at every record and delivery again and again, does not see it. For classes that hold none
/// of Python's objects, or none that the collector is shown.
pub(crate) fn untracked<T>(py: Python<'_>, value: T) -> PyResult<Bound<'_, T>>
where
    T: PyClass + Into<PyClassInitializer<T>>,
{
    let object = Bound::new(py, value)?;
    // SAFETY: it is alive, of a class that the collector knows, and this thread's alone so far.
    unsafe { ffi::PyObject_GC_UnTrack(object.as_ptr().cast()) };
    Ok(object)
}

pub(crate) fn partition<'py>(py: Python<'py>, of: &TopicPartition) -> PyResult<Bound<'py, PyAny>> {
    make(py, "TopicPartition", (&*of.topic, of.partition))
}

pub(crate) fn partitions(py: Python<'_>, of: &[TopicPartition]) -> PyResult<Py<PyAny>> {
    let all: PyResult<Vec<_>> = of.iter().map(|one| partition(py, one)).collect();
    all?.into_py_any(py)
}

/// A dict by partition.
pub(crate) fn by_partition<'py, T, V: IntoPyObject<'py>>(
    py: Python<'py>,
    values: BTreeMap<TopicPartition, T>,
    show: impl Fn(T) -> PyResult<V>,
) -> PyResult<Py<PyAny>> {
    let dict = PyDict::new(py);
    for (of, value) in values {
        dict.set_item(partition(py, &of)?, show(value)?)?;
    }
    Ok(dict.into_any().unbind())
}

pub(crate) fn offset_and_metadata(
    py: Python<'_>,
    of: OffsetAndMetadata,
) -> PyResult<Bound<'_, PyAny>> {
    make(py, "OffsetAndMetadata", (of.offset, of.metadata, of.leader_epoch))
}

pub(crate) fn offset_and_timestamp(
    py: Python<'_>,
    of: Option<OffsetAndTimestamp>,
) -> PyResult<Option<Bound<'_, PyAny>>> {
    of.map(|of| make(py, "OffsetAndTimestamp", (of.offset, of.timestamp_ms, of.leader_epoch)))
        .transpose()
}
