"""A service on asyncio: HTTP requests become records, and records are counted for HTTP.

    python http_service.py 127.0.0.1:9092

    curl -d 'a body' http://127.0.0.1:PORT/clicks    where the record was written
    curl http://127.0.0.1:PORT/clicks                how many were read
"""

import asyncio
import json
import sys
from http import HTTPStatus

import ottla
from ottla import aio

TOPIC = "clicks"


class Service:
    def __init__(self, producer: aio.Producer) -> None:
        self.producer = producer
        self.count = 0

    async def answer(self, method: str, path: str, body: bytes) -> tuple[HTTPStatus, object]:
        if path != "/clicks":
            return HTTPStatus.NOT_FOUND, {"error": "there is only /clicks"}
        if method == "GET":
            return HTTPStatus.OK, {"count": self.count}
        try:
            written = await self.producer.send_and_wait(TOPIC, body)
        except ottla.OttlaError as error:
            may_help = HTTPStatus.SERVICE_UNAVAILABLE if error.retriable else HTTPStatus.BAD_REQUEST
            return may_help, {"error": str(error), "code": error.code}
        return HTTPStatus.CREATED, {"partition": written.partition, "offset": written.offset}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection: enough of HTTP for an example."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        fields = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        status, answer = await self.answer(method, path, body)
        text = json.dumps(answer).encode()
        first = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
        writer.write(f"{first}Content-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode())
        writer.write(text)
        await writer.drain()
        writer.close()

    async def count_clicks(self, consumer: aio.Consumer) -> None:
        async for batch in consumer.batches():
            self.count += len(batch)


async def main(servers: str) -> None:
    async with (
        aio.Producer(bootstrap_servers=servers) as producer,
        aio.Consumer(
            bootstrap_servers=servers,
            group_id="click-counter",
            topics=TOPIC,
            auto_offset_reset="earliest",
        ) as consumer,
        asyncio.TaskGroup() as tasks,
    ):
        service = Service(producer)
        tasks.create_task(service.count_clicks(consumer))
        server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1]))
    except KeyboardInterrupt:
        print("stopped")
