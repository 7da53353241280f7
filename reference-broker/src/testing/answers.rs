//! How a code gets into an answer, in the places that the request's version has for it.
//!
//! An answer is made by the API's own handler, then the code is put into the entries that are
//! meant. What shall not be done is spoiled in the request before: the handler then refuses that
//! entry, and only that, and the answer gets its name back together with the code.

use bytes::Bytes;
use ottla_protocol::messages::elect_leaders::TopicPartitions;
use ottla_protocol::messages::{
    AddRaftVoterResponse, FetchResponse, FindCoordinatorResponse, HeartbeatResponse,
    InitProducerIdResponse, JoinGroupResponse, LeaveGroupResponse, MetadataResponse,
    OffsetFetchResponse, RemoveRaftVoterResponse, Request, Response, SyncGroupResponse,
    UnregisterBrokerResponse, UpdateFeaturesResponse,
};
use ottla_protocol::{ErrorCode, Uuid};

use super::fault::Filter;
use super::places::{Place, name};
use crate::api::{Answer, api_versions};
use crate::quorum::{Image, TopicImage};

/// In front of a name that is spoiled: no topic and no group of a client has it.
const SPOILT: char = '\0';

fn spoil(name: &mut String, is_meant: impl Fn(&str) -> bool) {
    if is_meant(name) {
        name.insert(0, SPOILT);
    }
}

fn mend(name: &mut String) {
    if name.starts_with(SPOILT) {
        name.remove(0);
    }
}

/// A partition that does not exist, and back.
fn spoil_index(index: &mut i32, is_meant: bool) {
    if is_meant && *index >= 0 {
        *index = !*index;
    }
}

fn mend_index(index: &mut i32) {
    *index = (*index).max(!*index);
}

/// Keeps what gets an error from being done: answers for the request if the error is of all of it,
/// else spoils the entries that are meant.
pub(super) fn refuse(
    request: &mut Request,
    code: ErrorCode,
    filter: &Filter,
    image: &Image,
) -> Option<Response> {
    let error_code = code.code();
    Some(match request {
        Request::JoinGroup(r) => {
            let member_id = std::mem::take(&mut r.member_id);
            JoinGroupResponse { error_code, member_id, ..Default::default() }.into()
        }
        Request::SyncGroup(_) => SyncGroupResponse { error_code, ..Default::default() }.into(),
        Request::Heartbeat(_) => HeartbeatResponse { error_code, ..Default::default() }.into(),
        Request::LeaveGroup(_) => LeaveGroupResponse { error_code, ..Default::default() }.into(),
        Request::InitProducerId(_) => {
            let none = InitProducerIdResponse { producer_epoch: -1, ..Default::default() };
            InitProducerIdResponse { error_code, ..none }.into()
        }
        Request::UpdateFeatures(_) => {
            UpdateFeaturesResponse { error_code, ..Default::default() }.into()
        }
        Request::UnregisterBroker(_) => {
            UnregisterBrokerResponse { error_code, ..Default::default() }.into()
        }
        Request::AddRaftVoter(_) => {
            AddRaftVoterResponse { error_code, ..Default::default() }.into()
        }
        Request::RemoveRaftVoter(_) => {
            RemoveRaftVoterResponse { error_code, ..Default::default() }.into()
        }
        _ => {
            spoil_entries(request, filter, image);
            return None;
        }
    })
}

/// Spoils the partitions of topics that are meant.
macro_rules! spoil_partitions {
    ($topics:expr, $hits_at:ident) => {
        for topic in &mut $topics {
            for partition in &mut topic.partitions {
                let hit = $hits_at(&topic.name, partition.partition_index);
                spoil_index(&mut partition.partition_index, hit);
            }
        }
    };
}

