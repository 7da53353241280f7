//! The tables of all properties: the broker's, the topics', and those of Apache Kafka that have no
//! meaning here.

use super::property::{Kind, Property};

mod ignored;
mod topics;

pub use ignored::{BROKER_IGNORED, TOPIC_IGNORED};
pub use topics::TOPIC;

const I32_MAX: i64 = i32::MAX as i64;
const BOOL: Kind = Kind::Bool;
const LONG_FROM_0: Kind = Kind::Long { min: 0, max: i64::MAX };
const LONG_FROM_1: Kind = Kind::Long { min: 1, max: i64::MAX };
const LONG_OR_UNLIMITED: Kind = Kind::Long { min: -1, max: i64::MAX };
const INT_FROM_0: Kind = Kind::Int { min: 0, max: I32_MAX };
const INT_FROM_1: Kind = Kind::Int { min: 1, max: I32_MAX };
const RATIO: Kind = Kind::Double { min: 0, max: 1 };
const CLEANUP: Kind = Kind::List(&["delete", "compact"]);
const TIMESTAMP_TYPE: Kind = Kind::Choice(&["CreateTime", "LogAppendTime"]);
/// P7: another codec than the producer's would mean to decode and encode every batch again.
const COMPRESSION: Kind = Kind::Choice(&["producer"]);
/// Kafka's own two; unset is the first.
const SELECTOR: Kind = Kind::Choice(&[
    "org.apache.kafka.common.replica.LeaderSelector",
    "org.apache.kafka.common.replica.RackAwareReplicaSelector",
]);
/// A segment must hold at least one largest batch's header; Kafka's own minimum is 1 MiB, ours is
/// for tests.
const SEGMENT_BYTES: Kind = Kind::Int { min: 1024, max: I32_MAX };
/// As `partition:broker`, or `*`.
const REPLICAS: Kind = Kind::Replicas;
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
    Property::new(
        "auto.leader.rebalance.enable",
        BOOL,
        "true",
        "Give leadership back to the preferred leader where it is in sync.",
    ),
    Property::new(
        "broker.heartbeat.interval.ms",
        INT_FROM_1,
        "2000",
        "How often a broker tells the voters that it is alive.",
    ),
    Property::new("broker.rack", Kind::Text, "", "The rack of this broker, reported in metadata."),
    Property::new(
        "broker.session.timeout.ms",
        INT_FROM_1,
        "9000",
        "How long a broker may be silent before it is fenced.",
    ),
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
        "controlled.shutdown.enable",
        BOOL,
        "true",
        "Hand leaderships over before the broker ends.",
    ),
    Property::new(
        "controller.listener.names",
        Kind::Text,
        "INTERNAL",
        "The quorum's listener; the same as inter.broker.listener.name.",
    ),
    Property::new(
        "controller.quorum.auto.join.enable",
        BOOL,
        "false",
        "Become a voter again at start when the data folder was lost.",
    ),
    Property::new(
        "controller.quorum.bootstrap.servers",
        Kind::Text,
        "",
        "Listeners between nodes of a running cluster to join, as host:port.",
    ),
    Property::new(
        "controller.quorum.election.timeout.ms",
        Kind::Int { min: 30, max: I32_MAX },
        "1000",
        "Silence of the leader before a voter stands for election: at least this, at most twice.",
    ),
    Property::new(
        "controller.quorum.request.timeout.ms",
        INT_FROM_1,
        "2000",
        "How long to wait for the controller to answer one request.",
    ),
    Property::new(
        "controller.quorum.voters",
        Kind::Text,
        "",
        "The quorum's first voters, as id@host:port; a cluster of one when unset.",
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
        "follower.replication.throttled.rate",
        LONG_FROM_0,
        FOREVER,
        "Bytes a second that throttled replicas of this broker fetch at most.",
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
        "inter.broker.listener.name",
        Kind::Text,
        "INTERNAL",
        "The listener for the other nodes.",
    ),
    Property::new(
        "leader.imbalance.check.interval.seconds",
        LONG_FROM_1,
        "300",
        "How often to look for partitions that their preferred leader does not lead.",
    ),
    Property::new(
        "leader.replication.throttled.rate",
        LONG_FROM_0,
        FOREVER,
        "Bytes a second that this broker sends to throttled replicas at most.",
    ),
    Property::new(
        "listeners",
        Kind::Text,
        "PLAINTEXT://127.0.0.1:9092",
        "Where to listen, as PLAINTEXT://host:port; port 0 takes a free one.",
    ),
    Property::new(
        "log.cleaner.backoff.ms",
        LONG_FROM_0,
        "15000",
        "How often compacted partitions are looked at for work.",
    ),
    Property::new(
        "log.cleaner.dedupe.buffer.size",
        LONG_FROM_1,
        "134217728",
        "Bytes of memory for the keys of one partition that is compacted.",
    ),
    Property::new(
        "log.cleaner.delete.retention.ms",
        LONG_FROM_0,
        "86400000",
        "How long a tombstone of a compacted topic stays after it was first compacted.",
    ),
    Property::new(
        "log.cleaner.enable",
        BOOL,
        "true",
        "Whether topics whose cleanup.policy is compact are compacted.",
    ),
    Property::new(
        "log.cleaner.max.compaction.lag.ms",
        LONG_FROM_1,
        FOREVER,
        "How long a record may wait to be compacted, whatever the ratio is.",
    ),
    Property::new(
        "log.cleaner.min.cleanable.ratio",
        RATIO,
        "0.5",
        "Compact when more than this part of the log came since the last time.",
    ),
    Property::new(
        "log.cleaner.min.compaction.lag.ms",
        LONG_FROM_0,
        "0",
        "How long a record stays uncompacted at least.",
    ),
    Property::new("log.cleanup.policy", CLEANUP, "delete", "What becomes of old records."),
    Property::new(
        "log.dirs",
        Kind::Text,
        "ottla-data",
        "The data folders, separated by commas; made when missing. The first one has the metadata.",
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
        "log.scrub.interval.ms",
        LONG_FROM_1,
        "86400000",
        "How often all of a partition's log is read again to find damage; this broker's own.",
    ),
    Property::new(
        "log.scrub.max.bytes.per.second",
        LONG_FROM_1,
        "16777216",
        "How fast logs are read to find damage; this broker's own.",
    ),
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
        "max.connections.per.ip",
        INT_FROM_0,
        "2147483647",
        "The most connections at once from one address; more are closed at once.",
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
        "replica.fetch.backoff.ms",
        INT_FROM_0,
        "1000",
        "How long a follower waits after a failed fetch.",
    ),
    Property::new(
        "replica.fetch.max.bytes",
        INT_FROM_0,
        "1048576",
        "Bytes that a follower asks for of one partition; one batch always fits.",
    ),
    Property::new(
        "replica.fetch.min.bytes",
        INT_FROM_0,
        "1",
        "How many bytes a follower's fetch waits for.",
    ),
    Property::new(
        "replica.fetch.response.max.bytes",
        INT_FROM_0,
        "10485760",
        "The most bytes that a follower asks for at once.",
    ),
    Property::new(
        "replica.fetch.wait.max.ms",
        INT_FROM_0,
        "500",
        "How long a follower's fetch waits for replica.fetch.min.bytes.",
    ),
    Property::new(
        "replica.lag.time.max.ms",
        LONG_FROM_1,
        "30000",
        "How far behind in time a follower is still in sync.",
    ),
    Property::new(
        "replica.selector.class",
        SELECTOR,
        "",
        "RackAwareReplicaSelector lets consumers fetch in their own rack (KIP-392).",
    ),
    Property::new(
        "socket.request.max.bytes",
        INT_FROM_1,
        "104857600",
        "The largest request; a longer frame closes the connection.",
    ),
    Property::new(
        "unclean.leader.election.enable",
        BOOL,
        "false",
        "Elect a leader that was not in sync when no other is left: records are lost.",
    ),
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
        let names = TOPIC.iter().filter_map(|property| Some((property, property.broker_name?)));
        for (property, name) in names {
            let fallback = broker(name).unwrap_or_else(|| panic!("{name} is not in the table"));
            assert!(fallback.default.is_empty() || fallback.default == property.default, "{name}");
        }
    }
}
