//! Several nodes as processes, started one by one or by `dev --nodes`.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use ottla_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use ottla_protocol::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use ottla_protocol::messages::describe_quorum::{
    DescribeQuorumRequestPartitionData, DescribeQuorumRequestTopicData,
    DescribeQuorumResponsePartitionData,
};
use ottla_protocol::messages::metadata::MetadataResponsePartition;
use ottla_protocol::messages::{
    CreateTopicsRequest, DeleteRecordsRequest, DescribeQuorumRequest, MetadataRequest,
    MetadataResponse, Response,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::broker::{BINARY, Client, Process};

/// Nodes 1 to N with a folder and ports each. All have been told of the voters, and those that are
/// none of them find the cluster by the voters.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    voters: usize,
    /// Ports of clients, then between nodes.
    ports: Vec<(u16, u16)>,
}

impl Cluster {
    pub(crate) fn new(voters: usize, nodes: usize) -> Self {
        // Where no outgoing connection can take one while its node restarts.
        let bind = || {
            let mut bytes = [0; 2];
            getrandom::fill(&mut bytes).expect("the system has random numbers");
            let port = 10_240 + u16::from_ne_bytes(bytes) % 22_000;
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
        };
        let held: Vec<TcpListener> = (0..10_000).filter_map(|_| bind()).take(2 * nodes).collect();
        assert_eq!(held.len(), 2 * nodes, "there are free ports");
        let port = |listener: &TcpListener| listener.local_addr().expect("it is bound").port();
        let ports = held.chunks(2).map(|pair| (port(&pair[0]), port(&pair[1]))).collect();
        Self { folder: tempfile::tempdir().expect("temporary files can be made"), voters, ports }
    }

    pub(crate) fn data_dir(&self, id: usize) -> PathBuf {
        self.folder.path().join(format!("node-{id}"))
    }

    pub(crate) fn address(&self, id: usize) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports[id - 1].0).into()
    }

    pub(crate) fn internal_port(&self, id: usize) -> u16 {
        self.ports[id - 1].1
    }

    /// The command of a node, with more settings.
    pub(crate) fn command(&self, id: usize, settings: &[&str]) -> Command {
        let (clients, internal) = self.ports[id - 1];
        let voters: Vec<String> = (1..=self.voters)
            .map(|voter| format!("{voter}@127.0.0.1:{}", self.internal_port(voter)))
            .collect();
        let mut command = Command::new(BINARY);
        command.args(["dev", "--data-dir"]).arg(self.data_dir(id));
        for setting in [
            format!("node.id={id}"),
            "cluster.id=test".to_owned(),
            format!("listeners=PLAINTEXT://127.0.0.1:{clients},INTERNAL://127.0.0.1:{internal}"),
            format!("controller.quorum.voters={}", voters.join(",")),
        ] {
            command.args(["--set", &setting]);
        }
        for setting in settings {
            command.args(["--set", setting]);
        }
        command.stderr(Stdio::null());
        command
    }

    /// Starts these nodes at once and waits until they serve.
    pub(crate) fn start(&self, ids: &[usize]) -> Vec<Process> {
        self.start_with(ids, &[])
    }

    /// The same with more settings.
    pub(crate) fn start_with(&self, ids: &[usize], settings: &[&str]) -> Vec<Process> {
        std::thread::scope(|scope| {
            let start =
                |id| scope.spawn(move || Process::start_with(&mut self.command(id, settings)));
            let started: Vec<_> = ids.iter().copied().map(start).collect();
            started.into_iter().map(|node| node.join().expect("the node starts")).collect()
        })
    }
}

/// `ottla-broker dev --nodes N`, which ends when this is dropped.
pub(crate) struct Dev {
    pub(crate) parent: Child,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) ready_line: String,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) pids: Vec<Pid>,
}

