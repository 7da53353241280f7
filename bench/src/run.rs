//! The comparison: every client against every broker.

use crate::driver::{Driver, Measured, Quantiles};
use crate::languages::{self, Languages};
use crate::report::{Runs, table};
use crate::target::Target;
use crate::{Failure, ours, payload, process};
use clap::Args;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What to compare.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The reference broker's program
    #[arg(long)]
    broker: PathBuf,
    /// The folder with the peers' programs
    #[arg(long)]
    peers: PathBuf,
    /// The script that starts Apache Kafka
    #[arg(long)]
    kafka_script: PathBuf,
    /// Bytes of a value, several separated by commas
    #[arg(long, value_delimiter = ',', default_value = "100,1024")]
    pub(crate) sizes: Vec<usize>,
    /// Codecs, several separated by commas
    #[arg(long, value_delimiter = ',', default_value = "none,lz4,zstd,gzip,snappy")]
    pub(crate) codecs: Vec<String>,
    /// Clients, several separated by commas; all by default
    #[arg(long, value_delimiter = ',')]
    pub(crate) clients: Vec<String>,
    /// Brokers: ottla, kafka
    #[arg(long, value_delimiter = ',', default_value = "ottla,kafka")]
    brokers: Vec<String>,
    /// Runs of each; the median and the spread are shown
    #[arg(long, default_value_t = 3)]
    pub(crate) runs: usize,
    /// Bytes that one run moves, in MB
    #[arg(long, default_value_t = 400)]
    pub(crate) megabytes: u64,
    /// Skips the latency table
    #[arg(long)]
    no_latency: bool,
    #[command(flatten)]
    pub(crate) languages: Languages,
}

/// All runs of one client in one setting.
#[derive(Default)]
pub(crate) struct Row {
    rate: Runs,
    throughput: Runs,
    client_cpu: Runs,
    broker_cpu: Runs,
    peak: Runs,
}

impl Row {
    /// Adds a run of `size` bytes a record, which cost the broker so many CPU seconds.
    pub(crate) fn push(&mut self, measured: Measured, size: usize, broker_cpu: f64) {
        let rate = measured.records / measured.seconds;
        let per_million = 1e6 / measured.records;
        self.rate.push(rate / 1e6);
        self.throughput.push(rate * size as f64 / 1e6);
        self.client_cpu.push(measured.usage.cpu_seconds * per_million);
        self.broker_cpu.push(broker_cpu * per_million);
        self.peak.push(measured.usage.peak_mib);
    }

    /// Without a run.
    pub(crate) fn is_empty(&self) -> bool {
        self.client_cpu.median().is_nan()
    }

    /// CPU seconds for a million records: the median.
    pub(crate) fn client_cpu(&self) -> f64 {
        self.client_cpu.median()
    }

    /// A line of the table, with the ratio of its client's CPU to another's.
    pub(crate) fn cells(&self, name: &str, ratio: f64) -> Vec<String> {
        let ratio = if ratio.is_nan() { "-".to_owned() } else { format!("{ratio:.2}") };
        vec![
            name.to_owned(),
            self.rate.show(2),
            format!("{:.0}", self.throughput.median()),
            self.client_cpu.show(2),
            ratio,
            self.broker_cpu.show(2),
            format!("{:.0}", self.peak.median()),
        ]
    }
}

const HEADER: [&str; 7] = [
    "client",
    "M records/s",
    "MB/s",
    "client CPU s/M",
    "CPU ratio to ottla",
    "broker CPU s/M",
    "peak MiB",
];

