//! The bare cursor: what somebody writes by hand who needs these messages in these versions and
//! nothing else. It fills our structs, and knows no other version, no error and no tagged field.

use bytes::Bytes;
use ottla_protocol::Uuid;
use ottla_protocol::messages::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
use ottla_protocol::messages::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

/// The rest of a frame.
pub struct Cursor<'a> {
    frame: &'a Bytes,
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// At the start of a frame.
    pub fn new(frame: &'a Bytes) -> Self {
        Self { frame, rest: frame }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*array)
    }

    #[inline]
    fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    #[inline]
    fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    #[inline]
    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    #[inline]
    fn uvarint(&mut self) -> Option<usize> {
        let mut value = 0;
        for at in 0..5 {
            let [byte] = self.array()?;
            value |= usize::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    #[inline]
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    /// Outer `None`: the frame is cut. Inner: null.
    #[inline]
    fn string(&mut self) -> Option<Option<String>> {
        let Some(len) = self.uvarint()?.checked_sub(1) else { return Some(None) };
        Some(Some(str::from_utf8(self.take(len)?).ok()?.to_owned()))
    }

    #[inline]
    fn bytes(&mut self) -> Option<Option<Bytes>> {
        let Some(len) = self.uvarint()?.checked_sub(1) else { return Some(None) };
        Some(Some(self.frame.slice_ref(self.take(len)?)))
    }

    #[inline]
    fn vec<T>(&mut self, mut element: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.uvarint()?.checked_sub(1)?;
        let mut values = Vec::with_capacity(count.min(self.rest.len()));
        for _ in 0..count {
            values.push(element(self)?);
        }
        Some(values)
    }

    #[inline]
    fn no_tags(&mut self) -> Option<()> {
        (self.uvarint()? == 0).then_some(())
    }
}

/// A Metadata response of version 12.
pub fn metadata(frame: &Bytes) -> Option<MetadataResponse> {
    let mut c = Cursor::new(frame);
    let message = MetadataResponse {
        throttle_time_ms: c.i32()?,
        brokers: c.vec(|c| {
            let broker = MetadataResponseBroker {
                node_id: c.i32()?,
                host: c.string()??,
                port: c.i32()?,
                rack: c.string()?,
                ..Default::default()
            };
            c.no_tags()?;
            Some(broker)
        })?,
        cluster_id: c.string()?,
        controller_id: c.i32()?,
        topics: c.vec(metadata_topic)?,
        ..Default::default()
    };
    c.no_tags()?;
    c.rest.is_empty().then_some(message)
}

fn metadata_topic(c: &mut Cursor<'_>) -> Option<MetadataResponseTopic> {
    let topic = MetadataResponseTopic {
        error_code: c.i16()?,
        name: c.string()?,
        topic_id: Uuid(c.array()?),
        is_internal: c.array::<1>()? != [0],
        partitions: c.vec(|c| {
            let partition = MetadataResponsePartition {
                error_code: c.i16()?,
                partition_index: c.i32()?,
                leader_id: c.i32()?,
                leader_epoch: c.i32()?,
                replica_nodes: c.vec(Cursor::i32)?,
                isr_nodes: c.vec(Cursor::i32)?,
                offline_replicas: c.vec(Cursor::i32)?,
                ..Default::default()
            };
            c.no_tags()?;
            Some(partition)
        })?,
        topic_authorized_operations: c.i32()?,
        ..Default::default()
    };
    c.no_tags()?;
    Some(topic)
}

/// A Produce request of version 9.
pub fn produce(frame: &Bytes) -> Option<ProduceRequest> {
    let mut c = Cursor::new(frame);
    let message = ProduceRequest {
        transactional_id: c.string()?,
        acks: c.i16()?,
        timeout_ms: c.i32()?,
        topic_data: c.vec(|c| {
            let topic = TopicProduceData {
                name: c.string()??,
                partition_data: c.vec(|c| {
                    let (index, records) = (c.i32()?, c.bytes()?);
                    c.no_tags()?;
                    Some(PartitionProduceData { index, records, ..Default::default() })
                })?,
                ..Default::default()
            };
            c.no_tags()?;
            Some(topic)
        })?,
        ..Default::default()
    };
    c.no_tags()?;
    c.rest.is_empty().then_some(message)
}

/// A Fetch response of version 12.
pub fn fetch(frame: &Bytes) -> Option<FetchResponse> {
    let mut c = Cursor::new(frame);
    let message = FetchResponse {
        throttle_time_ms: c.i32()?,
        error_code: c.i16()?,
        session_id: c.i32()?,
        responses: c.vec(|c| {
            let topic = FetchableTopicResponse {
                topic: c.string()??,
                partitions: c.vec(fetch_partition)?,
                ..Default::default()
            };
            c.no_tags()?;
            Some(topic)
        })?,
        ..Default::default()
    };
    c.no_tags()?;
    c.rest.is_empty().then_some(message)
}

fn fetch_partition(c: &mut Cursor<'_>) -> Option<PartitionData> {
    let partition = PartitionData {
        partition_index: c.i32()?,
        error_code: c.i16()?,
        high_watermark: c.i64()?,
        last_stable_offset: c.i64()?,
        log_start_offset: c.i64()?,
        aborted_transactions: match c.uvarint()? {
            0 => None,
            _ => return None,
        },
        preferred_read_replica: c.i32()?,
        records: c.bytes()?,
        ..Default::default()
    };
    c.no_tags()?;
    Some(partition)
}

fn put_uvarint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    put_uvarint(out, bytes.map_or(0, |bytes| bytes.len() + 1));
    out.extend_from_slice(bytes.unwrap_or_default());
}

