"""A Kafka client: :class:`Producer`, :class:`Consumer` and :class:`Admin`, for threads; the same
for asyncio in :mod:`ottla.aio`.

Settings have Kafka's own names, in a mapping with dots or as keywords with underscores::

    Producer({"bootstrap.servers": "127.0.0.1:9092"}, linger_ms=5)

No call holds the interpreter while it waits, and Ctrl-C ends any of them.
"""

from ottla import aio
from ottla._errors import (
    ArgumentTypeError,
    AuthenticationError,
    AuthorizationError,
    BrokerError,
    CancelledError,
    ClosedError,
    ConfigError,
    FencedError,
    FullError,
    InvalidError,
    NotFoundError,
    OffsetOutOfRangeError,
    OttlaError,
    ProtocolError,
    RebalanceError,
    TimeoutError,
    UnreachableError,
    UnsupportedError,
)
from ottla._native import (
    Admin,
    Batch,
    Consumer,
    Deliveries,
    Delivery,
    Producer,
    Record,
    RecordMetadata,
)
from ottla._types import (
    Broker,
    ClusterDescription,
    ConfigChange,
    ConfigEntry,
    ConfigResource,
    CreatedTopic,
    GroupDescription,
    GroupListing,
    ListedOffset,
    MemberDescription,
    NewTopic,
    OffsetAndMetadata,
    OffsetAndTimestamp,
    PartitionDescription,
    RebalanceEvent,
    TopicDescription,
    TopicListing,
    TopicPartition,
)

__version__ = "0.1.0"

__all__ = [
    "Admin",
    "ArgumentTypeError",
    "AuthenticationError",
    "AuthorizationError",
    "Batch",
    "Broker",
    "BrokerError",
    "CancelledError",
    "ClosedError",
    "ClusterDescription",
    "ConfigChange",
    "ConfigEntry",
    "ConfigError",
    "ConfigResource",
    "Consumer",
    "CreatedTopic",
    "Deliveries",
    "Delivery",
    "FencedError",
    "FullError",
    "GroupDescription",
    "GroupListing",
    "InvalidError",
    "ListedOffset",
    "MemberDescription",
    "NewTopic",
    "NotFoundError",
    "OffsetAndMetadata",
    "OffsetAndTimestamp",
    "OffsetOutOfRangeError",
    "OttlaError",
    "PartitionDescription",
    "Producer",
    "ProtocolError",
    "RebalanceError",
    "RebalanceEvent",
    "Record",
    "RecordMetadata",
    "TimeoutError",
    "TopicDescription",
    "TopicListing",
    "TopicPartition",
    "UnreachableError",
    "UnsupportedError",
    "aio",
]
