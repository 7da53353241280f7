//! Reads a topic and says how fast: `consume BOOTSTRAP TOPIC [name=value]...`.
//!
//! With `group.id` as a member of that group, else all partitions by hand. `count=N` ends it after
//! N records, `print=1` prints them.

use ottla::Consumer;
use std::time::{Duration, Instant};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let usage = "consume BOOTSTRAP TOPIC [name=value]...";
    let (bootstrap, topic) = (args.next().ok_or(usage)?, args.next().ok_or(usage)?);
    let mut builder = Consumer::builder().bootstrap_servers(&bootstrap);
    let (mut count, mut print, mut partitions, mut group) = (usize::MAX, false, 6, false);
    for arg in args {
        let (name, value) = arg.split_once('=').ok_or(usage)?;
        match name {
            "count" => count = value.parse()?,
            "print" => print = value == "1",
            "partitions" => partitions = value.parse()?,
            name => {
                group |= name == "group.id";
                builder = builder.set(name, value)?;
            }
        }
    }
    builder = builder.on_rebalance(|event| eprintln!("{event:?}"));
    builder = match group {
        true => builder.topics([topic.as_str()]),
        false => builder.assign((0..partitions).map(|p| (topic.as_str(), p))),
    };
    let consumer = builder.build().await?;
    let start = Instant::now();
    let (mut records, mut bytes, mut batches) = (0, 0, 0);
    while records < count {
        let next = tokio::time::timeout(Duration::from_secs(5), consumer.next_batch()).await;
        let Ok(next) = next else { break };
        let Some(batch) = next? else { break };
        batches += 1;
        for record in batch.iter() {
            records += 1;
            bytes += record.value.map_or(0, <[u8]>::len);
            if print {
                let value = String::from_utf8_lossy(record.value.unwrap_or_default());
                println!("{}-{} {} {value}", batch.topic(), batch.partition(), record.offset);
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    eprintln!(
        "{records} records in {batches} batches, {bytes} bytes of values, {seconds:.3} s, \
         {:.0} records/s",
        records as f64 / seconds
    );
    consumer.close().await?;
    eprintln!("closed after {:.3} s", start.elapsed().as_secs_f64());
    Ok(())
}
