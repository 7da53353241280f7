//! CreatePartitions: topics that grow.

use super::admin::{
    INVALID_PARTITIONS, INVALID_REPLICA_ASSIGNMENT, INVALID_REQUEST, TIMEOUT_MS,
    UNKNOWN_TOPIC_OR_PARTITION, metadata, until_metadata,
};
use super::common::Partition;
use super::records::batch;
use super::told::Told;
use crate::case::{Case, Profile::Admin};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use crate::wire::Wire;
use ottla_protocol::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
    CreatePartitionsTopicResult,
};
use ottla_protocol::messages::{ApiKey, CreatePartitionsResponse, Request};

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "create-partitions/refused",
        Admin,
        (ApiKey::CreatePartitions, 0),
        refused,
        &[
            "K-CREATE-PARTITIONS-001",
            "K-CREATE-PARTITIONS-002",
            "K-CREATE-PARTITIONS-005",
            "K-CREATE-PARTITIONS-006",
            "K-CREATE-PARTITIONS-007",
        ],
    ),
    Case::each(
        "create-partitions/added",
        Admin,
        (ApiKey::CreatePartitions, 0),
        added,
        &["K-CREATE-PARTITIONS-003", "K-CREATE-PARTITIONS-004", "K-CREATE-PARTITIONS-008"],
    ),
];

fn to(name: &str, count: i32) -> CreatePartitionsTopic {
    CreatePartitionsTopic { name: name.to_owned(), count, assignments: None, ..Default::default() }
}

fn grow(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    topics: &[CreatePartitionsTopic],
    validate_only: bool,
) -> Step<Vec<CreatePartitionsTopicResult>> {
    let (topics, timeout_ms) = (topics.to_vec(), TIMEOUT_MS);
    let request =
        CreatePartitionsRequest { topics, timeout_ms, validate_only, ..Default::default() };
    let request = Request::CreatePartitions(Box::new(request));
    let answer: CreatePartitionsResponse = context.call(statement, wire, &request)?;
    Ok(answer.results)
}

/// Topics, all with entries of this error and no others.
fn expect(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    topics: &[CreatePartitionsTopic],
    expected: i16,
) -> Step {
    let answer = grow(context, wire, statement, topics, false)?;
    let bad = answer.iter().find(|entry| entry.error_code != expected);
    context.must(statement, !answer.is_empty() && bad.is_none(), || {
        format!("{} should be {}; it is {}", topics.told(), error_name(expected), answer.told())
    })
}

fn refused(context: &mut Context<'_>) -> Step {
    let topic = Partition::with(context, 2, &[])?;
    let other = Partition::with(context, 1, &[])?;
    let mut wire = context.connect()?;
    let (one, two) = ("K-CREATE-PARTITIONS-001", "K-CREATE-PARTITIONS-002");
    for count in [2, 1, 0, -1] {
        expect(context, &mut wire, one, &[to(&topic.topic, count)], INVALID_PARTITIONS)?;
    }
    let unknown = context.name();
    let (five, nobody) = ("K-CREATE-PARTITIONS-005", UNKNOWN_TOPIC_OR_PARTITION);
    expect(context, &mut wire, five, &[to(&unknown, 3)], nobody)?;
    let twice = [to(&topic.topic, 3), to(&topic.topic, 3)];
    expect(context, &mut wire, "K-CREATE-PARTITIONS-006", &twice, INVALID_REQUEST)?;
    let cluster = metadata(context, &mut wire, &[])?;
    let node = cluster.brokers.first().map_or(0, |broker| broker.node_id);
    let place = CreatePartitionsAssignment { broker_ids: vec![node], ..Default::default() };
    for (count, places) in [(4, 1), (3, 2)] {
        let assignments = Some(vec![place.clone(); places]);
        let topics = [CreatePartitionsTopic { assignments, ..to(&topic.topic, count) }];
        let (seven, code) = ("K-CREATE-PARTITIONS-007", INVALID_REPLICA_ASSIGNMENT);
        expect(context, &mut wire, seven, &topics, code)?;
    }
    let topics = [to(&topic.topic, 2), to(&unknown, 3), to(&other.topic, 2)];
    let answer = grow(context, &mut wire, two, &topics, false)?;
    let code = |name: &str| {
        let mut of_it = answer.iter().filter(|entry| entry.name == name);
        of_it.next().map(|entry| entry.error_code)
    };
    let codes = [code(&topic.topic), code(&unknown), code(&other.topic)];
    let wanted = [Some(INVALID_PARTITIONS), Some(UNKNOWN_TOPIC_OR_PARTITION), Some(0)];
    context.must(two, answer.len() == 3 && codes == wanted, || {
        format!("three topics, of which one may grow: {}", answer.told())
    })
}

fn added(context: &mut Context<'_>) -> Step {
    let mut topic = Partition::new(context)?;
    let base = topic.append(context, batch(&[b"there before"]))?;
    let mut wire = context.connect()?;
    let (three, four, eight) =
        ("K-CREATE-PARTITIONS-003", "K-CREATE-PARTITIONS-004", "K-CREATE-PARTITIONS-008");
    let answer = grow(context, &mut wire, four, &[to(&topic.topic, 5)], true)?;
    context.must(four, answer.len() == 1 && answer[0].error_code == 0, || {
        format!("a dry run: {}", answer.told())
    })?;
    // Had the dry run added some, three would be fewer than there are.
    expect(context, &mut wire, four, &[to(&topic.topic, 3)], 0)?;
    let now = until_metadata(context, &mut wire, three, &topic.topic, |topic| {
        topic.partitions.len() != 1 && topic.partitions.iter().all(|one| one.leader_id >= 0)
    })?;
    context.must(three, now.partitions.len() == 3, || {
        format!("after it grew to three partitions, Metadata has {}", now.told())
    })?;
    let all = topic.read(context, eight, base)?;
    context.must(eight, all.len() == 1, || {
        format!("{} batches are read from the partition that was there", all.len())
    })
}
