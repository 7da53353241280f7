//! M21: replicas come and go while a partition is served.

use super::*;

impl Cluster {
    fn reassign(&mut self, replicas: Option<&[i32]>) -> ErrorCode {
        let replicas = replicas.map(<[i32]>::to_vec);
        self.code(Command::AlterPartitionReassignments {
            allow_replication_factor_change: true,
            reassignments: vec![Reassignment { partition: T, replicas }],
        })
    }

    /// Replicas, those that come, those that go.
    fn assignment(&self) -> (&[i32], &[i32], &[i32]) {
        let partition = self.partition();
        (&partition.replicas, &partition.adding, &partition.removing)
    }
}

#[test]
fn a_replica_goes_when_all_targets_are_in_sync() {
    let mut cluster = Cluster::of([1, 2, 3, 4]);
    cluster.topic(&[1, 2], &[]);
    assert_eq!(cluster.reassign(Some(&[3, 4])), ErrorCode::None);
    assert_eq!(cluster.assignment(), (&[3, 4, 1, 2][..], &[3, 4][..], &[1, 2][..]));
    assert_eq!(cluster.partition().leader_epoch, 0);
    // Asked for twice, it is what it is.
    let before = cluster.partition().clone();
    assert_eq!(cluster.reassign(Some(&[3, 4])), ErrorCode::None);
    assert_eq!(*cluster.partition(), before);
    cluster.set_isr(&[1, 2, 3]);
    assert_eq!(cluster.partition().replicas.len(), 4);
    cluster.set_isr(&[1, 2, 3, 4]);
    assert_eq!(cluster.assignment(), (&[3, 4][..], &[][..], &[][..]));
    let partition = cluster.partition();
    assert_eq!((partition.leader, partition.leader_epoch), (3, 1));
    assert_eq!(partition.isr, [3, 4]);
}

#[test]
fn a_leader_that_stays_learns_of_a_gone_replica_by_its_epoch() {
    let mut cluster = Cluster::of([1, 2, 3]);
    cluster.topic(&[1, 2], &[]);
    assert_eq!(cluster.reassign(Some(&[1])), ErrorCode::None);
    assert_eq!(cluster.assignment(), (&[1][..], &[][..], &[][..]));
    assert_eq!((cluster.partition().leader, cluster.partition().leader_epoch), (1, 1));
    assert_eq!(cluster.partition().isr, [1]);
    // Another order alone is done at once, and elects nobody.
    assert_eq!(cluster.reassign(Some(&[1, 3])), ErrorCode::None);
    cluster.set_isr(&[1, 3]);
    assert_eq!(cluster.reassign(Some(&[3, 1])), ErrorCode::None);
    assert_eq!(cluster.assignment(), (&[3, 1][..], &[][..], &[][..]));
    assert_eq!((cluster.partition().leader, cluster.partition().leader_epoch), (1, 1));
}

#[test]
fn a_cancelled_reassignment_leaves_what_was() {
    let mut cluster = Cluster::of([1, 2, 3, 4]);
    cluster.topic(&[1, 2], &[]);
    assert_eq!(cluster.reassign(None), ErrorCode::NoReassignmentInProgress);
    cluster.reassign(Some(&[1, 3]));
    cluster.set_isr(&[1, 2]);
    cluster.reassign(Some(&[1, 4]));
    assert_eq!(cluster.assignment(), (&[1, 4, 2][..], &[4][..], &[2][..]));
    assert_eq!(cluster.reassign(None), ErrorCode::None);
    assert_eq!(cluster.assignment(), (&[1, 2][..], &[][..], &[][..]));
    assert_eq!(cluster.partition().isr, [1, 2]);
    assert_eq!(cluster.reassign(None), ErrorCode::NoReassignmentInProgress);
}

#[test]
fn no_cancellation_throws_the_last_log_away() {
    let mut cluster = Cluster::of([1, 2, 3]);
    cluster.topic(&[1, 2], &[]);
    cluster.reassign(Some(&[2, 3]));
    cluster.set_isr(&[1, 3]);
    cluster.fence(1);
    assert_eq!((cluster.partition().leader, &cluster.partition().isr[..]), (3, &[3][..]));
    let before = cluster.partition().clone();
    assert_eq!(cluster.reassign(None), ErrorCode::InvalidReplicaAssignment);
    cluster.fence(3);
    assert_eq!(cluster.partition().elr, [3]);
    assert_eq!(cluster.reassign(Some(&[1])), ErrorCode::InvalidReplicaAssignment);
    assert_eq!(cluster.partition().replicas, before.replicas);
}

#[test]
fn a_target_names_registered_brokers_once_and_as_many_as_are_allowed() {
    let mut cluster = Cluster::of([1, 2]);
    cluster.topic(&[1], &[]);
    for target in [&[][..], &[1, 1], &[7]] {
        assert_eq!(cluster.reassign(Some(target)), ErrorCode::InvalidReplicaAssignment);
    }
    let strict = Command::AlterPartitionReassignments {
        allow_replication_factor_change: false,
        reassignments: vec![Reassignment { partition: T, replicas: Some(vec![1, 2]) }],
    };
    assert_eq!(cluster.code(strict), ErrorCode::InvalidReplicationFactor);
    assert_eq!(cluster.partition().replicas, [1]);
}
