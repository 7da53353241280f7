"""librdkafka's mock cluster as a target: prints an address and librdkafka's version, and lives
until its standard input closes.

Some requests end the mock's process by an assertion. So that the rest of a run has a target, the
mock is a process of its own, which is started again, empty. It picks its port itself, so that the
address is that of a relay before it; Metadata names the mock's own."""

import os
import socket
import subprocess
import sys
import threading

from confluent_kafka import Producer, libversion

CLUSTER = "cluster"


def serve():
    """The mock, until its standard input closes."""
    producer = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    [broker] = producer.list_topics(timeout=30).brokers.values()
    print(f"{broker.host}:{broker.port}", flush=True)
    sys.stdin.buffer.read()
    # Its threads may still be at work for a test: they need no farewell.
    os._exit(0)


class Mock:
    """The mock that runs now, started again when it ends."""

    def __init__(self):
        self.address = None
        self.started = threading.Event()
        threading.Thread(target=self.keep, daemon=True).start()

    def keep(self):
        command = [sys.executable, __file__, CLUSTER]
        pipe = subprocess.PIPE
        while True:
            # Its standard input closes when this process ends, in whatever way.
            with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
                host, _, port = process.stdout.readline().strip().rpartition(":")
                self.address = (host, int(port))
                self.started.set()
                status = process.wait()
            print(f"librdkafka-mock: ended with {status}, started again", file=sys.stderr)


def pump(source, sink):
    """Hands bytes on until one side closes, and then closes the other."""
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def relay(client, mock):
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        server = socket.create_connection(mock.address)
    except OSError:
        client.close()
        return
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    back = threading.Thread(target=pump, args=(server, client), daemon=True)
    back.start()
    pump(client, server)
    back.join()
    client.close()
    server.close()


def accept(listener, mock):
    while True:
        client, _ = listener.accept()
        threading.Thread(target=relay, args=(client, mock), daemon=True).start()


def main():
    mock = Mock()
    mock.started.wait(30)
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    host, port = listener.getsockname()
    threading.Thread(target=accept, args=(listener, mock), daemon=True).start()
    print(f"{host}:{port} {libversion()[0]}", flush=True)
    sys.stdin.buffer.read()
    os._exit(0)


if sys.argv[1:] == [CLUSTER]:
    serve()
else:
    main()
