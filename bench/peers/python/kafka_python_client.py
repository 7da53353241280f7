"""kafka-python: a future per record."""

import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

import common


def produce(options):
    lines = common.values(options.payload)
    producer = KafkaProducer(
        bootstrap_servers=options.bootstrap,
        acks="all",
        compression_type=None if options.codec == "none" else options.codec,
    )
    topic, send = options.topic, producer.send
    start = time.perf_counter()
    before = []
    for window in common.windows(options.records, lines):
        futures = [send(topic, value) for value in window]
        for future in before:
            future.get(timeout=60)
        before = futures
    for future in before:
        future.get(timeout=60)
    common.report(options.records, start)
    producer.close()


def consume(options):
    consumer = KafkaConsumer(
        bootstrap_servers=options.bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        consumer_timeout_ms=60_000,
    )
    start = time.perf_counter()
    consumer.assign(
        [TopicPartition(options.topic, partition) for partition in range(common.PARTITIONS)]
    )
    records = size = 0
    if options.by == "record":
        for message in consumer:
            records += 1
            size += len(message.value)
            if records == options.records:
                break
    else:
        while records < options.records:
            for messages in consumer.poll(1000, max_records=10_000).values():
                for message in messages:
                    records += 1
                    size += len(message.value)
    common.report(records, start, size)
    consumer.close()


if __name__ == "__main__":
    arguments = common.options()
    {"produce": produce, "consume": consume}[arguments.command](arguments)
