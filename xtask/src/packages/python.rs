//! The Python packages: wheels, and environments to install them into.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{file_in, fingerprint, made_once};
use crate::task::{self, Failure, root, run_quietly};
use crate::tools;

/// What builds and checks wheels. Zig's linker makes them, and programs, for an older C library
/// than the machine's.
const BUILDERS: [&str; 4] =
    ["maturin==1.16.0", "ziglang==0.16.0", "cargo-zigbuild==0.24.0", "twine==7.0.0"];

/// The interpreter that makes environments.
const PYTHON: &str = if cfg!(windows) { "python" } else { "python3" };

/// The interpreter of an environment.
pub(crate) fn interpreter(environment: &Path) -> PathBuf {
    program(environment, "python")
}

/// A program that was installed into an environment.
pub(crate) fn program(environment: &Path, name: &str) -> PathBuf {
    programs(environment).join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// The folder of an environment's programs.
pub(crate) fn programs(environment: &Path) -> PathBuf {
    environment.join(if cfg!(windows) { "Scripts" } else { "bin" })
}

/// The environment with what builds wheels.
pub(crate) fn builder() -> Result<PathBuf, Failure> {
    environment("python-build", &BUILDERS.join("\n"), &BUILDERS.map(str::to_owned))
}

/// An environment of `.tools/` with packages in it; made anew when `list` changed.
pub(crate) fn environment(name: &str, list: &str, packages: &[String]) -> Result<PathBuf, Failure> {
    let folder = tools::folder().join(name);
    let stamp = folder.join("installed-from");
    if fs::read_to_string(&stamp).is_ok_and(|done| done == list) {
        return Ok(folder);
    }
    let why = format!("{}; into .tools/{name}", packages.join(" "));
    task::step("install Python packages", &why, || {
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        run_quietly(Command::new(PYTHON).args(["-m", "venv"]).arg(&folder))?;
        run_quietly(pip(&interpreter(&folder)).args(packages))?;
        Ok(fs::write(&stamp, list)?)
    })?;
    Ok(folder)
}

/// `pip install`, to be completed.
pub(crate) fn pip(python: &Path) -> Command {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    pip
}

/// The environment of the Python suites, without the packages that they test.
pub(crate) fn suite() -> Result<PathBuf, Failure> {
    let requirements = root().join(REQUIREMENTS);
    let list = fs::read_to_string(&requirements)?;
    let file = requirements.to_string_lossy().into_owned();
    environment("python-suite", &list, &["-r".to_owned(), file])
}

/// What [`suite`] has.
pub(crate) const REQUIREMENTS: &str = "bindings/python/tests/requirements.txt";

/// The wheels of `ottla` and `ottla-testing` for this machine, built by maturin; kept until a
/// source changes.
pub(crate) fn wheels() -> Result<[PathBuf; 2], Failure> {
    let ottla = wheel("wheel", "bindings/python", &["bindings/python"])?;
    let sources = ["bindings/testing/python", "reference-broker"];
    Ok([ottla, wheel("testing-wheel", "bindings/testing/python", &sources)?])
}

fn wheel(name: &str, package: &str, sources: &[&str]) -> Result<PathBuf, Failure> {
    let folder = made_once(name, &fingerprint(sources)?, |folder| {
        task::step(&format!("build a wheel of {package}"), "maturin, release mode", || {
            let builder = builder()?;
            let mut maturin = Command::new(program(&builder, "maturin"));
            maturin.args(["build", "--release", "--locked", "--compatibility", "linux", "--out"]);
            maturin.arg(folder).arg("--interpreter").arg(interpreter(&builder));
            run_quietly(maturin.current_dir(root().join(package))).map(drop)
        })
    })?;
    file_in(&folder, ".whl")
}
