//! `dev --nodes 3 --chaos`: nodes fail on demand.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::broker::{BINARY, Client, PATIENCE, batch, eventually, folder};
use crate::support::{brokers, create_topic, metadata};

/// Three nodes and the port for their faults.
pub(crate) struct Chaos {
    parent: Child,
    pub(crate) addresses: Vec<SocketAddr>,
    port: BufReader<TcpStream>,
}

impl Chaos {
    pub(crate) fn start(data: &Path, chaos: &str) -> Self {
        let mut parent = command(data, chaos)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary was built");
        let stdout = BufReader::new(parent.stdout.take().expect("stdout is a pipe"));
        let mut lines = stdout.lines().map_while(Result::ok);
        let ready = lines.next().expect("a ready line");
        let addresses = ready.split_whitespace().nth(3).expect("addresses").split(',');
        let addresses = addresses.map(|address| address.parse().expect("an address")).collect();
        let port = lines.find(|line| line.ends_with(" (all nodes)")).expect("a port for faults");
        let port = port.split_whitespace().nth(3).expect("an address").to_owned();
        assert!(port.starts_with("127.0.0.1:"), "{port}");
        let port = TcpStream::connect(port).expect("it listens");
        port.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { parent, addresses, port: BufReader::new(port) }
    }

    fn say(&mut self, command: &Value) -> Value {
        self.port.get_mut().write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        self.port.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{answer:?}: {error}"))
    }

    pub(crate) fn done(&mut self, command: Value) -> Value {
        let answer = self.say(&command);
        assert_eq!(answer["ok"], true, "{command}: {answer}");
        answer
    }

    pub(crate) fn connect(&self, node: i32) -> Client {
        Client::connect(self.addresses[usize::try_from(node).unwrap() - 1])
    }

    /// Waits until node `of` knows these brokers and no others.
    pub(crate) fn knows(&self, of: i32, expected: &[i32]) {
        let mut client = self.connect(of);
        eventually(&format!("{expected:?} are known"), || brokers(&mut client) == expected);
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        let _ = self.parent.kill();
        let _ = self.parent.wait();
    }
}

fn command(data: &Path, chaos: &str) -> Command {
    let mut command = Command::new(BINARY);
    command.args(["dev", "--port", "0", "--nodes", "3", "--until-stdin-closes", chaos]);
    command.arg("--data-dir").arg(data);
    command
}

fn leader(client: &mut Client) -> i32 {
    metadata(client).topics[0].partitions[0].leader_id
}

