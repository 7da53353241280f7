"""kafka-python."""

import sys
from pathlib import Path

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.errors import KafkaError, for_code
from kafka.structs import OffsetAndMetadata

sys.path.insert(0, str(Path(__file__).parent.parent))
import lines  # noqa: E402


def describe(error):
    code = getattr(error, "errno", None)
    name = getattr(error, "message", None) or type(error).__name__
    retriable = error.retriable if isinstance(error, KafkaError) else None
    return lines.failure(code, name, retriable, str(error))


def known(kind, config):
    """Those settings that it has, by its names."""
    settings = {name.replace(".", "_"): value for name, value in config.items()}
    known = {name: value for name, value in settings.items() if name in kind.DEFAULT_CONFIG}
    return {name: number(value) for name, value in known.items()}


def number(value):
    """Settings come as numbers or as text; it does not read numbers from text."""
    return int(value) if isinstance(value, str) and value.lstrip("-").isdigit() else value


class Producer:
    def __init__(self, task):
        self.topic = task["topic"]
        settings = {
            "bootstrap_servers": task["bootstrap"],
            "acks": {"all": "all", "1": 1, "0": 0}[task["acks"]],
            "compression_type": None if task["compression"] == "none" else task["compression"],
            "linger_ms": task["linger_ms"],
            "request_timeout_ms": task["request_timeout_ms"],
            "delivery_timeout_ms": task["delivery_timeout_ms"],
            "max_block_ms": task["delivery_timeout_ms"],
            "bootstrap_timeout_ms": task["delivery_timeout_ms"],
        }
        if task["idempotence"] is not None:
            settings["enable_idempotence"] = task["idempotence"]
        self.producer = KafkaProducer(**{**known(KafkaProducer, task["config"]), **settings})

    def send(self, record, written, failed):
        if any(value is None for _, value in record["headers"]):
            lines.unimplemented("kafka-python refuses a header whose value is null")
        if record["key"] is None and record["value"] is None:
            lines.unimplemented("kafka-python refuses a record with neither key nor value")
        record["timestamp_ms"] = record.pop("timestamp")
        future = self.producer.send(self.topic, **record)
        future.add_callback(lambda sent: written(sent.partition, sent.offset))
        future.add_errback(failed)

    def close(self):
        self.producer.close()


class Listener(ConsumerRebalanceListener):
    def on_partitions_revoked(self, revoked):
        if revoked:
            lines.say_revoked(revoked)

    def on_partitions_assigned(self, assigned):
        lines.say_assigned(assigned)


class Consumer:
    def __init__(self, task):
        self.delivered = {}
        settings = {
            "bootstrap_servers": task["bootstrap"],
            "group_id": task["group"],
            "auto_offset_reset": task["offset_reset"],
            "isolation_level": task["isolation"],
            "session_timeout_ms": task["session_timeout_ms"],
            "enable_auto_commit": False,
        }
        self.consumer = KafkaConsumer(**{**known(KafkaConsumer, task["config"]), **settings})
        if task["group"] is not None:
            self.consumer.subscribe(task["topics"], listener=Listener())
            # Before the first join: a leader that knows no partitions assigns nothing, and where
            # a poll times out between the JoinGroup after that and its SyncGroup, 3.0.12 never
            # takes in what is assigned then.
            for topic in task["topics"]:
                self.consumer.partitions_for_topic(topic)
            return
        partitions = [
            TopicPartition(topic, id)
            for topic in task["topics"]
            for id in self.consumer.partitions_for_topic(topic) or ()
        ]
        self.consumer.assign(partitions)
        lines.say_assigned(partitions)

    def poll(self, timeout_s, limit):
        polled = self.consumer.poll(timeout_ms=int(timeout_s * 1000), max_records=limit)
        for partition, records in polled.items():
            for record in records:
                self.delivered[partition] = OffsetAndMetadata(record.offset + 1, "", -1)
                yield lines.record_of(record)

    def commit(self):
        self.consumer.commit(self.delivered)

    def close(self):
        self.consumer.close()


class Admin:
    def __init__(self, task):
        settings = known(KafkaAdminClient, task["config"])
        self.admin = KafkaAdminClient(**{**settings, "bootstrap_servers": task["bootstrap"]})

    def create(self, topic, partitions, replication):
        options = {"num_partitions": partitions, "replication_factor": replication}
        self.admin.create_topics({topic: options})

    def delete(self, topic):
        self.admin.delete_topics([topic])

    def topics(self):
        return self.admin.list_topics()

    def describe(self, topic):
        (described,) = self.admin.describe_topics([topic])
        if described["error_code"] != 0:
            raise for_code(described["error_code"])(topic)
        return [(part["partition_index"], part["leader_id"]) for part in described["partitions"]]

    def close(self):
        self.admin.close()


lines.main(
    "kafka-python",
    kafka.__version__,
    # Not all that it raises is its own: a damaged batch raises what the codec's package does.
    Exception,
    describe,
    Producer,
    Consumer,
    Admin,
)
