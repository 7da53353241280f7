use super::*;
use crate::quorum::{Outcome, apply};

const SESSION: u64 = 1000;

/// A controller with the metadata that its decisions make.
struct Node {
    image: Image,
    controller: Controller,
    now: u64,
}

impl Node {
    fn new() -> Self {
        let controller = Controller::new(Arc::default(), 0, Duration::from_millis(SESSION));
        let mut node = Self { image: Image::default(), controller, now: 0 };
        node.run(Command::ControllerElected { node_id: 1 });
        node.now += SESSION;
        node
    }

    /// With these brokers, all of them active and just heard of.
    fn of(ids: impl IntoIterator<Item = i32>) -> Self {
        let mut node = Self::new();
        for id in ids {
            node.register(id);
            node.beat(id);
        }
        node.settle();
        assert!(node.image.brokers.values().all(BrokerImage::is_active));
        node
    }

    fn run(&mut self, command: Command) -> Outcome {
        let index = self.image.applied + 1;
        let outcome = apply(&mut self.image, index, &command);
        self.controller.on_image(self.now, Arc::new(self.image.clone()));
        outcome
    }

    fn register(&mut self, node_id: i32) {
        let mut incarnation = Uuid::default();
        incarnation.0[..8].copy_from_slice(&self.image.applied.to_be_bytes());
        let directory = Uuid([u8::try_from(node_id).unwrap(); 16]);
        self.run(Command::RegisterBroker {
            node_id,
            incarnation,
            host: "h".into(),
            port: 1,
            rack: None,
            cluster_id: String::new(),
            internal_host: "h".into(),
            internal_port: 2,
            directory,
            log_dirs: vec![directory],
            tail_intact: true,
            log_dir_lost: false,
            flushes_before_ack: false,
            min_in_sync: 0,
        });
    }

    fn topic(&mut self, replicas: &[i32]) {
        let outcome = self.run(Command::CreateTopic {
            name: "t".into(),
            id: Uuid([9; 16]),
            replicas: vec![replicas.to_vec()],
            configs: BTreeMap::new(),
        });
        assert_eq!(outcome, Outcome::Done);
    }

    fn heartbeat(&self, broker: i32) -> Heartbeat {
        Heartbeat {
            broker,
            epoch: self.image.brokers[&broker].epoch,
            applied: self.image.applied,
            wants_shutdown: false,
            failed_log_dirs: Vec::new(),
        }
    }

    fn beat(&mut self, broker: i32) -> HeartbeatAnswer {
        self.controller.on_heartbeat(self.now, self.heartbeat(broker))
    }

    fn poll(&mut self) -> Option<Command> {
        self.controller.poll(self.now)
    }

    /// Does what the controller says until it says nothing more.
    fn settle(&mut self) -> Vec<Command> {
        let mut done = Vec::new();
        while let Some(command) = self.poll() {
            assert!(!done.contains(&command), "{command:?} comes twice");
            self.run(command.clone());
            done.push(command);
        }
        if let Some(at) = self.controller.next_timeout() {
            assert!(at > self.now, "{at} is not after {}", self.now);
        }
        done
    }

    fn fence(&self, node_id: i32) -> Command {
        Command::FenceBroker { node_id, broker_epoch: self.image.brokers[&node_id].epoch }
    }

    fn leader(&self) -> i32 {
        self.image.topics["t"].partitions[0].leader
    }
}

#[test]
fn who_is_silent_for_a_session_is_fenced_and_serves_again_when_heard_of() {
    let mut node = Node::of([1, 2]);
    node.topic(&[1, 2]);
    let heard = node.now;
    node.now = heard + SESSION / 2;
    node.beat(2);
    assert_eq!(node.controller.next_timeout(), Some(heard + SESSION));
    node.now = heard + SESSION - 1;
    assert_eq!(node.poll(), None);
    node.now += 1;
    assert_eq!(node.settle(), [node.fence(1)]);
    assert_eq!(node.leader(), 2);
    assert_eq!(node.controller.next_timeout(), Some(heard + SESSION * 3 / 2));
    assert!(node.beat(1).fenced);
    let broker_epoch = node.image.brokers[&1].epoch;
    assert_eq!(node.settle(), [Command::UnfenceBroker { node_id: 1, broker_epoch }]);
    assert!(!node.beat(1).fenced);
}

