//! DescribeConfigs: what is told of settings.

use super::admin::{
    BROKER, INVALID_REQUEST, TOPIC, UNKNOWN_TOPIC_OR_PARTITION, describe, metadata, resource,
    settings,
};
use super::told::Told;
use crate::case::{Case, Profile::Admin};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use crate::wire::Wire;
use ottla_protocol::messages::ApiKey;
use ottla_protocol::messages::describe_configs::{
    DescribeConfigsResource, DescribeConfigsResourceResult,
};
use std::collections::BTreeSet;

/// Sources: the topic, and the default.
const SET_ON_TOPIC: i8 = 1;
const DEFAULT: i8 = 5;

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "describe-configs/of-a-topic",
        Admin,
        (ApiKey::DescribeConfigs, 0),
        of_a_topic,
        &[
            "K-DESCRIBE-CONFIGS-001",
            "K-DESCRIBE-CONFIGS-002",
            "K-DESCRIBE-CONFIGS-005",
            "K-DESCRIBE-CONFIGS-008",
            "K-DESCRIBE-CONFIGS-009",
            "K-DESCRIBE-CONFIGS-010",
        ],
    ),
    Case::each(
        "describe-configs/synonyms",
        Admin,
        (ApiKey::DescribeConfigs, 0),
        synonyms,
        &["K-DESCRIBE-CONFIGS-003"],
    ),
    Case::each(
        "describe-configs/of-a-broker",
        Admin,
        (ApiKey::DescribeConfigs, 0),
        of_a_broker,
        &["K-DESCRIBE-CONFIGS-004"],
    ),
    Case::each(
        "describe-configs/unknown",
        Admin,
        (ApiKey::DescribeConfigs, 0),
        unknown,
        &["K-DESCRIBE-CONFIGS-006", "K-DESCRIBE-CONFIGS-007"],
    ),
];

/// Settings of every topic, with their types.
const KNOWN: [(&str, i8); 4] =
    [("cleanup.policy", 7), ("max.message.bytes", 3), ("retention.ms", 5), ("compression.type", 2)];

fn find<'a>(
    all: &'a [DescribeConfigsResourceResult],
    name: &str,
) -> Option<&'a DescribeConfigsResourceResult> {
    all.iter().find(|one| one.name == name)
}

fn of_a_topic(context: &mut Context<'_>) -> Step {
    let (topic, mut wire) = context.topic_with(1, &[("max.message.bytes", "54321")])?;
    let one = "K-DESCRIBE-CONFIGS-001";
    let all = settings(context, &mut wire, one, resource(TOPIC, &topic, None))?;
    let left_out: Vec<_> =
        KNOWN.iter().map(|known| known.0).filter(|name| find(&all, name).is_none()).collect();
    context.must(one, left_out.is_empty(), || {
        format!("{} settings are described, without {left_out:?}", all.len())
    })?;
    let bare = all.iter().find(|one| !(1..=5).contains(&one.config_source));
    context
        .must("K-DESCRIBE-CONFIGS-002", bare.is_none(), || format!("no source: {}", bare.told()))?;
    let set = find(&all, "max.message.bytes").map(|one| (one.value.clone(), one.config_source));
    let wanted = Some((Some("54321".to_owned()), SET_ON_TOPIC));
    context.must("K-DESCRIBE-CONFIGS-008", set == wanted, || {
        format!("what was set on the topic is described as {}", set.told())
    })?;
    if context.version() >= 3 {
        for (name, kind) in KNOWN {
            let told = find(&all, name).map_or(0, |one| one.config_type);
            context.must("K-DESCRIBE-CONFIGS-009", told == kind, || {
                format!("{name} is of type {kind}; it is told as {told}")
            })?;
        }
        let mute = all.iter().find(|one| one.documentation.as_deref().is_none_or(str::is_empty));
        context.must("K-DESCRIBE-CONFIGS-010", mute.is_none(), || {
            format!("without documentation: {}", mute.map(|one| &one.name).told())
        })?;
    }
    let five = "K-DESCRIBE-CONFIGS-005";
    let keys = ["retention.ms", "cleanup.policy"];
    let some = settings(context, &mut wire, five, resource(TOPIC, &topic, Some(&keys)))?;
    let names: BTreeSet<_> = some.iter().map(|one| &one.name[..]).collect();
    context.must(five, some.len() == 2 && names == BTreeSet::from(keys), || {
        format!("{keys:?} are asked for; {names:?} are told")
    })
}

