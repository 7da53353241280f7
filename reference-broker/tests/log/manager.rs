use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_broker::log::manager::Belongs;
use ottla_broker::log::{Log, LogError, LogManager, RealStorage, Startup, Storage, TopicPartition};
use ottla_faulty_storage::{Fault, FaultyStorage, Operation};
use ottla_protocol::Uuid;

use crate::support::{NOW_MS, append, batch, contents, names, root, small};

const ID: Uuid = Uuid([7; 16]);
const OTHER: Uuid = Uuid([8; 16]);

fn manager(storage: &FaultyStorage) -> LogManager {
    LogManager::open(&root(), Arc::new(storage.clone())).unwrap()
}

fn ours(_: &TopicPartition, id: Option<Uuid>) -> Belongs {
    match id {
        Some(ID) => Belongs::Yes(Box::new(small())),
        _ => Belongs::No,
    }
}

#[test]
fn partitions_come_back_after_clean_and_unclean_ends() {
    let storage = FaultyStorage::new(NOW_MS);
    let first = manager(&storage);
    assert!(first.load(4, ours).unwrap().is_empty());
    let mut logs = BTreeMap::new();
    for partition in 0..7 {
        let of = TopicPartition::new("a-topic.with_signs", partition);
        let (mut log, _) = first.create(of.clone(), ID, small()).unwrap();
        for _ in 0..=partition {
            append(&mut log, &batch(3));
        }
        first.log_dir().set_high_watermark(&of, 3);
        logs.insert(of, log);
    }
    for log in logs.values_mut() {
        log.close().unwrap();
    }
    first.mark_clean().unwrap();
    drop((logs, first));
    for (round, expected) in
        [Startup::Clean, Startup::AfterCrash, Startup::AfterPowerLoss].into_iter().enumerate()
    {
        if round == 2 {
            storage.power_loss(1);
        }
        let again = manager(&storage);
        assert_eq!(again.startup(), expected);
        let loaded = again.load(4, ours).unwrap();
        assert_eq!(loaded.len(), 7);
        for found in loaded {
            assert_eq!(found.topic_id, Some(ID));
            let (log, _) = found.log.unwrap();
            assert_eq!(contents(&log).len() as i32, found.of.partition + 1);
            assert_eq!(again.log_dir().high_watermark(&found.of), 3);
        }
    }
}

#[test]
fn a_power_loss_in_the_middle_of_recovery_is_still_a_power_loss() {
    let storage = FaultyStorage::new(NOW_MS);
    manager(&storage).load(1, ours).unwrap();
    storage.power_loss(1);
    assert_eq!(manager(&storage).startup(), Startup::AfterPowerLoss);
    let second = manager(&storage);
    assert_eq!(second.startup(), Startup::AfterPowerLoss, "the first one did not finish");
    second.load(1, ours).unwrap();
    drop(second);
    assert_eq!(manager(&storage).startup(), Startup::AfterCrash);
}

#[test]
fn a_folder_of_another_topic_of_that_name_is_set_aside() {
    let storage = FaultyStorage::new(NOW_MS);
    let first = manager(&storage);
    let of = TopicPartition::new("t", 0);
    let (mut log, _) = first.create(of.clone(), OTHER, small()).unwrap();
    append(&mut log, &batch(3));
    drop((log, first));
    let second = manager(&storage);
    assert!(second.load(1, ours).unwrap().is_empty());
    assert!(names(&storage, &root()).contains(&"t-0.00000000-stray".to_owned()));
    let (log, _) = second.create(of.clone(), ID, small()).unwrap();
    assert_eq!(log.log_end_offset(), 0);
    // Re-created while it was there: the same remedy, at once.
    let (log, _) = second.create(of, OTHER, small()).unwrap();
    assert_eq!(log.log_end_offset(), 0);
    assert!(names(&storage, &root()).contains(&"t-0.00000001-stray".to_owned()));
}

#[test]
fn deletion_is_by_topic_id_and_finished_after_a_crash() {
    let storage = FaultyStorage::new(NOW_MS);
    let first = manager(&storage);
    let of = TopicPartition::new("t", 0);
    let (mut log, _) = first.create(of.clone(), ID, small()).unwrap();
    append(&mut log, &batch(3));
    first.log_dir().set_high_watermark(&of, 3);
    first.delete(&of, OTHER).unwrap();
    assert!(storage.exists(&root().join("t-0")));
    first.delete(&of, ID).unwrap();
    assert!(!names(&storage, &root()).iter().any(|name| name.starts_with("t-0")));
    assert_eq!(first.log_dir().high_watermark(&of), 0);
    first.delete(&of, ID).unwrap();
    storage.create_dir_all(&root().join("t-0.00000000-delete")).unwrap();
    first.load(1, ours).unwrap();
    assert!(!names(&storage, &root()).iter().any(|name| name.starts_with("t-0")));
}