fn put_vec<T>(out: &mut Vec<u8>, values: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    put_uvarint(out, values.len() + 1);
    for value in values {
        put(out, value);
    }
}

fn put_i32(out: &mut Vec<u8>, value: &i32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Writes what [`metadata`] reads.
pub fn put_metadata(message: &MetadataResponse) -> Vec<u8> {
    let mut out = Vec::new();
    put_i32(&mut out, &message.throttle_time_ms);
    put_vec(&mut out, &message.brokers, |out, broker| {
        put_i32(out, &broker.node_id);
        put_bytes(out, Some(broker.host.as_bytes()));
        put_i32(out, &broker.port);
        put_bytes(out, broker.rack.as_deref().map(str::as_bytes));
        out.push(0);
    });
    put_bytes(&mut out, message.cluster_id.as_deref().map(str::as_bytes));
    put_i32(&mut out, &message.controller_id);
    put_vec(&mut out, &message.topics, |out, topic| {
        out.extend_from_slice(&topic.error_code.to_be_bytes());
        put_bytes(out, topic.name.as_deref().map(str::as_bytes));
        out.extend_from_slice(&topic.topic_id.0);
        out.push(u8::from(topic.is_internal));
        put_vec(out, &topic.partitions, |out, partition| {
            out.extend_from_slice(&partition.error_code.to_be_bytes());
            put_i32(out, &partition.partition_index);
            put_i32(out, &partition.leader_id);
            put_i32(out, &partition.leader_epoch);
            put_vec(out, &partition.replica_nodes, put_i32);
            put_vec(out, &partition.isr_nodes, put_i32);
            put_vec(out, &partition.offline_replicas, put_i32);
            out.push(0);
        });
        put_i32(out, &topic.topic_authorized_operations);
        out.push(0);
    });
    out.push(0);
    out
}

/// Writes what [`produce`] reads.
pub fn put_produce(message: &ProduceRequest) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, message.transactional_id.as_deref().map(str::as_bytes));
    out.extend_from_slice(&message.acks.to_be_bytes());
    put_i32(&mut out, &message.timeout_ms);
    put_vec(&mut out, &message.topic_data, |out, topic| {
        put_bytes(out, Some(topic.name.as_bytes()));
        put_vec(out, &topic.partition_data, |out, partition| {
            put_i32(out, &partition.index);
            put_bytes(out, partition.records.as_deref());
            out.push(0);
        });
        out.push(0);
    });
    out.push(0);
    out
}

/// Writes what [`fetch`] reads.
pub fn put_fetch(message: &FetchResponse) -> Vec<u8> {
    let mut out = Vec::new();
    put_i32(&mut out, &message.throttle_time_ms);
    out.extend_from_slice(&message.error_code.to_be_bytes());
    put_i32(&mut out, &message.session_id);
    put_vec(&mut out, &message.responses, |out, topic| {
        put_bytes(out, Some(topic.topic.as_bytes()));
        put_vec(out, &topic.partitions, |out, partition| {
            put_i32(out, &partition.partition_index);
            out.extend_from_slice(&partition.error_code.to_be_bytes());
            out.extend_from_slice(&partition.high_watermark.to_be_bytes());
            out.extend_from_slice(&partition.last_stable_offset.to_be_bytes());
            out.extend_from_slice(&partition.log_start_offset.to_be_bytes());
            put_uvarint(out, 0);
            put_i32(out, &partition.preferred_read_replica);
            put_bytes(out, partition.records.as_deref());
            out.push(0);
        });
        out.push(0);
    });
    out.push(0);
    out
}

/// The records of a batch.
pub mod records {
    use super::put_uvarint;

    const HEADER_LEN: usize = 61;
    const CRC_AT: usize = 17;
    const COVERED_AT: usize = 21;
    const BASE_TIMESTAMP_AT: usize = 27;
    const COUNT_AT: usize = 57;

