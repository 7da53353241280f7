//! What compaction does with each batch (M17, KIP-534).
//!
//! Of the records with one key only the last stays. A tombstone (a record without a value) stays
//! until the delete horizon, which is entered into its batch when it is first compacted: by then
//! nothing older of its key is left. Batches keep their offsets and sequences whatever is taken
//! from them.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use ottla_protocol::records::{
    Attributes, BATCH_HEADER_LEN, BatchBuilder, BatchFields, BatchHeader, Compression, Compressor,
    Decompressor, Record, RecordBatch, RecordError, TimestampType, header, restamp,
};

/// What an entry of the map takes beside its key.
const ENTRY_LEN: usize = 64;

/// The last offset of each key of a part of the log.
#[derive(Debug, Default)]
pub(super) struct OffsetMap {
    offsets: HashMap<Box<[u8]>, i64>,
    bytes: usize,
}

impl OffsetMap {
    pub(super) fn insert(&mut self, key: &[u8], offset: i64) {
        if let Some(known) = self.offsets.get_mut(key) {
            *known = offset;
            return;
        }
        self.bytes += key.len() + ENTRY_LEN;
        self.offsets.insert(key.into(), offset);
    }

    /// Bytes of memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn is_superseded(&self, key: &[u8], offset: i64) -> bool {
        self.offsets.get(key).is_some_and(|last| offset < *last)
    }
}

/// Judges the batches of one pass.
pub(super) struct Cleaner<'a> {
    pub(super) map: &'a OffsetMap,
    /// The map knows what lies below; beyond, everything stays.
    pub(super) map_end: i64,
    pub(super) now_ms: i64,
    pub(super) delete_retention_ms: i64,
    /// The last offset of each known producer: the batch that holds it stays, emptied if need be,
    /// or a restart would forget the producer's sequence.
    pub(super) producers: &'a BTreeMap<i64, i64>,
    pub(super) decompressor: Decompressor,
    pub(super) compressor: Compressor,
}

impl Cleaner<'_> {
    /// What becomes of a batch; `None`: nothing of it stays.
    pub(super) fn clean(
        &mut self,
        header: &BatchHeader,
        bytes: Bytes,
    ) -> Result<Option<Bytes>, RecordError> {
        if header.base_offset >= self.map_end || !is_plain(header) {
            return Ok(Some(bytes));
        }
        let batch = RecordBatch::parse(bytes)?;
        let records = batch.records(&mut self.decompressor)?;
        let horizon = header.delete_horizon_ms();
        let tombstones_go = horizon.is_some_and(|horizon| self.now_ms >= horizon);
        let (mut kept, mut tombstones) = (Vec::new(), false);
        for record in &records {
            let record = record?;
            let Some(key) = record.key else { continue };
            let goes = self.map.is_superseded(key, record.offset)
                || (record.value.is_none() && tombstones_go);
            if !goes {
                tombstones |= record.value.is_none();
                kept.push(record);
            }
        }
        if kept.is_empty() {
            return Ok(self.must_stay(header).then(|| emptied(header)));
        }
        let new = tombstones.then(|| self.now_ms.saturating_add(self.delete_retention_ms));
        if kept.len() == records.len() && (horizon.is_some() || new.is_none()) {
            return Ok(Some(batch.bytes().clone()));
        }
        self.rebuilt(header, &kept, horizon.or(new)).map(Some)
    }

    /// Whether a batch stays even without records.
    fn must_stay(&self, header: &BatchHeader) -> bool {
        // Who reads to the end of what was compacted must find a batch there to go on from.
        header.next_offset() == self.map_end
            || self.producers.get(&header.producer_id) == Some(&header.last_offset())
    }

    fn rebuilt(
        &mut self,
        header: &BatchHeader,
        records: &[Record<'_>],
        horizon: Option<i64>,
    ) -> Result<Bytes, RecordError> {
        let base_timestamp = horizon.unwrap_or(header.base_timestamp);
        let mut builder =
            BatchBuilder::new(header.size_in_bytes()).with_base_timestamp(base_timestamp);
        for record in records {
            let delta = record.offset.wrapping_sub(header.base_offset);
            builder.append_record(i32::try_from(delta).unwrap_or(-1), record)?;
        }
        let append_time = header.timestamp_type() == TimestampType::LogAppendTime;
        let fields = BatchFields {
            compression: header.compression()?,
            level: None,
            base_offset: header.base_offset,
            partition_leader_epoch: header.partition_leader_epoch,
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            transactional: false,
            control: false,
            append_time: append_time.then_some(header.max_timestamp),
            delete_horizon: horizon.is_some(),
            last_offset_delta: Some(header.last_offset_delta),
        };
        builder.finish(&fields, &mut self.compressor)
    }
}

/// Whether compaction understands the batch. Which data of a transaction counts is not known here,
/// so transactions and their markers stay, and end what can be compacted.
pub(super) fn is_plain(header: &BatchHeader) -> bool {
    !header.is_control() && !header.is_transactional()
}

/// The batch without its records: offsets, epochs and sequences only.
pub(super) fn emptied(of: &BatchHeader) -> Bytes {
    let attributes = Attributes::default().with_timestamp_type(of.timestamp_type());
    let left = BatchHeader {
        batch_length: (BATCH_HEADER_LEN - header::LENGTH_PREFIX_LEN) as i32,
        attributes: attributes.with_compression(Compression::None),
        base_timestamp: -1,
        max_timestamp: -1,
        record_count: 0,
        ..*of
    };
    let mut bytes = left.to_bytes().to_vec();
    restamp(&mut bytes, of.producer_id, of.producer_epoch, of.base_sequence);
    bytes.into()
}
