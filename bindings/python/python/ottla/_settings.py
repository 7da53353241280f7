"""The settings of each client as typed dictionaries, for type checkers.

The core's configuration table is what decides; a test keeps this equal to it. Every setting goes
by Kafka's dotted name as well, in the mapping that a client's constructor takes.
"""

from collections.abc import Sequence
from typing import Literal, TypedDict


class ProducerSettings(TypedDict, total=False):
    """What a producer can be told."""

    bootstrap_servers: str | Sequence[str] | None
    """Brokers to ask for the cluster's metadata first, as `host:port,host:port`. The rest of the
    cluster is learned from them. Required."""
    client_id: str | None
    """The name under which the broker logs this client's requests. Default: ``ottla``."""
    request_timeout_ms: int | None
    """The longest wait for a broker's answer. After it the connection is closed, and the request
    is tried again where that is safe. Default: ``30000``."""
    retries: int | None
    """The most times that a request is tried again after a retriable error. A producer is better
    bounded by `delivery.timeout.ms`. Default: ``2147483647``."""
    retry_backoff_ms: int | None
    """The wait before a request is tried again; it doubles with each failure, with jitter
    (KIP-580). Default: ``100``."""
    retry_backoff_max_ms: int | None
    """The longest wait before a request is tried again. Default: ``1000``."""
    metadata_max_age_ms: int | None
    """Metadata older than this is fetched anew even if nothing seemed to change. Default:
    ``300000``."""
    metadata_max_idle_ms: int | None
    """A topic that nothing was sent to for this long is left out of the next metadata request;
    the next record to it asks again. Default: ``300000``."""
    reconnect_backoff_ms: int | None
    """The wait before a broker is connected to again; it doubles with each failure, with jitter.
    Default: ``50``."""
    reconnect_backoff_max_ms: int | None
    """The longest wait before a broker is connected to again. Default: ``1000``."""
    socket_connection_setup_timeout_ms: int | None
    """The longest wait for a connection to be set up; it doubles with each failure (KIP-601).
    Default: ``10000``."""
    socket_connection_setup_timeout_max_ms: int | None
    """The longest that the wait for a connection to be set up grows. Default: ``30000``."""
    connections_max_idle_ms: int | None
    """A connection without traffic for this long is closed; -1 never. Default: ``540000``."""
    send_buffer_bytes: int | None
    """The socket's send buffer; -1 leaves it to the operating system, which adapts it. Default:
    ``-1``."""
    receive_buffer_bytes: int | None
    """The socket's receive buffer; -1 leaves it to the operating system, which adapts it.
    Default: ``-1``."""
    acks: Literal["all", "-1", "1", "0", -1, 1, 0] | None
    """Who must have a record before it counts as sent: every in-sync replica (`all`, `-1`), the
    leader alone (`1`), nobody (`0`: offsets are not known). Default: ``all``."""
    enable_idempotence: bool | None
    """Retries neither duplicate nor reorder records. Needs `acks=all`, retries, and at most 5
    requests in flight; where one of these is set otherwise and this is not set at all, it is
    off. Default: ``true``."""
    delivery_timeout_ms: int | None
    """The longest from `send` to success or failure of a record, retries included. At least
    `linger.ms` + `request.timeout.ms`. Default: ``120000``."""
    max_in_flight_requests_per_connection: int | None
    """The most produce requests that await an answer on one connection. Default: ``5``."""
    linger_ms: int | None
    """How long a batch that is not full waits for more records. 0: it goes at once while no
    request is on its way to the partition's leader, otherwise when an answer comes, after 5
    ms at the latest; so batches grow with the load by themselves. Default: ``0``."""
    batch_size: int | None
    """The size at which a batch is full, before compression. A larger record gets a batch of its
    own; 0 puts every record in its own batch. Default: ``262144``."""
    buffer_memory: int | None
    """The most memory for records that are not yet sent. When it is full, `send` waits. Default:
    ``33554432``."""
    max_block_ms: int | None
    """The longest that `send` waits for memory and for the topic's metadata. Default: ``60000``."""
    max_request_size: int | None
    """The most bytes of a produce request, and so of a record before compression. Default:
    ``1048576``."""
    compression_type: Literal["none", "gzip", "snappy", "lz4", "zstd"] | None
    """How batches are compressed. They are stored and served as they are. Default: ``none``."""
    compression_gzip_level: int | None
    """From 1, the fastest, to 9, the smallest; -1 is gzip's own default (6), 0 stores. Default:
    ``-1``."""
    compression_lz4_level: int | None
    """Accepted so that configurations can be shared. The encoder has one level, the fast one.
    Default: ``9``."""
    compression_zstd_level: int | None
    """From -131072, the fastest, to 22, the smallest. Default: ``3``."""
    partitioner: Literal["murmur2", "crc32", "sticky", "round-robin"] | None
    """How a record without a partition gets one. `murmur2`: by key as the Java client does;
    `crc32`: by key as librdkafka does (`consistent_random`); both fill a batch of one
    partition, then go on to another, for records without a key. `sticky` does so for all
    records, `round-robin` takes partitions in turn. Default: ``murmur2``."""
    partitioner_ignore_keys: bool | None
    """Records with a key are partitioned like those without. Default: ``false``."""
    partitioner_adaptive_partitioning_enable: bool | None
    """Records without a key go more often to partitions whose brokers are faster (KIP-794).
    Default: ``true``."""
    partitioner_availability_timeout_ms: int | None
    """A partition whose broker has taken no batch for this long, although there is one for it,
    is left out for records without a key (KIP-794); 0 leaves none out. Only with
    `partitioner.adaptive.partitioning.enable`. Default: ``0``."""


