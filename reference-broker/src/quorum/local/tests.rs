use std::collections::BTreeMap;

use ottla_protocol::Uuid;

use super::*;

fn register(tag: u8) -> Command {
    Command::RegisterBroker {
        node_id: 1,
        incarnation: Uuid([tag; 16]),
        host: "127.0.0.1".into(),
        port: 9092,
        rack: Some("r".into()),
        cluster_id: "c".into(),
        internal_host: "127.0.0.1".into(),
        internal_port: 9093,
        directory: Uuid([7; 16]),
        log_dirs: vec![Uuid([7; 16])],
        tail_intact: true,
        log_dir_lost: false,
        flushes_before_ack: false,
        min_in_sync: 0,
    }
}

fn create(name: &str, tag: u8) -> Command {
    Command::CreateTopic {
        name: name.into(),
        id: Uuid([tag; 16]),
        replicas: vec![vec![1]; 3],
        configs: BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())]),
    }
}

fn history() -> Vec<Command> {
    vec![
        register(1),
        Command::UnfenceBroker { node_id: 1, broker_epoch: 1 },
        create("a", 10),
        Command::AllocateProducerIds { node_id: 1, broker_epoch: 1 },
        create("b.c", 11),
        Command::DeleteTopic { id: Uuid([10; 16]) },
        create("a", 12),
        register(2),
        Command::AllocateProducerIds { node_id: 1, broker_epoch: 1 },
        Command::CreatePartitions {
            id: Uuid([12; 16]),
            expected_count: 3,
            replicas: vec![vec![1]],
        },
    ]
}

#[test]
fn log_and_snapshot_with_tail_make_the_same_image_at_every_cut() {
    let commands = history();
    let mut expected = Image::default();
    for (index, command) in (1..).zip(&commands) {
        apply(&mut expected, index, command);
    }
    for cut in 0..=commands.len() {
        let folder = tempfile::tempdir().unwrap();
        let log = LocalLog::open(folder.path()).unwrap();
        for (index, command) in commands.iter().enumerate() {
            if index == cut {
                log.snapshot().unwrap();
            }
            log.propose_blocking(command.clone()).unwrap();
        }
        assert_eq!(*log.image(), expected);
        drop(log);
        let again = LocalLog::open(folder.path()).unwrap();
        assert_eq!(*again.image(), expected, "cut {cut}");
        assert_eq!(again.image().topic_by_id(Uuid([12; 16])).unwrap().name, "a");
    }
}

#[test]
fn a_log_that_the_snapshot_already_holds_is_not_applied_twice() {
    let folder = tempfile::tempdir().unwrap();
    let log = LocalLog::open(folder.path()).unwrap();
    for command in history() {
        log.propose_blocking(command).unwrap();
    }
    // The crash between writing the snapshot and truncating the log.
    let old = std::fs::read(folder.path().join(LOG_FILE)).unwrap();
    log.snapshot().unwrap();
    let image = log.image();
    drop(log);
    std::fs::write(folder.path().join(LOG_FILE), old).unwrap();
    assert_eq!(LocalLog::open(folder.path()).unwrap().image(), image);
}

#[test]
fn a_torn_last_record_is_cut_at_every_byte() {
    let folder = tempfile::tempdir().unwrap();
    let log = LocalLog::open(folder.path()).unwrap();
    log.propose_blocking(register(1)).unwrap();
    let unfence = Command::UnfenceBroker { node_id: 1, broker_epoch: 1 };
    log.propose_blocking(unfence).unwrap();
    let before = log.image();
    let path = folder.path().join(LOG_FILE);
    let whole_len = std::fs::metadata(&path).unwrap().len();
    log.propose_blocking(create("t", 3)).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    drop(log);
    for len in whole_len as usize..bytes.len() {
        std::fs::write(&path, &bytes[..len]).unwrap();
        let log = LocalLog::open(folder.path()).unwrap();
        assert_eq!(log.image(), before, "cut at {len}");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), whole_len);
        assert_eq!(log.propose_blocking(create("u", 4)).unwrap(), Outcome::Done);
    }
}

#[test]
fn a_flipped_bit_before_the_last_record_is_corruption() {
    let folder = tempfile::tempdir().unwrap();
    let log = LocalLog::open(folder.path()).unwrap();
    for command in history() {
        log.propose_blocking(command).unwrap();
    }
    drop(log);
    let path = folder.path().join(LOG_FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    for at in [0, 5, 40] {
        bytes[at] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let error = LocalLog::open(folder.path()).unwrap_err();
        assert!(matches!(error, MetadataError::Corrupt { offset: 0, .. }), "{error}");
        bytes[at] ^= 1;
    }
}

#[test]
fn producer_ids_are_never_given_twice_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let mut given = Vec::new();
    for round in 1..5u8 {
        let log = LocalLog::open(folder.path()).unwrap();
        let Ok(Outcome::BrokerEpoch(broker_epoch)) = log.propose_blocking(register(round)) else {
            panic!("a registration gives an epoch");
        };
        if round == 3 {
            log.snapshot().unwrap();
        }
        let ask = Command::AllocateProducerIds { node_id: 1, broker_epoch };
        let Ok(Outcome::ProducerIds(first)) = log.propose_blocking(ask) else { panic!() };
        given.push(first);
    }
    assert_eq!(given, [0, 1000, 2000, 3000]);
}
