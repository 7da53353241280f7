//! `cargo xtask quickstart`: builds broker, example and the Python and Node packages, then lets the
//! example speak.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::packages::copy_folder;
use crate::packages::node::module_name;
use crate::programs::program;
use crate::task::{self, Failure, cargo, root, run_quietly};
use crate::tools;

/// A language whose package reads what was produced, too.
struct Reader {
    language: &'static str,
    interpreter: &'static str,
    /// Arguments with which the interpreter succeeds if it is new enough.
    check: [&'static str; 2],
    needs: &'static str,
    /// The crate of the native module.
    package: &'static str,
    /// Puts the built package and the program into a folder; gives the program.
    stage: fn(&Path) -> Result<PathBuf, Failure>,
}

const READERS: [Reader; 2] = [
    Reader {
        language: "Python",
        interpreter: "python3",
        check: ["-c", "import sys; sys.exit(sys.version_info < (3, 11))"],
        needs: "there is no python3 of version 3.11 or later",
        package: "ottla-python",
        stage: stage_python,
    },
    Reader {
        language: "Node",
        interpreter: "node",
        check: ["-e", "process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)"],
        needs: "there is no node of version 20 or later",
        package: "ottla-node",
        stage: stage_node,
    },
];

/// Runs the example; its last line is the task's last line.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let (here, missing): (Vec<&Reader>, Vec<&Reader>) = READERS.iter().partition(|reader| {
        run_quietly(Command::new(reader.interpreter).args(reader.check)).is_ok()
    });
    task::step("build the broker and the example", "about five minutes the first time", || {
        let mut build = cargo();
        build.args(["build", "--release", "--locked", "-p", "ottla-broker", "-p"]);
        build.arg("ottla-quickstart");
        build.args(here.iter().flat_map(|reader| ["-p", reader.package]));
        // The module is loaded by an interpreter: it must not be linked to one.
        task::run(build.env("PYO3_BUILD_EXTENSION_MODULE", "1"))
    })?;
    let mut example = Command::new(program("release", "ottla-quickstart"));
    for reader in here {
        let folder = tools::folder().join("quickstart").join(reader.language);
        let script = (reader.stage)(&folder)?;
        example.args(["--reader", reader.language, reader.interpreter]).arg(script);
    }
    for reader in missing {
        example.args(["--left-out", reader.language, reader.needs]);
    }
    example.env("OTTLA_BROKER_BIN", program("release", "ottla-broker")).args(arguments);
    task::run(&mut example)
}

/// The package beside the program, which is where Python looks first.
fn stage_python(folder: &Path) -> Result<PathBuf, Failure> {
    let package = folder.join("ottla");
    let sources = root().join("bindings/python/python/ottla");
    copy_folder(&sources, &package, |name| name.ends_with(".py"))?;
    copy_library("_native", &package.join("_native.abi3.so"))?;
    stage_program(folder, "read.py")
}

/// The package in the program's `node_modules`.
fn stage_node(folder: &Path) -> Result<PathBuf, Failure> {
    let package = folder.join("node_modules/ottla");
    let sources = root().join("bindings/node");
    let is_package = |name: &str| [".cjs", ".mjs"].iter().any(|end| name.ends_with(end));
    copy_folder(&sources, &package, |name| is_package(name) || name == "package.json")?;
    copy_folder(&sources.join("lib"), &package.join("lib"), is_package)?;
    copy_library("ottla_node", &package.join(module_name()?))?;
    stage_program(folder, "read.mjs")
}

fn stage_program(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let program = folder.join(name);
    fs::copy(root().join("examples/quickstart/readers").join(name), &program)?;
    Ok(program)
}

/// Copies a native module that cargo built.
fn copy_library(name: &str, to: &Path) -> Result<(), Failure> {
    let file = format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let built = program("release", "x").with_file_name(file);
    fs::copy(&built, to)
        .map(drop)
        .map_err(|error| Failure::new(format!("cannot copy {}: {error}", built.display())))
}