#[test]
fn topics_with_the_longest_names_are_deleted_and_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let first = LogManager::open(folder.path(), Arc::new(RealStorage)).unwrap();
    let left = || std::fs::read_dir(folder.path()).unwrap().flatten().filter(|f| f.path().is_dir());
    for topic in ["x".repeat(249), "y".repeat(249)] {
        let of = TopicPartition::new(&topic, 12_345);
        drop(first.create(of.clone(), ID, small()).unwrap());
        if topic.starts_with('x') {
            first.delete(&of, ID).unwrap();
            assert_eq!(left().count(), 0);
        }
    }
    drop(first);
    let again = LogManager::open(folder.path(), Arc::new(RealStorage)).unwrap();
    assert!(again.load(1, |_, _| Belongs::No).unwrap().is_empty());
    assert_eq!(again.strays().unwrap().len(), 1);
}

#[test]
fn a_damaged_partition_is_offline_and_the_others_are_not() {
    let storage = FaultyStorage::new(NOW_MS);
    let first = manager(&storage);
    first.load(1, ours).unwrap();
    for partition in 0..3 {
        let (mut log, _) = first.create(TopicPartition::new("t", partition), ID, small()).unwrap();
        for _ in 0..30 {
            append(&mut log, &batch(3));
        }
    }
    drop(first);
    let path = root().join("t-1/00000000000000000000.log");
    let mut content = storage.content(&path).unwrap();
    content[100] ^= 1;
    storage.set_content(&path, content);
    let loaded = manager(&storage).load(2, ours).unwrap();
    assert_eq!(
        loaded.iter().map(|found| found.log.is_ok()).collect::<Vec<_>>(),
        [true, false, true]
    );
    assert!(matches!(loaded[1].log, Err(LogError::Corrupt { .. })));
}

#[test]
fn two_brokers_on_one_folder_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let first = LogManager::open(dir.path(), Arc::new(RealStorage)).unwrap();
    let error = LogManager::open(dir.path(), Arc::new(RealStorage)).unwrap_err();
    assert!(matches!(error, LogError::Locked { .. }), "{error}");
    assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
    drop(first);
    LogManager::open(dir.path(), Arc::new(RealStorage)).unwrap();
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    // Root may write anywhere but here.
    let error = LogManager::open(Path::new("/proc/ottla-logs"), Arc::new(RealStorage)).unwrap_err();
    assert!(error.to_string().contains("/proc/ottla-logs"), "{error}");
}

#[test]
fn names_of_partition_folders() {
    for (name, expected) in [
        ("t-0", Some(("t", 0))),
        ("a-b-12", Some(("a-b", 12))),
        ("t-", None),
        ("t", None),
        ("-1", None),
        ("t-01", None),
        ("t--1", Some(("t-", 1))),
        ("t-x", None),
        ("t-99999999999", None),
    ] {
        let expected = expected.map(|(topic, partition)| TopicPartition::new(topic, partition));
        assert_eq!(TopicPartition::from_dir_name(name), expected, "{name}");
    }
}

#[test]
fn a_flush_that_ends_after_the_deletion_does_not_vouch_for_the_next_topic() {
    let storage = FaultyStorage::new(NOW_MS);
    let manager = manager(&storage);
    let of = TopicPartition::new("t", 0);
    let (mut old, _) = manager.create(of.clone(), OTHER, small()).unwrap();
    append(&mut old, &batch(3));
    let task = old.prepare_flush().unwrap();
    manager.delete(&of, OTHER).unwrap();
    let (mut new, _) = manager.create(of.clone(), ID, small()).unwrap();
    task.run().unwrap();
    old.complete_flush(&task);
    assert_eq!(manager.log_dir().recovery_point(&of), 0);
    append(&mut new, &batch(3));
    new.flush().unwrap();
    assert_eq!(manager.log_dir().recovery_point(&of), 3);
}

fn two() -> [PathBuf; 2] {
    [PathBuf::from("/one"), PathBuf::from("/two")]
}

fn open_two(storage: &FaultyStorage) -> LogManager {
    let storage: Arc<dyn Storage> = Arc::new(storage.clone());
    LogManager::open_all(&two(), &storage).unwrap()
}

fn partition(index: i32) -> TopicPartition {
    TopicPartition::new("t", index)
}

