"""Errors: one tree, with codes and flags, and messages that say what to do."""

import pickle
import re
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

import ottla
from support import (
    PATIENCE,
    new_topic,
    reader,
    send_all,
    take,
    unique,
    untyped,
    wait_until,
)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def test_errors_of_each_kind(broker: str) -> None:
    topic = new_topic(broker, "errors")
    raised: pytest.ExceptionInfo[ottla.OttlaError]
    with ottla.Producer(
        bootstrap_servers=broker, max_block_ms=500, max_request_size=10_000
    ) as producer:
        with pytest.raises(ottla.InvalidError) as raised:
            producer.send(topic, b"x" * 20_000)
        assert (raised.value.retriable, raised.value.possibly_written) == (False, False)
        with pytest.raises(ottla.InvalidError, match="has no partition 7") as raised:
            producer.send(topic, b"x", partition=7)
        assert raised.value.code == "INVALID" and isinstance(raised.value, ValueError)
        with pytest.raises(ottla.InvalidError) as raised:
            producer.send("no/such:topic", b"x")
        assert raised.value.code == "INVALID_TOPIC_EXCEPTION"
    port = free_port()
    with pytest.raises(ottla.UnreachableError, match=f"127.0.0.1:{port}") as raised:
        ottla.Producer(bootstrap_servers=f"127.0.0.1:{port}")
    assert raised.value.retriable and raised.value.code == "UNREACHABLE"
    assert isinstance(raised.value, ConnectionError)
    send_all(broker, topic, [b"only"])
    with reader(broker, topic, auto_offset_reset="none") as consumer:
        consumer.seek((topic, 0), 99)
        with pytest.raises(ottla.OffsetOutOfRangeError) as raised:
            consumer.next(PATIENCE)
        assert not raised.value.fatal
        consumer.seek((topic, 0), 0)
        assert take(consumer, 1)[0].value == b"only"
    with ottla.Admin(bootstrap_servers=broker) as admin:
        with pytest.raises(ottla.NotFoundError) as raised:
            admin.delete_topics([unique("missing")])
        assert raised.value.code == "UNKNOWN_TOPIC_OR_PARTITION"
        with pytest.raises(ottla.OttlaError) as raised:
            admin.create_topic(ottla.NewTopic(topic, 1, 1))
        assert raised.value.code == "TOPIC_ALREADY_EXISTS" and raised.value.message
    with pytest.raises(ottla.ConfigError):
        ottla.Consumer(bootstrap_servers=broker, topics=topic)
    with ottla.Producer(bootstrap_servers=broker, linger_ms=10_000) as producer:
        delivery = producer.send(topic, b"")
        with pytest.raises(ottla.TimeoutError) as raised:
            delivery.result(0.05)
        assert isinstance(raised.value, TimeoutError) and raised.value.retriable


def test_a_topic_that_does_not_exist_is_told(own_broker: Any) -> None:
    servers = own_broker.bootstrap_servers
    topic = unique("missing")
    with pytest.raises(ottla.NotFoundError, match=topic):
        with ottla.Consumer(
            bootstrap_servers=servers, partitions=[(topic, 0)], allow_auto_create_topics=False
        ) as consumer:
            consumer.next(PATIENCE)


def test_errors_can_be_pickled() -> None:
    with pytest.raises(ottla.ConfigError) as raised:
        ottla.Producer({"no.such": 1})
    copied = pickle.loads(pickle.dumps(raised.value))
    assert type(copied) is ottla.ConfigError and str(copied) == str(raised.value)
    assert (copied.code, copied.retriable) == (raised.value.code, raised.value.retriable)


