//! The administrator's operations: Python's arguments to the core's.

use super::show;
use crate::errors::{invalid, wrong_type};
use crate::handle::Handle;
use crate::op::{Op, op};
use crate::types;
use crate::values::{integer, partition, text, texts};
use ottla::{
    Admin, ConfigChange, ConfigResource, Error, NewTopic, OffsetAndMetadata, OffsetSpec,
    TopicPartition,
};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyMapping, PyString};
use std::sync::Arc;

/// An admin client of the core's, shared with the operations under way.
pub(crate) type Shared = Arc<Handle<Admin>>;

pub(crate) async fn connect(config: ottla::Config) -> Result<Shared, Error> {
    let admin = Admin::builder().config(config).build().await?;
    Ok(Arc::new(Handle::new("admin client", admin)))
}

/// `None`: there is nothing to close.
pub(crate) fn close(admin: &Shared) -> Option<Op> {
    admin.close()?;
    let admin = admin.clone();
    let closing = async move {
        admin.client().close().await;
        Ok::<(), Error>(())
    };
    Some(op(closing, crate::op::nothing))
}

fn checked(admin: &Shared) -> PyResult<Shared> {
    admin.get()?;
    Ok(admin.clone())
}

/// Pairs of a mapping.
fn pairs<'py>(
    what: &str,
    expected: &str,
    value: &Bound<'py, PyAny>,
) -> PyResult<Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
    let Ok(mapping) = value.cast::<PyMapping>() else {
        return Err(wrong_type(what, expected, value));
    };
    mapping.items()?.iter().map(|pair| pair.extract()).collect()
}

/// A `NewTopic`, or a name for one with the broker's defaults.
fn new_topic(value: &Bound<'_, PyAny>) -> PyResult<NewTopic> {
    if let Ok(name) = value.cast::<PyString>() {
        return Ok(NewTopic::new(name.to_str()?, -1, -1));
    }
    let Ok(name) = value.getattr("name") else {
        return Err(wrong_type("a topic", "a NewTopic or a name", value));
    };
    let name = text("a topic's name", &name)?.to_owned();
    let assignments: Option<Vec<Vec<i32>>> = value.getattr("assignments")?.extract()?;
    let mut topic = match assignments {
        Some(assignments) => NewTopic::assigned(name, assignments),
        None => {
            let partitions = integer("partitions", &value.getattr("partitions")?)?;
            let replicas = integer("replication_factor", &value.getattr("replication_factor")?)?;
            NewTopic::new(name, partitions, replicas)
        }
    };
    let configs = value.getattr("configs")?;
    if !configs.is_none() {
        for (name, value) in pairs("configs", "a mapping from names to values", &configs)? {
            topic = topic.config(text("a config's name", &name)?, config_value(&value)?);
        }
    }
    Ok(topic)
}

/// Flags are lower case in Kafka.
fn config_value(value: &Bound<'_, PyAny>) -> PyResult<String> {
    match value.extract::<bool>() {
        Ok(flag) => Ok(flag.to_string()),
        Err(_) => Ok(value.str()?.to_str()?.to_owned()),
    }
}

pub(crate) fn create_topics(
    admin: &Shared,
    topics: &Bound<'_, PyAny>,
    only_validates: bool,
    keeps_failures: bool,
) -> PyResult<Op> {
    let admin = checked(admin)?;
    let items = match topics.try_iter() {
        Ok(items) if !topics.is_instance_of::<PyString>() => items,
        _ => return Err(wrong_type("topics", "an iterable of NewTopic or of names", topics)),
    };
    let topics: Vec<_> = items.map(|topic| new_topic(&topic?)).collect::<PyResult<_>>()?;
    let created = async move {
        match only_validates {
            true => admin.client().validate_topics(topics).await,
            false => admin.client().create_topics(topics).await,
        }
    };
    Ok(op(created, move |py, done| {
        let shown = |one| show::created(py, one);
        show::outcomes(py, done, keeps_failures, |name| show::name(py, name), shown)
    }))
}

pub(crate) fn create_topic(admin: &Shared, topic: &Bound<'_, PyAny>) -> PyResult<Op> {
    let (admin, topic) = (checked(admin)?, new_topic(topic)?);
    let created = async move { admin.client().create_topic(topic).await };
    Ok(op(created, |py, done| show::created(py, done).map(Bound::unbind)))
}

