//! The pages say all that the specification does.

use ottla_book::pages::{self, Page, Part};
use ottla_book::source::Source;
use ottla_codegen::ast::{Field, Message};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;

struct Book {
    source: Source,
    parts: Vec<Part>,
}

fn book() -> &'static Book {
    static BOOK: OnceLock<Book> = OnceLock::new();
    BOOK.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder of the project");
        let source = Source::read(root).expect("the specification");
        let parts = pages::all(&source).expect("the pages");
        Book { source, parts }
    })
}

fn by_path() -> BTreeMap<&'static str, &'static Page> {
    book()
        .parts
        .iter()
        .flat_map(|part| &part.pages)
        .map(|page| (page.path.as_str(), page))
        .collect()
}

/// The rows of a page's tables of fields: their anchors and cells.
fn rows(page: &Page) -> BTreeMap<String, Vec<String>> {
    let mut rows = BTreeMap::new();
    for row in page.text.lines().filter(|line| line.starts_with("<tr")) {
        let Some((_, id)) = row.split_once(" id=\"") else { continue };
        let id = id.split('"').next().unwrap_or_default();
        let cells = row.split("<td ").skip(1).map(|cell| {
            let cell = cell.split_once('>').map_or("", |(_, cell)| cell);
            cell.replace("</td>", "").replace("</tr>", "")
        });
        let before = rows.insert(id.to_owned(), cells.collect());
        assert_eq!(before, None, "{}: two rows are named {id}", page.path);
    }
    rows
}

#[test]
fn every_api_has_a_page_and_stands_in_the_list() {
    let pages = by_path();
    let summary = pages::summary(&book().parts);
    let mut count = 0;
    for (schema, api) in book().source.library.apis() {
        let path = format!("apis/{}", schema.stem());
        let page = pages.get(path.as_str()).unwrap_or_else(|| panic!("no page {path}"));
        assert_eq!(page.title, format!("{} {}", api.key.value, api.name.value));
        assert!(summary.contains(&format!("[{}]({path}.md)", page.title)), "{path}");
        for part in ["Versions", "Request", "Response", "Errors", "Statements", "Example"] {
            assert!(page.text.contains(&format!("\n## {part}\n")), "{path} lacks {part}");
        }
        for used in &api.errors {
            let link = format!("errors.html#{}\"", used.name.value.to_lowercase());
            assert!(page.text.contains(&link), "{path} lacks {}", used.name.value);
        }
        count += 1;
    }
    assert!(count >= 94, "{count} APIs");
    assert!(pages["introduction"].text.starts_with("# The Kafka wire protocol"));
}

/// Names of fields in the order in which they are written, each with its depth.
fn names(fields: &[Field], depth: usize, out: &mut Vec<(usize, String)>) {
    for field in fields {
        out.push((depth, field.name.value.clone()));
        names(&field.fields, depth + 1, out);
    }
}

fn holds_fields_of(page: &Page, message: &Message) {
    let mut wanted = Vec::new();
    names(&message.fields, 0, &mut wanted);
    for common in &message.structs {
        names(&common.fields, 0, &mut wanted);
    }
    let shown: Vec<(usize, String)> = page
        .text
        .lines()
        .filter(|line| line.starts_with("<tr") && line.contains(" id=\""))
        .filter_map(|line| {
            let (_, rest) = line.split_once("class=\"name\" style=\"--depth:")?;
            let (depth, rest) = rest.split_once("\">")?;
            Some((depth.parse().ok()?, rest.split_once('<')?.0.to_owned()))
        })
        .collect();
    let name = &message.name.value;
    let found = shown.windows(wanted.len().max(1)).any(|window| window == wanted);
    assert!(found || wanted.is_empty(), "{}: the fields of {name} are not there", page.path);
}

#[test]
fn tables_have_every_field_of_every_message() {
    let pages = by_path();
    let mut count = 0;
    for found in book().source.library.messages() {
        let stem = found.schema.stem();
        let path = match (found.api, stem) {
            (Some(_), _) => format!("apis/{stem}"),
            (None, "headers") => "headers".to_owned(),
            (None, _) => format!("records/{stem}"),
        };
        holds_fields_of(pages[path.as_str()], found.message);
        count += 1;
    }
    assert!(count >= 280, "{count} messages");
}

