//! Brokers come, are lost, and come back with more or less than they had.

use super::*;

const MIN_2: &[(&str, &str)] = &[("min.insync.replicas", "2")];

#[test]
fn a_restart_leaves_every_isr_and_moves_what_it_led() {
    let mut cluster = Cluster::of([1, 2]);
    cluster.topic(&[1, 2], &[]);
    let first = cluster.epoch(1);
    // Within its session, and with all that it had.
    let second = cluster.register(1);
    assert!(second > first);
    let partition = cluster.partition();
    assert_eq!((partition.leader, partition.leader_epoch), (2, 1));
    assert_eq!(partition.isr, [2]);
    cluster.unfence(1);
    assert_eq!(cluster.partition().leader, 2);
    cluster.refused(
        Command::FenceBroker { node_id: 1, broker_epoch: first },
        ErrorCode::StaleBrokerEpoch,
    );
    // The same incarnation again changes nothing.
    let again = registration(1, cluster.incarnations, 1, true);
    assert_eq!(cluster.run(again), Outcome::BrokerEpoch(second));
    assert!(!cluster.image.brokers[&1].fenced);
}

#[test]
fn a_lone_replica_gets_a_new_epoch_at_each_start() {
    let mut cluster = Cluster::of([1]);
    cluster.topic(&[1], &[]);
    for tail_intact in [true, false] {
        let before = cluster.partition().clone();
        cluster.register_with(1, 1, tail_intact);
        assert_eq!(cluster.partition().leader, -1);
        cluster.unfence(1);
        let partition = cluster.partition();
        assert_eq!((partition.leader, partition.recovering), (1, !tail_intact));
        assert!(partition.leader_epoch > before.leader_epoch);
    }
}

#[test]
fn who_leaves_an_isr_that_is_too_small_stays_eligible() {
    let mut cluster = Cluster::of([1, 2, 3]);
    cluster.topic(&[1, 2, 3], MIN_2);
    cluster.fence(3);
    assert!(cluster.partition().elr.is_empty(), "1 and 2 may commit without 3");
    cluster.fence(2);
    assert_eq!(cluster.partition().elr, [2]);
    cluster.fence(1);
    let partition = cluster.partition();
    assert_eq!((partition.leader, &partition.elr[..]), (-1, &[1, 2][..]));
    cluster.unfence(3);
    assert_eq!(cluster.partition().leader, -1, "3 may lack what 1 and 2 committed");
    cluster.register(2);
    cluster.unfence(2);
    let partition = cluster.partition();
    assert_eq!((partition.leader, partition.recovering), (2, false));
    assert_eq!((&partition.isr[..], &partition.elr[..]), (&[2][..], &[1][..]));
    cluster.set_isr(&[2, 3]);
    assert!(cluster.partition().elr.is_empty());
}

#[test]
fn an_unclean_election_leaves_nobody_else_eligible() {
    let mut cluster = Cluster::of([1, 2, 3]);
    cluster.topic(&[1, 2, 3], MIN_2);
    for id in [3, 2, 1] {
        cluster.fence(id);
    }
    assert_eq!(cluster.partition().elr, [1, 2]);
    cluster.unfence(3);
    assert_eq!(cluster.elect(Election::Unclean), ErrorCode::None);
    // What 1 and 2 have is no longer what is served.
    let partition = cluster.partition();
    assert_eq!((partition.leader, &partition.elr[..]), (3, &[][..]));
    cluster.fence(3);
    cluster.unfence(1);
    assert_eq!(cluster.partition().leader, -1);
}

#[test]
fn a_lost_tail_costs_eligibility_and_the_last_leader_is_the_last_resort() {
    let mut cluster = Cluster::of([1, 2]);
    cluster.topic(&[1, 2], MIN_2);
    cluster.fence(2);
    cluster.fence(1);
    assert_eq!(cluster.partition().elr, [1, 2]);
    for id in [2, 1] {
        cluster.register_with(id, u8::try_from(id).unwrap(), false);
    }
    assert_eq!(cluster.partition().last_known_elr, [1]);
    cluster.unfence(2);
    assert_eq!(cluster.partition().leader, -1, "2 was not the last leader");
    cluster.unfence(1);
    assert_eq!((cluster.partition().leader, cluster.partition().recovering), (1, true));
    cluster.set_isr(&[1, 2]);
    assert!(!cluster.partition().recovering);
    assert!(cluster.partition().last_known_elr.is_empty());
}

#[test]
fn flushing_before_ack_makes_a_loss_of_power_harmless() {
    let mut cluster = Cluster::of([1, 2]);
    cluster.topic(&[1, 2], &[("flush.messages", "1"), MIN_2[0]]);
    for id in [1, 2] {
        cluster.register_with(id, u8::try_from(id).unwrap(), false);
    }
    assert_eq!(cluster.partition().elr, [1, 2]);
    cluster.unfence(2);
    assert_eq!((cluster.partition().leader, cluster.partition().recovering), (2, false));
}

