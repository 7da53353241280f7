//! The tables of all properties: the broker's, the topics', and those of Apache Kafka that have no
//! meaning here.

use super::property::{Kind, Property};

const I32_MAX: i64 = i32::MAX as i64;
const BOOL: Kind = Kind::Bool;
const LONG_FROM_0: Kind = Kind::Long { min: 0, max: i64::MAX };
const LONG_FROM_1: Kind = Kind::Long { min: 1, max: i64::MAX };
const LONG_OR_UNLIMITED: Kind = Kind::Long { min: -1, max: i64::MAX };
const INT_FROM_0: Kind = Kind::Int { min: 0, max: I32_MAX };
const INT_FROM_1: Kind = Kind::Int { min: 1, max: I32_MAX };
const CLEANUP: Kind = Kind::List(&["delete", "compact"]);
const TIMESTAMP_TYPE: Kind = Kind::Choice(&["CreateTime", "LogAppendTime"]);
/// P7: another codec than the producer's would mean to decode and encode every batch again.
const COMPRESSION: Kind = Kind::Choice(&["producer"]);
/// A segment must hold at least one largest batch's header; Kafka's own minimum is 1 MiB, ours is
/// for tests.
const SEGMENT_BYTES: Kind = Kind::Int { min: 1024, max: I32_MAX };
const FOREVER: &str = "9223372036854775807";

