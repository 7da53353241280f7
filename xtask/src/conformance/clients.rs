//! `cargo xtask conformance --client NAME` and `--pairs`, and `cargo xtask clients`: clients, by
//! their shims.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::bench;
use crate::programs::program;
use crate::task::{self, Failure, root};
use crate::tools;

use super::servers::{Running, TargetFile};
use super::shims::{self, Shim};

/// The brokers on which every client reads what every client wrote.
const PAIRS_TARGETS: [&str; 2] = ["ottla", "apache-4.3"];

/// Other people's clients that have a shim.
const OTHERS: [&str; 5] = ["confluent-kafka", "franz-go", "java", "kafka-python", "kafkajs"];
/// Tools of Apache Kafka that are clients without a shim.
const JAVA_TOOLS: [&str; 2] = ["verifiable", "console"];

/// Kills a leader of three nodes under each of these clients, or under all of other people's.
pub(crate) fn leader_kill(arguments: &[String]) -> Result<(), Failure> {
    let all = || OTHERS.iter().chain(&JAVA_TOOLS).map(|name| (*name).to_owned());
    let names: Vec<String> = match arguments {
        [] => all().collect(),
        names => names.to_vec(),
    };
    bench::build()?;
    let mut command = Command::new(program("release", "ottla-bench"));
    command.arg("clients").arg("--broker").arg(program("release", "ottla-broker"));
    for name in names {
        if JAVA_TOOLS.contains(&name.as_str()) {
            shims::java()?;
            let jars = tools::folder().join("kafka").join(shims::KAFKA_VERSION).join("libs/*");
            let java = "java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx256m -cp";
            command.args(["--client", &format!("{name}={java} '{}'", jars.display())]);
            continue;
        }
        for shim in shims::named(&name)? {
            shim.install()?;
            command.args(["--client", &format!("{}={}", shim.name, shim.command())]);
        }
    }
    task::run(command.current_dir(root()))
}

/// Runs the scenarios against a client, or against all, and writes
/// `conformance/results/clients/NAME.{json,md}`; it fails where one fails that is not known to.
pub(super) fn client(name: &str) -> Result<(), Failure> {
    let results = root().join("conformance/results/clients");
    fs::create_dir_all(&results)?;
    let mut bad = Vec::new();
    for shim in shims::named(name)? {
        if let Err(failure) = shim.install().and_then(|()| scenarios(&shim, &results)) {
            println!("    {}: {failure}", shim.name);
            bad.push(shim.name);
        }
    }
    if bad.is_empty() { Ok(()) } else { Err(Failure::new(bad.join(", "))) }
}

fn scenarios(shim: &Shim, results: &Path) -> Result<(), Failure> {
    let report =
        |kind: &str| format!("{kind}={}", results.join(format!("{}.{kind}", shim.name)).display());
    let baseline = root().join("conformance/known-failing/clients");
    let mut command = suite();
    command.args(["client", "--shim", &shim.command(), "--name", &shim.title]);
    command.args(["--report", &format!("{},{}", report("json"), report("md"))]);
    command.arg("--baseline").arg(baseline.join(format!("{}.toml", shim.name)));
    task::step(&format!("scenarios: {}", shim.name), "", || task::run(&mut command))
}

fn suite() -> Command {
    let mut command = Command::new(program("debug", "ottla-conformance"));
    command.current_dir(root());
    command
}

/// Has every client read what every client wrote, on our broker and on Apache Kafka, and writes
/// `conformance/results/pairs.{json,md}`; it fails where a pair fails.
pub(super) fn pairs() -> Result<(), Failure> {
    let shims = shims::named("all")?;
    for shim in &shims {
        shim.install()?;
    }
    let results = root().join("conformance/results");
    let parts = std::env::temp_dir().join(format!("ottla-pairs-{}", std::process::id()));
    fs::create_dir_all(&parts)?;
    let mut bad = Vec::new();
    let (mut json, mut markdown) = (Vec::new(), Vec::new());
    for name in PAIRS_TARGETS {
        let target = TargetFile::read(name)?;
        let running = task::step(&format!("start {name}"), "", || Running::start(&target))?;
        let file = |kind: &str| parts.join(format!("{name}.{kind}"));
        let run = on(&running.address, &target.title, &shims, &file("json"), &file("md"));
        drop(running);
        if let Err(failure) = run {
            bad.push(format!("{name}: {failure}"));
        }
        if let (Ok(data), Ok(text)) =
            (fs::read_to_string(file("json")), fs::read_to_string(file("md")))
        {
            json.push(data.trim_end().to_owned());
            markdown.push(text);
        }
    }
    let _ = fs::remove_dir_all(&parts); // a temporary folder
    if json.len() == PAIRS_TARGETS.len() {
        fs::write(results.join("pairs.json"), format!("[\n{}\n]\n", json.join(",\n")))?;
        fs::write(results.join("pairs.md"), markdown.join("\n"))?;
    }
    if bad.is_empty() { Ok(()) } else { Err(Failure::new(bad.join("; "))) }
}

fn on(
    address: &str,
    title: &str,
    shims: &[Shim],
    json: &Path,
    markdown: &Path,
) -> Result<(), Failure> {
    let mut command = suite();
    command.args(["pairs", "--bootstrap", address, "--name", title]);
    for shim in shims {
        command.arg("--shim").arg(format!("{}={}", shim.name, shim.command()));
    }
    let reports = format!("json={},md={}", json.display(), markdown.display());
    task::run(command.args(["--report", &reports]))
}
