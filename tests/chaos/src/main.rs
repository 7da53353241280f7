//! Real brokers, three to five processes, under load while nodes are killed and paused, networks
//! cut, disks filled and files damaged: nothing that was acknowledged may be lost.
//!
//! Every node has a network namespace and an address of its own. All of it, this program
//! included, lives in namespaces that no other program sees, and goes with it.

mod cluster;
mod history;
mod load;
mod network;
mod scenarios;
mod table;
mod wire;
mod world;

use clap::Parser;
use scenarios::{SCENARIOS, Scenario};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use table::Results;
use world::{Report, World};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A scenario that takes longer is hung.
const PATIENCE: Duration = Duration::from_secs(240);
/// What a scenario's clients may take to end.
const ENDING: Duration = Duration::from_secs(10);

#[derive(Debug, Parser)]
#[command(name = "ottla-chaos", about = "Faults on real brokers under load")]
struct Options {
    /// The broker's program
    #[arg(long)]
    broker: PathBuf,
    /// Numbers or names of scenarios; all by default
    scenarios: Vec<String>,
    /// Lists the scenarios and what they show
    #[arg(long)]
    list: bool,
    /// Says whether scenarios can be run here, and ends
    #[arg(long)]
    check: bool,
    /// Begins again until so many minutes have gone by
    #[arg(long, default_value_t = 0)]
    minutes: u64,
    /// Keeps data, logs and history of a scenario that failed
    #[arg(long)]
    keep: bool,
    /// Writes what came of them into the table of this file
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.list {
        for scenario in SCENARIOS {
            println!("{:>2} {:28} {}", scenario.number, scenario.name, scenario.what);
        }
        return ExitCode::SUCCESS;
    }
    let outcome = network::enter().and_then(|()| {
        if options.check {
            // Nothing is missing, so this is no error of whoever asks.
            let checked = network::check().inspect_err(|error| eprintln!("chaos: {error}"));
            return Ok(checked.is_ok());
        }
        run(&options)
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error}");
            ExitCode::from(2)
        }
    }
}

/// True if every scenario kept what it promises.
fn run(options: &Options) -> Result<bool, Failure> {
    let chosen = choose(&options.scenarios)?;
    let end = Instant::now() + Duration::from_secs(options.minutes * 60);
    let mut results = Results::default();
    loop {
        for scenario in &chosen {
            // One that failed leaves producers that still try to send: they would reach the next
            // one's cluster, which has the same addresses.
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            results.add(scenario, runtime.block_on(one(options, scenario)));
            runtime.shutdown_timeout(ENDING);
            if let Some(file) = &options.table {
                results.write(file)?;
            }
        }
        if Instant::now() >= end {
            break;
        }
    }
    println!("{}", results.show());
    let [passed, failed, not_run] = results.count();
    println!("chaos: {passed} passed, {failed} failed, {not_run} not run");
    Ok(failed == 0)
}

fn choose(wanted: &[String]) -> Result<Vec<&'static Scenario>, Failure> {
    if wanted.is_empty() {
        return Ok(SCENARIOS.iter().collect());
    }
    let find = |name: &String| {
        let is_meant = |s: &&Scenario| s.name == name || s.number.to_string() == *name;
        let found = SCENARIOS.iter().find(is_meant);
        found.ok_or_else(|| format!("no scenario {name}: see --list").into())
    };
    wanted.iter().map(find).collect()
}

async fn one(options: &Options, scenario: &Scenario) -> Result<Report, Failure> {
    let play = match scenario.play {
        scenarios::Play::Run(play) => play,
        scenarios::Play::Elsewhere(why) => return Ok(Report::elsewhere(why)),
    };
    let mut world = World::new(&options.broker, options.keep)?;
    let outcome = tokio::time::timeout(PATIENCE, play(&mut world)).await;
    let outcome = outcome.unwrap_or_else(|_| Err("it does not end".into()));
    if outcome.as_ref().is_err() || outcome.as_ref().is_ok_and(|report| !report.is_kept()) {
        world.tell_failure();
    }
    outcome
}
