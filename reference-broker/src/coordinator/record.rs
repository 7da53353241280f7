//! The records of `__consumer_offsets`, in Kafka's own bytes.
//!
//! A key or value is a 16-bit version and then the message of that version. In keys the version
//! also says what kind of record it is: 0 and 1 offset commits, 2 group metadata, 3 and above the
//! records of KIP-848 and share groups, which this broker leaves alone.

use bytes::Bytes;
use ottla_protocol::messages::consumer_offsets::{
    GroupMetadataKey, GroupMetadataValue, MemberMetadata, OffsetCommitKey, OffsetCommitValue,
};
use ottla_protocol::{DecodeError, Encoder, Message, Uuid};

/// Kafka writes the highest version that is not flexible, and so do we.
const GROUP_METADATA_VALUE_VERSION: i16 = 3;
/// The kinds of keys.
const OFFSET_COMMIT_KEYS: std::ops::RangeInclusive<i16> = 0..=1;
const OFFSET_COMMIT_KEY: i16 = 1;
const GROUP_METADATA_KEY: i16 = 2;

/// A record to append: a key and a value, or a key and nothing, which deletes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Version and key.
    pub key: Bytes,
    /// Version and value; none for a tombstone.
    pub value: Option<Bytes>,
}

/// An offset that a group has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The offset from which the group goes on.
    pub offset: i64,
    /// Leader epoch of the record before that, -1 if unknown (KIP-320).
    pub leader_epoch: i32,
    /// The client's own note.
    pub metadata: String,
    /// When it was committed, in milliseconds since the Unix epoch.
    pub commit_timestamp_ms: i64,
    /// When it expires, where the commit said so (OffsetCommit versions 2 to 4).
    pub expire_timestamp_ms: Option<i64>,
    /// The topic's id at the time, zero if unknown.
    pub topic_id: Uuid,
}

/// Where an offset belongs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OffsetKey {
    /// The group.
    pub group: String,
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: i32,
}

/// What a record means.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// An offset was committed, or (none) deleted.
    Offset(OffsetKey, Option<CommittedOffset>),
    /// A group has this generation, or (none) was deleted.
    Group(String, Option<GroupMetadataValue>),
}

