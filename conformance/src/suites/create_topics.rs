//! CreateTopics: what is refused, what is made, and what is told of it.

use super::admin::{
    INVALID_CONFIG, INVALID_PARTITIONS, INVALID_REPLICA_ASSIGNMENT, INVALID_REQUEST,
    TOPIC_ALREADY_EXISTS, create, create_code, metadata, plain, until_metadata,
};
use super::told::Told;
use crate::case::{Case, Profile::Admin};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use crate::wire::Wire;
use ottla_protocol::messages::ApiKey;
use ottla_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreatableTopicResult,
};

const INVALID_TOPIC_EXCEPTION: i16 = 17;
const INVALID_REPLICATION_FACTOR: i16 = 38;

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "create-topics/names",
        Admin,
        (ApiKey::CreateTopics, 0),
        names,
        &["K-CREATE-TOPICS-001", "K-CREATE-TOPICS-002"],
    ),
    Case::each(
        "create-topics/numbers",
        Admin,
        (ApiKey::CreateTopics, 0),
        numbers,
        &["K-CREATE-TOPICS-003", "K-CREATE-TOPICS-004", "K-CREATE-TOPICS-005"],
    ),
    Case::each(
        "create-topics/named-twice",
        Admin,
        (ApiKey::CreateTopics, 0),
        named_twice,
        &["K-CREATE-TOPICS-006", "K-CREATE-TOPICS-007", "K-CREATE-TOPICS-022"],
    ),
    Case::each(
        "create-topics/assignments",
        Admin,
        (ApiKey::CreateTopics, 0),
        assignments,
        &[
            "K-CREATE-TOPICS-008",
            "K-CREATE-TOPICS-009",
            "K-CREATE-TOPICS-010",
            "K-CREATE-TOPICS-011",
            "K-CREATE-TOPICS-023",
        ],
    ),
    Case::each(
        "create-topics/validate-only",
        Admin,
        (ApiKey::CreateTopics, 0),
        validate_only,
        &["K-CREATE-TOPICS-012", "K-CREATE-TOPICS-013", "K-CREATE-TOPICS-014"],
    ),
    Case::each(
        "create-topics/settings",
        Admin,
        (ApiKey::CreateTopics, 0),
        settings,
        &["K-CREATE-TOPICS-015", "K-CREATE-TOPICS-016"],
    ),
    Case::each(
        "create-topics/what-is-told",
        Admin,
        (ApiKey::CreateTopics, 5),
        what_is_told,
        &["K-CREATE-TOPICS-017", "K-CREATE-TOPICS-018", "K-CREATE-TOPICS-021"],
    ),
    Case::each(
        "create-topics/defaults",
        Admin,
        (ApiKey::CreateTopics, 4),
        defaults,
        &["K-CREATE-TOPICS-019", "K-CREATE-TOPICS-020"],
    ),
];

/// A topic must be answered with this error.
fn expect(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    topic: CreatableTopic,
    expected: i16,
) -> Step {
    let text = topic.told();
    let code = create_code(context, wire, statement, topic, false)?;
    context.must(statement, code == Some(expected), || {
        let code = code.map_or_else(|| "no entry of its own".to_owned(), error_name);
        format!("{text} should be {}; it is {code}", error_name(expected))
    })
}

/// Nothing of this name is there: a dry run says that it could be made.
fn is_absent(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    name: &str,
) -> Step {
    let code = create_code(context, wire, statement, plain(name), true)?;
    context.must(statement, code == Some(0), || {
        format!("a dry run after it: {}", error_name(code.unwrap_or(-1)))
    })
}

fn names(context: &mut Context<'_>) -> Step {
    let (one, two) = ("K-CREATE-TOPICS-001", "K-CREATE-TOPICS-002");
    let mut wire = context.connect()?;
    let own = context.name();
    let long = format!("{own}{}", "x".repeat(250 - own.len()));
    let (blank, slash, letter) = (format!("{own} "), format!("{own}/"), format!("{own}ä"));
    for name in ["", ".", "..", &long, &blank, &slash, &letter] {
        expect(context, &mut wire, one, plain(name), INVALID_TOPIC_EXCEPTION)?;
    }
    expect(context, &mut wire, one, plain(&long[..249]), 0)?;
    let (dots, other) = (format!("{own}.a.b"), format!("{own}.a_b"));
    expect(context, &mut wire, two, plain(&dots), 0)?;
    expect(context, &mut wire, two, plain(&other), INVALID_TOPIC_EXCEPTION)
}