#[test]
fn min_insync_replicas_of_the_files_keep_whole_logs_eligible() {
    // The files' settings, the cluster's default: who leads after all were killed at once, and the
    // last one in the ISR has lost its tail.
    for (files, default, leader) in [
        ([2, 2, 2], None, 3),
        ([2, 1, 2], None, 1),
        ([2, 0, 2], None, 1),
        ([1, 1, 1], Some("2"), 3),
        ([2, 2, 2], Some("1"), 1),
    ] {
        let mut cluster = Cluster::of([]);
        let default = default.map(|value| ("min.insync.replicas".into(), value.into()));
        cluster.image.default_broker_configs.extend(default.clone());
        let register = |cluster: &mut Cluster, id: i32, incarnation, intact| {
            let mut command = registration(id, incarnation, u8::try_from(id).unwrap(), intact);
            if let Command::RegisterBroker { min_in_sync, .. } = &mut command {
                *min_in_sync = files[usize::try_from(id).unwrap() - 1];
            }
            cluster.run(command);
        };
        for (id, incarnation) in [(1, 101), (2, 102), (3, 103)] {
            register(&mut cluster, id, incarnation, true);
            cluster.unfence(id);
        }
        cluster.topic(&[1, 2, 3], &[]);
        for (id, incarnation) in [(2, 112), (3, 113)] {
            register(&mut cluster, id, incarnation, true);
            cluster.unfence(id);
        }
        register(&mut cluster, 1, 111, false);
        cluster.unfence(1);
        let partition = cluster.partition();
        assert_eq!(partition.leader, leader, "{files:?} {default:?}: {partition:?}");
        assert_eq!(partition.recovering, leader == 1);
    }
}

#[test]
fn the_nearest_setting_says_whether_a_broker_flushes_before_ack() {
    let one = Some(("flush.messages", "1"));
    let many = Some(("flush.messages", "10"));
    // What the broker's file says, the cluster's default, the topic's own setting.
    for (file, default, topic, is_harmless) in [
        (false, None, None, false),
        (true, None, None, true),
        (true, Some("10"), None, false),
        (false, Some("1"), None, true),
        (true, Some("1"), many, false),
        (false, None, one, true),
    ] {
        let mut cluster = Cluster::of([1]);
        cluster.topic(&[1], &topic.into_iter().collect::<Vec<_>>());
        let default = default.map(|value| ("log.flush.interval.messages".into(), value.into()));
        cluster.image.default_broker_configs.extend(default.clone());
        let mut again = registration(1, 99, 1, false);
        if let Command::RegisterBroker { flushes_before_ack, .. } = &mut again {
            *flushes_before_ack = file;
        }
        cluster.run(again);
        cluster.unfence(1);
        assert_eq!(cluster.partition().leader, 1);
        assert_eq!(cluster.partition().recovering, !is_harmless, "{file} {default:?} {topic:?}");
    }
}

#[test]
fn an_empty_folder_is_never_elected_by_itself() {
    for intact in [true, false] {
        let mut cluster = Cluster::of([1]);
        cluster.topic(&[1], &[("flush.messages", "1")]);
        cluster.register_with(1, 77, intact);
        cluster.unfence(1);
        assert_eq!(cluster.partition().leader, -1);
        assert_eq!(cluster.elect(Election::Unclean), ErrorCode::None);
        assert!(cluster.partition().recovering);
    }
    // Nor is one of several that may be empty, where another one has it all.
    for flushes in ["1", "10"] {
        let mut cluster = Cluster::of([1, 2]);
        cluster.topic(&[1, 2], &[("flush.messages", flushes), ("min.insync.replicas", "2")]);
        cluster.fence(2);
        cluster.fence(1);
        let mut again = registration(1, 77, 1, true);
        if let Command::RegisterBroker { log_dir_lost, .. } = &mut again {
            *log_dir_lost = true;
        }
        cluster.run(again);
        cluster.unfence(1);
        assert_eq!(cluster.partition().leader, -1);
        cluster.start(2);
        assert_eq!(cluster.partition().leader, 2);
        assert!(!cluster.partition().recovering);
    }
    // Nor is one of which nobody knows whether it is empty.
    let mut cluster = Cluster::of([1]);
    cluster.topic(&[1], &[]);
    cluster.ok(Command::UnregisterBroker { node_id: 1 });
    cluster.start(1);
    assert_eq!(cluster.partition().leader, -1);
}

