//! The plain answers of a scripted broker's coordinator.

use super::cluster::Seen;
use super::state::{Group, State};
use ottla_protocol::messages::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolAssignmentTopicPartition,
};
use ottla_protocol::messages::find_coordinator::Coordinator;
use ottla_protocol::messages::join_group::JoinGroupResponseMember;
use ottla_protocol::messages::leave_group::MemberResponse;
use ottla_protocol::messages::offset_commit::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use ottla_protocol::messages::{
    FindCoordinatorRequest, FindCoordinatorResponse, HeartbeatResponse, InitProducerIdResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, Request,
    Response, SyncGroupRequest, SyncGroupResponse,
};
use ottla_protocol::{Bytes, Encoder, Message, Uuid};

const NOT_COORDINATOR: i16 = 16;
const ILLEGAL_GENERATION: i16 = 22;
const UNKNOWN_MEMBER: i16 = 25;
const REBALANCE_IN_PROGRESS: i16 = 27;
const MEMBER_ID_REQUIRED: i16 = 79;

/// The answer, of the requests that go to coordinators.
pub(crate) fn answer(state: &mut State, seen: &Seen, request: &Request) -> Option<Response> {
    if let Request::FindCoordinator(ask) = request {
        let answer = find_coordinator(state, seen, ask);
        return Some(Response::FindCoordinator(Box::new(answer)));
    }
    if state.group.coordinator != seen.node {
        return refused(seen, request, NOT_COORDINATOR);
    }
    Some(match request {
        Request::JoinGroup(ask) => {
            Response::JoinGroup(Box::new(join(&mut state.group, seen.version, ask)))
        }
        Request::SyncGroup(ask) => Response::SyncGroup(Box::new(sync(&state.group, ask))),
        Request::Heartbeat(ask) => {
            let group = &state.group;
            let error_code = match check(group, &ask.member_id, ask.generation_id) {
                0 if group.is_rebalancing => REBALANCE_IN_PROGRESS,
                code => code,
            };
            let answer = HeartbeatResponse { error_code, ..Default::default() };
            Response::Heartbeat(Box::new(answer))
        }
        Request::LeaveGroup(ask) => {
            Response::LeaveGroup(Box::new(leave(&mut state.group, seen.version, ask)))
        }
        Request::OffsetCommit(ask) => Response::OffsetCommit(Box::new(commit(state, ask, None))),
        Request::OffsetFetch(ask) => {
            Response::OffsetFetch(Box::new(fetch(state, seen.version, ask)))
        }
        other => Response::default_of(other.api_key()),
    })
}

/// The answer of these requests with an error, and nothing done.
pub(crate) fn refused(seen: &Seen, request: &Request, code: i16) -> Option<Response> {
    let protocol_name = Some(String::new());
    Some(match request {
        Request::JoinGroup(ask) => Response::JoinGroup(Box::new(JoinGroupResponse {
            error_code: code,
            protocol_name,
            member_id: ask.member_id.clone(),
            ..Default::default()
        })),
        Request::SyncGroup(_) => Response::SyncGroup(Box::new(SyncGroupResponse {
            error_code: code,
            ..Default::default()
        })),
        Request::Heartbeat(_) => Response::Heartbeat(Box::new(HeartbeatResponse {
            error_code: code,
            ..Default::default()
        })),
        Request::LeaveGroup(_) => Response::LeaveGroup(Box::new(LeaveGroupResponse {
            error_code: code,
            ..Default::default()
        })),
        Request::InitProducerId(_) => Response::InitProducerId(Box::new(InitProducerIdResponse {
            error_code: code,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        })),
        Request::FindCoordinator(ask) => {
            let failed = |key: &String| Coordinator {
                key: key.clone(),
                node_id: -1,
                port: -1,
                error_code: code,
                ..Default::default()
            };
            let mut answer = FindCoordinatorResponse::default();
            if seen.version >= 4 {
                answer.coordinators = ask.coordinator_keys.iter().map(failed).collect();
            } else {
                (answer.error_code, answer.node_id, answer.port) = (code, -1, -1);
            }
            Response::FindCoordinator(Box::new(answer))
        }
        Request::OffsetCommit(ask) => {
            let mut nothing = State::default();
            Response::OffsetCommit(Box::new(commit(&mut nothing, ask, Some(code))))
        }
        Request::OffsetFetch(ask) => {
            let answer = fetch(&State::default(), seen.version, ask);
            let mut answer = Response::OffsetFetch(Box::new(answer));
            set_error(&mut answer, code);
            answer
        }
        _ => return None,
    })
}

