//! Producer state on disk: `<offset>.snapshot`, Kafka's ProducerSnapshot version 1.
//!
//! A snapshot says what the producers' state was when the log ended at `offset`. Recovery takes the
//! newest valid one and replays the batch headers behind it. A version (i16), a CRC-32C of what
//! follows it, then the entries.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ottla_protocol::messages::producer_snapshot::{ProducerEntry, ProducerSnapshot};
use ottla_protocol::records::crc::crc32c;
use ottla_protocol::records::header::next_sequence;
use ottla_protocol::{Encoder, Message};

use super::error::{LogError, Result};
use super::producer_state::{Producer, ProducerBatch, ProducerState};
use super::storage::{Storage, read_small, write_atomically};

const VERSION: i16 = 1;
const VERSION_LEN: usize = 2;
const ENTRIES_AT: usize = 6;

/// The file's name for the state at `offset`.
pub(crate) fn path(dir: &Path, offset: i64) -> PathBuf {
    dir.join(format!("{offset:020}.snapshot"))
}

/// Writes the state at `offset`, durably.
pub(crate) fn write(
    storage: &dyn Storage,
    dir: &Path,
    offset: i64,
    state: &ProducerState,
) -> Result<()> {
    let path = path(dir, offset);
    let bytes = encode(state).map_err(|error| LogError::Invalid {
        dir: dir.to_path_buf(),
        reason: format!("producer state does not encode: {error}"),
    })?;
    write_atomically(storage, &path, &bytes).map_err(LogError::io("write", &path))
}

/// Reads the state at `offset`; `None` when the file is missing or damaged.
pub(crate) fn read(
    storage: &dyn Storage,
    dir: &Path,
    offset: i64,
    now_ms: i64,
) -> Result<Option<ProducerState>> {
    let path = path(dir, offset);
    let bytes = read_small(storage, &path).map_err(LogError::io("read", &path))?;
    Ok(bytes.and_then(|bytes| decode(bytes, now_ms)))
}

/// The state as the file's bytes.
pub fn encode(state: &ProducerState) -> Result<Vec<u8>, ottla_protocol::EncodeError> {
    let producer_entries = state.iter().map(|(id, producer)| entry(id, producer)).collect();
    let mut out = Encoder::new();
    ProducerSnapshot { crc: 0, producer_entries }.encode(&mut out, VERSION)?;
    let mut bytes = VERSION.to_be_bytes().to_vec();
    bytes.extend_from_slice(&out.into_bytes());
    let crc = crc32c(&bytes[ENTRIES_AT..]);
    bytes[VERSION_LEN..ENTRIES_AT].copy_from_slice(&crc.to_be_bytes());
    Ok(bytes)
}

/// The state of the file's bytes; `None` when they are not a snapshot.
pub fn decode(bytes: Vec<u8>, now_ms: i64) -> Option<ProducerState> {
    let version = i16::from_be_bytes(bytes.get(..VERSION_LEN)?.try_into().ok()?);
    if version != VERSION {
        return None;
    }
    let computed = crc32c(bytes.get(ENTRIES_AT..)?);
    let snapshot = ProducerSnapshot::decode(&Bytes::from(bytes), VERSION_LEN, VERSION).ok()?;
    if snapshot.crc != computed {
        return None;
    }
    let mut state = ProducerState::new();
    for entry in snapshot.producer_entries {
        state.restore(entry.producer_id, producer(&entry, now_ms));
    }
    Some(state)
}

fn entry(producer_id: i64, producer: &Producer) -> ProducerEntry {
    let last = producer.batches.back();
    ProducerEntry {
        producer_id,
        epoch: producer.epoch,
        last_sequence: last.map_or(-1, |batch| batch.last_sequence),
        last_offset: last.map_or(-1, |batch| batch.last_offset),
        offset_delta: last.map_or(0, |batch| {
            i32::try_from(batch.last_offset - batch.base_offset)
                .expect("invariant: a batch's last offset delta is an i32")
        }),
        timestamp: last.map_or(-1, |batch| batch.timestamp),
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_first_offset: producer.open_transaction.unwrap_or(-1),
    }
}

fn producer(entry: &ProducerEntry, now_ms: i64) -> Producer {
    let mut batches = VecDeque::new();
    if entry.last_offset >= 0 {
        batches.push_back(ProducerBatch {
            first_sequence: next_sequence(entry.last_sequence, entry.offset_delta.wrapping_neg()),
            last_sequence: entry.last_sequence,
            base_offset: entry.last_offset - i64::from(entry.offset_delta),
            last_offset: entry.last_offset,
            timestamp: entry.timestamp,
        });
    }
    Producer {
        epoch: entry.epoch,
        coordinator_epoch: entry.coordinator_epoch,
        batches,
        open_transaction: (entry.current_txn_first_offset >= 0)
            .then_some(entry.current_txn_first_offset),
        seen_ms: now_ms,
    }
}
