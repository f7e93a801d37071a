"""An asyncio server that echoes argv[1] requests of a second process: 32 connections over loopback, each with one
request under way at a time."""
import asyncio
import select
import socket
import subprocess
import sys

import fixedwork

CONNECTIONS = 32
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


async def serve(each):
    loop = asyncio.get_running_loop()
    Echo.all_connected, Echo.all_echoed = loop.create_future(), loop.create_future()
    Echo.left = CONNECTIONS * each * len(MESSAGE)
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = subprocess.Popen([sys.executable, __file__, str(each), str(port)], stdin=subprocess.PIPE)
    await Echo.all_connected
    begin = fixedwork.wait_for_go()
    client.stdin.write(b"go\n")
    client.stdin.flush()
    await Echo.all_echoed
    fixedwork.report(begin, CONNECTIONS * each)
    server.close()
    client.wait()


def load(each, port):
    poll = select.epoll()
    connections = {}
    left = {}
    for _ in range(CONNECTIONS):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connections[connection.fileno()] = connection
        left[connection.fileno()] = each * len(MESSAGE)
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


if len(sys.argv) > 2:
    load(int(sys.argv[1]), int(sys.argv[2]))
else:
    asyncio.run(serve(int(sys.argv[1]) // CONNECTIONS))
