//! Records of 1 KiB in and out, `acks=all`.

use super::{Replicated, cpu_seconds, create};
use crate::Failure;
use crate::cluster::{Cluster, Kind};
use crate::driver::{Driver, Measured};
use crate::payload;
use crate::report::{Runs, table};
use std::path::Path;

const SIZE: usize = 1024;
/// Replicas: as a cluster is meant to be used, and for comparison with one broker.
const FACTORS: [i16; 2] = [3, 1];
const HEADER: [&str; 6] =
    ["cluster", "replicas", "in MB/s", "nodes' CPU s/GB", "out MB/s", "nodes' CPU s/GB"];

#[derive(Default)]
struct Row {
    rates: [Runs; 2],
    cpu: [Runs; 2],
}

impl Row {
    /// Adds a run in one direction: 0 is in, 1 is out.
    fn push(&mut self, direction: usize, measured: Measured, cpu: f64) {
        let bytes = measured.records * SIZE as f64;
        self.rates[direction].push(bytes / measured.seconds / 1e6);
        self.cpu[direction].push(cpu / (bytes / 1e9));
    }
}

pub(super) async fn run(what: &Replicated) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let values = folder.path().join("values");
    payload::write(&values, SIZE)?;
    let cells = what.clusters.iter().flat_map(|kind| FACTORS.map(|factor| (*kind, factor)));
    let mut rows: Vec<(Kind, i16, Row)> =
        cells.map(|(kind, factor)| (kind, factor, Row::default())).collect();
    for _ in 0..what.runs {
        for (kind, factor, row) in &mut rows {
            let cluster = what.start(*kind)?;
            once(&cluster, *factor, what.megabytes * 1_000_000 / SIZE as u64, &values, row).await?;
        }
    }
    println!("\n### throughput, {SIZE} B, no compression, 6 partitions, {} runs\n", what.runs);
    let line = |(kind, factor, row): &(Kind, i16, Row)| {
        let [into, out] = &row.rates;
        let [into_cpu, out_cpu] = &row.cpu;
        let cells = [into.show(0), into_cpu.show(2), out.show(0), out_cpu.show(2)];
        [vec![kind.title().to_owned(), factor.to_string()], cells.to_vec()].concat()
    };
    println!("{}", table(&HEADER, &rows.iter().map(line).collect::<Vec<_>>()));
    Ok(())
}

async fn once(
    cluster: &Cluster,
    factor: i16,
    records: u64,
    values: &Path,
    row: &mut Row,
) -> Result<(), Failure> {
    let driver = Driver::ours()?;
    let bootstrap = &cluster.bootstrap;
    // The first records of a process are slower, of Java's above all.
    for (topic, records) in [("warm", records / 10), ("t", records)] {
        create(bootstrap, topic, 6, factor, &[]).await?;
        let before = cpu_seconds(cluster)?;
        let produced = driver.produce(bootstrap, topic, records, values, "none")?;
        let between = cpu_seconds(cluster)?;
        let consumed = driver.consume(bootstrap, topic, records)?;
        let after = cpu_seconds(cluster)?;
        if topic == "t" {
            row.push(0, produced, between - before);
            row.push(1, consumed, after - between);
        }
    }
    Ok(())
}
