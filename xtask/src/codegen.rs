//! `cargo xtask codegen [--check]`: the message modules from the schemas.

use ottla_codegen::{Library, emit_rust};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Generates `protocol/src/messages` and `protocol/src/error_code.rs` from `protocol/schemas`.
///
/// With `check` nothing is written; a file that differs, lacks or is left over is an error that
/// names the command which puts it right.
pub(crate) fn run(root: &Path, check: bool) -> Result<(), String> {
    let schemas = root.join("protocol/schemas");
    let library = Library::read(&schemas)
        .map_err(|error| format!("cannot read {}: {error}", schemas.display()))?
        .map_err(|findings| {
            let shown: Vec<String> = findings.iter().map(ToString::to_string).collect();
            format!("{}\n{} errors in protocol/schemas", shown.join("\n\n"), findings.len())
        })?;
    let outputs = emit_rust::emit(&library, root).map_err(|error| error.to_string())?;
    let sources = root.join("protocol/src");
    let mut stale = Vec::new();
    for output in &outputs {
        let path = sources.join(&output.path);
        if fs::read_to_string(&path).ok().as_deref() != Some(&*output.text) {
            stale.push((path, Some(&output.text)));
        }
    }
    let kept: Vec<PathBuf> = outputs.iter().map(|output| sources.join(&output.path)).collect();
    for path in left_over(&sources.join("messages"), &kept).map_err(|error| error.to_string())? {
        stale.push((path, None));
    }
    if check && !stale.is_empty() {
        let names: Vec<String> =
            stale.iter().map(|(path, _)| format!("  {}", relative(root, path))).collect();
        return Err(format!(
            "generated files do not match protocol/schemas, run `cargo xtask codegen`:\n{}",
            names.join("\n")
        ));
    }
    for (path, text) in &stale {
        let done = match text {
            Some(text) => write(path, text),
            None => fs::remove_file(path),
        };
        done.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        println!(
            "codegen: {} {}",
            if text.is_some() { "wrote" } else { "removed" },
            relative(root, path)
        );
    }
    println!("codegen: {} files are up to date", outputs.len());
    Ok(())
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}

/// Files in the folder that no schema makes any more.
fn left_over(folder: &Path, kept: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if !kept.contains(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
