//! The table of settings: the only place that knows a name, a default or a range.

use super::{Kind, Roles, Setting, Unit};

const I32_MAX: i64 = i32::MAX as i64;

const fn setting(
    name: &'static str,
    roles: Roles,
    kind: Kind,
    default: Option<&'static str>,
    doc: &'static str,
) -> Setting {
    Setting { name, roles, kind, unit: Unit::None, default, doc }
}

const fn number(
    name: &'static str,
    roles: Roles,
    (min, max): (i64, i64),
    default: &'static str,
    doc: &'static str,
) -> Setting {
    setting(name, roles, Kind::Integer { min, max }, Some(default), doc)
}

const fn millis(
    name: &'static str,
    roles: Roles,
    range: (i64, i64),
    default: &'static str,
    doc: &'static str,
) -> Setting {
    Setting { unit: Unit::Milliseconds, ..number(name, roles, range, default, doc) }
}

const fn bytes(
    name: &'static str,
    roles: Roles,
    range: (i64, i64),
    default: &'static str,
    doc: &'static str,
) -> Setting {
    Setting { unit: Unit::Bytes, ..number(name, roles, range, default, doc) }
}

const fn flag(
    name: &'static str,
    roles: Roles,
    default: &'static str,
    doc: &'static str,
) -> Setting {
    setting(name, roles, Kind::Flag, Some(default), doc)
}

