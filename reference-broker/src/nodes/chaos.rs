//! The port for the faults of several nodes: `dev --nodes N --chaos`.
//!
//! What is for one node goes on to the port that the node itself has.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ottla_broker::testing::FaultError;
use ottla_broker::testing::nodes::{Action, Step, parse};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::{Nodes, Order, State, States};
use crate::rebalance::Cluster;
use crate::rebalance::plan::Assignment;

/// How long a node may take to answer a line, and a leader to move.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who does what is said to all nodes together.
pub(crate) struct Chaos {
    orders: UnboundedSender<Order>,
    states: States,
    nodes: i32,
}

impl Chaos {
    pub(crate) fn of(nodes: &Nodes) -> Self {
        let states = nodes.shared_states();
        let count = i32::try_from(nodes.nodes.len()).unwrap_or(i32::MAX);
        Self { orders: nodes.orders(), states, nodes: count }
    }

    /// Whether this is a command.
    pub(crate) fn check(nodes: i32, command: &Map<String, Value>) -> Result<(), FaultError> {
        parse(command, nodes).map(drop)
    }

    /// Does what a line says.
    pub(crate) async fn obey(
        self: Arc<Self>,
        command: Map<String, Value>,
    ) -> Result<Value, FaultError> {
        Ok(match parse(&command, self.nodes)? {
            Step::Stop => json!({"ok": true, "stops": true}),
            Step::Nodes => json!({"ok": true, "nodes": self.described()}),
            Step::Wait(ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                json!({"ok": true})
            }
            Step::Process { node, what } => {
                for what in what {
                    self.order(node, what).await?;
                }
                json!({"ok": true})
            }
            Step::MoveLeader { topic, partition, to } => {
                let moved = self.move_leader((topic, partition), to);
                let moved = tokio::time::timeout(PATIENCE, moved).await;
                moved.unwrap_or_else(|_| Err("the cluster does not answer".into()))?;
                json!({"ok": true})
            }
            Step::Tell(lines) => self.tell(lines).await?,
        })
    }

    fn states(&self) -> BTreeMap<i32, State> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn described(&self) -> Vec<Value> {
        let describe = |(id, state): (i32, State)| {
            let how = match (state.pid, &state.faults) {
                (None, _) => "down",
                (Some(_), None) => "starting",
                (Some(_), Some(_)) if state.suspended => "suspended",
                (Some(_), Some(_)) => "running",
            };
            let pid = state.pid.map(|pid| pid.as_raw_nonzero().get());
            json!({"node": id, "state": how, "pid": pid, "address": state.address,
                   "faults": state.faults})
        };
        self.states().into_iter().map(describe).collect()
    }

    async fn order(&self, node: i32, what: Action) -> Result<(), FaultError> {
        let (done, is_done) = oneshot::channel();
        let over = |_| FaultError::from("the nodes are being ended".to_owned());
        self.orders.send(Order { node, what, done }).map_err(|_| over(()))?;
        Ok(is_done.await.map_err(|_| over(()))??)
    }

    /// Tells nodes something each. All have to run, so that nothing is done by half.
    async fn tell(&self, lines: Vec<(i32, Map<String, Value>)>) -> Result<Value, FaultError> {
        let states = self.states();
        let mut ports = Vec::new();
        for (node, line) in lines {
            let state = states.get(&node).filter(|state| !state.suspended);
            let port = state.and_then(|state| state.faults.clone());
            let port = port.ok_or_else(|| format!("node {node} does not run"))?;
            ports.push((node, port, line));
        }
        let mut answers = BTreeMap::new();
        for (node, port, line) in ports {
            let told = tokio::time::timeout(PATIENCE, exchange(&port, &line)).await;
            let answer = told.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
            let answer = answer.map_err(|error| format!("node {node} did not answer: {error}"))?;
            answers.insert(node.to_string(), answer);
        }
        let ok = answers.values().all(|answer| answer["ok"] == true);
        Ok(match answers.len() {
            1 => answers.into_values().next().unwrap_or_default(),
            _ => json!({"ok": ok, "nodes": answers}),
        })
    }

    async fn move_leader(&self, of: (String, i32), to: i32) -> Result<(), String> {
        let is_up = |state: &State| state.pid.is_some() && !state.suspended;
        let up = self.states().into_values().filter(|state| is_up(state));
        let addresses: Vec<String> =
            up.map(|state| state.address).filter(|address| !address.is_empty()).collect();
        if addresses.is_empty() {
            return Err("no node runs".into());
        }
        let cluster = Cluster::new(&addresses.join(","))?;
        let mut assignment = cluster.layout().await?.assignment;
        let name = format!("{}-{}", of.0, of.1);
        let mut replicas =
            assignment.remove(&of).ok_or_else(|| format!("there is no partition {name}"))?;
        let at = replicas.iter().position(|id| *id == to);
        let at = at.ok_or_else(|| format!("{name} has replicas {replicas:?}, and none on {to}"))?;
        replicas[..=at].rotate_right(1);
        if at > 0 {
            cluster.reassign(BTreeMap::from([(of.clone(), Some(replicas.clone()))])).await?;
        }
        let failed = cluster.elect_preferred(&Assignment::from([(of, replicas)])).await?;
        match failed.into_iter().next() {
            Some(reason) => Err(format!("node {to} cannot lead {reason}")),
            None => Ok(()),
        }
    }
}

/// Says a line on the port of a node, and reads the answer.
async fn exchange(port: &str, line: &Map<String, Value>) -> std::io::Result<Value> {
    let mut stream = BufReader::new(TcpStream::connect(port).await?);
    let line = serde_json::to_string(line).expect("a JSON object has a text") + "\n";
    stream.get_mut().write_all(line.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_line(&mut answer).await?;
    Ok(serde_json::from_str(&answer)?)
}
