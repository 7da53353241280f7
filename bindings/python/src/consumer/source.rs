//! What a consumer for threads and one for event loops share.

use crate::batch::{self, Batch, Deserializers, Record};
use crate::errors::to_py;
use crate::handle::Handle;
use crate::op::{Op, nothing, op};
use crate::producer::callable;
use crate::types;
use crate::values::{self, integer, partition};
use ottla::{Error, OffsetAndTimestamp, RebalanceEvent, TopicPartition};
use pyo3::prelude::*;
use pyo3::types::PyMapping;
use pyo3::{PyTraverseError, PyVisit};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A consumer of the core's, with what is given out record by record.
pub(crate) struct Source {
    handle: Handle<ottla::Consumer>,
    cursor: Mutex<Option<Cursor>>,
    /// Batches that came for somebody who was cancelled meanwhile: the next to ask gets them.
    arrived: Mutex<VecDeque<ottla::Batch>>,
    functions: Functions,
    events: Option<Arc<Events>>,
}

/// The user's functions.
#[derive(Clone)]
pub(crate) struct Functions {
    deserializers: Arc<Deserializers>,
    on_rebalance: Option<Arc<Py<PyAny>>>,
}

/// A batch that is given out record by record.
struct Cursor {
    batch: Arc<batch::Shared>,
    next: usize,
    /// The offset after the last record that was given.
    next_offset: i64,
}

/// Changes of the assignment until the user's thread tells of them.
#[derive(Default)]
pub(crate) struct Events {
    queue: Mutex<Vec<RebalanceEvent>>,
    came: Notify,
}

/// What came of asking for a batch.
pub(crate) enum Asked {
    Batch(ottla::Batch),
    /// The assignment changed: tell, and ask again.
    Events,
    Closed,
}

impl Functions {
    pub(crate) fn new(
        key: Option<&Bound<'_, PyAny>>,
        value: Option<&Bound<'_, PyAny>>,
        on_rebalance: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let deserializers = Deserializers {
            key: callable("key_deserializer", key)?,
            value: callable("value_deserializer", value)?,
        };
        let on_rebalance = callable("on_rebalance", on_rebalance)?.map(Arc::new);
        Ok(Self { deserializers: Arc::new(deserializers), on_rebalance })
    }

    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.on_rebalance.as_deref())
    }
}

/// What a consumer starts with.
pub(crate) struct Start {
    pub(crate) config: ottla::Config,
    pub(crate) topics: Vec<String>,
    pub(crate) partitions: Vec<TopicPartition>,
    pub(crate) functions: Functions,
}

impl Start {
    pub(crate) async fn connect(self) -> Result<Arc<Source>, Error> {
        let events = self.functions.on_rebalance.as_ref().map(|_| Arc::<Events>::default());
        let mut builder = ottla::Consumer::builder().config(self.config);
        builder = builder.topics(self.topics).assign(self.partitions);
        if let Some(events) = events.clone() {
            builder = builder.on_rebalance(move |event| events.push(event.clone()));
        }
        let handle = Handle::new("consumer", builder.build().await?);
        let (cursor, arrived, functions) = (Mutex::default(), Mutex::default(), self.functions);
        Ok(Arc::new(Source { handle, cursor, arrived, functions, events }))
    }
}

impl Events {
    fn push(&self, event: RebalanceEvent) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        self.came.notify_one();
    }
}

impl Source {
    pub(crate) fn handle(&self) -> &Handle<ottla::Consumer> {
        &self.handle
    }

    pub(crate) fn get(&self) -> PyResult<&ottla::Consumer> {
        self.handle.get()
    }

    fn cursor(&self) -> MutexGuard<'_, Option<Cursor>> {
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next record of the open batch; the one before is finished.
    pub(crate) fn next_buffered(&self) -> PyResult<Option<Record>> {
        let client = self.get()?;
        let mut cursor = self.cursor();
        let Some(open) = cursor.as_mut() else { return Ok(None) };
        // After `false` what is left of the batch is another member's.
        if !client.finish_up_to(open.next_offset) || open.next == open.batch.len() {
            *cursor = None;
            return Ok(None);
        }
        Ok(Some(open.give()))
    }

