//! The pages of what is stored, or nested in other messages: one per schema file.

use crate::example;
use crate::fields::{range, tables};
use crate::html::{Place, Table, anchor};
use crate::pages::Page;
use crate::releases::{self, cell, each, state};
use crate::source::Source;
use ottla_codegen::ast::{Item, Kind, Message, Schema};
use ottla_codegen::release::Release;
use std::fmt::Write as _;

/// The page of each file in `protocol/schemas/records`.
pub(crate) fn pages(source: &Source) -> Vec<Page> {
    let schemas = source.library.schemas.iter();
    schemas.filter(|schema| schema.file.starts_with("records/")).map(|s| page(source, s)).collect()
}

/// `consumer_offsets` as a title.
fn title(stem: &str) -> String {
    let words = stem.replace('_', " ");
    let mut chars = words.chars();
    chars
        .next()
        .map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), chars.as_str()))
}

fn page(source: &Source, schema: &Schema) -> Page {
    let place = Place { source, up: "../" };
    let title = title(schema.stem());
    let mut text = format!("# {title}\n\n<p class=\"lead\">{}</p>\n\n", place.prose(&schema.prose));
    let messages = schema.items.iter().filter_map(|item| match item {
        Item::Message(message) => Some(&**message),
        _ => None,
    });
    let messages: Vec<&Message> = messages.collect();
    if messages.len() > 1 {
        text.push_str(&index(place, &messages));
    }
    for message in messages {
        let name = &message.name.value;
        // A String takes everything, here and below.
        let _ = writeln!(text, "## {name}\n\n<p>{}</p>\n", place.prose(&message.prose));
        let number = message.number.as_ref().map(|number| number.value);
        let number = number.map_or_else(String::new, |number| format!(" of type {number}"));
        let _ =
            write!(text, "{}{number}, versions {}", kind(message), range(message.versions.value));
        match &message.flexible {
            Some(flexible) => {
                let _ = writeln!(text, ", flexible {}.\n", range(flexible.value));
            }
            None => text.push_str(", none of them flexible.\n\n"),
        }
        text.push_str(&notes(place, message));
        text.push_str(&tables(place, message, &anchor(name)));
        text.push_str(&example::section(source, "example", message, None));
    }
    Page::new(&format!("records/{}", schema.stem()), &title, text)
}

fn index(place: Place<'_>, messages: &[&Message]) -> String {
    let mut table = Table::new("index", &["Type", "Message", "Versions", "For"]);
    for message in messages {
        let name = &message.name.value;
        table.row(
            "",
            &[
                message.number.as_ref().map_or_else(String::new, |number| number.value.to_string()),
                format!("<a href=\"#{}\">{name}</a>", anchor(name)),
                range(message.versions.value),
                place.prose(&message.prose),
            ],
        );
    }
    table.finish()
}

fn kind(message: &Message) -> &'static str {
    match message.kind {
        Kind::CoordinatorKey => "Key of a coordinator's record",
        Kind::CoordinatorValue => "Value of a coordinator's record",
        Kind::Metadata => "Record of the controllers' log",
        Kind::Header => "Header",
        Kind::Data | Kind::Request | Kind::Response => "Message",
    }
}

/// The versions of a message without an API: which release has them and what they changed. Nothing
/// where there is nothing to say.
pub(crate) fn notes(place: Place<'_>, message: &Message) -> String {
    if message.notes.is_empty() && message.lifetimes.is_empty() {
        return String::new();
    }
    let mut columns = vec!["Version"];
    columns.extend(releases::COLUMNS);
    columns.extend(["Decided in", "What it changed"]);
    let mut table = Table::new("versions", &columns);
    for version in each(message.versions.value) {
        let note = message.notes.iter().find(|note| note.version.value == version);
        let mut cells = vec![version.to_string()];
        for release in Release::ALL {
            cells.push(cell(state(&message.lifetimes, None, version, *release)));
        }
        cells.push(note.map_or_else(String::new, |note| note.sources.join(", ")));
        cells.push(note.map_or_else(String::new, |note| place.prose(&note.prose)));
        table.row("", &cells);
    }
    table.finish()
}
