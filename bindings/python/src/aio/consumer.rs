//! The consumer for event loops.

use super::call::{Began, Call, stop};
use super::connecting;
use super::coroutine::{awaitable, awaited_before, warn_never_awaited};
use crate::batch::{Batch, Record};
use crate::consumer::source::{self, Functions, Source};
use crate::consumer::{ConsumerBase, Slot, connected, start};
use crate::errors::{is_closed, to_py};
use crate::op::{Op, Reply};
use crate::types::untracked;
use crate::values::timeout;
use ottla_bindings::Failure;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyGenericAlias, PyType};
use pyo3::{PyTraverseError, PyVisit};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Reads records, for event loops. It connects where it is awaited or entered.
///
/// It reads topics, as a member of the group ``group_id``, or given partitions.
///
/// Iterate it for records or :meth:`batches` for batches. A record or a batch is *finished* when
/// the next is asked for, and only what is finished is committed by itself: nothing is lost when
/// the program dies in the middle. Heartbeats, fetching ahead and commits go on in the background.
/// Ask for records from one task at a time. Cancelling a task loses no record.
///
/// ``on_rebalance`` is called with every change of the assignment, on the event loop, before
/// records are given out.
#[pyclass(frozen, extends = ConsumerBase, subclass, module = "ottla.aio")]
pub(crate) struct Consumer {
    slot: Slot,
    config: ottla::Config,
    topics: Vec<String>,
    partitions: Vec<ottla::TopicPartition>,
    functions: Functions,
}

