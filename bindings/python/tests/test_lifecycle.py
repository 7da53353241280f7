"""Beginnings and ends: of work in flight, of brokers, of processes."""

import gc
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ottla_testing import Broker

import ottla
from support import (
    PATIENCE,
    environment,
    member,
    new_topic,
    open_files,
    reader,
    run_python,
    send_all,
    take,
    wait_until,
)

MEBIBYTE = 1 << 20


def test_close_with_work_in_flight(broker: str) -> None:
    topic = new_topic(broker, "close")
    producer = ottla.Producer(bootstrap_servers=broker, linger_ms=10_000)
    deliveries = [producer.send(topic, b"%d" % number) for number in range(1000)]
    producer.close()
    assert [delivery.result(0).offset for delivery in deliveries] == list(range(1000))
    consumer = reader(broker, topic)
    came: list[object] = []
    thread = threading.Thread(target=lambda: came.append(list(consumer.batches())))
    thread.start()
    wait_until(lambda: consumer.position((topic, 0)) == 1000, "all is consumed")
    consumer.close()
    thread.join(PATIENCE)
    assert not thread.is_alive() and came


def test_what_is_left_at_close_is_told(own_broker: Broker) -> None:
    topic = new_topic(own_broker.bootstrap_servers, "close-late")
    producer = ottla.Producer(bootstrap_servers=own_broker.bootstrap_servers)
    producer.send(topic, b"first").result(PATIENCE)
    own_broker.pause()
    delivery = producer.send(topic, b"stuck")
    with pytest.raises(ottla.TimeoutError):
        producer.flush(0.1)
    with pytest.raises(ottla.TimeoutError):
        producer.close(0.1)
    with pytest.raises(ottla.ClosedError) as raised:
        delivery.result(PATIENCE)
    assert raised.value.possibly_written
    own_broker.resume()


def test_cancellation_reaches_the_core(broker: str) -> None:
    """A wait that ends early leaves nothing behind in the core, and loses nothing."""
    topic = new_topic(broker, "cancel")
    with reader(broker, topic) as consumer:
        for _ in range(50):
            assert consumer.next(0.001) is None
        send_all(broker, topic, [b"%d" % number for number in range(100)])
        offsets: list[int] = []
        deadline = time.monotonic() + PATIENCE
        while len(offsets) < 100:
            assert time.monotonic() < deadline
            record = consumer.next(0)
            if record is not None:
                offsets.append(record.offset)
        assert offsets == list(range(100))
    with ottla.Producer(bootstrap_servers=broker, linger_ms=10_000) as producer:
        delivery = producer.send(topic, b"kept")
        with pytest.raises(ottla.TimeoutError):
            delivery.result(0.01)
        producer.flush()
        assert delivery.result(0).offset == 100


def test_back_pressure_keeps_memory_within_buffer_memory(own_broker: Broker) -> None:
    topic = new_topic(own_broker.bootstrap_servers, "pressure")
    limit = 2 * MEBIBYTE
    settings = {"buffer_memory": limit, "bootstrap_servers": own_broker.bootstrap_servers}
    with ottla.Producer(settings, linger_ms=5) as producer:
        peak = 0
        for _ in range(20_000):
            producer.send(topic, b"x" * 1024)
            peak = max(peak, producer.memory_used)
        assert limit // 2 < peak <= limit
        producer.flush()
        assert producer.memory_used == 0
    with ottla.Producer(settings, max_block_ms=200) as producer:
        producer.send(topic, b"first").result(PATIENCE)
        own_broker.pause()
        with pytest.raises(ottla.TimeoutError, match="buffer.memory"):
            for _ in range(5_000):
                producer.send(topic, b"x" * 1024)
        assert producer.memory_used <= limit
        own_broker.resume()
        producer.flush()


