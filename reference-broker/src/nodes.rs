//! `ottla-broker dev --nodes N`: a process a node, and one above them that ends with them.
//!
//! A node is this same binary. Its standard input is a pipe from here, so that it ends when this
//! process does, however that dies.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use ottla_broker::testing::nodes::Action;
use ottla_protocol::Uuid;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

pub(crate) mod chaos;

/// More voters than these make every change of the metadata slower, and the quorum no safer in
/// practice.
const VOTERS_MAX: u32 = 5;
/// Free ports are looked for where systems give none to outgoing connections: one of those could
/// take a port before its node has it, or while the node restarts.
const FREE_PORTS: RangeInclusive<u16> = 10_240..=32_767;
const PORT_TRIES: u32 = 10_000;
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

/// The processes of a cluster. Dropping it ends those that are left.
pub(crate) struct Nodes {
    nodes: Vec<Node>,
    chaos: bool,
    sender: UnboundedSender<Event>,
    events: UnboundedReceiver<Event>,
    /// What the port for faults wants; never closed, because this is one of the senders.
    orders: (UnboundedSender<Order>, UnboundedReceiver<Order>),
    states: States,
}

/// What others know of the nodes, by id.
pub(crate) type States = Arc<Mutex<BTreeMap<i32, State>>>;

/// What others know of a node.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// Its process, as long as it runs.
    pub(crate) pid: Option<Pid>,
    /// Where clients reach it.
    pub(crate) address: String,
    /// Where it takes commands, as long as it serves.
    pub(crate) faults: Option<String>,
    pub(crate) suspended: bool,
}

/// Something that shall happen to a node's process.
pub(crate) struct Order {
    pub(crate) node: i32,
    pub(crate) what: Action,
    /// Told when it has happened: when a node that starts serves, when one that ends is gone.
    pub(crate) done: oneshot::Sender<Result<(), String>>,
}

struct Node {
    id: i32,
    arguments: Vec<OsString>,
    /// Closed, it ends the node cleanly.
    stdin: Option<ChildStdin>,
    /// It ended because it should.
    down: bool,
    waits: Option<oneshot::Sender<Result<(), String>>>,
}

