//! The Python suite, on the machine's Python and on a newer one, and the checks of its types.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::sum::{Runner, Sum};
use super::{Context, Run, joined};
use crate::packages::python::{REQUIREMENTS, interpreter, pip, suite, wheels};
use crate::task::{Failure, root, run_quietly};
use crate::tools;

/// Runs everything about the Python package.
pub(super) fn run(run: &mut Run, context: &Context) {
    let why = "the suite runs on the installed wheel";
    let Some((python, wheels)) = run.step("Python environment", why, installed) else { return };
    let sum = pytest(run, "Python tests", "bindings/python", &context.command(&python));
    run.expect_common("python", &sum);
    let of_testing = "Python tests of ottla-testing";
    pytest(run, of_testing, "bindings/testing/python", &context.command(&python));
    if run.filter.is_empty() {
        types(run, &python);
        newer(run, context, &wheels);
    }
}

fn folder() -> PathBuf {
    root().join("bindings/python")
}

/// Runs the tests of a package by an interpreter.
fn pytest(run: &mut Run, what: &str, package: &str, interpreter: &Command) -> Sum {
    let mut pytest = joined(interpreter);
    pytest.args(["-m", "pytest", "-vv", "-ra", "--color=no"]);
    pytest.args(run.filter.iter().flat_map(|name| ["-k", name]));
    run.suite(what, Runner::Pytest, pytest.current_dir(root().join(package)))
}

/// The environment's interpreter, with the wheels newly installed, and the wheels.
fn installed() -> Result<(PathBuf, [PathBuf; 2]), Failure> {
    let environment = suite()?;
    let python = interpreter(&environment);
    let wheels = wheels()?;
    run_quietly(pip(&python).args(["--force-reinstall", "--no-deps", "--no-index"]).args(&wheels))?;
    // Not the sources beside the tests.
    let place = run_quietly(
        Command::new(&python).args(["-c", "import ottla; print(ottla.__file__)"]).current_dir("/"),
    )?;
    if !Path::new(place.trim()).starts_with(&environment) {
        return Err(Failure::new(format!("the suite would run on {}", place.trim())));
    }
    Ok((python, wheels))
}

/// Stubs are complete, true to the module, and good for strict checkers; each counts as a test.
fn types(run: &mut Run, python: &Path) {
    let checks: [(&str, &[&str]); 3] = [
        ("mypy --strict", &["-m", "mypy", "--strict", "python/ottla", "tests", "examples"]),
        ("pyright", &["-m", "pyright", "python/ottla", "tests", "examples"]),
        ("stubtest", &["-m", "mypy.stubtest", "ottla"]),
    ];
    for (name, arguments) in checks {
        let mut check = Command::new(python);
        check.args(arguments).current_dir(folder());
        if run.step(name, "", || run_quietly(&mut check)).is_some() {
            run.sum.passed += 1;
        }
    }
}

/// The same wheel and suite on Python 3.13: of the machine, or of the root that has Swift.
fn newer(run: &mut Run, context: &Context, wheels: &[PathBuf]) {
    let packages = tools::folder().join("python-3.13-packages");
    let Some(mut python) = tools::newer_python() else {
        let reason = "Python 3.13 is missing, and so is the root that scripts/swift.sh makes";
        return run.skip("Python 3.13", reason);
    };
    let why = "by the machine's pip, for the other interpreter; into .tools/";
    let made = run.step("install packages for Python 3.13", why, || target(&packages, wheels));
    if made.is_none() {
        return;
    }
    python.env("PYTHONPATH", &packages).env("OTTLA_BROKER_BIN", &context.broker);
    python.env("OTTLA_TEST_BROKERS", &context.brokers);
    let sum = pytest(run, "Python tests on 3.13", "bindings/python", &python);
    run.expect_common("python", &sum);
}

/// Fills a folder with packages for Python 3.13; the interpreter itself need not run here.
fn target(packages: &Path, wheels: &[PathBuf]) -> Result<(), Failure> {
    let requirements = root().join(REQUIREMENTS);
    let python = tools::folder().join("python-suite/bin/python");
    let install = || {
        let mut pip = pip(&python);
        pip.args(["--upgrade", "--python-version", "3.13", "--only-binary", ":all:", "--target"]);
        pip.arg(packages);
        pip
    };
    let list = fs::read_to_string(&requirements)?;
    let stamp = packages.join("installed-from");
    if !fs::read_to_string(&stamp).is_ok_and(|done| done == list) {
        if packages.exists() {
            fs::remove_dir_all(packages)?;
        }
        run_quietly(install().arg("-r").arg(&requirements))?;
        fs::write(&stamp, list)?;
    }
    run_quietly(install().args(["--no-deps", "--no-index"]).args(wheels)).map(drop)
}
