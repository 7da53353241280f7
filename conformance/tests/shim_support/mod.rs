//! A round trip by a shim on our broker: what it makes, writes, reads and commits.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ottla_broker::{Broker, Config, RunningBroker};
use ottla_conformance::client::shim::{Shim, ShimCommand};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Processes of whole languages start, on machines that do other things as well.
const DEADLINE: Duration = Duration::from_secs(90);
const TIMESTAMP_MS: i64 = 1_700_000_000_000;

/// What these tests need of a file `shim.toml`.
#[derive(Deserialize)]
struct ShimFile {
    run: String,
    files: Vec<String>,
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the crate is a folder of the workspace").to_owned()
}

/// A path of `shim.toml`; cargo may put programs elsewhere than into `target/`.
fn place(path: &str) -> PathBuf {
    match path.strip_prefix("target/debug/") {
        Some(name) => {
            let test = std::env::current_exe().expect("the test is a program");
            test.ancestors().nth(2).expect("it is in target/debug/deps").join(name)
        }
        None => root().join(path),
    }
}

/// The command of an installed shim. Where it is not installed the running test is marked as
/// skipped, by the line that `cargo xtask test` counts.
fn installed(name: &str) -> Option<ShimCommand> {
    let file = root().join("conformance/shims").join(name).join("shim.toml");
    let text = std::fs::read_to_string(file).expect("every shim has a shim.toml");
    let file: ShimFile = toml::from_str(&text).expect("shim.toml is in form");
    if let Some(missing) = file.files.iter().find(|path| !place(path).exists()) {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        let line =
            format!("\nottla-skip: {test}: {missing} is missing: cargo xtask test makes it\n");
        // Past libtest's capture; a closed standard output ends the run by itself.
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
        return None;
    }
    std::env::set_current_dir(root()).expect("the workspace is there");
    let run = match file.run.strip_prefix("target/debug/") {
        Some(_) => place(&file.run).display().to_string(),
        None => file.run,
    };
    Some(ShimCommand::parse(&run).expect("the command is in form"))
}

/// Our broker; gone with its folder when dropped.
struct Server {
    address: String,
    runtime: Runtime,
    broker: Option<RunningBroker>,
    _folder: TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = Config::dev()
            .set("listeners", "PLAINTEXT://127.0.0.1:0")
            .and_then(|config| config.set("auto.create.topics.enable", "false"))
            .and_then(|config| config.set("log.dirs", folder.path().to_str().expect("plain")))
            .expect("valid properties");
        let runtime = Runtime::new().expect("threads");
        let broker = runtime.block_on(Broker::start(config)).expect("the broker starts");
        let address = broker.addr().to_string();
        Self { address, runtime, broker: Some(broker), _folder: folder }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(broker) = self.broker.take() {
            let _ = self.runtime.block_on(broker.shutdown()); // the test has its verdict
        }
    }
}

/// One use of a shim.
struct Use {
    shim: Shim,
    what: String,
}

impl Use {
    fn start(command: &ShimCommand, operation: &str, lines: &[Value]) -> Self {
        let mut shim = command.start(operation).expect("the shim starts");
        for line in lines {
            shim.write(line);
        }
        Self { shim, what: operation.to_owned() }
    }

    fn next(&mut self) -> Value {
        match self.shim.next(Instant::now() + DEADLINE) {
            Ok(Some(line)) => line,
            Ok(None) => panic!("{}: nothing more; {}", self.what, self.shim.stderr()),
            Err(trouble) => panic!("{}: {trouble}", self.what),
        }
    }

    /// Everything up to the end, which must be a good one.
    fn finish(mut self) -> Vec<Value> {
        self.shim.end_input();
        self.rest()
    }

    fn rest(&mut self) -> Vec<Value> {
        let mut lines = Vec::new();
        loop {
            let line = self.next();
            if line == json!({"done": true}) {
                break;
            }
            lines.push(line);
        }
        let ended = self.shim.exited(Instant::now() + DEADLINE);
        ended.unwrap_or_else(|trouble| panic!("{}: {trouble}", self.what));
        lines
    }
}

fn encode(text: &str) -> String {
    STANDARD.encode(text)
}

/// What is written; everything that every client can write.
fn records() -> Vec<Value> {
    let record = |partition: i32, key: Option<&str>, value: Option<&str>, headers: Value| {
        json!({
            "partition": partition, "key": key.map(encode), "value": value.map(encode),
            "headers": headers, "timestamp": TIMESTAMP_MS,
        })
    };
    vec![
        record(0, Some("key"), Some("value"), json!([["h", encode("1")], ["h", encode("")]])),
        record(1, None, Some("ž"), json!([])),
        record(0, Some(""), None, json!([["g", encode("z")]])),
        record(1, Some("key"), Some(""), json!([])),
    ]
}

