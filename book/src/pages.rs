//! All pages, their order, and the settings of mdBook.

use crate::source::Source;
use crate::{api, changes, document, errors, headers, records, statements};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

const STYLE: &str = include_str!("../theme/book.css");
const SETTINGS: &str = include_str!("../theme/book.toml");

/// A page.
#[derive(Debug, Clone)]
pub struct Page {
    /// Where it stands, without suffix: `apis/fetch`.
    pub path: String,
    /// What the list of pages calls it.
    pub title: String,
    /// Markdown.
    pub text: String,
}

impl Page {
    pub(crate) fn new(path: &str, title: &str, text: String) -> Self {
        Self { path: path.to_owned(), title: title.to_owned(), text }
    }
}

/// Pages under a heading of the list.
#[derive(Debug)]
pub struct Part {
    /// The heading; empty for the first pages.
    pub title: &'static str,
    /// The pages. The first is above the others, if `is_tree`.
    pub pages: Vec<Page>,
    /// Whether the first page holds the others.
    pub is_tree: bool,
}

/// Every page, in the order in which they are read.
///
/// # Errors
///
/// When a document of the project cannot be read.
pub fn all(source: &Source) -> io::Result<Vec<Part>> {
    let mut documents = document::pages(source)?;
    let mut take = |names: &[&'static str]| -> Vec<Page> {
        names.iter().filter_map(|name| documents.remove(*name)).collect()
    };
    let introduction = take(&["introduction"]);
    let mut language = take(&["grammar", "by-hand", "abnf", "batches", "legacy"]);
    language.extend([headers::page(source), errors::page(source)]);
    let mut conduct = take(&["statements"]);
    for page in &mut conduct {
        page.text.push_str(&statements::counts());
    }
    conduct.extend(statements::pages(source));
    let mut apis = vec![api::index(source)];
    apis.extend(api::pages(source));
    let data = take(&["vectors", "export"]);
    let part = |title, pages, is_tree| Part { title, pages, is_tree };
    Ok(vec![
        part("", introduction, false),
        part("The bytes", language, false),
        part("APIs", apis, true),
        part("Stored records and nested messages", records::pages(source), false),
        part("Conduct", conduct, true),
        part("Releases", changes::pages(source), true),
        part("For authors of codecs", data, false),
    ])
}

/// The list of pages, as mdBook wants it.
pub fn summary(parts: &[Part]) -> String {
    let mut out = "# Summary\n\n".to_owned();
    for part in parts {
        // A String takes everything, here and below.
        if !part.title.is_empty() {
            let _ = writeln!(out, "\n# {}\n", part.title);
        }
        for (index, page) in part.pages.iter().enumerate() {
            let start = match (part.title, part.is_tree && index > 0) {
                ("", _) => "",
                (_, true) => "  - ",
                (_, false) => "- ",
            };
            let _ = writeln!(out, "{start}[{}]({}.md)", page.title, page.path);
        }
    }
    out
}

/// Writes the book's source into a folder, and takes away what is there and no page of it.
///
/// # Errors
///
/// When the folder cannot be written.
pub fn write(parts: &[Part], folder: &Path) -> io::Result<usize> {
    let source = folder.join("src");
    if source.exists() {
        fs::remove_dir_all(&source)?;
    }
    fs::create_dir_all(&source)?;
    fs::write(folder.join("book.toml"), SETTINGS)?;
    fs::write(folder.join("book.css"), STYLE)?;
    fs::write(source.join("SUMMARY.md"), summary(parts))?;
    let mut paths = BTreeSet::new();
    for page in parts.iter().flat_map(|part| &part.pages) {
        let path = source.join(format!("{}.md", page.path));
        if !paths.insert(path.clone()) {
            return Err(io::Error::other(format!("two pages are at {}", page.path)));
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, &page.text)?;
    }
    Ok(paths.len())
}