def test_a_broker_that_goes_away_is_told_and_comes_back(own_broker: Broker) -> None:
    servers = own_broker.bootstrap_servers
    topic = new_topic(servers, "away")
    settings = {"bootstrap_servers": servers, "request_timeout_ms": 500}
    with (
        ottla.Producer(settings, delivery_timeout_ms=1_000, max_block_ms=500) as hasty,
        ottla.Producer(settings) as patient,
        reader(servers, topic) as consumer,
    ):
        hasty.send(topic, b"one").result(PATIENCE)
        patient.send(topic, b"two").result(PATIENCE)
        take(consumer, 2)
        own_broker.kill()
        with pytest.raises(ottla.OttlaError) as raised:
            hasty.send(topic, b"lost").result(PATIENCE)
        assert raised.value.retriable
        assert isinstance(raised.value, (ottla.TimeoutError, ottla.UnreachableError))
        delivery = patient.send(topic, b"three")
        assert consumer.next(0.1) is None
        own_broker.restart()
        assert delivery.result(PATIENCE).offset >= 2
        assert b"three" in [record.value for record in take(consumer, 1)]


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def test_two_hundred_clients_leave_nothing_behind(broker: str) -> None:
    topic = new_topic(broker, "leak")
    send_all(broker, topic, [b"x" * 1000] * 100)

    def cycle(number: int) -> None:
        producer = ottla.Producer(bootstrap_servers=broker, key_serializer=str.encode)
        producer.send(topic, b"y", key=str(number)).result(PATIENCE)
        consumer = member(broker, topic, f"{topic}-{number % 4}")
        if number % 4 == 0:
            take(consumer, 10)
        if number % 2:
            producer.close()
            consumer.close()

    def settled(files: int) -> bool:
        gc.collect()
        return open_files() <= files

    for number in range(40):
        cycle(number)
    wait_until(lambda: settled(open_files()), "the first are gone")
    files, threads, memory = open_files(), threading.active_count(), resident()
    for number in range(200):
        cycle(number)
    wait_until(lambda: settled(files), "files are closed")
    assert threading.active_count() == threads
    tasks = len(os.listdir("/proc/self/task"))
    assert tasks < 40, "the runtime's threads are as many as before"
    assert resident() - memory < 16 * MEBIBYTE


PROGRAM = """
import sys
import ottla
servers, topic = sys.argv[1:]
producer = ottla.Producer(bootstrap_servers=servers, linger_ms=60_000)
consumer = ottla.Consumer(bootstrap_servers=servers, partitions=[(topic, 0)])
delivery = producer.send(topic, b"not flushed")
print("end")
"""


def test_the_process_ends_by_itself(broker: str) -> None:
    topic = new_topic(broker, "ends")
    began = time.monotonic()
    assert run_python(PROGRAM, broker, topic) == "end\n"
    assert time.monotonic() - began < 20


IN_FLIGHT = """
import asyncio, gc, sys, threading
import ottla
from ottla import aio
servers, topic = sys.argv[1:]

async def abandon():
    producer = await aio.Producer(bootstrap_servers=servers, linger_ms=60_000)
    consumer = await aio.Consumer(bootstrap_servers=servers, partitions=[(topic, 0)])
    delivery = await producer.send(topic, b"x")
    tasks = [asyncio.ensure_future(delivery), asyncio.create_task(consumer.next())]
    tasks.append(asyncio.create_task(producer.flush()))
    await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

asyncio.run(abandon())
gc.collect()

# A loop that nobody runs any more, with calls that wait.
async def forget():
    consumer = await aio.Consumer(bootstrap_servers=servers, partitions=[(topic, 0)])
    call = consumer.next()
    next(call.__await__())
    delivery = await (await aio.Producer(bootstrap_servers=servers)).send(topic, b"x")
    return consumer, call, delivery

loop = asyncio.new_event_loop()
kept = loop.run_until_complete(forget())
loop.close()
del loop
gc.collect()
del kept
gc.collect()

# Garbage with work in flight, and cycles through the user's functions.
for _ in range(20):
    producer = ottla.Producer(bootstrap_servers=servers, linger_ms=60_000)
    producer.send(topic, b"y")
    class Holder: pass
    holder = Holder()
    holder.consumer = ottla.Consumer(bootstrap_servers=servers, partitions=[(topic, 0)],
                                     on_rebalance=lambda event, holder=holder: None)
del producer, holder
gc.collect()

# Daemon threads that wait when the interpreter ends.
consumer = ottla.Consumer(bootstrap_servers=servers, partitions=[(topic, 0)],
                          auto_offset_reset="latest")
started = threading.Barrier(3)
def wait(call):
    started.wait()
    call()
threading.Thread(target=wait, args=(consumer.next,), daemon=True).start()
slow = ottla.Producer(bootstrap_servers=servers, linger_ms=60_000)
stuck = slow.send(topic, b"z")
threading.Thread(target=wait, args=(stuck.result,), daemon=True).start()
started.wait()
print("end")
"""


def test_interpreter_exit_and_gc_with_work_in_flight(broker: str) -> None:
    topic = new_topic(broker, "in-flight")
    for _ in range(3):
        assert run_python(IN_FLIGHT, broker, topic) == "end\n"


