//! OffsetDelete: positions that a group forgets.

use super::admin::UNKNOWN_TOPIC_OR_PARTITION;
use super::groups::{Group, Member};
use super::offsets::{Committer, Mark, Topic, commit_all, fetch_one, mark};
use super::told::Told;
use crate::case::{Case, Profile::Groups};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use crate::wire::Wire;
use ottla_protocol::messages::offset_delete::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use ottla_protocol::messages::{
    ApiKey, ConsumerProtocolSubscription, OffsetDeleteRequest, OffsetDeleteResponse, Request,
};
use ottla_protocol::{Encoder, Message};

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "offset-delete/live-group",
        Groups,
        (ApiKey::OffsetDelete, 0),
        live_group,
        &["K-OFFSET-DELETE-001", "K-OFFSET-DELETE-002", "K-OFFSET-DELETE-004"],
    ),
    Case::each(
        "offset-delete/without-members",
        Groups,
        (ApiKey::OffsetDelete, 0),
        without_members,
        &["K-OFFSET-DELETE-002"],
    ),
    Case::each(
        "offset-delete/unknown-group",
        Groups,
        (ApiKey::OffsetDelete, 0),
        unknown_group,
        &["K-OFFSET-DELETE-003"],
    ),
];

const GROUP_ID_NOT_FOUND: i16 = 69;
const GROUP_SUBSCRIBED_TO_TOPIC: i16 = 86;

/// Deletes the position of partition 0 of each topic: the error at the top, and one for each.
fn delete(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    group: &str,
    topics: &[&Topic],
) -> Step<(i16, Vec<Option<i16>>)> {
    let topic = |topic: &&Topic| OffsetDeleteRequestTopic {
        name: topic.name.clone(),
        partitions: vec![OffsetDeleteRequestPartition::default()],
    };
    let request = Request::OffsetDelete(Box::new(OffsetDeleteRequest {
        group_id: group.to_owned(),
        topics: topics.iter().map(topic).collect(),
    }));
    let answer: OffsetDeleteResponse = context.call(statement, wire, &request)?;
    let code_of = |topic: &&Topic| {
        let found = answer.topics.iter().find(|one| one.name == topic.name)?;
        found.partitions.first().map(|one| one.error_code)
    };
    Ok((answer.error_code, topics.iter().map(code_of).collect()))
}

/// The only member of a group of consumers, who subscribes to one topic.
fn consumer(context: &mut Context<'_>, group: &Group, topic: &Topic) -> Step<Member> {
    let mut member = group.member(context)?;
    member.protocol_type = "consumer".to_owned();
    let subscription =
        ConsumerProtocolSubscription { topics: vec![topic.name.clone()], ..Default::default() };
    let mut metadata = Encoder::new();
    metadata.put_slice(&0_i16.to_be_bytes());
    subscription.encode(&mut metadata, 0)?;
    member.protocols = vec![("range".to_owned(), metadata.into_bytes())];
    let join = member.join(context, "K-OFFSET-DELETE-001")?;
    // No partitions, and no bytes of the user: what a consumer's leader writes.
    let assignment = [0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
    let synced =
        member.sync(context, "K-OFFSET-DELETE-001", &[(&join.member_id, &assignment[..])])?;
    context.must("K-OFFSET-DELETE-001", synced.error_code == 0, || {
        format!("a consumer's SyncGroup: {}", error_name(synced.error_code))
    })?;
    Ok(member)
}

fn is_forgotten(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    group: &Group,
    topic: &Topic,
) -> Step {
    let got = fetch_one(context, wire, statement, &group.id, (topic, 0))?;
    context.must(statement, got.offset == -1, || {
        format!("its position was deleted, and is read as {}", got.told())
    })
}

fn live_group(context: &mut Context<'_>) -> Step {
    let (one, two, four) = ("K-OFFSET-DELETE-001", "K-OFFSET-DELETE-002", "K-OFFSET-DELETE-004");
    let (used, unused) = (Topic::new(context, 1)?, Topic::new(context, 1)?);
    let group = Group::new(context)?;
    let mut member = consumer(context, &group, &used)?;
    let who = Committer::of(&member);
    let marks = [mark(0, 5)];
    let both: [(&Topic, &[Mark]); 2] = [(&used, &marks), (&unused, &marks)];
    commit_all(context, &mut member.wire, one, &who, &both, 0)?;
    let (top, codes) = delete(context, &mut member.wire, one, &group.id, &[&used, &unused])?;
    context.must(one, top == 0 && codes[0] == Some(GROUP_SUBSCRIBED_TO_TOPIC), || {
        let expected = error_name(GROUP_SUBSCRIBED_TO_TOPIC);
        format!("a topic in use should be {expected}; top {top}, entries {}", codes.told())
    })?;
    let kept = fetch_one(context, &mut member.wire, one, &group.id, (&used, 0))?;
    context.must(one, kept.offset == 5, || {
        format!("the position of a topic in use should stay; it is {}", kept.told())
    })?;
    context.must(four, codes[1] == Some(0), || {
        format!("a topic that is not in use should be deleted; its entry is {}", codes[1].told())
    })?;
    is_forgotten(context, &mut member.wire, two, &group, &unused)
}

fn without_members(context: &mut Context<'_>) -> Step {
    let statement = "K-OFFSET-DELETE-002";
    let (topic, unknown) = (Topic::new(context, 2)?, Topic::unknown(context));
    let group = Group::new(context)?;
    let mut wire = group.connect(context)?;
    let marks = [mark(0, 5), mark(1, 7)];
    let topics: [(&Topic, &[Mark]); 1] = [(&topic, &marks)];
    commit_all(context, &mut wire, statement, &Committer::alone(&group.id), &topics, 0)?;
    let (top, codes) = delete(context, &mut wire, statement, &group.id, &[&topic, &unknown])?;
    let expected = [Some(0), Some(UNKNOWN_TOPIC_OR_PARTITION)];
    context.must(statement, top == 0 && codes == expected, || {
        format!("a topic and one that does not exist: top {top}, entries {}", codes.told())
    })?;
    is_forgotten(context, &mut wire, statement, &group, &topic)?;
    let other = fetch_one(context, &mut wire, statement, &group.id, (&topic, 1))?;
    context.must(statement, other.offset == 7, || {
        format!("the partition beside it should keep its position; it is {}", other.told())
    })
}

fn unknown_group(context: &mut Context<'_>) -> Step {
    let statement = "K-OFFSET-DELETE-003";
    let topic = Topic::new(context, 1)?;
    let group = Group::new(context)?;
    let mut wire = group.connect(context)?;
    let (code, _) = delete(context, &mut wire, statement, &group.id, &[&topic])?;
    context.must(statement, code == GROUP_ID_NOT_FOUND, || {
        let expected = error_name(GROUP_ID_NOT_FOUND);
        format!("a group that does not exist should be {expected}; it is {}", error_name(code))
    })
}
