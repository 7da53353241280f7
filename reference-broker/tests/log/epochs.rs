use std::path::Path;
use std::sync::Arc;

use ottla_broker::log::{EpochEntry, LeaderEpochCache, Startup, Storage};
use ottla_faulty_storage::FaultyStorage;

use crate::support::{NOW_MS, append, batch, file, fresh, open, small};

fn cache(entries: &[(i32, i64)]) -> (FaultyStorage, LeaderEpochCache) {
    let storage = FaultyStorage::new(NOW_MS);
    storage.create_dir_all(Path::new("/p")).unwrap();
    let mut cache = LeaderEpochCache::open(Arc::new(storage.clone()), Path::new("/p")).unwrap();
    for (epoch, start) in entries {
        cache.assign(*epoch, *start).unwrap();
    }
    (storage, cache)
}

fn entries(cache: &LeaderEpochCache) -> Vec<(i32, i64)> {
    cache
        .entries()
        .iter()
        .map(|EpochEntry { epoch, start_offset }| (*epoch, *start_offset))
        .collect()
}

#[test]
fn end_offset_for_follows_kafka() {
    // Epoch 1 starts at 10, 4 at 20, 7 at 30; the log ends at 40.
    let (_, cache) = cache(&[(1, 10), (4, 20), (7, 30)]);
    let table = [
        (-1, None),
        (0, Some((0, 10))),
        (1, Some((1, 20))),
        (2, Some((1, 20))),
        (3, Some((1, 20))),
        (4, Some((4, 30))),
        (6, Some((4, 30))),
        (7, Some((7, 40))),
        (8, None),
    ];
    for (epoch, expected) in table {
        assert_eq!(cache.end_offset_for(epoch, 40), expected, "epoch {epoch}");
    }
    let (_, empty) = self::cache(&[]);
    assert_eq!(empty.end_offset_for(0, 0), None);
}

#[test]
fn later_assignments_win_over_what_contradicts_them() {
    type Entries = &'static [(i32, i64)];
    let table: [(Entries, Entries); 6] = [
        (&[(1, 10), (1, 15)], &[(1, 10)]),
        (&[(1, 10), (2, 10)], &[(2, 10)]),
        (&[(1, 10), (3, 20), (2, 15)], &[(1, 10), (2, 15)]),
        (&[(1, 10), (3, 20), (4, 5)], &[(4, 5)]),
        (&[(3, 20), (3, 15)], &[(3, 15)]),
        (&[(-1, 20)], &[]),
    ];
    for (assigned, expected) in table {
        assert_eq!(entries(&cache(assigned).1), expected, "{assigned:?}");
    }
}

#[test]
fn truncation_from_both_ends() {
    let all = [(1, 10), (4, 20), (7, 30)];
    for (end, expected) in [(31, 3), (30, 2), (21, 2), (20, 1), (10, 0)] {
        let (_, mut cache) = cache(&all);
        cache.truncate_from_end(end).unwrap();
        assert_eq!(entries(&cache), all[..expected], "end {end}");
    }
    for (start, expected) in [
        (5, vec![(1, 10), (4, 20), (7, 30)]),
        (15, vec![(1, 15), (4, 20), (7, 30)]),
        (20, vec![(4, 20), (7, 30)]),
        (99, vec![(7, 99)]),
    ] {
        let (_, mut cache) = cache(&all);
        cache.truncate_from_start(start).unwrap();
        assert_eq!(entries(&cache), expected, "start {start}");
    }
}

#[test]
fn file_is_kafkas_and_survives_reopening() {
    let (storage, _) = cache(&[(1, 10), (4, 20)]);
    let path = Path::new("/p/leader-epoch-checkpoint");
    assert_eq!(storage.content(path).unwrap(), b"0\n2\n1 10\n4 20\n");
    let reopened = LeaderEpochCache::open(Arc::new(storage.clone()), Path::new("/p")).unwrap();
    assert_eq!(entries(&reopened), [(1, 10), (4, 20)]);
    for damaged in ["", "0\n", "0\n2\n1 10\n", "junk", "0\nx\n"] {
        storage.set_content(path, damaged.as_bytes().to_vec());
        let reopened = LeaderEpochCache::open(Arc::new(storage.clone()), Path::new("/p")).unwrap();
        assert!(entries(&reopened).is_empty(), "{damaged:?}");
    }
}

#[test]
fn recovery_fills_a_lost_cache_from_batch_headers() {
    let (storage, mut log) = fresh(&small());
    for (offset, epoch) in [(0, 2), (3, 2), (6, 5), (9, 9)] {
        log.append(&batch(3), offset, epoch).unwrap();
    }
    log.begin_epoch(11).unwrap();
    assert_eq!(entries(log.epoch_cache()), [(2, 0), (5, 6), (9, 9), (11, 12)]);
    drop(log);
    storage.set_content(&file("leader-epoch-checkpoint"), Vec::new());
    let (mut log, _) = open(&storage, &small(), Startup::AfterCrash);
    assert_eq!(entries(log.epoch_cache()), [(2, 0), (5, 6), (9, 9)]);
    assert_eq!(log.epoch_cache().epoch_of(7), Some(5));
    log.truncate_to(7).unwrap();
    assert_eq!(entries(log.epoch_cache()), [(2, 0)]);
}

/// The first epoch of a log is noted without a flush, and later segments alone are read again.
#[test]
fn the_first_epoch_is_known_after_a_power_loss() {
    let (storage, mut log) = fresh(&small());
    log.begin_epoch(0).unwrap();
    while log.segment_count() < 3 {
        append(&mut log, &batch(3));
    }
    log.flush().unwrap();
    log.log_dir().write_checkpoints().unwrap();
    append(&mut log, &batch(3));
    drop(log);
    for seed in 0..20 {
        let disk = storage.fork();
        disk.power_loss(seed);
        let (log, _) = open(&disk, &small(), Startup::AfterPowerLoss);
        assert_eq!(log.epoch_cache().epoch_of(0), Some(0), "seed {seed}");
    }
}