#[test]
fn nodes_end_stand_still_and_lose_each_other_on_demand() {
    let (_folder, data) = folder();
    let mut chaos = Chaos::start(&data, "--chaos");
    chaos.knows(1, &[1, 2, 3]);
    let mut client = chaos.connect(1);
    assert_eq!(create_topic(&mut client, "t", 1, 3), 0);
    for to in [2, 3, 1] {
        let line = json!({"command": "move_leader", "topic": "t", "partition": 0, "to": to});
        eventually("the replica is in sync", || chaos.say(&line)["ok"] == true);
        eventually("it leads", || leader(&mut client) == to);
        let mut leader = chaos.connect(to);
        eventually("it takes records", || {
            leader.produce("t", 0, -1, batch(&[b"x"])).error_code == 0
        });
    }

    chaos.done(json!({"command": "kill", "node": 1}));
    assert!(TcpStream::connect(chaos.addresses[0]).is_err(), "it is gone when that is answered");
    let answer = chaos.say(&json!({"command": "kill", "node": 1}));
    assert_eq!(answer, json!({"ok": false, "error": "node 1 does not run"}));
    chaos.knows(2, &[2, 3]);
    let states = |chaos: &mut Chaos| -> Vec<String> {
        let nodes = chaos.done(json!({"command": "nodes"}));
        let nodes = nodes["nodes"].as_array().expect("a list").clone();
        nodes.iter().map(|node| node["state"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(states(&mut chaos), ["down", "running", "running"]);
    chaos.done(json!({"command": "start", "node": 1}));
    chaos.knows(2, &[1, 2, 3]);
    let mut client = chaos.connect(2);
    eventually("what was acknowledged is there", || match leader(&mut client) {
        -1 => false,
        at => chaos.connect(at).read_all("t", 0).len() == 3,
    });

    chaos.done(json!({"command": "suspend", "node": 3}));
    assert_eq!(states(&mut chaos), ["running", "running", "suspended"]);
    chaos.knows(2, &[1, 2]);
    let answer = chaos.say(&json!({"command": "pause", "node": 3}));
    assert_eq!(answer, json!({"ok": false, "error": "node 3 does not run"}));
    chaos.done(json!({"command": "continue", "node": 3}));
    chaos.knows(2, &[1, 2, 3]);

    chaos.done(json!({"command": "partition", "node": 2}));
    chaos.knows(1, &[1, 3]);
    chaos.done(json!({"command": "heal"}));
    chaos.knows(1, &[1, 2, 3]);
    chaos.done(json!({"command": "restart", "node": 2, "clean": true}));
    chaos.knows(2, &[1, 2, 3]);
    chaos.done(json!({"command": "stop"}));
    assert!(chaos.parent.wait().unwrap().success());
}

#[test]
fn a_node_that_is_heard_and_hears_nobody_is_fenced() {
    let (_folder, data) = folder();
    let mut chaos = Chaos::start(&data, "--chaos");
    chaos.knows(1, &[1, 2, 3]);
    let controller = metadata(&mut chaos.connect(1)).controller_id;
    let node = if controller == 1 { 2 } else { 1 };
    let others: Vec<i32> = (1..=3).filter(|id| *id != node).collect();
    // What the others say does not arrive there, and its own heartbeats do.
    for from in &others {
        let line = json!({"command": "partition", "node": from, "from": node, "one_way": true});
        chaos.done(line);
    }
    let links = chaos.done(json!({"command": "faults", "node": others[0]}));
    assert_eq!(links["links"], json!({node.to_string(): {"cut": true, "ms": 0}}));
    assert_eq!(chaos.done(json!({"command": "faults", "node": node}))["links"], json!({}));
    let mut client = chaos.connect(others[0]);
    assert_eq!(create_topic(&mut client, "t", 1, 2), 0, "the others go on");
    chaos.done(json!({"command": "heal"}));
    let mut client = chaos.connect(node);
    eventually("it has heard of the topic", || metadata(&mut client).topics.len() == 1);
    chaos.done(json!({"command": "slow", "node": node, "ms": 1}));
    assert_eq!(create_topic(&mut client, "u", 1, 3), 0);
}

#[test]
fn a_script_is_read_before_and_obeyed_after_the_start() {
    let (_folder, data) = folder();
    std::fs::create_dir_all(&data).unwrap();
    let script = data.join("script");
    let chaos = format!("--chaos={}", script.display());
    std::fs::write(&script, "# two lines\n\n{\"command\": \"kill\", \"node\": 7}\n").unwrap();
    let output = command(&data.join("nodes"), &chaos).stdin(Stdio::null()).output().unwrap();
    assert!(!output.status.success());
    let reason = String::from_utf8(output.stderr).unwrap();
    assert!(reason.contains("script: line 3: node must be a node from 1 to 3, not 7"), "{reason}");
    assert!(!data.join("nodes").exists(), "nothing was started");

    let lines = [
        json!({"command": "inject", "node": 1, "api": "CreateTopics", "error": "POLICY_VIOLATION"}),
        json!({"command": "wait", "ms": 1}),
        json!({"command": "kill", "node": 3}),
    ];
    std::fs::write(&script, lines.map(|line| line.to_string()).join("\n")).unwrap();
    let mut chaos = Chaos::start(&data.join("nodes"), &chaos);
    chaos.knows(2, &[1, 2]);
    assert_eq!(create_topic(&mut chaos.connect(1), "t", 1, 1), 44, "POLICY_VIOLATION");
    assert_eq!(create_topic(&mut chaos.connect(2), "t", 1, 1), 0);
    let answer = chaos.say(&json!({"command": "faults"}));
    assert_eq!(answer["error"], "node 3 does not run", "a fault of all needs all");
}
