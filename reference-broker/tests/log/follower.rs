use std::io;

use bytes::Bytes;
use ottla_broker::log::{EpochEntry, Log, LogError, Startup};
use ottla_faulty_storage::{Fault, FaultyStorage, Operation};

use crate::support::{
    append, batch, batch_by, contents, file, fresh, header, names, open, partition, root, small,
};

/// A leader's log: 30 batches by two producers, under three epochs, in several segments.
fn leader() -> Log {
    leader_on().1
}

fn leader_on() -> (FaultyStorage, Log) {
    let (storage, mut log) = fresh(&small());
    for at in 0..30 {
        let batch = batch_by(7 + i64::from(at % 2), 0, at / 2 * 3, 3);
        log.append(&batch, log.log_end_offset(), [2, 3, 9][at as usize / 10]).unwrap();
    }
    (storage, log)
}

/// So many bytes of the leader's batches from an offset on; the last one may be cut off.
fn fetched(leader: &Log, mut offset: i64, bytes: usize) -> Bytes {
    let end = leader.log_end_offset();
    let mut all = Vec::new();
    while offset < end {
        let data = leader.read(offset, 1 << 20, end, true).unwrap();
        all.extend_from_slice(&data.records);
        offset = data.next_offset;
    }
    all.truncate(bytes);
    all.into()
}

fn epochs(log: &Log) -> Vec<EpochEntry> {
    log.epoch_cache().entries().to_vec()
}

fn producers(log: &Log) -> Vec<String> {
    log.producers.iter().map(|(id, producer)| format!("{id} {:?}", producer.batches)).collect()
}

#[test]
fn a_follower_has_what_the_leader_has() {
    let leader = leader();
    for bytes in [200, 777, 5000, 1 << 20] {
        let (storage, mut log) = fresh(&small());
        let mut least = 200;
        while log.log_end_offset() < leader.log_end_offset() {
            let records = fetched(&leader, log.log_end_offset(), bytes.max(least));
            let appended = log.append_as_follower(&records, 9).unwrap();
            // As a fetch does: the first batch whole in any case.
            least = if appended.is_some() { 200 } else { least * 2 };
        }
        assert_eq!(contents(&log), contents(&leader));
        assert_eq!(epochs(&log), epochs(&leader));
        assert_eq!(producers(&log), producers(&leader));
        assert_eq!(log.segment_count(), leader.segment_count());
        assert!(log.segment_count() > 1);
        let sizes = log.log_dir().sizes();
        assert_eq!(sizes, [(partition(), leader.size_bytes())]);
        drop(log);
        let (log, _) = open(&storage, &small(), Startup::AfterCrash);
        assert_eq!((contents(&log), epochs(&log)), (contents(&leader), epochs(&leader)));
    }
}

#[test]
fn damaged_misplaced_and_outdated_batches_are_refused_whole() {
    let leader = leader();
    let good = fetched(&leader, 0, 1 << 20);
    let one = header(&good).size_in_bytes();
    let (_, mut log) = fresh(&small());
    for position in [one + 17, one + 30, 2 * one - 1] {
        let mut bytes = good.to_vec();
        bytes[position] ^= 1;
        let error = log.append_as_follower(&bytes.into(), 9).unwrap_err();
        assert!(matches!(error, LogError::Invalid { .. }), "{error}");
        assert!(error.to_string().contains("offset 3"), "{error}");
        assert_eq!((log.log_end_offset(), log.size_bytes()), (0, 0));
    }
    log.append_as_follower(&good.slice(..2 * one), 9).unwrap();
    for again in [&good.slice(..one), &good.slice(one..)] {
        let error = log.append_as_follower(again, 9).unwrap_err().to_string();
        assert!(error.contains("truncate first"), "{error}");
    }
    log.begin_epoch(4).unwrap();
    let error = log.append_as_follower(&good.slice(2 * one..), 9).unwrap_err().to_string();
    assert!(error.contains("leader epoch 2 follows 4"), "{error}");
    assert_eq!(log.log_end_offset(), 6);
}

#[test]
fn batches_of_a_later_epoch_than_the_leaders_are_left_out() {
    let leader = leader();
    let (_, mut log) = fresh(&small());
    let info = log.append_as_follower(&fetched(&leader, 0, 1 << 20), 3).unwrap().unwrap();
    assert_eq!((info.base_offset, info.last_offset, log.log_end_offset()), (0, 59, 60));
    let rest = fetched(&leader, 60, 1 << 20);
    assert_eq!(log.append_as_follower(&rest, 3).unwrap(), None);
    assert_eq!(log.append_as_follower(&rest.slice(..100), 9).unwrap(), None, "cut");
    assert_eq!(log.append_as_follower(&Bytes::new(), 9).unwrap(), None);
    log.append_as_follower(&rest, 9).unwrap();
    assert_eq!(contents(&log), contents(&leader));
}

