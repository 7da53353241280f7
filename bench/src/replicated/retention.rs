//! A log that is as long as retention lets it be: the rate in, beside a program that only writes
//! as much to the same disk and removes as much.

use super::{Replicated, create};
use crate::Failure;
use crate::cluster::Cluster;
use crate::driver::Driver;
use crate::payload;
use crate::report::table;
use crate::target::folder;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

const SIZE: usize = 1024;
const PARTITIONS: u64 = 6;
/// Of a segment and of the bare writer's files.
const FILE_BYTES: u64 = 100_000_000;

pub(super) async fn run(what: &Replicated) -> Result<(), Failure> {
    let keeps = what.gigabytes * 1_000_000_000;
    // Measured is what comes when all is full.
    let measured = keeps / 4;
    let bare = bare_writer(keeps, measured)?;
    let mut rows = vec![vec!["a bare writer".to_owned(), format!("{bare:.0}"), "1.00".to_owned()]];
    let temporary = tempfile::tempdir()?;
    let values = temporary.path().join("values");
    payload::write(&values, SIZE)?;
    for kind in &what.clusters {
        let settings = ["log.retention.check.interval.ms=1000"];
        let cluster = Cluster::start_with(*kind, &what.broker, &what.kafka_script, &settings)?;
        let configs = [
            ("retention.bytes", (keeps / PARTITIONS).to_string()),
            ("segment.bytes", FILE_BYTES.to_string()),
            ("file.delete.delay.ms", "1000".to_owned()),
        ];
        create(&cluster.bootstrap, "long", i32::try_from(PARTITIONS)?, 1, &configs).await?;
        let driver = Driver::ours()?;
        let mut rate = 0.0;
        for bytes in [keeps, measured] {
            let records = bytes / SIZE as u64;
            let run = driver.produce(&cluster.bootstrap, "long", records, &values, "none")?;
            rate = run.records * SIZE as f64 / run.seconds / 1e6;
        }
        let ratio = format!("{:.2}", rate / bare);
        rows.push(vec![kind.title().to_owned(), format!("{rate:.0}"), ratio]);
    }
    println!("\n### {} GB kept, retention running, one replica\n", what.gigabytes);
    println!("{}", table(&["cluster", "in MB/s", "of the bare writer"], &rows));
    Ok(())
}

/// MB/s of a program that writes files one after the other and removes the oldest.
fn bare_writer(keeps: u64, measured: u64) -> Result<f64, Failure> {
    let folder = folder()?;
    let files = |bytes: u64| bytes / FILE_BYTES;
    for number in 0..files(keeps) {
        write_file(folder.path(), number)?;
    }
    let start = Instant::now();
    for number in files(keeps)..files(keeps + measured) {
        write_file(folder.path(), number)?;
        fs::remove_file(folder.path().join((number - files(keeps)).to_string()))?;
    }
    Ok(measured as f64 / start.elapsed().as_secs_f64() / 1e6)
}

fn write_file(folder: &Path, number: u64) -> Result<(), Failure> {
    let mut file = File::create(folder.join(number.to_string()))?;
    let block = vec![b'x'; 1_000_000];
    for _ in 0..FILE_BYTES / block.len() as u64 {
        file.write_all(&block)?;
    }
    Ok(())
}
