//! IncrementalAlterConfigs: changes of single settings.

use super::admin::{
    BROKER, INVALID_CONFIG, INVALID_REQUEST, TOPIC, UNKNOWN_TOPIC_OR_PARTITION, resource, setting,
    settings,
};
use super::told::Told;
use crate::case::{Case, Profile::Admin};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use crate::verdict::Stop;
use crate::wire::Wire;
use ottla_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig,
    IncrementalAlterConfigsRequest,
};
use ottla_protocol::messages::{ApiKey, IncrementalAlterConfigsResponse, Request};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "incremental-alter-configs/set-and-delete",
        Admin,
        (ApiKey::IncrementalAlterConfigs, 0),
        set_and_delete,
        &["K-INCREMENTAL-ALTER-CONFIGS-001", "K-INCREMENTAL-ALTER-CONFIGS-002"],
    ),
    Case::each(
        "incremental-alter-configs/lists",
        Admin,
        (ApiKey::IncrementalAlterConfigs, 0),
        lists,
        &[
            "K-INCREMENTAL-ALTER-CONFIGS-003",
            "K-INCREMENTAL-ALTER-CONFIGS-004",
            "K-INCREMENTAL-ALTER-CONFIGS-005",
        ],
    ),
    Case::each(
        "incremental-alter-configs/refused",
        Admin,
        (ApiKey::IncrementalAlterConfigs, 0),
        refused,
        &[
            "K-INCREMENTAL-ALTER-CONFIGS-006",
            "K-INCREMENTAL-ALTER-CONFIGS-007",
            "K-INCREMENTAL-ALTER-CONFIGS-009",
            "K-INCREMENTAL-ALTER-CONFIGS-010",
            "K-INCREMENTAL-ALTER-CONFIGS-011",
            "K-INCREMENTAL-ALTER-CONFIGS-013",
        ],
    ),
    Case::each(
        "incremental-alter-configs/validate-only",
        Admin,
        (ApiKey::IncrementalAlterConfigs, 0),
        validate_only,
        &["K-INCREMENTAL-ALTER-CONFIGS-008"],
    ),
    // One version: what it changes is the same for all of them.
    Case::once(
        "incremental-alter-configs/of-all-brokers",
        Admin,
        of_all_brokers,
        &["K-INCREMENTAL-ALTER-CONFIGS-012", "K-DESCRIBE-CONFIGS-011"],
    ),
];

/// A setting, what to do with it, and the value.
type Change<'a> = (&'a str, i8, Option<&'a str>);

/// A change in words.
fn shown((key, operation, value): &Change<'_>) -> String {
    let verb = match *operation {
        SET => "setting",
        DELETE => "deleting",
        APPEND => "appending to",
        _ => "subtracting from",
    };
    value.map_or_else(|| format!("{verb} {key}"), |value| format!("{verb} {key} {value:?}"))
}

fn changes(kind: i8, name: &str, changes: &[Change<'_>]) -> AlterConfigsResource {
    let change = |(name, operation, value): &Change<'_>| AlterableConfig {
        name: (*name).to_owned(),
        config_operation: *operation,
        value: value.map(str::to_owned),
        ..Default::default()
    };
    AlterConfigsResource {
        resource_type: kind,
        resource_name: name.to_owned(),
        configs: changes.iter().map(change).collect(),
        ..Default::default()
    }
}

fn alter(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    resources: Vec<AlterConfigsResource>,
    validate_only: bool,
) -> Step<Vec<AlterConfigsResourceResponse>> {
    let version = context.version_of(ApiKey::IncrementalAlterConfigs)?;
    let request = IncrementalAlterConfigsRequest { resources, validate_only, ..Default::default() };
    let answer = wire.call(version, &Request::IncrementalAlterConfigs(Box::new(request)));
    let answer: IncrementalAlterConfigsResponse = context.answer(statement, answer)?;
    Ok(answer.responses)
}

