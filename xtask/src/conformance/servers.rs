//! The targets that the suite runs against: what each is, and how it starts and ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;

use crate::programs::program;
use crate::task::{self, Failure, root, run_quietly};
use crate::test::servers::{AT_END, UNTIL_END, guarded};
use crate::tools;

/// A file of `conformance/targets`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetFile {
    /// What is started.
    server: Server,
    /// The release of what is started; none of what is built here.
    version: Option<String>,
    /// How many nodes are started, 1 without this; topics of the tests have as many replicas.
    #[serde(default = "one")]
    pub(super) nodes: u32,
    /// What the report calls it.
    pub(super) title: String,
}

fn one() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Server {
    Ottla,
    ApacheKafka,
    LibrdkafkaMock,
    Kfake,
}

impl TargetFile {
    /// Whether it is a stand-in for a broker, made for tests of clients.
    pub(super) fn is_fake(&self) -> bool {
        matches!(self.server, Server::LibrdkafkaMock | Server::Kfake)
    }

    /// The target of this name.
    pub(super) fn read(name: &str) -> Result<Self, Failure> {
        let file = root().join("conformance/targets").join(format!("{name}.toml"));
        let text = fs::read_to_string(&file).map_err(|_| unknown(name))?;
        toml::from_str(&text)
            .map_err(|error| Failure::new(format!("conformance/targets/{name}.toml: {error}")))
    }
}

fn unknown(name: &str) -> Failure {
    let all = fs::read_dir(root().join("conformance/targets")).into_iter().flatten().flatten();
    let stem = |path: PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let mut names: Vec<String> = all.filter_map(|entry| stem(entry.path())).collect();
    names.sort();
    Failure::new(format!("no target is named {name}: there are {}, or HOST:PORT", names.join(", ")))
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
        let version = target.version.as_deref();
        match (&target.server, version) {
            (Server::Ottla, None) => Self::ottla(folder, target.nodes),
            (Server::Ottla, Some(_)) => Err(Failure::new("ottla has no version: it is built here")),
            (_, None) => Err(Failure::new("the target's version is missing")),
            (Server::ApacheKafka, Some(version)) => Self::apache(folder, version, target.nodes),
            (_, Some(_)) if target.nodes > 1 => Err(Failure::new("it has no several nodes")),
            (Server::LibrdkafkaMock, Some(version)) => {
                tools::python()?;
                let program = folder_of("librdkafka-mock").join("main.py");
                let mut python = Command::new(tools::folder().join("python/bin/python"));
                Self::announced(folder, version, python.arg(program))
            }
            (Server::Kfake, Some(version)) => {
                Self::announced(folder, version, &mut Command::new(kfake()?))
            }
        }
    }

    fn ottla(folder: PathBuf, nodes: u32) -> Result<Self, Failure> {
        let mut command = guarded(UNTIL_END, &program("debug", "ottla-broker"));
        command.args(["dev", "--port", "0", "--data-dir"]).arg(folder.join("data"));
        if nodes > 1 {
            command.args(["--nodes", &nodes.to_string()]);
        }
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

    /// A program that says `HOST:PORT VERSION`, and lives until its standard input closes.
    fn announced(folder: PathBuf, version: &str, command: &mut Command) -> Result<Self, Failure> {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut guard = piped.spawn()?;
        let stdout = guard.stdout.take().expect("standard output is a pipe");
        let mut running = Self { address: String::new(), guard, folder };
        let mut ready = String::new();
        BufReader::new(stdout).read_line(&mut ready)?;
        let Some((address, is)) = ready.trim().split_once(' ') else {
            return Err(Failure::new(format!("the target is not ready: it said {ready:?}")));
        };
        if is != version {
            let text = format!("the target is {is}, and its file says {version}: change the file");
            return Err(Failure::new(text));
        }
        address.clone_into(&mut running.address);
        Ok(running)
    }

    fn apache(folder: PathBuf, version: &str, nodes: u32) -> Result<Self, Failure> {
        let script = root().join("scripts/apache-kafka.sh");
        let (cache, cluster) = (tools::folder().join("kafka"), folder.join("cluster"));
        if !cache.join(version).join(".complete").exists() {
            tools::programs()?;
            let why = "it is the target; its jars, by Maven, into .tools/";
            task::step(&format!("install Apache Kafka {version}"), why, || {
                let mut install = Command::new(&script);
                run_quietly(install.args(["install", version]).env("KAFKA_CACHE", &cache))
            })?;
        }
        let mut guard = guarded(AT_END, &script);
        guard.args(["stop", "--kill", "--dir"]).arg(&cluster).env("KAFKA_CACHE", &cache);
        let guard = guard.stdout(Stdio::null()).spawn()?;
        let mut running = Self { address: String::new(), guard, folder };
        let mut start = Command::new(&script);
        start.args(["start", "--version", version, "--dir"]).arg(&cluster);
        start.args(["--port", "0", "--nodes", &nodes.to_string()]).env("KAFKA_CACHE", &cache);
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

fn folder_of(server: &str) -> PathBuf {
    root().join("conformance/servers").join(server)
}

/// Builds kfake into `.tools/`; Go gets the modules that `go.sum` names.
fn kfake() -> Result<PathBuf, Failure> {
    let program = tools::folder().join("conformance").join("kfake");
    task::step("build kfake", "the fake cluster of franz-go is a target; into .tools/", || {
        let mut go = Command::new("go");
        go.args(["build", "-o"]).arg(&program).arg(".").current_dir(folder_of("kfake"));
        run_quietly(&mut go)
            .map(drop)
            .map_err(|failure| Failure::new(format!("{failure} (it takes Go 1.26 or newer)")))
    })?;
    Ok(program)
}
