//! The shims of `conformance/shims`: what each needs, and how it is started.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::bench::languages::swift_program;
use crate::packages;
use crate::packages::python::{interpreter, pip, suite, wheels};
use crate::programs::program;
use crate::task::{self, Failure, cargo, root, run_quietly};
use crate::tools;

/// The Apache Kafka whose client the Java shim is.
pub(super) const KAFKA_VERSION: &str = "4.3.1";

/// A shim, by its `shim.toml`.
pub(super) struct Shim {
    /// The name of its folder.
    pub(super) name: String,
    /// What reports call the client.
    pub(super) title: String,
    needs: Needs,
    run: String,
}

/// A file `shim.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShimFile {
    title: String,
    needs: Needs,
    /// The command, from the project's folder.
    run: String,
    /// What is there when it is installed; for the tests.
    #[serde(rename = "files")]
    _files: Vec<String>,
}

/// What is built or installed for a shim.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Needs {
    /// Our crate.
    Rust,
    /// Our wheel.
    Python,
    /// Our npm package.
    Node,
    /// Our Swift package.
    Swift,
    /// Other people's Python packages.
    PythonClients,
    /// Other people's npm packages.
    NodeClients,
    Go,
    Java,
}

/// The names of all shims, or of the one that is asked for.
pub(super) fn named(name: &str) -> Result<Vec<Shim>, Failure> {
    let folder = root().join("conformance/shims");
    let entries = fs::read_dir(&folder)?.flatten().map(|entry| entry.path());
    let mut shims = Vec::new();
    for path in entries.filter(|path| path.join("shim.toml").exists()) {
        shims.push(read(&path)?);
    }
    shims.sort_by(|left, right| left.name.cmp(&right.name));
    if name == "all" {
        return Ok(shims);
    }
    let names: Vec<String> = shims.iter().map(|shim| shim.name.clone()).collect();
    let found = shims.into_iter().find(|shim| shim.name == name);
    let none = || {
        let names = names.join(", ");
        Failure::new(format!("no shim is named {name}: there are {names}, or all"))
    };
    Ok(vec![found.ok_or_else(none)?])
}

fn read(folder: &Path) -> Result<Shim, Failure> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let text = fs::read_to_string(folder.join("shim.toml"))?;
    let file: ShimFile = toml::from_str(&text)
        .map_err(|error| Failure::new(format!("conformance/shims/{name}/shim.toml: {error}")))?;
    Ok(Shim { name, title: file.title, needs: file.needs, run: file.run })
}

impl Shim {
    /// The command, to be run from the project's folder.
    pub(super) fn command(&self) -> String {
        // Cargo may put programs elsewhere.
        match self.run.strip_prefix("target/debug/") {
            Some(name) => program("debug", name).display().to_string(),
            None => self.run.clone(),
        }
    }

    /// Builds it, and installs what it needs.
    pub(super) fn install(&self) -> Result<(), Failure> {
        let why = "what its client needs; into .tools/ and target/";
        task::step(&format!("install the shim {}", self.name), why, || match self.needs {
            Needs::Rust => task::run(cargo().args(["build", "--quiet", "-p", "ottla-shim"])),
            Needs::Python => python(),
            Needs::Node => node(),
            Needs::Swift => swift(),
            Needs::PythonClients => tools::programs().and_then(|()| tools::python()),
            Needs::NodeClients => tools::programs().and_then(|()| tools::node()),
            Needs::Go => go(),
            Needs::Java => java(),
        })
    }
}

fn folder() -> Result<PathBuf, Failure> {
    let folder = tools::folder().join("shims");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The wheel, in the environment in which it is tested.
fn python() -> Result<(), Failure> {
    let python = interpreter(&suite()?);
    let [wheel, _] = wheels()?;
    run_quietly(pip(&python).args(["--force-reinstall", "--no-deps", "--no-index"]).arg(wheel))
        .map(drop)
}

fn node() -> Result<(), Failure> {
    run_quietly(cargo().args(["build", "--release", "--locked", "-p", "ottla-node"]))?;
    packages::node::build()
}

fn swift() -> Result<(), Failure> {
    let (package, folder) =
        (root().join("conformance/shims/swift/driver"), folder()?.join("swift"));
    fs::create_dir_all(&folder)?;
    let driver = swift_program(&package, "ottla-shim-swift", &folder)?;
    // The package does not tell its version.
    let (version, script) = (env!("CARGO_PKG_VERSION"), folder.join("shim"));
    let text = format!(
        "#!/bin/sh\nexport OTTLA_SHIM_VERSION={version}\nexec '{}' \"$@\"\n",
        driver.display()
    );
    fs::write(&script, text)?;
    Ok(fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?)
}

fn go() -> Result<(), Failure> {
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(folder()?.join("franz-go")).arg(".");
    run_quietly(go.current_dir(root().join("conformance/shims/franz-go")))
        .map(drop)
        .map_err(|failure| Failure::new(format!("{failure} (it takes Go 1.26 or newer)")))
}

/// Compiles the Java shim; the jars are those of the broker that tests start.
pub(crate) fn java() -> Result<(), Failure> {
    tools::programs()?;
    tools::kafka()?;
    let jars = tools::folder().join("kafka").join(KAFKA_VERSION).join("libs/*");
    let mut javac = Command::new("javac");
    javac.args(["-J-XX:TieredStopAtLevel=1", "-nowarn", "-cp"]).arg(jars);
    javac.arg("-d").arg(folder()?.join("java")).arg("conformance/shims/java/Shim.java");
    run_quietly(javac.current_dir(root())).map(drop)
}
