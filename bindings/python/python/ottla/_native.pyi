from collections.abc import Callable, Iterable, Iterator, Mapping
from types import GenericAlias, ModuleType, TracebackType
from typing import Any, Generic, Literal, Self, Unpack, final, overload

from typing_extensions import Buffer, TypeVar, disjoint_base

from ottla._errors import OttlaError
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

__all__ = [
    "Admin",
    "Batch",
    "Column",
    "Record",
    "RecordIterator",
    "Batches",
    "Consumer",
    "ConsumerBase",
    "Delivery",
    "RecordMetadata",
    "Deliveries",
    "Producer",
    "_settings",
    "aio",
]

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
class RecordMetadata:
    """Where a record was written."""

    @property
    def topic(self) -> str:
        """The topic."""
    @property
    def partition(self) -> int:
        """The partition."""
    @property
    def offset(self) -> int:
        """The offset; -1 where the broker did not say (``acks=0``)."""
    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970: the record's own time, or the broker's where the topic says
        ``LogAppendTime``."""
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Delivery:
    """The future of one record. Dropping it abandons the answer, not the record."""

    @property
    def topic(self) -> str:
        """The topic."""
    @property
    def partition(self) -> int:
        """The partition that was chosen."""
    def done(self) -> bool:
        """Whether the record was acknowledged or has failed."""
    def result(self, timeout: float | None = None) -> RecordMetadata:
        """Waits for the record's end: at most ``delivery.timeout.ms``, or so many seconds.

        Raises why the record was not written; its ``possibly_written`` says whether it may be in
        the log all the same. :class:`TimeoutError` when it took longer than ``timeout``: the record
        is on its way then.
        """
    def exception(self, timeout: float | None = None) -> OttlaError | None:
        """As :meth:`result`, giving the exception instead of raising it."""

@final
class Deliveries:
    """The futures of records that were sent in one call, in their order."""

    def __len__(self) -> int: ...
    def done(self) -> bool:
        """Whether all were acknowledged or have failed."""
    @overload
    def result(
        self, timeout: float | None = None, *, return_exceptions: Literal[False] = False
    ) -> list[RecordMetadata]:
        """Waits for all. Raises the first failure, or gives each in its place."""
    @overload
    def result(
        self, timeout: float | None = None, *, return_exceptions: bool
    ) -> list[RecordMetadata | OttlaError]: ...

@disjoint_base
class Producer(Generic[_SK, _SV]):
    """Sends records; for any number of threads.

    Idempotent by default: each record is written once and in order per partition, whatever is
    retried. Use it as a context manager, or :meth:`close` it: what was sent and neither flushed nor
    closed is lost when the process ends.

    Settings have Kafka's dotted names in ``config``, or underscores as keywords, which win. Without
    serializers keys and values are bytes, anything with the buffer protocol, or str, which becomes
    UTF-8. A serializer is called with what is not None.

    Raises :class:`ConfigError` for a setting, :class:`UnreachableError` where no bootstrap server
    answers.
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
    def send(
        self,
        topic: str,
        value: _SV | None = None,
        key: _SK | None = None,
        partition: int | None = None,
        headers: _Headers | None = None,
        timestamp: int | None = None,
    ) -> Delivery:
        """Sends a record. When it returns, the record is encoded and on its way.

        It waits only for memory (``buffer.memory``) and for a topic that is not known yet, at most
        ``max.block.ms``. None is null, for the value a tombstone. ``timestamp`` is in milliseconds
        since 1970, by default now.

        Raises :class:`InvalidError` for a record that is too large or a partition that does not
        exist, :class:`NotFoundError` for a topic that does not, :class:`TimeoutError` when memory
        does not become free; the record was not sent then.
        """
    def send_many(
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
    def flush(self, timeout: float | None = None) -> None:
        """Waits until every record that was sent before has ended, at most so many seconds; nothing
        lingers meanwhile. How records ended is told by their deliveries."""
    def close(self, timeout: float | None = None) -> None:
        """Refuses new records, waits for those on their way (``delivery.timeout.ms``, or so many
        seconds), and ends the connections. May be called again.

        Raises :class:`TimeoutError` where records were left: their deliveries say so.
        """
    def partition_count(self, topic: str) -> int:
        """How many partitions a topic has."""
    @property
    def memory_used(self) -> int:
        """Bytes of ``buffer.memory`` that are in use."""
    @property
    def closed(self) -> bool:
        """Whether it was closed."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
        /,
    ) -> None: ...
    def __class_getitem__(cls, of: Any) -> GenericAlias: ...

@final
class Record(Generic[_K, _V]):
    """One record: a view on its batch, which it keeps alive. Keys, values and headers are made when
    they are asked for; a deserializer is called at each access, and its exceptions are raised
    there."""

    @property
    def topic(self) -> str:
        """The topic."""
    @property
    def partition(self) -> int:
        """The partition's number."""
    @property
    def offset(self) -> int:
        """The offset in the partition."""
    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970: the producer's, or the broker's under ``LogAppendTime``; -1 for
        none."""
    @property
    def key(self) -> _K | None:
        """The key; None and empty differ."""
    @property
    def value(self) -> _V | None:
        """The value; None (a tombstone) and empty differ."""
    @property
    def headers(self) -> tuple[tuple[str, bytes | None], ...]:
        """The headers in the producer's order; names may repeat."""
    def __class_getitem__(cls, of: Any) -> GenericAlias: ...

@final
class Column:
    """The keys or the values of a batch: read-only views on its bytes, None for null."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[memoryview | None]: ...
    @overload
    def __getitem__(self, index: int, /) -> memoryview | None: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[memoryview | None]: ...
    def tolist(self) -> list[bytes | None]:
        """Copies of all, at once: what small keys and values are read by soonest."""

@final
class Batch(Generic[_K, _V]):
    """A batch of records of one partition, in order. It owns its bytes: keep it as long as you
    like. An uncompressed batch keeps the whole answer that it came in alive, some megabytes."""

    @property
    def topic(self) -> str:
        """The topic."""
    @property
    def partition(self) -> int:
        """The partition's number."""
    @property
    def base_offset(self) -> int:
        """The offset from which on the batch has records. Offsets need not be dense."""
    @property
    def last_offset(self) -> int:
        """The last offset that the batch covers, whether a record is left there or not."""
    @property
    def keys(self) -> Column:
        """The keys, without a copy."""
    @property
    def values(self) -> Column:
        """The values, without a copy."""
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Record[_K, _V]]: ...
    @overload
    def __getitem__(self, index: int, /) -> Record[_K, _V]: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[Record[_K, _V]]: ...
    def to_arrow(self) -> Any:
        """A ``pyarrow.RecordBatch`` of offset, timestamp, key, value and headers, with topic and
        partition in the schema's metadata. Raises :class:`UnsupportedError` without pyarrow."""
    def _columns(self) -> Any: ...
    def __class_getitem__(cls, of: Any) -> GenericAlias: ...

