//! IncrementalAlterConfigs (key 44), versions 0 to 1: set, delete, append to and subtract from
//! single settings (AD-11).
//!
//! Broker settings that stand behind a topic's can be changed while the broker runs, for one broker
//! or for all (AD-12).

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig,
};
use ottla_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::describe_configs::{RESOURCE_BROKER, RESOURCE_TOPIC, check_broker_name, is_dynamic};
use super::{ApiError, RequestContext};
use crate::broker::Broker;
use crate::config::{Property, check_topic_config, split_list, table};
use crate::quorum::{Command, ConfigResource};

/// How often a change is tried again when somebody else changed the same resource meanwhile (M1).
const ATTEMPTS: usize = 5;

pub(crate) async fn handle(
    context: &RequestContext,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let outcomes =
        alter_all(&context.broker, &request.resources, Base::Present, request.validate_only).await;
    let response = |(resource, outcome): (AlterConfigsResource, Result<(), ApiError>)| {
        let (error_code, error_message) = super::code_and_message(outcome);
        AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            ..AlterConfigsResourceResponse::default()
        }
    };
    let responses = request.resources.into_iter().zip(outcomes).map(response).collect();
    IncrementalAlterConfigsResponse { responses, ..IncrementalAlterConfigsResponse::default() }
}

/// What changes are made to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// The settings that the resource has.
    Present,
    /// None at all: those that are not named go back to their defaults.
    Nothing,
}

/// Changes resources one after another; an outcome for each.
pub(super) async fn alter_all(
    broker: &Broker,
    resources: &[AlterConfigsResource],
    base: Base,
    validate_only: bool,
) -> Vec<Result<(), ApiError>> {
    let key =
        |resource: &AlterConfigsResource| (resource.resource_type, resource.resource_name.clone());
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<_> =
        resources.iter().map(key).filter(|key| !seen.insert(key.clone())).collect();
    let mut outcomes = Vec::with_capacity(resources.len());
    for resource in resources {
        outcomes.push(if twice.contains(&key(resource)) {
            Err(ApiError::new(ErrorCode::InvalidRequest, "Each resource must appear at most once."))
        } else {
            alter(broker, resource, base, validate_only).await
        });
    }
    outcomes
}

async fn alter(
    broker: &Broker,
    resource: &AlterConfigsResource,
    base: Base,
    validate_only: bool,
) -> Result<(), ApiError> {
    let mut names = BTreeSet::new();
    if resource.configs.iter().any(|config| !names.insert(config.name.as_str())) {
        let message = "Error due to duplicate config keys";
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    }
    let target = target(broker, resource)?;
    for attempt in 1.. {
        let (expected, fallback) = current(broker, &target)?;
        let mut configs = match base {
            Base::Present => expected.clone(),
            Base::Nothing => Settings::new(),
        };
        for change in &resource.configs {
            apply_change(&mut configs, &fallback, &target, change)?;
        }
        if validate_only {
            return Ok(());
        }
        let resource = target.clone();
        match broker.propose(Command::AlterConfigs { resource, expected, configs }).await {
            Err(refused)
                if refused.code == ErrorCode::InvalidUpdateVersion && attempt < ATTEMPTS => {}
            other => return Ok(other.map(drop)?),
        }
    }
    unreachable!("the last attempt returns")
}

fn target(broker: &Broker, resource: &AlterConfigsResource) -> Result<ConfigResource, ApiError> {
    match (resource.resource_type, resource.resource_name.as_str()) {
        (RESOURCE_TOPIC, name) => {
            crate::broker::topics::check_name(name)?;
            Ok(ConfigResource::Topic(name.to_owned()))
        }
        (RESOURCE_BROKER, "") => Ok(ConfigResource::DefaultBroker),
        (RESOURCE_BROKER, name) => {
            check_broker_name(broker, name)?;
            Ok(ConfigResource::Broker(broker.node_id()))
        }
        (other, _) => {
            let message = format!("Unsupported resource type: {other}");
            Err(ApiError::new(ErrorCode::InvalidRequest, message))
        }
    }
}

type Settings = BTreeMap<String, String>;

/// The resource's own settings, and a look at what holds without them (the base of APPEND and
/// SUBTRACT).
fn current(
    broker: &Broker,
    target: &ConfigResource,
) -> Result<(Settings, impl Fn(&Property) -> String), ApiError> {
    let image = broker.image();
    let own = match target {
        ConfigResource::Topic(name) => match image.topics.get(name) {
            Some(topic) => topic.configs.clone(),
            None => {
                let message = format!("The topic '{name}' does not exist.");
                return Err(ApiError::new(ErrorCode::UnknownTopicOrPartition, message));
            }
        },
        ConfigResource::Broker(id) => image.broker_configs.get(id).cloned().unwrap_or_default(),
        ConfigResource::DefaultBroker => image.default_broker_configs.clone(),
    };
    let config = broker.effective_config();
    let is_topic = matches!(target, ConfigResource::Topic(_));
    let fallback = move |property: &Property| match is_topic {
        true => crate::config::broker_value(property, &config),
        false => config.text(property.name).to_owned(),
    };
    Ok((own, fallback))
}

fn apply_change(
    configs: &mut Settings,
    fallback: &impl Fn(&Property) -> String,
    target: &ConfigResource,
    change: &AlterableConfig,
) -> Result<(), ApiError> {
    let invalid = |message: String| ApiError::new(ErrorCode::InvalidConfig, message);
    let name = change.name.as_str();
    let is_topic = matches!(target, ConfigResource::Topic(_));
    let property = if is_topic { table::topic(name) } else { table::broker(name) };
    if !is_topic && !is_dynamic(name) {
        let message = match property {
            Some(_) => format!("Cannot update these configs dynamically: Set({name})"),
            None => format!("Unknown broker config name: {name}"),
        };
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    }
    const DELETE: i8 = 1;
    if change.config_operation == DELETE {
        configs.remove(name);
        return Ok(());
    }
    let Some(value) = change.value.as_deref() else {
        let message = format!("Null value not supported for : {name}");
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    };
    let base = || match (configs.get(name), property) {
        (Some(value), _) => value.clone(),
        (None, Some(property)) => fallback(property),
        (None, None) => String::new(),
    };
    let is_list = property.is_some_and(|property| property.kind.is_list());
    let value = match change.config_operation {
        0 => value.trim().to_owned(),
        2 | 3 if !is_list => {
            let verb = if change.config_operation == 2 { "append" } else { "subtract" };
            return Err(invalid(format!(
                "Can't {verb} to key {name} because its type is not LIST."
            )));
        }
        2 => {
            let base = base();
            let mut words: Vec<&str> = split_list(&base).collect();
            for word in split_list(value) {
                if !words.contains(&word) {
                    words.push(word);
                }
            }
            words.join(",")
        }
        3 => {
            let removed: Vec<&str> = split_list(value).collect();
            let base = base();
            let kept: Vec<&str> =
                split_list(&base).filter(|word| !removed.contains(word)).collect();
            kept.join(",")
        }
        other => {
            let message = format!("Unknown config operation: {other}");
            return Err(ApiError::new(ErrorCode::InvalidRequest, message));
        }
    };
    let checked = match (is_topic, property) {
        (false, Some(property)) => property.check(&value).map(|()| true),
        _ => check_topic_config(name, &value),
    };
    checked.map_err(|error| invalid(error.to_string()))?;
    configs.insert(name.to_owned(), value);
    Ok(())
}
