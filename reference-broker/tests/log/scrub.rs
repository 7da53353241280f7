use std::io;

use bytes::Bytes;
use ottla_broker::log::{Damage, Log, LogConfig, LogError, Scrubbed, Startup, Storage};
use ottla_faulty_storage::{Fault, FaultyStorage, Operation};

use crate::support::{
    append, batch, contents, file, fresh, names, open, root, segment, small, try_open,
};

fn scrub(log: &mut Log) -> (Scrubbed, bool) {
    let scrubbed = log.plan_scrub().unwrap().run(|_| Ok(())).unwrap();
    let damaged = log.complete_scrub(&scrubbed).unwrap();
    (scrubbed, damaged)
}

/// Three segments of four batches each (of the third, three) under two epochs; all is durable.
fn log() -> (FaultyStorage, Log) {
    let one = batch(2).len() as u32;
    let config = LogConfig { segment_bytes: 4 * one, ..small() };
    let (storage, mut log) = fresh(&config);
    for at in 0..11 {
        log.append(&batch(2), at * 2, if at < 6 { 1 } else { 4 }).unwrap();
    }
    assert_eq!(log.segment_count(), 3);
    log.flush().unwrap();
    log.log_dir().write_checkpoints().unwrap();
    (storage, log)
}

fn flip(storage: &FaultyStorage, base: i64, position: usize, mask: u8) {
    let mut bytes = storage.content(&segment(base)).unwrap();
    bytes[position] ^= mask;
    storage.set_content(&segment(base), bytes);
}

#[test]
fn any_flipped_bit_of_any_byte_is_found_at_its_batch() {
    let (storage, mut log) = log();
    let size = batch(2).len();
    let (scrubbed, damaged) = scrub(&mut log);
    assert_eq!((scrubbed.bytes, damaged), (log.size_bytes(), false));
    for base in [0, 8, 16] {
        for position in 0..storage.content(&segment(base)).unwrap().len() {
            flip(&storage, base, position, 1 << (position % 8));
            let scrubbed = log.plan_scrub().unwrap().run(|_| Ok(())).unwrap();
            let damage = scrubbed.damage.unwrap_or_else(|| panic!("byte {position} of {base}"));
            assert_eq!(damage.segment, segment(base));
            assert_eq!(damage.position as usize, position / size * size, "byte {position}");
            assert_eq!(damage.offset, base + (position / size) as i64 * 2);
            flip(&storage, base, position, 1 << (position % 8));
        }
    }
}

#[test]
fn a_quarantined_log_serves_nothing_until_it_is_cut_and_filled_again() {
    let (storage, mut log) = log();
    let before = contents(&log);
    let read = |base| log.read(base, 1 << 20, 22, true).unwrap().records;
    let records = Bytes::from([read(0), read(8), read(16)].concat());
    let size = batch(2).len();
    for (base, position) in
        [(8, 2 * size + 30), (8, size + 3), (8, 2 * size + 7), (16, 14), (0, size)]
    {
        flip(&storage, base, position, 4);
        let (scrubbed, damaged) = scrub(&mut log);
        assert!(damaged);
        assert_eq!(log.damage(), scrubbed.damage.as_ref());
        let damage = scrubbed.damage.unwrap();
        let refused = |error: LogError| assert_eq!(Damage::of(&error).as_ref(), Some(&damage));
        refused(log.read(0, 1, 22, true).unwrap_err());
        refused(log.append(&batch(2), 22, 4).unwrap_err());
        refused(log.append_as_follower(&records, 4).unwrap_err());
        refused(log.max_timestamp().unwrap_err());
        // The other replica's batches from there on.
        let end = log.truncate_to(22).unwrap();
        assert_eq!((end, log.damage()), (damage.offset, None));
        assert_eq!(contents(&log), before[..end as usize / 2]);
        let rest = records.slice(end as usize / 2 * size..);
        log.append_as_follower(&rest, 4).unwrap();
        assert_eq!(contents(&log), before);
        assert!(!scrub(&mut log).1);
        log.flush().unwrap();
    }
    drop(log);
    let (log, _) = open(&storage, &small(), Startup::AfterCrash);
    assert_eq!(contents(&log), before);
}