fn synonyms(context: &mut Context<'_>) -> Step {
    let three = "K-DESCRIBE-CONFIGS-003";
    let (topic, mut wire) = context.topic_with(1, &[("max.message.bytes", "54321")])?;
    let keys = ["max.message.bytes", "segment.bytes"];
    let all = settings(context, &mut wire, three, resource(TOPIC, &topic, Some(&keys)))?;
    for one in &all {
        let first = one.synonyms.first();
        let is_own = first
            .is_some_and(|first| (first.source, &first.value) == (one.config_source, &one.value));
        context.must(three, is_own, || {
            format!("the first synonym is not the value in force: {}", one.told())
        })?;
        let sources: Vec<i8> = one.synonyms.iter().map(|synonym| synonym.source).collect();
        // The numbers of the sources are in the order in which they count.
        context.must(three, sources.is_sorted() && sources.last() == Some(&DEFAULT), || {
            format!("{} has synonyms from {sources:?}", one.name)
        })?;
    }
    let names = find(&all, "max.message.bytes").map(|one| &one.synonyms[1..]);
    let is_broker = names.is_some_and(|all| all.iter().all(|one| one.name == "message.max.bytes"));
    context.must(three, all.len() == 2 && is_broker, || {
        format!("behind max.message.bytes are {}", names.told())
    })
}

fn of_a_broker(context: &mut Context<'_>) -> Step {
    let four = "K-DESCRIBE-CONFIGS-004";
    let mut wire = context.connect()?;
    let cluster = metadata(context, &mut wire, &[])?;
    let port = i32::from(context.target().address.port());
    // The node that this connection leads to describes itself.
    let own = cluster.brokers.iter().find(|broker| broker.port == port);
    let node = own.or(cluster.brokers.first()).map_or(0, |broker| broker.node_id);
    let all = settings(context, &mut wire, four, resource(BROKER, &node.to_string(), None))?;
    let open = all.iter().find(|one| one.is_sensitive && one.value.is_some());
    context.must(four, !all.is_empty() && open.is_none(), || {
        let name = open.map(|one| &one.name).told();
        format!("{} settings; sensitive with a value: {name}", all.len())
    })?;
    let keys: Vec<_> = all.iter().filter(|one| one.config_type == 9).collect();
    let open = keys.iter().find(|one| !one.is_sensitive || one.value.is_some());
    context.must(four, open.is_none(), || {
        format!("a password that is not hidden: {}", open.map(|one| &one.name).told())
    })
}

fn refused(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    asked: DescribeConfigsResource,
    expected: i16,
) -> Step {
    let text = asked.told();
    let answer = describe(context, wire, statement, vec![asked])?;
    let codes: Vec<i16> = answer.iter().map(|entry| entry.error_code).collect();
    context.must(statement, codes == [expected], || {
        let codes: Vec<_> = codes.iter().map(|code| error_name(*code)).collect();
        format!("{text} should be {}; it is {}", error_name(expected), codes.join(", "))
    })
}

fn unknown(context: &mut Context<'_>) -> Step {
    let mut wire = context.connect()?;
    let name = context.name();
    let (six, nobody) = ("K-DESCRIBE-CONFIGS-006", UNKNOWN_TOPIC_OR_PARTITION);
    refused(context, &mut wire, six, resource(TOPIC, &name, None), nobody)?;
    for kind in [1, 7] {
        let asked = resource(kind, &name, None);
        refused(context, &mut wire, "K-DESCRIBE-CONFIGS-007", asked, INVALID_REQUEST)?;
    }
    Ok(())
}
