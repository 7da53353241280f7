//! Leaders that changed quickly, and left logs that are not the same: what no leader had committed
//! goes, what it had stays, and nobody is ever shown the former (M6).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::{ListOffsetsRequest, Response};
use ottla_protocol::records::{BatchIter, Decompressor};
use serde_json::json;

use crate::broker::{Client, Process, batch, eventually, fetch_request, folder};
use crate::chaos::Chaos;
use crate::support::{
    Cluster, brokers, create_on, delete_records, leader_of, metadata, partitions,
};

const MIN_TWO: [(&str, &str); 1] = [("min.insync.replicas", "2")];

/// Node 1 has the metadata, and the others the replicas of t-0.
struct Replicas {
    cluster: Cluster,
    nodes: BTreeMap<usize, Process>,
    settings: &'static [&'static str],
}

impl Replicas {
    fn start(replicas: &[i32], settings: &'static [&'static str]) -> Self {
        let count = replicas.len() + 1;
        let cluster = Cluster::new(1, count);
        let mut started = Self { cluster, nodes: BTreeMap::new(), settings };
        let ids: Vec<usize> = (1..=count).collect();
        started.restart(&ids);
        let mut client = started.connect(1);
        eventually("every broker is known", || brokers(&mut client).len() == count);
        create_on(&mut client, "t", &[replicas], &MIN_TWO);
        started
    }

    fn connect(&self, id: usize) -> Client {
        Client::connect(self.cluster.address(id))
    }

    fn kill(&mut self, ids: &[usize]) {
        for id in ids {
            self.nodes.remove(id).expect("it runs").kill();
        }
    }

    fn restart(&mut self, ids: &[usize]) {
        self.nodes.extend(ids.iter().copied().zip(self.cluster.start_with(ids, self.settings)));
    }

    fn wait_for_isr(&self, count: usize) {
        let mut client = self.connect(1);
        eventually(&format!("{count} are in sync"), || {
            partitions(&mut client, "t").first().is_some_and(|part| part.isr_nodes.len() == count)
        });
    }

    /// Waits until this node leads and knows it; answers the leader epoch.
    fn wait_for_leader(&self, id: usize) -> i32 {
        let (mut any, mut client) = (self.connect(1), self.connect(id));
        eventually(&format!("{id} leads"), || {
            leader_of(&mut any, "t", 0) == Some(id)
                && latest(&mut client).0 != ErrorCode::NotLeaderOrFollower.code()
        });
        partitions(&mut any, "t")[0].leader_epoch
    }
}

/// The end of what is committed, as a leader says.
fn latest(client: &mut Client) -> (i16, i64) {
    let partition = ListOffsetsPartition { timestamp: -1, ..Default::default() };
    let topic =
        ListOffsetsTopic { name: "t".into(), partitions: vec![partition], ..Default::default() };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
    let Response::ListOffsets(answer) = client.call(6, request) else { panic!() };
    let found = &answer.topics[0].partitions[0];
    (found.error_code, found.offset)
}

fn produce(client: &mut Client, acks: i16, value: &str) -> i64 {
    let mut answer = client.produce("t", 0, acks, batch(&[value.as_bytes()]));
    // It may hear later than others that enough are in sync.
    eventually("there are enough in sync", || {
        let again = answer.error_code == ErrorCode::NotEnoughReplicas.code();
        if again {
            answer = client.produce("t", 0, acks, batch(&[value.as_bytes()]));
        }
        !again
    });
    assert_eq!(answer.error_code, 0, "{value}");
    answer.base_offset
}

/// The segments of t-0, in order.
fn stored(data: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(data.join("t-0")).expect("the replica is there");
    let mut names: Vec<_> = files.map(|file| file.expect("a name").path()).collect();
    names.retain(|name| name.extension().is_some_and(|kind| kind == "log"));
    names.sort();
    names.iter().flat_map(|name| std::fs::read(name).expect("a segment")).collect()
}

