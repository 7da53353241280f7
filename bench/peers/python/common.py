"""The command line that every client of the comparison has, and the one line that it prints."""

import argparse
import json
import time

PARTITIONS = 6

# Deliveries that a program looks at together: what is in flight stays bounded, as in a service.
WINDOW = 10_000


def options():
    """Reads the command line: `produce` or `consume`, the topic, how many records."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["produce", "consume"])
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--payload", help="lines that are the records' values")
    parser.add_argument("--codec", default="none")
    parser.add_argument("--by", choices=["record", "batch"], default="record")
    parser.add_argument("--many", action="store_true", help="many records a call")
    parser.add_argument("--uvloop", action="store_true")
    return parser.parse_args()


def values(path):
    """The lines of a file, as bytes."""
    with open(path, "rb") as file:
        return [line for line in file.read().split(b"\n") if line]


def report(records, start, size=None):
    """Prints what the comparison reads: records, and seconds since `start`."""
    line = {"records": records, "seconds": time.perf_counter() - start}
    if size is not None:
        line["bytes"] = size
    print(json.dumps(line))


def windows(records, lines):
    """Values for so many records, `WINDOW` at a time."""
    reach = len(lines)
    done = 0
    while done < records:
        count = min(WINDOW, records - done)
        at = done % reach
        window = lines[at : at + count]
        while len(window) < count:
            window += lines[: count - len(window)]
        yield window
        done += count
