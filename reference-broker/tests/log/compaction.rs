use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use ottla_broker::log::{CompactionReport, Log, LogConfig, LogError, Startup};
use ottla_faulty_storage::{Fault, FaultyStorage, Operation};
use ottla_protocol::records::{
    BatchBuilder, BatchFields, BatchIter, Compression, Compressor, Decompressor, Header, Record,
};
use proptest::prelude::*;

use crate::support::{NOW_MS, batch_by, file, fresh, header, names, open, root, segment, try_open};

const DAY_MS: i64 = 24 * 3_600_000;

fn compact() -> LogConfig {
    LogConfig {
        segment_bytes: 700,
        index_interval_bytes: 100,
        cleanup_delete: false,
        cleanup_compact: true,
        min_cleanable_dirty_ppm: 0,
        ..LogConfig::default()
    }
}

/// A batch of records (key, value); a header says which write it was.
fn keyed(records: &[(u8, Option<u32>)], fields: &BatchFields) -> Bytes {
    let mut builder = BatchBuilder::new(1024);
    for (key, value) in records {
        let value = value.map(|value| format!("value-{value:06}"));
        let headers = [Header::new("h", Some(b"x"))];
        let value = value.as_ref().map(String::as_bytes);
        builder.append(NOW_MS + i64::from(*key), Some(&[*key]), value, &headers).unwrap();
    }
    builder.finish(fields, &mut Compressor::new()).unwrap()
}

fn put(log: &mut Log, records: &[(u8, Option<u32>)]) -> i64 {
    let batch = keyed(records, &BatchFields::default());
    log.append(&batch, log.log_end_offset(), 4).unwrap().base_offset
}

fn pass(log: &mut Log, buffer: usize) -> Option<CompactionReport> {
    log.flush().unwrap();
    let plan = log.plan_compaction(log.log_end_offset()).unwrap()?;
    let done = plan.run(buffer, |_| Ok(())).unwrap();
    log.complete_compaction(done).unwrap()
}

