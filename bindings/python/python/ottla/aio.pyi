"""The clients for asyncio, under asyncio's own loops and under uvloop."""

from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping
from types import GenericAlias, TracebackType
from typing import Any, Generic, Literal, Self, Unpack, final, overload

from typing_extensions import Buffer, TypeVar, disjoint_base

from ottla._errors import OttlaError
from ottla._native import Batch, ConsumerBase, Record, RecordMetadata
from ottla._settings import AdminSettings, ConsumerSettings, ProducerSettings
from ottla._types import (
    ClusterDescription,
    ConfigChange,
    ConfigEntry,
    ConfigResource,
    CreatedTopic,
    GroupDescription,
    GroupListing,
    ListedOffset,
    NewTopic,
    OffsetAndMetadata,
    OffsetAndTimestamp,
    RebalanceEvent,
    TopicDescription,
    TopicListing,
    TopicPartition,
)

__all__ = ["Admin", "Consumer", "Deliveries", "Delivery", "Producer"]

type _Data = Buffer | str
type _Headers = Mapping[str, _Data | None] | Iterable[tuple[str, _Data | None]]
type _Place = TopicPartition | tuple[str, int]
type _Resource = ConfigResource | tuple[Literal["topic", "broker"], str]
type _Config = Mapping[str, object] | None
type _Offset = int | OffsetAndMetadata
type _Spec = int | Literal["earliest", "latest", "max_timestamp"]
type _Changes = Mapping[str, str | int | bool | ConfigChange | None]

_K = TypeVar("_K", default=bytes)
_V = TypeVar("_V", default=bytes)
_K1 = TypeVar("_K1")
_V1 = TypeVar("_V1")
_SK = TypeVar("_SK", default=Buffer | str, contravariant=True)
_SV = TypeVar("_SV", default=Buffer | str, contravariant=True)

@final
class Delivery:
    """The future of one record: await it, any number of times. Dropping it abandons the answer, not
    the record."""

    @property
    def topic(self) -> str:
        """The topic."""
    @property
    def partition(self) -> int:
        """The partition that was chosen."""
    def done(self) -> bool:
        """Whether the record was acknowledged or has failed."""
    def __await__(self) -> Generator[Any, None, RecordMetadata]:
        """Waits for the record's end, at most ``delivery.timeout.ms``.

        Raises why the record was not written; its ``possibly_written`` says whether it may be in
        the log all the same.
        """

@final
class Deliveries:
    """The futures of records that were sent in one call, in their order."""

    def __len__(self) -> int: ...
    def done(self) -> bool:
        """Whether all were acknowledged or have failed."""
    def __await__(self) -> Generator[Any, None, list[RecordMetadata]]:
        """Waits for all and raises the first failure."""
    @overload
    async def result(self, *, return_exceptions: Literal[False] = False) -> list[RecordMetadata]:
        """Waits for all. Raises the first failure, or gives each in its place."""
    @overload
    async def result(self, *, return_exceptions: bool) -> list[RecordMetadata | OttlaError]: ...

