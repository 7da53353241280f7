//! `ottla-sim --seed N --minutes M [--seeds K]`: each seed in a process of its own, twice, because
//! the two must do the same. `ottla-sim --bugs`: each planted bug, with seeds until one finds it.

#[cfg(target_os = "linux")]
mod bugs;

use std::process::{Command, ExitCode, Stdio};

use clap::Parser;

/// Simulates brokers, clients and faults.
#[derive(Debug, Parser)]
#[command(name = "ottla-sim")]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds; of each planted bug, at most so many.
    #[arg(long)]
    seeds: Option<u64>,
    /// How many at a time.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Simulated minutes of faults for each seed.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// No faults strike.
    #[arg(long)]
    calm: bool,
    /// A rule is broken on purpose: every seed that notices is a success.
    #[arg(long)]
    bug: Option<String>,
    /// Plants these bugs one after the other, or all: for each the first seed that notices. A bug
    /// that none does is a failure.
    #[arg(long, value_name = "NAMES", num_args = 0..=1, default_missing_value = "all")]
    #[arg(value_delimiter = ',', conflicts_with_all = ["bug", "calm", "log"])]
    bugs: Option<Vec<String>>,
    /// Each seed is run once, not twice to compare.
    #[arg(long)]
    once: bool,
    /// Shows what hosts log up to this level: error, warn, info, debug, trace.
    #[arg(long)]
    log: Option<String>,
    /// Runs the seed in this process.
    #[arg(long, hide = true)]
    inside: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    #[cfg(target_os = "linux")]
    return match &arguments.bugs {
        _ if arguments.inside => inside(&arguments),
        Some(named) => bugs::find(&arguments, named),
        None => outside(&arguments),
    };
    #[cfg(not(target_os = "linux"))]
    {
        let _ = arguments;
        eprintln!("ottla-sim replaces calls of Linux: run it there");
        ExitCode::FAILURE
    }
}

/// Runs the seeds in processes, and prints them in their order.
#[cfg(target_os = "linux")]
fn outside(arguments: &Arguments) -> ExitCode {
    let seeds = arguments.seeds.unwrap_or(1);
    let all = (arguments.seed..).take(usize::try_from(seeds).expect("seeds can be counted"));
    let mut failed = Vec::new();
    side_by_side(
        arguments.jobs,
        all,
        |seed| seed_outside(arguments, *seed),
        |seed, (well, text)| {
            println!("{text}");
            if !well {
                failed.push(seed.to_string());
            }
        },
    );
    match failed.len() {
        _ if seeds == 1 => {}
        0 => println!("{seeds} seeds, none failed"),
        count => println!("{seeds} seeds, {count} failed: {}", failed.join(" ")),
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether a seed is kept, both times and in the same way; and what it printed.
#[cfg(target_os = "linux")]
fn seed_outside(arguments: &Arguments, seed: u64) -> (bool, String) {
    let first = run(arguments, seed, arguments.bug.as_deref());
    if arguments.once {
        return first;
    }
    let again = run(arguments, seed, arguments.bug.as_deref());
    if first == again {
        return first;
    }
    let other = format!("{}\n{}\nseed {seed}: the second run was another", first.1, again.1);
    (false, other)
}

/// Does the work for each item on so many threads, and gives the results in the items' order, each
/// as soon as it and those before it are there.
#[cfg(target_os = "linux")]
fn side_by_side<I: Send + Sync, R: Send>(
    jobs: usize,
    items: impl Iterator<Item = I> + Send,
    work: impl Fn(&I) -> R + Sync,
    mut each: impl FnMut(&I, R),
) {
    let items = std::sync::Mutex::new(items.enumerate());
    let (sender, results) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let (sender, items, work) = (sender.clone(), &items, &work);
            scope.spawn(move || {
                loop {
                    let next = items.lock().expect("no thread panics with it").next();
                    let Some((at, item)) = next else { return };
                    let result = work(&item);
                    sender.send((at, item, result)).expect("results are taken");
                }
            });
        }
        drop(sender);
        let mut early = std::collections::BTreeMap::new();
        let mut next = 0;
        for (at, item, result) in results {
            early.insert(at, (item, result));
            while let Some((item, result)) = early.remove(&next) {
                each(&item, result);
                next += 1;
            }
        }
    });
}

/// Whether all was well, and what it printed.
#[cfg(target_os = "linux")]
fn run(arguments: &Arguments, seed: u64, bug: Option<&str>) -> (bool, String) {
    let program = std::env::current_exe().expect("the program has a path");
    let mut command = Command::new(program);
    command.args(["--inside", "--seed", &seed.to_string()]);
    command.args(["--minutes", &arguments.minutes.to_string()]);
    if arguments.calm {
        command.arg("--calm");
    }
    if let Some(bug) = bug {
        command.args(["--bug", bug]);
    }
    if let Some(level) = &arguments.log {
        command.args(["--log", level]);
    }
    let output = command.stderr(Stdio::inherit()).output().expect("the program can be started");
    let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    (output.status.success(), text)
}

/// Runs one seed here.
#[cfg(target_os = "linux")]
fn inside(arguments: &Arguments) -> ExitCode {
    use std::time::Duration;

    use ottla_broker::planted::Bug;

    use ottla_sim::trace::Tracer;
    use ottla_sim::workload::Clients;
    use ottla_sim::world::{self, Settings, Wrong};

    let shown = arguments.log.as_ref().map(|level| level.parse().expect("a level"));
    tracing::subscriber::set_global_default(Tracer::new(shown)).expect("it is set once");
    let named = arguments.bug.as_deref();
    let bug = Bug::ALL.iter().find(|(name, _)| named == Some(*name));
    if let Some(named) = named.filter(|named| bug.is_none() && Wrong::named(named).is_none()) {
        return bugs::unknown(named);
    }
    let settings = Settings {
        seed: arguments.seed,
        time: Duration::from_secs_f64(arguments.minutes * 60.0),
        faults: !arguments.calm,
        wrong: named.and_then(Wrong::named),
        bug: bug.map(|(_, bug)| *bug),
    };
    // A fresh thread: its hash maps take their order from the seed.
    let run = std::thread::spawn(move || world::run(&settings, &Clients::default()));
    let Ok(report) = run.join() else {
        println!("seed {}: the simulation itself has failed", arguments.seed);
        return ExitCode::FAILURE;
    };
    for violation in &report.violations {
        println!("seed {}: {violation}", arguments.seed);
    }
    println!("seed {}: {} trace hash {:016x}", arguments.seed, report.summary, report.hash);
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
