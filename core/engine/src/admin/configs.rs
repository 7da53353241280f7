//! DescribeConfigs and IncrementalAlterConfigs, of topics and brokers.

use super::items::{Items, item_by_item};
use super::{Operation, Outcomes, unexpected};
use crate::call::Target;
use crate::cluster::Metadata;
use crate::error::Error;
use ottla_protocol::messages::describe_configs::{
    DescribeConfigsResource, DescribeConfigsResourceResult,
};
use ottla_protocol::messages::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use ottla_protocol::messages::{
    DescribeConfigsRequest, IncrementalAlterConfigsRequest, Request, Response,
};
use std::collections::BTreeMap;
use std::fmt;

/// What a configuration belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    /// A topic.
    Topic(String),
    /// A broker, by node id.
    Broker(i32),
}

impl ConfigResource {
    fn wire(&self) -> (i8, String) {
        match self {
            Self::Topic(name) => (2, name.clone()),
            Self::Broker(node) => (4, node.to_string()),
        }
    }

    fn from_wire(kind: i8, name: &str) -> Option<Self> {
        match kind {
            2 => Some(Self::Topic(name.to_owned())),
            4 => name.parse().ok().map(Self::Broker),
            _ => None,
        }
    }

    /// A broker answers for its own configuration only.
    fn target(&self) -> Target {
        match self {
            Self::Topic(_) => Target::Any,
            Self::Broker(node) => Target::Node(*node),
        }
    }
}

impl fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic {name:?}"),
            Self::Broker(node) => write!(f, "broker {node}"),
        }
    }
}

/// Where a value comes from (KIP-226).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigSource {
    /// Set on the topic.
    Topic,
    /// Set on the broker at run time.
    DynamicBroker,
    /// Set for all brokers at run time.
    DynamicDefaultBroker,
    /// From the broker's file.
    StaticBroker,
    /// Nobody set it.
    Default,
    /// Another one, by its number.
    Other(i8),
}

impl ConfigSource {
    fn from_wire(source: i8) -> Self {
        match source {
            1 => Self::Topic,
            2 => Self::DynamicBroker,
            3 => Self::DynamicDefaultBroker,
            4 => Self::StaticBroker,
            5 => Self::Default,
            other => Self::Other(other),
        }
    }
}

/// One configuration value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name, for example `retention.ms`.
    pub name: String,
    /// Its value; `None` where it is sensitive or unset.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether it cannot be changed at run time.
    pub is_read_only: bool,
    /// Whether the broker keeps the value to itself.
    pub is_sensitive: bool,
}

/// A change of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigChange {
    /// Sets it.
    Set(String, String),
    /// Removes what was set: the default is in force again.
    Delete(String),
    /// Adds to a list.
    Append(String, String),
    /// Takes from a list.
    Subtract(String, String),
}

impl ConfigChange {
    fn wire(&self) -> AlterableConfig {
        let (name, operation, value) = match self {
            Self::Set(name, value) => (name, 0, Some(value.clone())),
            Self::Delete(name) => (name, 1, None),
            Self::Append(name, value) => (name, 2, Some(value.clone())),
            Self::Subtract(name, value) => (name, 3, Some(value.clone())),
        };
        AlterableConfig {
            name: name.clone(),
            config_operation: operation,
            value,
            ..Default::default()
        }
    }
}

/// Open resources by the broker that answers for them.
fn by_target<S>(
    open: &BTreeMap<ConfigResource, S>,
) -> BTreeMap<Target, Vec<(&ConfigResource, &S)>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (resource, spec) in open {
        groups.entry(resource.target()).or_default().push((resource, spec));
    }
    groups
}

/// Reads configurations (API key 32).
#[derive(Debug)]
pub struct DescribeConfigs {
    items: Items<ConfigResource, (), Vec<ConfigEntry>>,
}

