//! The brokers that all suites of the bindings share: ours and Apache Kafka, each started once.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::task::{Failure, root, run_quietly};
use crate::tools;

/// The Apache Kafka that the suites run against, and its name in test reports.
const APACHE: (&str, &str) = ("4.3.1", "apache-4.3");

/// Runs a program until the standard input closes, which it does when this process ends in
/// whatever way; then kills it.
pub(crate) const UNTIL_END: &str = r#"
    "$@" < /dev/null &
    cat > /dev/null
    kill -KILL $!
"#;

/// Does nothing until the standard input closes; then runs a program.
pub(crate) const AT_END: &str = r#"
    cat > /dev/null
    "$@"
"#;

/// Running brokers; gone when dropped.
pub(crate) struct Servers {
    guards: Vec<Child>,
    folder: PathBuf,
    /// What suites read as `OTTLA_TEST_BROKERS`.
    pub(crate) brokers: String,
}

impl Servers {
    /// Starts our broker and, if it is installed, Apache Kafka.
    pub(crate) fn start(broker: &Path) -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("ottla-test-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let mut servers = Self { guards: Vec::new(), folder, brokers: String::new() };
        servers.start_ottla(broker)?;
        let cache = tools::folder().join("kafka");
        if cache.join(APACHE.0).join(".complete").exists() {
            servers.start_apache(&cache)?;
        }
        println!("    {}", servers.brokers);
        Ok(servers)
    }

    /// Whether Apache Kafka is among them.
    pub(crate) fn have_apache(&self) -> bool {
        self.brokers.contains(APACHE.1)
    }

    fn start_ottla(&mut self, broker: &Path) -> Result<(), Failure> {
        let mut command = guarded(UNTIL_END, broker);
        command.args(["dev", "--port", "0", "--data-dir"]).arg(self.folder.join("data"));
        let mut child = command.env("OTTLA_LOG", "warn").stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().expect("standard output is a pipe");
        self.guards.push(child);
        let mut ready = String::new();
        BufReader::new(stdout).read_line(&mut ready)?;
        let address =
            ready.strip_prefix("ottla-broker ready on ").and_then(|rest| rest.split(' ').next());
        let Some(address) = address else {
            return Err(Failure::new(format!("the broker is not ready: {ready:?}")));
        };
        self.brokers = format!("ottla={}", address.trim());
        Ok(())
    }

    fn start_apache(&mut self, cache: &Path) -> Result<(), Failure> {
        let script = root().join("scripts/apache-kafka.sh");
        let cluster = self.folder.join("cluster");
        let mut guard = guarded(AT_END, &script);
        guard.args(["stop", "--kill", "--dir"]).arg(&cluster).env("KAFKA_CACHE", cache);
        self.guards.push(guard.stdout(Stdio::null()).spawn()?);
        // As it is deployed, not in the quick mode of the interoperability tests: the suites
        // measure time and memory.
        let started = run_quietly(
            Command::new(&script)
                .args(["start", "--version", APACHE.0, "--dir"])
                .arg(&cluster)
                .args(["--port", "0"])
                .env("KAFKA_CACHE", cache),
        )?;
        self.brokers.push_str(&format!(",{}={}", APACHE.1, started.trim()));
        Ok(())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for mut guard in self.guards.drain(..) {
            // Closing its standard input ends it.
            drop(guard.stdin.take());
            let _ = guard.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn guarded(script: &str, program: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(program).stdin(Stdio::piped());
    shell
}
