//! The targets that the suite runs against: what each is, and how it starts and ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;

use crate::programs::program;
use crate::task::{Failure, root, run_quietly};
use crate::test::servers::{AT_END, UNTIL_END, guarded};
use crate::tools;

/// A file of `conformance/targets`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetFile {
    /// What is started.
    server: Server,
    /// The release of Apache Kafka.
    version: Option<String>,
    /// What the report calls it.
    pub(super) title: String,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Server {
    Ottla,
    ApacheKafka,
}

/// A running target; gone when dropped.
pub(super) struct Running {
    pub(super) address: String,
    guard: Child,
    folder: PathBuf,
}

impl Running {
    pub(super) fn start(target: &TargetFile) -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("ottla-conformance-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        match (&target.server, &target.version) {
            (Server::Ottla, None) => Self::ottla(folder),
            (Server::ApacheKafka, Some(version)) => Self::apache(folder, version),
            (Server::Ottla, Some(_)) => Err(Failure::new("ottla has no version: it is built here")),
            (Server::ApacheKafka, None) => Err(Failure::new("the target's version is missing")),
        }
    }

    fn ottla(folder: PathBuf) -> Result<Self, Failure> {
        let mut command = guarded(UNTIL_END, &program("debug", "ottla-broker"));
        command.args(["dev", "--port", "0", "--data-dir"]).arg(folder.join("data"));
        let mut guard = command.env("OTTLA_LOG", "error").stdout(Stdio::piped()).spawn()?;
        let stdout = guard.stdout.take().expect("standard output is a pipe");
        let mut ready = String::new();
        BufReader::new(stdout).read_line(&mut ready)?;
        let rest = ready.strip_prefix("ottla-broker ready on ");
        let address = rest.and_then(|rest| rest.split(' ').next()).map(str::to_owned);
        let running = Self { address: address.unwrap_or_default(), guard, folder };
        if running.address.is_empty() {
            return Err(Failure::new(format!("the broker is not ready: {ready:?}")));
        }
        Ok(running)
    }

    fn apache(folder: PathBuf, version: &str) -> Result<Self, Failure> {
        let script = root().join("scripts/apache-kafka.sh");
        let (cache, cluster) = (tools::folder().join("kafka"), folder.join("cluster"));
        run_quietly(Command::new(&script).args(["install", version]).env("KAFKA_CACHE", &cache))?;
        let mut guard = guarded(AT_END, &script);
        guard.args(["stop", "--kill", "--dir"]).arg(&cluster).env("KAFKA_CACHE", &cache);
        let guard = guard.stdout(Stdio::null()).spawn()?;
        let mut running = Self { address: String::new(), guard, folder };
        let mut start = Command::new(&script);
        start.args(["start", "--version", version, "--dir"]).arg(&cluster);
        start.args(["--port", "0"]).env("KAFKA_CACHE", &cache);
        running.address = run_quietly(&mut start)?.trim().to_owned();
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Closing its standard input ends it.
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