/// The broker's properties, sorted by name.
pub static BROKER: &[Property] = &[
    Property::new(
        "advertised.listeners",
        Kind::Text,
        "",
        "Where clients connect, as PLAINTEXT://host:port; the bound listener when unset.",
    ),
    Property::new(
        "auto.create.topics.enable",
        BOOL,
        "true",
        "Create a topic when a client asks for its metadata or produces to it.",
    ),
    Property::new("broker.rack", Kind::Text, "", "The rack of this broker, reported in metadata."),
    Property::new(
        "cluster.id",
        Kind::Text,
        "",
        "The cluster that this broker belongs to; a new data folder gets a random one when unset.",
    ),
    Property::new(
        "compression.type",
        COMPRESSION,
        "producer",
        "Batches are stored as the producer compressed them; no other value is supported.",
    ),
    Property::new(
        "connections.max.idle.ms",
        LONG_FROM_1,
        "600000",
        "Close a connection that sent nothing for this long.",
    ),
    Property::new(
        "default.replication.factor",
        INT_FROM_1,
        "1",
        "Replicas of a topic that is created without saying how many.",
    ),
    Property::new("delete.topic.enable", BOOL, "true", "Whether topics can be deleted."),
    Property::new(
        "fetch.max.bytes",
        Kind::Int { min: 1024, max: I32_MAX },
        "57671680",
        "The most record bytes that one fetch response holds.",
    ),
    Property::new(
        "group.initial.rebalance.delay.ms",
        INT_FROM_0,
        "3000",
        "How long a new group waits for more members before its first rebalance.",
    ),
    Property::new(
        "group.max.session.timeout.ms",
        INT_FROM_1,
        "1800000",
        "The longest session timeout that a group member may ask for.",
    ),
    Property::new("group.max.size", INT_FROM_1, "2147483647", "The most members of one group."),
    Property::new(
        "group.min.session.timeout.ms",
        INT_FROM_1,
        "6000",
        "The shortest session timeout that a group member may ask for.",
    ),
    Property::new(
        "listeners",
        Kind::Text,
        "PLAINTEXT://127.0.0.1:9092",
        "Where to listen, as PLAINTEXT://host:port; port 0 takes a free one.",
    ),
    Property::new("log.cleanup.policy", CLEANUP, "delete", "What becomes of old records."),
    Property::new(
        "log.dirs",
        Kind::Text,
        "ottla-data",
        "The data folder (exactly one); made when it does not exist.",
    ),
    Property::new(
        "log.flush.interval.messages",
        LONG_FROM_1,
        FOREVER,
        "Records after which a partition is synced to disk; 1 acknowledges only what is on disk.",
    ),
    Property::new(
        "log.flush.interval.ms",
        LONG_FROM_0,
        FOREVER,
        "How long records may stay unsynced; unlimited leaves it to the operating system.",
    ),
    Property::new(
        "log.flush.scheduler.interval.ms",
        LONG_FROM_1,
        "1000",
        "How often partitions are looked at for log.flush.interval.ms.",
    ),
    Property::new(
        "log.index.interval.bytes",
        INT_FROM_1,
        "4096",
        "Bytes of records between two entries of the offset index.",
    ),
    Property::new(
        "log.index.size.max.bytes",
        Kind::Int { min: 64, max: I32_MAX },
        "10485760",
        "The largest size of an index file; a full one rolls the segment.",
    ),
    Property::new(
        "log.message.timestamp.after.max.ms",
        LONG_FROM_0,
        "3600000",
        "How far ahead of the broker's clock a record's timestamp may be.",
    ),
    Property::new(
        "log.message.timestamp.before.max.ms",
        LONG_FROM_0,
        FOREVER,
        "How far behind the broker's clock a record's timestamp may be.",
    ),
    Property::new(
        "log.message.timestamp.type",
        TIMESTAMP_TYPE,
        "CreateTime",
        "Whose clock gives a record its timestamp.",
    ),
    Property::new(
        "log.retention.bytes",
        LONG_OR_UNLIMITED,
        "-1",
        "Delete old segments of a partition above this size; -1 is unlimited.",
    ),
    Property::new(
        "log.retention.check.interval.ms",
        LONG_FROM_1,
        "300000",
        "How often segments are looked at for deletion.",
    ),
    Property::new(
        "log.retention.hours",
        Kind::Int { min: -1, max: I32_MAX },
        "168",
        "Age in hours at which segments are deleted, unless minutes or ms are set.",
    ),
    Property::new(
        "log.retention.minutes",
        Kind::Int { min: -1, max: I32_MAX },
        "",
        "Age in minutes at which segments are deleted, unless ms are set.",
    ),
    Property::new(
        "log.retention.ms",
        LONG_OR_UNLIMITED,
        "",
        "Age at which segments are deleted; -1 is unlimited.",
    ),
    Property::new(
        "log.roll.hours",
        INT_FROM_1,
        "168",
        "Age in hours at which a segment is rolled, unless ms are set.",
    ),
    Property::new("log.roll.ms", LONG_FROM_1, "", "Age at which a segment is rolled."),
    Property::new(
        "log.segment.bytes",
        SEGMENT_BYTES,
        "1073741824",
        "The size at which a segment is rolled.",
    ),
    Property::new(
        "log.segment.delete.delay.ms",
        LONG_FROM_0,
        "60000",
        "How long files of a deleted segment stay.",
    ),
    Property::new(
        "max.connections",
        INT_FROM_1,
        "2147483647",
        "The most connections at once; more are closed at once.",
    ),
    Property::new(
        "max.incremental.fetch.session.cache.slots",
        INT_FROM_0,
        "1000",
        "How many fetch sessions are remembered at most; with 0 there are none.",
    ),
    Property::new(
        "message.max.bytes",
        INT_FROM_0,
        "1048588",
        "The largest record batch, as it is stored.",
    ),
    Property::new(
        "min.insync.replicas",
        INT_FROM_1,
        "1",
        "Replicas that must have a record before it is committed.",
    ),
    Property::new("node.id", INT_FROM_0, "1", "This broker's id."),
    Property::new(
        "num.partitions",
        INT_FROM_1,
        "1",
        "Partitions of a topic that is created without saying how many.",
    ),
    Property::new(
        "offset.metadata.max.bytes",
        INT_FROM_0,
        "4096",
        "The longest metadata text of a committed offset.",
    ),
    Property::new(
        "offsets.retention.check.interval.ms",
        LONG_FROM_1,
        "600000",
        "How often expired offsets are looked for.",
    ),
    Property::new(
        "offsets.retention.minutes",
        INT_FROM_1,
        "10080",
        "How long the offsets of a group without members are kept.",
    ),
    Property::new(
        "offsets.topic.num.partitions",
        INT_FROM_1,
        "50",
        "Partitions of __consumer_offsets; fixed once the topic exists.",
    ),
    Property::new(
        "offsets.topic.replication.factor",
        Kind::Short { min: 1, max: 32767 },
        "1",
        "Replicas of __consumer_offsets.",
    ),
    Property::new(
        "offsets.topic.segment.bytes",
        SEGMENT_BYTES,
        "104857600",
        "The size at which a segment of __consumer_offsets is rolled.",
    ),
    Property::new(
        "ops.listener",
        Kind::Text,
        "",
        "Where /metrics and /health are served over HTTP, as host:port; nowhere when unset. Not \
         one of Kafka's properties.",
    ),
    Property::new(
        "producer.id.expiration.check.interval.ms",
        INT_FROM_1,
        "600000",
        "How often expired producer ids are looked for.",
    ),
    Property::new(
        "producer.id.expiration.ms",
        INT_FROM_1,
        "86400000",
        "How long the state of a silent idempotent producer is kept.",
    ),
    Property::new(
        "queued.max.request.bytes",
        LONG_OR_UNLIMITED,
        "67108864",
        "Bytes of large requests held in memory at once, over all connections; -1 is unlimited.",
    ),
    Property::new(
        "socket.request.max.bytes",
        INT_FROM_1,
        "104857600",
        "The largest request; a longer frame closes the connection.",
    ),
];

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
];

