//! The comparison by language: Ottla's packages beside the clients that each language has.
//!
//! Every client is a script of `peers/LANGUAGE` with the command line of the other drivers and one
//! argument more, `consume --by record` or `--by batch`.

use crate::driver::{Driver, Measured};
use crate::report::table;
use crate::run::{Row, Run, create, delete};
use crate::target::Target;
use crate::{Failure, ours, payload, process};
use clap::Args;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Fewer records would measure the interpreter's start.
const LEAST_RECORDS: u64 = 500_000;

/// What the languages' programs are started by; a language without one is left out.
#[derive(Debug, Args)]
pub(crate) struct Languages {
    /// Compares within these languages (python, node, swift), instead of clients in Rust, Go, Java
    #[arg(long, value_delimiter = ',')]
    pub(crate) languages: Vec<String>,
    /// A Python that has Ottla's package and its peers
    #[arg(long)]
    python: Option<PathBuf>,
    /// A Node; OTTLA_BENCH_NODE names the folder with Ottla's package and its peers
    #[arg(long)]
    node: Option<PathBuf>,
    /// The driver in Swift
    #[arg(long)]
    swift: Option<PathBuf>,
    /// The folder with the scripts, one folder a language
    #[arg(long, default_value = "bench/peers")]
    scripts: PathBuf,
}

/// What a client is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Produce,
    ByRecord,
    ByBatch,
}

impl Work {
    const ALL: [Self; 3] = [Self::Produce, Self::ByRecord, Self::ByBatch];

    fn title(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::ByRecord => "consume by record",
            Self::ByBatch => "consume by batch",
        }
    }
}

/// A client of a language.
struct Client {
    language: &'static str,
    name: &'static str,
    /// Its script, and what tells it which of its ways to take.
    arguments: &'static [&'static str],
    works: &'static [Work],
    /// It gets one of so many records: what is slow would take hours otherwise.
    share: u64,
}

const fn client(
    language: &'static str,
    name: &'static str,
    arguments: &'static [&'static str],
    works: &'static [Work],
    share: u64,
) -> Client {
    Client { language, name, arguments, works, share }
}

const EVERY: &[Work] = &Work::ALL;
const PRODUCE: &[Work] = &[Work::Produce];
/// @platformatic/kafka has no batches.
const NO_BATCH: &[Work] = &[Work::Produce, Work::ByRecord];

/// Those whose names begin with "ottla" are ours; the others are peers.
const CLIENTS: [Client; 15] = [
    client("python", "ottla", &["ottla_client.py"], EVERY, 1),
    client("python", "ottla (send_many)", &["ottla_client.py", "--many"], PRODUCE, 1),
    client("python", "ottla.aio", &["ottla_aio_client.py"], EVERY, 1),
    client("python", "ottla.aio (uvloop)", &["ottla_aio_client.py", "--uvloop"], EVERY, 1),
    client("python", "confluent-kafka", &["confluent_client.py"], EVERY, 1),
    client("python", "confluent-kafka AIO", &["confluent_aio_client.py"], EVERY, 32),
    client("python", "aiokafka", &["aiokafka_client.py"], EVERY, 4),
    client("python", "kafka-python", &["kafka_python_client.py"], EVERY, 16),
    client("node", "ottla", &["ottla.mjs"], EVERY, 1),
    client("node", "ottla (sendMany)", &["ottla.mjs", "--many"], PRODUCE, 1),
    client("node", "KafkaJS", &["kafkajs.mjs"], EVERY, 1),
    client("node", "@platformatic/kafka", &["platformatic.mjs"], NO_BATCH, 1),
    client("node", "kafka-crab-js", &["kafka-crab.mjs"], EVERY, 1),
    client("swift", "ottla", &[], EVERY, 1),
    client("swift", "ottla (PackedRecords)", &["--many"], PRODUCE, 1),
];

const HEADER: [&str; 7] = [
    "client",
    "M records/s",
    "MB/s",
    "client CPU s/M",
    "CPU ratio to best peer",
    "broker CPU s/M",
    "peak MiB",
];

/// A client with its program, and what came of its runs; no program once one of them failed.
struct Entry<'a> {
    client: &'a Client,
    driver: Option<Driver>,
    rows: [Row; 3],
}

/// What all clients of a table have in common.
struct Setting<'a> {
    target: &'a Target,
    size: usize,
    codec: &'a str,
    records: u64,
    values: &'a Path,
}

impl Languages {
    /// What starts a client.
    fn driver(&self, client: &'static Client) -> Option<Driver> {
        let program = match client.language {
            "python" => self.python.as_ref(),
            "node" => self.node.as_ref(),
            _ => self.swift.as_ref(),
        };
        let is_script = |argument: &str| !argument.starts_with("--");
        let folder = self.scripts.join(client.language);
        let argument = |given: &&str| match is_script(given) {
            true => folder.join(given).into_os_string(),
            false => OsString::from(given),
        };
        let arguments = client.arguments.iter().map(argument).collect();
        program.map(|program| Driver::of_script(client.name, program.clone(), arguments))
    }
}