/// KIP-279, KIP-101: two replicas lead in turn, each while the other is down, so that each has
/// epochs that the other has not. No election is unclean: with one in sync nothing is committed.
#[test]
fn replicas_that_led_in_turn_end_with_the_log_of_the_last_one() {
    for turns in [2, 3, 5] {
        let mut replicas = Replicas::start(&[2, 3], &[]);
        replicas.wait_for_leader(2);
        replicas.wait_for_isr(2);
        let mut expected = vec!["first".to_owned()];
        let mut led = replicas.connect(2);
        eventually("it is committed", || {
            led.produce("t", 0, -1, batch(&[b"first"])).error_code == 0
        });
        let (mut leader, mut epoch) = (2, 0);
        replicas.kill(&[3]);
        let mut of = BTreeMap::from([(2, Vec::new()), (3, Vec::new())]);
        for turn in 0..turns {
            let mut led = replicas.connect(leader);
            for number in 0..=(turn * 2) % 3 {
                let value = format!("{turn}.{number} of {leader}");
                produce(&mut led, 1, &value);
                of.get_mut(&leader).expect("it is one of both").push(value);
            }
            let part = led.fetch("t", 0, 0);
            assert!(part.high_watermark <= 1, "{} is committed", part.high_watermark);
            replicas.kill(&[leader]);
            leader = 5 - leader;
            replicas.restart(&[leader]);
            let next = replicas.wait_for_leader(leader);
            assert!(next > epoch, "epoch {next} follows {epoch}");
            epoch = next;
        }
        replicas.restart(&[5 - leader]);
        replicas.wait_for_isr(2);
        let mut led = replicas.connect(leader);
        produce(&mut led, -1, "last");
        expected.append(&mut of.remove(&leader).expect("it is one of both"));
        expected.push("last".into());
        for id in [leader, 5 - leader] {
            let mut client = replicas.connect(id);
            eventually("it knows what is committed", || {
                let end = i64::try_from(expected.len()).expect("a small number");
                client.fetch("t", 0, 0).high_watermark == end
            });
            let read = client.read_all("t", 0).into_iter().map(|(_, value)| value);
            let read: Vec<String> =
                read.map(|value| String::from_utf8(value).expect("text")).collect();
            assert_eq!(read, expected, "{id}, after {turns} turns");
        }
        let [one, other] = [2, 3].map(|id| stored(&replicas.cluster.data_dir(id)));
        assert!(one == other, "not the same bytes after {turns} turns");
    }
}

/// KAFKA-9491: a follower begins anew where its leader's log starts, and leads before it was told
/// what is committed.
#[test]
fn who_began_anew_at_the_leaders_start_can_lead_from_there() {
    // So long that nothing but news ends a follower's fetch.
    let long = &["replica.fetch.wait.max.ms=60000", "replica.lag.time.max.ms=120000"];
    let mut replicas = Replicas::start(&[2, 3, 4], long);
    replicas.wait_for_leader(2);
    let mut led = replicas.connect(2);
    eventually("it is committed", || led.produce("t", 0, -1, batch(&[b"x"])).base_offset >= 4);
    replicas.kill(&[4]);
    replicas.wait_for_isr(2);
    let end = (0..15).map(|_| produce(&mut led, -1, "x")).last().expect("some") + 1;
    assert_eq!(delete_records(&mut led, "t", -1), (0, end));
    replicas.restart(&[4]);
    replicas.wait_for_isr(3);
    replicas.kill(&[2, 3]);
    replicas.wait_for_leader(4);
    let mut led = replicas.connect(4);
    assert_eq!(latest(&mut led), (0, end), "alone it cannot have been told since");
    let part = led.fetch("t", 0, end);
    assert_eq!((part.error_code, part.high_watermark, part.log_start_offset), (0, end, end));
    assert_eq!(led.fetch("t", 0, 4).error_code, ErrorCode::OffsetOutOfRange.code());
    replicas.restart(&[2]);
    replicas.wait_for_isr(2);
    assert_eq!(produce(&mut led, -1, "y"), end);
    assert_eq!(led.fetch("t", 0, end).high_watermark, end + 1);
}