fn spoil_entries(request: &mut Request, filter: &Filter, image: &Image) {
    let hits = |topic: &str| filter.hits(&Place::topic(topic));
    let hits_at = |topic: &str, index| filter.hits(&Place::topic(topic).partition(index));
    match request {
        Request::Produce(r) => {
            for topic in &mut r.topic_data {
                let name = name(&topic.name, topic.topic_id, image);
                for data in topic.partition_data.iter_mut().filter(|d| hits_at(name, d.index)) {
                    data.records = None;
                }
            }
        }
        Request::OffsetCommit(r) => {
            for topic in &mut r.topics {
                let name = name(&topic.name, topic.topic_id, image);
                for partition in &mut topic.partitions {
                    let hit = hits_at(name, partition.partition_index);
                    spoil_index(&mut partition.partition_index, hit);
                }
            }
        }
        Request::DeleteRecords(r) => spoil_partitions!(r.topics, hits_at),
        Request::OffsetDelete(r) => spoil_partitions!(r.topics, hits_at),
        Request::AlterPartitionReassignments(r) => spoil_partitions!(r.topics, hits_at),
        Request::ElectLeaders(r) => {
            for topic in r.topic_partitions.get_or_insert_with(|| all_partitions(image)) {
                for index in &mut topic.partitions {
                    spoil_index(index, hits_at(&topic.topic, *index));
                }
            }
        }
        Request::AlterConfigs(r) => {
            r.resources.iter_mut().for_each(|resource| spoil(&mut resource.resource_name, hits));
        }
        Request::CreateTopics(r) => r.topics.iter_mut().for_each(|t| spoil(&mut t.name, hits)),
        Request::CreatePartitions(r) => r.topics.iter_mut().for_each(|t| spoil(&mut t.name, hits)),
        Request::DeleteTopics(r) => {
            for topic in &mut r.topics {
                if topic.name.is_none() && hits(name("", topic.topic_id, image)) {
                    // An id is kept in the name, and comes back from there.
                    topic.name = Some(format!("{SPOILT}{SPOILT}{}", topic.topic_id));
                    topic.topic_id = Uuid::ZERO;
                } else if let Some(name) = &mut topic.name {
                    spoil(name, hits);
                }
            }
            r.topic_names.iter_mut().for_each(|name| spoil(name, hits));
        }
        Request::DeleteGroups(r) => {
            let hits = |group: &str| filter.hits(&Place::group(group));
            r.groups_names.iter_mut().for_each(|name| spoil(name, hits));
        }
        Request::IncrementalAlterConfigs(r) => {
            r.resources.iter_mut().for_each(|resource| spoil(&mut resource.resource_name, hits));
        }
        // The error is there already, nothing is worth waiting for.
        Request::Fetch(r) => r.max_wait_ms = 0,
        Request::Metadata(r) => r.allow_auto_topic_creation = false,
        _ => {}
    }
}

/// What an election of "all partitions" is about.
fn all_partitions(image: &Image) -> Vec<TopicPartitions> {
    let of = |topic: &TopicImage| TopicPartitions {
        topic: topic.name.clone(),
        partitions: (0..).take(topic.partitions.len()).collect(),
        ..Default::default()
    };
    image.topics.values().map(|topic| of(topic)).collect()
}

/// Puts the code into an answer. Without an answer (`acks=0`) an error ends the connection.
pub(super) fn put_into(answer: Answer, code: ErrorCode, filter: &Filter, image: &Image) -> Answer {
    match answer {
        Answer::Response(mut response) => {
            put(&mut response, code, filter, image);
            Answer::Response(response)
        }
        Answer::Silence => Answer::Close(format!("a fault: {} with acks=0", code.name())),
        Answer::Close(reason) => Answer::Close(reason),
    }
}

/// Makes an entry of an answer one with the code: what names it is kept, the rest is as by default.
macro_rules! fail {
    ($entry:expr, $code:expr, [$($kept:ident),*] $(, $field:ident = $value:expr)*) => {{
        let _old = std::mem::take($entry);
        $entry.error_code = $code;
        $($entry.$kept = _old.$kept;)*
        $($entry.$field = $value;)*
    }};
}

