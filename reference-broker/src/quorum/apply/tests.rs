use super::*;
use crate::quorum::command::{Election, Reassignment};

mod brokers;
mod invariants;
mod reassignment;

/// An image and the index of its last command.
#[derive(Default)]
struct Cluster {
    image: Image,
    incarnations: u8,
}

fn registration(node_id: i32, incarnation: u8, directory: u8, tail_intact: bool) -> Command {
    Command::RegisterBroker {
        node_id,
        incarnation: Uuid([incarnation; 16]),
        host: "127.0.0.1".into(),
        port: 9092,
        rack: None,
        cluster_id: "c".into(),
        internal_host: "127.0.0.1".into(),
        internal_port: 9093,
        directory: Uuid([directory; 16]),
        log_dirs: vec![Uuid([directory; 16])],
        tail_intact,
        log_dir_lost: false,
        flushes_before_ack: false,
        min_in_sync: 0,
    }
}

impl Cluster {
    /// With these brokers, all of them active.
    fn of(ids: impl IntoIterator<Item = i32>) -> Self {
        let mut cluster = Self::default();
        for id in ids {
            cluster.start(id);
        }
        cluster
    }

    fn run(&mut self, command: Command) -> Outcome {
        let index = self.image.applied + 1;
        apply(&mut self.image, index, &command)
    }

    #[track_caller]
    fn ok(&mut self, command: Command) {
        assert_eq!(self.run(command), Outcome::Done);
    }

    #[track_caller]
    fn refused(&mut self, command: Command, code: ErrorCode) {
        let before = self.image.clone();
        match self.run(command) {
            Outcome::Rejected(rejection) => assert_eq!(rejection.code, code, "{rejection:?}"),
            other => panic!("{other:?}"),
        }
        self.image.applied = before.applied;
        assert_eq!(self.image, before);
    }

    /// For a command about one partition.
    fn code(&mut self, command: Command) -> ErrorCode {
        match self.run(command) {
            Outcome::Partitions(results) => {
                results[0].as_ref().map_or(ErrorCode::None, |rejection| rejection.code)
            }
            other => panic!("{other:?}"),
        }
    }

    fn register_with(&mut self, id: i32, directory: u8, tail_intact: bool) -> i64 {
        self.incarnations += 1;
        match self.run(registration(id, self.incarnations, directory, tail_intact)) {
            Outcome::BrokerEpoch(epoch) => epoch,
            other => panic!("{other:?}"),
        }
    }

    fn register(&mut self, id: i32) -> i64 {
        self.register_with(id, u8::try_from(id).unwrap(), true)
    }

    fn start(&mut self, id: i32) {
        self.register(id);
        self.unfence(id);
    }

    fn epoch(&self, id: i32) -> i64 {
        self.image.brokers[&id].epoch
    }

    #[track_caller]
    fn unfence(&mut self, node_id: i32) {
        let broker_epoch = self.epoch(node_id);
        self.ok(Command::UnfenceBroker { node_id, broker_epoch });
    }

    #[track_caller]
    fn fence(&mut self, node_id: i32) {
        let broker_epoch = self.epoch(node_id);
        self.ok(Command::FenceBroker { node_id, broker_epoch });
    }

    fn create(
        &mut self,
        name: &str,
        tag: u8,
        replicas: &[i32],
        configs: &[(&str, &str)],
    ) -> Outcome {
        let configs = configs.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        self.run(Command::CreateTopic {
            name: name.into(),
            id: Uuid([tag; 16]),
            replicas: vec![replicas.to_vec()],
            configs: configs.collect(),
        })
    }

    /// Topic t with one partition.
    #[track_caller]
    fn topic(&mut self, replicas: &[i32], configs: &[(&str, &str)]) {
        assert_eq!(self.create("t", 9, replicas, configs), Outcome::Done);
    }

    fn partition(&self) -> &PartitionImage {
        &self.image.topics["t"].partitions[0]
    }

