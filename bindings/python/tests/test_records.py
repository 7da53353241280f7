"""Records: what is sent is what is received."""

import array
import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

import ottla
from support import PATIENCE, new_topic, reader, send_all, take, untyped

VECTORS = Path(__file__).parents[3] / "protocol/vectors/partitions.tsv.gz"


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_produce_and_consume_with_every_codec(broker: str, codec: Any) -> None:
    topic = new_topic(broker, f"codec-{codec}")
    values = [b"%d " % number * 40 for number in range(500)]
    with ottla.Producer(bootstrap_servers=broker, compression_type=codec, linger_ms=20) as producer:
        deliveries = [producer.send(topic, value, key=b"k") for value in values]
        written = [delivery.result(PATIENCE) for delivery in deliveries]
    assert [one.offset for one in written] == list(range(500))
    assert {(one.topic, one.partition) for one in written} == {(topic, 0)}
    with reader(broker, topic) as consumer:
        records = take(consumer, 500)
    assert [record.value for record in records] == values
    assert [record.timestamp for record in records] == [one.timestamp for one in written]


def test_headers_keep_order_and_repeat(broker: str) -> None:
    topic = new_topic(broker, "headers")
    mapped: dict[str, bytes | str] = {"x": b"1", "y": "text"}
    headers: list[tuple[str, bytes | None]]
    headers = [("b", b"1"), ("a", b"2"), ("b", b"3"), ("c", None), ("d", b""), ("", b"e")]
    with ottla.Producer(bootstrap_servers=broker) as producer:
        producer.send(topic, b"pairs", headers=headers).result(PATIENCE)
        producer.send(topic, b"mapping", headers=mapped).result(PATIENCE)
        producer.send(topic, b"none").result(PATIENCE)
    with reader(broker, topic) as consumer:
        pairs, mapping, none = take(consumer, 3)
    assert pairs.headers == tuple(headers)
    assert mapping.headers == (("x", b"1"), ("y", b"text"))
    assert none.headers == ()


def test_null_and_empty_keys_and_values_differ(broker: str) -> None:
    topic = new_topic(broker, "null")
    pairs = [(None, None), (b"", b""), (None, b""), (b"", None), (b"k", b"v")]
    with ottla.Producer(bootstrap_servers=broker) as producer:
        for key, value in pairs:
            producer.send(topic, value, key=key)
    with reader(broker, topic) as consumer:
        records = take(consumer, len(pairs))
    assert [(record.key, record.value) for record in records] == pairs


def test_unicode_survives(broker: str) -> None:
    topic = new_topic(broker, "unicode")
    text = "grüße 漢字 \U0001f44b \x00 é"
    with ottla.Producer(bootstrap_servers=broker) as producer:
        producer.send(topic, text, key=text, headers=[(text, text)]).result(PATIENCE)
    with reader(broker, topic) as consumer:
        (record,) = take(consumer, 1)
    assert record.key is not None and record.key.decode() == text
    assert record.value is not None and record.value.decode() == text
    assert record.headers == ((text, text.encode()),)


def test_partition_placement_is_javas(broker: str) -> None:
    with gzip.open(VECTORS, "rt") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) > 200
    for count in (1, 2, 3, 6, 7, 12):
        topic = new_topic(broker, f"placement-{count}", count)
        with ottla.Producer(bootstrap_servers=broker) as producer:
            assert producer.partition_count(topic) == count
            keys = [bytes.fromhex(row["#key_hex"]) for row in rows]
            placed = [producer.send(topic, b"", key=key).partition for key in keys]
        assert placed == [int(row[f"murmur2_p{count}"]) for row in rows]


def test_one_mebibyte_messages(broker: str) -> None:
    large = 1 << 20
    topic = new_topic(broker, "large", **{"max.message.bytes": 2 * large})
    values = [bytes([number]) * large for number in range(8)]
    settings = {"max_request_size": 2 * large, "batch_size": 2 * large}
    send_all(broker, topic, values, **settings)
    with reader(broker, topic) as consumer:
        for value in values:
            (record,) = take(consumer, 1)
            assert record.value == value


