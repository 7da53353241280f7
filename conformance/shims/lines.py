"""What the shims in Python share: lines of JSON in and out, and the loops around a client.

README.md says what the lines mean. A shim gives `main` its client's name and version, the
exceptions by which the client reports failures, and three classes:

    Producer(task)  send(record, written, failed), close()
    Consumer(task)  poll(timeout_s, limit) -> records, commit(), close()
    Admin(task)     create(topic, partitions, replication), delete(topic), topics(),
                    describe(topic), close()
"""

import base64
import json
import os
import sys
import threading

PRODUCE = {
    "acks": "all",
    "idempotence": None,
    "compression": "none",
    "linger_ms": 5,
    "request_timeout_ms": 3000,
    "delivery_timeout_ms": 15000,
    "wait_each": False,
    "config": {},
}
RECORD = {"partition": None, "key": None, "value": None, "headers": [], "timestamp": None}
CONSUME = {
    "group": None,
    "offset_reset": "earliest",
    "isolation": "read_uncommitted",
    "count": None,
    "commit": True,
    "session_timeout_ms": 10000,
    "config": {},
}
ADMIN = {"config": {}}
# How long a consumer is asked for records before the end of the input is looked for.
POLL_S = 0.1

_output = threading.Lock()


def say(**fields):
    line = json.dumps(fields)
    with _output:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def say_assigned(partitions):
    say(assigned=sorted([topic, partition] for topic, partition in partitions))


def say_revoked(partitions):
    say(revoked=sorted([topic, partition] for topic, partition in partitions))


def unimplemented(why):
    """Ends the process at once: the client's threads are not waited for."""
    say(unimplemented=why)
    os._exit(89)


def encode(data):
    return None if data is None else base64.b64encode(bytes(data)).decode()


def decode(text):
    return None if text is None else base64.b64decode(text, validate=True)


def failure(code, name, retriable, message):
    return {"code": code, "name": name, "retriable": retriable, "message": message}


def lines():
    for line in sys.stdin:
        if line.strip():
            yield json.loads(line)


def _task(defaults):
    return {**defaults, **json.loads(sys.stdin.readline())}


def _record(line):
    record = {**RECORD, **line}
    record["key"], record["value"] = decode(record["key"]), decode(record["value"])
    record["headers"] = [(name, decode(value)) for name, value in record["headers"]]
    return record


def _produce(Producer, failures, describe):
    task = _task(PRODUCE)
    try:
        producer = Producer(task)
    except failures as error:
        # No client, so no record can be written: the suite wants to hear why.
        for number, _ in enumerate(lines()):
            say(record=number, error=describe(error))
        return
    for number, line in enumerate(lines()):
        answered = threading.Event()

        def written(partition, offset, number=number, answered=answered):
            say(record=number, partition=partition, offset=offset)
            answered.set()

        def failed(error, number=number, answered=answered):
            say(record=number, error=describe(error))
            answered.set()

        try:
            producer.send(_record(line), written, failed)
        except failures as error:
            failed(error)
        if task["wait_each"]:
            answered.wait()
    try:
        producer.close()
    except failures as error:
        # What it says of the records has been told.
        print(f"closing: {error!r}", file=sys.stderr)


def _consume_group(Consumer, failures, describe):
    task = _task(CONSUME)
    ended = threading.Event()

    def read_to_end():
        for _ in sys.stdin:
            pass
        ended.set()

    threading.Thread(target=read_to_end, daemon=True).start()
    try:
        consumer = Consumer(task)
    except failures as error:
        say(error=describe(error))
        return
    delivered = 0
    while not ended.is_set() and delivered != task["count"]:
        limit = None if task["count"] is None else task["count"] - delivered
        try:
            for record in consumer.poll(POLL_S, limit):
                say(**record)
                delivered += 1
        except failures as error:
            say(error=describe(error))
            if getattr(error, "fatal", False) is True:
                break
    try:
        if task["commit"] and task["group"] is not None and delivered > 0:
            consumer.commit()
    except failures as error:
        say(error=describe(error))
    try:
        consumer.close()
    except failures as error:
        say(error=describe(error))


def record_line(topic, partition, offset, timestamp, key, value, headers):
    return {
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "timestamp": timestamp,
        "key": encode(key),
        "value": encode(value),
        "headers": [[name, encode(data)] for name, data in headers or ()],
    }


def record_of(record):
    """The line of a record that has these attributes."""
    return record_line(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        record.headers,
    )


def without_unknown(make, config, refused, words):
    """What `make` makes of those settings of `config` that a client has: of one that it has not,
    it raises `refused`, whose words have the setting's name in quotes."""
    config = dict(config)
    while True:
        try:
            return make(config)
        except refused as error:
            unknown = [name for name in config if f'"{name}"' in words(error)]
            if not unknown:
                raise
            del config[unknown[0]]


def _operate(admin, line):
    operation, topic = line["operation"], line.get("topic")
    if operation == "create-topic":
        admin.create(topic, line["partitions"], line["replication"])
        return {"ok": True}
    if operation == "delete-topic":
        admin.delete(topic)
        return {"ok": True}
    if operation == "list-topics":
        return {"topics": list(admin.topics())}
    if operation == "describe-topic":
        leaders = sorted(admin.describe(topic))
        return {"partitions": [{"partition": p, "leader": leader} for p, leader in leaders]}
    return unimplemented(f"there is no operation {operation}")


def _admin(Admin, failures, describe):
    task = _task(ADMIN)
    try:
        admin = Admin(task)
    except failures as error:
        for _ in lines():
            say(error=describe(error))
        return
    for line in lines():
        try:
            say(**_operate(admin, line))
        except failures as error:
            say(error=describe(error))
    admin.close()


def main(client, version, failures, describe, Producer, Consumer, Admin):
    operation = sys.argv[1] if len(sys.argv) > 1 else ""
    if operation == "version":
        return say(client=client, version=version)
    if operation == "produce":
        _produce(Producer, failures, describe)
    elif operation == "consume-group":
        _consume_group(Consumer, failures, describe)
    elif operation == "admin":
        _admin(Admin, failures, describe)
    else:
        unimplemented(f"there is no operation {operation!r}")
    return say(done=True)
