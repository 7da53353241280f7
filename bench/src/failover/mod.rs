//! A node of three is killed (`kill -9`) while producers and a group work: how long is the longest
//! gap between acknowledged records, for each producer and partition.
//!
//! The load is the same program against all clusters. Everything that was acknowledged is read
//! again at the end.

pub(crate) mod clients;
mod load;
mod program;
mod roles;

use crate::Failure;
use crate::cluster::{Cluster, Kind};
use crate::report::table;
use clap::Args;
use load::Measured;
use roles::{Case, Cast};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// How often a run is begun anew because roles moved between the choice of the victim and its end.
const TRIES: usize = 5;

/// What to kill, and of whom.
#[derive(Debug, Args)]
pub(crate) struct Failover {
    /// The reference broker's program
    #[arg(long)]
    broker: PathBuf,
    /// The script that starts Apache Kafka
    #[arg(long)]
    kafka_script: PathBuf,
    /// Clusters, several separated by commas: ottla-dev, ottla-defaults, kafka
    #[arg(long, value_delimiter = ',', default_value = "ottla-dev,ottla-defaults,kafka")]
    clusters: Vec<Kind>,
    /// Who is killed, several separated by commas: leader, controller, coordinator, all, follower
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "leader,controller,coordinator,all,follower"
    )]
    cases: Vec<Case>,
    /// Runs of each; median and worst are shown
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// A file that gets a line of JSON per run, with the gap of each producer and partition
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// All runs of one case on one cluster.
#[derive(Default)]
struct Cell(Vec<Measured>);

impl Failover {
    /// Runs everything and prints the tables; an acknowledged record that is gone is a failure.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let mut json = match &self.json {
            Some(file) => Some(std::fs::File::create(file)?),
            None => None,
        };
        let mut cells: Vec<Vec<Cell>> = Vec::new();
        for _ in &self.clusters {
            cells.push(self.cases.iter().map(|_| Cell::default()).collect());
        }
        for run in 0..self.runs {
            for (column, case) in self.cases.iter().enumerate() {
                for (row, kind) in self.clusters.iter().enumerate() {
                    let measured = self.once(*kind, *case).await?;
                    eprintln!("run {}: {}, {}: {measured}", run + 1, kind.title(), case.title());
                    if let Some(file) = &mut json {
                        let line = json!({
                            "cluster": kind.title(), "case": case.title(), "run": run + 1,
                            "produce_gap_ms": measured.by_producer(),
                            "commit_gap_ms": millis(measured.commit_gap),
                            "acknowledged": measured.acknowledged, "lost": measured.lost,
                            "duplicated": measured.duplicated, "failed": measured.failed,
                        });
                        writeln!(file, "{line}")?;
                    }
                    cells[row][column].0.push(measured);
                }
            }
        }
        self.print(&cells)
    }

    /// A new cluster, a run, and the cluster's end.
    async fn once(&self, kind: Kind, case: Case) -> Result<Measured, Failure> {
        for _ in 0..TRIES {
            let mut cluster = Cluster::start(kind, &self.broker, &self.kafka_script)?;
            let Some(cast) = Cast::choose(&cluster, case).await? else { continue };
            if let Some(measured) = load::run(&mut cluster, &cast, kind.settling()).await? {
                return Ok(measured);
            }
        }
        Err(format!("{}: roles moved {TRIES} times before the kill", kind.title()).into())
    }

    fn print(&self, cells: &[Vec<Cell>]) -> Result<(), Failure> {
        println!(
            "{} runs: median (worst) of the longest gap, in ms; {} producers, {} partitions, RF 3, \
             min.insync.replicas 2, acks=all\n",
            self.runs,
            load::PRODUCERS,
            load::PARTITIONS
        );
        let mut header = vec!["between acknowledged records of a producer and partition"];
        header.extend(self.cases.iter().map(|case| case.title()));
        println!("{}\n", table(&header, &self.rows(cells, |run| run.produce_gap())));
        header[0] = "between the group's commits";
        println!("{}\n", table(&header, &self.rows(cells, |run| run.commit_gap)));
        let all = || cells.iter().flatten().flat_map(|cell| &cell.0);
        let sum = |count: fn(&Measured) -> u64| all().map(count).sum::<u64>();
        let (acknowledged, lost) = (sum(|run| run.acknowledged), sum(|run| run.lost));
        let (duplicated, failed) = (sum(|run| run.duplicated), sum(|run| run.failed));
        println!(
            "failover: {} kills, acknowledged {acknowledged}, lost {lost}, duplicated \
             {duplicated}, refused {failed}",
            all().count()
        );
        if lost + duplicated > 0 {
            return Err("acknowledged records are gone, or stored twice".into());
        }
        Ok(())
    }

    fn rows(&self, cells: &[Vec<Cell>], gap: fn(&Measured) -> Duration) -> Vec<Vec<String>> {
        let row = |(kind, cells): (&Kind, &Vec<Cell>)| {
            let mut row = vec![kind.title().to_owned()];
            row.extend(cells.iter().map(|cell| cell.show(gap)));
            row
        };
        self.clusters.iter().zip(cells).map(row).collect()
    }
}

impl Cell {
    /// `512 (640)`: median and worst.
    fn show(&self, gap: fn(&Measured) -> Duration) -> String {
        let mut gaps: Vec<u64> = self.0.iter().map(|run| millis(gap(run))).collect();
        gaps.sort_unstable();
        match (gaps.get(gaps.len() / 2), gaps.last()) {
            (Some(median), Some(worst)) => format!("{median} ({worst})"),
            _ => "-".to_owned(),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
