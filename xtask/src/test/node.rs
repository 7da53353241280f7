//! The Node suites, on the machine's Node and on the newest, and the checks of their declarations.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::sum::Runner;
use super::{Context, Run, joined};
use crate::packages::node;
use crate::task::{root, run_quietly};
use crate::tools;

/// Runs everything about the Node packages.
pub(super) fn run(run: &mut Run, context: &Context) {
    let built = run.step("Node package", "npm ci, npm run build", node::build);
    if built.is_none() {
        return;
    }
    suites(run, context, "", None);
    if !run.filter.is_empty() {
        return;
    }
    types(run);
    match run.step("newest Node", "npm's packages of Node itself", tools::newest_node) {
        Some(newest) => suites(run, context, ", newest Node", Some(newest)),
        None => run.skip("newest Node", "it could not be installed"),
    }
}

fn testing() -> PathBuf {
    root().join("bindings/testing/node")
}

/// Both packages' tests; `node_folder` has another Node.
fn suites(run: &mut Run, context: &Context, on: &str, node_folder: Option<PathBuf>) {
    let mut path = OsString::new();
    if let Some(folder) = node_folder {
        path.push(folder);
        path.push(":");
    }
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let suite = |run: &Run, folder: &Path| {
        let mut npm = context.command(if run.filter.is_empty() { "npm" } else { "node" });
        match run.filter.join(" ") {
            none if none.is_empty() => npm.args(["test", "--silent"]),
            name => npm.arg("--test").arg(format!("--test-name-pattern={name}")).arg("test/"),
        };
        npm.env("PATH", &path).env("NO_COLOR", "1").current_dir(folder);
        joined(&npm)
    };
    let mut tests = suite(run, &node::folder());
    let sum = run.suite(&format!("Node tests{on}"), Runner::Node, &mut tests);
    run.expect_common("node", &sum);
    let mut tests = suite(run, &testing());
    run.suite(&format!("Node tests of ottla-testing{on}"), Runner::Node, &mut tests);
}

/// The declarations, by the strictest settings; each package counts as a test.
fn types(run: &mut Run) {
    let compiler = node::folder().join("node_modules/.bin/tsc");
    for folder in [node::folder(), testing()] {
        let mut tsc = Command::new(&compiler);
        tsc.args(["--project", "tsconfig.json"]).current_dir(&folder);
        if run.step("tsc --strict", "", || run_quietly(&mut tsc)).is_some() {
            run.sum.passed += 1;
        }
    }
}
