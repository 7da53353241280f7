//! Nodes with two data folders: one that fails takes its own replicas out of the ISRs and no
//! others, and brings them back.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::broker::{Client, Process, batch, eventually};
use crate::support::{Cluster, brokers, create_on, leader_of, partitions};

const REPLICAS: [&[i32]; 6] =
    [&[1, 2, 3], &[2, 3, 1], &[3, 1, 2], &[1, 3, 2], &[2, 1, 3], &[3, 2, 1]];
/// Small segments: a folder that is gone is noticed when a new one begins.
const CONFIGS: [(&str, &str); 2] = [("segment.bytes", "4096"), ("min.insync.replicas", "2")];

/// Three nodes with two folders each; the last one is the one whose second folder fails.
struct Folders {
    cluster: Cluster,
    nodes: BTreeMap<usize, Process>,
    /// What was acknowledged, by partition: offset and value.
    acknowledged: BTreeMap<usize, BTreeMap<i64, Vec<u8>>>,
    count: u32,
}

const FAILS: usize = 3;

impl Folders {
    /// With so many voters, and a topic with these replicas.
    fn start(voters: usize, replicas: &[&[i32]]) -> Self {
        let cluster = Cluster::new(voters, 3);
        let started: Vec<_> = std::thread::scope(|scope| {
            let cluster = &cluster;
            let start = |id| scope.spawn(move || (id, start(cluster, id)));
            let started = [1, 2, 3].map(start);
            started.into_iter().map(|node| node.join().expect("the node starts")).collect()
        });
        let nodes = started.into_iter().collect();
        let mut folders = Self { cluster, nodes, acknowledged: BTreeMap::new(), count: 0 };
        let mut client = folders.connect(1);
        eventually("every broker is known", || brokers(&mut client) == [1, 2, 3]);
        create_on(&mut client, "t", replicas, &CONFIGS);
        folders.acknowledge(2);
        folders
    }

    fn connect(&self, id: usize) -> Client {
        Client::connect(self.cluster.address(id))
    }

    /// The second folder of a node, and where it is while it is gone.
    fn second(&self, id: usize) -> PathBuf {
        second(&self.cluster, id)
    }

    fn aside(&self) -> PathBuf {
        self.second(FAILS).with_extension("aside")
    }

    /// The partitions in the folder that fails.
    fn concerned(&self) -> Vec<usize> {
        let names = std::fs::read_dir(self.second(FAILS)).expect("the folder is there");
        let names = names.map(|entry| entry.expect("a name").file_name());
        let index = |name: std::ffi::OsString| name.to_str()?.strip_prefix("t-")?.parse().ok();
        let mut found: Vec<usize> = names.filter_map(index).collect();
        found.sort_unstable();
        found
    }

    /// Has so many large records of each partition acknowledged by all in sync.
    fn acknowledge(&mut self, rounds: usize) {
        let mut any = self.connect(1);
        for partition in (0..rounds).flat_map(|_| 0..REPLICAS.len()) {
            self.count += 1;
            let mut value = format!("{:08}", self.count).into_bytes();
            value.resize(1500, b'x');
            let index = i32::try_from(partition).expect("a small number");
            let mut offset = -1;
            let what = format!("{partition} acknowledges record {}", self.count);
            eventually(&what, || {
                let Some(leader) = leader_of(&mut any, "t", partition) else { return false };
                let answer = self.connect(leader).produce("t", index, -1, batch(&[&value]));
                offset = answer.base_offset;
                answer.error_code == 0
            });
            self.acknowledged.entry(partition).or_default().insert(offset, value);
        }
    }

    /// Waits until these partitions have lost the node from their ISRs, and no others have.
    fn wait_for_isrs(&self, without: &[usize]) {
        let mut client = self.connect(1);
        eventually(&format!("{without:?} and no others are without the node"), || {
            let fails = i32::try_from(FAILS).expect("a small number");
            let parts = partitions(&mut client, "t");
            parts.iter().enumerate().all(|(partition, part)| {
                let gone = without.contains(&partition);
                part.isr_nodes.contains(&fails) != gone
                    && part.isr_nodes.len() == if gone { 2 } else { 3 }
            })
        });
    }

    /// These nodes serve all that was acknowledged, and the same at each offset.
    fn check(&self, partition: usize, on: &[usize]) {
        let first = self.read(on[0], partition);
        for (offset, value) in &self.acknowledged[&partition] {
            assert_eq!(first.get(offset), Some(value), "partition {partition} at {offset}");
        }
        for id in &on[1..] {
            assert!(self.read(*id, partition) == first, "{partition} differs on {id}");
        }
    }

