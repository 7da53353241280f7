//! Faults of the groups profile.

use super::change::Change;
use super::{Planted, instead, planted};
use ottla_protocol::messages::{ApiKey, Request, Response};

type Join = ottla_protocol::messages::join_group::JoinGroupResponse;
type Sync = ottla_protocol::messages::sync_group::SyncGroupResponse;
type Heartbeat = ottla_protocol::messages::heartbeat::HeartbeatResponse;
type Leave = ottla_protocol::messages::leave_group::LeaveGroupResponse;
type OffsetCommit = ottla_protocol::messages::offset_commit::OffsetCommitResponse;
type OffsetFetch = ottla_protocol::messages::offset_fetch::OffsetFetchResponse;
type Find = ottla_protocol::messages::find_coordinator::FindCoordinatorResponse;
type Describe = ottla_protocol::messages::describe_groups::DescribeGroupsResponse;
type List = ottla_protocol::messages::list_groups::ListGroupsResponse;
type Delete = ottla_protocol::messages::delete_groups::DeleteGroupsResponse;

/// A follower's SyncGroup gets nothing at once.
fn nothing_for_followers(request: &Request) -> Option<Response> {
    match request {
        Request::SyncGroup(sync) if sync.assignments.is_empty() => {
            Some(Response::SyncGroup(Box::default()))
        }
        _ => None,
    }
}

/// Members.
pub(crate) fn members() -> Vec<Planted> {
    vec![
        planted!(
            "join-group/member-ids@v5",
            "K-JOIN-GROUP-001",
            JoinGroup,
            Some(5),
            |a: &mut Join| {
                if a.error_code == 79 {
                    a.member_id.clear();
                }
            }
        ),
        planted!(
            "join-group/two-members@v2",
            "K-JOIN-GROUP-022",
            JoinGroup,
            Some(2),
            |a: &mut Join| {
                a.generation_id = 1;
            }
        ),
        planted!(
            "sync-group/two-members@v2",
            "K-SYNC-GROUP-001",
            SyncGroup,
            Some(2),
            answer nothing_for_followers
        ),
        planted!(
            "sync-group/two-members@v3",
            "K-SYNC-GROUP-003",
            SyncGroup,
            Some(3),
            |a: &mut Sync| {
                a.assignment = ottla_protocol::Bytes::from_static(b"another's");
            }
        ),
        planted!(
            "heartbeat/answers@v2",
            "K-HEARTBEAT-002",
            Heartbeat,
            Some(2),
            |a: &mut Heartbeat| {
                if a.error_code == 25 {
                    a.error_code = 22;
                }
            }
        ),
        planted!(
            "leave-group/members@v3",
            "K-LEAVE-GROUP-001",
            LeaveGroup,
            Some(3),
            |a: &mut Leave| {
                a.members.pop();
            }
        ),
    ]
}

/// An empty group id is taken.
fn nameless(request: &Request) -> Option<Response> {
    match request {
        Request::JoinGroup(join) if join.group_id.is_empty() => {
            Some(Response::JoinGroup(Box::default()))
        }
        _ => None,
    }
}

fn each_position(answer: &mut OffsetFetch, change: impl Fn(&mut i64)) {
    // One group stands at the top until version 7.
    let old = answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    old.for_each(|one| change(&mut one.committed_offset));
    let new = answer.groups.iter_mut().flat_map(|group| &mut group.topics);
    new.flat_map(|topic| &mut topic.partitions).for_each(|one| change(&mut one.committed_offset));
}

fn each_committed(answer: &mut OffsetCommit, change: impl Fn(&mut i16)) {
    let all = answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    all.for_each(|one| change(&mut one.error_code));
}

/// Positions.
pub(crate) fn offsets() -> Vec<Planted> {
    vec![
        planted!(
            "offset-commit/is-returned@v5",
            "K-OFFSET-COMMIT-001",
            OffsetFetch,
            None,
            // It has moved back.
            |a: &mut OffsetFetch| each_position(a, |offset| *offset -= 1)
        ),
        planted!(
            "offset-commit/is-returned@v6",
            "K-OFFSET-COMMIT-020",
            OffsetFetch,
            None,
            // The greatest that was committed, not the last.
            |a: &mut OffsetFetch| each_position(a, |offset| *offset = (*offset).max(5))
        ),
        planted!(
            "offset-commit/strangers@v7",
            "K-OFFSET-COMMIT-013",
            OffsetCommit,
            Some(7),
            |a: &mut OffsetCommit| each_committed(a, |code| instead(code, 22, 0))
        ),
        planted!(
            "offset-fetch/nothing-committed@v7",
            "K-OFFSET-FETCH-001",
            OffsetFetch,
            Some(7),
            |a: &mut OffsetFetch| {
                each_position(a, |offset| {
                    if *offset == -1 {
                        *offset = 0;
                    }
                });
            }
        ),
        planted!("coordinator/empty-group-id-join@v5", "K-COORDINATOR-004", JoinGroup, Some(5),
            answer nameless),
        planted!(
            "find-coordinator/is-found@v3",
            "K-FIND-COORDINATOR-009",
            FindCoordinator,
            Some(3),
            |a: &mut Find| a.node_id += 1
        ),
    ]
}

/// Groups as others see them.
pub(crate) fn outside() -> Vec<Planted> {
    vec![
        planted!(
            "describe-groups/states@v4",
            "K-DESCRIBE-GROUPS-004",
            DescribeGroups,
            Some(4),
            |a: &mut Describe| {
                a.groups.iter_mut().for_each(|group| group.group_state = "Resting".to_owned());
            }
        ),
        planted!(
            "list-groups/states@v4",
            "K-LIST-GROUPS-004",
            ListGroups,
            Some(4),
            |a: &mut List| {
                a.groups.iter_mut().for_each(|group| group.group_state.clear());
            }
        ),
        planted!(
            "delete-groups/three-at-once@v2",
            "K-DELETE-GROUPS-001",
            DeleteGroups,
            Some(2),
            |a: &mut Delete| {
                a.results.iter_mut().for_each(|one| instead(&mut one.error_code, 68, 0));
            }
        ),
    ]
}
