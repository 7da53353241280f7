//! Committing and reading positions, in the shape of each version.

use super::admin::{metadata, until_metadata};
use super::common::is_passing;
use super::groups::Member;
use super::told::Told;
use crate::context::{Context, Step, error_name, resolve};
use crate::findings::Asserts;
use crate::verdict::Stop;
use crate::wire::Wire;
use ottla_protocol::Uuid;
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse, OffsetFetchResponseGroup,
};
use ottla_protocol::messages::{ApiKey, OffsetCommitResponse, Request};

/// A topic by both of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) id: Uuid,
}

impl Topic {
    /// A new topic with this many partitions, of which every broker knows.
    ///
    /// # Errors
    ///
    /// BLOCKED.
    pub(crate) fn new(context: &mut Context<'_>, partitions: i32) -> Step<Self> {
        let (name, mut wire) = context.topic(partitions)?;
        let cluster = metadata(context, &mut wire, &[])?;
        let mut id = Uuid::ZERO;
        for broker in &cluster.brokers {
            let mut wire = context.connect_to(resolve(&broker.host, broker.port)?)?;
            let known = until_metadata(context, &mut wire, "K-METADATA-036", &name, |topic| {
                topic.error_code == 0 && topic.partitions.len() >= partitions as usize
            });
            id = known.map_err(|stop| Stop::blocked(stop.message))?.topic_id;
        }
        Ok(Self { name, id })
    }

    /// One that does not exist.
    pub(crate) fn unknown(context: &mut Context<'_>) -> Self {
        Self { name: context.name(), id: Uuid([0x5a; 16]) }
    }

    fn is(&self, name: &str, id: Uuid) -> bool {
        if name.is_empty() { self.id == id } else { self.name == name }
    }
}

/// Who commits: a group, or a member of one.
#[derive(Debug, Clone)]
pub(crate) struct Committer {
    pub(crate) group: String,
    pub(crate) member: String,
    pub(crate) instance: Option<String>,
    pub(crate) generation: i32,
}

impl Committer {
    /// Without a member.
    pub(crate) fn alone(group: &str) -> Self {
        let (group, member) = (group.to_owned(), String::new());
        Self { group, member, instance: None, generation: -1 }
    }

    /// As this member.
    pub(crate) fn of(member: &Member) -> Self {
        Self {
            group: member.group.clone(),
            member: member.id.clone(),
            instance: member.instance.clone(),
            generation: member.generation,
        }
    }
}

/// A position that is committed.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) epoch: i32,
    pub(crate) metadata: String,
}

/// A position without anything beside it.
pub(crate) fn mark(partition: i32, offset: i64) -> Mark {
    Mark { partition, offset, epoch: -1, metadata: String::new() }
}

fn commit_request(version: i16, who: &Committer, topics: &[(&Topic, &[Mark])]) -> Request {
    let partition = |mark: &Mark| OffsetCommitRequestPartition {
        partition_index: mark.partition,
        committed_offset: mark.offset,
        committed_leader_epoch: if version >= 6 { mark.epoch } else { -1 },
        committed_metadata: Some(mark.metadata.clone()),
        ..Default::default()
    };
    let topic = |(topic, marks): &(&Topic, &[Mark])| OffsetCommitRequestTopic {
        name: if version >= 10 { String::new() } else { topic.name.clone() },
        topic_id: if version >= 10 { topic.id } else { Uuid::ZERO },
        partitions: marks.iter().map(partition).collect(),
        ..Default::default()
    };
    Request::OffsetCommit(Box::new(OffsetCommitRequest {
        group_id: who.group.clone(),
        generation_id_or_member_epoch: who.generation,
        member_id: who.member.clone(),
        group_instance_id: who.instance.clone().filter(|_| version >= 7),
        topics: topics.iter().map(topic).collect(),
        ..Default::default()
    }))
}

