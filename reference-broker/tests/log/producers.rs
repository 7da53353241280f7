use ottla_broker::log::producer_snapshot::{decode, encode};
use ottla_broker::log::{Check, ProducerState, Startup};
use ottla_protocol::ErrorCode;
use ottla_protocol::records::BatchFields;

use crate::support::{NOW_MS, append, batch_at, batch_by, file, fresh, header, open, small};

const OUT_OF_ORDER: Result<Check, ErrorCode> = Err(ErrorCode::OutOfOrderSequenceNumber);
const FENCED: Result<Check, ErrorCode> = Err(ErrorCode::InvalidProducerEpoch);
const APPEND: Result<Check, ErrorCode> = Ok(Check::Append);

fn duplicate(base_offset: i64, count: i64) -> Result<Check, ErrorCode> {
    let last_offset = base_offset + count - 1;
    Ok(Check::Duplicate { base_offset, last_offset, timestamp: NOW_MS })
}

/// Feeds batches (epoch, sequence, count) of producer 9, one after the other.
fn state(batches: &[(i16, i32, usize)]) -> ProducerState {
    let mut state = ProducerState::new();
    let mut offset = 100;
    for (epoch, sequence, count) in batches {
        let mut header = header(&batch_by(9, *epoch, *sequence, *count));
        header.base_offset = offset;
        state.update(&header, NOW_MS);
        offset = header.next_offset();
    }
    state
}

#[test]
fn sequences_are_judged_as_kafka_does() {
    let two = state(&[(3, 0, 2), (3, 2, 3)]);
    let table = [
        ((3, 5, 1), APPEND),
        ((3, 6, 1), OUT_OF_ORDER),
        ((3, 4, 1), OUT_OF_ORDER),
        ((3, 0, 2), duplicate(100, 2)),
        ((3, 2, 3), duplicate(102, 3)),
        ((3, 2, 2), OUT_OF_ORDER),
        ((3, 0, 5), OUT_OF_ORDER),
        ((2, 5, 1), FENCED),
        ((2, 0, 2), FENCED),
        ((4, 0, 2), APPEND),
        ((4, 5, 1), OUT_OF_ORDER),
    ];
    for ((epoch, sequence, count), expected) in table {
        let batch = header(&batch_by(9, epoch, sequence, count));
        assert_eq!(two.check(&batch), expected, "epoch {epoch} sequence {sequence} count {count}");
    }
    let unknown = header(&batch_by(10, 0, 77, 1));
    assert_eq!(two.check(&unknown), APPEND, "PR-24");
    assert_eq!(two.check(&header(&batch_at(&[1], &BatchFields::default()))), APPEND);
}

#[test]
fn five_batches_are_remembered() {
    let six = state(&[(0, 0, 1), (0, 1, 1), (0, 2, 1), (0, 3, 1), (0, 4, 1), (0, 5, 1)]);
    assert_eq!(six.check(&header(&batch_by(9, 0, 0, 1))), OUT_OF_ORDER);
    for sequence in 1..6 {
        let check = six.check(&header(&batch_by(9, 0, sequence, 1)));
        assert_eq!(check, duplicate(100 + i64::from(sequence), 1));
    }
}

#[test]
fn sequences_wrap_to_zero() {
    let at_end = state(&[(0, i32::MAX - 1, 2)]);
    assert_eq!(at_end.check(&header(&batch_by(9, 0, 0, 1))), APPEND);
    assert_eq!(at_end.check(&header(&batch_by(9, 0, 1, 1))), OUT_OF_ORDER);
    let across = state(&[(0, i32::MAX, 3)]);
    assert_eq!(across.check(&header(&batch_by(9, 0, 2, 1))), APPEND);
    assert_eq!(across.check(&header(&batch_by(9, 0, i32::MAX, 3))), duplicate(100, 3));
    let reread = decode(encode(&across).unwrap(), NOW_MS).unwrap();
    assert_eq!(reread.check(&header(&batch_by(9, 0, i32::MAX, 3))), duplicate(100, 3));
}

#[test]
fn idle_producers_expire_by_the_brokers_clock() {
    let mut old = ProducerState::new();
    let fields =
        BatchFields { producer_id: 9, producer_epoch: 0, base_sequence: 0, ..Default::default() };
    old.update(&header(&batch_at(&[0], &fields)), NOW_MS);
    assert_eq!(old.expire(NOW_MS + 999, 1000), 0, "its record is dated 1970, it is not");
    assert_eq!(old.expire(NOW_MS + 1000, 1000), 1);
    assert!(old.is_empty());
    let mut open = ProducerState::new();
    let fields = BatchFields { transactional: true, ..fields };
    open.update(&header(&batch_at(&[0], &fields)), NOW_MS);
    assert_eq!(open.expire(i64::MAX, 1000), 0, "its transaction is open");
    assert_eq!(open.first_unstable_offset(), Some(0));
}

