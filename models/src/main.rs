//! `cargo run --release -p ottla-models -- [MODEL|all] [--large] [--bug NAME] [--explain]`

use std::process::ExitCode;

use ottla_models::catalogue::{ENTRIES, Entry};
use ottla_models::check::{Outcome, Search, Size, Verdict};

const USAGE: &str = "\
usage: ottla-models [MODEL|all] [--large] [--bug NAME] [--explain] [--threads N]
                    [--states N]

  MODEL        replication, classic, reconciliation, idempotence, transactions; all by default
  --large      the large configuration, as far as --states lets it go
  --bug NAME   with a planted fault, or with each in turn: --bug all
  --explain    every invariant in words, and every planted fault
  --threads N  threads of the search, 1 by default: with one, the counterexample is the shortest
  --states N   stop a model after N states, repetitions counted; with --large 60000000 by default";

/// Where a large search stops unless it is told otherwise: what 24 GB of memory hold of any model.
const STATES: usize = 60_000_000;

#[derive(Debug)]
struct Options {
    model: String,
    size: Size,
    fault: Option<String>,
    explain: bool,
    threads: usize,
    limit: Option<usize>,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("ottla-models: {message}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let chosen = |entry: &&Entry| options.model == "all" || options.model == entry.name;
    let entries: Vec<&Entry> = ENTRIES.iter().filter(chosen).collect();
    let (mut runs, mut stopped) = (0, 0);
    let mut good = true;
    for entry in entries {
        for fault in wanted(entry, options.fault.as_deref()) {
            runs += 1;
            let outcome = run(entry, fault, &options);
            good &= is_good(entry, fault, &outcome);
            stopped += usize::from(outcome.stopped);
        }
    }
    if stopped > 0 {
        println!(
            "{stopped} of {runs} runs ended at a limit: what holds there holds of what was seen"
        );
    }
    match (runs, good) {
        (0, _) => {
            eprintln!("ottla-models: no such model, or no such fault of it\n\n{USAGE}");
            ExitCode::from(2)
        }
        (_, true) => ExitCode::SUCCESS,
        (_, false) => ExitCode::FAILURE,
    }
}

/// What to plant, one run each.
fn wanted(entry: &Entry, name: Option<&str>) -> Vec<Option<&'static str>> {
    match name {
        None => vec![None],
        Some(name) => {
            let fits = |fault: &&str| name == "all" || name == *fault;
            entry.faults.iter().map(|fault| fault.name).filter(fits).map(Some).collect()
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        model: "all".to_owned(),
        size: Size::Small,
        fault: None,
        explain: false,
        threads: 1,
        limit: None,
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--large" => options.size = Size::Large,
            "--explain" => options.explain = true,
            "--bug" => options.fault = Some(arguments.next().ok_or("--bug needs a name")?),
            "--threads" => options.threads = number(&mut arguments, "--threads")?,
            "--states" => options.limit = Some(number(&mut arguments, "--states")?),
            flag if flag.starts_with('-') => return Err(format!("no such option: {flag}")),
            model => options.model = model.to_owned(),
        }
    }
    if options.size == Size::Large {
        options.limit = options.limit.or(Some(STATES));
    }
    Ok(options)
}

fn number<N: std::str::FromStr>(
    arguments: &mut impl Iterator<Item = String>,
    of: &str,
) -> Result<N, String> {
    let number = arguments.next().and_then(|text| text.parse().ok());
    number.ok_or_else(|| format!("{of} needs a number"))
}

/// One run, told.
fn run(entry: &Entry, fault: Option<&'static str>, options: &Options) -> Outcome {
    let Options { size, threads, limit, .. } = *options;
    let outcome = (entry.run)(Search { size, fault, threads, limit });
    let planted = fault.map(|name| format!(" with {name}")).unwrap_or_default();
    println!(
        "{}{planted}: {} states ({} with repetitions), depth {}, {:.1} s{}",
        entry.name,
        outcome.unique,
        outcome.total,
        outcome.depth,
        outcome.time.as_secs_f64(),
        memory(),
    );
    if outcome.stopped {
        println!("  STOPPED at its limit: there are states that were not seen");
    }
    if options.explain {
        explain(entry);
    }
    print_findings(&outcome);
    outcome
}

/// The most memory that the program had so far, where the system tells.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kibibytes.map_or_else(String::new, |peak| format!(", {} MiB at most so far", peak >> 10))
}

/// Whether everything held, or the planted fault was found where it should be.
fn is_good(entry: &Entry, fault: Option<&str>, outcome: &Outcome) -> bool {
    let Some(name) = fault else { return outcome.passed() };
    let fault = entry.faults.iter().find(|fault| fault.name == name);
    let broken = outcome.counterexample.as_ref().map(|(broken, _)| *broken);
    broken.is_some() && broken == fault.map(|fault| fault.breaks)
}

fn print_findings(outcome: &Outcome) {
    for finding in &outcome.findings {
        let word = match finding.verdict {
            Verdict::Held if outcome.stopped => "held so far",
            Verdict::Held => "held",
            Verdict::Broken => "BROKEN",
            Verdict::Reached => "reached",
            Verdict::NotReached => "not reached",
        };
        println!("  {word:<12} {}", finding.name);
    }
    if let Some((name, steps)) = &outcome.counterexample {
        println!("  how \"{name}\" is broken:");
        for (number, step) in steps.iter().enumerate() {
            println!("  {number:>3}. {step}");
        }
    }
    println!();
}

fn explain(entry: &Entry) {
    for (title, list) in [("invariants", entry.invariants), ("goals", entry.goals)] {
        println!("  {title}:");
        for invariant in list {
            println!("    {}: {} [{}]", invariant.name, invariant.words, invariant.sources);
        }
    }
    println!("  faults that can be planted:");
    for fault in entry.faults {
        println!(
            "    {}: {} Breaks \"{}\". [{}]",
            fault.name, fault.words, fault.breaks, fault.sources,
        );
    }
    println!();
}