pub(crate) fn delete_topics(
    admin: &Shared,
    topics: &Bound<'_, PyAny>,
    keeps_failures: bool,
) -> PyResult<Op> {
    let (admin, topics) = (checked(admin)?, texts("topics", topics)?);
    let deleted = async move { admin.client().delete_topics(topics).await };
    Ok(op(deleted, move |py, done| {
        let shown = |one| show::nothing(py, one);
        show::outcomes(py, done, keeps_failures, |name| show::name(py, name), shown)
    }))
}

pub(crate) fn create_partitions(
    admin: &Shared,
    counts: &Bound<'_, PyAny>,
    keeps_failures: bool,
) -> PyResult<Op> {
    let admin = checked(admin)?;
    let mut wanted = Vec::new();
    for (topic, count) in pairs("counts", "a mapping from topics to totals", counts)? {
        wanted.push((text("a topic", &topic)?.to_owned(), integer("a total", &count)?));
    }
    let created = async move { admin.client().create_partitions(wanted).await };
    Ok(op(created, move |py, done| {
        let shown = |one| show::nothing(py, one);
        show::outcomes(py, done, keeps_failures, |name| show::name(py, name), shown)
    }))
}

pub(crate) fn list_topics(admin: &Shared) -> PyResult<Op> {
    let admin = checked(admin)?;
    let listed = async move { admin.client().list_topics().await };
    Ok(op(listed, |py, all| show::list(py, all, show::topic_listing).map(Bound::unbind)))
}

pub(crate) fn describe_topics(
    admin: &Shared,
    topics: &Bound<'_, PyAny>,
    keeps_failures: bool,
) -> PyResult<Op> {
    let (admin, topics) = (checked(admin)?, texts("topics", topics)?);
    let described = async move { admin.client().describe_topics(topics).await };
    Ok(op(described, move |py, done| {
        let shown = |one| show::topic(py, one);
        show::outcomes(py, done, keeps_failures, |name| show::name(py, name), shown)
    }))
}

pub(crate) fn describe_cluster(admin: &Shared) -> PyResult<Op> {
    let admin = checked(admin)?;
    let described = async move { admin.client().describe_cluster().await };
    Ok(op(described, |py, cluster| show::cluster(py, cluster).map(Bound::unbind)))
}

/// A `ConfigResource`, or a pair of its fields.
fn resource(value: &Bound<'_, PyAny>) -> PyResult<ConfigResource> {
    let Ok((kind, name)) = value.extract::<(String, String)>() else {
        return Err(wrong_type("a resource", "a ConfigResource", value));
    };
    match (kind.as_str(), name.parse()) {
        ("topic", _) => Ok(ConfigResource::Topic(name)),
        ("broker", Ok(node)) => Ok(ConfigResource::Broker(node)),
        _ => Err(invalid(format!("no resource is {kind:?} {name:?}: it is a topic or a broker"))),
    }
}

pub(crate) fn describe_configs(
    admin: &Shared,
    resources: &Bound<'_, PyAny>,
    keeps_failures: bool,
) -> PyResult<Op> {
    let admin = checked(admin)?;
    let Ok(items) = resources.try_iter() else {
        return Err(wrong_type("resources", "an iterable of ConfigResource", resources));
    };
    let resources: Vec<_> = items.map(|one| resource(&one?)).collect::<PyResult<_>>()?;
    let described = async move { admin.client().describe_configs(resources).await };
    Ok(op(described, move |py, done| {
        let shown = |one| show::configs(py, one);
        show::outcomes(py, done, keeps_failures, |of| show::resource(py, of), shown)
    }))
}

/// None deletes; a `ConfigChange` says what to do; anything else sets.
fn change(name: String, value: &Bound<'_, PyAny>) -> PyResult<ConfigChange> {
    if value.is_none() {
        return Ok(ConfigChange::Delete(name));
    }
    let Ok((operation, text)) = value.extract::<(String, String)>() else {
        return Ok(ConfigChange::Set(name, config_value(value)?));
    };
    match operation.as_str() {
        "append" => Ok(ConfigChange::Append(name, text)),
        "subtract" => Ok(ConfigChange::Subtract(name, text)),
        other => Err(invalid(format!("a change is append or subtract, not {other:?}"))),
    }
}