@disjoint_base
class Producer(Generic[_SK, _SV]):
    """Sends records, for event loops. It connects where it is awaited or entered.

    Idempotent by default: each record is written once and in order per partition, whatever is
    retried. Enter it with ``async with``, or :meth:`close` it: what was sent and neither flushed
    nor closed is lost when the process ends.

    Settings have Kafka's dotted names in ``config``, or underscores as keywords, which win. Without
    serializers keys and values are bytes, anything with the buffer protocol, or str, which becomes
    UTF-8. A serializer is called with what is not None.

    Raises :class:`ConfigError` for a setting.
    """

    @overload
    def __new__(
        cls, config: _Config = None, /, **settings: Unpack[ProducerSettings]
    ) -> Producer: ...
    @overload
    def __new__(
        cls,
        config: _Config = None,
        /,
        *,
        key_serializer: Callable[[_K1], _Data],
        value_serializer: Callable[[_V1], _Data],
        **settings: Unpack[ProducerSettings],
    ) -> Producer[_K1, _V1]: ...
    @overload
    def __new__(
        cls,
        config: _Config = None,
        /,
        *,
        key_serializer: Callable[[_K1], _Data],
        value_serializer: None = None,
        **settings: Unpack[ProducerSettings],
    ) -> Producer[_K1]: ...
    @overload
    def __new__(
        cls,
        config: _Config = None,
        /,
        *,
        key_serializer: None = None,
        value_serializer: Callable[[_V1], _Data],
        **settings: Unpack[ProducerSettings],
    ) -> Producer[_Data, _V1]: ...
    async def connect(self) -> Self:
        """Connects, unless it is; awaiting or entering the client does the same.

        Raises :class:`UnreachableError` where no bootstrap server answers.
        """
    def __await__(self) -> Generator[Any, None, Self]: ...
    async def send(
        self,
        topic: str,
        value: _SV | None = None,
        key: _SK | None = None,
        partition: int | None = None,
        headers: _Headers | None = None,
        timestamp: int | None = None,
    ) -> Delivery:
        """Sends a record. When it returns, the record is encoded and on its way; await the delivery
        for its end.

        It waits only for memory (``buffer.memory``) and for a topic that is not known yet, at most
        ``max.block.ms``. None is null, for the value a tombstone. ``timestamp`` is in milliseconds
        since 1970, by default now.

        Raises :class:`InvalidError` for a record that is too large or a partition that does not
        exist, :class:`NotFoundError` for a topic that does not, :class:`TimeoutError` when memory
        does not become free; the record was not sent then.
        """
    async def send_and_wait(
        self,
        topic: str,
        value: _SV | None = None,
        key: _SK | None = None,
        partition: int | None = None,
        headers: _Headers | None = None,
        timestamp: int | None = None,
    ) -> RecordMetadata:
        """:meth:`send`, and the delivery's result."""
    async def send_many(
        self,
        topic: str,
        values: Iterable[_SV | None],
        *,
        keys: Iterable[_SK | None] | None = None,
        partition: int | None = None,
        headers: _Headers | None = None,
        timestamp: int | None = None,
    ) -> Deliveries:
        """Sends many records of one topic in one call, which costs less than as many :meth:`send`.

        A record that is refused has its error among the deliveries; those after it are sent.
        """
    async def flush(self, timeout: float | None = None) -> None:
        """Waits until every record that was sent before has ended, at most so many seconds; nothing
        lingers meanwhile. How records ended is told by their deliveries."""
    async def close(self, timeout: float | None = None) -> None:
        """Refuses new records, waits for those on their way (``delivery.timeout.ms``, or so many
        seconds), and ends the connections. May be called again.

        Raises :class:`TimeoutError` where records were left: their deliveries say so.
        """
    async def partition_count(self, topic: str) -> int:
        """How many partitions a topic has."""
    @property
    def memory_used(self) -> int:
        """Bytes of ``buffer.memory`` that are in use."""
    @property
    def closed(self) -> bool:
        """Whether it was closed."""
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
        /,
    ) -> None: ...
    def __class_getitem__(cls, of: Any) -> GenericAlias: ...