#[test]
fn who_is_gone_is_fenced_at_once_and_nobody_else() {
    let mut node = Node::of([1, 2, 3]);
    node.topic(&[1, 2]);
    let former = node.image.brokers[&1].epoch - 1;
    node.controller.on_gone(node.now, 1, former);
    assert_eq!(node.poll(), None, "that was another incarnation");
    node.now += SESSION / 4;
    let epoch = node.image.brokers[&1].epoch;
    node.controller.on_gone(node.now, 1, epoch);
    assert_eq!(node.settle(), [node.fence(1)]);
    assert_eq!(node.leader(), 2);
    // It is heard of all the same: it was alive.
    assert!(node.beat(1).fenced);
    assert_eq!(node.settle(), [Command::UnfenceBroker { node_id: 1, broker_epoch: epoch }]);
}

#[test]
fn a_new_controller_fences_at_once_who_was_gone_before() {
    let mut node = Node::of([1, 2]);
    let epoch = node.image.brokers[&2].epoch;
    node.controller.on_gone(node.now, 2, epoch);
    // Long enough for this process to have been stopped, but that is no matter here.
    node.now += SESSION * 3 / 4;
    node.beat(1);
    node.run(Command::ControllerElected { node_id: 1 });
    assert_eq!(node.settle(), [node.fence(2)]);
}

#[test]
fn who_has_not_applied_its_registration_stays_fenced() {
    let mut node = Node::new();
    node.register(1);
    let mut late = node.heartbeat(1);
    late.applied -= 1;
    let answer = node.controller.on_heartbeat(node.now, late);
    assert!(answer.fenced && !answer.caught_up);
    assert_eq!(node.poll(), None);
    assert!(node.beat(1).caught_up);
    assert!(matches!(node.poll(), Some(Command::UnfenceBroker { node_id: 1, .. })));
    // What it said a session ago says nothing of now.
    node.now += SESSION;
    assert_eq!(node.poll(), None);
}

#[test]
fn a_new_controller_knows_who_was_alive() {
    let mut node = Node::of([1, 2]);
    // Node 2 ends, and the old controller with it: nobody asks this one for a while.
    node.now += SESSION / 2;
    node.beat(1);
    node.now += SESSION * 3 / 4;
    node.beat(1);
    node.run(Command::ControllerElected { node_id: 2 });
    // A new controller may have been the one that nobody could reach.
    assert_eq!(node.poll(), None);
    assert_eq!(node.controller.next_timeout(), Some(node.now + SESSION / 4));
    node.now += SESSION / 4;
    assert_eq!(node.settle(), [node.fence(2)]);
}

#[test]
fn who_is_not_asked_for_decisions_waits_for_nothing_that_is_past() {
    let mut node = Node::of([1, 2]);
    node.now += SESSION * 3;
    node.beat(1);
    assert_eq!(node.controller.next_timeout(), Some(node.now + SESSION));
    node.now += SESSION;
    node.controller.on_image(node.now, Arc::new(node.image.clone()));
    assert_eq!(node.controller.next_timeout(), None);
}

#[test]
fn silence_while_this_process_was_stopped_counts_for_nobody() {
    let mut node = Node::of([1, 2]);
    node.now += SESSION * 10;
    assert_eq!(node.poll(), None);
    node.beat(1);
    node.now += SESSION / 4;
    assert_eq!(node.settle(), [node.fence(2)]);
}

#[test]
fn a_shutdown_ends_when_all_others_know_who_leads() {
    let mut node = Node::of([1, 2, 3]);
    node.topic(&[1, 2, 3]);
    node.beat(2);
    node.beat(3);
    let ending = Heartbeat { wants_shutdown: true, ..node.heartbeat(1) };
    assert!(!node.controller.on_heartbeat(node.now, ending.clone()).may_shut_down);
    let broker_epoch = ending.epoch;
    assert_eq!(node.settle(), [Command::BeginControlledShutdown { node_id: 1, broker_epoch }]);
    assert_eq!(node.leader(), 2);
    assert!(!node.controller.on_heartbeat(node.now, ending.clone()).may_shut_down);
    node.beat(2);
    assert!(!node.controller.on_heartbeat(node.now, ending.clone()).may_shut_down);
    assert_eq!(node.poll(), None);
    node.beat(3);
    assert!(node.controller.on_heartbeat(node.now, ending.clone()).may_shut_down);
    assert_eq!(node.settle(), [node.fence(1)]);
    assert!(node.controller.on_heartbeat(node.now, ending).may_shut_down);
    assert_eq!(node.poll(), None, "who wants to end is not unfenced");
    // Nor by a heartbeat that was on its way for longer.
    node.beat(1);
    assert_eq!(node.poll(), None);
}

