"""The broker of a test."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self

from ottla_testing import _port, _process
from ottla_testing._binary import find_binary
from ottla_testing._errors import BrokerError
from ottla_testing._port import Fault, Port, RequestCount
from ottla_testing._process import Keeper, Process

ConfigValue = str | int | float | bool


class Broker:
    """A Kafka broker in a process of its own.

    It runs from :meth:`start` to :meth:`close`, or inside of ``with``. It ends by itself when this
    process ends, however that happens. Methods may be called from any thread; they take
    milliseconds.

    Faults apply until they are cleared, or to as many requests as ``times`` says. Of several of one
    kind the oldest that has times left applies, so a series of errors is a series of calls.
    """

    def __init__(
        self,
        config: Mapping[str, ConfigValue] | None = None,
        *,
        data_dir: str | os.PathLike[str] | None = None,
        binary: str | os.PathLike[str] | None = None,
    ) -> None:
        """A broker that does not run yet.

        :param config: Kafka's broker properties, such as ``{"num.partitions": 3}``, over those of
            ``ottla-broker dev``.
        :param data_dir: A folder that stays; by default a new one, removed at the end.
        :param binary: The program, instead of the package's own.
        """
        self._config = {name: _text(value) for name, value in (config or {}).items()}
        self._own_folder = data_dir is None
        self._data_dir = None if data_dir is None else Path(data_dir)
        self._binary = binary
        self._log: IO[bytes] | None = None
        self._old_log = ""
        self._port: int | None = None
        self._process: Process | None = None
        self._keeper: Keeper | None = None
        self._faults: Port | None = None

    def start(self) -> Self:
        """Starts it; returns when it serves. Does nothing when it runs.

        :raises BrokerError: There is no program, or it did not start; the text has its reason.
        """
        if self.is_running:
            return self
        self.kill()
        binary = find_binary(self._binary)
        if self._log is None:
            self._log = tempfile.TemporaryFile(prefix="ottla-broker-log-")
        if self._data_dir is None:
            self._data_dir = Path(tempfile.mkdtemp(prefix="ottla-testing-"))
        line = _process.arguments(binary, self._data_dir, self._own_folder, self._config)
        try:
            if self._port is None:
                self._port, self._process = _process.start_on_free_port(line, self._log)
            else:
                self._process = Process([*line, "--port", str(self._port)], self._log)
            self._dismiss_keeper()
            self._faults = Port("127.0.0.1", self._process.faults_port)
        except BaseException:
            if self._port is None:
                self.close()
            raise
        return self

    def close(self) -> None:
        """Ends it and removes its data, unless the folder was given. May be called again; the
        broker can be started anew, empty and on another port."""
        process, self._process = self._process, None
        self._close_port()
        try:
            if process is not None:
                process.end()
        finally:
            self._old_log = self.log()
            if self._log is not None:
                self._log.close()
                self._log = None
            if self._own_folder and self._data_dir is not None:
                # A broker that was killed has left it.
                shutil.rmtree(self._data_dir, ignore_errors=True)
                self._data_dir = None
            self._dismiss_keeper()
            self._port = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._port is None:
            return "<ottla_testing.Broker, not started>"
        state = "running" if self.is_running else "not running"
        return f"<ottla_testing.Broker on {self.bootstrap_servers}, {state}>"

    @property
    def bootstrap_servers(self) -> str:
        """What clients are configured with: ``127.0.0.1:PORT``."""
        return f"127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """The port on 127.0.0.1; the same over :meth:`restart`."""
        if self._port is None:
            raise BrokerError("the broker was not started: use it in `with`, or call start()")
        return self._port

    @property
    def data_dir(self) -> Path:
        """The data folder: a folder a partition, with Kafka's files."""
        if self._data_dir is None:
            raise BrokerError("the broker has no folder before it is started")
        return self._data_dir

    @property
    def pid(self) -> int:
        """The process; another one after :meth:`restart`."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.is_running

    def kill(self) -> None:
        """SIGKILL. What was acknowledged is kept. Does nothing when it does not run."""
        self._close_port()
        process, self._process = self._process, None
        if process is not None:
            self._keep_folder()
            process.kill()

    def stop(self) -> None:
        """A clean end: what is under way is answered, the data is kept. Does nothing when it does
        not run."""
        if self.is_running:
            self._keep_folder()
            self._call("stop")
        self._close_port()
        process, self._process = self._process, None
        if process is not None:
            process.wait()

    def restart(self) -> None:
        """Stops it if it runs, and starts it with the same port and data. Faults, a pause and
        counters are gone.

        :raises BrokerError: It did not start.
        """
        if self._port is None:
            raise BrokerError("the broker was not started, there is nothing to restart")
        self.stop()
        self.start()

    def pause(self) -> None:
        """Answers nothing from now on, connections stay open, as if the machine hung."""
        self._call("pause")

    def resume(self) -> None:
        """Answers again, first what has waited."""
        self._call("resume")

    def inject(
        self,
        *,
        api: str,
        error: str,
        times: int | None = None,
        topic: str | None = None,
        partition: int | None = None,
        group: str | None = None,
        after: bool = False,
    ) -> int:
        """Answers requests with an error; returns the fault's id.

        :param api: Kafka's name, such as ``Produce``.
        :param error: Kafka's name, such as ``NOT_LEADER_OR_FOLLOWER``.
        :param times: For so many requests; until it is cleared by default.
        :param topic: Only for this topic; the other topics of a request are served.
        :param partition: Only for this partition.
        :param group: Only for this group.
        :param after: Serve the request, and then answer with the error: a record is written, and
            its producer is told that it is not.
        :raises FaultError: A name is unknown, or the API has no such entries.
        """
        chosen = {"topic": topic, "partition": partition, "group": group}
        return self._add("inject", api=api, error=error, times=times, after=after, **chosen)

    def delay(
        self,
        *,
        ms: int,
        api: str | None = None,
        times: int | None = None,
        topic: str | None = None,
        partition: int | None = None,
        group: str | None = None,
        after: bool = False,
    ) -> int:
        """Holds requests back for so many milliseconds, or with ``after`` their answers; returns
        the fault's id. All APIs when none is named. Else as :meth:`inject`."""
        chosen = {"topic": topic, "partition": partition, "group": group}
        return self._add("delay", ms=ms, api=api, times=times, after=after, **chosen)

    def drop_connections(
        self,
        *,
        api: str | None = None,
        when: Literal["before", "after"] | None = None,
        bytes: int | None = None,
        times: int | None = None,
        topic: str | None = None,
        partition: int | None = None,
        group: str | None = None,
    ) -> int:
        """Closes the connections of requests without an answer: ``before`` they are served (the
        default) or ``after``, or after so many ``bytes`` of the answer. Returns the fault's id.
        Else as :meth:`inject`."""
        chosen = {"topic": topic, "partition": partition, "group": group}
        return self._add("drop", api=api, when=when, bytes=bytes, times=times, **chosen)

    def throttle(
        self,
        *,
        ms: int,
        api: str | None = None,
        times: int | None = None,
        topic: str | None = None,
        partition: int | None = None,
        group: str | None = None,
    ) -> int:
        """Answers with this ``throttle_time_ms``, by which a client is asked to hold back; returns
        the fault's id. Else as :meth:`inject`."""
        chosen = {"topic": topic, "partition": partition, "group": group}
        return self._add("throttle", ms=ms, api=api, times=times, **chosen)

    def faults(self) -> list[Fault]:
        """Every fault since the start that was not cleared, also those that are used up."""
        return _port.read_faults(self._call("faults"))

    def clear_faults(self, id: int | None = None) -> int:
        """Clears one fault, or all; returns how many there were. A pause stays."""
        cleared: int = self._call("clear", id=id)["cleared"]
        return cleared

    def requests(self) -> dict[str, RequestCount]:
        """What the clients sent since the start, by API; also what a fault kept from being
        served."""
        return _port.read_requests(self._call("requests"))

    def request_count(self, api: str, version: int | None = None) -> int:
        """How many requests of an API the clients sent since the start, in all versions or one."""
        count = self.requests().get(api, RequestCount(0))
        return count.total if version is None else count.versions.get(version, 0)

    def log(self) -> str:
        """The broker's log, over all its starts; after :meth:`close` the last one."""
        return self._old_log if self._log is None else _process.read_log(self._log)

    def _add(self, command: str, **fields: object) -> int:
        id: int = self._call(command, **fields)["id"]
        return id

    def _call(self, command: str, **fields: object) -> _port.Answer:
        self._running()
        assert self._faults is not None
        return self._faults.call(command, **fields)

    def _running(self) -> Process:
        if self._process is None:
            raise BrokerError("the broker does not run: call start() or restart()")
        if not self._process.is_running:
            raise BrokerError(f"the broker has ended by itself{self._process.last_words()}")
        return self._process

    def _keep_folder(self) -> None:
        """From now on the broker does not remove its folder."""
        if self._own_folder and self._data_dir is not None and self._keeper is None:
            self._keeper = Keeper(self._data_dir)

    def _dismiss_keeper(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.dismiss()

    def _close_port(self) -> None:
        faults, self._faults = self._faults, None
        if faults is not None:
            faults.close()


def _text(value: ConfigValue) -> str:
    """A property as Kafka writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