    /// What the present leader would send.
    fn isr(&self, isr: &[i32]) -> Command {
        let partition = self.partition();
        Command::AlterPartition {
            topic_id: T.topic_id,
            index: 0,
            leader: partition.leader,
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            broker_epoch: self.epoch(partition.leader),
            isr: isr.iter().map(|id| (*id, self.epoch(*id))).collect(),
        }
    }

    #[track_caller]
    fn set_isr(&mut self, isr: &[i32]) {
        let command = self.isr(isr);
        self.ok(command);
    }

    fn alter_configs(
        &mut self,
        resource: ConfigResource,
        before: &[(&str, &str)],
        after: &[(&str, &str)],
    ) {
        let map = |configs: &[(&str, &str)]| {
            configs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
        };
        let (expected, configs) = (map(before), map(after));
        self.ok(Command::AlterConfigs { resource, expected, configs });
    }

    fn elect(&mut self, election: Election) -> ErrorCode {
        self.code(Command::ElectLeaders { election, partitions: vec![T] })
    }
}

/// Partition 0 of topic t.
const T: PartitionId = PartitionId { topic_id: Uuid([9; 16]), index: 0 };

#[test]
fn a_former_incarnation_gets_no_producer_ids() {
    let mut cluster = Cluster::default();
    let first = cluster.register(1);
    let second = cluster.register(1);
    let ask = |broker_epoch| Command::AllocateProducerIds { node_id: 1, broker_epoch };
    cluster.refused(ask(first), ErrorCode::StaleBrokerEpoch);
    assert_eq!(cluster.run(ask(second)), Outcome::ProducerIds(0));
    assert_eq!(cluster.run(ask(second)), Outcome::ProducerIds(1000));
}

#[test]
fn names_that_collide_in_metrics_are_refused() {
    let mut cluster = Cluster::of([1]);
    assert_eq!(cluster.create("a.b", 1, &[1], &[]), Outcome::Done);
    let Outcome::Rejected(refusal) = cluster.create("a_b", 2, &[1], &[]) else { panic!() };
    assert_eq!(refusal.code, ErrorCode::InvalidTopicException);
    let Outcome::Rejected(refusal) = cluster.create("a.b", 3, &[1], &[]) else { panic!() };
    assert_eq!(refusal.code, ErrorCode::TopicAlreadyExists);
}

#[test]
fn replicas_of_new_partitions_are_registered_and_one_of_them_is_active() {
    let mut cluster = Cluster::of([1]);
    cluster.register(2);
    for (replicas, reason) in [
        (&[1, 5][..], "includes broker 5"),
        (&[1, 1], "more than once"),
        (&[2], "are fenced"),
        (&[], "are fenced"),
    ] {
        let Outcome::Rejected(refusal) = cluster.create("t", 9, replicas, &[]) else { panic!() };
        assert_eq!(refusal.code, ErrorCode::InvalidReplicaAssignment);
        assert!(refusal.message.contains(reason), "{refusal:?}");
    }
    cluster.topic(&[2, 1], &[]);
    assert_eq!((cluster.partition().leader, &cluster.partition().isr[..]), (1, &[1][..]));
}

#[test]
fn decisions_on_a_stale_base_are_refused() {
    let mut cluster = Cluster::of([1]);
    cluster.topic(&[1], &[]);
    let id = T.topic_id;
    let grow = Command::CreatePartitions { id, expected_count: 1, replicas: vec![vec![1]] };
    cluster.ok(grow.clone());
    cluster.refused(grow, ErrorCode::InvalidPartitions);
    let alter = Command::AlterConfigs {
        resource: ConfigResource::Topic("t".into()),
        expected: BTreeMap::new(),
        configs: BTreeMap::from([("retention.ms".to_owned(), "1".to_owned())]),
    };
    cluster.ok(alter.clone());
    cluster.refused(alter, ErrorCode::InvalidUpdateVersion);
    let features = BTreeMap::from([("metadata.version".to_owned(), 1), ("gone".to_owned(), 0)]);
    let update = Command::UpdateFeatures { expected: BTreeMap::new(), features };
    cluster.ok(update.clone());
    assert_eq!(cluster.image.features.len(), 1);
    cluster.refused(update, ErrorCode::FeatureUpdateFailed);
}

