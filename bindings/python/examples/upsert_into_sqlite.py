"""Keeps balances in SQLite, each record counted exactly once, whatever dies when.

    python upsert_into_sqlite.py 127.0.0.1:9092 balances.db

The offset is written in the same transaction as what the record changes: either both are there or
neither. After a crash the consumer goes on where the database is, not where the group's commit is,
so that a record which comes again is seen to be old.
"""

import sqlite3
import sys
from contextlib import closing

import ottla

TOPIC = "payments"

SCHEMA = """
CREATE TABLE IF NOT EXISTS balances (account TEXT PRIMARY KEY, cents INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS progress (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
);
"""


def next_offset(database: sqlite3.Connection, place: ottla.TopicPartition) -> int:
    found = database.execute(
        "SELECT next_offset FROM progress WHERE topic = ? AND partition = ?", place
    ).fetchone()
    return found[0] if found else 0


def count(database: sqlite3.Connection) -> int:
    """How many records are in."""
    total = database.execute("SELECT coalesce(sum(next_offset), 0) FROM progress").fetchone()[0]
    return int(total)


def apply(database: sqlite3.Connection, batch: ottla.Batch[str, int]) -> None:
    """Applies what is new of a batch, and how far it goes, in one transaction."""
    place = ottla.TopicPartition(batch.topic, batch.partition)
    with database:
        known = next_offset(database, place)
        database.executemany(
            "INSERT INTO balances VALUES (?, ?)"
            " ON CONFLICT (account) DO UPDATE SET cents = cents + excluded.cents",
            [(record.key, record.value) for record in batch if record.offset >= known],
        )
        database.execute(
            "INSERT INTO progress VALUES (?, ?, ?) ON CONFLICT (topic, partition)"
            " DO UPDATE SET next_offset = max(next_offset, excluded.next_offset)",
            (*place, batch.last_offset + 1),
        )


def main(servers: str, path: str, until: int | None = None) -> None:
    """Runs until the consumer is closed, or so many records are in."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript(SCHEMA)
        with (
            ottla.Admin(bootstrap_servers=servers) as admin,
            ottla.Consumer(
                bootstrap_servers=servers,
                partitions=[
                    (TOPIC, one.partition)
                    for one in admin.describe_topics([TOPIC])[TOPIC].partitions
                ],
                auto_offset_reset="earliest",
                key_deserializer=bytes.decode,
                value_deserializer=int,
            ) as consumer,
        ):
            for place in consumer.assignment():
                consumer.seek(place, next_offset(database, place))
            while until is None or count(database) < until:
                batch = consumer.next_batch()
                if batch is None:
                    break
                apply(database, batch)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
