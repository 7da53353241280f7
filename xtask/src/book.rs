//! `cargo xtask book`: the specification as a site with search, into `target/book/site`.

use std::path::PathBuf;
use std::process::Command;

use crate::task::{self, Failure, cargo, root, run_quietly};
use crate::tools;

/// The mdBook that makes the site; docs/decisions/0008 says why this generator.
const MDBOOK: &str = "0.5.4";

/// Makes the pages, then the site, then looks at its links.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    if !arguments.is_empty() {
        return Err(Failure::new("book takes no arguments"));
    }
    let mdbook = mdbook()?;
    let folder = root().join("target/book");
    task::step("write the pages", "from the schemas, statements and vectors", || {
        book(&["pages", &folder.display().to_string()])
    })?;
    task::step("build the site", "", || {
        run_quietly(Command::new(mdbook).arg("build").arg(&folder)).map(drop)
    })?;
    let site = folder.join("site");
    task::step("look at its links", "", || book(&["links", &site.display().to_string()]))?;
    println!("{}", site.join("index.html").display());
    Ok(())
}

fn book(arguments: &[&str]) -> Result<(), Failure> {
    let mut command = cargo();
    task::run(command.args(["run", "--quiet", "-p", "ottla-book", "--"]).args(arguments))
}

/// mdBook, into `.tools/cargo` where it is missing or another one.
fn mdbook() -> Result<PathBuf, Failure> {
    let place = tools::folder().join("cargo");
    let program = place.join("bin/mdbook");
    let is_it = |text: String| text.trim() == format!("mdbook v{MDBOOK}");
    if run_quietly(Command::new(&program).arg("--version")).is_ok_and(is_it) {
        return Ok(program);
    }
    let why = "it makes the site, with its search; built in two minutes, into .tools/";
    task::step(&format!("cargo install mdbook {MDBOOK}"), why, || {
        let mut install = cargo();
        install.args(["install", "mdbook", "--locked", "--force", "--version"]);
        install.arg(format!("={MDBOOK}"));
        // Neither its web server nor its watcher are needed: half of what it would build.
        install.args(["--no-default-features", "--features", "search", "--root"]);
        run_quietly(install.arg(&place)).map(drop)
    })?;
    Ok(program)
}
