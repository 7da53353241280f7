"""The clients for asyncio: under asyncio's loop, under uvloop, and under one that watches no
sockets."""

import asyncio
import contextlib
import gc
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine
from importlib import import_module
from typing import Any

import pytest
from ottla_testing import Broker

import ottla
from ottla import aio
from support import PATIENCE, new_topic, open_files, send_all, unique, wait_until


uvloop: Any = import_module("uvloop")


class NoReaders(asyncio.SelectorEventLoop):
    """As Windows' default loop: it watches no sockets of others."""

    def add_reader(  # type: ignore[override]
        self, fd: Any, callback: Any, *args: Any
    ) -> None:
        if "ottla" in type(callback).__module__:
            raise NotImplementedError
        super().add_reader(fd, callback, *args)


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
    "no-readers": NoReaders,
}

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=list(LOOPS))
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a test in a loop of each kind."""

    def in_loop(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param], debug=True) as runner:
            runner.run(asyncio.wait_for(main, PATIENCE))

    return in_loop


def reader(broker: str, topic: str, **settings: Any) -> aio.Consumer:
    settings.setdefault("auto_offset_reset", "earliest")
    return aio.Consumer(bootstrap_servers=broker, partitions=[(topic, 0)], **settings)


def test_asyncio_and_uvloop(broker: str, run: Run) -> None:
    topic, group = new_topic(broker, "aio"), unique("aio")

    async def main() -> None:
        async with aio.Producer(bootstrap_servers=broker, linger_ms=1) as producer:
            assert "open" in repr(producer)
            deliveries = [await producer.send(topic, b"%d" % number) for number in range(2000)]
            written = [await delivery for delivery in deliveries]
            assert [one.offset for one in written] == list(range(2000))
            assert all(delivery.done() for delivery in deliveries)
            sends = [producer.send_and_wait(topic, b"") for _ in range(100)]
            offsets = sorted(one.offset for one in await asyncio.gather(*sends))
            assert offsets == list(range(2000, 2100))
            many = await producer.send_many(topic, [b"many"] * 100, keys=["k"] * 100)
            assert len(many) == 100 and [one.offset for one in await many][-1] == 2199
            more = [await producer.send(topic, b"gathered") for _ in range(100)]
            assert (await asyncio.gather(*more))[-1].offset == 2299
            await producer.flush()
            assert (producer.memory_used, await producer.partition_count(topic)) == (0, 1)
        assert producer.closed
        with pytest.raises(ottla.ClosedError):
            await producer.send(topic, b"late")
        events: list[ottla.RebalanceEvent] = []
        consumer = aio.Consumer(
            bootstrap_servers=broker,
            group_id=group,
            topics=topic,
            auto_offset_reset="earliest",
            on_rebalance=events.append,
        )
        with pytest.raises(ottla.ClosedError, match="await it"):
            consumer.assignment()
        async with consumer:
            count = 0
            async for record in consumer:
                assert record.offset == count
                count += 1
                if count == 500:
                    break
            await consumer.commit()
            place = consumer.assignment()[0]
            assert (await consumer.committed([place]))[place].offset == 500
            assert [event.kind for event in events] == ["assigned"]
            async for batch in consumer.batches():
                assert batch.base_offset == count
                count += len(batch)
                if count == 2300:
                    break
            assert await consumer.next(timeout=0.01) is None
            assert await consumer.next_batch(timeout=0.01) is None
            assert await consumer.end_offsets([place]) == {place: 2300}
            assert await consumer.beginning_offsets([place]) == {place: 0}
            assert (await consumer.offsets_for_times({place: 0}))[place] is not None
            consumer.seek(place, 7)
            again = await consumer.next()
            assert again is not None and again.offset == 7
        async with aio.Admin(bootstrap_servers=broker) as admin:
            assert topic in {one.name for one in await admin.list_topics()}
            missing = unique("missing")
            with pytest.raises(ottla.NotFoundError):
                await admin.delete_topics([missing])
            outcome = await admin.delete_topics([missing], return_exceptions=True)
            assert isinstance(outcome[missing], ottla.NotFoundError)
            assert (await admin.describe_cluster()).brokers

    run(main())


def test_a_cancelled_task_loses_nothing(broker: str, run: Run) -> None:
    topic = new_topic(broker, "aio-cancel")

    async def main() -> None:
        async with reader(broker, topic) as consumer:
            for _ in range(20):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(consumer.next(), 0.002)
            task = asyncio.create_task(consumer.next())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with aio.Producer(bootstrap_servers=broker) as producer:
                offsets: list[int] = []
                sent = 0
                while len(offsets) < 300:
                    if sent < 300:
                        await producer.send(topic, b"%d" % sent)
                        sent += 1
                    with contextlib.suppress(TimeoutError):
                        record = await asyncio.wait_for(consumer.next(), 0.0005)
                        assert record is not None
                        offsets.append(record.offset)
            assert offsets == list(range(300))

    run(main())


def test_cancelling_reaches_the_core_from_a_task(own_broker: Broker, run: Run) -> None:
    servers = own_broker.bootstrap_servers
    topic = new_topic(servers, "aio-cancel-send")

    async def main() -> None:
        settings = {"bootstrap_servers": servers, "buffer_memory": 32_768, "batch_size": 1024}
        async with aio.Producer(settings) as producer:
            await producer.send_and_wait(topic, b"first")
            own_broker.pause()

            async def fill() -> None:
                while True:
                    await producer.send(topic, b"x" * 1000)

            with pytest.raises(TimeoutError):
                await asyncio.wait_for(fill(), 0.2)
            used = producer.memory_used
            assert 16_384 < used <= 32_768
            flushing = asyncio.ensure_future(producer.flush())
            await asyncio.sleep(0.01)
            flushing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await flushing
            own_broker.resume()
            await producer.flush()
            # Nothing that was cancelled is sent later.
            with ottla.Admin(bootstrap_servers=servers) as admin:
                sent = admin.list_offsets({(topic, 0): "latest"})
                before = sent[ottla.TopicPartition(topic, 0)].offset
            assert (await producer.send_and_wait(topic, b"last")).offset == before

    run(main())


def test_other_tasks_have_their_turns(broker: str, run: Run) -> None:
    topic = new_topic(broker, "aio-turns")

    async def main() -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        async with aio.Producer(bootstrap_servers=broker) as producer:
            await producer.send(topic, b"known")
            began = turns
            for _ in range(2560):
                await producer.send(topic, b"")
            assert turns >= began + 8
        task.cancel()

    run(main())


def test_closing_ends_what_waits(broker: str, run: Run) -> None:
    topic = new_topic(broker, "aio-close")

    async def main() -> None:
        consumer = await reader(broker, topic)
        assert await consumer is consumer

        async def collect() -> list[Any]:
            return [record async for record in consumer]

        loops = [asyncio.create_task(collect()), asyncio.create_task(consumer.next())]
        await asyncio.sleep(0.05)
        await consumer.close()
        await consumer.close()
        assert await loops[0] == [] and await loops[1] is None
        with pytest.raises(ottla.ClosedError):
            await consumer.next()
        with pytest.raises(ottla.ClosedError):
            consumer.batches()

    run(main())


def test_settings_are_checked_before_anything_waits() -> None:
    for make in (aio.Producer, aio.Consumer, aio.Admin):
        with pytest.raises(ottla.ConfigError, match="bootstrap"):
            make()

    async def main() -> None:
        with pytest.raises(ottla.UnreachableError):
            await aio.Producer(bootstrap_servers="127.0.0.1:1")
        with pytest.raises(ottla.UnreachableError):
            async with aio.Consumer(bootstrap_servers="127.0.0.1:1"):
                pass

    asyncio.run(main())


def test_what_is_never_awaited_is_warned_of(broker: str) -> None:
    async def main() -> None:
        async with aio.Producer(bootstrap_servers=broker) as producer:
            for call in (
                lambda: producer.send("t", b""),
                lambda: producer.send_and_wait("t", b""),
                lambda: producer.flush(),
            ):
                with pytest.warns(RuntimeWarning, match="was never awaited"):
                    call()
                    gc.collect()
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                closed = producer.flush()
                closed.close()
                del closed
            flushed = producer.flush()
            await flushed
            with pytest.raises(RuntimeError, match="awaited before"):
                await flushed

    asyncio.run(main())


def test_loops_come_and_go_without_leaks(broker: str) -> None:
    topic = new_topic(broker, "aio-loops")
    send_all(broker, topic, [b"one"])

    async def main() -> None:
        async with reader(broker, topic) as consumer:
            assert await consumer.next() is not None
            task = asyncio.create_task(consumer.next())
            await asyncio.sleep(0)
            task.cancel()

    def settled(files: int) -> bool:
        gc.collect()
        return open_files() <= files

    for _ in range(3):
        asyncio.run(main())
    gc.collect()
    files = open_files()
    for _ in range(10):
        asyncio.run(main())
        uvloop.run(main())
    wait_until(lambda: settled(files), "the loops' sockets are closed")


def test_generators_and_groups_of_tasks(broker: str, run: Run) -> None:
    topic = new_topic(broker, "aio-groups")

    async def values(consumer: aio.Consumer) -> AsyncIterator[bytes | None]:
        async for record in consumer:
            yield record.value

    async def main() -> None:
        async with asyncio.TaskGroup() as group, asyncio.timeout(PATIENCE):
            producer = await aio.Producer(bootstrap_servers=broker)
            consumer = await reader(broker, topic)
            sends = [group.create_task(producer.send_and_wait(topic, b"v")) for _ in range(20)]
            came = 0
            async for value in values(consumer):
                assert value == b"v"
                came += 1
                if came == 20:
                    break
            assert len({(await send).offset for send in sends}) == 20
            await asyncio.gather(producer.close(), consumer.close())

    run(main())