#[test]
fn a_former_incarnation_keeps_nobody_alive() {
    let mut node = Node::of([1]);
    let old = node.heartbeat(1);
    node.register(1);
    assert!(!node.beat(1).superseded);
    node.settle();
    node.now += SESSION - 1;
    let zombie = node.controller.on_heartbeat(node.now, old.clone());
    assert!(zombie.fenced && !zombie.may_shut_down);
    assert!(zombie.superseded, "it is told to end");
    node.now += 1;
    assert_eq!(node.settle(), [node.fence(1)]);
    // Nor one that was unregistered.
    node.run(Command::UnregisterBroker { node_id: 1 });
    let unknown = node.controller.on_heartbeat(node.now, old);
    assert!(unknown.fenced && !unknown.superseded);
    assert_eq!(node.poll(), None);
}

#[test]
fn a_heartbeat_may_be_ahead_of_the_metadata_here() {
    let mut node = Node::of([1]);
    let (former, behind) = (node.heartbeat(1), Arc::new(node.image.clone()));
    node.register(1);
    let ahead = node.heartbeat(1);
    node.controller = Controller::new(behind, node.now, Duration::from_millis(SESSION));
    assert!(node.controller.on_heartbeat(node.now, ahead).fenced);
    // One that was on its way for longer.
    node.controller.on_heartbeat(node.now, former);
    node.controller.on_image(node.now, Arc::new(node.image.clone()));
    assert!(matches!(node.poll(), Some(Command::UnfenceBroker { node_id: 1, .. })));
}

#[test]
fn a_broker_without_a_working_log_directory_stays_fenced() {
    let mut node = Node::of([1, 2]);
    node.topic(&[1, 2]);
    let failed_log_dirs = node.image.brokers[&1].log_dirs.clone();
    let heartbeat = Heartbeat { failed_log_dirs, ..node.heartbeat(1) };
    node.controller.on_heartbeat(node.now, heartbeat.clone());
    assert!(matches!(node.settle()[..], [Command::FailLogDirs { node_id: 1, .. }]));
    assert_eq!(node.leader(), 2);
    node.controller.on_heartbeat(node.now, heartbeat);
    assert_eq!(node.poll(), None);
}

#[test]
fn leaderships_go_back_to_the_preferred_leader_in_their_time() {
    let mut node = Node::of([1, 2]);
    let controller =
        Controller::new(Arc::new(node.image.clone()), node.now, Duration::from_millis(SESSION));
    node.controller = controller.with_leader_rebalance(Some(Duration::from_millis(300)));
    node.topic(&[1, 2]);
    let fence = node.fence(1);
    node.run(fence);
    node.beat(1);
    node.settle();
    let topic = &node.image.topics["t"];
    let of = PartitionId { topic_id: topic.id, index: 0 };
    let partition = &topic.partitions[0];
    let epochs = [2, 1].map(|id| (id, node.image.brokers[&id].epoch));
    let rejoin = Command::AlterPartition {
        topic_id: of.topic_id,
        index: 0,
        leader: 2,
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        broker_epoch: epochs[0].1,
        isr: epochs.to_vec(),
    };
    assert_eq!(node.run(rejoin), Outcome::Done);
    assert_eq!(node.settle(), []);
    assert_eq!(node.controller.next_timeout(), Some(node.now + 300));
    node.now += 300;
    let preferred = Command::ElectLeaders { election: Election::Preferred, partitions: vec![of] };
    assert_eq!(node.settle(), [preferred]);
    assert_eq!(node.leader(), 1);
    node.now += 300;
    assert_eq!(node.settle(), []);
}

#[test]
fn a_node_that_is_configured_for_it_elects_uncleanly() {
    let mut node = Node::of([1, 2]);
    node.topic(&[1, 2]);
    node.now += SESSION;
    assert_eq!(node.settle(), [node.fence(1), node.fence(2)]);
    assert_eq!(node.image.topics["t"].partitions[0].elr, [2]);
    node.beat(1);
    node.settle();
    assert_eq!(node.leader(), -1);
    let session = Duration::from_millis(SESSION);
    let controller = Controller::new(Arc::new(node.image.clone()), node.now, session);
    node.controller = controller.with_unclean_election(true);
    assert!(matches!(node.settle()[..], [Command::ElectLeaders { .. }]));
    assert_eq!(node.leader(), 1);
}
