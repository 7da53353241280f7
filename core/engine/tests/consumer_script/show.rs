//! What the machine does, as lines of text.

use ottla_engine::call::{Call, Target};
use ottla_engine::consumer::{ConsumerOutput, HandedOut, Position, RebalanceEvent};
use ottla_engine::group::TopicPartition;
use ottla_engine::group::consumer_protocol::{decode_assignment, decode_subscription};
use ottla_protocol::messages::list_offsets::ListOffsetsPartition;
use ottla_protocol::messages::{FetchRequest, JoinGroupRequest, Request};
use ottla_protocol::records::Decompressor;

/// `#3 node 1 Fetch (Fetch, 30500ms): t-0 from 5`
pub(super) fn call(number: u64, call: &Call) -> String {
    let target = match &call.target {
        Target::Node(node) => format!("node {node}"),
        Target::Group(group) => format!("coordinator of {group}"),
        other => format!("{other:?}"),
    };
    let (name, body) = request(&call.request);
    let (purpose, timeout) = (call.purpose, call.timeout.as_millis());
    format!("#{number} to {target} by {purpose:?} within {timeout}ms: {name} {body}")
        .trim_end()
        .to_string()
}

/// The API and what is asked.
pub(super) fn request(request: &Request) -> (&'static str, String) {
    let body = match request {
        Request::Fetch(body) => fetch(body),
        Request::ListOffsets(body) => join(body.topics.iter().flat_map(|topic| {
            let of = |p: &ListOffsetsPartition| {
                format!("{}-{} at {}", topic.name, p.partition_index, p.timestamp)
            };
            topic.partitions.iter().map(of)
        })),
        Request::OffsetForLeaderEpoch(body) => join(body.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|p| {
                let (index, epoch, leader) = (p.partition, p.leader_epoch, p.current_leader_epoch);
                format!("{}-{index} epoch {epoch} (leader {leader})", topic.topic)
            })
        })),
        Request::OffsetFetch(body) => {
            let topics = body.groups[0].topics.iter().flatten();
            let parts = topics.flat_map(|topic| {
                topic.partition_indexes.iter().map(|p| format!("{}-{p}", topic.name))
            });
            format!("{} stable={}", join(parts), body.require_stable)
        }
        Request::OffsetCommit(body) => {
            let parts = body.topics.iter().flat_map(|topic| {
                topic.partitions.iter().map(|p| {
                    let epoch = p.committed_leader_epoch;
                    format!("{}-{}={}e{epoch}", topic.name, p.partition_index, p.committed_offset)
                })
            });
            let (generation, member) = (body.generation_id_or_member_epoch, &body.member_id);
            format!("{} as '{member}' of generation {generation}", join(parts))
        }
        Request::JoinGroup(body) => join_group(body),
        Request::SyncGroup(body) => {
            let parts = body.assignments.iter().map(|assignment| {
                let read = decode_assignment(&assignment.assignment).expect("an assignment");
                format!("{} gets {}", assignment.member_id, list(&read))
            });
            let parts = parts.collect::<Vec<_>>().join("; ");
            format!("as '{}' of generation {} {parts}", body.member_id, body.generation_id)
        }
        Request::Heartbeat(body) => {
            format!("as '{}' of generation {}", body.member_id, body.generation_id)
        }
        Request::LeaveGroup(body) => {
            let reason = body.members[0].reason.clone().unwrap_or_default();
            format!("as '{}' because {reason}", body.member_id)
        }
        other => format!("{other:?}"),
    };
    (request.api_key().name(), body)
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

fn fetch(body: &FetchRequest) -> String {
    let parts = body.topics.iter().flat_map(|topic| {
        // Both names, so that any version can be written (trap 13).
        assert!(!topic.topic.is_empty() && !topic.topic_id.is_zero());
        topic.partitions.iter().map(|p| {
            let (index, from, epoch) = (p.partition, p.fetch_offset, p.current_leader_epoch);
            format!("{}-{index} from {from} (leader epoch {epoch})", topic.topic)
        })
    });
    let mut parts: Vec<String> = parts.collect();
    parts.sort();
    let (wait, isolation) = (body.max_wait_ms, body.isolation_level);
    let rack = match body.rack_id.as_str() {
        "" => String::new(),
        rack => format!(" rack={rack}"),
    };
    format!("{} wait={wait}ms isolation={isolation}{rack}", parts.join(", "))
}

fn join_group(body: &JoinGroupRequest) -> String {
    let protocols = body.protocols.iter().map(|protocol| {
        let read = decode_subscription(String::new(), None, &protocol.metadata);
        let read = read.expect("a subscription that we wrote");
        let (topics, owned) = (read.topics.join(","), list(&read.owned));
        format!("{}(topics {topics}; owned {owned} of {})", protocol.name, read.generation)
    });
    let protocols = protocols.collect::<Vec<_>>().join(" ");
    let instance = body.group_instance_id.as_ref();
    let instance = instance.map_or(String::new(), |id| format!(" instance '{id}'"));
    let timeouts = format!("{}/{}ms", body.session_timeout_ms, body.rebalance_timeout_ms);
    let reason = body.reason.clone().unwrap_or_default();
    format!("as '{}'{instance} {timeouts} {protocols} because {reason}", body.member_id)
}

/// Everything that is not a call.
pub(super) fn output(output: &ConsumerOutput) -> String {
    match output {
        ConsumerOutput::Call(_) => unreachable!("calls are shown with their number"),
        ConsumerOutput::ForgetCoordinator(group) => format!("forget the coordinator of {group}"),
        ConsumerOutput::WantTopics(topics) => format!("want topics {}", topics.join(",")),
        ConsumerOutput::RefreshMetadata => "refresh metadata".to_string(),
        ConsumerOutput::LearnLeader { partition, leader, epoch } => {
            format!("{partition} is led by {leader} in epoch {epoch}")
        }
        ConsumerOutput::Rebalance(event) => match event {
            RebalanceEvent::Assigned(partitions) => format!("assigned {}", list(partitions)),
            RebalanceEvent::Revoked(partitions) => format!("revoked {}", list(partitions)),
            RebalanceEvent::Lost(partitions) => format!("lost {}", list(partitions)),
            RebalanceEvent::Truncated { partition, position, end_offset } => {
                format!("truncated {partition} below {position}, log ends at {end_offset:?}")
            }
        },
        ConsumerOutput::Committed(ticket, Ok(())) => format!("commit {} done", ticket.0),
        ConsumerOutput::Committed(ticket, Err(error)) => {
            format!("commit {} failed, {:?}: {error}", ticket.0, error.kind())
        }
        ConsumerOutput::Closed => "closed".to_string(),
    }
}

/// `batch t-0: offsets 0,1,2; then 3e5`
pub(super) fn batch(handed: &HandedOut) -> String {
    let records = handed.batch.records(&mut Decompressor::new()).expect("a readable batch");
    let offsets = records.iter().map(|record| record.expect("a whole record").offset);
    let seen = offsets.filter(|offset| *offset >= handed.first_offset);
    let seen = seen.map(|offset| offset.to_string()).collect::<Vec<_>>().join(",");
    format!("batch {}: offsets {seen}; then {}", handed.partition, position(&handed.after))
}

/// `5e2`, or `5` without an epoch.
pub(super) fn position(position: &Position) -> String {
    match position.leader_epoch {
        Some(epoch) => format!("{}e{epoch}", position.offset),
        None => position.offset.to_string(),
    }
}

fn list(partitions: &[TopicPartition]) -> String {
    let words: Vec<String> = partitions.iter().map(ToString::to_string).collect();
    format!("[{}]", words.join(" "))
}