#[test]
fn deleting_goes_by_id_so_a_recreated_topic_stays() {
    let mut cluster = Cluster::of([1]);
    cluster.create("t", 1, &[1], &[]);
    let delete = Command::DeleteTopic { id: Uuid([1; 16]) };
    cluster.ok(delete.clone());
    assert_eq!(cluster.create("t", 2, &[1], &[]), Outcome::Done);
    cluster.refused(delete, ErrorCode::UnknownTopicId);
    assert!(cluster.image.topics.contains_key("t"));
}

#[test]
fn an_isr_change_is_checked_in_kafkas_order() {
    let mut cluster = Cluster::of([1, 2, 3]);
    cluster.topic(&[1, 2, 3], &[]);
    cluster.set_isr(&[1, 2]);
    cluster.fence(3);
    type Edit = fn(&mut Command);
    let edits: [(ErrorCode, Edit); 12] = [
        (ErrorCode::StaleBrokerEpoch, |c| *part(c).broker_epoch += 1),
        (ErrorCode::UnknownTopicId, |c| *part(c).topic_id = Uuid([7; 16])),
        (ErrorCode::UnknownTopicOrPartition, |c| *part(c).index = 1),
        (ErrorCode::NotController, |c| *part(c).leader_epoch += 1),
        (ErrorCode::NotController, |c| *part(c).partition_epoch += 1),
        (ErrorCode::FencedLeaderEpoch, |c| *part(c).leader_epoch -= 1),
        (ErrorCode::InvalidUpdateVersion, |c| *part(c).partition_epoch -= 1),
        (ErrorCode::InvalidRequest, |c| part(c).isr.clear()),
        (ErrorCode::InvalidRequest, |c| part(c).isr.retain(|(id, _)| *id != 1)),
        (ErrorCode::InvalidRequest, |c| part(c).isr.push((4, 1))),
        (ErrorCode::IneligibleReplica, |c| part(c).isr[1].1 -= 1),
        (ErrorCode::InvalidRequest, |c| {
            // A follower that asks under its own epoch.
            let (id, epoch) = part(c).isr[1];
            (*part(c).leader, *part(c).broker_epoch) = (id, epoch);
        }),
    ];
    for (code, edit) in edits {
        let mut command = cluster.isr(&[1, 2]);
        edit(&mut command);
        cluster.refused(command, code);
    }
    let fenced = cluster.isr(&[1, 2, 3]);
    cluster.refused(fenced, ErrorCode::IneligibleReplica);
    // Two decisions on one base: the second is refused.
    let shrink = cluster.isr(&[1]);
    cluster.ok(shrink.clone());
    cluster.refused(shrink, ErrorCode::InvalidUpdateVersion);
    assert_eq!(cluster.partition().leader_epoch, 0, "a smaller ISR is no new epoch");
}

#[test]
fn isr_changes_of_one_leader_stand_or_fall_alone() {
    let mut cluster = Cluster::of([1, 2]);
    cluster.topic(&[1, 2], &[]);
    let id = T.topic_id;
    cluster.ok(Command::CreatePartitions {
        id,
        expected_count: 1,
        replicas: vec![vec![2, 1], vec![1, 2]],
    });
    let (leader, broker_epoch) = (1, cluster.epoch(1));
    let change = |index| IsrChange {
        partition: PartitionId { index, ..T },
        leader_epoch: 0,
        partition_epoch: 0,
        isr: vec![(1, broker_epoch)],
    };
    let changes = vec![change(0), change(1), change(2)];
    let Outcome::Partitions(results) =
        cluster.run(Command::AlterPartitions { leader, broker_epoch, changes })
    else {
        panic!()
    };
    let codes = results.iter().map(|result| result.as_ref().map(|rejection| rejection.code));
    assert_eq!(codes.collect::<Vec<_>>(), [None, Some(ErrorCode::InvalidRequest), None]);
    let isrs = cluster.image.topics["t"].partitions.iter().map(|partition| partition.isr.len());
    assert_eq!(isrs.collect::<Vec<_>>(), [1, 2, 1]);
}

