//! `explain`.

use super::CannotRun;
use ottla_conformance::annotate::{Options, Subject, annotate};
use ottla_conformance::statement::{self, Statement};
use ottla_conformance::{links, vectors};
use ottla_protocol::messages::ApiKey;
use std::io::Write;
use std::process::ExitCode;

/// Lines of an example; it is to show the form.
const LINES_SHOWN: usize = 24;

pub(super) fn explain(id: &str) -> Result<ExitCode, CannotRun> {
    let id = id.to_ascii_uppercase();
    let Some(found) = statement::all().get(&id) else {
        let area = id.rsplit_once('-').map_or(id.as_str(), |(area, _)| area);
        let near = statement::all().keys().filter(|known| known.starts_with(area));
        let near: Vec<&str> = near.map(String::as_str).collect();
        let ids = match (near.first(), near.last()) {
            (Some(first), Some(last)) => format!("its area has {first} to {last}"),
            _ => "see protocol/statements".to_owned(),
        };
        return Err(CannotRun(format!("no statement has the id {id}: {ids}")));
    };
    say!("{} {} ({}, profile {})", found.id, found.level, found.kind, found.profile);
    say!("  {}", found.text);
    say!("  {} of {}", found.versions, found.api.join(", "));
    say!("  binds the {}; from {}", found.role, found.source.join(", "));
    match &found.untestable {
        Some(reason) => say!("  untestable: {reason}"),
        None if found.tests.is_empty() => say!("  no test yet"),
        None => say!("  decided by {}", found.tests.join(", ")),
    }
    for source in &found.source {
        if let Some(address) = links::link(source) {
            say!("  {source}: {address}");
        }
    }
    example(found);
    Ok(ExitCode::SUCCESS)
}

/// What the request and the response look like, of the first API that the statement is about.
fn example(statement: &Statement) {
    let Some((api, version)) = statement.api.iter().find_map(|name| subject(name, statement))
    else {
        return;
    };
    for suffix in ["Request", "Response"] {
        let name = format!("{}{suffix}", api.name());
        let Some(bytes) = vectors::example(&name, version) else { continue };
        let subject = Subject::Message(name.clone(), version);
        let annotated = annotate(&bytes, &subject, Options { elements: 1, missing: 0 });
        say!();
        say!("For example, a {name} v{version} of {} bytes:", bytes.len());
        let text = annotated.text(1);
        let lines: Vec<&str> = text.lines().skip(1).collect();
        lines.iter().take(LINES_SHOWN).for_each(|line| say!("{line}"));
        if lines.len() > LINES_SHOWN {
            say!("        … {} more lines", lines.len() - LINES_SHOWN);
        }
    }
}

/// The newest stable version of an API that the statement is about.
fn subject(name: &str, statement: &Statement) -> Option<(ApiKey, i16)> {
    let api = ApiKey::ALL.iter().copied().find(|api| name == "any" || api.name() == name)?;
    let newest = *api.stable_versions().end();
    let last = match statement.versions.split_once('-') {
        Some((_, last)) => last.parse().ok()?,
        None if statement.versions.ends_with('+') || statement.versions == "all" => newest,
        None => statement.versions.parse().ok()?,
    };
    Some((api, last.min(newest)))
}
