//! The pages of statements: one per profile, and a section on the page of each API.

use crate::html::{Place, Table, anchor, code, escape};
use crate::pages::Page;
use crate::source::Source;
use ottla_codegen::library::snake_case;
use ottla_conformance::statement::{self, Statement};
use std::collections::BTreeMap;

/// The profiles, in the order of the README.
pub(crate) const PROFILES: [&str; 11] = [
    "core",
    "groups",
    "admin",
    "robustness",
    "client",
    "groups-848",
    "transactions",
    "security",
    "quotas",
    "share-groups",
    "replication",
];

/// The page of each profile.
pub(crate) fn pages(source: &Source) -> Vec<Page> {
    PROFILES.iter().map(|profile| page(source, profile)).collect()
}

fn of_profile(profile: &str) -> impl Iterator<Item = &'static Statement> {
    statement::all().values().filter(move |statement| statement.profile == profile)
}

fn page(source: &Source, profile: &str) -> Page {
    let place = Place { source, up: "../" };
    // By area: the id without its number.
    let mut areas = BTreeMap::<&str, Vec<&Statement>>::new();
    for statement in of_profile(profile) {
        let area = statement.id.rsplit_once('-').map_or("", |(area, _)| area);
        areas.entry(area.strip_prefix("K-").unwrap_or(area)).or_default().push(statement);
    }
    let mut text = format!(
        "# {profile}\n\nWhat each column means is told with [the statements](../statements.md).\n\n"
    );
    for (area, statements) in areas {
        text.push_str(&format!("## {area}\n\n"));
        let columns =
            ["Statement", "Level", "Text", "APIs", "Versions", "Kind", "Source", "Decided by"];
        let mut table = Table::new("statements", &columns);
        for one in statements {
            let apis: Vec<String> = one.api.iter().map(|api| place.api(api)).collect();
            table.row(
                &anchor(&one.id),
                &[
                    code(&one.id),
                    level(one),
                    place.prose(&[&one.text]),
                    apis.join(", "),
                    versions(one),
                    one.kind.clone(),
                    escape(&one.source.join(", ")),
                    decided(one),
                ],
            );
        }
        text.push_str(&table.finish());
    }
    Page::new(&format!("statements/{profile}"), profile, text)
}

/// The level, and whom it binds.
fn level(one: &Statement) -> String {
    let class = one.level.to_lowercase();
    format!("<span class=\"{class}\">{}</span> <small>{}</small>", one.level, one.role)
}

fn versions(one: &Statement) -> String {
    one.versions.replace('-', "–")
}

fn decided(one: &Statement) -> String {
    match (&one.untestable, one.tests.is_empty()) {
        (Some(reason), _) => format!("no test: {}", escape(reason)),
        (None, true) => "planned".to_owned(),
        (None, false) => {
            let tests: Vec<String> = one.tests.iter().map(|test| code(test)).collect();
            tests.join(", ")
        }
    }
}

/// The statements of an API as a section of its page.
pub(crate) fn of_api(place: Place<'_>, api: &str) -> String {
    let found = statement::all().values().filter(|one| one.api.iter().any(|name| name == api));
    let mut found: Vec<&Statement> = found.collect();
    // Those of its own area, then the others that it shows in.
    let own = format!("K-{}", snake_case(api).to_uppercase().replace('_', "-"));
    found.sort_by_key(|one| !one.id.starts_with(&own));
    let mut out = "## Statements\n\n".to_owned();
    if found.is_empty() {
        out.push_str("None of its own.\n\n");
        return out;
    }
    let columns = ["Statement", "Level", "Text", "Versions", "Decided by"];
    let mut table = Table::new("statements", &columns);
    for one in found {
        table.row(
            "",
            &[
                place.statement(&one.id, &one.profile),
                level(one),
                place.prose(&[&one.text]),
                versions(one),
                decided(one),
            ],
        );
    }
    out.push_str(&table.finish());
    out
}

/// How many statements each profile has.
pub(crate) fn counts() -> String {
    let columns = ["Profile", "Statements", "MUST", "SHOULD", "MAY", "With a test"];
    let mut table = Table::new("index", &columns);
    for profile in PROFILES {
        let all: Vec<&Statement> = of_profile(profile).collect();
        let level = |level: &str| all.iter().filter(|one| one.level == level).count().to_string();
        let tested = all.iter().filter(|one| !one.tests.is_empty()).count();
        table.row(
            "",
            &[
                format!("<a href=\"statements/{profile}.html\">{profile}</a>"),
                all.len().to_string(),
                level("MUST"),
                level("SHOULD"),
                level("MAY"),
                tested.to_string(),
            ],
        );
    }
    format!("## By profile\n\n{}", table.finish())
}
