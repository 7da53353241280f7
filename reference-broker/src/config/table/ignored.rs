//! Properties of Apache Kafka that are accepted and have no effect.

/// Topic properties of Apache Kafka that are accepted and have no effect (each with a warning in
/// the log).
pub static TOPIC_IGNORED: &[&str] = &["file.delete.delay.ms", "preallocate", "segment.jitter.ms"];

/// Broker properties of Apache Kafka that are accepted and have no effect (each with a warning in
/// the log): they belong to parts that this broker has not or needs not.
pub static BROKER_IGNORED: &[&str] = &[
    "background.threads",
    "broker.id",
    "controlled.shutdown.max.retries",
    "controller.quorum.fetch.timeout.ms",
    "early.start.listeners",
    "group.consumer.heartbeat.interval.ms",
    "group.consumer.session.timeout.ms",
    "group.coordinator.rebalance.protocols",
    "group.coordinator.threads",
    "listener.security.protocol.map",
    "log.cleaner.io.buffer.load.factor",
    "log.cleaner.io.buffer.size",
    "log.cleaner.io.max.bytes.per.second",
    "log.cleaner.threads",
    "log.flush.offset.checkpoint.interval.ms",
    "log.flush.start.offset.checkpoint.interval.ms",
    "log.preallocate",
    "log.roll.jitter.hours",
    "log.roll.jitter.ms",
    "log4j.configuration",
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
    "request.timeout.ms",
    "share.coordinator.state.topic.num.partitions",
    "share.coordinator.state.topic.replication.factor",
    "share.coordinator.state.topic.min.isr",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "transaction.state.log.min.isr",
    "transaction.state.log.num.partitions",
    "transaction.state.log.replication.factor",
    "zookeeper.connect",
    "zookeeper.connection.timeout.ms",
];
