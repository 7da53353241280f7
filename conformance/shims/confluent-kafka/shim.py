"""librdkafka, by confluent-kafka for Python."""

import sys
import threading
from pathlib import Path

import confluent_kafka
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

sys.path.insert(0, str(Path(__file__).parent.parent))
import lines  # noqa: E402

# Kafka's names for what librdkafka calls otherwise.
NAMES = {"fetch.max.wait.ms": "fetch.wait.max.ms"}
RESETS = {"none": "error"}
# What a flush, a question about the cluster or an operation of an administrator may take.
LIMIT_S = 60


def describe(raised):
    error = raised.args[0] if isinstance(raised, KafkaException) else raised
    if not isinstance(error, confluent_kafka.KafkaError):
        return lines.failure(None, type(error).__name__, None, str(error))
    code = error.code()
    # It says "retriable" of transactions only: no is no answer.
    return lines.failure(
        code if code >= 0 else None, error.name(), error.retriable() or None, error.str()
    )


def make(kind, settings, config):
    """A client with those settings of `config` that librdkafka has."""
    config = {NAMES.get(name, name): value for name, value in config.items()}
    if "metadata.max.age.ms" in config:
        config["topic.metadata.refresh.interval.ms"] = config["metadata.max.age.ms"]
    if "fetch.max.bytes" in config:
        # It refuses less than a message may have, which is 1000 at least.
        config["fetch.max.bytes"] = max(int(config["fetch.max.bytes"]), 1000)
        config["message.max.bytes"] = config["fetch.max.bytes"]
    made = lambda config: kind({**config, **settings})  # noqa: E731
    return lines.without_unknown(made, config, KafkaException, lambda error: error.args[0].str())


class Producer:
    def __init__(self, task):
        self.topic, self.limit_s = task["topic"], task["delivery_timeout_ms"] / 1000 + LIMIT_S
        settings = {
            "bootstrap.servers": task["bootstrap"],
            "acks": task["acks"],
            "compression.type": task["compression"],
            "linger.ms": task["linger_ms"],
            # The first is what it asks of the broker, the second its own patience.
            "request.timeout.ms": task["request_timeout_ms"],
            "socket.timeout.ms": task["request_timeout_ms"],
            "delivery.timeout.ms": task["delivery_timeout_ms"],
        }
        if task["idempotence"] is not None:
            settings["enable.idempotence"] = task["idempotence"]
        self.producer = make(confluent_kafka.Producer, settings, task["config"])
        self.open = True
        self.poller = threading.Thread(target=self.poll)
        self.poller.start()

    def poll(self):
        while self.open:
            self.producer.poll(lines.POLL_S)

    def send(self, record, written, failed):
        def delivered(error, message):
            if error is not None:
                failed(error)
            else:
                offset = message.offset()
                written(message.partition(), -1 if offset is None or offset < 0 else offset)

        options = {}
        if record["partition"] is not None:
            options["partition"] = record["partition"]
        if record["timestamp"] is not None:
            options["timestamp"] = record["timestamp"]
        self.producer.produce(
            self.topic,
            key=record["key"],
            value=record["value"],
            headers=record["headers"],
            on_delivery=delivered,
            **options,
        )

    def close(self):
        self.producer.flush(self.limit_s)
        self.open = False
        self.poller.join()


class Consumer:
    def __init__(self, task):
        config = dict(task["config"])
        if "request.timeout.ms" in config:
            config["socket.timeout.ms"] = config.pop("request.timeout.ms")
        settings = {
            "bootstrap.servers": task["bootstrap"],
            "group.id": task["group"] or "none",
            "auto.offset.reset": RESETS.get(task["offset_reset"], task["offset_reset"]),
            "isolation.level": task["isolation"],
            "session.timeout.ms": task["session_timeout_ms"],
            "enable.auto.commit": False,
        }
        self.consumer = make(confluent_kafka.Consumer, settings, config)
        if task["group"] is not None:
            self.consumer.subscribe(
                task["topics"],
                on_assign=lambda _, partitions: lines.say_assigned(places(partitions)),
                on_revoke=lambda _, partitions: lines.say_revoked(places(partitions)),
            )
            return
        start = {"earliest": confluent_kafka.OFFSET_BEGINNING, "latest": confluent_kafka.OFFSET_END}
        partitions = []
        for topic in task["topics"]:
            metadata = self.consumer.list_topics(topic, LIMIT_S).topics[topic]
            if metadata.error is not None:
                raise KafkaException(metadata.error)
            offset = start[task["offset_reset"]]
            partitions += [TopicPartition(topic, id, offset) for id in metadata.partitions]
        self.consumer.assign(partitions)
        lines.say_assigned(places(partitions))

    def poll(self, timeout_s, _):
        message = self.consumer.poll(timeout_s)
        if message is None:
            return
        if message.error() is not None:
            raise KafkaException(message.error())
        yield lines.record_line(
            message.topic(),
            message.partition(),
            message.offset(),
            message.timestamp()[1],
            message.key(),
            message.value(),
            message.headers(),
        )

    def commit(self):
        self.consumer.commit(asynchronous=False)

    def close(self):
        self.consumer.close()


class Admin:
    def __init__(self, task):
        settings = {"bootstrap.servers": task["bootstrap"]}
        config = dict(task["config"])
        if "request.timeout.ms" in config:
            config["socket.timeout.ms"] = config.pop("request.timeout.ms")
        self.limit_s = int(config.pop("default.api.timeout.ms", LIMIT_S * 1000)) / 1000
        self.admin = make(AdminClient, settings, config)

    def create(self, topic, partitions, replication):
        topic = NewTopic(topic, partitions, replication)
        self.wait(self.admin.create_topics([topic], request_timeout=self.limit_s))

    def delete(self, topic):
        self.wait(self.admin.delete_topics([topic], request_timeout=self.limit_s))

    def topics(self):
        return self.admin.list_topics(timeout=self.limit_s).topics

    def describe(self, topic):
        topics = confluent_kafka.TopicCollection([topic])
        described = self.wait(self.admin.describe_topics(topics, request_timeout=self.limit_s))
        leader = lambda part: -1 if part.leader is None else part.leader.id  # noqa: E731
        return [(part.id, leader(part)) for part in described.partitions]

    @staticmethod
    def wait(futures):
        (future,) = futures.values()
        return future.result()

    def close(self):
        pass


def places(partitions):
    return [(partition.topic, partition.partition) for partition in partitions]


lines.main(
    "confluent-kafka",
    f"{confluent_kafka.__version__} (librdkafka {confluent_kafka.libversion()[0]})",
    (KafkaException, BufferError, ValueError),
    describe,
    Producer,
    Consumer,
    Admin,
)