/// Commits in the version under test (or the best); an error for each partition, in the order of
/// the request. Errors that pass are tried again, other than the one that is expected.
///
/// # Errors
///
/// FAIL of the statement where no answer comes, or one with other partitions.
pub(crate) fn commit_all(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    who: &Committer,
    topics: &[(&Topic, &[Mark])],
    expected: i16,
) -> Step<Vec<i16>> {
    let version = context.version_of(ApiKey::OffsetCommit)?;
    let request = commit_request(version, who, topics);
    let until = context.deadline();
    loop {
        let answer = wire.call(version, &request);
        let answer: OffsetCommitResponse = context.answer(statement, answer)?;
        let mut codes = Vec::new();
        for (topic, marks) in topics {
            for mark in *marks {
                let entries: Vec<i16> = answer
                    .topics
                    .iter()
                    .filter(|entry| topic.is(&entry.name, entry.topic_id))
                    .flat_map(|entry| &entry.partitions)
                    .filter(|entry| entry.partition_index == mark.partition)
                    .map(|entry| entry.error_code)
                    .collect();
                context.must(statement, entries.len() == 1, || {
                    let (index, count) = (mark.partition, entries.len());
                    format!("partition {index} should have one entry; it has {count}")
                })?;
                codes.extend(entries);
            }
        }
        match codes.iter().find(|code| **code != expected && is_passing(**code)) {
            None => return Ok(codes),
            Some(code) => context.must_before(statement, until, || {
                format!("OffsetCommit: still {} at the deadline", error_name(*code))
            })?,
        }
    }
}

/// Commits one position, which must be answered with this error.
///
/// # Errors
///
/// FAIL of the statement where it is not.
pub(crate) fn commit_is(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    who: &Committer,
    (topic, mark, expected): (&Topic, Mark, i16),
    what: &str,
) -> Step {
    let topics: [(&Topic, &[Mark]); 1] = [(topic, &[mark])];
    let codes = commit_all(context, wire, statement, who, &topics, expected)?;
    context.must(statement, codes == [expected], || {
        let (expected, code) = (error_name(expected), error_name(codes[0]));
        format!("{what}: a commit should be answered with {expected}; it is {code}")
    })
}

/// A position that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    name: String,
    id: Uuid,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) epoch: i32,
    pub(crate) metadata: Option<String>,
    pub(crate) error: i16,
}

/// What is answered for a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Positions {
    pub(crate) group: String,
    pub(crate) error: i16,
    pub(crate) all: Vec<Position>,
}

impl Told for Position {
    fn told(&self) -> String {
        let (partition, offset, epoch) = (self.partition, self.offset, self.epoch);
        let (metadata, error) = (self.metadata.told(), error_name(self.error));
        format!(
            "partition {partition}: offset {offset}, leader epoch {epoch}, metadata {metadata}, \
             {error}"
        )
    }
}

impl Told for Positions {
    fn told(&self) -> String {
        format!("group {}: {}, {}", self.group, error_name(self.error), self.all.told())
    }
}

impl Positions {
    /// The entries of a partition.
    pub(crate) fn of(&self, topic: &Topic, partition: i32) -> Vec<&Position> {
        let is_it = |one: &&Position| one.partition == partition && topic.is(&one.name, one.id);
        self.all.iter().filter(is_it).collect()
    }
}

/// Partitions to ask about; none for all of the group.
pub(crate) type Asked<'a> = Option<&'a [(&'a Topic, &'a [i32])]>;

