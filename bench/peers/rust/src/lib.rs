//! The command line that every client of the comparison has, and the lines that it prints.

use clap::{Args, Parser, Subcommand};
use hdrhistogram::Histogram;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Partitions of every topic of the comparison.
pub const PARTITIONS: i32 = 6;

#[derive(Debug, Parser)]
pub struct Options {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Produce(Produce),
    Consume(Consume),
    Latency(Latency),
}

#[derive(Debug, Args)]
pub struct Produce {
    #[arg(long)]
    pub bootstrap: String,
    #[arg(long)]
    pub topic: String,
    #[arg(long)]
    pub records: u64,
    #[arg(long)]
    pub payload: PathBuf,
    #[arg(long, default_value = "none")]
    pub codec: String,
}

#[derive(Debug, Args)]
pub struct Consume {
    #[arg(long)]
    pub bootstrap: String,
    #[arg(long)]
    pub topic: String,
    #[arg(long)]
    pub records: u64,
}

#[derive(Debug, Args)]
pub struct Latency {
    #[arg(long)]
    pub bootstrap: String,
    #[arg(long)]
    pub topic: String,
    #[arg(long)]
    pub payload: PathBuf,
    #[arg(long, default_value_t = 1000)]
    pub rate: u64,
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
}

/// The values: the lines of a file, taken in turn.
pub fn values(path: &PathBuf) -> Result<Vec<Vec<u8>>, Failure> {
    let text = std::fs::read(path)?;
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Ok(lines.map(<[u8]>::to_vec).collect())
}

pub fn print_rate(records: u64, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{}", serde_json::json!({ "records": records, "seconds": seconds }));
}

pub fn print_quantiles(times: &[Duration]) -> Result<(), Failure> {
    let mut histogram = Histogram::<u64>::new(3)?;
    for time in times {
        histogram.record(u64::try_from(time.as_micros())?)?;
    }
    let at = |quantile| histogram.value_at_quantile(quantile);
    let line = serde_json::json!({ "p50_us": at(0.5), "p99_us": at(0.99), "p999_us": at(0.999) });
    println!("{line}");
    Ok(())
}
