"""The broker's process: it lives as long as its standard input is open."""

import os
import random
import selectors
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from ottla_testing._errors import BrokerError

#: Below the ports that the system gives to outgoing connections: a client that tries to reconnect
#: while its broker is down would else, now and then, take the broker's port itself.
PORTS = range(10240, 32768)
#: How many ports are tried before there is no free one.
PORT_TRIES = 50
#: How long a start or an end may take, in seconds.
PATIENCE = 30.0
#: How much of the log an error shows, in bytes.
LOG_SHOWN = 4096


class Process:
    """A running ``ottla-broker dev``."""

    def __init__(self, arguments: Sequence[str], log: IO[bytes]) -> None:
        self._log = log
        self._child = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            bufsize=0,
            # Ctrl-C is for the test; the broker ends with it.
            start_new_session=True,
        )
        try:
            self.faults_port = self._await_lines()
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def is_running(self) -> bool:
        return self._child.poll() is None

    def _await_lines(self) -> int:
        """Waits for the two lines of a broker that serves; the port for faults is in the second."""
        assert self._child.stdout is not None
        stdout = self._child.stdout.fileno()
        deadline = time.monotonic() + PATIENCE
        text = b""
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while text.count(b"\n") < 2:
                if not selector.select(max(deadline - time.monotonic(), 0)):
                    late = f"ottla-broker was not ready in {PATIENCE:.0f} s"
                    raise BrokerError(late + self.last_words())
                piece = os.read(stdout, 4096)
                if not piece:
                    self._child.wait(PATIENCE)
                    raise BrokerError(f"ottla-broker did not start{self.last_words()}")
                text += piece
        second = text.decode().splitlines()[1]
        return int(second.rpartition(":")[2])

    def last_words(self) -> str:
        """The end of the log, to be put behind an error's text."""
        log = read_log(self._log)[-LOG_SHOWN:].strip()
        return f": {log}" if log else " and said nothing"

    def kill(self) -> None:
        """SIGKILL."""
        self._child.kill()
        self._reap()

    def wait(self) -> None:
        """Waits until it has ended."""
        self._reap()

    def end(self) -> None:
        """Closes the standard input: a broker with a temporary folder removes it."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._reap()

    def _reap(self) -> None:
        try:
            self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
            raise BrokerError(f"ottla-broker did not end in {PATIENCE:.0f} s") from None
        finally:
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    pipe.close()


def start_on_free_port(arguments: Sequence[str], log: IO[bytes]) -> tuple[int, Process]:
    """Starts a broker on a port that nobody has."""
    for _ in range(PORT_TRIES):
        port = random.choice(PORTS)
        before = os.fstat(log.fileno()).st_size
        try:
            return port, Process([*arguments, "--port", str(port)], log)
        except BrokerError as error:
            if "in use" not in str(error):
                raise
            os.ftruncate(log.fileno(), before)
    raise BrokerError(f"no free port from {PORTS.start} to {PORTS.stop - 1} was found")


class Keeper:
    """Removes a folder at the end of this process, however it ends, while no broker is there that
    would. Where there is no shell, nobody does."""

    def __init__(self, folder: Path) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        if os.name != "posix":
            return
        # Nobody writes: what it reads is the end of this process.
        self._child = subprocess.Popen(
            ["sh", "-c", 'read -r nothing; rm -rf -- "$0"', str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """Leaves the folder to others."""
        if self._child is None:
            return
        self._child.kill()
        self._child.wait()
        assert self._child.stdin is not None
        self._child.stdin.close()


def read_log(log: IO[bytes]) -> str:
    """All of a log, without moving the place where the broker writes."""
    size = os.fstat(log.fileno()).st_size
    return os.pread(log.fileno(), size, 0).decode(errors="replace")


def arguments(binary: Path, data_dir: Path, temporary: bool, config: dict[str, str]) -> list[str]:
    """The command line, but for the port."""
    line = [str(binary), "dev", "--data-dir", str(data_dir), "--until-stdin-closes", "--chaos"]
    if temporary:
        line.append("--temporary")
    for name, value in config.items():
        line += ["--set", f"{name}={value}"]
    return line