fn fetch_request(version: i16, groups: &[(&str, Asked<'_>)]) -> Request {
    let mut request = OffsetFetchRequest::default();
    if version >= 8 {
        let topic = |(topic, partitions): &(&Topic, &[i32])| OffsetFetchRequestTopics {
            name: if version >= 10 { String::new() } else { topic.name.clone() },
            topic_id: if version >= 10 { topic.id } else { Uuid::ZERO },
            partition_indexes: partitions.to_vec(),
            ..Default::default()
        };
        let group = |(group, asked): &(&str, Asked<'_>)| OffsetFetchRequestGroup {
            group_id: (*group).to_owned(),
            topics: asked.map(|topics| topics.iter().map(topic).collect()),
            ..Default::default()
        };
        request.groups = groups.iter().map(group).collect();
    } else if let Some((group, asked)) = groups.first() {
        let topic = |(topic, partitions): &(&Topic, &[i32])| OffsetFetchRequestTopic {
            name: topic.name.clone(),
            partition_indexes: partitions.to_vec(),
            ..Default::default()
        };
        request.group_id = (*group).to_owned();
        request.topics = asked.map(|topics| topics.iter().map(topic).collect());
    }
    Request::OffsetFetch(Box::new(request))
}

fn positions(answer: OffsetFetchResponse, version: i16, asked: &str) -> Vec<Positions> {
    // The same fields, in two types.
    macro_rules! position {
        ($name:expr, $id:expr, $one:expr) => {
            Position {
                name: $name.clone(),
                id: $id,
                partition: $one.partition_index,
                offset: $one.committed_offset,
                epoch: $one.committed_leader_epoch,
                metadata: $one.metadata.clone(),
                error: $one.error_code,
            }
        };
    }
    if version < 8 {
        let topics = answer.topics.iter();
        let all = topics.flat_map(|topic| {
            topic.partitions.iter().map(|one| position!(topic.name, Uuid::ZERO, one))
        });
        let (group, error, all) = (asked.to_owned(), answer.error_code, all.collect());
        return vec![Positions { group, error, all }];
    }
    let group = |group: OffsetFetchResponseGroup| {
        let topics = group.topics.iter();
        let all = topics.flat_map(|topic| {
            topic.partitions.iter().map(|one| position!(topic.name, topic.topic_id, one))
        });
        let all = all.collect();
        Positions { group: group.group_id, error: group.error_code, all }
    };
    answer.groups.into_iter().map(group).collect()
}

/// Reads the positions of groups in the version under test (or the best). Before version 8 there is
/// one group.
///
/// # Errors
///
/// FAIL of the statement where no answer comes.
pub(crate) fn fetch_groups(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    groups: &[(&str, Asked<'_>)],
) -> Step<Vec<Positions>> {
    let version = context.version_of(ApiKey::OffsetFetch)?;
    let request = fetch_request(version, groups);
    let until = context.deadline();
    loop {
        let answer = wire.call(version, &request);
        let answer: OffsetFetchResponse = context.answer(statement, answer)?;
        let answer = positions(answer, version, groups[0].0);
        context.must(statement, answer.len() == groups.len(), || {
            format!("{} groups were asked for and answered with {}", groups.len(), answer.told())
        })?;
        // The coordinator may still read its log.
        let is_loading = |one: &Positions| {
            one.error == 14 || one.all.iter().any(|position| position.error == 14)
        };
        if !answer.iter().any(is_loading) {
            return Ok(answer);
        }
        context.must_before(statement, until, || {
            "OffsetFetch: the coordinator still loads at the deadline".to_owned()
        })?;
    }
}

/// The position of one partition, which must have one entry.
///
/// # Errors
///
/// FAIL of the statement.
pub(crate) fn fetch_one(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    group: &str,
    (topic, partition): (&Topic, i32),
) -> Step<Position> {
    let asked: [(&Topic, &[i32]); 1] = [(topic, &[partition])];
    let answer = fetch_groups(context, wire, statement, &[(group, Some(&asked))])?;
    let found: Vec<_> = answer.iter().flat_map(|one| one.of(topic, partition)).collect();
    let is_sound = answer.len() == 1 && answer[0].error == 0 && found.len() == 1;
    context.must(statement, is_sound, || {
        format!("OffsetFetch of one partition was answered with {}", answer.told())
    })?;
    Ok(found[0].clone())
}
