//! The page of headers and frames.

use crate::example;
use crate::fields::{range, tables};
use crate::html::{Place, Table, escape};
use crate::pages::Page;
use crate::records;
use crate::source::Source;
use ottla_codegen::ast::{Direction, HeaderCondition, Item, Kind};
use std::fmt::Write as _;

/// The page.
pub(crate) fn page(source: &Source) -> Page {
    let place = Place { source, up: "" };
    let schema = source.library.schemas.iter().find(|schema| schema.file == "headers.schema");
    let schema = schema.expect("the headers are part of the specification");
    let mut text = format!("# Headers and frames\n\n<p>{}</p>\n\n", place.prose(&schema.prose));
    text.push_str(
        "A frame is the length of header and message as int32, then the header, then the message: \
         [the language](grammar.md) has an example.\n\n\
         ## Which version of the header\n\nThe first rule that applies.\n\n",
    );
    let columns = ["Header", "API", "Versions", "Version of the header", "Why"];
    let mut table = Table::new("rules", &columns);
    for (_, rule) in source.library.header_versions() {
        let (api, versions) = match &rule.condition.value {
            HeaderCondition::Api(name, versions) => {
                (place.api(name), versions.map_or_else(|| "all".to_owned(), range))
            }
            HeaderCondition::Flexible => ("any".to_owned(), "flexible ones".to_owned()),
            HeaderCondition::Otherwise => ("any".to_owned(), "all others".to_owned()),
        };
        let header = match rule.direction.value {
            Direction::Request => "request",
            Direction::Response => "response",
        };
        table.row(
            "",
            &[
                header.to_owned(),
                api,
                versions,
                rule.version.value.to_string(),
                place.prose(&rule.prose),
            ],
        );
    }
    text.push_str(&table.finish());
    for item in &schema.items {
        let Item::Message(message) = item else { continue };
        if message.kind != Kind::Header {
            continue;
        }
        let name = escape(&message.name.value);
        // A String takes everything.
        let _ = writeln!(text, "## {name}\n\n<p>{}</p>\n", place.prose(&message.prose));
        text.push_str(&records::notes(place, message));
        text.push_str(&tables(place, message, &name.to_lowercase()));
        text.push_str(&example::section(source, "header", message, None));
    }
    Page::new("headers", "Headers and frames", text)
}