@disjoint_base
class ConsumerBase(Generic[_K, _V]):
    """What every consumer answers without waiting. A plain pair of topic and number will do for a
    partition. Those that take several take all that are assigned when none is given."""

    def commit_later(self) -> None:
        """Commits what was given out, without waiting; commits are sent in order."""
    def subscribe(self, topics: str | Iterable[str]) -> None:
        """Replaces the subscription; the group rebalances."""
    def assign(self, partitions: Iterable[_Place]) -> None:
        """Replaces the partitions of a consumer that was made with them."""
    def assignment(self) -> list[TopicPartition]:
        """The partitions that it has now."""
    def position(self, partition: _Place) -> int | None:
        """The offset after what was given out; None while it is not known or assigned."""
    def lag(self, partition: _Place) -> int | None:
        """How many records are behind the position, as of the last fetch; None before it."""
    def seek(self, partition: _Place, offset: int) -> None:
        """Goes to an offset. Raises :class:`InvalidError` if the partition is not assigned."""
    def seek_to_beginning(self, *partitions: _Place) -> None:
        """Goes to the first offsets."""
    def seek_to_end(self, *partitions: _Place) -> None:
        """Goes behind the last records."""
    def seek_to_timestamp(self, partition: _Place, timestamp: int) -> None:
        """Goes to the first record of this time (milliseconds since 1970) or later."""
    def pause(self, *partitions: _Place) -> None:
        """Gives nothing out of them until :meth:`resume`."""
    def resume(self, *partitions: _Place) -> None:
        """Gives them out again."""
    def is_paused(self, partition: _Place) -> bool:
        """Whether it is paused."""
    @property
    def closed(self) -> bool:
        """Whether it was closed."""

