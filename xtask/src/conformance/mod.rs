//! `cargo xtask conformance --target NAME`: starts a target of `conformance/targets`, runs the
//! suite against it with its known failures, and writes `conformance/results/NAME.{json,md}`.

mod servers;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::programs::program;
use crate::task::{self, Failure, cargo, root};

use servers::{Running, TargetFile};

/// Runs the suite; it fails where something fails that is not known to.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let [flag, name] = arguments else { return Err(usage()) };
    if flag != "--target" {
        return Err(usage());
    }
    task::step("build the broker and the suite", "", || {
        let packages = ["-p", "ottla-broker", "-p", "ottla-conformance"];
        task::run(cargo().args(["build", "--quiet", "--locked"]).args(packages))
    })?;
    if name.contains(':') {
        // Somebody else's broker: its results are not kept.
        return suite(name, &[]);
    }
    let folder = root().join("conformance");
    let file = folder.join("targets").join(format!("{name}.toml"));
    let text = fs::read_to_string(&file).map_err(|_| unknown(name))?;
    let target: TargetFile = toml::from_str(&text)
        .map_err(|error| Failure::new(format!("conformance/targets/{name}.toml: {error}")))?;
    let results = folder.join("results");
    fs::create_dir_all(&results)?;
    let report =
        |kind: &str| format!("{kind}={}", results.join(format!("{name}.{kind}")).display());
    let reports = format!("{},{}", report("json"), report("md"));
    let mut options = vec!["--name", &target.title, "--report", &reports];
    let baseline = folder.join("known-failing").join(format!("{name}.toml"));
    let baseline = baseline.display().to_string();
    options.extend(["--baseline", &baseline]);
    if target.is_fake() {
        // Some tests end its process, and with it what others were at.
        options.push("--again-alone");
    }
    let running = task::step(&format!("start {name}"), "", || Running::start(&target))?;
    suite(&running.address, &options)
}

fn usage() -> Failure {
    Failure::new("conformance takes --target and a name of conformance/targets, or HOST:PORT")
}

fn unknown(name: &str) -> Failure {
    let all = fs::read_dir(root().join("conformance/targets")).into_iter().flatten().flatten();
    let stem = |path: PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let mut names: Vec<String> = all.filter_map(|entry| stem(entry.path())).collect();
    names.sort();
    Failure::new(format!("no target is named {name}: there are {}, or HOST:PORT", names.join(", ")))
}

fn suite(address: &str, options: &[&str]) -> Result<(), Failure> {
    let mut command = Command::new(program("debug", "ottla-conformance"));
    command.args(["run", "--bootstrap", address]).args(options);
    task::run(command.current_dir(root()))
}
