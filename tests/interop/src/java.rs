//! Apache Kafka's console tools. Each call takes seconds of processor time: few are made.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::tools;

const VERSION: &str = "4.3.1";

/// The tools, used on one cluster.
pub struct Java {
    script: PathBuf,
    cache: PathBuf,
    bootstrap: String,
}

impl Java {
    /// None, and the test marked as skipped, if the tools are not installed.
    pub fn new(bootstrap: &str) -> Option<Self> {
        let (script, cache) = tools::apache_kafka(VERSION)?;
        Some(Self { script, cache, bootstrap: bootstrap.to_owned() })
    }

    /// Runs a tool with an input; answers with its output.
    pub fn run(&self, tool: &str, arguments: &[&str], input: &str) -> String {
        let mut child = Command::new(&self.script)
            .args(["tool", "--version", VERSION, tool, "--bootstrap-server", &self.bootstrap])
            .args(arguments)
            .env("KAFKA_CACHE", &self.cache)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the script can be started");
        let mut stdin = child.stdin.take().expect("standard input is a pipe");
        stdin.write_all(input.as_bytes()).expect("the tool reads its input");
        drop(stdin);
        let output = child.wait_with_output().expect("the tool was started by this process");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{tool}: {}\n{text}\n{errors}", output.status);
        text
    }
}
