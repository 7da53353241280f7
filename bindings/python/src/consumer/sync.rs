//! The consumer for threads.

use super::base::{ConsumerBase, Slot, start};
use super::source::{self, Asked, Functions, Source};
use crate::batch::{Batch, Record};
use crate::errors::{is_closed, to_py};
use crate::op::run;
use crate::settings::config;
use crate::types::untracked;
use crate::values::timeout;
use crate::wait::wait;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyGenericAlias, PyType};
use pyo3::{PyTraverseError, PyVisit};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Reads records: of topics, as a member of the group ``group_id``, or of given partitions.
///
/// Iterate it for records or :meth:`batches` for batches. A record or a batch is *finished* when
/// the next is asked for, and only what is finished is committed by itself: nothing is lost when
/// the program dies in the middle. Heartbeats, fetching ahead and commits go on in the background.
/// Ask for records from one thread at a time.
///
/// ``on_rebalance`` is called with every change of the assignment, by the thread that asks for
/// records, before it gets them.
#[pyclass(frozen, extends = ConsumerBase, subclass, module = "ottla")]
pub(crate) struct Consumer {
    source: Arc<Source>,
    functions: Functions,
}

impl Consumer {
    /// Waits for a batch; `None` if none came in time, or the consumer was closed.
    fn fetch(&self, py: Python<'_>, limit: Option<Duration>) -> PyResult<Option<ottla::Batch>> {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        loop {
            self.source.tell(py)?;
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let asked = wait(py, left, self.source.ask())?;
            match asked.transpose().map_err(to_py)? {
                Some(Asked::Batch(batch)) => return Ok(Some(batch)),
                Some(Asked::Events) => {}
                Some(Asked::Closed) | None => return Ok(None),
            }
        }
    }

    fn next_record<'py>(
        &self,
        py: Python<'py>,
        limit: Option<Duration>,
    ) -> PyResult<Option<Bound<'py, Record>>> {
        loop {
            if let Some(record) = self.source.next_buffered()? {
                return untracked(py, record).map(Some);
            }
            match self.fetch(py, limit)? {
                Some(batch) => self.source.open(batch),
                None => return Ok(None),
            }
        }
    }

    fn next_whole(&self, py: Python<'_>, limit: Option<Duration>) -> PyResult<Option<Batch>> {
        if let Some(rest) = self.source.rest()? {
            return Ok(Some(rest));
        }
        Ok(self.fetch(py, limit)?.map(|batch| self.source.batch(batch)))
    }
}

#[pymethods]
impl Consumer {
    /// For annotations: `Consumer[K, V]`.
    #[classmethod]
    fn __class_getitem__<'py>(
        class: &Bound<'py, PyType>,
        of: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyGenericAlias>> {
        PyGenericAlias::new(class.py(), class.as_any(), of)
    }

    #[new]
    #[pyo3(signature = (
        config=None, /, *, topics=None, partitions=None, key_deserializer=None,
        value_deserializer=None, on_rebalance=None, **settings
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are Python's keywords")]
    fn new(
        py: Python<'_>,
        config: Option<&Bound<'_, PyAny>>,
        topics: Option<&Bound<'_, PyAny>>,
        partitions: Option<&Bound<'_, PyAny>>,
        key_deserializer: Option<&Bound<'_, PyAny>>,
        value_deserializer: Option<&Bound<'_, PyAny>>,
        on_rebalance: Option<&Bound<'_, PyAny>>,
        settings: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let functions = Functions::new(key_deserializer, value_deserializer, on_rebalance)?;
        let config = self::config(config, settings)?;
        let connecting = start(config, topics, partitions, functions.clone())?.connect();
        let connected = wait(py, None, connecting)?.expect("it waits without an end");
        let source = connected.map_err(to_py)?;
        let slot = Slot::new(OnceLock::from(source.clone()));
        let base = PyClassInitializer::from(ConsumerBase::new(slot));
        Ok(base.add_subclass(Self { source, functions }))
    }

    /// Waits for the next record; the one before is finished by asking. None if none came within
    /// so many seconds, or the consumer was closed meanwhile.
    ///
    /// Raises what the user has to know: a topic that does not exist, a missing permission, a
    /// position that is not in the log under ``auto.offset.reset=none``, a batch that cannot be
    /// read. Unless ``fatal``, asking again goes on.
    #[pyo3(signature = (timeout=None))]
    fn next<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, Record>>> {
        self.next_record(py, self::timeout(timeout)?)
    }

    /// As :meth:`next`, by batch. After records of a batch were given out, its rest comes.
    #[pyo3(signature = (timeout=None))]
    fn next_batch(
        &self,
        py: Python<'_>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Batch>> {
        self.next_whole(py, self::timeout(timeout)?)
    }

    /// The batches, until the consumer is closed.
    fn batches(slf: Py<Self>) -> PyResult<Batches> {
        slf.get().source.get()?;
        Ok(Batches { consumer: slf })
    }

    fn __iter__(slf: Py<Self>) -> PyResult<Py<Self>> {
        slf.get().source.get()?;
        Ok(slf)
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, Record>>> {
        match self.next_record(py, None) {
            // Another thread closed it: that is how a loop ends.
            Err(error) if is_closed(py, &error) => Ok(None),
            next => next,
        }
    }

    /// Commits what was given out, or these offsets: by partition the *next* to be consumed.
    /// Waits until the coordinator has it.
    ///
    /// Raises :class:`RebalanceError` when the partitions belong to another member by now.
    #[pyo3(signature = (offsets=None))]
    fn commit(&self, py: Python<'_>, offsets: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        run(py, source::commit(&self.source, offsets)?)
    }

    /// What the group has committed; a partition without a commit is absent.
    fn committed(&self, py: Python<'_>, partitions: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        run(py, source::committed(&self.source, partitions)?)
    }

    /// The first offsets.
    fn beginning_offsets(
        &self,
        py: Python<'_>,
        partitions: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        run(py, source::bounds(&self.source, partitions, false)?)
    }

    /// The offsets after the last records (under ``read_committed``: last stable offsets).
    fn end_offsets(&self, py: Python<'_>, partitions: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        run(py, source::bounds(&self.source, partitions, true)?)
    }

    /// By partition the first record of this time (milliseconds since 1970) or later.
    fn offsets_for_times(
        &self,
        py: Python<'_>,
        timestamps: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        run(py, source::offsets_for_times(&self.source, timestamps)?)
    }

    /// Commits what is finished (``enable.auto.commit``), leaves the group and ends the
    /// connections, within 5 s. May be called again. Commit before to include the last record or
    /// batch that was given out.
    fn close(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match source::close(&self.source) {
            Some(op) => run(py, op),
            None => Ok(py.None()),
        }
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.close(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.functions.visit(&visit)
    }
}

/// A consumer's batches.
#[pyclass(frozen, module = "ottla")]
pub(crate) struct Batches {
    consumer: Py<Consumer>,
}

#[pymethods]
impl Batches {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Batch>> {
        match self.consumer.get().next_whole(py, None) {
            Err(error) if is_closed(py, &error) => Ok(None),
            next => next,
        }
    }
}
