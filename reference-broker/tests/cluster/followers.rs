//! Consumers that read from a follower (KIP-392).

use std::time::{Duration, Instant};

use ottla_protocol::messages::fetch::PartitionData;
use ottla_protocol::messages::{FetchRequest, Response};

use crate::broker::{Client, Process, batch, eventually, fetch_request};
use crate::support::{Cluster, brokers, create_topic, metadata};

const SELECTOR: &str =
    "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector";
/// So long that nothing but news of the high watermark can end a follower's fetch in time.
const LONG: Duration = Duration::from_secs(60);

fn fetch(client: &mut Client, rack: &str, offset: i64) -> PartitionData {
    let request =
        FetchRequest { rack_id: rack.to_owned(), ..fetch_request("t", 0, offset, 20_000, 1000) };
    let Response::Fetch(answer) = client.call(11, request) else { panic!() };
    answer.responses[0].partitions[0].clone()
}

fn len(part: &PartitionData) -> usize {
    part.records.as_ref().map_or(0, |records| records.len())
}

#[test]
fn a_consumer_is_sent_to_its_rack_and_a_follower_knows_at_once_what_is_committed() {
    let cluster = Cluster::new(3, 3);
    let wait = format!("replica.fetch.wait.max.ms={}", LONG.as_millis());
    let lag = format!("replica.lag.time.max.ms={}", 2 * LONG.as_millis());
    let _nodes: Vec<Process> = std::thread::scope(|scope| {
        let start = |id| {
            let (cluster, wait, lag) = (&cluster, &wait, &lag);
            scope.spawn(move || {
                let rack = format!("broker.rack=rack-{id}");
                Process::start_with(&mut cluster.command(id, &[&rack, SELECTOR, wait, lag]))
            })
        };
        let started = [1, 2, 3].map(start);
        started.into_iter().map(|node| node.join().expect("the node starts")).collect()
    });
    let mut client = Client::connect(cluster.address(1));
    eventually("every broker is known", || brokers(&mut client) == [1, 2, 3]);
    assert_eq!(create_topic(&mut client, "t", 1, 3), 0);
    let leader = metadata(&mut client).topics[0].partitions[0].leader_id;
    let follower = leader % 3 + 1;
    let connect =
        |id: i32| Client::connect(cluster.address(usize::try_from(id).expect("an id of a node")));
    let (mut led, mut near) = (connect(leader), connect(follower));
    eventually("the leader knows it", || led.produce("t", 0, -1, batch(&[b"x"])).error_code == 0);

    let rack = format!("rack-{follower}");
    let sent = fetch(&mut led, &rack, 0);
    assert_eq!((sent.error_code, sent.preferred_read_replica, len(&sent)), (0, follower, 0));
    for elsewhere in [String::new(), "rack-4".to_owned(), format!("rack-{leader}")] {
        let kept = fetch(&mut led, &elsewhere, 0);
        assert_eq!((kept.error_code, kept.preferred_read_replica), (0, -1), "{elsewhere}");
        assert!(len(&kept) > 0);
    }
    let began = Instant::now();
    for offset in 0..5 {
        eventually("the follower serves what is committed", || {
            let part = fetch(&mut near, &rack, offset);
            assert_eq!((part.error_code, part.preferred_read_replica), (0, -1));
            len(&part) > 0
        });
        assert_eq!(led.produce("t", 0, -1, batch(&[b"x"])).error_code, 0);
    }
    assert!(began.elapsed() < LONG / 2, "no follower waited for the end of its long poll");
    // What nobody there can have is the leader's to decide.
    assert_eq!(fetch(&mut led, &rack, 99).error_code, 1);
}
