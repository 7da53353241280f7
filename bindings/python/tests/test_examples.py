"""The examples and the README's, run as they stand."""

import re
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

from ottla_testing import Broker

import ottla
from support import PATIENCE, environment, wait_until

PACKAGE = Path(__file__).parents[1]


def start(name: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-u", str(PACKAGE / "examples" / name), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
    )


def finish(program: subprocess.Popen[str]) -> str:
    try:
        output, _ = program.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        program.kill()
        output, _ = program.communicate()
        raise AssertionError(f"it did not end by itself after {output!r}") from None
    assert program.returncode == 0, output
    return output


def test_produce_and_consume_in_a_group(own_broker: Broker) -> None:
    servers = own_broker.bootstrap_servers
    produced = finish(start("produce.py", servers)).splitlines()
    assert len(produced) == 5
    assert all(re.fullmatch(r"order \d: partition \d+, offset \d+", line) for line in produced)
    counted = finish(start("consume_in_a_group.py", servers, "5"))
    assert "kind='assigned'" in counted and counted.rstrip().endswith(": 11 books")
    again = start("consume_in_a_group.py", servers)
    assert again.stdout is not None
    assert "kind='assigned'" in again.stdout.readline()
    again.send_signal(signal.SIGINT)
    assert finish(again) == "interrupted\n"


def test_http_service(own_broker: Broker) -> None:
    program = start("http_service.py", own_broker.bootstrap_servers)
    try:
        assert program.stdout is not None
        url = program.stdout.readline().strip()

        def ask(path: str, body: bytes | None = None) -> tuple[int, str]:
            try:
                with urllib.request.urlopen(url + path, body, timeout=PATIENCE) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.read().decode()

        assert ask("/clicks", b"first") == (201, '{"partition": 0, "offset": 0}')
        assert ask("/clicks", b"second") == (201, '{"partition": 0, "offset": 1}')
        wait_until(lambda: ask("/clicks") == (200, '{"count": 2}'), "both are counted")
        status, text = ask("/clicks", b"x" * (2 << 20))
        assert status == 400 and '"code": "INVALID"' in text
        assert ask("/other")[0] == 404
        program.send_signal(signal.SIGINT)
        assert finish(program) == "stopped\n"
    finally:
        program.kill()
        program.communicate()


def test_upsert_into_sqlite(own_broker: Broker, tmp_path: Path) -> None:
    servers, path = own_broker.bootstrap_servers, str(tmp_path / "balances.db")
    with ottla.Admin(bootstrap_servers=servers) as admin:
        admin.create_topic(ottla.NewTopic("payments", 3, 1))
    with ottla.Producer(bootstrap_servers=servers, linger_ms=1) as producer:
        for number in range(10_000):
            producer.send("payments", str(number), key=f"account-{number % 7}")
    # It is killed in the middle, some times, and goes on.
    for _ in range(5):
        program = start("upsert_into_sqlite.py", servers, path)
        wait_until(lambda: progress(path) > 0 or program.poll() is not None, "it began")
        program.kill()
        program.communicate()
    finish(start("upsert_into_sqlite.py", servers, path, "10000"))
    with closing(sqlite3.connect(path)) as database:
        balances = dict(database.execute("SELECT account, cents FROM balances").fetchall())
    assert balances == {f"account-{n}": sum(range(n, 10_000, 7)) for n in range(7)}


def progress(path: str) -> Any:
    try:
        with closing(sqlite3.connect(path)) as database:
            rows = database.execute("SELECT sum(next_offset) FROM progress").fetchall()
            return rows[0][0] or 0
    except sqlite3.OperationalError:
        return 0


def test_the_readmes_examples(own_broker: Broker) -> None:
    text = (PACKAGE / "README.md").read_text()
    programs = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(programs) == 2
    outputs: list[list[str]] = []
    for program in programs:
        program = program.replace("127.0.0.1:9092", own_broker.bootstrap_servers)
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-c", program],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={**environment(), "PYTHONUNBUFFERED": "1"},
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        outputs.append(done.stdout.splitlines())
    assert outputs[0][0].startswith('RecordMetadata(topic="greetings"')
    assert outputs[0][1] == "b'en' b'hello'"
    assert outputs[1] == ["1", "b'fr' b'bonjour'"]
