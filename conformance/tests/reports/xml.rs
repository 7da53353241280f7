//! Whether a page is well-formed, what it names and what it points to.

use std::collections::BTreeSet;

/// What a page has.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Every `id`.
    pub(super) ids: BTreeSet<String>,
    /// Every `href`.
    pub(super) links: Vec<String>,
    /// Every name of an element, in order.
    pub(super) elements: Vec<String>,
}

/// Reads a page: elements are closed in order, attributes are in quotes, ids are given once, and
/// `<` and `&` mean what they say.
pub(super) fn read(text: &str) -> Result<Page, String> {
    let mut page = Page::default();
    let mut open: Vec<String> = Vec::new();
    let mut rest = text.strip_prefix("<!DOCTYPE html>").ok_or("no doctype")?;
    while let Some(at) = rest.find('<') {
        references(&rest[..at])?;
        rest = &rest[at + 1..];
        let end = rest.find('>').ok_or("an element without end")?;
        let (tag, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            let last = open.pop().ok_or_else(|| format!("</{name}> closes nothing"))?;
            if last != name {
                return Err(format!("</{name}> closes <{last}>, before {:.80}", rest));
            }
            continue;
        }
        let (tag, is_closed) = match tag.strip_suffix('/') {
            Some(tag) => (tag, true),
            None => (tag, false),
        };
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(format!("<{tag}> is no element"));
        }
        page.attributes(attributes).map_err(|error| format!("<{tag}>: {error}"))?;
        page.elements.push(name.to_owned());
        if is_closed {
            continue;
        }
        if matches!(name, "style" | "script") {
            let end = format!("</{name}>");
            let at = rest.find(&end).ok_or("raw text without end")?;
            rest = &rest[at + end.len()..];
            continue;
        }
        open.push(name.to_owned());
    }
    references(rest)?;
    if open.is_empty() { Ok(page) } else { Err(format!("{open:?} are not closed")) }
}

impl Page {
    fn attributes(&mut self, mut text: &str) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        loop {
            text = text.trim_start();
            if text.is_empty() {
                return Ok(());
            }
            let (name, rest) = text.split_once("=\"").ok_or("an attribute without quotes")?;
            let (value, rest) = rest.split_once('"').ok_or("a quote without end")?;
            text = rest;
            references(value)?;
            if !seen.insert(name.to_owned()) {
                return Err(format!("{name} twice"));
            }
            if name.starts_with("on") || name == "src" || name == "style" {
                return Err(format!("the attribute {name}"));
            }
            match name {
                "id" if !self.ids.insert(value.to_owned()) => {
                    return Err(format!("the id {value} is given twice"));
                }
                "href" => self.links.push(value.to_owned()),
                _ => {}
            }
        }
    }
}

/// Every `&` begins a reference that XML knows, and nothing is left that it cannot hold.
fn references(text: &str) -> Result<(), String> {
    for (at, _) in text.match_indices('&') {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
        if !known.iter().any(|reference| text[at..].starts_with(reference)) {
            return Err(format!("a bare & in {:.40}", &text[at..]));
        }
    }
    match text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        Some(letter) => Err(format!("the character {letter:?}")),
        None => Ok(()),
    }
}

#[test]
fn broken_pages_are_refused() {
    for (text, part) in [
        ("<p>a</p>", "no doctype"),
        ("<!DOCTYPE html><p>a", "not closed"),
        ("<!DOCTYPE html><p><b>a</p></b>", "closes <b>"),
        ("<!DOCTYPE html><p class=a>a</p>", "without quotes"),
        ("<!DOCTYPE html><p>a & b</p>", "a bare &"),
        ("<!DOCTYPE html><p>a\u{1b}b</p>", "the character"),
        ("<!DOCTYPE html><p id=\"a\" onclick=\"x\">a</p>", "onclick"),
        ("<!DOCTYPE html><p id=\"a\"><b id=\"a\"/></p>", "given twice"),
    ] {
        let error = read(text).expect_err(text);
        assert!(error.contains(part), "{text}: {error}");
    }
    assert!(read("<!DOCTYPE html>\n<p id=\"a\">1 &lt; 2<br/></p>\n").is_ok());
}
