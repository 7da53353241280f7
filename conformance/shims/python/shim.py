"""Ottla for Python."""

import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import ottla

sys.path.insert(0, str(Path(__file__).parent.parent))
import lines  # noqa: E402

# How many records may wait for their end, each on a thread that tells it at once.
WAITING_MAX = 256


def describe(error):
    return lines.failure(None, error.code, error.retriable, str(error))


def make(kind, settings, config, **arguments):
    """A client with those settings of `config` that it has."""
    made = lambda config: kind({**config, **settings}, **arguments)  # noqa: E731
    return lines.without_unknown(made, config, ottla.ConfigError, str)


class Producer:
    def __init__(self, task):
        self.topic = task["topic"]
        settings = {
            "bootstrap.servers": task["bootstrap"],
            "acks": task["acks"],
            "compression.type": task["compression"],
            "linger.ms": task["linger_ms"],
            "request.timeout.ms": task["request_timeout_ms"],
            "delivery.timeout.ms": task["delivery_timeout_ms"],
            "max.block.ms": task["delivery_timeout_ms"],
        }
        if task["idempotence"] is not None:
            settings["enable.idempotence"] = task["idempotence"]
        self.producer = make(ottla.Producer, settings, task["config"])
        self.waiting = ThreadPoolExecutor(WAITING_MAX)

    def send(self, record, written, failed):
        delivery = self.producer.send(self.topic, **record)

        def wait():
            try:
                metadata = delivery.result()
                written(metadata.partition, metadata.offset)
            except ottla.OttlaError as error:
                failed(error)

        self.waiting.submit(wait)

    def close(self):
        self.producer.close()
        self.waiting.shutdown()


class Consumer:
    def __init__(self, task):
        settings = {
            "bootstrap.servers": task["bootstrap"],
            "auto.offset.reset": task["offset_reset"],
            "isolation.level": task["isolation"],
            "session.timeout.ms": task["session_timeout_ms"],
            "enable.auto.commit": False,
        }
        if task["group"] is not None:
            settings["group.id"] = task["group"]
            self.consumer = make(
                ottla.Consumer,
                settings,
                task["config"],
                topics=task["topics"],
                on_rebalance=rebalanced,
            )
            return
        with ottla.Admin(bootstrap_servers=task["bootstrap"]) as admin:
            topics = admin.describe_topics(task["topics"]).values()
        partitions = [(topic.name, part.partition) for topic in topics for part in topic.partitions]
        self.consumer = make(ottla.Consumer, settings, task["config"], partitions=partitions)
        lines.say_assigned(partitions)

    def poll(self, timeout_s, _):
        record = self.consumer.next(timeout=timeout_s)
        if record is not None:
            yield lines.record_of(record)

    def commit(self):
        self.consumer.commit()

    def close(self):
        self.consumer.close()


def rebalanced(event):
    if event.kind == "assigned":
        lines.say_assigned(event.partitions)
    elif event.kind in ("revoked", "lost"):
        lines.say_revoked(event.partitions)


class Admin:
    def __init__(self, task):
        settings = {"bootstrap.servers": task["bootstrap"]}
        self.admin = make(ottla.Admin, settings, task["config"])

    def create(self, topic, partitions, replication):
        self.admin.create_topic(ottla.NewTopic(topic, partitions, replication))

    def delete(self, topic):
        self.admin.delete_topics([topic])

    def topics(self):
        return [topic.name for topic in self.admin.list_topics()]

    def describe(self, topic):
        (described,) = self.admin.describe_topics([topic]).values()
        leader = lambda part: -1 if part.leader is None else part.leader  # noqa: E731
        return [(part.partition, leader(part)) for part in described.partitions]

    def close(self):
        self.admin.close()


lines.main(
    "ottla for Python", version("ottla"), ottla.OttlaError, describe, Producer, Consumer, Admin
)