FORK = """
import os, sys
import ottla
servers, topic = sys.argv[1:]
producer = ottla.Producer(bootstrap_servers=servers)
consumer = ottla.Consumer(bootstrap_servers=servers, partitions=[(topic, 0)])
deliveries = [producer.send(topic, b"parent") for _ in range(1000)]
child = os.fork()
if child == 0:
    try:
        calls = [lambda: producer.send(topic, b"x"), lambda: consumer.next(1), producer.flush,
                 deliveries[-1].result, deliveries[-1].done, lambda: consumer.seek((topic, 0), 0)]
        for call in calls:
            try:
                call()
            except ottla.ClosedError as error:
                assert "before the process forked" in str(error), error
            else:
                raise AssertionError("an inherited client was used")
        producer.close()
        consumer.close()
        del producer, consumer, deliveries, calls, call
        with ottla.Producer(bootstrap_servers=servers) as mine:
            assert mine.send(topic, b"child").result(30).offset >= 0
        with ottla.Consumer(bootstrap_servers=servers, partitions=[(topic, 0)],
                            auto_offset_reset="earliest") as mine:
            assert mine.next(30) is not None
        code = 0
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        code = 1
    os._exit(code)
assert os.waitpid(child, 0)[1] == 0
assert [d.result(30).topic for d in deliveries] == [topic] * 1000
producer.close()
print("end")
"""


def test_a_fork_leaves_the_child_usable(broker: str) -> None:
    topic = new_topic(broker, "fork")
    for _ in range(3):
        # Python itself warns of a fork with threads from 3.12 on.
        program = "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n" + FORK
        assert run_python(program, broker, topic) == "end\n"


INTERRUPTED = """
import signal, sys, time
import ottla
servers, topic, name = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)
consumer = ottla.Consumer(bootstrap_servers=servers, partitions=[(topic, 0)])
producer = ottla.Producer(bootstrap_servers=servers, linger_ms=60_000, max_block_ms=60_000,
                          buffer_memory=32_768, batch_size=1024)
delivery = producer.send(topic, b"waits")
def fill():
    while True:
        producer.send(topic, b"x" * 1000)
calls = {
    "next": consumer.next,
    "next_batch": lambda: consumer.next_batch(60),
    "iterate": lambda: list(consumer),
    "batches": lambda: list(consumer.batches()),
    "result": delivery.result,
    "send": fill,
    "flush": producer.flush,
    "close": producer.close,
    "partition_count": lambda: producer.partition_count(topic + "-missing"),
    "committed": lambda: consumer.end_offsets([(topic, 0)]),
}
print("ready", flush=True)
assert sys.stdin.readline() == "go\\n"
try:
    print("calls", flush=True)
    calls[name]()
    print("returned")
except KeyboardInterrupt:
    print("interrupted", time.monotonic())
"""


def sleeps(pid: int) -> bool:
    """Whether a process's main thread waits."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def interrupt(servers: str, topic: str, call: str, broker: Broker) -> float:
    """How long a call goes on after Ctrl-C, in seconds."""
    program = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, servers, topic, call],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env=environment(),
    )
    try:
        assert program.stdin is not None and program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        broker.pause()
        program.stdin.write("go\n")
        assert program.stdout.readline() == "calls\n"
        wait_until(lambda: all(sleeps(program.pid) for _ in range(20)), "it waits")
        began = time.monotonic()
        program.send_signal(signal.SIGINT)
        answer = program.stdout.readline().split()
        assert answer[0] == "interrupted", (call, answer)
        return float(answer[1]) - began
    finally:
        broker.resume()
        program.kill()
        program.communicate()


@pytest.mark.parametrize(
    "call",
    [
        "next",
        "next_batch",
        "iterate",
        "batches",
        "result",
        "send",
        "flush",
        "close",
        "partition_count",
        "committed",
    ],
)
def test_ctrl_c_ends_any_call(own_broker: Broker, call: str) -> None:
    servers = own_broker.bootstrap_servers
    topic = new_topic(servers, "ctrl-c")
    took = interrupt(servers, topic, call, own_broker)
    # A wait of 50 ms at most, and what a busy machine adds.
    assert took < 2.0, took


def test_no_call_holds_the_interpreter_while_it_waits(own_broker: Broker) -> None:
    servers = own_broker.bootstrap_servers
    topic = new_topic(servers, "interpreter")
    consumer = reader(servers, topic)
    producer = ottla.Producer(bootstrap_servers=servers, buffer_memory=32_768, batch_size=1024)
    producer.send(topic, b"first").result(PATIENCE)
    take(consumer, 1)
    own_broker.pause()
    delivery = producer.send(topic, b"x")

    def fill() -> None:
        for _ in range(100):
            producer.send(topic, b"x" * 1000)

    calls: list[Callable[[], object]]
    calls = [delivery.result, producer.flush, fill, lambda: take(consumer, 101)]
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    # This thread goes on while they wait: a held interpreter would never let it.
    turns = 0
    while turns < 200:
        time.sleep(0.001)
        turns += 1
    assert any(thread.is_alive() for thread in threads)
    own_broker.resume()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    producer.close()
    consumer.close()
