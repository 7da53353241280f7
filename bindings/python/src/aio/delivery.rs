//! What became of a record, for event loops.

use super::call::{Call, new_future, stop};
use super::hub::Hub;
use crate::delivery::{Checked, metadata};
use crate::many::{self, Many};
use pyo3::prelude::*;
use std::sync::Arc;

/// The future of one record: await it, any number of times. Dropping it abandons the answer, not
/// the record.
#[pyclass(frozen, weakref, module = "ottla.aio")]
pub(crate) struct Delivery(Checked);

impl Delivery {
    pub(crate) fn new(delivery: ottla::Delivery) -> Self {
        Self(Checked::new(delivery))
    }

    /// What the event loop waits for, or the result as `StopIteration`.
    pub(crate) fn step<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let delivery = self.0.get()?;
        loop {
            if let Some(answer) = delivery.try_result() {
                return Err(stop(py, metadata(py, answer)?.into_any().unbind()));
            }
            let (hub, event_loop) = Hub::current(py)?;
            let future = new_future(&event_loop)?;
            let is_ready = hub.watch(delivery, &future);
            if !is_ready {
                return Ok(future);
            }
        }
    }
}

#[pymethods]
impl Delivery {
    /// Waits for the record's end, at most ``delivery.timeout.ms``.
    ///
    /// Raises why the record was not written; its ``possibly_written`` says whether it may be in
    /// the log all the same.
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.step(py)
    }

    /// Whether the record was acknowledged or has failed.
    fn done(&self) -> PyResult<bool> {
        Ok(self.0.get()?.try_result().is_some())
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

/// The futures of records that were sent in one call, in their order.
#[pyclass(frozen, weakref, module = "ottla.aio")]
pub(crate) struct Deliveries(Arc<Many>);

impl Deliveries {
    pub(crate) fn new(many: Arc<Many>) -> Self {
        Self(many)
    }
}

#[pymethods]
impl Deliveries {
    fn __len__(&self) -> usize {
        many::len(&self.0)
    }

    /// Whether all were acknowledged or have failed.
    fn done(&self) -> PyResult<bool> {
        many::is_done(&self.0)
    }

    /// Waits for all and raises the first failure.
    fn __await__(&self) -> Call {
        self.result(false)
    }

    /// Waits for all. Raises the first failure, or gives each in its place.
    #[pyo3(signature = (*, return_exceptions=false))]
    fn result(&self, return_exceptions: bool) -> Call {
        let many = self.0.clone();
        Call::once("Deliveries.result", move |_| many::results(&many, return_exceptions))
    }

    fn __repr__(&self) -> String {
        format!("<{} deliveries>", many::len(&self.0))
    }
}
