//! The brokers that are compared, each on a folder of its own on real disk.

use crate::Failure;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running broker; ended when dropped.
pub(crate) struct Target {
    /// Its name in tables.
    pub(crate) name: String,
    /// Where clients connect.
    pub(crate) bootstrap: String,
    /// Its process.
    pub(crate) pid: u32,
    running: Running,
    folder: TempDir,
}

enum Running {
    Ottla(Child),
    Kafka(PathBuf),
}

impl Target {
    /// Starts our reference broker.
    pub(crate) fn ottla(program: &Path) -> Result<Self, Failure> {
        let folder = folder()?;
        let mut child = Command::new(program)
            .args(["dev", "--port", "0", "--data-dir"])
            .arg(folder.path())
            .env("OTTLA_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let mut ready = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut ready)?;
        let bootstrap = ready.split(" on ").nth(1).and_then(|rest| rest.split(' ').next());
        let bootstrap = bootstrap.ok_or("the broker did not start; its words are above")?;
        Ok(Self {
            name: "ottla-broker".to_owned(),
            bootstrap: bootstrap.to_owned(),
            pid: child.id(),
            running: Running::Ottla(child),
            folder,
        })
    }

    /// Starts one node of Apache Kafka by `script`.
    pub(crate) fn kafka(script: &Path, version: &str) -> Result<Self, Failure> {
        let folder = folder()?;
        let data = folder.path().join("kafka");
        let output = Command::new(script)
            .args(["start", "--version", version, "--port", "26092", "--dir"])
            .arg(&data)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err("Apache Kafka did not start; its words are above".into());
        }
        let pid = fs::read_to_string(data.join("node-1/pid"))?.trim().parse()?;
        Ok(Self {
            name: format!("Apache Kafka {version}"),
            bootstrap: String::from_utf8(output.stdout)?.trim().to_owned(),
            pid,
            running: Running::Kafka(script.to_owned()),
            folder,
        })
    }
}

/// Not in the system's temporary folder, which may be in memory.
pub(crate) fn folder() -> Result<TempDir, Failure> {
    let base = Path::new("target/bench");
    fs::create_dir_all(base)?;
    let base = fs::canonicalize(base)?;
    Ok(tempfile::Builder::new().prefix("data-").tempdir_in(base)?)
}

impl Drop for Target {
    fn drop(&mut self) {
        // What fails here leaves a process behind, which the next run does not depend on.
        match &mut self.running {
            Running::Ottla(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Running::Kafka(script) => {
                let data = self.folder.path().join("kafka");
                let _ = Command::new(script).args(["stop", "--kill", "--dir"]).arg(data).status();
            }
        }
    }
}
