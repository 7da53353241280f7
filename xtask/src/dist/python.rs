//! The wheels and the source distribution.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::build::environment;
use super::room::Room;
use super::{Dist, first_block, unpack};
use crate::packages::python::{builder, interpreter, program};
use crate::task::{Failure, cargo, root, run_quietly};

/// `ottla` for any Python from 3.11 on, and `ottla-testing` with the broker.
pub(super) fn pack(dist: &Dist) -> Result<(), Failure> {
    run_quietly(&mut maturin(dist, "bindings/python")?)?;
    run_quietly(&mut maturin(dist, "bindings/testing/python")?)?;
    if !dist.platform.is_tried_out() {
        return Ok(());
    }
    let mut sdist = Command::new(program(&builder()?, "maturin"));
    sdist.arg("sdist").arg("--out").arg(&dist.packages);
    run_quietly(sdist.current_dir(root().join("bindings/python"))).map(drop)
}

fn maturin(dist: &Dist, folder: &str) -> Result<Command, Failure> {
    let builder = builder()?;
    let platform = dist.platform;
    let mut maturin = Command::new(program(&builder, "maturin"));
    maturin.args(["build", "--release", "--locked", "--target", platform.target]);
    if platform.zig.is_some() {
        maturin.arg("--zig");
    }
    maturin.args(["--compatibility", platform.wheel, "--out"]).arg(&dist.packages);
    maturin.arg("--interpreter").arg(interpreter(&builder));
    maturin.current_dir(root().join(folder)).envs(environment(dist)?);
    Ok(maturin)
}

/// What an index would refuse, and whether the sources that are published hang together.
pub(super) fn check_metadata(dist: &Dist) -> Result<(), Failure> {
    let wheels = [dist.file("ottla-", ".whl")?, dist.file("ottla_testing-", ".whl")?];
    let mut twine = Command::new(program(&builder()?, "twine"));
    twine.args(["check", "--strict"]).args(&wheels);
    let name = wheels[0].file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !name.contains("-cp311-abi3-") {
        return Err(Failure::new(format!("{name}: it is not for every Python from 3.11 on")));
    }
    if !dist.platform.is_tried_out() {
        return run_quietly(&mut twine).map(drop);
    }
    let sdist = dist.file(&format!("ottla-{}", super::VERSION), ".tar.gz")?;
    run_quietly(twine.arg(&sdist))?;
    let folder = dist.fresh("sdist")?;
    unpack(&sdist, &folder)?;
    let package = folder.join(format!("ottla-{}", super::VERSION));
    let manifest = super::content::files_in(&package)?
        .into_iter()
        .find(|file| file.ends_with("bindings/python/Cargo.toml"))
        .ok_or_else(|| Failure::new("the source distribution has no bindings/python"))?;
    let mut metadata = cargo();
    metadata.args(["metadata", "--offline", "--format-version", "1", "--manifest-path"]);
    run_quietly(metadata.arg(manifest)).map(drop)
}

/// Installs both wheels without a network and runs the README's example.
pub(super) fn try_out(room: &Room) -> Result<(), Failure> {
    let readme = fs::read_to_string(root().join("bindings/python/README.md"))?;
    let example = first_block(&readme, &["python", "py"])
        .ok_or_else(|| Failure::new("bindings/python/README.md has no example in Python"))?;
    room.write("python/example.py", &example)?;
    room.write("python/smoke.py", include_str!("smoke.py"))?;
    let script = "
        cd python
        python3 -m venv environment
        environment/bin/pip install --quiet --no-index --find-links ../packages \
            ottla ottla-testing
        environment/bin/python example.py
        environment/bin/python smoke.py
    ";
    // The interpreter that pip installs for, not a shim that chooses one.
    let real =
        run_quietly(Command::new("python3").args(["-c", "import sys; print(sys.base_prefix)"]))?;
    println!("{}", room.run(&[Path::new(real.trim()).join("bin")], script)?.trim_end());
    Ok(())
}
