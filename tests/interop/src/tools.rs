//! Where the tools are: named by the environment that `cargo xtask test` sets, else where it puts
//! them.

use std::collections::BTreeSet;
use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Says that the running test found its tools missing, past libtest's capture of `println!`. The
/// line is what `cargo xtask test` counts.
pub fn skip(reason: &str) {
    static SKIPPED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    // A test that misses two tools is one test.
    if !SKIPPED.lock().expect("no holder panics").insert(name.to_owned()) {
        return;
    }
    let line = format!("\nottla-skip: {name}: {reason}\n");
    // A closed standard output ends the run by itself.
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this crate lies two folders deep").to_owned()
}

/// A path from the environment, or one inside the workspace; none if nothing is there.
pub(crate) fn path(variable: &str, otherwise: &str) -> Option<PathBuf> {
    let path = env::var_os(variable).map_or_else(|| root().join(otherwise), PathBuf::from);
    if path.exists() {
        return Some(path);
    }
    skip(&format!("{} is missing: cargo xtask test makes it", path.display()));
    None
}

/// The script that installs and starts Apache Kafka, and where it keeps a version's jars.
pub(crate) fn apache_kafka(version: &str) -> Option<(PathBuf, PathBuf)> {
    let cache =
        env::var_os("KAFKA_CACHE").map_or_else(|| root().join(".tools/kafka"), PathBuf::from);
    if cache.join(version).join(".complete").exists() {
        return Some((root().join("scripts/apache-kafka.sh"), cache));
    }
    skip(&format!("Apache Kafka {version} is not in {}", cache.display()));
    None
}
