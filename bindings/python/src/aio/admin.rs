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

/// Creates, describes, changes and deletes what a cluster holds, for event loops.
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

    fn create_topic(&self, topic: Py<PyAny>) -> Call {
        self.call("Admin.create_topic", move |py, admin| ops::create_topic(admin, topic.bind(py)))
    }

    #[pyo3(signature = (topics, *, return_exceptions=false))]
    fn delete_topics(&self, topics: Py<PyAny>, return_exceptions: bool) -> Call {
        self.call("Admin.delete_topics", move |py, admin| {
            ops::delete_topics(admin, topics.bind(py), return_exceptions)
        })
    }

    #[pyo3(signature = (counts, *, return_exceptions=false))]
    fn create_partitions(&self, counts: Py<PyAny>, return_exceptions: bool) -> Call {
        self.call("Admin.create_partitions", move |py, admin| {
            ops::create_partitions(admin, counts.bind(py), return_exceptions)
        })
    }

    fn list_topics(&self) -> Call {
        self.call("Admin.list_topics", move |_, admin| ops::list_topics(admin))
    }

    #[pyo3(signature = (topics, *, return_exceptions=false))]
    fn describe_topics(&self, topics: Py<PyAny>, return_exceptions: bool) -> Call {
        self.call("Admin.describe_topics", move |py, admin| {
            ops::describe_topics(admin, topics.bind(py), return_exceptions)
        })
    }

    fn describe_cluster(&self) -> Call {
        self.call("Admin.describe_cluster", move |_, admin| ops::describe_cluster(admin))
    }

    #[pyo3(signature = (resources, *, return_exceptions=false))]
    fn describe_configs(&self, resources: Py<PyAny>, return_exceptions: bool) -> Call {
        self.call("Admin.describe_configs", move |py, admin| {
            ops::describe_configs(admin, resources.bind(py), return_exceptions)
        })
    }

    #[pyo3(signature = (changes, *, return_exceptions=false))]
    fn alter_configs(&self, changes: Py<PyAny>, return_exceptions: bool) -> Call {
        self.call("Admin.alter_configs", move |py, admin| {
            ops::alter_configs(admin, changes.bind(py), return_exceptions)
        })
    }

    fn list_groups(&self) -> Call {
        self.call("Admin.list_groups", move |_, admin| ops::list_groups(admin))
    }

    #[pyo3(signature = (groups, *, return_exceptions=false))]
    fn describe_groups(&self, groups: Py<PyAny>, return_exceptions: bool) -> Call {
        self.call("Admin.describe_groups", move |py, admin| {
            ops::describe_groups(admin, groups.bind(py), return_exceptions)
        })
    }

    #[pyo3(signature = (groups, *, return_exceptions=false))]
    fn delete_groups(&self, groups: Py<PyAny>, return_exceptions: bool) -> Call {
        self.call("Admin.delete_groups", move |py, admin| {
            ops::delete_groups(admin, groups.bind(py), return_exceptions)
        })
    }

    #[pyo3(signature = (specs, *, return_exceptions=false))]
    fn list_offsets(&self, specs: Py<PyAny>, return_exceptions: bool) -> Call {
        self.call("Admin.list_offsets", move |py, admin| {
            ops::list_offsets(admin, specs.bind(py), return_exceptions)
        })
    }

    fn list_consumer_group_offsets(&self, group: Py<PyAny>) -> Call {
        self.call("Admin.list_consumer_group_offsets", move |py, admin| {
            ops::list_consumer_group_offsets(admin, group.bind(py))
        })
    }

    fn close(&self) -> Call {
        let slot = self.slot.clone();
        let begin = move |py: Python<'_>| {
            let op = slot.get().and_then(ops::close);
            Ok(op.map_or_else(|| Began::Ready(py.None()), Began::Pending))
        };
        Call::new("Admin.close", Box::new(begin))
    }

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
