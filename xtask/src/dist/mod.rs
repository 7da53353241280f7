//! `cargo xtask dist`: the packages as they are published, and the proof that they work where
//! neither Rust nor a network is.

mod build;
mod content;
mod node;
mod platform;
mod python;
mod room;
mod swift;

use std::fs;
use std::path::{Path, PathBuf};

use crate::programs::program;
use crate::task::{self, Failure, run_quietly};
use platform::{PLATFORMS, Platform};

/// The version of every package.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where packages and what they are made of lie.
struct Dist {
    /// The packages, and nothing else.
    packages: PathBuf,
    /// What is built on the way.
    work: PathBuf,
    platform: &'static Platform,
}

impl Dist {
    fn new(platform: &'static Platform) -> Self {
        let folder = program("release", "x").ancestors().nth(2).map(Path::to_owned);
        let folder = folder.expect("cargo's target folder has a folder per profile").join("dist");
        Self { packages: folder.clone(), work: folder.join("work"), platform }
    }

    /// An empty folder to work in.
    fn fresh(&self, name: &str) -> Result<PathBuf, Failure> {
        let folder = self.work.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// The published files, by name.
    fn files(&self) -> Result<Vec<PathBuf>, Failure> {
        let entries = fs::read_dir(&self.packages)
            .map_err(|_| Failure::new("target/dist is empty: run `cargo xtask dist` first"))?;
        let mut files: Vec<PathBuf> =
            entries.filter_map(Result::ok).map(|e| e.path()).filter(|p| p.is_file()).collect();
        files.sort();
        Ok(files)
    }

    /// The published file whose name begins and ends so.
    fn file(&self, start: &str, end: &str) -> Result<PathBuf, Failure> {
        let named = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with(start) && name.ends_with(end)
        };
        let none = || Failure::new(format!("target/dist has no {start}*{end}"));
        self.files()?.into_iter().find(named).ok_or_else(none)
    }
}

/// Builds all packages and checks them; with `--check` only checks those that are there, with
/// `--platform NAME` builds for another platform what can be built for it.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (platform, builds) = match arguments[..] {
        [] => (&PLATFORMS[0], true),
        ["--check"] => (&PLATFORMS[0], false),
        ["--platform", name] => {
            let names = PLATFORMS.map(|platform| platform.name).join(", ");
            let unknown = || Failure::new(format!("--platform takes one of {names}"));
            (Platform::named(name).ok_or_else(unknown)?, true)
        }
        _ => return Err(Failure::new("dist takes --check, --platform NAME or nothing")),
    };
    let dist = Dist::new(platform);
    if builds {
        build_all(&dist)?;
    }
    let mut failed = Vec::new();
    let mut check = |what: &'static str, why: &str, work: &dyn Fn() -> Result<(), Failure>| {
        if let Err(failure) = task::step(what, why, work) {
            println!("    {failure}");
            failed.push(what);
        }
    };
    check("content", "C library, paths, licences", &|| content::check(&dist));
    check("metadata of the wheels", "twine", &|| python::check_metadata(&dist));
    check("metadata of the npm packages", "their files", &|| node::check_metadata(&dist));
    if platform.is_tried_out() {
        let room = room::Room::new(&dist)?;
        check("Python in a clean room", room::WHY, &|| python::try_out(&room));
        check("Node in a clean room", room::WHY, &|| node::try_out(&dist, &room));
        check("Swift in a clean room", room::WHY, &|| swift::try_out(&dist, &room));
    }
    sizes(&dist)?;
    match failed[..] {
        [] => Ok(()),
        _ => Err(Failure::new(format!("these checks failed: {}", failed.join(", ")))),
    }
}

fn build_all(dist: &Dist) -> Result<(), Failure> {
    for file in dist.files().unwrap_or_default() {
        fs::remove_file(file)?;
    }
    fs::create_dir_all(&dist.packages)?;
    let why = "release mode; some minutes the first time";
    let native = task::step("native libraries and the broker", why, || build::native(dist))?;
    task::step("Python packages", "maturin", || python::pack(dist))?;
    task::step("npm packages", "npm pack", || node::pack(dist, &native))?;
    if dist.platform.npm.0 == "win32" {
        println!(
            "    no Swift package: its C library is loaded by pkg-config, which Windows has not"
        );
        return Ok(());
    }
    task::step("Swift package", "", || swift::pack(dist, &native))
}

/// Prints what came out.
fn sizes(dist: &Dist) -> Result<(), Failure> {
    println!("\n{:>10}  target/dist", "KiB");
    for file in dist.files()? {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        println!("{:>10.0}  {name}", fs::metadata(&file)?.len() as f64 / 1024.0);
    }
    Ok(())
}

/// Unpacks a `.tgz`, `.tar.gz`, `.whl` or `.crate` into a folder.
fn unpack(archive: &Path, into: &Path) -> Result<(), Failure> {
    fs::create_dir_all(into)?;
    let is_zip = archive.extension().is_some_and(|extension| extension == "whl");
    let mut command = std::process::Command::new(if is_zip { "python3" } else { "tar" });
    if is_zip {
        command.args(["-m", "zipfile", "-e"]).arg(archive).arg(into);
    } else {
        command.arg("-xzf").arg(archive).arg("-C").arg(into);
    }
    run_quietly(&mut command).map(drop)
}

/// The first code block of a language in a Markdown text.
fn first_block(markdown: &str, languages: &[&str]) -> Option<String> {
    let mut lines = markdown.lines();
    lines.find(|line| {
        line.strip_prefix("```").is_some_and(|language| languages.contains(&language.trim()))
    })?;
    let block: Vec<&str> = lines.take_while(|line| !line.starts_with("```")).collect();
    Some(block.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_block_of_a_language_is_found() {
        let text = "# A\n```sh\npip\n```\nx\n```python\nimport a\nb()\n```\n```python\nc\n```\n";
        assert_eq!(first_block(text, &["python"]).as_deref(), Some("import a\nb()\n"));
        assert_eq!(first_block(text, &["js", "mjs"]), None);
    }
}
