//! What can be said on the port for the faults of several nodes: what one node is told on its own
//! port, with the `node` that is meant, and what is about processes, the ways between them, and
//! leaders.

use serde_json::{Map, Value, json};

use super::FaultError;
use super::admin::{self, Fields, refusal, unknown};

/// Each command that is not one of a single node, with the fields that it takes.
const COMMANDS: &[(&str, &[&str])] = &[
    ("kill", &["node"]),
    ("start", &["node"]),
    ("restart", &["node", "clean"]),
    ("suspend", &["node"]),
    ("continue", &["node"]),
    ("partition", &["node", "from", "one_way"]),
    ("slow", &["node", "from", "ms"]),
    ("move_leader", &["topic", "partition", "to"]),
    ("nodes", &[]),
];

/// What a line asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Something of the process of a node.
    Process {
        /// The node.
        node: i32,
        /// What happens to it, one after the other.
        what: Vec<Action>,
    },
    /// Lines for the ports of nodes.
    Tell(Vec<(i32, Map<String, Value>)>),
    /// Another leader for a partition. It becomes the preferred one.
    MoveLeader {
        /// The topic's name.
        topic: String,
        /// The partition.
        partition: i32,
        /// The replica that shall lead.
        to: i32,
    },
    /// Which nodes there are, and how they are.
    Nodes,
    /// All end cleanly, and the folders stay.
    Stop,
    /// What comes next comes so many milliseconds later.
    Wait(u64),
}

/// What happens to the process of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `kill -9`.
    Kill,
    /// SIGTERM, and the time that it takes.
    Stop,
    /// It starts again, with the folder and the ports that it had.
    Start,
    /// SIGSTOP: it stands still, and its connections stay.
    Suspend,
    /// SIGCONT.
    Continue,
}

/// Reads a command to a cluster whose nodes are 1 to `nodes`. Without `node`, what one node can be
/// told is told to all.
///
/// # Errors
/// When it is none; nothing is done then.
pub fn parse(command: &Map<String, Value>, nodes: i32) -> Result<Step, FaultError> {
    let fields = Fields { command };
    let known = |field: &str, node: i32| match (1..=nodes).contains(&node) {
        true => Ok(node),
        false => Err(refusal(format!("{field} must be a node from 1 to {nodes}, not {node}"))),
    };
    let needed = |field: &str| known(field, fields.needed(field)?);
    let name = fields.text("command")?.ok_or_else(|| refusal("a line has no \"command\""))?;
    let one = fields.get("node").is_some();
    let process = |what: &[Action]| Ok(Step::Process { node: needed("node")?, what: what.into() });
    let own = COMMANDS.iter().find(|(known, _)| *known == name);
    if let Some((_, takes)) = own {
        admin::check_fields(command, name, takes)?;
    }
    match name {
        "kill" => process(&[Action::Kill]),
        "stop" if one => process(&[Action::Stop]),
        "stop" => Ok(Step::Stop),
        "start" => process(&[Action::Start]),
        "restart" if fields.flag("clean")? => process(&[Action::Stop, Action::Start]),
        "restart" => process(&[Action::Kill, Action::Start]),
        "suspend" => process(&[Action::Suspend]),
        "continue" => process(&[Action::Continue]),
        "nodes" => Ok(Step::Nodes),
        "wait" => Ok(Step::Wait(fields.needed("ms")?)),
        "move_leader" => Ok(Step::MoveLeader {
            topic: fields.text("topic")?.ok_or_else(|| refusal("topic is missing"))?.to_owned(),
            partition: fields.needed("partition")?,
            to: needed("to")?,
        }),
        "partition" | "slow" => {
            let node = needed("node")?;
            let link = match name {
                "partition" => json!({"command": "link", "cut": true}),
                _ => json!({"command": "link", "ms": fields.needed::<u64>("ms")?}),
            };
            links(node, &others(&fields, node, nodes)?, fields.flag("one_way")?, &link)
        }
        _ => {
            let mut line = command.clone();
            line.remove("node");
            let names = COMMANDS.iter().map(|(known, _)| *known).chain(admin::names());
            if !admin::names().any(|known| known == name) {
                return Err(unknown("command", name, names));
            }
            admin::check(&line)?;
            let meant = if one { vec![needed("node")?] } else { (1..=nodes).collect() };
            Ok(Step::Tell(meant.into_iter().map(|node| (node, line.clone())).collect()))
        }
    }
}