/// Puts an error into an answer to OffsetFetch: of the group, or of its partitions where it is
/// theirs.
pub(crate) fn set_error(answer: &mut Response, code: i16) {
    let Response::OffsetFetch(answer) = answer else { return };
    let is_theirs = matches!(code, 3 | 88 | 100);
    if !is_theirs {
        if answer.groups.is_empty() {
            answer.error_code = code;
        }
        answer.groups.iter_mut().for_each(|group| group.error_code = code);
    }
    let code = if is_theirs { code } else { 0 };
    for partition in answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        (partition.error_code, partition.committed_offset) = (code, -1);
    }
    let groups = answer.groups.iter_mut().flat_map(|group| &mut group.topics);
    for partition in groups.flat_map(|topic| &mut topic.partitions) {
        (partition.error_code, partition.committed_offset) = (code, -1);
    }
}

fn find_coordinator(
    state: &State,
    seen: &Seen,
    ask: &FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let node_id = state.group.coordinator;
    let (host, port) = ("127.0.0.1".to_owned(), i32::from(state.ports[&node_id]));
    if seen.version < 4 {
        return FindCoordinatorResponse { node_id, host, port, ..Default::default() };
    }
    let found = |key: &String| Coordinator {
        key: key.clone(),
        node_id,
        host: host.clone(),
        port,
        ..Default::default()
    };
    let coordinators = ask.coordinator_keys.iter().map(found).collect();
    FindCoordinatorResponse { coordinators, ..Default::default() }
}

fn check(group: &Group, member: &str, generation: i32) -> i16 {
    if member != group.member {
        return UNKNOWN_MEMBER;
    }
    if generation == group.generation { 0 } else { ILLEGAL_GENERATION }
}

fn join(group: &mut Group, version: i16, ask: &JoinGroupRequest) -> JoinGroupResponse {
    let failed = |error_code: i16, member_id: String| JoinGroupResponse {
        error_code,
        member_id,
        protocol_name: Some(String::new()),
        ..Default::default()
    };
    if ask.member_id.is_empty() {
        group.members += 1;
        group.member = format!("member-{}", group.members);
        if version >= 4 && ask.group_instance_id.is_none() {
            return failed(MEMBER_ID_REQUIRED, group.member.clone());
        }
    } else if ask.member_id != group.member {
        return failed(UNKNOWN_MEMBER, ask.member_id.clone());
    }
    group.generation += 1;
    group.is_rebalancing = false;
    let first = ask.protocols.first();
    let metadata = first.map(|protocol| protocol.metadata.clone()).unwrap_or_default();
    let member = JoinGroupResponseMember {
        member_id: group.member.clone(),
        group_instance_id: ask.group_instance_id.clone(),
        metadata,
        ..Default::default()
    };
    JoinGroupResponse {
        generation_id: group.generation,
        protocol_type: Some(ask.protocol_type.clone()),
        protocol_name: Some(first.map(|protocol| protocol.name.clone()).unwrap_or_default()),
        leader: if group.is_led { "somebody-else".to_owned() } else { group.member.clone() },
        skip_assignment: group.skips_assignment && version >= 9,
        member_id: group.member.clone(),
        members: if group.is_led { Vec::new() } else { vec![member] },
        ..Default::default()
    }
}

fn sync(group: &Group, ask: &SyncGroupRequest) -> SyncGroupResponse {
    let error_code = check(group, &ask.member_id, ask.generation_id);
    let own = ask.assignments.iter().find(|assigned| assigned.member_id == group.member);
    let assignment = match own {
        _ if error_code != 0 => Bytes::new(),
        Some(own) if !group.is_led => own.assignment.clone(),
        _ => assignment(&group.assignment),
    };
    SyncGroupResponse {
        error_code,
        protocol_type: ask.protocol_type.clone(),
        protocol_name: ask.protocol_name.clone(),
        assignment,
        ..Default::default()
    }
}

