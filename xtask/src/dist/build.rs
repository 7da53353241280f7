//! Native code for glibc 2.28, without a trace of the machine that built it.

use std::path::PathBuf;
use std::process::Command;

use super::Dist;
use crate::packages::python::{builder, program, programs};
use crate::task::{Failure, cargo, root};

/// The oldest glibc that packages run with, as Debian 10, RHEL 8 and manylinux_2_28 have it.
pub(super) const GLIBC: (u32, u32) = (2, 28);

/// What stands between the folders of a search path.
const PATHS: &str = if cfg!(windows) { ";" } else { ":" };

/// What was built.
pub(super) struct Native {
    pub(super) broker: PathBuf,
    pub(super) node: PathBuf,
    pub(super) swift: PathBuf,
}

/// Builds everything that maturin does not.
pub(super) fn native(dist: &Dist) -> Result<Native, Failure> {
    // The flags name the folders of the crates.
    let Dist { platform, .. } = dist;
    crate::task::run(cargo().args(["fetch", "--locked", "--target", platform.target]))?;
    let mut build = match platform.zig {
        Some(version) => {
            let mut build = Command::new(program(&builder()?, "cargo-zigbuild"));
            build.arg("zigbuild").arg(format!("--target={}{version}", platform.target));
            build
        }
        None => {
            let mut build = cargo();
            build.arg("build").arg(format!("--target={}", platform.target));
            build
        }
    };
    build.args(["--release", "--locked"]);
    build.args(["-p", "ottla-broker", "-p", "ottla-node", "-p", "ottla-swift"]);
    crate::task::run(build.current_dir(root()).envs(environment(dist)?))?;
    let built = dist.work.join("target").join(platform.target).join("release");
    Ok(Native {
        broker: built.join(platform.program("ottla-broker")),
        node: built.join(platform.library("ottla_node")),
        swift: built.join(platform.library("ottla_swift")),
    })
}

/// The environment of every build here: a target folder of its own (the flags differ from those of
/// the daily builds), no debugging symbols, no paths of this machine, the tools of Zig.
pub(super) fn environment(dist: &Dist) -> Result<Vec<(String, String)>, Failure> {
    let builder = builder()?;
    let path = std::env::var("PATH").unwrap_or_default();
    let home = cargo_home();
    // A crate's folder is `registry/src/REGISTRY/NAME-VERSION`: the registry's name goes, too.
    let mut flags = vec![format!("--remap-path-prefix={}=ottla", root().display())];
    for registry in std::fs::read_dir(home.join("registry/src")).into_iter().flatten().flatten() {
        flags.push(format!("--remap-path-prefix={}=crates", registry.path().display()));
    }
    if dist.platform.is_musl() {
        // What an interpreter loads cannot bring a C library of its own.
        flags.push("-Ctarget-feature=-crt-static".to_owned());
    }
    Ok(vec![
        ("PATH".to_owned(), format!("{}{PATHS}{path}", programs(&builder).display())),
        ("CARGO_TARGET_DIR".to_owned(), dist.work.join("target").display().to_string()),
        ("CARGO_PROFILE_RELEASE_DEBUG".to_owned(), "false".to_owned()),
        ("CARGO_PROFILE_RELEASE_STRIP".to_owned(), "symbols".to_owned()),
        ("RUSTFLAGS".to_owned(), flags.join(" ")),
    ])
}

fn cargo_home() -> PathBuf {
    let named = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    named.or_else(home).unwrap_or_else(|| PathBuf::from(".cargo"))
}

/// Folders of this machine that a clean room does not see and whose names no package may hold.
pub(super) fn folders_of_this_machine() -> Vec<PathBuf> {
    let rustup = std::env::var_os("RUSTUP_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".rustup"));
    [Some(root()), Some(cargo_home()), rustup.or_else(home)].into_iter().flatten().collect()
}