/// The fields of an `AlterPartition`.
struct Part<'a> {
    topic_id: &'a mut Uuid,
    index: &'a mut i32,
    leader: &'a mut i32,
    leader_epoch: &'a mut i32,
    partition_epoch: &'a mut i32,
    broker_epoch: &'a mut i64,
    isr: &'a mut Vec<(i32, i64)>,
}

fn part(command: &mut Command) -> Part<'_> {
    match command {
        Command::AlterPartition {
            topic_id,
            index,
            leader,
            leader_epoch,
            partition_epoch,
            broker_epoch,
            isr,
        } => Part { topic_id, index, leader, leader_epoch, partition_epoch, broker_epoch, isr },
        other => panic!("{other:?}"),
    }
}

#[test]
fn elections_on_demand_say_why_not() {
    let mut cluster = Cluster::of([1, 2, 3]);
    cluster.topic(&[1, 2, 3], &[]);
    assert_eq!(cluster.elect(Election::Preferred), ErrorCode::ElectionNotNeeded);
    assert_eq!(cluster.elect(Election::Unclean), ErrorCode::ElectionNotNeeded);
    cluster.fence(1);
    assert_eq!(cluster.partition().leader, 2);
    assert_eq!(cluster.elect(Election::Preferred), ErrorCode::PreferredLeaderNotAvailable);
    cluster.unfence(1);
    assert_eq!(cluster.elect(Election::Preferred), ErrorCode::PreferredLeaderNotAvailable);
    cluster.set_isr(&[2, 3, 1]);
    let epoch = cluster.partition().leader_epoch;
    assert_eq!(cluster.elect(Election::Preferred), ErrorCode::None);
    assert_eq!((cluster.partition().leader, cluster.partition().leader_epoch), (1, epoch + 1));
    for id in [2, 3, 1] {
        cluster.fence(id);
    }
    assert_eq!(cluster.elect(Election::Unclean), ErrorCode::EligibleLeadersNotAvailable);
    cluster.unfence(2);
    assert_eq!(cluster.partition().leader, -1);
    assert_eq!(cluster.elect(Election::Unclean), ErrorCode::None);
    let partition = cluster.partition();
    assert_eq!((partition.leader, partition.recovering), (2, true));
    assert_eq!((&partition.isr[..], partition.elr.len()), (&[2][..], 0));
    let of = PartitionId { index: 3, ..T };
    let unknown = Command::ElectLeaders { election: Election::Preferred, partitions: vec![of] };
    assert_eq!(cluster.code(unknown), ErrorCode::UnknownTopicOrPartition);
}

#[test]
fn the_controller_epoch_is_the_index_of_its_election() {
    let mut cluster = Cluster::of([1]);
    cluster.ok(Command::ControllerElected { node_id: 3 });
    let epoch = cluster.image.applied;
    assert_eq!(cluster.image.controller, Some(ControllerImage { node_id: 3, epoch }));
}

#[test]
fn a_registration_from_before_brokers_were_fenced_is_read() {
    let text = r#"{"RegisterBroker":{"node_id":1,"incarnation":"AAAAAAAAAAAAAAAAAAAAAQ",
        "host":"h","port":1,"rack":null}}"#;
    let mut cluster = Cluster::default();
    for incarnation in [1, 2] {
        let mut command: Command = serde_json::from_str(text).unwrap();
        if let Command::RegisterBroker { incarnation: of, .. } = &mut command {
            of.0[0] = incarnation;
        }
        cluster.run(command);
        if incarnation == 1 {
            cluster.topic(&[1], &[]);
        }
        assert_eq!(cluster.partition().leader, 1);
    }
    // Its folder got an id since: it is still the same.
    cluster.start(1);
    assert_eq!(cluster.partition().leader, 1);
}