/// What a group's leader writes for a member: these partitions.
pub(crate) fn assignment(partitions: &[(String, i32)]) -> Bytes {
    let mut assigned: Vec<ConsumerProtocolAssignmentTopicPartition> = Vec::new();
    for (topic, partition) in partitions {
        match assigned.iter_mut().find(|known| known.topic == *topic) {
            Some(known) => known.partitions.push(*partition),
            None => assigned.push(ConsumerProtocolAssignmentTopicPartition {
                topic: topic.clone(),
                partitions: vec![*partition],
            }),
        }
    }
    let whole = ConsumerProtocolAssignment { assigned_partitions: assigned, ..Default::default() };
    let mut out = Encoder::new();
    out.put_slice(&0_i16.to_be_bytes());
    whole.encode(&mut out, 0).expect("names of scenarios are short");
    out.into_bytes()
}

fn leave(group: &mut Group, version: i16, ask: &LeaveGroupRequest) -> LeaveGroupResponse {
    group.is_rebalancing = false;
    if version < 3 {
        return LeaveGroupResponse::default();
    }
    let left = |member: &ottla_protocol::messages::leave_group::MemberIdentity| MemberResponse {
        member_id: member.member_id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        ..Default::default()
    };
    LeaveGroupResponse { members: ask.members.iter().map(left).collect(), ..Default::default() }
}

fn commit(
    state: &mut State,
    ask: &OffsetCommitRequest,
    refuse: Option<i16>,
) -> OffsetCommitResponse {
    let generation = ask.generation_id_or_member_epoch;
    let is_outside = generation < 0 && ask.member_id.is_empty();
    let code = refuse.unwrap_or_else(|| {
        if is_outside { 0 } else { check(&state.group, &ask.member_id, generation) }
    });
    let mut topics = Vec::new();
    for topic in &ask.topics {
        let name = state.name_of(&topic.name, topic.topic_id).unwrap_or_default();
        let mut partitions = Vec::new();
        for partition in &topic.partitions {
            let index = partition.partition_index;
            if code == 0 {
                let committed = (partition.committed_offset, partition.committed_leader_epoch);
                state.group.committed.insert((name.clone(), index), committed);
            }
            partitions.push(OffsetCommitResponsePartition {
                partition_index: index,
                error_code: code,
                ..Default::default()
            });
        }
        topics.push(OffsetCommitResponseTopic {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions,
            ..Default::default()
        });
    }
    OffsetCommitResponse { topics, ..Default::default() }
}

fn fetch(state: &State, version: i16, ask: &OffsetFetchRequest) -> OffsetFetchResponse {
    let committed = |name: &str, index: i32| {
        let place = (name.to_owned(), index);
        state.group.committed.get(&place).copied().unwrap_or((-1, -1))
    };
    if version < 8 {
        let topics = ask.topics.iter().flatten().map(|topic| OffsetFetchResponseTopic {
            name: topic.name.clone(),
            partitions: topic
                .partition_indexes
                .iter()
                .map(|index| OffsetFetchResponsePartition {
                    partition_index: *index,
                    committed_offset: committed(&topic.name, *index).0,
                    committed_leader_epoch: committed(&topic.name, *index).1,
                    metadata: Some(String::new()),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        });
        return OffsetFetchResponse { topics: topics.collect(), ..Default::default() };
    }
    let groups = ask.groups.iter().map(|group| OffsetFetchResponseGroup {
        group_id: group.group_id.clone(),
        topics: group
            .topics
            .iter()
            .flatten()
            .map(|topic| offsets(state, &topic.name, topic.topic_id, &topic.partition_indexes))
            .collect(),
        ..Default::default()
    });
    OffsetFetchResponse { groups: groups.collect(), ..Default::default() }
}

fn offsets(state: &State, name: &str, id: Uuid, indexes: &[i32]) -> OffsetFetchResponseTopics {
    let known = state.name_of(name, id).unwrap_or_else(|| name.to_owned());
    let partition = |index: &i32| {
        let place = (known.clone(), *index);
        let (offset, epoch) = state.group.committed.get(&place).copied().unwrap_or((-1, -1));
        OffsetFetchResponsePartitions {
            partition_index: *index,
            committed_offset: offset,
            committed_leader_epoch: epoch,
            metadata: Some(String::new()),
            ..Default::default()
        }
    };
    OffsetFetchResponseTopics {
        name: name.to_owned(),
        topic_id: id,
        partitions: indexes.iter().map(partition).collect(),
        ..Default::default()
    }
}
