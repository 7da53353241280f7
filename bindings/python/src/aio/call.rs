//! Awaitables of our own: what is ready answers at once, without a turn of the event loop.

use super::coroutine::{awaitable, awaited_before, warn_never_awaited};
use super::hub::{Hub, Slot};
use crate::errors::to_py;
use crate::op::Op;
use ottla_bindings::{CallId, runtime::Generation};
use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What beginning came to.
pub(crate) enum Began {
    Ready(Py<PyAny>),
    Pending(Op),
}

/// Begins a call, and begins it again when its operation's reply is `None`.
pub(crate) type Begin = Box<dyn FnMut(Python<'_>) -> PyResult<Began> + Send>;

enum State {
    New(Begin),
    Waiting { begin: Begin, hub: Arc<Hub>, id: CallId, slot: Slot },
    Over,
}

/// A call that is awaited once: nothing happens before.
#[pyclass(frozen, weakref, module = "ottla.aio")]
pub(crate) struct Call {
    name: &'static str,
    state: Mutex<State>,
    generation: Generation,
}

impl Call {
    pub(crate) fn new(name: &'static str, begin: Begin) -> Self {
        let (state, generation) = (Mutex::new(State::New(begin)), Generation::current());
        Self { name, state, generation }
    }

    /// Of an operation that is made when it is awaited.
    pub(crate) fn once(
        name: &'static str,
        make: impl FnOnce(Python<'_>) -> PyResult<Op> + Send + 'static,
    ) -> Self {
        let mut make = Some(make);
        Self::new(
            name,
            Box::new(move |py| {
                let make = make.take().expect("an operation's reply is a value");
                make(py).map(Began::Pending)
            }),
        )
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One step: what the event loop waits for, or the result as `StopIteration`.
    pub(crate) fn step<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let state = std::mem::replace(&mut *self.state(), State::Over);
        let mut begin = match state {
            State::New(begin) => begin,
            State::Waiting { begin, slot, .. } => {
                let result = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
                let Some(result) = result else {
                    let message = format!("{} was woken without a result", self.name);
                    return Err(PyRuntimeError::new_err(message));
                };
                match result.map_err(to_py)?(py)? {
                    Some(value) => return Err(stop(py, value)),
                    None => begin,
                }
            }
            State::Over => return Err(awaited_before(self.name)),
        };
        match begin(py)? {
            Began::Ready(value) => Err(stop(py, value)),
            Began::Pending(op) => {
                let (hub, event_loop) = Hub::current(py)?;
                let future = new_future(&event_loop)?;
                let (id, slot) = hub.start(op, future.clone().unbind())?;
                *self.state() = State::Waiting { begin, hub, id, slot };
                Ok(future)
            }
        }
    }

    fn name(&self) -> &'static str {
        self.name
    }

    /// Ends it early: its operation is dropped.
    fn give_up(&self) {
        let state = std::mem::replace(&mut *self.state(), State::Over);
        if let State::Waiting { hub, id, .. } = state
            && self.generation.is_current()
        {
            hub.cancel(id);
        }
    }
}

/// The end of an awaitable. Who awaits it takes the value from where it is, without an exception
/// being made, unless it would be taken for an exception or its arguments.
pub(crate) fn stop(py: Python<'_>, value: Py<PyAny>) -> PyErr {
    let bound = value.bind(py);
    if bound.is_instance_of::<PyTuple>() || bound.is_instance_of::<PyBaseException>() {
        return PyStopIteration::new_err((value,));
    }
    PyStopIteration::new_err(value)
}

/// A future of the loop, as a task wants it from a step.
pub(crate) fn new_future<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    let future = event_loop.call_method0(pyo3::intern!(py, "create_future"))?;
    future.setattr(pyo3::intern!(py, "_asyncio_future_blocking"), true)?;
    Ok(future)
}

impl Drop for Call {
    fn drop(&mut self) {
        if matches!(*self.state(), State::New(_)) {
            warn_never_awaited(self.name);
        }
        self.give_up();
    }
}

awaitable!(Call);
