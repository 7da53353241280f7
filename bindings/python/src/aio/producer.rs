//! The producer for event loops.

use super::call::{Began, Call, stop};
use super::coroutine::{awaitable, awaited_before, warn_never_awaited};
use super::delivery::{Deliveries, Delivery};
use super::{Slot, connected, connecting};
use crate::delivery::metadata;
use crate::errors::to_py;
use crate::handle::Handle;
use crate::many::{self, Columns};
use crate::op::op;
use crate::producer::{self, Arguments, Sent, Serializers, describe, send_later, try_send};
use crate::types::untracked;
use crate::values::{OwnedRecord, timeout};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyGenericAlias, PyType};
use pyo3::{PyTraverseError, PyVisit};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// After so many records that had not to wait, the loop gets a turn.
const SENDS_PER_TURN: u32 = 256;

/// Sends records, for event loops. It connects where it is awaited or entered.
///
/// Idempotent by default: each record is written once and in order per partition, whatever is
/// retried. Enter it with ``async with``, or :meth:`close` it: what was sent and neither flushed
/// nor closed is lost when the process ends.
///
/// Settings have Kafka's dotted names in ``config``, or underscores as keywords, which win. Without
/// serializers keys and values are bytes, anything with the buffer protocol, or str, which becomes
/// UTF-8. A serializer is called with what is not None.
///
/// Raises :class:`ConfigError` for a setting.
#[pyclass(frozen, weakref, subclass, module = "ottla.aio")]
pub(crate) struct Producer {
    inner: Arc<Inner>,
    config: ottla::Config,
}

struct Inner {
    slot: Slot<Handle<ottla::Producer>>,
    serializers: Serializers,
    sends: AtomicU32,
}

impl Inner {
    fn shared(&self) -> PyResult<&producer::Shared> {
        connected(&self.slot, "producer")
    }
}

#[pymethods]
impl Producer {
    /// For annotations: `Producer[K, V]`.
    #[classmethod]
    fn __class_getitem__<'py>(
        class: &Bound<'py, PyType>,
        of: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyGenericAlias>> {
        PyGenericAlias::new(class.py(), class.as_any(), of)
    }

    #[new]
    #[pyo3(signature = (config=None, /, *, key_serializer=None, value_serializer=None, **settings))]
    fn new(
        config: Option<&Bound<'_, PyAny>>,
        key_serializer: Option<&Bound<'_, PyAny>>,
        value_serializer: Option<&Bound<'_, PyAny>>,
        settings: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let serializers = Serializers::new(key_serializer, value_serializer)?;
        let config = crate::settings::config(config, settings)?;
        config.producer().map_err(to_py)?;
        let (slot, sends) = (Slot::default(), AtomicU32::new(0));
        Ok(Self { inner: Arc::new(Inner { slot, serializers, sends }), config })
    }

    /// Connects, unless it is; awaiting or entering the client does the same.
    ///
    /// Raises :class:`UnreachableError` where no bootstrap server answers.
    fn connect(slf: Py<Self>) -> Call {
        let (slot, config) = (slf.get().inner.slot.clone(), slf.get().config.clone());
        connecting("Producer.connect", &slot, slf, producer::connect(config))
    }

    fn __await__(slf: Py<Self>) -> Call {
        Self::connect(slf)
    }