impl Dev {
    pub(crate) fn start(nodes: usize, data_dir: &Path) -> Self {
        let mut parent = Command::new(BINARY)
            .args(["dev", "--port", "0", "--until-stdin-closes"])
            .args(["--nodes", &nodes.to_string()])
            .arg("--data-dir")
            .arg(data_dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary was built");
        let stdin = parent.stdin.take();
        let stdout = BufReader::new(parent.stdout.take().expect("stdout is a pipe"));
        let mut lines = stdout.lines().map_while(Result::ok);
        let ready_line = lines.next().expect("a ready line");
        let (mut addresses, mut pids) = (Vec::new(), Vec::new());
        for line in lines.take(nodes) {
            let words: Vec<&str> = line.split([' ', ')']).collect();
            addresses.push(words[4].parse().expect("an address"));
            let pid = words[6].parse().ok().and_then(Pid::from_raw);
            pids.push(pid.expect("a process id"));
        }
        Self { parent, stdin, ready_line, addresses, pids }
    }

    pub(crate) fn connect(&self, index: usize) -> Client {
        Client::connect(self.addresses[index])
    }

    /// `kill -9` of one node.
    pub(crate) fn kill(&self, index: usize) {
        kill_process(self.pids[index], Signal::KILL).expect("it runs");
    }

    /// Whether it is still a node of this cluster: ids are used again.
    fn is_child(&self, pid: Pid) -> bool {
        let path = format!("/proc/{}/stat", pid.as_raw_pid());
        let stat = std::fs::read_to_string(path).unwrap_or_default();
        // The name, in parentheses, may hold anything; state and parent follow it.
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        rest.split_whitespace().nth(1) == Some(self.parent.id().to_string().as_str())
    }

    /// Lets all end cleanly and waits for it.
    pub(crate) fn stop(mut self) {
        drop(self.stdin.take());
        assert!(self.parent.wait().expect("the process is ours").success());
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let left: Vec<Pid> = self.pids.iter().copied().filter(|pid| self.is_child(*pid)).collect();
        let _ = self.parent.kill();
        let _ = self.parent.wait();
        // A node ends with its parent, but for one that a test has stopped and that hears nothing.
        for pid in left {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The metadata of all topics.
pub(crate) fn metadata(client: &mut Client) -> MetadataResponse {
    let request = MetadataRequest { topics: None, ..Default::default() };
    match client.call(12, request) {
        Response::Metadata(metadata) => *metadata,
        other => panic!("{other:?}"),
    }
}

/// The ids of the brokers that a client learns of.
pub(crate) fn brokers(client: &mut Client) -> Vec<i32> {
    metadata(client).brokers.iter().map(|broker| broker.node_id).collect()
}

/// The quorum's own state.
pub(crate) fn quorum(client: &mut Client) -> Option<DescribeQuorumResponsePartitionData> {
    quorum_in(client, 2)
}

/// As [`quorum`], in this version of the API.
pub(crate) fn quorum_in(
    client: &mut Client,
    version: i16,
) -> Option<DescribeQuorumResponsePartitionData> {
    let topic = DescribeQuorumRequestTopicData {
        topic_name: "__cluster_metadata".into(),
        partitions: vec![DescribeQuorumRequestPartitionData::default()],
        ..Default::default()
    };
    let request = DescribeQuorumRequest { topics: vec![topic], ..Default::default() };
    let Response::DescribeQuorum(response) = client.call(version, request) else { panic!() };
    response.topics.first().map(|topic| topic.partitions[0].clone())
}

/// Makes a topic with so many replicas of each of its partitions; answers the error code.
pub(crate) fn create_topic(client: &mut Client, name: &str, partitions: i32, replicas: i16) -> i16 {
    let topic = CreatableTopic {
        name: name.to_owned(),
        num_partitions: partitions,
        replication_factor: replicas,
        ..Default::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
    let Response::CreateTopics(response) = client.call(7, request) else { panic!() };
    response.topics[0].error_code
}

/// Makes a topic whose partitions have these replicas, the first of each the preferred leader.
pub(crate) fn create_on(
    client: &mut Client,
    name: &str,
    replicas: &[&[i32]],
    configs: &[(&str, &str)],
) {
    let on = |(index, ids): (i32, &&[i32])| CreatableReplicaAssignment {
        partition_index: index,
        broker_ids: ids.to_vec(),
        ..Default::default()
    };
    let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
        ..Default::default()
    };
    let topic = CreatableTopic {
        name: name.to_owned(),
        num_partitions: -1,
        replication_factor: -1,
        assignments: (0..).zip(replicas).map(on).collect(),
        configs: configs.iter().map(config).collect(),
        ..Default::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
    let Response::CreateTopics(response) = client.call(7, request) else { panic!() };
    assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
}

/// What a broker knows of the partitions of a topic, in their order.
pub(crate) fn partitions(client: &mut Client, topic: &str) -> Vec<MetadataResponsePartition> {
    let topics = metadata(client).topics;
    let found = topics.into_iter().find(|found| found.name.as_deref() == Some(topic));
    let mut parts = found.map(|topic| topic.partitions).unwrap_or_default();
    parts.sort_by_key(|part| part.partition_index);
    parts
}

/// Who leads a partition, of whom this broker knows.
pub(crate) fn leader_of(client: &mut Client, topic: &str, partition: usize) -> Option<usize> {
    let parts = partitions(client, topic);
    parts.get(partition).and_then(|part| usize::try_from(part.leader_id).ok())
}

/// Deletes the records of partition 0 below an offset, -1 being all that is committed; answers the
/// error code and where the partition starts now.
pub(crate) fn delete_records(client: &mut Client, topic: &str, offset: i64) -> (i16, i64) {
    let partition = DeleteRecordsPartition { offset, ..Default::default() };
    let partitions = vec![partition];
    let topic = DeleteRecordsTopic { name: topic.to_owned(), partitions, ..Default::default() };
    let request =
        DeleteRecordsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
    let Response::DeleteRecords(answer) = client.call(2, request) else { panic!() };
    let deleted = &answer.topics[0].partitions[0];
    (deleted.error_code, deleted.low_watermark)
}
