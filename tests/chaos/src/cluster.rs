//! Nodes as processes.

use crate::{Failure, network};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use tokio::time::sleep;

const CLIENTS: u16 = 9092;
const NODES: u16 = 9093;
/// How long a node may take to end or to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// The nodes of a cluster, those that run and those that do not.
pub(crate) struct Cluster {
    program: PathBuf,
    pub(crate) folder: PathBuf,
    voters: Vec<i32>,
    nodes: BTreeMap<i32, Node>,
    /// Properties of all nodes.
    pub(crate) settings: Vec<String>,
    /// The environment of all nodes.
    pub(crate) environment: Vec<(String, String)>,
}

#[derive(Default)]
struct Node {
    child: Option<Child>,
    is_paused: bool,
}

impl Cluster {
    pub(crate) fn new(program: &Path, folder: &Path) -> Self {
        Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            voters: Vec::new(),
            nodes: BTreeMap::new(),
            settings: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// Makes the nodes 1 to `count`, all of them voters, and does not start them.
    pub(crate) fn prepare(&mut self, count: i32) -> Result<(), Failure> {
        self.voters = (1..=count).collect();
        (1..=count).try_for_each(|id| self.add(id))
    }

    fn add(&mut self, id: i32) -> Result<(), Failure> {
        network::add(id)?;
        fs::create_dir_all(self.data_dir(id))?;
        self.nodes.insert(id, Node::default());
        Ok(())
    }

    pub(crate) fn ids(&self) -> Vec<i32> {
        self.nodes.keys().copied().collect()
    }

    /// Where the clients begin.
    pub(crate) fn bootstrap(&self) -> String {
        let address = |id: &i32| format!("{}:{CLIENTS}", network::address(*id));
        self.nodes.keys().map(address).collect::<Vec<_>>().join(",")
    }

    /// Where a node takes clients.
    pub(crate) fn address(&self, id: i32) -> String {
        format!("{}:{CLIENTS}", network::address(id))
    }

    pub(crate) fn data_dir(&self, id: i32) -> PathBuf {
        self.folder.join(format!("node-{id}"))
    }

    pub(crate) fn log_file(&self, id: i32) -> PathBuf {
        self.folder.join(format!("node-{id}.log"))
    }

    /// Starts all nodes that do not run, at once, and waits until they serve.
    pub(crate) async fn start_all(&mut self) -> Result<(), Failure> {
        let ended: Vec<i32> = self.ended();
        let mut lines = Vec::new();
        for id in &ended {
            lines.push((*id, self.spawn(*id)?));
        }
        for (id, line) in lines {
            Self::ready(id, line).await?;
        }
        Ok(())
    }

    /// Starts a node and waits until it serves.
    pub(crate) async fn start(&mut self, id: i32) -> Result<(), Failure> {
        let line = self.spawn(id)?;
        Self::ready(id, line).await
    }

    fn ended(&self) -> Vec<i32> {
        let ended = self.nodes.iter().filter(|(_, node)| node.child.is_none());
        ended.map(|(id, _)| *id).collect()
    }

    /// Starts a node without waiting; what is answered resolves with its first line.
    pub(crate) fn spawn(&mut self, id: i32) -> Result<tokio::task::JoinHandle<String>, Failure> {
        let address = network::address(id);
        let voter = |id: &i32| format!("{id}@{}:{NODES}", network::address(*id));
        let voters: Vec<String> = self.voters.iter().map(voter).collect();
        let mut command = network::inside(id);
        command.arg(&self.program).args(["dev", "--data-dir"]).arg(self.data_dir(id));
        for setting in [
            format!("node.id={id}"),
            "cluster.id=chaos".to_owned(),
            format!("listeners=PLAINTEXT://{address}:{CLIENTS},INTERNAL://{address}:{NODES}"),
            format!("controller.quorum.voters={}", voters.join(",")),
            "offsets.topic.replication.factor=3".to_owned(),
            "default.replication.factor=3".to_owned(),
            "min.insync.replicas=2".to_owned(),
        ]
        .iter()
        .chain(&self.settings)
        {
            command.args(["--set", setting]);
        }
        command.envs(self.environment.iter().cloned());
        let log = File::options().append(true).create(true).open(self.log_file(id))?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", self.program.display()))?;
        let stdout = child.stdout.take().expect("stdout is a pipe");
        self.nodes.insert(id, Node { child: Some(child), is_paused: false });
        Ok(tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            // At an error it is empty, which is not a ready line.
            let _ = BufReader::new(stdout).read_line(&mut line);
            line
        }))
    }

    /// Waits for a node's ready line.
    pub(crate) async fn ready(
        id: i32,
        line: tokio::task::JoinHandle<String>,
    ) -> Result<(), Failure> {
        let line = tokio::time::timeout(PATIENCE, line).await;
        let line = line.map_err(|_| format!("node {id} is not ready"))??;
        if line.starts_with("ottla-broker ready") {
            Ok(())
        } else {
            Err(format!("node {id} has ended instead of getting ready: {line:?}").into())
        }
    }

    /// A node's process.
    pub(crate) fn pid(&self, id: i32) -> Result<Pid, Failure> {
        let node = self.nodes.get(&id).and_then(|node| node.child.as_ref());
        let child = node.ok_or_else(|| format!("node {id} does not run"))?;
        Ok(Pid::from_child(child))
    }

    fn signal(&self, id: i32, signal: Signal) -> Result<(), Failure> {
        kill_process(self.pid(id)?, signal)
            .map_err(|error| format!("node {id} cannot be signalled: {error}").into())
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, id: i32) -> Result<(), Failure> {
        self.signal(id, Signal::KILL)?;
        let node = self.nodes.get_mut(&id).map(std::mem::take);
        if let Some(mut child) = node.and_then(|node| node.child) {
            child.wait()?;
        }
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    pub(crate) async fn stop(&mut self, id: i32) -> Result<(), Failure> {
        self.signal(id, Signal::TERM)?;
        let until = Instant::now() + PATIENCE;
        let node = self.nodes.get_mut(&id).expect("it was signalled");
        while let Some(child) = &mut node.child {
            if let Some(status) = child.try_wait()? {
                node.child = None;
                if !status.success() {
                    return Err(format!("node {id} ended with {status}").into());
                }
            } else if Instant::now() > until {
                return Err(format!("node {id} does not end").into());
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Whether a node has ended by itself.
    pub(crate) fn has_ended(&mut self, id: i32) -> Result<bool, Failure> {
        let node = self.nodes.get_mut(&id).ok_or("no such node")?;
        match &mut node.child {
            Some(child) => Ok(child.try_wait()?.is_some()),
            None => Ok(true),
        }
    }

    /// A node that has ended by itself may be started again.
    pub(crate) fn reap(&mut self, id: i32) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.child = None;
        }
    }

    pub(crate) fn pause(&mut self, id: i32) -> Result<(), Failure> {
        self.signal(id, Signal::STOP)?;
        if let Some(node) = self.nodes.get_mut(&id) {
            node.is_paused = true;
        }
        Ok(())
    }

    pub(crate) fn resume(&mut self, id: i32) -> Result<(), Failure> {
        self.signal(id, Signal::CONT)?;
        if let Some(node) = self.nodes.get_mut(&id) {
            node.is_paused = false;
        }
        Ok(())
    }

    /// Resumes what is paused, mends the network, starts what does not run.
    pub(crate) async fn heal(&mut self) -> Result<(), Failure> {
        for id in self.ids() {
            network::heal(id)?;
            if self.nodes[&id].is_paused {
                self.resume(id)?;
            }
        }
        self.start_all().await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for (id, node) in &mut self.nodes {
            if let Some(child) = &mut node.child {
                let _ = child.kill();
                let _ = child.wait();
            }
            network::remove(*id);
        }
    }
}
