"""Consuming: groups, positions, batches."""

import gc
import weakref
from collections import Counter
from importlib import import_module
from typing import Any

import pytest

import ottla
from support import (
    PATIENCE,
    member,
    new_topic,
    reader,
    send_all,
    take,
    unique,
    untyped,
    wait_until,
)


def numbers(count: int, start: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(start, start + count)]


def test_a_group_of_two_shares_and_one_leaves(broker: str) -> None:
    topic, group = new_topic(broker, "group", 4), unique("group")
    events: list[ottla.RebalanceEvent] = []
    one = member(broker, topic, group, on_rebalance=events.append)
    two = member(broker, topic, group)

    def settle(condition: object) -> None:
        assert callable(condition)

        def turn() -> object:
            assert one.next(0.02) is None
            return condition()

        wait_until(turn, "the group settles")

    def shared() -> bool:
        two.next(0.02)
        return [len(one.assignment()), len(two.assignment())] == [2, 2]

    settle(shared)
    assert not set(one.assignment()) & set(two.assignment())
    two.close()
    settle(lambda: len(one.assignment()) == 4)
    assert events[0].kind == "assigned"
    assert {event.kind for event in events} <= {"assigned", "revoked", "lost"}
    assert isinstance(events[0].partitions[0], ottla.TopicPartition)
    send_all(broker, topic, numbers(100))
    assert len(take(one, 100)) == 100
    one.close()


def test_commit_and_resume(broker: str) -> None:
    topic, group = new_topic(broker, "commit"), unique("commit")
    send_all(broker, topic, numbers(100))
    place = ottla.TopicPartition(topic, 0)
    with member(broker, topic, group, enable_auto_commit=False) as consumer:
        take(consumer, 40)
        consumer.commit()
        assert consumer.committed([place])[place].offset == 40
        take(consumer, 20)
    with member(broker, topic, group, enable_auto_commit=False) as consumer:
        assert take(consumer, 1)[0].offset == 40
        consumer.commit({place: ottla.OffsetAndMetadata(70, "a note")})
        committed = consumer.committed([place])[place]
        assert (committed.offset, committed.metadata) == (70, "a note")
        assert consumer.committed([(topic, 99)]) == {}
        consumer.commit({(topic, 0): 71})
        consumer.commit_later()
    with member(broker, topic, group) as consumer:
        assert take(consumer, 1)[0].offset == 41, "the later commit was of what was given"


def test_seek_to_offset_time_and_ends(broker: str) -> None:
    topic = new_topic(broker, "seek")
    place = ottla.TopicPartition(topic, 0)
    with ottla.Producer(bootstrap_servers=broker) as producer:
        for number in range(100):
            producer.send(topic, b"%d" % number, timestamp=1_000 * number)
    with reader(broker, topic) as consumer:
        assert take(consumer, 10)[-1].offset == 9
        assert consumer.position(place) == 10
        consumer.seek(place, 50)
        assert consumer.position(place) == 50
        assert take(consumer, 1)[0].offset == 50
        consumer.seek_to_beginning(place)
        assert take(consumer, 1)[0].offset == 0
        consumer.seek_to_timestamp(place, 70_500)
        assert take(consumer, 1)[0].offset == 71
        consumer.seek_to_end()
        assert consumer.next(0.2) is None
        send_all(broker, topic, [b"new"])
        assert take(consumer, 1)[0].offset == 100
        assert consumer.beginning_offsets([place]) == {place: 0}
        assert consumer.end_offsets([place]) == {place: 101}
        found = consumer.offsets_for_times({place: 30_001, (topic, 0): 30_001})
        first = found[place]
        assert first is not None and first[:2] == (31, 31_000)
        assert consumer.offsets_for_times({place: 1 << 50}) == {place: None}
        assert consumer.lag(place) == 0
        with pytest.raises(ottla.InvalidError):
            consumer.seek((topic, 7), 0)


def test_pause_and_resume(broker: str) -> None:
    topic = new_topic(broker, "pause", 2)
    with ottla.Producer(bootstrap_servers=broker) as producer:
        for number in range(40):
            producer.send(topic, b"", partition=number % 2).result(PATIENCE)
    with reader(broker, topic, 2) as consumer:
        consumer.pause((topic, 0))
        assert consumer.is_paused((topic, 0)) and not consumer.is_paused((topic, 1))
        assert {record.partition for record in take(consumer, 20)} == {1}
        assert consumer.next(0.1) is None
        consumer.resume()
        assert {record.partition for record in take(consumer, 20)} == {0}
        consumer.pause()
        send_all(broker, topic, numbers(4))
        assert consumer.next(0.1) is None
        consumer.resume()
        take(consumer, 4)