@disjoint_base
class Consumer(ConsumerBase[_K, _V]):
    """Reads records, for event loops. It connects where it is awaited or entered.

    It reads topics, as a member of the group ``group_id``, or given partitions.

    Iterate it for records or :meth:`batches` for batches. A record or a batch is *finished* when
    the next is asked for, and only what is finished is committed by itself: nothing is lost when
    the program dies in the middle. Heartbeats, fetching ahead and commits go on in the background.
    Ask for records from one task at a time. Cancelling a task loses no record.

    ``on_rebalance`` is called with every change of the assignment, on the event loop, before
    records are given out.
    """

    @overload
    def __new__(
        cls,
        config: _Config = None,
        /,
        *,
        topics: str | Iterable[str] | None = None,
        partitions: Iterable[_Place] | None = None,
        on_rebalance: Callable[[RebalanceEvent], object] | None = None,
        **settings: Unpack[ConsumerSettings],
    ) -> Consumer: ...
    @overload
    def __new__(
        cls,
        config: _Config = None,
        /,
        *,
        topics: str | Iterable[str] | None = None,
        partitions: Iterable[_Place] | None = None,
        key_deserializer: Callable[[bytes], _K1],
        value_deserializer: Callable[[bytes], _V1],
        on_rebalance: Callable[[RebalanceEvent], object] | None = None,
        **settings: Unpack[ConsumerSettings],
    ) -> Consumer[_K1, _V1]: ...
    @overload
    def __new__(
        cls,
        config: _Config = None,
        /,
        *,
        topics: str | Iterable[str] | None = None,
        partitions: Iterable[_Place] | None = None,
        key_deserializer: Callable[[bytes], _K1],
        value_deserializer: None = None,
        on_rebalance: Callable[[RebalanceEvent], object] | None = None,
        **settings: Unpack[ConsumerSettings],
    ) -> Consumer[_K1]: ...
    @overload
    def __new__(
        cls,
        config: _Config = None,
        /,
        *,
        topics: str | Iterable[str] | None = None,
        partitions: Iterable[_Place] | None = None,
        key_deserializer: None = None,
        value_deserializer: Callable[[bytes], _V1],
        on_rebalance: Callable[[RebalanceEvent], object] | None = None,
        **settings: Unpack[ConsumerSettings],
    ) -> Consumer[bytes, _V1]: ...
    async def connect(self) -> Self:
        """Connects, unless it is; awaiting or entering the client does the same.

        Raises :class:`UnreachableError` where no bootstrap server answers.
        """
    def __await__(self) -> Generator[Any, None, Self]: ...
    async def next(self, timeout: float | None = None) -> Record[_K, _V] | None:
        """Waits for the next record; the one before is finished by asking. None if none came within
        so many seconds, or the consumer was closed meanwhile.

        Raises what the user has to know: a topic that does not exist, a missing permission, a
        position that is not in the log under ``auto.offset.reset=none``, a batch that cannot be
        read. Unless ``fatal``, asking again goes on.
        """
    async def next_batch(self, timeout: float | None = None) -> Batch[_K, _V] | None:
        """As :meth:`next`, by batch. After records of a batch were given out, its rest comes."""
    def batches(self) -> AsyncIterator[Batch[_K, _V]]:
        """The batches, until the consumer is closed."""
    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> Record[_K, _V]: ...
    async def commit(self, offsets: Mapping[Any, _Offset] | None = None) -> None:
        """Commits what was given out, or these offsets: by partition the *next* to be consumed.
        Waits until the coordinator has it.

        Raises :class:`RebalanceError` when the partitions belong to another member by now.
        """
    async def committed(
        self, partitions: Iterable[_Place]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        """What the group has committed; a partition without a commit is absent."""
    async def beginning_offsets(self, partitions: Iterable[_Place]) -> dict[TopicPartition, int]:
        """The first offsets."""
    async def end_offsets(self, partitions: Iterable[_Place]) -> dict[TopicPartition, int]:
        """The offsets after the last records (under ``read_committed``: last stable offsets)."""
    async def offsets_for_times(
        self, timestamps: Mapping[Any, int]
    ) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        """By partition the first record of this time (milliseconds since 1970) or later."""
    async def close(self) -> None:
        """Commits what is finished (``enable.auto.commit``), leaves the group and ends the
        connections, within 5 s. May be called again. Commit before to include the last record or
        batch that was given out."""
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
        /,
    ) -> None: ...
    def __class_getitem__(cls, of: Any) -> GenericAlias: ...