/// Changes of one topic, which must be answered with this error.
fn expect(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    topic: &str,
    all: &[Change<'_>],
    expected: i16,
) -> Step {
    let answer = alter(context, wire, statement, vec![changes(TOPIC, topic, all)], false)?;
    let codes: Vec<i16> = answer.iter().map(|entry| entry.error_code).collect();
    context.must(statement, codes == [expected], || {
        let codes: Vec<_> = codes.iter().map(|code| error_name(*code)).collect();
        let (all, codes) = (all.iter().map(shown).collect::<Vec<_>>(), codes.join(", "));
        format!("{} should be {}; it is {codes}", all.join(" and "), error_name(expected))
    })
}

/// Waits until a setting has a value.
fn until(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    topic: &str,
    (key, value): (&str, &str),
) -> Step {
    let deadline = context.deadline();
    loop {
        let now = setting(context, wire, statement, topic, key)?;
        if now.0 == value {
            context.held(statement);
            return Ok(());
        }
        context.must_before(statement, deadline, || {
            format!("{key} should become {value}; at the deadline it is {now:?}")
        })?;
    }
}

fn set_and_delete(context: &mut Context<'_>) -> Step {
    let (one, two) = ("K-INCREMENTAL-ALTER-CONFIGS-001", "K-INCREMENTAL-ALTER-CONFIGS-002");
    let own = [("max.message.bytes", "54321"), ("retention.ms", "3600000")];
    let (topic, mut wire) = context.topic_with(1, &own)?;
    expect(context, &mut wire, one, &topic, &[("retention.ms", SET, Some("7200000"))], 0)?;
    until(context, &mut wire, one, &topic, ("retention.ms", "7200000"))?;
    let other = setting(context, &mut wire, one, &topic, "max.message.bytes")?;
    context.must(one, other == ("54321".to_owned(), 1), || {
        format!("another setting of the topic is now {other:?}")
    })?;
    expect(context, &mut wire, two, &topic, &[("max.message.bytes", DELETE, None)], 0)?;
    let deadline = context.deadline();
    loop {
        let now = setting(context, &mut wire, two, &topic, "max.message.bytes")?;
        if now.1 != 1 && now.0 != "54321" {
            break;
        }
        context.must_before(two, deadline, || format!("deleted, it is still {now:?}"))?;
    }
    let other = setting(context, &mut wire, two, &topic, "retention.ms")?;
    context.must(two, other == ("7200000".to_owned(), 1), || {
        format!("another setting of the topic is now {other:?}")
    })
}

fn lists(context: &mut Context<'_>) -> Step {
    let (three, four) = ("K-INCREMENTAL-ALTER-CONFIGS-003", "K-INCREMENTAL-ALTER-CONFIGS-004");
    let (topic, mut wire) = context.topic_with(1, &[("cleanup.policy", "delete")])?;
    let key = "cleanup.policy";
    expect(context, &mut wire, three, &topic, &[(key, APPEND, Some("compact"))], 0)?;
    until(context, &mut wire, three, &topic, (key, "delete,compact"))?;
    expect(context, &mut wire, four, &topic, &[(key, SUBTRACT, Some("delete"))], 0)?;
    until(context, &mut wire, four, &topic, (key, "compact"))?;
    let number = [("retention.ms", APPEND, Some("1000"))];
    let five = "K-INCREMENTAL-ALTER-CONFIGS-005";
    expect(context, &mut wire, five, &topic, &number, INVALID_CONFIG)
}

fn refused(context: &mut Context<'_>) -> Step {
    let (topic, mut wire) = context.topic_with(1, &[("retention.ms", "3600000")])?;
    let (other, _) = context.topic(1)?;
    let unknown = context.name();
    let key = "retention.ms";
    let twice = [(key, SET, Some("1")), (key, SET, Some("2"))];
    let six = "K-INCREMENTAL-ALTER-CONFIGS-006";
    expect(context, &mut wire, six, &topic, &twice, INVALID_REQUEST)?;
    let seven = "K-INCREMENTAL-ALTER-CONFIGS-007";
    let one = |value| changes(TOPIC, &topic, &[(key, SET, Some(value))]);
    let answer = alter(context, &mut wire, seven, vec![one("1"), one("2")], false)?;
    let bad = answer.iter().find(|entry| entry.error_code != INVALID_REQUEST);
    context.must(seven, !answer.is_empty() && bad.is_none(), || {
        format!("a topic twice is answered with {}", answer.told())
    })?;
    let bad = [(key, SET, Some("a while"))];
    let nine = "K-INCREMENTAL-ALTER-CONFIGS-009";
    expect(context, &mut wire, nine, &topic, &bad, INVALID_CONFIG)?;
    let thirteen = "K-INCREMENTAL-ALTER-CONFIGS-013";
    let good = [(key, SET, Some("1"))];
    expect(context, &mut wire, thirteen, &unknown, &good, UNKNOWN_TOPIC_OR_PARTITION)?;
    let ten = "K-INCREMENTAL-ALTER-CONFIGS-010";
    let half = [(key, SET, Some("1")), ("max.message.bytes", SET, Some("many"))];
    expect(context, &mut wire, ten, &topic, &half, INVALID_CONFIG)?;
    let eleven = "K-INCREMENTAL-ALTER-CONFIGS-011";
    let marker = [("segment.ms", SET, Some("86400000"))];
    let all = vec![
        changes(TOPIC, &unknown, &good),
        changes(TOPIC, &topic, &marker),
        changes(TOPIC, &other, &bad),
    ];
    let answer = alter(context, &mut wire, eleven, all, false)?;
    let code = |name: &str| {
        let mut of_it = answer.iter().filter(|entry| entry.resource_name == name);
        of_it.next().map(|entry| entry.error_code)
    };
    let codes = [code(&unknown), code(&topic), code(&other)];
    let wanted = [Some(UNKNOWN_TOPIC_OR_PARTITION), Some(0), Some(INVALID_CONFIG)];
    context.must(eleven, answer.len() == 3 && codes == wanted, || {
        format!("three topics, of which one may be changed: {}", answer.told())
    })?;
    // What came later is there, so what was refused before would be.
    until(context, &mut wire, eleven, &topic, ("segment.ms", "86400000"))?;
    let now = setting(context, &mut wire, ten, &topic, key)?;
    context.must(ten, now.0 == "3600000", || {
        format!("the good half of a change that was refused: {key} is {now:?}")
    })
}

fn validate_only(context: &mut Context<'_>) -> Step {
    let eight = "K-INCREMENTAL-ALTER-CONFIGS-008";
    let (topic, mut wire) = context.topic_with(1, &[("retention.ms", "3600000")])?;
    let dry = vec![changes(TOPIC, &topic, &[("retention.ms", SET, Some("1"))])];
    let answer = alter(context, &mut wire, eight, dry, true)?;
    context.must(eight, answer.len() == 1 && answer[0].error_code == 0, || {
        format!("a dry run is answered with {}", answer.told())
    })?;
    let marker = [("segment.ms", SET, Some("86400000"))];
    expect(context, &mut wire, eight, &topic, &marker, 0)?;
    until(context, &mut wire, eight, &topic, ("segment.ms", "86400000"))?;
    let now = setting(context, &mut wire, eight, &topic, "retention.ms")?;
    context.must(eight, now.0 == "3600000", || format!("after a dry run, it is {now:?}"))
}

/// A dynamic default of all brokers, as DescribeConfigs tells it. While it is being deleted, Apache
/// Kafka may list it with the source that it falls back to: the caller waits for what it wants.
fn dynamic_default(
    context: &mut Context<'_>,
    wire: &mut Wire,
    key: &str,
) -> Step<Option<(Option<String>, i8)>> {
    let eleven = "K-DESCRIBE-CONFIGS-011";
    let all = settings(context, wire, eleven, resource(BROKER, "", None))?;
    let other = all.iter().find(|one| one.config_source != 3 && one.name != key);
    context.must(eleven, other.is_none(), || {
        format!("among the dynamic defaults of all brokers is {}", other.told())
    })?;
    let found = all.into_iter().find(|one| one.name == key);
    Ok(found.map(|one| (one.value, one.config_source)))
}

fn of_all_brokers(context: &mut Context<'_>) -> Step {
    let (twelve, eleven) = ("K-INCREMENTAL-ALTER-CONFIGS-012", "K-DESCRIBE-CONFIGS-011");
    let mut wire = context.connect()?;
    // The default of every release, so that no other test sees a change.
    let (key, value) = ("log.index.interval.bytes", "4096");
    let before = dynamic_default(context, &mut wire, key)?;
    if before.is_some() {
        return Err(Stop::blocked(format!("{key} is set on the target already")));
    }
    for (operation, value) in [(SET, Some(value)), (DELETE, None)] {
        let all = vec![changes(BROKER, "", &[(key, operation, value)])];
        let answer = alter(context, &mut wire, twelve, all, false)?;
        context.must(twelve, answer.len() == 1 && answer[0].error_code == 0, || {
            format!("a default of all brokers is answered with {}", answer.told())
        })?;
        let wanted = value.map(|value| (Some(value.to_owned()), 3));
        let deadline = context.deadline();
        loop {
            let now = dynamic_default(context, &mut wire, key)?;
            if now == wanted {
                break;
            }
            context.must_before(eleven, deadline, || {
                format!(
                    "{key} should become {}; at the deadline it is {}",
                    wanted.told(),
                    now.told()
                )
            })?;
        }
    }
    Ok(())
}
