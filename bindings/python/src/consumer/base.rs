//! What every consumer answers without waiting.

use super::source::{Source, Start, commit_later, for_each};
use crate::errors::to_py;
use crate::handle::closed;
use crate::producer::describe;
use crate::types;
use crate::values::{integer, partition, partitions, texts};
use ottla::TopicPartition;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::sync::{Arc, OnceLock};

/// A consumer once it is connected.
pub(crate) type Slot = Arc<OnceLock<Arc<Source>>>;

/// What every consumer answers without waiting. A plain pair of topic and number will do for a
/// partition. Those that take several take all that are assigned when none is given.
#[pyclass(frozen, subclass, weakref, module = "ottla")]
pub(crate) struct ConsumerBase {
    slot: Slot,
}

impl ConsumerBase {
    pub(crate) fn new(slot: Slot) -> Self {
        Self { slot }
    }

    fn client(&self) -> PyResult<&ottla::Consumer> {
        connected(&self.slot)?.get()
    }

    /// The client, for a seek of this partition: what is open of it is left.
    fn moving(&self, of: &TopicPartition) -> PyResult<&ottla::Consumer> {
        let client = self.client()?;
        connected(&self.slot)?.leave(of);
        Ok(client)
    }
}

/// The consumer behind the slot.
pub(crate) fn connected(slot: &Slot) -> PyResult<&Arc<Source>> {
    slot.get().ok_or_else(|| {
        let mut failure = closed("consumer");
        failure.message = "the consumer is not connected: await it, or use async with".to_owned();
        failure.is_fatal = false;
        to_py(failure)
    })
}

/// What the constructor's arguments say.
pub(crate) fn start(
    config: ottla::Config,
    topics: Option<&Bound<'_, PyAny>>,
    assigned: Option<&Bound<'_, PyAny>>,
    functions: super::source::Functions,
) -> PyResult<Start> {
    let topics = topics.map(|topics| texts("topics", topics)).transpose()?.unwrap_or_default();
    let partitions = assigned.map(partitions).transpose()?.unwrap_or_default();
    Ok(Start { config, topics, partitions, functions })
}

#[pymethods]
impl ConsumerBase {
    /// Commits what was given out, without waiting; commits are sent in order.
    fn commit_later(&self) -> PyResult<()> {
        commit_later(connected(&self.slot)?)
    }

    /// Replaces the subscription; the group rebalances.
    fn subscribe(&self, topics: &Bound<'_, PyAny>) -> PyResult<()> {
        self.client()?.subscribe(texts("topics", topics)?).map_err(to_py)
    }

    /// Replaces the partitions of a consumer that was made with them.
    fn assign(&self, partitions: &Bound<'_, PyAny>) -> PyResult<()> {
        self.client()?.assign(self::partitions(partitions)?);
        Ok(())
    }

    /// The partitions that it has now.
    fn assignment(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        types::partitions(py, &self.client()?.assignment())
    }

    /// The offset after what was given out; None while it is not known or assigned.
    fn position(&self, partition: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
        connected(&self.slot)?.position(&self::partition(partition)?)
    }

    /// How many records are behind the position, as of the last fetch; None before it.
    fn lag(&self, partition: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
        Ok(self.client()?.lag(self::partition(partition)?))
    }

    /// Goes to an offset. Raises :class:`InvalidError` if the partition is not assigned.
    fn seek(&self, partition: &Bound<'_, PyAny>, offset: &Bound<'_, PyAny>) -> PyResult<()> {
        let (of, offset) = (self::partition(partition)?, integer("offset", offset)?);
        self.moving(&of)?.seek(of, offset).map_err(to_py)
    }

    /// Goes to the first offsets.
    #[pyo3(signature = (*partitions))]
    fn seek_to_beginning(&self, partitions: &Bound<'_, PyTuple>) -> PyResult<()> {
        let (client, source) = (self.client()?, connected(&self.slot)?);
        for_each(client, partitions, |of| {
            source.leave(&of);
            client.seek_to_beginning(of)
        })
    }

    /// Goes behind the last records.
    #[pyo3(signature = (*partitions))]
    fn seek_to_end(&self, partitions: &Bound<'_, PyTuple>) -> PyResult<()> {
        let (client, source) = (self.client()?, connected(&self.slot)?);
        for_each(client, partitions, |of| {
            source.leave(&of);
            client.seek_to_end(of)
        })
    }

    /// Goes to the first record of this time (milliseconds since 1970) or later.
    fn seek_to_timestamp(
        &self,
        partition: &Bound<'_, PyAny>,
        timestamp: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let (of, timestamp) = (self::partition(partition)?, integer("timestamp", timestamp)?);
        self.moving(&of)?.seek_to_timestamp(of, timestamp).map_err(to_py)
    }

    /// Gives nothing out of them until :meth:`resume`.
    #[pyo3(signature = (*partitions))]
    fn pause(&self, partitions: &Bound<'_, PyTuple>) -> PyResult<()> {
        let client = self.client()?;
        for_each(client, partitions, |of| client.pause(of))
    }

    /// Gives them out again.
    #[pyo3(signature = (*partitions))]
    fn resume(&self, partitions: &Bound<'_, PyTuple>) -> PyResult<()> {
        let client = self.client()?;
        for_each(client, partitions, |of| client.resume(of))
    }

    /// Whether it is paused.
    fn is_paused(&self, partition: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.client()?.is_paused(self::partition(partition)?))
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.slot.get().is_some_and(|source| source.handle().is_closed())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let name = slf.get_type().fully_qualified_name()?.to_string();
        Ok(match slf.get().slot.get() {
            Some(source) => describe(source.handle(), &name),
            None => format!("<{name} not connected>"),
        })
    }
}
