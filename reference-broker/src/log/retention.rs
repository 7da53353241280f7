//! Deleting old segments, by time and by size. (Compaction will be a second consumer of sealed
//! segments, beside this one.)

use super::error::Result;
use super::partition_log::Log;
use super::producer_snapshot;
use super::segment::{self, Segment};
use super::storage::Storage;
use super::{LogConfig, LogError};

/// What retention removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Segments.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// What retention has to know of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Facts {
    size: u64,
    /// The offset after it.
    upper: i64,
    /// How old its newest record is.
    age_ms: i64,
}

impl Log {
    /// Deletes segments that are older than `retention.ms`, that exceed `retention.bytes`, or that
    /// lie below the log start offset; the oldest first, and only such as lie wholly below the high
    /// watermark (M17). The log start offset is advanced, durably, before anything goes.
    pub fn delete_old_segments(&mut self, high_watermark: i64) -> Result<Deleted> {
        self.log_dir.check()?;
        let facts =
            self.segments.iter().map(|segment| self.facts(segment)).collect::<Result<Vec<_>>>()?;
        let count = deletable(&facts, &self.config, self.log_start_offset, high_watermark);
        if count == 0 {
            return Ok(Deleted::default());
        }
        if count == self.segments.len() {
            self.roll()?;
        }
        let start = self.segments[count].base_offset;
        self.advance_log_start(start)?;
        let mut deleted = Deleted::default();
        for segment in self.segments.drain(..count) {
            segment.remove(&*self.storage)?;
            deleted.segments += 1;
            deleted.bytes += segment.size;
        }
        self.note_names_changed();
        self.note_size();
        self.remove_snapshots_below(start)?;
        Ok(deleted)
    }

    /// Raises the log start offset (DeleteRecords, a follower's leader): durably, never back, never
    /// above the end. The segments below go with the next [`Log::delete_old_segments`].
    pub fn advance_log_start(&mut self, offset: i64) -> Result<()> {
        if offset > self.log_end_offset() {
            let (start, end) = (self.log_start_offset, self.log_end_offset());
            return Err(LogError::OutOfRange { offset, start, end });
        }
        if offset > self.log_start_offset {
            self.log_dir.set_log_start(&self.of, offset)?;
            self.log_start_offset = offset;
            self.epochs.truncate_from_start(offset)?;
        }
        Ok(())
    }

    /// Forgets producers by `producer.id.expiration.ms`. Returns how many.
    pub fn expire_producers(&mut self) -> usize {
        self.producers.expire(self.storage.now_ms(), self.config.producer_id_expiration_ms)
    }

    fn facts(&self, segment: &Segment) -> Result<Facts> {
        let now_ms = self.storage.now_ms();
        // A record dated in the future would keep its segment for as long, one without a timestamp
        // for ever: the file's own time decides then. A record dated 1970 is as old as it says, as
        // in Kafka.
        let newest = match segment.largest.timestamp {
            timestamp if (0..=now_ms).contains(&timestamp) => timestamp,
            _ => self
                .storage
                .modified_ms(&segment.path)
                .map_err(LogError::io("look at", &segment.path))?,
        };
        let age_ms = now_ms.saturating_sub(newest);
        Ok(Facts { size: segment.size, upper: segment.next_offset, age_ms })
    }

    /// Removes the snapshots below the log's start, but for the newest of all.
    fn remove_snapshots_below(&self, start: i64) -> Result<()> {
        let entries = self.storage.read_dir(&self.dir).map_err(LogError::io("list", &self.dir))?;
        let mut offsets: Vec<i64> = entries
            .iter()
            .filter_map(|entry| segment::parse_name(&entry.name, "snapshot"))
            .collect();
        offsets.sort_unstable();
        offsets.pop();
        for offset in offsets.into_iter().filter(|offset| *offset < start) {
            let path = producer_snapshot::path(&self.dir, offset);
            let storage: &dyn Storage = &*self.storage;
            storage.remove_file(&path).map_err(LogError::io("remove", &path))?;
        }
        Ok(())
    }
}

/// How many segments may go, the oldest first.
fn deletable(segments: &[Facts], config: &LogConfig, log_start: i64, high_watermark: i64) -> usize {
    let total: u64 = segments.iter().map(|segment| segment.size).sum();
    let retention_bytes = u64::try_from(config.retention_bytes).ok();
    let mut excess = retention_bytes.map_or(0, |limit| total.saturating_sub(limit));
    let mut count = 0;
    for segment in segments {
        let below_start = segment.upper <= log_start;
        let too_old = config.retention_ms >= 0 && segment.age_ms > config.retention_ms;
        let too_much = retention_bytes.is_some() && segment.size > 0 && excess >= segment.size;
        let wanted = below_start || (config.cleanup_delete && (too_old || too_much));
        if !wanted || segment.size == 0 || segment.upper > high_watermark {
            break;
        }
        excess = excess.saturating_sub(segment.size);
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(size: u64, upper: i64, age_ms: i64) -> Facts {
        Facts { size, upper, age_ms }
    }

    #[test]
    fn retention_stops_at_the_first_segment_that_stays() {
        let segments = [facts(10, 10, 500), facts(10, 20, 50), facts(10, 30, 500)];
        let config = LogConfig { retention_ms: 100, ..LogConfig::default() };
        assert_eq!(deletable(&segments, &config, 0, 30), 1);
        assert_eq!(deletable(&segments, &config, 0, 9), 0, "the high watermark is inside");
        let none = LogConfig { retention_ms: -1, ..LogConfig::default() };
        assert_eq!(deletable(&segments, &none, 0, 30), 0);
        assert_eq!(deletable(&segments, &none, 20, 30), 2, "below the log start");
    }

    #[test]
    fn size_retention_keeps_at_least_the_limit() {
        let segments = [facts(10, 10, 0), facts(10, 20, 0), facts(10, 30, 0)];
        for (limit, expected) in [(30, 0), (21, 0), (20, 1), (11, 1), (10, 2), (0, 3)] {
            let config =
                LogConfig { retention_ms: -1, retention_bytes: limit, ..LogConfig::default() };
            assert_eq!(deletable(&segments, &config, 0, 30), expected, "limit {limit}");
        }
    }

    #[test]
    fn compacted_topics_without_delete_keep_everything() {
        let config = LogConfig { retention_ms: 0, cleanup_delete: false, ..LogConfig::default() };
        assert_eq!(deletable(&[facts(10, 10, 99)], &config, 0, 10), 0);
    }
}
