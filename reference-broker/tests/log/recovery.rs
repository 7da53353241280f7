use ottla_broker::log::{Check, Log, LogConfig, LogError, Startup};
use ottla_faulty_storage::FaultyStorage;

use crate::support::{
    append, batch, batch_by, contents, file, fresh, header, names, open, root, segment, small,
    try_open,
};

/// Twelve batches by producer 9 in one segment; where each begins in the file.
fn twelve() -> (FaultyStorage, Vec<usize>) {
    let (storage, mut log) = fresh(&big());
    let mut starts = vec![0];
    for sequence in 0..12 {
        let batch = batch_by(9, 0, sequence * 2, 2);
        append(&mut log, &batch);
        starts.push(starts[starts.len() - 1] + batch.len());
    }
    (storage, starts)
}

fn big() -> LogConfig {
    LogConfig { segment_bytes: 1 << 20, ..small() }
}

/// What must hold of a log with the first `batches` of [`twelve`].
fn check(log: &mut Log, batches: usize, what: &str) {
    let end = batches as i64 * 2;
    assert_eq!(log.log_end_offset(), end, "{what}");
    assert_eq!(contents(log).len(), batches, "{what}");
    for offset in 0..end {
        let data = log.read(offset, 1, end, true).unwrap();
        assert_eq!(header(&data.records).base_offset, offset / 2 * 2, "{what}");
    }
    let last = batch_by(9, 0, (batches as i32 - 1) * 2, 2);
    let known = log.producers.check(&header(&last)).unwrap();
    assert!(
        matches!(known, Check::Duplicate { base_offset, .. } if base_offset == end - 2),
        "{what}"
    );
    let next = batch_by(9, 0, batches as i32 * 2, 2);
    assert_eq!(log.producers.check(&header(&next)), Ok(Check::Append), "{what}");
    assert_eq!(append(log, &next), end, "{what}");
    assert_eq!(contents(log).len(), batches + 1, "{what}");
}

#[test]
fn a_log_cut_at_any_byte_of_its_last_two_batches_keeps_the_whole_ones() {
    let (storage, starts) = twelve();
    let whole = storage.content(&segment(0)).unwrap();
    assert_eq!(whole.len(), starts[12]);
    for cut in starts[10]..=starts[12] {
        for startup in [Startup::AfterCrash, Startup::AfterPowerLoss] {
            let disk = storage.fork();
            disk.set_content(&segment(0), whole[..cut].to_vec());
            let (mut log, report) = open(&disk, &big(), startup);
            let batches = starts.iter().filter(|start| **start <= cut).count() - 1;
            assert_eq!(report.truncated_bytes as usize, cut - starts[batches]);
            check(&mut log, batches, &format!("cut at {cut}, {startup:?}"));
        }
    }
}

#[test]
fn a_tail_of_zeros_or_junk_is_cut_off() {
    let (storage, starts) = twelve();
    let whole = storage.content(&segment(0)).unwrap();
    for startup in [Startup::AfterCrash, Startup::AfterPowerLoss] {
        for tail in [vec![0; 1], vec![0; 61], vec![0; 100_000], vec![0xff; 100], vec![2; 300]] {
            for kept in [12, 11] {
                let disk = storage.fork();
                disk.set_content(&segment(0), [&whole[..starts[kept]], &tail].concat());
                let (mut log, report) = open(&disk, &big(), startup);
                assert_eq!(report.truncated_bytes as usize, tail.len());
                check(&mut log, kept, "tail");
            }
        }
        // The last batch's second half is zeros: the file has its length, its pages were lost.
        let mut torn = whole.clone();
        torn[starts[11] + 70..].fill(0);
        let disk = storage.fork();
        disk.set_content(&segment(0), torn);
        let (mut log, _) = open(&disk, &big(), startup);
        check(&mut log, 11, "zero pages");
    }
}

