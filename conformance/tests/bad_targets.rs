//! Targets that are no broker, and brokers that go bad during a run: the program ends by itself,
//! soon, with a message or with verdicts that say what is the matter.

use ottla_broker::{Broker, Config, RunningBroker};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// No run here may take longer.
const LIMIT: Duration = Duration::from_secs(120);
/// How many seconds an answer may take that never comes.
const SHORT_PATIENCE: &str = "0.5";
/// How many seconds an answer may take of a broker that is well at first. A run ends within some
/// of these once it is not.
const PATIENCE: &str = "1";

/// Runs the program against an address until it ends.
fn conformance(address: SocketAddr, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla-conformance"));
    command.args(["run", "--bootstrap", &address.to_string()]).args(more);
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the program starts");
    let pid = child.id().to_string();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    receiver.recv_timeout(LIMIT).map_or_else(
        |_| {
            let _ = Command::new("kill").args(["-KILL", &pid]).status();
            panic!("it still runs after {LIMIT:?}")
        },
        |output| output.expect("it can be waited for"),
    )
}

/// Somebody who listens, and does this with each connection.
fn listener(with_each: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("it is bound");
    let with_each = Arc::new(with_each);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let with_each = Arc::clone(&with_each);
            thread::spawn(move || with_each(stream));
        }
    });
    address
}

/// Somebody who reads a request, answers these bytes and closes.
fn answering(bytes: &'static [u8]) -> SocketAddr {
    listener(move |mut stream| {
        let mut chunk = [0; 1024];
        let _ = stream.read(&mut chunk);
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        while stream.read(&mut chunk).is_ok_and(|count| count > 0) {}
    })
}

/// The program could not run: status 2, and one line that says why.
fn cannot_run(address: SocketAddr, says: &str) {
    cannot_run_with(address, says, &[]);
}

/// As [`cannot_run`], with more arguments.
fn cannot_run_with(address: SocketAddr, says: &str, more: &[&str]) {
    let output = conformance(address, more);
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{out}{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.contains("the target cannot be tested"), "{errors}");
    assert!(errors.contains(says), "{errors:?} does not say {says:?}");
    assert_eq!(out, "", "nothing was tested");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    cannot_run(address, "onnection refused");
}

#[test]
fn it_never_answers() {
    let address = listener(|mut stream| {
        let mut chunk = [0; 1024];
        while stream.read(&mut chunk).is_ok_and(|count| count > 0) {}
    });
    cannot_run_with(address, "not a Kafka broker, or it hangs", &["--patience", SHORT_PATIENCE]);
}

#[test]
fn it_closes() {
    cannot_run(listener(drop), "the connection");
    cannot_run(answering(b""), "closes the connection when it is asked for ApiVersions v0");
}

#[test]
fn it_answers_half_a_frame_and_hangs() {
    let address = listener(|mut stream| {
        let _ = stream.write_all(&[0, 0, 1, 0, 0, 0, 0, 1]);
        let mut chunk = [0; 1024];
        while stream.read(&mut chunk).is_ok_and(|count| count > 0) {}
    });
    cannot_run_with(address, "not a Kafka broker, or it hangs", &["--patience", SHORT_PATIENCE]);
}

#[test]
fn it_answers_garbage() {
    cannot_run(answering(&[0xff; 64]), "the length is negative");
    cannot_run(answering(&[0x7f, 0xff, 0xff, 0xff, 1]), "not a Kafka broker");
    // A frame, with our correlation id, and no ApiVersions in it.
    cannot_run(answering(&[0, 0, 0, 6, 0, 0, 0, 1, 0, 0]), "not a Kafka broker");
    cannot_run(answering(&[0, 0, 0, 4, 9, 9, 9, 9]), "correlation id");
    cannot_run(answering(&[0, 0, 0, 0]), "not a Kafka broker");
}

#[test]
fn it_is_a_web_server() {
    let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    cannot_run(answering(answer), "the peer speaks HTTP");
}

#[test]
fn it_wants_tls() {
    // What OpenSSL answers to a Kafka request: a fatal alert.
    cannot_run(answering(&[0x15, 3, 1, 0, 2, 2, 70]), "the peer speaks TLS");
}

/// What a broker does once it has gone bad.
#[derive(Clone, Copy, Debug)]
enum Bad {
    /// Takes connections and requests, and answers nothing.
    Hangs,
    /// Takes connections and closes them.
    Closes,
    /// Answers what is no frame.
    Garbage,
    /// Answers frames that carry nothing, and goes on to.
    Frames,
}