/// Fails the partitions of topics that a filter means.
macro_rules! fail_partitions {
    (
        $topics:expr, $topic:ident => $name:expr, $partitions:ident, $index:ident,
        $filter:ident, $code:ident $(, $field:ident = $value:expr)*
    ) => {
        for $topic in &mut $topics {
            let place = Place::topic($name);
            for entry in &mut $topic.$partitions {
                mend_index(&mut entry.$index);
                if $filter.hits(&place.partition(entry.$index)) {
                    fail!(entry, $code, [$index] $(, $field = $value)*);
                }
            }
        }
    };
}

/// Puts the code into the entries that are meant.
fn put(response: &mut Response, error: ErrorCode, filter: &Filter, image: &Image) {
    let code = error.code();
    match response {
        Response::Produce(r) => fail_partitions!(
            r.responses, t => name(&t.name, t.topic_id, image), partition_responses, index,
            filter, code, base_offset = -1
        ),
        Response::Fetch(r) if is_of_session(error) => {
            **r = FetchResponse { error_code: code, ..FetchResponse::default() };
        }
        Response::Fetch(r) => fail_partitions!(
            r.responses, t => name(&t.topic, t.topic_id, image), partitions, partition_index,
            filter, code, high_watermark = -1, last_stable_offset = -1, log_start_offset = -1,
            records = Some(Bytes::new())
        ),
        Response::ListOffsets(r) => fail_partitions!(
            r.topics, t => &t.name, partitions, partition_index,
            filter, code, timestamp = -1, offset = -1, leader_epoch = -1
        ),
        Response::DeleteRecords(r) => fail_partitions!(
            r.topics, t => &t.name, partitions, partition_index, filter, code, low_watermark = -1
        ),
        Response::OffsetForLeaderEpoch(r) => fail_partitions!(
            r.topics, t => &t.topic, partitions, partition,
            filter, code, leader_epoch = -1, end_offset = -1
        ),
        Response::OffsetCommit(r) => fail_partitions!(
            r.topics, t => name(&t.name, t.topic_id, image), partitions, partition_index,
            filter, code
        ),
        Response::OffsetDelete(r) => fail_partitions!(
            r.topics, t => &t.name, partitions, partition_index, filter, code
        ),
        Response::ElectLeaders(r) => fail_partitions!(
            r.replica_election_results, t => &t.topic, partition_result, partition_id, filter, code
        ),
        Response::AlterPartitionReassignments(r) => fail_partitions!(
            r.responses, t => &t.name, partitions, partition_index, filter, code
        ),
        Response::ListPartitionReassignments(r) => fail!(&mut **r, code, []),
        Response::Metadata(r) => metadata(r, error, filter, image),
        Response::OffsetFetch(r) => offset_fetch(r, error, filter, image),
        Response::FindCoordinator(r) => find_coordinator(r, error, filter),
        Response::JoinGroup(r) => fail!(&mut **r, code, [member_id], generation_id = -1),
        Response::SyncGroup(r) => fail!(&mut **r, code, []),
        Response::Heartbeat(r) => fail!(&mut **r, code, []),
        Response::LeaveGroup(r) => fail!(&mut **r, code, []),
        Response::ListGroups(r) => fail!(&mut **r, code, []),
        Response::InitProducerId(r) => {
            fail!(&mut **r, code, [], producer_id = -1, producer_epoch = -1);
        }
        Response::ApiVersions(r) if error == ErrorCode::UnsupportedVersion => {
            **r = api_versions::unsupported_version();
        }
        Response::ApiVersions(r) => r.error_code = code,
        Response::DescribeCluster(r) => r.error_code = code,
        Response::DescribeQuorum(r) => fail!(&mut **r, code, []),
        Response::UpdateFeatures(r) => fail!(&mut **r, code, []),
        Response::UnregisterBroker(r) => fail!(&mut **r, code, []),
        Response::AddRaftVoter(r) => fail!(&mut **r, code, []),
        Response::RemoveRaftVoter(r) => fail!(&mut **r, code, []),
        Response::SaslHandshake(r) => r.error_code = code,
        Response::SaslAuthenticate(r) => r.error_code = code,
        _ => put_named(response, code, filter),
    }
}

