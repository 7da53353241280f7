"""ottla for threads: a delivery per record, each asked for its result."""

import time

import common
import ottla


def produce(options):
    lines = common.values(options.payload)
    producer = ottla.Producer(
        bootstrap_servers=options.bootstrap, acks="all", compression_type=options.codec
    )
    topic, send = options.topic, producer.send
    start = time.perf_counter()
    before = []
    for window in common.windows(options.records, lines):
        if options.many:
            deliveries = [producer.send_many(topic, window)]
        else:
            deliveries = [send(topic, value) for value in window]
        # One window is on its way while the next is made.
        for delivery in before:
            delivery.result()
        before = deliveries
    for delivery in before:
        delivery.result()
    common.report(options.records, start)
    producer.close()


def consume(options):
    partitions = [(options.topic, partition) for partition in range(common.PARTITIONS)]
    consumer = ottla.Consumer(
        bootstrap_servers=options.bootstrap, auto_offset_reset="earliest", partitions=partitions
    )
    take = by_batch if options.by == "batch" else by_record
    start = time.perf_counter()
    records, size = take(consumer, options.records)
    common.report(records, start, size)
    consumer.close()


def by_record(consumer, wanted):
    records = size = 0
    for record in consumer:
        records += 1
        size += len(record.value)
        if records == wanted:
            break
    return records, size


def by_batch(consumer, wanted):
    records = size = 0
    for batch in consumer.batches():
        for value in batch.values:
            size += len(value)
        records += len(batch)
        if records >= wanted:
            break
    return records, size


if __name__ == "__main__":
    arguments = common.options()
    {"produce": produce, "consume": consume}[arguments.command](arguments)
