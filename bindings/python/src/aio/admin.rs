//! The admin client for event loops.

use super::call::{Began, Call};
use super::{Slot, connected, connecting};
use crate::admin::ops;
use crate::errors::to_py;
use crate::handle::Handle;
use crate::op::Op;
use crate::producer::describe;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Creates, describes, changes and deletes what a cluster holds, for event loops. It connects
/// where it is awaited or entered.
///
/// Operations over several items raise the first failure; with ``return_exceptions`` each item's
/// failure is its value. One item's failure leaves the others as they are. What may pass is tried
/// again for ``default.api.timeout.ms``.
#[pyclass(frozen, weakref, subclass, module = "ottla.aio")]
pub(crate) struct Admin {
    slot: Slot<Handle<ottla::Admin>>,
    config: ottla::Config,
}

impl Admin {
    fn call(
        &self,
        name: &'static str,
        make: impl FnOnce(Python<'_>, &ops::Shared) -> PyResult<Op> + Send + 'static,
    ) -> Call {
        let slot = self.slot.clone();
        Call::once(name, move |py| make(py, connected(&slot, "admin client")?))
    }
}

#[pymethods]
impl Admin {
    #[new]
    #[pyo3(signature = (config=None, /, **settings))]
    fn new(
        config: Option<&Bound<'_, PyAny>>,
        settings: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let config = crate::settings::config(config, settings)?;
        config.admin().map_err(to_py)?;
        Ok(Self { slot: Slot::default(), config })
    }

    /// Connects, unless it is; awaiting or entering the client does the same.
    ///
    /// Raises :class:`UnreachableError` where no bootstrap server answers.
    fn connect(slf: Py<Self>) -> Call {
        let (slot, config) = (slf.get().slot.clone(), slf.get().config.clone());
        connecting("Admin.connect", &slot, slf, ops::connect(config))
    }

    fn __await__(slf: Py<Self>) -> Call {
        Self::connect(slf)
    }

    fn __aenter__(slf: Py<Self>) -> Call {
        Self::connect(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __aexit__(&self, _exception: &Bound<'_, PyAny>) -> Call {
        self.close()
    }

    /// Creates topics, or says what that would do.
    #[pyo3(signature = (topics, *, validate_only=false, return_exceptions=false))]
    fn create_topics(
        &self,
        topics: Py<PyAny>,
        validate_only: bool,
        return_exceptions: bool,
    ) -> Call {
        self.call("Admin.create_topics", move |py, admin| {
            ops::create_topics(admin, topics.bind(py), validate_only, return_exceptions)
        })
    }

    /// Creates a topic; a plain name has the broker's defaults.
    fn create_topic(&self, topic: Py<PyAny>) -> Call {
        self.call("Admin.create_topic", move |py, admin| ops::create_topic(admin, topic.bind(py)))
    }

    /// Deletes topics with all their records.
    #[pyo3(signature = (topics, *, return_exceptions=false))]
    fn delete_topics(&self, topics: Py<PyAny>, return_exceptions: bool) -> Call {
        self.call("Admin.delete_topics", move |py, admin| {
            ops::delete_topics(admin, topics.bind(py), return_exceptions)
        })
    }

    /// Raises the numbers of partitions to these totals. Keys may go elsewhere afterwards.
    #[pyo3(signature = (counts, *, return_exceptions=false))]
    fn create_partitions(&self, counts: Py<PyAny>, return_exceptions: bool) -> Call {
        self.call("Admin.create_partitions", move |py, admin| {
            ops::create_partitions(admin, counts.bind(py), return_exceptions)
        })
    }

    /// All topics, by name.
    fn list_topics(&self) -> Call {
        self.call("Admin.list_topics", move |_, admin| ops::list_topics(admin))
    }

    /// Partitions of topics, with leaders and replicas. Never creates a topic.
    #[pyo3(signature = (topics, *, return_exceptions=false))]
    fn describe_topics(&self, topics: Py<PyAny>, return_exceptions: bool) -> Call {
        self.call("Admin.describe_topics", move |py, admin| {
            ops::describe_topics(admin, topics.bind(py), return_exceptions)
        })
    }

    /// The cluster's id, controller and brokers.
    fn describe_cluster(&self) -> Call {
        self.call("Admin.describe_cluster", move |_, admin| ops::describe_cluster(admin))
    }

    /// All configuration values of topics or brokers, by name.
    #[pyo3(signature = (resources, *, return_exceptions=false))]
    fn describe_configs(&self, resources: Py<PyAny>, return_exceptions: bool) -> Call {
        self.call("Admin.describe_configs", move |py, admin| {
            ops::describe_configs(admin, resources.bind(py), return_exceptions)
        })
    }

    /// Changes configuration values; those that are not named stay as they are. None removes a
    /// value, :class:`ConfigChange` adds to a list or takes from it.
    #[pyo3(signature = (changes, *, return_exceptions=false))]
    fn alter_configs(&self, changes: Py<PyAny>, return_exceptions: bool) -> Call {
        self.call("Admin.alter_configs", move |py, admin| {
            ops::alter_configs(admin, changes.bind(py), return_exceptions)
        })
    }

    /// The groups of all brokers, by id.
    fn list_groups(&self) -> Call {
        self.call("Admin.list_groups", move |_, admin| ops::list_groups(admin))
    }

    /// State, members and assignments of groups.
    #[pyo3(signature = (groups, *, return_exceptions=false))]
    fn describe_groups(&self, groups: Py<PyAny>, return_exceptions: bool) -> Call {
        self.call("Admin.describe_groups", move |py, admin| {
            ops::describe_groups(admin, groups.bind(py), return_exceptions)
        })
    }

    /// Deletes groups that have no members, with their offsets.
    #[pyo3(signature = (groups, *, return_exceptions=false))]
    fn delete_groups(&self, groups: Py<PyAny>, return_exceptions: bool) -> Call {
        self.call("Admin.delete_groups", move |py, admin| {
            ops::delete_groups(admin, groups.bind(py), return_exceptions)
        })
    }

    /// By partition the first offset, the next, that of the largest timestamp, or that of the
    /// first record of a time (milliseconds since 1970) or later.
    #[pyo3(signature = (specs, *, return_exceptions=false))]
    fn list_offsets(&self, specs: Py<PyAny>, return_exceptions: bool) -> Call {
        self.call("Admin.list_offsets", move |py, admin| {
            ops::list_offsets(admin, specs.bind(py), return_exceptions)
        })
    }

    /// What a group has committed; empty for one that does not exist.
    fn list_consumer_group_offsets(&self, group: Py<PyAny>) -> Call {
        self.call("Admin.list_consumer_group_offsets", move |py, admin| {
            ops::list_consumer_group_offsets(admin, group.bind(py))
        })
    }

    /// Ends the connections. May be called again.
    fn close(&self) -> Call {
        let slot = self.slot.clone();
        let begin = move |py: Python<'_>| {
            let op = slot.get().and_then(ops::close);
            Ok(op.map_or_else(|| Began::Ready(py.None()), Began::Pending))
        };
        Call::new("Admin.close", Box::new(begin))
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.slot.get().is_some_and(|shared| shared.is_closed())
    }

    fn __repr__(&self) -> String {
        match self.slot.get() {
            Some(shared) => describe(shared, "ottla.aio.Admin"),
            None => "<ottla.aio.Admin not connected>".to_owned(),
        }
    }
}
