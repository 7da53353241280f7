"""What the scripts of all Python clients share: one JSON object a line, in and out.

A script is called with an action. The first line of its standard input is the task; `member` then
takes commands, one a line. Bytes travel as hexadecimal text, null as null.

    produce  {"bootstrap", "jobs": [{"topic", "partitions", "codec", "records": [record]}]}
             makes each topic (0 partitions: it is there already) and answers one "produced" per
             record, in order
    consume  {"bootstrap", "topics": {topic: count}}
             answers one "record" per record, from the earliest offset
    member   {"bootstrap", "group", "topic"}
             joins, answers "assigned" and "record", commits what it was given ("committed");
             the command "leave" ends it ("left")
"""

import json
import sys
import threading
import time

DEADLINE_S = 25.0


def emit(event, **fields):
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


def unhex(text):
    return None if text is None else bytes.fromhex(text)


def tohex(data):
    return None if data is None else bytes(data).hex()


def headers_of(record):
    return [(name, unhex(value)) for name, value in record["headers"]]


def emit_record(topic, partition, offset, timestamp, key, value, headers):
    emit(
        "record",
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp=timestamp,
        key=tohex(key),
        value=tohex(value),
        headers=[[name, tohex(data)] for name, data in headers or []],
    )


def task():
    return json.loads(sys.stdin.readline())


def new_topics(jobs):
    return [job for job in jobs if job["partitions"] > 0]


def deadline():
    return time.monotonic() + DEADLINE_S


class Commands:
    """Lines of standard input, read on the side. The end of the input means leave as well."""

    def __init__(self):
        self.leave = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in sys.stdin:
            if line.strip() == "leave":
                break
        self.leave.set()


def main(**actions):
    actions[sys.argv[1]](task())