/// Every setting: those of all clients, the producer's, the consumer's.
pub const SETTINGS: &[Setting] = &[
    // Connections, metadata and retries.
    setting(
        "bootstrap.servers",
        Roles::ALL,
        Kind::Addresses,
        None,
        "Brokers to ask for the cluster's metadata first, as `host:port,host:port`. The rest of \
         the cluster is learned from them. Required.",
    ),
    setting(
        "client.id",
        Roles::ALL,
        Kind::Text,
        Some("ottla"),
        "The name under which the broker logs this client's requests.",
    ),
    millis(
        "request.timeout.ms",
        Roles::ALL,
        (1, I32_MAX),
        "30000",
        "The longest wait for a broker's answer. After it the connection is closed, and the \
         request is tried again where that is safe.",
    ),
    number(
        "retries",
        Roles::PRODUCER_AND_ADMIN,
        (0, I32_MAX),
        "2147483647",
        "The most times that a request is tried again after a retriable error. A producer is \
         better bounded by `delivery.timeout.ms`.",
    ),
    millis(
        "retry.backoff.ms",
        Roles::ALL,
        (0, I32_MAX),
        "100",
        "The wait before a request is tried again; it doubles with each failure, with jitter \
         (KIP-580).",
    ),
    millis(
        "retry.backoff.max.ms",
        Roles::ALL,
        (0, I32_MAX),
        "1000",
        "The longest wait before a request is tried again.",
    ),
    millis(
        "metadata.max.age.ms",
        Roles::ALL,
        (0, I32_MAX),
        "300000",
        "Metadata older than this is fetched anew even if nothing seemed to change.",
    ),
    millis(
        "metadata.max.idle.ms",
        Roles::PRODUCER,
        (5_000, I32_MAX),
        "300000",
        "A topic that nothing was sent to for this long is left out of the next metadata request; \
         the next record to it asks again.",
    ),
    millis(
        "reconnect.backoff.ms",
        Roles::ALL,
        (0, I32_MAX),
        "50",
        "The wait before a broker is connected to again; it doubles with each failure, with \
         jitter.",
    ),
    millis(
        "reconnect.backoff.max.ms",
        Roles::ALL,
        (0, I32_MAX),
        "1000",
        "The longest wait before a broker is connected to again.",
    ),
    millis(
        "socket.connection.setup.timeout.ms",
        Roles::ALL,
        (1, I32_MAX),
        "10000",
        "The longest wait for a connection to be set up; it doubles with each failure (KIP-601).",
    ),
    millis(
        "socket.connection.setup.timeout.max.ms",
        Roles::ALL,
        (1, I32_MAX),
        "30000",
        "The longest that the wait for a connection to be set up grows.",
    ),
    millis(
        "connections.max.idle.ms",
        Roles::ALL,
        (-1, I32_MAX),
        "540000",
        "A connection without traffic for this long is closed; -1 never.",
    ),
    bytes(
        "send.buffer.bytes",
        Roles::ALL,
        (-1, I32_MAX),
        "-1",
        "The socket's send buffer; -1 leaves it to the operating system, which adapts it.",
    ),
    bytes(
        "receive.buffer.bytes",
        Roles::ALL,
        (-1, I32_MAX),
        "-1",
        "The socket's receive buffer; -1 leaves it to the operating system, which adapts it.",
    ),
    // Producer: what is promised.
    setting(
        "acks",
        Roles::PRODUCER,
        Kind::Choice(&["all", "-1", "1", "0"]),
        Some("all"),
        "Who must have a record before it counts as sent: every in-sync replica (`all`, `-1`), \
         the leader alone (`1`), nobody (`0`: offsets are not known).",
    ),
    flag(
        "enable.idempotence",
        Roles::PRODUCER,
        "true",
        "Retries neither duplicate nor reorder records. Needs `acks=all`, retries, and at most 5 \
         requests in flight; where one of these is set otherwise and this is not set at all, it \
         is off.",
    ),
    millis(
        "delivery.timeout.ms",
        Roles::PRODUCER,
        (0, I32_MAX),
        "120000",
        "The longest from `send` to success or failure of a record, retries included. At least \
         `linger.ms` + `request.timeout.ms`.",
    ),
    number(
        "max.in.flight.requests.per.connection",
        Roles::PRODUCER,
        (1, I32_MAX),
        "5",
        "The most produce requests that await an answer on one connection.",
    ),
    // Producer: batching and memory.
    millis(
        "linger.ms",
        Roles::PRODUCER,
        (0, I32_MAX),
        "0",
        "How long a batch that is not full waits for more records. 0: it goes at once while no \
         request is on its way to the partition's leader, otherwise when an answer comes, after \
         5 ms at the latest; so batches grow with the load by themselves.",
    ),
    bytes(
        "batch.size",
        Roles::PRODUCER,
        (0, I32_MAX),
        "262144",
        "The size at which a batch is full, before compression. A larger record gets a batch of \
         its own; 0 puts every record in its own batch.",
    ),
    bytes(
        "buffer.memory",
        Roles::PRODUCER,
        (0, i64::MAX),
        "33554432",
        "The most memory for records that are not yet sent. When it is full, `send` waits.",
    ),
    millis(
        "max.block.ms",
        Roles::PRODUCER,
        (0, i64::MAX),
        "60000",
        "The longest that `send` waits for memory and for the topic's metadata.",
    ),
    bytes(
        "max.request.size",
        Roles::PRODUCER,
        (0, I32_MAX),
        "1048576",
        "The most bytes of a produce request, and so of a record before compression.",
    ),
    setting(
        "compression.type",
        Roles::PRODUCER,
        Kind::Choice(&["none", "gzip", "snappy", "lz4", "zstd"]),
        Some("none"),
        "How batches are compressed. They are stored and served as they are.",
    ),
    number(
        "compression.gzip.level",
        Roles::PRODUCER,
        (-1, 9),
        "-1",
        "From 1, the fastest, to 9, the smallest; -1 is gzip's own default (6), 0 stores.",
    ),
    number(
        "compression.lz4.level",
        Roles::PRODUCER,
        (1, 17),
        "9",
        "Accepted so that configurations can be shared. The encoder has one level, the fast one.",
    ),
    number(
        "compression.zstd.level",
        Roles::PRODUCER,
        (-131_072, 22),
        "3",
        "From -131072, the fastest, to 22, the smallest.",
    ),
    // Producer: partitioning.
    setting(
        "partitioner",
        Roles::PRODUCER,
        Kind::Choice(&["murmur2", "crc32", "sticky", "round-robin"]),
        Some("murmur2"),
        "How a record without a partition gets one. `murmur2`: by key as the Java client does; \
         `crc32`: by key as librdkafka does (`consistent_random`); both fill a batch of one \
         partition, then go on to another, for records without a key. `sticky` does so for all \
         records, `round-robin` takes partitions in turn.",
    ),
    flag(
        "partitioner.ignore.keys",
        Roles::PRODUCER,
        "false",
        "Records with a key are partitioned like those without.",
    ),
    flag(
        "partitioner.adaptive.partitioning.enable",
        Roles::PRODUCER,
        "true",
        "Records without a key go more often to partitions whose brokers are faster (KIP-794).",
    ),
    millis(
        "partitioner.availability.timeout.ms",
        Roles::PRODUCER,
        (0, I32_MAX),
        "0",
        "A partition whose broker has taken no batch for this long, although there is one for it, \
         is left out for records without a key (KIP-794); 0 leaves none out. Only with \
         `partitioner.adaptive.partitioning.enable`.",
    ),
    // Consumer: groups.
    setting(
        "group.id",
        Roles::CONSUMER,
        Kind::Text,
        None,
        "The group whose members share the topics' partitions, and whose offsets are committed. \
         Without it partitions are assigned by hand and nothing is committed.",
    ),
    setting(
        "group.instance.id",
        Roles::CONSUMER,
        Kind::Text,
        None,
        "A name that outlives restarts: a member that is back within `session.timeout.ms` keeps \
         its partitions without a rebalance (KIP-345).",
    ),
    setting(
        "partition.assignment.strategy",
        Roles::CONSUMER,
        Kind::Choices(&["range", "roundrobin", "sticky", "cooperative-sticky"]),
        Some("range,cooperative-sticky"),
        "How partitions are shared among the members, in order of preference: the first that all \
         members have is taken. The names of the Java classes are understood too.",
    ),
    millis(
        "session.timeout.ms",
        Roles::CONSUMER,
        (1, I32_MAX),
        "45000",
        "A member that was not heard of for this long is taken out of its group.",
    ),
    millis(
        "heartbeat.interval.ms",
        Roles::CONSUMER,
        (1, I32_MAX),
        "3000",
        "The time between heartbeats; less than `session.timeout.ms`, best a third of it.",
    ),
    millis(
        "max.poll.interval.ms",
        Roles::CONSUMER,
        (1, I32_MAX),
        "300000",
        "A member that asks for no records for this long leaves its group, so that its partitions \
         go to others. Also the longest that a rebalance waits for members.",
    ),
    // Consumer: offsets.
    setting(
        "auto.offset.reset",
        Roles::CONSUMER,
        Kind::OffsetReset,
        Some("latest"),
        "Where to start without a committed offset, or when the offset is out of range: \
         `earliest`, `latest`, `none` (an error), `by_duration:PT24H` (the first record of the \
         last 24 hours, KIP-1106), or `timestamp:1700000000000` (the first record from then \
         on).",
    ),
    flag(
        "enable.auto.commit",
        Roles::CONSUMER,
        "true",
        "The offsets of finished records are committed in the background. Off without `group.id`.",
    ),
    millis(
        "auto.commit.interval.ms",
        Roles::CONSUMER,
        (0, I32_MAX),
        "5000",
        "The time between commits in the background.",
    ),
    setting(
        "isolation.level",
        Roles::CONSUMER,
        Kind::Choice(&["read_uncommitted", "read_committed"]),
        Some("read_uncommitted"),
        "Whether records of open and aborted transactions are seen.",
    ),
    // Consumer: fetching.
    setting(
        "client.rack",
        Roles::CONSUMER,
        Kind::Text,
        None,
        "Where this client is. Brokers that select replicas by rack have it read from one in the \
         same rack (KIP-392).",
    ),
    bytes(
        "fetch.min.bytes",
        Roles::CONSUMER,
        (0, I32_MAX),
        "1",
        "A broker waits until it has this much, up to `fetch.max.wait.ms`.",
    ),
    bytes(
        "fetch.max.bytes",
        Roles::CONSUMER,
        (0, I32_MAX),
        "52428800",
        "The most bytes of one fetch answer. A first batch that is larger is answered all the \
         same.",
    ),
    millis(
        "fetch.max.wait.ms",
        Roles::CONSUMER,
        (0, I32_MAX),
        "500",
        "The longest that a broker waits for `fetch.min.bytes`.",
    ),
    bytes(
        "max.partition.fetch.bytes",
        Roles::CONSUMER,
        (0, I32_MAX),
        "1048576",
        "The most bytes of one partition in a fetch answer. A first batch that is larger is \
         answered all the same.",
    ),
    flag("check.crcs", Roles::CONSUMER, "true", "The checksum of every batch is verified."),
    flag(
        "allow.auto.create.topics",
        Roles::CONSUMER,
        "true",
        "A topic that does not exist may be created by the broker, if the broker allows it.",
    ),
    millis(
        "default.api.timeout.ms",
        Roles::CONSUMER_AND_ADMIN,
        (0, I32_MAX),
        "60000",
        "The longest that a call such as `commit` or `create_topics` takes, retries included.",
    ),
];