/// Makes a topic, writes, reads in a group, goes on from its commit, and removes the topic.
pub(crate) fn round_trip(name: &str) {
    let Some(command) = installed(name) else { return };
    let server = Server::start();
    let address = server.address.as_str();
    let mut version = Use::start(&command, "version", &[]);
    let told = version.next();
    assert!(told["client"].is_string() && told["version"].is_string(), "{told}");
    drop(version);
    administer(&command, address);

    let acknowledged = produce(&command, address, &records());
    let mut wanted: Vec<Value> = acknowledged
        .iter()
        .zip(records())
        .map(|(offset, mut record)| {
            record["topic"] = json!("trip");
            record["offset"] = json!(offset);
            record
        })
        .collect();
    let mut read = consume(&command, address, wanted.len());
    let place = |record: &Value| (record["partition"].as_i64(), record["offset"].as_i64());
    wanted.sort_by_key(place);
    read.sort_by_key(place);
    assert_eq!(read, wanted);

    let last = json!({"partition": 1, "key": null, "value": encode("last"), "timestamp": 7});
    let offsets = produce(&command, address, &[last]);
    let read = consume(&command, address, 1);
    assert_eq!(read[0]["value"], json!(encode("last")), "it goes on behind its commit");
    assert_eq!(read[0]["offset"], json!(offsets[0]));

    let task = json!({"bootstrap": address, "config": {}});
    let delete = json!({"operation": "delete-topic", "topic": "trip"});
    let answers = Use::start(&command, "admin", &[task, delete]).finish();
    assert_eq!(answers, [json!({"ok": true})]);
}

fn administer(command: &ShimCommand, address: &str) {
    let create = json!(
        {"operation": "create-topic", "topic": "trip", "partitions": 2, "replication": 1}
    );
    let lines = [
        json!({"bootstrap": address, "config": {"no.such.setting": 1}}),
        create.clone(),
        create,
        json!({"operation": "describe-topic", "topic": "trip"}),
        json!({"operation": "list-topics"}),
        json!({"operation": "describe-topic", "topic": "missing"}),
    ];
    let answers = Use::start(command, "admin", &lines).finish();
    assert_eq!(answers.len(), 5, "{answers:?}");
    assert_eq!(answers[0], json!({"ok": true}));
    assert!(answers[1]["error"]["name"].is_string(), "it exists already: {}", answers[1]);
    let partitions = json!([{"partition": 0, "leader": 1}, {"partition": 1, "leader": 1}]);
    let mut described = answers[2]["partitions"].as_array().expect("partitions").clone();
    described.sort_by_key(|part| part["partition"].as_i64());
    assert_eq!(Value::Array(described), partitions);
    let topics = answers[3]["topics"].as_array().expect("names");
    assert!(topics.contains(&json!("trip")), "{topics:?}");
    assert!(answers[4]["error"]["name"].is_string(), "it does not exist: {}", answers[4]);
}

/// Writes records; answers their offsets.
fn produce(command: &ShimCommand, address: &str, records: &[Value]) -> Vec<i64> {
    let task = json!({
        "bootstrap": address, "topic": "trip", "acks": "all", "compression": "gzip",
        "config": {"max.in.flight.requests.per.connection": 1, "no.such.setting": 1},
    });
    let lines: Vec<Value> = std::iter::once(task).chain(records.iter().cloned()).collect();
    let said = Use::start(command, "produce", &lines).finish();
    let offset_of = |number: usize| {
        let line = said.iter().find(|line| line["record"] == json!(number));
        let line = line.unwrap_or_else(|| panic!("record {number} is not answered: {said:?}"));
        line["offset"].as_i64().unwrap_or_else(|| panic!("record {number} failed: {line}"))
    };
    (0..records.len()).map(offset_of).collect()
}

/// Reads so many records as a member of a group, which ends by itself.
fn consume(command: &ShimCommand, address: &str, count: usize) -> Vec<Value> {
    let task = json!({
        "bootstrap": address, "topics": ["trip"], "group": "trip", "offset_reset": "earliest",
        "count": count, "commit": true, "config": {"heartbeat.interval.ms": 1000},
    });
    let lines = Use::start(command, "consume-group", &[task]).rest();
    assert!(lines.iter().any(|line| line["assigned"].is_array()), "{lines:?}");
    let errors: Vec<_> = lines.iter().filter(|line| !line["error"].is_null()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let records: Vec<Value> = lines.into_iter().filter(|line| !line["offset"].is_null()).collect();
    assert_eq!(records.len(), count, "{records:?}");
    records
}
