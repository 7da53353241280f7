//! The page of an API.

use crate::example;
use crate::fields::{range, tables};
use crate::html::{Place, Table, code, mark};
use crate::pages::Page;
use crate::releases::{self, State, cell, each, state};
use crate::source::{Source, api_page};
use crate::statements;
use ottla_codegen::ast::{Api, Message, Route, Schema};
use ottla_codegen::release::Release;
use std::fmt::Write as _;

/// The page of every API, by number.
pub(crate) fn pages(source: &Source) -> Vec<Page> {
    source.apis().into_iter().map(|(schema, api)| page(source, schema, api)).collect()
}

/// The table of all APIs.
pub(crate) fn index(source: &Source) -> Page {
    let place = Place { source, up: "" };
    let mut text = "# All APIs\n\nWhat a release has is told on the page of each API, version by \
        version, and by the [changes between releases](releases.md).\n\n"
        .to_owned();
    let columns =
        ["Number", "API", "Versions", "Flexible", "In 4.4", "Served by", "Goes to", "For"];
    let mut table = Table::new("index", &columns);
    for (_, api) in source.apis() {
        let request = request(api);
        let served: Vec<i16> = in_release(api, Release::ALL[Release::ALL.len() - 1]);
        let summary: String = api.prose.join(" ");
        let first = summary.split_inclusive(". ").next().unwrap_or_default().trim();
        table.row(
            "",
            &[
                api.key.value.to_string(),
                place.api(&api.name.value),
                range(request.versions.value),
                request
                    .flexible
                    .as_ref()
                    .map_or_else(String::new, |flexible| range(flexible.value)),
                releases::ranges(served),
                listeners(api),
                short_route(api).to_owned(),
                place.prose(&[first]),
            ],
        );
    }
    text.push_str(&table.finish());
    Page::new("apis", "All APIs", text)
}

/// The versions that a release has, unstable ones too.
fn in_release(api: &Api, release: Release) -> Vec<i16> {
    let unstable = api.unstable.as_ref().map(|unstable| unstable.value);
    let is_there =
        |version: &i16| state(&api.lifetimes, unstable, *version, release) != State::Absent;
    each(request(api).versions.value).filter(is_there).collect()
}

pub(crate) fn request(api: &Api) -> &Message {
    api.request.as_ref().expect("a checked API has a request")
}

fn response(api: &Api) -> &Message {
    api.response.as_ref().expect("a checked API has a response")
}

fn listeners(api: &Api) -> String {
    let names: Vec<&str> = api.listeners.iter().map(|listener| listener.value.as_str()).collect();
    names.join(", ")
}

fn short_route(api: &Api) -> &'static str {
    let Some(route) = &api.route else { return "" };
    match route.value {
        Route::AnyBroker => "any broker",
        Route::Connection => "connection",
        Route::PartitionLeader => "partition leader",
        Route::GroupCoordinator => "group coordinator",
        Route::TransactionCoordinator => "transaction coordinator",
        Route::Controller => "controller",
        Route::ResourceBroker => "resource's broker",
    }
}

fn route(api: &Api) -> &'static str {
    let Some(route) = &api.route else { return "" };
    match route.value {
        Route::AnyBroker => "any broker",
        Route::Connection => "the broker at the other end: it is about the connection",
        Route::PartitionLeader => "the leader of each partition",
        Route::GroupCoordinator => "the group's coordinator",
        Route::TransactionCoordinator => {
            "the coordinator of the transactional id; any broker where there is none"
        }
        Route::Controller => "the controller; a broker passes it on",
        Route::ResourceBroker => "the broker that it is about; any broker for other resources",
    }
}

fn page(source: &Source, schema: &Schema, api: &Api) -> Page {
    let place = Place { source, up: "../" };
    let name = &api.name.value;
    let mut text = format!("# {name}\n\n<p class=\"lead\">{}</p>\n\n", place.prose(&api.prose));
    text.push_str(&facts(place, api));
    text.push_str(&versions(place, api));
    for (title, prefix, message) in
        [("Request", "request", request(api)), ("Response", "response", response(api))]
    {
        // A String takes everything.
        let _ = writeln!(text, "## {title}\n\n<p>{}</p>\n", place.prose(&message.prose));
        text.push_str(&tables(place, message, prefix));
    }
    text.push_str(&errors(place, api));
    text.push_str(&statements::of_api(place, name));
    text.push_str("## Example\n\n");
    for (title, message) in [("request", request(api)), ("response", response(api))] {
        text.push_str(&example::section(source, title, message, Some(api)));
    }
    Page::new(&api_page(schema), &format!("{} {name}", api.key.value), text)
}

