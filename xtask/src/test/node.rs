//! The Node suite, on the machine's Node and on the newest, and the checks of its declarations.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use super::sum::Runner;
use super::{Context, Run, joined};
use crate::packages::node;
use crate::task::run_quietly;
use crate::tools;

/// Runs everything about the Node package.
pub(super) fn run(run: &mut Run, context: &Context) {
    let built = run.step("Node package", "npm ci, npm run build", node::build);
    if built.is_none() {
        return;
    }
    let sum = run.suite("Node tests", Runner::Node, &mut suite(run, context, None));
    run.expect_common("node", &sum);
    if !run.filter.is_empty() {
        return;
    }
    let mut tsc = Command::new("npm");
    tsc.args(["run", "--silent", "types"]).current_dir(node::folder());
    if run.step("tsc --strict", "", || run_quietly(&mut tsc)).is_some() {
        run.sum.passed += 1;
    }
    match run.step("newest Node", "npm's packages of Node itself", tools::newest_node) {
        Some(newest) => {
            let sum = run.suite(
                "Node tests, newest",
                Runner::Node,
                &mut suite(run, context, Some(newest)),
            );
            run.expect_common("node", &sum);
        }
        None => run.skip("newest Node", "it could not be installed"),
    }
}

/// `npm test`, with the folder of another Node first on the path.
fn suite(run: &Run, context: &Context, node_folder: Option<PathBuf>) -> Command {
    let mut npm = context.command("npm");
    npm.args(["test", "--silent"]);
    if !run.filter.is_empty() {
        npm.arg("--").args(&run.filter);
    }
    if let Some(folder) = node_folder {
        let mut path = OsString::from(folder);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        npm.env("PATH", path);
    }
    npm.env("NO_COLOR", "1").current_dir(node::folder());
    joined(&npm)
}