#[test]
fn settings_decide_who_is_eligible_at_once() {
    let mut cluster = Cluster::of([1, 2, 3]);
    cluster.topic(&[1, 2], MIN_2);
    cluster.fence(2);
    assert_eq!(cluster.partition().elr, [2]);
    let topic = || ConfigResource::Topic("t".into());
    cluster.alter_configs(topic(), MIN_2, &[]);
    assert!(cluster.partition().elr.is_empty(), "1 commits alone from now on");
    cluster.alter_configs(ConfigResource::DefaultBroker, &[], MIN_2);
    cluster.set_isr(&[1]);
    cluster.unfence(2);
    cluster.set_isr(&[1, 2]);
    cluster.fence(2);
    assert_eq!(cluster.partition().elr, [2]);
    // A broker that has its own idea could have committed alone.
    cluster.alter_configs(ConfigResource::Broker(1), &[], &[("min.insync.replicas", "1")]);
    assert!(cluster.partition().elr.is_empty());
    cluster.fence(1);
    cluster.unfence(2);
    assert_eq!(cluster.partition().leader, -1);
    let unclean = &[("unclean.leader.election.enable", "true")];
    cluster.alter_configs(topic(), &[], unclean);
    assert_eq!((cluster.partition().leader, cluster.partition().recovering), (2, true));
    cluster.unfence(1);
    cluster.set_isr(&[2, 1]);
    cluster.fence(2);
    assert_eq!((cluster.partition().leader, cluster.partition().recovering), (1, false));
}

#[test]
fn a_controlled_shutdown_hands_over() {
    let mut cluster = Cluster::of([1, 2]);
    cluster.topic(&[1, 2], &[]);
    let broker_epoch = cluster.epoch(1);
    cluster.ok(Command::BeginControlledShutdown { node_id: 1, broker_epoch });
    assert_eq!((cluster.partition().leader, &cluster.partition().isr[..]), (2, &[2][..]));
    let rejoin = cluster.isr(&[2, 1]);
    cluster.refused(rejoin, ErrorCode::IneligibleReplica);
    cluster.refused(Command::UnfenceBroker { node_id: 1, broker_epoch }, ErrorCode::InvalidRequest);
    cluster.start(1);
    cluster.set_isr(&[2, 1]);
}

#[test]
fn a_damaged_replica_is_not_elected_before_it_was_repaired() {
    let mut cluster = Cluster::of([1, 2]);
    cluster.topic(&[1, 2], &[]);
    let resign = |cluster: &Cluster, node_id| Command::ResignLeadership {
        topic_id: T.topic_id,
        index: 0,
        node_id,
        broker_epoch: cluster.epoch(node_id),
    };
    let command = resign(&cluster, 1);
    cluster.ok(command);
    assert_eq!((cluster.partition().leader, &cluster.partition().isr[..]), (2, &[2][..]));
    assert_eq!(cluster.partition().offline, [1]);
    assert_eq!(cluster.elect(Election::Preferred), ErrorCode::PreferredLeaderNotAvailable);
    // It has fetched everything again.
    cluster.set_isr(&[2, 1]);
    assert_eq!(cluster.elect(Election::Preferred), ErrorCode::None);
    cluster.fence(2);
    let command = resign(&cluster, 1);
    cluster.ok(command);
    assert_eq!(cluster.partition().leader, -1);
    assert_eq!(cluster.elect(Election::Unclean), ErrorCode::EligibleLeadersNotAvailable);
    // The next start finds out whether it is still damaged.
    cluster.start(1);
    assert_eq!((cluster.partition().leader, cluster.partition().recovering), (1, true));
    // A follower, which the leader may still take for one that has everything.
    cluster.start(2);
    let before = cluster.partition().leader_epoch;
    let command = resign(&cluster, 2);
    cluster.ok(command);
    assert_eq!((cluster.partition().leader, cluster.partition().leader_epoch), (1, before + 1));
    let mut foreign = resign(&cluster, 1);
    if let Command::ResignLeadership { node_id, broker_epoch, .. } = &mut foreign {
        cluster.start(3);
        (*node_id, *broker_epoch) = (3, cluster.epoch(3));
    }
    cluster.refused(foreign, ErrorCode::InvalidRequest);
}

#[test]
fn a_broker_without_a_log_directory_is_fenced() {
    let mut cluster = Cluster::of([1, 2]);
    cluster.topic(&[1, 2], &[]);
    let broker_epoch = cluster.epoch(1);
    let fail = |tag| {
        let log_dirs = vec![Uuid([tag; 16])];
        Command::FailLogDirs { node_id: 1, broker_epoch, log_dirs }
    };
    cluster.ok(fail(200));
    assert_eq!(cluster.partition().leader, 1);
    cluster.ok(fail(1));
    assert!(cluster.image.brokers[&1].fenced);
    assert_eq!(cluster.partition().leader, 2);
}

#[test]
fn an_unregistered_broker_is_forgotten() {
    let mut cluster = Cluster::of([1, 2]);
    cluster.topic(&[1, 2], &[]);
    let gone = Command::UnregisterBroker { node_id: 1 };
    cluster.ok(gone.clone());
    assert_eq!((cluster.partition().leader, &cluster.partition().isr[..]), (2, &[2][..]));
    assert_eq!(cluster.partition().replicas, [1, 2]);
    cluster.refused(gone, ErrorCode::BrokerIdNotRegistered);
}

#[test]
fn a_node_of_another_cluster_is_refused() {
    let mut cluster = Cluster::of([1]);
    let mut other = registration(2, 40, 2, true);
    if let Command::RegisterBroker { cluster_id, .. } = &mut other {
        *cluster_id = "elsewhere".into();
    }
    cluster.refused(other, ErrorCode::InconsistentClusterId);
}
