"""ottla.aio: a delivery per record, awaited in bulk."""

import asyncio
import time

import common
from ottla import aio


async def produce(options):
    lines = common.values(options.payload)
    producer = await aio.Producer(
        bootstrap_servers=options.bootstrap, acks="all", compression_type=options.codec
    )
    topic, send = options.topic, producer.send
    start = time.perf_counter()
    before = []
    for window in common.windows(options.records, lines):
        deliveries = [await send(topic, value) for value in window]
        # One window is on its way while the next is made.
        for delivery in before:
            await delivery
        before = deliveries
    for delivery in before:
        await delivery
    common.report(options.records, start)
    await producer.close()


async def consume(options):
    partitions = [(options.topic, partition) for partition in range(common.PARTITIONS)]
    consumer = await aio.Consumer(
        bootstrap_servers=options.bootstrap, auto_offset_reset="earliest", partitions=partitions
    )
    take = by_batch if options.by == "batch" else by_record
    start = time.perf_counter()
    records, size = await take(consumer, options.records)
    common.report(records, start, size)
    await consumer.close()


async def by_record(consumer, wanted):
    records = size = 0
    async for record in consumer:
        records += 1
        size += len(record.value)
        if records == wanted:
            break
    return records, size


async def by_batch(consumer, wanted):
    records = size = 0
    async for batch in consumer.batches():
        for value in batch.values:
            size += len(value)
        records += len(batch)
        if records >= wanted:
            break
    return records, size


def run(work):
    """On asyncio's own loop, or on uvloop's."""
    if arguments.uvloop:
        import uvloop

        uvloop.run(work)
    else:
        asyncio.run(work)


if __name__ == "__main__":
    arguments = common.options()
    run({"produce": produce, "consume": consume}[arguments.command](arguments))
