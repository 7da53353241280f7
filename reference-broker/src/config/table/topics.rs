//! The topics' properties.

use super::{
    BOOL, CLEANUP, COMPRESSION, FOREVER, I32_MAX, INT_FROM_0, INT_FROM_1, LONG_FROM_0, LONG_FROM_1,
    LONG_OR_UNLIMITED, SEGMENT_BYTES, TIMESTAMP_TYPE,
};
use crate::config::property::{Kind, Property};

/// The topics' properties, sorted by name.
pub static TOPIC: &[Property] = &[
    Property::topic(
        "cleanup.policy",
        CLEANUP,
        "delete",
        "log.cleanup.policy",
        "What becomes of old records: delete them, or compact by key.",
    ),
    Property::topic(
        "compression.type",
        COMPRESSION,
        "producer",
        "compression.type",
        "Batches are stored as the producer compressed them; no other value is supported.",
    ),
    Property::topic(
        "flush.messages",
        LONG_FROM_1,
        FOREVER,
        "log.flush.interval.messages",
        "Records after which the partition is synced to disk; 1 acknowledges only what is on disk.",
    ),
    Property::topic(
        "flush.ms",
        LONG_FROM_0,
        FOREVER,
        "log.flush.interval.ms",
        "How long records may stay unsynced.",
    ),
    Property::topic(
        "index.interval.bytes",
        INT_FROM_1,
        "4096",
        "log.index.interval.bytes",
        "Bytes of records between two entries of the offset index.",
    ),
    Property::topic(
        "max.message.bytes",
        INT_FROM_0,
        "1048588",
        "message.max.bytes",
        "The largest record batch, as it is stored.",
    ),
    Property::topic(
        "message.timestamp.after.max.ms",
        LONG_FROM_0,
        "3600000",
        "log.message.timestamp.after.max.ms",
        "How far ahead of the broker's clock a record's timestamp may be.",
    ),
    Property::topic(
        "message.timestamp.before.max.ms",
        LONG_FROM_0,
        FOREVER,
        "log.message.timestamp.before.max.ms",
        "How far behind the broker's clock a record's timestamp may be.",
    ),
    Property::topic(
        "message.timestamp.type",
        TIMESTAMP_TYPE,
        "CreateTime",
        "log.message.timestamp.type",
        "Whose clock gives a record its timestamp.",
    ),
    Property::topic(
        "min.insync.replicas",
        INT_FROM_1,
        "1",
        "min.insync.replicas",
        "Replicas that must have a record before it is committed.",
    ),
    Property::topic(
        "retention.bytes",
        LONG_OR_UNLIMITED,
        "-1",
        "log.retention.bytes",
        "Delete old segments of a partition above this size; -1 is unlimited.",
    ),
    Property::topic(
        "retention.ms",
        LONG_OR_UNLIMITED,
        "604800000",
        "log.retention.ms",
        "Age at which segments are deleted; -1 is unlimited.",
    ),
    Property::topic(
        "segment.bytes",
        SEGMENT_BYTES,
        "1073741824",
        "log.segment.bytes",
        "The size at which a segment is rolled.",
    ),
    Property::topic(
        "segment.index.bytes",
        Kind::Int { min: 64, max: I32_MAX },
        "10485760",
        "log.index.size.max.bytes",
        "The largest size of an index file.",
    ),
    Property::topic(
        "segment.ms",
        LONG_FROM_1,
        "604800000",
        "log.roll.ms",
        "Age at which a segment is rolled.",
    ),
    Property::topic(
        "unclean.leader.election.enable",
        BOOL,
        "false",
        "unclean.leader.election.enable",
        "Elect a leader that was not in sync when no other is left: records are lost.",
    ),
];