/// What a node's process did.
enum Event {
    /// A line on its standard output.
    Line(i32, String),
    /// It ended.
    Ended(i32, String),
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
        let (orders, states) = (unbounded_channel(), States::default());
        let mut nodes =
            Self { nodes: Vec::new(), chaos: plan.chaos, sender, events, orders, states };
        for id in 1..=i32::try_from(plan.nodes).unwrap_or(i32::MAX) {
            let arguments = arguments(plan, id, &ports, &cluster_id);
            nodes.nodes.push(Node { id, arguments, stdin: None, down: false, waits: None });
            nodes.spawn(id)?;
        }
        while !nodes.states().values().all(|state| nodes.is_ready(state)) {
            match nodes.events.recv().await {
                Some(Event::Ended(id, status)) => {
                    return Err(format!("node {id} did not start ({status}): its log says why"));
                }
                event => nodes.on(event),
            }
        }
        let lines = nodes.lines(plan, &cluster_id);
        Ok((nodes, lines))
    }

    /// Where orders go.
    pub(crate) fn orders(&self) -> UnboundedSender<Order> {
        self.orders.0.clone()
    }

    /// What is known of the nodes.
    pub(crate) fn shared_states(&self) -> States {
        Arc::clone(&self.states)
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<i32, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_ready(&self, state: &State) -> bool {
        !state.address.is_empty() && (!self.chaos || state.faults.is_some())
    }

    fn lines(&self, plan: &Plan<'_>, cluster_id: &str) -> String {
        let states = self.states();
        let addresses: Vec<&str> = states.values().map(|state| &state.address[..]).collect();
        let mut lines = format!(
            "ottla-broker ready on {} ({} nodes, cluster {cluster_id}, data {})\n",
            addresses.join(","),
            plan.nodes,
            plan.data_dir.display()
        );
        for (id, state) in &*states {
            let pid = state.pid.map_or(0, |pid| pid.as_raw_nonzero().get());
            lines += &format!("ottla-broker node {id} on {} (pid {pid})\n", state.address);
        }
        for (id, state) in &*states {
            if let Some(faults) = &state.faults {
                lines += &format!("ottla-broker faults on {faults} (node {id})\n");
            }
        }
        lines
    }

    /// Looks after the processes, and does what is ordered; resolves when the last node has ended
    /// by itself.
    pub(crate) async fn run(&mut self) {
        loop {
            tokio::select! {
                event = self.events.recv() => self.on(event),
                Some(order) = self.orders.1.recv() => self.obey(order),
            }
            if self.none_runs() && !self.nodes.iter().any(|node| node.down) {
                return;
            }
        }
    }

    /// Ends all nodes, cleanly or as `kill -9` does, and waits until they have.
    pub(crate) async fn stop(mut self, cleanly: bool) {
        for pid in self.states().values().filter_map(|state| state.pid) {
            // An error says that it has ended already.
            let _ = kill_process(pid, if cleanly { Signal::TERM } else { Signal::KILL });
            let _ = kill_process(pid, Signal::CONT);
        }
        while !self.none_runs() {
            let event = self.events.recv().await;
            self.on(event);
        }
    }

    fn none_runs(&self) -> bool {
        self.states().values().all(|state| state.pid.is_none())
    }

    fn node(&mut self, id: i32) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.id == id)
    }

    fn on(&mut self, event: Option<Event>) {
        let (id, told) = match event.expect("the nodes have a sender themselves") {
            Event::Line(id, line) => {
                let mut states = self.states();
                let state = states.entry(id).or_default();
                let address = line.split_whitespace().nth(3).unwrap_or_default();
                if line.starts_with("ottla-broker ready on ") {
                    address.clone_into(&mut state.address);
                } else if line.starts_with("ottla-broker faults on ") {
                    state.faults = Some(address.to_owned());
                }
                if !self.is_ready(state) || self.nodes.iter().any(|node| node.id == id && node.down)
                {
                    return;
                }
                (id, Ok(()))
            }
            Event::Ended(id, status) => {
                tracing::info!(node = id, status, "a node has ended");
                self.states().insert(id, State::default());
                let down = self.node(id).is_some_and(|node| node.down);
                let reason = format!("node {id} did not start ({status}): its log says why");
                (id, if down { Ok(()) } else { Err(reason) })
            }
        };
        if let Some(waits) = self.node(id).and_then(|node| node.waits.take()) {
            let _ = waits.send(told);
        }
    }

    fn obey(&mut self, Order { node: id, what, done }: Order) {
        let Some(mut state) = self.states().get(&id).cloned() else { return };
        let signal = match what {
            Action::Kill => Signal::KILL,
            Action::Stop => Signal::TERM,
            Action::Suspend => Signal::STOP,
            Action::Start | Action::Continue => Signal::CONT,
        };
        let busy = self.node(id).is_some_and(|node| node.waits.is_some());
        let result = match (what, state.pid) {
            _ if busy => Err(format!("node {id} is about to start or to end")),
            (Action::Start, Some(_)) => Err(format!("node {id} runs")),
            (Action::Start, None) => self.spawn(id),
            (_, None) => Err(format!("node {id} does not run")),
            (_, Some(pid)) => {
                let sent = kill_process(pid, signal);
                if what == Action::Stop {
                    // Who stands still does not end.
                    let _ = kill_process(pid, Signal::CONT);
                }
                sent.map_err(|error| format!("cannot reach node {id}: {error}"))
            }
        };
        let waits = matches!(what, Action::Kill | Action::Stop | Action::Start);
        if result.is_err() || !waits {
            state.suspended = what == Action::Suspend;
            if result.is_ok() {
                self.states().insert(id, state);
            }
            let _ = done.send(result);
        } else if let Some(node) = self.node(id) {
            node.down = what != Action::Start;
            node.waits = Some(done);
        }
    }

    /// Starts a node's process and threads that tell what it says and that it has ended.
    fn spawn(&mut self, id: i32) -> Result<(), String> {
        let binary = std::env::current_exe()
            .map_err(|error| format!("cannot find the binary to start nodes with: {error}"))?;
        let events = self.sender.clone();
        let node = self.node(id).expect("only nodes that there are are started");
        let mut command = Command::new(binary);
        command.args(&node.arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().map_err(|error| format!("cannot start node {id}: {error}"))?;
        let pid = Some(Pid::from_child(&child));
        node.stdin = child.stdin.take();
        node.down = false;
        self.states().insert(id, State { pid, ..State::default() });
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
        Ok(())
    }
}

/// What the process of a node is started with.
fn arguments(plan: &Plan<'_>, id: i32, ports: &[u16], cluster_id: &str) -> Vec<OsString> {
    let nodes = plan.nodes as usize;
    let (clients, internal) = ports.split_at(nodes);
    let index = usize::try_from(id).expect("ids begin at 1") - 1;
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
    let mut arguments: Vec<OsString> =
        ["dev", "--until-stdin-closes", "--data-dir"].map(OsString::from).into();
    arguments.push(plan.data_dir.join(format!("node-{id}")).into());
    if plan.chaos {
        arguments.push("--chaos".into());
    }
    arguments.extend(settings.into_iter().flat_map(|setting| ["--set".into(), setting.into()]));
    arguments
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
    let mut held: Vec<(u16, TcpListener)> = Vec::new();
    for _ in 0..PORT_TRIES {
        let mut bytes = [0; 2];
        getrandom::fill(&mut bytes).map_err(|error| format!("no random numbers: {error}"))?;
        let (first, last) = FREE_PORTS.into_inner();
        let port = first + u16::from_ne_bytes(bytes) % (last - first);
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            held.push((port, listener));
        }
        if held.len() == usize::from(count) {
            return Ok(held.into_iter().map(|(port, _)| port).collect());
        }
    }
    Err(format!("cannot find {count} free ports: name the first one with --port"))
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
