"""A server on the loop that argv[1] names (asyncio, uvloop), which is kept from its work for 80 ms again and again, and clients in processes of
their own: one that asks and waits for the answer, one that sends three packets in a row, and one that connects anew each time; over TCP, or where argv[2] is
unix over a socket of that family, or udp with the first of them only. Each packet says when it was sent. Prints "ready"; at the end of stdin it ends, and prints as its last line when
each read got its data, and when the first packet of it was sent, and of sends that took long their begins and ends: JSON, in nanoseconds of CLOCK_BOOTTIME.
What a server's stamp is late by is in these times."""
import asyncio
import json
import os
import socket
import sys
import tempfile
import threading
import time

PACKET = 8
BLOCK_EVERY = 0.25  # seconds
LONG = 200000  # a send that takes longer was interrupted, ns


def clock():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def send(s):
    begin = clock()
    s.send(begin.to_bytes(PACKET, "little"))
    end = clock()
    if end - begin > LONG:
        os.write(long_sends[1], begin.to_bytes(8, "little") + end.to_bytes(8, "little"))


def connect(address):
    s = socket.socket(listening.family, listening.type)
    s.connect(address)
    if kind == "tcp":
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def asks(address):
    s = connect(address)
    while True:
        send(s)
        if not s.recv(1):
            return
        time.sleep(0.003)


def bursts(address):
    s = connect(address)
    while True:
        for _ in range(3):
            send(s)
            time.sleep(0.011)
        if not s.recv(64):
            return


def connects(address):
    while True:
        with connect(address) as s:
            send(s)
            if not s.recv(1):
                return
        time.sleep(0.007)


def fork(client, address):
    pid = os.fork()
    if pid == 0:
        try:
            client(address)
        except OSError:
            pass  # the server is gone
        os._exit(0)
    return pid


reads = []


class Server(asyncio.Protocol):  # and a DatagramProtocol
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        reads.append((clock(), int.from_bytes(data[:PACKET], "little")))
        self.transport.write(b"x")

    def datagram_received(self, data, address):
        reads.append((clock(), int.from_bytes(data, "little")))
        self.transport.sendto(b"x", address)


async def serve(listening, ended):
    loop = asyncio.get_running_loop()
    make = {"unix": loop.create_unix_server, "udp": loop.create_datagram_endpoint}.get(kind, loop.create_server)
    await make(Server, sock=listening)
    print("ready", flush=True)
    while not ended.is_set():
        await asyncio.sleep(BLOCK_EVERY)
        time.sleep(0.08)


kind = sys.argv[2]  # tcp, unix or udp
if kind == "unix":
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(os.path.join(tempfile.mkdtemp(), "lag"))
    listening.listen()
elif kind == "udp":
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.bind(("127.0.0.1", 0))
else:
    listening = socket.create_server(("127.0.0.1", 0))
long_sends = os.pipe()
clients = [fork(c, listening.getsockname()) for c in ((asks,) if kind == "udp" else (asks, bursts, connects))]
if sys.argv[1] == "uvloop":
    import uvloop
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
ended = threading.Event()


def wait_for_end():
    sys.stdin.read()
    ended.set()


threading.Thread(target=wait_for_end, daemon=True).start()
asyncio.run(serve(listening, ended))
for pid in clients:
    os.kill(pid, 9)
    os.waitpid(pid, 0)
os.close(long_sends[1])
with os.fdopen(long_sends[0], "rb") as f:
    data = f.read()
numbers = [int.from_bytes(data[i:i + 8], "little") for i in range(0, len(data), 8)]
print(json.dumps({"schema": "gilscope.lag/v1", "pid": os.getpid(), "reads": reads, "long_sends": list(zip(numbers[::2], numbers[1::2]))}), flush=True)