#[test]
fn snapshots_are_kafkas_and_damage_is_noticed() {
    let state = state(&[(3, 0, 2), (3, 2, 3)]);
    let bytes = encode(&state).unwrap();
    assert_eq!(bytes.len(), 2 + 4 + 4 + 46);
    assert_eq!(bytes[..2], [0, 1]);
    assert_eq!(bytes[6..10], [0, 0, 0, 1]);
    assert_eq!(bytes[10..18], 9i64.to_be_bytes());
    assert_eq!(bytes[18..20], 3i16.to_be_bytes());
    assert_eq!(bytes[20..24], 4i32.to_be_bytes(), "last sequence");
    assert_eq!(bytes[24..32], 104i64.to_be_bytes(), "last offset");
    assert_eq!(bytes[32..36], 2i32.to_be_bytes(), "offset delta");
    assert_eq!(bytes[36..44], NOW_MS.to_be_bytes());
    assert_eq!(bytes[44..48], (-1i32).to_be_bytes(), "coordinator epoch");
    assert_eq!(bytes[48..56], (-1i64).to_be_bytes(), "transaction");
    let reread = decode(bytes.clone(), NOW_MS).unwrap();
    assert_eq!(reread.check(&header(&batch_by(9, 3, 2, 3))), duplicate(102, 3));
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 1;
        assert!(decode(damaged, NOW_MS).is_none(), "byte {position}");
        assert!(decode(bytes[..position].to_vec(), NOW_MS).is_none(), "cut at {position}");
    }
}

#[test]
fn duplicates_are_known_after_every_kind_of_restart() {
    for clean in [true, false] {
        let (storage, mut log) = fresh(&small());
        for sequence in 0..60 {
            append(&mut log, &batch_by(9, 0, sequence, 1));
        }
        assert!(log.segment_count() > 1);
        if clean {
            log.close().unwrap();
        }
        drop(log);
        let startup = if clean { Startup::Clean } else { Startup::AfterCrash };
        let (log, _) = open(&storage, &small(), startup);
        for sequence in 55..60 {
            let known = log.producers.check(&header(&batch_by(9, 0, sequence, 1)));
            assert_eq!(known, duplicate(i64::from(sequence), 1), "clean: {clean}");
        }
        assert_eq!(log.producers.check(&header(&batch_by(9, 0, 54, 1))), OUT_OF_ORDER);
        assert_eq!(log.producers.check(&header(&batch_by(9, 0, 60, 1))), APPEND);
    }
}

#[test]
fn truncation_rolls_producers_back() {
    let (_, mut log) = fresh(&small());
    for sequence in 0..60 {
        append(&mut log, &batch_by(9, 0, sequence, 1));
    }
    append(&mut log, &batch_by(8, 0, 0, 1));
    for end in [58, 30, 29, 7, 0] {
        assert_eq!(log.truncate_to(end).unwrap(), end);
        assert!(log.producers.producer(8).is_none());
        let end = i32::try_from(end).unwrap();
        let next = log.producers.check(&header(&batch_by(9, 0, end, 1)));
        assert_eq!(next, APPEND, "after a cut at {end}");
        if end > 0 {
            let last = log.producers.check(&header(&batch_by(9, 0, end - 1, 1)));
            assert_eq!(last, duplicate(i64::from(end) - 1, 1));
        }
    }
}

#[test]
fn a_snapshot_beyond_what_survived_is_not_believed() {
    let (storage, mut log) = fresh(&small());
    append(&mut log, &batch_by(9, 0, 0, 1));
    // A snapshot of offset 1 that tells of a producer who is not in the log, as after a lost tail.
    let mut other = ProducerState::new();
    other.update(&header(&batch_by(77, 0, 0, 1)), NOW_MS);
    storage.set_content(&file("00000000000000000001.snapshot"), encode(&other).unwrap());
    drop(log);
    let (log, _) = open(&storage, &small(), Startup::AfterCrash);
    assert!(log.producers.producer(77).is_none());
    assert!(log.producers.producer(9).is_some());
    assert!(storage.content(&file("00000000000000000001.snapshot")).is_none());
}