class ConsumerSettings(TypedDict, total=False):
    """What a consumer can be told."""

    bootstrap_servers: str | Sequence[str] | None
    """Brokers to ask for the cluster's metadata first, as `host:port,host:port`. The rest of the
    cluster is learned from them. Required."""
    client_id: str | None
    """The name under which the broker logs this client's requests. Default: ``ottla``."""
    request_timeout_ms: int | None
    """The longest wait for a broker's answer. After it the connection is closed, and the request
    is tried again where that is safe. Default: ``30000``."""
    retry_backoff_ms: int | None
    """The wait before a request is tried again; it doubles with each failure, with jitter
    (KIP-580). Default: ``100``."""
    retry_backoff_max_ms: int | None
    """The longest wait before a request is tried again. Default: ``1000``."""
    metadata_max_age_ms: int | None
    """Metadata older than this is fetched anew even if nothing seemed to change. Default:
    ``300000``."""
    reconnect_backoff_ms: int | None
    """The wait before a broker is connected to again; it doubles with each failure, with jitter.
    Default: ``50``."""
    reconnect_backoff_max_ms: int | None
    """The longest wait before a broker is connected to again. Default: ``1000``."""
    socket_connection_setup_timeout_ms: int | None
    """The longest wait for a connection to be set up; it doubles with each failure (KIP-601).
    Default: ``10000``."""
    socket_connection_setup_timeout_max_ms: int | None
    """The longest that the wait for a connection to be set up grows. Default: ``30000``."""
    connections_max_idle_ms: int | None
    """A connection without traffic for this long is closed; -1 never. Default: ``540000``."""
    send_buffer_bytes: int | None
    """The socket's send buffer; -1 leaves it to the operating system, which adapts it. Default:
    ``-1``."""
    receive_buffer_bytes: int | None
    """The socket's receive buffer; -1 leaves it to the operating system, which adapts it.
    Default: ``-1``."""
    group_id: str | None
    """The group whose members share the topics' partitions, and whose offsets are committed.
    Without it partitions are assigned by hand and nothing is committed."""
    group_instance_id: str | None
    """A name that outlives restarts: a member that is back within `session.timeout.ms` keeps its
    partitions without a rebalance (KIP-345)."""
    partition_assignment_strategy: str | Sequence[str] | None
    """How partitions are shared among the members, in order of preference: the first that all
    members have is taken. The names of the Java classes are understood too. Default:
    ``range,cooperative-sticky``."""
    session_timeout_ms: int | None
    """A member that was not heard of for this long is taken out of its group. Default:
    ``45000``."""
    heartbeat_interval_ms: int | None
    """The time between heartbeats; less than `session.timeout.ms`, best a third of it. Default:
    ``3000``."""
    max_poll_interval_ms: int | None
    """A member that asks for no records for this long leaves its group, so that its partitions
    go to others. Also the longest that a rebalance waits for members. Default: ``300000``."""
    auto_offset_reset: str | None
    """Where to start without a committed offset, or when the offset is out of range: `earliest`,
    `latest`, `none` (an error), `by_duration:PT24H` (the first record of the last 24 hours,
    KIP-1106), or `timestamp:1700000000000` (the first record from then on). Default:
    ``latest``."""
    enable_auto_commit: bool | None
    """The offsets of finished records are committed in the background. Off without `group.id`.
    Default: ``true``."""
    auto_commit_interval_ms: int | None
    """The time between commits in the background. Default: ``5000``."""
    isolation_level: Literal["read_uncommitted", "read_committed"] | None
    """Whether records of open and aborted transactions are seen. Default: ``read_uncommitted``."""
    client_rack: str | None
    """Where this client is. Brokers that select replicas by rack have it read from one in the
    same rack (KIP-392)."""
    fetch_min_bytes: int | None
    """A broker waits until it has this much, up to `fetch.max.wait.ms`. Default: ``1``."""
    fetch_max_bytes: int | None
    """The most bytes of one fetch answer. A first batch that is larger is answered all the same.
    Default: ``52428800``."""
    fetch_max_wait_ms: int | None
    """The longest that a broker waits for `fetch.min.bytes`. Default: ``500``."""
    max_partition_fetch_bytes: int | None
    """The most bytes of one partition in a fetch answer. A first batch that is larger is
    answered all the same. Default: ``1048576``."""
    check_crcs: bool | None
    """The checksum of every batch is verified. Default: ``true``."""
    allow_auto_create_topics: bool | None
    """A topic that does not exist may be created by the broker, if the broker allows it.
    Default: ``true``."""
    default_api_timeout_ms: int | None
    """The longest that a call such as `commit` or `create_topics` takes, retries included.
    Default: ``60000``."""


