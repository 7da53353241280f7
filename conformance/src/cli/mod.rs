//! The command line: what all commands share. Each command has a module.

/// A line on standard output. Who reads may stop early, as `head` does: the verdict is the status.
macro_rules! say {
    ($($text:tt)*) => {{
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

mod annotate;
mod clean;
mod client;
mod compare;
mod convert;
mod explain;
mod keep;
mod list;
mod one;
mod pairs;
mod progress;
mod run;

use clap::{Args, Parser, Subcommand};
use ottla_conformance::case::{Profile, Test, matches};
use ottla_conformance::codec::Direction;
use ottla_conformance::suites;
use ottla_conformance::target::Target;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
    Run(run::Run),
    /// List the tests.
    List(Select),
    /// Show a statement: what it says, where it comes from, which tests decide it.
    Explain {
        /// Its id, such as K-FETCH-003.
        id: String,
    },
    /// Run the tests that match, one after the other, and show what went over the wire.
    One(one::One),
    /// Show what a frame holds, field by field. Exit status: 0 it decodes, 1 it does not.
    Annotate(annotate::Annotate),
    /// What changed from one JSON report to another. Exit status: 0 nothing got worse, 1 something
    /// did.
    Diff(compare::Diff),
    /// One HTML page of several JSON reports, of brokers and of clients: targets and statements.
    Matrix(compare::Matrix),
    /// Have every client read what every client wrote, on a broker. Exit status: 0 all pairs agree,
    /// 1 one does not, 2 could not run.
    Pairs(pairs::Pairs),
    /// Run scenarios against a client, which its shim drives. Exit status: as `run`.
    Client(client::Client),
    /// Remove the topics and groups that runs have left.
    Clean(Reach),
    /// Bytes to JSON: arguments for one message, or none for lines of
    /// `api_key name kind version hex` with tabs between on standard input.
    Decode(convert::Convert),
    /// JSON to bytes: arguments for one message, or none for lines of
    /// `api_key name kind version json` with tabs between on standard input.
    Encode(convert::Convert),
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

fn profile(name: &str) -> Result<Profile, String> {
    let names = Profile::ALL.map(Profile::name).join(", ");
    Profile::named(name).ok_or_else(|| format!("expected one of {names}"))
}

/// What the names of all runs begin with.
const RUN_PREFIX: &str = "ottla-conformance-";

/// What ends the program with status 2.
struct CannotRun(String);

pub(crate) fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::List(select) => list::list(&select),
        Command::Explain { id } => explain::explain(&id),
        Command::One(arguments) => one::one(&arguments),
        Command::Annotate(arguments) => annotate::run(&arguments),
        Command::Diff(arguments) => compare::diff(&arguments),
        Command::Matrix(arguments) => compare::matrix(&arguments),
        Command::Pairs(arguments) => pairs::pairs(&arguments),
        Command::Client(arguments) => client::client(&arguments),
        Command::Clean(broker) => clean::clean(&broker),
        Command::Decode(arguments) => convert::convert(Direction::Decode, arguments),
        Command::Encode(arguments) => convert::convert(Direction::Encode, arguments),
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

/// Where a broker is, and how long to wait for it.
#[derive(Args)]
struct Reach {
    /// The broker, as host:port; more of them separated by commas.
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: String,
    /// How long any answer may take; without this 200 of the broker's round trips, 3 at least.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    patience: Option<Duration>,
    /// Replicas of the topics that tests make.
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: i16,
}

impl Reach {
    fn target(&self) -> Result<Target, CannotRun> {
        let reached = Target::reach_within(&self.bootstrap, self.patience);
        let mut target =
            reached.map_err(|why| CannotRun(format!("the target cannot be tested: {why}")))?;
        target.replication_factor = self.replication_factor;
        Ok(target)
    }
}

/// The shortest patience that can be asked for: a network is not quicker.
const PATIENCE_MIN: Duration = Duration::from_millis(10);

fn seconds(text: &str) -> Result<Duration, String> {
    let parsed = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    parsed
        .filter(|patience| *patience >= PATIENCE_MIN)
        .ok_or_else(|| "expected seconds, 0.01 at least".to_owned())
}

/// Unique to the run, and sorted by time.
fn run_name() -> String {
    format!("{RUN_PREFIX}{:x}-{:x}", since_1970_ms(), std::process::id())
}

fn since_1970_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
