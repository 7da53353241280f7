"""confluent-kafka's Producer and Consumer: librdkafka, a delivery callback per record."""

import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

import common


def produce(options):
    lines = common.values(options.payload)
    producer = Producer(
        {
            "bootstrap.servers": options.bootstrap,
            "acks": "all",
            "compression.type": options.codec,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    written = 0

    def delivered(error, _message):
        nonlocal written
        if error is not None:
            raise SystemExit(f"confluent-kafka: {error}")
        written += 1

    topic = options.topic
    send, poll = producer.produce, producer.poll
    start = time.perf_counter()
    for window in common.windows(options.records, lines):
        for value in window:
            while True:
                try:
                    send(topic, value, on_delivery=delivered)
                    break
                except BufferError:
                    poll(0.01)
        poll(0)
    producer.flush()
    assert written == options.records, f"{written} of {options.records} were delivered"
    common.report(options.records, start)


def consume(options):
    consumer = Consumer(
        {
            "bootstrap.servers": options.bootstrap,
            "group.id": "bench",
            "enable.auto.commit": False,
        }
    )
    start = time.perf_counter()
    consumer.assign(
        [
            TopicPartition(options.topic, partition, OFFSET_BEGINNING)
            for partition in range(common.PARTITIONS)
        ]
    )
    take = by_batch if options.by == "batch" else by_record
    records, size = take(consumer, options.records)
    common.report(records, start, size)
    consumer.close()


def by_record(consumer, wanted):
    records = size = 0
    poll = consumer.poll
    while records < wanted:
        message = poll(1.0)
        if message is None:
            continue
        if message.error() is not None:
            raise SystemExit(f"confluent-kafka: {message.error()}")
        records += 1
        size += len(message.value())
    return records, size


def by_batch(consumer, wanted):
    records = size = 0
    while records < wanted:
        for message in consumer.consume(10_000, 1.0):
            if message.error() is not None:
                raise SystemExit(f"confluent-kafka: {message.error()}")
            records += 1
            size += len(message.value())
    return records, size


if __name__ == "__main__":
    arguments = common.options()
    {"produce": produce, "consume": consume}[arguments.command](arguments)
