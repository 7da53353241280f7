"""The broker's port for faults: JSON objects, one a line, each answered by one line."""

import json
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ottla_testing._errors import BrokerError, FaultError

#: How long an answer may take, in seconds: the broker is beside us, even if it is paused.
PATIENCE = 10.0

#: The object of an answer.
Answer = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """A fault and what became of it."""

    #: By which it can be cleared.
    id: int
    #: ``inject``, ``delay``, ``drop`` or ``throttle``.
    command: str
    #: The API whose requests it fits; all when None.
    api: str | None
    #: To how many requests it was applied.
    applied: int
    #: To how many it still will be; None is without end.
    left: int | None
    #: What it was set with: ``error``, ``ms``, ``topic`` and so on.
    fields: Mapping[str, str | int | bool] = field(default_factory=dict[str, str | int | bool])


@dataclass(frozen=True)
class RequestCount:
    """How many requests of one API the clients sent."""

    #: All of them.
    total: int
    #: By version.
    versions: Mapping[int, int] = field(default_factory=dict[int, int])


class Port:
    """A connection to the port. Used by one thread at a time, the others wait."""

    def __init__(self, host: str, port: int) -> None:
        self._lock = threading.Lock()
        self._socket = socket.create_connection((host, port), timeout=PATIENCE)
        self._lines = self._socket.makefile("rb")

    def call(self, command: str, **fields: object) -> Answer:
        """Sends a command and returns its answer. None counts as left away.

        Raises :class:`FaultError` with the broker's words when it refuses, :class:`BrokerError`
        when it does not answer.
        """
        line = json.dumps({"command": command, **fields}) + "\n"
        try:
            with self._lock:
                self._socket.sendall(line.encode())
                answer: Answer = json.loads(self._lines.readline())
        except (OSError, ValueError) as error:
            text = f"the broker does not answer {command} on its port for faults"
            raise BrokerError(f"{text}: {error}") from error
        if answer.get("ok") is not True:
            raise FaultError(answer.get("error", f"{command} was refused"))
        return answer

    def close(self) -> None:
        """Ends the connection; the faults stay."""
        self._lines.close()
        self._socket.close()


def read_faults(answer: Answer) -> list[Fault]:
    """The faults of an answer to ``faults``."""
    known = ("id", "command", "api", "applied", "left")

    def one(entry: dict[str, Any]) -> Fault:
        rest = {k: v for k, v in entry.items() if k not in known and v is not None}
        return Fault(**{k: entry[k] for k in known}, fields=MappingProxyType(rest))

    return [one(entry) for entry in answer["faults"]]


def read_requests(answer: Answer) -> dict[str, RequestCount]:
    """The counters of an answer to ``requests``."""

    def one(entry: dict[str, Any]) -> RequestCount:
        versions = {int(version): count for version, count in entry["versions"].items()}
        return RequestCount(entry["total"], MappingProxyType(versions))

    return {api: one(entry) for api, entry in answer["requests"].items()}
