use ottla_broker::log::{LogConfig, Startup};
use ottla_faulty_storage::{Fault, Operation};
use ottla_protocol::records::BatchFields;

use crate::support::{
    NOW_MS, append, batch, batch_at, contents, fresh, names, open, root, segment, small,
};

const HOUR_MS: i64 = 3_600_000;

/// A log whose batches have those timestamps, a segment each, and an empty segment behind them.
fn dated(
    timestamps: &[i64],
    config: &LogConfig,
) -> (ottla_faulty_storage::FaultyStorage, ottla_broker::log::Log) {
    let one = batch_at(&[0], &BatchFields::default()).len() as u32;
    let config = LogConfig { segment_bytes: one, ..config.clone() };
    let (storage, mut log) = fresh(&config);
    for timestamp in timestamps {
        append(&mut log, &batch_at(&[*timestamp], &BatchFields::default()));
    }
    assert_eq!(log.segment_count(), timestamps.len());
    (storage, log)
}

#[test]
fn records_of_1970_go_and_records_of_2100_go_by_their_files_age() {
    let config = LogConfig { retention_ms: HOUR_MS, ..LogConfig::default() };
    let (storage, mut log) = dated(&[0, 4_102_444_800_000, -1, NOW_MS, NOW_MS], &config);
    assert_eq!(log.delete_old_segments(5).unwrap().segments, 1, "1970");
    storage.set_now_ms(NOW_MS + HOUR_MS);
    assert_eq!(log.delete_old_segments(5).unwrap().segments, 0, "just in time");
    storage.set_now_ms(NOW_MS + HOUR_MS + 1);
    assert_eq!(log.delete_old_segments(5).unwrap().segments, 4, "2100, without, and now");
    assert_eq!((log.log_start_offset(), log.log_end_offset(), log.segment_count()), (5, 5, 1));
    assert_eq!(append(&mut log, &batch_at(&[NOW_MS], &BatchFields::default())), 5);
}

#[test]
fn nothing_at_or_above_the_high_watermark_goes() {
    let config = LogConfig { retention_ms: 0, ..LogConfig::default() };
    let (_, mut log) = dated(&[1, 1, 1, 1], &config);
    for (high_watermark, start) in [(0, 0), (1, 1), (3, 3), (4, 4)] {
        log.delete_old_segments(high_watermark).unwrap();
        assert_eq!(log.log_start_offset(), start);
    }
}

#[test]
fn the_start_is_durable_before_segments_go() {
    let config = LogConfig { retention_bytes: 0, ..small() };
    let (storage, mut log) = fresh(&config);
    for _ in 0..60 {
        append(&mut log, &batch(3));
    }
    log.flush().unwrap();
    // The checkpoint cannot be written: nothing may go.
    let error = std::io::ErrorKind::PermissionDenied;
    storage.inject(Fault {
        operation: Operation::Rename,
        path_suffix: "log-start-offset-checkpoint".into(),
        after: 0,
        error,
        written: 0,
    });
    assert!(log.delete_old_segments(180).is_err());
    assert_eq!(contents(&log).len(), 60);
    let before = log.segment_count();
    let deleted = log.delete_old_segments(100).unwrap();
    let start = log.log_start_offset();
    assert!(deleted.segments > 0 && start > 0 && start <= 100);
    assert_eq!(log.segment_count(), before - deleted.segments);
    assert!(storage.content(&segment(0)).is_none());
    let left = names(&storage, &root().join("flights-0"));
    let first = format!("{start:020}");
    assert!(
        left.iter().filter(|name| name.starts_with('0')).all(|name| name[..20] >= first[..]),
        "{left:?}"
    );
    drop(log);
    for seed in 0..20 {
        let disk = storage.fork();
        disk.power_loss(seed);
        let (log, _) = open(&disk, &config, Startup::AfterPowerLoss);
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (start, 180));
    }
}

#[test]
fn delete_records_moves_the_start_and_never_back() {
    let (storage, mut log) = fresh(&small());
    for _ in 0..60 {
        append(&mut log, &batch(3));
    }
    log.advance_log_start(100).unwrap();
    log.advance_log_start(50).unwrap();
    assert_eq!(log.log_start_offset(), 100);
    assert!(log.advance_log_start(181).is_err());
    assert!(log.delete_old_segments(180).unwrap().segments > 0);
    assert_eq!(log.log_start_offset(), 100);
    drop(log);
    assert_eq!(open(&storage, &small(), Startup::AfterCrash).0.log_start_offset(), 100);
}
