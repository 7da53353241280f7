//! `cargo run --release -p ottla-models -- [MODEL|all] [--large] [--bug NAME] [--explain]`

use std::process::ExitCode;

use ottla_models::catalogue::{ENTRIES, Entry};
use ottla_models::check::{Outcome, Size, Verdict};

const USAGE: &str = "\
usage: ottla-models [MODEL|all] [--large] [--bug NAME] [--explain] [--threads N]

  MODEL        replication, classic, reconciliation, idempotence, transactions; all by default
  --large      the large configuration, minutes in a release build
  --bug NAME   with a planted fault, or with each in turn: --bug all
  --explain    every invariant in words, and every planted fault
  --threads N  threads of the search, 1 by default: with one, the counterexample is the shortest";

#[derive(Debug)]
struct Options {
    model: String,
    size: Size,
    fault: Option<String>,
    explain: bool,
    threads: usize,
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
    let mut runs = 0;
    let mut good = true;
    for entry in entries {
        for fault in wanted(entry, options.fault.as_deref()) {
            runs += 1;
            good &= run(entry, fault, &options);
        }
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
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--large" => options.size = Size::Large,
            "--explain" => options.explain = true,
            "--bug" => options.fault = Some(arguments.next().ok_or("--bug needs a name")?),
            "--threads" => {
                let number = arguments.next().and_then(|text| text.parse().ok());
                options.threads = number.ok_or("--threads needs a number")?;
            }
            flag if flag.starts_with('-') => return Err(format!("no such option: {flag}")),
            model => options.model = model.to_owned(),
        }
    }
    Ok(options)
}

/// One run. It is good if everything held, or the planted fault was found where it should be.
fn run(entry: &Entry, fault: Option<&'static str>, options: &Options) -> bool {
    let outcome = (entry.run)(options.size, fault, options.threads);
    let planted = fault.map(|name| format!(" with {name}")).unwrap_or_default();
    println!(
        "{}{planted}: {} states ({} with repetitions), depth {}, {:.1} s",
        entry.name,
        outcome.unique,
        outcome.total,
        outcome.depth,
        outcome.time.as_secs_f64(),
    );
    if options.explain {
        explain(entry);
    }
    print_findings(&outcome);
    match fault {
        None => outcome.passed(),
        Some(name) => {
            let fault = entry.faults.iter().find(|fault| fault.name == name);
            let broken = outcome.counterexample.map(|(broken, _)| broken);
            broken.is_some() && broken == fault.map(|fault| fault.breaks)
        }
    }
}

fn print_findings(outcome: &Outcome) {
    for finding in &outcome.findings {
        let word = match finding.verdict {
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