/// Topic properties of Apache Kafka that are accepted and have no effect (each with a warning in
/// the log).
pub static TOPIC_IGNORED: &[&str] = &[
    "delete.retention.ms",
    "file.delete.delay.ms",
    "max.compaction.lag.ms",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "preallocate",
    "segment.jitter.ms",
    "unclean.leader.election.enable",
];

/// Broker properties of Apache Kafka that are accepted and have no effect (each with a warning in
/// the log): they belong to parts that this broker has not or needs not.
pub static BROKER_IGNORED: &[&str] = &[
    "background.threads",
    "broker.id",
    "broker.heartbeat.interval.ms",
    "broker.session.timeout.ms",
    "controlled.shutdown.enable",
    "controlled.shutdown.max.retries",
    "controller.listener.names",
    "controller.quorum.bootstrap.servers",
    "controller.quorum.voters",
    "controller.quorum.election.timeout.ms",
    "controller.quorum.fetch.timeout.ms",
    "early.start.listeners",
    "group.consumer.heartbeat.interval.ms",
    "group.consumer.session.timeout.ms",
    "group.coordinator.rebalance.protocols",
    "group.coordinator.threads",
    "inter.broker.listener.name",
    "listener.security.protocol.map",
    "log.cleaner.enable",
    "log.cleaner.threads",
    "log.cleaner.backoff.ms",
    "log.cleaner.dedupe.buffer.size",
    "log.cleaner.delete.retention.ms",
    "log.cleaner.min.cleanable.ratio",
    "log.flush.offset.checkpoint.interval.ms",
    "log.flush.start.offset.checkpoint.interval.ms",
    "log.preallocate",
    "log.roll.jitter.hours",
    "log.roll.jitter.ms",
    "log4j.configuration",
    "max.connections.per.ip",
    "metadata.log.dir",
    "metric.reporters",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
    "offsets.commit.timeout.ms",
    "offsets.load.buffer.size",
    "offsets.topic.compression.codec",
    "process.roles",
    "queued.max.requests",
    "replica.fetch.max.bytes",
    "replica.lag.time.max.ms",
    "request.timeout.ms",
    "share.coordinator.state.topic.num.partitions",
    "share.coordinator.state.topic.replication.factor",
    "share.coordinator.state.topic.min.isr",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "transaction.state.log.min.isr",
    "transaction.state.log.num.partitions",
    "transaction.state.log.replication.factor",
    "unclean.leader.election.enable",
    "zookeeper.connect",
    "zookeeper.connection.timeout.ms",
];

/// The broker's property of this name.
pub fn broker(name: &str) -> Option<&'static Property> {
    BROKER.binary_search_by(|property| property.name.cmp(name)).ok().map(|index| &BROKER[index])
}

/// The topics' property of this name.
pub fn topic(name: &str) -> Option<&'static Property> {
    TOPIC.binary_search_by(|property| property.name.cmp(name)).ok().map(|index| &TOPIC[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_their_defaults_pass_their_own_check() {
        for table in [BROKER, TOPIC] {
            assert!(table.windows(2).all(|pair| pair[0].name < pair[1].name));
            for property in table {
                assert!(property.doc.ends_with('.'), "{}", property.name);
                if !property.default.is_empty() {
                    property.check(property.default).unwrap();
                }
            }
        }
    }

    #[test]
    fn every_topic_property_falls_back_to_one_of_the_broker() {
        for property in TOPIC {
            let name = property.broker_name.unwrap();
            let fallback = broker(name).unwrap_or_else(|| panic!("{name} is not in the table"));
            assert!(fallback.default.is_empty() || fallback.default == property.default, "{name}");
        }
    }
}