    /// Gives out a batch record by record.
    pub(crate) fn open(&self, batch: ottla::Batch) {
        let batch = batch::Shared::new(batch, self.functions.deserializers.clone());
        let next_offset = batch.batch().base_offset();
        *self.cursor() = Some(Cursor { batch, next: 0, next_offset });
    }

    /// What is left of the open batch.
    pub(crate) fn rest(&self) -> PyResult<Option<Batch>> {
        self.get()?;
        let mut cursor = self.cursor();
        let Some(open) = cursor.as_mut().filter(|open| open.next < open.batch.len()) else {
            return Ok(None);
        };
        let rest = Batch::new(open.batch.clone(), open.next);
        (open.next, open.next_offset) = (open.batch.len(), open.batch.batch().last_offset() + 1);
        Ok(Some(rest))
    }

    /// A whole batch for the user.
    pub(crate) fn batch(&self, batch: ottla::Batch) -> Batch {
        *self.cursor() = None;
        Batch::new(batch::Shared::new(batch, self.functions.deserializers.clone()), 0)
    }

    /// A batch that came before.
    pub(crate) fn take_arrived(&self) -> PyResult<Option<ottla::Batch>> {
        self.get()?;
        Ok(self.arrived().pop_front())
    }

    fn arrived(&self) -> MutexGuard<'_, VecDeque<ottla::Batch>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next batch and keeps it for who takes it: it is not lost when the caller is
    /// cancelled at this moment. Answers whether to go on; `false` once closed.
    pub(crate) async fn wait_for_batch(&self) -> Result<bool, Error> {
        match self.ask().await? {
            Asked::Batch(batch) => self.arrived().push_back(batch),
            Asked::Events => {}
            Asked::Closed => return Ok(false),
        }
        Ok(true)
    }

    /// Waits for the next batch.
    pub(crate) async fn ask(&self) -> Result<Asked, Error> {
        let client = self.handle.client();
        let batch = match &self.events {
            None => client.next_batch().await?,
            Some(events) => tokio::select! {
                biased;
                () = events.came.notified() => return Ok(Asked::Events),
                batch = client.next_batch() => batch?,
            },
        };
        Ok(batch.map_or(Asked::Closed, Asked::Batch))
    }

    /// Calls the user's function with every change of the assignment that it does not know.
    pub(crate) fn tell(&self, py: Python<'_>) -> PyResult<()> {
        let (Some(events), Some(function)) = (&self.events, &self.functions.on_rebalance) else {
            return Ok(());
        };
        let queue = || events.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let came = std::mem::take(&mut *queue());
        for event in came {
            function.bind(py).call1((shown_event(py, event)?,))?;
        }
        Ok(())
    }

    /// Tells the core that all that was given out record by record is finished.
    fn finish_given(&self, client: &ottla::Consumer) {
        let mut cursor = self.cursor();
        if cursor.as_ref().is_some_and(|open| !client.finish_up_to(open.next_offset)) {
            *cursor = None;
        }
    }

    pub(crate) fn position(&self, of: &TopicPartition) -> PyResult<Option<i64>> {
        let client = self.get()?;
        let open = self.cursor().as_ref().filter(|open| open.is_of(of)).map(|o| o.next_offset);
        if let Some(waiting) = self.arrived().iter().find(|batch| is_of(batch, of)) {
            return Ok(Some(waiting.base_offset()));
        }
        Ok(open.or_else(|| client.position(of.clone())))
    }

    /// For a seek: what was fetched is not given out.
    pub(crate) fn leave(&self, of: &TopicPartition) {
        self.cursor().take_if(|open| open.is_of(of));
        self.arrived().retain(|batch| !is_of(batch, of));
    }
}

impl Cursor {
    fn give(&mut self) -> Record {
        let at = self.next;
        self.next += 1;
        self.next_offset = match self.next == self.batch.len() {
            // The batch may cover offsets without records.
            true => self.batch.batch().last_offset() + 1,
            false => self.batch.offset(at) + 1,
        };
        Record::new(self.batch.clone(), at)
    }

    fn is_of(&self, partition: &TopicPartition) -> bool {
        is_of(self.batch.batch(), partition)
    }
}