    fn __aenter__(slf: Py<Self>) -> Call {
        Self::connect(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __aexit__(&self, _exception: &Bound<'_, PyAny>) -> PyResult<Call> {
        self.close(None)
    }

    /// Sends a record. When it returns, the record is encoded and on its way; await the delivery
    /// for its end.
    ///
    /// It waits only for memory (``buffer.memory``) and for a topic that is not known yet, at most
    /// ``max.block.ms``. None is null, for the value a tombstone. ``timestamp`` is in milliseconds
    /// since 1970, by default now.
    ///
    /// Raises :class:`InvalidError` for a record that is too large or a partition that does not
    /// exist, :class:`NotFoundError` for a topic that does not, :class:`TimeoutError` when memory
    /// does not become free; the record was not sent then.
    #[pyo3(signature = (topic, value=None, key=None, partition=None, headers=None, timestamp=None))]
    fn send(
        slf: Py<Self>,
        topic: Py<PyAny>,
        value: Option<Py<PyAny>>,
        key: Option<Py<PyAny>>,
        partition: Option<Py<PyAny>>,
        headers: Option<Py<PyAny>>,
        timestamp: Option<Py<PyAny>>,
    ) -> Sending {
        let given = Given { topic, value, key, partition, headers, timestamp };
        Sending::new(slf, given, false)
    }

    /// :meth:`send`, and the delivery's result.
    #[pyo3(signature = (topic, value=None, key=None, partition=None, headers=None, timestamp=None))]
    fn send_and_wait(
        slf: Py<Self>,
        topic: Py<PyAny>,
        value: Option<Py<PyAny>>,
        key: Option<Py<PyAny>>,
        partition: Option<Py<PyAny>>,
        headers: Option<Py<PyAny>>,
        timestamp: Option<Py<PyAny>>,
    ) -> Sending {
        let given = Given { topic, value, key, partition, headers, timestamp };
        Sending::new(slf, given, true)
    }

    /// Sends many records of one topic in one call, which costs less than as many :meth:`send`.
    ///
    /// A record that is refused has its error among the deliveries; those after it are sent.
    #[pyo3(signature = (
        topic, values, *, keys=None, partition=None, headers=None, timestamp=None
    ))]
    fn send_many(
        &self,
        topic: Py<PyAny>,
        values: Py<PyAny>,
        keys: Option<Py<PyAny>>,
        partition: Option<Py<PyAny>>,
        headers: Option<Py<PyAny>>,
        timestamp: Option<Py<PyAny>>,
    ) -> Call {
        let inner = self.inner.clone();
        let begin = move |py: Python<'_>| {
            let shared = inner.shared()?.clone();
            let given = Columns {
                topic: topic.bind(py),
                values: values.bind(py),
                keys: keys.as_ref().map(|keys| keys.bind(py)),
                partition: partition.as_ref().map(|partition| partition.bind(py)),
                headers: headers.as_ref().map(|headers| headers.bind(py)),
                timestamp: timestamp.as_ref().map(|timestamp| timestamp.bind(py)),
            };
            let begun = many::begin(&shared, &inner.serializers, &given)?;
            if !begun.has_rest() {
                return Ok(Began::Ready(Deliveries::new(begun.into_many()).into_py_any(py)?));
            }
            let show = |py: Python<'_>, many| Deliveries::new(many).into_py_any(py);
            Ok(Began::Pending(op(begun.finish(shared), show)))
        };
        Call::new("Producer.send_many", Box::new(begin))
    }

    /// Waits until every record that was sent before has ended, at most so many seconds; nothing
    /// lingers meanwhile. How records ended is told by their deliveries.
    #[pyo3(signature = (timeout=None))]
    fn flush(&self, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Call> {
        let (inner, limit) = (self.inner.clone(), self::timeout(timeout)?);
        Ok(Call::once("Producer.flush", move |_| {
            Ok(crate::op::within(limit, "flush", producer::flush(inner.shared()?)?))
        }))
    }

    /// Refuses new records, waits for those on their way (``delivery.timeout.ms``, or so many
    /// seconds), and ends the connections. May be called again.
    ///
    /// Raises :class:`TimeoutError` where records were left: their deliveries say so.
    #[pyo3(signature = (timeout=None))]
    fn close(&self, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Call> {
        let (inner, limit) = (self.inner.clone(), self::timeout(timeout)?);
        let begin = move |py: Python<'_>| {
            let op = inner.slot.get().and_then(|shared| producer::close(shared, limit));
            Ok(op.map_or_else(|| Began::Ready(py.None()), Began::Pending))
        };
        Ok(Call::new("Producer.close", Box::new(begin)))
    }

    /// How many partitions a topic has.
    fn partition_count(&self, topic: &Bound<'_, PyAny>) -> Call {
        let (inner, topic) = (self.inner.clone(), topic.clone().unbind());
        Call::once("Producer.partition_count", move |py| {
            producer::partition_count(inner.shared()?, topic.bind(py))
        })
    }

    /// Bytes of ``buffer.memory`` that are in use.
    #[getter]
    fn memory_used(&self) -> PyResult<u64> {
        Ok(self.inner.shared()?.get()?.memory_used())
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.inner.slot.get().is_some_and(|shared| shared.is_closed())
    }

    fn __repr__(&self) -> String {
        match self.inner.slot.get() {
            Some(shared) => describe(shared, "ottla.aio.Producer"),
            None => "<ottla.aio.Producer not connected>".to_owned(),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.inner.serializers.visit(&visit)
    }
}

/// The arguments of `send` until it is awaited.
struct Given {
    topic: Py<PyAny>,
    value: Option<Py<PyAny>>,
    key: Option<Py<PyAny>>,
    partition: Option<Py<PyAny>>,
    headers: Option<Py<PyAny>>,
    timestamp: Option<Py<PyAny>>,
}

impl Given {
    fn try_send(&self, py: Python<'_>, inner: &Inner) -> PyResult<Sent> {
        let given = Arguments {
            topic: self.topic.bind(py),
            value: self.value.as_ref().map(|value| value.bind(py)),
            key: self.key.as_ref().map(|key| key.bind(py)),
            partition: self.partition.as_ref().map(|partition| partition.bind(py)),
            headers: self.headers.as_ref().map(|headers| headers.bind(py)),
            timestamp: self.timestamp.as_ref().map(|timestamp| timestamp.bind(py)),
        };
        try_send(inner.shared()?, &inner.serializers, &given, false)
    }
}

enum State {
    New {
        given: Given,
        has_paused: bool,
    },
    Later(Call),
    /// It is sent; its end is waited for.
    Ending(Delivery),
    Over,
}

/// A record that is sent when it is awaited. Most need not wait: they answer at once.
#[pyclass(frozen, weakref, module = "ottla.aio")]
pub(crate) struct Sending {
    producer: Py<Producer>,
    /// Whether the result is the delivery's.
    waits_for_end: bool,
    state: Mutex<State>,
}

impl Sending {
    fn new(producer: Py<Producer>, given: Given, waits_for_end: bool) -> Self {
        let state = Mutex::new(State::New { given, has_paused: false });
        Self { producer, waits_for_end, state }
    }

    fn name(&self) -> &'static str {
        if self.waits_for_end { "Producer.send_and_wait" } else { "Producer.send" }
    }

    fn take(&self) -> State {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *state, State::Over)
    }

    fn put(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// A call that waits is dropped, and its operation with it.
    fn give_up(&self) {
        drop(self.take());
    }

    fn step<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (given, has_paused) = match self.take() {
            State::New { given, has_paused } => (given, has_paused),
            State::Later(call) => {
                let step = call.step(py);
                if step.is_ok() {
                    self.put(State::Later(call));
                }
                return step;
            }
            State::Ending(delivery) => return self.end(py, delivery),
            State::Over => return Err(awaited_before(self.name())),
        };
        let inner = &self.producer.get().inner;
        let sends = inner.sends.fetch_add(1, Ordering::Relaxed);
        if sends % SENDS_PER_TURN == SENDS_PER_TURN - 1 && !has_paused {
            self.put(State::New { given, has_paused: true });
            return Ok(py.None().into_bound(py));
        }
        match given.try_send(py, inner)? {
            Sent::Done(delivery) => self.sent(py, Delivery::new(delivery)),
            Sent::Refused(error) => Err(to_py(error)),
            Sent::Later(record) => {
                let call = self.sending_later(inner.shared()?.clone(), record);
                let step = call.step(py)?;
                self.put(State::Later(call));
                Ok(step)
            }
        }
    }

    fn sent<'py>(&self, py: Python<'py>, delivery: Delivery) -> PyResult<Bound<'py, PyAny>> {
        match self.waits_for_end {
            true => self.end(py, delivery),
            false => Err(stop(py, untracked(py, delivery)?.into_any().unbind())),
        }
    }

    fn end<'py>(&self, py: Python<'py>, delivery: Delivery) -> PyResult<Bound<'py, PyAny>> {
        let step = delivery.step(py)?;
        self.put(State::Ending(delivery));
        Ok(step)
    }

    fn sending_later(&self, producer: producer::Shared, record: OwnedRecord) -> Call {
        let waits_for_end = self.waits_for_end;
        Call::once(self.name(), move |_| {
            let sent = send_later(producer, record);
            if !waits_for_end {
                return Ok(op(sent, |py, delivery| Delivery::new(delivery).into_py_any(py)));
            }
            let written = async move { sent.await?.await };
            Ok(op(written, |py, written| Ok(metadata(py, Ok(written))?.into_any().unbind())))
        })
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if matches!(self.take(), State::New { .. }) {
            warn_never_awaited(self.name());
        }
    }
}

awaitable!(Sending);
