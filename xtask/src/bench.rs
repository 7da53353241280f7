//! `cargo xtask bench`: builds Ottla and its peers in release mode and compares them. A peer that
//! cannot be built is named and left out.

pub(crate) mod languages;

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::programs::program;
use crate::task::{self, Failure, cargo, root};
use crate::tools;

/// The peers that are Rust crates, by the names of their programs.
const RUST_PEERS: [&str; 3] = ["librdkafka", "kacrab", "krafka"];

/// Builds everything and hands `arguments` to the comparison.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    if let [flag, filter @ ..] = arguments
        && flag == "--codec"
    {
        return codec(filter);
    }
    if let [flag, rest @ ..] = arguments
        && flag == "--cluster"
    {
        return of_three("replicated", rest);
    }
    build()?;
    let peers = tools::folder().join("peers");
    fs::create_dir_all(&peers)?;
    let languages = languages::prepare(arguments)?;
    if languages.arguments.is_empty() {
        native_peers(&peers);
    }
    let script = root().join("scripts/apache-kafka.sh");
    let kafka = tools::folder().join("kafka");
    optional("install Apache Kafka 4.3.1", || {
        task::run(Command::new(&script).args(["install", "4.3.1"]).env("KAFKA_CACHE", &kafka))
    });
    task::run(
        Command::new(program("release", "ottla-bench"))
            .arg("run")
            .arg("--broker")
            .arg(program("release", "ottla-broker"))
            .arg("--peers")
            .arg(&peers)
            .arg("--kafka-script")
            .arg(&script)
            .args(arguments)
            .args(languages.arguments)
            .env("OTTLA_BENCH_NODE", languages.node_packages)
            .env("KAFKA_CACHE", &kafka)
            .current_dir(root()),
    )
}

/// Kills nodes under load: our cluster beside Apache Kafka's.
pub(crate) fn failover(arguments: &[String]) -> Result<(), Failure> {
    of_three("failover", arguments)
}

/// A comparison of three nodes of ours with three of Apache Kafka.
fn of_three(what: &str, arguments: &[String]) -> Result<(), Failure> {
    build()?;
    let script = root().join("scripts/apache-kafka.sh");
    let kafka = tools::folder().join("kafka");
    let mut command = Command::new(program("release", "ottla-bench"));
    command.arg(what).arg("--broker").arg(program("release", "ottla-broker"));
    command.arg("--kafka-script").arg(&script).args(arguments).env("KAFKA_CACHE", &kafka);
    let is_installed = kafka.join("4.3.1/.complete").exists();
    if !is_installed && !arguments.iter().any(|argument| argument == "--clusters") {
        task::step("install Apache Kafka 4.3.1", "it is measured beside our cluster", || {
            task::run(Command::new(&script).args(["install", "4.3.1"]).env("KAFKA_CACHE", &kafka))
        })?;
    }
    task::run(command.current_dir(root()))
}

/// Builds the broker and the benchmark.
pub(crate) fn build() -> Result<(), Failure> {
    task::step("build the broker and the benchmark", "", || {
        let packages = ["-p", "ottla-broker", "-p", "ottla-bench"];
        task::run(cargo().args(["build", "--release", "--locked"]).args(packages))
    })
}

/// The codec alone, beside its peers: a workspace of its own, as theirs. `filter` is criterion's.
fn codec(filter: &[String]) -> Result<(), Failure> {
    let target = tools::folder().join("codec-target");
    let manifest = root().join("bench/codec/Cargo.toml");
    let command = |task: &str| {
        let mut command = cargo();
        command.args([task, "--locked", "--manifest-path"]).arg(&manifest);
        // Criterion writes its measurements there as well.
        command.env("CARGO_TARGET_DIR", &target);
        command
    };
    task::run(command("bench").args(["--bench", "codec", "--"]).args(filter))?;
    task::run(
        command("run")
            .args(["--release", "--quiet", "--bin", "table"])
            .arg(target.join("criterion")),
    )
}

fn native_peers(peers: &Path) {
    optional("build librdkafka, kacrab and krafka", || rust_peers(peers));
    optional("build franz-go", || {
        let folder = root().join("bench/peers/go");
        let mut go = Command::new("go");
        task::run(go.args(["build", "-o"]).arg(peers.join("franz-go")).current_dir(folder))
    });
}

/// A step whose failure is told and does not end the run.
fn optional(what: &str, work: impl FnOnce() -> Result<(), Failure>) {
    if let Err(failure) = task::step(what, "left out if that fails", work) {
        println!("    left out: {failure}");
    }
}

/// They are a workspace of their own, with a target folder of their own.
fn rust_peers(peers: &Path) -> Result<(), Failure> {
    let target = tools::folder().join("peers-target");
    let manifest = root().join("bench/peers/rust/Cargo.toml");
    let mut build = cargo();
    build.args(["build", "--release", "--locked", "--manifest-path"]).arg(manifest);
    task::run(build.arg("--target-dir").arg(&target))?;
    for name in RUST_PEERS {
        fs::copy(target.join("release").join(name), peers.join(name))?;
    }
    Ok(())
}
