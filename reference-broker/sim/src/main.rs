//! `ottla-sim --seed N --minutes M [--seeds K]`: each seed in a process of its own, twice, because
//! the two must do the same.

use std::process::{Command, ExitCode, Stdio};

use clap::Parser;

/// Simulates brokers, clients and faults.
#[derive(Debug, Parser)]
#[command(name = "ottla-sim")]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, one after the other.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Simulated minutes of faults for each seed.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// No faults strike.
    #[arg(long)]
    calm: bool,
    /// A rule is broken on purpose: every seed that notices is a success.
    #[arg(long)]
    bug: Option<String>,
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
    return if arguments.inside { inside(&arguments) } else { outside(&arguments) };
    #[cfg(not(target_os = "linux"))]
    {
        let _ = arguments;
        eprintln!("ottla-sim replaces calls of Linux: run it there");
        ExitCode::FAILURE
    }
}

/// Runs the seeds in processes.
#[cfg(target_os = "linux")]
fn outside(arguments: &Arguments) -> ExitCode {
    let mut failed = Vec::new();
    for seed in arguments.seed..arguments.seed + arguments.seeds {
        let first = run(arguments, seed);
        let again = if arguments.once { first.clone() } else { run(arguments, seed) };
        println!("{}", first.1);
        if first != again {
            println!("{}\nseed {seed}: the second run was another", again.1);
        }
        if !first.0 || first != again {
            failed.push(seed.to_string());
        }
    }
    match failed.len() {
        _ if arguments.seeds == 1 => {}
        0 => println!("{} seeds, none failed", arguments.seeds),
        count => println!("{} seeds, {count} failed: {}", arguments.seeds, failed.join(" ")),
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether all was well, and what it printed.
#[cfg(target_os = "linux")]
fn run(arguments: &Arguments, seed: u64) -> (bool, String) {
    let program = std::env::current_exe().expect("the program has a path");
    let mut command = Command::new(program);
    command.args(["--inside", "--seed", &seed.to_string()]);
    command.args(["--minutes", &arguments.minutes.to_string()]);
    if arguments.calm {
        command.arg("--calm");
    }
    if let Some(bug) = &arguments.bug {
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
    if named.is_some_and(|named| bug.is_none() && Wrong::named(named).is_none()) {
        let names: Vec<&str> = Bug::ALL.iter().map(|(name, _)| *name).collect();
        println!("no such bug: there are {}", names.join(", "));
        return ExitCode::FAILURE;
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
