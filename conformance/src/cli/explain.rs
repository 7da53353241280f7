//! `explain`.

use super::CannotRun;
use ottla_conformance::statement;
use std::io::Write;
use std::process::ExitCode;

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
    Ok(ExitCode::SUCCESS)
}
