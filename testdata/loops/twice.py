"""A loop that is run again and again, with much work in between: that is no block, since there is no loop then. And a loop of another kind."""
import asyncio
import selectors
import socket
import sys
import threading
import time

running = True


def compute(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


async def main():
    for _ in range(5):
        await asyncio.sleep(0.01)


def serve():
    a, b = socket.socketpair()
    selector = selectors.DefaultSelector()
    selector.register(a, selectors.EVENT_READ)
    while running:
        selector.select(0.02)
        time.sleep(0.002)


def wait_for_end():
    global running
    sys.stdin.read()
    running = False


threading.Thread(target=wait_for_end).start()
server = threading.Thread(target=serve)
server.start()
print("ready", flush=True)
loop = asyncio.new_event_loop()
while running:
    asyncio.run(main())
    compute(0.07)
    loop.run_until_complete(main())
    compute(0.07)
server.join()