#[test]
fn logs_are_spread_over_the_dirs_and_found_again() {
    let storage = FaultyStorage::new(NOW_MS);
    let first = open_two(&storage);
    for index in 0..6 {
        let (mut log, _) = first.create(partition(index), ID, small()).unwrap();
        append(&mut log, &batch(1 + index as usize));
        assert_eq!(log.log_dir().path(), two()[index as usize % 2]);
        log.close().unwrap();
    }
    first.delete(&partition(0), ID).unwrap();
    let (log, _) = first.create(partition(6), ID, small()).unwrap();
    assert_eq!(log.log_dir().path(), two()[0], "where one was deleted");
    first.mark_clean().unwrap();
    drop((log, first));
    let again = open_two(&storage);
    assert_eq!((again.startup(), again.tail_intact()), (Startup::Clean, true));
    let loaded = again.load(3, ours).unwrap();
    let ends: Vec<i64> = loaded
        .into_iter()
        .map(|found| {
            assert_eq!(again.log_dir_of(&found.of).unwrap().sizes().len(), 3);
            found.log.unwrap().0.log_end_offset()
        })
        .collect();
    assert_eq!(ends, [2, 3, 4, 5, 6, 0]);
}

#[test]
fn a_dir_that_fails_takes_its_logs_with_it_and_no_others() {
    let storage = FaultyStorage::new(NOW_MS);
    let first = open_two(&storage);
    let mut logs: Vec<Log> =
        (0..2).map(|index| first.create(partition(index), ID, small()).unwrap().0).collect();
    storage.inject(Fault {
        operation: Operation::Write,
        path_suffix: "t-1/00000000000000000000.log".into(),
        after: 0,
        error: std::io::ErrorKind::Other,
        written: 3,
    });
    assert!(matches!(logs[1].append(&batch(1), 0, 0), Err(LogError::DirFailed { .. })));
    append(&mut logs[0], &batch(1));
    assert_eq!(first.failed_dirs().len(), 1);
    assert_eq!(first.failed_dirs()[0].0, two()[1]);
    let (log, _) = first.create(partition(2), ID, small()).unwrap();
    assert_eq!(log.log_dir().path(), two()[0], "new logs go where they can");
    first.write_checkpoints().unwrap();
    logs[0].close().unwrap();
    first.mark_clean().unwrap();
    drop((log, logs, first));
    let again = open_two(&storage);
    assert_eq!((again.startup(), again.failed_dirs().len()), (Startup::AfterCrash, 0));
    assert_eq!(again.load(2, ours).unwrap().len(), 3);
}

/// What it held is not made anew, empty, somewhere else.
#[test]
fn a_dir_that_is_missing_at_start_holds_its_place() {
    let storage = FaultyStorage::new(NOW_MS);
    let first = open_two(&storage);
    for index in 0..2 {
        drop(first.create(partition(index), ID, small()).unwrap());
    }
    drop(first);
    storage.inject(Fault {
        operation: Operation::Open,
        path_suffix: "two/replication-offset-checkpoint".into(),
        after: 0,
        error: std::io::ErrorKind::Other,
        written: 0,
    });
    let again = open_two(&storage);
    assert!(again.has_lost_a_dir());
    assert_eq!(again.failed_dirs()[0].0, two()[1]);
    let loaded = again.load(2, ours).unwrap();
    assert_eq!(loaded.len(), 1);
    let error = again.create(partition(1), ID, small()).unwrap_err();
    assert!(matches!(&error, LogError::DirFailed { dir, .. } if *dir == two()[1]), "{error}");
    assert!(!storage.exists(&two()[0].join("t-1")));
}

#[test]
fn a_dir_that_is_empty_while_another_was_used_is_lost() {
    let storage = FaultyStorage::new(NOW_MS);
    for _ in 0..2 {
        let dirs = open_two(&storage);
        assert!(!dirs.has_lost_a_dir());
        dirs.load(2, ours).unwrap();
    }
    storage.remove_dir_all(&two()[1]).unwrap();
    let emptied = open_two(&storage);
    assert!(emptied.has_lost_a_dir());
    emptied.load(2, ours).unwrap();
    drop(emptied);
    assert!(!open_two(&storage).has_lost_a_dir(), "from now on it has what it fetches");
}

#[test]
fn a_partition_in_two_dirs_is_refused() {
    let storage = FaultyStorage::new(NOW_MS);
    let first = open_two(&storage);
    let (log, _) = first.create(partition(0), ID, small()).unwrap();
    storage.create_dir_all(&two()[1].join("t-0")).unwrap();
    let id = log.dir().join("partition.metadata");
    let copied = storage.content(&id).unwrap();
    storage.set_content(&two()[1].join("t-0/partition.metadata"), copied);
    drop((log, first));
    let error = open_two(&storage).load(2, ours).unwrap_err().to_string();
    assert!(error.contains("/two/t-0") && error.contains("/one"), "{error}");
}
