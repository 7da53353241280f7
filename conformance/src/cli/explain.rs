//! `explain`.

use super::CannotRun;
use ottla_conformance::annotate::{Options, Subject, annotate};
use ottla_conformance::statement::{self, Statement};
use ottla_conformance::{links, vectors};
use ottla_protocol::messages::ApiKey;
use std::io::Write;
use std::ops::RangeInclusive;
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
    let mut known = statement.api.iter().filter_map(|name| subject(name, statement));
    let Some((api, versions)) = known.next() else { return };
    for suffix in ["Request", "Response"] {
        let name = format!("{}{suffix}", api.name());
        let Some((version, bytes)) = vectors::example(&name, versions.clone()) else { continue };
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

/// The stable versions of an API that the statement is about.
fn subject(name: &str, statement: &Statement) -> Option<(ApiKey, RangeInclusive<i16>)> {
    let api = ApiKey::ALL.iter().copied().find(|api| name == "any" || api.name() == name)?;
    let stable = api.stable_versions();
    let text = statement.versions.as_str();
    let (first, last) = match (text, text.split_once('-'), text.strip_suffix('+')) {
        ("all", ..) => (0, i16::MAX),
        (_, Some((first, last)), _) => (first.parse().ok()?, last.parse().ok()?),
        (_, None, Some(first)) => (first.parse().ok()?, i16::MAX),
        (one, None, None) => (one.parse().ok()?, one.parse().ok()?),
    };
    Some((api, first.max(*stable.start())..=last.min(*stable.end())))
}