    fn check_all(&self) {
        for partition in 0..REPLICAS.len() {
            self.check(partition, &[1, 2, 3]);
        }
    }

    /// What a replica serves, once it knows of everything that was acknowledged.
    fn read(&self, id: usize, partition: usize) -> BTreeMap<i64, Vec<u8>> {
        let index = i32::try_from(partition).expect("a small number");
        let mut client = self.connect(id);
        let last = *self.acknowledged[&partition].keys().last().expect("there are some");
        eventually("the replica knows what is committed", || {
            let part = client.fetch("t", index, 0);
            part.error_code == 0 && part.high_watermark > last
        });
        client.read_all("t", index).into_iter().collect()
    }

    fn kill(&mut self, id: usize) {
        self.nodes.remove(&id).expect("it runs").kill();
    }

    fn restart(&mut self, id: usize) {
        self.nodes.insert(id, start(&self.cluster, id));
    }
}

fn second(cluster: &Cluster, id: usize) -> PathBuf {
    cluster.data_dir(id).with_file_name(format!("second-{id}"))
}

fn start(cluster: &Cluster, id: usize) -> Process {
    let (first, second) = (cluster.data_dir(id), second(cluster, id));
    let both = format!("log.dirs={},{}", first.display(), second.display());
    Process::start_with(&mut cluster.command(id, &[&both]))
}

#[test]
fn a_folder_that_fails_takes_its_replicas_out_of_the_isrs_and_no_others() {
    let mut folders = Folders::start(3, &REPLICAS);
    folders.wait_for_isrs(&[]);
    let concerned = folders.concerned();
    assert_eq!(concerned.len(), REPLICAS.len() / 2, "{concerned:?}");
    std::fs::rename(folders.second(FAILS), folders.aside()).unwrap();
    folders.acknowledge(4);
    folders.wait_for_isrs(&concerned);
    folders.acknowledge(1);
    let mut client = folders.connect(1);
    for (partition, replicas) in REPLICAS.iter().enumerate() {
        let leader = leader_of(&mut client, "t", partition);
        let gone = concerned.contains(&partition);
        folders.check(partition, if gone { &[1, 2] } else { &[1, 2, 3] });
        let preferred = usize::try_from(replicas[0]).ok();
        assert!(gone || leader == preferred, "{partition} moved to {leader:?}");
        assert_ne!(leader.filter(|_| gone), Some(FAILS), "{partition}");
    }

    // It is gone at a start as well, and then there again.
    folders.kill(FAILS);
    std::fs::write(folders.second(FAILS), b"no folder").unwrap();
    folders.restart(FAILS);
    folders.wait_for_isrs(&concerned);
    folders.acknowledge(1);
    folders.kill(FAILS);
    std::fs::remove_file(folders.second(FAILS)).unwrap();
    std::fs::rename(folders.aside(), folders.second(FAILS)).unwrap();
    folders.restart(FAILS);
    folders.wait_for_isrs(&[]);
    folders.acknowledge(1);
    folders.check_all();

    // What was in it is fetched again when another one is in its place.
    folders.kill(FAILS);
    std::fs::remove_dir_all(folders.second(FAILS)).unwrap();
    folders.restart(FAILS);
    folders.wait_for_isrs(&[]);
    folders.acknowledge(1);
    folders.check_all();
}

/// M15 with several folders: both replicas end, and the first one to be back has lost the folder
/// that the partition was in.
#[test]
fn a_replica_whose_folder_was_lost_is_not_elected() {
    let on_two: [&[i32]; 6] = [&[2, 3], &[3, 2], &[2, 3], &[3, 2], &[2, 3], &[3, 2]];
    let mut folders = Folders::start(1, &on_two);
    let concerned = folders.concerned();
    assert_eq!(concerned.len(), on_two.len() / 2, "{concerned:?}");
    folders.kill(2);
    folders.kill(FAILS);
    std::fs::remove_dir_all(folders.second(FAILS)).unwrap();
    folders.restart(FAILS);
    let mut client = folders.connect(1);
    eventually("the node is back", || brokers(&mut client) == [1, 3]);
    folders.restart(2);
    for partition in 0..on_two.len() {
        folders.check(partition, &[2, FAILS]);
    }
}
