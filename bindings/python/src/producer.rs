//! The producer for threads, and what it shares with that for event loops.

use crate::delivery::Delivery;
use crate::errors::{to_py, wrong_type};
use crate::handle::Handle;
use crate::many::{self, Columns, Deliveries};
use crate::op::{Op, nothing, op, plain, run, run_within};
use crate::settings::config;
use crate::types::untracked;
use crate::values::{Fields, Input, OwnedRecord, headers, optional_integer, text, timeout};
use crate::wait::wait;
use ottla::{Config, Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyGenericAlias, PyType};
use pyo3::{PyTraverseError, PyVisit};
use std::sync::Arc;
use std::time::Duration;

/// A producer of the core's, shared with the operations under way.
pub(crate) type Shared = Arc<Handle<ottla::Producer>>;

/// What turns a user's keys and values into bytes.
#[derive(Default)]
pub(crate) struct Serializers {
    key: Option<Py<PyAny>>,
    value: Option<Py<PyAny>>,
}

impl Serializers {
    pub(crate) fn new(
        key: Option<&Bound<'_, PyAny>>,
        value: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        Ok(Self {
            key: callable("key_serializer", key)?,
            value: callable("value_serializer", value)?,
        })
    }

    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.key)?;
        visit.call(&self.value)
    }
}

/// A function of the user's, if there is one.
pub(crate) fn callable(
    what: &str,
    function: Option<&Bound<'_, PyAny>>,
) -> PyResult<Option<Py<PyAny>>> {
    match function {
        Some(function) if !function.is_callable() => Err(wrong_type(what, "callable", function)),
        function => Ok(function.map(|function| function.clone().unbind())),
    }
}

/// The arguments of `send`.
pub(crate) struct Arguments<'a, 'py> {
    pub(crate) topic: &'a Bound<'py, PyAny>,
    pub(crate) value: Option<&'a Bound<'py, PyAny>>,
    pub(crate) key: Option<&'a Bound<'py, PyAny>>,
    pub(crate) partition: Option<&'a Bound<'py, PyAny>>,
    pub(crate) headers: Option<&'a Bound<'py, PyAny>>,
    pub(crate) timestamp: Option<&'a Bound<'py, PyAny>>,
}

/// A record that was sent, or has to wait for memory or for its topic.
pub(crate) enum Sent {
    Done(ottla::Delivery),
    Later(OwnedRecord),
    Refused(Error),
}

/// Sends without waiting, unless it shall wait for others. The record is encoded before it returns,
/// so that nothing is copied twice.
pub(crate) fn try_send(
    producer: &Handle<ottla::Producer>,
    serializers: &Serializers,
    given: &Arguments<'_, '_>,
    is_behind_others: bool,
) -> PyResult<Sent> {
    let producer = producer.get()?;
    let serialized = |function: &Option<Py<PyAny>>, given: Option<&Bound<'_, PyAny>>| {
        let call = |given: &Bound<'_, PyAny>| match function {
            Some(function) => function.bind(given.py()).call1((given,)).map(Bound::unbind),
            None => Ok(given.clone().unbind()),
        };
        given.map(call).transpose()
    };
    let py = given.topic.py();
    let (key, value);
    let (key, value) = match (&serializers.key, &serializers.value) {
        (None, None) => (given.key, given.value),
        _ => {
            key = serialized(&serializers.key, given.key)?;
            value = serialized(&serializers.value, given.value)?;
            (key.as_ref().map(|key| key.bind(py)), value.as_ref().map(|value| value.bind(py)))
        }
    };
    let bytes = |what, given| match given {
        Some(given) => Input::optional(what, given),
        None => Ok(None),
    };
    let fields = Fields {
        topic: text("topic", given.topic)?,
        key: bytes("key", key)?,
        value: bytes("value", value)?,
        partition: optional_integer("partition", given.partition)?,
        headers: given.headers.map(headers).transpose()?.unwrap_or_default(),
        timestamp: optional_integer("timestamp", given.timestamp)?,
    };
    if is_behind_others {
        return Ok(Sent::Later(fields.into_owned()));
    }
    Ok(match producer.try_send(fields.record()) {
        Ok(delivery) => Sent::Done(delivery),
        Err(error) if error.kind() == ErrorKind::Full => Sent::Later(fields.into_owned()),
        Err(error) => Sent::Refused(error),
    })
}

/// Sends after waiting for what was missing.
pub(crate) async fn send_later(
    producer: Shared,
    record: OwnedRecord,
) -> Result<ottla::Delivery, Error> {
    producer.client().send(record.record()).await
}

pub(crate) fn flush(producer: &Shared) -> PyResult<Op> {
    producer.get()?;
    let producer = producer.clone();
    Ok(op(async move { producer.client().flush().await }, nothing))
}

/// `None`: there is nothing to close.
pub(crate) fn close(producer: &Shared, timeout: Option<Duration>) -> Option<Op> {
    producer.close()?;
    let producer = producer.clone();
    let closing = async move {
        match timeout {
            Some(timeout) => producer.client().close_within(timeout).await,
            None => producer.client().close().await,
        }
    };
    Some(op(closing, nothing))
}

pub(crate) fn partition_count(producer: &Shared, topic: &Bound<'_, PyAny>) -> PyResult<Op> {
    producer.get()?;
    let (producer, topic) = (producer.clone(), text("topic", topic)?.to_owned());
    Ok(op(async move { producer.client().partition_count(&topic).await }, plain))
}

