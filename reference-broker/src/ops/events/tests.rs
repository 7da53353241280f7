use std::collections::BTreeMap;

use super::*;
use crate::quorum::{Command, PartitionId, apply};
use ottla_protocol::Uuid;

/// Three active brokers, and a topic `t` of two partitions, led by 1 and 2.
fn image() -> Image {
    let mut image = Image::default();
    for node_id in 1..=3 {
        let command = Command::RegisterBroker {
            node_id,
            incarnation: Uuid([node_id as u8; 16]),
            host: "h".into(),
            port: 1,
            rack: None,
            cluster_id: "c".into(),
            internal_host: "h".into(),
            internal_port: 2,
            directory: Uuid([9; 16]),
            log_dirs: vec![Uuid([9; 16])],
            tail_intact: true,
            log_dir_lost: false,
            flushes_before_ack: false,
            min_in_sync: 0,
        };
        step(&mut image, &command);
        let broker_epoch = image.brokers[&node_id].epoch;
        step(&mut image, &Command::UnfenceBroker { node_id, broker_epoch });
    }
    let replicas = vec![vec![1, 2, 3], vec![2, 3, 1]];
    let configs = BTreeMap::new();
    step(
        &mut image,
        &Command::CreateTopic { name: "t".into(), id: Uuid([7; 16]), replicas, configs },
    );
    image
}

fn step(image: &mut Image, command: &Command) {
    let index = image.applied + 1;
    let outcome = apply(image, index, command);
    assert!(!matches!(outcome, crate::quorum::Outcome::Rejected(_)), "{outcome:?}");
}

fn fence(image: &Image, node_id: i32) -> Image {
    let mut image = image.clone();
    let broker_epoch = image.brokers[&node_id].epoch;
    step(&mut image, &Command::FenceBroker { node_id, broker_epoch });
    image
}

#[test]
fn a_broker_that_is_fenced_leaves_isrs_and_its_leaderships_to_others() {
    let before = image();
    let after = fence(&before, 1);
    let changed = changed(&before, &after, 2);
    assert_eq!(changed.elected.text(), "t-0 1 to 2");
    assert_eq!(changed.shrunk.count, 2, "both are led by 2 now: {changed:?}");
    assert_eq!(changed.expanded.count + changed.unclean.count + changed.leaderless.count, 0);

    let metrics = Metrics::default();
    tell(&before, &after, 2, false, &metrics);
    assert_eq!((metrics.isr_shrinks.get(), metrics.leader_elections.get()), (2, 0));
    tell(&before, &after, 3, true, &metrics);
    assert_eq!((metrics.isr_shrinks.get(), metrics.leader_elections.get()), (2, 1));
}

#[test]
fn a_partition_that_is_left_without_a_leader_and_what_follows_are_told() {
    let mut image = image();
    for node_id in 1..=2 {
        image = fence(&image, node_id);
    }
    let last = fence(&image, 3);
    let lost = changed(&image, &last, 3);
    assert_eq!(lost.leaderless.text(), "t-0 of [1, 2, 3], t-1 of [2, 3, 1]");
    assert_eq!(lost.elected.count, 0);

    let mut back = last.clone();
    let broker_epoch = back.brokers[&1].epoch;
    step(&mut back, &Command::UnfenceBroker { node_id: 1, broker_epoch });
    let partitions = vec![PartitionId { topic_id: Uuid([7; 16]), index: 0 }];
    let election = crate::quorum::Election::Unclean;
    step(&mut back, &Command::ElectLeaders { election, partitions });
    let unclean = changed(&last, &back, 1);
    assert_eq!((unclean.unclean.text(), unclean.elected.count), ("t-0 -1 to 1".to_owned(), 0));
    let metrics = Metrics::default();
    tell(&last, &back, 1, true, &metrics);
    assert_eq!(metrics.unclean_leader_elections.get(), 1);
    assert_eq!(metrics.isr_expands.get(), 1);
}

#[test]
fn a_line_names_the_first_of_many_partitions() {
    let mut group = Group::default();
    for index in 0..5 {
        group.push("t", index, || "x".into());
    }
    assert_eq!((group.count, group.text()), (5, "t-0 x, t-1 x, t-2 x, ...".to_owned()));
}
