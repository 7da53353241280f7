//! The command line.

use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use ottla_conformance::baseline::Baseline;
use ottla_conformance::case::{Profile, Test, matches};
use ottla_conformance::clean;
use ottla_conformance::codec::{self, Direction, Subject, hex};
use ottla_conformance::report::{Report, counts_text, to_junit, to_markdown};
use ottla_conformance::runner::{self, Options, Outcome};
use ottla_conformance::statement;
use ottla_conformance::suites;
use ottla_conformance::target::Target;
use ottla_conformance::verdict::Verdict;
use ottla_conformance::wire::Way;
use std::io::{BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Tells whether a broker keeps to the Kafka protocol, statement by statement.
#[derive(Parser)]
#[command(name = "ottla-conformance", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run tests against a broker. Exit status: 0 no failure, 1 a failure, 2 could not run.
    Run(Run),
    /// List the tests.
    List(Select),
    /// Show a statement: what it says, where it comes from, which tests decide it.
    Explain {
        /// Its id, such as K-FETCH-003.
        id: String,
    },
    /// Run the tests that match, one after the other, and show every frame.
    One(One),
    /// Remove the topics and groups that runs have left.
    Clean(Clean),
    /// Bytes to JSON: arguments for one message, or none for lines of
    /// `api_key name kind version hex` with tabs between on standard input.
    Decode(Convert),
    /// JSON to bytes: arguments for one message, or none for lines of
    /// `api_key name kind version json` with tabs between on standard input.
    Encode(Convert),
}

#[derive(Args)]
struct Select {
    /// Profiles, separated by commas: core, groups, admin, robustness. All without this.
    #[arg(long, value_delimiter = ',', value_parser = profile)]
    profile: Vec<Profile>,
    /// Only tests that match: `*` stands for anything without a slash, `**` for anything.
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
}

#[derive(Args)]
struct Run {
    /// The broker, as host:port; more of them separated by commas.
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: String,
    /// What reports call it; the address without this.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    select: Select,
    /// Reports: `json=FILE`, `junit=FILE`, `md=FILE`; more of them separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "KIND=FILE")]
    report: Vec<String>,
    /// Tests at a time.
    #[arg(long, default_value_t = 8)]
    parallel: usize,
    /// Failures that are known, as lines `"test" = "reason"`. They run all the same; the exit
    /// status is 1 for a failure that is not listed, and for a line that no failure answers to any
    /// more.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Leave the topics and groups that were made.
    #[arg(long)]
    keep: bool,
}

#[derive(Args)]
struct Clean {
    /// The broker, as host:port.
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: String,
}

#[derive(Args)]
struct One {
    /// A test, or a pattern of tests.
    test: String,
    /// The broker, as host:port.
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: String,
    /// Show every frame.
    #[arg(long)]
    trace: bool,
}

#[derive(Args)]
struct Convert {
    /// The API key; -1 for what belongs to no API.
    #[arg(allow_negative_numbers = true, requires = "payload")]
    api_key: Option<String>,
    /// The message's name, such as FetchRequest.
    name: Option<String>,
    /// request, response, header, record or batch.
    kind: Option<String>,
    /// The version; of a batch the magic.
    version: Option<String>,
    /// The bytes as hex, or the JSON.
    payload: Option<String>,
}

fn profile(name: &str) -> Result<Profile, String> {
    let names = Profile::ALL.map(Profile::name).join(", ");
    Profile::named(name).ok_or_else(|| format!("expected one of {names}"))
}

/// What the names of all runs begin with.
const RUN_PREFIX: &str = "ottla-conformance-";

/// What ends the program with status 2.
struct CannotRun(String);

