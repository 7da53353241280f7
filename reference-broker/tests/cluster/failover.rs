//! `dev --nodes 3`: three processes, and what is left of them.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use ottla_protocol::messages::fetch::{FetchPartition, FetchTopic};
use ottla_protocol::messages::{FetchRequest, Response};

use crate::broker::{Client, eventually, folder};
use crate::support::{Cluster, Dev, brokers, create_topic, metadata, quorum};

#[test]
fn three_processes_go_on_when_the_controller_is_killed() {
    let (_folder, data) = folder();
    let dev = Dev::start(3, &data);
    let mut client = dev.connect(0);
    eventually("every broker is known", || brokers(&mut client) == [1, 2, 3]);
    let described = quorum(&mut client).expect("a quorum");
    let voters: Vec<i32> = described.current_voters.iter().map(|node| node.replica_id).collect();
    assert_eq!(voters, [1, 2, 3]);
    assert!(described.observers.is_empty());
    let controller = metadata(&mut client).controller_id;
    assert_eq!(controller, described.leader_id);
    assert_eq!(create_topic(&mut client, "before", 6, 3), 0);

    let killed = usize::try_from(controller).unwrap() - 1;
    dev.kill(killed);
    let mut client = dev.connect((killed + 1) % 3);
    eventually("another controller has fenced the dead broker and elected leaders", || {
        let metadata = metadata(&mut client);
        let mut leaders =
            metadata.topics.iter().flat_map(|topic| &topic.partitions).map(|part| part.leader_id);
        metadata.brokers.len() == 2
            && ![-1, controller].contains(&metadata.controller_id)
            && leaders.all(|leader| ![-1, controller].contains(&leader))
    });
    let leader = quorum(&mut client).expect("a quorum").leader_id;
    assert_eq!(metadata(&mut client).controller_id, leader);
    assert_eq!(create_topic(&mut client, "after", 3, 2), 0);
    dev.stop();
}

/// A process that is gone refuses connections, and its session need not be waited for: neither by
/// the controller, nor, when that was it, by the next one.
#[test]
fn leaders_of_a_killed_process_move_long_before_its_session_ends() {
    let cluster = Cluster::new(3, 4);
    let long = ["broker.session.timeout.ms=3600000"];
    let mut nodes: Vec<_> =
        cluster.start_with(&[1, 2, 3, 4], &long).into_iter().map(Some).collect();
    let mut client = Client::connect(cluster.address(1));
    eventually("every broker is known", || brokers(&mut client) == [1, 2, 3, 4]);
    assert_eq!(create_topic(&mut client, "t", 12, 3), 0);
    let mut killed = Vec::new();
    let controller = metadata(&mut client).controller_id;
    let observer = 4;
    for node in [observer, controller] {
        drop(nodes[usize::try_from(node).unwrap() - 1].take().expect("it runs"));
        killed.push(node);
        let left = (1..=4).find(|id| !killed.contains(id)).unwrap();
        let mut client = Client::connect(cluster.address(usize::try_from(left).unwrap()));
        eventually("every partition has a leader that is alive", || {
            let metadata = metadata(&mut client);
            let parts = metadata.topics.iter().flat_map(|topic| &topic.partitions);
            let mut leaders = parts.map(|part| part.leader_id);
            leaders.all(|leader| leader != -1 && !killed.contains(&leader))
        });
    }
}

