//! Random work against a plain vector of what should be there.

use bytes::Bytes;
use ottla_broker::log::{Log, Startup};
use proptest::prelude::*;

use crate::support::{append, batch_by, contents, fresh, header, open, small};

#[derive(Debug, Clone)]
enum Step {
    Append { producer: i64, count: usize },
    Truncate { percent: i64 },
    Reopen { clean: bool },
    Flush { checkpoint: bool },
    Retain { percent: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..3i64, 1..6usize).prop_map(|(producer, count)| Step::Append { producer, count }),
        1 => (0..=100i64).prop_map(|percent| Step::Truncate { percent }),
        1 => any::<bool>().prop_map(|clean| Step::Reopen { clean }),
        1 => any::<bool>().prop_map(|checkpoint| Step::Flush { checkpoint }),
        1 => (0..=30i64).prop_map(|percent| Step::Retain { percent }),
    ]
}

/// (base offset, next offset, bytes after the stamped fields, producer, next sequence)
type Model = Vec<(i64, i64, Bytes, i64, i32)>;

fn next_sequence(model: &Model, producer: i64) -> i32 {
    model.iter().rev().find(|batch| batch.3 == producer).map_or(0, |batch| batch.4)
}

fn append_one(log: &mut Log, model: &mut Model, producer: i64, count: usize) {
    let sequence = next_sequence(model, producer);
    let batch = batch_by(producer, 0, sequence, count);
    let base = append(log, &batch);
    let next = sequence + count as i32;
    model.push((base, base + count as i64, batch.slice(16..), producer, next));
}

fn end(model: &Model) -> i64 {
    model.last().map_or(0, |batch| batch.1)
}

fn check(log: &Log, model: &Model) {
    let expected: Vec<_> = model
        .iter()
        .filter(|batch| batch.1 > log.log_start_offset())
        .map(|(base, next, bytes, ..)| (*base, *next, bytes.clone()))
        .collect();
    let stored = contents(log);
    let extents = |batches: &[(i64, i64, Bytes)]| -> Vec<(i64, i64)> {
        batches.iter().map(|(base, next, _)| (*base, *next)).collect()
    };
    assert_eq!(extents(&stored), extents(&expected));
    assert_eq!(stored, expected);
    for producer in 0..3 {
        let state = log.producers.producer(producer);
        let sequence = next_sequence(model, producer);
        if let Some(state) = state {
            assert_eq!(state.batches.back().unwrap().last_sequence + 1, sequence);
        } else {
            let stored = model.iter().rev().find(|batch| batch.3 == producer);
            assert!(stored.is_none_or(|batch| batch.1 <= log.log_start_offset()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_log_is_what_was_appended(steps in prop::collection::vec(step(), 1..120)) {
        let config = ottla_broker::log::LogConfig { retention_bytes: 0, ..small() };
        let (storage, mut log) = fresh(&config);
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Append { producer, count } => {
                    append_one(&mut log, &mut model, producer, count);
                }
                Step::Truncate { percent } => {
                    let start = log.log_start_offset();
                    let target = start + (end(&model).max(start) - start) * percent / 100;
                    let reached = log.truncate_to(target).unwrap();
                    model.retain(|batch| batch.1 <= target);
                    prop_assert_eq!(reached, end(&model).max(log.log_start_offset()));
                }
                Step::Reopen { clean } => {
                    if clean {
                        log.close().unwrap();
                    }
                    drop(log);
                    let startup = if clean { Startup::Clean } else { Startup::AfterCrash };
                    log = open(&storage, &config, startup).0;
                }
                Step::Flush { .. } => log.flush().unwrap(),
                Step::Retain { percent } => {
                    let bound = (end(&model) * percent / 100).max(log.log_start_offset());
                    log.delete_old_segments(bound).unwrap();
                    prop_assert!(log.log_start_offset() <= bound);
                }
            }
            check(&log, &model);
        }
    }

    #[test]
    fn after_a_power_loss_a_log_is_a_prefix_with_all_that_was_flushed(
        steps in prop::collection::vec(step(), 1..60),
        seeds in prop::collection::vec(any::<u64>(), 4),
    ) {
        let (storage, mut log) = fresh(&small());
        let mut model = Model::new();
        let mut durable = 0;
        for step in steps {
            match step {
                Step::Append { producer, count } => {
                    append_one(&mut log, &mut model, producer, count);
                }
                Step::Flush { checkpoint } => {
                    log.flush().unwrap();
                    if checkpoint {
                        log.log_dir().write_checkpoints().unwrap();
                    }
                    durable = log.log_end_offset();
                }
                Step::Truncate { percent } if percent > 50 => {
                    let target = end(&model) * percent / 100;
                    let reached = log.truncate_to(target).unwrap();
                    model.retain(|batch| batch.1 <= target);
                    durable = durable.min(reached);
                }
                _ => {}
            }
        }
        assert_eq!(log.durable_end_offset(), durable);
        drop(log);
        for seed in seeds {
            let disk = storage.fork();
            disk.power_loss(seed);
            let (mut log, _) = open(&disk, &small(), Startup::AfterPowerLoss);
            let kept = log.log_end_offset();
            prop_assert!(kept >= durable, "kept {kept}, flushed {durable}");
            let mut model: Model = model.iter().filter(|batch| batch.1 <= kept).cloned().collect();
            prop_assert_eq!(end(&model), kept);
            check(&log, &model);
            // And it goes on from there, and can lose power again.
            append_one(&mut log, &mut model, 1, 2);
            let read = log.read(kept, 1, kept + 2, true).unwrap();
            prop_assert_eq!(header(&read.records).base_offset, kept);
            log.flush().unwrap();
            drop(log);
            disk.power_loss(seed);
            check(&open(&disk, &small(), Startup::AfterPowerLoss).0, &model);
        }
    }
}
