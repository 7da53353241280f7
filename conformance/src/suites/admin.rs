//! Topics and settings of tests, through the administrative requests.

use super::common::metadata_of;
use super::told::Told;
use crate::context::{Context, Step};
use crate::findings::Asserts;
use crate::wire::Wire;
use ottla_protocol::Uuid;
use ottla_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicResult, CreateTopicsRequest,
};
use ottla_protocol::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest,
};
use ottla_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResult,
};
use ottla_protocol::messages::metadata::{MetadataResponse, MetadataResponseTopic};
use ottla_protocol::messages::{
    ApiKey, CreateTopicsResponse, DeleteTopicsResponse, DescribeConfigsResponse, Request,
};

pub(crate) const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
pub(crate) const TOPIC_ALREADY_EXISTS: i16 = 36;
pub(crate) const INVALID_PARTITIONS: i16 = 37;
pub(crate) const INVALID_REPLICA_ASSIGNMENT: i16 = 39;
pub(crate) const INVALID_CONFIG: i16 = 40;
pub(crate) const INVALID_REQUEST: i16 = 42;
pub(crate) const UNKNOWN_TOPIC_ID: i16 = 100;

/// Resource type of a topic.
pub(crate) const TOPIC: i8 = 2;
/// Resource type of a broker.
pub(crate) const BROKER: i8 = 4;

/// How long the controller may take, in milliseconds.
pub(crate) const TIMEOUT_MS: i32 = 10_000;

/// A topic of one partition with one replica.
pub(crate) fn plain(name: &str) -> CreatableTopic {
    CreatableTopic {
        name: name.to_owned(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    }
}

/// CreateTopics in the version under test (or the best).
///
/// # Errors
///
/// FAIL of the statement where no answer comes.
pub(crate) fn create(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    topics: Vec<CreatableTopic>,
    validate_only: bool,
) -> Step<Vec<CreatableTopicResult>> {
    let version = context.version_of(ApiKey::CreateTopics)?;
    let timeout_ms = TIMEOUT_MS;
    let request = CreateTopicsRequest { topics, timeout_ms, validate_only, ..Default::default() };
    let answer = wire.call(version, &Request::CreateTopics(Box::new(request)));
    let answer: CreateTopicsResponse = context.answer(statement, answer)?;
    Ok(answer.topics)
}

/// The error with which one topic is answered; none without exactly one entry.
///
/// # Errors
///
/// FAIL of the statement where no answer comes.
pub(crate) fn create_code(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    topic: CreatableTopic,
    validate_only: bool,
) -> Step<Option<i16>> {
    let name = topic.name.clone();
    let answer = create(context, wire, statement, vec![topic], validate_only)?;
    Ok(match &answer[..] {
        [one] if one.name == name => Some(one.error_code),
        _ => None,
    })
}

/// Topics by name, and by id from version 6 on.
pub(crate) fn delete(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    topics: &[(Option<&str>, Uuid)],
) -> Step<Vec<DeletableTopicResult>> {
    let version = context.version_of(ApiKey::DeleteTopics)?;
    let mut request = DeleteTopicsRequest { timeout_ms: TIMEOUT_MS, ..Default::default() };
    if version >= 6 {
        let state = |(name, id): &(Option<&str>, Uuid)| DeleteTopicState {
            name: name.map(str::to_owned),
            topic_id: *id,
            ..Default::default()
        };
        request.topics = topics.iter().map(state).collect();
    } else {
        let names = topics.iter().filter_map(|(name, _)| *name);
        request.topic_names = names.map(str::to_owned).collect();
    }
    let answer = wire.call(version, &Request::DeleteTopics(Box::new(request)));
    let answer: DeleteTopicsResponse = context.answer(statement, answer)?;
    Ok(answer.responses)
}

/// Metadata in the best version, of these topics.
///
/// # Errors
///
/// BLOCKED.
pub(crate) fn metadata(
    context: &mut Context<'_>,
    wire: &mut Wire,
    names: &[&str],
) -> Step<MetadataResponse> {
    let version = context.best(ApiKey::Metadata)?;
    context.prepare(wire, &metadata_of(version, names))
}

/// Waits until Metadata says of a topic what is wanted.
///
/// # Errors
///
/// FAIL of the statement where it does not until the deadline.
pub(crate) fn until_metadata(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    name: &str,
    wanted: impl Fn(&MetadataResponseTopic) -> bool,
) -> Step<MetadataResponseTopic> {
    let until = context.deadline();
    loop {
        let answer = metadata(context, wire, &[name])?;
        match answer.topics.into_iter().next() {
            Some(topic) if wanted(&topic) => return Ok(topic),
            other => context.must_before(statement, until, || {
                format!("at the deadline, Metadata still says {}", other.told())
            })?,
        }
    }
}

/// What to ask of a resource; no names stand for all.
pub(crate) fn resource(kind: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsResource {
    let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    DescribeConfigsResource {
        resource_type: kind,
        resource_name: name.to_owned(),
        configuration_keys: keys.map(owned),
        ..Default::default()
    }
}

/// DescribeConfigs in the version under test (or the best), with everything that it can show.
///
/// # Errors
///
/// FAIL of the statement where no answer comes.
pub(crate) fn describe(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    resources: Vec<DescribeConfigsResource>,
) -> Step<Vec<DescribeConfigsResult>> {
    let version = context.version_of(ApiKey::DescribeConfigs)?;
    let request = DescribeConfigsRequest {
        resources,
        include_synonyms: true,
        include_documentation: version >= 3,
        ..Default::default()
    };
    let answer = wire.call(version, &Request::DescribeConfigs(Box::new(request)));
    let answer: DescribeConfigsResponse = context.answer(statement, answer)?;
    Ok(answer.results)
}

/// The settings of one resource, which must be described without error.
///
/// # Errors
///
/// FAIL of the statement.
pub(crate) fn settings(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    asked: DescribeConfigsResource,
) -> Step<Vec<DescribeConfigsResourceResult>> {
    let mut answer = describe(context, wire, statement, vec![asked])?;
    context.must(statement, answer.len() == 1 && answer[0].error_code == 0, || {
        format!("one resource is described as {}", answer.told())
    })?;
    Ok(answer.swap_remove(0).configs)
}

/// One setting of a topic: its value and where that is from.
///
/// # Errors
///
/// FAIL of the statement where it is not described.
pub(crate) fn setting(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    topic: &str,
    key: &str,
) -> Step<(String, i8)> {
    let all = settings(context, wire, statement, resource(TOPIC, topic, Some(&[key])))?;
    let found = all.iter().find(|one| one.name == key);
    context.must(statement, found.is_some(), || format!("{key} is described as {}", all.told()))?;
    let found = found.expect("it was just looked at");
    Ok((found.value.clone().unwrap_or_default(), found.config_source))
}