/// The answers with a list of topics or groups, each with its own code.
fn put_named(response: &mut Response, code: i16, filter: &Filter) {
    let hits = |topic: &str| filter.hits(&Place::topic(topic));
    match response {
        Response::CreateTopics(r) => {
            for topic in &mut r.topics {
                mend(&mut topic.name);
                if hits(&topic.name) {
                    fail!(topic, code, [name]);
                }
            }
        }
        Response::CreatePartitions(r) => {
            for topic in &mut r.results {
                mend(&mut topic.name);
                if hits(&topic.name) {
                    fail!(topic, code, [name]);
                }
            }
        }
        Response::DeleteTopics(r) => {
            for topic in &mut r.responses {
                topic.name.iter_mut().for_each(mend);
                // Twice: it was an id.
                let id = topic.name.as_deref().and_then(|name| name.strip_prefix(SPOILT));
                if let Some(id) = id.and_then(|id| id.parse().ok()) {
                    (topic.name, topic.topic_id) = (None, id);
                    fail!(topic, code, [name, topic_id]);
                } else if hits(topic.name.as_deref().unwrap_or_default()) {
                    fail!(topic, code, [name, topic_id]);
                }
            }
        }
        Response::DescribeGroups(r) => {
            for group in &mut r.groups {
                if filter.hits(&Place::group(&group.group_id)) {
                    fail!(group, code, [group_id]);
                }
            }
        }
        Response::DeleteGroups(r) => {
            for group in &mut r.results {
                mend(&mut group.group_id);
                if filter.hits(&Place::group(&group.group_id)) {
                    fail!(group, code, [group_id]);
                }
            }
        }
        _ => put_described(response, code, filter),
    }
}

/// The answers about configurations, and the one that describes topics by pages.
fn put_described(response: &mut Response, code: i16, filter: &Filter) {
    let hits = |topic: &str| filter.hits(&Place::topic(topic));
    match response {
        Response::DescribeConfigs(r) => {
            for result in r.results.iter_mut().filter(|result| hits(&result.resource_name)) {
                fail!(result, code, [resource_type, resource_name]);
            }
        }
        Response::IncrementalAlterConfigs(r) => {
            for result in &mut r.responses {
                mend(&mut result.resource_name);
                if hits(&result.resource_name) {
                    fail!(result, code, [resource_type, resource_name]);
                }
            }
        }
        Response::AlterConfigs(r) => {
            for result in &mut r.responses {
                mend(&mut result.resource_name);
                if hits(&result.resource_name) {
                    fail!(result, code, [resource_type, resource_name]);
                }
            }
        }
        Response::DescribeLogDirs(r) => {
            r.results.iter_mut().for_each(|result| fail!(result, code, [log_dir]));
        }
        Response::DescribeTopicPartitions(r) => {
            for topic in &mut r.topics {
                if hits(topic.name.as_deref().unwrap_or_default()) {
                    fail!(topic, code, [name, topic_id]);
                }
            }
        }
        _ => {}
    }
}

/// Errors of a whole fetch, not of a partition.
fn is_of_session(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::FetchSessionIdNotFound
            | ErrorCode::InvalidFetchSessionEpoch
            | ErrorCode::FetchSessionTopicIdError
    )
}

