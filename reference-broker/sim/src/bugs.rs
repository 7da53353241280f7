//! Are planted bugs found? Each is planted in all brokers, and seeds are tried until one notices
//! that keeps everything without it.

use std::process::ExitCode;

use ottla_broker::planted::Bug;

use super::{Arguments, run, side_by_side};

/// A bug that so many seeds do not notice is not found.
const SEEDS: u64 = 200;
/// Stands for every bug.
const ALL: &str = "all";

/// The first seed that noticed, and what it said.
type Found = Option<(u64, String)>;

/// Plants one after the other, prints a row of a table for each, and fails where one is not found.
pub(crate) fn find(arguments: &Arguments, named: &[String]) -> ExitCode {
    let all: Vec<&str> = Bug::ALL.iter().map(|(name, _)| *name).collect();
    if let Some(name) = named.iter().find(|name| *name != ALL && !all.contains(&name.as_str())) {
        return unknown(name);
    }
    let wanted = |bug: &str| named.iter().any(|name| name == bug || name == ALL);
    let bugs: Vec<&str> = all.into_iter().filter(|bug| wanted(bug)).collect();
    let seeds = arguments.seeds.unwrap_or(SEEDS);
    let mut missed = Vec::new();
    println!("| planted bug | found by | as |\n| --- | --- | --- |");
    side_by_side(
        arguments.jobs,
        bugs.iter(),
        |bug| first(arguments, bug, seeds),
        |bug, found| match found {
            Some((seed, said)) => println!("| `{bug}` | seed {seed} | {said} |"),
            None => {
                println!("| `{bug}` | none of {seeds} seeds | |");
                missed.push(**bug);
            }
        },
    );
    if missed.is_empty() {
        println!("{} bugs, all found", bugs.len());
        return ExitCode::SUCCESS;
    }
    println!("{} bugs, {} not found: {}", bugs.len(), missed.len(), missed.join(" "));
    ExitCode::FAILURE
}

/// Says which bugs there are.
pub(crate) fn unknown(named: &str) -> ExitCode {
    let names: Vec<&str> = Bug::ALL.iter().map(|(name, _)| *name).collect();
    println!("there is no bug \"{named}\": there are {}", names.join(", "));
    ExitCode::FAILURE
}

fn first(arguments: &Arguments, bug: &str, seeds: u64) -> Found {
    (arguments.seed..arguments.seed + seeds).find_map(|seed| {
        let (is_kept, text) = run(arguments, seed, Some(bug));
        if is_kept || !run(arguments, seed, None).0 {
            return None;
        }
        let said = text.lines().next().unwrap_or_default();
        let start = format!("seed {seed}: ");
        Some((seed, said.trim_start_matches(&start).replace('|', "/")))
    })
}
