//! Awaitables of our own: what is ready answers at once, without a turn of the event loop.

use super::hub::{Hub, Slot};
use crate::errors::to_py;
use crate::op::Op;
use ottla_bindings::{CallId, runtime::Generation};
use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyRuntimeWarning, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::ffi::CString;
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
            State::Over => {
                let message = format!("{} was awaited before: call it again", self.name);
                return Err(PyRuntimeError::new_err(message));
            }
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

    /// Ends it early: its operation is dropped.
    pub(crate) fn cancel(&self) {
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

/// The exception that `throw` was given, in either of its forms.
pub(crate) fn thrown(
    kind: &Bound<'_, PyAny>,
    value: Option<&Bound<'_, PyAny>>,
    traceback: Option<&Bound<'_, PyAny>>,
) -> PyErr {
    let given = value.filter(|value| !value.is_none());
    let error = match given {
        Some(value) if value.is_instance_of::<PyBaseException>() => Ok(value.clone()),
        Some(value) => kind.call1((value,)),
        None if kind.is_callable() => kind.call0(),
        None => Ok(kind.clone()),
    };
    let error = error.and_then(|error| match traceback.filter(|traceback| !traceback.is_none()) {
        Some(traceback) => error.call_method1("with_traceback", (traceback,)),
        None => Ok(error),
    });
    error.map_or_else(|error| error, PyErr::from_value)
}

/// Tells that something was never awaited, as Python does of its own.
pub(crate) fn warn_never_awaited(name: &str) {
    // Not at the interpreter's end.
    Python::try_attach(|py| {
        let text = CString::new(format!("{name} was never awaited")).unwrap_or_default();
        let category = py.get_type::<PyRuntimeWarning>();
        if let Err(error) = PyErr::warn(py, category.as_any(), &text, 1) {
            error.write_unraisable(py, None);
        }
    });
}

impl Drop for Call {
    fn drop(&mut self) {
        if matches!(*self.state(), State::New(_)) {
            warn_never_awaited(self.name);
        }
        self.cancel();
    }
}

#[pymethods]
impl Call {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.step(py)
    }

    fn send<'py>(
        &self,
        py: Python<'py>,
        _value: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.step(py)
    }

    #[pyo3(signature = (kind, value=None, traceback=None))]
    fn throw(
        &self,
        kind: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.cancel();
        Err(thrown(kind, value, traceback))
    }

    fn close(&self) {
        self.cancel();
    }

    #[getter]
    fn __name__(&self) -> &'static str {
        self.name
    }

    #[getter]
    fn __qualname__(&self) -> &'static str {
        self.name
    }

    fn __repr__(&self) -> String {
        format!("<call of {}>", self.name)
    }
}
