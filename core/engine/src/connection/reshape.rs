//! Adapts version-neutral requests to the version of a connection, and old responses to the newest
//! shape.
//!
//! Callers fill in the newest shape, and topic names as well as ids. Fields that a version cannot
//! carry and must not lose are an encode error (trap 13), so what a version does not know is moved,
//! not dropped. Where an id is missing the version is capped.

use crate::call::CallError;
use ottla_protocol::Uuid;
use ottla_protocol::messages::delete_topics::DeleteTopicState;
use ottla_protocol::messages::find_coordinator::Coordinator;
use ottla_protocol::messages::leave_group::MemberIdentity;
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use ottla_protocol::messages::{
    DeleteTopicsRequest, FindCoordinatorRequest, FindCoordinatorResponse, LeaveGroupRequest,
    OffsetFetchRequest, OffsetFetchResponse, Request, Response,
};
use ottla_protocol::records::Compression;
use ottla_protocol::records::header::ATTRIBUTES_AT;

/// The highest version that can carry this request, where that is not the API's highest: from some
/// version on a topic is named by its id alone, and a name without an id would be sent as the zero
/// id (trap 13).
pub fn version_cap(request: &Request) -> Option<i16> {
    let missing = |mut ids: Box<dyn Iterator<Item = &Uuid> + '_>| ids.any(Uuid::is_zero);
    match request {
        Request::Produce(body) => {
            missing(Box::new(body.topic_data.iter().map(|topic| &topic.topic_id))).then_some(12)
        }
        Request::Fetch(body) => {
            let topics = body.topics.iter().map(|topic| &topic.topic_id);
            let forgotten = body.forgotten_topics_data.iter().map(|topic| &topic.topic_id);
            missing(Box::new(topics.chain(forgotten))).then_some(12)
        }
        Request::OffsetCommit(body) => {
            missing(Box::new(body.topics.iter().map(|topic| &topic.topic_id))).then_some(9)
        }
        Request::OffsetFetch(body) => {
            let new = body.groups.iter().flat_map(|group| group.topics.iter().flatten());
            let old = body.topics.as_ref().is_some_and(|topics| !topics.is_empty());
            // "All topics" is answered by id alone from version 10 on; ids may be unknown here.
            let all = body.groups.iter().any(|group| group.topics.is_none());
            (old || all || missing(Box::new(new.map(|topic| &topic.topic_id)))).then_some(9)
        }
        _ => None,
    }
}

/// Moves what the version cannot carry to where it can.
pub fn reshape_request(request: &mut Request, version: i16) {
    match request {
        Request::FindCoordinator(body) => reshape_find_coordinator(body, version),
        Request::OffsetFetch(body) => reshape_offset_fetch(body, version),
        Request::LeaveGroup(body) => reshape_leave_group(body, version),
        Request::DeleteTopics(body) => reshape_delete_topics(body, version),
        _ => {}
    }
}

fn reshape_find_coordinator(body: &mut FindCoordinatorRequest, version: i16) {
    if version >= 4 {
        if body.coordinator_keys.is_empty() {
            body.coordinator_keys.push(std::mem::take(&mut body.key));
        }
        body.key.clear();
    } else {
        if body.key.is_empty()
            && let Some(first) = body.coordinator_keys.first_mut()
        {
            body.key = std::mem::take(first);
        }
        body.coordinator_keys.clear();
    }
}

fn reshape_offset_fetch(body: &mut OffsetFetchRequest, version: i16) {
    if version < 7 {
        // Stable offsets came with KIP-447; before it every offset is answered as it is.
        body.require_stable = false;
    }
    if version >= 8 {
        let group_id = std::mem::take(&mut body.group_id);
        let topics = body.topics.replace(Vec::new());
        if body.groups.is_empty() {
            let topics = topics.map(|topics| topics.into_iter().map(new_topic).collect());
            let group = OffsetFetchRequestGroup { group_id, topics, ..Default::default() };
            body.groups.push(group);
        }
        return;
    }
    let Some(group) = body.groups.drain(..).next() else { return };
    body.group_id = group.group_id;
    body.topics = group.topics.map(|topics| topics.into_iter().map(old_topic).collect());
}

fn new_topic(topic: OffsetFetchRequestTopic) -> OffsetFetchRequestTopics {
    let OffsetFetchRequestTopic { name, partition_indexes, .. } = topic;
    OffsetFetchRequestTopics { name, partition_indexes, ..Default::default() }
}

fn old_topic(topic: OffsetFetchRequestTopics) -> OffsetFetchRequestTopic {
    let OffsetFetchRequestTopics { name, partition_indexes, .. } = topic;
    OffsetFetchRequestTopic { name, partition_indexes, ..Default::default() }
}