#[test]
fn a_row_says_what_the_schema_says() {
    let pages = by_path();
    let fetch = rows(pages["apis/fetch"]);
    let cluster = &fetch["request.clusterid"];
    assert!(cluster[0].ends_with(">ClusterId</span>"), "{cluster:?}");
    let others = &cluster[1..6];
    assert_eq!(others, ["<code>string</code>", "12+", "12+", "<code>null</code>", "0"]);
    assert!(cluster[6].contains("ignorable"), "{cluster:?}");
    let metadata = rows(pages["apis/metadata"]);
    // The request has no tags: the column is left out.
    assert_eq!(metadata["request.topics.topicid"].len(), 6);
    assert!(metadata["request.topics.topicid"][0].contains("--depth:1"));
    let secret = rows(pages["apis/sasl_authenticate"]);
    assert!(secret["request.authbytes"].join("").contains("mark sensitive"));
    let commit = rows(pages["apis/txn_offset_commit"]);
    let renamed = commit["request.generationidormemberepoch"].join("");
    assert!(renamed.contains("GenerationId before 4.4"), "{renamed}");
}

#[test]
fn versions_tell_their_releases() {
    let pages = by_path();
    let produce = rows(pages["apis/produce"]);
    let marks = |version: &str| -> String {
        let cell = |cell: &String| match (cell.contains('✓'), cell.contains("unstable")) {
            (true, _) => '+',
            (_, true) => 'u',
            _ => '-',
        };
        produce[version][1..7].iter().map(cell).collect()
    };
    assert_eq!(marks("v0"), "+-----");
    assert_eq!(marks("v3"), "++++++");
    assert_eq!(marks("v12"), "-+++++");
    assert_eq!(marks("v13"), "--++++");
    let init = rows(pages["apis/init_producer_id"]);
    assert!(init["v6"].join("").contains("unstable"));
    let changes = &pages["releases/4.0"].text;
    assert!(changes.contains("LeaderAndIsr") && changes.contains("It is gone."));
}

#[test]
fn errors_and_statements_are_all_there() {
    let pages = by_path();
    for (_, error) in book().source.library.errors() {
        let (name, code) = (&error.name.value, error.code.value);
        let start = format!(">{code}</td><td data-column=\"Error\">");
        let row = format!("{start}<h3 id=\"{}\">{name}</h3></td>", name.to_lowercase());
        assert!(pages["errors"].text.contains(&row), "{row}");
    }
    let of_core = rows(pages["statements/core"]);
    assert!(of_core["k-fetch-005"][1].contains("MUST"));
    let count: usize = pages
        .iter()
        .filter(|(path, _)| path.starts_with("statements/"))
        .map(|(_, page)| rows(page).len())
        .sum();
    assert_eq!(count, ottla_conformance::statement::all().len());
}

/// The name that mdBook gives to a heading: lower case, spaces as `-`, without punctuation.
fn slug(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

/// The places of a page that a link may name.
fn places(page: &Page) -> BTreeSet<String> {
    let ids = page.text.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let headings = page.text.lines().filter(|line| line.starts_with('#'));
    let headings = headings.map(|line| slug(line.trim_start_matches('#')));
    ids.map(str::to_owned).chain(headings).collect()
}

/// What the page links to within the book: HTML's `href` and Markdown's `](…)`, outside of code.
fn links(page: &Page) -> Vec<String> {
    let mut found = Vec::new();
    for (index, piece) in page.text.split("\n```").enumerate() {
        if index % 2 == 1 {
            continue;
        }
        let html = piece.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let markdown = piece.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        found.extend(html.chain(markdown).filter(|to| !to.contains("://")).map(str::to_owned));
    }
    found
}

/// `cargo xtask book` asks this of the finished site; here it needs no mdBook.
#[test]
fn links_lead_to_pages_and_places() {
    let pages = by_path();
    let places: BTreeMap<_, _> = pages.iter().map(|(path, page)| (*path, places(page))).collect();
    let mut count = 0;
    for (path, page) in &pages {
        for link in links(page) {
            let (to, place) = link.split_once('#').unwrap_or((&link, ""));
            let to = to.trim_end_matches(".html").trim_end_matches(".md");
            let folder = path.split_once('/').map_or("", |(folder, _)| folder);
            let to = match to.strip_prefix("../") {
                Some(to) => to.to_owned(),
                None if to.is_empty() => (*path).to_owned(),
                None if folder.is_empty() => to.to_owned(),
                None => format!("{folder}/{to}"),
            };
            let target = places.get(to.as_str());
            let target = target.unwrap_or_else(|| panic!("{path}: {link}: no page {to}"));
            let is_there = place.is_empty() || target.contains(place);
            assert!(is_there, "{path}: {link}: no such place");
            count += 1;
        }
    }
    assert!(count >= 4_000, "{count} links");
}
