//! `ottla-broker dev --nodes N`: a process a node, and one above them that ends with them.
//!
//! A node is this same binary. Its standard input is a pipe from here, so that it ends when this
//! process does, however that dies.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::thread;

use ottla_protocol::Uuid;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// More voters than these make every change of the metadata slower, and the quorum no safer in
/// practice.
const VOTERS_MAX: u32 = 5;
/// What a user may not set for all nodes at once.
const PER_NODE: [&str; 5] =
    ["node.id", "listeners", "advertised.listeners", "log.dirs", "controller.quorum.voters"];

/// What the nodes have in common.
pub(crate) struct Plan<'a> {
    pub(crate) nodes: u32,
    /// The first node's port, 0 for free ones.
    pub(crate) port: u16,
    pub(crate) data_dir: &'a Path,
    /// Whether each node opens a port for faults.
    pub(crate) chaos: bool,
    pub(crate) settings: &'a [String],
}

/// The processes of a cluster. Dropping it kills those that are left.
pub(crate) struct Nodes {
    running: Vec<Node>,
    events: UnboundedReceiver<Event>,
}

struct Node {
    id: u32,
    pid: Pid,
    /// Closed, it ends the node cleanly.
    _stdin: ChildStdin,
}

/// What a node's process did.
enum Event {
    /// A line on its standard output.
    Line(u32, String),
    /// It ended.
    Ended(u32, String),
}

impl Nodes {
    /// Starts all nodes and waits until each of them serves; answers the lines that say so.
    ///
    /// # Errors
    /// When a node does not start; the others are ended.
    pub(crate) async fn start(plan: &Plan<'_>) -> Result<(Self, String), String> {
        let cluster_id = cluster_id(plan)?;
        let ports = free_ports(plan)?;
        let (sender, events) = unbounded_channel();
        let mut nodes = Self { running: Vec::new(), events };
        for id in 1..=plan.nodes {
            let command = command(plan, id, &ports, &cluster_id)?;
            nodes.running.push(spawn(id, command, sender.clone())?);
        }
        let lines = nodes.wait_ready(plan, &cluster_id).await?;
        Ok((nodes, lines))
    }

    async fn wait_ready(&mut self, plan: &Plan<'_>, cluster_id: &str) -> Result<String, String> {
        let mut addresses = vec![String::new(); self.running.len()];
        let mut faults = String::new();
        let is_missing = |addresses: &[String], faults: &str| {
            let told = if plan.chaos { faults.lines().count() } else { addresses.len() };
            addresses.iter().any(String::is_empty) || told < addresses.len()
        };
        while is_missing(&addresses, &faults) {
            match self.events.recv().await {
                Some(Event::Line(id, line)) => {
                    let address = line.split_whitespace().nth(3).unwrap_or_default();
                    match line.starts_with("ottla-broker ready on ") {
                        true => address.clone_into(&mut addresses[id as usize - 1]),
                        false => faults += &format!("{line} (node {id})\n"),
                    }
                }
                Some(Event::Ended(id, status)) => {
                    return Err(format!("node {id} did not start ({status}): its log says why"));
                }
                None => return Err("no node is left".into()),
            }
        }
        let mut lines = format!(
            "ottla-broker ready on {} ({} nodes, cluster {cluster_id}, data {})\n",
            addresses.join(","),
            plan.nodes,
            plan.data_dir.display()
        );
        for (node, address) in self.running.iter().zip(&addresses) {
            let pid = node.pid.as_raw_nonzero();
            lines += &format!("ottla-broker node {} on {address} (pid {pid})\n", node.id);
        }
        Ok(lines + &faults)
    }

    /// Resolves when the last node has ended by itself.
    pub(crate) async fn ended(&mut self) {
        while !self.running.is_empty() {
            self.next_end().await;
        }
    }

    /// Ends all nodes, cleanly or as `kill -9` does, and waits until they have.
    pub(crate) async fn stop(mut self, cleanly: bool) {
        for node in &self.running {
            // An error says that it has ended already.
            let signal = if cleanly { Signal::TERM } else { Signal::KILL };
            let _ = kill_process(node.pid, signal);
        }
        self.ended().await;
    }

    async fn next_end(&mut self) {
        match self.events.recv().await {
            Some(Event::Ended(id, status)) => {
                tracing::info!(node = id, status, "a node has ended");
                self.running.retain(|node| node.id != id);
            }
            Some(Event::Line(..)) => {}
            None => self.running.clear(),
        }
    }
}