pub(crate) async fn connect(config: Config) -> Result<Shared, Error> {
    let producer = ottla::Producer::from_config(config).await?;
    Ok(Arc::new(Handle::new("producer", producer)))
}

/// Sends records; for any number of threads.
///
/// Idempotent by default: each record is written once and in order per partition, whatever is
/// retried. Use it as a context manager, or :meth:`close` it: what was sent and neither flushed nor
/// closed is lost when the process ends.
///
/// Settings have Kafka's dotted names in ``config``, or underscores as keywords, which win. Without
/// serializers keys and values are bytes, anything with the buffer protocol, or str, which becomes
/// UTF-8. A serializer is called with what is not None.
///
/// Raises :class:`ConfigError` for a setting, :class:`UnreachableError` where no bootstrap server
/// answers.
#[pyclass(frozen, weakref, subclass, module = "ottla")]
pub(crate) struct Producer {
    shared: Shared,
    serializers: Serializers,
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
        py: Python<'_>,
        config: Option<&Bound<'_, PyAny>>,
        key_serializer: Option<&Bound<'_, PyAny>>,
        value_serializer: Option<&Bound<'_, PyAny>>,
        settings: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let serializers = Serializers::new(key_serializer, value_serializer)?;
        let config = self::config(config, settings)?;
        let connected = wait(py, None, connect(config))?.expect("it waits without an end");
        Ok(Self { shared: connected.map_err(to_py)?, serializers })
    }

    /// Sends a record. When it returns, the record is encoded and on its way.
    ///
    /// It waits only for memory (``buffer.memory``) and for a topic that is not known yet, at most
    /// ``max.block.ms``. None is null, for the value a tombstone. ``timestamp`` is in milliseconds
    /// since 1970, by default now.
    ///
    /// Raises :class:`InvalidError` for a record that is too large or a partition that does not
    /// exist, :class:`NotFoundError` for a topic that does not, :class:`TimeoutError` when memory
    /// does not become free; the record was not sent then.
    #[pyo3(signature = (topic, value=None, key=None, partition=None, headers=None, timestamp=None))]
    #[expect(clippy::too_many_arguments, reason = "a record's fields")]
    fn send<'py>(
        &self,
        py: Python<'py>,
        topic: &Bound<'py, PyAny>,
        value: Option<&Bound<'py, PyAny>>,
        key: Option<&Bound<'py, PyAny>>,
        partition: Option<&Bound<'py, PyAny>>,
        headers: Option<&Bound<'py, PyAny>>,
        timestamp: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Delivery>> {
        let given = Arguments { topic, value, key, partition, headers, timestamp };
        match try_send(&self.shared, &self.serializers, &given, false)? {
            Sent::Done(delivery) => untracked(py, Delivery::new(delivery)),
            Sent::Refused(error) => Err(to_py(error)),
            Sent::Later(record) => {
                let sent = wait(py, None, send_later(self.shared.clone(), record))?;
                let delivery = sent.expect("it waits without an end").map_err(to_py)?;
                untracked(py, Delivery::new(delivery))
            }
        }
    }

    /// Sends many records of one topic in one call, which costs less than as many :meth:`send`.
    ///
    /// A record that is refused has its error among the deliveries; those after it are sent.
    #[pyo3(signature = (
        topic, values, *, keys=None, partition=None, headers=None, timestamp=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "records' fields")]
    fn send_many(
        &self,
        py: Python<'_>,
        topic: &Bound<'_, PyAny>,
        values: &Bound<'_, PyAny>,
        keys: Option<&Bound<'_, PyAny>>,
        partition: Option<&Bound<'_, PyAny>>,
        headers: Option<&Bound<'_, PyAny>>,
        timestamp: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Deliveries> {
        let given = Columns { topic, values, keys, partition, headers, timestamp };
        let begun = many::begin(&self.shared, &self.serializers, &given)?;
        if !begun.has_rest() {
            return Ok(Deliveries::new(begun.into_many()));
        }
        let sent = wait(py, None, begun.finish(self.shared.clone()))?;
        sent.expect("it waits without an end").map(Deliveries::new).map_err(to_py)
    }

    /// Waits until every record that was sent before has ended, at most so many seconds; nothing
    /// lingers meanwhile. How records ended is told by their deliveries.
    #[pyo3(signature = (timeout=None))]
    fn flush(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        run_within(py, self::timeout(timeout)?, "flush", flush(&self.shared)?)
    }

    /// Refuses new records, waits for those on their way (``delivery.timeout.ms``, or so many
    /// seconds), and ends the connections. May be called again.
    ///
    /// Raises :class:`TimeoutError` where records were left: their deliveries say so.
    #[pyo3(signature = (timeout=None))]
    fn close(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        match close(&self.shared, self::timeout(timeout)?) {
            Some(op) => run(py, op),
            None => Ok(py.None()),
        }
    }

    /// How many partitions a topic has.
    fn partition_count(&self, py: Python<'_>, topic: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        run(py, partition_count(&self.shared, topic)?)
    }

    /// Bytes of ``buffer.memory`` that are in use.
    #[getter]
    fn memory_used(&self) -> PyResult<u64> {
        Ok(self.shared.get()?.memory_used())
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.shared.is_closed()
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.close(py, None)
    }

    fn __repr__(&self) -> String {
        describe(&self.shared, "ottla.Producer")
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.serializers.visit(&visit)
    }
}

/// What `repr` says of a client.
pub(crate) fn describe<C>(handle: &Handle<C>, name: &str) -> String {
    format!("<{name} {}>", if handle.is_closed() { "closed" } else { "open" })
}