@disjoint_base
class Consumer(ConsumerBase[_K, _V]):
    """Reads records: of topics, as a member of the group ``group_id``, or of given partitions.

    Iterate it for records or :meth:`batches` for batches. A record or a batch is *finished* when
    the next is asked for, and only what is finished is committed by itself: nothing is lost when
    the program dies in the middle. Heartbeats, fetching ahead and commits go on in the background.
    Ask for records from one thread at a time.

    ``on_rebalance`` is called with every change of the assignment, by the thread that asks for
    records, before it gets them.
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
    def next(self, timeout: float | None = None) -> Record[_K, _V] | None:
        """Waits for the next record; the one before is finished by asking. None if none came within
        so many seconds, or the consumer was closed meanwhile.

        Raises what the user has to know: a topic that does not exist, a missing permission, a
        position that is not in the log under ``auto.offset.reset=none``, a batch that cannot be
        read. Unless ``fatal``, asking again goes on.
        """
    def next_batch(self, timeout: float | None = None) -> Batch[_K, _V] | None:
        """As :meth:`next`, by batch. After records of a batch were given out, its rest comes."""
    def batches(self) -> Iterator[Batch[_K, _V]]:
        """The batches, until the consumer is closed."""
    def __iter__(self) -> Self: ...
    def __next__(self) -> Record[_K, _V]: ...
    def commit(self, offsets: Mapping[Any, _Offset] | None = None) -> None:
        """Commits what was given out, or these offsets: by partition the *next* to be consumed.
        Waits until the coordinator has it.

        Raises :class:`RebalanceError` when the partitions belong to another member by now.
        """
    def committed(self, partitions: Iterable[_Place]) -> dict[TopicPartition, OffsetAndMetadata]:
        """What the group has committed; a partition without a commit is absent."""
    def beginning_offsets(self, partitions: Iterable[_Place]) -> dict[TopicPartition, int]:
        """The first offsets."""
    def end_offsets(self, partitions: Iterable[_Place]) -> dict[TopicPartition, int]:
        """The offsets after the last records (under ``read_committed``: last stable offsets)."""
    def offsets_for_times(
        self, timestamps: Mapping[Any, int]
    ) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        """By partition the first record of this time (milliseconds since 1970) or later."""
    def close(self) -> None:
        """Commits what is finished (``enable.auto.commit``), leaves the group and ends the
        connections, within 5 s. May be called again. Commit before to include the last record or
        batch that was given out."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
        /,
    ) -> None: ...
    def __class_getitem__(cls, of: Any) -> GenericAlias: ...

