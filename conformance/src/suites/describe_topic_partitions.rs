//! DescribeTopicPartitions: topics by pages.

use super::admin::{INVALID_REQUEST, UNKNOWN_TOPIC_OR_PARTITION};
use super::offsets::Topic;
use super::told::Told;
use crate::case::{Case, Profile::Admin};
use crate::context::{Context, Step};
use crate::findings::Asserts;
use crate::wire::Wire;
use ottla_protocol::messages::describe_topic_partitions::{
    DescribeTopicPartitionsRequestCursor, TopicRequest,
};
use ottla_protocol::messages::{
    ApiKey, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, Request,
};
use std::collections::BTreeSet;

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "describe-topic-partitions/pages",
        Admin,
        (ApiKey::DescribeTopicPartitions, 0),
        pages,
        &[
            "K-DESCRIBE-TOPIC-PARTITIONS-001",
            "K-DESCRIBE-TOPIC-PARTITIONS-002",
            "K-DESCRIBE-TOPIC-PARTITIONS-003",
            "K-DESCRIBE-TOPIC-PARTITIONS-004",
        ],
    ),
    Case::each(
        "describe-topic-partitions/unknown-topics",
        Admin,
        (ApiKey::DescribeTopicPartitions, 0),
        unknown_topics,
        &["K-DESCRIBE-TOPIC-PARTITIONS-005"],
    ),
    Case::each(
        "describe-topic-partitions/negative-cursor",
        Admin,
        (ApiKey::DescribeTopicPartitions, 0),
        negative_cursor,
        &["K-DESCRIBE-TOPIC-PARTITIONS-006"],
    ),
];

fn describe(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    names: &[&str],
    (limit, cursor): (i32, Option<(&str, i32)>),
) -> Step<DescribeTopicPartitionsResponse> {
    let from = |(name, partition_index): (&str, i32)| DescribeTopicPartitionsRequestCursor {
        topic_name: name.to_owned(),
        partition_index,
        ..Default::default()
    };
    let topic = |name: &&str| TopicRequest { name: (*name).to_owned(), ..Default::default() };
    let request = DescribeTopicPartitionsRequest {
        topics: names.iter().map(topic).collect(),
        response_partition_limit: limit,
        cursor: cursor.map(from),
        ..Default::default()
    };
    context.call(statement, wire, &Request::DescribeTopicPartitions(Box::new(request)))
}

/// Three topics of two, four and three partitions, in the order of their names.
fn three(context: &mut Context<'_>) -> Step<[(String, i32); 3]> {
    let mut topics = Vec::new();
    for partitions in [2, 4, 3] {
        topics.push((Topic::new(context, partitions)?.name, partitions));
    }
    topics.sort();
    let [a, b, c] = &topics[..] else { unreachable!("three were made") };
    Ok([a.clone(), b.clone(), c.clone()])
}

fn pages(context: &mut Context<'_>) -> Step {
    let (once, last, most, order) = (
        "K-DESCRIBE-TOPIC-PARTITIONS-001",
        "K-DESCRIBE-TOPIC-PARTITIONS-002",
        "K-DESCRIBE-TOPIC-PARTITIONS-003",
        "K-DESCRIBE-TOPIC-PARTITIONS-004",
    );
    let topics = three(context)?;
    let mut wire = context.connect()?;
    // Not in the order of their names.
    let names = [&topics[2].0[..], &topics[0].0[..], &topics[1].0[..]];
    let expected: Vec<(&str, i32)> = topics
        .iter()
        .flat_map(|(name, count)| (0..*count).map(|index| (name.as_str(), index)))
        .collect();
    for limit in [1, 2, 5, 9, 100] {
        let mut seen: Vec<(String, i32)> = Vec::new();
        let mut cursor: Option<(String, i32)> = None;
        // One page for each partition, and one more.
        for _ in 0..=expected.len() {
            let from = cursor.as_ref().map(|(name, index)| (name.as_str(), *index));
            let page = describe(context, &mut wire, once, &names, (limit, from))?;
            let before = seen.len();
            for topic in &page.topics {
                let name = topic.name.clone().unwrap_or_default();
                context.must(once, topic.error_code == 0, || {
                    format!("topic {name}: error {}", topic.error_code)
                })?;
                let mut indexes: Vec<i32> =
                    topic.partitions.iter().map(|one| one.partition_index).collect();
                indexes.sort_unstable();
                seen.extend(indexes.into_iter().map(|index| (name.clone(), index)));
            }
            let count = seen.len() - before;
            context.must(most, count <= limit as usize, || {
                format!("the limit is {limit}; an answer has {count} partitions")
            })?;
            cursor = page.next_cursor.map(|next| (next.topic_name, next.partition_index));
            if cursor.is_none() {
                break;
            }
        }
        context.must(last, cursor.is_none(), || {
            format!("limit {limit}: after {} partitions there is still a cursor", seen.len())
        })?;
        let got: Vec<(&str, i32)> = seen.iter().map(|(name, at)| (name.as_str(), *at)).collect();
        let (all, each): (BTreeSet<_>, BTreeSet<_>) =
            (expected.iter().collect(), got.iter().collect());
        context.must(once, all == each && got.len() == expected.len(), || {
            format!("limit {limit}: {got:?} were described; it should be {expected:?}")
        })?;
        context.must(order, got == expected, || {
            format!("limit {limit}: in the order {got:?}; it should be {expected:?}")
        })?;
    }
    Ok(())
}

fn unknown_topics(context: &mut Context<'_>) -> Step {
    let statement = "K-DESCRIBE-TOPIC-PARTITIONS-005";
    let topic = Topic::new(context, 1)?.name;
    let nowhere = context.name();
    let mut wire = context.connect()?;
    let answer = describe(context, &mut wire, statement, &[&topic, &nowhere], (100, None))?;
    let code = |name: &str| {
        let found = answer.topics.iter().find(|one| one.name.as_deref() == Some(name));
        found.map(|one| (one.error_code, one.partitions.len()))
    };
    let told = (code(&topic), code(&nowhere));
    let expected = (Some((0, 1)), Some((UNKNOWN_TOPIC_OR_PARTITION, 0)));
    context.must(statement, told == expected, || {
        format!("a topic and one that does not exist (error, partitions): {}", told.told())
    })
}

fn negative_cursor(context: &mut Context<'_>) -> Step {
    let statement = "K-DESCRIBE-TOPIC-PARTITIONS-006";
    let topic = Topic::new(context, 1)?.name;
    let mut wire = context.connect()?;
    let paging = (100, Some((&topic[..], -1)));
    let answer = describe(context, &mut wire, statement, &[&topic], paging)?;
    let codes: Vec<i16> = answer.topics.iter().map(|one| one.error_code).collect();
    context.must(statement, codes == [INVALID_REQUEST], || {
        format!("a cursor at partition -1 is answered with errors {codes:?}, not 42")
    })
}
