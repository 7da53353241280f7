//! Whether every link of the finished site leads to a page, and to a place on it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// What a look at the site found.
#[derive(Debug, Default)]
pub struct Found {
    /// How many pages were read.
    pub pages: usize,
    /// How many links lead to places of the site.
    pub links: usize,
    /// What is wrong: the page, the link, why.
    pub broken: Vec<String>,
}

/// Reads every page of the site.
///
/// A link to another host is fine where a reader follows it; a page that loads something from one
/// is not.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn check(site: &Path) -> io::Result<Found> {
    let mut pages = BTreeMap::new();
    collect(site, &mut pages)?;
    let mut found = Found { pages: pages.len(), ..Found::default() };
    let anchors: BTreeMap<&PathBuf, BTreeSet<String>> = pages
        .iter()
        .map(|(path, text)| (path, values(text, "id").map(|(_, id)| id).collect()))
        .collect();
    for (path, text) in &pages {
        let shown = path.strip_prefix(site).unwrap_or(path).display();
        let ids: Vec<String> = values(text, "id").map(|(_, id)| id).collect();
        if ids.len() > anchors[path].len() {
            let twice = ids.iter().find(|id| ids.iter().filter(|other| other == id).count() > 1);
            found
                .broken
                .push(format!("{shown}: two places are named #{}", twice.map_or("", |t| t)));
        }
        for (tag, target) in values(text, "href").chain(values(text, "src")) {
            if let Some(why) = broken(site, path, tag, &target, &anchors) {
                found.broken.push(format!("{shown}: {target}: {why}"));
            }
            found.links += usize::from(!is_elsewhere(&target));
        }
    }
    Ok(found)
}

fn collect(folder: &Path, pages: &mut BTreeMap<PathBuf, String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, pages)?;
        } else if path.extension().is_some_and(|extension| extension == "html") {
            pages.insert(path.clone(), fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

/// The values of an attribute, each with the name of its tag.
fn values<'a>(text: &'a str, attribute: &'a str) -> impl Iterator<Item = (&'a str, String)> {
    text.split('<').skip(1).filter_map(move |piece| {
        let name = piece.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        let inside = &piece[..end_of_tag(piece)];
        let start = format!(" {attribute}=\"");
        let at = inside.find(&start)? + start.len();
        let end = at + inside[at..].find('"')?;
        Some((name, inside[at..end].replace("&amp;", "&")))
    })
}

/// Where a tag ends: `>` may stand within quotes.
fn end_of_tag(piece: &str) -> usize {
    let mut in_quotes = false;
    for (at, byte) in piece.bytes().enumerate() {
        match byte {
            b'"' => in_quotes = !in_quotes,
            b'>' if !in_quotes => return at,
            _ => {}
        }
    }
    piece.len()
}

fn is_elsewhere(target: &str) -> bool {
    target.contains("://") || target.starts_with("//") || target.starts_with("mailto:")
}

/// Why a link leads nowhere; none where it is right.
fn broken(
    site: &Path,
    page: &Path,
    tag: &str,
    target: &str,
    anchors: &BTreeMap<&PathBuf, BTreeSet<String>>,
) -> Option<String> {
    if is_elsewhere(target) {
        return (tag != "a").then(|| format!("a {tag} that is loaded from another host"));
    }
    let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
    let mut to = page.to_owned();
    if !path.is_empty() {
        to.pop();
        for part in path.split('/') {
            match part {
                ".." => {
                    to.pop();
                }
                "." | "" => {}
                part => to.push(part),
            }
        }
    }
    if !to.starts_with(site) {
        return Some("it leaves the site".to_owned());
    }
    if to.is_dir() {
        return Some("a folder, which opens no page from a disk".to_owned());
    }
    if !to.exists() {
        return Some("no such page".to_owned());
    }
    let known = anchors.get(&to)?;
    (!fragment.is_empty() && !known.contains(fragment)).then(|| "no such place".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found on a page of this text, beside one at `sub/other.html` with a place `here`.
    fn found(text: &str) -> Vec<String> {
        static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("ottla-book-links-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(folder.join("sub")).expect("a folder for the test");
        fs::write(folder.join("page.html"), text).expect("written");
        fs::write(folder.join("sub/other.html"), "<p id=\"here\">x</p>").expect("written");
        fs::write(folder.join("style.css"), "").expect("written");
        let found = check(&folder).expect("a site");
        fs::remove_dir_all(folder).expect("removed");
        found.broken
    }

    #[test]
    fn good_links_are_good() {
        let text = "<link href=\"style.css\"><a class=\"x\" href=\"sub/other.html#here\">a</a>\
            <h1 id=\"top\">t</h1><a href=\"#top\">b</a><a href=\"https://kafka.apache.org\">c</a>";
        assert_eq!(found(text), Vec::<String>::new());
    }

    #[test]
    fn bad_links_are_found() {
        for (text, expected) in [
            ("<a href=\"no.html\">", "no such page"),
            ("<a href=\"sub/other.html#there\">", "no such place"),
            ("<a href=\"#nowhere\">", "no such place"),
            ("<a href=\"../page.html\">", "it leaves the site"),
            ("<a href=\"sub/\">", "a folder"),
            ("<script src=\"https://cdn.example/x.js\"></script>", "another host"),
            ("<link href=\"//cdn.example/x.css\">", "another host"),
            ("<p id=\"a\"></p><p id=\"a\"></p>", "two places are named #a"),
        ] {
            let found = found(text).join("\n");
            assert!(found.contains(expected), "{text}: {found:?}");
        }
    }
}
