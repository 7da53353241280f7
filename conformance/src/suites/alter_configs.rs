//! AlterConfigs: settings that take the place of all that were there.

use super::admin::{INVALID_CONFIG, TOPIC, setting};
use super::told::Told;
use crate::case::{Case, Profile::Admin};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use crate::wire::Wire;
use ottla_protocol::messages::alter_configs::{AlterConfigsResource, AlterableConfig};
use ottla_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse, ApiKey, Request};

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "alter-configs/replaces",
        Admin,
        (ApiKey::AlterConfigs, 0),
        replaces,
        &["K-ALTER-CONFIGS-001"],
    ),
    Case::each(
        "alter-configs/validate-only",
        Admin,
        (ApiKey::AlterConfigs, 0),
        validate_only,
        &["K-ALTER-CONFIGS-002"],
    ),
    Case::each(
        "alter-configs/bad-values",
        Admin,
        (ApiKey::AlterConfigs, 0),
        bad_values,
        &["K-ALTER-CONFIGS-003"],
    ),
];

/// Where a setting of a topic is from, in DescribeConfigs.
const OF_THE_TOPIC: i8 = 1;

/// Gives a topic these settings and no others; the one entry's error.
fn alter(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    topic: &str,
    (configs, validate_only): (&[(&str, &str)], bool),
) -> Step<i16> {
    let config = |(name, value): &(&str, &str)| AlterableConfig {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
        ..Default::default()
    };
    let resource = AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: topic.to_owned(),
        configs: configs.iter().map(config).collect(),
        ..Default::default()
    };
    let request = Request::AlterConfigs(Box::new(AlterConfigsRequest {
        resources: vec![resource],
        validate_only,
        ..Default::default()
    }));
    let answer: AlterConfigsResponse = context.call(statement, wire, &request)?;
    let entries: Vec<_> = answer.responses.iter().map(|one| &one.resource_name[..]).collect();
    context.must(statement, entries == [topic], || {
        format!("one topic is answered with entries for {entries:?}")
    })?;
    Ok(answer.responses[0].error_code)
}

/// Waits until a setting of a topic is its own with this value, or (none) is not its own.
fn until(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    topic: &str,
    (key, wanted): (&str, Option<&str>),
) -> Step {
    let deadline = context.deadline();
    loop {
        let (value, source) = setting(context, wire, statement, topic, key)?;
        let own = (source == OF_THE_TOPIC).then_some(&value[..]);
        if own == wanted {
            return Ok(());
        }
        context.must_before(statement, deadline, || {
            format!(
                "{key} should be {}; at the deadline it is {value} of source {source}",
                wanted.told()
            )
        })?;
    }
}

fn replaces(context: &mut Context<'_>) -> Step {
    let statement = "K-ALTER-CONFIGS-001";
    let before = [("retention.ms", "1000000"), ("segment.bytes", "2000000")];
    let (topic, mut wire) = context.topic_with(1, &before)?;
    let only = [("retention.ms", "3000000")];
    let code = alter(context, &mut wire, statement, &topic, (&only, false))?;
    context.must(statement, code == 0, || format!("{only:?}: {}", error_name(code)))?;
    until(context, &mut wire, statement, &topic, ("retention.ms", Some("3000000")))?;
    until(context, &mut wire, statement, &topic, ("segment.bytes", None))?;
    let code = alter(context, &mut wire, statement, &topic, (&[], false))?;
    context.must(statement, code == 0, || format!("no settings: {}", error_name(code)))?;
    until(context, &mut wire, statement, &topic, ("retention.ms", None))
}

/// What was refused, or only looked at, has changed nothing.
fn nothing_else(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    topic: &str,
) -> Step {
    let both = [("retention.ms", "1000000"), ("segment.bytes", "2000000")];
    for (key, value) in both {
        let (now, source) = setting(context, wire, statement, topic, key)?;
        context.must(statement, (&now[..], source) == (value, OF_THE_TOPIC), || {
            format!("{key} should still be {value}; it is {now} of source {source}")
        })?;
    }
    Ok(())
}

fn validate_only(context: &mut Context<'_>) -> Step {
    let statement = "K-ALTER-CONFIGS-002";
    let before = [("retention.ms", "1000000"), ("segment.bytes", "2000000")];
    let (topic, mut wire) = context.topic_with(1, &before)?;
    let only = [("retention.ms", "3000000")];
    let code = alter(context, &mut wire, statement, &topic, (&only, true))?;
    context.must(statement, code == 0, || format!("only validated: {}", error_name(code)))?;
    nothing_else(context, &mut wire, statement, &topic)
}

fn bad_values(context: &mut Context<'_>) -> Step {
    let statement = "K-ALTER-CONFIGS-003";
    let before = [("retention.ms", "1000000"), ("segment.bytes", "2000000")];
    let (topic, mut wire) = context.topic_with(1, &before)?;
    for (key, value) in [
        ("retention.ms", "soon"),
        ("segment.bytes", "-5"),
        ("cleanup.policy", "sweep"),
        ("min.insync.replicas", "0"),
    ] {
        let code = alter(context, &mut wire, statement, &topic, (&[(key, value)], false))?;
        context.must(statement, code == INVALID_CONFIG, || {
            let expected = error_name(INVALID_CONFIG);
            format!("{key}={value} should be {expected}; it is {}", error_name(code))
        })?;
    }
    nothing_else(context, &mut wire, statement, &topic)
}
