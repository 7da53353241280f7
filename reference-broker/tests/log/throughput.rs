//! Prints what the log does per second on the real file system; `--nocapture` shows it. The figures
//! mean something in a release build only, and nothing here fails for being slow.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use ottla_broker::log::{Log, LogConfig, RealStorage};

use crate::support::batch_by;

const TOTAL: usize = if cfg!(debug_assertions) { 4 << 20 } else { 64 << 20 };

fn rate(what: &str, bytes: u64, calls: u64, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    let (rate, each) = (bytes as f64 / seconds / 1e6, seconds * 1e6 / calls as f64);
    println!("{what:<40} {rate:>8.0} MB/s {each:>8.2} us per call");
}

#[test]
fn real_files_take_and_give_what_was_written() {
    for records in [1usize, 16, 400, 20_000] {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("flights-0");
        let config = LogConfig { segment_bytes: 32 << 20, ..LogConfig::default() };
        let (mut log, _) = Log::open(&dir, config.clone(), Arc::new(RealStorage)).unwrap();
        let size = batch_by(1, 0, 0, records).len();
        let count = (TOTAL / size).min(100_000) as u64;
        let batches: Vec<Bytes> =
            (0..64).map(|index| batch_by(1, 0, index * records as i32, records)).collect();
        let started = Instant::now();
        for index in 0..count {
            let end = log.log_end_offset();
            log.append(&batches[index as usize % 64], end, 0).unwrap();
        }
        let total = count * size as u64;
        rate(&format!("append, batches of {size} B"), total, count, started);
        assert_eq!(log.size_bytes(), total);

        let (mut offset, mut read, mut calls) = (0, 0, 0);
        let started = Instant::now();
        while offset < log.log_end_offset() {
            let data = log.read(offset, 1 << 20, log.log_end_offset(), true).unwrap();
            (offset, read, calls) = (data.next_offset, read + data.records.len() as u64, calls + 1);
        }
        rate("  read, 1 MiB at a time", read, calls, started);
        assert_eq!(read, total);

        let started = Instant::now();
        log.flush().unwrap();
        rate("  flush", total, 1, started);
        drop(log);
        let started = Instant::now();
        let (log, report) = Log::open(&dir, config, Arc::new(RealStorage)).unwrap();
        rate("  recovery", total, 1, started);
        assert_eq!(report.truncated_bytes, 0);
        assert_eq!(log.log_end_offset(), offset);
    }
}
