//! Clusters of three nodes, ours and Apache Kafka's, each on a folder of its own on real disk.

use crate::Failure;
use crate::target::folder;
use clap::ValueEnum;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const KAFKA_VERSION: &str = "4.3.1";

/// Kafka's defaults, which the dev cluster makes shorter.
const DEFAULTS: [&str; 5] = [
    "broker.session.timeout.ms=9000",
    "broker.heartbeat.interval.ms=2000",
    "controller.quorum.election.timeout.ms=1000",
    "controller.quorum.request.timeout.ms=2000",
    "replica.fetch.backoff.ms=1000",
];

/// Whose cluster, with which settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// `ottla-broker dev --nodes 3`
    OttlaDev,
    /// The same with the times that are Kafka's defaults
    OttlaDefaults,
    /// Apache Kafka, each node broker and controller
    Kafka,
}

impl Kind {
    /// Its name in tables.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::OttlaDev => "Ottla, dev",
            Self::OttlaDefaults => "Ottla, Kafka's defaults",
            Self::Kafka => "Apache Kafka 4.3.1",
        }
    }

    /// How long the load goes on after a kill, at least: longer than a session.
    pub(crate) fn settling(self) -> Duration {
        Duration::from_secs(if self == Self::OttlaDev { 3 } else { 15 })
    }
}

/// A running cluster; killed when dropped.
pub(crate) struct Cluster {
    /// Where clients connect.
    pub(crate) bootstrap: String,
    /// By node id.
    nodes: BTreeMap<i32, Node>,
    _parent: Option<Parent>,
    _folder: TempDir,
}

struct Node {
    address: String,
    pid: u32,
}

/// The process that waits for our nodes.
struct Parent(Child);

impl Cluster {
    /// Starts three nodes, and waits until they serve.
    pub(crate) fn start(kind: Kind, broker: &Path, kafka_script: &Path) -> Result<Self, Failure> {
        Self::start_with(kind, broker, kafka_script, &[])
    }

    /// The same with these properties of brokers, `name=value`.
    pub(crate) fn start_with(
        kind: Kind,
        broker: &Path,
        kafka_script: &Path,
        settings: &[&str],
    ) -> Result<Self, Failure> {
        match kind {
            Kind::OttlaDev => Self::ottla(broker, settings),
            Kind::OttlaDefaults => Self::ottla(broker, &[&DEFAULTS, settings].concat()),
            Kind::Kafka => Self::kafka(kafka_script, settings),
        }
    }

    fn ottla(program: &Path, settings: &[&str]) -> Result<Self, Failure> {
        let folder = folder()?;
        let mut command = Command::new(program);
        command.args(["dev", "--nodes", "3", "--port", "0", "--data-dir"]).arg(folder.path());
        for setting in settings {
            command.args(["--set", setting]);
        }
        let started = command
            .env("OTTLA_LOG", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()));
        let mut parent = Parent(started?);
        let stdout = parent.0.stdout.take().expect("stdout is piped");
        let mut lines = BufReader::new(stdout).lines();
        let ready = lines.next().transpose()?.unwrap_or_default();
        let bootstrap = ready.split(" on ").nth(1).and_then(|rest| rest.split(' ').next());
        let bootstrap = bootstrap.ok_or("the brokers did not start; their words are above")?;
        let mut nodes = BTreeMap::new();
        for line in lines.take(3) {
            // `ottla-broker node 1 on 127.0.0.1:9092 (pid 4711)`
            let line = line?;
            let words: Vec<&str> = line.split([' ', ')']).collect();
            let [_, "node", id, "on", address, _, pid, ..] = words[..] else {
                return Err(format!("this line does not name a node: {line}").into());
            };
            let node = Node { address: address.to_owned(), pid: pid.parse()? };
            nodes.insert(id.parse()?, node);
        }
        let bootstrap = bootstrap.to_owned();
        Ok(Self { bootstrap, nodes, _parent: Some(parent), _folder: folder })
    }

    fn kafka(script: &Path, settings: &[&str]) -> Result<Self, Failure> {
        let folder = folder()?;
        let data = folder.path().join("kafka");
        let output = Command::new(script)
            .args(["start", "--version", KAFKA_VERSION, "--port", "0", "--nodes", "3", "--dir"])
            .arg(&data)
            .args(settings.iter().flat_map(|setting| ["--prop", setting]))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err("Apache Kafka did not start; its words are above".into());
        }
        let bootstrap = String::from_utf8(output.stdout)?.trim().to_owned();
        let mut nodes = BTreeMap::new();
        for (id, address) in (1..).zip(bootstrap.split(',')) {
            let pid: PathBuf = data.join(format!("node-{id}/pid"));
            let pid = fs::read_to_string(pid)?.trim().parse()?;
            nodes.insert(id, Node { address: address.to_owned(), pid });
        }
        Ok(Self { bootstrap, nodes, _parent: None, _folder: folder })
    }

    /// The ids of the nodes that run.
    pub(crate) fn ids(&self) -> Vec<i32> {
        self.nodes.keys().copied().collect()
    }

    /// Where a node that runs takes clients.
    pub(crate) fn address(&self) -> &str {
        self.nodes.values().next().map_or("", |node| &node.address)
    }

    /// The processes of the nodes that run.
    pub(crate) fn pids(&self) -> impl Iterator<Item = u32> {
        self.nodes.values().map(|node| node.pid)
    }

    /// Ends a node as a crash does.
    pub(crate) fn kill(&mut self, id: i32) -> Result<(), Failure> {
        let node = self.nodes.remove(&id).ok_or_else(|| format!("no node {id} is running"))?;
        if node.kill() { Ok(()) } else { Err(format!("node {id} had ended by itself").into()) }
    }
}

impl Node {
    fn kill(&self) -> bool {
        let pid = i32::try_from(self.pid).unwrap_or_default();
        // SAFETY: a plain system call; the pid is that of a process this program started.
        pid > 0 && unsafe { libc::kill(pid, libc::SIGKILL) } == 0
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in self.nodes.values() {
            // One that has ended already is as well.
            node.kill();
        }
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        // It ends when its last node has; an error says that it has.
        let _ = self.0.wait();
    }
}
