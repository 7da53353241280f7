//! `ottla-book`: makes the pages, looks at the finished site; makes vectors out of others.

use ottla_book::source::Source;
use ottla_book::{captures, links, negative, pages};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: ottla-book pages FOLDER      the book's source, for mdBook, into a folder
       ottla-book links FOLDER      whether every link of the finished site leads somewhere
       ottla-book negative FILE     the negative vectors, their last column as it was
       ottla-book captures FILE WHO=REPORT...
                                    frames out of reports of the conformance suite";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match &arguments[..] {
        [command, path] if command == "pages" => write_pages(Path::new(path)),
        [command, path] if command == "links" => check_links(Path::new(path)),
        [command, path] if command == "negative" => write_negative(Path::new(path)),
        [command, path, reports @ ..] if command == "captures" => {
            write_captures(Path::new(path), reports)
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ottla-book: {error}");
            ExitCode::FAILURE
        }
    }
}

fn source() -> io::Result<Source> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    Source::read(&root)
}

fn write_pages(folder: &Path) -> io::Result<()> {
    let parts = pages::all(&source()?)?;
    let count = pages::write(&parts, folder)?;
    println!("{count} pages");
    Ok(())
}

/// Fails where a link leads nowhere, or where a page of the list was not made.
fn check_links(site: &Path) -> io::Result<()> {
    let parts = pages::all(&source()?)?;
    let mut found = links::check(site)?;
    for page in parts.iter().flat_map(|part| &part.pages) {
        if !site.join(format!("{}.html", page.path)).exists() {
            found.broken.push(format!("{}: the page is missing", page.path));
        }
    }
    println!("{} pages, {} links", found.pages, found.links);
    if found.broken.is_empty() {
        return Ok(());
    }
    let shown = found.broken.iter().take(30).cloned().collect::<Vec<_>>().join("\n  ");
    Err(io::Error::other(format!("{} links are broken:\n  {shown}", found.broken.len())))
}

fn write_negative(file: &Path) -> io::Result<()> {
    let count = negative::write(&source()?, file)?;
    println!("{count} rows");
    Ok(())
}

fn write_captures(file: &Path, reports: &[String]) -> io::Result<()> {
    let count = captures::write(file, reports)?;
    println!("{count} frames");
    Ok(())
}