/// What holds for the API as a whole.
fn facts(place: Place<'_>, api: &Api) -> String {
    let request = request(api);
    let mut versions = range(request.versions.value);
    match &request.flexible {
        Some(flexible) => {
            let _ = write!(versions, ", flexible {}", range(flexible.value));
        }
        None => versions.push_str(", none of them flexible"),
    }
    let mut facts = vec![
        ("Number", api.key.value.to_string()),
        ("Versions", versions),
        ("Served by", listeners(api)),
        ("Goes to", route(api).to_owned()),
    ];
    if let Some(throttle) = &api.throttle {
        facts.push(("Throttle", throttle_of(api, throttle)));
    }
    if let Some(condition) = &api.no_response {
        facts.push(("No response", format!("when {}", place.prose(&[&condition.value]))));
    }
    let mut out = "<dl class=\"facts\">\n".to_owned();
    for (name, fact) in facts {
        let class = if matches!(name, "Throttle" | "No response") { " class=\"long\"" } else { "" };
        let _ = writeln!(out, "<div{class}><dt>{name}</dt><dd>{fact}</dd></div>");
    }
    out.push_str("</dl>\n\n");
    out
}

fn throttle_of(api: &Api, throttle: &ottla_codegen::ast::Throttle) -> String {
    let field = code(&throttle.field.value);
    let Some(after) = &throttle.after_response else {
        return format!("{field}; the broker waits, then answers");
    };
    let after = after.value;
    let from = after.first;
    if from <= request(api).versions.value.first {
        return format!("{field}; the broker answers at once, and the client waits so long");
    }
    format!(
        "{field}; from version {from} on the broker answers at once and the client waits, before \
         that the broker waits and then answers"
    )
}

fn versions(place: Place<'_>, api: &Api) -> String {
    let mut columns = vec!["Version"];
    columns.extend(releases::COLUMNS);
    columns.extend(["Decided in", "What it changed"]);
    let mut table = Table::new("versions", &columns);
    let request = request(api);
    let unstable = api.unstable.as_ref().map(|unstable| unstable.value);
    for version in each(request.versions.value) {
        let note = api.versions.iter().find(|note| note.version.value == version);
        let mut cells = vec![version.to_string()];
        for release in Release::ALL {
            cells.push(cell(state(&api.lifetimes, unstable, version, *release)));
        }
        cells.push(note.map_or_else(String::new, |note| note.sources.join(", ")));
        let mut what = note.map_or_else(
            || "The first that is described.".to_owned(),
            |note| place.prose(&note.prose),
        );
        if api.deprecated.as_ref().is_some_and(|range| range.value.contains(version)) {
            what = format!("{} {what}", mark("", "deprecated"));
        }
        cells.push(what);
        table.row(&format!("v{version}"), &cells);
    }
    let older: Vec<String> = api
        .versions
        .iter()
        .filter(|note| note.version.value < request.versions.value.first)
        .map(|note| format!("<li>{}: {}</li>", note.version.value, place.prose(&note.prose)))
        .collect();
    let mut out = format!("## Versions\n\n{}", table.finish());
    if !older.is_empty() {
        let _ = writeln!(
            out,
            "<p>Of versions that no release here has:</p><ul>{}</ul>\n",
            older.concat()
        );
    }
    out
}

fn errors(place: Place<'_>, api: &Api) -> String {
    if api.errors.is_empty() {
        return "## Errors\n\nNone of its own.\n\n".to_owned();
    }
    let mut table = Table::new("errors", &["Number", "Error", "Retriable", "Versions", "When"]);
    for used in &api.errors {
        let error = place.source.error(&used.name.value);
        table.row(
            "",
            &[
                error.map_or_else(String::new, |error| error.code.value.to_string()),
                place.error(&used.name.value),
                error.map_or_else(String::new, |error| crate::errors::retriable(error).to_owned()),
                used.versions.as_ref().map_or_else(|| "all".to_owned(), |one| range(one.value)),
                place.prose(&used.prose),
            ],
        );
    }
    format!("## Errors\n\n{}", table.finish())
}
