"""Counts the books that were ordered. Start it more than once: the instances share the partitions.

    python consume_in_a_group.py 127.0.0.1:9092

Ctrl-C ends it, here at most 0.1 s after.
"""

import json
import sys

import ottla


def main(servers: str, until: int | None = None) -> None:
    books = 0
    with ottla.Consumer(
        bootstrap_servers=servers,
        group_id="book-counter",
        topics="orders",
        auto_offset_reset="earliest",
        value_deserializer=json.loads,
        on_rebalance=print,
    ) as consumer:
        try:
            for record in consumer:
                order = record.value
                if order is None:
                    continue
                books += int(order["count"])
                print(f"{record.topic}-{record.partition} offset {record.offset}: {books} books")
                # A record is finished when the next is asked for, and is committed by itself in
                # time. Whoever wants to be sure at this very place commits.
                if order["id"] == until:
                    consumer.commit()
                    break
        except KeyboardInterrupt:
            print("interrupted")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