/// A topic's error stands at the topic, unless a partition is named. That the client shall begin
/// anew stands at the top, where the version has a place for it.
fn metadata(response: &mut MetadataResponse, error: ErrorCode, filter: &Filter, image: &Image) {
    let code = error.code();
    if error == ErrorCode::RebootstrapRequired {
        response.error_code = code;
    }
    for topic in &mut response.topics {
        let name = name(topic.name.as_deref().unwrap_or_default(), topic.topic_id, image);
        let place = Place::topic(name);
        if !filter.hits(&place) {
            continue;
        }
        if filter.partition.is_none() {
            fail!(topic, code, [name, topic_id, is_internal]);
            continue;
        }
        for partition in &mut topic.partitions {
            if filter.hits(&place.partition(partition.partition_index)) {
                partition.error_code = code;
                partition.leader_id = -1;
            }
        }
    }
}

/// Errors of partitions, where others are of the whole group.
fn is_of_partition(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::UnstableOffsetCommit
            | ErrorCode::UnknownTopicOrPartition
            | ErrorCode::UnknownTopicId
            | ErrorCode::TopicAuthorizationFailed
    )
}

/// A group's error stands at the group or the top; before version 2 and for an error of partitions,
/// or if topic or partition is named, at the partitions.
fn offset_fetch(r: &mut OffsetFetchResponse, error: ErrorCode, filter: &Filter, image: &Image) {
    let code = error.code();
    let at_partitions = is_of_partition(error)
        || *filter != Filter { group: filter.group.clone(), ..Filter::default() };
    for group in &mut r.groups {
        if !filter.hits(&Place::group(&group.group_id)) {
            continue;
        }
        if at_partitions {
            fail_partitions!(
                group.topics, t => name(&t.name, t.topic_id, image), partitions, partition_index,
                filter, code, committed_offset = -1, committed_leader_epoch = -1
            );
        } else {
            fail!(group, code, [group_id]);
        }
    }
    if r.groups.is_empty() {
        fail_partitions!(
            r.topics, t => &t.name, partitions, partition_index,
            filter, code, committed_offset = -1, committed_leader_epoch = -1
        );
        r.error_code = if at_partitions { 0 } else { code };
    }
}

fn find_coordinator(r: &mut FindCoordinatorResponse, error: ErrorCode, filter: &Filter) {
    let (code, error_message) = (error.code(), Some(error.description().to_owned()));
    if r.coordinators.is_empty() {
        fail!(r, code, [], node_id = -1, port = -1, error_message = error_message);
        return;
    }
    for entry in &mut r.coordinators {
        if filter.hits(&Place::group(&entry.key)) {
            fail!(
                entry,
                code,
                [key],
                node_id = -1,
                port = -1,
                error_message = error_message.clone()
            );
        }
    }
}

/// Sets the time that the client shall hold back; the APIs of authentication have none, and the
/// others are not served.
pub(super) fn throttle(response: &mut Response, ms: i32) {
    macro_rules! set {
        ($($api:ident),*) => {
            match response {
                $(Response::$api(response) => response.throttle_time_ms = ms,)*
                _ => {}
            }
        };
    }
    set!(
        Produce,
        Fetch,
        ListOffsets,
        Metadata,
        OffsetCommit,
        OffsetFetch,
        FindCoordinator,
        JoinGroup,
        Heartbeat,
        LeaveGroup,
        SyncGroup,
        DescribeGroups,
        ListGroups,
        ApiVersions,
        CreateTopics,
        DeleteTopics,
        DeleteRecords,
        InitProducerId,
        OffsetForLeaderEpoch,
        DescribeConfigs,
        CreatePartitions,
        DeleteGroups,
        IncrementalAlterConfigs,
        DescribeCluster,
        AlterConfigs,
        ElectLeaders,
        AlterPartitionReassignments,
        ListPartitionReassignments,
        OffsetDelete,
        DescribeTopicPartitions,
        DescribeLogDirs,
        UpdateFeatures,
        UnregisterBroker,
        AddRaftVoter,
        RemoveRaftVoter
    );
}
