//! The npm packages.

use std::path::PathBuf;
use std::process::Command;

use crate::task::{Failure, root, run_quietly};

/// The package's folder.
pub(crate) fn folder() -> PathBuf {
    root().join("bindings/node")
}

/// Installs what the package is developed with, and puts its native module, which
/// [`build`](super::build) made together with others, where it belongs.
pub(crate) fn build() -> Result<(), Failure> {
    let npm = |arguments: &[&str]| {
        let mut npm = Command::new("npm");
        run_quietly(npm.args(arguments).current_dir(folder())).map(drop)
    };
    npm(&["ci", "--no-audit", "--no-fund"])?;
    npm(&["run", "build", "--", "--no-cargo"])
}

/// The native module's name for this platform, as the package looks for it.
pub(crate) fn module_name() -> Result<String, Failure> {
    let name = "console.log(require('./lib/platform.cjs').moduleName())";
    let mut node = Command::new("node");
    Ok(run_quietly(node.args(["-e", name]).current_dir(folder()))?.trim().to_owned())
}
