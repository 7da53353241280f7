use std::io;

use ottla_broker::log::{LogConfig, LogError, Startup};
use ottla_faulty_storage::{Fault, Operation};

use crate::support::{append, batch, contents, fresh, open, segment, small};

fn fault(operation: Operation, path_suffix: &str, error: io::ErrorKind, written: usize) -> Fault {
    Fault { operation, path_suffix: path_suffix.to_owned(), after: 0, error, written }
}

#[test]
fn a_full_disk_refuses_an_append_at_every_byte_and_the_log_goes_on_with_space() {
    let one = batch(3);
    for room in 0..one.len() {
        let (storage, mut log) = fresh(&LogConfig::default());
        append(&mut log, &one);
        let before = storage.content(&segment(0)).unwrap();
        storage.set_capacity(Some(storage.used() + room));
        let error = log.append(&one, 3, 0).unwrap_err();
        assert!(error.is_disk_full(), "{error}");
        assert!(error.to_string().contains("00000000000000000000.log"), "{error}");
        assert_eq!(storage.content(&segment(0)).unwrap(), before, "the partial batch is gone");
        assert_eq!(log.log_end_offset(), 3);
        assert_eq!(contents(&log).len(), 1);
        storage.set_capacity(None);
        assert_eq!(append(&mut log, &one), 3);
        assert_eq!(contents(&log).len(), 2);
    }
}

#[test]
fn a_disk_that_runs_full_again_and_again_loses_and_doubles_nothing() {
    let (storage, mut log) = fresh(&small());
    let one = batch(3);
    let mut appended = 0;
    for attempt in 0..400 {
        // Sometimes there is room for a batch but not for an index, a snapshot or a new segment.
        storage.set_capacity((attempt % 3 != 0).then(|| storage.used() + attempt % 260));
        match log.append(&one, log.log_end_offset(), 0) {
            Ok(info) => {
                assert_eq!(info.base_offset, appended * 3);
                appended += 1;
            }
            Err(error) => assert!(error.is_disk_full(), "{error}"),
        }
    }
    assert!(appended > 130 && appended < 400, "{appended}");
    storage.set_capacity(None);
    assert_eq!(contents(&log).len() as i64, appended);
    append(&mut log, &one);
    drop(log);
    let (log, _) = open(&storage, &small(), Startup::AfterCrash);
    assert_eq!(contents(&log).len() as i64, appended + 1);
}

#[test]
fn an_io_error_of_an_append_takes_the_log_dir_out_of_service() {
    let (storage, mut log) = fresh(&small());
    append(&mut log, &batch(3));
    storage.inject(fault(Operation::Write, ".log", io::ErrorKind::Other, 50));
    let error = log.append(&batch(3), 3, 0).unwrap_err();
    assert!(matches!(error, LogError::DirFailed { .. }));
    assert!(error.to_string().contains("00000000000000000000.log"), "{error}");
    for error in [
        log.append(&batch(3), 3, 0).unwrap_err(),
        log.read(0, 1, 3, true).unwrap_err(),
        log.flush().unwrap_err(),
    ] {
        assert!(matches!(error, LogError::DirFailed { .. }), "{error}");
    }
    drop(log);
    assert_eq!(contents(&open(&storage, &small(), Startup::AfterCrash).0).len(), 1);
}

#[test]
fn a_failed_flush_is_not_tried_again() {
    let (storage, mut log) = fresh(&small());
    append(&mut log, &batch(3));
    storage.inject(fault(Operation::Sync, ".log", io::ErrorKind::Other, 0));
    assert!(matches!(log.flush(), Err(LogError::DirFailed { .. })));
    assert!(matches!(log.flush(), Err(LogError::DirFailed { .. })), "the next sync would succeed");
    assert_eq!(log.durable_end_offset(), 0);
}

#[test]
fn a_torn_write_that_killed_the_process_is_cut_off() {
    for written in [0, 1, 12, 60, 61, 100] {
        let (storage, mut log) = fresh(&small());
        append(&mut log, &batch(3));
        let whole = storage.content(&segment(0)).unwrap();
        drop(log);
        storage.set_content(&segment(0), [&whole, &batch(3)[..written]].concat());
        let (log, report) = open(&storage, &small(), Startup::AfterCrash);
        assert_eq!((log.log_end_offset(), report.truncated_bytes), (3, written as u64));
    }
}

#[test]
fn a_flush_covers_what_was_appended_when_it_was_prepared() {
    let (_, mut log) = fresh(&small());
    append(&mut log, &batch(3));
    let task = log.prepare_flush().unwrap();
    for _ in 0..30 {
        append(&mut log, &batch(3));
    }
    task.run().unwrap();
    log.complete_flush(&task);
    assert_eq!(log.durable_end_offset(), 3);
    // What a truncation has removed, and something else has replaced, is not durable by an older
    // flush.
    let task = log.prepare_flush().unwrap();
    task.run().unwrap();
    log.truncate_to(1).unwrap();
    append(&mut log, &batch(50 / 3));
    log.complete_flush(&task);
    assert_eq!(log.durable_end_offset(), 0);
}

#[test]
fn flush_is_due_by_messages_and_by_time() {
    let (storage, mut log) = fresh(&LogConfig { flush_messages: 5, ..small() });
    append(&mut log, &batch(3));
    assert!(!log.flush_due());
    append(&mut log, &batch(3));
    assert!(log.flush_due());
    log.flush().unwrap();
    assert!(!log.flush_due());
    log.set_config(LogConfig { flush_ms: 100, ..small() });
    append(&mut log, &batch(1));
    storage.set_now_ms(crate::support::NOW_MS + 99);
    assert!(!log.flush_due());
    storage.set_now_ms(crate::support::NOW_MS + 100);
    assert!(log.flush_due());
}

/// So recovery reads the active segment and no other.
#[test]
fn a_full_segment_is_flushed_also_if_it_filled_during_a_flush() {
    let (storage, mut log) = fresh(&small());
    append(&mut log, &batch(3));
    let task = log.prepare_flush().unwrap();
    task.run().unwrap();
    for _ in 0..60 {
        append(&mut log, &batch(3));
    }
    log.complete_flush(&task);
    assert_eq!(log.durable_end_offset(), 3);
    assert!(log.flush_due(), "full segments are not flushed");
    log.flush().unwrap();
    assert!(!log.flush_due());
    log.log_dir().write_checkpoints().unwrap();
    drop(log);
    let (log, report) = open(&storage, &small(), Startup::AfterCrash);
    assert_eq!((log.log_end_offset(), report.segments_verified), (183, 1));
}

/// The one that made the folder died before it synced any name.
#[test]
fn a_flush_after_a_crash_covers_the_names_of_before() {
    let (storage, mut log) = fresh(&small());
    append(&mut log, &batch(3));
    drop(log);
    let (mut log, _) = open(&storage, &small(), Startup::AfterCrash);
    log.flush().unwrap();
    drop(log);
    for seed in 0..20 {
        let disk = storage.fork();
        disk.power_loss(seed);
        assert_eq!(open(&disk, &small(), Startup::AfterPowerLoss).0.log_end_offset(), 3);
    }
}
