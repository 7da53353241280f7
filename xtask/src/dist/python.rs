//! The wheels and the source distribution.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::build::{Native, TARGET, environment};
use super::room::{Room, folder_of};
use super::{Dist, first_block, unpack};
use crate::packages::python::{builder, interpreter};
use crate::task::{Failure, cargo, root, run_quietly};

/// `ottla` for any Python from 3.11 on, and `ottla-testing` with the broker.
pub(super) fn pack(dist: &Dist, native: &Native) -> Result<(), Failure> {
    let mut maturin = maturin(dist, &root().join("bindings/python"))?;
    run_quietly(&mut maturin)?;
    // maturin builds the broker again, from what is built already.
    let _ = &native.broker;
    let mut maturin = self::maturin(dist, &root().join("bindings/testing/python"))?;
    run_quietly(&mut maturin)?;
    let mut sdist = Command::new(builder()?.join("bin/maturin"));
    sdist.arg("sdist").arg("--out").arg(&dist.packages);
    run_quietly(sdist.current_dir(root().join("bindings/python"))).map(drop)
}

fn maturin(dist: &Dist, folder: &Path) -> Result<Command, Failure> {
    let builder = builder()?;
    let mut maturin = Command::new(builder.join("bin/maturin"));
    maturin.args(["build", "--release", "--locked", "--zig", "--target", TARGET]);
    maturin.args(["--compatibility", "manylinux_2_28", "--out"]).arg(&dist.packages);
    maturin.arg("--interpreter").arg(interpreter(&builder));
    maturin.current_dir(folder).envs(environment(dist)?);
    Ok(maturin)
}

/// What an index would refuse, and whether the sources that are published hang together.
pub(super) fn check_metadata(dist: &Dist) -> Result<(), Failure> {
    let sdist = dist.file("ottla-", ".tar.gz")?;
    let wheels = [dist.file("ottla-", ".whl")?, dist.file("ottla_testing-", ".whl")?];
    let mut twine = Command::new(builder()?.join("bin/twine"));
    run_quietly(twine.args(["check", "--strict"]).args(&wheels).arg(&sdist))?;
    let name = wheels[0].file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !name.contains("-cp311-abi3-manylinux_2_28_x86_64") {
        return Err(Failure::new(format!("{name}: it shall be for abi3 and manylinux_2_28")));
    }
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
pub(super) fn try_out(_: &Dist, room: &Room) -> Result<(), Failure> {
    let readme = fs::read_to_string(root().join("bindings/python/README.md"))?;
    let example = first_block(&readme, &["python", "py"])
        .ok_or_else(|| Failure::new("bindings/python/README.md has no example in Python"))?;
    room.write("python/example.py", &example)?;
    let script = "
        cd python
        python3 -m venv environment
        environment/bin/pip install --quiet --no-index --find-links ../packages \
            ottla ottla-testing
        environment/bin/python example.py
        environment/bin/python - <<'END'
import ottla, ottla_testing
with ottla_testing.Broker() as broker:
    with ottla.Producer(bootstrap_servers=broker.bootstrap_servers) as producer:
        assert producer.send('room', b'clean').result().offset == 0
END
    ";
    // The interpreter that pip installs for, not a shim that chooses one.
    let real =
        run_quietly(Command::new("python3").args(["-c", "import sys; print(sys.base_prefix)"]))?;
    let path = [Path::new(real.trim()).join("bin"), folder_of("python3")?];
    println!("{}", room.run(&path[..1], script)?.trim_end());
    Ok(())
}