#[test]
fn damage_is_not_forgotten_over_a_restart() {
    let (storage, mut log) = log();
    let before = contents(&log);
    let size = batch(2).len();
    flip(&storage, 0, 2 * size + 30, 1);
    assert!(scrub(&mut log).1);
    log.close().unwrap();
    drop(log);
    for startup in [Startup::Clean, Startup::AfterCrash, Startup::AfterPowerLoss] {
        let error = try_open(&storage.fork(), &small(), startup).unwrap_err();
        assert!(matches!(error, LogError::Corrupt { offset: 4, .. }), "{error}");
    }
    // Somebody restores the segment.
    let restored = storage.fork();
    flip(&restored, 0, 2 * size + 30, 1);
    let (log, _) = open(&restored, &small(), Startup::AfterCrash);
    assert_eq!(contents(&log), before);
    assert!(!restored.exists(&file("damage")));
    // Or another replica has it.
    let (log, report) = open(&storage, &small(), Startup::Repair);
    assert_eq!((contents(&log), report.segments_dropped), (before[..2].to_vec(), 2));
    assert!(!storage.exists(&file("damage")));
    assert_eq!(log.durable_end_offset(), 4);
    drop(log);
    open(&storage, &small(), Startup::AfterCrash);
}

/// Nothing says that this part had been flushed, and it looks like a torn tail.
#[test]
fn damage_that_was_found_is_no_torn_tail_after_a_power_loss() {
    let (storage, mut log) = fresh(&small());
    for _ in 0..4 {
        append(&mut log, &batch(2));
    }
    log.flush().unwrap();
    flip(&storage, 0, 2 * batch(2).len() + 30, 1);
    assert!(scrub(&mut log).1);
    drop(log);
    storage.power_loss(1);
    let error = try_open(&storage.fork(), &small(), Startup::AfterPowerLoss).unwrap_err();
    assert!(matches!(error, LogError::Corrupt { offset: 4, .. }), "{error}");
    assert_eq!(open(&storage, &small(), Startup::Repair).0.log_end_offset(), 4);
}

/// Gaps are allowed, so a base offset that has changed is seen by the segment's sum alone.
#[test]
fn in_a_compacted_log_the_sum_finds_what_no_crc_covers() {
    let size = batch(2).len();
    let config = LogConfig { cleanup_compact: true, segment_bytes: 3 * size as u32, ..small() };
    let (storage, mut log) = fresh(&config);
    for offset in [0, 10, 20, 30] {
        log.append(&batch(2), offset, 1).unwrap();
    }
    log.flush().unwrap();
    log.log_dir().write_checkpoints().unwrap();
    assert!(!scrub(&mut log).1);
    flip(&storage, 0, size + 7, 4);
    let (scrubbed, damaged) = scrub(&mut log);
    assert!(damaged, "10 has become 14");
    assert_eq!(scrubbed.damage.unwrap().offset, 0);
    drop(log);
    let error = try_open(&storage.fork(), &config, Startup::AfterCrash).unwrap_err();
    assert!(error.to_string().contains("the segment's sum is another one"), "{error}");
    let (log, _) = open(&storage, &config, Startup::Repair);
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (0, 0));
}

#[test]
fn a_sum_that_is_lost_or_damaged_is_made_anew() {
    let (storage, mut log) = log();
    let name = "00000000000000000008.sum";
    let good = storage.content(&file(name)).unwrap();
    for content in [vec![], good[..10].to_vec(), vec![0; good.len()]] {
        storage.set_content(&file(name), content);
        assert!(!scrub(&mut log).1);
        assert_eq!(storage.content(&file(name)).unwrap(), good);
    }
    let left = names(&storage, &root().join("flights-0"));
    let sums: Vec<_> = left.iter().filter(|name| name.ends_with(".sum")).collect();
    assert_eq!(sums.len(), 2, "the active segment has none");
}

#[test]
fn what_was_cut_meanwhile_and_what_cannot_be_read() {
    let (storage, mut log) = log();
    flip(&storage, 8, 30, 1);
    let scrubbed = log.plan_scrub().unwrap().run(|_| Ok(())).unwrap();
    assert!(scrubbed.damage.is_some());
    log.truncate_to(8).unwrap();
    assert!(!log.complete_scrub(&scrubbed).unwrap(), "it is gone");
    append(&mut log, &batch(2));
    let path_suffix = "00000000000000000008.log".to_owned();
    let error = io::ErrorKind::Other;
    storage.inject(Fault { operation: Operation::Read, path_suffix, after: 0, error, written: 0 });
    let (scrubbed, damaged) = scrub(&mut log);
    assert!(damaged);
    assert!(scrubbed.damage.unwrap().reason.contains("cannot be read"));
}
