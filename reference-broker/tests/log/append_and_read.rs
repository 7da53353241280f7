use bytes::Bytes;
use ottla_broker::log::{LogConfig, LogError};
use ottla_protocol::records::BatchFields;

use crate::support::{NOW_MS, append, batch, batch_at, contents, fresh, header, small};

#[test]
fn offset_and_leader_epoch_are_stamped_and_nothing_else() {
    let (_, mut log) = fresh(&small());
    let first = batch(3);
    let info = log.append(&first, 0, 7).unwrap();
    assert_eq!((info.base_offset, info.last_offset, info.size), (0, 2, first.len()));
    log.append(&batch(2), 3, 7).unwrap();
    let data = log.read(0, 1 << 20, 5, true).unwrap();
    assert_eq!(data.next_offset, 5);
    let stored = header(&data.records);
    assert_eq!((stored.base_offset, stored.partition_leader_epoch), (0, 7));
    assert_eq!(data.records[16..first.len()], first[16..]);
    assert_eq!(header(&data.records.slice(first.len()..)).base_offset, 3);
}

#[test]
fn read_gives_the_batch_that_holds_the_offset_whole() {
    let (_, mut log) = fresh(&small());
    for _ in 0..40 {
        append(&mut log, &batch(3));
    }
    assert!(log.segment_count() > 2);
    for offset in 0..120 {
        let data = log.read(offset, 1, 120, true).unwrap();
        let found = header(&data.records);
        assert_eq!(found.base_offset, offset / 3 * 3, "offset {offset}");
        assert_eq!(data.records.len(), found.size_in_bytes());
        assert_eq!(data.next_offset, found.next_offset());
    }
}

#[test]
fn read_keeps_to_max_bytes_and_to_the_upper_bound() {
    let (_, mut log) = fresh(&LogConfig::default());
    let one = batch(2);
    for _ in 0..10 {
        append(&mut log, &one);
    }
    let size = one.len();
    let read = |max, bound, least| log.read(0, max, bound, least).unwrap();
    assert_eq!(read(size * 3, 20, false).records.len(), size * 3);
    assert_eq!(read(size * 3 + size - 1, 20, false).records.len(), size * 3);
    assert_eq!(read(size - 1, 20, false).records.len(), 0);
    assert_eq!(read(size - 1, 20, true).records.len(), size);
    assert_eq!(read(0, 20, true).records.len(), size);
    assert_eq!(read(1 << 20, 6, true).records.len(), size * 3);
    assert_eq!(read(1 << 20, 5, true).next_offset, 4, "a batch across the bound is not given");
    assert_eq!(read(1 << 20, 1, true).records, Bytes::new());
    assert_eq!(read(1 << 20, 0, true).next_offset, 0);
}

#[test]
fn reads_at_the_end_are_empty_and_beyond_it_out_of_range() {
    let (_, mut log) = fresh(&small());
    append(&mut log, &batch(3));
    assert!(log.read(3, 100, 3, true).unwrap().records.is_empty());
    for offset in [4, -1, i64::MAX] {
        let error = log.read(offset, 100, 3, true).unwrap_err();
        assert!(matches!(error, LogError::OutOfRange { start: 0, end: 3, .. }), "{error}");
    }
    log.advance_log_start(2).unwrap();
    assert!(matches!(log.read(1, 1, 3, true), Err(LogError::OutOfRange { start: 2, .. })));
    assert_eq!(header(&log.read(2, 1, 3, true).unwrap().records).base_offset, 0);
}

#[test]
fn a_plan_can_be_run_after_its_segment_was_deleted() {
    let (_, mut log) = fresh(&LogConfig { retention_bytes: 0, ..small() });
    for _ in 0..40 {
        append(&mut log, &batch(3));
    }
    let plan = log.plan_read(0, 1000, 120, true).unwrap();
    log.delete_old_segments(120).unwrap();
    assert_eq!(log.log_start_offset(), 120);
    assert_eq!(header(&plan.run().unwrap().records).base_offset, 0);
}

#[test]
fn segments_roll_by_size_time_and_full_index() {
    let (_, mut by_size) = fresh(&small());
    let mut rolled = 0;
    for _ in 0..40 {
        let end = by_size.log_end_offset();
        rolled += usize::from(by_size.append(&batch(3), end, 0).unwrap().rolled);
    }
    assert_eq!(by_size.segment_count(), rolled + 1);
    assert!(by_size.size_bytes() / by_size.segment_count() as u64 <= 2000);

    let (_, mut by_time) = fresh(&LogConfig { segment_ms: 1000, ..LogConfig::default() });
    for timestamp in [0, 1000, 1001, 1500, 2002] {
        append(&mut by_time, &batch_at(&[NOW_MS + timestamp], &BatchFields::default()));
    }
    assert_eq!(by_time.segment_count(), 3);

    let config =
        LogConfig { segment_index_bytes: 24, index_interval_bytes: 0, ..LogConfig::default() };
    let (_, mut by_index) = fresh(&config);
    for _ in 0..9 {
        append(&mut by_index, &batch(1));
    }
    assert!(by_index.segment_count() > 1);
    assert_eq!(contents(&by_index).len(), 9);
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_written() {
    let (_, mut log) = fresh(&small());
    append(&mut log, &batch(3));
    let refused = [
        (batch(3).slice(..60), 3),
        (batch(3).slice(..100), 3),
        (Bytes::from([&batch(1)[..], b"x"].concat()), 3),
        (batch(3), 2),
        (batch(100), 3),
    ];
    for (bytes, offset) in refused {
        let error = log.append(&bytes, offset, 0).unwrap_err();
        assert!(matches!(error, LogError::Invalid { .. }), "{error}");
    }
    assert_eq!(contents(&log).len(), 1);
    assert_eq!(append(&mut log, &batch(1)), 3);
}