/// Runs everything against one broker and prints the tables.
pub(crate) fn against(run: &Run, target: &Target, folder: &Path) -> Result<(), Failure> {
    let idle = process::resident_mib(target.pid)?;
    println!("\n## {} ({idle:.0} MiB resident when idle)", target.name);
    let native = Driver::ours()?;
    for &size in &run.sizes {
        let values = folder.join(format!("values-{size}"));
        payload::write(&values, size)?;
        let records = (run.megabytes * 1_000_000 / size as u64).max(LEAST_RECORDS);
        for codec in &run.codecs {
            let setting = Setting { target, size, codec, records, values: &values };
            for language in &run.languages.languages {
                setting.language(run, &native, language)?;
            }
        }
    }
    Ok(())
}

impl Setting<'_> {
    fn language(&self, run: &Run, native: &Driver, language: &str) -> Result<(), Failure> {
        let wanted = |client: &&Client| {
            client.language == language
                && (run.clients.is_empty() || run.clients.iter().any(|name| name == client.name))
        };
        let mut entries: Vec<Entry<'_>> = CLIENTS
            .iter()
            .filter(wanted)
            .map(|client| Entry {
                client,
                driver: run.languages.driver(client),
                rows: Default::default(),
            })
            .collect();
        if entries.is_empty() {
            return Err(format!("no client is called so in language {language}").into());
        }
        // The core in Rust: what the language itself costs is the distance to it.
        let mut core = [Row::default(), Row::default()];
        let logs = self.fill(native, &entries)?;
        for _ in 0..run.runs {
            self.core(native, &mut core)?;
            for entry in &mut entries {
                self.client(entry)?;
            }
        }
        for log in logs {
            ours::block_on(delete(&self.target.bootstrap, &log))?;
        }
        self.print(language, &entries, &core);
        Ok(())
    }

    fn log(&self, share: u64) -> String {
        format!("bench-log-{}-{}-{share}", self.size, self.codec)
    }

    /// The logs that consumers read: written by our client, one for each number of records.
    fn fill(&self, native: &Driver, entries: &[Entry<'_>]) -> Result<Vec<String>, Failure> {
        let mut shares: Vec<u64> = entries.iter().map(|entry| entry.client.share).collect();
        shares.push(1);
        shares.sort_unstable();
        shares.dedup();
        let bootstrap = &self.target.bootstrap;
        let mut logs = Vec::new();
        for share in shares {
            let log = self.log(share);
            ours::block_on(create(bootstrap, &log))?;
            native.produce(bootstrap, &log, self.records / share, self.values, self.codec)?;
            logs.push(log);
        }
        Ok(logs)
    }

    fn core(&self, native: &Driver, rows: &mut [Row; 2]) -> Result<(), Failure> {
        for (row, work) in rows.iter_mut().zip([Work::Produce, Work::ByBatch]) {
            self.measure(native, work, 1, row)?;
        }
        Ok(())
    }

    /// One run of each of a client's works. A peer that fails is told and left out; ours may not.
    fn client(&self, entry: &mut Entry<'_>) -> Result<(), Failure> {
        for (row, work) in entry.rows.iter_mut().zip(Work::ALL) {
            let Some(driver) = &entry.driver else { return Ok(()) };
            if !entry.client.works.contains(&work) {
                continue;
            }
            if let Err(failure) = self.measure(driver, work, entry.client.share, row) {
                if entry.client.name.starts_with("ottla") {
                    return Err(failure);
                }
                println!("\n{} left out: {failure}", entry.client.name);
                entry.driver = None;
            }
        }
        Ok(())
    }

    fn measure(
        &self,
        driver: &Driver,
        work: Work,
        share: u64,
        row: &mut Row,
    ) -> Result<(), Failure> {
        let (bootstrap, records) = (&self.target.bootstrap, self.records / share);
        let topic = "bench-produced";
        if work == Work::Produce {
            ours::block_on(create(bootstrap, topic))?;
        }
        let before = process::cpu_seconds(self.target.pid)?;
        let measured: Result<Measured, Failure> = match work {
            Work::Produce => driver.produce(bootstrap, topic, records, self.values, self.codec),
            Work::ByRecord => driver.consume_by("record", bootstrap, &self.log(share), records),
            Work::ByBatch => driver.consume_by("batch", bootstrap, &self.log(share), records),
        };
        let broker_cpu = process::cpu_seconds(self.target.pid)? - before;
        if work == Work::Produce {
            ours::block_on(delete(bootstrap, topic))?;
        }
        row.push(measured?, self.size, broker_cpu);
        Ok(())
    }

    fn print(&self, language: &str, entries: &[Entry<'_>], core: &[Row; 2]) {
        for (at, work) in Work::ALL.into_iter().enumerate() {
            let rows: Vec<(&str, &Row)> = entries
                .iter()
                .map(|entry| (entry.client.name, &entry.rows[at]))
                .filter(|(_, row)| !row.is_empty())
                .collect();
            let best = rows
                .iter()
                .filter(|(name, _)| !name.starts_with("ottla"))
                .map(|(_, row)| row.client_cpu())
                .min_by(f64::total_cmp);
            let ratio = |row: &Row| best.map_or(f64::NAN, |best| row.client_cpu() / best);
            let mut cells: Vec<_> =
                rows.iter().map(|(name, row)| row.cells(name, ratio(row))).collect();
            match work {
                Work::Produce => cells.push(core[0].cells("(the core, in Rust)", ratio(&core[0]))),
                Work::ByBatch => cells.push(core[1].cells("(the core, in Rust)", ratio(&core[1]))),
                Work::ByRecord => {}
            }
            println!("\n### {language}: {}, {} B, {}\n", work.title(), self.size, self.codec);
            println!("{}", table(&HEADER, &cells));
        }
    }
}
