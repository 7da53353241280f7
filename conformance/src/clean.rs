//! Removes what runs have left: topics and groups, by the prefix of their names.

use crate::target::Target;
use crate::wire::{NoAnswer, Trace, Wire};
use ottla_protocol::messages::api_versions::ApiVersionsRequest;
use ottla_protocol::messages::delete_groups::DeleteGroupsRequest;
use ottla_protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use ottla_protocol::messages::list_groups::ListGroupsRequest;
use ottla_protocol::messages::metadata::MetadataRequest;
use ottla_protocol::messages::{ApiKey, Request, Response};
use std::time::Instant;

/// Names per request: small enough for any broker's patience.
const NAMES_PER_REQUEST: usize = 100;
/// How many times the patience for an answer the deletion of so many names may take.
const DELETING_PATIENCES: u32 = 10;

/// What was removed, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Topics that are gone.
    pub topics: usize,
    /// Groups that are gone.
    pub groups: usize,
    /// Names that the target would not remove.
    pub left: Vec<String>,
}

/// Removes every topic and group whose name begins with `prefix`.
///
/// # Errors
///
/// Where the target does not answer; what it refuses is in [`Cleaned::left`].
pub fn clean(target: &Target, prefix: &str) -> Result<Cleaned, NoAnswer> {
    let began = Instant::now();
    let connect = |patience| Wire::connect(target.address, patience, Trace::default(), 1, began);
    // Who does not answer this is not waited for any longer.
    let asked = Request::ApiVersions(Box::<ApiVersionsRequest>::default());
    connect(target.patience)?.call(0, &asked)?;
    let mut wire = connect(target.patience * DELETING_PATIENCES)?;
    let mut cleaned = Cleaned::default();
    let names = topics(target, &mut wire)?;
    let names: Vec<String> = names.into_iter().filter(|n| n.starts_with(prefix)).collect();
    for some in names.chunks(NAMES_PER_REQUEST) {
        delete_topics(target, &mut wire, some, &mut cleaned)?;
    }
    let names = groups(target, &mut wire)?;
    let names: Vec<String> = names.into_iter().filter(|n| n.starts_with(prefix)).collect();
    for some in names.chunks(NAMES_PER_REQUEST) {
        delete_groups(target, &mut wire, some, &mut cleaned)?;
    }
    Ok(cleaned)
}

fn topics(target: &Target, wire: &mut Wire) -> Result<Vec<String>, NoAnswer> {
    let Some(version) = target.best(ApiKey::Metadata) else { return Ok(Vec::new()) };
    let request = MetadataRequest { topics: None, ..Default::default() };
    match wire.call(version, &Request::Metadata(Box::new(request)))? {
        Response::Metadata(answer) => {
            Ok(answer.topics.into_iter().filter_map(|topic| topic.name).collect())
        }
        _ => Ok(Vec::new()),
    }
}

fn delete_topics(
    target: &Target,
    wire: &mut Wire,
    names: &[String],
    cleaned: &mut Cleaned,
) -> Result<(), NoAnswer> {
    let Some(version) = target.best(ApiKey::DeleteTopics) else { return Ok(()) };
    let mut request = DeleteTopicsRequest {
        timeout_ms: target.patience.as_millis() as i32,
        ..Default::default()
    };
    if version >= 6 {
        let state =
            |name: &String| DeleteTopicState { name: Some(name.clone()), ..Default::default() };
        request.topics = names.iter().map(state).collect();
    } else {
        request.topic_names = names.to_vec();
    }
    let answer = wire.call(version, &Request::DeleteTopics(Box::new(request)))?;
    if let Response::DeleteTopics(answer) = answer {
        for topic in answer.responses {
            // UNKNOWN_TOPIC_OR_PARTITION: somebody else was quicker.
            match topic.error_code {
                0 | 3 => cleaned.topics += 1,
                _ => cleaned.left.extend(topic.name),
            }
        }
    }
    Ok(())
}

/// The groups of this broker; those of others are found when they are reached.
fn groups(target: &Target, wire: &mut Wire) -> Result<Vec<String>, NoAnswer> {
    let Some(version) = target.best(ApiKey::ListGroups) else { return Ok(Vec::new()) };
    let request = Request::ListGroups(Box::<ListGroupsRequest>::default());
    match wire.call(version, &request)? {
        Response::ListGroups(answer) => {
            Ok(answer.groups.into_iter().map(|group| group.group_id).collect())
        }
        _ => Ok(Vec::new()),
    }
}

fn delete_groups(
    target: &Target,
    wire: &mut Wire,
    names: &[String],
    cleaned: &mut Cleaned,
) -> Result<(), NoAnswer> {
    let Some(version) = target.best(ApiKey::DeleteGroups) else { return Ok(()) };
    let request = DeleteGroupsRequest { groups_names: names.to_vec(), ..Default::default() };
    let answer = wire.call(version, &Request::DeleteGroups(Box::new(request)))?;
    if let Response::DeleteGroups(answer) = answer {
        for group in answer.results {
            // GROUP_ID_NOT_FOUND: it is gone. NON_EMPTY_GROUP: its members have not timed out yet.
            match group.error_code {
                0 | 69 => cleaned.groups += 1,
                _ => cleaned.left.push(group.group_id),
            }
        }
    }
    Ok(())
}