impl Consumer {
    fn call(
        &self,
        name: &'static str,
        make: impl FnOnce(Python<'_>, &Arc<Source>) -> PyResult<Op> + Send + 'static,
    ) -> Call {
        let slot = self.slot.clone();
        Call::once(name, move |py| make(py, connected(&slot)?))
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
    fn new(
        config: Option<&Bound<'_, PyAny>>,
        topics: Option<&Bound<'_, PyAny>>,
        partitions: Option<&Bound<'_, PyAny>>,
        key_deserializer: Option<&Bound<'_, PyAny>>,
        value_deserializer: Option<&Bound<'_, PyAny>>,
        on_rebalance: Option<&Bound<'_, PyAny>>,
        settings: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let functions = Functions::new(key_deserializer, value_deserializer, on_rebalance)?;
        let config = crate::settings::config(config, settings)?;
        config.consumer().map_err(to_py)?;
        let given = start(config, topics, partitions, functions.clone())?;
        let slot = Slot::default();
        let base = PyClassInitializer::from(ConsumerBase::new(slot.clone()));
        let (config, topics, partitions) = (given.config, given.topics, given.partitions);
        Ok(base.add_subclass(Self { slot, config, topics, partitions, functions }))
    }

    /// Connects, unless it is; awaiting or entering the client does the same.
    ///
    /// Raises :class:`UnreachableError` where no bootstrap server answers.
    fn connect(slf: Py<Self>) -> Call {
        let this = slf.get();
        let start = source::Start {
            config: this.config.clone(),
            topics: this.topics.clone(),
            partitions: this.partitions.clone(),
            functions: this.functions.clone(),
        };
        let slot = this.slot.clone();
        connecting("Consumer.connect", &slot, slf, start.connect())
    }

    fn __await__(slf: Py<Self>) -> Call {
        Self::connect(slf)
    }

    fn __aenter__(slf: Py<Self>) -> Call {
        Self::connect(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __aexit__(&self, _exception: &Bound<'_, PyAny>) -> Call {
        self.close()
    }

    /// Waits for the next record; the one before is finished by asking. None if none came within
    /// so many seconds, or the consumer was closed meanwhile.
    ///
    /// Raises what the user has to know: a topic that does not exist, a missing permission, a
    /// position that is not in the log under ``auto.offset.reset=none``, a batch that cannot be
    /// read. Unless ``fatal``, asking again goes on.
    #[pyo3(signature = (timeout=None))]
    fn next(&self, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Next> {
        let limit = self::timeout(timeout)?;
        Ok(Next::new(self.slot.clone(), What::Record, limit, false))
    }

    /// As :meth:`next`, by batch. After records of a batch were given out, its rest comes.
    #[pyo3(signature = (timeout=None))]
    fn next_batch(&self, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Next> {
        let limit = self::timeout(timeout)?;
        Ok(Next::new(self.slot.clone(), What::Batch, limit, false))
    }

    /// The batches, until the consumer is closed.
    fn batches(&self) -> PyResult<Batches> {
        connected(&self.slot)?.get()?;
        Ok(Batches { slot: self.slot.clone() })
    }

    fn __aiter__(slf: Py<Self>) -> PyResult<Py<Self>> {
        connected(&slf.get().slot)?.get()?;
        Ok(slf)
    }

    fn __anext__(&self) -> Next {
        Next::new(self.slot.clone(), What::Record, None, true)
    }

    /// Commits what was given out, or these offsets: by partition the *next* to be consumed.
    /// Waits until the coordinator has it.
    ///
    /// Raises :class:`RebalanceError` when the partitions belong to another member by now.
    #[pyo3(signature = (offsets=None))]
    fn commit(&self, offsets: Option<Py<PyAny>>) -> Call {
        self.call("Consumer.commit", move |py, source| {
            source::commit(source, offsets.as_ref().map(|offsets| offsets.bind(py)))
        })
    }

    /// What the group has committed; a partition without a commit is absent.
    fn committed(&self, partitions: Py<PyAny>) -> Call {
        self.call("Consumer.committed", move |py, source| {
            source::committed(source, partitions.bind(py))
        })
    }

    /// The first offsets.
    fn beginning_offsets(&self, partitions: Py<PyAny>) -> Call {
        self.call("Consumer.beginning_offsets", move |py, source| {
            source::bounds(source, partitions.bind(py), false)
        })
    }

    /// The offsets after the last records (under ``read_committed``: last stable offsets).
    fn end_offsets(&self, partitions: Py<PyAny>) -> Call {
        self.call("Consumer.end_offsets", move |py, source| {
            source::bounds(source, partitions.bind(py), true)
        })
    }

    /// By partition the first record of this time (milliseconds since 1970) or later.
    fn offsets_for_times(&self, timestamps: Py<PyAny>) -> Call {
        self.call("Consumer.offsets_for_times", move |py, source| {
            source::offsets_for_times(source, timestamps.bind(py))
        })
    }

    /// Commits what is finished (``enable.auto.commit``), leaves the group and ends the
    /// connections, within 5 s. May be called again. Commit before to include the last record or
    /// batch that was given out.
    fn close(&self) -> Call {
        let slot = self.slot.clone();
        let begin = move |py: Python<'_>| {
            let op = slot.get().and_then(source::close);
            Ok(op.map_or_else(|| Began::Ready(py.None()), Began::Pending))
        };
        Call::new("Consumer.close", Box::new(begin))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.functions.visit(&visit)
    }
}

/// A consumer's batches, one after the other.
#[pyclass(frozen, module = "ottla.aio")]
pub(crate) struct Batches {
    slot: Slot,
}

#[pymethods]
impl Batches {
    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__(&self) -> Next {
        Next::new(self.slot.clone(), What::Batch, None, true)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    Record,
    Batch,
}

/// The next record or batch. A record of the open batch answers at once.
#[pyclass(frozen, weakref, module = "ottla.aio")]
pub(crate) struct Next {
    slot: Slot,
    what: What,
    limit: Option<Duration>,
    /// Whether the end is told as that of an `async for`.
    ends_iteration: bool,
    state: Mutex<State>,
}

enum State {
    New,
    Waiting(Call),
    Over,
}

impl Next {
    fn new(slot: Slot, what: What, limit: Option<Duration>, ends_iteration: bool) -> Self {
        Self { slot, what, limit, ends_iteration, state: Mutex::new(State::New) }
    }

    fn name(&self) -> &'static str {
        match (self.ends_iteration, self.what) {
            (true, _) => "Consumer.__anext__",
            (false, What::Record) => "Consumer.next",
            (false, What::Batch) => "Consumer.next_batch",
        }
    }

    fn take(&self) -> State {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *state, State::Over)
    }

    /// A call that waits is dropped, and its operation with it.
    fn give_up(&self) {
        drop(self.take());
    }

    fn step<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let step = match self.take() {
            State::New => match self.begin(py) {
                Ok(Ok(found)) => return Err(stop(py, found)),
                Ok(Err(call)) => self.step_of(py, call),
                Err(error) => Err(error),
            },
            State::Waiting(call) => self.step_of(py, call),
            State::Over => return Err(awaited_before(self.name())),
        };
        match step {
            Err(error) if self.ends_iteration && is_closed(py, &error) => Err(ended()),
            step => step,
        }
    }

    /// What is there already, or else the call that waits for it.
    fn begin(&self, py: Python<'_>) -> PyResult<Result<Py<PyAny>, Call>> {
        let source = connected(&self.slot)?;
        let found = found(py, source, self.what)?;
        Ok(found.ok_or_else(|| self.waiting(source.clone())))
    }

    fn step_of<'py>(&self, py: Python<'py>, call: Call) -> PyResult<Bound<'py, PyAny>> {
        let step = call.step(py)?;
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Waiting(call);
        Ok(step)
    }

    /// Waits for batches until there is what is wanted.
    fn waiting(&self, source: Arc<Source>) -> Call {
        let (what, ends_iteration) = (self.what, self.ends_iteration);
        let deadline = self.limit.and_then(|limit| Instant::now().checked_add(limit));
        let begin = move |py: Python<'_>| {
            source.tell(py)?;
            if let Some(found) = found(py, &source, what)? {
                return Ok(Began::Ready(found));
            }
            let source = source.clone();
            Ok(Began::Pending(Box::pin(async move {
                let waited = source.wait_for_batch();
                let came = match deadline {
                    Some(deadline) => tokio::time::timeout_at(deadline, waited).await,
                    None => Ok(waited.await),
                };
                let goes_on = came.unwrap_or(Ok(false)).map_err(Failure::from)?;
                let again = move |py: Python<'_>| match goes_on {
                    true => Ok(None),
                    false if ends_iteration => Err(ended()),
                    false => Ok(Some(py.None())),
                };
                Ok(Box::new(again) as Reply)
            })))
        };
        Call::new(self.name(), Box::new(begin))
    }
}

/// What is there already.
fn found(py: Python<'_>, source: &Arc<Source>, what: What) -> PyResult<Option<Py<PyAny>>> {
    match what {
        What::Record => {
            next_record(source)?.map(|record| Ok(untracked(py, record)?.into_any().unbind()))
        }
        What::Batch => next_batch(source)?.map(|batch| batch.into_py_any(py)),
    }
    .transpose()
}

fn next_record(source: &Arc<Source>) -> PyResult<Option<Record>> {
    loop {
        if let Some(record) = source.next_buffered()? {
            return Ok(Some(record));
        }
        match source.take_arrived()? {
            Some(batch) => source.open(batch),
            None => return Ok(None),
        }
    }
}

fn next_batch(source: &Arc<Source>) -> PyResult<Option<Batch>> {
    if let Some(rest) = source.rest()? {
        return Ok(Some(rest));
    }
    Ok(source.take_arrived()?.map(|batch| source.batch(batch)))
}

fn ended() -> PyErr {
    PyStopAsyncIteration::new_err(())
}

impl Drop for Next {
    fn drop(&mut self) {
        if matches!(self.take(), State::New) {
            warn_never_awaited(self.name());
        }
    }
}

awaitable!(Next);
