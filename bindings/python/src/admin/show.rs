//! Answers to administrators, as the values of `ottla/_types.py`.

use crate::errors::{exception, to_py};
use crate::types::make;
use ottla::{
    BrokerAddress, ClusterDescription, ConfigEntry, ConfigResource, ConfigSource, CreatedTopic,
    GroupDescription, GroupListing, ListedOffset, MemberDescription, Outcomes, PartitionMetadata,
    TopicListing, TopicMetadata, TopicPartition,
};
use ottla_bindings::Failure;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

type Shown<'py> = PyResult<Bound<'py, PyAny>>;

/// Outcomes as a dict: a failure is raised, or is a value where failures are wanted.
pub(crate) fn outcomes<'py, K: Ord, T>(
    py: Python<'py>,
    outcomes: Outcomes<K, T>,
    keeps_failures: bool,
    show_key: impl Fn(K) -> Shown<'py>,
    show: impl Fn(T) -> Shown<'py>,
) -> PyResult<Py<PyAny>> {
    let dict = PyDict::new(py);
    for (key, outcome) in outcomes {
        let value = match outcome {
            Ok(value) => show(value)?,
            Err(error) if keeps_failures => exception(py, &Failure::from(error))?,
            Err(error) => return Err(to_py(error)),
        };
        dict.set_item(show_key(key)?, value)?;
    }
    Ok(dict.into_any().unbind())
}

pub(crate) fn list<'py, T>(
    py: Python<'py>,
    items: Vec<T>,
    show: impl Fn(Python<'py>, T) -> Shown<'py>,
) -> Shown<'py> {
    let items: PyResult<Vec<_>> = items.into_iter().map(|item| show(py, item)).collect();
    Ok(PyList::new(py, items?)?.into_any())
}

pub(crate) fn nothing(py: Python<'_>, (): ()) -> Shown<'_> {
    Ok(py.None().into_bound(py))
}

pub(crate) fn name(py: Python<'_>, name: String) -> Shown<'_> {
    name.into_bound_py_any(py)
}

pub(crate) fn partition(py: Python<'_>, (topic, index): (String, i32)) -> Shown<'_> {
    crate::types::partition(py, &TopicPartition::new(topic, index))
}

pub(crate) fn created(py: Python<'_>, of: CreatedTopic) -> Shown<'_> {
    let id = of.id.map(|id| id.to_string());
    make(py, "CreatedTopic", (id, of.partitions, of.replication_factor.map(i32::from)))
}

pub(crate) fn topic_listing(py: Python<'_>, of: TopicListing) -> Shown<'_> {
    make(py, "TopicListing", (of.name, of.id.map(|id| id.to_string()), of.is_internal))
}

pub(crate) fn topic(py: Python<'_>, of: TopicMetadata) -> Shown<'_> {
    let id = Some(of.id).filter(|id| !id.is_zero()).map(|id| id.to_string());
    let partitions = list(py, of.partitions, topic_partition)?;
    make(py, "TopicDescription", (of.name, id, of.is_internal, partitions))
}

fn topic_partition(py: Python<'_>, of: PartitionMetadata) -> Shown<'_> {
    let PartitionMetadata { index, leader, leader_epoch, replicas, isr, offline_replicas } = of;
    let fields = (index, leader, leader_epoch, replicas, isr, offline_replicas);
    make(py, "PartitionDescription", fields)
}

fn broker(py: Python<'_>, of: BrokerAddress) -> Shown<'_> {
    make(py, "Broker", (of.node_id, of.host, of.port, of.rack))
}

pub(crate) fn cluster(py: Python<'_>, of: ClusterDescription) -> Shown<'_> {
    let brokers = list(py, of.brokers, broker)?;
    make(py, "ClusterDescription", (of.cluster_id, of.controller_id, brokers))
}

pub(crate) fn resource(py: Python<'_>, of: ConfigResource) -> Shown<'_> {
    match of {
        ConfigResource::Topic(name) => make(py, "ConfigResource", ("topic", name)),
        ConfigResource::Broker(node) => make(py, "ConfigResource", ("broker", node.to_string())),
    }
}

pub(crate) fn configs(py: Python<'_>, of: Vec<ConfigEntry>) -> Shown<'_> {
    let dict = PyDict::new(py);
    for entry in of {
        let name = entry.name.clone();
        let source = match entry.source {
            ConfigSource::Topic => "topic".to_owned(),
            ConfigSource::DynamicBroker => "dynamic broker".to_owned(),
            ConfigSource::DynamicDefaultBroker => "dynamic default broker".to_owned(),
            ConfigSource::StaticBroker => "static broker".to_owned(),
            ConfigSource::Default => "default".to_owned(),
            ConfigSource::Other(number) => format!("source {number}"),
            _ => "unknown".to_owned(),
        };
        let fields = (entry.name, entry.value, source, entry.is_read_only, entry.is_sensitive);
        dict.set_item(name, make(py, "ConfigEntry", fields)?)?;
    }
    Ok(dict.into_any())
}

pub(crate) fn group_listing(py: Python<'_>, of: GroupListing) -> Shown<'_> {
    make(py, "GroupListing", (of.group_id, of.protocol_type, of.state, of.group_type))
}

pub(crate) fn group(py: Python<'_>, of: GroupDescription) -> Shown<'_> {
    let members = list(py, of.members, member)?;
    let fields = (of.group_id, of.state, of.protocol_type, of.protocol, members);
    make(py, "GroupDescription", fields)
}

fn member(py: Python<'_>, of: MemberDescription) -> Shown<'_> {
    let assignment = list(py, of.assignment, partition)?;
    let fields = (of.member_id, of.group_instance_id, of.client_id, of.client_host, assignment);
    make(py, "MemberDescription", fields)
}

pub(crate) fn listed_offset(py: Python<'_>, of: ListedOffset) -> Shown<'_> {
    make(py, "ListedOffset", (of.offset, of.timestamp, of.leader_epoch))
}
