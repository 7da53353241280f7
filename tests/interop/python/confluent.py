"""librdkafka, by confluent-kafka. See wire.py for the actions."""

import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import wire


def create(bootstrap, jobs):
    if not jobs:
        return
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topics = [NewTopic(job["topic"], job["partitions"], 1) for job in jobs]
    for future in admin.create_topics(topics).values():
        future.result(wire.DEADLINE_S)


def produce(task):
    create(task["bootstrap"], wire.new_topics(task["jobs"]))
    for job in task["jobs"]:
        producer = Producer(
            {
                "bootstrap.servers": task["bootstrap"],
                "compression.type": job["codec"],
                "enable.idempotence": True,
                "linger.ms": 20,
            }
        )
        reports = [None] * len(job["records"])

        def report(index):
            def done(error, message):
                if error is not None:
                    raise KafkaException(error)
                reports[index] = message

            return done

        for index, record in enumerate(job["records"]):
            producer.produce(
                job["topic"],
                partition=record["partition"],
                key=wire.unhex(record["key"]),
                value=wire.unhex(record["value"]),
                headers=wire.headers_of(record),
                on_delivery=report(index),
            )
        if producer.flush(wire.DEADLINE_S) > 0:
            raise TimeoutError("records are left in the queue")
        for message in reports:
            wire.emit(
                "produced",
                topic=message.topic(),
                partition=message.partition(),
                offset=message.offset(),
            )


def emit_message(message):
    wire.emit_record(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        message.headers(),
    )


def consume(task):
    consumer = Consumer(
        {"bootstrap.servers": task["bootstrap"], "group.id": "none", "enable.auto.commit": False}
    )
    partitions = []
    for topic in task["topics"]:
        metadata = consumer.list_topics(topic, wire.DEADLINE_S).topics[topic]
        partitions += [TopicPartition(topic, id, OFFSET_BEGINNING) for id in metadata.partitions]
    consumer.assign(partitions)
    left, end = sum(task["topics"].values()), wire.deadline()
    while left > 0 and time.monotonic() < end:
        message = consumer.poll(0.5)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        emit_message(message)
        left -= 1
    consumer.close()


def member(task):
    commands = wire.Commands()
    consumer = Consumer(
        {
            "bootstrap.servers": task["bootstrap"],
            "group.id": task["group"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "partition.assignment.strategy": "range",
            "session.timeout.ms": 10000,
            "heartbeat.interval.ms": 300,
        }
    )

    def assigned(_, partitions):
        wire.emit("assigned", partitions=sorted(p.partition for p in partitions))

    consumer.subscribe([task["topic"]], on_assign=assigned)
    while not commands.leave.is_set():
        message = consumer.poll(0.1)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        emit_message(message)
        committed = consumer.commit(message, asynchronous=False)
        wire.emit("committed", partition=committed[0].partition, offset=committed[0].offset)
    consumer.close()
    wire.emit("left")


wire.main(produce=produce, consume=consume, member=member)
