"""kafka-python. See wire.py for the actions."""

import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.structs import OffsetAndMetadata

import wire


def create(bootstrap, jobs):
    if not jobs:
        return
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics(
        [
            NewTopic(job["topic"], num_partitions=job["partitions"], replication_factor=1)
            for job in jobs
        ]
    )
    admin.close()


def produce(task):
    create(task["bootstrap"], wire.new_topics(task["jobs"]))
    for job in task["jobs"]:
        producer = KafkaProducer(
            bootstrap_servers=task["bootstrap"],
            compression_type=None if job["codec"] == "none" else job["codec"],
            acks="all",
            linger_ms=20,
        )
        futures = [
            producer.send(
                job["topic"],
                partition=record["partition"],
                key=wire.unhex(record["key"]),
                value=wire.unhex(record["value"]),
                headers=wire.headers_of(record),
            )
            for record in job["records"]
        ]
        producer.flush(wire.DEADLINE_S)
        for future in futures:
            sent = future.get(wire.DEADLINE_S)
            wire.emit("produced", topic=sent.topic, partition=sent.partition, offset=sent.offset)
        producer.close()


def emit_message(message):
    wire.emit_record(
        message.topic,
        message.partition,
        message.offset,
        message.timestamp,
        message.key,
        message.value,
        message.headers,
    )


def consume(task):
    consumer = KafkaConsumer(
        bootstrap_servers=task["bootstrap"],
        group_id=None,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    partitions = [
        TopicPartition(topic, id)
        for topic in task["topics"]
        for id in sorted(consumer.partitions_for_topic(topic))
    ]
    consumer.assign(partitions)
    left, end = sum(task["topics"].values()), wire.deadline()
    while left > 0 and time.monotonic() < end:
        for messages in consumer.poll(timeout_ms=500).values():
            for message in messages:
                emit_message(message)
                left -= 1
    consumer.close()


class Listener(ConsumerRebalanceListener):
    def on_partitions_revoked(self, revoked):
        pass

    def on_partitions_assigned(self, assigned):
        wire.emit("assigned", partitions=sorted(p.partition for p in assigned))


def member(task):
    commands = wire.Commands()
    consumer = KafkaConsumer(
        bootstrap_servers=task["bootstrap"],
        group_id=task["group"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        partition_assignment_strategy=[RangePartitionAssignor],
        session_timeout_ms=10000,
        heartbeat_interval_ms=300,
    )
    consumer.subscribe([task["topic"]], listener=Listener())
    # Learn the partitions before the first join. Else the leader assigns nothing, joins again once
    # the metadata is there, and where poll() times out between that JoinGroup and its SyncGroup,
    # kafka-python 3.0.12 never takes in the assignment: its reason to rejoin is gone by then
    # (join_group_async loops on need_rejoin()), and the member idles for good.
    if not consumer.partitions_for_topic(task["topic"]):
        raise SystemExit(f"no partitions known of {task['topic']}")
    while not commands.leave.is_set():
        for partition, messages in consumer.poll(timeout_ms=100).items():
            for message in messages:
                emit_message(message)
            offset = messages[-1].offset + 1
            consumer.commit({partition: OffsetAndMetadata(offset, "", -1)})
            wire.emit("committed", partition=partition.partition, offset=offset)
    consumer.close()
    wire.emit("left")


wire.main(produce=produce, consume=consume, member=member)
