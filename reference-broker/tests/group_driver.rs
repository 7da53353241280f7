//! The group coordinator with its tasks and timers, over a log in memory, and the offset handlers
//! on top of it. Time is tokio's, paused: nothing here sleeps.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_broker::api::{offset_commit, offset_fetch};
use ottla_broker::coordinator::types::{
    CommitPartition, CommitRequest, CommitTopic, HeartbeatRequest, JoinReply, JoinRequest,
    LeaveRequest, LeavingMember, SyncRequest,
};
use ottla_broker::coordinator::{GroupConfig, GroupCoordinator, MemoryLog, TopicResolver};
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use ottla_protocol::messages::{OffsetCommitRequest, OffsetFetchRequest};
use ottla_protocol::{ErrorCode, Uuid};

const PARTITIONS: i32 = 5;
const TOPIC_ID: Uuid = Uuid([7; 16]);

/// One topic, `t`, of two partitions.
struct Topics;

impl TopicResolver for Topics {
    fn topic_id(&self, name: &str) -> Option<Uuid> {
        (name == "t").then_some(TOPIC_ID)
    }

    fn topic_name(&self, id: Uuid) -> Option<String> {
        (id == TOPIC_ID).then(|| "t".to_owned())
    }

    fn has_partition(&self, name: &str, partition: i32) -> bool {
        name == "t" && (0..2).contains(&partition)
    }
}

async fn coordinator(log: &Arc<MemoryLog>) -> GroupCoordinator {
    let log = Arc::clone(log);
    let coordinator = GroupCoordinator::start(&GroupConfig::default(), log);
    for partition in 0..PARTITIONS {
        coordinator.elect(partition, 0).await.expect("a log in memory can be read");
    }
    coordinator
}

fn memory_log() -> Arc<MemoryLog> {
    Arc::new(MemoryLog::new(usize::try_from(PARTITIONS).expect("positive")))
}

fn join_request(name: &str, member_id: &str) -> JoinRequest {
    JoinRequest {
        group_id: "g".into(),
        member_id: member_id.into(),
        client_id: name.into(),
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), Bytes::new())],
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 30_000,
        new_id_suffix: "1".into(),
        requires_known_member_id: true,
        ..JoinRequest::default()
    }
}

async fn join(coordinator: &GroupCoordinator, name: &str) -> JoinReply {
    let promised = coordinator.join(join_request(name, "")).await;
    assert_eq!(promised.error, ErrorCode::MemberIdRequired);
    coordinator.join(join_request(name, &promised.member_id)).await
}

