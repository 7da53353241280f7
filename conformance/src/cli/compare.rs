//! `diff` and `matrix`: what is made of JSON reports.

use super::CannotRun;
use clap::Args;
use ottla_conformance::report::{self, Report, to_matrix};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct Diff {
    /// The report of before.
    old: PathBuf,
    /// The report of after.
    new: PathBuf,
}

#[derive(Args)]
pub(super) struct Matrix {
    /// Reports, in the order of the columns.
    #[arg(required = true)]
    reports: Vec<PathBuf>,
    /// Where the page is written.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn diff(arguments: &Diff) -> Result<ExitCode, CannotRun> {
    let (old, new) = (read(&arguments.old)?, read(&arguments.new)?);
    let diff = report::Diff::new(&old, &new);
    let _ = write!(std::io::stdout(), "{}", diff.to_text());
    Ok(ExitCode::from(u8::from(diff.is_worse())))
}

pub(super) fn matrix(arguments: &Matrix) -> Result<ExitCode, CannotRun> {
    let reports = arguments.reports.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
    let out = arguments.out.display();
    std::fs::write(&arguments.out, to_matrix(&reports))
        .map_err(|error| CannotRun(format!("writing {out}: {error}")))?;
    say!("{} reports in {out}", reports.len());
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> Result<Report, CannotRun> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| CannotRun(format!("reading {shown}: {error}")))?;
    serde_json::from_str(&text)
        .map_err(|error| CannotRun(format!("{shown} is no report of this suite: {error}")))
}