/// Why a record of `__consumer_offsets` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The key or value has no version in front.
    #[error("a {0} of {1} bytes in __consumer_offsets: it must start with a 2-byte version")]
    Short(&'static str, usize),
    /// The bytes are not what the version says.
    #[error("unreadable {0} in __consumer_offsets: {1}")]
    Decode(&'static str, #[source] DecodeError),
}

impl Update {
    /// The record that says this.
    #[must_use]
    pub fn to_record(&self) -> Record {
        match self {
            Self::Offset(key, value) => Record {
                key: versioned(
                    OFFSET_COMMIT_KEY,
                    0,
                    &OffsetCommitKey {
                        group: key.group.clone(),
                        topic: key.topic.clone(),
                        partition: key.partition,
                    },
                ),
                value: value.as_ref().map(offset_value),
            },
            Self::Group(group, value) => Record {
                key: versioned(GROUP_METADATA_KEY, 0, &GroupMetadataKey { group: group.clone() }),
                value: value.as_ref().map(|value| {
                    let version = GROUP_METADATA_VALUE_VERSION;
                    versioned(version, version, value)
                }),
            },
        }
    }

    /// Reads a record; none for a kind that this coordinator does not use.
    ///
    /// # Errors
    ///
    /// When the bytes are not a record of their kind and version.
    pub fn from_record(key: &Bytes, value: Option<&Bytes>) -> Result<Option<Self>, RecordError> {
        let kind = version_of("key", key)?;
        if OFFSET_COMMIT_KEYS.contains(&kind) {
            let key = decode::<OffsetCommitKey>("offset commit key", key, 0)?;
            let value = value.map(offset_from_value).transpose()?;
            let OffsetCommitKey { group, topic, partition } = key;
            return Ok(Some(Self::Offset(OffsetKey { group, topic, partition }, value)));
        }
        if kind == GROUP_METADATA_KEY {
            let key = decode::<GroupMetadataKey>("group metadata key", key, 0)?;
            let value = match value {
                None => None,
                Some(bytes) => {
                    let version = version_of("value", bytes)?;
                    Some(decode::<GroupMetadataValue>("group metadata value", bytes, version)?)
                }
            };
            return Ok(Some(Self::Group(key.group, value)));
        }
        Ok(None)
    }
}

/// Kafka's choice of versions: 1 where an expiry is set, which later versions cannot carry; 4
/// where a topic id is known, so that a topic made again under its name starts without offsets.
fn offset_value(value: &CommittedOffset) -> Bytes {
    let version = if value.expire_timestamp_ms.is_some() {
        1
    } else if value.topic_id.is_zero() {
        3
    } else {
        4
    };
    let message = OffsetCommitValue {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: value.metadata.clone(),
        commit_timestamp: value.commit_timestamp_ms,
        expire_timestamp: value.expire_timestamp_ms.unwrap_or(-1),
        topic_id: value.topic_id,
        ..OffsetCommitValue::default()
    };
    versioned(version, version, &message)
}

fn offset_from_value(bytes: &Bytes) -> Result<CommittedOffset, RecordError> {
    let version = version_of("value", bytes)?;
    let value = decode::<OffsetCommitValue>("offset commit value", bytes, version)?;
    Ok(CommittedOffset {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: value.metadata,
        commit_timestamp_ms: value.commit_timestamp,
        expire_timestamp_ms: (value.expire_timestamp >= 0).then_some(value.expire_timestamp),
        topic_id: value.topic_id,
    })
}

fn version_of(what: &'static str, bytes: &Bytes) -> Result<i16, RecordError> {
    match bytes.first_chunk::<2>() {
        Some(version) => Ok(i16::from_be_bytes(*version)),
        None => Err(RecordError::Short(what, bytes.len())),
    }
}

fn decode<M: Message>(what: &'static str, bytes: &Bytes, version: i16) -> Result<M, RecordError> {
    M::decode(bytes, 2, version).map_err(|error| RecordError::Decode(what, error))
}

/// `prefix` stands in front, `version` says how the message is written.
fn versioned<M: Message>(prefix: i16, version: i16, message: &M) -> Bytes {
    let mut out = Encoder::new();
    out.put_slice(&prefix.to_be_bytes());
    message.encode(&mut out, version).expect("invariant: the version carries every field set");
    out.into_bytes()
}

/// A member as it is stored, for [`Update::Group`].
pub(crate) type StoredMember = MemberMetadata;

#[cfg(test)]
mod tests {
    use super::*;

    fn offset_update() -> Update {
        let key = OffsetKey { group: "g".into(), topic: "t".into(), partition: 7 };
        Update::Offset(
            key,
            Some(CommittedOffset {
                offset: 42,
                leader_epoch: 3,
                metadata: "note".into(),
                commit_timestamp_ms: 1_000,
                expire_timestamp_ms: None,
                topic_id: Uuid::ZERO,
            }),
        )
    }

    #[test]
    fn an_offset_commit_has_kafkas_bytes() {
        let record = offset_update().to_record();
        let key = [0, 1, 0, 1, b'g', 0, 1, b't', 0, 0, 0, 7];
        assert_eq!(record.key.as_ref(), key);
        let mut value = vec![0, 3];
        value.extend(42i64.to_be_bytes());
        value.extend(3i32.to_be_bytes());
        value.extend([0, 4, b'n', b'o', b't', b'e']);
        value.extend(1_000i64.to_be_bytes());
        assert_eq!(record.value.as_deref(), Some(value.as_slice()));
    }

    #[test]
    fn every_update_reads_back_as_it_was_written() {
        let mut with_expiry = offset_update();
        let mut with_id = offset_update();
        if let (Update::Offset(_, Some(a)), Update::Offset(_, Some(b))) =
            (&mut with_expiry, &mut with_id)
        {
            a.expire_timestamp_ms = Some(9);
            a.leader_epoch = -1;
            b.topic_id = Uuid([7; 16]);
        }
        let tombstone =
            Update::Offset(OffsetKey { group: "g".into(), topic: "t".into(), partition: 1 }, None);
        let group = GroupMetadataValue {
            protocol_type: "consumer".into(),
            generation: 4,
            protocol: Some("range".into()),
            leader: Some("m".into()),
            current_state_timestamp: 5,
            members: vec![StoredMember {
                member_id: "m".into(),
                group_instance_id: Some("i".into()),
                assignment: Bytes::from_static(b"a"),
                ..StoredMember::default()
            }],
            ..GroupMetadataValue::default()
        };
        let group = Update::Group("g".into(), Some(group));
        let gone = Update::Group("g".into(), None);
        for update in [offset_update(), with_expiry, with_id, tombstone, group, gone] {
            let record = update.to_record();
            let read = Update::from_record(&record.key, record.value.as_ref()).expect("readable");
            assert_eq!(read, Some(update));
        }
    }

    #[test]
    fn keys_of_other_group_types_are_left_alone() {
        let key = Bytes::from_static(&[0, 3, 0, 1, b'g']);
        assert!(matches!(Update::from_record(&key, None), Ok(None)));
        assert!(Update::from_record(&Bytes::from_static(&[0]), None).is_err());
    }
}
