"""An asyncio server that echoes the requests of a second process: argv[2] connections over loopback with argv[1]
requests each, one under way at a time. With a port as argv[3] it is that second process."""
import asyncio
import select
import socket
import subprocess
import sys

import fixedwork

EACH, CONNECTIONS = int(sys.argv[1]), int(sys.argv[2])
MESSAGE = b"m" * 64


class Echo(asyncio.Protocol):
    connected = 0
    left = 0  # bytes that are still to come

    def connection_made(self, transport):
        self.transport = transport
        Echo.connected += 1
        if Echo.connected == CONNECTIONS:
            Echo.all_connected.set_result(None)

    def data_received(self, data):
        self.transport.write(data)
        Echo.left -= len(data)
        if Echo.left == 0:
            Echo.all_echoed.set_result(None)


async def serve():
    loop = asyncio.get_running_loop()
    Echo.all_connected, Echo.all_echoed = loop.create_future(), loop.create_future()
    Echo.left = CONNECTIONS * EACH * len(MESSAGE)
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = subprocess.Popen([sys.executable, __file__, *sys.argv[1:], str(port)], stdin=subprocess.PIPE)
    await Echo.all_connected
    begin = fixedwork.wait_for_go()
    client.stdin.write(b"go\n")
    client.stdin.flush()
    await Echo.all_echoed
    fixedwork.report(begin, CONNECTIONS * EACH)
    server.close()
    client.wait()


def load(port):
    poll = select.epoll()
    connections = {}
    left = {}
    for _ in range(CONNECTIONS):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connections[connection.fileno()] = connection
        left[connection.fileno()] = EACH * len(MESSAGE)
        poll.register(connection, select.EPOLLIN)
    if sys.stdin.readline() != "go\n":
        return
    for connection in connections.values():
        connection.sendall(MESSAGE)
    while left:
        for number, _ in poll.poll():
            got = len(connections[number].recv(4096))
            left[number] -= got
            if got == 0 or left[number] == 0:
                poll.unregister(number)
                del left[number]
            elif left[number] % len(MESSAGE) == 0:
                connections[number].sendall(MESSAGE)


if len(sys.argv) > 3:
    load(int(sys.argv[3]))
else:
    asyncio.run(serve())
