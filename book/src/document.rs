//! The project's own documents as pages: their links lead to pages, or are left out where the book
//! has none.

use crate::pages::Page;
use crate::source::{Source, api_page};
use std::collections::BTreeMap;
use std::io;

/// A document, and the page that it becomes.
struct Document {
    file: &'static str,
    page: &'static str,
    title: &'static str,
}

const DOCUMENTS: [Document; 9] = [
    Document { file: "README.md", page: "introduction", title: "The Kafka wire protocol" },
    Document { file: "schemas/GRAMMAR.md", page: "grammar", title: "The schema language" },
    Document { file: "schemas/BY_HAND.md", page: "by-hand", title: "A request by hand" },
    Document { file: "schemas/kafka.abnf", page: "abnf", title: "ABNF" },
    Document { file: "schemas/records/BATCH.md", page: "batches", title: "Record batches" },
    Document { file: "schemas/records/LEGACY.md", page: "legacy", title: "Message sets" },
    Document { file: "EXPORT.md", page: "export", title: "The export as JSON" },
    Document { file: "statements/README.md", page: "statements", title: "Statements" },
    Document { file: "vectors/README.md", page: "vectors", title: "Vectors" },
];

/// The pages of those documents that there are, by the page's name.
pub(crate) fn pages(source: &Source) -> io::Result<BTreeMap<&'static str, Page>> {
    let folder = source.root.join("protocol");
    let targets = targets(source);
    let mut pages = BTreeMap::new();
    for document in DOCUMENTS {
        let path = folder.join(document.file);
        if !path.exists() {
            continue;
        }
        let text = std::fs::read_to_string(path)?;
        let text = if document.file.ends_with(".abnf") {
            format!("# {}\n\n```text\n{text}```\n", document.title)
        } else {
            relinked(&text, document.file, &targets)
        };
        pages.insert(document.page, Page::new(document.page, document.title, text));
    }
    Ok(pages)
}

/// From files below `protocol` to pages.
fn targets(source: &Source) -> BTreeMap<String, String> {
    let mut targets = BTreeMap::new();
    for document in DOCUMENTS {
        if source.root.join("protocol").join(document.file).exists() {
            targets.insert(document.file.to_owned(), document.page.to_owned());
        }
    }
    for (schema, _) in source.library.apis() {
        targets.insert(format!("schemas/{}", schema.file), api_page(schema));
    }
    for schema in &source.library.schemas {
        if schema.file.starts_with("records/") {
            let page = format!("records/{}", schema.stem());
            targets.insert(format!("schemas/{}", schema.file), page);
        }
    }
    for page in ["headers", "errors"] {
        targets.insert(format!("schemas/{page}.schema"), page.to_owned());
    }
    targets
}

/// The text with its links led to pages. Code keeps its brackets.
fn relinked(text: &str, file: &str, targets: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            out.push_str(line);
        } else {
            relinked_line(&mut out, line, file, targets);
        }
        out.push('\n');
    }
    out
}

fn relinked_line(out: &mut String, line: &str, file: &str, targets: &BTreeMap<String, String>) {
    let mut rest = line;
    while let Some((before, words, target, after)) = link(rest) {
        out.push_str(before);
        match destination(target, file, targets) {
            Some(target) => {
                out.push_str(&format!("[{words}]({target})"));
            }
            None => out.push_str(words),
        }
        rest = after;
    }
    out.push_str(rest);
}

/// The first link of a line: what is before it, its words, its target, what is behind it.
fn link(line: &str) -> Option<(&str, &str, &str, &str)> {
    let middle = line.find("](")?;
    let start = line[..middle].rfind('[')?;
    let end = middle + line[middle..].find(')')?;
    Some((&line[..start], &line[start + 1..middle], &line[middle + 2..end], &line[end + 1..]))
}

/// Where a link leads in the book; none where it has no such page.
fn destination(target: &str, file: &str, targets: &BTreeMap<String, String>) -> Option<String> {
    if target.contains("://") || target.starts_with('#') {
        return Some(target.to_owned());
    }
    let (path, fragment) = match target.split_once('#') {
        Some((path, fragment)) => (path, format!("#{fragment}")),
        None => (target, String::new()),
    };
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    let page = targets.get(&parts.join("/"))?;
    Some(format!("{page}.md{fragment}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_pages_or_are_left_out() {
        let targets = BTreeMap::from([
            ("schemas/GRAMMAR.md".to_owned(), "grammar".to_owned()),
            ("schemas/03_metadata.schema".to_owned(), "apis/metadata".to_owned()),
        ]);
        for (file, line, expected) in [
            ("README.md", "[`a`](schemas/GRAMMAR.md), 1", "[`a`](grammar.md), 1"),
            ("README.md", "[a](schemas/GRAMMAR.md#4-meaning)", "[a](grammar.md#4-meaning)"),
            ("statements/README.md", "[a](../schemas/GRAMMAR.md)", "[a](grammar.md)"),
            ("schemas/GRAMMAR.md", "[m](03_metadata.schema) x", "[m](apis/metadata.md) x"),
            ("README.md", "see [b](../ARCHITECTURE.md) and [c](src/x.rs).", "see b and c."),
            ("README.md", "[d](#here) [e](https://x.org)", "[d](#here) [e](https://x.org)"),
            ("README.md", "no [link] (here)", "no [link] (here)"),
        ] {
            assert_eq!(relinked(line, file, &targets), format!("{expected}\n"));
        }
        let code = "```\n[a](b)\n```\n";
        assert_eq!(relinked(code, "README.md", &targets), code);
    }
}