/// A line on standard output. Who reads may stop early, as `head` does: the verdict is the status.
macro_rules! say {
    ($($text:tt)*) => {{
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

pub(crate) fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(arguments) => run(&arguments),
        Command::List(select) => list(&select),
        Command::Explain { id } => explain(&id),
        Command::One(arguments) => one(&arguments),
        Command::Clean(arguments) => clean(&arguments.bootstrap),
        Command::Decode(arguments) => convert(Direction::Decode, arguments),
        Command::Encode(arguments) => convert(Direction::Encode, arguments),
    };
    done.unwrap_or_else(|CannotRun(why)| {
        eprintln!("ottla-conformance: {why}");
        ExitCode::from(2)
    })
}

fn tests(select: &Select) -> Result<Vec<Test>, CannotRun> {
    let wanted = |test: &Test| {
        let id = test.id();
        let in_profile = select.profile.is_empty() || select.profile.contains(&test.case.profile);
        let is_named =
            select.only.is_empty() || select.only.iter().any(|pattern| matches(pattern, &id));
        in_profile && is_named
    };
    let tests: Vec<Test> = suites::all().flat_map(Test::of).filter(wanted).collect();
    if tests.is_empty() {
        return Err(CannotRun("no test matches: see `ottla-conformance list`".to_owned()));
    }
    Ok(tests)
}

fn list(select: &Select) -> Result<ExitCode, CannotRun> {
    for test in tests(select)? {
        say!("{:<10} {:<44} {}", test.case.profile, test.id(), test.case.statements.join(" "));
    }
    Ok(ExitCode::SUCCESS)
}

fn explain(id: &str) -> Result<ExitCode, CannotRun> {
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

fn reach(bootstrap: &str) -> Result<Target, CannotRun> {
    Target::reach(bootstrap).map_err(|why| CannotRun(format!("the target cannot be tested: {why}")))
}

fn run(arguments: &Run) -> Result<ExitCode, CannotRun> {
    let tests = tests(&arguments.select)?;
    let reports = arguments.report.iter().map(|text| report_kind(text));
    let reports = reports.collect::<Result<Vec<_>, _>>()?;
    let baseline = arguments.baseline.as_deref().map(read_baseline).transpose()?;
    let target = reach(&arguments.bootstrap)?;
    let options = Options { parallel: arguments.parallel, run: run_name() };
    let began = Instant::now();
    let bar = progress(tests.len() as u64);
    let outcomes = runner::run(&target, &tests, &options, |outcome| show(&bar, outcome));
    bar.finish_and_clear();
    if !arguments.keep
        && let Err(why) = clean::clean(&target, &options.run)
    {
        eprintln!("ottla-conformance: the topics of this run are left: {why}");
    }
    let report = Report {
        suite: format!("ottla-conformance {}", env!("CARGO_PKG_VERSION")),
        target: arguments.name.clone().unwrap_or_else(|| arguments.bootstrap.clone()),
        run: options.run,
        ended_ms: since_1970_ms(),
        took_ms: began.elapsed().as_millis() as u64,
        round_trip_us: target.round_trip.as_micros() as u64,
        patience_ms: target.patience.as_millis() as u64,
        advertised: target.advertised,
        outcomes,
    };
    for (kind, file) in reports {
        let text = match kind {
            "json" => serde_json::to_string_pretty(&report).expect("a report is plain data"),
            "junit" => to_junit(&report),
            _ => to_markdown(&report),
        };
        std::fs::write(&file, text)
            .map_err(|error| CannotRun(format!("writing {}: {error}", file.display())))?;
    }
    for (profile, counts) in report.scores() {
        say!("{profile:<12} {}", counts_text(&counts));
    }
    say!("{} tests in {:.1} s", report.outcomes.len(), report.took_ms as f64 / 1000.0);
    let Some(baseline) = baseline else {
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

fn read_baseline(file: &Path) -> Result<Baseline, CannotRun> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| CannotRun(format!("reading {shown}: {error}")))?;
    Baseline::parse(&text).map_err(|error| CannotRun(format!("{shown}: {error}")))
}

fn clean(bootstrap: &str) -> Result<ExitCode, CannotRun> {
    let target = reach(bootstrap)?;
    let cleaned = clean::clean(&target, RUN_PREFIX).map_err(|why| CannotRun(why.to_string()))?;
    say!("{} topics and {} groups are removed", cleaned.topics, cleaned.groups);
    if cleaned.left.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    say!("left: {}", cleaned.left.join(", "));
    Ok(ExitCode::FAILURE)
}

fn report_kind(text: &str) -> Result<(&str, PathBuf), CannotRun> {
    match text.split_once('=') {
        Some((kind @ ("json" | "junit" | "md"), file)) if !file.is_empty() => {
            Ok((kind, PathBuf::from(file)))
        }
        _ => Err(CannotRun(format!("report {text:?}: expected json=, junit= or md= and a file"))),
    }
}

fn progress(count: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} {wide_msg}");
    ProgressBar::new(count).with_style(style.expect("a template of known fields"))
}

fn show(bar: &ProgressBar, outcome: &Outcome) {
    bar.inc(1);
    bar.set_message(outcome.test.clone());
    if matches!(outcome.verdict, Verdict::Pass | Verdict::Unsupported | Verdict::Info) {
        return;
    }
    let statement = outcome.statement.as_deref().unwrap_or("");
    bar.suspend(|| {
        say!("{:<14} {} {statement}", outcome.verdict, outcome.test);
        say!("               {}", outcome.message);
    });
}

fn one(arguments: &One) -> Result<ExitCode, CannotRun> {
    let select = Select { profile: Vec::new(), only: vec![arguments.test.clone()] };
    let tests = tests(&select)?;
    let target = reach(&arguments.bootstrap)?;
    let run = run_name();
    let mut failed = false;
    for test in &tests {
        let outcome = runner::run_one(&target, test, &run);
        say!("{} {}", outcome.verdict, outcome.test);
        say!("  statements {}", test.case.statements.join(" "));
        if !outcome.message.is_empty() {
            say!("  {} {}", outcome.statement.as_deref().unwrap_or("because"), outcome.message);
        }
        if arguments.trace {
            outcome.trace.frames().iter().for_each(show_frame);
        }
        failed |=
            matches!(outcome.verdict, Verdict::Fail | Verdict::HarnessError | Verdict::Blocked);
    }
    let _ = clean::clean(&target, &run); // what is left goes with `clean`
    Ok(ExitCode::from(u8::from(failed)))
}

fn show_frame(traced: &ottla_conformance::wire::Traced) {
    let arrow = if traced.way == Way::Sent { "-->" } else { "<--" };
    let what = match traced.api {
        Some((api, version)) => format!("{} v{version}, ", api.name()),
        None => String::new(),
    };
    let (ms, bytes) = (traced.at.as_micros() as f64 / 1000.0, &traced.bytes);
    say!("  {ms:>9.3} ms  connection {} {arrow} {what}{} bytes", traced.connection, bytes.len());
    for (row, chunk) in bytes.chunks(16).enumerate() {
        let plain = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
        let pairs: Vec<String> = chunk.chunks(2).map(hex).collect();
        let text: String = chunk.iter().map(plain).collect();
        say!("      {:06x}  {:<39}  {text}", row * 16, pairs.join(" "));
    }
}

fn convert(direction: Direction, arguments: Convert) -> Result<ExitCode, CannotRun> {
    let failed = |error: std::io::Error| CannotRun(format!("standard streams: {error}"));
    let Some(payload) = arguments.payload else {
        let input = BufReader::new(std::io::stdin().lock());
        codec::table(direction, input, std::io::stdout().lock()).map_err(failed)?;
        return Ok(ExitCode::SUCCESS);
    };
    let column = |text: Option<String>| text.unwrap_or_default();
    let (api_key, name) = (column(arguments.api_key), column(arguments.name));
    let (kind, version) = (column(arguments.kind), column(arguments.version));
    let done =
        Subject::parse([&api_key, &name, &kind, &version]).and_then(|subject| match direction {
            Direction::Decode => subject.decode(&payload).map(|value| {
                serde_json::to_string_pretty(&value).expect("a value has string keys only")
            }),
            Direction::Encode => subject.encode(&payload),
        });
    match done {
        Ok(text) => {
            say!("{text}");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(CannotRun(error.to_string())),
    }
}

/// Unique to the run, and sorted by time.
fn run_name() -> String {
    format!("{RUN_PREFIX}{:x}-{:x}", since_1970_ms(), std::process::id())
}

fn since_1970_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
