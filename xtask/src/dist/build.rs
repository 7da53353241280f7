//! Native code for glibc 2.28, without a trace of the machine that built it.

use std::path::PathBuf;
use std::process::Command;

use super::Dist;
use crate::packages::python::builder;
use crate::task::{Failure, cargo, root};

/// What the packages are built for.
pub(super) const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The oldest C library that they run with, as Debian 10, RHEL 8 and manylinux_2_28 have it.
pub(super) const GLIBC: (u32, u32) = (2, 28);

/// What was built.
pub(super) struct Native {
    pub(super) broker: PathBuf,
    pub(super) node: PathBuf,
    pub(super) swift: PathBuf,
}

/// Builds everything that maturin does not.
pub(super) fn native(dist: &Dist) -> Result<Native, Failure> {
    // The flags name the folders of the crates.
    crate::task::run(cargo().args(["fetch", "--locked", "--target", TARGET]))?;
    let builder = builder()?;
    let mut build = Command::new(builder.join("bin/cargo-zigbuild"));
    build.args(["zigbuild", "--release", "--locked", "--target"]);
    build.arg(format!("{TARGET}.{}.{}", GLIBC.0, GLIBC.1));
    build.args(["-p", "ottla-broker", "-p", "ottla-node", "-p", "ottla-swift"]);
    build.current_dir(root()).envs(environment(dist)?);
    crate::task::run(&mut build)?;
    let built = dist.work.join("target").join(TARGET).join("release");
    Ok(Native {
        broker: built.join("ottla-broker"),
        node: built.join("libottla_node.so"),
        swift: built.join("libottla_swift.so"),
    })
}

/// The environment of every build here: a target folder of its own (the flags differ from those of
/// the daily builds), no debugging symbols, no paths of this machine, the tools of Zig.
pub(super) fn environment(dist: &Dist) -> Result<Vec<(&'static str, String)>, Failure> {
    let builder = builder()?;
    let path = std::env::var("PATH").unwrap_or_default();
    let home = cargo_home();
    // A crate's folder is `registry/src/REGISTRY/NAME-VERSION`: the registry's name goes, too.
    let mut flags = vec![format!("--remap-path-prefix={}=ottla", root().display())];
    for registry in std::fs::read_dir(home.join("registry/src")).into_iter().flatten().flatten() {
        flags.push(format!("--remap-path-prefix={}=crates", registry.path().display()));
    }
    flags.push(format!("--remap-path-prefix={}=cargo", home.display()));
    // C sources have their paths in assertions.
    let c_flags = format!("-ffile-prefix-map={}=cargo -DNDEBUG", home.display());
    Ok(vec![
        ("PATH", format!("{}:{path}", builder.join("bin").display())),
        ("CARGO_TARGET_DIR", dist.work.join("target").display().to_string()),
        ("CARGO_PROFILE_RELEASE_DEBUG", "false".to_owned()),
        ("CARGO_PROFILE_RELEASE_STRIP", "symbols".to_owned()),
        ("RUSTFLAGS", flags.join(" ")),
        ("CFLAGS_x86_64_unknown_linux_gnu", c_flags),
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
