//! The packages of the other languages, built as users get them.

pub(crate) mod node;
pub(crate) mod python;

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::task::{self, Failure, cargo, root, run_quietly};
use crate::tools;

/// What every package is made from, beside its own folder.
const SHARED_SOURCES: [&str; 6] =
    ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "protocol", "core", "bindings/shared"];

/// Builds the broker and the native libraries in release mode, in one go: they share most crates.
pub(crate) fn build() -> Result<(), Failure> {
    let packages = ["ottla-broker", "ottla-node", "ottla-swift"];
    let packages = packages.iter().flat_map(|package| ["-p", package]);
    task::run(cargo().args(["build", "--release", "--locked"]).args(packages))
}

/// A number that differs when a source of a package differs. `own` is the package's folder.
pub(crate) fn fingerprint(own: &[&str]) -> Result<String, Failure> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"]);
    let listed = run_quietly(git.args(SHARED_SOURCES).args(own).current_dir(root()))?;
    let mut hasher = DefaultHasher::new();
    for path in listed.split('\0').filter(|path| !path.is_empty() && !is_for_tests(path)) {
        // A file that was deleted and not yet committed is listed, too.
        if let Ok(bytes) = fs::read(root().join(path)) {
            (path, bytes).hash(&mut hasher);
        }
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn is_for_tests(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "test" | "Tests" | "benches" | "fuzz"))
}

/// A folder of `.tools` that is emptied and filled anew when its sources changed.
pub(crate) fn made_once(
    name: &str,
    fingerprint: &str,
    make: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<PathBuf, Failure> {
    let folder = tools::folder().join("packages").join(name);
    let stamp = folder.join(".made-from");
    if fs::read_to_string(&stamp).is_ok_and(|made| made == fingerprint) {
        return Ok(folder);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    make(&folder)?;
    fs::write(stamp, fingerprint)?;
    Ok(folder)
}

/// Copies a folder's files whose names are wanted, without the folders inside of it.
pub(crate) fn copy_folder(
    from: &Path,
    to: &Path,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<(), Failure> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_file() && is_wanted(&name.to_string_lossy()) {
            fs::copy(entry.path(), to.join(&name))?;
        }
    }
    Ok(())
}

/// The one file in a folder whose name ends so.
pub(crate) fn file_in(folder: &Path, end: &str) -> Result<PathBuf, Failure> {
    let entries = fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.path());
    let mut found = entries.filter(|path| path.to_string_lossy().ends_with(end));
    let none = || Failure::new(format!("no file {end} in {}", folder.display()));
    found.next().ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_follow_the_sources() {
        let python = fingerprint(&["bindings/python"]).expect("git lists the files");
        assert_eq!(fingerprint(&["bindings/python"]).expect("again"), python);
        assert_ne!(fingerprint(&["bindings/node"]).expect("another folder"), python);
    }

    #[test]
    fn tests_are_no_sources() {
        assert!(is_for_tests("bindings/node/test/a.mjs"));
        assert!(!is_for_tests("bindings/testing/python/ottla_testing/__init__.py"));
    }
}
