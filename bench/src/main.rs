//! Ottla beside its peers: the same records through each client, against each broker, in one run.
//!
//! Every client is a program of its own with the same command line (`produce`, `consume`,
//! `latency`; see `driver.rs`), so that CPU seconds and peak memory are those of a whole process.
//! Ours is this very program. `cargo xtask bench` builds the others and calls `run`.

mod cluster;
mod driver;
mod failover;
mod languages;
mod ours;
mod payload;
mod process;
mod replicated;
mod report;
mod run;
mod target;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Parser)]
#[command(name = "ottla-bench", about = "Ottla beside its peers, in one run")]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the comparison and prints its tables
    Run(run::Run),
    /// Produces with our client: what each peer's program does as well
    Produce(ours::Produce),
    /// Consumes with our client
    Consume(ours::Consume),
    /// Produces at a fixed rate with our client and prints the time to each acknowledgement
    Latency(ours::Latency),
    /// Kills nodes of three under load and prints the gaps between acknowledged records
    Failover(failover::Failover),
    /// Measures three nodes of ours beside three of Apache Kafka
    Replicated(replicated::Replicated),
    /// Kills a leader under other people's clients and prints what became of their records
    Clients(failover::clients::Clients),
}

fn main() -> ExitCode {
    let outcome = match Options::parse().command {
        Command::Run(run) => run.run(),
        Command::Produce(produce) => ours::block_on(produce.run()),
        Command::Consume(consume) => ours::block_on(consume.run()),
        Command::Latency(latency) => ours::block_on(latency.run()),
        Command::Failover(failover) => ours::block_on(failover.run()),
        Command::Replicated(replicated) => ours::block_on(replicated.run()),
        Command::Clients(clients) => ours::block_on(clients.run()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ottla-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