fn reshape_leave_group(body: &mut LeaveGroupRequest, version: i16) {
    if version >= 3 {
        let member_id = std::mem::take(&mut body.member_id);
        if body.members.is_empty() {
            body.members.push(MemberIdentity { member_id, ..Default::default() });
        }
    } else if let Some(first) = body.members.drain(..).next() {
        body.member_id = first.member_id;
    }
}

fn reshape_delete_topics(body: &mut DeleteTopicsRequest, version: i16) {
    if version >= 6 {
        let names = std::mem::take(&mut body.topic_names);
        if body.topics.is_empty() {
            let state = |name| DeleteTopicState { name: Some(name), ..Default::default() };
            body.topics = names.into_iter().map(state).collect();
        }
    } else {
        let topics = std::mem::take(&mut body.topics);
        if body.topic_names.is_empty() {
            body.topic_names = topics.into_iter().filter_map(|topic| topic.name).collect();
        }
    }
}

/// Refuses what a broker of this version would not understand though it can be written: zstd came
/// with Produce 7 (KIP-110).
///
/// # Errors
///
/// `Encode`, saying which codec is at fault.
pub(super) fn check_request(request: &Request, version: i16) -> Result<(), CallError> {
    let Request::Produce(body) = request else { return Ok(()) };
    let mut batches = body.topic_data.iter().flat_map(|topic| &topic.partition_data);
    let is_zstd = |batch: &ottla_protocol::Bytes| {
        let attributes = batch.get(ATTRIBUTES_AT + 1).copied().unwrap_or_default();
        Compression::from_code(i16::from(attributes & 7)) == Some(Compression::Zstd)
    };
    if version >= 7 || !batches.any(|data| data.records.as_ref().is_some_and(is_zstd)) {
        return Ok(());
    }
    Err(CallError::Encode(format!(
        "compression.type is zstd, which the broker's Produce version {version} does not have: \
         choose another codec, or a broker of Kafka 2.1 or later"
    )))
}

/// Brings a response to the newest shape, so that machines read one: FindCoordinator has
/// `coordinators`, OffsetFetch `groups`.
///
/// An OffsetFetch response below version 8 does not name its group: `group_id` is empty in the one
/// group.
pub fn reshape_response(response: &mut Response, version: i16) {
    match response {
        Response::FindCoordinator(body) if version < 4 => widen_find_coordinator(body),
        Response::OffsetFetch(body) if version < 8 => widen_offset_fetch(body),
        _ => {}
    }
}

fn widen_find_coordinator(body: &mut FindCoordinatorResponse) {
    body.coordinators = vec![Coordinator {
        node_id: body.node_id,
        host: body.host.clone(),
        port: body.port,
        error_code: body.error_code,
        error_message: body.error_message.clone(),
        ..Default::default()
    }];
}

fn widen_offset_fetch(body: &mut OffsetFetchResponse) {
    let widen = |topic: &ottla_protocol::messages::offset_fetch::OffsetFetchResponseTopic| {
        let partitions = topic.partitions.iter().map(|partition| OffsetFetchResponsePartitions {
            partition_index: partition.partition_index,
            committed_offset: partition.committed_offset,
            committed_leader_epoch: partition.committed_leader_epoch,
            metadata: partition.metadata.clone(),
            error_code: partition.error_code,
            ..Default::default()
        });
        OffsetFetchResponseTopics {
            name: topic.name.clone(),
            partitions: partitions.collect(),
            ..Default::default()
        }
    };
    body.groups = vec![OffsetFetchResponseGroup {
        topics: body.topics.iter().map(widen).collect(),
        error_code: body.error_code,
        ..Default::default()
    }];
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::messages::ProduceRequest;
    use ottla_protocol::messages::produce::{PartitionProduceData, TopicProduceData};

    #[test]
    fn zstd_is_not_sent_before_produce_7() {
        let request = |codec: Compression| {
            let mut batch = vec![0; 61];
            batch[ATTRIBUTES_AT + 1] = codec.code() as u8;
            let data = PartitionProduceData { records: Some(batch.into()), ..Default::default() };
            let topic = TopicProduceData { partition_data: vec![data], ..Default::default() };
            let body = ProduceRequest { topic_data: vec![topic], ..Default::default() };
            Request::Produce(Box::new(body))
        };
        assert!(check_request(&request(Compression::Zstd), 6).is_err());
        assert_eq!(check_request(&request(Compression::Zstd), 7), Ok(()));
        assert_eq!(check_request(&request(Compression::Lz4), 3), Ok(()));
    }
}