pub(crate) fn alter_configs(
    admin: &Shared,
    changes: &Bound<'_, PyAny>,
    keeps_failures: bool,
) -> PyResult<Op> {
    let admin = checked(admin)?;
    let mut wanted = Vec::new();
    for (of, values) in pairs("changes", "a mapping from ConfigResource to mappings", changes)? {
        let values = pairs("a resource's changes", "a mapping from names to values", &values)?;
        let one = |(name, value): &(Bound<'_, PyAny>, Bound<'_, PyAny>)| {
            change(text("a config's name", name)?.to_owned(), value)
        };
        wanted.push((resource(&of)?, values.iter().map(one).collect::<PyResult<_>>()?));
    }
    let altered = async move { admin.client().alter_configs(wanted).await };
    Ok(op(altered, move |py, done| {
        let shown = |one| show::nothing(py, one);
        show::outcomes(py, done, keeps_failures, |of| show::resource(py, of), shown)
    }))
}

pub(crate) fn list_groups(admin: &Shared) -> PyResult<Op> {
    let admin = checked(admin)?;
    let listed = async move { admin.client().list_groups().await };
    Ok(op(listed, |py, all| show::list(py, all, show::group_listing).map(Bound::unbind)))
}

pub(crate) fn describe_groups(
    admin: &Shared,
    groups: &Bound<'_, PyAny>,
    keeps_failures: bool,
) -> PyResult<Op> {
    let (admin, groups) = (checked(admin)?, texts("groups", groups)?);
    let described = async move { admin.client().describe_groups(groups).await };
    Ok(op(described, move |py, done| {
        let shown = |one| show::group(py, one);
        show::outcomes(py, done, keeps_failures, |name| show::name(py, name), shown)
    }))
}

pub(crate) fn delete_groups(
    admin: &Shared,
    groups: &Bound<'_, PyAny>,
    keeps_failures: bool,
) -> PyResult<Op> {
    let (admin, groups) = (checked(admin)?, texts("groups", groups)?);
    let deleted = async move { admin.client().delete_groups(groups).await };
    Ok(op(deleted, move |py, done| {
        let shown = |one| show::nothing(py, one);
        show::outcomes(py, done, keeps_failures, |name| show::name(py, name), shown)
    }))
}

fn offset_spec(value: &Bound<'_, PyAny>) -> PyResult<OffsetSpec> {
    const EXPECTED: &str = "\"earliest\", \"latest\", \"max_timestamp\" or a timestamp as int";
    if value.is_instance_of::<PyInt>() {
        return integer("a timestamp", value).map(OffsetSpec::Timestamp);
    }
    let Ok(name) = value.cast::<PyString>() else {
        return Err(wrong_type("an offset", EXPECTED, value));
    };
    match name.to_str()? {
        "earliest" => Ok(OffsetSpec::Earliest),
        "latest" => Ok(OffsetSpec::Latest),
        "max_timestamp" => Ok(OffsetSpec::MaxTimestamp),
        other => Err(invalid(format!("an offset must be {EXPECTED}, not {other:?}"))),
    }
}

pub(crate) fn list_offsets(
    admin: &Shared,
    specs: &Bound<'_, PyAny>,
    keeps_failures: bool,
) -> PyResult<Op> {
    let admin = checked(admin)?;
    let mut wanted = Vec::new();
    for (of, spec) in pairs("specs", "a mapping from partitions to offsets", specs)? {
        let of = partition(&of)?;
        wanted.push(((of.topic.to_string(), of.partition), offset_spec(&spec)?));
    }
    let listed = async move { admin.client().list_offsets(wanted).await };
    Ok(op(listed, move |py, done| {
        let shown = |one| show::listed_offset(py, one);
        show::outcomes(py, done, keeps_failures, |of| show::partition(py, of), shown)
    }))
}

pub(crate) fn list_consumer_group_offsets(
    admin: &Shared,
    group: &Bound<'_, PyAny>,
) -> PyResult<Op> {
    let (admin, group) = (checked(admin)?, text("group", group)?.to_owned());
    let listed = async move { admin.client().list_consumer_group_offsets(&group).await };
    Ok(op(listed, |py, found| {
        let found = found.into_iter().map(|((topic, partition), committed)| {
            let metadata = Some(committed.metadata).filter(|note| !note.is_empty());
            let (offset, leader_epoch) = (committed.offset, committed.leader_epoch);
            let of = TopicPartition::new(topic, partition);
            (of, OffsetAndMetadata { offset, leader_epoch, metadata })
        });
        types::by_partition(py, found.collect(), |one| types::offset_and_metadata(py, one))
    }))
}