fn sync_request(reply: &JoinReply, shares: &[(&str, &'static str)]) -> SyncRequest {
    let share = |(member, share): &(&str, &'static str)| {
        ((*member).to_owned(), Bytes::from_static(share.as_bytes()))
    };
    SyncRequest {
        group_id: "g".into(),
        member_id: reply.member_id.clone(),
        generation: reply.generation,
        assignments: shares.iter().map(share).collect(),
        ..SyncRequest::default()
    }
}

fn commit_request(group: &str, topic: &str, offset: i64) -> CommitRequest {
    let partition = CommitPartition { index: 0, offset, leader_epoch: -1, metadata: String::new() };
    CommitRequest {
        group_id: group.into(),
        member_id: String::new(),
        instance_id: None,
        generation: -1,
        missing_group_error: ErrorCode::GroupIdNotFound,
        retention_ms: None,
        topics: vec![CommitTopic {
            name: topic.into(),
            topic_id: Uuid::ZERO,
            partitions: vec![partition],
        }],
    }
}

/// Lets the other tasks run until `done`; they are few, and need few turns.
async fn until(done: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if done() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the condition does not come true");
}

#[tokio::test(start_paused = true)]
async fn two_members_share_and_the_survivor_takes_over() {
    let log = memory_log();
    let coordinator = coordinator(&log).await;
    // Both wait for the initial delay of three seconds, which the paused clock skips.
    let (a, b) = tokio::join!(join(&coordinator, "a"), join(&coordinator, "b"));
    assert_eq!((a.generation, b.generation), (1, 1));
    let (leader, follower) = if a.leader == a.member_id { (&a, &b) } else { (&b, &a) };
    assert_eq!(leader.members.len(), 2);
    let shares = [(a.member_id.as_str(), "p0"), (b.member_id.as_str(), "p1")];
    let (first, second) = tokio::join!(
        coordinator.sync(sync_request(follower, &[])),
        coordinator.sync(sync_request(leader, &shares)),
    );
    assert_eq!((first.error, second.error), (ErrorCode::None, ErrorCode::None));
    assert_ne!(first.assignment, second.assignment);

    // The follower falls silent; the leader's heartbeat is told after the follower's session.
    let heartbeat = HeartbeatRequest {
        group_id: "g".into(),
        member_id: leader.member_id.clone(),
        generation: 1,
        ..HeartbeatRequest::default()
    };
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(coordinator.heartbeat(heartbeat.clone()).await, ErrorCode::None);
    tokio::time::advance(Duration::from_secs(4)).await;
    // The timer's task has yet to run.
    until(|| coordinator.describe("g").expect("a group").state == "PreparingRebalance").await;
    assert_eq!(coordinator.heartbeat(heartbeat).await, ErrorCode::RebalanceInProgress);
    let again = coordinator.join(join_request("x", &leader.member_id)).await;
    assert_eq!((again.generation, again.members.len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_new_process_knows_what_the_log_knows() {
    let log = memory_log();
    let first = coordinator(&log).await;
    let joined = join(&first, "a").await;
    let share = [(joined.member_id.as_str(), "all")];
    assert_eq!(first.sync(sync_request(&joined, &share)).await.error, ErrorCode::None);
    first.commit(commit_request("simple", "t", 7)).await.expect("committed");
    drop(first);

    let second = coordinator(&log).await;
    let stored = second.committed("simple", "t", Uuid::ZERO, 0).expect("active").expect("there");
    assert_eq!(stored.offset, 7);
    let group = second.describe("g").expect("a group");
    assert_eq!((group.state, group.members.len()), ("Stable", 1));
    assert_eq!(group.members[0].assignment.as_ref(), b"all");
    let leaving = LeavingMember { member_id: joined.member_id, instance_id: None };
    let leave = LeaveRequest { group_id: "g".into(), members: vec![leaving] };
    assert_eq!(second.leave(leave).await.expect("a result")[0].error, ErrorCode::None);
    let results = second.delete(&["g".into(), "simple".into(), "none".into()]).await;
    let errors: Vec<ErrorCode> = results.into_iter().map(|(_, error)| error).collect();
    assert_eq!(errors, [ErrorCode::None, ErrorCode::None, ErrorCode::GroupIdNotFound]);

    let third = coordinator(&log).await;
    assert!(third.list().expect("active").is_empty());
    assert!(third.all_committed("simple").expect("active").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_given_up_answers_16_and_frees_those_who_wait() {
    let log = memory_log();
    let coordinator = Arc::new(coordinator(&log).await);
    let waiting = tokio::spawn({
        let coordinator = Arc::clone(&coordinator);
        async move { join(&coordinator, "a").await }
    });
    until(|| coordinator.describe("g").is_ok_and(|group| group.members.len() == 1)).await;
    // A resignation under an older epoch means nothing.
    let partition = coordinator.partition_for("g");
    coordinator.resign(partition, -1);
    assert!(coordinator.describe("g").is_ok());
    coordinator.resign(partition, 0);
    assert_eq!(waiting.await.expect("no panic").error, ErrorCode::NotCoordinator);
    assert_eq!(coordinator.describe("g"), Err(ErrorCode::NotCoordinator));
    // Others are still listed.
    assert_eq!(coordinator.list(), Ok(Vec::new()));
}

fn offset_commit_request(topics: Vec<OffsetCommitRequestTopic>) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: -1,
        topics,
        ..OffsetCommitRequest::default()
    }
}

fn commit_topic(name: &str, topic_id: Uuid, indexes: &[i32]) -> OffsetCommitRequestTopic {
    let partition = |index: &i32| OffsetCommitRequestPartition {
        partition_index: *index,
        committed_offset: 40 + i64::from(*index),
        committed_leader_epoch: 3,
        committed_metadata: Some("note".into()),
        ..OffsetCommitRequestPartition::default()
    };
    OffsetCommitRequestTopic {
        name: name.into(),
        topic_id,
        partitions: indexes.iter().map(partition).collect(),
        ..OffsetCommitRequestTopic::default()
    }
}

#[tokio::test(start_paused = true)]
async fn commits_name_unknown_topics_one_by_one() {
    let log = memory_log();
    let coordinator = coordinator(&log).await;
    let by_name =
        vec![commit_topic("gone", Uuid::ZERO, &[0]), commit_topic("t", Uuid::ZERO, &[2, 0, -1, 1])];
    let request = offset_commit_request(by_name);
    let response = offset_commit::answer(9, request, &coordinator, &Topics).await;
    let errors = |topic: usize| {
        let partitions = &response.topics[topic].partitions;
        partitions.iter().map(|own| (own.partition_index, own.error_code)).collect::<Vec<_>>()
    };
    assert_eq!(errors(0), [(0, 3)]);
    assert_eq!(errors(1), [(2, 3), (0, 0), (-1, 3), (1, 0)]);

    let by_id = vec![commit_topic("", Uuid([9; 16]), &[0]), commit_topic("", TOPIC_ID, &[0, 5])];
    let request = offset_commit_request(by_id);
    let response = offset_commit::answer(10, request, &coordinator, &Topics).await;
    assert_eq!(response.topics[0].partitions[0].error_code, 100);
    assert_eq!(response.topics[1].partitions[0].error_code, 0);
    assert_eq!(response.topics[1].partitions[1].error_code, 3);
    assert_eq!(response.topics[1].topic_id, TOPIC_ID);

    // An error of the group stands at each partition that was not refused by itself (OC-04).
    let mut request = offset_commit_request(vec![commit_topic("t", Uuid::ZERO, &[0, 7])]);
    request.group_id = "missing".into();
    request.generation_id_or_member_epoch = 3;
    for (version, expected) in [(8, 22), (9, 69)] {
        let response = offset_commit::answer(version, request.clone(), &coordinator, &Topics).await;
        let codes: Vec<i16> =
            response.topics[0].partitions.iter().map(|own| own.error_code).collect();
        assert_eq!(codes, [expected, 3], "version {version}");
    }
}

#[tokio::test(start_paused = true)]
async fn offsets_come_back_in_the_shape_of_each_version() {
    let log = memory_log();
    let coordinator = coordinator(&log).await;
    let request = offset_commit_request(vec![commit_topic("t", Uuid::ZERO, &[1])]);
    offset_commit::answer(9, request, &coordinator, &Topics).await;

    let topic = OffsetFetchRequestTopic {
        name: "t".into(),
        partition_indexes: vec![0, 1],
        ..OffsetFetchRequestTopic::default()
    };
    let single = OffsetFetchRequest {
        group_id: "g".into(),
        topics: Some(vec![topic]),
        ..OffsetFetchRequest::default()
    };
    for version in 1..=7 {
        let response = offset_fetch::answer(version, &single, &coordinator, &Topics);
        let partitions = &response.topics[0].partitions;
        let [none, some] = partitions.as_slice() else { panic!("two partitions") };
        assert_eq!((none.committed_offset, none.committed_leader_epoch), (-1, -1));
        assert_eq!((none.metadata.as_deref(), none.error_code), (Some(""), 0));
        assert_eq!((some.committed_offset, some.committed_leader_epoch), (41, 3));
        assert_eq!(some.metadata.as_deref(), Some("note"));
    }
    let all = OffsetFetchRequest { topics: None, ..single.clone() };
    let response = offset_fetch::answer(7, &all, &coordinator, &Topics);
    assert_eq!(response.topics[0].partitions.len(), 1);

    // Several groups: each for itself (OC-10); by id from version 10 (OC-13).
    let topic = |topic_id| OffsetFetchRequestTopics {
        topic_id,
        partition_indexes: vec![1],
        ..OffsetFetchRequestTopics::default()
    };
    let group = |group: &str, topics| OffsetFetchRequestGroup {
        group_id: group.into(),
        topics,
        ..OffsetFetchRequestGroup::default()
    };
    let several = OffsetFetchRequest {
        groups: vec![
            group("g", Some(vec![topic(TOPIC_ID), topic(Uuid([9; 16]))])),
            group("g", None),
            group("other", None),
        ],
        ..OffsetFetchRequest::default()
    };
    let response = offset_fetch::answer(10, &several, &coordinator, &Topics);
    let asked = &response.groups[0].topics;
    assert_eq!(asked[0].partitions[0].committed_offset, 41);
    assert_eq!(asked[1].partitions[0].error_code, 100);
    assert_eq!(response.groups[1].topics[0].topic_id, TOPIC_ID);
    assert_eq!(response.groups[1].topics[0].name, "");
    assert!(response.groups[2].topics.is_empty());

    // The group's error: at each partition in version 1, at the top up to 7, at the group from 8.
    coordinator.resign(coordinator.partition_for("g"), 0);
    let first = offset_fetch::answer(1, &single, &coordinator, &Topics);
    let codes: Vec<i16> = first.topics[0].partitions.iter().map(|own| own.error_code).collect();
    assert_eq!((codes, first.error_code), (vec![16, 16], 0));
    let second = offset_fetch::answer(2, &single, &coordinator, &Topics);
    assert_eq!((second.topics.len(), second.error_code), (0, 16));
    let eighth = offset_fetch::answer(10, &several, &coordinator, &Topics);
    assert_eq!(eighth.groups[0].error_code, 16);
    assert_eq!(eighth.error_code, 0);
}

#[tokio::test(start_paused = true)]
async fn a_topic_made_again_under_its_name_has_no_offsets() {
    let log = memory_log();
    let coordinator = coordinator(&log).await;
    let request = offset_commit_request(vec![commit_topic("t", Uuid::ZERO, &[0])]);
    offset_commit::answer(9, request, &coordinator, &Topics).await;
    let own = coordinator.committed("g", "t", TOPIC_ID, 0).expect("active");
    assert_eq!(own.map(|value| value.offset), Some(40));
    let other = coordinator.committed("g", "t", Uuid([9; 16]), 0).expect("active");
    assert_eq!(other, None);
    coordinator.partitions_deleted(&[("t".into(), 0)]);
    until(|| coordinator.committed("g", "t", TOPIC_ID, 0) == Ok(None)).await;
}

#[tokio::test(start_paused = true)]
async fn an_election_that_is_told_twice_loads_once() {
    let coordinator = coordinator(&memory_log()).await;
    let joined = join(&coordinator, "a").await;
    assert_eq!(joined.error, ErrorCode::None);
    // A second load would read a log that has nothing of the member yet.
    for partition in 0..PARTITIONS {
        coordinator.elect(partition, 0).await.expect("it is loaded already");
    }
    let beat = HeartbeatRequest {
        group_id: "g".into(),
        member_id: joined.member_id.clone(),
        generation: joined.generation,
        ..HeartbeatRequest::default()
    };
    assert_ne!(coordinator.heartbeat(beat).await, ErrorCode::UnknownMemberId);
    assert_eq!(coordinator.sync(sync_request(&joined, &[])).await.error, ErrorCode::None);
}
