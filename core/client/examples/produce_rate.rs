//! Produces records as fast as they are taken, and says how fast that was and what it cost.
//!
//! `cargo run --release --example produce_rate -- BOOTSTRAP TOPIC COUNT SIZE [name=value ...]`

use ottla::{Config, Producer, Record};
use std::time::Instant;

/// User and system time of this process in seconds, from `/proc` (100 ticks a second).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bootstrap, topic, count, size, settings @ ..] = arguments.as_slice() else {
        return Err("usage: produce_rate BOOTSTRAP TOPIC COUNT SIZE [name=value ...]".into());
    };
    let (count, size): (u64, usize) = (count.parse()?, size.parse()?);
    let mut config = Config::new().set("bootstrap.servers", bootstrap)?;
    for setting in settings {
        let (name, value) = setting.split_once('=').ok_or("a setting is name=value")?;
        config = config.set(name, value)?;
    }
    let producer = Producer::from_config(config).await?;
    let mut value = vec![b'x'; size];
    producer.send(Record::to(topic).value(&value)).await?.await?;
    let (start, cpu_start) = (Instant::now(), cpu_seconds());
    let mut last = None;
    for number in 0..count {
        let tail = size.min(8);
        value[..tail].copy_from_slice(&number.to_be_bytes()[8 - tail..]);
        let delivery = producer.send(Record::to(topic).value(&value)).await?;
        // Every delivery is checked: those of an earlier batch are done when a later one is,
        // mostly.
        if let Some(earlier) = last.replace(delivery)
            && let Some(result) = earlier.try_result()
        {
            result?;
        }
    }
    producer.flush().await?;
    last.ok_or("nothing was sent")?.await?;
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu_start);
    let millions = count as f64 / 1e6;
    println!(
        "{count} records of {size} B in {seconds:.2} s: {:.2} M records/s, {:.0} MB/s, \
         {:.3} CPU s per million records",
        millions / seconds,
        count as f64 * size as f64 / 1e6 / seconds,
        cpu / millions
    );
    producer.close().await?;
    Ok(())
}