impl Bad {
    /// Goes on with a connection of which a request has just been read.
    fn act(self, mut stream: TcpStream) {
        let mut chunk = [0; 64 << 10];
        loop {
            let answered = match self {
                Self::Hangs => Ok(()),
                Self::Closes => break,
                Self::Garbage => stream.write_all(&[0xfe; 32]),
                Self::Frames => stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0]),
            };
            if answered.is_err() || !stream.read(&mut chunk).is_ok_and(|count| count > 0) {
                break;
            }
        }
        let _ = stream.shutdown(Shutdown::Both);
    }

    /// What a test says that ran when it began.
    fn is_seen_as(self) -> &'static str {
        match self {
            Self::Hangs => "no answer within",
            Self::Closes => "the target closed the connection",
            Self::Garbage => "the length is negative",
            Self::Frames => "correlation id 0 answers",
        }
    }
}

/// A broker, and a relay before it that goes bad after so many pieces of requests.
struct Turning {
    address: SocketAddr,
    runtime: tokio::runtime::Runtime,
    broker: RunningBroker,
    _folder: tempfile::TempDir,
}

impl Turning {
    fn start(bad: Bad, after: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        let folder = tempfile::tempdir().expect("a writable folder");
        let advertised = format!("PLAINTEXT://{address}");
        let config = Config::dev()
            .set("listeners", "PLAINTEXT://127.0.0.1:0")
            .and_then(|config| config.set("advertised.listeners", &advertised))
            .and_then(|config| config.set("log.dirs", folder.path().to_str().expect("plain")))
            .expect("settings that exist");
        let runtime = tokio::runtime::Runtime::new().expect("threads are to be had");
        let broker = runtime.block_on(Broker::start(config)).expect("the broker starts");
        let (behind, passed) = (broker.addr(), Arc::new(AtomicUsize::new(0)));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let passed = Arc::clone(&passed);
                thread::spawn(move || relay(client, behind, bad, &passed, after));
            }
        });
        Self { address, runtime, broker, _folder: folder }
    }

    /// Nothing of it is looked at any more: an end in order would sync each of its logs.
    fn stop(self) {
        self.runtime.block_on(self.broker.kill());
    }
}

/// Passes bytes on both ways until enough requests have gone by.
fn relay(mut client: TcpStream, to: SocketAddr, bad: Bad, passed: &AtomicUsize, after: usize) {
    let mut broker = TcpStream::connect(to).expect("the broker listens");
    let answers = broker.try_clone().expect("one descriptor more");
    let back = client.try_clone().expect("one descriptor more");
    thread::spawn(move || {
        let (mut answers, mut back) = (answers, back);
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Write);
    });
    let mut chunk = [0; 64 << 10];
    while let Ok(count) = client.read(&mut chunk) {
        if count == 0 {
            break;
        }
        if passed.fetch_add(1, Ordering::Relaxed) >= after {
            return bad.act(client);
        }
        if broker.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    let _ = broker.shutdown(Shutdown::Both);
}

/// All core tests on a broker that turns bad: each has a verdict, and the run is over soon.
fn turns(bad: Bad) {
    let broker = Turning::start(bad, 250);
    let folder = tempfile::tempdir().expect("a writable folder");
    let report = folder.path().join("report.json");
    let json = format!("json={}", report.display());
    let more = ["--profile", "core", "--patience", PATIENCE, "--report", &json];
    let output = conformance(broker.address, &more);
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{out}{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    let report = std::fs::read_to_string(report).expect("the report is written");
    let report: serde_json::Value = serde_json::from_str(&report).expect("it is JSON");
    let outcomes = report["outcomes"].as_array().expect("it has outcomes");
    let count = |verdict: &str| outcomes.iter().filter(|o| o["verdict"] == verdict).count();
    assert_eq!(count("HARNESS-ERROR"), 0, "{bad:?}: {out}");
    assert!(count("PASS") > 10, "{bad:?}: it went bad too early: {out}");
    let is_not_run = |message: &str| message.starts_with("not run: the target no longer answers");
    let not_run = outcomes.iter().filter(|o| o["message"].as_str().is_some_and(is_not_run));
    let not_run: Vec<_> = not_run.collect();
    assert!(not_run.len() > 100, "{bad:?}: {} of {}: {out}", not_run.len(), outcomes.len());
    assert!(not_run.iter().all(|o| o["verdict"] == "BLOCKED"), "{bad:?}");
    let says = bad.is_seen_as();
    let seen = |o: &&serde_json::Value| o["message"].as_str().is_some_and(|m| m.contains(says));
    let seen = outcomes.iter().filter(seen).count();
    assert!(seen > 100, "{bad:?}: {seen} say {says:?}: {out}");
    broker.stop();
}

#[test]
fn it_begins_to_hang() {
    turns(Bad::Hangs);
}

#[test]
fn it_begins_to_close() {
    turns(Bad::Closes);
}

#[test]
fn it_begins_to_answer_garbage() {
    turns(Bad::Garbage);
}

#[test]
fn it_begins_to_answer_empty_frames() {
    turns(Bad::Frames);
}
