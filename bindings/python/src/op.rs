//! Operations: futures whose results become Python's objects, to be waited for by a thread or by an
//! event loop.

use crate::errors::{Result, to_py};
use crate::wait::wait;
use ottla_bindings::{Class, Failure};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A result on its way to the interpreter; `None` asks the caller to begin again.
pub(crate) type Reply = Box<dyn FnOnce(Python<'_>) -> PyResult<Option<Py<PyAny>>> + Send>;

/// An operation of a client.
pub(crate) type Op = Pin<Box<dyn Future<Output = Result<Reply>> + Send>>;

/// The operation of a future and of how its result is shown.
pub(crate) fn op<T, E>(
    future: impl Future<Output = Result<T, E>> + Send + 'static,
    show: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
) -> Op
where
    T: Send + 'static,
    E: Into<Failure>,
{
    Box::pin(async move {
        let value = future.await.map_err(Into::into)?;
        Ok(Box::new(move |py: Python<'_>| show(py, value).map(Some)) as Reply)
    })
}

/// Shows nothing.
pub(crate) fn nothing(py: Python<'_>, (): ()) -> PyResult<Py<PyAny>> {
    Ok(py.None())
}

/// Shows what PyO3 knows to convert.
pub(crate) fn plain<T>(py: Python<'_>, value: T) -> PyResult<Py<PyAny>>
where
    T: for<'py> IntoPyObject<'py>,
{
    value.into_py_any(py)
}

/// Waits for an operation on this thread.
pub(crate) fn run(py: Python<'_>, op: Op) -> PyResult<Py<PyAny>> {
    run_within(py, None, "", op)
}

/// Waits for an operation on this thread, at most so long.
pub(crate) fn run_within(
    py: Python<'_>,
    timeout: Option<Duration>,
    what: &str,
    op: Op,
) -> PyResult<Py<PyAny>> {
    match wait(py, timeout, op)? {
        Some(result) => Ok(result.map_err(to_py)?(py)?.unwrap_or_else(|| py.None())),
        None => Err(to_py(too_late(what, timeout.unwrap_or_default()))),
    }
}

pub(crate) fn too_late(what: &str, timeout: Duration) -> Failure {
    let seconds = timeout.as_secs_f64();
    Failure::new(Class::Timeout, format!("{what} took longer than {seconds} s"))
}

/// The same operation, at most so long.
pub(crate) fn within(timeout: Option<Duration>, what: &'static str, op: Op) -> Op {
    let Some(timeout) = timeout else { return op };
    Box::pin(async move {
        let late = |_| Err(too_late(what, timeout));
        tokio::time::timeout(timeout, op).await.unwrap_or_else(late)
    })
}
