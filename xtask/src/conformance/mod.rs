//! `cargo xtask conformance --target NAME`: starts a target of `conformance/targets`, runs the
//! suite against it with its known failures, and writes `conformance/results/NAME.{json,md}`.
//! `--client NAME` and `--pairs` do the like for clients.

mod clients;
mod servers;
pub(crate) mod shims;

use std::fs;
use std::process::Command;

use crate::programs::program;
use crate::task::{self, Failure, cargo, root};

pub(crate) use clients::leader_kill;
use servers::{Running, TargetFile};

/// Runs the suite; it fails where something fails that is not known to.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--target", name] => build().and_then(|()| target(name)),
        ["--client", name] => build().and_then(|()| clients::client(name)),
        ["--pairs"] => build().and_then(|()| clients::pairs()),
        _ => Err(usage()),
    }
}

fn build() -> Result<(), Failure> {
    task::step("build the broker and the suite", "", || {
        let packages = ["-p", "ottla-broker", "-p", "ottla-conformance"];
        task::run(cargo().args(["build", "--quiet", "--locked"]).args(packages))
    })
}

fn target(name: &str) -> Result<(), Failure> {
    if name.contains(':') {
        // Somebody else's broker: its results are not kept.
        return suite(name, &[]);
    }
    let folder = root().join("conformance");
    let target = TargetFile::read(name)?;
    let results = folder.join("results");
    fs::create_dir_all(&results)?;
    let report =
        |kind: &str| format!("{kind}={}", results.join(format!("{name}.{kind}")).display());
    let reports = format!("{},{}", report("json"), report("md"));
    let mut options = vec!["--name", &target.title, "--report", &reports];
    let baseline = folder.join("known-failing").join(format!("{name}.toml"));
    let baseline = baseline.display().to_string();
    options.extend(["--baseline", &baseline]);
    let replicas = target.nodes.to_string();
    options.extend(["--replication-factor", &replicas]);
    if target.is_fake() {
        // Some tests end its process, and with it what others were at.
        options.push("--again-alone");
    }
    let running = task::step(&format!("start {name}"), "", || Running::start(&target))?;
    suite(&running.address, &options)
}

fn usage() -> Failure {
    Failure::new(
        "conformance takes --target and a name of conformance/targets or HOST:PORT, --client and a \
         name of conformance/shims or all, or --pairs",
    )
}

fn suite(address: &str, options: &[&str]) -> Result<(), Failure> {
    let mut command = Command::new(program("debug", "ottla-conformance"));
    command.args(["run", "--bootstrap", address]).args(options);
    task::run(command.current_dir(root()))
}