impl Run {
    /// Runs everything and prints the tables.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut drivers = Driver::all(&self.peers, &self.kafka_script)?;
        if !self.clients.is_empty() {
            drivers.retain(|driver| self.clients.iter().any(|name| name == driver.name));
        }
        let folder = tempfile::tempdir()?;
        println!("medians of {} runs ± half the range; acks=all, 6 partitions, RF 1", self.runs);
        for broker in &self.brokers {
            let target = match broker.as_str() {
                "ottla" => Target::ottla(&self.broker)?,
                "kafka" => Target::kafka(&self.kafka_script, "4.3.1")?,
                other => return Err(format!("--brokers takes ottla and kafka, not {other}").into()),
            };
            match self.languages.languages.is_empty() {
                true => self.against(&target, &drivers, folder.path())?,
                false => languages::against(&self, &target, folder.path())?,
            }
        }
        Ok(())
    }

    fn against(&self, target: &Target, drivers: &[Driver], folder: &Path) -> Result<(), Failure> {
        let idle = process::resident_mib(target.pid)?;
        println!("\n## {} ({idle:.0} MiB resident when idle)", target.name);
        for &size in &self.sizes {
            let values = folder.join(format!("values-{size}"));
            payload::write(&values, size)?;
            let records = self.megabytes * 1_000_000 / size as u64;
            for codec in &self.codecs {
                self.codec(target, drivers, size, records, &values, codec)?;
            }
        }
        if !self.no_latency {
            let values = folder.join(format!("values-{}", self.sizes[0]));
            latency(target, drivers, &values)?;
        }
        Ok(())
    }

    fn codec(
        &self,
        target: &Target,
        drivers: &[Driver],
        size: usize,
        records: u64,
        values: &Path,
        codec: &str,
    ) -> Result<(), Failure> {
        let mut produced: Vec<Row> = drivers.iter().map(|_| Row::default()).collect();
        let mut consumed: Vec<Row> = drivers.iter().map(|_| Row::default()).collect();
        let bootstrap = &target.bootstrap;
        // Runs are interleaved, so that a slow moment of the machine hits all alike.
        for run in 0..self.runs {
            for (driver, row) in drivers.iter().zip(&mut produced) {
                let topic = format!("bench-{}-{size}-{codec}-{run}", driver.name);
                ours::block_on(create(bootstrap, &topic))?;
                let before = process::cpu_seconds(target.pid)?;
                let measured = driver.produce(bootstrap, &topic, records, values, codec)?;
                row.push(measured, size, process::cpu_seconds(target.pid)? - before);
                if !(run == 0 && driver.name == "ottla") {
                    ours::block_on(delete(bootstrap, &topic))?;
                }
            }
            // All read the same log: what our client wrote in the first run.
            let topic = format!("bench-{}-{size}-{codec}-0", drivers[0].name);
            for (driver, row) in drivers.iter().zip(&mut consumed) {
                let before = process::cpu_seconds(target.pid)?;
                let measured = driver.consume(bootstrap, &topic, records)?;
                row.push(measured, size, process::cpu_seconds(target.pid)? - before);
            }
        }
        let topic = format!("bench-{}-{size}-{codec}-0", drivers[0].name);
        ours::block_on(delete(bootstrap, &topic))?;
        for (what, rows) in [("produce", &produced), ("consume", &consumed)] {
            println!("\n### {what}, {size} B, {codec}\n");
            let cells = drivers.iter().zip(rows).map(|(driver, row)| {
                row.cells(driver.name, row.client_cpu() / rows[0].client_cpu())
            });
            println!("{}", table(&HEADER, &cells.collect::<Vec<_>>()));
        }
        Ok(())
    }
}

fn latency(target: &Target, drivers: &[Driver], values: &Path) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for driver in drivers {
        let topic = format!("bench-latency-{}", driver.name);
        ours::block_on(create(&target.bootstrap, &topic))?;
        let measured = driver.latency(&target.bootstrap, &topic, values)?;
        let Some(Quantiles { p50, p99, p999 }) = measured else { continue };
        let millis = [p50, p99, p999].map(|micros| format!("{:.2}", micros / 1e3));
        rows.push([vec![driver.name.to_owned()], millis.to_vec()].concat());
    }
    println!("\n### time to acknowledgement at 1,000 records/s, ms\n");
    println!("{}", table(&["client", "p50", "p99", "p99.9"], &rows));
    Ok(())
}

/// Creates a topic of 6 partitions and waits for their leaders.
pub(crate) async fn create(bootstrap: &str, topic: &str) -> Result<(), Failure> {
    let admin = ottla::Admin::builder().bootstrap_servers(bootstrap).build().await?;
    admin.create_topic(ottla::NewTopic::new(topic, 6, 1)).await?;
    // A topic can be written to once every partition has a leader.
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let described = admin.describe_topics([topic]).await?;
        let ready = described.get(topic).and_then(|topic| topic.as_ref().ok()).is_some_and(|t| {
            t.partitions.len() == 6 && t.partitions.iter().all(|p| p.leader.is_some())
        });
        if ready {
            break;
        }
        if Instant::now() > deadline {
            return Err(format!("topic {topic} has no leaders after 30 s").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    admin.close().await;
    Ok(())
}

/// Deletes a topic.
pub(crate) async fn delete(bootstrap: &str, topic: &str) -> Result<(), Failure> {
    let admin = ottla::Admin::builder().bootstrap_servers(bootstrap).build().await?;
    for (_, outcome) in admin.delete_topics([topic]).await? {
        outcome?;
    }
    admin.close().await;
    Ok(())
}
