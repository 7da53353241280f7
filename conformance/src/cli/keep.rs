//! What becomes of a run's report, of a broker's as of a client's: the files that it is written to,
//! the known failures that it is held against, and the exit status.

use super::CannotRun;
use clap::{Args, ValueEnum};
use ottla_conformance::baseline::Baseline;
use ottla_conformance::report::{Keep, Report, counts_text, to_html, to_junit, to_markdown};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct Reporting {
    /// Reports: `json=FILE`, `junit=FILE`, `html=FILE`, `md=FILE`; more of them separated by
    /// commas.
    #[arg(long, value_delimiter = ',', value_name = "KIND=FILE")]
    report: Vec<String>,
    /// Failures that are known, as lines `"test" = "reason"`. They run all the same; the exit
    /// status is 1 for a failure that is not listed, and for a line that no failure answers to any
    /// more.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Whose frames the reports hold: those of what did not pass, or all.
    #[arg(long, value_enum, default_value_t = Wire::Failures)]
    wire: Wire,
}

#[derive(Clone, Copy, ValueEnum)]
enum Wire {
    Failures,
    All,
}

impl From<Wire> for Keep {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire::Failures => Self::Failures,
            Wire::All => Self::All,
        }
    }
}

impl Reporting {
    /// Looks at the arguments and reads the known failures, before anything runs.
    pub(super) fn prepare(&self) -> Result<Prepared, CannotRun> {
        let files = self.report.iter().map(|text| kind_and_file(text));
        let files = files.collect::<Result<Vec<_>, _>>()?;
        let baseline = self.baseline.as_deref().map(read_baseline).transpose()?;
        Ok(Prepared { files, baseline, keep: self.wire.into() })
    }
}

/// Where a report goes.
pub(super) struct Prepared {
    files: Vec<(String, PathBuf)>,
    baseline: Option<Baseline>,
    keep: Keep,
}

impl Prepared {
    /// Writes the report, says how the run ended, and gives the status. `what` are the outcomes:
    /// tests, or scenarios.
    pub(super) fn end(self, mut report: Report, what: &str) -> Result<ExitCode, CannotRun> {
        report.keep_wire(self.keep);
        for (kind, file) in &self.files {
            let text = match &kind[..] {
                "json" => report.to_json(),
                "junit" => to_junit(&report),
                "html" => to_html(&report),
                _ => to_markdown(&report),
            };
            std::fs::write(file, text)
                .map_err(|error| CannotRun(format!("writing {}: {error}", file.display())))?;
        }
        for (profile, counts) in report.scores() {
            say!("{profile:<12} {}", counts_text(&counts));
        }
        say!("{} {what} in {:.1} s", report.outcomes.len(), report.took_ms as f64 / 1000.0);
        let Some(baseline) = self.baseline else {
            return Ok(ExitCode::from(u8::from(report.has_failed())));
        };
        let compared = baseline.compare(&report.outcomes);
        for stale in &compared.stale {
            say!("STALE          {stale} is listed as a known failure, and passed: take it out");
        }
        say!("{} failures are known, {} are not", compared.known.len(), compared.new.len());
        let is_bad = !(compared.new.is_empty() && compared.stale.is_empty());
        Ok(ExitCode::from(u8::from(is_bad)))
    }
}

fn read_baseline(file: &Path) -> Result<Baseline, CannotRun> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| CannotRun(format!("reading {shown}: {error}")))?;
    Baseline::parse(&text).map_err(|error| CannotRun(format!("{shown}: {error}")))
}

fn kind_and_file(text: &str) -> Result<(String, PathBuf), CannotRun> {
    match text.split_once('=') {
        Some((kind @ ("json" | "junit" | "html" | "md"), file)) if !file.is_empty() => {
            Ok((kind.to_owned(), PathBuf::from(file)))
        }
        _ => Err(CannotRun(format!(
            "report {text:?}: expected json=, junit=, html= or md= and a file"
        ))),
    }
}
