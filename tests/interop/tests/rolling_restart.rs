//! Our broker on three nodes, which are restarted one after the other as an upgrade does it, while
//! a producer writes and a group reads and commits.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ottla::{Admin, Consumer, ErrorKind, NewTopic, Producer, Record};
use ottla_interop::{DEADLINE, skip};
use serde_json::Value;

const TOPIC: &str = "rolled";
const PARTITIONS: i32 = 6;

/// Three nodes, which end with this, and the port for their faults.
struct Nodes {
    child: Child,
    bootstrap: String,
    port: BufReader<TcpStream>,
}

impl Nodes {
    /// None, and the test marked as skipped, if the broker is not built.
    fn start() -> Option<Self> {
        let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/debug/ottla-broker");
        let program = std::env::var_os("OTTLA_BROKER_BIN").unwrap_or_else(|| built.into());
        let program = PathBuf::from(program);
        if !program.exists() {
            skip(&format!("there is no {}", program.display()));
            return None;
        }
        let mut child = Command::new(program)
            .args(["dev", "--nodes", "3", "--port", "0", "--chaos", "--temporary"])
            .arg("--until-stdin-closes")
            .env("OTTLA_LOG", "warn")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the broker can be started");
        let stdout = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
        let mut lines = stdout.lines().map_while(Result::ok);
        let word = |line: String| line.split_whitespace().nth(3).map(str::to_owned);
        let bootstrap = lines.next().and_then(word).expect("addresses");
        let port = lines.find(|line| line.ends_with(" (all nodes)")).and_then(word);
        let port = TcpStream::connect(port.expect("a port for faults")).expect("it listens");
        port.set_read_timeout(Some(DEADLINE)).expect("a time can be set");
        Some(Self { child, bootstrap, port: BufReader::new(port) })
    }

    fn restart(&mut self, node: i32) {
        let line = format!("{{\"command\": \"restart\", \"node\": {node}, \"clean\": true}}\n");
        self.port.get_mut().write_all(line.as_bytes()).expect("the port is open");
        let mut answer = String::new();
        self.port.read_line(&mut answer).expect("it answers");
        let answer: Value = serde_json::from_str(&answer).expect("it answers in JSON");
        assert_eq!(answer["ok"], true, "{answer}");
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        // Not killed: it removes its folder.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Writes numbers until it is told to stop; answers how many. Each has to be acknowledged.
async fn write(bootstrap: &str, stop: &AtomicBool) -> u64 {
    let producer = Producer::builder().bootstrap_servers(bootstrap).build().await.unwrap();
    let mut count = 0;
    let mut deliveries = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    while !stop.load(Ordering::Relaxed) {
        let text = count.to_string();
        let record = Record::to(TOPIC).key(&text).value(&text);
        deliveries.push(producer.send(record).await.unwrap());
        count += 1;
        ticks.tick().await;
    }
    for delivery in deliveries {
        delivery.await.unwrap();
    }
    producer.close().await.unwrap();
    count
}

/// A member of the group: reads and commits until all that was written has been seen.
async fn read(bootstrap: &str, seen: &Mutex<BTreeSet<u64>>, done: &AtomicBool) {
    let consumer = Consumer::builder()
        .bootstrap_servers(bootstrap)
        .group_id("rolled")
        .topics([TOPIC])
        .auto_offset_reset("earliest")
        .enable_auto_commit(false)
        .set("heartbeat.interval.ms", 200)
        .unwrap()
        .build()
        .await
        .unwrap();
    while !done.load(Ordering::Relaxed) {
        let batch = tokio::time::timeout(Duration::from_millis(100), consumer.next_batch()).await;
        let Ok(batch) = batch else { continue };
        let batch = batch.unwrap().expect("the consumer is open");
        for record in batch.iter() {
            let text = std::str::from_utf8(record.value.unwrap()).unwrap();
            seen.lock().unwrap().insert(text.parse().unwrap());
        }
        match consumer.commit().await {
            Err(error) if error.kind() != ErrorKind::Rebalance && !error.is_retriable() => {
                panic!("commit: {error}")
            }
            _ => {}
        }
    }
    consumer.close().await.unwrap();
}

/// Waits for a condition. The test's runner ends what waits for ever.
async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        while !is_so() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), waiting).await.expect("no progress in 120 s");
}

async fn roll(mut nodes: Nodes) {
    let bootstrap = nodes.bootstrap.clone();
    let admin = Admin::builder().bootstrap_servers(&bootstrap).build().await.unwrap();
    let topic = NewTopic::new(TOPIC, PARTITIONS, 3);
    admin.create_topic(topic).await.unwrap();
    let (stop, done) = (AtomicBool::new(false), AtomicBool::new(false));
    let seen = Mutex::new(BTreeSet::new());
    let restarts = async {
        // A member has read something: all is under way.
        let is_under_way = || !seen.lock().unwrap().is_empty();
        until(is_under_way).await;
        for node in [1, 2, 3] {
            let restarted = tokio::task::spawn_blocking(move || {
                nodes.restart(node);
                nodes
            });
            nodes = restarted.await.unwrap();
            let before = seen.lock().unwrap().len();
            until(|| seen.lock().unwrap().len() >= before + 100).await;
        }
        stop.store(true, Ordering::Relaxed);
        nodes
    };
    let written = async {
        let count = write(&bootstrap, &stop).await;
        until(|| seen.lock().unwrap().len() >= usize::try_from(count).unwrap()).await;
        done.store(true, Ordering::Relaxed);
        count
    };
    let members = [read(&bootstrap, &seen, &done), read(&bootstrap, &seen, &done)];
    let [first, second] = members;
    let (_nodes, count, (), ()) = tokio::join!(restarts, written, first, second);
    let expected: BTreeSet<u64> = (0..count).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn a_producer_and_a_group_lose_nothing_when_every_node_is_restarted() {
    let Some(nodes) = Nodes::start() else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let rolled = runtime.block_on(async { tokio::time::timeout(DEADLINE * 2, roll(nodes)).await });
    rolled.expect("the restarts end in time");
}
