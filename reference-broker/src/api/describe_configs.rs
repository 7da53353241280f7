//! DescribeConfigs (key 32), versions 1 to 4: topics and brokers, with the source of each value and
//! its synonyms (AD-09).
//!
//! Null keys are all keys. Nothing is sensitive here, so no value is hidden. Broker loggers (type
//! 8) are left out.

use std::collections::BTreeMap;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_configs::{
    DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResult,
    DescribeConfigsSynonym,
};
use ottla_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::{ApiError, RequestContext};
use crate::broker::Broker;
use crate::config::{Property, table};

pub(crate) const RESOURCE_TOPIC: i8 = 2;
pub(crate) const RESOURCE_BROKER: i8 = 4;

/// Where a value comes from, by Kafka's numbers.
const SOURCE_TOPIC: i8 = 1;
const SOURCE_DYNAMIC_BROKER: i8 = 2;
const SOURCE_DYNAMIC_DEFAULT: i8 = 3;
const SOURCE_STATIC: i8 = 4;
const SOURCE_DEFAULT: i8 = 5;

/// A setting in force.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) source: i8,
    pub(crate) read_only: bool,
    property: &'static Property,
    synonyms: Vec<(String, String, i8)>,
}

pub(crate) async fn handle(
    context: &RequestContext,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let describe = |resource: &DescribeConfigsResource| {
        let mut result = DescribeConfigsResult {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..DescribeConfigsResult::default()
        };
        match entries_of(&context.broker, resource) {
            Ok(entries) => {
                let wanted = |entry: &Entry| match &resource.configuration_keys {
                    None => true,
                    Some(keys) => keys.iter().any(|key| key == entry.name),
                };
                let entries = entries.into_iter().filter(wanted);
                result.configs = entries.map(|entry| on_wire(entry, &request)).collect();
            }
            Err(error) => {
                result.error_code = error.code.code();
                result.error_message = Some(error.message);
            }
        }
        result
    };
    DescribeConfigsResponse {
        results: request.resources.iter().map(describe).collect(),
        ..DescribeConfigsResponse::default()
    }
}

fn on_wire(entry: Entry, request: &DescribeConfigsRequest) -> DescribeConfigsResourceResult {
    let synonym = |(name, value, source): (String, String, i8)| DescribeConfigsSynonym {
        name,
        value: Some(value),
        source,
        ..DescribeConfigsSynonym::default()
    };
    DescribeConfigsResourceResult {
        name: entry.name.to_owned(),
        value: Some(entry.value),
        read_only: entry.read_only,
        config_source: entry.source,
        config_type: entry.property.wire_type(),
        synonyms: match request.include_synonyms {
            true => entry.synonyms.into_iter().map(synonym).collect(),
            false => Vec::new(),
        },
        documentation: request.include_documentation.then(|| entry.property.doc.to_owned()),
        ..DescribeConfigsResourceResult::default()
    }
}

fn entries_of(broker: &Broker, resource: &DescribeConfigsResource) -> Result<Vec<Entry>, ApiError> {
    match resource.resource_type {
        RESOURCE_TOPIC => {
            let name = &resource.resource_name;
            crate::broker::topics::check_name(name)?;
            let image = broker.image();
            let topic = image.topics.get(name).ok_or_else(|| {
                let message = "This server does not host this topic-partition.";
                ApiError::new(ErrorCode::UnknownTopicOrPartition, message)
            })?;
            Ok(topic_entries(broker, &topic.configs).collect())
        }
        RESOURCE_BROKER if resource.resource_name.is_empty() => {
            let image = broker.image();
            let configs = &image.default_broker_configs;
            let set = |property: &&'static Property| configs.contains_key(property.name);
            Ok(table::BROKER
                .iter()
                .filter(set)
                .map(|property| broker_entry(broker, property))
                .collect())
        }
        RESOURCE_BROKER => {
            check_broker_name(broker, &resource.resource_name)?;
            Ok(table::BROKER.iter().map(|property| broker_entry(broker, property)).collect())
        }
        other => {
            let message = format!("Unsupported resource type: {other}");
            Err(ApiError::new(ErrorCode::InvalidRequest, message))
        }
    }
}