fn is_of(batch: &ottla::Batch, partition: &TopicPartition) -> bool {
    batch.topic() == &*partition.topic && batch.partition() == partition.partition
}

fn shown_event(py: Python<'_>, event: RebalanceEvent) -> PyResult<Bound<'_, PyAny>> {
    let (kind, partitions, position, end_offset) = match event {
        RebalanceEvent::Assigned(partitions) => ("assigned", partitions, None, None),
        RebalanceEvent::Revoked(partitions) => ("revoked", partitions, None, None),
        RebalanceEvent::Lost(partitions) => ("lost", partitions, None, None),
        RebalanceEvent::Truncated { partition, position, end_offset } => {
            ("truncated", vec![partition], Some(position), end_offset)
        }
    };
    let partitions = types::partitions(py, &partitions)?;
    types::make(py, "RebalanceEvent", (kind, partitions, position, end_offset))
}

/// `None` for the offsets: what was given out.
pub(crate) fn commit(source: &Arc<Source>, offsets: Option<&Bound<'_, PyAny>>) -> PyResult<Op> {
    let client = source.get()?;
    let source = source.clone();
    let Some(offsets) = offsets else {
        source.finish_given(client);
        return Ok(op(async move { source.handle.client().commit().await }, nothing));
    };
    let offsets = values::offsets(offsets)?;
    Ok(op(async move { source.handle.client().commit_offsets(offsets).await }, nothing))
}

pub(crate) fn commit_later(source: &Source) -> PyResult<()> {
    let client = source.get()?;
    source.finish_given(client);
    client.commit_later();
    Ok(())
}

/// `None`: there is nothing to close.
pub(crate) fn close(source: &Arc<Source>) -> Option<Op> {
    source.handle.close()?;
    let source = source.clone();
    Some(op(async move { source.handle.client().close().await }, nothing))
}

pub(crate) fn committed(source: &Arc<Source>, of: &Bound<'_, PyAny>) -> PyResult<Op> {
    let (source, of) = (checked(source)?, values::partitions(of)?);
    let asked = async move { source.handle.client().committed(of).await };
    Ok(op(asked, |py, found| {
        types::by_partition(py, found, |one| types::offset_and_metadata(py, one))
    }))
}

/// The first offsets of partitions, or those after their last records.
pub(crate) fn bounds(source: &Arc<Source>, of: &Bound<'_, PyAny>, at_end: bool) -> PyResult<Op> {
    let (source, of) = (checked(source)?, values::partitions(of)?);
    let asked = async move {
        let client = source.handle.client();
        if at_end { client.end_offsets(of).await } else { client.beginning_offsets(of).await }
    };
    Ok(op(asked, |py, found| types::by_partition(py, found, Ok)))
}

pub(crate) fn offsets_for_times(source: &Arc<Source>, of: &Bound<'_, PyAny>) -> PyResult<Op> {
    let source = checked(source)?;
    let Ok(mapping) = of.cast::<PyMapping>() else {
        let expected = "a mapping from partitions to milliseconds since 1970";
        return Err(crate::errors::wrong_type("timestamps", expected, of));
    };
    let mut wanted = Vec::new();
    for pair in mapping.items()?.iter() {
        let (key, value) = pair.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
        wanted.push((partition(&key)?, integer::<i64>("a timestamp", &value)?));
    }
    let asked = async move { source.handle.client().offsets_for_times(wanted).await };
    type Found = BTreeMap<TopicPartition, Option<OffsetAndTimestamp>>;
    Ok(op(asked, |py, found: Found| {
        types::by_partition(py, found, |one| types::offset_and_timestamp(py, one))
    }))
}

fn checked(source: &Arc<Source>) -> PyResult<Arc<Source>> {
    source.get()?;
    Ok(source.clone())
}

/// Does something to each of these partitions, or to all that are assigned.
pub(crate) fn for_each(
    client: &ottla::Consumer,
    of: &Bound<'_, PyAny>,
    act: impl Fn(TopicPartition) -> Result<(), Error>,
) -> PyResult<()> {
    let mut of = values::partitions(of)?;
    if of.is_empty() {
        of = client.assignment();
    }
    of.into_iter().try_for_each(|one| act(one).map_err(to_py))
}
