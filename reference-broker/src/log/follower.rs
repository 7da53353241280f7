//! Appending what was fetched from a leader (M6).

use bytes::Bytes;
use ottla_protocol::records::{BatchHeader, BatchIter, RecordBatch};

use super::error::Result;
use super::partition_log::{AppendInfo, Log};

impl Log {
    /// Appends batches that were fetched from a leader, with the offsets and epochs that they have
    /// there. Every CRC is verified before anything is written. A batch that is cut off at the end
    /// is left out; so is one of a later epoch than `leader_epoch`, under which they were fetched,
    /// with all that follow it. `None`: nothing was left to append.
    ///
    /// # Errors
    /// [`super::LogError::Invalid`], with nothing written: a batch is damaged, begins below the
    /// log's end (truncate first), or is of an older epoch than the log's last. Otherwise as
    /// [`Log::append`]; batches before the one that failed may have been appended.
    pub fn append_as_follower(
        &mut self,
        records: &Bytes,
        leader_epoch: i32,
    ) -> Result<Option<AppendInfo>> {
        self.check()?;
        let headers = self.check_fetched(records, leader_epoch)?;
        let (Some(first), Some(last)) = (headers.first(), headers.last()) else { return Ok(None) };
        let follows = |pair: &[BatchHeader]| pair[0].next_offset() == pair[1].base_offset;
        if first.base_offset != self.log_end_offset() || !headers.windows(2).all(follows) {
            // As compaction leaves them; recovery must know before it sees them.
            self.log_dir.note_gaps(&self.of)?;
        }
        let (mut rest, mut at, mut rolled) = (&headers[..], 0, false);
        while let Some(next) = rest.first() {
            let now_ms = self.storage.now_ms();
            if self.active().must_roll(next, 0, now_ms, &self.config) {
                self.roll()?;
                rolled = true;
            }
            let (count, size) = self.fitting(rest, now_ms);
            let (run, behind) = rest.split_at(count);
            self.append_run(run, &records[at..at + size], now_ms)?;
            (rest, at) = (behind, at + size);
        }
        let (base_offset, last_offset) = (first.base_offset, last.last_offset());
        Ok(Some(AppendInfo { base_offset, last_offset, size: at, rolled }))
    }

    /// The headers of the batches that may be appended.
    fn check_fetched(&self, records: &Bytes, leader_epoch: i32) -> Result<Vec<BatchHeader>> {
        let mut headers = Vec::new();
        let mut end = self.log_end_offset();
        let mut epoch = self.epochs.latest_epoch().unwrap_or(-1);
        for batch in BatchIter::new(records.clone()) {
            let sound = |batch: RecordBatch| batch.verify_crc().map(|()| *batch.header());
            let header = batch.and_then(sound).map_err(|error| {
                self.invalid(format!("what was fetched for offset {end} is damaged: {error}"))
            })?;
            if header.partition_leader_epoch > leader_epoch {
                break;
            }
            self.check_header(&header, end)?;
            if header.partition_leader_epoch < epoch {
                return Err(self.invalid(format!(
                    "leader epoch {} follows {epoch} at offset {}; truncate first",
                    header.partition_leader_epoch, header.base_offset
                )));
            }
            (end, epoch) = (header.next_offset(), header.partition_leader_epoch);
            headers.push(header);
        }
        Ok(headers)
    }

    /// How many of these go into the active segment with the first one, under the same epoch, and
    /// their bytes.
    fn fitting(&self, headers: &[BatchHeader], now_ms: i64) -> (usize, usize) {
        let mut size = 0;
        for (count, header) in headers.iter().enumerate() {
            let goes = header.partition_leader_epoch == headers[0].partition_leader_epoch
                && !self.active().must_roll(header, size as u64, now_ms, &self.config);
            if count > 0 && !goes {
                return (count, size);
            }
            size += header.size_in_bytes();
        }
        (headers.len(), size)
    }

    /// Writes batches that fit into the active segment, as one.
    fn append_run(&mut self, headers: &[BatchHeader], bytes: &[u8], now_ms: i64) -> Result<()> {
        self.note_epoch(headers[0].base_offset, headers[0].partition_leader_epoch)?;
        let active = self.active();
        if let Err(error) = active.file.write(active.size, &[bytes]) {
            return Err(self.take_back(error));
        }
        for header in headers {
            self.count_batch(header, now_ms);
        }
        Ok(())
    }

    /// What a leader's and a follower's batches have in common.
    pub(super) fn check_header(&self, header: &BatchHeader, end: i64) -> Result<()> {
        if header.base_offset < end {
            return Err(self.invalid(format!(
                "offset {} is below the log's end {end}; truncate first",
                header.base_offset
            )));
        }
        if header.last_offset_delta < 0 || header.last_offset() == i64::MAX {
            return Err(self.invalid(format!(
                "last offset delta is {} at offset {}",
                header.last_offset_delta, header.base_offset
            )));
        }
        Ok(())
    }
}
