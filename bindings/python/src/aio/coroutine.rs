//! What Python wants of an awaitable that is its own iterator: the protocol of coroutines, so that
//! tasks, `inspect` and a debugger take it for one.

use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyRuntimeWarning};
use pyo3::prelude::*;
use std::ffi::CString;

/// The methods of an awaitable class that has `step` (one step: what the event loop waits for, or
/// the result as `StopIteration`), `give_up` (ends it early) and `name`.
macro_rules! awaitable {
    ($class:ident) => {
        #[pymethods]
        impl $class {
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
                self.give_up();
                Err(crate::aio::coroutine::thrown(kind, value, traceback))
            }

            fn close(&self) {
                self.give_up();
            }

            #[getter]
            fn __name__(&self) -> &'static str {
                self.name()
            }

            #[getter]
            fn __qualname__(&self) -> &'static str {
                self.name()
            }

            fn __repr__(&self) -> String {
                format!("<call of {}>", self.name())
            }
        }
    };
}

pub(super) use awaitable;

/// The exception that `throw` was given, in either of its forms.
pub(super) fn thrown(
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
pub(super) fn warn_never_awaited(name: &str) {
    // Not at the interpreter's end.
    Python::try_attach(|py| {
        let text = CString::new(format!("{name} was never awaited")).unwrap_or_default();
        let category = py.get_type::<PyRuntimeWarning>();
        if let Err(error) = PyErr::warn(py, category.as_any(), &text, 1) {
            error.write_unraisable(py, None);
        }
    });
}

/// Why an awaitable cannot be awaited a second time.
#[cold]
pub(super) fn awaited_before(name: &str) -> PyErr {
    PyRuntimeError::new_err(format!("{name} was awaited before: call it again"))
}
