//! The pages that tell what a release changed against the one before it.

use crate::html::{Place, Table, anchor, code, escape};
use crate::pages::Page;
use crate::releases::{State, each, ranges, state};
use crate::source::Source;
use ottla_codegen::ast::{Api, Field, Lifetime, Message, VersionNote};
use ottla_codegen::range::Range;
use ottla_codegen::release::Release;
use std::fmt::Write as _;

/// The list of releases, then the page of each but the first.
pub(crate) fn pages(source: &Source) -> Vec<Page> {
    let pairs: Vec<[Release; 2]> = Release::ALL.windows(2).map(|pair| [pair[0], pair[1]]).collect();
    let mut text = "# Changes between releases\n\nThe versions that came and went, with what they \
        changed. A release is told with all of its patches: 4.3 stands for 4.3.0 and 4.3.1.\n\n"
        .to_owned();
    for [_, after] in &pairs {
        // A String takes everything, here and below.
        let _ = writeln!(text, "- [{}]({}.md)", title(*after), path(*after));
    }
    let mut pages = vec![Page::new("releases", "Changes between releases", text)];
    pages.extend(pairs.into_iter().map(|[before, after]| page(source, before, after)));
    pages
}

fn title(release: Release) -> String {
    format!("What {release} changed")
}

fn path(release: Release) -> String {
    format!("releases/{release}")
}

/// Something with versions: an API, or a message without one.
struct Versioned<'a> {
    /// HTML.
    name: String,
    versions: Range,
    lifetimes: &'a [Lifetime],
    unstable: Option<i16>,
    notes: &'a [VersionNote],
    messages: Vec<&'a Message>,
}

impl<'a> Versioned<'a> {
    fn of_api(place: Place<'_>, api: &'a Api) -> Self {
        Self {
            name: place.api(&api.name.value),
            versions: crate::api::request(api).versions.value,
            lifetimes: &api.lifetimes,
            unstable: api.unstable.as_ref().map(|unstable| unstable.value),
            notes: &api.versions,
            messages: api.request.iter().chain(&api.response).collect(),
        }
    }

    fn state(&self, version: i16, release: Release) -> State {
        state(self.lifetimes, self.unstable, version, release)
    }

    /// The versions whose state in the two releases is as the condition wants it.
    fn versions(&self, releases: [Release; 2], is: impl Fn(State, State) -> bool) -> Vec<i16> {
        let [before, after] = releases;
        each(self.versions)
            .filter(|version| is(self.state(*version, before), self.state(*version, after)))
            .collect()
    }
}

fn page(source: &Source, before: Release, after: Release) -> Page {
    let place = Place { source, up: "../" };
    let mut text = format!(
        "# {}\n\nWhat Apache Kafka {after} has and {before} does not, and the other way round.\n\n",
        title(after)
    );
    let apis = source.apis();
    let apis: Vec<Versioned<'_>> =
        apis.iter().map(|(_, api)| Versioned::of_api(place, api)).collect();
    section(&mut text, place, "APIs", &apis, [before, after]);
    let messages: Vec<Versioned<'_>> = source
        .library
        .messages()
        .into_iter()
        .filter(|found| found.api.is_none())
        .map(|found| {
            let (name, message) = (&found.message.name.value, found.message);
            let page = found.schema.file.strip_suffix(".schema").unwrap_or_default();
            Versioned {
                name: format!("<a href=\"../{page}.html#{}\">{name}</a>", anchor(name)),
                versions: message.versions.value,
                lifetimes: &message.lifetimes,
                unstable: None,
                notes: &message.notes,
                messages: vec![message],
            }
        })
        .collect();
    section(&mut text, place, "Records and other messages", &messages, [before, after]);
    renamed(&mut text, source, after);
    Page::new(&path(after), &title(after), text)
}