    /// A record as it lies in its batch.
    pub struct Record<'a> {
        /// Of the partition.
        pub offset: i64,
        /// In ms.
        pub timestamp: i64,
        /// `None` is null.
        pub key: Option<&'a [u8]>,
        /// `None` is null.
        pub value: Option<&'a [u8]>,
        headers: u64,
        rest: &'a [u8],
    }

    impl<'a> Record<'a> {
        /// Gives each header to `each`.
        #[inline]
        pub fn headers(&self, mut each: impl FnMut(&'a str, Option<&'a [u8]>)) -> Option<()> {
            let mut rest = self.rest;
            for _ in 0..self.headers {
                let key = str::from_utf8(bytes(&mut rest)??).ok()?;
                each(key, bytes(&mut rest)?);
            }
            Some(())
        }
    }

    #[inline]
    fn uvar(rest: &mut &[u8]) -> Option<u64> {
        let mut value = 0;
        for at in 0..10 {
            let (&byte, after) = rest.split_first()?;
            *rest = after;
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    #[inline]
    fn var(rest: &mut &[u8]) -> Option<i64> {
        let raw = uvar(rest)?;
        Some((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    #[inline]
    fn bytes<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
        let Ok(len) = usize::try_from(var(rest)?) else { return Some(None) };
        let (taken, after) = rest.split_at_checked(len)?;
        *rest = after;
        Some(Some(taken))
    }

    /// Compares the checksum of a batch.
    pub fn check(batch: &[u8]) -> Option<()> {
        let crc = u32::from_be_bytes(*batch.get(CRC_AT..)?.first_chunk()?);
        let computed = crc_fast::crc32_iscsi(batch.get(COVERED_AT..)?);
        (crc == computed).then_some(())
    }

    /// Gives each record of a batch to `each`.
    #[inline]
    pub fn iterate<'a>(batch: &'a [u8], mut each: impl FnMut(&Record<'a>)) -> Option<()> {
        let base_offset = i64::from_be_bytes(*batch.first_chunk()?);
        let base_timestamp = i64::from_be_bytes(*batch.get(BASE_TIMESTAMP_AT..)?.first_chunk()?);
        let count = i32::from_be_bytes(*batch.get(COUNT_AT..)?.first_chunk()?);
        let mut rest = batch.get(HEADER_LEN..)?;
        for _ in 0..count {
            let len = usize::try_from(var(&mut rest)?).ok()?;
            let (record, after) = rest.split_at_checked(len)?;
            rest = after;
            let mut inner = record.get(1..)?;
            let timestamp = base_timestamp + var(&mut inner)?;
            let offset = base_offset + var(&mut inner)?;
            let key = bytes(&mut inner)?;
            let value = bytes(&mut inner)?;
            let headers = var(&mut inner)? as u64;
            each(&Record { offset, timestamp, key, value, headers, rest: inner });
        }
        Some(())
    }

    fn zigzag(value: i64) -> u64 {
        ((value << 1) ^ (value >> 63)) as u64
    }

    fn put_var(out: &mut Vec<u8>, value: i64) {
        put_uvarint(out, zigzag(value) as usize);
    }

    /// A batch of `capacity` bytes: records without keys, a millisecond apart. Each is first
    /// written into memory of its own, since its length stands in front.
    pub fn write(
        capacity: usize,
        first: i64,
        values: &[Vec<u8>],
        headers: &[(&str, &[u8])],
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(capacity);
        out.resize(HEADER_LEN, 0);
        let mut record = Vec::new();
        for (at, value) in values.iter().enumerate() {
            record.clear();
            record.push(0);
            put_var(&mut record, at as i64);
            put_var(&mut record, at as i64);
            put_var(&mut record, -1);
            put_var(&mut record, value.len() as i64);
            record.extend_from_slice(value);
            put_var(&mut record, headers.len() as i64);
            for (key, value) in headers {
                put_var(&mut record, key.len() as i64);
                record.extend_from_slice(key.as_bytes());
                put_var(&mut record, value.len() as i64);
                record.extend_from_slice(value);
            }
            put_var(&mut out, record.len() as i64);
            out.extend_from_slice(&record);
        }
        let last = values.len() as i32 - 1;
        let length = out.len() as i32 - 12;
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(8, &length.to_be_bytes());
        put(12, &(-1i32).to_be_bytes());
        put(16, &[2]);
        put(23, &last.to_be_bytes());
        put(BASE_TIMESTAMP_AT, &first.to_be_bytes());
        put(35, &(first + i64::from(last)).to_be_bytes());
        put(43, &[0xff; 14]);
        put(COUNT_AT, &(last + 1).to_be_bytes());
        let crc = crc_fast::crc32_iscsi(&out[COVERED_AT..]);
        out[CRC_AT..COVERED_AT].copy_from_slice(&crc.to_be_bytes());
        out
    }
}
