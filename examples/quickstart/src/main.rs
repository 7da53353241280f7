//! From a CSV file to records flowing, checked row by row: the program behind `cargo xtask
//! quickstart`.
//!
//! It starts the reference broker on a folder of its own, produces every row to one topic per
//! codec, consumes each topic by a group of two members of which one leaves in the middle, and
//! compares what came out with what went in: by row number, not by totals. The last topic is read
//! once more by programs in other languages, if there are any.

mod broker;
mod consume;
mod input;
mod produce;
mod readers;
mod report;
mod verify;

use clap::Parser;
use ottla::Compression;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// A failure that ends the run, as one line for the user.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the user can choose.
#[derive(Debug, Parser)]
#[command(name = "quickstart", about = "Produce a CSV file, consume it, compare")]
struct Options {
    /// A CSV file with a header line, plain or gzip; without it, the departures of January 2013
    /// from New York
    #[arg(long, value_name = "FILE", requires = "key")]
    input: Option<PathBuf>,
    /// The column whose value becomes the record's key
    #[arg(long, value_name = "COLUMN", requires = "input")]
    key: Option<String>,
    /// The reference broker's program
    #[arg(long, value_name = "FILE", env = "OTTLA_BROKER_BIN")]
    broker: PathBuf,
    /// Where the broker keeps its log; a new folder, removed at the end, if not given
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A program in another language that reads the last topic, too: its language, what runs it,
    /// and its file
    #[arg(long, value_names = ["LANGUAGE", "INTERPRETER", "SCRIPT"], num_args = 3)]
    reader: Vec<String>,
    /// A language that is left out, and the reason to be told
    #[arg(long, value_names = ["LANGUAGE", "REASON"], num_args = 2)]
    left_out: Vec<String>,
}

const PARTITIONS: i32 = 6;

const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("quickstart: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the whole example; whether every check passed.
async fn run(options: &Options) -> Result<bool, Failure> {
    let input = Arc::new(match (&options.input, &options.key) {
        (Some(file), Some(key)) => input::Input::from_file(file, key)?,
        _ => input::Input::flights()?,
    });
    println!("{}", input.describe());
    let mut cluster = broker::Cluster::start(&options.broker, options.data_dir.as_deref())?;
    println!("{}", cluster.describe());

    let topics = CODECS.map(|codec| (codec, format!("{}.{codec}", input.name)));
    produce::create_topics(&cluster.bootstrap, &topics, PARTITIONS).await?;

    let mut outcomes = Vec::new();
    let progress = report::Progress::new(input.rows.len() as u64 * 2 * CODECS.len() as u64);
    for (codec, topic) in &topics {
        progress.say(format!("{topic}: producing"));
        let crashes = *codec == CODECS[CODECS.len() / 2];
        let produced =
            produce::produce(&mut cluster, topic, *codec, &input, crashes, &progress).await?;
        progress.say(format!("{topic}: consuming"));
        let consumed =
            consume::consume(&cluster.bootstrap, topic, PARTITIONS, &input, &progress).await?;
        let stored = cluster.stored(topic, *codec)?;
        outcomes.push(verify::Outcome::new(*codec, topic, &input, produced, consumed, stored));
    }
    let mut readings = Vec::new();
    let (_, topic) = topics.last().expect("there is a topic for each codec");
    for reader in readers::Reader::of_options(&options.reader) {
        progress.say(format!("{topic}: reading it in another language"));
        readings.push(reader.read(&cluster.bootstrap, topic, PARTITIONS, &input));
    }
    progress.finish();
    cluster.stop()?;
    Ok(report::print(&input, &outcomes, &readings, &options.left_out))
}
