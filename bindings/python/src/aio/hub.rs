//! What connects one event loop with the core: a completion queue whose wake-ups reach the loop by
//! a socket pair, or, where the loop watches no sockets (as on Windows), by `call_soon_threadsafe`.
//!
//! Everything here but the wake-ups happens on the loop's thread.

use crate::errors::{Result, to_py};
use crate::op::{Op, Reply};
use ottla_bindings::{CallId, Calls, CompletionQueue, runtime};
#[cfg(unix)]
use pyo3::exceptions::{PyAttributeError, PyNotImplementedError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};
use pyo3::{PyTraverseError, PyVisit};
use std::collections::BTreeMap;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Wake, Waker};

type Queue = CompletionQueue<(CallId, Result<Reply>)>;

/// Where a call's result is put before its future is told.
pub(crate) type Slot = Arc<Mutex<Option<Result<Reply>>>>;

/// The connection of one event loop.
pub(crate) struct Hub {
    queue: Arc<Queue>,
    calls: Calls<Reply>,
    /// Batches of which records have ended.
    told: Arc<Told>,
    /// Takes the wake-up that the loop saw; where the loop watches a socket.
    hush: Option<Hush>,
    waiting: Mutex<Waiting>,
}

type Hush = Box<dyn Fn() + Send + Sync>;

/// Who waits on this loop.
#[derive(Default)]
struct Waiting {
    calls: BTreeMap<CallId, (Py<PyAny>, Slot)>,
    /// Futures of deliveries by batch; one waker for all of a batch.
    deliveries: BTreeMap<usize, (Waker, Vec<Py<PyAny>>)>,
}

/// Batches with news, by their keys.
struct Told {
    batches: Mutex<Vec<usize>>,
    queue: Arc<Queue>,
}

/// Wakes the loop for one batch.
struct BatchWaker {
    told: Arc<Told>,
    batch: usize,
}

