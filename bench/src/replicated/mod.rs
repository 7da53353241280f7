//! Three nodes of ours beside three of Apache Kafka: rates with and without replication, the time
//! from one client to another, what idle and busy clusters hold, and retention under load.
//!
//! Both clusters get the same load from our client, one after the other within a run.

mod end_to_end;
mod held;
mod retention;
mod start;
mod throughput;

use crate::Failure;
use crate::cluster::{Cluster, Kind};
use clap::{Args, ValueEnum};
use ottla::{Admin, NewTopic};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What to measure, and on whom.
#[derive(Debug, Args)]
pub(crate) struct Replicated {
    /// The reference broker's program
    #[arg(long)]
    broker: PathBuf,
    /// The script that starts Apache Kafka
    #[arg(long)]
    kafka_script: PathBuf,
    /// Clusters, several separated by commas: ottla-dev, ottla-defaults, kafka
    #[arg(long, value_delimiter = ',', default_value = "ottla-dev,kafka")]
    clusters: Vec<Kind>,
    /// Parts, several separated by commas; retention needs much disk and is named on its own
    #[arg(long, value_delimiter = ',', default_value = "throughput,end-to-end,start,held")]
    parts: Vec<Part>,
    /// Runs of throughput, end-to-end and start; the median and the spread are shown
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Bytes that one run of throughput moves, in MB
    #[arg(long, default_value_t = 1000)]
    megabytes: u64,
    /// Partitions of the part `held`
    #[arg(long, default_value_t = 10_000)]
    partitions: i32,
    /// Connections of the part `held`
    #[arg(long, default_value_t = 2000)]
    connections: usize,
    /// What the part `retention` keeps, in GB
    #[arg(long, default_value_t = 20)]
    gigabytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// 1 KiB records in and out, with three replicas and with one
    Throughput,
    /// From `send` in one client to the record in another, at 1,000 records/s
    EndToEnd,
    /// From nothing to the first acknowledged record, and the memory of an idle cluster
    Start,
    /// Many connections and partitions at once
    Held,
    /// A log that is as long as retention lets it be, beside a program that only writes
    Retention,
}

impl Replicated {
    /// Measures and prints a table for each part.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        for part in &self.parts {
            match part {
                Part::Throughput => throughput::run(&self).await?,
                Part::EndToEnd => end_to_end::run(&self).await?,
                Part::Start => start::run(&self).await?,
                Part::Held => held::run(&self).await?,
                Part::Retention => retention::run(&self).await?,
            }
        }
        Ok(())
    }

    fn start(&self, kind: Kind) -> Result<Cluster, Failure> {
        Cluster::start(kind, &self.broker, &self.kafka_script)
    }
}

/// Creates a topic and waits until every partition has a leader.
async fn create(
    bootstrap: &str,
    name: &str,
    partitions: i32,
    factor: i16,
    configs: &[(&str, String)],
) -> Result<(), Failure> {
    let admin = Admin::builder().bootstrap_servers(bootstrap).build().await?;
    let topic = NewTopic::new(name, partitions, factor);
    let topic = configs.iter().fold(topic, |topic, (name, value)| topic.config(*name, value));
    admin.create_topic(topic).await?;
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let described = admin.describe_topics([name]).await?;
        let topic = described.get(name).and_then(|topic| topic.as_ref().ok());
        if topic.is_some_and(|topic| topic.partitions.iter().all(|p| p.leader.is_some())) {
            break;
        }
        if Instant::now() > deadline {
            return Err(format!("topic {name} has no leaders after 60 s").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    admin.close().await;
    Ok(())
}

/// User and system CPU seconds of all nodes together.
fn cpu_seconds(cluster: &Cluster) -> Result<f64, Failure> {
    cluster.pids().map(crate::process::cpu_seconds).sum()
}

/// Resident memory of all nodes together, in MiB; pages that processes share count in each.
fn resident_mib(cluster: &Cluster) -> Result<f64, Failure> {
    cluster.pids().map(crate::process::resident_mib).sum()
}