class AdminSettings(TypedDict, total=False):
    """What an admin client can be told."""

    bootstrap_servers: str | Sequence[str] | None
    """Brokers to ask for the cluster's metadata first, as `host:port,host:port`. The rest of the
    cluster is learned from them. Required."""
    client_id: str | None
    """The name under which the broker logs this client's requests. Default: ``ottla``."""
    request_timeout_ms: int | None
    """The longest wait for a broker's answer. After it the connection is closed, and the request
    is tried again where that is safe. Default: ``30000``."""
    retries: int | None
    """The most times that a request is tried again after a retriable error. A producer is better
    bounded by `delivery.timeout.ms`. Default: ``2147483647``."""
    retry_backoff_ms: int | None
    """The wait before a request is tried again; it doubles with each failure, with jitter
    (KIP-580). Default: ``100``."""
    retry_backoff_max_ms: int | None
    """The longest wait before a request is tried again. Default: ``1000``."""
    metadata_max_age_ms: int | None
    """Metadata older than this is fetched anew even if nothing seemed to change. Default:
    ``300000``."""
    reconnect_backoff_ms: int | None
    """The wait before a broker is connected to again; it doubles with each failure, with jitter.
    Default: ``50``."""
    reconnect_backoff_max_ms: int | None
    """The longest wait before a broker is connected to again. Default: ``1000``."""
    socket_connection_setup_timeout_ms: int | None
    """The longest wait for a connection to be set up; it doubles with each failure (KIP-601).
    Default: ``10000``."""
    socket_connection_setup_timeout_max_ms: int | None
    """The longest that the wait for a connection to be set up grows. Default: ``30000``."""
    connections_max_idle_ms: int | None
    """A connection without traffic for this long is closed; -1 never. Default: ``540000``."""
    send_buffer_bytes: int | None
    """The socket's send buffer; -1 leaves it to the operating system, which adapts it. Default:
    ``-1``."""
    receive_buffer_bytes: int | None
    """The socket's receive buffer; -1 leaves it to the operating system, which adapts it.
    Default: ``-1``."""
    default_api_timeout_ms: int | None
    """The longest that a call such as `commit` or `create_topics` takes, retries included.
    Default: ``60000``."""
