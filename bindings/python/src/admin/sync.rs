//! The admin client for threads.

use super::ops::{self, Shared};
use crate::errors::to_py;
use crate::op::run;
use crate::producer::describe;
use crate::settings::config;
use crate::wait::wait;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Creates, describes, changes and deletes what a cluster holds.
///
/// Operations over several items raise the first failure; with ``return_exceptions`` each item's
/// failure is its value. One item's failure leaves the others as they are. What may pass is tried
/// again for ``default.api.timeout.ms``.
#[pyclass(frozen, weakref, subclass, module = "ottla")]
pub(crate) struct Admin {
    shared: Shared,
}

#[pymethods]
impl Admin {
    #[new]
    #[pyo3(signature = (config=None, /, **settings))]
    fn new(
        py: Python<'_>,
        config: Option<&Bound<'_, PyAny>>,
        settings: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let config = self::config(config, settings)?;
        let connected = wait(py, None, ops::connect(config))?.expect("it waits without an end");
        Ok(Self { shared: connected.map_err(to_py)? })
    }

    /// Creates topics, or says what that would do.
    #[pyo3(signature = (topics, *, validate_only=false, return_exceptions=false))]
    fn create_topics(
        &self,
        py: Python<'_>,
        topics: &Bound<'_, PyAny>,
        validate_only: bool,
        return_exceptions: bool,
    ) -> PyResult<Py<PyAny>> {
        run(py, ops::create_topics(&self.shared, topics, validate_only, return_exceptions)?)
    }

    /// Creates a topic; a plain name has the broker's defaults.
    fn create_topic(&self, py: Python<'_>, topic: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        run(py, ops::create_topic(&self.shared, topic)?)
    }

    /// Deletes topics with all their records.
    #[pyo3(signature = (topics, *, return_exceptions=false))]
    fn delete_topics(
        &self,
        py: Python<'_>,
        topics: &Bound<'_, PyAny>,
        return_exceptions: bool,
    ) -> PyResult<Py<PyAny>> {
        run(py, ops::delete_topics(&self.shared, topics, return_exceptions)?)
    }

    /// Raises the numbers of partitions to these totals. Keys may go elsewhere afterwards.
    #[pyo3(signature = (counts, *, return_exceptions=false))]
    fn create_partitions(
        &self,
        py: Python<'_>,
        counts: &Bound<'_, PyAny>,
        return_exceptions: bool,
    ) -> PyResult<Py<PyAny>> {
        run(py, ops::create_partitions(&self.shared, counts, return_exceptions)?)
    }

    /// All topics, by name.
    fn list_topics(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        run(py, ops::list_topics(&self.shared)?)
    }

    /// Partitions of topics, with leaders and replicas. Never creates a topic.
    #[pyo3(signature = (topics, *, return_exceptions=false))]
    fn describe_topics(
        &self,
        py: Python<'_>,
        topics: &Bound<'_, PyAny>,
        return_exceptions: bool,
    ) -> PyResult<Py<PyAny>> {
        run(py, ops::describe_topics(&self.shared, topics, return_exceptions)?)
    }

    /// The cluster's id, controller and brokers.
    fn describe_cluster(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        run(py, ops::describe_cluster(&self.shared)?)
    }

    /// All configuration values of topics or brokers, by name.
    #[pyo3(signature = (resources, *, return_exceptions=false))]
    fn describe_configs(
        &self,
        py: Python<'_>,
        resources: &Bound<'_, PyAny>,
        return_exceptions: bool,
    ) -> PyResult<Py<PyAny>> {
        run(py, ops::describe_configs(&self.shared, resources, return_exceptions)?)
    }

    /// Changes configuration values; those that are not named stay as they are. None removes a
    /// value, :class:`ConfigChange` adds to a list or takes from it.
    #[pyo3(signature = (changes, *, return_exceptions=false))]
    fn alter_configs(
        &self,
        py: Python<'_>,
        changes: &Bound<'_, PyAny>,
        return_exceptions: bool,
    ) -> PyResult<Py<PyAny>> {
        run(py, ops::alter_configs(&self.shared, changes, return_exceptions)?)
    }

    /// The groups of all brokers, by id.
    fn list_groups(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        run(py, ops::list_groups(&self.shared)?)
    }

    /// State, members and assignments of groups.
    #[pyo3(signature = (groups, *, return_exceptions=false))]
    fn describe_groups(
        &self,
        py: Python<'_>,
        groups: &Bound<'_, PyAny>,
        return_exceptions: bool,
    ) -> PyResult<Py<PyAny>> {
        run(py, ops::describe_groups(&self.shared, groups, return_exceptions)?)
    }

    /// Deletes groups that have no members, with their offsets.
    #[pyo3(signature = (groups, *, return_exceptions=false))]
    fn delete_groups(
        &self,
        py: Python<'_>,
        groups: &Bound<'_, PyAny>,
        return_exceptions: bool,
    ) -> PyResult<Py<PyAny>> {
        run(py, ops::delete_groups(&self.shared, groups, return_exceptions)?)
    }

    /// By partition the first offset, the next, that of the largest timestamp, or that of the
    /// first record of a time (milliseconds since 1970) or later.
    #[pyo3(signature = (specs, *, return_exceptions=false))]
    fn list_offsets(
        &self,
        py: Python<'_>,
        specs: &Bound<'_, PyAny>,
        return_exceptions: bool,
    ) -> PyResult<Py<PyAny>> {
        run(py, ops::list_offsets(&self.shared, specs, return_exceptions)?)
    }

    /// What a group has committed; empty for one that does not exist.
    fn list_consumer_group_offsets(
        &self,
        py: Python<'_>,
        group: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        run(py, ops::list_consumer_group_offsets(&self.shared, group)?)
    }

    /// Ends the connections. May be called again.
    fn close(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match ops::close(&self.shared) {
            Some(op) => run(py, op),
            None => Ok(py.None()),
        }
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
        self.close(py)
    }

    fn __repr__(&self) -> String {
        describe(&self.shared, "ottla.Admin")
    }
}