/// The nodes in `from`, a number or a list; all but `node` when it is left away.
fn others(fields: &Fields<'_>, node: i32, nodes: i32) -> Result<Vec<i32>, FaultError> {
    let number = |value: &Value| value.as_i64().and_then(|id| i32::try_from(id).ok());
    let listed = match fields.get("from") {
        None => Some((1..=nodes).filter(|id| *id != node).collect()),
        Some(Value::Array(ids)) => ids.iter().map(number).collect(),
        Some(value) => number(value).map(|id| vec![id]),
    };
    let is_other = |id: &i32| *id != node && (1..=nodes).contains(id);
    listed.filter(|ids: &Vec<i32>| ids.iter().all(is_other)).ok_or_else(|| {
        refusal(format!("from must be a node from 1 to {nodes} that is not {node}, or a list"))
    })
}

/// The lines by which `node` loses the others, and unless it goes one way they lose it.
fn links(node: i32, others: &[i32], one_way: bool, link: &Value) -> Result<Step, FaultError> {
    let line = |to: i32| {
        let mut line = link.as_object().expect("a link is an object").clone();
        line.insert("to".into(), json!(to));
        line
    };
    let there = others.iter().map(|other| (node, line(*other)));
    let back = others.iter().map(|other| (*other, line(node)));
    Ok(Step::Tell(if one_way { there.collect() } else { there.chain(back).collect() }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Action, Step, parse};

    fn read(line: Value) -> Result<Step, String> {
        let Value::Object(line) = line else { panic!("{line} is no object") };
        parse(&line, 3).map_err(|error| error.to_string())
    }

    fn told(line: Value) -> Vec<(i32, Value)> {
        let Ok(Step::Tell(lines)) = read(line) else { panic!("it is for nodes") };
        lines.into_iter().map(|(node, line)| (node, Value::Object(line))).collect()
    }

    #[test]
    fn a_partition_goes_both_ways_unless_it_is_said_otherwise() {
        let cut = |to: i32| json!({"command": "link", "cut": true, "to": to});
        let both = told(json!({"command": "partition", "node": 1}));
        assert_eq!(both, [(1, cut(2)), (1, cut(3)), (2, cut(1)), (3, cut(1))]);
        let one = json!({"command": "partition", "node": 2, "from": 3, "one_way": true});
        assert_eq!(told(one), [(2, cut(3))]);
        let slow = told(json!({"command": "slow", "node": 3, "from": [1], "ms": 20}));
        let wait = |to: i32| json!({"command": "link", "ms": 20, "to": to});
        assert_eq!(slow, [(3, wait(1)), (1, wait(3))]);
    }

    #[test]
    fn what_one_node_can_be_told_goes_to_it_or_to_all() {
        let lines = told(json!({"command": "pause", "node": 2}));
        assert_eq!(lines, [(2, json!({"command": "pause"}))]);
        assert_eq!(told(json!({"command": "evict"})).len(), 3);
        let restart = read(json!({"command": "restart", "node": 3, "clean": true}));
        let what = vec![Action::Stop, Action::Start];
        assert_eq!(restart, Ok(Step::Process { node: 3, what }));
        assert_eq!(read(json!({"command": "stop"})), Ok(Step::Stop));
    }

    #[test]
    fn what_is_no_command_is_refused_with_the_reason() {
        let refused = |line: Value, reason: &str| assert_eq!(read(line).unwrap_err(), reason);
        refused(
            json!({"command": "kil", "node": 1}),
            "unknown command \"kil\": did you mean \"kill\"?",
        );
        refused(json!({"command": "kill"}), "node is missing");
        refused(json!({"command": "kill", "node": 4}), "node must be a node from 1 to 3, not 4");
        refused(
            json!({"command": "kill", "nod": 1}),
            "unknown field of kill \"nod\": did you mean \"node\"?",
        );
        refused(
            json!({"command": "partition", "node": 1, "from": [1]}),
            "from must be a node from 1 to 3 that is not 1, or a list",
        );
        refused(json!({"command": "delay", "node": 1}), "ms is missing");
    }
}