#[test]
fn any_flipped_bit_of_the_last_batch_is_noticed() {
    let (storage, starts) = twelve();
    let whole = storage.content(&segment(0)).unwrap();
    for position in starts[11]..starts[12] {
        // The leader epoch is covered by no checksum, and any value is possible (M19).
        if (12..16).contains(&(position - starts[11])) {
            continue;
        }
        let disk = storage.fork();
        let mut damaged = whole.clone();
        damaged[position] ^= 0x10;
        disk.set_content(&segment(0), damaged);
        let (mut log, _) = open(&disk, &big(), Startup::AfterCrash);
        check(&mut log, 11, &format!("bit at {}", position - starts[11]));
    }
}

#[test]
fn lost_or_damaged_indexes_are_made_anew() {
    let (storage, mut log) = fresh(&small());
    for _ in 0..60 {
        append(&mut log, &batch(3));
    }
    log.close().unwrap();
    let expected = contents(&log);
    let index_names: Vec<String> = names(&storage, &root().join("flights-0"))
        .into_iter()
        .filter(|name| name.ends_with("index"))
        .collect();
    assert!(index_names.len() > 4);
    for startup in [Startup::Clean, Startup::AfterCrash] {
        for name in &index_names {
            let good = storage.content(&file(name)).unwrap();
            let shorter = good[..good.len().saturating_sub(3)].to_vec();
            let damaged = [
                None,
                Some(vec![]),
                Some(shorter),
                Some(vec![0xff; good.len()]),
                Some(vec![0; good.len()]),
            ];
            for content in damaged {
                let disk = storage.fork();
                match &content {
                    Some(content) => disk.set_content(&file(name), content.clone()),
                    None => ottla_broker::log::Storage::remove_file(&disk, &file(name)).unwrap(),
                }
                let (log, _) = open(&disk, &small(), startup);
                assert_eq!(contents(&log), expected, "{name} {content:?}");
                for offset in 0..180 {
                    let data = log.read(offset, 1, 180, true).unwrap();
                    assert_eq!(header(&data.records).base_offset, offset / 3 * 3, "{name}");
                }
            }
        }
    }
}

#[test]
fn damage_in_the_middle_is_reported_and_nothing_is_cut() {
    let (storage, mut log) = fresh(&small());
    for _ in 0..60 {
        append(&mut log, &batch(3));
    }
    drop(log);
    let sealed = storage.content(&segment(0)).unwrap();
    let size = batch(3).len();
    for position in [size * 2 + 8, size * 2 + 16, size * 2 + 80, sealed.len() - 1] {
        let disk = storage.fork();
        let mut damaged = sealed.clone();
        damaged[position] ^= 0x40;
        disk.set_content(&segment(0), damaged.clone());
        let error = try_open(&disk, &small(), Startup::AfterCrash).unwrap_err();
        let message = error.to_string();
        let LogError::Corrupt { segment: path, position: at, offset, .. } = error else {
            panic!("{message}");
        };
        let batch = position / size;
        assert_eq!((path, at as usize, offset as usize), (segment(0), batch * size, batch * 3));
        assert!(message.contains("restore the segment"), "{message}");
        assert_eq!(disk.content(&segment(0)).unwrap(), damaged);
    }
}

#[test]
fn damage_in_the_active_segment_with_good_batches_behind_is_not_a_torn_tail() {
    let (storage, starts) = twelve();
    let mut damaged = storage.content(&segment(0)).unwrap();
    for position in [starts[5] + 8, starts[5] + 20, starts[5] + 70] {
        let before = damaged[position];
        damaged[position] ^= 0x40;
        storage.set_content(&segment(0), damaged.clone());
        let error = try_open(&storage, &big(), Startup::AfterCrash).unwrap_err();
        assert!(matches!(error, LogError::Corrupt { offset: 10, .. }), "{error}");
        // After a power failure the pages of an unflushed segment may be torn anywhere.
        let (mut log, _) = open(&storage.fork(), &big(), Startup::AfterPowerLoss);
        check(&mut log, 5, "power loss");
        damaged[position] = before;
    }
}

