//! `pairs`.

use super::{CannotRun, Reach, run_name};
use clap::Args;
use ottla_conformance::clean;
use ottla_conformance::client::pairs::{Pairs as Matrix, Shim};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

#[derive(Args)]
pub(super) struct Pairs {
    #[command(flatten)]
    broker: Reach,
    /// What reports call the broker; the address without this.
    #[arg(long)]
    name: Option<String>,
    /// A client by its shim; conformance/shims/README.md says what that is. At least one.
    #[arg(long = "shim", value_name = "NAME=CMD", required = true)]
    shims: Vec<String>,
    /// Reports: `json=FILE`, `md=FILE`; more of them separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "KIND=FILE")]
    report: Vec<String>,
    /// Shims at a time.
    #[arg(long, default_value_t = 2)]
    parallel: usize,
    /// Leave the topics that were made.
    #[arg(long)]
    keep: bool,
}

pub(super) fn pairs(arguments: &Pairs) -> Result<ExitCode, CannotRun> {
    let shims = arguments.shims.iter().map(|text| Shim::parse(text));
    let shims = shims.collect::<Result<Vec<_>, _>>().map_err(CannotRun)?;
    let reports = arguments.report.iter().map(|text| kind_and_file(text));
    let reports = reports.collect::<Result<Vec<_>, _>>()?;
    let target = arguments.broker.target()?;
    let run = run_name();
    let began = Instant::now();
    let matrix = Matrix {
        target: &target,
        bootstrap: &arguments.broker.bootstrap,
        shims: &shims,
        run: &run,
        parallel: arguments.parallel,
    };
    let made = matrix.run(|step| {
        let _ = writeln!(std::io::stderr(), "{step}"); // who reads may be gone
    });
    if !arguments.keep
        && let Err(why) = clean::clean(&target, &run)
    {
        eprintln!("ottla-conformance: the topics of this run are left: {why}");
    }
    let report = made.map_err(CannotRun)?;
    let broker = arguments.name.as_ref().unwrap_or(&arguments.broker.bootstrap);
    for (kind, file) in reports {
        let text = match kind {
            "json" => serde_json::to_string_pretty(&report).expect("a report is plain data") + "\n",
            _ => report.to_markdown(broker),
        };
        std::fs::write(&file, text)
            .map_err(|error| CannotRun(format!("writing {}: {error}", file.display())))?;
    }
    say!("{}", report.to_text().trim_end());
    say!("{} pairs in {:.0} s", shims.len() * shims.len(), began.elapsed().as_secs_f64());
    Ok(ExitCode::from(u8::from(report.has_failed())))
}

fn kind_and_file(text: &str) -> Result<(&str, PathBuf), CannotRun> {
    match text.split_once('=') {
        Some((kind @ ("json" | "md"), file)) if !file.is_empty() => Ok((kind, PathBuf::from(file))),
        _ => Err(CannotRun(format!("report {text:?}: expected json= or md= and a file"))),
    }
}
