//! `ottla-broker dev --chaos --temporary --until-stdin-closes`: the port for faults, and that
//! nothing stays.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use support::{BINARY, Client, PATIENCE, batch, eventually, folder, refused};

/// A broker with a port for faults.
struct Scripted {
    child: Child,
    address: std::net::SocketAddr,
    data: PathBuf,
    faults: BufReader<TcpStream>,
}

impl Scripted {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(BINARY)
            .args(["dev", "--port", "0", "--chaos", "--until-stdin-closes"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.next().unwrap().unwrap();
        let address = ready.split_whitespace().nth(3).unwrap().parse().unwrap();
        let data = ready.trim_end_matches(')').rsplit_once("data ").unwrap().1.into();
        let second = lines.next().unwrap().unwrap();
        let port = second.strip_prefix("ottla-broker faults on ").unwrap();
        assert!(port.starts_with("127.0.0.1:"), "{port}");
        let faults = TcpStream::connect(port).unwrap();
        faults.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { child, address, data, faults: BufReader::new(faults) }
    }

    fn say(&mut self, line: &str) -> String {
        self.faults.get_mut().write_all(line.as_bytes()).unwrap();
        self.faults.get_mut().write_all(b"\n").unwrap();
        let mut answer = String::new();
        self.faults.read_line(&mut answer).unwrap();
        answer
    }

    fn command(&mut self, command: &Value) -> Value {
        serde_json::from_str(&self.say(&command.to_string())).unwrap()
    }

    fn refusal(&mut self, command: &Value) -> String {
        let answer = self.command(command);
        assert_eq!(answer["ok"], false);
        answer["error"].as_str().unwrap().to_owned()
    }

    fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        // Not killed: a killed broker would leave its folder.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[test]
fn errors_are_injected_counted_listed_and_cleared() {
    let mut broker = Scripted::start(&["--temporary"]);
    let mut client = Client::connect(broker.address);
    client.create_topic("t", 1, &[]);
    let inject = json!({
        "command": "inject", "api": "Produce", "error": "NOT_LEADER_OR_FOLLOWER", "times": 3,
        "topic": "t", "partition": 0, "group": null,
    });
    assert_eq!(broker.command(&inject), json!({"ok": true, "id": 1}));
    for code in [6, 6, 6, 0] {
        assert_eq!(client.produce("t", 0, -1, batch(&[b"x"])).error_code, code);
    }
    let faults = broker.command(&json!({"command": "faults"}));
    assert_eq!(faults["paused"], false);
    assert_eq!(
        faults["faults"],
        json!([{
            "command": "inject", "id": 1, "api": "Produce", "error": "NOT_LEADER_OR_FOLLOWER",
            "times": 3, "topic": "t", "partition": 0, "group": null, "after": false,
            "applied": 3, "left": 0,
        }])
    );
    let requests = &broker.command(&json!({"command": "requests"}))["requests"];
    assert_eq!(requests["Produce"], json!({"total": 4, "versions": {"9": 4}}));
    let drop = json!({"command": "drop", "api": "Produce", "bytes": 2});
    assert_eq!(broker.command(&drop)["id"], 2);
    assert_eq!(broker.command(&json!({"command": "clear", "id": 2}))["cleared"], 1);
    assert_eq!(client.produce("t", 0, -1, batch(&[b"x"])).error_code, 0);
    for command in ["pause", "resume"] {
        assert_eq!(broker.command(&json!({"command": command})), json!({"ok": true}));
    }
    assert!(client.is_alive());
}

#[test]
fn unknown_names_are_refused_with_the_nearest() {
    let mut broker = Scripted::start(&["--temporary"]);
    let mut expect = |command: Value, text: &str| assert_eq!(broker.refusal(&command), text);
    let inject = |api: &str, error: &str| json!({"command": "inject", "api": api, "error": error});
    expect(json!({"command": "injct"}), "unknown command \"injct\": did you mean \"inject\"?");
    expect(
        inject("produce", "NOT_LEADER_OR_FOLLOWER"),
        "unknown api \"produce\": did you mean \"Produce\"?",
    );
    expect(
        inject("Produce", "not_leader"),
        "unknown error \"not_leader\": did you mean \"NOT_LEADER_OR_FOLLOWER\"?",
    );
    expect(
        json!({"command": "delay", "api": "Fetch", "ms": 1, "tpic": "t"}),
        "unknown field of delay \"tpic\": did you mean \"topic\"?",
    );
    expect(
        json!({"command": "drop", "when": "befor"}),
        "unknown when \"befor\": did you mean \"before\"?",
    );
    expect(
        json!({"command": "drop", "when": "after", "bytes": 1}),
        "bytes goes without when, or with \"bytes\"",
    );
    expect(json!({"command": "delay"}), "ms is missing");
    expect(
        json!({"command": "clear", "id": "x"}),
        "id must be a whole number that is not negative, not \"x\"",
    );
    expect(json!({}), "a line has no \"command\"");
    assert_eq!(broker.command(&json!({"command": "faults"}))["faults"], json!([]));
}

#[test]
fn what_is_no_json_ends_the_connection() {
    let mut broker = Scripted::start(&["--temporary"]);
    assert!(broker.say("POST / HTTP/1.1").contains("a line is no JSON object"));
    let mut rest = String::new();
    assert_eq!(broker.faults.read_line(&mut rest).unwrap_or(0), 0, "{rest}");
}

#[test]
fn the_broker_ends_with_its_standard_input_and_leaves_nothing() {
    let mut broker = Scripted::start(&["--temporary"]);
    let data = broker.data.clone();
    assert!(data.is_dir());
    let mut client = Client::connect(broker.address);
    client.create_topic("t", 1, &[]);
    broker.close_stdin();
    assert!(!data.exists());
    assert!(client.is_closed());
}

#[test]
fn a_killed_broker_leaves_its_folder_to_the_next_one() {
    let (_folder, data) = folder();
    let path = data.to_str().unwrap();
    let arguments = ["--temporary", "--data-dir", path];
    let mut broker = Scripted::start(&arguments);
    let mut client = Client::connect(broker.address);
    client.create_topic("t", 1, &[]);
    assert_eq!(client.produce("t", 0, -1, batch(&[b"kept"])).error_code, 0);
    broker.child.kill().unwrap();
    broker.child.wait().unwrap();
    let mut next = Scripted::start(&arguments);
    let records = Client::connect(next.address).read_all("t", 0);
    assert_eq!(records, [(0, b"kept".to_vec())]);
    next.close_stdin();
    eventually("the folder is removed", || !data.exists());
}

#[test]
fn a_broker_that_is_told_to_stop_leaves_its_folder_to_the_next_one() {
    let mut broker = Scripted::start(&["--temporary"]);
    let data = broker.data.clone();
    Client::connect(broker.address).create_topic("t", 1, &[]);
    broker.command(&json!({"command": "pause"}));
    assert_eq!(broker.command(&json!({"command": "stop"}))["ok"], true);
    // `wait` closes the pipe, and a broker that sees that first removes its folder.
    let pipe = broker.child.stdin.take();
    assert!(broker.child.wait().unwrap().success());
    drop(pipe);
    let mut next = Scripted::start(&["--temporary", "--data-dir", data.to_str().unwrap()]);
    assert_eq!(Client::connect(next.address).read_all("t", 0), []);
    next.close_stdin();
    assert!(!data.exists());
}

#[test]
fn a_folder_of_somebody_else_is_not_removed() {
    let (_folder, data) = folder();
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("letter"), "dear").unwrap();
    let output = refused(dev(&data, "--temporary"));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("error: ") && text.contains("not a folder that"), "{text}");
    assert!(data.join("letter").exists());
}

#[test]
fn a_port_for_faults_needs_chaos() {
    let (_folder, data) = folder();
    let mut command = dev(&data, "--chaos-port");
    command.arg("0");
    let text = String::from_utf8(refused(command).stderr).unwrap();
    assert!(text.contains("--chaos"), "{text}");
}

fn dev(data: &Path, argument: &str) -> Command {
    let mut command = support::command(data, &[]);
    command.arg(argument);
    command
}
