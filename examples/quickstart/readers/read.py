"""Reads a topic to its end and says, as JSON, what came: python3 read.py BOOTSTRAP TOPIC COUNT."""

import json
import platform
import sys
import time
from collections import Counter

import ottla

# A record that does not come for so long does not come at all.
STALL_S = 30.0


def read(bootstrap: str, topic: str, partitions: int) -> dict[str, object]:
    began = time.monotonic()
    rows: list[int] = []
    counts: Counter[str] = Counter()
    size = 0
    of = [(topic, number) for number in range(partitions)]
    with ottla.Consumer(
        partitions=of, bootstrap_servers=bootstrap, auto_offset_reset="earliest"
    ) as consumer:
        left = sum(consumer.end_offsets(of).values())
        while left > 0:
            batch = consumer.next_batch(timeout=STALL_S)
            if batch is None:
                break
            left -= len(batch)
            for record in batch:
                headers = dict(record.headers)
                rows.append(int.from_bytes(headers.get("row") or b"\xff", "big"))
                key, value = record.key or b"", record.value or b""
                counts[key.decode(errors="replace")] += 1
                size += len(key) + len(value)
    return {
        "version": f"Python {platform.python_version()}",
        "rows": rows,
        "counts": counts,
        "bytes": size,
        "seconds": time.monotonic() - began,
    }


if __name__ == "__main__":
    bootstrap, topic, partitions = sys.argv[1:]
    print(json.dumps(read(bootstrap, topic, int(partitions))))