impl DescribeConfigs {
    /// All values of these resources.
    pub fn new(resources: impl IntoIterator<Item = ConfigResource>) -> Self {
        Self { items: Items::new(resources.into_iter().map(|resource| (resource, ()))) }
    }
}

fn entry(entry: &DescribeConfigsResourceResult) -> ConfigEntry {
    ConfigEntry {
        name: entry.name.clone(),
        value: entry.value.clone(),
        source: ConfigSource::from_wire(entry.config_source),
        is_read_only: entry.read_only,
        is_sensitive: entry.is_sensitive,
    }
}

impl Operation for DescribeConfigs {
    type Answer = Outcomes<ConfigResource, Vec<ConfigEntry>>;

    fn what(&self) -> &'static str {
        "describe configurations"
    }

    fn requests(&mut self, _: &Metadata) -> Vec<(Target, Request)> {
        let resource = |resource: &ConfigResource| {
            let (resource_type, resource_name) = resource.wire();
            DescribeConfigsResource {
                resource_type,
                resource_name,
                configuration_keys: None,
                ..Default::default()
            }
        };
        by_target(&self.items.open)
            .into_iter()
            .map(|(target, resources)| {
                let resources = resources.into_iter().map(|(key, ())| resource(key)).collect();
                let request = DescribeConfigsRequest { resources, ..Default::default() };
                (target, Request::DescribeConfigs(Box::new(request)))
            })
            .collect()
    }

    fn read(&mut self, _: &Target, response: Response) -> Result<(), Error> {
        let Response::DescribeConfigs(response) = response else {
            return Err(unexpected(&response));
        };
        for result in &response.results {
            let key = ConfigResource::from_wire(result.resource_type, &result.resource_name);
            let Some(key) = key else { continue };
            let what = format!("cannot describe the configuration of {key}");
            let message = result.error_message.as_deref();
            self.items.settle(&key, result.error_code, message, what, || {
                result.configs.iter().map(entry).collect()
            });
        }
        Ok(())
    }

    item_by_item!();
}

/// Changes configurations (API key 44); values that are not named stay as they are.
#[derive(Debug)]
pub struct AlterConfigs {
    items: Items<ConfigResource, Vec<ConfigChange>, ()>,
    validate_only: bool,
}

impl AlterConfigs {
    /// Changes by resource.
    pub fn new(
        changes: impl IntoIterator<Item = (ConfigResource, Vec<ConfigChange>)>,
        validate_only: bool,
    ) -> Self {
        Self { items: Items::new(changes), validate_only }
    }
}

impl Operation for AlterConfigs {
    type Answer = Outcomes<ConfigResource, ()>;

    fn what(&self) -> &'static str {
        "change configurations"
    }

    fn requests(&mut self, _: &Metadata) -> Vec<(Target, Request)> {
        let resource = |resource: &ConfigResource, changes: &[ConfigChange]| {
            let (resource_type, resource_name) = resource.wire();
            let configs = changes.iter().map(ConfigChange::wire).collect();
            AlterConfigsResource { resource_type, resource_name, configs, ..Default::default() }
        };
        by_target(&self.items.open)
            .into_iter()
            .map(|(target, resources)| {
                let request = IncrementalAlterConfigsRequest {
                    resources: resources.into_iter().map(|(key, c)| resource(key, c)).collect(),
                    validate_only: self.validate_only,
                    ..Default::default()
                };
                (target, Request::IncrementalAlterConfigs(Box::new(request)))
            })
            .collect()
    }

    fn read(&mut self, _: &Target, response: Response) -> Result<(), Error> {
        let Response::IncrementalAlterConfigs(response) = response else {
            return Err(unexpected(&response));
        };
        for result in &response.responses {
            let key = ConfigResource::from_wire(result.resource_type, &result.resource_name);
            let Some(key) = key else { continue };
            let what = format!("cannot change the configuration of {key}");
            let message = result.error_message.as_deref();
            self.items.settle(&key, result.error_code, message, what, || ());
        }
        Ok(())
    }

    item_by_item!();
}
