//! Failures as Python's exceptions, which `ottla/_errors.py` defines.

use ottla_bindings::{Class, Failure};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use std::collections::BTreeMap;

/// What fails on Rust's side.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// The exception of a failure.
pub(crate) fn to_py(failure: impl Into<Failure>) -> PyErr {
    let failure = failure.into();
    Python::attach(|py| exception(py, &failure).map_or_else(|error| error, PyErr::from_value))
}

/// The same as an object that is not raised.
pub(crate) fn exception<'py>(py: Python<'py>, failure: &Failure) -> PyResult<Bound<'py, PyAny>> {
    let class = classes(py)?.get(failure.class.stem()).expect("every class has an exception");
    let flags = PyDict::new(py);
    flags.set_item("code", failure.code)?;
    flags.set_item("retriable", failure.is_retriable)?;
    flags.set_item("fatal", failure.is_fatal)?;
    flags.set_item("possibly_written", failure.possibly_written)?;
    class.bind(py).call((&failure.message,), Some(&flags))
}

/// The exceptions by the stems of their names.
fn classes(py: Python<'_>) -> PyResult<&'static BTreeMap<&'static str, Py<PyAny>>> {
    static CLASSES: PyOnceLock<BTreeMap<&'static str, Py<PyAny>>> = PyOnceLock::new();
    CLASSES.get_or_try_init(py, || {
        let module = py.import("ottla._errors")?;
        let class = |class: Class| {
            let name = format!("{}Error", class.stem());
            Ok((class.stem(), module.getattr(name.as_str())?.unbind()))
        };
        Class::ALL.into_iter().map(class).collect()
    })
}

/// An argument has the wrong type.
#[cold]
pub(crate) fn wrong_type(what: &str, expected: &str, got: &Bound<'_, PyAny>) -> PyErr {
    let got = got.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
    to_py(Failure::of_type(what, expected, &got))
}

/// An argument has a value that can never be accepted.
#[cold]
pub(crate) fn invalid(message: impl Into<String>) -> PyErr {
    to_py(Failure::new(Class::Invalid, message))
}

/// Whether an exception says that the client is closed.
pub(crate) fn is_closed(py: Python<'_>, error: &PyErr) -> bool {
    let code = error.value(py).getattr("code").and_then(|code| code.extract::<String>());
    code.is_ok_and(|code| code == Class::Closed.code())
}
