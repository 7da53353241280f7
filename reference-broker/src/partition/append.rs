//! Appending: validate a batch, give it its offset, write it.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ottla_protocol::ErrorCode;
use ottla_protocol::records::{
    BatchFacts, BatchHeader, Decompressor, Origin, RecordError, RecordErrorKind, Rejection,
    TimestampType, ValidateOptions, set_max_timestamp, validate,
};

use super::{Partition, Role, log_code};
use crate::config::TopicConfig;
use crate::log::Check;
use crate::planted::{self, Bug};

thread_local! {
    /// Codec contexts are dear to make; validation never awaits, so one for each thread is enough.
    static DECOMPRESSOR: RefCell<Decompressor> = RefCell::new(Decompressor::new());
}

/// Where a batch is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: i64,
    /// Offset of its last record: to be waited for (M9, also for a duplicate).
    pub last_offset: i64,
    /// The broker's time in a LogAppendTime topic, else -1 (PR-18, PR-19).
    pub log_append_time_ms: i64,
    /// The first offset that can be read.
    pub log_start_offset: i64,
}

/// A batch that was not appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendError {
    /// The code for the client.
    pub code: ErrorCode,
    /// The text for the client.
    pub message: String,
    /// The records at fault, by index in the batch (KIP-467).
    pub records: Vec<(u32, String)>,
}

impl AppendError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), records: Vec::new() }
    }
}

impl Partition {
    /// Appends one batch of a client or of a coordinator. `acks_all` demands that enough replicas
    /// are in sync (19).
    pub(crate) fn append(
        self: &Arc<Self>,
        batch: Bytes,
        origin: Origin,
        acks_all: bool,
        now_ms: i64,
    ) -> Result<Appended, AppendError> {
        let config = self.config();
        let (batch, facts) = check(batch, origin, &config, now_ms)?;
        let log_append_time_ms = if config.log_append_time { now_ms } else { -1 };
        let mut state = self.lock();
        if self.is_over(&state) {
            let message = "the partition is not led by this broker any more";
            return Err(AppendError::new(ErrorCode::NotLeaderOrFollower, message));
        }
        // PR-04, before anything is written.
        let Role::Leader(leadership) = &state.role else {
            let message = "the partition is led by another broker";
            return Err(AppendError::new(ErrorCode::NotLeaderOrFollower, message));
        };
        if acks_all && !leadership.has_enough_in_sync() {
            let message = format!(
                "{}-{} has fewer replicas in sync than min.insync.replicas {}",
                self.topic, self.index, config.min_insync_replicas
            );
            return Err(AppendError::new(ErrorCode::NotEnoughReplicas, message));
        }
        let log_start_offset = state.log.log_start_offset();
        match state.log.producers.check(&facts.header) {
            Ok(Check::Append) => {}
            // PR-20: stored already; the caller waits for it like for the original (M9).
            Ok(Check::Duplicate { base_offset, last_offset, timestamp }) => {
                let log_append_time_ms = if config.log_append_time { timestamp } else { -1 };
                let early = planted::has(Bug::EarlyDuplicate);
                return Ok(Appended {
                    base_offset,
                    last_offset: if early { -1 } else { last_offset },
                    log_append_time_ms,
                    log_start_offset,
                });
            }
            Err(code) => return Err(AppendError::new(code, producer_message(code, &facts.header))),
        }
        let base_offset = state.log.log_end_offset();
        let written = state.log.append(&batch, base_offset, self.leader_epoch);
        let info = written.map_err(|error| {
            tracing::error!(%error, "append failed");
            AppendError::new(log_code(&error), error.to_string())
        })?;
        let end = state.log.log_end_offset();
        // Followers wait for what is not committed yet.
        let waited_for = matches!(&state.role, Role::Leader(leader) if leader.replica_count() > 1);
        let advanced = state.advance(|leadership, now| leadership.on_append(end, now));
        let flush = !state.flushing && state.log.flush_due();
        state.flushing |= flush;
        self.publish(state, advanced || waited_for);
        if flush {
            self.spawn_flush();
        }
        Ok(Appended {
            base_offset,
            last_offset: info.last_offset,
            log_append_time_ms,
            log_start_offset,
        })
    }
}

/// P7: the whole batch is walked, and what it says of itself is corrected where the log relies on
/// it.
fn check(
    batch: Bytes,
    origin: Origin,
    config: &TopicConfig,
    now_ms: i64,
) -> Result<(Bytes, BatchFacts), AppendError> {
    // PR-06
    if i64::try_from(batch.len()).unwrap_or(i64::MAX) > i64::from(config.max_message_bytes) {
        let message = format!(
            "the batch has {} bytes, max.message.bytes is {}; send smaller batches \
             or raise max.message.bytes",
            batch.len(),
            config.max_message_bytes
        );
        return Err(AppendError::new(ErrorCode::MessageTooLarge, message));
    }
    let timestamp_type = match config.log_append_time {
        true => TimestampType::LogAppendTime,
        false => TimestampType::CreateTime,
    };
    let earliest = now_ms.saturating_sub(config.timestamp_before_max_ms);
    let latest = now_ms.saturating_add(config.timestamp_after_max_ms);
    let options = ValidateOptions {
        origin,
        require_key: config.compacted,
        timestamp_type,
        timestamps: (!config.log_append_time).then_some(earliest..=latest),
    };
    let mut facts = DECOMPRESSOR
        .with_borrow_mut(|decompressor| validate(&batch, decompressor, &options))
        .map_err(|error| refused(&error))?;
    // PR-18: the broker's time for the batch; otherwise the true maximum, which lies inside the
    // CRC.
    let max_timestamp = if config.log_append_time { now_ms } else { facts.max_timestamp };
    let as_is = facts.header.timestamp_type() == timestamp_type
        && facts.header.max_timestamp == max_timestamp;
    if as_is {
        return Ok((batch, facts));
    }
    let mut rewritten = BytesMut::from(batch);
    set_max_timestamp(&mut rewritten, timestamp_type, max_timestamp);
    let rewritten = rewritten.freeze();
    facts.header = BatchHeader::parse(&rewritten).map_err(|error| refused(&error))?;
    Ok((rewritten, facts))
}

/// The client's code for a batch that is not stored.
fn refused(error: &RecordError) -> AppendError {
    let code = match error.kind() {
        RecordErrorKind::Crc => ErrorCode::CorruptMessage,
        // A batch that cannot even be cut out; inside the records it is an invalid record (PR-31).
        RecordErrorKind::Malformed if error.record().is_none() => ErrorCode::CorruptMessage,
        RecordErrorKind::Timestamp => ErrorCode::InvalidTimestamp,
        _ => ErrorCode::InvalidRecord,
    };
    let reason = |rejection: Rejection| match rejection {
        Rejection::MissingKey => "Compacted topic cannot accept message without key",
        Rejection::Timestamp => "Timestamp is out of range",
        _ => "Invalid record",
    };
    let rejected = error.rejected().iter();
    let mut records: Vec<_> =
        rejected.map(|rejected| (rejected.index, reason(rejected.reason).to_owned())).collect();
    if let (true, Some(index)) = (records.is_empty(), error.record()) {
        records.push((index, error.message().to_owned()));
    }
    AppendError { code, message: error.to_string(), records }
}

fn producer_message(code: ErrorCode, header: &BatchHeader) -> String {
    let BatchHeader { producer_id, producer_epoch, base_sequence, .. } = header;
    format!(
        "{}: producer id {producer_id}, epoch {producer_epoch}, sequence {base_sequence}",
        code.name()
    )
}