fn section(
    text: &mut String,
    place: Place<'_>,
    title: &str,
    all: &[Versioned<'_>],
    releases: [Release; 2],
) {
    let _ = writeln!(text, "## {title}\n");
    let mut table = Table::new(
        "changes",
        &["Name", "Came", "Gone", "Now stable", "What the new versions changed"],
    );
    let mut is_empty = true;
    for one in all {
        let came = one.versions(releases, |a, b| a == State::Absent && b != State::Absent);
        let gone = one.versions(releases, |a, b| a != State::Absent && b == State::Absent);
        let stable = one.versions(releases, |a, b| a == State::Unstable && b == State::There);
        if came.is_empty() && gone.is_empty() && stable.is_empty() {
            continue;
        }
        is_empty = false;
        let before = one.versions(releases, |a, _| a != State::Absent);
        let is_new = before.is_empty();
        let mut what = String::new();
        if is_new {
            what.push_str("New.");
        } else if one.versions(releases, |_, b| b != State::Absent).is_empty() {
            what.push_str("It is gone.");
        }
        for version in &came {
            if !is_new || one.versions.first != *version {
                what.push_str(&change(place, one, *version));
            }
        }
        table.row(
            "",
            &[
                one.name.clone(),
                came_cell(one, &came, releases[1]),
                ranges(gone),
                ranges(stable),
                what,
            ],
        );
    }
    text.push_str(&if is_empty { "Nothing.\n\n".to_owned() } else { table.finish() });
}

fn came_cell(one: &Versioned<'_>, came: &[i16], after: Release) -> String {
    let unstable = came.iter().any(|version| one.state(*version, after) == State::Unstable);
    let note = if unstable { " <small>unstable</small>" } else { "" };
    format!("{}{note}", ranges(came.iter().copied()))
}

/// What a version changed: its note, and the fields that begin or end with it.
fn change(place: Place<'_>, one: &Versioned<'_>, version: i16) -> String {
    let note = one.notes.iter().find(|note| note.version.value == version);
    let mut out = format!("<p><b>{version}</b> ");
    if let Some(note) = note {
        out.push_str(&place.prose(&note.prose));
        if !note.sources.is_empty() {
            let _ = write!(out, " <small>{}</small>", escape(&note.sources.join(", ")));
        }
    }
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for message in &one.messages {
        let start =
            if one.messages.len() > 1 { format!("{}.", message.name.value) } else { String::new() };
        fields(&message.fields, &start, version, &mut added, &mut removed);
        for common in &message.structs {
            let start = format!("{}.", common.name.value);
            fields(&common.fields, &start, version, &mut added, &mut removed);
        }
    }
    for (word, fields) in [("Fields added", added), ("Fields gone", removed)] {
        if !fields.is_empty() {
            let _ = write!(out, "<br><small>{word}: {}</small>", fields.join(", "));
        }
    }
    out.push_str("</p>");
    out
}

/// Fields whose range begins with the version, or ended before it. Members of an added struct are
/// not named.
fn fields(
    all: &[Field],
    start: &str,
    version: i16,
    added: &mut Vec<String>,
    removed: &mut Vec<String>,
) {
    for field in all {
        let name = format!("{start}{}", field.name.value);
        let range = field.versions.value;
        if range.first == version {
            added.push(code(&name));
        } else if range.last.is_some_and(|last| last + 1 == version) {
            removed.push(code(&name));
        } else if range.contains(version) {
            fields(&field.fields, &format!("{name}."), version, added, removed);
        }
    }
}

/// Fields that have another name since the release.
fn renamed(text: &mut String, source: &Source, release: Release) {
    fn find(fields: &[Field], release: Release, path: &str, found: &mut Vec<(String, String)>) {
        for field in fields {
            let name = format!("{path}.{}", field.name.value);
            if let Some((former, from)) = &field.former
                && from.value == release
            {
                found.push((name.clone(), former.value.clone()));
            }
            find(&field.fields, release, &name, found);
        }
    }
    let mut found = Vec::new();
    for message in source.library.messages() {
        find(&message.message.fields, release, &message.message.name.value, &mut found);
    }
    if found.is_empty() {
        return;
    }
    let mut table = Table::new("index", &["Field", "Before"]);
    for (name, former) in found {
        table.row("", &[code(&name), code(&former)]);
    }
    let _ = writeln!(text, "## Fields with another name\n\nTheir bytes are the same.\n");
    text.push_str(&table.finish());
}
