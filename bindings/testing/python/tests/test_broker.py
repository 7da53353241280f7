"""A broker that fails when it is told to, and a client that lives with it. The names are the same
in every language."""

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ottla import Consumer, Producer, TopicPartition
from ottla_testing import Broker, BrokerError, FaultError

READMES = [Path(__file__).parents[level] / "README.md" for level in (1, 2)]
PATIENCE = 20.0


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker(config={"num.partitions": 1}) as broker:
        yield broker


def producer(broker: Broker, idempotent: bool = True) -> Producer:
    servers = {"bootstrap.servers": broker.bootstrap_servers}
    return Producer(servers, enable_idempotence=idempotent)


def values(broker: Broker, topic: str, count: int) -> list[bytes | None]:
    """The values of a topic's first records, and that there are no more."""
    partition = TopicPartition(topic, 0)
    settings = {"bootstrap.servers": broker.bootstrap_servers, "auto.offset.reset": "earliest"}
    with Consumer(settings, partitions=[partition]) as consumer:
        assert consumer.end_offsets([partition])[partition] == count
        records = [consumer.next(timeout=PATIENCE) for _ in range(count)]
    return [None if record is None else bytes(record.value or b"") for record in records]


def eventually(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"


def is_reachable(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_produce_error_is_survived_and_counted(broker: Broker) -> None:
    broker.inject(api="Produce", error="NOT_LEADER_OR_FOLLOWER", times=3, topic="t", partition=0)
    with producer(broker) as client:
        assert client.send("t", b"one").result(PATIENCE).offset == 0
    [fault] = broker.faults()
    assert (fault.command, fault.api, fault.applied, fault.left) == ("inject", "Produce", 3, 0)
    assert fault.fields["error"] == "NOT_LEADER_OR_FOLLOWER"
    assert fault.fields["topic"] == "t"
    assert broker.request_count("Produce") == 4
    [(version, count)] = broker.requests()["Produce"].versions.items()
    assert count == broker.request_count("Produce", version) == 4
    assert broker.request_count("Produce", version + 1) == 0
    assert broker.clear_faults() == 1
    assert broker.faults() == []


def test_a_response_dropped_after_the_append_gives_no_duplicate(broker: Broker) -> None:
    broker.drop_connections(api="Produce", when="after", times=1)
    broker.drop_connections(api="Produce", bytes=6, times=1)
    with producer(broker) as client:
        assert client.send("t", b"one").result(PATIENCE).offset == 0
        assert client.send("t", b"two").result(PATIENCE).offset == 1
    assert [fault.applied for fault in broker.faults()] == [1, 1]
    assert broker.request_count("Produce") == 4
    assert values(broker, "t", 2) == [b"one", b"two"]


def test_an_error_after_the_append_may_be_written(broker: Broker) -> None:
    broker.inject(api="Produce", error="REQUEST_TIMED_OUT", times=1, after=True)
    with producer(broker, idempotent=False) as client:
        assert client.send("t", b"twice").result(PATIENCE).offset == 1
    assert values(broker, "t", 2) == [b"twice", b"twice"]


def test_kill_and_restart_keep_acknowledged_records(broker: Broker) -> None:
    port, pid = broker.port, broker.pid
    with producer(broker) as client:
        client.send("t", b"before").result(PATIENCE)
        broker.kill()
        assert not broker.is_running
        waiting = client.send("t", b"during")
        broker.restart()
        assert waiting.result(PATIENCE).offset == 1
        broker.restart()
        assert client.send("t", b"after").result(PATIENCE).offset == 2
    assert broker.port == port
    assert broker.pid != pid
    assert values(broker, "t", 3) == [b"before", b"during", b"after"]


def test_a_delay_holds_answers_back(broker: Broker) -> None:
    with producer(broker) as client:
        client.send("t", b"one").result(PATIENCE)
        for after in (False, True):
            id = broker.delay(api="Produce", ms=300, times=1, after=after)
            started = time.monotonic()
            client.send("t", b"slow").result(PATIENCE)
            assert time.monotonic() - started >= 0.3
            assert broker.clear_faults(id) == 1


def test_a_throttled_client_is_told(broker: Broker) -> None:
    id = broker.throttle(api="Produce", ms=10, times=1)
    with producer(broker) as client:
        client.send("t", b"one").result(PATIENCE)
    assert [(fault.id, fault.applied) for fault in broker.faults()] == [(id, 1)]


def test_a_paused_broker_answers_when_it_is_resumed(broker: Broker) -> None:
    with producer(broker) as client:
        client.send("t", b"one").result(PATIENCE)
        broker.pause()
        waiting = client.send("t", b"two")
        eventually("the record arrives", lambda: broker.request_count("Produce") == 2)
        assert not waiting.done()
        broker.resume()
        assert waiting.result(PATIENCE).offset == 1
        broker.pause()
        broker.restart()
        assert client.send("t", b"three").result(PATIENCE).offset == 2


def test_unknown_names_are_refused_with_the_nearest(broker: Broker) -> None:
    with pytest.raises(FaultError, match='unknown api "Prodcue": did you mean "Produce"?'):
        broker.inject(api="Prodcue", error="NOT_LEADER_OR_FOLLOWER")
    with pytest.raises(FaultError, match='did you mean "NOT_LEADER_OR_FOLLOWER"?'):
        broker.inject(api="Produce", error="NOT_LEADER")
    with pytest.raises(FaultError, match="Heartbeat has no topic, it has only group"):
        broker.delay(api="Heartbeat", ms=1, topic="t")
    with pytest.raises(FaultError, match="times must be at least 1"):
        broker.drop_connections(times=0)
    assert broker.faults() == []


def test_a_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="did you mean 'num.partitions'"):
        Broker(config={"num.partition": 1}).start()
    with pytest.raises(BrokerError, match=r"binary names .*, which is no program"):
        Broker(binary=tmp_path / "missing").start()
    broker = Broker()
    with pytest.raises(BrokerError, match="was not started"):
        print(broker.bootstrap_servers)
    with pytest.raises(BrokerError, match="does not run"):
        broker.faults()


def test_a_broker_that_ended_by_itself_says_so(broker: Broker) -> None:
    signal_broker(broker.pid)
    eventually("it ended", lambda: not broker.is_running)
    with pytest.raises(BrokerError, match=r"(?s)has ended by itself: .*shutting down"):
        broker.faults()
    broker.restart()
    assert broker.faults() == []


def signal_broker(pid: int) -> None:
    import os

    os.kill(pid, signal.SIGTERM)


def test_nothing_stays_when_it_is_closed(tmp_path: Path) -> None:
    with Broker() as broker:
        folder, port = broker.data_dir, broker.port
        assert (folder / "meta.properties").exists()
        broker.kill()
    assert not folder.exists()
    assert "ottla_broker" in broker.log() or broker.log() == ""
    broker.close()
    with Broker(data_dir=tmp_path / "mine") as broker, producer(broker) as client:
        client.send("t", b"kept").result(PATIENCE)
    assert not is_reachable(port)
    with Broker(data_dir=tmp_path / "mine") as broker:
        assert values(broker, "t", 1) == [b"kept"]


SCRIPT = """
import sys
from ottla_testing import Broker
broker = Broker().start()
for act in sys.argv[1:]:
    getattr(broker, act)()
print(broker.port, broker.data_dir, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("acts", [[], ["kill"], ["stop"], ["kill", "restart"]])
def test_nothing_stays_when_the_test_process_is_killed(acts: list[str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *acts],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        port, folder = child.stdout.readline().split()
        assert is_reachable(int(port)) == (acts in ([], ["kill", "restart"]))
        assert Path(folder).is_dir()
        child.kill()
    eventually("the broker is gone", lambda: not is_reachable(int(port)))
    eventually("its folder is gone", lambda: not Path(folder).exists())


def test_the_readme_examples_run(tmp_path: Path) -> None:
    text = "".join(path.read_text() for path in READMES)
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        named = re.match(r"# file: (\S+)", example)
        file = tmp_path / (named[1] if named else "example.py")
        file.write_text(example)
        plugin = ["-p", "ottla_testing.pytest_plugin", "-p", "no:cacheprovider"]
        line = ["-m", "pytest", *plugin, str(file)] if named else [str(file)]
        run = subprocess.run([sys.executable, *line], capture_output=True, text=True, cwd=tmp_path)
        assert run.returncode == 0, run.stdout + run.stderr