#[test]
fn gaps_of_a_compacted_leader_are_kept_over_a_restart() {
    let leader = leader();
    let (storage, mut log) = fresh(&small());
    let all = fetched(&leader, 0, 1 << 20);
    let one = header(&all).size_in_bytes();
    let parts = [0..1, 3..6, 7..28, 29..30].map(|part| all.slice(part.start * one..part.end * one));
    log.append_as_follower(&parts.concat().into(), 9).unwrap();
    let expected = contents(&log);
    assert_eq!(expected.len(), 26);
    log.flush().unwrap();
    log.log_dir().write_checkpoints().unwrap();
    drop(log);
    for startup in [Startup::AfterCrash, Startup::AfterPowerLoss] {
        let (log, report) = open(&storage.fork(), &small(), startup);
        assert_eq!((contents(&log), report.truncated_bytes), (expected.clone(), 0));
    }
    let (mut log, _) = open(&storage, &small(), Startup::AfterCrash);
    // From within a gap: what stays ends at or before it.
    assert_eq!(log.truncate_to(20).unwrap(), 18);
    assert_eq!(contents(&log), expected[..4]);
}

#[test]
fn a_full_disk_in_the_middle_of_what_was_fetched_leaves_whole_batches() {
    let leader = leader();
    let all = fetched(&leader, 0, 1 << 20);
    for room in (100..4000).step_by(331) {
        let (storage, mut log) = fresh(&small());
        storage.set_capacity(Some(storage.used() + room));
        let error = log.append_as_follower(&all, 9).unwrap_err();
        assert!(error.is_disk_full(), "{error}");
        let kept = contents(&log);
        assert_eq!(kept[..], contents(&leader)[..kept.len()]);
        storage.set_capacity(None);
        let end = log.log_end_offset();
        log.append_as_follower(&fetched(&leader, end, 1 << 20), 9).unwrap();
        assert_eq!(contents(&log), contents(&leader));
    }
}

/// A leader that was elected and wrote nothing follows one that did (KIP-279).
#[test]
fn an_epoch_that_wrote_nothing_goes_with_a_truncation_to_the_end() {
    let (_, mut log) = fresh(&small());
    append(&mut log, &batch(3));
    log.begin_epoch(5).unwrap();
    assert_eq!(log.truncate_to(7).unwrap(), 3);
    assert_eq!(log.epoch_cache().latest_epoch(), Some(5));
    assert_eq!(log.truncate_to(3).unwrap(), 3);
    assert_eq!(log.epoch_cache().latest_epoch(), Some(0));
}

#[test]
fn a_full_truncation_forgets_everything_and_starts_where_the_leader_does() {
    for offset in [0, 30, 89, 90, 1000] {
        let (storage, mut log) = leader_on();
        log.flush().unwrap();
        log.log_dir().set_high_watermark(&partition(), 80);
        log.log_dir().write_checkpoints().unwrap();
        assert_eq!(log.truncate_fully_and_start_at(offset).unwrap(), offset);
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (offset, offset));
        assert!(epochs(&log).is_empty() && log.producers.is_empty());
        assert_eq!(log.log_dir().high_watermark(&partition()), offset.min(80));
        let left = names(&storage, &root().join("flights-0"));
        assert!(!left.iter().any(|name| name.ends_with(".snapshot")), "{left:?}");
        log.append(&batch_by(3, 0, 5, 2), offset, 12).unwrap();
        drop(log);
        for seed in 0..10 {
            let disk = storage.fork();
            disk.power_loss(seed);
            let (log, _) = open(&disk, &small(), Startup::AfterPowerLoss);
            assert_eq!(log.log_start_offset(), offset);
            assert!([offset, offset + 2].contains(&log.log_end_offset()), "seed {seed}");
            assert!(log.producers.iter().all(|(id, _)| id == 3));
            let known = log.epoch_cache().latest_epoch();
            assert!(known.is_none_or(|epoch| epoch == 12), "{known:?}");
        }
    }
}

#[test]
fn a_truncation_lowers_what_vouches_for_more() {
    let (storage, mut log) = leader_on();
    log.flush().unwrap();
    log.log_dir().set_high_watermark(&partition(), 90);
    log.log_dir().write_checkpoints().unwrap();
    assert_eq!(log.truncate_to(50).unwrap(), 48);
    let read = |name: &str| String::from_utf8(storage.content(&root().join(name)).unwrap());
    for name in ["recovery-point-offset-checkpoint", "replication-offset-checkpoint"] {
        assert_eq!(read(name).unwrap(), "0\n1\nflights 0 48\n", "{name}");
    }
}

#[test]
fn a_truncation_that_fails_takes_the_dir_out_of_service() {
    let (storage, mut log) = leader_on();
    let fault = Fault {
        operation: Operation::SyncDir,
        path_suffix: "flights-0".into(),
        after: 0,
        error: io::ErrorKind::Other,
        written: 0,
    };
    storage.inject(fault);
    assert!(matches!(log.truncate_to(5), Err(LogError::DirFailed { .. })));
    assert!(matches!(log.append(&batch(1), 3, 9), Err(LogError::DirFailed { .. })));
    drop(log);
    let (log, _) = open(&storage, &small(), Startup::AfterCrash);
    assert_eq!(log.log_end_offset(), 3);
    assert!(storage.content(&file("00000000000000000000.log")).is_some());
}
