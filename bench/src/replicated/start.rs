//! From nothing to the first acknowledged record, and the memory of a cluster that has no work.

use super::{Replicated, create, resident_mib};
use crate::Failure;
use crate::report::{Runs, table};
use ottla::{Producer, Record};
use std::time::{Duration, Instant};

/// An idle cluster is measured after this.
const IDLE: Duration = Duration::from_secs(10);
const HEADER: [&str; 4] =
    ["cluster", "ready s", "first record of a new topic acknowledged s", "idle MiB, three nodes"];

pub(super) async fn run(what: &Replicated) -> Result<(), Failure> {
    let mut rows: Vec<[Runs; 3]> = what.clusters.iter().map(|_| Default::default()).collect();
    for _ in 0..what.runs {
        for (kind, [ready, first, idle]) in what.clusters.iter().zip(&mut rows) {
            let start = Instant::now();
            let cluster = what.start(*kind)?;
            ready.push(start.elapsed().as_secs_f64());
            create(&cluster.bootstrap, "first", 1, 3, &[]).await?;
            let bootstrap = &cluster.bootstrap;
            let producer = Producer::builder().bootstrap_servers(bootstrap).build().await?;
            producer.send(Record::to("first").value(b"x")).await?.await?;
            first.push(start.elapsed().as_secs_f64());
            producer.close().await?;
            tokio::time::sleep(IDLE).await;
            idle.push(resident_mib(&cluster)?);
        }
    }
    println!("\n### from the start of three new nodes, {} runs\n", what.runs);
    let cells = what.clusters.iter().zip(&rows).map(|(kind, [ready, first, idle])| {
        vec![kind.title().to_owned(), ready.show(2), first.show(2), idle.show(0)]
    });
    println!("{}", table(&HEADER, &cells.collect::<Vec<_>>()));
    Ok(())
}