fn command(plan: &Plan<'_>, id: u32, ports: &[u16], cluster_id: &str) -> Result<Command, String> {
    let nodes = plan.nodes as usize;
    let (clients, internal) = ports.split_at(nodes);
    let index = id as usize - 1;
    // An even number of voters tolerates no more failures than one less.
    let voters = (plan.nodes.min(VOTERS_MAX) - 1) / 2 * 2 + 1;
    let voters: Vec<String> = (1..=voters)
        .map(|voter| format!("{voter}@127.0.0.1:{}", internal[voter as usize - 1]))
        .collect();
    let replicas = plan.nodes.min(3);
    let in_sync = if replicas == 3 { 2 } else { 1 };
    let mut settings = vec![
        format!("default.replication.factor={replicas}"),
        format!("offsets.topic.replication.factor={replicas}"),
        format!("min.insync.replicas={in_sync}"),
    ];
    settings.extend_from_slice(plan.settings);
    settings.extend([
        format!("node.id={id}"),
        format!("cluster.id={cluster_id}"),
        format!(
            "listeners=PLAINTEXT://127.0.0.1:{},INTERNAL://127.0.0.1:{}",
            clients[index], internal[index]
        ),
        format!("controller.quorum.voters={}", voters.join(",")),
    ]);
    let binary = std::env::current_exe()
        .map_err(|error| format!("cannot find the binary to start nodes with: {error}"))?;
    let mut command = Command::new(binary);
    command.args(["dev", "--until-stdin-closes", "--data-dir"]);
    command.arg(plan.data_dir.join(format!("node-{id}")));
    if plan.chaos {
        command.arg("--chaos");
    }
    for setting in settings {
        command.args(["--set", &setting]);
    }
    Ok(command)
}

/// Starts a node and threads that tell what it says and that it has ended.
fn spawn(id: u32, mut command: Command, events: UnboundedSender<Event>) -> Result<Node, String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot start node {id}: {error}"))?;
    let pid = Pid::from_child(&child);
    let stdin = child.stdin.take().expect("it was made a pipe");
    let stdout = BufReader::new(child.stdout.take().expect("it was made a pipe"));
    let stderr = BufReader::new(child.stderr.take().expect("it was made a pipe"));
    thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            let _ = writeln!(std::io::stderr(), "node {id} | {line}");
        }
    });
    thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            let _ = events.send(Event::Line(id, line));
        }
        let status = child.wait().map_or_else(|error| error.to_string(), |end| end.to_string());
        let _ = events.send(Event::Ended(id, status));
    });
    Ok(Node { id, pid, _stdin: stdin })
}

/// The ports of the nodes' clients, and behind them those between nodes.
fn free_ports(plan: &Plan<'_>) -> Result<Vec<u16>, String> {
    let count = u16::try_from(2 * plan.nodes).unwrap_or(u16::MAX);
    if plan.port != 0 {
        let last = plan.port.checked_add(count).ok_or_else(|| {
            format!("--port {}: {} nodes need {count} ports from there", plan.port, plan.nodes)
        })?;
        return Ok((plan.port..last).collect());
    }
    // All are held until all are known, so that none is given twice.
    let bind = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let held: Result<Vec<TcpListener>, _> = (0..count).map(bind).collect();
    let held = held.map_err(|error| format!("cannot find free ports: {error}"))?;
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
    let ports: Result<Vec<u16>, _> = held.iter().map(port).collect();
    ports.map_err(|error| format!("cannot find free ports: {error}"))
}

/// The id that the data folders have, the one that was asked for, or a new one.
fn cluster_id(plan: &Plan<'_>) -> Result<String, String> {
    for setting in plan.settings {
        let name = setting.split('=').next().unwrap_or_default().trim();
        if PER_NODE.contains(&name) {
            return Err(format!("--set {setting}: each of several nodes has its own"));
        }
    }
    let configured = plan.settings.iter().find_map(|setting| setting.strip_prefix("cluster.id="));
    let known = std::fs::read_to_string(plan.data_dir.join("node-1/meta.properties"));
    let known = known.unwrap_or_default();
    let known = known.lines().find_map(|line| line.strip_prefix("cluster.id="));
    if let Some(id) = configured.or(known) {
        return Ok(id.to_owned());
    }
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| format!("no random numbers: {error}"))?;
    Ok(Uuid(bytes).to_string())
}