fn numbers(context: &mut Context<'_>) -> Step {
    let mut wire = context.connect()?;
    let name = context.name();
    let none = CreatableTopic { num_partitions: 0, ..plain(&name) };
    expect(context, &mut wire, "K-CREATE-TOPICS-003", none, INVALID_PARTITIONS)?;
    let factor = |replication_factor| CreatableTopic { replication_factor, ..plain(&name) };
    let refused = INVALID_REPLICATION_FACTOR;
    expect(context, &mut wire, "K-CREATE-TOPICS-004", factor(0), refused)?;
    expect(context, &mut wire, "K-CREATE-TOPICS-005", factor(i16::MAX), refused)
}

fn named_twice(context: &mut Context<'_>) -> Step {
    let (six, seven, twenty_two) =
        ("K-CREATE-TOPICS-006", "K-CREATE-TOPICS-007", "K-CREATE-TOPICS-022");
    let mut wire = context.connect()?;
    let (twice, good, bad) = (context.name(), context.name(), context.name());
    let refused = CreatableTopic { num_partitions: 0, ..plain(&bad) };
    let topics = vec![plain(&twice), plain(&good), refused, plain(&twice)];
    let answer = create(context, &mut wire, six, topics, false)?;
    let codes = |name: &str| -> Vec<i16> {
        let of_it = answer.iter().filter(|entry| entry.name == name);
        of_it.map(|entry| entry.error_code).collect()
    };
    let all = |codes: &[i16], code| !codes.is_empty() && codes.iter().all(|one| *one == code);
    context.must(six, all(&codes(&twice), INVALID_REQUEST), || {
        format!("a topic that is named twice is answered with {:?}", codes(&twice))
    })?;
    let others = (codes(&good), codes(&bad));
    context.must(twenty_two, others == (vec![0], vec![INVALID_PARTITIONS]), || {
        format!("a good topic and one without partitions are answered with {others:?}")
    })?;
    is_absent(context, &mut wire, seven, &twice)
}

fn assigned(name: &str, partitions: &[(i32, i32)]) -> CreatableTopic {
    let assignment = |(partition_index, node): &(i32, i32)| CreatableReplicaAssignment {
        partition_index: *partition_index,
        broker_ids: vec![*node],
        ..Default::default()
    };
    CreatableTopic {
        num_partitions: -1,
        replication_factor: -1,
        assignments: partitions.iter().map(assignment).collect(),
        ..plain(name)
    }
}

fn assignments(context: &mut Context<'_>) -> Step {
    let mut wire = context.connect()?;
    let name = context.name();
    let cluster = metadata(context, &mut wire, &[])?;
    let node = cluster.brokers.iter().map(|broker| broker.node_id).max().unwrap_or_default();
    let good = assigned(&name, &[(0, node), (1, node)]);
    let factor = CreatableTopic { replication_factor: 1, ..good.clone() };
    expect(context, &mut wire, "K-CREATE-TOPICS-008", factor, INVALID_REQUEST)?;
    let count = CreatableTopic { num_partitions: 2, ..good.clone() };
    expect(context, &mut wire, "K-CREATE-TOPICS-009", count, INVALID_REQUEST)?;
    let refused = INVALID_REPLICA_ASSIGNMENT;
    for gaps in [[(0, node), (2, node)], [(1, node), (2, node)]] {
        let topic = assigned(&name, &gaps);
        expect(context, &mut wire, "K-CREATE-TOPICS-010", topic, refused)?;
    }
    let nobody = assigned(&name, &[(0, node), (1, 1_000_003)]);
    expect(context, &mut wire, "K-CREATE-TOPICS-011", nobody, refused)?;
    let last = "K-CREATE-TOPICS-023";
    expect(context, &mut wire, last, good, 0)?;
    let topic = until_metadata(context, &mut wire, last, &name, |topic| {
        topic.error_code == 0 && topic.partitions.len() == 2
    })?;
    let is_there = topic.partitions.iter().all(|partition| partition.replica_nodes == [node]);
    context
        .must(last, is_there, || format!("assigned to node {node}, Metadata has {}", topic.told()))
}