#[test]
fn what_was_flushed_is_never_cut() {
    let (storage, mut log) = fresh(&big());
    for _ in 0..10 {
        append(&mut log, &batch(3));
    }
    log.flush().unwrap();
    assert_eq!(log.durable_end_offset(), 30);
    append(&mut log, &batch(3));
    assert_eq!((log.durable_end_offset(), log.log_end_offset()), (30, 33));
    log.log_dir().write_checkpoints().unwrap();
    drop(log);
    let whole = storage.content(&segment(0)).unwrap();
    let size = batch(3).len();
    for startup in [Startup::AfterCrash, Startup::AfterPowerLoss] {
        let disk = storage.fork();
        disk.set_content(&segment(0), whole[..size * 10 - 1].to_vec());
        let error = try_open(&disk, &big(), startup).unwrap_err();
        assert!(error.to_string().contains("had been flushed"), "{error}");
        disk.set_content(&segment(0), whole[..size * 11 - 1].to_vec());
        assert_eq!(open(&disk, &big(), startup).0.log_end_offset(), 30);
    }
}

#[test]
fn a_missing_segment_in_the_middle_is_reported() {
    let (storage, mut log) = fresh(&small());
    for _ in 0..60 {
        append(&mut log, &batch(3));
    }
    let count = log.segment_count();
    assert!(count >= 4);
    drop(log);
    let dir = root().join("flights-0");
    let second =
        names(&storage, &dir).into_iter().filter(|name| name.ends_with(".log")).nth(1).unwrap();
    ottla_broker::log::Storage::remove_file(&storage, &dir.join(second)).unwrap();
    let error = try_open(&storage, &small(), Startup::AfterCrash).unwrap_err();
    assert!(error.to_string().contains("the next one begins with"), "{error}");
    let (log, report) = open(&storage, &small(), Startup::AfterPowerLoss);
    assert_eq!((log.segment_count(), report.segments_dropped), (1, count - 2));
}

#[test]
fn leftovers_of_interrupted_work_are_removed() {
    let (storage, mut log) = fresh(&small());
    append(&mut log, &batch(3));
    drop(log);
    for name in [
        "leader-epoch-checkpoint.tmp",
        "00000000000000000777.index",
        "00000000000000000777.timeindex",
    ] {
        storage.set_content(&file(name), b"x".to_vec());
    }
    let (log, _) = open(&storage, &small(), Startup::AfterCrash);
    assert_eq!(log.log_end_offset(), 3);
    let left = names(&storage, &root().join("flights-0"));
    assert!(!left.iter().any(|name| name.contains("777") || name.ends_with(".tmp")), "{left:?}");
}

#[test]
fn a_clean_log_is_opened_without_reading_it() {
    let (storage, mut log) = fresh(&small());
    for _ in 0..60 {
        append(&mut log, &batch(3));
    }
    log.close().unwrap();
    let expected = contents(&log);
    drop(log);
    let (mut log, report) = open(&storage, &small(), Startup::Clean);
    assert_eq!((report.segments_verified, report.truncated_bytes), (0, 0));
    assert_eq!(contents(&log), expected);
    for _ in 0..60 {
        append(&mut log, &batch(3));
    }
    assert_eq!(contents(&log).len(), 120);
    drop(log);
    assert_eq!(contents(&open(&storage, &small(), Startup::AfterCrash).0).len(), 120);
}

#[test]
fn junk_behind_a_complete_segment_costs_nothing() {
    for startup in [Startup::Clean, Startup::AfterCrash, Startup::AfterPowerLoss] {
        let (storage, mut log) = fresh(&small());
        for _ in 0..60 {
            append(&mut log, &batch(3));
        }
        log.close().unwrap();
        drop(log);
        let whole = storage.content(&segment(0)).unwrap();
        storage.set_content(&segment(0), [&whole[..], &[1; 70]].concat());
        let (log, report) = open(&storage, &small(), startup);
        assert_eq!((log.log_end_offset(), report.truncated_bytes), (180, 70));
        assert_eq!(storage.content(&segment(0)).unwrap(), whole);
        assert_eq!(contents(&log).len(), 60);
    }
}