@disjoint_base
class Admin:
    """Creates, describes, changes and deletes what a cluster holds.

    Operations over several items raise the first failure; with ``return_exceptions`` each item's
    failure is its value. One item's failure leaves the others as they are. What may pass is tried
    again for ``default.api.timeout.ms``.
    """

    def __new__(cls, config: _Config = None, /, **settings: Unpack[AdminSettings]) -> Self: ...
    def create_topic(self, topic: NewTopic | str) -> CreatedTopic:
        """Creates a topic; a plain name has the broker's defaults."""
    @overload
    def create_topics(
        self,
        topics: Iterable[NewTopic | str],
        *,
        validate_only: bool = False,
        return_exceptions: Literal[False] = False,
    ) -> dict[str, CreatedTopic]:
        """Creates topics, or says what that would do."""
    @overload
    def create_topics(
        self,
        topics: Iterable[NewTopic | str],
        *,
        validate_only: bool = False,
        return_exceptions: bool,
    ) -> dict[str, CreatedTopic | OttlaError]: ...
    @overload
    def delete_topics(
        self, topics: str | Iterable[str], *, return_exceptions: Literal[False] = False
    ) -> dict[str, None]:
        """Deletes topics with all their records."""
    @overload
    def delete_topics(
        self, topics: str | Iterable[str], *, return_exceptions: bool
    ) -> dict[str, OttlaError | None]: ...
    @overload
    def create_partitions(
        self, counts: Mapping[str, int], *, return_exceptions: Literal[False] = False
    ) -> dict[str, None]:
        """Raises the numbers of partitions to these totals. Keys may go elsewhere afterwards."""
    @overload
    def create_partitions(
        self, counts: Mapping[str, int], *, return_exceptions: bool
    ) -> dict[str, OttlaError | None]: ...
    def list_topics(self) -> list[TopicListing]:
        """All topics, by name."""
    @overload
    def describe_topics(
        self, topics: str | Iterable[str], *, return_exceptions: Literal[False] = False
    ) -> dict[str, TopicDescription]:
        """Partitions of topics, with leaders and replicas. Never creates a topic."""
    @overload
    def describe_topics(
        self, topics: str | Iterable[str], *, return_exceptions: bool
    ) -> dict[str, TopicDescription | OttlaError]: ...
    def describe_cluster(self) -> ClusterDescription:
        """The cluster's id, controller and brokers."""
    @overload
    def describe_configs(
        self, resources: Iterable[_Resource], *, return_exceptions: Literal[False] = False
    ) -> dict[ConfigResource, dict[str, ConfigEntry]]:
        """All configuration values of topics or brokers, by name."""
    @overload
    def describe_configs(
        self, resources: Iterable[_Resource], *, return_exceptions: bool
    ) -> dict[ConfigResource, dict[str, ConfigEntry] | OttlaError]: ...
    @overload
    def alter_configs(
        self,
        changes: Mapping[ConfigResource, _Changes],
        *,
        return_exceptions: Literal[False] = False,
    ) -> dict[ConfigResource, None]:
        """Changes configuration values; those that are not named stay as they are. None removes a
        value, :class:`ConfigChange` adds to a list or takes from it."""
    @overload
    def alter_configs(
        self, changes: Mapping[ConfigResource, _Changes], *, return_exceptions: bool
    ) -> dict[ConfigResource, OttlaError | None]: ...
    def list_groups(self) -> list[GroupListing]:
        """The groups of all brokers, by id."""
    @overload
    def describe_groups(
        self, groups: str | Iterable[str], *, return_exceptions: Literal[False] = False
    ) -> dict[str, GroupDescription]:
        """State, members and assignments of groups."""
    @overload
    def describe_groups(
        self, groups: str | Iterable[str], *, return_exceptions: bool
    ) -> dict[str, GroupDescription | OttlaError]: ...
    @overload
    def delete_groups(
        self, groups: str | Iterable[str], *, return_exceptions: Literal[False] = False
    ) -> dict[str, None]:
        """Deletes groups that have no members, with their offsets."""
    @overload
    def delete_groups(
        self, groups: str | Iterable[str], *, return_exceptions: bool
    ) -> dict[str, OttlaError | None]: ...
    @overload
    def list_offsets(
        self, specs: Mapping[Any, _Spec], *, return_exceptions: Literal[False] = False
    ) -> dict[TopicPartition, ListedOffset]:
        """By partition the first offset, the next, that of the largest timestamp, or that of the
        first record of a time (milliseconds since 1970) or later."""
    @overload
    def list_offsets(
        self, specs: Mapping[Any, _Spec], *, return_exceptions: bool
    ) -> dict[TopicPartition, ListedOffset | OttlaError]: ...
    def list_consumer_group_offsets(self, group: str) -> dict[TopicPartition, OffsetAndMetadata]:
        """What a group has committed; empty for one that does not exist."""
    def close(self) -> None:
        """Ends the connections. May be called again."""
    @property
    def closed(self) -> bool:
        """Whether it was closed."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
        /,
    ) -> None: ...

@final
class Batches:
    """A consumer's batches."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> Batch: ...

@final
class RecordIterator:
    """A batch's records."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> Record: ...
    def __length_hint__(self) -> int: ...

aio: ModuleType

def _settings() -> list[tuple[str, list[str], str, str | None, str]]: ...