def test_a_hundred_thousand_records(broker: str) -> None:
    count = 100_000
    topic = new_topic(broker, "many", 4)
    with ottla.Producer(bootstrap_servers=broker, linger_ms=5) as producer:
        deliveries = [producer.send(topic, b"%d" % number) for number in range(count)]
        producer.flush()
        assert all(delivery.done() for delivery in deliveries)
        offsets = {(one.partition, one.offset) for one in (d.result() for d in deliveries)}
    assert len(offsets) == count
    seen: set[int] = set()
    with reader(broker, topic, 4) as consumer:
        for batch in consumer.batches():
            seen.update(int(value) for value in batch.values.tolist() if value is not None)
            if len(seen) == count:
                break
    assert seen == set(range(count))


def test_every_kind_of_bytes_is_taken(broker: str) -> None:
    topic = new_topic(broker, "bytes")
    strided = memoryview(b"a-b-c")[::2]
    given: list[Any]
    given = [b"x", bytearray(b"x"), memoryview(b"xyz")[1:2], "x", array.array("H", [1]), strided]
    with ottla.Producer(bootstrap_servers=broker) as producer:
        for value in given:
            producer.send(topic, value, key=value)
    with reader(broker, topic) as consumer:
        values = [record.value for record in take(consumer, len(given))]
    assert values == [b"x", b"x", b"y", b"x", array.array("H", [1]).tobytes(), b"abc"]


def test_serializers_and_deserializers(broker: str) -> None:
    topic = new_topic(broker, "serializers")

    def encode(value: object) -> bytes:
        return json.dumps(value).encode()

    with ottla.Producer(
        bootstrap_servers=broker, key_serializer=encode, value_serializer=encode
    ) as producer:
        producer.send(topic, {"a": [1]}, key=7).result(PATIENCE)
        producer.send(topic, None, key="tombstone").result(PATIENCE)
    with reader(
        broker, topic, key_deserializer=json.loads, value_deserializer=json.loads
    ) as consumer:
        one, two = untyped(take(consumer, 2))
    assert (one.key, one.value) == (7, {"a": [1]})
    assert (two.key, two.value) == ("tombstone", None)

    def refuse(value: object) -> bytes:
        raise ZeroDivisionError(value)

    with ottla.Producer(bootstrap_servers=broker, value_serializer=refuse) as refusing:
        with pytest.raises(ZeroDivisionError):
            refusing.send(topic, 1)


def test_many_records_in_one_call(broker: str) -> None:
    topic = new_topic(broker, "send-many")
    with ottla.Producer(bootstrap_servers=broker, max_request_size=10_000) as producer:
        values = [b"one", b"x" * 20_000, "three", None]
        # At first all wait for the topic's metadata, then none does.
        for first in (0, 3):
            deliveries = producer.send_many(topic, values, keys=[b"k"] * 4, headers={"h": b"1"})
            assert len(deliveries) == 4
            with pytest.raises(ottla.InvalidError):
                deliveries.result(PATIENCE)
            outcomes = deliveries.result(PATIENCE, return_exceptions=True)
            assert deliveries.done()
            assert isinstance(outcomes[1], ottla.InvalidError)
            written = [one for one in outcomes if isinstance(one, ottla.RecordMetadata)]
            assert [one.offset for one in written] == [first, first + 1, first + 2]
        with pytest.raises(ottla.InvalidError, match="fewer keys"):
            producer.send_many(topic, [b"a", b"b"], keys=[b"k"])
        with pytest.raises(ottla.ArgumentTypeError, match="iterable"):
            producer.send_many(topic, untyped(b"not a list of values"))
    with reader(broker, topic) as consumer:
        records = take(consumer, 6)
    assert [record.value for record in records] == [b"one", b"three", None] * 2
    assert {(record.key, record.headers) for record in records} == {(b"k", (("h", b"1"),))}


def test_a_record_has_its_own_partition_and_timestamp(broker: str) -> None:
    topic = new_topic(broker, "own", 3)
    with ottla.Producer(bootstrap_servers=broker) as producer:
        written = producer.send(topic, b"", partition=2, timestamp=1_234_567).result(PATIENCE)
        assert (written.partition, written.offset, written.timestamp) == (2, 0, 1_234_567)
        assert repr(written).startswith("RecordMetadata(topic=")
        delivery = producer.send(topic, b"", partition=1)
        assert (delivery.topic, delivery.partition) == (topic, 1)
        assert delivery.exception(PATIENCE) is None
    with reader(broker, topic, 3) as consumer:
        records = {record.partition: record.timestamp for record in take(consumer, 2)}
    assert records[2] == 1_234_567
