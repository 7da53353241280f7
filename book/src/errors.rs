//! The page of all errors.

use crate::html::{Place, Table, anchor, escape};
use crate::pages::Page;
use crate::source::Source;
use ottla_codegen::ast::ErrorCode;

/// So many APIs are shown at once.
const FEW: usize = 4;

/// Whether the same request may succeed later.
pub(crate) fn retriable(error: &ErrorCode) -> &'static str {
    match (error.retriable, error.refresh_metadata) {
        (true, true) => "after new metadata",
        (true, false) => "yes",
        (false, true) => "no, but the metadata is old",
        (false, false) => "no",
    }
}

/// The page.
pub(crate) fn page(source: &Source) -> Page {
    let place = Place { source, up: "" };
    let mut text = "# Errors\n\nA retriable error may go away by itself; one that is retriable \
        after new metadata, only when the client has asked for the metadata again. Below each \
        stand the APIs that answer with it for a reason of their own.\n\n"
        .to_owned();
    let columns = ["Number", "Error", "Retriable", "What went wrong", "What a client does next"];
    let mut table = Table::new("errors", &columns);
    let mut errors: Vec<&ErrorCode> = source.library.errors().map(|(_, error)| error).collect();
    errors.sort_by_key(|error| error.code.value);
    for error in errors {
        let name = &error.name.value;
        let users = source
            .apis()
            .into_iter()
            .filter(|(_, api)| api.errors.iter().any(|used| used.name.value == *name));
        let users: Vec<String> = users.map(|(_, api)| place.api(&api.name.value)).collect();
        table.row(
            "",
            &[
                error.code.value.to_string(),
                // A heading, so that the search leads to it.
                format!("<h3 id=\"{}\">{}</h3>", anchor(name), escape(name)),
                retriable(error).to_owned(),
                place.prose(&error.prose),
                place.prose(&error.advice) + &used_by(&users),
            ],
        );
    }
    text.push_str(&table.finish());
    Page::new("errors", "Errors", text)
}

fn used_by(apis: &[String]) -> String {
    if apis.is_empty() {
        return String::new();
    }
    let list = apis.join(", ");
    if apis.len() <= FEW {
        return format!("<p class=\"users\">{list}</p>");
    }
    let count = apis.len();
    format!("<details class=\"users\"><summary>{count} APIs</summary>{list}</details>")
}
