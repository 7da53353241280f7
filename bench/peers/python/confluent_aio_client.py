"""confluent-kafka's AIOProducer and AIOConsumer: the same library behind a pool of threads."""

import asyncio
import time

from confluent_kafka import OFFSET_BEGINNING, TopicPartition
from confluent_kafka.aio import AIOConsumer, AIOProducer

import common


async def produce(options):
    lines = common.values(options.payload)
    producer = AIOProducer(
        {
            "bootstrap.servers": options.bootstrap,
            "acks": "all",
            "compression.type": options.codec,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    topic = options.topic
    start = time.perf_counter()
    before = []
    for window in common.windows(options.records, lines):
        futures = [await producer.produce(topic, value) for value in window]
        # One window is on its way while the next is made.
        await asyncio.gather(*before)
        before = futures
    await producer.flush()
    await asyncio.gather(*before)
    common.report(options.records, start)
    await producer.close()


async def consume(options):
    consumer = AIOConsumer(
        {
            "bootstrap.servers": options.bootstrap,
            "group.id": "bench",
            "enable.auto.commit": False,
        }
    )
    start = time.perf_counter()
    await consumer.assign(
        [
            TopicPartition(options.topic, partition, OFFSET_BEGINNING)
            for partition in range(common.PARTITIONS)
        ]
    )
    records = size = 0
    by_record = options.by == "record"
    while records < options.records:
        if by_record:
            message = await consumer.poll(1.0)
            messages = [] if message is None else [message]
        else:
            messages = await consumer.consume(10_000, 1.0)
        for message in messages:
            if message.error() is not None:
                raise SystemExit(f"confluent-kafka: {message.error()}")
            records += 1
            size += len(message.value())
    common.report(records, start, size)
    await consumer.close()


if __name__ == "__main__":
    arguments = common.options()
    asyncio.run({"produce": produce, "consume": consume}[arguments.command](arguments))