fn each_record(log: &Log, mut each: impl FnMut(&Record<'_>)) {
    let mut offset = log.log_start_offset();
    let end = log.log_end_offset();
    while offset < end {
        let data = log.read(offset, 1 << 20, end, true).unwrap();
        assert!(data.next_offset > offset, "a reader must get to the end");
        for batch in BatchIter::new(data.records) {
            let batch = batch.unwrap();
            batch.verify_crc().unwrap();
            for record in &batch.records(&mut Decompressor::new()).unwrap() {
                each(&record.unwrap());
            }
        }
        offset = data.next_offset;
    }
}

/// What compaction leaves of every batch as it was: last offset, epoch, producer and sequence.
fn shapes(log: &Log) -> BTreeMap<i64, (i64, i32, i64, i32)> {
    let mut shapes = BTreeMap::new();
    let mut offset = log.log_start_offset();
    while offset < log.log_end_offset() {
        let data = log.read(offset, 1 << 20, log.log_end_offset(), true).unwrap();
        for batch in BatchIter::new(data.records) {
            let header = *batch.unwrap().header();
            let (epoch, producer) = (header.partition_leader_epoch, header.producer_id);
            let shape = (header.last_offset(), epoch, producer, header.last_sequence());
            shapes.insert(header.base_offset, shape);
        }
        offset = data.next_offset;
    }
    shapes
}

type Value = Option<Vec<u8>>;

/// Offset, key and value of everything in the log.
fn records(log: &Log) -> Vec<(i64, u8, Value)> {
    let mut found = Vec::new();
    each_record(log, |record| {
        assert_eq!(record.headers.len(), 1);
        let key = record.key.unwrap()[0];
        assert_eq!(record.timestamp, NOW_MS + i64::from(key));
        found.push((record.offset, key, record.value.map(<[u8]>::to_vec)));
    });
    found
}

/// What somebody knows who has read everything.
fn table(records: impl IntoIterator<Item = (i64, u8, Value)>) -> BTreeMap<u8, Vec<u8>> {
    let mut table = BTreeMap::new();
    for (_, key, value) in records {
        match value {
            Some(value) => drop(table.insert(key, value)),
            None => drop(table.remove(&key)),
        }
    }
    table
}

#[test]
fn of_each_key_the_last_record_stays_at_its_offset() {
    let (storage, mut log) = fresh(&compact());
    for round in 0..40 {
        put(&mut log, &[(100 + round, Some(round.into())), (round % 5, Some(round.into()))]);
    }
    let (before, shaped) = (records(&log), shapes(&log));
    let sealed = log.segment_count() - 1;
    assert!(log.plan_compaction(80).unwrap().is_none(), "nothing is flushed");
    let report = pass(&mut log, 1 << 20).unwrap();
    assert_eq!(report.segments, sealed);
    assert!(report.bytes_kept < report.bytes_read);
    let after = records(&log);
    assert_eq!(table(after.clone()), table(before.clone()));
    assert!(after.iter().all(|record| before.contains(record)));
    assert!(shapes(&log).iter().all(|(base, shape)| shaped[base] == *shape));
    // One of each of the five keys, and all forty that were written once.
    assert!(after.len() < 40 + 5 + 10, "{}", after.len());
    assert_eq!(log.log_dir().sizes()[0].1, log.size_bytes());
    assert_eq!(pass(&mut log, 1 << 20), None, "nothing new");
    let left = names(&storage, &root().join("flights-0"));
    assert!(!left.iter().any(|name| name.ends_with(".cleaned") || name.ends_with(".swap")));
    for offset in 0..log.log_end_offset() {
        let data = log.read(offset, 1, log.log_end_offset(), true).unwrap();
        assert!(header(&data.records).last_offset() >= offset);
    }
    drop(log);
    for startup in [Startup::Clean, Startup::AfterCrash, Startup::AfterPowerLoss] {
        assert_eq!(records(&open(&storage.fork(), &compact(), startup).0), after);
    }
    // The policy may have been changed: gaps do not count as damage.
    let delete = LogConfig { cleanup_compact: false, ..compact() };
    assert_eq!(records(&open(&storage, &delete, Startup::AfterCrash).0), after);
}

#[test]
fn a_tombstone_stays_for_its_time_and_nothing_comes_back() {
    let (storage, mut log) = fresh(&compact());
    let fill = |log: &mut Log, from: u8| {
        for key in from..from + 20 {
            put(log, &[(key, Some(1)), (key, Some(2))]);
        }
    };
    put(&mut log, &[(1, Some(1))]);
    put(&mut log, &[(1, None), (2, Some(5))]);
    fill(&mut log, 10);
    pass(&mut log, 1 << 20).unwrap();
    let tombstones = |log: &Log| records(log).iter().filter(|record| record.2.is_none()).count();
    assert_eq!(tombstones(&log), 1);
    assert!(!records(&log).iter().any(|record| record.0 == 0), "what it supersedes is gone");
    let data = log.read(1, 1, 3, true).unwrap();
    assert_eq!(header(&data.records).delete_horizon_ms(), Some(NOW_MS + DAY_MS));
    storage.set_now_ms(NOW_MS + DAY_MS - 1);
    put(&mut log, &[(2, Some(6))]);
    fill(&mut log, 40);
    pass(&mut log, 1 << 20).unwrap();
    assert_eq!(records(&log)[0].1, 1, "the other record of its batch has gone");
    assert_eq!(tombstones(&log), 1, "a millisecond too early");
    let data = log.read(1, 1, 3, true).unwrap();
    assert_eq!(header(&data.records).delete_horizon_ms(), Some(NOW_MS + DAY_MS), "entered once");
    storage.set_now_ms(NOW_MS + DAY_MS);
    fill(&mut log, 70);
    pass(&mut log, 1 << 20).unwrap();
    assert_eq!(tombstones(&log), 0);
    let known = table(records(&log));
    assert!(!known.contains_key(&1) && known.contains_key(&2));
}

/// They were written before the topic was compacted.
#[test]
fn records_without_a_key_go_and_who_reads_gets_past_them() {
    let (_, mut log) = fresh(&compact());
    put(&mut log, &[(1, Some(1))]);
    for _ in 0..40 {
        crate::support::append(&mut log, &batch_of_no_keys());
    }
    let before = shapes(&log);
    pass(&mut log, 1 << 20).unwrap();
    let after = shapes(&log);
    let bases: Vec<i64> = after.keys().copied().collect();
    // What the active segment holds stays; of the rest the last batch, without its record.
    let (last, active) = (bases[1], bases[2]);
    assert_eq!((bases[0], last), (0, active - 1));
    assert_eq!(after[&last], before[&last]);
    let data = log.read(1, 1, log.log_end_offset(), true).unwrap();
    assert_eq!((header(&data.records).record_count, data.next_offset), (0, active));
}

fn batch_of_no_keys() -> Bytes {
    let mut builder = BatchBuilder::new(1024);
    builder.append(NOW_MS, None, Some(&[7; 50]), &[]).unwrap();
    builder.finish(&BatchFields::default(), &mut Compressor::new()).unwrap()
}

#[test]
fn a_producers_sequence_outlives_its_records() {
    let (storage, mut log) = fresh(&compact());
    let fields = |producer_id, base_sequence| BatchFields {
        producer_id,
        producer_epoch: 3,
        base_sequence,
        ..BatchFields::default()
    };
    for sequence in 0..3 {
        let batch = keyed(&[(1, Some(1)), (2, Some(1))], &fields(77, sequence * 2));
        log.append(&batch, log.log_end_offset(), 4).unwrap();
    }
    for round in 0..40 {
        put(&mut log, &[(round % 4, Some(round.into()))]);
    }
    pass(&mut log, 1 << 20).unwrap();
    assert!(records(&log).iter().all(|record| record.0 >= 6), "the records are gone");
    drop(log);
    for name in names(&storage, &root().join("flights-0")) {
        if name.ends_with(".snapshot") {
            ottla_broker::log::Storage::remove_file(&storage, &file(&name)).unwrap();
        }
    }
    let (log, _) = open(&storage, &compact(), Startup::AfterCrash);
    let last = log.producers.producer(77).unwrap().batches.back().copied().unwrap();
    assert_eq!((last.first_sequence, last.last_sequence, last.last_offset), (4, 5, 5));
    let next = batch_by(77, 3, 6, 1);
    assert_eq!(log.producers.check(&header(&next)), Ok(ottla_broker::log::Check::Append));
}

#[test]
fn nothing_above_the_bound_and_nothing_too_young_is_compacted() {
    let config = LogConfig { min_compaction_lag_ms: 1000, ..compact() };
    let (storage, mut log) = fresh(&config);
    for round in 0..40u8 {
        put(&mut log, &[(1, Some(round.into()))]);
    }
    assert_eq!(pass(&mut log, 1 << 20), None, "all of it is young");
    storage.set_now_ms(NOW_MS + 1002);
    assert!(log.plan_compaction(0).unwrap().is_none(), "nothing is committed");
    assert!(log.plan_compaction(40).unwrap().is_some());
    let before = log.segment_count();
    let plan = log.plan_compaction(20).unwrap().unwrap();
    let done = plan.run(1 << 20, |_| Ok(())).unwrap();
    log.complete_compaction(done).unwrap().unwrap();
    assert!(log.segment_count() < before, "small segments are merged");
    let offsets: Vec<i64> = records(&log).iter().map(|record| record.0).collect();
    assert!(offsets.len() > 20 && offsets.len() < 40);
    assert!((20..40).all(|offset| offsets.contains(&offset)));
}

#[test]
fn it_is_due_by_ratio_and_by_age() {
    let config =
        LogConfig { min_cleanable_dirty_ppm: 900_000, max_compaction_lag_ms: 5000, ..compact() };
    let (storage, mut log) = fresh(&config);
    let fill = |log: &mut Log, keys: std::ops::Range<u8>| {
        for key in keys {
            put(log, &[(key, Some(1))]);
        }
    };
    fill(&mut log, 0..60);
    assert!(pass(&mut log, 1 << 20).is_some(), "all of it is dirty");
    fill(&mut log, 60..100);
    log.flush().unwrap();
    assert!(log.plan_compaction(100).unwrap().is_none(), "less than nine tenths is");
    storage.set_now_ms(NOW_MS + 5061);
    assert!(log.plan_compaction(100).unwrap().is_some(), "it has waited for too long");
}

#[test]
fn a_small_buffer_needs_more_passes_and_comes_to_the_same() {
    let fill = |log: &mut Log| {
        for round in 0..60u32 {
            put(log, &[((round % 20) as u8, Some(round)), (200, Some(round))]);
        }
    };
    let (_, mut whole) = fresh(&compact());
    fill(&mut whole);
    pass(&mut whole, 1 << 20).unwrap();
    for buffer in [0, 300, 1000] {
        let (_, mut log) = fresh(&compact());
        fill(&mut log);
        let mut passes = 0;
        while pass(&mut log, buffer).is_some() {
            passes += 1;
        }
        assert!(passes > 1, "{buffer}: {passes}");
        let key_at = |log: &Log| -> Vec<(i64, u8)> {
            records(log).iter().map(|record| (record.0, record.1)).collect()
        };
        assert_eq!(key_at(&log), key_at(&whole), "{buffer}");
    }
}

/// Otherwise its time would begin before what it supersedes is gone.
#[test]
fn a_tombstone_beyond_the_buffer_is_left_alone() {
    let (_, mut log) = fresh(&compact());
    put(&mut log, &[(1, Some(1))]);
    put(&mut log, &[(2, None)]);
    for key in 10..30 {
        put(&mut log, &[(key, Some(1))]);
    }
    for (buffer, horizon) in [(0, None), (1 << 20, Some(NOW_MS + DAY_MS))] {
        pass(&mut log, buffer).unwrap();
        let data = log.read(1, 1, 2, true).unwrap();
        assert_eq!(header(&data.records).delete_horizon_ms(), horizon);
    }
}

#[test]
fn what_changes_meanwhile_voids_a_pass() {
    let (storage, mut log) = fresh(&compact());
    for round in 0..60u8 {
        put(&mut log, &[(round % 3, Some(round.into()))]);
    }
    for change in 0..2 {
        log.flush().unwrap();
        let plan = log.plan_compaction(60).unwrap().unwrap();
        let done = plan.run(1 << 20, |_| Ok(())).unwrap();
        match change {
            0 => assert_eq!(log.truncate_to(50).unwrap(), 50),
            _ => {
                log.advance_log_start(20).unwrap();
                assert!(log.delete_old_segments(50).unwrap().segments > 0);
            }
        }
        let before = records(&log);
        assert_eq!(log.complete_compaction(done).unwrap(), None);
        assert_eq!(records(&log), before);
        let left = names(&storage, &root().join("flights-0"));
        assert!(!left.iter().any(|name| name.ends_with(".cleaned")), "{left:?}");
    }
    assert!(pass(&mut log, 1 << 20).is_some());
}

#[test]
fn damage_stops_a_pass_and_is_named() {
    let (storage, mut log) = fresh(&compact());
    for round in 0..40u8 {
        put(&mut log, &[(round % 3, Some(round.into()))]);
    }
    log.flush().unwrap();
    let mut bytes = storage.content(&segment(0)).unwrap();
    let at = bytes.len() - 1;
    bytes[at] ^= 1;
    storage.set_content(&segment(0), bytes);
    let plan = log.plan_compaction(40).unwrap().unwrap();
    let error = plan.run(1 << 20, |_| Ok(())).unwrap_err();
    assert!(matches!(error, LogError::Corrupt { .. }), "{error}");
    let left = names(&storage, &root().join("flights-0"));
    assert!(!left.iter().any(|name| name.ends_with(".cleaned")), "{left:?}");
}

/// Every step of a pass fails once; then the process dies, or the power fails.
#[test]
fn a_pass_that_is_interrupted_anywhere_loses_nothing() {
    let faults = [
        (Operation::Write, ".cleaned"),
        (Operation::Sync, ".cleaned"),
        (Operation::Rename, ".swap"),
        (Operation::Rename, ".log"),
        (Operation::SyncDir, "flights-0"),
        (Operation::Write, ".index"),
        (Operation::Open, ".timeindex"),
        (Operation::Rename, "cleaner-offset-checkpoint"),
    ];
    let mut struck = 0;
    for (operation, suffix) in faults {
        for after in 0..4 {
            let (storage, mut log) = fresh(&compact());
            for round in 0..60u32 {
                put(&mut log, &[((round % 7) as u8, Some(round)), (100 + round as u8, None)]);
            }
            log.flush().unwrap();
            log.log_dir().write_checkpoints().unwrap();
            let before = records(&log);
            let (path_suffix, error) = (suffix.to_owned(), io::ErrorKind::Other);
            storage.inject(Fault { operation, path_suffix, after, error, written: 20 });
            let plan = log.plan_compaction(120).unwrap().unwrap();
            let done = plan.run(1 << 20, |_| Ok(()));
            let failed = done.and_then(|done| log.complete_compaction(done)).is_err();
            struck += usize::from(failed);
            drop(log);
            check_after_restart(&storage, Startup::AfterCrash, &before);
            for seed in 0..6 {
                let disk = storage.fork();
                disk.power_loss(seed);
                check_after_restart(&disk, Startup::AfterPowerLoss, &before);
            }
        }
    }
    assert!(struck > 12, "{struck}");
}

fn check_after_restart(disk: &FaultyStorage, startup: Startup, before: &[(i64, u8, Value)]) {
    let disk = disk.fork();
    let (mut log, _) = try_open(&disk, &compact(), startup).unwrap();
    let after = records(&log);
    assert_eq!(log.log_end_offset(), 120);
    assert!(after.iter().all(|record| before.contains(record)));
    assert_eq!(table(after), table(before.to_vec()));
    let left = names(&disk, &root().join("flights-0"));
    assert!(!left.iter().any(|name| name.ends_with(".cleaned") || name.ends_with(".swap")));
    pass(&mut log, 1 << 20);
    assert_eq!(table(records(&log)), table(before.to_vec()));
}

#[derive(Debug, Clone)]
enum Step {
    Append { records: Vec<(u8, bool)>, codec: usize, producer: i64 },
    Compact { buffer: usize },
    Wait,
    Reopen { clean: bool },
    Truncate { percent: i64 },
    PowerLoss { seed: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let records = prop::collection::vec((0..12u8, prop::bool::weighted(0.7)), 1..6);
    prop_oneof![
        16 => (records, 0..5usize, -1..3i64)
            .prop_map(|(records, codec, producer)| Step::Append { records, codec, producer }),
        3 => (0..2000usize).prop_map(|buffer| Step::Compact { buffer }),
        1 => Just(Step::Wait),
        1 => any::<bool>().prop_map(|clean| Step::Reopen { clean }),
        1 => (80..=100i64).prop_map(|percent| Step::Truncate { percent }),
        1 => any::<u64>().prop_map(|seed| Step::PowerLoss { seed }),
    ]
}

/// The log and all that was ever written to it and not cut off.
struct Model {
    storage: FaultyStorage,
    written: Vec<(i64, u8, Value)>,
    sequences: BTreeMap<i64, i32>,
    count: u32,
}

impl Model {
    fn append(&mut self, log: &mut Log, step: &[(u8, bool)], codec: usize, producer: i64) {
        let sequence = self.sequences.entry(producer).or_default();
        let fields = BatchFields {
            compression: Compression::ALL[codec],
            producer_id: producer,
            producer_epoch: if producer < 0 { -1 } else { 0 },
            base_sequence: if producer < 0 { -1 } else { *sequence },
            ..BatchFields::default()
        };
        *sequence += step.len() as i32;
        let mut records = Vec::new();
        let base = log.log_end_offset();
        for (at, (key, value)) in step.iter().enumerate() {
            self.count += 1;
            let value = value.then_some(self.count);
            records.push((*key, value));
            let stored = value.map(|value| format!("value-{value:06}").into_bytes());
            self.written.push((base + at as i64, *key, stored));
        }
        log.append(&keyed(&records, &fields), base, 0).unwrap();
    }

    fn check(&self, log: &Log) {
        let found = records(log);
        assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for record in &found {
            assert!(self.written.contains(record), "{record:?} was never written");
        }
        assert_eq!(table(found), table(self.written.clone()));
        for (producer, next) in self.sequences.iter().filter(|(producer, _)| **producer >= 0) {
            if let Some(state) = log.producers.producer(*producer) {
                assert_eq!(state.batches.back().unwrap().last_sequence + 1, *next);
            } else {
                assert_eq!(*next, 0, "producer {producer} was forgotten");
            }
        }
    }

    fn cut(&mut self, end: i64, log: &Log) {
        self.written.retain(|record| record.0 < end);
        for (producer, next) in &mut self.sequences {
            let last = log.producers.producer(*producer).and_then(|state| state.batches.back());
            *next = last.map_or(0, |batch| batch.last_sequence + 1);
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
    fn a_compacted_log_tells_what_the_whole_one_would(
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let (storage, mut log) = fresh(&compact());
        let (written, sequences) = (Vec::new(), BTreeMap::new());
        let mut model = Model { storage, written, sequences, count: 0 };
        // What was compacted may not be cut: it was committed.
        let mut committed = 0;
        let mut now_ms = NOW_MS;
        for step in steps {
            match step {
                Step::Append { records, codec, producer } => {
                    model.append(&mut log, &records, codec, producer);
                }
                Step::Compact { buffer } => {
                    committed = log.log_end_offset();
                    let before = shapes(&log);
                    pass(&mut log, buffer);
                    let after = shapes(&log);
                    prop_assert!(after.iter().all(|(base, shape)| before[base] == *shape));
                    log.log_dir().write_checkpoints().unwrap();
                }
                Step::Wait => {
                    now_ms += DAY_MS;
                    model.storage.set_now_ms(now_ms);
                }
                Step::Reopen { clean } => {
                    let clean = clean && log.log_end_offset() > 0;
                    if clean {
                        log.close().unwrap();
                    }
                    drop(log);
                    let startup = if clean { Startup::Clean } else { Startup::AfterCrash };
                    log = open(&model.storage, &compact(), startup).0;
                }
                Step::Truncate { percent } => {
                    let target = (log.log_end_offset() * percent / 100).max(committed);
                    let end = log.truncate_to(target).unwrap();
                    prop_assert!((committed..=target).contains(&end));
                    model.cut(end, &log);
                }
                Step::PowerLoss { seed } => {
                    drop(log);
                    model.storage.power_loss(seed);
                    log = open(&model.storage, &compact(), Startup::AfterPowerLoss).0;
                    let end = log.log_end_offset();
                    prop_assert!(end >= committed, "{} was cut to {}", committed, end);
                    model.cut(end, &log);
                }
            }
            model.check(&log);
        }
    }
}