@disjoint_base
class Admin:
    """Creates, describes, changes and deletes what a cluster holds, for event loops. It connects
    where it is awaited or entered.

    Operations over several items raise the first failure; with ``return_exceptions`` each item's
    failure is its value. One item's failure leaves the others as they are. What may pass is tried
    again for ``default.api.timeout.ms``.
    """

    def __new__(cls, config: _Config = None, /, **settings: Unpack[AdminSettings]) -> Self: ...
    async def connect(self) -> Self:
        """Connects, unless it is; awaiting or entering the client does the same.

        Raises :class:`UnreachableError` where no bootstrap server answers.
        """
    def __await__(self) -> Generator[Any, None, Self]: ...
    async def create_topic(self, topic: NewTopic | str) -> CreatedTopic:
        """Creates a topic; a plain name has the broker's defaults."""
    @overload
    async def create_topics(
        self,
        topics: Iterable[NewTopic | str],
        *,
        validate_only: bool = False,
        return_exceptions: Literal[False] = False,
    ) -> dict[str, CreatedTopic]:
        """Creates topics, or says what that would do."""
    @overload
    async def create_topics(
        self,
        topics: Iterable[NewTopic | str],
        *,
        validate_only: bool = False,
        return_exceptions: bool,
    ) -> dict[str, CreatedTopic | OttlaError]: ...
    @overload
    async def delete_topics(
        self, topics: str | Iterable[str], *, return_exceptions: Literal[False] = False
    ) -> dict[str, None]:
        """Deletes topics with all their records."""
    @overload
    async def delete_topics(
        self, topics: str | Iterable[str], *, return_exceptions: bool
    ) -> dict[str, OttlaError | None]: ...
    @overload
    async def create_partitions(
        self, counts: Mapping[str, int], *, return_exceptions: Literal[False] = False
    ) -> dict[str, None]:
        """Raises the numbers of partitions to these totals. Keys may go elsewhere afterwards."""
    @overload
    async def create_partitions(
        self, counts: Mapping[str, int], *, return_exceptions: bool
    ) -> dict[str, OttlaError | None]: ...
    async def list_topics(self) -> list[TopicListing]:
        """All topics, by name."""
    @overload
    async def describe_topics(
        self, topics: str | Iterable[str], *, return_exceptions: Literal[False] = False
    ) -> dict[str, TopicDescription]:
        """Partitions of topics, with leaders and replicas. Never creates a topic."""
    @overload
    async def describe_topics(
        self, topics: str | Iterable[str], *, return_exceptions: bool
    ) -> dict[str, TopicDescription | OttlaError]: ...
    async def describe_cluster(self) -> ClusterDescription:
        """The cluster's id, controller and brokers."""
    @overload
    async def describe_configs(
        self, resources: Iterable[_Resource], *, return_exceptions: Literal[False] = False
    ) -> dict[ConfigResource, dict[str, ConfigEntry]]:
        """All configuration values of topics or brokers, by name."""
    @overload
    async def describe_configs(
        self, resources: Iterable[_Resource], *, return_exceptions: bool
    ) -> dict[ConfigResource, dict[str, ConfigEntry] | OttlaError]: ...
    @overload
    async def alter_configs(
        self,
        changes: Mapping[ConfigResource, _Changes],
        *,
        return_exceptions: Literal[False] = False,
    ) -> dict[ConfigResource, None]:
        """Changes configuration values; those that are not named stay as they are. None removes a
        value, :class:`ConfigChange` adds to a list or takes from it."""
    @overload
    async def alter_configs(
        self, changes: Mapping[ConfigResource, _Changes], *, return_exceptions: bool
    ) -> dict[ConfigResource, OttlaError | None]: ...
    async def list_groups(self) -> list[GroupListing]:
        """The groups of all brokers, by id."""
    @overload
    async def describe_groups(
        self, groups: str | Iterable[str], *, return_exceptions: Literal[False] = False
    ) -> dict[str, GroupDescription]:
        """State, members and assignments of groups."""
    @overload
    async def describe_groups(
        self, groups: str | Iterable[str], *, return_exceptions: bool
    ) -> dict[str, GroupDescription | OttlaError]: ...
    @overload
    async def delete_groups(
        self, groups: str | Iterable[str], *, return_exceptions: Literal[False] = False
    ) -> dict[str, None]:
        """Deletes groups that have no members, with their offsets."""
    @overload
    async def delete_groups(
        self, groups: str | Iterable[str], *, return_exceptions: bool
    ) -> dict[str, OttlaError | None]: ...
    @overload
    async def list_offsets(
        self, specs: Mapping[Any, _Spec], *, return_exceptions: Literal[False] = False
    ) -> dict[TopicPartition, ListedOffset]:
        """By partition the first offset, the next, that of the largest timestamp, or that of the
        first record of a time (milliseconds since 1970) or later."""
    @overload
    async def list_offsets(
        self, specs: Mapping[Any, _Spec], *, return_exceptions: bool
    ) -> dict[TopicPartition, ListedOffset | OttlaError]: ...
    async def list_consumer_group_offsets(
        self, group: str
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        """What a group has committed; empty for one that does not exist."""
    async def close(self) -> None:
        """Ends the connections. May be called again."""
    @property
    def closed(self) -> bool:
        """Whether it was closed."""
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
        /,
    ) -> None: ...