/// AD-12: a broker answers for itself only.
pub(crate) fn check_broker_name(broker: &Broker, name: &str) -> Result<(), ApiError> {
    let own = broker.node_id();
    match name.parse::<i32>() {
        Ok(id) if id == own => Ok(()),
        Ok(id) => {
            let message =
                format!("Unexpected broker id, expected {own} or empty string, but received {id}");
            Err(ApiError::new(ErrorCode::InvalidRequest, message))
        }
        Err(_) => {
            let message = format!("Broker id must be an integer, but it is: {name}");
            Err(ApiError::new(ErrorCode::InvalidRequest, message))
        }
    }
}

/// The settings in force for a topic with these of its own, in the order of the table.
pub(crate) fn topic_entries<'a>(
    broker: &'a Broker,
    own: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = Entry> + 'a {
    table::TOPIC.iter().map(|property| {
        let mut synonyms = Vec::new();
        if let Some(value) = own.get(property.name) {
            synonyms.push((property.name.to_owned(), value.clone(), SOURCE_TOPIC));
        }
        if let Some(fallback) = property.broker_name.and_then(table::broker) {
            synonyms.extend(broker_synonyms(broker, fallback));
        }
        if synonyms.is_empty() {
            let value = crate::config::broker_value(property, broker.config());
            synonyms.push((property.name.to_owned(), value, SOURCE_DEFAULT));
        }
        entry(property, synonyms, false)
    })
}

fn broker_entry(broker: &Broker, property: &'static Property) -> Entry {
    let mut synonyms = broker_synonyms(broker, property);
    if synonyms.is_empty() {
        synonyms.push((property.name.to_owned(), String::new(), SOURCE_DEFAULT));
    }
    entry(property, synonyms, !is_dynamic(property.name))
}

fn entry(
    property: &'static Property,
    synonyms: Vec<(String, String, i8)>,
    read_only: bool,
) -> Entry {
    let (_, value, source) = synonyms.first().cloned().expect("there is a default at least");
    Entry { name: property.name, value, source, read_only, property, synonyms }
}

/// What stands for a broker's property, the value in force first.
fn broker_synonyms(broker: &Broker, property: &'static Property) -> Vec<(String, String, i8)> {
    let name = property.name;
    let image = broker.image();
    let own = image.broker_configs.get(&broker.node_id()).and_then(|configs| configs.get(name));
    let dynamic = own.map(|value| (value, SOURCE_DYNAMIC_BROKER));
    let default =
        image.default_broker_configs.get(name).map(|value| (value, SOURCE_DYNAMIC_DEFAULT));
    let mut synonyms: Vec<_> = dynamic
        .into_iter()
        .chain(default)
        .map(|(value, source)| (name.to_owned(), value.clone(), source))
        .collect();
    let config = broker.config();
    for name in std::iter::once(name).chain(coarser_names(name).iter().copied()) {
        if let Some(value) = config.explicit(name) {
            synonyms.push((name.to_owned(), value.to_owned(), SOURCE_STATIC));
        }
    }
    for name in std::iter::once(name).chain(coarser_names(name).iter().copied()) {
        let default = table::broker(name).expect("the names are of the table").default;
        if !default.is_empty() {
            synonyms.push((name.to_owned(), default.to_owned(), SOURCE_DEFAULT));
        }
    }
    scale_first(name, &mut synonyms);
    synonyms
}

/// Names of the same setting in coarser units.
fn coarser_names(name: &str) -> &'static [&'static str] {
    match name {
        "log.retention.ms" => &["log.retention.minutes", "log.retention.hours"],
        "log.roll.ms" => &["log.roll.hours"],
        _ => &[],
    }
}

/// The value in force is in the unit of its name, wherever it was taken from.
fn scale_first(name: &str, synonyms: &mut [(String, String, i8)]) {
    let Some((from, value, _)) = synonyms.first_mut() else { return };
    if from == name {
        return;
    }
    let unit_ms = if from.ends_with("minutes") { 60_000 } else { 3_600_000 };
    if let Ok(count) = value.parse::<i64>() {
        *value = (if count < 0 { -1 } else { count * unit_ms }).to_string();
    }
}

/// Whether a broker's property can be changed while it runs: those that stand behind a topic's, the
/// limits of connections, and the rates of replication.
pub(crate) fn is_dynamic(name: &str) -> bool {
    let is_limit = matches!(name, "max.connections" | "max.connections.per.ip");
    is_limit
        || name.ends_with(".replication.throttled.rate")
        || table::TOPIC.iter().any(|property| property.broker_name == Some(name))
}