def test_wrong_argument_types_are_named(broker: str) -> None:
    topic = new_topic(broker, "types")
    wrong: list[tuple[str, Callable[[Any, Any, Any], Any]]] = [
        ("topic must be str, not int", lambda p, c, a: p.send(7, b"")),
        ("value must be bytes, .* not int", lambda p, c, a: p.send(topic, 7)),
        ("key must be bytes, .* not list", lambda p, c, a: p.send(topic, b"", key=[])),
        ("partition must be int, not str", lambda p, c, a: p.send(topic, b"", partition="0")),
        ("partition must be int, not bool", lambda p, c, a: p.send(topic, b"", partition=True)),
        ("timestamp must be int, not float", lambda p, c, a: p.send(topic, b"", timestamp=1.5)),
        ("headers must be .*, not int", lambda p, c, a: p.send(topic, b"", headers=1)),
        ("a header must be .*, not str", lambda p, c, a: p.send(topic, b"", headers=["ab"])),
        ("a header's value .* not int", lambda p, c, a: p.send(topic, b"", headers={"a": 1})),
        ("timeout must be .*, not str", lambda p, c, a: c.next("soon")),
        ("a partition must be .*, not str", lambda p, c, a: c.seek("t", 0)),
        ("offset must be int, not str", lambda p, c, a: c.seek((topic, 0), "0")),
        ("partitions must be .*, not str", lambda p, c, a: c.assign(topic)),
        ("offsets must be .*, not list", lambda p, c, a: c.commit([1])),
        ("topics must be .*, not int", lambda p, c, a: a.delete_topics(3)),
        ("a resource must be .*, not int", lambda p, c, a: a.describe_configs([3])),
        ("config must be .*, not str", lambda p, c, a: ottla.Admin(untyped("x:1"))),
        ("on_rebalance must be callable", lambda p, c, a: ottla.Consumer(on_rebalance=untyped(3))),
        (
            "key_serializer must be callable",
            lambda p, c, a: ottla.Producer(key_serializer=untyped(3)),
        ),
    ]
    with (
        ottla.Producer(bootstrap_servers=broker) as producer,
        reader(broker, topic) as consumer,
        ottla.Admin(bootstrap_servers=broker) as admin,
    ):
        for message, call in wrong:
            with pytest.raises(ottla.ArgumentTypeError) as raised:
                call(producer, consumer, admin)
            assert re.match(message, str(raised.value)), (message, str(raised.value))
            assert isinstance(raised.value, TypeError) and raised.value.code == "ARGUMENT_TYPE"
        for bad in (-1, float("nan")):
            with pytest.raises(ottla.InvalidError, match="timeout"):
                consumer.next(bad)
        with pytest.raises(ottla.InvalidError, match="partition is out of range"):
            producer.send(topic, b"", partition=1 << 40)


def test_unknown_settings_are_named_with_the_nearest() -> None:
    for name, nearest in [("linger_m", "linger_ms"), ("linger.m", "linger.ms")]:
        with pytest.raises(ottla.ConfigError, match=f'"{name}".*"{nearest}"') as raised:
            ottla.Producer({name: 5})
        assert raised.value.code == "CONFIG" and not raised.value.retriable
    with pytest.raises(ottla.ConfigError, match='"linger_m"'):
        ottla.aio.Producer(**untyped({"linger_m": 5}))
    with pytest.raises(ottla.ConfigError, match="linger"):
        ottla.Producer(linger_ms=untyped("soon"))
    with pytest.raises(ottla.ConfigError, match="acks"):
        ottla.Producer(bootstrap_servers="127.0.0.1:1", acks=untyped("most"))


def test_settings_in_every_spelling(broker: str) -> None:
    spelled: list[dict[str, Any]] = [
        {"bootstrap.servers": broker, "linger.ms": 5, "enable.idempotence": True},
        {"bootstrap_servers": [broker, broker], "linger_ms": "5", "enable_idempotence": "true"},
        {"bootstrapServers": (broker,), "lingerMs": 5, "enableIdempotence": None},
    ]
    for settings in spelled:
        ottla.Producer(settings).close()
        ottla.Producer(**settings).close()
    ottla.Producer({"bootstrap.servers": "127.0.0.1:1"}, bootstrap_servers=broker).close()


def test_a_closed_client_says_so(broker: str) -> None:
    topic = new_topic(broker, "closed")
    producer = ottla.Producer(bootstrap_servers=broker)
    consumer = reader(broker, topic)
    admin = ottla.Admin(bootstrap_servers=broker)
    assert not (producer.closed or consumer.closed or admin.closed)
    for client in (producer, consumer, admin):
        client.close()
        client.close()
        assert client.closed and "closed" in repr(client)
    calls: list[Callable[[], object]] = [
        lambda: producer.send(topic, b""),
        lambda: producer.send_many(topic, [b""]),
        lambda: producer.flush(),
        lambda: producer.partition_count(topic),
        lambda: producer.memory_used,
        lambda: consumer.next(0),
        lambda: consumer.next_batch(0),
        lambda: iter(consumer),
        lambda: consumer.batches(),
        lambda: consumer.commit(),
        lambda: consumer.seek((topic, 0), 0),
        lambda: consumer.assignment(),
        lambda: admin.list_topics(),
    ]
    for call in calls:
        with pytest.raises(ottla.ClosedError, match="closed: make a new one") as raised:
            call()
        assert raised.value.code == "CLOSED" and raised.value.fatal


def test_a_loop_ends_when_another_thread_closes_the_consumer(broker: str) -> None:
    topic = new_topic(broker, "close-other-thread")
    consumer = reader(broker, topic)
    records: list[ottla.Record] = []
    thread = threading.Thread(target=lambda: records.extend(consumer))
    thread.start()
    send_all(broker, topic, [b"one"])
    wait_until(lambda: records, "the record comes")
    consumer.close()
    thread.join(PATIENCE)
    assert not thread.is_alive() and len(records) == 1
