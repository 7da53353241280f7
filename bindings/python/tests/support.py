"""What the tests share."""

import itertools
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import ottla

#: How long anything is waited for, in seconds: much longer than it takes.
PATIENCE = 60.0

_numbers = itertools.count()


def untyped(value: object) -> Any:
    """A value that type checkers know nothing of, to be used wrongly."""
    return value


def unique(name: str) -> str:
    """A name for a topic or a group that no other test has."""
    return f"python-{name}-{uuid.uuid4().hex[:8]}-{next(_numbers)}"


def new_topic(broker: str, name: str, partitions: int = 1, **configs: object) -> str:
    """A topic of the test's own, whose records stay however old their timestamps are."""
    topic = unique(name)
    with ottla.Admin(bootstrap_servers=broker) as admin:
        admin.create_topic(
            ottla.NewTopic(topic, partitions, 1, {"retention.ms": -1, **configs})
        )
    return topic


def eventually(holds: Callable[[], bool]) -> None:
    """Waits until it holds. A cluster tells of a change some time after it has acknowledged it."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it never came true"


def reader(broker: str, topic: str, partitions: int = 1, **settings: Any) -> ottla.Consumer:
    """A consumer of all of a topic's partitions, from the beginning."""
    settings.setdefault("auto_offset_reset", "earliest")
    every = [(topic, index) for index in range(partitions)]
    return ottla.Consumer(bootstrap_servers=broker, partitions=every, **settings)


def member(broker: str, topic: str, group: str, **settings: Any) -> ottla.Consumer:
    """A member of a group, that starts at the beginning."""
    settings.setdefault("auto_offset_reset", "earliest")
    return ottla.Consumer(bootstrap_servers=broker, group_id=group, topics=topic, **settings)


def take(consumer: ottla.Consumer, count: int) -> list[ottla.Record]:
    """So many records, or a failure."""
    records: list[ottla.Record] = []
    deadline = time.monotonic() + PATIENCE
    while len(records) < count:
        record = consumer.next(max(deadline - time.monotonic(), 0))
        assert record is not None, f"{len(records)} of {count} records came"
        records.append(record)
    return records


def send_all(broker: str, topic: str, values: Iterable[Any], **settings: Any) -> None:
    """Sends values, each to be acknowledged."""
    with ottla.Producer(bootstrap_servers=broker, **settings) as producer:
        producer.send_many(topic, values).result(PATIENCE)


def wait_until(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Waits until a condition holds that nothing tells of."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.005)


def run_python(program: str, *arguments: str, patience: float = PATIENCE) -> str:
    """Runs a program in an interpreter of its own; its output, which is all that it says."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=patience,
        env=environment(),
    )
    assert done.returncode == 0, f"exit {done.returncode}: {done.stdout}{done.stderr}"
    assert done.stderr == "", done.stderr
    return done.stdout


def environment() -> dict[str, str]:
    """For other interpreters: what this one finds, they find."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def open_files() -> int:
    """How many file descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))
