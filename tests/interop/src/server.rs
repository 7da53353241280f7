//! Brokers to test against: ours, one per test program, and Apache Kafka.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::tools;

/// Runs a program until the standard input closes, which it does when the tests' process ends in
/// whatever way; then kills it and removes its folder.
const UNTIL_END: &str = r#"
    "$@" < /dev/null &
    cat > /dev/null
    kill -KILL $!
    wait $! 2> /dev/null
    rm -rf "$OTTLA_FOLDER"
"#;

/// Does nothing until the standard input closes; then stops a cluster and removes its folder.
const AT_END: &str = r#"
    cat > /dev/null
    "$@"
    rm -rf "$OTTLA_FOLDER"
"#;

fn new_folder() -> PathBuf {
    let folder = tempfile::Builder::new().prefix("ottla-interop-").tempdir();
    folder.expect("a temporary folder can be made").keep()
}

fn guarded(script: &str, folder: &Path, command: &[&str]) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).args(command).env("OTTLA_FOLDER", folder);
    shell.stdin(Stdio::piped());
    shell
}

/// The bootstrap address of our broker: started once for a test program, on real disk. None, and
/// the test marked as skipped, if the broker is not built.
pub fn ottla_broker() -> Option<&'static str> {
    static BROKER: OnceLock<(Child, String)> = OnceLock::new();
    let program = tools::path("OTTLA_BROKER_BIN", "target/debug/ottla-broker")?;
    Some(&BROKER.get_or_init(|| start_ottla(&program)).1)
}

fn start_ottla(program: &Path) -> (Child, String) {
    let folder = new_folder();
    let data = folder.join("data");
    let (program, data) = (program.to_string_lossy(), data.to_string_lossy());
    let command = [&*program, "dev", "--port", "0", "--data-dir", &*data];
    let mut child = guarded(UNTIL_END, &folder, &command)
        .env("OTTLA_LOG", "warn")
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell can be started");
    let mut ready = String::new();
    let stdout = child.stdout.take().expect("standard output is a pipe");
    BufReader::new(stdout).read_line(&mut ready).expect("the broker writes text");
    let address = ready.strip_prefix("ottla-broker ready on ").and_then(|r| r.split(' ').next());
    let address = address.unwrap_or_else(|| panic!("the broker is not ready: {ready:?}"));
    (child, address.trim().to_owned())
}

/// A name that no other test has, on a broker that may be shared with earlier runs.
pub fn topic(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}-{}-{number}", std::process::id())
}

/// A running Apache Kafka of one node.
pub struct Apache {
    /// Where clients connect.
    pub bootstrap: String,
    /// Stops the cluster when this process ends.
    _guard: Child,
}

impl Apache {
    /// Whether that version is installed. If not, the test is marked as skipped.
    pub fn is_here(version: &str) -> bool {
        tools::apache_kafka(version).is_some()
    }

    /// Starts that version, in `KAFKA_FAST` mode: quickly up, slow later. None if it is not
    /// installed.
    pub fn start(version: &str) -> Option<Self> {
        let (script, cache) = tools::apache_kafka(version)?;
        let folder = new_folder();
        let cluster = folder.join("cluster");
        let (path, dir) = (script.to_string_lossy(), cluster.to_string_lossy());
        let guard = guarded(AT_END, &folder, &[&*path, "stop", "--kill", "--dir", &*dir])
            .env("KAFKA_CACHE", &cache)
            .spawn()
            .expect("a shell can be started");
        let output = Command::new(&script)
            .args(["start", "--version", version, "--dir", &*dir])
            .args(["--port", "0"])
            .env("KAFKA_CACHE", &cache)
            .env("KAFKA_FAST", "1")
            .output()
            .expect("the script can be started");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "Apache Kafka {version} did not start: {errors}");
        let bootstrap = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Some(Self { bootstrap, _guard: guard })
    }
}
