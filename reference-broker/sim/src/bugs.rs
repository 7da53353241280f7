//! Are planted bugs found? Each is planted in all brokers, and seeds are tried until one notices.

use std::process::ExitCode;

use ottla_broker::planted::Bug;

use super::{Arguments, run, side_by_side};

/// A bug that so many seeds do not notice is not found.
const SEEDS: u64 = 200;

/// The first seed that noticed, and what it said.
type Found = Option<(u64, String)>;

/// Plants one after the other, prints a row of a table for each, and fails where one is not found.
pub(crate) fn find(arguments: &Arguments) -> ExitCode {
    let seeds = arguments.seeds.unwrap_or(SEEDS);
    let mut missed = Vec::new();
    println!("| planted bug | found by | as |\n| --- | --- | --- |");
    let bugs = Bug::ALL.into_iter().map(|(name, _)| name);
    side_by_side(
        arguments.jobs,
        bugs,
        |bug| first(arguments, bug, seeds),
        |bug, found| match found {
            Some((seed, said)) => println!("| `{bug}` | seed {seed} | {said} |"),
            None => {
                println!("| `{bug}` | none of {seeds} seeds | |");
                missed.push(*bug);
            }
        },
    );
    if missed.is_empty() {
        println!("{} bugs, all found", Bug::ALL.len());
        return ExitCode::SUCCESS;
    }
    println!("{} bugs, {} not found: {}", Bug::ALL.len(), missed.len(), missed.join(" "));
    ExitCode::FAILURE
}

fn first(arguments: &Arguments, bug: &str, seeds: u64) -> Found {
    (arguments.seed..arguments.seed + seeds).find_map(|seed| {
        let (is_kept, text) = run(arguments, seed, Some(bug));
        let said = text.lines().next().unwrap_or_default();
        let start = format!("seed {seed}: ");
        (!is_kept).then(|| (seed, said.trim_start_matches(&start).replace('|', "/")))
    })
}
