//! Many connections and many partitions at once: what they cost, and whether work goes on.

use super::{Replicated, create, resident_mib};
use crate::Failure;
use crate::cluster::Cluster;
use crate::driver::Driver;
use crate::payload;
use crate::report::table;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Partitions of a topic.
const PER_TOPIC: i32 = 100;
const SIZE: usize = 1024;
/// ApiVersions 0 with a null client id and no body, after the frame's length.
const API_VERSIONS: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
const HEADER: [&str; 6] = [
    "cluster",
    "partitions made s",
    "connections made s",
    "resident MiB, three nodes",
    "all connections answered s",
    "in MB/s meanwhile",
];

pub(super) async fn run(what: &Replicated) -> Result<(), Failure> {
    raise_file_limit();
    let folder = tempfile::tempdir()?;
    let values = folder.path().join("values");
    payload::write(&values, SIZE)?;
    let mut rows = Vec::new();
    for kind in &what.clusters {
        let cluster = what.start(*kind)?;
        let start = Instant::now();
        for first in (0..what.partitions).step_by(PER_TOPIC as usize) {
            let count = PER_TOPIC.min(what.partitions - first);
            create(&cluster.bootstrap, &format!("held-{first}"), count, 1, &[]).await?;
        }
        let made = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let mut connections = connect(&cluster, what.connections).await?;
        let connected = start.elapsed().as_secs_f64();
        let resident = resident_mib(&cluster)?;
        create(&cluster.bootstrap, "busy", 6, 3, &[]).await?;
        let records = what.megabytes * 1_000_000 / SIZE as u64;
        let driver = Driver::ours()?;
        let produced = driver.produce(&cluster.bootstrap, "busy", records, &values, "none")?;
        let start = Instant::now();
        for connection in &mut connections {
            ask(connection).await?;
        }
        let answered = start.elapsed().as_secs_f64();
        let rate = produced.records * SIZE as f64 / produced.seconds / 1e6;
        let cells = [(made, 1), (connected, 2), (resident, 0), (answered, 2), (rate, 0)];
        let cells = cells.map(|(value, digits)| format!("{value:.digits$}"));
        rows.push([vec![kind.title().to_owned()], cells.to_vec()].concat());
    }
    println!(
        "\n### {} partitions of one replica, {} connections\n",
        what.partitions, what.connections
    );
    println!("{}", table(&HEADER, &rows));
    Ok(())
}

/// Connections to all nodes in turn, each of which has been answered once.
async fn connect(cluster: &Cluster, count: usize) -> Result<Vec<TcpStream>, Failure> {
    let mut connections = Vec::with_capacity(count);
    for address in cluster.bootstrap.split(',').cycle().take(count) {
        let mut connection = TcpStream::connect(address).await?;
        ask(&mut connection).await?;
        connections.push(connection);
    }
    Ok(connections)
}

async fn ask(connection: &mut TcpStream) -> Result<(), Failure> {
    connection.write_all(&API_VERSIONS).await?;
    let len = connection.read_u32().await?;
    let mut answer = vec![0; usize::try_from(len)?];
    connection.read_exact(&mut answer).await?;
    if answer.starts_with(&[0, 0, 0, 7, 0, 0]) {
        Ok(())
    } else {
        Err("a connection was answered something else than ApiVersions".into())
    }
}

/// As many open files as the system allows this program.
fn raise_file_limit() {
    // SAFETY: plain system calls; the structure lives on this stack. A limit that cannot be raised
    // shows when a connection cannot be made.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}
