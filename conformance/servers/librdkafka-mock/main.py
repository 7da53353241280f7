"""librdkafka's mock cluster as a target: prints the address of its one broker and librdkafka's
version, and lives until its standard input closes."""

import os
import sys

from confluent_kafka import Producer, libversion

producer = Producer({"test.mock.num.brokers": 1, "log_level": 3})
[broker] = producer.list_topics(timeout=30).brokers.values()
print(f"{broker.host}:{broker.port} {libversion()[0]}", flush=True)
sys.stdin.buffer.read()
# Its threads may still be at work for a test: they need no farewell.
os._exit(0)
