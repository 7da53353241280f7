"""Values that clients take and give."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple


class TopicPartition(NamedTuple):
    """A partition of a topic. A plain pair will do wherever one is taken."""

    topic: str
    partition: int


class OffsetAndMetadata(NamedTuple):
    """A committed offset: the *next* one to be consumed."""

    offset: int
    metadata: str | None = None
    """A note of the user's."""
    leader_epoch: int | None = None


class OffsetAndTimestamp(NamedTuple):
    """The place and time of a record."""

    offset: int
    timestamp: int
    """Milliseconds since 1970."""
    leader_epoch: int | None = None


class RebalanceEvent(NamedTuple):
    """What happened to a consumer's partitions."""

    kind: Literal["assigned", "revoked", "lost", "truncated"]
    """``assigned``: they were added. ``revoked``: they were given up, after what is finished was
    committed (``enable.auto.commit``). ``lost``: they were taken away without a chance to commit.
    ``truncated``: records that were consumed are not in the log any more."""
    partitions: list[TopicPartition]
    position: int | None = None
    """Where the consumer stood (``truncated``)."""
    end_offset: int | None = None
    """Where the log diverges, if the leader knows (``truncated``)."""


class NewTopic(NamedTuple):
    """A topic to create."""

    name: str
    partitions: int = -1
    """How many; -1 for the broker's ``num.partitions``."""
    replication_factor: int = -1
    """Replicas of each; -1 for the broker's ``default.replication.factor``."""
    configs: Mapping[str, object] | None = None
    """Such as ``{"retention.ms": 3_600_000}``."""
    assignments: Sequence[Sequence[int]] | None = None
    """One list of node ids a partition, the preferred leader first, instead of the two numbers."""


class CreatedTopic(NamedTuple):
    """A topic that was created. What an old broker does not tell is None."""

    id: str | None
    partitions: int | None
    replication_factor: int | None


class TopicListing(NamedTuple):
    """A topic of the cluster."""

    name: str
    id: str | None
    is_internal: bool


class PartitionDescription(NamedTuple):
    """A partition with its leader and replicas, by node ids."""

    partition: int
    leader: int | None
    """None while there is no leader."""
    leader_epoch: int
    replicas: list[int]
    """The preferred leader first."""
    isr: list[int]
    offline_replicas: list[int]


class TopicDescription(NamedTuple):
    """A topic with its partitions, by number."""

    name: str
    id: str | None
    is_internal: bool
    partitions: list[PartitionDescription]


class Broker(NamedTuple):
    """Where a broker listens."""

    node_id: int
    host: str
    port: int
    rack: str | None


class ClusterDescription(NamedTuple):
    """A cluster."""

    cluster_id: str
    controller_id: int | None
    brokers: list[Broker]


class ConfigResource(NamedTuple):
    """What a configuration belongs to."""

    kind: Literal["topic", "broker"]
    name: str
    """The topic's name or the broker's node id."""

    @classmethod
    def topic(cls, name: str) -> "ConfigResource":
        """A topic."""
        return cls("topic", name)

    @classmethod
    def broker(cls, node_id: int) -> "ConfigResource":
        """A broker."""
        return cls("broker", str(node_id))


class ConfigEntry(NamedTuple):
    """One configuration value."""

    name: str
    value: str | None
    """None where it is sensitive or unset."""
    source: str
    """``topic``, ``dynamic broker``, ``dynamic default broker``, ``static broker``, ``default``."""
    is_read_only: bool
    is_sensitive: bool


class ConfigChange(NamedTuple):
    """A change of a value that is a list."""

    operation: Literal["append", "subtract"]
    value: str


class GroupListing(NamedTuple):
    """A group of the cluster."""

    group_id: str
    protocol_type: str
    state: str
    group_type: str


class MemberDescription(NamedTuple):
    """A member of a group and the partitions that it has."""

    member_id: str
    group_instance_id: str | None
    client_id: str
    client_host: str
    assignment: list[TopicPartition]


class GroupDescription(NamedTuple):
    """A group with its members."""

    group_id: str
    state: str
    protocol_type: str
    protocol: str
    members: list[MemberDescription]


class ListedOffset(NamedTuple):
    """An offset that was asked for."""

    offset: int
    """-1 where no record is that late."""
    timestamp: int | None
    """The record's, in milliseconds since 1970; None where a position was asked for."""
    leader_epoch: int | None


for _class in list(globals().values()):
    if isinstance(_class, type) and _class.__module__ == __name__:
        _class.__module__ = "ottla"
