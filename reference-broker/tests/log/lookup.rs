use ottla_broker::log::{FoundOffset, LogConfig, Startup};
use ottla_protocol::records::{BatchFields, Compression};

use crate::support::{NOW_MS, append, batch_at, fresh, open, small};

fn found(timestamp: i64, offset: i64) -> Option<FoundOffset> {
    Some(FoundOffset { timestamp, offset, leader_epoch: Some(0) })
}

#[test]
fn the_first_record_at_or_after_a_timestamp_is_found_in_every_codec() {
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    for compression in codecs {
        let (storage, mut log) = fresh(&small());
        let mut all = Vec::new();
        for round in 0..50i64 {
            // Out of order within and between batches.
            let at = NOW_MS + (round * 37 % 50) * 100;
            let timestamps = [at + 20, at, at + 10];
            all.extend(timestamps);
            append(
                &mut log,
                &batch_at(&timestamps, &BatchFields { compression, ..Default::default() }),
            );
        }
        assert!(log.segment_count() > 2);
        for reopened in [false, true] {
            if reopened {
                log.close().unwrap();
                drop(log);
                log = open(&storage, &small(), Startup::Clean).0;
            }
            for target in (NOW_MS - 5..NOW_MS + 5100).step_by(5) {
                let offset = all.iter().position(|timestamp| *timestamp >= target);
                let expected = offset.and_then(|offset| found(all[offset], offset as i64));
                assert_eq!(log.offset_for_timestamp(target).unwrap(), expected, "{compression}");
            }
            let largest = *all.iter().max().unwrap();
            let offset = all.iter().position(|timestamp| *timestamp == largest).unwrap();
            assert_eq!(log.max_timestamp().unwrap(), found(largest, offset as i64));
        }
    }
}

#[test]
fn log_append_time_counts_for_every_record() {
    let (_, mut log) = fresh(&LogConfig::default());
    let fields = BatchFields { append_time: Some(NOW_MS + 7), ..Default::default() };
    append(&mut log, &batch_at(&[1, 2, 3], &fields));
    assert_eq!(log.offset_for_timestamp(5).unwrap(), found(NOW_MS + 7, 0));
    assert_eq!(log.offset_for_timestamp(NOW_MS + 8).unwrap(), None);
    log.advance_log_start(2).unwrap();
    assert_eq!(log.max_timestamp().unwrap(), found(NOW_MS + 7, 2));
}

#[test]
fn an_empty_log_has_no_timestamps() {
    let (_, mut log) = fresh(&LogConfig::default());
    assert_eq!(log.max_timestamp().unwrap(), None);
    assert_eq!(log.offset_for_timestamp(0).unwrap(), None);
    append(&mut log, &batch_at(&[-1], &BatchFields::default()));
    assert_eq!(log.max_timestamp().unwrap(), None);
}

#[test]
fn truncation_takes_the_timestamps_along() {
    let (_, mut log) = fresh(&small());
    for round in 0..60 {
        append(&mut log, &batch_at(&[NOW_MS + round], &BatchFields::default()));
    }
    for end in [59, 41, 40, 3, 1] {
        log.truncate_to(end).unwrap();
        assert_eq!(log.max_timestamp().unwrap(), found(NOW_MS + end - 1, end - 1));
        assert_eq!(log.offset_for_timestamp(NOW_MS + end).unwrap(), None);
    }
    log.truncate_to(0).unwrap();
    assert_eq!(log.max_timestamp().unwrap(), None);
}
