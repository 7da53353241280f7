//! Many records in one call.

use crate::delivery::shown;
use crate::errors::{exception, invalid, to_py, wrong_type};
use crate::op::{Op, op, run_within};
use crate::producer::{Arguments, Sent, Serializers, Shared, try_send};
use crate::values::{OwnedRecord, timeout};
use ottla::{Delivery, Error};
use ottla_bindings::Failure;
use ottla_bindings::runtime::Generation;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyString};
use std::future::poll_fn;
use std::sync::Arc;

/// The deliveries of records that were sent in one call, in their order. A record that was refused
/// has its error: those after it were sent all the same.
pub(crate) struct Many {
    entries: Vec<Result<Delivery, Error>>,
    generation: Generation,
}

/// What `send_many` was given.
pub(crate) struct Columns<'a, 'py> {
    pub(crate) topic: &'a Bound<'py, PyAny>,
    pub(crate) values: &'a Bound<'py, PyAny>,
    pub(crate) keys: Option<&'a Bound<'py, PyAny>>,
    pub(crate) partition: Option<&'a Bound<'py, PyAny>>,
    pub(crate) headers: Option<&'a Bound<'py, PyAny>>,
    pub(crate) timestamp: Option<&'a Bound<'py, PyAny>>,
}

/// What was sent at once, and what has to wait behind the first record that had to.
pub(crate) struct Begun {
    entries: Vec<Result<Delivery, Error>>,
    rest: Vec<OwnedRecord>,
}

impl Begun {
    pub(crate) fn has_rest(&self) -> bool {
        !self.rest.is_empty()
    }

    pub(crate) fn into_many(self) -> Arc<Many> {
        Arc::new(Many { entries: self.entries, generation: Generation::current() })
    }

    /// Sends the rest, in order.
    pub(crate) async fn finish(mut self, producer: Shared) -> Result<Arc<Many>, Error> {
        for record in std::mem::take(&mut self.rest) {
            self.entries.push(producer.client().send(record.record()).await);
        }
        Ok(self.into_many())
    }
}

/// Sends until the first record that has to wait; those after it have to as well.
pub(crate) fn begin(
    producer: &Shared,
    serializers: &Serializers,
    given: &Columns<'_, '_>,
) -> PyResult<Begun> {
    let values = items("values", given.values)?;
    let mut keys = given.keys.map(|keys| items("keys", keys)).transpose()?;
    let mut begun = Begun { entries: Vec::new(), rest: Vec::new() };
    for value in values {
        let value = value?;
        let key = match keys.as_mut().map(Iterator::next) {
            Some(Some(key)) => Some(key?),
            Some(None) => return Err(invalid("there are fewer keys than values")),
            None => None,
        };
        let arguments = Arguments {
            topic: given.topic,
            value: Some(&value).filter(|value| !value.is_none()),
            key: key.as_ref().filter(|key| !key.is_none()),
            partition: given.partition,
            headers: given.headers,
            timestamp: given.timestamp,
        };
        match try_send(producer, serializers, &arguments, begun.has_rest())? {
            Sent::Done(delivery) => begun.entries.push(Ok(delivery)),
            Sent::Refused(error) => begun.entries.push(Err(error)),
            Sent::Later(record) => begun.rest.push(record),
        }
    }
    Ok(begun)
}

/// One value is no list of values, although Python can iterate it.
fn items<'py>(what: &str, given: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyIterator>> {
    let is_one = given.is_instance_of::<PyBytes>() || given.is_instance_of::<PyString>();
    let items = given.try_iter().ok().filter(|_| !is_one);
    items.ok_or_else(|| wrong_type(what, "an iterable of bytes", given))
}

/// Waits for all and shows where each was written; the first failure is raised, or each is an item
/// where failures are wanted.
pub(crate) fn results(many: &Arc<Many>, keeps_failures: bool) -> PyResult<Op> {
    many.generation.check("delivery").map_err(to_py)?;
    let many = many.clone();
    let all = async move {
        let mut answers = Vec::with_capacity(many.entries.len());
        for entry in &many.entries {
            answers.push(match entry {
                Ok(delivery) => poll_fn(|context| delivery.poll_result(context)).await,
                Err(error) => Err(error.clone()),
            });
        }
        Ok::<_, Error>(answers)
    };
    Ok(op(all, move |py, answers| {
        let one = |answer: Result<ottla::RecordMetadata, Error>| match answer {
            Err(error) if keeps_failures => exception(py, &Failure::from(error)),
            answer => shown(answer)?.into_bound_py_any(py),
        };
        let shown: PyResult<Vec<_>> = answers.into_iter().map(one).collect();
        shown?.into_py_any(py)
    }))
}

pub(crate) fn is_done(many: &Many) -> PyResult<bool> {
    many.generation.check("delivery").map_err(to_py)?;
    Ok(many.entries.iter().flatten().all(|delivery| delivery.try_result().is_some()))
}

pub(crate) fn len(many: &Many) -> usize {
    many.entries.len()
}

/// The futures of records that were sent in one call, in their order.
#[pyclass(frozen, weakref, module = "ottla")]
pub(crate) struct Deliveries(Arc<Many>);

impl Deliveries {
    pub(crate) fn new(many: Arc<Many>) -> Self {
        Self(many)
    }
}

#[pymethods]
impl Deliveries {
    fn __len__(&self) -> usize {
        len(&self.0)
    }

    /// Whether all were acknowledged or have failed.
    fn done(&self) -> PyResult<bool> {
        is_done(&self.0)
    }

    /// Waits for all. Raises the first failure, or gives each in its place.
    #[pyo3(signature = (timeout=None, *, return_exceptions=false))]
    fn result(
        &self,
        py: Python<'_>,
        timeout: Option<&Bound<'_, PyAny>>,
        return_exceptions: bool,
    ) -> PyResult<Py<PyAny>> {
        let limit = self::timeout(timeout)?;
        run_within(py, limit, "the deliveries", results(&self.0, return_exceptions)?)
    }

    fn __repr__(&self) -> String {
        format!("<{} deliveries>", len(&self.0))
    }
}
