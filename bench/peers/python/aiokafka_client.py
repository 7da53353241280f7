"""aiokafka: a future per record, on asyncio."""

import asyncio
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

import common


async def produce(options):
    lines = common.values(options.payload)
    producer = AIOKafkaProducer(
        bootstrap_servers=options.bootstrap,
        acks="all",
        compression_type=None if options.codec == "none" else options.codec,
    )
    await producer.start()
    topic = options.topic
    start = time.perf_counter()
    before = []
    for window in common.windows(options.records, lines):
        futures = [await producer.send(topic, value) for value in window]
        await asyncio.gather(*before)
        before = futures
    await asyncio.gather(*before)
    common.report(options.records, start)
    await producer.stop()


async def consume(options):
    consumer = AIOKafkaConsumer(
        bootstrap_servers=options.bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    start = time.perf_counter()
    consumer.assign(
        [TopicPartition(options.topic, partition) for partition in range(common.PARTITIONS)]
    )
    await consumer.start()
    records = size = 0
    if options.by == "record":
        async for message in consumer:
            records += 1
            size += len(message.value)
            if records == options.records:
                break
    else:
        while records < options.records:
            fetched = await consumer.getmany(timeout_ms=1000, max_records=10_000)
            for messages in fetched.values():
                for message in messages:
                    records += 1
                    size += len(message.value)
    common.report(records, start, size)
    await consumer.stop()


if __name__ == "__main__":
    arguments = common.options()
    asyncio.run({"produce": produce, "consume": consume}[arguments.command](arguments))