fn validate_only(context: &mut Context<'_>) -> Step {
    let (twelve, thirteen, fourteen) =
        ("K-CREATE-TOPICS-012", "K-CREATE-TOPICS-013", "K-CREATE-TOPICS-014");
    let mut wire = context.connect()?;
    let name = context.name();
    is_absent(context, &mut wire, thirteen, &name)?;
    is_absent(context, &mut wire, thirteen, &name)?;
    expect(context, &mut wire, thirteen, plain(&name), 0)?;
    expect(context, &mut wire, twelve, plain(&name), TOPIC_ALREADY_EXISTS)?;
    let code = create_code(context, &mut wire, fourteen, plain(&name), true)?;
    context.must(fourteen, code == Some(TOPIC_ALREADY_EXISTS), || {
        format!("a dry run for a topic that exists: {}", error_name(code.unwrap_or(-1)))
    })
}

fn with_setting(name: &str, key: &str, value: &str) -> CreatableTopic {
    let config = CreatableTopicConfig {
        name: key.to_owned(),
        value: Some(value.to_owned()),
        ..Default::default()
    };
    CreatableTopic { configs: vec![config], ..plain(name) }
}

fn settings(context: &mut Context<'_>) -> Step {
    let mut wire = context.connect()?;
    let name = context.name();
    for (key, value) in
        [("retention.ms", "a while"), ("cleanup.policy", "burn"), ("max.message.bytes", "-2")]
    {
        let topic = with_setting(&name, key, value);
        expect(context, &mut wire, "K-CREATE-TOPICS-015", topic, INVALID_CONFIG)?;
    }
    let topic = with_setting(&name, "no.such.setting", "1");
    expect(context, &mut wire, "K-CREATE-TOPICS-016", topic, INVALID_CONFIG)
}

/// The one entry of a topic that was made.
fn made(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    topic: CreatableTopic,
) -> Step<CreatableTopicResult> {
    let answer = create(context, wire, statement, vec![topic], false)?;
    context.must(statement, answer.len() == 1 && answer[0].error_code == 0, || {
        format!("one topic is answered with {}", answer.told())
    })?;
    Ok(answer.into_iter().next().expect("it was just counted"))
}

fn what_is_told(context: &mut Context<'_>) -> Step {
    let (numbers, configs, id) =
        ("K-CREATE-TOPICS-017", "K-CREATE-TOPICS-018", "K-CREATE-TOPICS-021");
    let mut wire = context.connect()?;
    let name = context.name();
    let wanted = with_setting(&name, "cleanup.policy", "compact");
    let wanted = CreatableTopic { num_partitions: 3, ..wanted };
    let told = made(context, &mut wire, numbers, wanted)?;
    let counts = (told.num_partitions, told.replication_factor);
    context.must(numbers, counts == (3, 1), || {
        format!("three partitions of one replica are told as {counts:?}")
    })?;
    let all = told.configs.unwrap_or_default();
    let one = all.iter().find(|config| config.name == "cleanup.policy");
    let is_own =
        one.is_some_and(|one| one.value.as_deref() == Some("compact") && one.config_source == 1);
    context
        .must(configs, is_own, || format!("what was set on the topic is told as {}", one.told()))?;
    let bare = all.iter().find(|config| !(1..=5).contains(&config.config_source));
    context.must(configs, all.len() > 5 && bare.is_none(), || {
        format!("{} settings are told; without a source: {}", all.len(), bare.told())
    })?;
    if context.version() >= 7 {
        let topic = until_metadata(context, &mut wire, id, &name, |topic| topic.error_code == 0)?;
        let is_it = told.topic_id == topic.topic_id && !told.topic_id.is_zero();
        context.must(id, is_it, || {
            format!("id {:?} is told; Metadata has {:?}", told.topic_id, topic.topic_id)
        })?;
    }
    Ok(())
}

fn defaults(context: &mut Context<'_>) -> Step {
    let (partitions, factor) = ("K-CREATE-TOPICS-019", "K-CREATE-TOPICS-020");
    let mut wire = context.connect()?;
    let (one, other) = (context.name(), context.name());
    let topic = CreatableTopic { num_partitions: -1, ..plain(&one) };
    made(context, &mut wire, partitions, topic)?;
    let wanted = |topic: &ottla_protocol::messages::metadata::MetadataResponseTopic| {
        topic.error_code == 0 && !topic.partitions.is_empty()
    };
    until_metadata(context, &mut wire, partitions, &one, wanted)?;
    context.held(partitions);
    let topic = CreatableTopic { replication_factor: -1, ..plain(&other) };
    made(context, &mut wire, factor, topic)?;
    let topic = until_metadata(context, &mut wire, factor, &other, wanted)?;
    context.must(factor, !topic.partitions[0].replica_nodes.is_empty(), || {
        format!("made with the default factor, Metadata has {}", topic.told())
    })
}
