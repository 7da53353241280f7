//! What DeleteRecords has deleted stays deleted, whoever leads afterwards (M17).

use std::collections::BTreeMap;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::{ListOffsetsRequest, Response};

use crate::broker::{Client, Process, batch, eventually};
use crate::support::{Cluster, brokers, create_on, delete_records, leader_of, partitions};

/// So long that nothing but news can end a follower's fetch in time.
const SETTINGS: [&str; 2] = ["replica.fetch.wait.max.ms=60000", "replica.lag.time.max.ms=120000"];
/// No replica deletes anything by itself.
const CONFIGS: [(&str, &str); 3] =
    [("min.insync.replicas", "2"), ("segment.bytes", "4096"), ("retention.ms", "-1")];
const END: i64 = 20;
const START: i64 = 15;

/// The first and the last offset, as the leader says.
fn offsets(client: &mut Client) -> [(i16, i64); 2] {
    [-2, -1].map(|timestamp| {
        let partition = ListOffsetsPartition { timestamp, ..Default::default() };
        let partitions = vec![partition];
        let topic = ListOffsetsTopic { name: "t".into(), partitions, ..Default::default() };
        let topics = vec![topic];
        let request = ListOffsetsRequest { replica_id: -1, topics, ..Default::default() };
        let Response::ListOffsets(answer) = client.call(6, request) else { panic!() };
        let found = &answer.topics[0].partitions[0];
        (found.error_code, found.offset)
    })
}

/// Node 1 has the metadata, the others the replicas.
struct Replicas {
    cluster: Cluster,
    nodes: BTreeMap<usize, Process>,
}

impl Replicas {
    fn connect(&self, id: usize) -> Client {
        Client::connect(self.cluster.address(id))
    }

    fn kill(&mut self, ids: &[usize]) {
        for id in ids {
            self.nodes.remove(id).expect("it runs").kill();
        }
    }

    fn restart(&mut self, ids: &[usize]) {
        self.nodes.extend(ids.iter().copied().zip(self.cluster.start_with(ids, &SETTINGS)));
    }

    fn wait_for_isr(&self, count: usize) {
        let mut client = self.connect(1);
        let isr = |client: &mut Client| partitions(client, "t")[0].isr_nodes.len();
        eventually(&format!("{count} are in sync"), || isr(&mut client) == count);
    }

    /// The records below the start are gone, for who leads, and the others are there.
    fn check(&self, leader: usize) {
        let mut any = self.connect(1);
        eventually(&format!("{leader} leads"), || leader_of(&mut any, "t", 0) == Some(leader));
        let mut client = self.connect(leader);
        eventually("it serves", || offsets(&mut client)[0].0 == 0);
        assert_eq!(offsets(&mut client)[0], (0, START), "on {leader}");
        for offset in [0, START - 1] {
            let code = client.fetch("t", 0, offset).error_code;
            assert_eq!(code, ErrorCode::OffsetOutOfRange.code(), "{offset} on {leader}");
        }
    }
}

#[test]
fn deleted_records_do_not_come_back_with_another_leader_or_a_restart() {
    let cluster = Cluster::new(1, 4);
    let mut replicas = Replicas { cluster, nodes: BTreeMap::new() };
    replicas.restart(&[1, 2, 3, 4]);
    let mut client = replicas.connect(1);
    eventually("every broker is known", || brokers(&mut client) == [1, 2, 3, 4]);
    create_on(&mut client, "t", &[&[2, 3, 4]], &CONFIGS);
    let mut led = replicas.connect(2);
    eventually("the leader has them", || {
        led.produce("t", 0, -1, batch(&[&[b'x'; 500]])).base_offset == END - 1
    });

    // One that has all records does not hear of it; one that is alive does so at once.
    replicas.kill(&[4]);
    replicas.wait_for_isr(2);
    assert_eq!(delete_records(&mut led, "t", START), (0, START));
    replicas.restart(&[4]);
    replicas.wait_for_isr(3);
    replicas.kill(&[2, 3]);
    replicas.check(4);

    replicas.restart(&[2, 3]);
    for leader in [2, 3] {
        replicas.wait_for_isr(3);
        let others: Vec<usize> = (2..=4).filter(|id| *id != leader).collect();
        replicas.kill(&others);
        replicas.check(leader);
        replicas.restart(&others);
    }
    replicas.wait_for_isr(3);
    replicas.kill(&[4, 3, 2, 1]);
    replicas.restart(&[1, 2, 3, 4]);
    replicas.wait_for_isr(3);
    let leader = leader_of(&mut replicas.connect(1), "t", 0).expect("one leads");
    replicas.check(leader);
    let mut client = replicas.connect(leader);
    eventually("nothing else is gone", || offsets(&mut client)[1] == (0, END));
}