impl Wake for BatchWaker {
    fn wake(self: Arc<Self>) {
        lock(&self.told.batches).push(self.batch);
        self.told.queue.ring();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A loop that was seen, and its hub. The loop owns the hub by the handle of its reader; a loop
/// without readers cannot, so that the list does until the loop is gone.
struct Known {
    event_loop: Py<PyWeakrefReference>,
    hub: Weak<Hub>,
    _owned: Option<Arc<Hub>>,
}

static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

impl Hub {
    /// That of the running loop.
    pub(crate) fn current(py: Python<'_>) -> PyResult<(Arc<Self>, Bound<'_, PyAny>)> {
        static GET: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let event_loop = GET.import(py, "asyncio", "get_running_loop")?.call0()?;
        let is_this = |known: &Known| {
            known.event_loop.bind(py).upgrade().is_some_and(|one| one.is(&event_loop))
        };
        let known = lock(&KNOWN).iter().find(|known| is_this(known)).map(|k| k.hub.upgrade());
        match known.flatten() {
            Some(hub) => Ok((hub, event_loop)),
            None => Ok((Self::connect(py, &event_loop)?, event_loop)),
        }
    }

    /// Connects a loop that was not seen before.
    fn connect(py: Python<'_>, event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<Self>> {
        let (hub, owned) = match Self::by_socket(py, event_loop)? {
            Some(hub) => (hub, None),
            None => {
                let hub = Self::by_call_soon(event_loop)?;
                (hub.clone(), Some(hub))
            }
        };
        let known = Known {
            event_loop: PyWeakrefReference::new(event_loop)?.unbind(),
            hub: Arc::downgrade(&hub),
            _owned: owned,
        };
        let mut all = lock(&KNOWN);
        let (gone, mut alive): (Vec<_>, Vec<_>) =
            all.drain(..).partition(|known| is_gone(py, &known.event_loop));
        alive.push(known);
        *all = alive;
        drop(all);
        drop(gone);
        Ok(hub)
    }

    /// `None` if the loop watches no sockets.
    #[cfg(unix)]
    fn by_socket(py: Python<'_>, event_loop: &Bound<'_, PyAny>) -> PyResult<Option<Arc<Self>>> {
        use std::io::{Read, Write};
        use std::os::fd::AsRawFd;
        let (readable, writable) = pair().map_err(to_py)?;
        let fd = readable.as_raw_fd();
        let wake = move || {
            // A full pipe has a wake-up already.
            let _ = (&writable).write(&[0]);
        };
        let hush = move || {
            // At most one byte is there, for at most one wake-up is on its way.
            let _ = (&readable).read(&mut [0; 16]);
        };
        let hub = Arc::new(Self::new(CompletionQueue::new(wake), Some(Box::new(hush))));
        let reader = Bound::new(py, Reader { hub: hub.clone() })?;
        match event_loop.call_method1("add_reader", (fd, reader)) {
            Ok(_) => Ok(Some(hub)),
            Err(error) if watches_no_sockets(py, &error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The loops of Windows wait for operations, not for sockets.
    #[cfg(not(unix))]
    fn by_socket(_: Python<'_>, _: &Bound<'_, PyAny>) -> PyResult<Option<Arc<Self>>> {
        Ok(None)
    }

    fn by_call_soon(event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<Self>> {
        let event_loop = Arc::new(PyWeakrefReference::new(event_loop)?.unbind());
        let hub = Arc::new_cyclic(|this: &Weak<Self>| {
            let this = this.clone();
            let wake = move || call_soon(event_loop.clone(), this.clone());
            Self::new(CompletionQueue::new(wake), None)
        });
        Ok(hub)
    }

    fn new(queue: Queue, hush: Option<Hush>) -> Self {
        let queue = Arc::new(queue);
        let told = Arc::new(Told { batches: Mutex::default(), queue: queue.clone() });
        let calls = Calls::new(queue.clone());
        Self { queue, calls, told, hush, waiting: Mutex::default() }
    }

    /// Starts an operation; the future is told when its result is in the slot.
    pub(crate) fn start(&self, op: Op, future: Py<PyAny>) -> PyResult<(CallId, Slot)> {
        let id = self.calls.start(op).map_err(to_py)?;
        let slot = Slot::default();
        lock(&self.waiting).calls.insert(id, (future, slot.clone()));
        Ok((id, slot))
    }

    /// Drops an operation and forgets who waits for it.
    pub(crate) fn cancel(&self, id: CallId) {
        let forgotten = lock(&self.waiting).calls.remove(&id);
        drop(forgotten);
        self.calls.cancel(id);
    }

    /// The future is told with the next news of the delivery's batch. Answers whether there were
    /// news before that, which it is not told then.
    pub(crate) fn watch(&self, delivery: &ottla::Delivery, future: &Bound<'_, PyAny>) -> bool {
        let mut waiting = lock(&self.waiting);
        let batch = delivery.batch_key();
        let waker = || Waker::from(Arc::new(BatchWaker { told: self.told.clone(), batch }));
        let (waker, futures) =
            waiting.deliveries.entry(batch).or_insert_with(|| (waker(), Vec::new()));
        if delivery.poll_result(&Context::from_waker(waker)).is_ready() {
            return true;
        }
        futures.push(future.clone().unbind());
        false
    }

    /// Tells everybody of whom there are news.
    fn drain(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(hush) = &self.hush {
            hush();
        }
        let mut ended = Vec::new();
        self.queue.drain(&mut ended);
        let batches = std::mem::take(&mut *lock(&self.told.batches));
        let mut futures = Vec::with_capacity(ended.len());
        let mut waiting = lock(&self.waiting);
        for (id, result) in ended {
            // Nobody waits for what was cancelled.
            if let Some((future, slot)) = waiting.calls.remove(&id) {
                *lock(&slot) = Some(result);
                futures.push(future);
            }
        }
        for batch in batches {
            futures.extend(waiting.deliveries.remove(&batch).into_iter().flat_map(|(_, f)| f));
        }
        drop(waiting);
        for future in futures {
            let future = future.into_bound(py);
            if !future.call_method0("done")?.is_truthy()? {
                future.call_method1("set_result", (py.None(),))?;
            }
        }
        Ok(())
    }
}

/// Runs on a thread that may wait for the interpreter: whoever wakes may hold a lock that the
/// thread with the interpreter wants.
fn call_soon(event_loop: Arc<Py<PyWeakrefReference>>, hub: Weak<Hub>) {
    let Ok(runtime) = runtime::runtime() else { return };
    runtime.spawn_blocking(move || {
        Python::try_attach(|py| {
            let (Some(hub), Some(event_loop)) = (hub.upgrade(), event_loop.bind(py).upgrade())
            else {
                return;
            };
            if let Ok(reader) = Bound::new(py, Reader { hub }) {
                // The loop may be closed: nobody waits then.
                let _ = event_loop.call_method1("call_soon_threadsafe", (reader,));
            }
        });
    });
}

#[cfg(unix)]
fn watches_no_sockets(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyNotImplementedError>(py)
        || error.is_instance_of::<PyAttributeError>(py)
}

fn is_gone(py: Python<'_>, event_loop: &Py<PyWeakrefReference>) -> bool {
    let Some(event_loop) = event_loop.bind(py).upgrade() else { return true };
    let closed = event_loop.call_method0("is_closed").and_then(|closed| closed.is_truthy());
    closed.unwrap_or(true)
}

#[cfg(unix)]
fn pair() -> Result<(UnixStream, UnixStream)> {
    let made = UnixStream::pair().and_then(|(readable, writable)| {
        readable.set_nonblocking(true)?;
        writable.set_nonblocking(true)?;
        Ok((readable, writable))
    });
    made.map_err(|error| {
        let message = format!("cannot make a socket pair for the event loop: {error}");
        ottla_bindings::Failure::new(ottla_bindings::Class::Full, message)
    })
}

/// What the loop calls when there are news.
#[pyclass(frozen, weakref, module = "ottla.aio")]
struct Reader {
    hub: Arc<Hub>,
}

#[pymethods]
impl Reader {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        self.hub.drain(py)
    }

    /// The loop owns this, this owns the futures that wait, and they know the loop.
    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        let Ok(waiting) = self.hub.waiting.try_lock() else { return Ok(()) };
        for (future, _) in waiting.calls.values() {
            visit.call(future)?;
        }
        let watched = waiting.deliveries.values().flat_map(|(_, futures)| futures);
        watched.into_iter().try_for_each(|future| visit.call(future))
    }

    fn __clear__(&self) {
        let waiting = std::mem::take(&mut *lock(&self.hub.waiting));
        drop(waiting);
    }
}