#[test]
fn who_asks_the_wrong_leader_is_told_at_once() {
    let (_folder, data) = folder();
    let dev = Dev::start(3, &data);
    let mut client = dev.connect(0);
    eventually("every broker is known", || brokers(&mut client) == [1, 2, 3]);
    assert_eq!(create_topic(&mut client, "t", 6, 3), 0);
    let wanted = |partition| FetchPartition {
        partition,
        current_leader_epoch: -1,
        partition_max_bytes: 1000,
        ..FetchPartition::default()
    };
    let partitions = (0..6).map(wanted).collect();
    let topic = FetchTopic { topic: "t".into(), partitions, ..FetchTopic::default() };
    let waits = Duration::from_secs(20);
    let request = FetchRequest {
        replica_id: -1,
        max_wait_ms: i32::try_from(waits.as_millis()).unwrap(),
        min_bytes: 1,
        max_bytes: 1000,
        session_epoch: -1,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    // Version 10 is one in which consumers fetch from leaders alone.
    eventually("it leads some and not the others", || {
        let began = Instant::now();
        let Response::Fetch(answer) = client.call(10, request.clone()) else { panic!() };
        assert!(began.elapsed() < waits / 2, "idle partitions do not hold the answer back");
        let all = answer.responses.iter().flat_map(|topic| &topic.partitions);
        let codes: Vec<i16> = all.map(|partition| partition.error_code).collect();
        codes.contains(&0) && codes.contains(&6)
    });
    dev.stop();
}

#[test]
fn a_node_that_is_asked_to_end_hands_over_before_it_does() {
    let cluster = Cluster::new(3, 3);
    let mut nodes = cluster.start(&[1, 2, 3]);
    let mut client = Client::connect(cluster.address(1));
    eventually("every broker is known", || brokers(&mut client) == [1, 2, 3]);
    assert_eq!(create_topic(&mut client, "t", 9, 2), 0);
    let controller = metadata(&mut client).controller_id;
    let ends = if controller == 3 { 2 } else { 3 };
    let led_by = |client: &mut Client, node: i32| -> usize {
        let metadata = metadata(client);
        let parts = metadata.topics.iter().flat_map(|topic| &topic.partitions);
        parts.filter(|part| part.leader_id == node).count()
    };
    assert!(led_by(&mut client, ends) > 0, "it leads something");
    let node = nodes.remove(usize::try_from(ends).unwrap() - 1);
    assert_eq!(node.terminate(), Some(0));
    assert_eq!(led_by(&mut client, ends), 0, "nothing waits for its session to end");
    assert_eq!(led_by(&mut client, -1), 0, "every partition has a leader");
}

#[test]
fn a_cluster_is_the_same_after_a_restart_on_other_ports() {
    let (_folder, data) = folder();
    let first = Dev::start(3, &data);
    assert!(first.ready_line.contains("(3 nodes, cluster "), "{}", first.ready_line);
    let mut client = first.connect(1);
    eventually("every broker is known", || brokers(&mut client).len() == 3);
    assert_eq!(create_topic(&mut client, "kept", 3, 3), 0);
    let before = metadata(&mut client);
    first.stop();

    let second = Dev::start(3, &data);
    let mut client = second.connect(2);
    let mut after = metadata(&mut client);
    eventually("every partition has a leader", || {
        after = metadata(&mut client);
        let parts = after.topics.iter().flat_map(|topic| &topic.partitions);
        after.brokers.len() == 3 && parts.clone().all(|part| part.leader_id != -1)
    });
    assert_eq!(after.cluster_id, before.cluster_id);
    assert_eq!(after.topics[0].topic_id, before.topics[0].topic_id);
    let epochs = |metadata: &ottla_protocol::messages::MetadataResponse| -> Vec<i32> {
        metadata.topics[0].partitions.iter().map(|part| part.leader_epoch).collect()
    };
    let grown = epochs(&after).into_iter().zip(epochs(&before));
    assert!(grown.clone().all(|(after, before)| after > before), "{:?}", grown.collect::<Vec<_>>());
    second.stop();
}

#[test]
fn nodes_end_when_the_process_that_started_them_is_killed() {
    let (_folder, data) = folder();
    let mut dev = Dev::start(3, &data);
    dev.parent.kill().expect("it runs");
    for address in &dev.addresses {
        eventually("the node has ended", || TcpStream::connect(address).is_err());
    }
}