def test_iterates_by_record_and_by_batch(broker: str) -> None:
    topic = new_topic(broker, "iterate")
    send_all(broker, topic, numbers(300), linger_ms=20)
    with reader(broker, topic) as consumer:
        offsets: list[int] = []
        for record in consumer:
            offsets.append(record.offset)
            if len(offsets) == 10:
                break
        rest = consumer.next_batch(PATIENCE)
        assert rest is not None and rest.base_offset == 10, "the rest of the batch comes first"
        offsets.extend(record.offset for record in rest)
        send_all(broker, topic, numbers(10))
        for batch in consumer.batches():
            offsets.extend(record.offset for record in batch)
            if len(offsets) == 310:
                break
        assert offsets == list(range(310))
        assert consumer.next(timeout=0) is None
        assert consumer.next_batch(timeout=0.01) is None


def test_batch_views_are_lazy_and_outlive_the_consumer(broker: str) -> None:
    topic = new_topic(broker, "batch")
    with ottla.Producer(bootstrap_servers=broker, linger_ms=20, compression_type="lz4") as producer:
        for number in range(50):
            producer.send(topic, b"value %d" % number, key=None if number % 2 else b"%d" % number)
    consumer = reader(broker, topic)
    batch = consumer.next_batch(PATIENCE)
    assert batch is not None
    count = len(batch)
    values, record = batch.values, batch[-1]
    view = values[0]
    assert isinstance(view, memoryview) and view.readonly
    gone = weakref.ref(consumer)
    consumer.close()
    del consumer
    gc.collect()
    assert gone() is None
    assert bytes(view) == b"value 0"
    assert [bytes(one) for one in values if one is not None] == values.tolist()
    assert values.tolist() == [b"value %d" % number for number in range(count)]
    assert [one if one is None else bytes(one) for one in batch.keys[:3]] == [b"0", None, b"2"]
    assert (batch.topic, batch.partition, batch.base_offset) == (topic, 0, 0)
    assert batch.last_offset == count - 1 == record.offset
    assert [one.offset for one in batch[1:7:2]] == [1, 3, 5]
    with pytest.raises(IndexError):
        batch[count]
    with pytest.raises(ottla.ArgumentTypeError):
        batch[untyped("first")]
    del batch, values
    gc.collect()
    assert record.value == b"value %d" % (count - 1)
    assert bytes(view) == b"value 0"


def test_batches_as_arrow(broker: str) -> None:
    pa: Any = import_module("pyarrow")
    topic = new_topic(broker, "arrow")
    arrow: Any = None
    with ottla.Producer(bootstrap_servers=broker, linger_ms=50) as producer:
        producer.send(topic, b"one", key=b"k", headers=[("a", b"1"), ("a", None)], timestamp=1000)
        producer.send(topic, None, timestamp=2000)
        producer.send(topic, b"", key="ü", headers=[("b", b"")], timestamp=3000)
    rows: list[dict[str, Any]] = []
    with reader(broker, topic) as consumer:
        while len(rows) < 3:
            batch = consumer.next_batch(PATIENCE)
            assert batch is not None
            arrow = batch.to_arrow()
            assert isinstance(arrow, pa.RecordBatch)
            arrow.validate(full=True)
            rows.extend(arrow.to_pylist())
    assert arrow.schema.metadata == {b"topic": topic.encode(), b"partition": b"0"}
    assert [row["offset"] for row in rows] == [0, 1, 2]
    assert [(row["key"], row["value"]) for row in rows] == [
        (b"k", b"one"),
        (None, None),
        ("ü".encode(), b""),
    ]
    assert rows[0]["headers"] == [{"key": "a", "value": b"1"}, {"key": "a", "value": None}]
    assert [row["headers"] for row in rows[1:]] == [[], [{"key": "b", "value": b""}]]
    assert rows[2]["timestamp"].timestamp() == 3.0


def test_at_least_once_by_default(broker: str) -> None:
    topic, group = new_topic(broker, "at-least-once"), unique("at-least-once")
    send_all(broker, topic, numbers(100), linger_ms=20)
    with member(broker, topic, group) as consumer:
        assert take(consumer, 30)[-1].offset == 29
        consumer.commit()
    seen: Counter[int] = Counter()
    with member(broker, topic, group) as consumer:
        first = take(consumer, 20)
        assert first[0].offset == 30, "it goes on exactly where the commit was"
        seen.update(record.offset for record in first)
        # Closed without a commit: the last record was given out, nobody said that it is finished.
    with member(broker, topic, group) as consumer:
        seen.update(record.offset for record in take(consumer, 51))
    assert set(seen) == set(range(30, 100)), "nothing is skipped"
    assert seen[49] == 2, "what may not have been finished comes again"