/// What a replica gives to consumers, one record after the other, until `stop`.
fn watch(client: &mut Client, stop: &AtomicBool) -> BTreeMap<i64, Vec<u8>> {
    let (mut seen, mut next) = (BTreeMap::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        let request = fetch_request("t", 0, next, 100, 1 << 20);
        let Response::Fetch(answer) = client.call(11, request) else { panic!() };
        let part = &answer.responses[0].partitions[0];
        let records = part.records.clone().expect("records are never null");
        let mut decompressor = Decompressor::new();
        for batch in BatchIter::new(records) {
            let batch = batch.expect("a whole batch");
            for record in batch.records(&mut decompressor).expect("readable").iter() {
                let record = record.expect("a record");
                let value = record.value.unwrap_or_default().to_vec();
                let before = seen.insert(record.offset, value.clone());
                assert!(before.is_none_or(|before| before == value), "at {}", record.offset);
            }
            next = batch.header().next_offset();
        }
    }
    seen
}

/// Ends those who watch.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// KAFKA-14704: the answer that tells a former leader to cut its log also has the new leader's high
/// watermark, which lies above the tail that has to go.
#[test]
fn a_former_leader_shows_nobody_the_tail_that_it_has_to_cut() {
    let (_folder, data) = folder();
    let mut chaos = Chaos::start(&data, "--chaos");
    chaos.knows(1, &[1, 2, 3]);
    let mut client = chaos.connect(1);
    let controller = metadata(&mut client).controller_id;
    let others: Vec<i32> = (1..=3).filter(|id| *id != controller).collect();
    let (former, other) = (others[0], others[1]);
    create_on(&mut client, "t", &[&[former, other, controller]], &MIN_TWO);
    let mut led = chaos.connect(former);
    eventually("it is committed", || led.produce("t", 0, -1, batch(&[b"first"])).error_code == 0);
    let committed = led.fetch("t", 0, 0).high_watermark;

    let stop = AtomicBool::new(false);
    let (stored, seen) = std::thread::scope(|scope| {
        // However this ends: the scope waits for the watchers.
        let stops = Stops(&stop);
        let watchers: Vec<_> = (0..2)
            .map(|_| {
                let (mut client, stop) = (chaos.connect(former), &stop);
                scope.spawn(move || watch(&mut client, stop))
            })
            .collect();
        chaos.done(json!({"command": "partition", "node": former}));
        for _ in 0..5 {
            produce(&mut led, 1, "tail");
        }
        let mut any = chaos.connect(other);
        eventually("another one leads", || {
            let leader = leader_of(&mut any, "t", 0);
            leader.is_some() && leader != usize::try_from(former).ok()
        });
        let leader = leader_of(&mut any, "t", 0).expect("one leads");
        let mut led = chaos.connect(i32::try_from(leader).expect("an id"));
        let wanted = committed + 10;
        eventually("the new leader commits beyond the tail", || {
            let answer = led.produce("t", 0, -1, batch(&[b"new"]));
            answer.error_code == 0 && answer.base_offset >= wanted
        });
        // Between two of its fetches there is time to look; the metadata comes as fast as ever.
        for node in [controller, other] {
            chaos.done(json!({"command": "link", "node": former, "to": node, "ms": 20}));
            chaos.done(json!({"command": "link", "node": node, "to": former}));
        }
        let stored: BTreeMap<_, _> = led.read_all("t", 0).into_iter().collect();
        let mut client = chaos.connect(former);
        eventually("the former leader has what the new one has", || {
            let part = client.fetch("t", 0, 0);
            part.error_code == 0 && part.high_watermark > wanted
        });
        drop(stops);
        let seen = watchers.into_iter().map(|it| it.join().expect("it saw one log"));
        (stored, seen.collect::<Vec<_>>())
    });
    for seen in seen {
        for (offset, value) in &seen {
            let shown = String::from_utf8_lossy(value);
            assert_eq!(stored.get(offset), Some(value), "{shown} was shown at {offset}");
        }
        assert!(seen.len() > usize::try_from(committed).expect("a small number"), "{seen:?}");
    }
    chaos.done(json!({"command": "stop"}));
}
