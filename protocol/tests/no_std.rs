//! The codec without compression needs `core` and `alloc` only: a program with an allocator and a
//! panic handler of its own links it, and runs.

use std::path::Path;
use std::process::Command;

#[test]
fn a_program_without_std_encodes_and_decodes() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("nostd-example");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nostd");
    let build = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--quiet", "--manifest-path"])
        .arg(example.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .output()
        .expect("cargo runs this test");
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    let program = target.join("debug/ottla-nostd-example");
    let run = Command::new(&program).status().expect("it was built");
    assert!(run.success(), "what was read is not what was written: {run}");
}
