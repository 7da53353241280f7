//! Puts all files of `protocol/statements` into the binary: one static program, one spec.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/statements");
    println!("cargo::rerun-if-changed={}", folder.display());
    let entries = fs::read_dir(&folder).expect("the statements are part of the project");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let mut list = String::from("&[\n");
    for path in &paths {
        let stem = path.file_stem().expect("a file has a name").to_string_lossy();
        let text = fs::canonicalize(path).expect("it was just listed");
        writeln!(list, "    ({stem:?}, include_str!({:?})),", text.display().to_string())
            .expect("a String takes everything");
    }
    list.push(']');
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("statements.rs"), list).expect("cargo's folder is writable");
}
