//! Puts all files of `protocol/statements` and `protocol/schemas` into the binary: one static
//! program, one spec.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    let mut statements = List::default();
    statements.add("statements", "toml", |stem| stem.to_owned());
    statements.write("statements.rs");
    let mut schemas = List::default();
    schemas.add("schemas", "schema", |stem| format!("{stem}.schema"));
    schemas.add("schemas/records", "schema", |stem| format!("records/{stem}.schema"));
    schemas.write("schemas.rs");
}

/// Names and texts, as a Rust expression.
#[derive(Default)]
struct List(String);

impl List {
    /// All files of a folder of `protocol` with this extension, called by their stems.
    fn add(&mut self, folder: &str, extension: &str, name: impl Fn(&str) -> String) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol").join(folder);
        println!("cargo::rerun-if-changed={}", folder.display());
        let entries = fs::read_dir(&folder).expect("the folder is part of the project");
        let mut paths: Vec<_> =
            entries.map(|entry| entry.expect("a readable folder").path()).collect();
        paths.retain(|path| path.extension().is_some_and(|found| found == extension));
        paths.sort();
        for path in &paths {
            let stem = path.file_stem().expect("a file has a name").to_string_lossy();
            let text = fs::canonicalize(path).expect("it was just listed");
            let (name, text) = (name(&stem), text.display().to_string());
            writeln!(self.0, "    ({name:?}, include_str!({text:?})),")
                .expect("a String takes everything");
        }
    }

    fn write(&self, file: &str) {
        let out = env::var_os("OUT_DIR").expect("cargo sets it");
        let text = format!("&[\n{}]", self.0);
        fs::write(Path::new(&out).join(file), text).expect("cargo's folder is writable");
    }
}
