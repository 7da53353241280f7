//! `clean`.

use super::{CannotRun, RUN_PREFIX, reach};
use clap::Args;
use ottla_conformance::clean;
use std::io::Write;
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct Clean {
    /// The broker, as host:port.
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) bootstrap: String,
}

pub(super) fn clean(bootstrap: &str) -> Result<ExitCode, CannotRun> {
    let target = reach(bootstrap)?;
    let cleaned = clean::clean(&target, RUN_PREFIX).map_err(|why| CannotRun(why.to_string()))?;
    say!("{} topics and {} groups are removed", cleaned.topics, cleaned.groups);
    if cleaned.left.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    say!("left: {}", cleaned.left.join(", "));
    Ok(ExitCode::FAILURE)
}
