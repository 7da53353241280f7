"""The clients for asyncio, under asyncio's own loops and under uvloop.

They are those of :mod:`ottla` with awaitables. A client connects where it is awaited or entered::

    async with Producer(bootstrap_servers="127.0.0.1:9092") as producer:
        delivery = await producer.send("orders", b"one")
        print((await delivery).offset)

    consumer = await Consumer(bootstrap_servers="127.0.0.1:9092", group_id="billing",
                              topics="orders")

Cancelling a task ends the call that it waits for; a record that was sent is on its way all the
same, and no record that was fetched is lost.
"""

from ottla._native import aio as _aio

Admin = _aio.Admin
Consumer = _aio.Consumer
Deliveries = _aio.Deliveries
Delivery = _aio.Delivery
Producer = _aio.Producer

__all__ = ["Admin", "Consumer", "Deliveries", "Delivery", "Producer"]
