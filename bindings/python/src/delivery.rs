//! What became of a record.

use crate::errors::{exception, to_py};
use crate::op::too_late;
use crate::types::untracked;
use crate::values::timeout;
use crate::wait::wait;
use ottla_bindings::Failure;
use ottla_bindings::runtime::Generation;
use pyo3::prelude::*;
use std::future::poll_fn;

use std::time::Duration;

/// Where a record was written.
#[pyclass(frozen, eq, module = "ottla")]
#[derive(PartialEq)]
pub(crate) struct RecordMetadata(ottla::RecordMetadata);

#[pymethods]
impl RecordMetadata {
    /// The topic.
    #[getter]
    fn topic(&self) -> &str {
        &self.0.topic
    }

    /// The partition.
    #[getter]
    fn partition(&self) -> i32 {
        self.0.partition
    }

    /// The offset; -1 where the broker did not say (``acks=0``).
    #[getter]
    fn offset(&self) -> i64 {
        self.0.offset
    }

    /// Milliseconds since 1970: the record's own time, or the broker's where the topic says
    /// ``LogAppendTime``.
    #[getter]
    fn timestamp(&self) -> i64 {
        self.0.timestamp
    }

    fn __repr__(&self) -> String {
        let ottla::RecordMetadata { topic, partition, offset, timestamp } = &self.0;
        format!(
            "RecordMetadata(topic={topic:?}, partition={partition}, offset={offset}, \
             timestamp={timestamp})"
        )
    }
}

type Answer = Result<ottla::RecordMetadata, ottla::Error>;

pub(crate) fn shown(answer: Answer) -> PyResult<RecordMetadata> {
    answer.map(RecordMetadata).map_err(to_py)
}

/// As [`shown`], an object.
pub(crate) fn metadata(py: Python<'_>, answer: Answer) -> PyResult<Bound<'_, RecordMetadata>> {
    untracked(py, shown(answer)?)
}

/// A delivery that is not asked about in another process, where its batch may be locked for ever.
pub(crate) struct Checked {
    delivery: ottla::Delivery,
    generation: Generation,
}

impl Checked {
    pub(crate) fn new(delivery: ottla::Delivery) -> Self {
        Self { delivery, generation: Generation::current() }
    }

    pub(crate) fn get(&self) -> PyResult<&ottla::Delivery> {
        self.generation.check("delivery").map_err(to_py)?;
        Ok(&self.delivery)
    }

    /// Waits off the interpreter.
    fn answer(&self, py: Python<'_>, limit: Option<Duration>) -> PyResult<Answer> {
        let delivery = self.get()?;
        if let Some(answer) = delivery.try_result() {
            return Ok(answer);
        }
        let waited = wait(py, limit, poll_fn(|context| delivery.poll_result(context)))?;
        waited.ok_or_else(|| to_py(too_late("the delivery", limit.unwrap_or_default())))
    }

    pub(crate) fn describe(&self, name: &str) -> String {
        let (topic, partition) = (self.delivery.topic(), self.delivery.partition());
        format!("<{name} to {topic}-{partition}>")
    }
}

/// The future of one record. Dropping it abandons the answer, not the record.
#[pyclass(frozen, module = "ottla")]
pub(crate) struct Delivery(Checked);

impl Delivery {
    pub(crate) fn new(delivery: ottla::Delivery) -> Self {
        Self(Checked::new(delivery))
    }
}

#[pymethods]
impl Delivery {
    /// Whether the record was acknowledged or has failed.
    fn done(&self) -> PyResult<bool> {
        Ok(self.0.get()?.try_result().is_some())
    }

    /// Waits for the record's end: at most ``delivery.timeout.ms``, or so many seconds.
    ///
    /// Raises why the record was not written; its ``possibly_written`` says whether it may be in
    /// the log all the same. :class:`TimeoutError` when it took longer than ``timeout``: the record
    /// is on its way then.
    #[pyo3(signature = (timeout=None))]
    fn result<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, RecordMetadata>> {
        metadata(py, self.0.answer(py, self::timeout(timeout)?)?)
    }

    /// As :meth:`result`, giving the exception instead of raising it.
    #[pyo3(signature = (timeout=None))]
    fn exception<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.0.answer(py, self::timeout(timeout)?)? {
            Ok(_) => Ok(None),
            Err(error) => exception(py, &Failure::from(error)).map(Some),
        }
    }

    /// The topic.
    #[getter]
    fn topic(&self) -> PyResult<&str> {
        Ok(self.0.get()?.topic())
    }

    /// The partition that was chosen.
    #[getter]
    fn partition(&self) -> PyResult<i32> {
        Ok(self.0.get()?.partition())
    }

    fn __repr__(&self) -> String {
        self.0.describe("Delivery")
    }
}
