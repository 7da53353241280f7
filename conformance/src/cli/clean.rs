//! `clean`.

use super::{CannotRun, RUN_PREFIX, Reach};
use ottla_conformance::clean;
use std::io::Write;
use std::process::ExitCode;

pub(super) fn clean(broker: &Reach) -> Result<ExitCode, CannotRun> {
    let target = broker.target()?;
    let cleaned = clean::clean(&target, RUN_PREFIX).map_err(|why| CannotRun(why.to_string()))?;
    say!("{} topics and {} groups are removed", cleaned.topics, cleaned.groups);
    if cleaned.left.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    say!("left: {}", cleaned.left.join(", "));
    Ok(ExitCode::FAILURE)
}
