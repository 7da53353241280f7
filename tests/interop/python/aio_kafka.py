"""aiokafka. See wire.py for the actions."""

import asyncio
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

import wire


async def create(bootstrap, jobs):
    if not jobs:
        return
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics(
        [
            NewTopic(job["topic"], num_partitions=job["partitions"], replication_factor=1)
            for job in jobs
        ]
    )
    await admin.close()


async def produce(task):
    await create(task["bootstrap"], wire.new_topics(task["jobs"]))
    for job in task["jobs"]:
        producer = AIOKafkaProducer(
            bootstrap_servers=task["bootstrap"],
            compression_type=None if job["codec"] == "none" else job["codec"],
            enable_idempotence=True,
            linger_ms=20,
        )
        await producer.start()
        futures = [
            await producer.send(
                job["topic"],
                partition=record["partition"],
                key=wire.unhex(record["key"]),
                value=wire.unhex(record["value"]),
                headers=wire.headers_of(record),
            )
            for record in job["records"]
        ]
        for sent in await asyncio.gather(*futures):
            wire.emit("produced", topic=sent.topic, partition=sent.partition, offset=sent.offset)
        await producer.stop()


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


async def consume(task):
    consumer = AIOKafkaConsumer(
        *task["topics"],
        bootstrap_servers=task["bootstrap"],
        group_id=None,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    left, end = sum(task["topics"].values()), wire.deadline()
    while left > 0 and time.monotonic() < end:
        for messages in (await consumer.getmany(timeout_ms=500)).values():
            for message in messages:
                emit_message(message)
                left -= 1
    await consumer.stop()


class Listener(ConsumerRebalanceListener):
    async def on_partitions_revoked(self, revoked):
        pass

    async def on_partitions_assigned(self, assigned):
        wire.emit("assigned", partitions=sorted(p.partition for p in assigned))


async def member(task):
    commands = wire.Commands()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=task["bootstrap"],
        group_id=task["group"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        partition_assignment_strategy=[RangePartitionAssignor],
        session_timeout_ms=10000,
        heartbeat_interval_ms=300,
    )
    consumer.subscribe([task["topic"]], listener=Listener())
    await consumer.start()
    while not commands.leave.is_set():
        for partition, messages in (await consumer.getmany(timeout_ms=100)).items():
            for message in messages:
                emit_message(message)
            offset = messages[-1].offset + 1
            await consumer.commit({TopicPartition(partition.topic, partition.partition): offset})
            wire.emit("committed", partition=partition.partition, offset=offset)
    await consumer.stop()
    wire.emit("left")


def run(action):
    return lambda task: asyncio.run(action(task))


wire.main(produce=run(produce), consume=run(consume), member=run(member))
